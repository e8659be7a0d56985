//! Changes accounts, in parts or as a whole, and puts on record what the application acknowledged.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Command, How, Mark, Phase, Request, State};
use crate::account::{Account, AccountChange, Edit};
use crate::comparison;
use crate::connector::{Exchange, Failure, Trace};
use crate::link::{Link, LinkState};
use crate::mapping;
use crate::matching;
use crate::proof::Acknowledged;
use crate::scope::Scope;

/// Larger groups are not read only to see that somebody is out.
const READ_BACK_MEMBERS_MAX: usize = 1_000;

impl State {
    /// Sends a change that was decided.
    pub(super) fn send_change(&mut self, change: AccountChange) -> Command {
        if self.can_patch() {
            let before = self.link.clone();
            if change.added.is_empty()
                || self.about.knowledge.shows_members
                || self.unsettled_members(&change)
            {
                return self.send_intended(change, None);
            }
            // Where members may never be shown, a crash must not forget who was let in.
            self.doubt(&change);
            return match self.link.clone() {
                Some(link) => self.write_link(Phase::Intend(change, before), link),
                None => self.advance(),
            };
        }
        match self.current.take() {
            Some(account) => self.replace(change, &account),
            // What is to be replaced is read first, and what is to be changed is decided by what it is.
            None => self.ask(Phase::Read, Request::Read(change.id)),
        }
    }

    /// Whether it is on record already that these members may be in.
    fn unsettled_members(&self, change: &AccountChange) -> bool {
        let in_doubt = self
            .stored
            .as_ref()
            .map(Link::members_in_doubt)
            .unwrap_or_default();
        change.added.keys().all(|id| in_doubt.contains(id))
    }

    pub(super) fn send_intended(&mut self, change: AccountChange, before: Option<Link>) -> Command {
        if before.is_some() {
            self.is_written();
        }
        self.intended = before;
        self.ask(
            Phase::Change(change.clone(), How::InParts),
            Request::Change(change),
        )
    }

    /// Sends a part of a change that was not accepted as a whole.
    pub(super) fn send_part(&mut self, part: AccountChange) -> Command {
        if !self.can_patch() && self.current.is_none() {
            self.parts.push(part.clone());
        }
        self.send_change(part)
    }

    fn replace(&mut self, change: AccountChange, account: &Account) -> Command {
        let Some(link) = &self.link else {
            return self.advance();
        };
        let mut members = account.members.clone().unwrap_or_else(|| link.members());
        members.retain(|id| !change.removed.contains(id));
        members.extend(change.added.keys().cloned());
        let members = self.with_kinds(members, Some(account));
        // What the application was told and does not show would be lost with the whole.
        let (told, shown) = (
            link.attributes(),
            mapping::writable(&self.about.schema, &account.attributes),
        );
        let hidden = comparison::places(&self.about.schema, [&told])
            .into_iter()
            .filter_map(|place| {
                let value = place
                    .value_in(&told)
                    .filter(|value| !value.is_null() && place.value_in(&shown).is_none())?
                    .clone();
                Some(Edit {
                    place,
                    value: Some(value),
                })
            });
        let with_hidden = AccountChange {
            edits: hidden.chain(change.edits.iter().cloned()).collect(),
            ..change.clone()
        };
        let mut whole =
            mapping::replacement(&self.about.schema, account, &told, &with_hidden, members);
        whole
            .attributes
            .retain(|name, _| !self.left_out.contains(name));
        if change.is_revocation() && self.lessened > 0 {
            whole.attributes = self.least(account, &change);
        }
        self.ask(
            Phase::Change(change, How::AsAWhole),
            Request::Replace(whole),
        )
    }

    /// As little of an account as a revocation may be sent with: what the application itself shows, then what every account has to have.
    fn least(&self, account: &Account, change: &AccountChange) -> Map<String, Value> {
        let schema = &self.about.schema;
        let mut least = account.attributes.clone();
        let ours = ["id", "schemas", "meta", "members"];
        least.retain(|name, _| !ours.iter().any(|ours| name.eq_ignore_ascii_case(ours)));
        if self.lessened > 1 {
            let names = matching::attributes(schema);
            least.retain(|name, _| {
                let is_required = schema
                    .core_attribute(name)
                    .is_some_and(|attribute| attribute.required);
                is_required || names.iter().any(|needed| name.eq_ignore_ascii_case(needed))
            });
        }
        for edit in &change.edits {
            least.retain(|name, _| {
                edit.place.extension.is_some() || !name.eq_ignore_ascii_case(&edit.place.attribute)
            });
            edit.place.put(&mut least, edit.value.clone());
        }
        least
    }

