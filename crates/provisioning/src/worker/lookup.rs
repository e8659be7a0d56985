//! *(shell)* Looks for the account that already exists, and makes one only with proof that there is none. Decides nothing; `matching` reads the answers.

use std::collections::BTreeMap;

use directory::store::Fault;
use serde_json::{Map, Value};

use crate::connector::{Capabilities, Exchange, Reply, get};
use crate::ledger::Written;
use crate::link::LinkState;
use crate::mapping;
use crate::matching::{self, Found, Lookup};
use crate::outcome::{self, Outcome};
use crate::scope::Scope;
use crate::worker::run::{Flow, Run};

/// Accounts by id.
type Accounts = BTreeMap<String, Map<String, Value>>;

/// What came of one lookup.
enum Looked {
    /// These, and the exchange that found them.
    Found(Accounts, Box<Exchange>),
    /// Proof that there is none.
    Absent,
    /// The application cannot look for this attribute; another one has to prove it.
    Skipped,
    /// The claim cannot go on.
    Stopped(Flow),
}

impl Run<'_> {
    /// Adopts the one account that is there, or makes one where there is none.
    pub(super) async fn match_account(&mut self, lookups: Vec<Lookup>) -> Result<Flow, Fault> {
        let mut proven = false;
        for lookup in &lookups {
            let (accounts, exchange) = match self.look(lookup).await? {
                Looked::Found(accounts, exchange) => (accounts, exchange),
                Looked::Absent => {
                    proven = true;
                    continue;
                }
                Looked::Skipped => continue,
                Looked::Stopped(flow) => return Ok(flow),
            };
            proven = true;
            let mut free = self.unlinked(accounts).await?;
            match (free.len(), free.pop_first()) {
                (1, Some((remote_id, account))) => {
                    let is_retried = self.link.as_ref().is_some_and(|link| link.state == LinkState::Creating);
                    self.note(
                        "match",
                        "done",
                        &exchange,
                        if is_retried { "an earlier create whose answer was lost may have made it" } else { "" },
                    );
                    return self.adopt(remote_id, &account).await;
                }
                (0, _) => self.note("match", "done", &exchange, "the account belongs to somebody else"),
                _ => {
                    let why = format!(
                        "more than one account has the {} {:?}; a person has to say which one it is",
                        lookup.attribute, lookup.value
                    );
                    return Ok(self.hold("match", &exchange, &why));
                }
            }
        }
        if self.scope != Scope::Wanted {
            self.link = None;
            return Ok(Flow::Again);
        }
        if !proven {
            let nothing = Exchange {
                request: String::new(),
                body: None,
                reply: Reply::NotSent("there is no proof that no account exists".into()),
                milliseconds: 0,
            };
            return Ok(self.hold("match", &nothing, "the application can be searched neither by name nor by externalId"));
        }
        self.create().await
    }

    async fn look(&mut self, lookup: &Lookup) -> Result<Looked, Fault> {
        let mut filter = self.capabilities.filter;
        loop {
            let (target, schema) = (self.target(), std::sync::Arc::clone(&self.schema));
            let request = target.find(schema.name(), lookup.attribute, &lookup.value, filter);
            let Some(exchange) = self.ask(request).await? else { return Ok(Looked::Stopped(Flow::LeaseLost)) };
            match outcome::classify(&exchange.reply, self.now()) {
                Outcome::Accepted(answer) => {
                    return Ok(match matching::evaluate(lookup, answer) {
                        Found::Accounts(accounts) => {
                            self.remember_filter(filter);
                            Looked::Found(accounts, Box::new(exchange))
                        }
                        Found::Nothing => {
                            self.remember_filter(filter);
                            self.note("match", "done", &exchange, "there is none");
                            Looked::Absent
                        }
                        Found::Partial if filter => {
                            self.note("match", "done", &exchange, "the answer shows others; all accounts are read instead");
                            filter = false;
                            continue;
                        }
                        Found::Partial | Found::Unproven => {
                            Looked::Stopped(self.retry("match", &exchange, "the answer is no whole list, so it proves nothing"))
                        }
                    });
                }
                Outcome::Refused | Outcome::NotOffered if filter && lookup.attribute == "externalId" => {
                    self.note("match", "done", &exchange, "the application cannot look for externalId; the name has to do");
                    return Ok(Looked::Skipped);
                }
                // Some cannot filter and say so only now, others answer 404 where they find nothing: the whole list is the proof.
                Outcome::Refused | Outcome::NotOffered | Outcome::Gone if filter => {
                    self.note("match", "done", &exchange, "the application cannot look for this; all accounts are read instead");
                    filter = false;
                }
                _ => return Ok(Looked::Stopped(self.fail("match", &exchange))),
            }
        }
    }

    /// The application says that another account has the name. We try again for a while, and as long as that account is one of ours which is about to
    /// change; after that it is for a person to decide.
    pub(super) async fn dispute(&mut self, step: &'static str, exchange: &Exchange) -> Result<Flow, Fault> {
        const WHY: &str = "another account has this name";
        if self.claim.attempts >= self.worker.options.conflicts_max && self.is_disputed().await? {
            return Ok(self.hold(step, exchange, WHY));
        }
        Ok(self.retry(step, exchange, WHY))
    }

    /// Whether whoever has the name over there will keep it, as far as we know.
    async fn is_disputed(&mut self) -> Result<bool, Fault> {
        let wanted = self.desired.as_ref().map(|desired| &desired.document);
        let by_name = matching::lookups(self.schema.name(), wanted, None).into_iter().rfind(|lookup| lookup.attribute != "externalId");
        let Some(lookup) = by_name.filter(|_| self.capabilities.filter) else { return Ok(true) };
        let (target, schema) = (self.target(), std::sync::Arc::clone(&self.schema));
        let request = target.find(schema.name(), lookup.attribute, &lookup.value, true);
        let Some(exchange) = self.ask(request).await? else { return Ok(false) };
        let Outcome::Accepted(answer) = outcome::classify(&exchange.reply, self.now()) else { return Ok(true) };
        let accounts = match matching::evaluate(&lookup, answer) {
            Found::Nothing => return Ok(false),
            Found::Accounts(accounts) => accounts,
            Found::Partial | Found::Unproven => return Ok(true),
        };
        let (tenant, application) = (self.claim.tenant, self.claim.application);
        for remote_id in accounts.keys() {
            match self.owner_of(Some(remote_id)).await? {
                Some(owner) if owner == self.claim.resource_id => {}
                Some(owner) if self.worker.ledger.is_waiting(tenant, application, &owner).await? => {}
                _ => return Ok(true),
            }
        }
        Ok(false)
    }

    fn remember_filter(&mut self, filter: bool) {
        if filter != self.capabilities.filter {
            let capabilities = Capabilities { filter, ..Capabilities::clone(&self.capabilities) };
            self.capabilities = self.worker.remember(self.application.id, capabilities);
        }
    }

    /// Of these accounts those that are nobody else's.
    async fn unlinked(&self, accounts: Accounts) -> Result<Accounts, Fault> {
        let mut free = Accounts::new();
        for (remote_id, account) in accounts {
            let owner = self.owner_of(Some(&remote_id)).await?;
            let ours = owner.is_none_or(|owner| owner == self.claim.resource_id);
            // To be revoked without ever having been linked: only what our own lost create made, which has our externalId.
            let made_by_us = || {
                let attempted = self.link.as_ref().and_then(|link| link.acknowledged.get("externalId"));
                attempted.is_some() && get(&account, "externalId") == attempted
            };
            if ours && (self.scope == Scope::Wanted || made_by_us()) {
                free.insert(remote_id, account);
            }
        }
        Ok(free)
    }

    async fn adopt(&mut self, remote_id: String, account: &Map<String, Value>) -> Result<Flow, Fault> {
        let attempted = self.link.as_ref().map(|link| link.acknowledged.clone()).unwrap_or_default();
        let wanted = self.desired.as_ref().map_or(&attempted, |desired| &desired.document);
        let acknowledged = mapping::managed(&self.schema, account, &attempted, wanted);
        // Lists may leave members out, so a group is read before it is compared.
        let state = if self.schema.name() == "Group" { LinkState::Uncertain } else { LinkState::Linked };
        let link = self.new_link(Some(remote_id), state, acknowledged, mapping::members_of(account));
        match self.write_link(link.clone()).await? {
            Written::Written => {}
            // Somebody else's claim has adopted it since it was looked at; now it is no longer free.
            Written::Taken => return Ok(Flow::Again),
            Written::LeaseLost => return Ok(Flow::LeaseLost),
        }
        self.verify &= self.schema.name() == "Group";
        self.link_to(link).await?;
        Ok(Flow::Again)
    }
}
