//! *(shell)* Turns back what was done in a window: reads the history, plans (`undo`), and carries the plan out as change sets, one after the other.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use scim_protocol::patch::member::MemberDelta;
use scim_protocol::{Error, ErrorKind, TypeSchema, ValidResource};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::refusal::refusal;
use super::restoring::{still_valid, type_of};
use super::{Directory, DirectoryError};
use crate::access::Caller;
use crate::change_set::{Change, Effect, Precondition, Write};
use crate::content::content;
use crate::history::{Deleted, Entry, Snapshot, Window};
use crate::store::{CommitError, Include, StoredResource};
use crate::undo::{MemberTurn, Names, Turn, circles, decide, decide_members};

/// Most changes that one undo looks at.
pub const UNDO_CHANGES_MAX: usize = 100_000;
/// Changes that are read at once.
const PAGE: u32 = 1_000;
/// Most changes of one resource that an undo looks at.
pub const UNDO_ENTRIES_MAX: u32 = 10_000;
/// An undo turns members back by their changes, so it does not read who is a member now.
const WITH_GROUPS: Include = Include {
    members: false,
    groups: true,
};

/// Something that is turned back, or is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UndoLine {
    /// Name of the resource's type.
    pub resource_type: String,
    /// The resource's id.
    pub id: String,
    /// `restore`, `update`, `members`, `delete`; or the part that is left as it is.
    pub what: String,
    /// Why it is left as it is; empty where it is turned back.
    pub why: String,
}

/// What an undo does, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Undone {
    /// What is turned back.
    pub done: Vec<UndoLine>,
    /// What is left as it is, and why.
    pub skipped: Vec<UndoLine>,
}

/// One resource that the window changed.
struct Subject {
    resource_type: String,
    id: String,
    present: Option<StoredResource>,
    turn: Turn,
    /// What it is to hold again, where that is something.
    resource: Option<(Arc<TypeSchema>, ValidResource)>,
    members: MemberTurn,
}

impl Subject {
    fn write(&self, change: Change) -> Write {
        Write {
            resource_type: self.resource_type.clone(),
            id: self.id.clone(),
            change,
        }
    }
}

impl Directory {
    /// Turns back what was done in a window, as far as later changes allow; with `dry_run` only says what that would be. Doing it again does nothing more.
    pub async fn undo(
        &self,
        caller: &Caller,
        window: &Window,
        dry_run: bool,
    ) -> Result<Undone, DirectoryError> {
        let mut undone = Undone::default();
        let mut subjects = Vec::new();
        for (id, resource_type) in self.touched(caller, window).await? {
            subjects.extend(
                self.subject(caller, window, resource_type, id, &mut undone)
                    .await?,
            );
        }
        self.turn_all_back(caller, &subjects, dry_run, &mut undone)
            .await?;
        for subject in &subjects {
            self.turn_members_back(caller, subject, dry_run, &mut undone)
                .await?;
        }
        Ok(undone)
    }

    /// The resources that the window changed, in the order of their first change.
    async fn touched(
        &self,
        caller: &Caller,
        window: &Window,
    ) -> Result<Vec<(String, String)>, DirectoryError> {
        let history = self.history()?;
        let (mut found, mut seen, mut after, mut count) = (Vec::new(), HashSet::new(), 0, 0);
        loop {
            let page = history
                .changes(caller.tenant.id, window, after, PAGE)
                .await?;
            let Some(last) = page.last() else {
                return Ok(found);
            };
            after = last.sequence;
            count += page.len();
            if count > UNDO_CHANGES_MAX {
                let detail = format!(
                    "The window has more than {UNDO_CHANGES_MAX} changes; accepted is a shorter one."
                );
                return Err(Error::new(ErrorKind::TooMany, detail).into());
            }
            for change in page {
                if seen.insert(change.id.clone()) {
                    found.push((change.id, change.resource_type));
                }
            }
        }
    }

