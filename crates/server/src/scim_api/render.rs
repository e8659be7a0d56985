//! From resources to responses: location, projection, `ETag`. Does not decide what is in a resource.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use directory::Directory;
use directory::access::Caller;
use directory::directory::MoreMembers;
use directory::document::Document;
use directory::store::StoredResource;
use directory::version::version_tag;
use http::header::{CONTENT_LOCATION, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderValue, StatusCode};
use scim_protocol::TypeSchema;
use scim_protocol::projection::Projection;
use serde::Serialize;
use serde_json::{Map, Value};

use super::pieces::{Later, Pieces};
use crate::refusal::SCIM_JSON;

/// A view on resources: under which URL, and how much of them.
pub(crate) struct View<'a> {
    /// The base URL the caller used, without a slash at its end.
    pub base_url: &'a str,
    /// Who asked; their tenant's resource types are for references.
    pub caller: &'a Caller,
    /// What the caller wants to see.
    pub projection: &'a Projection,
    /// Where members come from that are sent later.
    pub directory: &'a Directory,
}

impl View<'_> {
    /// Where a resource is.
    pub fn location(&self, schema: &TypeSchema, id: &str) -> String {
        let endpoint = &schema.resource_type.endpoint;
        let slash = if endpoint.starts_with('/') { "" } else { "/" };
        format!("{}{slash}{endpoint}/{id}", self.base_url)
    }

    /// The resource as the caller sees it: what it holds, and what the directory says of it.
    pub fn halves(
        &self,
        schema: &TypeSchema,
        resource: StoredResource,
    ) -> (Document, Map<String, Value>) {
        let locate =
            |resource_type: &str, id: &str| match self.caller.schemas.by_name(resource_type) {
                Some(schema) => self.location(schema, id),
                None => String::new(),
            };
        let shows_names = self.caller.tenant.settings.member_display;
        // Empty where the caller may not read who the member is.
        let names: Vec<String> = resource
            .members
            .iter()
            .filter(|_| shows_names)
            .map(|member| member.display.clone())
            .collect();
        let (mut document, mut said) = resource.into_halves(Some(&locate));
        let elements = said
            .get_mut("members")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut);
        for (element, name) in elements.zip(names).filter(|(_, name)| !name.is_empty()) {
            element.insert("display".to_owned(), name.into());
        }
        let is_group = schema
            .core_attribute("members")
            .is_some_and(|members| members.multi_valued);
        if is_group && self.caller.tenant.settings.empty_members && !said.contains_key("members") {
            said.insert("members".to_owned(), Value::Array(Vec::new()));
        }
        // Most are answered with the text that is stored; a tree is only made of what has something to hide.
        if !self.projection.keeps_all_of(schema, document.text()) {
            let mut tree = document.into_tree();
            self.projection.apply(schema, &mut tree);
            document = tree.into();
        }
        self.projection.apply(schema, &mut said);
        (document, said)
    }

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
