//! A model of an application behind the engine's port: no runtime, no clock. How it behaves is data, so that each oddity of a real one is a field.

use std::collections::{BTreeMap, BTreeSet};

use provisioning::account::{Account, AccountChange, AccountId, Members, NewAccount, Place, get};
use provisioning::connector::{
    Capabilities, Created, Exchange, Failure, Outcome, Refusal, RefusalKind, RetryAfter, Trace,
};
use provisioning::machine::{Reply, Request};
use provisioning::matching::Lookup;
use provisioning::proof::{Acknowledged, Listing};
use serde_json::{Map, Value, json};

pub type Document = Map<String, Value>;

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Refused.
    Refused,
    /// Lost before it had its effect.
    LostBefore,
    /// Lost after it had its effect.
    LostAfter,
    /// 500 before it had its effect.
    Broken,
    /// 500 after it had its effect.
    BrokenAfter,
    /// Too fast.
    Throttled,
    /// A page of HTML, or an error with status 200.
    NotUnderstood,
    /// The same after it had its effect.
    NotUnderstoodAfter,
    /// 404 with a page of HTML.
    PageNotFound,
    /// 404 of SCIM.
    Gone,
    /// 409 for a reason that is no name.
    Conflict,
    /// It never left.
    NotReached,
    /// The answer is a success and shows what was there before.
    StoredNothing,
    /// The answer is a success, shows nothing, and nothing was stored.
    SilentNothing,
    /// A list that ends early.
    Truncated,
    /// The credential is not accepted.
    Unauthorized,
}

/// How an application behaves.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an oddity of its own"
)]
pub struct Behaviour {
    /// Ids are JSON numbers.
    pub numeric_ids: bool,
    /// Members are never shown.
    pub hides_members: bool,
    /// These attributes are never shown.
    pub hides: BTreeSet<String>,
    /// Names are unique without case.
    pub unique_names: bool,
    /// Names are kept in lower case.
    pub lower_case: bool,
    /// Names are looked for with case.
    pub searches_with_case: bool,
    /// Searches by this attribute fail.
    pub failing_search: Option<&'static str>,
    /// Searches show everybody.
    pub ignores_filters: bool,
    /// Changes are acknowledged without showing anything.
    pub silent: bool,
    /// Parts cannot be changed.
    pub no_patch: bool,
    /// A write with one of these attributes is refused.
    pub refuses: BTreeSet<String>,
    /// Whether a refusal names the attribute.
    pub names_refused: bool,
    /// A group with this member is refused.
    pub refused_member: Option<String>,
    /// It fails with that, instead of refusing it.
    pub breaks_on_member: bool,
    /// A new account is active whatever is sent.
    pub creates_active: bool,
    /// `active` cannot be changed, and the answer says that it is as it was.
    pub keeps_active: bool,
    /// These attributes are accepted and not stored.
    pub drops: BTreeSet<String>,
    /// The answer to a create has no id.
    pub unnamed: bool,
    /// People cannot be deleted.
    pub refuses_delete: bool,
    /// `active` cannot be changed as a part of an account, only with the whole.
    pub locks_as_a_whole: bool,
    /// Discovery fails.
    pub no_discovery: bool,
    /// Each success asks for a wait.
    pub asks_to_wait: bool,
    /// The application does not show accounts that are not active. True where such an account can still be changed by its id.
    pub hides_inactive: Option<bool>,
    /// Lists and searches lag behind: they do not show these accounts.
    pub unlisted: BTreeSet<String>,
    /// Changes and deletions are acknowledged and not stored.
    pub stores_nothing: bool,
    /// So many more are counted than listed.
    pub counts_more: u64,
    /// Lists and members write ids in upper case.
    pub upper_case_ids: bool,
    /// People are deactivated when they are deleted.
    pub deletes_softly: bool,
}

#[derive(Default)]
pub struct Model {
    pub behaviour: Behaviour,
    /// By type and id; members are ids.
    pub accounts: BTreeMap<(String, String), Document>,
    pub members: BTreeMap<String, BTreeSet<String>>,
    /// Every request, as it is printed for people.
    pub requests: Vec<Request>,
    /// Accounts that requests made.
    pub made: BTreeSet<String>,
    counter: u64,
}

