//! An application that speaks SCIM, behind the engine's port. Decides nothing about answers; `provisioning::outcome` does.

use std::sync::Arc;

use async_trait::async_trait;
use directory::store::Fault;
use provisioning::application::Application;
use provisioning::connector::{Answer, Capabilities, Connector, Exchange, Reply, RetryAfter, Target};
use reqwest::Method;
use scim_client::paging::read_all;
use scim_client::{Client, Request, Response, SendError};
use serde_json::{Map, Value};
use tokio::time::Instant;
use url::Url;

use crate::capabilities::{of_config, of_schemas};
use crate::egress::{Egress, Refusal};

/// Makes targets; they share one pool of connections.
#[derive(Clone, Debug)]
pub struct ScimConnector {
    egress: Egress,
    http: reqwest::Client,
}

impl ScimConnector {
    /// Under these rules of the network.
    pub fn new(egress: Egress) -> Result<Self, Fault> {
        Ok(Self { http: egress.client()?, egress })
    }

    /// Refuses a base URL that may not be reached now.
    pub async fn check(&self, base_url: &Url) -> Result<(), Refusal> {
        self.egress.check_resolved(base_url).await
    }

    /// A client of the SCIM server at this base URL.
    pub fn client(&self, base_url: &str, token: &str) -> Result<Client, Fault> {
        let base = parse(base_url)?;
        self.egress.check(&base)?;
        self.unchecked_client(base, token)
    }

    fn unchecked_client(&self, base: Url, token: &str) -> Result<Client, Fault> {
        Client::new(self.http.clone(), base, token)
            .ok_or_else(|| Fault::new("the token holds characters that cannot stand in a header (a line break, perhaps)"))
    }
}

impl Connector for ScimConnector {
    fn connect(&self, application: &Application) -> Result<Arc<dyn Target>, Fault> {
        let base = parse(&application.base_url)?;
        let refusal = self.egress.check(&base).err();
        if let Some(for_good) = refusal.as_ref().filter(|refusal| refusal.place.is_none()) {
            return Err(for_good.clone().into());
        }
        Ok(Arc::new(ScimTarget { client: self.unchecked_client(base, application.token.reveal())?, refusal }))
    }
}

fn parse(base_url: &str) -> Result<Url, Fault> {
    base_url.parse().map_err(|error| Fault::from_source(format!("the base URL {base_url:?} is none"), error))
}

struct ScimTarget {
    client: Client,
    /// Why the rules of the network let nothing be sent: the provisioning log says so for each request.
    refusal: Option<Refusal>,
}

impl ScimTarget {
    async fn exchange(&self, request: Request) -> Exchange {
        let begun = Instant::now();
        let sent = match self.refused() {
            Ok(()) => self.client.send(&request).await,
            Err(error) => Err(error),
        };
        exchange(request, begun, sent)
    }

    async fn read_all(&self, request: Request) -> Exchange {
        let begun = Instant::now();
        let sent = match self.refused() {
            Ok(()) => read_all(&self.client, &request).await,
            Err(error) => Err(error),
        };
        exchange(request, begun, sent)
    }

    fn refused(&self) -> Result<(), SendError> {
        self.refusal.as_ref().map_or(Ok(()), |refusal| Err(SendError::NotSent(refusal.to_string())))
    }
}

#[async_trait]
impl Target for ScimTarget {
    async fn discover(&self) -> Result<Capabilities, Box<Exchange>> {
        let config = self.exchange(Request::new(Method::GET, &["ServiceProviderConfig"])).await;
        let mut capabilities = of_config(published(&config)?);
        let schemas = self.read_all(Request::new(Method::GET, &["Schemas"])).await;
        capabilities.attributes = published(&schemas)?.and_then(of_schemas);
        Ok(capabilities)
    }

    async fn find(&self, resource_type: &str, attribute: &str, value: &str, filter: bool) -> Exchange {
        let mut request = Request::new(Method::GET, &[&endpoint(resource_type)]);
        if filter {
            // A JSON string is a filter's string (RFC 7644 section 3.4.2.2).
            request = request.with_query("filter", format!("{attribute} eq {}", Value::from(value)));
            return self.exchange(request).await;
        }
        self.read_all(request).await
    }

    async fn read(&self, resource_type: &str, remote_id: &str) -> Exchange {
        self.exchange(Request::new(Method::GET, &[&endpoint(resource_type), remote_id])).await
    }

    async fn create(&self, resource_type: &str, body: Map<String, Value>) -> Exchange {
        self.exchange(Request::new(Method::POST, &[&endpoint(resource_type)]).with_body(Value::Object(body))).await
    }

    async fn replace(&self, resource_type: &str, remote_id: &str, body: Map<String, Value>) -> Exchange {
        self.exchange(Request::new(Method::PUT, &[&endpoint(resource_type), remote_id]).with_body(Value::Object(body))).await
    }

    async fn patch(&self, resource_type: &str, remote_id: &str, body: Value) -> Exchange {
        self.exchange(Request::new(Method::PATCH, &[&endpoint(resource_type), remote_id]).with_body(body)).await
    }

    async fn delete(&self, resource_type: &str, remote_id: &str) -> Exchange {
        self.exchange(Request::new(Method::DELETE, &[&endpoint(resource_type), remote_id])).await
    }
}

/// `Users` of `User`; every endpoint of RFC 7644 section 3.2 is made so.
fn endpoint(resource_type: &str) -> String {
    format!("{resource_type}s")
}

/// What a discovery endpoint published; `None` where it merely does not. Fails where the application cannot be spoken to: then nothing is known.
fn published(exchange: &Exchange) -> Result<Option<&Map<String, Value>>, Box<Exchange>> {
    match &exchange.reply {
        Reply::Answer(answer) if answer.is_success() => Ok(answer.body.as_ref()),
        Reply::Answer(Answer { status: 400 | 404 | 405 | 501, .. }) => Ok(None),
        _ => Err(Box::new(exchange.clone())),
    }
}

fn exchange(request: Request, begun: Instant, sent: Result<Response, SendError>) -> Exchange {
    let reply = match sent {
        Ok(response) => Reply::Answer(Answer {
            status: response.status,
            body: response.body,
            text: response.text,
            retry_after: response.retry_after.map(|wait| match wait {
                scim_client::RetryAfter::Seconds(seconds) => RetryAfter::Seconds(seconds),
                scim_client::RetryAfter::At(instant) => RetryAfter::At(instant),
            }),
        }),
        Err(SendError::NotSent(why)) => Reply::NotSent(why),
        Err(SendError::Lost(why)) => Reply::Lost(why),
    };
    let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Exchange { request: request.describe(), body: request.body.map(without_password), reply, milliseconds }
}

/// The body as the log may keep it.
fn without_password(mut body: Value) -> Value {
    if let Value::Object(object) = &mut body {
        for (name, value) in object.iter_mut() {
            if name.eq_ignore_ascii_case("password") {
                *value = "(hidden)".into();
            }
        }
    }
    body
}
