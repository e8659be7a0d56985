//! The admin API as commands use it, in one of three ways: a server somewhere else, by its URL and a token; the `serve` that runs on the data folder, by its
//! socket; or, where nothing serves, the same routes in this process. Renders nothing.

use std::fmt::Display;
use std::net::SocketAddr;

use connectors::admin_server::{AdminServer, Unusable};
use connectors::egress::Egress;
use directory::secret::Secret;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use server::local::{InProcess, LocalUser, OverSocket, own_uid};
use tokio::sync::watch;
use url::Url;

use crate::configuration::{CLIENT_VARIABLES, Configuration};
use crate::failure::{Exit, Failure};
use crate::local_socket;
use crate::operations::Operation;
use crate::serving_url::{self, ServingUrl};
use crate::wiring::{Missing, Rollcall, event_options};

/// The variable that names a server somewhere else, and the one that holds the token for it.
const URL_VARIABLE: &str = CLIENT_VARIABLES[0];
const TOKEN_VARIABLE: &str = CLIENT_VARIABLES[1];
/// What stands for itself in a path or a query (RFC 3986 section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A server somewhere else, and the token for it.
pub struct Remote {
    url: Url,
    token: Secret,
}

impl Remote {
    /// What the flag, else the variable, names; `None` where neither does.
    pub fn read(
        flag: Option<String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, Failure> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let Some(text) = flag.or_else(|| variable(URL_VARIABLE)) else {
            return Ok(None);
        };
        let url = Url::parse(&text).ok().filter(|url| url.query().is_none());
        let url = url.ok_or_else(|| {
            Failure::usage(format!("{text:?} is not the URL of a server"))
                .hint("give a URL such as https://rollcall.example.com, without a query")
        })?;
        let token = variable(TOKEN_VARIABLE).ok_or_else(|| {
            Failure::usage(format!("there is no token for the server at {url}"))
                .hint(format!("put a token into the variable {TOKEN_VARIABLE}"))
        })?;
        Ok(Some(Self {
            url,
            token: Secret::new(token),
        }))
    }
}

/// To which server commands go.
pub struct Destination<'a> {
    /// A server somewhere else; without it, the one of the data folder.
    pub remote: Option<Remote>,
    /// The data folder, and what may be reached.
    pub configuration: &'a Configuration,
}

/// The way to an admin API.
pub struct AdminClient {
    way: Way,
    /// Where `serve` would listen: the URLs in the answers are made from this address, because no `serve` has said under which URL it is found.
    assumed: Option<SocketAddr>,
}

enum Way {
    Server { server: AdminServer, url: String },
    Socket(OverSocket),
    Here(InProcess),
}

impl Destination<'_> {
    /// The way there.
    pub async fn open(&self) -> Result<AdminClient, Failure> {
        self.open_where(Missing::Refuse).await
    }

    /// The same; where the data folder has no database yet, one is made.
    pub async fn open_or_make(&self) -> Result<AdminClient, Failure> {
        self.open_where(Missing::Create).await
    }

    async fn open_where(&self, missing: Missing) -> Result<AdminClient, Failure> {
        let configuration = self.configuration;
        if let Some(Remote { url, token }) = &self.remote {
            let egress = Egress::allowing(configuration.allow_private.value.clone());
            let server = AdminServer::new(&egress, url, token)
                .map_err(|unusable| unusable_server(url.as_str(), &unusable))?;
            let url = url.to_string();
            return Ok(AdminClient {
                way: Way::Server { server, url },
                assumed: None,
            });
        }
        let socket = local_socket::path(&configuration.data.value);
        if let Some(socket) = OverSocket::find(socket).await {
            return Ok(AdminClient {
                way: Way::Socket(socket),
                assumed: None,
            });
        }
        let rollcall = Rollcall::open(configuration, missing).await?;
        let ServingUrl { url, is_assumed } = serving_url::find(configuration);
        let (_, commits) = watch::channel(0);
        let events = rollcall.events(&url, event_options(configuration), commits);
        let router = server::router(rollcall.state(configuration, events));
        Ok(AdminClient {
            way: Way::Here(InProcess::new(router, LocalUser::here(own_uid()))),
            assumed: is_assumed.then_some(configuration.listen.value),
        })
    }
}

impl AdminClient {
    /// The URL of a server somewhere else, as the user gave it, without a slash at its end.
    pub fn given_url(&self) -> Option<&str> {
        match &self.way {
            Way::Server { url, .. } => Some(url.trim_end_matches('/')),
            Way::Socket(_) | Way::Here(_) => None,
        }
    }

    /// The address from which URLs in the answers are made where neither a server nor the configuration says one.
    pub fn assumed_address(&self) -> Option<SocketAddr> {
        self.assumed
    }

    /// A request for an operation; the parameters are those of its path, in order.
    pub fn request<'a>(&'a self, operation: &'a Operation, parameters: &[&str]) -> Request<'a> {
        let mut parameters = parameters.iter();
        let path = operation
            .path
            .split('/')
            .map(|part| match part.strip_prefix('{') {
                Some(_) => parameters
                    .next()
                    .map_or_else(String::new, |value| encoded(value)),
                None => part.to_owned(),
            });
        Request {
            client: self,
            commands: operation.commands,
            method: operation.method,
            path: path.collect::<Vec<_>>().join("/"),
            has_query: false,
            body: None,
        }
    }