    async fn subject(
        &self,
        caller: &Caller,
        window: &Window,
        resource_type: String,
        id: String,
        undone: &mut Undone,
    ) -> Result<Option<Subject>, DirectoryError> {
        let line = |what: &str, why: String| UndoLine {
            resource_type: resource_type.clone(),
            id: id.clone(),
            what: what.to_owned(),
            why,
        };
        let history = self.history()?;
        let all = history
            .entries(caller.tenant.id, &id, 0, UNDO_ENTRIES_MAX)
            .await?;
        let Some(start) = all.iter().position(|entry| is_in(window, entry)) else {
            undone
                .skipped
                .push(line("*", "its history is not kept".to_owned()));
            return Ok(None);
        };
        let entries = all.get(start..).unwrap_or_default();
        let present = self
            .store
            .read(caller.tenant.id, &resource_type, &id, WITH_GROUPS)
            .await?;
        let verdict = decide(
            entries,
            |entry| is_in(window, entry),
            present.as_ref().map(|present| &*present.document),
        );
        undone
            .skipped
            .extend(verdict.kept.into_iter().map(|(what, why)| line(&what, why)));
        let (mut turn, mut resource) = (verdict.turn, None);
        let (what, wanted) = match &turn {
            Turn::Restore(document) => ("restore", Some(document.clone())),
            Turn::Update(document) => ("update", Some(document.clone())),
            Turn::Delete | Turn::Nothing => ("*", None),
        };
        match wanted
            .map(|document| of_today(caller, &resource_type, document))
            .transpose()
        {
            Ok(checked) => resource = checked,
            Err(error) => {
                undone.skipped.push(line(what, error.detail().to_owned()));
                if what == "restore" {
                    return Ok(None);
                }
                turn = Turn::Nothing;
            }
        }
        let members = self.members_to_turn(caller, window, &id, entries).await?;
        undone.skipped.extend(members.kept.iter().map(|member| {
            line(
                &format!("members {member}"),
                "others moved it since".to_owned(),
            )
        }));
        Ok(Some(Subject {
            resource_type,
            id,
            present,
            turn,
            resource,
            members,
        }))
    }

    /// The members of a resource that joined or left by these entries, as far as the window has them.
    async fn members_to_turn(
        &self,
        caller: &Caller,
        window: &Window,
        id: &str,
        entries: &[Entry],
    ) -> Result<MemberTurn, DirectoryError> {
        let meant: HashMap<u64, bool> = entries
            .iter()
            .map(|entry| (entry.version, is_in(window, entry)))
            .collect();
        let first = entries
            .first()
            .map_or(0, |entry| entry.version.saturating_sub(1));
        let changes = self
            .history()?
            .member_changes(caller.tenant.id, id, first, u32::MAX)
            .await?;
        Ok(decide_members(&changes, |change| {
            meant.get(&change.version).copied().unwrap_or(false)
        }))
    }

