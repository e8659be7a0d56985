//! Names of related resources: `groups[].display` of a User and `member.display` of a membership are taken from other resources, so they are shown to those
//! who may read these, and only they may filter or sort by them. Does not decide who may read what; `access` does.

use scim_protocol::{AttributePath, Error, ErrorKind, Filter, TypeSchema};

use crate::access::{Caller, Permissions};
use crate::store::{Membership, Related, StoredResource};

/// Takes the names of related resources out that these permissions are not for. Their ids stay: they are part of the resource itself.
pub fn hide_names(permissions: &Permissions, resource: &mut StoredResource) {
    resource
        .members
        .iter_mut()
        .chain(&mut resource.groups)
        .for_each(|related| hide_name(permissions, related));
}

/// The same of one related resource.
pub fn hide_name(permissions: &Permissions, related: &mut Related) {
    if !permissions.covers(&related.resource_type) {
        related.display.clear();
    }
}

/// The same of a membership.
pub fn hide_membership_names(permissions: &Permissions, membership: &mut Membership) {
    hide_name(permissions, &mut membership.group);
    hide_name(permissions, &mut membership.member);
}

/// Refuses (`403`) a filter or an order that goes by names which the caller may not read.
pub fn check_names(
    caller: &Caller,
    schemas: &[&TypeSchema],
    filter: Option<&Filter>,
    sort: Option<&AttributePath>,
) -> Result<(), Error> {
    if caller.permissions.resource_types.is_none() {
        return Ok(());
    }
    let paths = filter
        .into_iter()
        .flat_map(Filter::paths)
        .chain(sort.cloned());
    for path in paths {
        if let Some(hidden) = schemas
            .iter()
            .find_map(|schema| hidden_type(caller, schema, &path))
        {
            let detail = format!(
                "This token is not for the resource type {hidden}, whose names are in `{path}`, so it can neither filter nor sort by it; \
                 use the sub-attribute `value`."
            );
            return Err(Error::new(ErrorKind::InsufficientScope, detail).at(path.to_string()));
        }
    }
    Ok(())
}

/// The type whose names a path is about, if the caller may not read that type.
fn hidden_type(caller: &Caller, schema: &TypeSchema, path: &AttributePath) -> Option<String> {
    let resolved = schema
        .resolve(path)
        .filter(|found| found.extension.is_none())?;
    if resolved.sub_attribute?.name != "display" {
        return None;
    }
    let is_hidden = |name: &str| !caller.permissions.covers(name);
    match (schema.name(), resolved.attribute?.name.as_str()) {
        (_, "groups") => Some("Group".to_owned()).filter(|name| is_hidden(name)),
        // A member can be of any type.
        ("GroupMember", "member") | ("Group", "members") => caller
            .schemas
            .types()
            .iter()
            .map(|one| one.name())
            .find(|name| is_hidden(name))
            .map(str::to_owned),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use scim_protocol::SchemaSet;
    use scim_protocol::filter::FilterLimits;

    use super::*;
    use crate::access::Scope;
    use crate::tenant::{Tenant, TenantId, TenantSettings};

    fn caller(types: &[&str]) -> Caller {
        let tenant = Tenant {
            id: TenantId(1),
            name: "a".into(),
            created: Timestamp::UNIX_EPOCH,
            settings: TenantSettings::default(),
            revision: 1,
        };
        let resource_types = Some(types.iter().map(ToString::to_string).collect());
        let permissions = Permissions {
            resource_types,
            ..Permissions::of(&[Scope::Read])
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
    fn names_that_may_not_be_read_select_nothing() {
        let check = |types: &[&str], resource_type: &str, filter: &str, accepted: bool| {
            let caller = caller(types);
            let schema = caller.schemas.by_name(resource_type).unwrap();
            let parsed = Filter::parse(filter, FilterLimits::default()).unwrap();
            assert_eq!(
                check_names(&caller, &[schema], Some(&parsed), None).is_ok(),
                accepted,
                "{types:?} {filter}"
            );
        };
        for filter in [
            r#"groups.display eq "a""#,
            r#"groups[display sw "a"]"#,
            "groups[value pr and not (display pr)]",
            "not (GROUPS.Display pr)",
            r#"userName eq "x" or groups.display ne null"#,
            r#"urn:ietf:params:scim:schemas:core:2.0:User:groups.display co "a""#,
        ] {
            check(&["User"], "User", filter, false);
            check(&["User", "Group"], "User", filter, true);
        }
        check(&["User"], "User", r#"groups eq "a""#, true);
        check(
            &["User"],
            "User",
            r#"emails.display eq "a" and groups.value eq "b""#,
            true,
        );
        check(
            &["Group"],
            "Group",
            r#"members[value eq "a"] and displayName eq "x""#,
            true,
        );
    }

    #[test]
    fn neither_do_they_order() {
        let only_users = caller(&["User"]);
        let schema = only_users.schemas.by_name("User").unwrap();
        let check = |path: &str| {
            check_names(
                &only_users,
                &[schema],
                None,
                Some(&AttributePath::parse(path).unwrap()),
            )
            .is_ok()
        };
        assert_eq!(
            [
                check("groups.display"),
                check("groups.value"),
                check("displayName")
            ],
            [false, true, true]
        );
    }
}
