//! One resource: POST, GET, PUT, PATCH, DELETE (RFC 7644 sections 3.3 to 3.6).

use std::sync::Arc;

use axum::response::Response;
use directory::directory::PatchAnswer;
use directory::store::Include;
use directory::version::{Expected, Tags};
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, StatusCode};
use scim_protocol::TypeSchema;
use scim_protocol::messages::SearchRequest;
use scim_protocol::projection::Projection;

use super::Call;
use super::render::{View, empty, with_version};
use crate::refusal::Failure;

pub(super) async fn create(mut call: Call, schema: Arc<TypeSchema>) -> Result<Response, Failure> {
    let projection = call.projection()?;
    let body = call.read_body(call.bytes_max(&schema)).await?;
    let made = call.state.directory.create(&call.caller, &schema, body, include(&schema, &projection)).await?;
    Ok(call.view(&projection).response(StatusCode::CREATED, &schema, made))
}

pub(super) async fn read(call: Call, schema: Arc<TypeSchema>, id: String) -> Result<Response, Failure> {
    let projection = call.projection()?;
    let found = call.state.directory.read(&call.caller, &schema, &id, include(&schema, &projection)).await?;
    if tags(&call.parts.headers, &IF_NONE_MATCH).is_some_and(|tags| tags.name(found.version)) {
        return Ok(with_version(empty(StatusCode::NOT_MODIFIED), found.version));
    }
    if let Some(tags) = tags(&call.parts.headers, &IF_MATCH) {
        Expected { if_match: Some(tags), if_none_match: None }.check(found.version)?;
    }
    Ok(call.view(&projection).response(StatusCode::OK, &schema, found))
}

pub(super) async fn replace(mut call: Call, schema: Arc<TypeSchema>, id: String) -> Result<Response, Failure> {
    let projection = call.projection()?;
    let body = call.read_body(call.bytes_max(&schema)).await?;
    let (expected, include) = (expected(&call.parts.headers), include(&schema, &projection));
    let made = call.state.directory.replace(&call.caller, &schema, &id, body, &expected, include).await?;
    Ok(call.view(&projection).response(StatusCode::OK, &schema, made))
}

pub(super) async fn patch(mut call: Call, schema: Arc<TypeSchema>, id: String) -> Result<Response, Failure> {
    let projection = call.projection()?;
    let body = call.read_body(call.bytes_max(&schema)).await?;
    let expected = expected(&call.parts.headers);
    let include = include(&schema, &projection);
    // Who names attributes is to be answered with them (RFC 7644 section 3.5.2).
    let answer = match projection {
        Projection::Default if call.caller.tenant.settings.patch_returns_resource => PatchAnswer::ResourceUnlessLarge(include),
        Projection::Default => PatchAnswer::Version,
        Projection::Only(_) | Projection::Without(_) => PatchAnswer::Resource(include),
    };
    let patched = call.state.directory.patch(&call.caller, &schema, &id, body, &expected, answer).await?;
    Ok(match patched.resource {
        Some(resource) => call.view(&projection).response(StatusCode::OK, &schema, resource),
        None => with_version(empty(StatusCode::NO_CONTENT), patched.version),
    })
}

pub(super) async fn delete(call: Call, schema: Arc<TypeSchema>, id: String) -> Result<Response, Failure> {
    call.state.directory.delete(&call.caller, &schema, &id, &expected(&call.parts.headers)).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Derived attributes that the answer shows.
pub(super) fn include(schema: &TypeSchema, projection: &Projection) -> Include {
    Include { members: projection.wants(schema, "members"), groups: projection.wants(schema, "groups") }
}

fn expected(headers: &HeaderMap) -> Expected {
    Expected { if_match: tags(headers, &IF_MATCH), if_none_match: tags(headers, &IF_NONE_MATCH) }
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<Tags> {
    headers.get(name).map(|value| Tags::parse(value.to_str().unwrap_or_default()))
}

impl Call {
    /// `attributes` and `excludedAttributes`.
    fn projection(&self) -> Result<Projection, Failure> {
        if self.parts.uri.query().is_none_or(str::is_empty) {
            return Ok(Projection::Default);
        }
        let wanted = |name: &str| name.eq_ignore_ascii_case("attributes") || name.eq_ignore_ascii_case("excludedAttributes");
        let query = self.query();
        let pairs = query.iter().filter(|(name, _)| wanted(name)).map(|(name, value)| (name.as_str(), value.as_str()));
        let request = SearchRequest::from_query(pairs)?;
        Ok(Projection::new(&request.attributes, &request.excluded_attributes)?)
    }

    /// Lists of members are long.
    fn bytes_max(&self, schema: &TypeSchema) -> usize {
        let options = &self.state.options;
        if schema.core_attribute("members").is_some() { options.large_body_bytes_max } else { options.body_bytes_max }
    }

    pub(super) fn view<'a>(&'a self, projection: &'a Projection) -> View<'a> {
        View { base_url: &self.base_url, schemas: &self.caller.schemas, projection }
    }
}
