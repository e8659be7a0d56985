//! Which applications a change concerns, from what the change log says of it. Reads nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use scim_protocol::SchemaSet;

use crate::application::Application;
use crate::ledger::{LoggedChange, OutOfDate, Touched};
use crate::mapping;
use crate::scope;

/// All that changes say of one resource.
#[derive(Clone, Debug)]
struct Summary {
    deleted: bool,
    member_left: bool,
    /// What `active` is from now on, where it changed.
    active: Option<bool>,
    touched: Touched,
}

/// The pairs that changes make out of date. Ten changes to one person are one pair of each application.
pub fn pairs(
    changes: Vec<LoggedChange>,
    schemas: &SchemaSet,
    applications: &[Application],
    now: Timestamp,
) -> Vec<OutOfDate> {
    let mut latest: BTreeMap<(String, String), Summary> = BTreeMap::new();
    for change in changes {
        let summary = latest
            .entry((change.resource_type, change.resource_id))
            .or_insert(Summary {
                deleted: false,
                member_left: false,
                active: None,
                touched: Touched::Attributes(Vec::new()),
            });
        summary.deleted = change.deleted;
        summary.member_left |= change.member_left;
        summary.active = change.active.or(summary.active);
        summary.touched.add(change.touched);
    }
    let mut pairs = Vec::new();
    for ((resource_type, resource_id), summary) in latest {
        let Some(schema) = schemas.by_name(&resource_type) else {
            continue;
        };
        let is_told = match &summary.touched {
            Touched::Everything => true,
            Touched::Attributes(names) => mapping::depends_on(schema, names),
        };
        // What takes something away from somebody overtakes everything else.
        let is_revocation = summary.deleted || summary.member_left || summary.active == Some(false);
        let concerned = applications.iter().filter(|application| {
            is_told && scope::has_type(&resource_type, &application.settings)
        });
        pairs.extend(concerned.map(|application| OutOfDate {
            application: application.id,
            resource_type: resource_type.clone(),
            resource_id: resource_id.clone(),
            priority: scope::priority(&resource_type, is_revocation),
            due: now,
            verify: false,
        }));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use directory::tenant::TenantId;

    use super::*;
    use crate::application::{ApplicationId, ApplicationSettings, ApplicationState, Secret};

    fn application(id: i64, settings: ApplicationSettings) -> Application {
        Application {
            id: ApplicationId(id),
            tenant: TenantId(1),
            name: format!("app{id}"),
            base_url: String::new(),
            token: Secret::new("t"),
            state: ApplicationState::Live,
            settings,
            created: Timestamp::UNIX_EPOCH,
        }
    }

    fn change(resource_type: &str, touched: Touched) -> LoggedChange {
        LoggedChange {
            sequence: 1,
            resource_type: resource_type.into(),
            resource_id: "r1".into(),
            deleted: false,
            member_left: false,
            active: None,
            touched,
            at: Timestamp::UNIX_EPOCH,
        }
    }

    fn attributes(names: &[&str]) -> Touched {
        Touched::Attributes(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn only_those_are_marked_that_are_told_something() {
        let schemas = directory::tenant_types::TenantTypes::first()
            .schema_set()
            .unwrap();
        let mut devices = ApplicationSettings {
            groups: false,
            ..ApplicationSettings::default()
        };
        devices.other_types.insert("Device".into());
        let applications = [
            application(1, ApplicationSettings::default()),
            application(2, devices),
        ];
        let check = |changes: Vec<LoggedChange>, expected: &[(i64, i16)]| {
            let found: Vec<(i64, i16)> =
                pairs(changes, &schemas, &applications, Timestamp::UNIX_EPOCH)
                    .into_iter()
                    .map(|pair| (pair.application.0, pair.priority))
                    .collect();
            assert_eq!(found, expected);
        };
        check(vec![change("User", Touched::Everything)], &[(1, 2), (2, 2)]);
        check(
            vec![change("User", attributes(&["title"]))],
            &[(1, 2), (2, 2)],
        );
        check(vec![change("User", attributes(&["password"]))], &[]);
        check(vec![change("User", attributes(&[]))], &[]);
        check(
            vec![change("User", attributes(&["a new one"]))],
            &[(1, 2), (2, 2)],
        );
        let department = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";
        check(
            vec![change("User", attributes(&[department]))],
            &[(1, 2), (2, 2)],
        );
        check(vec![change("Group", attributes(&["members"]))], &[(1, 3)]);
        check(vec![change("Device", Touched::Everything)], &[(2, 2)]);
        check(vec![change("Role", Touched::Everything)], &[]);
        check(vec![change("Gone", Touched::Everything)], &[]);
        let off = LoggedChange {
            active: Some(false),
            ..change("User", attributes(&["active"]))
        };
        check(vec![off.clone()], &[(1, 0), (2, 0)]);
        // Ten changes are one pair, and what was said in between still counts.
        check(
            vec![off.clone(), change("User", attributes(&["password"]))],
            &[(1, 0), (2, 0)],
        );
        let on = LoggedChange {
            active: Some(true),
            ..off.clone()
        };
        check(vec![off, on], &[(1, 2), (2, 2)]);
        let left = LoggedChange {
            member_left: true,
            ..change("Group", attributes(&["members"]))
        };
        check(vec![left], &[(1, 0)]);
    }
}
