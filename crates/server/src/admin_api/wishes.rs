//! What new credentials shall be allowed, as administrators ask for it and as it is shown. Makes no credential.

use directory::access::{Permissions, Scope};
use scim_protocol::profile::Profile;
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::administrator::Administrator;
use crate::state::DEFAULT_TENANT;

/// Most requests a second that can be allowed.
const REQUESTS_PER_SECOND_MAX: u32 = 1_000_000;

/// What a credential shall be allowed; what is left out is as usual.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Wishes {
    /// What it opens: `read`, `write`, `admin`, `operator`; without it, `read` and `write`.
    pub scopes: Option<Vec<String>>,
    /// The resource types it is for; without it, all.
    pub resource_types: Option<Vec<String>>,
    /// The client profile of its bearer, such as `entra`; without it, the tenant's.
    pub profile: Option<String>,
    /// Requests a second that its bearer may make, and ten times as many at once; 0: any number; without it, as the server has it.
    pub requests_per_second: Option<u32>,
}

/// What a credential is allowed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Allowed {
    pub scopes: Vec<String>,
    pub resource_types: Option<Vec<String>>,
    pub profile: Option<String>,
    pub requests_per_second: Option<u32>,
}

impl Allowed {
    pub(crate) fn of(permissions: &Permissions) -> Self {
        Self {
            scopes: permissions
                .scopes
                .iter()
                .map(|scope| scope.name().to_owned())
                .collect(),
            resource_types: permissions.resource_types.clone(),
            profile: permissions.profile.clone(),
            requests_per_second: permissions.requests_per_second,
        }
    }
}

impl Wishes {
    /// Refuses scopes, types and profiles that do not exist, and `operator` outside the tenant `default`. Whether the administrator may give all that is
    /// checked where it is known until when.
    pub(super) fn grant(self, administrator: &Administrator) -> Result<Permissions, Error> {
        let Administrator(caller) = administrator;
        let refuse =
            |path: &str, detail: String| Err(Error::new(ErrorKind::InvalidValue, detail).at(path));
        let mut permissions = Permissions::default();
        if let Some(names) = &self.scopes {
            let scopes: Option<Vec<Scope>> =
                names.iter().map(|name| Scope::by_name(name)).collect();
            let Some(scopes) = scopes.filter(|scopes| !scopes.is_empty()) else {
                let known = Scope::ALL.map(Scope::name).join("`, `");
                return refuse(
                    "scopes",
                    format!(
                        "`scopes` names a scope that does not exist; accepted are one or more of `{known}`."
                    ),
                );
            };
            permissions = Permissions::of(&scopes);
        }
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
            return refuse(
                "resourceTypes",
                format!("`resourceTypes` names `{name}`, but there is no such resource type."),
            );
        }
        if let Some(name) = self
            .profile
            .as_ref()
            .filter(|name| Profile::by_name(name).is_none())
        {
            let known = Profile::all()
                .iter()
                .map(|profile| profile.name.as_str())
                .collect::<Vec<_>>()
                .join("`, `");
            return refuse(
                "profile",
                format!("There is no client profile `{name}`; accepted are `{known}`."),
            );
        }
        if self
            .requests_per_second
            .is_some_and(|count| count > REQUESTS_PER_SECOND_MAX)
        {
            return refuse(
                "requestsPerSecond",
                format!(
                    "`requestsPerSecond` is too large; accepted are 0 to {REQUESTS_PER_SECOND_MAX}."
                ),
            );
        }
        permissions.resource_types = self.resource_types;
        permissions.profile = self.profile;
        permissions.requests_per_second = self.requests_per_second;
        Ok(permissions)
    }

    /// The same for what has no end, such as a client; refuses what the administrator may not give.
    pub(crate) fn grant_for_good(
        self,
        administrator: &Administrator,
    ) -> Result<Permissions, Error> {
        let permissions = self.grant(administrator)?;
        administrator.0.may_give_for_good()?;
        administrator.0.may_give(&permissions, None)?;
        Ok(permissions)
    }
}
