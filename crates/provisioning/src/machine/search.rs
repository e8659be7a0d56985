//! Looks for the account that already exists; another one is made only with proof that there is none.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::read::without_members;
use super::{Command, Dispute, Mark, Owner, Phase, Request, State};
use crate::account::{Account, AccountId, get, text_of};
use crate::connector::{Exchange, Failure, Trace};
use crate::knowledge::Fact;
use crate::ledger::Written;
use crate::link::{Link, LinkState};
use crate::mapping;
use crate::matching::{self, Lookup};
use crate::proof::{Absent, Found, Listing};
use crate::scope::Scope;

/// A search on its way.
#[derive(Clone, Debug)]
pub(super) struct Search {
    all: Vec<Lookup>,
    left: VecDeque<Lookup>,
    current: Option<Lookup>,
    /// Whether all accounts are listed, because the application's own search does not help.
    whole: bool,
    /// Whether that was found out just now.
    cannot_filter: bool,
    /// The list, once it was read, and how it was asked for.
    listing: Option<(Listing, Trace)>,
    proof: Option<Absent>,
    /// The resource that the account that was found belongs to.
    owner: Option<String>,
}

impl State {
    /// Adopts the one account that is there, or makes one where there is none.
    pub(super) fn search(&mut self, lookups: Vec<Lookup>) -> Command {
        let whole = !self.about.knowledge.capabilities.filter;
        let left = lookups.clone().into();
        self.look(Search {
            all: lookups,
            left,
            current: None,
            whole,
            cannot_filter: false,
            listing: None,
            proof: None,
            owner: None,
        })
    }

    /// The next lookup.
    fn look(&mut self, mut search: Search) -> Command {
        loop {
            let Some(lookup) = search.left.pop_front() else {
                // Where there should be an account, only the whole list can say that there is none.
                let is_there =
                    self.is(Mark::Conflicted) || self.lost.is_some() || self.is_unnamed();
                if is_there && !search.whole && !search.all.is_empty() {
                    search.whole = true;
                    search.proof = None;
                    search.left = search.all.clone().into();
                    continue;
                }
                return self.not_found(search.proof, search.owner.as_deref());
            };
            if search.whole {
                search.current = Some(lookup);
                return match search.listing.take() {
                    Some((listing, trace)) => self.judge(search, listing, trace),
                    None => self.ask(Phase::Search(search), Request::List),
                };
            }
            if self
                .about
                .knowledge
                .can_search(self.resource_type(), lookup.attribute, self.now)
            {
                search.current = Some(lookup.clone());
                return self.ask(Phase::Search(search), Request::Find(lookup));
            }
            // A search that keeps failing is not used; the name has to do, and where it is the name the whole list.
            if lookup.is_name() {
                search.whole = true;
                search.left.push_front(lookup);
            }
        }
    }

    fn is_unnamed(&self) -> bool {
        self.link
            .as_ref()
            .is_some_and(|link| link.state == LinkState::Unnamed)
    }

    pub(super) fn on_listed(&mut self, mut search: Search, exchange: Exchange<Listing>) -> Command {
        let Exchange {
            trace,
            wait,
            outcome,
        } = exchange;
        self.heed(wait, outcome.is_ok());
        let Some(lookup) = search.current.clone() else {
            return self.look(search);
        };
        let resource_type = self.resource_type().to_owned();
        match outcome {
            Ok(listing) => {
                if search.whole && search.cannot_filter {
                    self.learn(Fact::CannotFilter);
                } else if !search.whole {
                    self.learn_search(Fact::SearchWorked(resource_type, lookup.attribute));
                }
                self.judge(search, listing, trace)
            }
            // An application that cannot answer now (502, 503, 504) says nothing about its search.
            Err(failure @ Failure::Unknown { answered: true })
                if matches!(trace.status, Some(408 | 425 | 502..=504)) =>
            {
                self.fail("match", &trace, &failure)
            }
            Err(Failure::Refused(_) | Failure::Unknown { answered: true })
                if !search.whole && !lookup.is_name() =>
            {
                self.learn(Fact::SearchFailed(
                    resource_type,
                    lookup.attribute,
                    self.now,
                ));
                self.note(
                    "match",
                    "done",
                    &trace,
                    "the application cannot look for externalId; the name has to do",
                );
                self.look(search)
            }
            // Some cannot filter and say so only now, others answer 404 where they find nothing: the whole list is the proof.
            Err(Failure::Refused(_)) if !search.whole => {
                self.note(
                    "match",
                    "done",
                    &trace,
                    "the application cannot look for this; all accounts are read instead",
                );
                (search.whole, search.cannot_filter) = (true, true);
                search.left.push_front(lookup);
                self.look(search)
            }
            Err(Failure::Unknown { answered: true }) if !search.whole => {
                self.learn(Fact::SearchFailed(
                    resource_type,
                    lookup.attribute,
                    self.now,
                ));
                self.note(
                    "match",
                    "done",
                    &trace,
                    "looking for this fails; all accounts are read instead",
                );
                search.whole = true;
                search.left.push_front(lookup);
                self.look(search)
            }
            Err(failure) => self.fail("match", &trace, &failure),
        }
    }

