//! `ServiceProviderConfig`, `ResourceTypes` and `Schemas` (RFC 7644 section 4). What they say is made from what is enforced.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::response::Response;
use directory::Directory;
use directory::access::Caller;
use http::StatusCode;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use scim_protocol::discovery::{self, Capabilities};
use scim_protocol::messages::list_response;
use scim_protocol::schema::group_member::shown;
use scim_protocol::schema::optional::restricted;
use scim_protocol::{Error, ErrorKind, SchemaSet};
use serde_json::{Map, Value};

use super::render::{empty, json, with_tag};
use super::{Call, query};
use crate::refusal::Failure;
use crate::state::State;

/// What only a caller of the tenant is told.
#[derive(Clone, Copy, Default)]
pub(super) struct Known<'a> {
    /// The tenant's types, as they are listed.
    pub types: Option<&'a SchemaSet>,
    /// Whether the tenant has OAuth clients.
    pub takes_client_credentials: bool,
    /// Whether the tenant has a receiver of Security Event Tokens (RFC 9967).
    pub sends_tokens: bool,
}

/// The same for everybody, so no caller is needed; whoever is known also learns which kinds of resources the tenant has, whether it has OAuth
/// clients, and which events it is told of.
pub(super) fn service_provider_config(
    state: &State,
    base_url: &str,
    parts: &Parts,
    known: Known<'_>,
) -> Result<Response, Failure> {
    refuse_filter(&query(parts))?;
    let options = &state.options;
    let capabilities = Capabilities {
        bulk_operations_max: options.bulk_operations_max,
        bulk_body_bytes_max: options.large_body_bytes_max,
        page_size_max: usize::try_from(options.page_size_max).unwrap_or(usize::MAX),
        page_size_default: usize::try_from(options.page_size_default).unwrap_or(usize::MAX),
        takes_client_credentials: known.takes_client_credentials,
        cursor_seconds_max: state.directory.cursor_seconds(),
        events: known.sends_tokens,
    };
    let mut config = discovery::service_provider_config(&capabilities, base_url);
    if let Some(types) = known.types {
        discovery::announce_types(&mut config, types);
    }
    tagged(parts, &config)
}

/// The tenant's types as a request of one of them, or of the list, sees them: the list leaves out quiet ones that are not used.
pub(super) async fn visible(
    directory: &Directory,
    caller: &Caller,
    id: Option<&str>,
) -> Result<SchemaSet, Failure> {
    let set = if id.is_some() {
        caller.schemas.clone()
    } else {
        directory.listed(caller).await?
    };
    // A type that the token is not for is not there for its bearer.
    let set = restricted(&set, |schema| caller.permissions.covers(schema.name()));
    // A client that tries every type it finds has to know what a membership is, so the experimental one is shown only where the tenant says so.
    Ok(if caller.tenant.settings.announce_group_members {
        shown(&set)
    } else {
        set
    })
}

pub(super) fn resource_types(
    call: &Call,
    types: &SchemaSet,
    id: Option<&str>,
) -> Result<Response, Failure> {
    let mut documents = discovery::resource_types(types, &call.base_url);
    // A type that the token is not for is not there for its bearer.
    documents.retain(|document| {
        document
            .get("name")
            .and_then(Value::as_str)
            .is_none_or(|name| call.caller.permissions.covers(name))
    });
    list_or_one(call, documents, id)
}

pub(super) fn schemas(
    call: &Call,
    types: &SchemaSet,
    id: Option<&str>,
) -> Result<Response, Failure> {
    list_or_one(call, discovery::schemas(types, &call.base_url), id)
}

fn list_or_one(
    call: &Call,
    documents: Vec<Map<String, Value>>,
    id: Option<&str>,
) -> Result<Response, Failure> {
    refuse_filter(&query(&call.parts))?;
    let Some(id) = id else {
        return tagged(
            &call.parts,
            &list_response(documents.len() as u64, 1, documents),
        );
    };
    let is_it = |document: &&Map<String, Value>| {
        document
            .get("id")
            .and_then(Value::as_str)
            .is_some_and(|own| own.eq_ignore_ascii_case(id))
    };
    match documents.iter().find(is_it) {
        Some(document) => tagged(&call.parts, document),
        None => Err(Error::new(
            ErrorKind::NotFound,
            format!("There is no `{id}` here; without it the path shows all that there are."),
        )
        .into()),
    }
}

/// These documents have no version of their own, so their entity tag is made from what they say (RFC 9110 section 8.8.3).
fn tagged(parts: &Parts, document: &impl serde::Serialize) -> Result<Response, Failure> {
    let response = json(StatusCode::OK, document);
    let text = serde_json::to_string(document).unwrap_or_default();
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let tag = format!("W/\"{:016x}\"", hasher.finish());
    let names_it = |name| {
        let value = parts
            .headers
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())?;
        let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        Some(value.trim() == "*" || value.split(',').any(|one| opaque(one) == opaque(&tag)))
    };
    if names_it(IF_MATCH) == Some(false) {
        let detail = "The document is not in the version that `If-Match` names.";
        return Err(Error::new(ErrorKind::PreconditionFailed, detail).into());
    }
    let response = if names_it(IF_NONE_MATCH) == Some(true) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        response
    };
    Ok(with_tag(response, &tag))
}

/// RFC 7644 section 4: a filter on these endpoints is refused, so that nobody takes everything for what they asked for.
fn refuse_filter(query: &[(String, String)]) -> Result<(), Failure> {
    if query
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("filter"))
    {
        return Err(Error::new(
            ErrorKind::Forbidden,
            "This endpoint does not take filters; it shows all that there is.",
        )
        .into());
    }
    Ok(())
}
