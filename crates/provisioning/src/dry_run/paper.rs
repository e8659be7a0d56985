//! What a dry run would send, written down, and the account as it would be then.

use crate::account::{Account, AccountChange, AccountId};
use crate::connector::{Created, Exchange, Failure, Refusal, RefusalKind, Trace};
use crate::machine::{Reply, Request};
use crate::proof::Acknowledged;

/// The id that an account has in a plan that would make it.
const TO_BE_MADE: &str = "(to be made)";

/// What would be sent, and the account as it would be then.
#[derive(Default)]
pub(super) struct Paper {
    pub(super) writes: Vec<Request>,
    account: Option<Account>,
}

impl Paper {
    /// Writes a request down and answers as an application that keeps the RFC; `None` where the request changes nothing, so that it may be sent.
    pub(super) fn write(&mut self, request: &Request) -> Option<Reply> {
        if !request.is_write() {
            if matches!((request, self.writes.last()), (Request::Read(id), Some(Request::Remove(gone))) if id == gone)
            {
                let gone = Refusal {
                    kind: RefusalKind::Gone,
                    attribute: None,
                };
                return Some(Reply::Read(Exchange {
                    trace: Trace::default(),
                    wait: None,
                    outcome: Err(Failure::Refused(gone)),
                }));
            }
            // What would have been changed is as it would be then.
            let is_it =
                |account: &&Account| matches!(request, Request::Read(id) if *id == account.id);
            let account = self
                .account
                .as_ref()
                .filter(|_| !self.writes.is_empty())
                .filter(is_it)?;
            return Some(Reply::Read(done(account.clone())));
        }
        self.writes.push(request.clone());
        Some(match request {
            Request::Create(new) => {
                let mut attributes = new.attributes.clone();
                attributes.insert("id".into(), TO_BE_MADE.into());
                let made = Account::of_json(attributes).map(|account| {
                    let members =
                        (!new.members.is_empty()).then(|| new.members.keys().cloned().collect());
                    Account { members, ..account }
                });
                self.account.clone_from(&made);
                Reply::Created(done(made.map_or(Created::Unnamed, Created::Shown)))
            }
            Request::Change(change) => Reply::Written(done(self.change(change))),
            Request::Replace(whole) => {
                let mut attributes = whole.attributes.clone();
                attributes.insert("id".into(), whole.id.as_str().into());
                self.account = Account::of_json(attributes).map(|account| Account {
                    members: Some(whole.members.keys().cloned().collect()),
                    ..account
                });
                Reply::Written(done(self.acknowledgement(&whole.id)))
            }
            _ => Reply::Written(done(Acknowledged::silently())),
        })
    }

    fn change(&mut self, change: &AccountChange) -> Acknowledged {
        if let Some(account) = &mut self.account {
            for edit in &change.edits {
                edit.place.put(&mut account.attributes, edit.value.clone());
            }
            if let Some(members) = &mut account.members {
                members.retain(|id| !change.removed.contains(id));
                members.extend(change.added.keys().cloned());
            }
        }
        self.acknowledgement(&change.id)
    }

    fn acknowledgement(&self, id: &AccountId) -> Acknowledged {
        self.account
            .clone()
            .and_then(|account| Acknowledged::showing(id, account))
            .unwrap_or_else(Acknowledged::silently)
    }

    /// Remembers the account that was read.
    pub(super) fn note(&mut self, reply: Reply) -> Reply {
        if let Reply::Read(Exchange {
            outcome: Ok(account),
            ..
        }) = &reply
        {
            self.account = Some(account.clone());
        }
        reply
    }
}

fn done<T>(value: T) -> Exchange<T> {
    Exchange {
        trace: Trace::default(),
        wait: None,
        outcome: Ok(value),
    }
}
