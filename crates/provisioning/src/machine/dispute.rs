//! Another account has the name: whether it will leave it is found out before a person has to decide.

use std::collections::BTreeMap;

use super::{Command, Dispute, Owner, Phase, Request, State};
use crate::account::AccountId;
use crate::connector::{Exchange, Trace};
use crate::matching::{self, Lookup};
use crate::proof::{Found, Listing};

impl State {
    /// The application says that another account has the name. It is tried again for a while, and as long as that account is one of ours which is about to
    /// change; after that it is for a person to decide.
    pub(super) fn dispute(
        &mut self,
        step: &'static str,
        trace: Trace,
        why: &'static str,
    ) -> Command {
        let dispute = Dispute {
            step,
            trace,
            why,
            accounts: 0,
        };
        if self.about.claim.attempts < self.about.limits.conflicts_max {
            return self.retry(step, &dispute.trace, why);
        }
        let wanted = self.desired.as_ref().map(|desired| &desired.document);
        let mut by_name = matching::lookups(&self.about.schema, wanted, None)
            .into_iter()
            .filter(Lookup::is_name);
        match by_name.next().filter(|lookup| {
            self.about
                .knowledge
                .can_search(self.about.schema.name(), &lookup.attribute, self.now)
        }) {
            Some(lookup) => self.ask(Phase::Dispute(dispute), Request::Find(lookup)),
            None => self.hold(step, &dispute.trace, why),
        }
    }

    pub(super) fn on_dispute_listed(
        &mut self,
        mut dispute: Dispute,
        exchange: Exchange<Listing>,
    ) -> Command {
        self.heed(exchange.wait, exchange.outcome.is_ok());
        let wanted = self.desired.as_ref().map(|desired| &desired.document);
        let lookup = matching::lookups(&self.about.schema, wanted, None)
            .into_iter()
            .find(Lookup::is_name);
        let found = exchange
            .outcome
            .ok()
            .zip(lookup)
            .map(|(listing, lookup)| listing.find(&lookup));
        match found {
            // The account that had the value has another one now.
            Some(Found::Nothing(_)) => self.retry(dispute.step, &dispute.trace, dispute.why),
            Some(Found::Accounts(accounts)) => {
                let ids: Vec<AccountId> = accounts.into_keys().collect();
                dispute.accounts = ids.len();
                self.find_owners(Phase::DisputeOwners(dispute), ids)
            }
            _ => self.hold(dispute.step, &dispute.trace, dispute.why),
        }
    }

    /// Whether the account that has the name will keep it, as far as we know.
    pub(super) fn on_dispute_owners(
        &mut self,
        dispute: &Dispute,
        owners: &BTreeMap<AccountId, Owner>,
    ) -> Command {
        let own = &self.about.claim.resource_id;
        let is_left = |owner: &Owner| owner.resource_id == *own || owner.is_waiting;
        if owners.len() == dispute.accounts && owners.values().all(is_left) {
            return self.retry(dispute.step, &dispute.trace, dispute.why);
        }
        self.hold(dispute.step, &dispute.trace, dispute.why)
    }
}
