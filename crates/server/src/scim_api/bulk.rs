//! `POST /Bulk` (RFC 7644 section 3.7): the request read, the answers rendered. Order and references are decided in `directory`.

use axum::response::Response;
use directory::directory::BulkAnswer;
use directory::version::version_tag;
use http::StatusCode;
use scim_protocol::messages::{BulkMethod, BulkOutcome, BulkRequest, BulkResponse};
use scim_protocol::projection::Projection;
use scim_protocol::quirk::normalize_bulk;

use super::Call;
use super::render::json;
use super::view::View;
use crate::authenticate::spend_more;
use crate::refusal::{Failure, error_of};
use crate::request_id::RequestId;

pub(super) async fn bulk(mut call: Call) -> Result<Response, Failure> {
    let mut body = call.json(Some(call.state.options.bulk_operations_max))?;
    call.trace
        .journal
        .also_adapted(normalize_bulk(&call.quirks(), &mut body));
    let request = BulkRequest::from_body(body)?;
    spend_more(&call.state, &call.caller, request.operations.len());
    let answers = call.directory.bulk(&call.caller, request).await;
    let view = call.view(&Projection::Default);
    let request_id = call
        .parts
        .extensions
        .get::<RequestId>()
        .map(RequestId::as_str)
        .unwrap_or_default();
    let outcomes = answers
        .into_iter()
        .map(|answer| outcome(answer, &view, request_id))
        .collect();
    Ok(json(StatusCode::OK, &BulkResponse::new(outcomes)))
}

/// A body is only shown where something went wrong (RFC 7644 section 3.7.3).
fn outcome(answer: BulkAnswer, view: &View<'_>, request_id: &str) -> BulkOutcome {
    let BulkAnswer {
        method,
        bulk_id,
        resource,
        outcome,
    } = answer;
    let location = resource.map(|(schema, id)| view.location(&schema, &id));
    match outcome {
        Ok(version) => {
            let status = match method {
                Some(BulkMethod::Post) => StatusCode::CREATED,
                Some(BulkMethod::Delete) => StatusCode::NO_CONTENT,
                _ => StatusCode::OK,
            };
            let version = (version > 0).then(|| version_tag(version));
            BulkOutcome {
                method,
                bulk_id,
                version,
                location,
                status: status.as_u16(),
                response: None,
            }
        }
        Err(error) => {
            let error = error_of(error, request_id);
            BulkOutcome {
                method,
                bulk_id,
                version: None,
                location,
                status: error.kind().status(),
                response: Some(error.to_json()),
            }
        }
    }
}
