//! An application in memory that can be told to misbehave. Its PATCH is written apart from `scim-protocol`'s, so that one does not excuse the other.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use directory::store::Fault;
use provisioning::application::Application;
use provisioning::connector::{Answer, Capabilities, Connector, Exchange, Reply, RetryAfter, Target};
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
    /// PATCH messages.
    pub patches: Vec<Value>,
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
        self.inner().trouble.entry(verb).or_default().push_back(trouble);
    }

    /// The requests since the last call, without lookups and reads where `writes`.
    pub fn take_requests(&self, writes: bool) -> Vec<String> {
        let requests = std::mem::take(&mut self.inner().requests);
        requests.into_iter().filter(|request| !writes || !(request.starts_with("GET") || request.starts_with("FIND"))).collect()
    }

    fn exchange(&self, verb: &'static str, path: &str, body: Option<Value>, act: impl FnOnce(&mut Inner) -> (u16, Value)) -> Exchange {
        let mut inner = self.inner();
        inner.requests.push(format!("{verb} {path}"));
        let trouble = inner.trouble.get_mut(verb).and_then(VecDeque::pop_front);
        let reply = match trouble {
            None => {
                let (status, body) = act(&mut inner);
                answer(status, body)
            }
            Some(Trouble::Status(status)) => answer(status, error(status)),
            Some(Trouble::Throttle(seconds)) => {
                Reply::Answer(Answer { status: 429, retry_after: Some(RetryAfter::Seconds(seconds)), ..Answer::default() })
            }
            Some(Trouble::LoseAnswer) => {
                act(&mut inner);
                Reply::Lost("connection reset".into())
            }
            Some(Trouble::Unreachable) => Reply::NotSent("connection refused".into()),
            Some(Trouble::Html) => Reply::Answer(Answer { status: 404, text: "<html>".into(), ..Answer::default() }),
        };
        Exchange { request: format!("{verb} {path}"), body, reply, milliseconds: 1 }
    }
}

fn answer(status: u16, body: Value) -> Reply {
    Reply::Answer(Answer { status, body: body.as_object().cloned(), text: String::new(), retry_after: None })
}

fn error(status: u16) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": status.to_string(), "detail": "no"})
}

impl Connector for MemoryApplication {
    fn connect(&self, _: &Application) -> Result<Arc<dyn Target>, Fault> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Target for MemoryApplication {
    async fn discover(&self) -> Result<Capabilities, Box<Exchange>> {
        let no_filter = self.inner().no_filter;
        let exchange = self.exchange("DISCOVER", "/ServiceProviderConfig", None, |_| (200, json!({})));
        match &exchange.reply {
            Reply::Answer(answer) if answer.is_success() => Ok(Capabilities { filter: !no_filter, ..Capabilities::default() }),
            _ => Err(Box::new(exchange)),
        }
    }

    async fn find(&self, resource_type: &str, attribute: &str, value: &str, filter: bool) -> Exchange {
        self.exchange("FIND", &format!("{resource_type} {attribute}={value} {filter}"), None, |inner| {
            let shown = inner.list_max.filter(|_| filter);
            let found = inner.accounts.iter().filter(|((kind, _), account)| {
                kind == resource_type && (!filter || shown.is_some() || account.get(attribute).and_then(Value::as_str) == Some(value))
            });
            let found: Vec<&Map<String, Value>> = found.map(|(_, account)| account).collect();
            let total = found.len();
            (200, json!({"totalResults": total, "Resources": found[..shown.unwrap_or(total).min(total)]}))
        })
    }

    async fn read(&self, resource_type: &str, remote_id: &str) -> Exchange {
        let key = (resource_type.to_owned(), remote_id.to_owned());
        self.exchange("GET", &format!("{resource_type}/{remote_id}"), None, |inner| match inner.accounts.get(&key) {
            Some(account) => (200, Value::Object(account.clone())),
            None => (404, error(404)),
        })
    }

    async fn create(&self, resource_type: &str, body: Map<String, Value>) -> Exchange {
        let sent = Some(Value::Object(body.clone()));
        self.exchange("POST", resource_type, sent, |inner| {
            let taken = |account: &Map<String, Value>| body.contains_key("userName") && account.get("userName") == body.get("userName");
            if inner.accounts.values().any(taken) {
                return (409, error(409));
            }
            inner.counter += 1;
            let id = inner.creates_onto.map_or_else(|| format!("r{}", inner.counter), str::to_owned);
            let mut account = body;
            account.insert("id".into(), id.clone().into());
            inner.accounts.insert((resource_type.to_owned(), id), account.clone());
            (201, Value::Object(account))
        })
    }

    async fn replace(&self, resource_type: &str, remote_id: &str, body: Map<String, Value>) -> Exchange {
        let key = (resource_type.to_owned(), remote_id.to_owned());
        let sent = Some(Value::Object(body.clone()));
        self.exchange("PUT", &format!("{resource_type}/{remote_id}"), sent, |inner| match inner.accounts.get_mut(&key) {
            Some(account) => {
                *account = body;
                (200, Value::Object(account.clone()))
            }
            None => (404, error(404)),
        })
    }

    async fn patch(&self, resource_type: &str, remote_id: &str, body: Value) -> Exchange {
        let key = (resource_type.to_owned(), remote_id.to_owned());
        self.exchange("PATCH", &format!("{resource_type}/{remote_id}"), Some(body.clone()), |inner| {
            if inner.no_patch {
                return (501, error(501));
            }
            inner.patches.push(body.clone());
            let Some(mut account) = inner.accounts.get(&key).cloned() else { return (404, error(404)) };
            for operation in body["Operations"].as_array().unwrap() {
                apply(&mut account, operation);
            }
            let same_name =
                |(id, other): (&(String, String), &Map<String, Value>)| *id != key && other.get("userName") == account.get("userName");
            if inner.unique_names && inner.accounts.iter().any(same_name) {
                return (409, error(409));
            }
            inner.accounts.insert(key, account);
            if let Some(after) = &inner.after_patch {
                after();
            }
            (204, Value::Null)
        })
    }

    async fn delete(&self, resource_type: &str, remote_id: &str) -> Exchange {
        let key = (resource_type.to_owned(), remote_id.to_owned());
        self.exchange("DELETE", &format!("{resource_type}/{remote_id}"), None, |inner| match inner.accounts.remove(&key) {
            Some(_) => (204, Value::Null),
            None => (404, error(404)),
        })
    }
}

fn apply(account: &mut Map<String, Value>, operation: &Value) {
    let (verb, path) = (operation["op"].as_str().unwrap(), operation["path"].as_str().unwrap());
    if let Some(id) = path.strip_prefix("members[value eq \"").and_then(|rest| rest.strip_suffix("\"]")) {
        account.get_mut("members").and_then(Value::as_array_mut).unwrap().retain(|member| member["value"] != id);
        return;
    }
    if (verb, path) == ("add", "members") {
        let members = account.entry("members").or_insert(json!([])).as_array_mut().unwrap();
        members.extend(operation["value"].as_array().unwrap().iter().cloned());
        return;
    }
    let split = path.rfind(':').map(|colon| (&path[..colon], &path[colon + 1..])).or_else(|| path.split_once('.'));
    let (object, name) = match split {
        Some((outer, name)) => (account.entry(outer).or_insert(json!({})).as_object_mut().unwrap(), name),
        None => (account, path),
    };
    match verb {
        "replace" | "add" => drop(object.insert(name.to_owned(), operation["value"].clone())),
        "remove" => drop(object.remove(name)),
        other => panic!("an operation {other}"),
    }
}
