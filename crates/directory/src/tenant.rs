//! Tenants: one customer's isolated directory each.

use jiff::Timestamp;
use scim_protocol::profile::DEFAULT_PROFILE;
use scim_protocol::{Error, ErrorKind, Profile};
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
    /// The client profile (`scim_protocol::profile`) of callers that have none of their own.
    #[serde(alias = "quirks")]
    pub profile: String,
    /// Whether PATCH answers 200 with the resource (else 204).
    pub patch_returns_resource: bool,
}

impl Default for TenantSettings {
    fn default() -> Self {
        Self { profile: DEFAULT_PROFILE.into(), patch_returns_resource: true }
    }
}

impl TenantSettings {
    /// The profile by its name; where this program does not know it, the default.
    pub fn client_profile(&self) -> Option<&'static Profile> {
        Profile::by_name(&self.profile).or_else(|| Profile::by_name(DEFAULT_PROFILE))
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
    use super::*;

    #[test]
    fn settings_that_older_versions_stored_are_read() {
        let read = |text: &str| serde_json::from_str::<TenantSettings>(text).unwrap();
        assert_eq!(read(r#"{"quirks": "strict", "patch_returns_resource": false}"#).profile, "strict");
        assert_eq!(read("{}"), TenantSettings::default());
        let name = |profile: &str| {
            let settings = TenantSettings { profile: profile.into(), ..TenantSettings::default() };
            settings.client_profile().unwrap().name.clone()
        };
        assert_eq!((name("okta").as_str(), name("from the future").as_str()), ("okta", "standard"));
    }

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
