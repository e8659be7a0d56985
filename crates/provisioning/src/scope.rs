//! Which resources concern which application, and what goes first. Does not say what an application is told about them.

use directory::store::StoredResource;
use serde_json::Value;

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

/// Resource types that are provisioned, and which goes first.
pub const TYPES: [&str; 2] = ["User", "Group"];

/// Says what a resource is to an application. People who are not active belong there too, so that whoever looks them up there finds them locked.
pub fn evaluate(
    resource_type: &str,
    subject: Option<&StoredResource>,
    settings: &ApplicationSettings,
) -> Scope {
    match (resource_type, subject) {
        ("Group", _) if !settings.groups => Scope::Ignored,
        ("User" | "Group", Some(_)) => Scope::Wanted,
        ("User" | "Group", None) => Scope::Revoked,
        _ => Scope::Ignored,
    }
}

/// Whether a person's change takes something away from them, and so overtakes all others. That a group lost a member is in the change log.
pub fn is_revocation(subject: Option<&StoredResource>) -> bool {
    subject.is_none_or(|subject| subject.document.get("active") == Some(&Value::Bool(false)))
}

/// Lower goes first.
pub fn priority(resource_type: &str, revocation: bool) -> i16 {
    match (revocation, resource_type) {
        (true, _) => 0,
        (false, "User") => 2,
        (false, _) => 3,
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
        assert_eq!(
            evaluate("Device", None, &ApplicationSettings::default()),
            Scope::Ignored
        );
    }
}