fn refused(kind: RefusalKind, attribute: Option<String>) -> Failure {
    Failure::Refused(Refusal { kind, attribute })
}

fn traced<T>(outcome: Outcome<T>, wait: Option<RetryAfter>) -> Exchange<T> {
    let said = if outcome.is_err() {
        "in its own words".to_owned()
    } else {
        String::new()
    };
    Exchange {
        trace: Trace {
            request: "a request".into(),
            said,
            ..Trace::default()
        },
        wait,
        outcome,
    }
}

impl Model {
    /// Puts somebody there who was there before.
    pub fn put(&mut self, kind: &str, id: &str, document: Value, members: &[&str]) {
        self.accounts.insert(
            (kind.into(), id.into()),
            document.as_object().cloned().unwrap(),
        );
        if kind == "Group" {
            self.members.insert(
                id.into(),
                members.iter().map(|id| (*id).to_owned()).collect(),
            );
        }
    }

    /// Answers a request about this type of resource.
    pub fn answer(&mut self, kind: &str, request: &Request, fault: Option<Fault>) -> Reply {
        self.requests.push(request.clone());
        let (before, wait) = match fault {
            Some(Fault::Refused) => (Some(refused(RefusalKind::Other, None)), None),
            Some(Fault::LostBefore) => (Some(Failure::Unknown { answered: false }), None),
            Some(Fault::Broken) => (Some(Failure::Unknown { answered: true }), None),
            Some(Fault::PageNotFound) => (Some(refused(RefusalKind::NotFound, None)), None),
            Some(Fault::Gone) => (Some(refused(RefusalKind::Gone, None)), None),
            Some(Fault::Conflict) => (Some(refused(RefusalKind::Conflict, None)), None),
            Some(Fault::Throttled) => (Some(Failure::Throttled), Some(RetryAfter::Seconds(5))),
            Some(Fault::NotUnderstood) => (Some(Failure::NotUnderstood), None),
            Some(Fault::NotReached) => (Some(Failure::NotReached), None),
            Some(Fault::Unauthorized) => (Some(Failure::Unauthorized), None),
            _ => (None, None),
        };
        let after = match fault {
            Some(Fault::LostAfter) => Some(Failure::Unknown { answered: false }),
            Some(Fault::BrokenAfter) => Some(Failure::Unknown { answered: true }),
            Some(Fault::NotUnderstoodAfter) => Some(Failure::NotUnderstood),
            _ => None,
        };
        // An answer that shows an empty group cannot be told from one that hides its members.
        let is_told = match request {
            Request::Change(change) if !(change.added.is_empty() && change.removed.is_empty()) => {
                !self.behaviour.hides_members
                    && self
                        .members
                        .get(change.id.as_str())
                        .is_some_and(|members| !members.is_empty())
            }
            // Nor can an attribute that was not there from one that is not shown.
            Request::Change(change) => change.edits.iter().all(|edit| {
                let account = self.accounts.get(&(kind.to_owned(), change.id.to_string()));
                !self.behaviour.hides.contains(&edit.place.attribute)
                    && account.is_some_and(|account| edit.place.value_in(account).is_some())
            }),
            _ => true,
        };
        let is_lost = match fault {
            Some(Fault::StoredNothing) => is_told,
            // Of other changes only a comparison can find it.
            Some(Fault::SilentNothing) => match request {
                Request::Change(change) => change.touches(&["active"]) && change.is_revocation(),
                Request::Remove(_) => kind == "User",
                _ => false,
            },
            _ => false,
        };
        let kept = is_lost.then(|| (self.accounts.clone(), self.members.clone()));
        macro_rules! outcome {
            ($act:expr) => {
                match before {
                    Some(failure) => Err(failure),
                    None => {
                        let done = $act;
                        after.map_or(done, Err)
                    }
                }
            };
        }
        let wait = wait.or_else(|| {
            (self.behaviour.asks_to_wait && fault.is_none()).then_some(RetryAfter::Seconds(60))
        });
        let mut reply = match request {
            Request::Discover => Reply::Described(traced(outcome!(self.describe()), wait)),
            Request::Find(lookup) => Reply::Listed(traced(outcome!(self.find(kind, lookup)), wait)),
            Request::List => Reply::Listed(traced(outcome!(Ok(self.list(kind))), wait)),
            Request::Read(id) => Reply::Read(traced(outcome!(self.read(kind, id)), wait)),
            Request::Create(new) => Reply::Created(traced(outcome!(self.create(kind, new)), wait)),
            Request::Change(change) => {
                Reply::Written(traced(outcome!(self.change(kind, change)), wait))
            }
            Request::Replace(whole) => {
                let outcome =
                    outcome!(self.replace(kind, &whole.id, &whole.attributes, &whole.members));
                Reply::Written(traced(outcome, wait))
            }
            Request::Remove(id) => Reply::Written(traced(outcome!(self.remove(kind, id)), wait)),
        };
        if let (Some(kept), Request::Change(AccountChange { id, .. }) | Request::Remove(id)) =
            (kept, request)
        {
            (self.accounts, self.members) = kept;
            if let (Reply::Written(exchange @ Exchange { outcome: Ok(_), .. }), Some(shown)) =
                (&mut reply, self.shown(kind, id.as_str()))
            {
                exchange.outcome = Ok(Acknowledged::showing(id, shown).unwrap());
            }
        }
        if fault == Some(Fault::SilentNothing)
            && let Reply::Written(exchange @ Exchange { outcome: Ok(_), .. }) = &mut reply
        {
            exchange.outcome = Ok(Acknowledged::silently());
        }
        if let (Some(Fault::Truncated), Reply::Listed(exchange)) = (fault, &mut reply)
            && let Ok(listing) = &mut exchange.outcome
        {
            listing.counted = Some(listing.accounts.len() as u64 + 1);
            listing.accounts.pop();
        }
        reply
    }

