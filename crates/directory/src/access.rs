//! Who is calling.

use std::sync::Arc;

use crate::tenant::Tenant;

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The tenant it may see.
    pub tenant: Arc<Tenant>,
    /// The public id of its token, or of the program's own hand (`command-line`).
    pub credential_id: String,
}
