//! Makes an account, and links the one that was made.

use std::collections::{BTreeMap, BTreeSet};

use scim_protocol::TypeSchema;

use super::{Command, Mark, Owner, Phase, Request, State};
use crate::account::{Account, AccountId, Members, NewAccount};
use crate::connector::{Created, Exchange, Failure, Refusal, RefusalKind, Trace};
use crate::ledger::Written;
use crate::link::{Link, LinkState};
use crate::matching;
use crate::proof::Absent;

/// What an account is made with at least; without the rest it can be made and get that afterwards.
const ESSENTIAL: [&str; 6] = [
    "externalId",
    "userName",
    "displayName",
    "name",
    "emails",
    "active",
];

impl State {
    /// Makes an account, of which there is proof that it is not there. The link says so before the request leaves, so that the next claim after a crash
    /// looks before it makes another.
    pub(super) fn create(&mut self, _: Absent) -> Command {
        let Some(desired) = self.desired.clone() else {
            return self.advance();
        };
        if self.lost.take().is_some() {
            self.mark_groups(true);
        }
        // What failed before without a word may have failed because of a member: they come afterwards, where each can be told from the others.
        let members = if self.about.claim.attempts > 0 {
            0
        } else {
            self.members_max()
        };
        let members: Members = desired.members.into_iter().take(members).collect();
        let mut link = self.new_link(None, LinkState::Creating, None);
        link.acknowledged.clone_from(&desired.document);
        link.set_former(self.former().as_deref());
        if let Some(before) = self
            .link
            .as_ref()
            .filter(|before| before.former().is_some())
        {
            link.updated = before.updated;
        }
        // Should the answer be lost, they may be in.
        link.set_members(BTreeSet::new(), &members.keys().cloned().collect());
        self.write_link(
            Phase::Announce(NewAccount {
                attributes: desired.document,
                members,
            }),
            link,
        )
    }

    /// The id of the account that is said to be gone.
    pub(super) fn former(&self) -> Option<String> {
        self.link.as_ref().and_then(Link::former).map(str::to_owned)
    }

    pub(super) fn send_create(&mut self, account: NewAccount) -> Command {
        self.is_written();
        self.ask(Phase::Create(account.clone()), Request::Create(account))
    }

    pub(super) fn on_created(
        &mut self,
        account: NewAccount,
        exchange: Exchange<Created>,
    ) -> Command {
        let Exchange {
            trace,
            wait,
            outcome,
        } = exchange;
        self.heed(wait, outcome.is_ok());
        match outcome {
            Ok(Created::Shown(shown)) => {
                let id = shown.id.clone();
                self.made(id, &account, Some(&shown), trace)
            }
            Ok(Created::Named(id)) => self.made(id, &account, None, trace),
            Ok(Created::Unnamed) => {
                self.note(
                    "create",
                    "done",
                    &trace,
                    "the answer has no id; the account is looked for",
                );
                let link = self.new_link(None, LinkState::Unnamed, self.link.as_ref());
                self.write_link(Phase::Unnamed, link)
            }
            Err(Failure::Refused(refusal)) => self.on_create_refused(account, &refusal, trace),
            Err(failure) => self.fail("create", &trace, &failure),
        }
    }

    fn on_create_refused(
        &mut self,
        account: NewAccount,
        refusal: &Refusal,
        trace: Trace,
    ) -> Command {
        if matches!(
            refusal.kind,
            RefusalKind::Uniqueness | RefusalKind::Conflict
        ) {
            if self.is(Mark::Conflicted) {
                return self.dispute(
                    "create",
                    trace,
                    "the application says that there is such an account already",
                );
            }
            self.set(Mark::Conflicted);
            self.note(
                "create",
                "retry",
                &trace,
                "there is such an account already; it is looked for",
            );
            return self.advance();
        }
        if matches!(refusal.kind, RefusalKind::InvalidValue | RefusalKind::Other)
            && let Some((less, without)) =
                lessen(&self.about.schema, &account, refusal.attribute.as_deref())
        {
            let why =
                format!("the application does not accept this; it is made without {without} first");
            self.note("create", "retry", &trace, &why);
            return self.ask(Phase::Create(less.clone()), Request::Create(less));
        }
        // Refused for certain, so there is nothing to look for but an account that is said to be gone.
        if self.former().is_none() {
            self.link = None;
        }
        self.fail("create", &trace, &Failure::Refused(refusal.clone()))
    }