    /// Created resources are deleted first, because they may have the names of those that come back. Updates are before restores: a person who comes back joins groups again,
    /// which gives these another version. People come back before groups.
    async fn turn_all_back(
        &self,
        caller: &Caller,
        subjects: &[Subject],
        dry_run: bool,
        undone: &mut Undone,
    ) -> Result<(), DirectoryError> {
        let mut ours = HashSet::new();
        for subject in subjects
            .iter()
            .rev()
            .filter(|subject| subject.turn == Turn::Delete)
        {
            let outcome = if dry_run {
                Ok(None)
            } else {
                self.take_away(caller, subject, &ours).await.map(Some)
            };
            ours.extend(outcome.as_ref().ok().copied().flatten());
            note(undone, subject, "delete", outcome.map(drop))?;
        }
        // The latest first, because one resource may have got a name from another; then once more those that waited for a name.
        let mut waiting: Vec<&Subject> = subjects
            .iter()
            .rev()
            .filter(|subject| matches!(subject.turn, Turn::Update(_)))
            .collect();
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut refused = Vec::new();
            for subject in waiting {
                match if dry_run {
                    Ok(())
                } else {
                    self.update_back(caller, subject, &ours).await
                } {
                    Err(error @ CommitError::ValueTaken { .. }) => refused.push((subject, error)),
                    outcome => note(undone, subject, "update", outcome)?,
                }
            }
            if refused.len() == before {
                self.update_together(caller, refused, &ours, undone).await?;
                break;
            }
            waiting = refused.into_iter().map(|(subject, _)| subject).collect();
        }
        let mut restored: Vec<&Subject> = subjects
            .iter()
            .filter(|subject| matches!(subject.turn, Turn::Restore(_)))
            .collect();
        restored.sort_by_key(|subject| subject.resource_type != "User");
        for subject in restored {
            let outcome = if dry_run {
                Ok(())
            } else {
                self.bring_back(caller, subject).await
            };
            note(undone, subject, "restore", outcome)?;
        }
        Ok(())
    }

    /// The version with which the undo was planned, or the one that its own deletions made since: they end memberships, and leave the document as it is.
    /// A change by another request is in neither version, so it is not overwritten.
    async fn unchanged_by_others(
        &self,
        caller: &Caller,
        subject: &Subject,
        ours: &HashSet<Uuid>,
    ) -> Result<Precondition, CommitError> {
        let Some(present) = &subject.present else {
            return Ok(Precondition::Exists);
        };
        let mut version = present.version;
        if let (Some(past), false) = (&self.past, ours.is_empty()) {
            let since = past
                .history
                .entries(caller.tenant.id, &subject.id, version, UNDO_ENTRIES_MAX)
                .await?;
            let by_us = since
                .iter()
                .take_while(|entry| ours.contains(&entry.change_id));
            version = by_us.last().map_or(version, |entry| entry.version);
        }
        Ok(Precondition::VersionIs(version))
    }

    async fn take_away(
        &self,
        caller: &Caller,
        subject: &Subject,
        ours: &HashSet<Uuid>,
    ) -> Result<Uuid, CommitError> {
        let precondition = self.unchanged_by_others(caller, subject, ours).await?;
        self.commit_by_hand(caller, vec![subject.write(Change::Delete { precondition })])
            .await
    }

    async fn update_back(
        &self,
        caller: &Caller,
        subject: &Subject,
        ours: &HashSet<Uuid>,
    ) -> Result<(), CommitError> {
        let precondition = self.unchanged_by_others(caller, subject, ours).await?;
        let Some(change) = update(subject, precondition) else {
            return Ok(());
        };
        self.commit_by_hand(caller, vec![subject.write(change)])
            .await
            .map(drop)
    }

    /// Updates that were refused because of each other: names that were swapped go back in one step, in which all are given up before any is taken.
    async fn update_together(
        &self,
        caller: &Caller,
        refused: Vec<(&Subject, CommitError)>,
        ours: &HashSet<Uuid>,
        undone: &mut Undone,
    ) -> Result<(), DirectoryError> {
        let names: Vec<Names> = refused
            .iter()
            .map(|(subject, _)| names(caller, subject))
            .collect();
        let mut refused: Vec<_> = refused.into_iter().map(Some).collect();
        for circle in circles(&names) {
            let circle: Vec<_> = circle
                .into_iter()
                .filter_map(|place| refused.get_mut(place)?.take())
                .collect();
            let mut writes = Vec::with_capacity(circle.len());
            for (subject, _) in &circle {
                let precondition = self
                    .unchanged_by_others(caller, subject, ours)
                    .await
                    .map_err(refusal)?;
                writes.extend(update(subject, precondition).map(|change| subject.write(change)));
            }
            // A single resource was refused because of a resource outside of the circle, so it stays refused.
            let is_done = match writes.len() {
                1 => false,
                _ => match self.commit_by_hand(caller, writes).await {
                    Err(CommitError::Fault(fault)) => return Err(fault.into()),
                    outcome => outcome.is_ok(),
                },
            };
            for (subject, error) in circle {
                note(
                    undone,
                    subject,
                    "update",
                    if is_done { Ok(()) } else { Err(error) },
                )?;
            }
        }
        Ok(())
    }

    async fn bring_back(&self, caller: &Caller, subject: &Subject) -> Result<(), CommitError> {
        let Subject {
            resource_type,
            id,
            resource: Some((schema, resource)),
            ..
        } = subject
        else {
            return Ok(());
        };
        let missing = || CommitError::NotFound {
            resource_type: resource_type.clone(),
            id: id.clone(),
        };
        let buried = self
            .deleted(caller, Deleted::Id(id.clone()), 1)
            .await
            .map_err(|_| missing())?
            .pop()
            .ok_or_else(missing)?;
        let was = Snapshot {
            resource_type: resource_type.clone(),
            id: id.clone(),
            version: buried.version,
            created: buried.created,
            last_modified: buried.at,
            document: resource.document().clone(),
            members: Vec::new(),
        };
        self.give_back(caller, schema, resource.clone(), &was, Some(&buried))
            .await
    }

    async fn turn_members_back(
        &self,
        caller: &Caller,
        subject: &Subject,
        dry_run: bool,
        undone: &mut Undone,
    ) -> Result<(), DirectoryError> {
        let MemberTurn { join, leave, .. } = &subject.members;
        if subject.turn == Turn::Delete || (join.is_empty() && leave.is_empty()) {
            return Ok(());
        }
        let mut added = Vec::with_capacity(join.len());
        for id in join {
            if dry_run || self.is_there(caller, id).await? {
                added.push(id.clone());
            } else {
                let why = CommitError::ReferenceMissing { id: id.clone() };
                note(undone, subject, &format!("members {id}"), Err(why))?;
            }
        }
        let what = format!("members +{} -{}", added.len(), leave.len());
        let delta = MemberDelta {
            replace: false,
            added,
            removed: leave.clone(),
        };
        let change = Change::Update {
            precondition: Precondition::Exists,
            content: None,
            members: delta,
            effect: Effect::default(),
        };
        let outcome = if dry_run {
            Ok(())
        } else {
            self.commit_by_hand(caller, vec![subject.write(change)])
                .await
                .map(drop)
        };
        note(undone, subject, &what, outcome)
    }
}

