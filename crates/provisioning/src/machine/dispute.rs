//! Another account has the name: whether it will leave it is found out before a person has to decide.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Command, Dispute, Mark, Owner, Phase, Request, State};
use crate::account::{AccountChange, AccountId, Edit, Place};
use crate::connector::{Exchange, Trace};
use crate::ledger::{Next, OutOfDate};
use crate::matching::{self, Lookup};
use crate::pacing;
use crate::proof::{Found, Listing};
use crate::resource_type::name_attribute;

/// How often a rename is tried before it is looked whether several wait for one another in a circle.
const CIRCLE_ATTEMPTS: u32 = 2;
/// How many who wait for one another are followed.
const CIRCLE_MAX: u32 = 8;

impl State {
    /// The application says that another account has the name. It is tried again for a while, and as long as that account is one of ours which is about to
    /// change; after that it is for a person to decide.
    pub(super) fn dispute(
        &mut self,
        step: &'static str,
        trace: Trace,
        why: &'static str,
    ) -> Command {
        let attempts = self.about.claim.attempts;
        let wanted = self.desired.as_ref().map(|desired| &desired.document);
        let mut by_name = matching::lookups(&self.about.schema, wanted, None)
            .into_iter()
            .filter(Lookup::is_name);
        let lookup = by_name.next().filter(|lookup| {
            self.about
                .knowledge
                .can_search(self.about.schema.name(), &lookup.attribute, self.now)
        });
        let dispute = Dispute {
            step,
            trace,
            why,
            lookup,
            accounts: 0,
            chain: 0,
            owner: None,
        };
        // A new account waits for a name, and nobody waits for it.
        let is_rename = self
            .link
            .as_ref()
            .is_some_and(|link| link.remote_id.is_some());
        let patience = self.about.limits.conflicts_max;
        if attempts
            < if is_rename {
                patience.min(CIRCLE_ATTEMPTS)
            } else {
                patience
            }
        {
            return self.retry(step, &dispute.trace, why);
        }
        self.look_who_has_it(dispute)
    }

    fn look_who_has_it(&mut self, dispute: Dispute) -> Command {
        match dispute.lookup.clone() {
            Some(lookup) => self.ask(Phase::Dispute(dispute), Request::Find(lookup)),
            None => self.give_up(&dispute),
        }
    }

    /// It is for a person to decide, after it was tried for a while.
    fn give_up(&mut self, dispute: &Dispute) -> Command {
        if self.about.claim.attempts < self.about.limits.conflicts_max {
            return self.retry(dispute.step, &dispute.trace, dispute.why);
        }
        self.hold(dispute.step, &dispute.trace, dispute.why)
    }

    pub(super) fn on_dispute_listed(
        &mut self,
        mut dispute: Dispute,
        exchange: Exchange<Listing>,
    ) -> Command {
        self.heed(exchange.wait, exchange.outcome.is_ok());
        let found = exchange
            .outcome
            .ok()
            .zip(dispute.lookup.clone())
            .map(|(listing, lookup)| listing.find(&lookup));
        match found {
            // The account that had the value has another one now.
            Some(Found::Nothing(_)) => self.retry(dispute.step, &dispute.trace, dispute.why),
            Some(Found::Accounts(accounts)) => {
                let ids: Vec<AccountId> = accounts.into_keys().collect();
                dispute.accounts = ids.len();
                self.phase = Phase::DisputeOwners(dispute);
                Command::FindOwners {
                    ids,
                    types: vec![self.about.claim.resource_type.clone()],
                    with_names: true,
                }
            }
            _ => self.give_up(&dispute),
        }
    }

    /// Whether the account that has the name will keep it, as far as we know.
    pub(super) fn on_dispute_owners(
        &mut self,
        dispute: &Dispute,
        owners: &BTreeMap<AccountId, Owner>,
    ) -> Command {
        let own = self.about.claim.resource_id.clone();
        let is_left = |owner: &Owner| owner.resource_id == own || owner.is_waiting;
        if owners.len() != dispute.accounts || !owners.values().all(is_left) {
            return self.give_up(dispute);
        }
        if dispute.chain > 0 && owners.values().any(|owner| owner.resource_id == own) {
            return self.step_aside(dispute);
        }
        // The one who has the name waits, too: perhaps for the name of somebody who waits for ours.
        let next = owners.values().next();
        let name = next.and_then(|owner| owner.name.clone());
        match (name, &dispute.lookup) {
            (Some(name), Some(lookup))
                if dispute.chain < CIRCLE_MAX
                    && self.is_linked()
                    && !is_same(&name, &lookup.value) =>
            {
                let lookup = Lookup {
                    value: name,
                    ..lookup.clone()
                };
                self.look_who_has_it(Dispute {
                    lookup: Some(lookup),
                    chain: dispute.chain + 1,
                    owner: dispute
                        .owner
                        .clone()
                        .or_else(|| next.map(|owner| owner.resource_id.clone())),
                    ..dispute.clone()
                })
            }
            _ => self.retry(dispute.step, &dispute.trace, dispute.why),
        }
    }

    fn is_linked(&self) -> bool {
        self.link
            .as_ref()
            .is_some_and(|link| link.remote_id.is_some())
    }

    /// Several wait for one another's names in a circle: this one takes another name for a while, so that the others can go on.
    fn step_aside(&mut self, dispute: &Dispute) -> Command {
        let id = self
            .link
            .as_ref()
            .and_then(|link| link.remote_id.clone())
            .and_then(AccountId::new);
        let wanted = self.desired.as_ref().map(|desired| &desired.document);
        let name = name_attribute(&self.about.schema).map(|attribute| attribute.name.clone());
        let (Some(id), Some(name)) = (id, name) else {
            return self.give_up(dispute);
        };
        let Some(value) = wanted
            .and_then(|document| document.get(&name))
            .and_then(Value::as_str)
        else {
            return self.give_up(dispute);
        };
        let value = temporary_name(value, &self.about.claim.resource_id);
        let why = format!(
            "several wait for one another's names; this one is called {value:?} until the others have theirs"
        );
        self.note(dispute.step, "retry", &dispute.trace, &why);
        if let Some(owner) = &dispute.owner {
            let owner = OutOfDate {
                verify: false,
                ..self.to_verify(&self.about.claim.resource_type, owner)
            };
            self.also.push(owner);
        }
        self.set(Mark::Temporary);
        self.parts.clear();
        self.send_change(AccountChange {
            edits: vec![Edit {
                place: Place::core(&name),
                value: Some(Value::from(value)),
            }],
            ..AccountChange::of(id)
        })
    }

    /// The others get their turn.
    pub(super) fn wait_for_the_name(&mut self) -> Command {
        let due = pacing::after(self.now, pacing::backoff_milliseconds(1, self.about.random));
        self.conclude(self.pause.map_or(Next::RetryAt(due), Next::PauseUntil))
    }
}

fn is_same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// A name that no other resource has: with letters of the resource's own, before the `@` where there is one.
fn temporary_name(name: &str, resource_id: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in resource_id.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let own = format!("{:08x}", hash & 0xffff_ffff);
    match name.split_once('@') {
        Some((local, domain)) => format!("{local}-{own}@{domain}"),
        None => format!("{name}-{own}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_for_a_while_is_ones_own() {
        assert_eq!(temporary_name("ada", "u1"), "ada-b56747f3");
        assert_eq!(
            temporary_name("ada@example.com", "u1"),
            "ada-b56747f3@example.com"
        );
        assert_ne!(temporary_name("ada", "u2"), temporary_name("ada", "u1"));
    }
}
