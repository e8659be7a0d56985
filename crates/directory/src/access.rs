//! Who is calling, and what they may do. Does not find out who they are.

use std::sync::Arc;

use jiff::Timestamp;
use scim_protocol::profile::Safety;
use scim_protocol::{Error, ErrorKind, Profile, SchemaSet, TypeSchema};
use serde::{Deserialize, Serialize};

use crate::tenant::Tenant;

/// The profile that does nothing beyond the RFC.
const STRICT: &str = "strict";

/// What a credential opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Read resources.
    Read,
    /// Create, change and delete resources.
    Write,
    /// The admin API of this tenant.
    Admin,
    /// The admin API of the whole installation; only credentials of the tenant `default` can have it.
    Operator,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Admin, Self::Operator];

    /// Its name in settings and requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Operator => "operator",
        }
    }

    /// The scope with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// What an administrator is: each role may do what the roles before it may, and more. Which act needs which role is one table, in `administration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Reads everything, the audit log too, and changes nothing.
    Auditor,
    /// Helps people: ends what was issued to a person, brings a deleted person back, sends a person to the applications again.
    HelpDesk,
    /// Administers a tenant.
    Administrator,
    /// Administers the installation.
    Owner,
}

impl Role {
    /// All of them, the narrowest first.
    pub const ALL: [Self; 4] = [
        Self::Auditor,
        Self::HelpDesk,
        Self::Administrator,
        Self::Owner,
    ];

    /// Its name in settings and requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auditor => "auditor",
            Self::HelpDesk => "help-desk",
            Self::Administrator => "administrator",
            Self::Owner => "owner",
        }
    }

    /// The role with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// What a credential lets its bearer do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Permissions {
    /// What it opens, in order and once each.
    pub scopes: Vec<Scope>,
    /// The resource types it is for, by name; `None`: all, those that are added later too.
    pub resource_types: Option<Vec<String>>,
    /// The role that narrows what its bearer may administer; `None`: as its scopes say (`Permissions::role`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The id of the User that its bearer stands for, which is at `/Me`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The client profile of its bearer, by name; `None`: the tenant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// How many requests a second its bearer may make, and ten times as many at once; 0: any number; `None`: as the server has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u32>,
}

impl Default for Permissions {
    /// What a provisioning client needs.
    fn default() -> Self {
        Self::of(&[Scope::Read, Scope::Write])
    }
}

impl Permissions {
    /// These scopes, for all resource types.
    pub fn of(scopes: &[Scope]) -> Self {
        let mut scopes = scopes.to_vec();
        scopes.sort_unstable();
        scopes.dedup();
        Self {
            scopes,
            resource_types: None,
            role: None,
            user: None,
            profile: None,
            requests_per_second: None,
        }
    }

    /// Everything.
    pub fn all() -> Self {
        Self::of(&Scope::ALL)
    }

    /// Whether it opens this.
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// The role of its bearer as an administrator: the one it names, else `owner` with the scope `operator` and `administrator` with the scope `admin`.
    /// The scopes say where the role holds: without `admin` the bearer administers no tenant, without `operator` not the installation.
    pub fn role(&self) -> Option<Role> {
        let of_scopes = if self.has(Scope::Operator) {
            Some(Role::Owner)
        } else if self.has(Scope::Admin) {
            Some(Role::Administrator)
        } else {
            None
        };
        of_scopes.map(|of_scopes| self.role.unwrap_or(of_scopes).min(of_scopes))
    }

    /// Whether it is for this resource type.
    pub fn covers(&self, resource_type: &str) -> bool {
        self.resource_types.as_ref().is_none_or(|types| {
            types
                .iter()
                .any(|name| name.eq_ignore_ascii_case(resource_type))
        })
    }
}

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The tenant it may see.
    pub tenant: Arc<Tenant>,
    /// The tenant's schemas and resource types, as they were when it was authenticated.
    pub schemas: SchemaSet,
    /// The public id of its token, or `command-line`.
    pub credential_id: String,
    /// What it may do.
    pub permissions: Permissions,
    /// When its credential ends; `None`: never by itself.
    pub expires: Option<Timestamp>,
}