/// Takes down what became of one step; a fault of ours ends the whole.
fn note(
    undone: &mut Undone,
    subject: &Subject,
    what: &str,
    outcome: Result<(), CommitError>,
) -> Result<(), DirectoryError> {
    let line = |why: String| UndoLine {
        resource_type: subject.resource_type.clone(),
        id: subject.id.clone(),
        what: what.to_owned(),
        why,
    };
    match outcome.map_err(refusal) {
        Ok(()) => undone.done.push(line(String::new())),
        Err(DirectoryError::Refused(error)) => undone.skipped.push(line(error.detail().to_owned())),
        Err(fault) => return Err(fault),
    }
    Ok(())
}

/// The unique values that a resource is to have again, and those that it has.
fn names(caller: &Caller, subject: &Subject) -> Names {
    let Some(schema) = caller.schemas.by_name(&subject.resource_type) else {
        return Names::default();
    };
    let of = |document: &Map<String, Value>| {
        let index = content(schema, ValidResource::trusted(document.clone())).index;
        let unique = index.into_iter().filter(|entry| entry.unique);
        unique
            .map(|entry| (subject.resource_type.clone(), entry.path, entry.key))
            .collect()
    };
    match (&subject.turn, &subject.present) {
        (Turn::Update(document), Some(present)) => Names {
            wanted: of(document),
            held: of(&present.document),
        },
        _ => Names::default(),
    }
}

/// What a resource is to hold again, with its type. Refuses what its type does not allow any more.
fn of_today(
    caller: &Caller,
    resource_type: &str,
    document: Map<String, Value>,
) -> Result<(Arc<TypeSchema>, ValidResource), Error> {
    let schema = type_of(caller, resource_type)?;
    let resource = still_valid(&schema, document)?;
    Ok((schema, resource))
}

/// Whether an entry of the history is one that the undo means.
fn is_in(window: &Window, entry: &Entry) -> bool {
    let by = window
        .credential_id
        .as_ref()
        .is_none_or(|wanted| *wanted == entry.credential_id);
    by && window.from <= entry.at && entry.at < window.until
}

/// What a resource is given back as.
fn update(subject: &Subject, precondition: Precondition) -> Option<Change> {
    let (schema, resource) = subject.resource.clone()?;
    let before = subject
        .present
        .as_ref()
        .map(|present| present.document.clone().into_tree())
        .unwrap_or_default();
    let effect = Effect::between(&before, resource.document(), true);
    let content = Some(content(&schema, resource));
    Some(Change::Update {
        precondition,
        content,
        members: MemberDelta::default(),
        effect,
    })
}
