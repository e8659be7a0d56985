//! From resources to responses: body, `Location`, `ETag`. Does not decide what is in a resource.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use directory::directory::MoreMembers;
use directory::store::StoredResource;
use directory::version::version_tag;
use http::header::{CONTENT_LOCATION, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderValue, StatusCode};
use scim_protocol::TypeSchema;
use serde::Serialize;

use super::pieces::{Later, Pieces};
use super::view::View;
use crate::refusal::SCIM_JSON;

impl View<'_> {
    /// A response with one resource: body, `Location`, `Content-Location` and `ETag`. Members that were not read yet follow while it is sent.
    pub fn response(
        &self,
        status: StatusCode,
        schema: &Arc<TypeSchema>,
        resource: StoredResource,
        more: Option<MoreMembers>,
    ) -> Response {
        let version = resource.version;
        let location = self.location(schema, &resource.id);
        let mut body = Pieces::default();
        body.resource(schema, self.halves(schema, resource), more);
        let mut response = self.sent(status, body);
        // Ids are hexadecimal and base URLs are checked, so both are header values.
        if let Ok(location) = HeaderValue::try_from(location) {
            // `meta.location` is also the `Content-Location` (RFC 7643 section 3.1): the body is the resource that is there.
            response
                .headers_mut()
                .insert(CONTENT_LOCATION, location.clone());
            response.headers_mut().insert(LOCATION, location);
        }
        with_version(response, version)
    }

    /// A response with a body in pieces.
    pub fn sent(&self, status: StatusCode, body: Pieces) -> Response {
        let later = || Later {
            directory: self.directory.clone(),
            base_url: self.base_url.to_owned(),
            caller: self.caller.clone(),
            projection: self.projection.clone(),
        };
        let mut response = Response::new(body.into_body(later));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, SCIM_JSON);
        response
    }
}

/// Adds an entity tag.
pub(crate) fn with_tag(mut response: Response, tag: &str) -> Response {
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// Adds the `ETag`.
pub(crate) fn with_version(response: Response, version: u64) -> Response {
    with_tag(response, &version_tag(version))
}

/// A JSON body.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // Maps with string keys and JSON values always can be JSON.
    let mut response = Response::new(Body::from(serde_json::to_vec(body).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, SCIM_JSON);
    response
}

/// No body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