    fn describe(&self) -> Outcome<Capabilities> {
        if self.behaviour.no_discovery {
            return Err(Failure::Unknown { answered: true });
        }
        Ok(Capabilities {
            patch: true,
            ..Capabilities::default()
        })
    }

    fn shown(&self, kind: &str, id: &str) -> Option<Account> {
        let mut document = self
            .accounts
            .get(&(kind.to_owned(), id.to_owned()))?
            .clone();
        let json_id = |id: &str| match id.parse::<u64>() {
            Ok(number) if self.behaviour.numeric_ids => Value::from(number),
            _ => Value::from(id),
        };
        let member_id = |id: &str| {
            if self.behaviour.upper_case_ids {
                json_id(&id.to_uppercase())
            } else {
                json_id(id)
            }
        };
        document.retain(|name, _| !self.behaviour.hides.contains(name));
        document.insert("id".into(), json_id(id));
        if kind == "Group" {
            let members = self
                .members
                .get(id)
                .filter(|_| !self.behaviour.hides_members)
                .into_iter()
                .flatten();
            document.insert(
                "members".into(),
                members
                    .map(|id| json!({ "value": member_id(id) }))
                    .collect(),
            );
        }
        Account::of_json(document)
    }

    /// An account as lists show it; `None` where they do not.
    fn listed(&self, kind: &str, id: &str) -> Option<Account> {
        let account = self.shown(kind, id)?;
        if self.behaviour.unlisted.contains(id) || self.is_hidden(kind, id) {
            return None;
        }
        if !self.behaviour.upper_case_ids {
            return Some(account);
        }
        let mut attributes = account.attributes;
        attributes.insert("id".into(), id.to_uppercase().into());
        Account::of_json(attributes)
    }

    fn is_hidden(&self, kind: &str, id: &str) -> bool {
        let account = self.accounts.get(&(kind.to_owned(), id.to_owned()));
        self.behaviour.hides_inactive.is_some()
            && account.is_some_and(|account| account.get("active") == Some(&json!(false)))
    }

