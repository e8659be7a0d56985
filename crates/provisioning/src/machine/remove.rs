//! Removes accounts. One that can be deactivated, and is not deleted for certain, is deactivated meanwhile.

use serde_json::Value;

use super::{Command, Mark, Phase, Request, State};
use crate::account::{Account, AccountChange, AccountId, get};
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
            Ok(_) => return self.read_removed(trace),
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

    /// Whether it is gone is read: an account that is forgotten and still there would never be found again.
    fn read_removed(&mut self, trace: Trace) -> Command {
        self.current = None;
        let id = self
            .link
            .as_ref()
            .and_then(|link| link.remote_id.clone())
            .and_then(AccountId::new);
        match id {
            Some(id) => self.ask(Phase::Removed(trace), Request::Read(id)),
            None => self.is_removed(&trace, ""),
        }
    }

    fn is_removed(&mut self, trace: &Trace, why: &str) -> Command {
        self.note("delete", "done", trace, why);
        self.link = None;
        self.advance()
    }

    pub(super) fn on_removal_read(
        &mut self,
        trace: &Trace,
        exchange: Exchange<Account>,
    ) -> Command {
        self.heed(exchange.wait, exchange.outcome.is_ok());
        let account = match exchange.outcome {
            Ok(account) => account,
            Err(Failure::Refused(_)) => return self.is_removed(trace, ""),
            Err(failure) => return self.fail("delete", &exchange.trace, &failure),
        };
        let active = get(&account.attributes, "active");
        let is_off = active == Some(&Value::Bool(false))
            || active
                .and_then(Value::as_str)
                .is_some_and(|text| text.eq_ignore_ascii_case("false"));
        if is_off {
            let why = "the application keeps the account and has deactivated it";
            return self.is_removed(trace, why);
        }
        let why = "the application says that this is deleted, and still shows it";
        if has_active(&self.about.schema) {
            let why = format!("{why}; the account is deactivated");
            return self.lock_instead(Mark::Again, &exchange.trace, &why);
        }
        self.retry("delete", &exchange.trace, why)
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
