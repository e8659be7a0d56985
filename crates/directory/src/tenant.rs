//! Tenants: one customer's isolated directory each.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The store's key of a tenant; never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(pub i64);

/// A tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// The store's key.
    pub id: TenantId,
    /// Its name in URLs: lower-case letters, digits and hyphens, 1 to 63.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Its switches.
    pub settings: TenantSettings,
}

/// Switches of a tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantSettings {
    /// Which set of quirks its clients get: `standard` or `strict`.
    pub quirks: String,
    /// Whether PATCH answers 200 with the resource (else 204).
    pub patch_returns_resource: bool,
}

impl Default for TenantSettings {
    fn default() -> Self {
        Self { quirks: "standard".into(), patch_returns_resource: true }
    }
}
