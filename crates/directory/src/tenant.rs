//! Tenants: one customer's isolated directory each.

use jiff::Timestamp;
use scim_protocol::profile::DEFAULT_PROFILE;
use scim_protocol::{Error, ErrorKind, Profile};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::deletion_guard::{GuardSettings, Removal, WINDOW_MINUTES_MAX};

/// The longest that anything is kept, in days.
pub const DAYS_MAX: u32 = 3_650;

/// The store's key of a tenant; never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(pub i64);

impl TenantId {
    /// The key of no tenant; stores count from 1. A look-up under it does as much as any other and finds nothing, so that its time does not tell which
    /// tenants there are.
    pub const NONE: Self = Self(0);
}

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

impl Tenant {
    /// The tenant in which a credential is looked up if the tenant of the request does not exist. It is empty, and looking takes as long as in any other.
    pub fn none() -> Self {
        let settings = TenantSettings::default();
        Self {
            id: TenantId::NONE,
            name: String::new(),
            created: Timestamp::UNIX_EPOCH,
            settings,
            revision: 0,
        }
    }
}

/// Switches of a tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches that have nothing to do with each other"
)]
pub struct TenantSettings {
    /// The client profile (`scim_protocol::profile`) of callers that have none of their own.
    #[serde(alias = "quirks")]
    pub profile: String,
    /// What PATCH answers with, where the request does not name attributes.
    #[serde(alias = "patch_returns_resource", deserialize_with = "patch_response")]
    pub patch_response: PatchResponse,
    /// Whether a token that was good before is checked also while others guess tokens from the same address (if not, every caller there waits).
    pub lockout_spares_known_tokens: bool,
    /// How long entries of the request log are kept, in days; 0: requests are not written down.
    pub request_log_days: u32,
    /// How long lines of the provisioning log are kept, in days.
    pub provisioning_log_days: u32,
    /// Whether the tenant is suspended: every caller is refused, nothing is sent to its applications, and all data stays. Set by `TenantLife`.
    pub suspended: bool,
    /// Whether the experimental type `GroupMember` is among the resource types and schemas that are shown; `/GroupMembers` answers either way.
    pub announce_group_members: bool,
    /// How long the history is kept, in days; 0: not at all.
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
    /// Whether no group may be made or renamed so that two have the same `displayName`. Groups that had the same one before keep it.
    pub unique_group_names: bool,
    /// Whether the answer shows `members: []` for a group that has none, and not no `members` (RFC 7643 section 2.5 takes both for the same).
    pub empty_members: bool,
    /// Whether `members` of a group are answered with their names in `display`, as `/Schemas` lists it.
    pub member_display: bool,
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
    pub const ALL: [Self; 4] = [
        Self::Automatic,
        Self::WithMembers,
        Self::WithoutMembers,
        Self::NoContent,
    ];

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
fn patch_response<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<PatchResponse, D::Error> {
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
            provisioning_log_days: 90,
            suspended: false,
            announce_group_members: false,
            history_days: 30,
            guard: GuardSettings::default(),
            revive_deleted: None,
            revive_disabled: None,
            revive_answers_200: false,
            pending_references: None,
            unique_group_names: true,
            empty_members: false,
            member_display: false,
        }
    }
}

impl TenantSettings {
    /// The profile by its name; where this program does not know it, the default.
    pub fn client_profile(&self) -> Option<&'static Profile> {
        Profile::by_name(&self.profile).or_else(|| Profile::by_name(DEFAULT_PROFILE))
    }

    /// These, with what a merge patch (RFC 7396) changes. Refuses (`invalidValue`) what is no setting or cannot be one, and `suspended`, which has a way
    /// of its own.
    pub fn merged(&self, patch: &Map<String, Value>) -> Result<Self, Error> {
        let refuse = |error: &dyn std::fmt::Display| {
            Error::new(
                ErrorKind::InvalidValue,
                format!("The settings cannot be: {error}."),
            )
        };
        let mut settings = serde_json::to_value(self).map_err(|error| refuse(&error))?;
        merge(&mut settings, patch);
        let merged: Self =
            serde_json::from_value(settings).map_err(|error| refuse(&error).at("settings"))?;
        if merged.suspended != self.suspended {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                "`suspended` is no setting to change; a tenant is suspended and resumed.",
            )
            .at("suspended"));
        }
        merged.check().map(|()| merged)
    }

    /// Refuses (`invalidValue`) a profile that does not exist, and numbers out of their range.
    pub fn check(&self) -> Result<(), Error> {
        let refuse =
            |path: &str, detail: String| Err(Error::new(ErrorKind::InvalidValue, detail).at(path));
        if Profile::by_name(&self.profile).is_none() {
            let known = Profile::all()
                .iter()
                .map(|profile| profile.name.as_str())
                .collect::<Vec<_>>()
                .join("`, `");
            return refuse(
                "profile",
                format!(
                    "There is no client profile `{}`; accepted are `{known}`.",
                    self.profile
                ),
            );
        }
        let kept = [
            ("history_days", self.history_days),
            ("request_log_days", self.request_log_days),
            ("provisioning_log_days", self.provisioning_log_days),
        ];
        for (path, days) in kept {
            if days > DAYS_MAX {
                return refuse(
                    path,
                    format!("`{path}` is {days}; accepted are 0 to {DAYS_MAX}."),
                );
            }
        }
        let minutes = self.guard.window_minutes;
        if !(1..=WINDOW_MINUTES_MAX).contains(&minutes) {
            return refuse(
                "guard.window_minutes",
                format!(
                    "`guard.window_minutes` is {minutes}; accepted are 1 to {WINDOW_MINUTES_MAX}."
                ),
            );
        }
        if let Some(removal) = Removal::ALL
            .into_iter()
            .find(|removal| self.guard.threshold(*removal).percent > 100)
        {
            return refuse(
                "guard",
                format!(
                    "More than 100 percent of kind `{}` cannot be removed; accepted are 0 to 100.",
                    removal.name()
                ),
            );
        }
        Ok(())
    }
}

