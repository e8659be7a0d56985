//! The permissions of new credentials, as administrators ask for them and as they are shown. Makes no credential.

use directory::access::{Caller, Permissions, Role, Scope};
use scim_protocol::profile::Profile;
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::administration::DEFAULT_TENANT;

/// Most requests a second that can be allowed.
pub const REQUESTS_PER_SECOND_MAX: u32 = 1_000_000;

/// What a credential shall be allowed; what is left out is as usual.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct RequestedPermissions {
    /// What it opens: `read`, `write`, `admin`, `operator`; without it, `read` and `write`, or what the role needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// The role of its bearer as an administrator: `auditor`, `help-desk`, `administrator`, `owner`; without it, as the scopes say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The resource types it is for; without it, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_types: Option<Vec<String>>,
    /// The client profile of its bearer, such as `entra`; without it, the tenant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Requests a second that its bearer may make, and ten times as many at once; 0: any number; without it, as the server has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u32>,
}

/// What a credential is allowed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Allowed {
    /// What it opens.
    pub scopes: Vec<String>,
    /// The role of its bearer as an administrator, where its scopes open the admin API.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<String>,
    /// The resource types it is for; null: all.
    pub resource_types: Option<Vec<String>>,
    /// The client profile of its bearer; null: the tenant's.
    pub profile: Option<String>,
    /// Requests a second that its bearer may make; null: as the server has it.
    pub requests_per_second: Option<u32>,
}

impl Allowed {
    /// As permissions are shown.
    pub fn of(permissions: &Permissions) -> Self {
        Self {
            scopes: permissions
                .scopes
                .iter()
                .map(|scope| scope.name().to_owned())
                .collect(),
            role: permissions.role().map(|role| role.name().to_owned()),
            resource_types: permissions.resource_types.clone(),
            profile: permissions.profile.clone(),
            requests_per_second: permissions.requests_per_second,
        }
    }
}

impl RequestedPermissions {
    /// Refuses scopes, roles, types and profiles that do not exist, and `operator` outside the tenant `default`. Whether the caller may give all that
    /// is checked where it is known until when.
    pub fn check(self, caller: &Caller) -> Result<Permissions, Error> {
        let role = self.role.as_deref().map(role).transpose()?;
        let mut permissions = self.scopes(role)?;
        permissions.role = role;
        if permissions.has(Scope::Operator)
            && !(caller.tenant.name == DEFAULT_TENANT && caller.permissions.has(Scope::Operator))
        {
            let detail = "Only an operator can give the scope `operator`, in the tenant `default`.";
            return Err(Error::new(ErrorKind::Forbidden, detail));
        }
        if let Some(name) = self
            .resource_types
            .iter()
            .flatten()
            .find(|name| caller.schemas.by_name(name).is_none())
        {
            let detail =
                format!("`resourceTypes` names `{name}`, but there is no such resource type.");
            return Err(refusal("resourceTypes", detail));
        }
        if let Some(name) = self
            .profile
            .as_ref()
            .filter(|name| Profile::by_name(name).is_none())
        {
            let known = joined(Profile::all().iter().map(|profile| profile.name.as_str()));
            let detail = format!("There is no client profile `{name}`; accepted are `{known}`.");
            return Err(refusal("profile", detail));
        }
        if self
            .requests_per_second
            .is_some_and(|count| count > REQUESTS_PER_SECOND_MAX)
        {
            let detail = format!(
                "`requestsPerSecond` is too large; accepted are 0 to {REQUESTS_PER_SECOND_MAX}."
            );
            return Err(refusal("requestsPerSecond", detail));
        }
        permissions.resource_types = self.resource_types;
        permissions.profile = self.profile;
        permissions.requests_per_second = self.requests_per_second;
        Ok(permissions)
    }

    /// The same for what has no end, such as a client; refuses what the caller may not give.
    pub fn check_for_good(self, caller: &Caller) -> Result<Permissions, Error> {
        let permissions = self.check(caller)?;
        caller.may_give_for_good()?;
        caller.may_give(&permissions, None)?;
        Ok(permissions)
    }

    /// The scopes, with those that the role cannot do without.
    fn scopes(&self, role: Option<Role>) -> Result<Permissions, Error> {
        let named = match &self.scopes {
            None => None,
            Some(names) => {
                let scopes: Option<Vec<Scope>> =
                    names.iter().map(|name| Scope::by_name(name)).collect();
                let known = || joined(Scope::ALL.into_iter().map(Scope::name));
                let scopes = scopes.filter(|scopes| !scopes.is_empty()).ok_or_else(|| {
                    let detail = format!(
                        "`scopes` names a scope that does not exist; accepted are one or more of `{}`.",
                        known()
                    );
                    refusal("scopes", detail)
                })?;
                Some(scopes)
            }
        };
        let Some(role) = role else {
            return Ok(named.map_or_else(Permissions::default, |scopes| Permissions::of(&scopes)));
        };
        let mut scopes = named.unwrap_or_else(|| match role {
            Role::Auditor => vec![Scope::Read],
            // To deactivate a person is a write of the SCIM API.
            _ => vec![Scope::Read, Scope::Write],
        });
        scopes.push(Scope::Admin);
        if role == Role::Owner {
            scopes.push(Scope::Operator);
        }
        if role == Role::Auditor && scopes.contains(&Scope::Write) {
            let detail = "An auditor changes nothing, so `scopes` must not name `write`.";
            return Err(refusal("scopes", detail.into()));
        }
        Ok(Permissions::of(&scopes))
    }
}

fn role(name: &str) -> Result<Role, Error> {
    Role::by_name(name).ok_or_else(|| {
        let known = joined(Role::ALL.into_iter().map(Role::name));
        let detail = format!("There is no role `{name}`; accepted is one of `{known}`.");
        refusal("role", detail)
    })
}

fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join("`, `")
}

fn refusal(path: &str, detail: String) -> Error {
    Error::new(ErrorKind::InvalidValue, detail).at(path)
}