impl Caller {
    /// Which kind of client it is: what its token says, else what its tenant says.
    pub fn profile(&self) -> Option<&'static Profile> {
        self.permissions
            .profile
            .as_deref()
            .and_then(Profile::by_name)
            .or_else(|| self.tenant.settings.client_profile())
    }

    /// From now on the caller acts for the person that it stands for, without the rights of an administrator.
    pub fn acts_for_oneself(&mut self) {
        self.permissions
            .scopes
            .retain(|scope| matches!(scope, Scope::Read | Scope::Write));
    }

    /// Refuses (`403`) a caller that may not read resources of this type.
    pub fn may_read(&self, schema: &TypeSchema) -> Result<(), Error> {
        self.may(Scope::Read, schema)
    }

    /// Refuses (`403`) a caller that may not write resources of this type.
    pub fn may_write(&self, schema: &TypeSchema) -> Result<(), Error> {
        self.may(Scope::Write, schema)
    }

    /// Refuses (`403`) a caller that lacks a scope.
    pub fn requires(&self, scope: Scope) -> Result<(), Error> {
        if self.permissions.has(scope) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InsufficientScope,
            format!(
                "This token does not have the scope `{}`, which the request needs.",
                scope.name()
            ),
        ))
    }

    /// Refuses (`403`) a caller that is for some resource types only.
    pub fn is_for_all_types(&self) -> Result<(), Error> {
        let Some(types) = &self.permissions.resource_types else {
            return Ok(());
        };
        let detail = format!(
            "This token is only for the resource types {}; the request needs one that is for all.",
            types.join(", ")
        );
        Err(Error::new(ErrorKind::InsufficientScope, detail))
    }

    /// Refuses (`403`) a caller that is not for a resource type.
    pub fn is_for(&self, resource_type: &str) -> Result<(), Error> {
        if self.permissions.covers(resource_type) {
            return Ok(());
        }
        let types = self
            .permissions
            .resource_types
            .as_deref()
            .unwrap_or_default()
            .join(", ");
        let detail =
            format!("This token is not for the resource type {resource_type}; it is for {types}.");
        Err(Error::new(ErrorKind::InsufficientScope, detail))
    }

    /// Refuses (`403`) to give a credential more than the caller has: a scope, a resource type, or a life beyond the end of the caller or of the person that
    /// the caller stands for. `until` is when the new credential ends; `None`: never.
    pub fn may_give(&self, given: &Permissions, until: Option<Timestamp>) -> Result<(), Error> {
        let refuse = |path: &str, detail: String| {
            Err(Error::new(ErrorKind::InsufficientScope, detail).at(path))
        };
        if let Some(scope) = given
            .scopes
            .iter()
            .find(|scope| !self.permissions.has(**scope))
        {
            let own = self
                .permissions
                .scopes
                .iter()
                .map(|scope| scope.name())
                .collect::<Vec<_>>()
                .join("`, `");
            let detail = format!(
                "This token cannot give the scope `{}`, which it does not have itself; `scopes` may name `{own}`.",
                scope.name()
            );
            return refuse("scopes", detail);
        }
        self.may_give_role(given)?;
        self.may_give_types(given.resource_types.as_deref())?;
        if let Some(own) = self
            .permissions
            .user
            .as_ref()
            .filter(|own| given.user.as_ref() != Some(own))
        {
            let detail = format!(
                "This token stands for a person, so it can make tokens for that person only; `user` must be `{own}`."
            );
            return refuse("user", detail);
        }
        // The bearer finds the person at `/Me`; and making such a token tells whether there is one with that id.
        if given.user.is_some() && !self.permissions.covers("User") {
            let detail = "This token is not for the resource type User, so it cannot make a token that stands for a person; leave `user` out.";
            return refuse("user", detail.into());
        }
        self.may_give_until(until)
    }

    /// Refuses (`403`) to give a broader role than the caller has.
    fn may_give_role(&self, given: &Permissions) -> Result<(), Error> {
        let (own, given) = (self.permissions.role(), given.role());
        let Some(given) = given.filter(|given| own.is_none_or(|own| own < *given)) else {
            return Ok(());
        };
        let detail = format!(
            "This token has the role `{}` and cannot give the broader role `{}`.",
            own.map_or("none", Role::name),
            given.name()
        );
        Err(Error::new(ErrorKind::InsufficientScope, detail).at("role"))
    }

    /// Refuses (`403`) to end or replace a credential that is broader than the caller's own: one with a broader role, or for resource types that the
    /// caller's is not for. How long either lives does not matter.
    pub fn may_end(&self, other: &Permissions) -> Result<(), Error> {
        let types = other.resource_types.as_deref();
        if self.may_give_role(other).is_ok() && self.may_give_types(types).is_ok() {
            return Ok(());
        }
        let detail = "This token is narrower than the credential that the request would end; use a token with the same role and resource types, or broader ones.";
        Err(Error::new(ErrorKind::InsufficientScope, detail))
    }

    /// Refuses (`403`) to give something that is for resource types that the caller is not for; `None`: for all.
    pub fn may_give_types(&self, given: Option<&[String]>) -> Result<(), Error> {
        let Some(own) = &self.permissions.resource_types else {
            return Ok(());
        };
        if given.is_some_and(|given| given.iter().all(|name| self.permissions.covers(name))) {
            return Ok(());
        }
        let detail = format!(
            "This token is only for the resource types {0}, so what it makes is for no others; `resourceTypes` has to name one or more of {0}.",
            own.join(", ")
        );
        Err(Error::new(ErrorKind::InsufficientScope, detail).at("resourceTypes"))
    }

    /// Refuses (`403`) to make what lives on when the caller's credential has ended; `None`: what never ends.
    pub fn may_give_until(&self, until: Option<Timestamp>) -> Result<(), Error> {
        let Some(end) = self
            .expires
            .filter(|end| until.is_none_or(|until| until > *end))
        else {
            return Ok(());
        };
        let detail = format!(
            "This token ends at {end}, and what it makes may not live longer; a token can be made with `expires` up to then, and what has no end only \
             with a token that has none."
        );
        Err(Error::new(ErrorKind::InsufficientScope, detail).at("expires"))
    }

    /// Refuses (`403`) to make something without an end, if the credential of the caller ends by itself or with the person that it stands for.
    pub fn may_give_for_good(&self) -> Result<(), Error> {
        self.may_give_until(None)?;
        if self.permissions.user.is_none() {
            return Ok(());
        }
        let detail = "This token ends with the person whom it stands for, and what has no end is made only with a token that has none.";
        Err(Error::new(ErrorKind::InsufficientScope, detail))
    }

    /// What it may do beyond the RFC to people who were deleted, disabled or have not come yet: what the tenant says, else what its profile says, and
    /// nothing where the profile is `strict`.
    pub fn safety(&self) -> Safety {
        let Some(profile) = self.profile().filter(|profile| profile.name != STRICT) else {
            return Safety::default();
        };
        let settings = &self.tenant.settings;
        Safety {
            revive_deleted: settings
                .revive_deleted
                .unwrap_or(profile.safety.revive_deleted),
            revive_disabled: settings
                .revive_disabled
                .unwrap_or(profile.safety.revive_disabled),
            pending_references: settings
                .pending_references
                .unwrap_or(profile.safety.pending_references),
        }
    }

    /// Whether a reference may be the `userName` or `externalId` of a resource, or of one that is not there yet: the tenant wants that, and the caller is
    /// for people. To any other caller the answer would tell whether somebody has that name.
    pub fn may_name_people(&self) -> bool {
        self.safety().pending_references && self.permissions.covers("User")
    }

    fn may(&self, scope: Scope, schema: &TypeSchema) -> Result<(), Error> {
        self.requires(scope)?;
        self.is_for(schema.name())
    }
}

