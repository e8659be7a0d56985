//! Which resources concern which application, and what goes first. Does not say what an application is told about them.

use directory::store::StoredResource;

use crate::application::ApplicationSettings;

/// What a resource is to an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// It belongs there.
    Wanted,
    /// It is gone from the directory: its account is to be revoked.
    Revoked,
    /// It is none of the application's business.
    Ignored,
}

/// Whether resources of a type are provisioned to an application.
pub fn has_type(resource_type: &str, settings: &ApplicationSettings) -> bool {
    match resource_type {
        "User" => true,
        "Group" => settings.groups,
        other => settings.other_types.contains(other),
    }
}

/// Says what a resource is to an application. People who are not active belong there, too, so that they are found there, and cannot sign in.
pub fn evaluate(
    resource_type: &str,
    subject: Option<&StoredResource>,
    settings: &ApplicationSettings,
) -> Scope {
    match subject {
        _ if !has_type(resource_type, settings) => Scope::Ignored,
        Some(_) => Scope::Wanted,
        None => Scope::Revoked,
    }
}

/// Lower goes first: those who may be members before the groups that they are members of.
pub fn priority(resource_type: &str, revocation: bool) -> i16 {
    match (revocation, resource_type) {
        (true, _) => 0,
        (false, "Group") => 3,
        (false, _) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revocations_go_first_and_groups_last() {
        for (resource_type, revocation, expected) in [
            ("User", true, 0),
            ("Group", true, 0),
            ("User", false, 2),
            ("Device", false, 2),
            ("Group", false, 3),
        ] {
            assert_eq!(
                priority(resource_type, revocation),
                expected,
                "{resource_type} {revocation}"
            );
        }
    }

    #[test]
    fn groups_can_be_switched_off() {
        let off = ApplicationSettings {
            groups: false,
            ..ApplicationSettings::default()
        };
        assert_eq!(evaluate("Group", None, &off), Scope::Ignored);
        assert_eq!(evaluate("User", None, &off), Scope::Revoked);
        let mut devices = ApplicationSettings::default();
        assert_eq!(evaluate("Device", None, &devices), Scope::Ignored);
        devices.other_types.insert("Device".into());
        assert_eq!(evaluate("Device", None, &devices), Scope::Revoked);
    }
}