    fn learn_search(&mut self, fact: Fact) {
        let mut after = self.about.knowledge.clone();
        after.learn(fact.clone());
        if after != self.about.knowledge {
            self.learn(fact);
        }
    }

    fn judge(&mut self, mut search: Search, listing: Listing, trace: Trace) -> Command {
        let Some(lookup) = search.current.clone() else {
            return self.look(search);
        };
        let found = listing.find(&lookup);
        if search.whole {
            search.listing = Some((listing, trace.clone()));
        }
        match found {
            Found::Accounts(accounts) => {
                let ids = accounts.keys().cloned().collect();
                self.find_owners(Phase::SearchOwners(search, accounts, trace), ids)
            }
            Found::Nothing(proof) => {
                self.note("match", "done", &trace, "there is none");
                search.proof = Some(proof);
                self.look(search)
            }
            Found::Partial if !search.whole => {
                self.note(
                    "match",
                    "done",
                    &trace,
                    "the answer shows others; all accounts are read instead",
                );
                (search.whole, search.cannot_filter) = (true, true);
                search.left.push_front(lookup);
                self.look(search)
            }
            Found::Partial => self.retry(
                "match",
                &trace,
                "the answer is no whole list, so it proves nothing",
            ),
            Found::Unnamed => self.hold(
                "match",
                &trace,
                "there is such an account, and the application does not say which id it has",
            ),
        }
    }

    pub(super) fn on_owners(
        &mut self,
        mut search: Search,
        accounts: BTreeMap<AccountId, Account>,
        trace: &Trace,
        owners: &BTreeMap<AccountId, Owner>,
    ) -> Command {
        let own = &self.about.claim.resource_id;
        let (mut free, mut taken) = (Vec::new(), Vec::new());
        for (id, account) in accounts {
            match owners.get(&id) {
                Some(owner) if owner.resource_id != *own => {
                    taken.push((account, owner.resource_id.clone()));
                }
                // That it is ours is on record.
                Some(_) => free.push(account),
                None if self.scope == Scope::Wanted || self.is_made_by_us(&account) => {
                    free.push(account);
                }
                // To be revoked without ever having been linked: somebody else made it.
                None => taken.push((account, String::new())),
            }
        }
        let proof = Absent::by_owners(&taken, own);
        let owner = taken
            .into_iter()
            .map(|(_, owner)| owner)
            .find(|owner| !owner.is_empty());
        match (free.len(), free.pop()) {
            (1, Some(account)) => {
                let is_retried = self
                    .link
                    .as_ref()
                    .is_some_and(|link| link.remote_id.is_none() && !self.is(Mark::Vanished));
                let why = if is_retried {
                    "an earlier create whose answer was lost may have made it"
                } else {
                    ""
                };
                self.note("match", "done", trace, why);
                self.adopt(&account)
            }
            (0, _) => {
                self.note(
                    "match",
                    "done",
                    trace,
                    "the account belongs to somebody else",
                );
                search.proof = proof;
                search.owner = owner.or(search.owner);
                self.look(search)
            }
            _ => {
                let lookup = search
                    .current
                    .as_ref()
                    .map(|lookup| format!("{} {:?}", lookup.attribute, lookup.value));
                let which = lookup.unwrap_or_default();
                let why = format!(
                    "more than one account has the {which}; a person has to say which one it is"
                );
                self.hold("match", trace, &why)
            }
        }
    }

