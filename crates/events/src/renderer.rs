//! *(shell)* Renders events: reads the resources that they are about, as their readers may see them, for the feed, webhooks and tokens alike.

use std::collections::HashMap;
use std::sync::Arc;

use directory::Directory;
use directory::access::{Caller, Permissions, Scope};
use directory::names::hide_names;
use directory::store::{Fault, Include, Store, Tenants};
use jiff::Timestamp;
use scim_protocol::SchemaSet;
use scim_protocol::projection::Projection;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::event::{Kind, LoggedEvent};
use crate::event_log::{Message, SigningKeys};
use crate::receiver::{Detail, Receiver, ReceiverKind};
use crate::security_event::{Envelope, TOKEN_TYPE, claims};

/// A group with more members is rendered without them; a receiver that wants them reads the group.
pub const MEMBERS_TOLD_MAX: u32 = 100;

/// An event with the resource that it is about, where the resource still exists.
pub type WithResource = (LoggedEvent, Option<Arc<Map<String, Value>>>);

/// Renders events for receivers.
#[derive(Clone)]
pub struct EventRenderer {
    store: Arc<dyn Store>,
    tenants: Arc<dyn Tenants>,
    directory: Directory,
    keys: Arc<dyn SigningKeys>,
    public_url: String,
}

impl EventRenderer {
    /// `public_url` is the URL of this server, without a slash at its end.
    pub fn new(
        store: Arc<dyn Store>,
        tenants: Arc<dyn Tenants>,
        directory: Directory,
        keys: Arc<dyn SigningKeys>,
        public_url: String,
    ) -> Self {
        Self {
            store,
            tenants,
            directory,
            keys,
            public_url,
        }
    }

    /// The events for one receiver, with the parts of the resources that it may see.
    pub async fn for_receiver(
        &self,
        receiver: &Receiver,
        events: Vec<LoggedEvent>,
    ) -> Result<Vec<WithResource>, Fault> {
        let base_url = format!("{}/scim/v2", self.issuer(&receiver.tenant_name));
        let reader = Permissions {
            resource_types: receiver.settings.types().map(<[_]>::to_vec),
            ..Permissions::of(&[Scope::Read])
        };
        let caller = Caller {
            permissions: reader,
            ..self.caller(receiver).await?
        };
        self.with_resources(&caller, &base_url, events).await
    }

    /// A reader of the receiver's tenant, with its schemas as they are now.
    async fn caller(&self, receiver: &Receiver) -> Result<Caller, Fault> {
        let tenant = self.tenants.find_tenant(&receiver.tenant_name).await?;
        let tenant = tenant.ok_or_else(|| Fault::new("the tenant of a receiver is gone"))?;
        self.directory
            .caller(
                Arc::new(tenant),
                "events".into(),
                Permissions::of(&[Scope::Read]),
            )
            .await
    }

    /// The body of a request to a webhook (Standard Webhooks), and its id.
    pub fn webhook(receiver: &Receiver, told: &[WithResource], now: Timestamp) -> Message {
        let with_values = receiver.settings.detail == Detail::Full;
        let json = |(event, resource): &WithResource| {
            event.to_json(resource.as_deref().filter(|_| with_values))
        };
        let events: Vec<_> = told.iter().map(json).collect();
        let body = json!({
            "type": "rollcall.events",
            "timestamp": now.to_string(),
            "data": {"tenant": receiver.tenant_name, "receiver": receiver.name, "events": events},
        });
        let first = told
            .first()
            .map(|(event, _)| event.id())
            .unwrap_or_default();
        let id = if told.len() > 1 {
            format!("{first}+{}", told.len() - 1)
        } else {
            first
        };
        Message::Webhook {
            id,
            body: body.to_string(),
        }
    }

    /// An event as a signed token.
    pub async fn token(
        &self,
        receiver: &Receiver,
        (event, resource): &WithResource,
        now: Timestamp,
    ) -> Result<String, Fault> {
        let path = path(
            &self.caller(receiver).await?.schemas,
            &event.resource_type,
            &event.resource_id,
        );
        let issuer = self.issuer(&receiver.tenant_name);
        let envelope = Envelope {
            issuer: &issuer,
            audience: receiver.audience(),
            now,
            path: &path,
        };
        let claims = claims(
            event,
            resource.as_deref(),
            receiver.settings.detail,
            envelope,
        );
        self.keys
            .sign(receiver.tenant, TOKEN_TYPE, &claims, now)
            .await
    }