/// The one refusal of a caller who is not let in.
pub fn unauthorized() -> Error {
    Error::new(
        ErrorKind::Unauthorized,
        "The bearer token is missing or not accepted here; send `Authorization: Bearer` with a token of this tenant.",
    )
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::tenant::{TenantId, TenantSettings};

    fn caller(permissions: Permissions) -> Caller {
        let tenant = Tenant {
            id: TenantId(1),
            name: "a".into(),
            created: Timestamp::UNIX_EPOCH,
            settings: TenantSettings::default(),
            revision: 1,
        };
        Caller {
            tenant: Arc::new(tenant),
            schemas: SchemaSet::standard(),
            credential_id: "t".into(),
            permissions,
            expires: None,
        }
    }

    #[test]
    fn nothing_is_given_that_the_giver_does_not_have() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let types = |names: Option<&[&str]>| {
            names.map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let check = |own: &Permissions,
                     end: Option<i64>,
                     given: &Permissions,
                     until: Option<i64>,
                     refused_at: Option<&str>| {
            let giver = Caller {
                expires: end.map(at),
                ..caller(own.clone())
            };
            let found = giver.may_give(given, until.map(at));
            assert_eq!(
                found
                    .err()
                    .and_then(|error| error.path().map(str::to_owned))
                    .as_deref(),
                refused_at,
                "{own:?} {given:?} {until:?}"
            );
        };
        let both = Permissions::of(&[Scope::Read, Scope::Admin]);
        let reads = Permissions::of(&[Scope::Read]);
        check(&both, None, &reads, None, None);
        check(&both, None, &Permissions::default(), None, Some("scopes"));
        let of = |names: Option<&[&str]>, permissions: &Permissions| Permissions {
            resource_types: types(names),
            ..permissions.clone()
        };
        let groups = of(Some(&["Group"]), &both);
        check(&groups, None, &reads, None, Some("resourceTypes"));
        check(
            &groups,
            None,
            &of(Some(&["User"]), &reads),
            None,
            Some("resourceTypes"),
        );
        check(
            &groups,
            None,
            &of(Some(&["group", "User"]), &reads),
            None,
            Some("resourceTypes"),
        );
        check(&groups, None, &of(Some(&["group"]), &reads), None, None);
        check(&both, None, &of(Some(&["User"]), &reads), None, None);
        check(&both, Some(10), &reads, Some(10), None);
        check(&both, Some(10), &reads, Some(11), Some("expires"));
        check(&both, Some(10), &reads, None, Some("expires"));
        let of_ann = |permissions: &Permissions| Permissions {
            user: Some("ann".into()),
            ..permissions.clone()
        };
        check(&of_ann(&both), None, &reads, None, Some("user"));
        check(&of_ann(&both), None, &of_ann(&reads), None, None);
        assert!(caller(of_ann(&both)).may_give_for_good().is_err());
        assert!(caller(both).may_give_for_good().is_ok());
    }

    #[test]
    fn a_token_may_have_a_profile_of_its_own() {
        let name = |own: Option<&str>| {
            let caller = caller(Permissions {
                profile: own.map(str::to_owned),
                ..Permissions::default()
            });
            caller.profile().unwrap().name.clone()
        };
        assert_eq!(
            [name(None), name(Some("okta")), name(Some("none"))],
            ["standard", "okta", "standard"]
        );
    }

    #[test]
    fn the_tenant_decides_before_the_profile_and_strict_does_nothing() {
        let check = |profile: &str, wish: Option<bool>, expected: bool| {
            let mut caller = caller(Permissions {
                profile: Some(profile.into()),
                ..Permissions::default()
            });
            let settings = TenantSettings {
                pending_references: wish,
                revive_deleted: wish,
                ..TenantSettings::default()
            };
            caller.tenant = Arc::new(Tenant {
                settings,
                ..caller.tenant.as_ref().clone()
            });
            let safety = caller.safety();
            assert_eq!(
                [safety.pending_references, safety.revive_deleted],
                [expected; 2],
                "{profile} {wish:?}"
            );
        };
        check("standard", None, false);
        check("standard", Some(true), true);
        check("entra", None, true);
        check("entra", Some(false), false);
        check("strict", Some(true), false);
    }

    #[test]
    fn what_a_caller_may_do() {
        let check = |permissions: Permissions, read: bool, write: bool, admin: bool| {
            let caller = caller(permissions);
            let user = caller.schemas.by_name("User").unwrap();
            let found = [
                caller.may_read(user).is_ok(),
                caller.may_write(user).is_ok(),
                caller.requires(Scope::Admin).is_ok(),
            ];
            assert_eq!(found, [read, write, admin], "{:?}", caller.permissions);
        };
        check(Permissions::default(), true, true, false);
        check(Permissions::all(), true, true, true);
        check(Permissions::of(&[Scope::Read]), true, false, false);
        check(
            Permissions {
                resource_types: Some(vec!["user".into()]),
                ..Permissions::default()
            },
            true,
            true,
            false,
        );
        check(
            Permissions {
                resource_types: Some(vec!["Group".into()]),
                ..Permissions::default()
            },
            false,
            false,
            false,
        );
    }

    #[test]
    fn refusals_say_what_is_missing() {
        let groups = caller(Permissions {
            resource_types: Some(vec!["Group".into()]),
            ..Permissions::of(&[Scope::Read])
        });
        let user = groups.schemas.by_name("User").unwrap();
        assert_eq!(
            groups.may_read(user).unwrap_err().detail(),
            "This token is not for the resource type User; it is for Group."
        );
        assert!(
            groups
                .may_write(user)
                .unwrap_err()
                .detail()
                .contains("scope `write`")
        );
        assert_eq!(
            groups.may_write(user).unwrap_err().kind(),
            ErrorKind::InsufficientScope
        );
    }

    #[test]
    fn scopes_are_known_by_name() {
        for scope in Scope::ALL {
            assert_eq!(Scope::by_name(scope.name()), Some(scope));
        }
        assert_eq!(Scope::by_name("Read"), None);
        let text =
            serde_json::to_string(&Permissions::of(&[Scope::Write, Scope::Read, Scope::Read]))
                .unwrap();
        assert_eq!(text, r#"{"scopes":["read","write"],"resourceTypes":null}"#);
    }
}