    /// What the log calls the step.
    pub(super) fn step_name(&self) -> &'static str {
        if self.scope == Scope::Revoked {
            "deactivate"
        } else {
            "update"
        }
    }

    pub(super) fn on_changed(
        &mut self,
        change: AccountChange,
        how: How,
        exchange: Exchange<Acknowledged>,
    ) -> Command {
        let Exchange {
            trace,
            wait,
            outcome,
        } = exchange;
        self.heed(wait, outcome.is_ok());
        let intended = self.intended.take();
        if how == How::AsAWhole && change.is_revocation() {
            // That a lock was not accepted as a part says nothing of other parts.
            self.clear(Mark::WithoutPatch);
        }
        if matches!(
            outcome,
            Err(Failure::Refused(_)
                | Failure::Throttled
                | Failure::NotReached
                | Failure::Unauthorized)
        ) && intended.is_some()
        {
            // It had no effect.
            self.link = intended;
        }
        match outcome {
            Ok(acknowledged) => {
                self.note(self.step_name(), "done", &trace, "");
                self.acknowledge(&change, &acknowledged, &trace);
                if how == How::AsAWhole && self.lessened > 0 {
                    // The rest may be lost.
                    (self.lessened, self.current) = (0, None);
                    self.set(Mark::Verify);
                }
                if self.is(Mark::Temporary) {
                    return self.wait_for_the_name();
                }
                self.advance()
            }
            Err(Failure::Refused(refusal)) => self.on_refused(change, how, &refusal, trace),
            Err(failure @ (Failure::Unknown { .. } | Failure::NotUnderstood)) => {
                self.doubt(&change);
                let is_answered = failure == Failure::Unknown { answered: true };
                // Something in it may make the application fail each time: it is sent in parts, and what fails alone waits alone.
                if is_answered
                    && self.about.claim.attempts > 0
                    && (change.parts() > 1 || self.is(Mark::Unsettled))
                {
                    self.set(Mark::Unsettled);
                    return self.narrow(&change, None, Mark::Again, &trace);
                }
                self.fail(self.step_name(), &trace, &failure)
            }
            Err(failure) => self.fail(self.step_name(), &trace, &failure),
        }
    }

    /// Whether reading the account can show that a revocation was stored.
    fn can_be_proven(&self, change: &AccountChange, link: &Link) -> bool {
        let knowledge = &self.about.knowledge;
        if change.removed.is_empty() {
            return !knowledge.is_hidden(self.resource_type(), "active");
        }
        knowledge.shows_members && link.acknowledged_members.len() <= READ_BACK_MEMBERS_MAX
    }

    /// It may have had its effect, or a part of it: the account is read before the next write. Where it does not show its members, they are in doubt.
    pub(super) fn doubt(&mut self, change: &AccountChange) {
        let Some(before) = self.link.clone() else {
            return;
        };
        let mut link = self.new_link(
            before.remote_id.clone(),
            LinkState::Uncertain,
            Some(&before),
        );
        for edit in change.edits.iter().filter(|edit| edit.value.is_some()) {
            edit.place.put(&mut link.acknowledged, edit.value.clone());
        }
        let touched: BTreeSet<String> = change
            .added
            .keys()
            .chain(&change.removed)
            .cloned()
            .collect();
        let members = before.members().difference(&touched).cloned().collect();
        link.set_members(
            members,
            &before.members_in_doubt().union(&touched).cloned().collect(),
        );
        self.current = None;
        self.link = Some(link);
    }

    /// A change was acknowledged.
    fn acknowledge(&mut self, change: &AccountChange, acknowledged: &Acknowledged, trace: &Trace) {
        let Some(before) = self.link.clone() else {
            return;
        };
        let state = if self.is(Mark::Unsettled) {
            LinkState::Uncertain
        } else {
            LinkState::Linked
        };
        let mut link = self.new_link(before.remote_id.clone(), state, Some(&before));
        for edit in &change.edits {
            edit.place.put(&mut link.acknowledged, edit.value.clone());
            self.count_sent(&edit.place.to_string());
        }
        let (mut members, mut in_doubt) = (before.members(), before.members_in_doubt());
        for id in &change.removed {
            members.remove(id);
        }
        members.extend(change.added.keys().cloned());
        for id in change.added.keys().chain(&change.removed) {
            in_doubt.remove(id);
            self.count_sent(id);
        }
        link.set_members(members, &in_doubt);
        let shown = acknowledged
            .shown()
            .cloned()
            .map(|shown| self.respell(shown));
        self.current.clone_from(&shown);
        match &shown {
            Some(shown) => {
                let added = change.added.keys().cloned().collect();
                let unstored =
                    self.compare_answer(&mut link, shown, &change.edits, &added, &change.removed);
                for name in unstored {
                    self.put_aside_if_unstored(&name, trace);
                }
            }
            // It was not as it was told before: whether it is now is looked at.
            None if self.is(Mark::Drifted) => self.set(Mark::Verify),
            None if change.is_revocation() && self.can_be_proven(change, &link) => {
                self.set(Mark::Unproven);
            }
            None => {}
        }
        if change
            .edits
            .iter()
            .any(|edit| edit.place.is_active() && edit.value == Some(Value::Bool(true)))
            && before.acknowledged.get("active") == Some(&Value::Bool(false))
        {
            // Groups may have been refused somebody who was not active.
            self.mark_groups(false);
        }
        self.link = Some(link);
    }
}
