//! `/GroupMembers`: direct memberships as resources of their own (draft-zollner-scim-group-members, experimental). They never change: a membership is made,
//! read and ended.

use std::sync::Arc;

use axum::response::Response;
use directory::directory::MembershipSearch;
use directory::store::Membership;
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use scim_protocol::messages::{SearchRequest, cursor_head, list_head};
use scim_protocol::projection::Projection;
use scim_protocol::schema::group_member::group_member;
use scim_protocol::{Error, ErrorKind, Filter, TypeSchema};
use serde_json::{Map, Value};

use super::Call;
use super::render::{empty, json, with_version};
use super::resources::{expected, unchanged};
use super::search::sort;
use crate::refusal::Failure;

/// A membership never changes.
const VERSION: u64 = 1;

fn schema() -> Result<&'static TypeSchema, Failure> {
    group_member().map(AsRef::as_ref).ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            "Memberships are not offered as resources.",
        )
        .into()
    })
}

pub(super) async fn query(call: Call) -> Result<Response, Failure> {
    let query = call.query();
    let request = SearchRequest::from_query(
        query
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    )?;
    list(call, request).await
}

pub(super) async fn message(mut call: Call) -> Result<Response, Failure> {
    let request = call.search_request()?;
    list(call, request).await
}

async fn list(call: Call, request: SearchRequest) -> Result<Response, Failure> {
    let schema = schema()?;
    let options = &call.state.options;
    let projection = Projection::new(&request.attributes, &request.excluded_attributes)?;
    let search = MembershipSearch {
        filter: request
            .filter
            .as_deref()
            .map(|text| Filter::parse(text, options.filter))
            .transpose()?,
        offset: request.start_index.saturating_sub(1),
        limit: request
            .count
            .unwrap_or(options.page_size_default)
            .min(options.page_size_max),
        cursor: request.cursor.clone(),
        sort: request
            .sort_by
            .as_deref()
            .map(|text| sort(text, request.descending))
            .transpose()?,
    };
    let page = call
        .directory
        .memberships(&call.caller, schema, search)
        .await?;
    let mut list = match request.cursor {
        Some(_) => cursor_head(page.total_results, page.next_cursor, page.memberships.len()),
        None => list_head(
            page.total_results.unwrap_or_default(),
            request.start_index,
            page.memberships.len(),
        ),
    };
    let shown = page
        .memberships
        .iter()
        .map(|membership| Value::Object(document(&call, schema, &projection, membership)));
    list.insert("Resources".into(), shown.collect());
    Ok(json(StatusCode::OK, &list))
}

pub(super) async fn create(mut call: Call) -> Result<Response, Failure> {
    let projection = call.projection_of_written(&[])?;
    let body = call.json(None)?;
    let made = call
        .directory
        .create_membership(&call.caller, &body)
        .await?;
    answer(&call, StatusCode::CREATED, &projection, &made)
}

pub(super) async fn read(call: Call, id: String) -> Result<Response, Failure> {
    let projection = call.projection(&[])?;
    let found = call.directory.membership(&call.caller, &id).await?;
    if unchanged(&call.parts.headers, VERSION)? {
        return Ok(with_version(empty(StatusCode::NOT_MODIFIED), VERSION));
    }
    answer(&call, StatusCode::OK, &projection, &found)
}

pub(super) async fn delete(call: Call, id: String) -> Result<Response, Failure> {
    let expected = expected(&call.parts.headers);
    if !expected.is_anything() {
        call.directory.membership(&call.caller, &id).await?;
        expected.check(VERSION)?;
    }
    call.directory.delete_membership(&call.caller, &id).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

fn answer(
    call: &Call,
    status: StatusCode,
    projection: &Projection,
    membership: &Membership,
) -> Result<Response, Failure> {
    let schema = schema()?;
    let mut response = json(status, &document(call, schema, projection, membership));
    if let Ok(location) =
        HeaderValue::try_from(call.view(projection).location(schema, &membership.id()))
    {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(with_version(response, VERSION))
}

fn document(
    call: &Call,
    schema: &TypeSchema,
    projection: &Projection,
    membership: &Membership,
) -> Map<String, Value> {
    let view = call.view(projection);
    let locate = |resource_type: &str, id: &str| {
        let schema: Option<&Arc<TypeSchema>> = call.caller.schemas.by_name(resource_type);
        schema.map_or_else(String::new, |schema| view.location(schema, id))
    };
    let mut document = membership.to_document(schema, Some(&locate));
    if let Some(Value::Object(meta)) = document.get_mut("meta") {
        meta.insert(
            "location".into(),
            view.location(schema, &membership.id()).into(),
        );
        meta.insert(
            "version".into(),
            directory::version::version_tag(VERSION).into(),
        );
    }
    projection.apply(schema, &mut document);
    document
}
