//! Queries and `.search` (RFC 7644 sections 3.4.2 and 3.4.3), of one resource type or of all.

use std::sync::Arc;

use axum::response::Response;
use directory::search::{Page, Sort, plan};
use directory::store::Include;
use http::StatusCode;
use scim_protocol::messages::{SearchRequest, list_response};
use scim_protocol::projection::Projection;
use scim_protocol::{AttributePath, Error, ErrorKind, Filter, TypeSchema};

use super::Call;
use super::render::json;
use super::resources::include;
use crate::refusal::Failure;

/// `GET /Users?...`, or the base URL itself.
pub(super) async fn query(call: Call, schema: Option<Arc<TypeSchema>>) -> Result<Response, Failure> {
    let query = call.query();
    let request = SearchRequest::from_query(query.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
    search(call, schema, request).await
}

/// `POST /Users/.search`, or `/.search`.
pub(super) async fn message(mut call: Call, schema: Option<Arc<TypeSchema>>) -> Result<Response, Failure> {
    let body = call.read_body(call.state.options.body_bytes_max).await?;
    search(call, schema, SearchRequest::from_body(body)?).await
}

async fn search(call: Call, schema: Option<Arc<TypeSchema>>, request: SearchRequest) -> Result<Response, Failure> {
    let directory = &call.state.directory;
    let options = &call.state.options;
    // At the base URL, what the caller may not read is not there.
    let readable = || call.caller.schemas.types().iter().filter(|schema| call.caller.permissions.covers(schema.name())).cloned().collect();
    let types: Vec<Arc<TypeSchema>> = schema.map_or_else(readable, |schema| vec![schema]);
    let projection = Projection::new(&request.attributes, &request.excluded_attributes)?;
    let filter = request.filter.as_deref().map(|text| Filter::parse(text, options.filter)).transpose()?;
    let sort = request.sort_by.as_deref().map(|text| sort(text, request.descending)).transpose()?;
    let page = Page {
        offset: request.start_index.saturating_sub(1),
        limit: request.count.unwrap_or(options.page_size_default).min(options.page_size_max),
    };
    let shown = types.iter().map(|schema| include(schema, &projection)).reduce(either).unwrap_or_default();
    let found = directory.search(&call.caller, plan(&types, filter, sort, page, shown)?).await?;
    let view = call.view(&projection);
    let documents = found.resources.into_iter().filter_map(|resource| {
        let schema = call.caller.schemas.by_name(&resource.resource_type)?;
        Some(view.document(schema, resource))
    });
    Ok(json(StatusCode::OK, &list_response(found.total_results, request.start_index, documents.collect())))
}

fn sort(path: &str, descending: bool) -> Result<Sort, Error> {
    let path = AttributePath::parse(path).map_err(|error| {
        Error::new(ErrorKind::InvalidValue, format!("`sortBy` is `{path}`, which is not an attribute name: {error}")).at("sortBy")
    })?;
    Ok(Sort { path, descending })
}

fn either(a: Include, b: Include) -> Include {
    Include { members: a.members || b.members, groups: a.groups || b.groups }
}
