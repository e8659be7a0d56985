//! An application that speaks SCIM, behind the engine's port: requests and answers of HTTP on one side, accounts and outcomes on the other. Decides nothing
//! about what follows.

mod answer;
mod render;
mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use directory::store::Fault;
use provisioning::account::{Account, AccountChange, AccountId, NewAccount, Replacement};
use provisioning::application::Application;
use provisioning::connector::{Capabilities, Connector, Created, Exchange, Target};
use provisioning::matching::Lookup;
use provisioning::proof::{Acknowledged, Listing};
use reqwest::Method;
use scim_client::paging::read_all;
use scim_client::{Client, Request, Response, SendError};
use scim_protocol::TypeSchema;
use serde_json::Value;
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
        Ok(Self {
            http: egress.client()?,
            egress,
        })
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
        Client::new(self.http.clone(), base, token).ok_or_else(|| {
            Fault::new(
                "the token holds characters that cannot stand in a header (a line break, perhaps)",
            )
        })
    }
}

impl Connector for ScimConnector {
    fn connect(&self, application: &Application) -> Result<Arc<dyn Target>, Fault> {
        let base = parse(&application.base_url)?;
        let refusal = self.egress.check(&base).err();
        if let Some(for_good) = refusal.as_ref().filter(|refusal| refusal.place.is_none()) {
            return Err(for_good.clone().into());
        }
        Ok(Arc::new(ScimTarget {
            client: self.unchecked_client(base, application.token.reveal())?,
            refusal,
            plain: AtomicBool::new(false),
        }))
    }
}

fn parse(base_url: &str) -> Result<Url, Fault> {
    base_url
        .parse()
        .map_err(|error| Fault::from_source(format!("the base URL {base_url:?} is none"), error))
}

struct ScimTarget {
    client: Client,
    /// Why the rules of the network let nothing be sent: the provisioning log says so for each request.
    refusal: Option<Refusal>,
    /// Whether it has refused `application/scim+json` and takes `application/json`.
    plain: AtomicBool,
}

/// A request that was sent, when, and what came back.
struct Sent {
    request: Request,
    begun: Instant,
    result: Result<Response, SendError>,
}

impl ScimTarget {
    /// Sends a request. Where the application does not take the media type, once more with the other one, which is remembered.
    async fn send(&self, request: Request) -> Sent {
        let begun = Instant::now();
        let request = request.plain(self.plain.load(Ordering::Relaxed));
        let result = self.once(&request).await;
        if request.is_plain
            || !matches!(
                &result,
                Ok(Response {
                    status: 406 | 415,
                    ..
                })
            )
        {
            return Sent {
                request,
                begun,
                result,
            };
        }
        let request = request.plain(true);
        let again = self.once(&request).await;
        if matches!(&again, Ok(response) if !matches!(response.status, 406 | 415)) {
            self.plain.store(true, Ordering::Relaxed);
        }
        Sent {
            request,
            begun,
            result: again,
        }
    }

    async fn send_all(&self, request: Request) -> Sent {
        let begun = Instant::now();
        let request = request.plain(self.plain.load(Ordering::Relaxed));
        let result = match self.refused() {
            Ok(()) => read_all(&self.client, &request).await,
            Err(error) => Err(error),
        };
        Sent {
            request,
            begun,
            result,
        }
    }

    async fn once(&self, request: &Request) -> Result<Response, SendError> {
        self.refused()?;
        self.client.send(request).await
    }

    fn refused(&self) -> Result<(), SendError> {
        self.refusal.as_ref().map_or(Ok(()), |refusal| {
            Err(SendError::NotSent(refusal.to_string()))
        })
    }
}

#[async_trait]
impl Target for ScimTarget {
    async fn discover(&self) -> Exchange<Capabilities> {
        let config = self
            .send(Request::new(Method::GET, &["ServiceProviderConfig"]))
            .await;
        let mut found = answer::described(config, of_config);
        let Ok(capabilities) = &mut found.outcome else {
            return found;
        };
        let schemas = self.send_all(Request::new(Method::GET, &["Schemas"])).await;
        match answer::described(schemas, |list| list.and_then(of_schemas)) {
            Exchange {
                outcome: Ok(attributes),
                wait,
                ..
            } => {
                capabilities.attributes = attributes;
                found.wait = found.wait.or(wait);
                found
            }
            Exchange {
                trace,
                wait,
                outcome: Err(failure),
            } => Exchange {
                trace,
                wait,
                outcome: Err(failure),
            },
        }
    }

    async fn find(&self, schema: &TypeSchema, lookup: &Lookup) -> Exchange<Listing> {
        // A JSON string is a filter's string (RFC 7644 section 3.4.2.2).
        let filter = format!(
            "{} eq {}",
            lookup.attribute,
            Value::from(lookup.value.as_str())
        );
        let request =
            Request::new(Method::GET, &[render::endpoint(schema)]).with_query("filter", filter);
        answer::listed(self.send(request).await, false)
    }

    async fn list(&self, schema: &TypeSchema) -> Exchange<Listing> {
        answer::listed(
            self.send_all(Request::new(Method::GET, &[render::endpoint(schema)]))
                .await,
            true,
        )
    }

    async fn read(&self, schema: &TypeSchema, id: &AccountId) -> Exchange<Account> {
        let sent = self
            .send(Request::new(
                Method::GET,
                &[render::endpoint(schema), id.as_str()],
            ))
            .await;
        answer::read(sent, id)
    }

    async fn create(&self, schema: &TypeSchema, account: &NewAccount) -> Exchange<Created> {
        let body = render::resource(schema, &account.attributes, &account.members);
        let names = render::names(&account.attributes, &account.members);
        let sent = self
            .send(
                Request::new(Method::POST, &[render::endpoint(schema)])
                    .with_body(Value::Object(body)),
            )
            .await;
        answer::created(sent, schema, &names)
    }

    async fn change(&self, schema: &TypeSchema, change: &AccountChange) -> Exchange<Acknowledged> {
        let body = render::patch(change);
        let sent = self
            .send(
                Request::new(
                    Method::PATCH,
                    &[render::endpoint(schema), change.id.as_str()],
                )
                .with_body(body),
            )
            .await;
        answer::written(sent, &change.id, &render::names_of_change(change))
    }

    async fn replace(
        &self,
        schema: &TypeSchema,
        replacement: &Replacement,
    ) -> Exchange<Acknowledged> {
        let mut body = render::resource(schema, &replacement.attributes, &replacement.members);
        body.insert("id".into(), replacement.id.as_str().into());
        let names = render::names(&replacement.attributes, &replacement.members);
        let sent = self
            .send(
                Request::new(
                    Method::PUT,
                    &[render::endpoint(schema), replacement.id.as_str()],
                )
                .with_body(Value::Object(body)),
            )
            .await;
        answer::written(sent, &replacement.id, &names)
    }

    async fn remove(&self, schema: &TypeSchema, id: &AccountId) -> Exchange<Acknowledged> {
        let sent = self
            .send(Request::new(
                Method::DELETE,
                &[render::endpoint(schema), id.as_str()],
            ))
            .await;
        answer::removed(sent)
    }
}