    /// Links the account that a create was answered with, unless it is another's: an application that answers so has made none, and may have changed that one.
    fn made(
        &mut self,
        id: AccountId,
        sent: &NewAccount,
        shown: Option<&Account>,
        trace: Trace,
    ) -> Command {
        // The account is new, so it has not been changed since.
        self.clear(Mark::Verify);
        let mut link = self.new_link(Some(id.to_string()), LinkState::Linked, None);
        link.acknowledged.clone_from(&sent.attributes);
        let members: BTreeSet<String> = sent.members.keys().cloned().collect();
        for member in &members {
            self.count_sent(member);
        }
        link.set_members(members, &BTreeSet::new());
        for place in crate::comparison::places(&self.about.schema, [&sent.attributes]) {
            self.count_sent(&place.to_string());
        }
        if let Some(shown) = shown {
            let added = sent.members.keys().cloned().collect();
            self.compare_answer(&mut link, shown, &[], &added, &BTreeSet::new());
        }
        self.note("create", "done", &trace, "");
        self.write_link(Phase::Made(trace), link)
    }

    pub(super) fn on_made(&mut self, trace: Trace, written: Written) -> Command {
        if written == Written::Taken {
            let id = self
                .link
                .as_ref()
                .and_then(|link| link.remote_id.clone())
                .and_then(AccountId::new);
            self.link.clone_from(&self.stored);
            return self.find_owners(Phase::MadeForAnother(trace), id.into_iter().collect());
        }
        self.is_written();
        if let Some(link) = self.link.clone() {
            self.link_to(link);
        }
        self.advance()
    }

    pub(super) fn on_made_for_another(
        &mut self,
        trace: &Trace,
        owners: &BTreeMap<AccountId, Owner>,
    ) -> Command {
        // Another line is to say what came of the request.
        self.log.pop();
        let owner = owners
            .values()
            .next()
            .map(|owner| owner.resource_id.clone())
            .unwrap_or_default();
        // Between the two looks it may have been let go; then nobody's account was touched.
        if !owner.is_empty() {
            let touched = self.to_verify(&self.about.claim.resource_type, &owner);
            self.also.push(touched);
        }
        let why = format!(
            "the answer names an account that is linked to another resource, {owner:?}, so it is not linked to this one"
        );
        self.hold("create", trace, &why)
    }
}

/// The same account with less, and without what in words; `None` where all of it is needed.
fn lessen(
    schema: &TypeSchema,
    account: &NewAccount,
    named: Option<&str>,
) -> Option<(NewAccount, String)> {
    let is_needed = |name: &str| matching::attributes(schema).contains(&name);
    let named = named.filter(|name| !is_needed(name) && account.attributes.contains_key(*name));
    if let Some(name) = named {
        let mut less = account.clone();
        less.attributes.shift_remove(name);
        return Some((less, name.to_owned()));
    }
    if !account.members.is_empty() {
        return Some((
            NewAccount {
                members: Members::new(),
                ..account.clone()
            },
            "members".to_owned(),
        ));
    }
    let (kept, left): (Vec<_>, Vec<_>) = account
        .attributes
        .clone()
        .into_iter()
        .partition(|(name, _)| ESSENTIAL.contains(&name.as_str()) || is_needed(name));
    let without = left
        .iter()
        .map(|(name, _)| name.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    (!left.is_empty()).then(|| {
        (
            NewAccount {
                attributes: kept.into_iter().collect(),
                members: Members::new(),
            },
            without,
        )
    })
}
