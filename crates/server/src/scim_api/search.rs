//! Queries and `.search` (RFC 7644 sections 3.4.2 and 3.4.3), of one resource type or of all.

use std::sync::Arc;

use axum::response::Response;
use directory::search::{Page, SearchPlan, Sort, plan};
use directory::store::{Include, StoredResource};
use http::StatusCode;
use scim_protocol::messages::{SearchRequest, cursor_head, list_head};
use scim_protocol::projection::Projection;
use scim_protocol::quirk::{normalize_filter, normalize_sort};
use scim_protocol::{AttributePath, Error, ErrorKind, Filter, TypeSchema};
use serde_json::{Map, Value};

use super::Call;
use super::pieces::Pieces;
use super::resources::include;
use crate::refusal::Failure;

/// `GET /Users?...`, or the base URL itself.
pub(super) async fn query(
    call: Call,
    schema: Option<Arc<TypeSchema>>,
) -> Result<Response, Failure> {
    let query = call.query();
    call.trace.asked(
        &query,
        schema
            .as_ref()
            .map_or_else(|| call.caller.schemas.types(), std::slice::from_ref),
    );
    let request = SearchRequest::from_query(
        query
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    )?;
    search(call, schema, request).await
}

/// `POST /Users/.search`, or `/.search`.
pub(super) async fn message(
    mut call: Call,
    schema: Option<Arc<TypeSchema>>,
) -> Result<Response, Failure> {
    let request = call.search_request()?;
    search(call, schema, request).await
}

async fn search(
    call: Call,
    schema: Option<Arc<TypeSchema>>,
    request: SearchRequest,
) -> Result<Response, Failure> {
    let directory = &call.directory;
    // At the base URL, what the caller may not read is not there.
    let readable = || {
        call.caller
            .schemas
            .types()
            .iter()
            .filter(|schema| call.caller.permissions.covers(schema.name()))
            .cloned()
            .collect()
    };
    let types: Vec<Arc<TypeSchema>> = schema.map_or_else(readable, |schema| vec![schema]);
    let projection = call.projected(&request, &types)?;
    let shown = types
        .iter()
        .map(|schema| include(schema, &projection))
        .reduce(either)
        .unwrap_or_default();
    let plan = planned(&call, &types, &request, shown)?;
    let is_counted = request.cursor.is_none() || plan.clone().by_position(None).is_counted();
    let (found, next) = match &request.cursor {
        Some(cursor) => {
            directory
                .search_by_cursor(&call.caller, plan, cursor)
                .await?
        }
        None => (directory.search(&call.caller, plan).await?, None),
    };
    let list = match &request.cursor {
        Some(_) => cursor_head(
            is_counted.then_some(found.total_results),
            next,
            found.resources.len(),
        ),
        None => list_head(
            found.total_results,
            request.start_index,
            found.resources.len(),
        ),
    };
    listed(call, &projection, shown, &list, found.resources).await
}

/// The plan of a search, with filter and sorting as the caller's profile means them.
fn planned(
    call: &Call,
    types: &[Arc<TypeSchema>],
    request: &SearchRequest,
    shown: Include,
) -> Result<SearchPlan, Error> {
    let (options, journal) = (&call.state.options, &call.trace.journal);
    let mut filter = request
        .filter
        .as_deref()
        .map(|text| Filter::parse(text, options.filter))
        .transpose()?;
    if let Some(filter) = &mut filter {
        journal.also_adapted(normalize_filter(&call.quirks(), types, filter)?);
    }
    let mut sort = request
        .sort_by
        .as_deref()
        .map(|text| sort(text, request.descending))
        .transpose()?;
    if let Some(sort) = &mut sort {
        journal.also_adapted(normalize_sort(&call.quirks(), types, &mut sort.path));
    }
    let page = Page {
        offset: request.start_index.saturating_sub(1),
        limit: request
            .count
            .unwrap_or(options.page_size_default)
            .min(options.page_size_max),
    };
    // Members are read group by group, and those of large groups while the answer is sent.
    let include = Include {
        members: false,
        ..shown
    };
    let plan = plan(types, filter, sort, page, include)?;
    plan.check_cost(options.filter_costly_terms_max)?;
    Ok(plan)
}

/// The list with its resources, which are its last member.
async fn listed(
    call: Call,
    projection: &Projection,
    shown: Include,
    list: &Map<String, Value>,
    resources: Vec<StoredResource>,
) -> Result<Response, Failure> {
    let view = call.view(projection);
    let head = serde_json::to_string(list).unwrap_or_default();
    let mut body = Pieces::default();
    body.text(head.trim_end_matches('}').as_bytes());
    body.text(b",\"Resources\":[");
    let mut separator: &[u8] = b"";
    for mut resource in resources {
        let Some(schema) = call.caller.schemas.by_name(&resource.resource_type) else {
            continue;
        };
        let more = if shown.members && schema.core_attribute("members").is_some() {
            call.directory
                .add_first_members(&call.caller, &mut resource)
                .await?
        } else {
            None
        };
        body.text(separator);
        separator = b",";
        body.resource(schema, view.halves(schema, resource), more);
    }
    body.text(b"]}");
    Ok(view.sent(StatusCode::OK, body))
}

pub(super) fn sort(path: &str, descending: bool) -> Result<Sort, Error> {
    let path = AttributePath::parse(path).map_err(|error| {
        Error::new(
            ErrorKind::InvalidValue,
            format!("`sortBy` is `{path}`, which is not an attribute name: {error}"),
        )
        .at("sortBy")
    })?;
    Ok(Sort { path, descending })
}

fn either(a: Include, b: Include) -> Include {
    Include {
        members: a.members || b.members,
        groups: a.groups || b.groups,
    }
}
