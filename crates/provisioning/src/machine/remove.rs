//! Removes accounts. One that can be deactivated, and is not deleted for certain, is deactivated meanwhile.

use serde_json::Value;

use super::{Command, Mark, State};
use crate::account::{AccountChange, AccountId};
use crate::connector::{Exchange, Failure, RefusalKind, Trace};
use crate::proof::Acknowledged;
use crate::resource_type::has_active;

impl State {
    pub(super) fn on_removed(&mut self, exchange: Exchange<Acknowledged>) -> Command {
        let Exchange {
            trace,
            wait,
            outcome,
        } = exchange;
        self.heed(wait, outcome.is_ok());
        let can_be_locked = has_active(&self.about.schema);
        let refusal = match outcome {
            Ok(_) => {
                self.note("delete", "done", &trace, "");
                self.link = None;
                return self.advance();
            }
            Err(Failure::Refused(refusal)) => refusal,
            Err(failure @ (Failure::Unknown { .. } | Failure::NotUnderstood)) => {
                return self.on_removal_unknown(&trace, &failure);
            }
            Err(failure) => return self.fail("delete", &trace, &failure),
        };
        match refusal.kind {
            RefusalKind::Gone => self.vanish("delete", &trace, true),
            // A page of HTML proves nothing, and perhaps only deletions meet it.
            RefusalKind::NotFound if can_be_locked => self.lock_instead(
                Mark::Again,
                &trace,
                "it is not known whether this is gone; the account is deactivated",
            ),
            RefusalKind::NotFound => self.vanish("delete", &trace, false),
            RefusalKind::NotOffered if can_be_locked => {
                self.note(
                    "delete",
                    "retry",
                    &trace,
                    "the application does not delete; the account is deactivated instead",
                );
                self.set(Mark::WithoutDelete);
                self.advance()
            }
            RefusalKind::NotOffered => self.hold(
                "delete",
                &trace,
                "the application does not delete accounts of this type",
            ),
            // Somebody who leaves is locked out at least.
            _ if can_be_locked => {
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

    /// The account may be gone or not: it is read before the next write.
    fn on_removal_unknown(&mut self, trace: &Trace, failure: &Failure) -> Command {
        let is_locked = self
            .link
            .as_ref()
            .is_some_and(|link| link.acknowledged.get("active") == Some(&Value::Bool(false)));
        let id = self
            .link
            .as_ref()
            .and_then(|link| link.remote_id.clone())
            .and_then(AccountId::new);
        if let Some(id) = id {
            self.doubt(&AccountChange::of(id));
        }
        // One answer may be lost by chance. An application that loses each answer to a deletion may still take a change.
        if has_active(&self.about.schema)
            && !is_locked
            && (*failure != Failure::Unknown { answered: false } || self.about.claim.attempts > 0)
        {
            return self.lock_instead(
                Mark::Again,
                trace,
                "it is not known whether this is deleted; the account is deactivated",
            );
        }
        self.fail("delete", trace, failure)
    }

    /// Somebody whose account is not deleted for certain is locked out, and the deletion is put aside.
    fn lock_instead(&mut self, mark: Mark, trace: &Trace, why: &str) -> Command {
        self.put_aside("delete", String::new(), mark, trace, why);
        self.set(Mark::WithoutDelete);
        self.advance()
    }
}