/// RFC 7396, for members of objects; null removes one, which gives it its default.
fn merge(target: &mut Value, patch: &Map<String, Value>) {
    let Value::Object(target) = target else {
        return;
    };
    for (name, value) in patch {
        match (value, target.get_mut(name)) {
            (Value::Null, _) => drop(target.shift_remove(name)),
            (Value::Object(inner), Some(present)) if present.is_object() => merge(present, inner),
            _ => drop(target.insert(name.clone(), value.clone())),
        }
    }
}

/// Refuses (`invalidValue`) a name that cannot be a part of a URL: accepted are 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at
/// both ends.
pub fn check_name(name: &str) -> Result<(), Error> {
    let characters = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
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
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_that_older_versions_stored_are_read() {
        let read = |text: &str| serde_json::from_str::<TenantSettings>(text).unwrap();
        assert_eq!(
            read(r#"{"quirks": "strict", "patch_returns_resource": false}"#).profile,
            "strict"
        );
        assert_eq!(read("{}"), TenantSettings::default());
        let name = |profile: &str| {
            let settings = TenantSettings {
                profile: profile.into(),
                ..TenantSettings::default()
            };
            settings.client_profile().unwrap().name.clone()
        };
        assert_eq!(
            (name("okta").as_str(), name("from the future").as_str()),
            ("okta", "standard")
        );
    }

    #[test]
    fn settings_of_older_databases_are_understood() {
        let check = |text: &str, expected: PatchResponse| {
            let settings: TenantSettings = serde_json::from_str(text).unwrap();
            assert_eq!(settings.patch_response, expected, "{text}");
        };
        check("{}", PatchResponse::Automatic);
        check(
            r#"{"quirks":"strict","patch_returns_resource":true}"#,
            PatchResponse::Automatic,
        );
        check(
            r#"{"patch_returns_resource":false}"#,
            PatchResponse::NoContent,
        );
        for response in PatchResponse::ALL {
            check(
                &format!(r#"{{"patch_response":"{}"}}"#, response.name()),
                response,
            );
        }
    }

    #[test]
    fn settings_are_changed_in_part() {
        let default = TenantSettings::default();
        let merged = |patch: Value| default.merged(patch.as_object().unwrap());
        let changed = merged(json!({"profile": "okta", "guard": {"deletes": {"count": 5}}, "pending_references": true})).unwrap();
        assert_eq!(
            (
                changed.profile.as_str(),
                changed.guard.deletes.count,
                changed.guard.deletes.percent
            ),
            ("okta", 5, default.guard.deletes.percent)
        );
        assert_eq!(
            (changed.pending_references, changed.guard.disables),
            (Some(true), default.guard.disables)
        );
        let back = changed
            .merged(
                json!({"profile": null, "guard": null, "pending_references": null})
                    .as_object()
                    .unwrap(),
            )
            .unwrap();
        assert_eq!(back, default);
        let refused = |patch: Value, said: &str| {
            let error = merged(patch).unwrap_err();
            assert!(error.detail().contains(said), "{}", error.detail());
        };
        refused(json!({"profile": "none"}), "accepted are `strict`");
        refused(json!({"colour": "red"}), "unknown field `colour`");
        refused(json!({"suspended": true}), "suspended and resumed");
        refused(json!({"history_days": 4_000}), "0 to 3650");
        refused(
            json!({"provisioning_log_days": 3_651}),
            "`provisioning_log_days` is 3651; accepted are 0 to 3650",
        );
        refused(json!({"guard": {"window_minutes": 0}}), "1 to 10080");
        refused(json!({"guard": {"disables": {"percent": 101}}}), "0 to 100");
    }

    #[test]
    fn names_of_tenants_fit_into_a_url() {
        let check =
            |name: &str, accepted: bool| assert_eq!(check_name(name).is_ok(), accepted, "{name}");
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
