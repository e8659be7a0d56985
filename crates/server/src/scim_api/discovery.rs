//! `ServiceProviderConfig`, `ResourceTypes` and `Schemas` (RFC 7644 section 4). What they say is made from what is enforced.

use axum::response::Response;
use http::StatusCode;
use scim_protocol::discovery::{self, Capabilities};
use scim_protocol::messages::list_response;
use scim_protocol::{Error, ErrorKind};
use serde_json::{Map, Value};

use super::Call;
use super::render::json;
use crate::refusal::Failure;

pub(super) fn service_provider_config(call: &Call) -> Result<Response, Failure> {
    refuse_filter(call)?;
    let options = &call.state.options;
    let capabilities = Capabilities {
        bulk_operations_max: options.bulk_operations_max,
        bulk_body_bytes_max: options.large_body_bytes_max,
        page_size_max: usize::try_from(options.page_size_max).unwrap_or(usize::MAX),
    };
    Ok(json(StatusCode::OK, &discovery::service_provider_config(&capabilities, &call.base_url)))
}

pub(super) fn resource_types(call: &Call, id: Option<&str>) -> Result<Response, Failure> {
    list_or_one(call, discovery::resource_types(&call.caller.schemas, &call.base_url), id)
}

pub(super) fn schemas(call: &Call, id: Option<&str>) -> Result<Response, Failure> {
    list_or_one(call, discovery::schemas(&call.caller.schemas, &call.base_url), id)
}

fn list_or_one(call: &Call, documents: Vec<Map<String, Value>>, id: Option<&str>) -> Result<Response, Failure> {
    refuse_filter(call)?;
    let Some(id) = id else {
        return Ok(json(StatusCode::OK, &list_response(documents.len() as u64, 1, documents)));
    };
    let is_it = |document: &&Map<String, Value>| document.get("id").and_then(Value::as_str).is_some_and(|own| own.eq_ignore_ascii_case(id));
    match documents.iter().find(is_it) {
        Some(document) => Ok(json(StatusCode::OK, document)),
        None => {
            Err(Error::new(ErrorKind::NotFound, format!("There is no `{id}` here; without it the path shows all that there are.")).into())
        }
    }
}

/// RFC 7644 section 4: a filter on these endpoints is refused, so that nobody takes everything for what they asked for.
fn refuse_filter(call: &Call) -> Result<(), Failure> {
    if call.query().iter().any(|(name, _)| name.eq_ignore_ascii_case("filter")) {
        return Err(Error::new(ErrorKind::Forbidden, "This endpoint does not take filters; it shows all that there is.").into());
    }
    Ok(())
}