    /// Only what our own lost create made has our externalId.
    fn is_made_by_us(&self, account: &Account) -> bool {
        let attempted = self
            .link
            .as_ref()
            .and_then(|link| link.acknowledged.get("externalId"))
            .and_then(text_of);
        attempted.is_some() && get(&account.attributes, "externalId").and_then(text_of) == attempted
    }

    fn not_found(&mut self, proof: Option<Absent>, owner: Option<&str>) -> Command {
        if self.is_unnamed() {
            let nothing = Trace {
                said: "a second account might be a twin".into(),
                ..Trace::default()
            };
            return self.hold(
                "create",
                &nothing,
                "an account was made that told no id and cannot be found",
            );
        }
        if self.scope != Scope::Wanted && (proof.is_some() || self.lost.is_none()) {
            (self.link, self.lost) = (None, None);
            // What was put aside was about the account.
            self.clear(Mark::Held);
            self.clear(Mark::Again);
            return self.advance();
        }
        let Some(proof) = proof else {
            let nothing = Trace {
                said: "there is no proof that no account exists".into(),
                ..Trace::default()
            };
            return self.hold(
                "match",
                &nothing,
                "the application can be searched neither by name nor by externalId",
            );
        };
        if self.is(Mark::Conflicted) {
            let said = owner.map_or_else(
                || "no list shows an account with it".to_owned(),
                |owner| {
                    format!(
                        "the account that has the name is linked to another resource, {owner:?}"
                    )
                },
            );
            let trace = Trace {
                said,
                ..Trace::default()
            };
            return self.dispute(
                "create",
                trace,
                "the application says that there is such an account already",
            );
        }
        self.create(proof)
    }

    fn adopt(&mut self, account: &Account) -> Command {
        let attempted = self.link.as_ref().map(without_members).unwrap_or_default();
        let mut in_doubt = self
            .link
            .as_ref()
            .map(Link::members_in_doubt)
            .unwrap_or_default();
        if let Some(lost) = self.lost.take() {
            if lost.remote_id.as_deref() == Some(account.id.as_str()) {
                // It was never gone: members whom we have put there are no strangers.
                in_doubt.extend(lost.members().into_iter().chain(lost.members_in_doubt()));
            } else {
                self.mark_groups(true);
            }
        }
        let wanted = self
            .desired
            .as_ref()
            .map_or(&attempted, |desired| &desired.document);
        let acknowledged =
            mapping::managed(&self.about.schema, &account.attributes, &attempted, wanted);
        // Lists may leave members out, and the account may have members that the directory does not know: a group is read before it is compared.
        let state = if self.resource_type() == "Group" {
            LinkState::Uncertain
        } else {
            LinkState::Linked
        };
        let mut link = self.new_link(Some(account.id.to_string()), state, None);
        link.acknowledged = acknowledged;
        link.set_members(BTreeSet::new(), &in_doubt);
        self.write_link(Phase::Adopt, link)
    }

    pub(super) fn on_adopted(&mut self, written: Written) -> Command {
        if written == Written::Taken {
            // Another claim has adopted it since it was looked at; now it is no longer free.
            self.link.clone_from(&self.stored);
            return self.advance();
        }
        self.is_written();
        if self.resource_type() != "Group" {
            self.clear(Mark::Verify);
        }
        if let Some(link) = self.link.clone() {
            self.link_to(link);
        }
        self.advance()
    }

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
        let mut by_name = matching::lookups(self.resource_type(), wanted, None)
            .into_iter()
            .filter(Lookup::is_name);
        match by_name.next().filter(|lookup| {
            self.about
                .knowledge
                .can_search(self.about.schema.name(), lookup.attribute, self.now)
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
        let lookup = matching::lookups(self.resource_type(), wanted, None)
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
