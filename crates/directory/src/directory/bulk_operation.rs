//! One operation of a bulk request: the resource that its path names, and the answer to it. Carries out nothing.

use std::collections::HashMap;
use std::sync::Arc;

use scim_protocol::messages::{BulkMethod, BulkOperation};
use scim_protocol::{Error, ErrorKind, TypeSchema};

use super::DirectoryError;
use crate::access::Caller;
use crate::bulk::resolve_id;

/// What became of one operation.
#[derive(Debug)]
pub struct BulkAnswer {
    /// Its method, where it had one.
    pub method: Option<BulkMethod>,
    /// The client's name for it.
    pub bulk_id: Option<String>,
    /// The type and the id of the resource, as far as they are known.
    pub resource: Option<(Arc<TypeSchema>, String)>,
    /// The version the resource has now (0 after a delete), or why not.
    pub outcome: Result<u64, DirectoryError>,
}

/// An operation whose path is understood.
pub(super) struct Target {
    pub schema: Arc<TypeSchema>,
    pub id: Option<String>,
}

pub(super) fn target(
    caller: &Caller,
    operation: &BulkOperation,
    ids: &HashMap<String, String>,
) -> Result<Target, Error> {
    let mut segments = operation
        .path
        .split('/')
        .filter(|segment| !segment.is_empty());
    let schema = segments
        .next()
        .and_then(|endpoint| caller.schemas.by_endpoint(endpoint));
    let (Some(schema), id, None) = (schema, segments.next(), segments.next()) else {
        let detail = format!(
            "The path `{}` leads nowhere; use a resource type's endpoint, with or without an id.",
            operation.path
        );
        return Err(Error::new(ErrorKind::NotFound, detail).at("path"));
    };
    let id = id.map(|segment| resolve_id(segment, ids)).transpose()?;
    Ok(Target {
        schema: schema.clone(),
        id,
    })
}

pub(super) fn wrong_path(method: BulkMethod, accepted: &str) -> Error {
    Error::new(
        ErrorKind::InvalidValue,
        format!(
            "The path of a bulk operation with {} must be {accepted}.",
            method.name()
        ),
    )
    .at("path")
}
