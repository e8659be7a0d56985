//! *(shell)* PATCH: of members without reading the group, of everything else after reading the resource.

use scim_protocol::patch::member::{Split, fold, split};
use scim_protocol::patch::work::{Sum, Work};
use scim_protocol::quirk::{Adaptations, normalize_patch};
use scim_protocol::{TypeSchema, redaction};
use serde_json::Value;

use super::committing::{fresh, written};
use super::oneself::own_groups;
use super::refusal::{ATTEMPTS_MAX, NotWritten, may_try_again, too_busy};
use super::{Directory, DirectoryError, Subject};
use crate::access::Caller;
use crate::membership::{self, Needs};
use crate::parking::Method;
use crate::patch;
use crate::store::{Include, StoredResource};
use crate::version::Expected;

/// A group with more members is not answered to a PATCH that changed only members, unless it was asked for.
const MEMBERS_ANSWERED_MAX: u32 = 100;

/// What a PATCH should answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchAnswer {
    /// Only the version.
    Version,
    /// The resource without its members, unless only members of a large group changed: then reading them for the answer would make the cost of the write
    /// depend on the size of the group.
    ResourceUnlessLarge(Include),
    /// The resource.
    Resource(Include),
}

impl PatchAnswer {
    fn include(self) -> Option<Include> {
        match self {
            Self::Version => None,
            Self::ResourceUnlessLarge(include) => Some(Include {
                members: false,
                ..include
            }),
            Self::Resource(include) => Some(include),
        }
    }
}

/// What became of a PATCH.
#[derive(Clone, Debug, PartialEq)]
pub struct Patched {
    /// The version it has now.
    pub version: u64,
    /// The resource as it is now, where it was asked for.
    pub resource: Option<StoredResource>,
}

impl Directory {
    /// Changes a part of a resource (RFC 7644 section 3.5.2).
    pub async fn patch(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        id: &str,
        body: Value,
        expected: &Expected,
        answer: PatchAnswer,
    ) -> Result<Patched, DirectoryError> {
        let outcome = self
            .patch_now(caller, schema, id, body.clone(), expected, answer)
            .await;
        let outcome = outcome.map_err(|reason| match reason {
            NotWritten::Failed(error) => own_groups(caller, schema, id, error).into(),
            held @ NotWritten::Held(_) => held,
        });
        if self
            .parks(
                caller,
                (schema, id),
                (Method::Patch, &body),
                outcome.as_ref().err(),
            )
            .await?
        {
            let resource = self
                .read_any(caller, schema, id, answer.include().unwrap_or_default())
                .await?;
            return Ok(Patched {
                version: resource.version,
                resource: answer.include().map(|_| resource),
            });
        }
        Ok(outcome?)
    }

    pub(super) async fn patch_now(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        id: &str,
        mut body: Value,
        expected: &Expected,
        answer: PatchAnswer,
    ) -> Result<Patched, NotWritten> {
        caller.may_write(schema)?;
        let quirks = &Self::quirks(caller);
        let adapted = normalize_patch(quirks, schema, &mut body);
        self.note(adapted, || redaction::patch(schema, body.clone()));
        let split = split(schema, scim_protocol::patch::parse(schema, body, quirks)?)?;
        let subject = Subject {
            caller,
            schema,
            id,
            expected,
        };
        if membership::needs(&split) == Needs::Nothing {
            self.patch_members(subject, &split, answer).await
        } else {
            self.patch_document(subject, &split, answer).await
        }
    }

    async fn patch_members(
        &self,
        subject: Subject<'_>,
        split: &Split,
        answer: PatchAnswer,
    ) -> Result<Patched, NotWritten> {
        let Subject {
            caller, schema, id, ..
        } = subject;
        let members = fold(schema, &split.members, &[], &mut self.work())?;
        let decide = |precondition| {
            membership::decide(self.moment(), schema, id, precondition, members.clone())
        };
        let committed = self.commit_expecting(subject, decide).await?;
        let wanted = match answer {
            PatchAnswer::Version => None,
            PatchAnswer::Resource(include) => Some(include),
            PatchAnswer::ResourceUnlessLarge(include) => {
                let is_large = include.members
                    && self
                        .store
                        .has_more_members_than(caller.tenant.id, id, MEMBERS_ANSWERED_MAX)
                        .await?;
                (!is_large).then_some(Include {
                    members: false,
                    ..include
                })
            }
        };
        match wanted {
            Some(include) => {
                let resource = self.read_any(caller, schema, id, include).await?;
                Ok(Patched {
                    version: resource.version,
                    resource: Some(resource),
                })
            }
            None => Ok(Patched {
                version: committed.version,
                resource: None,
            }),
        }
    }

    async fn patch_document(
        &self,
        subject: Subject<'_>,
        split: &Split,
        answer: PatchAnswer,
    ) -> Result<Patched, NotWritten> {
        let Subject {
            caller,
            schema,
            id,
            expected,
        } = subject;
        let include = answer.include().unwrap_or_default();
        let needed = Include {
            members: membership::needs(split) == Needs::Members,
            groups: include.groups,
        };
        for attempt in 1..=ATTEMPTS_MAX {
            let current = self.read_any(caller, schema, id, needed).await?;
            expected.check(current.version)?;
            let mut noted = Adaptations::default();
            let change_set = patch::decide(
                self.moment(),
                schema,
                &current,
                split,
                &Self::quirks(caller),
                &mut self.work(),
                &mut noted,
            )?;
            let document = written(&change_set).cloned();
            self.check_allowed(
                caller,
                schema,
                [Some(&current.document), document.as_deref()],
                None,
            )
            .await?;
            let outcome = self.commit(caller, change_set).await;
            if let (Some(journal), Ok(_)) = (&self.journal, &outcome) {
                journal.also_adapted(noted);
            }
            match outcome {
                Ok(committed) if answer == PatchAnswer::Version => {
                    return Ok(Patched {
                        version: committed.version,
                        resource: None,
                    });
                }
                Ok(committed) => {
                    let document = document.or(Some(current.document));
                    let fresh = StoredResource {
                        groups: current.groups,
                        ..fresh(schema, id, &committed, document)
                    };
                    let resource = self.with_members(caller, schema, fresh, include).await?;
                    return Ok(Patched {
                        version: resource.version,
                        resource: Some(resource),
                    });
                }
                Err(error) => may_try_again(error, expected, attempt)?,
            }
        }
        Err(too_busy().into())
    }

    /// Counts the steps of one PATCH, and of the bulk request that it is a part of.
    pub(super) fn work(&self) -> Work {
        self.sum.as_ref().map_or_else(Work::default, Sum::work)
    }
}
