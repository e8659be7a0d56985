//! Looks for the account that already exists; another one is made only with proof that there is none.

use std::collections::{BTreeMap, VecDeque};

use super::{Command, Mark, Owner, Phase, Request, State};
use crate::account::{Account, AccountId};
use crate::connector::{Exchange, Failure, Trace};
use crate::knowledge::Fact;
use crate::link::LinkState;
use crate::matching::Lookup;
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
    /// Whether the application's own search for this showed nothing, though it counts something.
    shows_nothing: bool,
    /// The list, once it was read, and how it was asked for.
    listing: Option<(Listing, Trace)>,
    proof: Option<Absent>,
    /// The resource that the account that was found belongs to.
    owner: Option<String>,
}

impl State {
    /// Adopts the one account that is there, or makes one where there is none.
    pub(super) fn search(&mut self, lookups: Vec<Lookup>) -> Command {
        let knowledge = &self.about.knowledge;
        let whole = !knowledge.capabilities.filter || knowledge.search_lies(self.resource_type());
        let left = lookups.clone().into();
        self.look(Search {
            all: lookups,
            left,
            current: None,
            whole,
            cannot_filter: false,
            shows_nothing: false,
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
                let is_there = self.is(Mark::Conflicted)
                    || self.lost.is_some()
                    || self.is_unnamed()
                    || (self.scope == Scope::Wanted && self.former().is_some());
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
                .can_search(self.resource_type(), &lookup.attribute, self.now)
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
                    self.learn_search(Fact::SearchWorked(resource_type, lookup.attribute.clone()));
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
                    lookup.attribute.clone(),
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
                search.cannot_filter = true;
                let why = "the application cannot look for this; all accounts are read instead";
                self.list_instead(search, lookup, &trace, why)
            }
            Err(Failure::Unknown { answered: true }) if !search.whole => {
                self.learn(Fact::SearchFailed(
                    resource_type,
                    lookup.attribute.clone(),
                    self.now,
                ));
                let why = "looking for this fails; all accounts are read instead";
                self.list_instead(search, lookup, &trace, why)
            }
            Err(failure) => self.fail("match", &trace, &failure),
        }
    }

    /// All accounts are read, because the application's own search does not help.
    fn list_instead(
        &mut self,
        mut search: Search,
        lookup: Lookup,
        trace: &Trace,
        why: &str,
    ) -> Command {
        self.note("match", "done", trace, why);
        search.whole = true;
        search.left.push_front(lookup);
        self.look(search)
    }

    fn can_filter(&self, lookup: &Lookup) -> bool {
        self.about
            .knowledge
            .can_search(self.resource_type(), &lookup.attribute, self.now)
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
        let mut found = listing.find(&lookup);
        let shows_nothing = listing.accounts.is_empty() && listing.without_id.is_empty();
        let was_empty = std::mem::take(&mut search.shows_nothing);
        if search.whole {
            if found == Found::Partial
                && (was_empty || self.about.application.settings.counts_too_many)
            {
                // Every page was read until none came, and the application's own search shows nothing either: its count is wrong.
                let counted = None;
                found = Listing {
                    counted,
                    ..listing.clone()
                }
                .find(&lookup);
                search.whole = !was_empty;
            }
            search.listing = Some((listing, trace.clone()));
        }
        match found {
            Found::Accounts(accounts) => {
                if search.whole && self.is(Mark::Conflicted) && self.can_filter(&lookup) {
                    // The search said that there is none.
                    self.learn(Fact::SearchLies(self.resource_type().to_owned()));
                }
                let ids = accounts.keys().cloned().collect();
                self.find_owners(Phase::SearchOwners(search, accounts, trace), ids)
            }
            Found::Nothing(proof) => {
                self.note("match", "done", &trace, "there is none");
                search.proof = Some(proof);
                self.look(search)
            }
            Found::Partial if !search.whole => {
                (search.cannot_filter, search.shows_nothing) = (!shows_nothing, shows_nothing);
                let why = "the answer shows others; all accounts are read instead";
                self.list_instead(search, lookup, &trace, why)
            }
            Found::Partial => self.retry(
                "match",
                &trace,
                "the application counts more accounts than it lists, so that one is not listed proves nothing",
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
            // The link is written with the id by which the account is known.
            let account = match owners.get(&id).and_then(|owner| owner.account_id.clone()) {
                Some(known) => Account {
                    id: known,
                    ..account
                },
                None => account,
            };
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
        if proof.is_some() && self.is_to_be_confirmed() {
            return self.confirm_later();
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
            if let Some(former) = self.former().filter(|_| owner.is_none()) {
                return self.restore(former);
            }
            let said = owner.map_or_else(
                || super::vanish::HIDDEN.to_owned(),
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
}