    /// The id of the User or the Group with this id, or else with this `userName` or `displayName`.
    pub async fn find_id(
        &self,
        tenant: &str,
        resource_type: &str,
        text: &str,
    ) -> Result<Option<String>, Failure> {
        let attribute = if resource_type == "User" {
            "userName"
        } else {
            "displayName"
        };
        // A string of JSON is a string of the filter grammar (RFC 7644 section 3.4.2.2).
        let literal = Value::from(text);
        let request = Request {
            client: self,
            commands: &[],
            method: "GET",
            path: format!("/t/{}/scim/v2/{resource_type}s", encoded(tenant)),
            has_query: false,
            body: None,
        };
        let found: Value = request
            .query(
                "filter",
                format!("id eq {literal} or {attribute} eq {literal}"),
            )
            .query("attributes", "id")
            .query("count", 2)
            .answer()
            .await?;
        let ids: Vec<&str> = found
            .pointer("/Resources")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|resource| resource.get("id")?.as_str())
            .collect();
        let named = ids.iter().find(|id| **id == text).or_else(|| ids.first());
        Ok(named.map(|id| (*id).to_owned()))
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(u16, Vec<u8>), Failure> {
        match &self.way {
            Way::Server { server, url } => {
                let answer = server.send(method, path, body).await;
                answer.map_err(|fault| {
                    let failure = Failure::from(fault);
                    Failure::unreachable(format!("{url} does not answer: {}", failure.message))
                        .hint("check the URL, and that this machine can reach it")
                })
            }
            Way::Socket(socket) => Ok(socket.send(method, path, body).await?),
            Way::Here(here) => Ok(here.send(method, path, body).await?),
        }
    }

    /// What is asked, for messages.
    fn name(&self) -> String {
        match &self.way {
            Way::Server { url, .. } => format!("the server at {url}"),
            Way::Socket(_) => "the `rollcall serve` that runs on this data folder".to_owned(),
            Way::Here(_) => "this program".to_owned(),
        }
    }

    /// Why an answer that is no success is none.
    fn refusal(&self, commands: &[&str], status: u16, body: &[u8]) -> Failure {
        let said: Option<Value> = serde_json::from_slice(body).ok();
        let detail = said
            .as_ref()
            .and_then(|error| error.get("detail"))
            .and_then(Value::as_str);
        let Some(detail) = detail else {
            return self.is_other(commands);
        };
        if status == 405 || status == 404 && detail.starts_with(server::NO_SUCH_ROUTE) {
            return self.is_other(commands);
        }
        let exit = match status {
            404 => Exit::NotFound,
            409 | 412 => Exit::Conflict,
            // A local user may do everything, so it is what was asked that is refused.
            403 if !matches!(self.way, Way::Server { .. }) => Exit::Refused,
            401 | 403 | 500 | 501 => Exit::Failed,
            429 | 503 => Exit::Unreachable,
            _ => Exit::Refused,
        };
        let failure = Failure::new(exit, detail);
        match (status, &self.way) {
            (401, Way::Server { .. }) => failure.hint(format!(
                "the variable {TOKEN_VARIABLE} holds the token that was sent"
            )),
            _ => failure,
        }
    }

    /// The server does not speak as this program expects it.
    fn is_other(&self, commands: &[&str]) -> Failure {
        let command = commands.first().unwrap_or(&"this command");
        Failure::failed(format!(
            "{} does not know what `rollcall {command}` asks for: it is an older Rollcall, or something else",
            self.name()
        ))
        .hint(format!(
            "this program is Rollcall {}; use the program that goes with the server",
            env!("CARGO_PKG_VERSION")
        ))
    }
}

/// A request on its way.
pub struct Request<'a> {
    client: &'a AdminClient,
    commands: &'static [&'static str],
    method: &'static str,
    path: String,
    has_query: bool,
    body: Option<Vec<u8>>,
}

impl Request<'_> {
    /// With a parameter of the query.
    #[must_use]
    pub fn query(mut self, name: &str, value: impl Display) -> Self {
        let sign = if self.has_query { '&' } else { '?' };
        self.has_query = true;
        self.path = format!("{}{sign}{name}={}", self.path, encoded(&value.to_string()));
        self
    }

    /// With a parameter of the query, where there is a value.
    #[must_use]
    pub fn query_if(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// With a JSON body.
    #[must_use]
    pub fn body(mut self, body: &impl Serialize) -> Self {
        // Requests are structures with named fields, which always can be JSON.
        self.body = Some(serde_json::to_vec(body).unwrap_or_default());
        self
    }

    /// Sends it; the answer.
    pub async fn answer<T: DeserializeOwned>(self) -> Result<T, Failure> {
        let (client, commands) = (self.client, self.commands);
        let body = self.sent().await?;
        serde_json::from_slice(&body).map_err(|_| client.is_other(commands))
    }

    /// Sends it; the answer has no body.
    pub async fn done(self) -> Result<(), Failure> {
        self.sent().await.map(drop)
    }

    async fn sent(self) -> Result<Vec<u8>, Failure> {
        let (status, body) = self.client.send(self.method, &self.path, self.body).await?;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        Err(self.client.refusal(self.commands, status, &body))
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

fn unusable_server(url: &str, unusable: &Unusable) -> Failure {
    let failure = Failure::usage(format!("{url} cannot be used: {unusable}"));
    match unusable {
        Unusable::InTheClear => failure.hint(
            "write https:, or name the place with --allow-private where the way there is safe",
        ),
        Unusable::Token => failure.hint(format!("the variable {TOKEN_VARIABLE} holds it")),
        _ => failure,
    }
}
