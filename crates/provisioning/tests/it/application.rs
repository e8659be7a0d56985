//! An application in memory that can be told to misbehave.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use directory::store::Fault;
use provisioning::account::{
    Account, AccountChange, AccountId, Members, NewAccount, Place, Replacement,
};
use provisioning::application::Application;
use provisioning::connector::{
    Capabilities, Connector, Created, Exchange, Failure, Outcome, Refusal, RefusalKind, RetryAfter,
    Target, Trace,
};
use provisioning::machine::Request;
use provisioning::matching::Lookup;
use provisioning::proof::{Acknowledged, Listing};
use scim_protocol::TypeSchema;
use serde_json::{Map, Value, json};

/// What an application does to the next request of a verb.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// It answers this, and does nothing.
    Status(u16),
    /// 429 with `Retry-After` seconds.
    Throttle(u64),
    /// It does what it was asked, and the answer is lost.
    LoseAnswer,
    /// It cannot be reached.
    Unreachable,
    /// 404 with a page of HTML.
    Html,
}

#[derive(Default)]
pub struct Inner {
    /// By type, then by id.
    pub accounts: BTreeMap<(String, String), Map<String, Value>>,
    /// Verb and path of each request.
    pub requests: Vec<String>,
    /// Changes of parts of accounts.
    pub patches: Vec<AccountChange>,
    /// Everything that may have changed something.
    pub writes: Vec<Request>,
    pub trouble: BTreeMap<&'static str, VecDeque<Trouble>>,
    pub no_patch: bool,
    pub no_filter: bool,
    /// Most resources that a list shows, whatever is asked for: it neither filters nor turns pages.
    pub list_max: Option<usize>,
    /// A create is answered with this account, which is given what was sent.
    pub creates_onto: Option<&'static str>,
    /// Names are unique.
    pub unique_names: bool,
    /// Is called after each PATCH.
    pub after_patch: Option<Box<dyn Fn() + Send>>,
    counter: u32,
}

#[derive(Clone, Default)]
pub struct MemoryApplication(Arc<Mutex<Inner>>);

impl MemoryApplication {
    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub fn trouble(&self, verb: &'static str, trouble: Trouble) {
        self.inner()
            .trouble
            .entry(verb)
            .or_default()
            .push_back(trouble);
    }

    /// The requests since the last call, without lookups and reads where `writes`.
    pub fn take_requests(&self, writes: bool) -> Vec<String> {
        let requests = std::mem::take(&mut self.inner().requests);
        requests
            .into_iter()
            .filter(|request| {
                !writes || !(request.starts_with("GET") || request.starts_with("FIND"))
            })
            .collect()
    }

    fn exchange<T>(
        &self,
        verb: &'static str,
        path: &str,
        act: impl FnOnce(&mut Inner) -> Outcome<T>,
    ) -> Exchange<T> {
        let mut inner = self.inner();
        inner.requests.push(format!("{verb} {path}"));
        let trouble = inner.trouble.get_mut(verb).and_then(VecDeque::pop_front);
        let mut trace = Trace {
            request: format!("{verb} {path}"),
            milliseconds: 1,
            ..Trace::default()
        };
        let mut wait = None;
        let outcome = match trouble {
            None => act(&mut inner),
            Some(Trouble::Status(status)) => {
                (trace.status, trace.said) = (Some(status), "no".into());
                Err(failure(status))
            }
            Some(Trouble::Throttle(seconds)) => {
                (trace.status, wait) = (Some(429), Some(RetryAfter::Seconds(seconds)));
                Err(Failure::Throttled)
            }
            Some(Trouble::LoseAnswer) => {
                let _ = act(&mut inner);
                trace.said = "no answer: connection reset".into();
                Err(Failure::Unknown { answered: false })
            }
            Some(Trouble::Unreachable) => {
                trace.said = "not sent: connection refused".into();
                Err(Failure::NotReached)
            }
            Some(Trouble::Html) => {
                trace.status = Some(404);
                Err(refused(RefusalKind::NotFound))
            }
        };
        Exchange {
            trace,
            wait,
            outcome,
        }
    }
}

fn refused(kind: RefusalKind) -> Failure {
    Failure::Refused(Refusal {
        kind,
        attribute: None,
    })
}

/// What a status with an error of SCIM means; the table is `connectors`'.
fn failure(status: u16) -> Failure {
    match status {
        401 => Failure::Unauthorized,
        404 => refused(RefusalKind::Gone),
        405 | 501 => refused(RefusalKind::NotOffered),
        409 => refused(RefusalKind::Uniqueness),
        500..=599 => Failure::Unknown { answered: true },
        _ => refused(RefusalKind::Other),
    }
}

fn shown(account: &Map<String, Value>) -> Account {
    Account::of_json(account.clone()).unwrap()
}

fn elements(members: &Members) -> Vec<Value> {
    members.keys().map(|id| json!({ "value": id })).collect()
}

