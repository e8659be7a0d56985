//! Tenants: one customer's isolated directory each.

use jiff::Timestamp;
use scim_protocol::{Error, ErrorKind};
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
    /// Raised with everything that changes how requests of the tenant are answered: settings, schemas, revoked tokens. What is remembered of a tenant
    /// is good as long as this is the same.
    pub revision: i64,
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

/// Refuses (`invalidValue`) a name that cannot be a part of a URL: accepted are 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at
/// both ends.
pub fn check_name(name: &str) -> Result<(), Error> {
    let characters = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let edges = !name.starts_with('-') && !name.ends_with('-');
    if characters && edges && (1..=63).contains(&name.len()) {
        return Ok(());
    }
    let detail = format!(
        "`{name}` cannot be the name of a tenant; accepted are 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends."
    );
    Err(Error::new(ErrorKind::InvalidValue, detail).at("name"))
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn names_of_tenants_fit_into_a_url() {
        let check = |name: &str, accepted: bool| assert_eq!(check_name(name).is_ok(), accepted, "{name}");
        check("acme", true);
        check("acme-2", true);
        check("Acme", false);
        check("", false);
        check("-a", false);
        check("a/b", false);
        check(&"a".repeat(63), true);
        check(&"a".repeat(64), false);
    }
}
