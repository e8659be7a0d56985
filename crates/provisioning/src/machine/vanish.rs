//! An account that is not where it was known: hidden, or gone. Another one is made only after it was looked for in every way, twice.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Command, Mark, State};
use crate::connector::Trace;
use crate::ledger::Next;
use crate::link::LinkState;
use crate::pacing;
use crate::scope::Scope;

/// An account that is said to be gone is looked for once more after this, before another one is made: what answers may be behind what holds the accounts.
const CONFIRM_MILLISECONDS: u64 = 60_000;
/// What a person is told of an account that is there and that nothing shows.
pub(super) const HIDDEN: &str = "the application says that there is such an account already, and shows it neither by its id nor in a search or list: it may \
                                 hide accounts that are deactivated or deleted; restore or remove the account there";

impl State {
    /// The account is not where it was known: it is looked for before another one is made, and groups that name it are compared again.
    pub(super) fn vanish(&mut self, step: &'static str, trace: &Trace, is_proven: bool) -> Command {
        if self.is(Mark::Restored) {
            let former = self.link.as_ref().and_then(|link| link.remote_id.clone());
            let mut link = self.new_link(None, LinkState::Creating, self.link.as_ref());
            link.set_former(former.as_deref());
            self.link = Some(link);
            return self.hold(step, trace, HIDDEN);
        }
        if self.is(Mark::Vanished) {
            return self.retry(
                step,
                trace,
                "the account is there and is not there; looking again later",
            );
        }
        self.set(Mark::Vanished);
        if !is_proven {
            self.lost.clone_from(&self.link);
        }
        self.note(
            step,
            "retry",
            trace,
            "the account is gone; it is looked for before another one is made",
        );
        let mut link = self.new_link(None, LinkState::Creating, self.link.as_ref());
        link.set_members(BTreeSet::new(), &BTreeSet::new());
        let former = self
            .link
            .as_ref()
            .and_then(|link| link.remote_id.as_deref());
        link.set_former(former);
        // Since when it is said to be gone.
        if let Some(stored) = self
            .stored
            .as_ref()
            .filter(|stored| stored.former() == former)
        {
            link.updated = stored.updated;
        }
        self.link = Some(link);
        self.parts.clear();
        self.current = None;
        if is_proven {
            self.mark_groups(true);
        }
        self.advance()
    }

    /// Whether the account was locked, and is to stay so: that it is not shown then is no reason to make another one.
    pub(super) fn stays_locked(&self) -> bool {
        let is_off = |document: &serde_json::Map<String, Value>| {
            document.get("active") == Some(&Value::Bool(false))
        };
        let desired = self.desired.as_ref();
        self.link
            .as_ref()
            .is_some_and(|link| is_off(&link.acknowledged))
            && desired.is_some_and(|desired| is_off(&desired.document))
    }

    /// A locked account that is not shown stays as it is: nobody can sign in with it.
    pub(super) fn not_shown(&mut self, step: &str, trace: &Trace) -> Command {
        let why = "the application does not show the account, which is deactivated: nobody can sign in with it";
        self.note(step, "done", trace, why);
        self.clear(Mark::Unproven);
        if let Some(link) = &mut self.link {
            link.state = LinkState::Linked;
        }
        self.finish()
    }

    /// An account that was said to be gone some time ago is read once more.
    pub(super) fn recall_former(&mut self) {
        if self.is(Mark::Vanished) || self.is(Mark::Restored) || self.scope != Scope::Wanted {
            return;
        }
        let Some(link) = self.link.clone() else {
            return;
        };
        let Some(former) = link.former().filter(|_| link.state == LinkState::Creating) else {
            return;
        };
        if pacing::after(link.updated, CONFIRM_MILLISECONDS) <= self.now {
            self.set(Mark::Confirmed);
        }
        let mut link = self.new_link(Some(former.to_owned()), LinkState::Uncertain, Some(&link));
        link.set_former(None);
        self.link = Some(link);
    }

    /// Whether the account is to be looked for once more, later, before another one is made.
    pub(super) fn is_to_be_confirmed(&self) -> bool {
        let is_said_to_be_gone = self
            .link
            .as_ref()
            .is_some_and(|link| link.former().is_some());
        is_said_to_be_gone && self.is(Mark::Vanished) && !self.is(Mark::Confirmed)
    }

    /// Looks once more, later.
    pub(super) fn confirm_later(&mut self) -> Command {
        let why = "no such account is found; another one is made if it is not found a minute later either";
        self.note("match", "retry", &Trace::default(), why);
        let since = self.link.as_ref().map_or(self.now, |link| link.updated);
        let due = pacing::after(since, CONFIRM_MILLISECONDS).max(self.now);
        self.conclude(self.pause.map_or(Next::RetryAt(due), Next::PauseUntil))
    }

    /// The application has an account that it does not show: the one that was said to be gone is told what it should be, by the id that it had.
    pub(super) fn restore(&mut self, former: String) -> Command {
        self.set(Mark::Restored);
        self.clear(Mark::Conflicted);
        let mut link = self.new_link(Some(former), LinkState::Linked, self.link.as_ref());
        link.set_former(None);
        link.acknowledged.shift_remove("active");
        self.link = Some(link);
        self.parts.clear();
        self.note(
            "match",
            "retry",
            &Trace::default(),
            "no search shows the account; it is changed by the id that it had",
        );
        self.advance()
    }
}
