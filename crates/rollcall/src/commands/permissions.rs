//! The flags with which tokens, clients and issuers get their permissions. Makes none of them.

use administration::permissions::{Allowed, RequestedPermissions};
use clap::Args;
use directory::access::{Role, Scope};
use jiff::{SignedDuration, Timestamp};

use crate::failure::Failure;

/// What a credential lets its bearer do.
#[derive(Args, Debug)]
pub struct PermissionArguments {
    /// What it opens: read and write for provisioning clients, admin for this tenant's admin API, operator for that of the whole
    /// installation; may be repeated [default: read and write]
    #[arg(long, value_name = "SCOPE", value_parser = parse_scope)]
    scope: Vec<Scope>,
    /// What its bearer is as an administrator: auditor, help-desk, administrator or owner [default: as the scopes say]
    #[arg(long, value_name = "ROLE", value_parser = parse_role)]
    role: Option<Role>,
    /// A resource type it is for, such as User; may be repeated [default: all]
    #[arg(long = "type", value_name = "TYPE")]
    resource_type: Vec<String>,
    /// The client profile of its bearer, such as entra or okta [default: the tenant's]
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// Requests a second that its bearer may make, and ten times as many at once; 0: any number [default: as the server has it]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    requests_per_second: Option<u32>,
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    Scope::by_name(text)
        .ok_or_else(|| format!("scopes are {}", Scope::ALL.map(Scope::name).join(", ")))
}

fn parse_role(text: &str) -> Result<Role, String> {
    Role::by_name(text).ok_or_else(|| format!("roles are {}", Role::ALL.map(Role::name).join(", ")))
}

impl PermissionArguments {
    /// As the admin API is asked for them.
    pub fn requested(&self) -> RequestedPermissions {
        let scopes = self.scope.iter().map(|scope| scope.name().to_owned());
        RequestedPermissions {
            scopes: Some(scopes.collect()).filter(|scopes: &Vec<String>| !scopes.is_empty()),
            role: self.role.map(|role| role.name().to_owned()),
            resource_types: Some(self.resource_type.clone()).filter(|types| !types.is_empty()),
            profile: self.profile.clone(),
            requests_per_second: self.requests_per_second,
        }
    }
}

/// Scopes for a table.
pub fn allowed_text(allowed: &Allowed) -> String {
    let scopes = allowed.scopes.join(" ");
    match &allowed.resource_types {
        Some(types) => format!("{scopes} ({})", types.join(", ")),
        None => scopes,
    }
}

/// When something shall end: a number of days (90d), hours (12h), or an instant.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// So long from now.
    After(SignedDuration),
    /// Then.
    At(Timestamp),
}

impl Ending {
    /// Reads it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let hours = |number: &str, each: i64| {
            number
                .parse::<u32>()
                .ok()
                .filter(|n| (1..=876_000).contains(n))
                .map(|n| i64::from(n) * each)
        };
        let span = text
            .strip_suffix('d')
            .and_then(|n| hours(n, 24))
            .or_else(|| text.strip_suffix('h').and_then(|n| hours(n, 1)));
        match span {
            Some(hours) => Ok(Self::After(SignedDuration::from_hours(hours))),
            None => text
                .parse()
                .map(Self::At)
                .map_err(|_| "write 90d, 12h or an instant such as 2030-01-31T00:00:00Z".into()),
        }
    }

    /// The instant.
    pub fn from(self, now: Timestamp) -> Result<Timestamp, Failure> {
        match self {
            Self::After(span) => now
                .checked_add(span)
                .map_err(|_| Failure::usage("that end is too far away")),
            Self::At(at) => Ok(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends() {
        let check = |text: &str, expected: Option<i64>| {
            let found = Ending::parse(text)
                .ok()
                .map(|ending| ending.from(Timestamp::UNIX_EPOCH).unwrap().as_second());
            assert_eq!(found, expected, "{text}");
        };
        check("90d", Some(90 * 86_400));
        check("12h", Some(43_200));
        check("1970-01-01T00:01:00Z", Some(60));
        check("0d", None);
        check("-1d", None);
        check("90", None);
        check("tomorrow", None);
    }
}