    fn find(&self, kind: &str, lookup: &Lookup) -> Outcome<Listing> {
        if self.behaviour.failing_search == Some(lookup.attribute.as_str()) {
            return Err(Failure::Unknown { answered: true });
        }
        if self.behaviour.ignores_filters {
            return Ok(Listing {
                whole: false,
                ..self.list(kind)
            });
        }
        let is_it = |document: &Document| {
            let with_case = lookup.attribute == "externalId" || self.behaviour.searches_with_case;
            let found = get(document, &lookup.attribute).and_then(Value::as_str);
            found.is_some_and(|value| {
                value == lookup.value
                    || (!with_case && value.to_lowercase() == lookup.value.to_lowercase())
            })
        };
        let ids = self
            .accounts
            .iter()
            .filter(|((it, _), document)| it == kind && is_it(document))
            .map(|((_, id), _)| id.clone());
        let accounts: Vec<Account> = ids.filter_map(|id| self.listed(kind, &id)).collect();
        Ok(Listing {
            counted: Some(accounts.len() as u64 + self.behaviour.counts_more),
            accounts,
            ..Listing::default()
        })
    }

    fn list(&self, kind: &str) -> Listing {
        let ids = self
            .accounts
            .keys()
            .filter(|(it, _)| it == kind)
            .map(|(_, id)| id.clone());
        let accounts: Vec<Account> = ids.filter_map(|id| self.listed(kind, &id)).collect();
        Listing {
            counted: Some(accounts.len() as u64 + self.behaviour.counts_more),
            accounts,
            whole: true,
            ..Listing::default()
        }
    }

    fn read(&self, kind: &str, id: &AccountId) -> Outcome<Account> {
        if self.is_hidden(kind, id.as_str()) {
            return Err(refused(RefusalKind::Gone, None));
        }
        self.shown(kind, id.as_str())
            .ok_or(refused(RefusalKind::Gone, None))
    }

    fn check(
        &self,
        kind: &str,
        id: Option<&str>,
        document: &Document,
        names: &[String],
        members: &BTreeSet<String>,
    ) -> Outcome<()> {
        if let Some(name) = names
            .iter()
            .find(|name| self.behaviour.refuses.contains(*name))
        {
            let attribute = self.behaviour.names_refused.then(|| name.clone());
            return Err(refused(RefusalKind::InvalidValue, attribute));
        }
        if self
            .behaviour
            .refused_member
            .as_ref()
            .is_some_and(|member| members.contains(member))
        {
            return Err(if self.behaviour.breaks_on_member {
                Failure::Unknown { answered: true }
            } else {
                refused(RefusalKind::Other, None)
            });
        }
        let key = if kind == "User" {
            "userName"
        } else {
            "displayName"
        };
        let name = |document: &Document| {
            get(document, key)
                .and_then(Value::as_str)
                .map(str::to_lowercase)
        };
        let taken = self.accounts.iter().any(|((it, other), held)| {
            it == kind && Some(other.as_str()) != id && name(held) == name(document)
        });
        if self.behaviour.unique_names && taken {
            Err(refused(RefusalKind::Uniqueness, None))
        } else {
            Ok(())
        }
    }

    fn lower(&self, document: &mut Document) {
        if self.behaviour.lower_case
            && let Some(Value::String(name)) = document.get_mut("userName")
        {
            *name = name.to_lowercase();
        }
    }

    fn create(&mut self, kind: &str, new: &NewAccount) -> Outcome<Created> {
        let mut document = new.attributes.clone();
        let members: BTreeSet<String> = new.members.keys().cloned().collect();
        let names: Vec<String> = document.keys().cloned().collect();
        self.check(kind, None, &document, &names, &members)?;
        self.lower(&mut document);
        if self.behaviour.creates_active && kind == "User" {
            document.insert("active".into(), true.into());
        }
        self.counter += 1;
        let id = if self.behaviour.numeric_ids {
            self.counter.to_string()
        } else {
            format!("r{}", self.counter)
        };
        self.accounts
            .insert((kind.to_owned(), id.clone()), document);
        if kind == "Group" {
            self.members.insert(id.clone(), members);
        }
        self.made.insert(id.clone());
        Ok(if self.behaviour.unnamed {
            Created::Unnamed
        } else {
            Created::Shown(self.shown(kind, &id).unwrap())
        })
    }