impl Connector for MemoryApplication {
    fn connect(&self, _: &Application) -> Result<Arc<dyn Target>, Fault> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Target for MemoryApplication {
    async fn discover(&self) -> Exchange<Capabilities> {
        self.exchange("DISCOVER", "/ServiceProviderConfig", |inner| {
            Ok(Capabilities {
                filter: !inner.no_filter,
                ..Capabilities::default()
            })
        })
    }

    async fn find(&self, schema: &TypeSchema, lookup: &Lookup) -> Exchange<Listing> {
        let (
            kind,
            Lookup {
                attribute, value, ..
            },
        ) = (schema.name(), lookup);
        self.exchange(
            "FIND",
            &format!("{kind} {attribute}={value} true"),
            |inner| {
                let is_it = |account: &Map<String, Value>| {
                    account.get(attribute).and_then(Value::as_str) == Some(value)
                };
                let found = inner.accounts.iter().filter(|((it, _), account)| {
                    it == kind && (inner.list_max.is_some() || is_it(account))
                });
                let found: Vec<Account> = found.map(|(_, account)| shown(account)).collect();
                let (counted, max) = (
                    Some(found.len() as u64),
                    inner.list_max.unwrap_or(found.len()),
                );
                Ok(Listing {
                    accounts: found.into_iter().take(max).collect(),
                    counted,
                    ..Listing::default()
                })
            },
        )
    }

    async fn list(&self, schema: &TypeSchema) -> Exchange<Listing> {
        self.exchange("FIND", &format!("{} all", schema.name()), |inner| {
            let accounts = inner
                .accounts
                .iter()
                .filter(|((kind, _), _)| kind == schema.name());
            let accounts: Vec<Account> = accounts.map(|(_, account)| shown(account)).collect();
            Ok(Listing {
                counted: Some(accounts.len() as u64),
                accounts,
                whole: true,
                ..Listing::default()
            })
        })
    }

    async fn read(&self, schema: &TypeSchema, id: &AccountId) -> Exchange<Account> {
        let key = (schema.name().to_owned(), id.to_string());
        self.exchange("GET", &format!("{}/{id}", schema.name()), |inner| {
            inner
                .accounts
                .get(&key)
                .map(shown)
                .ok_or(refused(RefusalKind::Gone))
        })
    }

    async fn create(&self, schema: &TypeSchema, new: &NewAccount) -> Exchange<Created> {
        self.exchange("POST", schema.name(), |inner| {
            inner.writes.push(Request::Create(new.clone()));
            let mut account = new.attributes.clone();
            let taken = |other: &Map<String, Value>| {
                account.contains_key("userName") && other.get("userName") == account.get("userName")
            };
            if inner.accounts.values().any(taken) {
                return Err(refused(RefusalKind::Uniqueness));
            }
            inner.counter += 1;
            let id = inner
                .creates_onto
                .map_or_else(|| format!("r{}", inner.counter), str::to_owned);
            account.insert("id".into(), id.clone().into());
            if !new.members.is_empty() {
                account.insert("members".into(), elements(&new.members).into());
            }
            inner
                .accounts
                .insert((schema.name().to_owned(), id), account.clone());
            Ok(Created::Shown(shown(&account)))
        })
    }

    async fn replace(&self, schema: &TypeSchema, whole: &Replacement) -> Exchange<Acknowledged> {
        let key = (schema.name().to_owned(), whole.id.to_string());
        self.exchange(
            "PUT",
            &format!("{}/{}", schema.name(), whole.id),
            |inner| match inner.accounts.get_mut(&key) {
                Some(account) => {
                    account.clone_from(&whole.attributes);
                    account.insert("id".into(), whole.id.as_str().into());
                    if !whole.members.is_empty() {
                        account.insert("members".into(), elements(&whole.members).into());
                    }
                    Ok(Acknowledged::showing(&whole.id, shown(account)).unwrap())
                }
                None => Err(refused(RefusalKind::Gone)),
            },
        )
    }

    async fn change(&self, schema: &TypeSchema, change: &AccountChange) -> Exchange<Acknowledged> {
        let key = (schema.name().to_owned(), change.id.to_string());
        self.exchange(
            "PATCH",
            &format!("{}/{}", schema.name(), change.id),
            |inner| {
                if inner.no_patch {
                    return Err(refused(RefusalKind::NotOffered));
                }
                inner.patches.push(change.clone());
                inner.writes.push(Request::Change(change.clone()));
                let Some(mut account) = inner.accounts.get(&key).cloned() else {
                    return Err(refused(RefusalKind::Gone));
                };
                apply(&mut account, change);
                let same_name = |(id, other): (&(String, String), &Map<String, Value>)| {
                    *id != key && other.get("userName") == account.get("userName")
                };
                if inner.unique_names && inner.accounts.iter().any(same_name) {
                    return Err(refused(RefusalKind::Uniqueness));
                }
                inner.accounts.insert(key, account);
                if let Some(after) = &inner.after_patch {
                    after();
                }
                Ok(Acknowledged::silently())
            },
        )
    }

    async fn remove(&self, schema: &TypeSchema, id: &AccountId) -> Exchange<Acknowledged> {
        let key = (schema.name().to_owned(), id.to_string());
        self.exchange("DELETE", &format!("{}/{id}", schema.name()), |inner| {
            inner.writes.push(Request::Remove(id.clone()));
            inner
                .accounts
                .remove(&key)
                .map(|_| Acknowledged::silently())
                .ok_or(refused(RefusalKind::Gone))
        })
    }
}

fn apply(account: &mut Map<String, Value>, change: &AccountChange) {
    for edit in &change.edits {
        let Place {
            extension,
            attribute,
            sub,
        } = &edit.place;
        let outer = extension.as_ref().or(sub.as_ref().map(|_| attribute));
        let name = sub.as_ref().unwrap_or(attribute);
        let object = match outer {
            Some(outer) => account
                .entry(outer)
                .or_insert(json!({}))
                .as_object_mut()
                .unwrap(),
            None => &mut *account,
        };
        match &edit.value {
            Some(value) => drop(object.insert(name.clone(), value.clone())),
            None => drop(object.remove(name)),
        }
    }
    if !(change.added.is_empty() && change.removed.is_empty()) {
        let members = account
            .entry("members")
            .or_insert(json!([]))
            .as_array_mut()
            .unwrap();
        members.retain(|member| !change.removed.contains(member["value"].as_str().unwrap()));
        members.extend(elements(&change.added));
    }
}
