//! Tenants: one customer's isolated directory each.

use jiff::Timestamp;
use scim_protocol::profile::DEFAULT_PROFILE;
use scim_protocol::{Error, ErrorKind, Profile};
use serde::{Deserialize, Serialize};

use crate::deletion_guard::GuardSettings;

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
#[expect(clippy::struct_excessive_bools, reason = "switches that have nothing to do with each other")]
pub struct TenantSettings {
    /// The client profile (`scim_protocol::profile`) of callers that have none of their own.
    #[serde(alias = "quirks")]
    pub profile: String,
    /// What PATCH answers with, where the request does not name attributes.
    #[serde(alias = "patch_returns_resource", deserialize_with = "patch_response")]
    pub patch_response: PatchResponse,
    /// Whether a token that was good before is looked at also while others guess tokens from the same address (else everybody there waits).
    pub lockout_spares_known_tokens: bool,
    /// How long entries of the request log are kept, in days; 0: requests are not written down.
    pub request_log_days: u32,
    /// Whether nobody is answered and no application is told anything; everything stays. Set by `TenantLife`.
    pub suspended: bool,
    /// Whether the experimental type `GroupMember` is among the resource types and schemas that are shown; `/GroupMembers` answers either way.
    pub announce_group_members: bool,
    /// How long what was is kept, in days; 0: not at all.
    pub history_days: u32,
    /// The guard on disables, deletes and membership removals that come in.
    pub guard: GuardSettings,
    /// Whether a POST with the `externalId` or `userName` of a deleted resource gives it its id back. This and the next two: `None` means as the
    /// client's profile says; the profile `strict` never does any of it.
    pub revive_deleted: Option<bool>,
    /// Whether a POST with the `externalId` or `userName` of a User whose `active` is false makes that one active again.
    pub revive_disabled: Option<bool>,
    /// Whether a POST that revived something answers 200 (else 201).
    pub revive_answers_200: bool,
    /// Whether members and managers that are not there yet are accepted, and wait.
    pub pending_references: Option<bool>,
}

/// What PATCH answers with, where the request does not name attributes (RFC 7644 section 3.5.2 leaves it open).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PatchResponse {
    /// 200 with the resource and its members; but 204 where only members of a group of more than 100 changed, so that no write's cost depends on the size
    /// of a group.
    #[default]
    Automatic,
    /// 200 with the resource and all of its members.
    WithMembers,
    /// 200 with the resource without its members.
    WithoutMembers,
    /// 204.
    NoContent,
}

impl PatchResponse {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Automatic, Self::WithMembers, Self::WithoutMembers, Self::NoContent];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::WithMembers => "with-members",
            Self::WithoutMembers => "without-members",
            Self::NoContent => "no-content",
        }
    }
}

/// Settings of older databases have a boolean: whether there is a resource in the answer.
fn patch_response<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<PatchResponse, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Old(bool),
        New(PatchResponse),
    }
    Ok(match Stored::deserialize(deserializer)? {
        Stored::Old(true) => PatchResponse::Automatic,
        Stored::Old(false) => PatchResponse::NoContent,
        Stored::New(response) => response,
    })
}

impl Default for TenantSettings {
    fn default() -> Self {
        Self {
            profile: DEFAULT_PROFILE.into(),
            patch_response: PatchResponse::default(),
            lockout_spares_known_tokens: true,
            request_log_days: 30,
            suspended: false,
            announce_group_members: false,
            history_days: 30,
            guard: GuardSettings::default(),
            revive_deleted: None,
            revive_disabled: None,
            revive_answers_200: false,
            pending_references: None,
        }
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
    fn settings_of_older_databases_are_understood() {
        let check = |text: &str, expected: PatchResponse| {
            let settings: TenantSettings = serde_json::from_str(text).unwrap();
            assert_eq!(settings.patch_response, expected, "{text}");
        };
        check("{}", PatchResponse::Automatic);
        check(r#"{"quirks":"strict","patch_returns_resource":true}"#, PatchResponse::Automatic);
        check(r#"{"patch_returns_resource":false}"#, PatchResponse::NoContent);
        for response in PatchResponse::ALL {
            check(&format!(r#"{{"patch_response":"{}"}}"#, response.name()), response);
        }
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
