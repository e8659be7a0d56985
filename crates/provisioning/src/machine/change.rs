//! Changes and removes accounts. What the application refuses is narrowed down, so that everything else flows; what it shows is compared with what it was told.

use std::collections::BTreeSet;

use serde_json::Value;

use super::read::without_members;
use super::{Command, How, Mark, Phase, Request, State};
use crate::account::{Account, AccountChange, AccountId, Edit, Place};
use crate::comparison;
use crate::connector::{Exchange, Failure, Refusal, RefusalKind, Trace};
use crate::knowledge::Fact;
use crate::link::{Link, LinkState};
use crate::mapping;
use crate::matching;
use crate::proof::Acknowledged;
use crate::scope::Scope;

/// How often a value is sent that the application says to have accepted and shows otherwise.
const SENT_MAX: u32 = 2;

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
            without_members(link),
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
        self.ask(
            Phase::Change(change, How::AsAWhole),
            Request::Replace(whole),
        )
    }

    /// What the log calls the step.
    fn step_name(&self) -> &'static str {
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

    fn on_refused(
        &mut self,
        change: AccountChange,
        how: How,
        refusal: &Refusal,
        trace: Trace,
    ) -> Command {
        let step = self.step_name();
        let names = matching::attributes(self.resource_type());
        match refusal.kind {
            RefusalKind::Gone => self.vanish(step, &trace, true),
            RefusalKind::NotFound | RefusalKind::NotOffered if how == How::AsAWhole => {
                self.retry(step, &trace, "the application offers neither PATCH nor PUT")
            }
            RefusalKind::NotFound | RefusalKind::NotOffered => {
                self.note(
                    step,
                    "retry",
                    &trace,
                    "the application does not offer PATCH; PUT is sent instead",
                );
                self.set(Mark::WithoutPatch);
                // A 404 that is not SCIM may be a proxy's and is not remembered for other accounts.
                if refusal.kind == RefusalKind::NotOffered {
                    self.learn(Fact::CannotPatch);
                }
                self.advance()
            }
            RefusalKind::Uniqueness | RefusalKind::Conflict if change.touches(&names) => {
                // Whether somebody may still sign in does not wait for a name.
                let is_name = |place: &Place| {
                    place.extension.is_none() && names.contains(&place.attribute.as_str())
                };
                let why = if refusal.kind == RefusalKind::Uniqueness {
                    "another account has this name"
                } else {
                    "the application says that something is in the way of this name"
                };
                match change.without(is_name) {
                    Some((rest, name)) => {
                        self.note(
                            step,
                            "retry",
                            &trace,
                            &format!("{why}; the rest is sent without it"),
                        );
                        self.parts.extend([name, rest]);
                        self.advance()
                    }
                    None => self.dispute(step, trace, why),
                }
            }
            RefusalKind::Version if !self.is(Mark::VersionChecked) => {
                self.set(Mark::VersionChecked);
                self.set(Mark::Verify);
                self.parts.clear();
                self.note(
                    step,
                    "retry",
                    &trace,
                    "the account has changed since it was read; it is read again",
                );
                self.advance()
            }
            RefusalKind::Version | RefusalKind::Forbidden => {
                self.fail(step, &trace, &Failure::Refused(refusal.clone()))
            }
            RefusalKind::InvalidValue | RefusalKind::Other
                if how == How::InParts && change.is_revocation() && change.touches(&["active"]) =>
            {
                self.lock_as_a_whole(change, &trace)
            }
            RefusalKind::InvalidValue | RefusalKind::Other
                if how == How::AsAWhole && self.leave_out(&change, refusal) =>
            {
                self.note(
                    step,
                    "retry",
                    &trace,
                    "the application does not accept this with the whole; it is sent without",
                );
                self.parts.push(change);
                self.advance()
            }
            // What takes something away is tried again: what is in its way may leave.
            RefusalKind::Conflict if change.is_revocation() => {
                self.narrow(&change, None, Mark::Again, &trace)
            }
            _ => self.narrow(&change, refusal.attribute.as_deref(), Mark::Held, &trace),
        }
    }

    /// A revocation sent as a whole does not fail for something else that the account has, where the refusal names it.
    fn leave_out(&mut self, change: &AccountChange, refusal: &Refusal) -> bool {
        let needed = matching::attributes(self.resource_type());
        let named = refusal
            .attribute
            .as_ref()
            .filter(|name| !needed.contains(&name.as_str()) && !change.touches(&[name.as_str()]));
        change.is_revocation() && named.is_some_and(|name| self.left_out.insert(name.clone()))
    }

    /// Some do not take this one part of an account and take the whole: who leaves does not stay because of that.
    fn lock_as_a_whole(&mut self, change: AccountChange, trace: &Trace) -> Command {
        self.note(
            self.step_name(),
            "retry",
            trace,
            "the application does not accept this as a PATCH; PUT is sent instead",
        );
        self.set(Mark::WithoutPatch);
        self.parts.push(change);
        self.advance()
    }

    /// Sends in two parts what was not accepted as a whole: without the attribute that the refusal names, or by halves. What is not accepted alone is put
    /// aside.
    fn narrow(
        &mut self,
        change: &AccountChange,
        named: Option<&str>,
        mark: Mark,
        trace: &Trace,
    ) -> Command {
        let step = self.step_name();
        let by_name = named.and_then(|name| {
            change.without(|place| place.attribute == name || place.to_string() == name)
        });
        if let Some((first, second)) = by_name.or_else(|| change.halves()) {
            self.note(
                step,
                "retry",
                trace,
                "the application does not accept this as a whole; it is sent in parts",
            );
            self.parts.extend([second, first]);
            return self.advance();
        }
        let what = change.names().join(", ");
        let why = if mark == Mark::Held {
            format!("the application does not accept {what}")
        } else {
            format!("the application fails with {what}")
        };
        for name in change
            .edits
            .iter()
            .map(|edit| edit.place.to_string())
            .chain(change.added.keys().chain(&change.removed).cloned())
        {
            self.verify_member(&name);
            self.put_aside(step, name, mark, trace, &why);
        }
        self.advance()
    }

    /// The account of a member that is refused is read: it may not be there any more.
    fn verify_member(&mut self, remote_id: &str) {
        let subject = self
            .about
            .subject
            .iter()
            .flat_map(|subject| &subject.members);
        let mut it = subject.filter(|member| {
            self.about
                .remote_ids
                .get(&member.id)
                .is_some_and(|id| id == remote_id)
        });
        if let Some((resource_type, id)) = it
            .next()
            .map(|member| (member.resource_type.clone(), member.id.clone()))
        {
            let member = self.to_verify(&resource_type, &id);
            self.also.push(member);
        }
    }

    /// It may have had its effect, or a part of it: the account is read before the next write. Where it does not show its members, they are in doubt.
    fn doubt(&mut self, change: &AccountChange) {
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
        self.current = acknowledged.shown().cloned();
        match acknowledged.shown() {
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

    /// What the answer to a write shows is what is. Says what it shows otherwise than it was just told.
    pub(super) fn compare_answer(
        &mut self,
        link: &mut Link,
        shown: &Account,
        edits: &[Edit],
        added: &BTreeSet<String>,
        removed: &BTreeSet<String>,
    ) -> Vec<String> {
        let told = without_members(link);
        let empty = serde_json::Map::new();
        let wanted = self
            .desired
            .as_ref()
            .map_or(&empty, |desired| &desired.document);
        let compared = comparison::compare(&self.about.schema, &shown.attributes, &told, wanted);
        for place in comparison::places(&self.about.schema, [&compared.shown]) {
            place.put(
                &mut link.acknowledged,
                place.value_in(&compared.shown).cloned(),
            );
        }
        let mut unstored: Vec<String> = compared
            .contradicted
            .iter()
            .map(ToString::to_string)
            .collect();
        let held = mapping::writable(&self.about.schema, &shown.attributes);
        for edit in edits.iter().filter(|edit| edit.value.is_none()) {
            if let Some(value) = edit
                .place
                .value_in(&held)
                .filter(|value| value.as_str() != Some(""))
            {
                edit.place.put(&mut link.acknowledged, Some(value.clone()));
                unstored.push(edit.place.to_string());
            }
        }
        self.learn_shown(&compared);
        self.learn_not_shown(&compared);
        if let Some(shown) = &shown.members {
            self.learn_members();
            let missing: BTreeSet<String> = added.difference(shown).cloned().collect();
            let left: BTreeSet<String> = removed.intersection(shown).cloned().collect();
            let members = link
                .members()
                .difference(&missing)
                .cloned()
                .chain(left.iter().cloned())
                .collect();
            let in_doubt = link.members_in_doubt();
            link.set_members(members, &in_doubt);
            unstored.extend(missing.into_iter().chain(left));
        }
        unstored
    }

    /// What was just sent and is not shown is one that is never shown, or was not stored: the account is read where others show it.
    fn learn_not_shown(&mut self, compared: &comparison::Comparison) {
        let resource_type = self.resource_type().to_owned();
        let names = matching::attributes(&resource_type);
        // Some answer with a part of the account.
        let is_whole = names.iter().any(|name| compared.shown.contains_key(*name));
        for place in compared
            .not_shown
            .iter()
            .map(ToString::to_string)
            .filter(|place| self.sent.contains_key(place))
            .collect::<Vec<_>>()
        {
            if is_whole && self.about.knowledge.is_shown(&resource_type, &place) {
                self.set(Mark::Verify);
            } else if !self.about.knowledge.is_hidden(&resource_type, &place) {
                self.learn(Fact::Hides(resource_type.clone(), place));
            }
        }
    }

    pub(super) fn count_sent(&mut self, name: &str) {
        *self.sent.entry(name.to_owned()).or_default() += 1;
    }

    pub(super) fn times_sent(&self, name: &str) -> u32 {
        self.sent.get(name).copied().unwrap_or_default()
    }

    /// What was accepted as often as it is sent, and is not there, is held.
    pub(super) fn put_aside_if_unstored(&mut self, name: &str, trace: &Trace) {
        if self.times_sent(name) >= SENT_MAX && !self.aside.contains(name) {
            let why =
                format!("{name} was accepted, not stored: the application shows another value");
            self.put_aside(self.step_name(), name.to_owned(), Mark::Held, trace, &why);
        }
    }

    pub(super) fn on_removed(&mut self, exchange: Exchange<Acknowledged>) -> Command {
        let Exchange {
            trace,
            wait,
            outcome,
        } = exchange;
        self.heed(wait, outcome.is_ok());
        let is_person = self.resource_type() == "User";
        let refusal = match outcome {
            Ok(_) => {
                self.note("delete", "done", &trace, "");
                self.link = None;
                return self.advance();
            }
            Err(Failure::Refused(refusal)) => refusal,
            Err(failure) => {
                if matches!(failure, Failure::Unknown { .. } | Failure::NotUnderstood) {
                    let is_locked = self.link.as_ref().is_some_and(|link| {
                        link.acknowledged.get("active") == Some(&Value::Bool(false))
                    });
                    let id = self
                        .link
                        .as_ref()
                        .and_then(|link| link.remote_id.clone())
                        .and_then(AccountId::new);
                    if let Some(id) = id {
                        self.doubt(&AccountChange::of(id));
                    }
                    // One answer may be lost by chance; whoever loses each one may still take a change.
                    if is_person
                        && !is_locked
                        && (failure != Failure::Unknown { answered: false }
                            || self.about.claim.attempts > 0)
                    {
                        return self.lock_instead(
                            Mark::Again,
                            &trace,
                            "it is not known whether this is deleted; the account is deactivated",
                        );
                    }
                }
                return self.fail("delete", &trace, &failure);
            }
        };
        match refusal.kind {
            RefusalKind::Gone => self.vanish("delete", &trace, true),
            // A page of HTML proves nothing, and perhaps only deletions meet it.
            RefusalKind::NotFound if is_person => self.lock_instead(
                Mark::Again,
                &trace,
                "it is not known whether this is gone; the account is deactivated",
            ),
            RefusalKind::NotFound => self.vanish("delete", &trace, false),
            RefusalKind::NotOffered if is_person => {
                self.note(
                    "delete",
                    "retry",
                    &trace,
                    "the application does not delete; the account is deactivated instead",
                );
                self.set(Mark::WithoutDelete);
                self.advance()
            }
            RefusalKind::NotOffered => {
                self.hold("delete", &trace, "the application does not delete groups")
            }
            // Somebody who leaves is locked out at least.
            _ if is_person => {
                let is_passing = matches!(
                    refusal.kind,
                    RefusalKind::Forbidden | RefusalKind::Version | RefusalKind::Conflict
                );
                let mark = if is_passing { Mark::Again } else { Mark::Held };
                self.lock_instead(
                    mark,
                    &trace,
                    "the application does not delete this; the account is deactivated",
                )
            }
            _ => self.fail("delete", &trace, &Failure::Refused(refusal)),
        }
    }

    /// Somebody whose account is not deleted for certain is locked out, and the deletion is put aside.
    fn lock_instead(&mut self, mark: Mark, trace: &Trace, why: &str) -> Command {
        self.put_aside("delete", String::new(), mark, trace, why);
        self.set(Mark::WithoutDelete);
        self.advance()
    }
}
