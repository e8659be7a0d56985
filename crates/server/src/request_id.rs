//! The id by which a request is found in the log.

use std::sync::Arc;

use uuid::Uuid;

/// Of one request.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    pub fn new(id: Uuid) -> Self {
        Self(id.to_string().into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}