    /// A message about no resource, which shows whether a receiver can be reached and trusts us. Its event is that of the Shared Signals Framework.
    pub async fn test(
        &self,
        receiver: &Receiver,
        id: Uuid,
        now: Timestamp,
    ) -> Result<Message, Fault> {
        if receiver.kind == ReceiverKind::Webhook {
            let body = json!({
                "type": "rollcall.test",
                "timestamp": now.to_string(),
                "data": {"tenant": receiver.tenant_name, "receiver": receiver.name, "events": []},
            });
            return Ok(Message::Webhook {
                id: format!("test-{}", id.simple()),
                body: body.to_string(),
            });
        }
        let claims = json!({
            "iss": self.issuer(&receiver.tenant_name),
            "iat": now.as_second(),
            "jti": format!("test-{}", id.simple()),
            "aud": receiver.audience(),
            "sub_id": {"format": "opaque", "id": receiver.name},
            "events": {"https://schemas.openid.net/secevent/ssf/event-type/verification": {"state": id.simple().to_string()}},
        });
        self.keys
            .sign(receiver.tenant, TOKEN_TYPE, &claims, now)
            .await
            .map(Message::Token)
    }

    /// The `iss` of a tenant's tokens: the tenant's URL on this server.
    pub fn issuer(&self, tenant: &str) -> String {
        format!("{}/t/{tenant}", self.public_url)
    }

    /// Each event with its resource as it is now and as this reader may see it, where it still exists. Reads each resource once for all events about it.
    pub async fn with_resources(
        &self,
        caller: &Caller,
        base_url: &str,
        events: Vec<LoggedEvent>,
    ) -> Result<Vec<WithResource>, Fault> {
        let mut read: HashMap<String, Option<Arc<Map<String, Value>>>> = HashMap::new();
        let mut told = Vec::with_capacity(events.len());
        for event in events {
            if event.kind == Kind::Delete {
                told.push((event, None));
                continue;
            }
            if !read.contains_key(&event.resource_id) {
                let found = self.resource(caller, base_url, &event).await?.map(Arc::new);
                read.insert(event.resource_id.clone(), found);
            }
            let found = read.get(&event.resource_id).cloned().flatten();
            told.push((event, found));
        }
        Ok(told)
    }

    async fn resource(
        &self,
        caller: &Caller,
        base_url: &str,
        event: &LoggedEvent,
    ) -> Result<Option<Map<String, Value>>, Fault> {
        let (tenant, schemas) = (caller.tenant.id, &caller.schemas);
        let Some(schema) = schemas.by_name(&event.resource_type) else {
            return Ok(None);
        };
        let has_members = schema.core_attribute("members").is_some();
        let members = has_members
            && !self
                .store
                .has_more_members_than(tenant, &event.resource_id, MEMBERS_TOLD_MAX)
                .await?;
        let include = Include {
            members,
            groups: schema.core_attribute("groups").is_some(),
        };
        let Some(mut found) = self
            .store
            .read(tenant, &event.resource_type, &event.resource_id, include)
            .await?
        else {
            return Ok(None);
        };
        hide_names(&caller.permissions, &mut found);
        let locate = |resource_type: &str, id: &str| {
            format!("{base_url}{}", path(schemas, resource_type, id))
        };
        let mut document = found.into_located_document(&locate);
        Projection::default().apply(schema, &mut document);
        Ok(Some(document))
    }
}

/// The path of a resource below the base URL.
pub fn path(schemas: &SchemaSet, resource_type: &str, id: &str) -> String {
    let endpoint = schemas.by_name(resource_type).map_or_else(
        || format!("/{resource_type}s"),
        |schema| schema.resource_type.endpoint.clone(),
    );
    format!("/{}/{id}", endpoint.trim_start_matches('/'))
}
