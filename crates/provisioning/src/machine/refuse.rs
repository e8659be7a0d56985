//! What follows a change that the application refused: it is narrowed down, so that everything else flows.

use std::sync::Arc;

use super::{Command, How, Mark, State};
use crate::account::{AccountChange, Place};
use crate::connector::{Failure, Refusal, RefusalKind, Trace};
use crate::knowledge::Fact;
use crate::matching;

/// A revocation is sent with the whole account, with what the application itself shows, and with as little as it takes.
const LESSENED_MAX: u32 = 2;

impl State {
    pub(super) fn on_refused(
        &mut self,
        change: AccountChange,
        how: How,
        refusal: &Refusal,
        trace: Trace,
    ) -> Command {
        let step = self.step_name();
        let schema = Arc::clone(&self.about.schema);
        let names = matching::attributes(&schema);
        match refusal.kind {
            RefusalKind::Gone if self.stays_locked() => self.not_shown(step, &trace),
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
                self.without_the_name(&change, refusal.kind, trace)
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
            RefusalKind::InvalidValue | RefusalKind::Other
                if how == How::AsAWhole && self.lessen(&change) =>
            {
                let why =
                    "the application does not accept this with the whole account; less is sent";
                self.note(step, "retry", &trace, why);
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

    /// Whether somebody may still sign in does not wait for a name: everything else is sent first.
    fn without_the_name(
        &mut self,
        change: &AccountChange,
        kind: RefusalKind,
        trace: Trace,
    ) -> Command {
        let step = self.step_name();
        let schema = Arc::clone(&self.about.schema);
        let names = matching::attributes(&schema);
        let is_name =
            |place: &Place| place.extension.is_none() && names.contains(&place.attribute.as_str());
        let why = if kind == RefusalKind::Uniqueness {
            "another account has this name"
        } else {
            "the application says that something is in the way of this name"
        };
        let Some((rest, name)) = change.without(is_name) else {
            return self.dispute(step, trace, why);
        };
        self.note(
            step,
            "retry",
            &trace,
            &format!("{why}; the rest is sent without it"),
        );
        self.parts.extend([name, rest]);
        self.advance()
    }

    /// A revocation sent as a whole does not fail for something else that the account has, where the refusal names it.
    fn leave_out(&mut self, change: &AccountChange, refusal: &Refusal) -> bool {
        let schema = Arc::clone(&self.about.schema);
        let needed = matching::attributes(&schema);
        let named = refusal
            .attribute
            .as_ref()
            .filter(|name| !needed.contains(&name.as_str()) && !change.touches(&[name.as_str()]));
        change.is_revocation() && named.is_some_and(|name| self.left_out.insert(name.clone()))
    }

    /// A revocation does not fail for something else that the account has, also where the refusal names nothing: less and less is sent with it.
    fn lessen(&mut self, change: &AccountChange) -> bool {
        let is_possible =
            change.is_revocation() && change.touches(&["active"]) && self.lessened < LESSENED_MAX;
        if is_possible {
            self.lessened += 1;
            // It was not accepted as a part either.
            self.set(Mark::WithoutPatch);
        }
        is_possible
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
    pub(super) fn narrow(
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
}