    fn acknowledge(&self, kind: &str, id: &AccountId) -> Acknowledged {
        if self.behaviour.silent {
            return Acknowledged::silently();
        }
        Acknowledged::showing(id, self.shown(kind, id.as_str()).unwrap()).unwrap()
    }

    fn change(&mut self, kind: &str, change: &AccountChange) -> Outcome<Acknowledged> {
        if self.behaviour.no_patch {
            return Err(refused(RefusalKind::NotOffered, None));
        }
        if self.behaviour.locks_as_a_whole && change.touches(&["active"]) {
            return Err(refused(RefusalKind::Other, None));
        }
        if self.is_hidden(kind, change.id.as_str()) && self.behaviour.hides_inactive == Some(false)
        {
            return Err(refused(RefusalKind::Gone, None));
        }
        if self.behaviour.stores_nothing {
            return Ok(Acknowledged::silently());
        }
        let key = (kind.to_owned(), change.id.to_string());
        let mut document = self
            .accounts
            .get(&key)
            .cloned()
            .ok_or(refused(RefusalKind::Gone, None))?;
        let names: Vec<String> = change
            .edits
            .iter()
            .map(|edit| edit.place.attribute.clone())
            .collect();
        let is_dropped = |place: &Place| {
            (self.behaviour.keeps_active && place.is_active())
                || self.behaviour.drops.contains(&place.attribute)
        };
        for edit in change.edits.iter().filter(|edit| !is_dropped(&edit.place)) {
            edit.place.put(&mut document, edit.value.clone());
        }
        self.check(
            kind,
            Some(change.id.as_str()),
            &document,
            &names,
            &change.added.keys().cloned().collect(),
        )?;
        self.lower(&mut document);
        self.accounts.insert(key, document);
        if kind == "Group" {
            let members = self.members.entry(change.id.to_string()).or_default();
            members.retain(|id| !change.removed.contains(id));
            members.extend(change.added.keys().cloned());
        }
        Ok(self.acknowledge(kind, &change.id))
    }

    fn replace(
        &mut self,
        kind: &str,
        id: &AccountId,
        attributes: &Document,
        members: &Members,
    ) -> Outcome<Acknowledged> {
        let key = (kind.to_owned(), id.to_string());
        if !self.accounts.contains_key(&key) {
            return Err(refused(RefusalKind::Gone, None));
        }
        let mut document = attributes.clone();
        let names: Vec<String> = document.keys().cloned().collect();
        let members: BTreeSet<String> = members.keys().cloned().collect();
        self.check(kind, Some(id.as_str()), &document, &names, &members)?;
        self.lower(&mut document);
        self.accounts.insert(key, document);
        if kind == "Group" {
            self.members.insert(id.to_string(), members);
        }
        Ok(self.acknowledge(kind, id))
    }

    fn remove(&mut self, kind: &str, id: &AccountId) -> Outcome<Acknowledged> {
        if self.behaviour.refuses_delete && kind == "User" {
            return Err(refused(RefusalKind::Other, None));
        }
        if self.behaviour.stores_nothing {
            return Ok(Acknowledged::silently());
        }
        let key = (kind.to_owned(), id.to_string());
        if self.behaviour.deletes_softly
            && let Some(account) = self.accounts.get_mut(&key)
        {
            account.insert("active".into(), false.into());
            return Ok(Acknowledged::silently());
        }
        self.accounts
            .remove(&(kind.to_owned(), id.to_string()))
            .ok_or(refused(RefusalKind::Gone, None))?;
        self.members.remove(id.as_str());
        for members in self.members.values_mut() {
            members.remove(id.as_str());
        }
        Ok(Acknowledged::silently())
    }
}
