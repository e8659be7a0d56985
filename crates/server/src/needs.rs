//! What each route needs of a bearer's credential: scopes, for which resource types it has to be, and, in the admin API, the operation whose role it needs
//! (`administration`'s `operations.rs`). The one table that handlers take their check from; a route without a row is refused, and a test finds a row for
//! every operation of the OpenAPI document. What a credential may give others is decided in `directory`'s `access`.

use administration::administrator::may;
use administration::operations::{
    ADD_APPLICATION, ADD_TO_FEED, ALLOW_REMOVALS, APPROVE_REMOVAL, CHANGE_APPLICATION,
    CHANGE_RECEIVER, CHANGE_RESOURCE_TYPE, CHANGE_SCHEMA, CHANGE_TENANT, COMPARE_ONE,
    CREATE_CLIENT, CREATE_ISSUER, CREATE_RECEIVER, CREATE_TENANT, CREATE_TOKEN,
    CREATE_TOKEN_IN_TENANT, DISCARD_EVENTS, ERASE_TENANT, EXPORT_TENANT, Operation, PLAN_SYNC,
    READ_APPLICATIONS, READ_AUDIT, READ_CLIENTS, READ_GUARD, READ_HISTORY, READ_ISSUERS,
    READ_RECEIVERS, READ_REQUESTS, READ_SIGNING_KEYS, READ_SYNC, READ_TENANTS, READ_TOKENS,
    READ_TYPES, REDELIVER_EVENTS, REJECT_REMOVAL, REMOVE_APPLICATION, REMOVE_FROM_FEED,
    REMOVE_ISSUER, REMOVE_RECEIVER, REMOVE_RESOURCE_TYPE, REMOVE_SCHEMA, RESTORE_RESOURCE,
    RESTORE_TENANT, RESUME_TENANT, REVOKE_CLIENT, REVOKE_TOKEN_OF_PERSON, ROTATE_RECEIVER_SECRET,
    ROTATE_SIGNING_KEYS, SET_APPLICATION_TOKEN, SUSPEND_TENANT, TEST_APPLICATION, TEST_RECEIVER,
    UNDO_CHANGES,
};
use directory::access::{Caller, Scope};
use directory::store::Fault;
use scim_protocol::Error;

use self::Types::{All, Any, Named, Shown};
use crate::refusal::Failure;

/// For which resource types a credential has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Types {
    /// For any: the answer is about no resource, and what is given is compared with what the giver has.
    Any,
    /// For all: the answer is, or the effect may be, about resources of every type.
    All,
    /// For that of the resource, or of the receiver, that is named. What is named by an id alone is answered as if it were not there (404).
    Named,
    /// For any: what it is not for is left out of the answer, or refused operation by operation.
    Shown,
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    method: &'static str,
    path: &'static str,
    scopes: &'static [Scope],
    types: Types,
    /// What an administrator does there.
    operation: Option<&'static Operation>,
}

const fn row(
    method: &'static str,
    path: &'static str,
    scopes: &'static [Scope],
    types: Types,
) -> Need {
    Need {
        method,
        path,
        scopes,
        types,
        operation: None,
    }
}

const fn act(
    method: &'static str,
    path: &'static str,
    scopes: &'static [Scope],
    types: Types,
    operation: &'static Operation,
) -> Need {
    Need {
        operation: Some(operation),
        ..row(method, path, scopes, types)
    }
}

const NONE: &[Scope] = &[];
const READ: &[Scope] = &[Scope::Read];
const WRITE: &[Scope] = &[Scope::Write];
const ADMIN: &[Scope] = &[Scope::Admin];
const ADMIN_READ: &[Scope] = &[Scope::Admin, Scope::Read];
const ADMIN_WRITE: &[Scope] = &[Scope::Admin, Scope::Write];
const ADMIN_BOTH: &[Scope] = &[Scope::Admin, Scope::Read, Scope::Write];
const OPERATOR: &[Scope] = &[Scope::Operator];
const OPERATOR_READ: &[Scope] = &[Scope::Operator, Scope::Read];
const OPERATOR_WRITE: &[Scope] = &[Scope::Operator, Scope::Write];

/// Below a base URL.
const SCIM: &[Need] = &[
    row("GET", "/{type}", READ, Named),
    row("POST", "/{type}", WRITE, Named),
    row("POST", "/{type}/.search", READ, Named),
    row("GET", "/{type}/{id}", READ, Named),
    row("PUT", "/{type}/{id}", WRITE, Named),
    row("PATCH", "/{type}/{id}", WRITE, Named),
    row("DELETE", "/{type}/{id}", WRITE, Named),
    row("GET", "/", READ, Shown),
    row("POST", "/.search", READ, Shown),
    row("POST", "/Bulk", WRITE, Shown),
    row("GET", "/GroupMembers", READ, Named),
    row("POST", "/GroupMembers", WRITE, Named),
    row("POST", "/GroupMembers/.search", READ, Named),
    row("GET", "/GroupMembers/{id}", READ, Named),
    row("DELETE", "/GroupMembers/{id}", WRITE, Named),
    row("GET", "/ServiceProviderConfig", NONE, Shown),
    row("GET", "/ResourceTypes", NONE, Shown),
    row("GET", "/ResourceTypes/{id}", NONE, Shown),
    row("GET", "/Schemas", NONE, Shown),
    row("GET", "/Schemas/{id}", NONE, Shown),
];

/// Below `/t/{tenant}`, beside SCIM and the admin API.
const TENANT: &[Need] = &[
    row("GET", "/events", READ, Shown),
    row("GET", "/openapi.json", NONE, Shown),
];

/// Below `/t/{tenant}/admin/v1`.
const ADMINISTRATION: &[Need] = &[
    act("GET", "/tokens", ADMIN, Any, &READ_TOKENS),
    act("POST", "/tokens", ADMIN, Any, &CREATE_TOKEN),
    act(
        "DELETE",
        "/tokens/{id}",
        ADMIN,
        Any,
        &REVOKE_TOKEN_OF_PERSON,
    ),
    // An application gets people and groups, and things that it is told to get.
    act("GET", "/applications", ADMIN, All, &READ_APPLICATIONS),
    act("POST", "/applications", ADMIN_READ, All, &ADD_APPLICATION),
    act(
        "GET",
        "/applications/{name}",
        ADMIN,
        All,
        &READ_APPLICATIONS,
    ),
    act(
        "PATCH",
        "/applications/{name}",
        ADMIN,
        All,
        &CHANGE_APPLICATION,
    ),
    act(
        "DELETE",
        "/applications/{name}",
        ADMIN,
        All,
        &REMOVE_APPLICATION,
    ),
    act(
        "POST",
        "/applications/{name}/token",
        ADMIN,
        All,
        &SET_APPLICATION_TOKEN,
    ),
    act(
        "POST",
        "/applications/{name}/test",
        ADMIN,
        All,
        &TEST_APPLICATION,
    ),
    act("GET", "/sync", ADMIN, All, &READ_SYNC),
    act("POST", "/sync", ADMIN, All, &COMPARE_ONE),
    // What was, or would be, sent about people.
    act("GET", "/sync/log", ADMIN_READ, All, &READ_SYNC),
    act("GET", "/sync/plan", ADMIN_READ, All, &PLAN_SYNC),
    // Entries about everything.
    act("GET", "/audit", ADMIN, All, &READ_AUDIT),
    act("GET", "/audit/verify", ADMIN, All, &READ_AUDIT),
    act("GET", "/clients", ADMIN, Any, &READ_CLIENTS),
    act("POST", "/clients", ADMIN, Any, &CREATE_CLIENT),
    act("DELETE", "/clients/{id}", ADMIN, Any, &REVOKE_CLIENT),
    act("GET", "/issuers", ADMIN, Any, &READ_ISSUERS),
    act("POST", "/issuers", ADMIN, Any, &CREATE_ISSUER),
    act("DELETE", "/issuers/{name}", ADMIN, Any, &REMOVE_ISSUER),
    act("GET", "/guard", ADMIN_READ, All, &READ_GUARD),
    act(
        "POST",
        "/guard/allowances",
        ADMIN_WRITE,
        All,
        &ALLOW_REMOVALS,
    ),
    act(
        "POST",
        "/guard/parked/{id}/approve",
        ADMIN_BOTH,
        All,
        &APPROVE_REMOVAL,
    ),
    act(
        "DELETE",
        "/guard/parked/{id}",
        ADMIN_WRITE,
        All,
        &REJECT_REMOVAL,
    ),
    act("GET", "/history/{id}", ADMIN_READ, Named, &READ_HISTORY),
    act(
        "GET",
        "/history/{id}/then",
        ADMIN_READ,
        Named,
        &READ_HISTORY,
    ),
    act(
        "POST",
        "/history/{id}/restore",
        ADMIN_BOTH,
        Named,
        &RESTORE_RESOURCE,
    ),
    act("GET", "/deleted", ADMIN_READ, Shown, &READ_HISTORY),
    act("POST", "/undo", ADMIN_BOTH, All, &UNDO_CHANGES),
    act("GET", "/pending", ADMIN_READ, Shown, &READ_HISTORY),
    act("GET", "/schemas", ADMIN, Any, &READ_TYPES),
    // What is stored is checked against a schema that changes, and a refusal names it.
    act("POST", "/schemas", ADMIN_READ, All, &CHANGE_SCHEMA),
    act("GET", "/schemas/{name}", ADMIN, Any, &READ_TYPES),
    act("DELETE", "/schemas/{name}", ADMIN_READ, All, &REMOVE_SCHEMA),
    act("GET", "/schemas/{name}/history", ADMIN, Any, &READ_TYPES),
    act("GET", "/resource-types", ADMIN, Any, &READ_TYPES),
    act(
        "POST",
        "/resource-types",
        ADMIN_READ,
        All,
        &CHANGE_RESOURCE_TYPE,
    ),
    act("GET", "/resource-types/{name}", ADMIN, Any, &READ_TYPES),
    act(
        "DELETE",
        "/resource-types/{name}",
        ADMIN_READ,
        All,
        &REMOVE_RESOURCE_TYPE,
    ),
    act(
        "GET",
        "/resource-types/{name}/history",
        ADMIN,
        Any,
        &READ_TYPES,
    ),
    // A request of anybody: bodies, filters and paths about resources of every type.
    act("GET", "/requests", ADMIN_READ, All, &READ_REQUESTS),
    act("GET", "/requests/{id}", ADMIN_READ, All, &READ_REQUESTS),
    act("GET", "/quirks", ADMIN_READ, All, &READ_REQUESTS),
    act("GET", "/receivers", ADMIN, Shown, &READ_RECEIVERS),
    act("POST", "/receivers", ADMIN_READ, Named, &CREATE_RECEIVER),
    act("GET", "/receivers/{name}", ADMIN, Named, &READ_RECEIVERS),
    act(
        "PATCH",
        "/receivers/{name}",
        ADMIN_READ,
        Named,
        &CHANGE_RECEIVER,
    ),
    act(
        "DELETE",
        "/receivers/{name}",
        ADMIN,
        Named,
        &REMOVE_RECEIVER,
    ),
    act(
        "POST",
        "/receivers/{name}/secret",
        ADMIN_READ,
        Named,
        &ROTATE_RECEIVER_SECRET,
    ),
    act(
        "GET",
        "/receivers/{name}/dead-letters",
        ADMIN_READ,
        Named,
        &READ_RECEIVERS,
    ),
    act(
        "POST",
        "/receivers/{name}/dead-letters/redeliver",
        ADMIN_READ,
        Named,
        &REDELIVER_EVENTS,
    ),
    act(
        "POST",
        "/receivers/{name}/dead-letters/discard",
        ADMIN,
        Named,
        &DISCARD_EVENTS,
    ),
    act(
        "POST",
        "/receivers/{name}/test",
        ADMIN_READ,
        Named,
        &TEST_RECEIVER,
    ),
    // The answer tells whether there is a resource with that id.
    act(
        "POST",
        "/receivers/{name}/feed/add",
        ADMIN_READ,
        Named,
        &ADD_TO_FEED,
    ),
    act(
        "POST",
        "/receivers/{name}/feed/remove",
        ADMIN_READ,
        Named,
        &REMOVE_FROM_FEED,
    ),
    act("GET", "/signing-keys", ADMIN, All, &READ_SIGNING_KEYS),
    act("POST", "/signing-keys", ADMIN, All, &ROTATE_SIGNING_KEYS),
];

/// Below `/admin/v1`.
const INSTALLATION: &[Need] = &[
    act("GET", "/audit", OPERATOR, All, &READ_AUDIT),
    act("GET", "/audit/verify", OPERATOR, All, &READ_AUDIT),
    act("GET", "/tenants", OPERATOR, All, &READ_TENANTS),
    act("POST", "/tenants", OPERATOR, All, &CREATE_TENANT),
    act("GET", "/tenants/{name}", OPERATOR, All, &READ_TENANTS),
    act("PATCH", "/tenants/{name}", OPERATOR, All, &CHANGE_TENANT),
    act(
        "DELETE",
        "/tenants/{name}",
        OPERATOR_WRITE,
        All,
        &ERASE_TENANT,
    ),
    act(
        "POST",
        "/tenants/{name}/tokens",
        OPERATOR,
        All,
        &CREATE_TOKEN_IN_TENANT,
    ),
    act(
        "POST",
        "/tenants/{name}/suspend",
        OPERATOR,
        All,
        &SUSPEND_TENANT,
    ),
    act(
        "POST",
        "/tenants/{name}/resume",
        OPERATOR,
        All,
        &RESUME_TENANT,
    ),
    act(
        "GET",
        "/tenants/{name}/export",
        OPERATOR_READ,
        All,
        &EXPORT_TENANT,
    ),
    act(
        "POST",
        "/tenants/{name}/restore",
        OPERATOR_WRITE,
        All,
        &RESTORE_TENANT,
    ),
];

/// Where a path is below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A base URL of SCIM.
    Scim,
    /// A tenant.
    Tenant,
    /// The admin API of a tenant.
    Administration,
    /// The admin API of the installation.
    Installation,
}

/// Refuses a caller that lacks what a route needs (403), and a route that has no row.
pub(crate) fn check(
    place: Place,
    method: &str,
    path: &str,
    caller: &Caller,
) -> Result<(), Failure> {
    let need = need(place, method, path)
        .ok_or_else(|| Fault::new("a route has no row in the table of needs"))?;
    Ok(need.check(caller, None)?)
}

/// The row of a route; `None`: there is none, so nothing may be answered. HEAD is GET. `path` is the pattern of the route, or a path that it leads to.
pub(crate) fn need(place: Place, method: &str, path: &str) -> Option<&'static Need> {
    let table = match place {
        Place::Scim => SCIM,
        Place::Tenant => TENANT,
        Place::Administration => ADMINISTRATION,
        Place::Installation => INSTALLATION,
    };
    let method = if method == "HEAD" { "GET" } else { method };
    let mut rows = table.iter().filter(|row| row.method == method);
    match place {
        // Its routes are found by another table, which gives the pattern.
        Place::Scim => rows.find(|row| row.path == path),
        _ => rows.find(|row| leads(row.path, path)),
    }
}

/// Whether a path is one of this pattern.
fn leads(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given))
                if wanted == given || (wanted.starts_with('{') && !given.is_empty()) => {}
            _ => return false,
        }
    }
}

impl Need {
    /// Refuses (`403`) a caller that lacks a scope, or whose credential is not for the types that it has to be for. `named` is the type that the path
    /// names; where only an id or a name does, who finds it looks at its type.
    pub(crate) fn check(&self, caller: &Caller, named: Option<&str>) -> Result<(), Error> {
        self.scopes
            .iter()
            .try_for_each(|scope| caller.requires(*scope))?;
        if let Some(operation) = self.operation {
            may(caller.permissions.role(), operation)?;
        }
        match (self.types, named) {
            (All, _) => caller.is_for_all_types(),
            (Named, Some(name)) => caller.is_for(name),
            (Named, None) | (Any | Shown, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use directory::access::Role;

    use super::*;

    #[test]
    fn paths_lead_to_rows() {
        let check = |place: Place, method: &str, path: &str, expected: Option<&str>| {
            assert_eq!(
                need(place, method, path).map(|row| row.path),
                expected,
                "{method} {path}"
            );
        };
        check(
            Place::Administration,
            "GET",
            "/history/a.b%2Fc/then",
            Some("/history/{id}/then"),
        );
        check(Place::Administration, "HEAD", "/tokens", Some("/tokens"));
        check(Place::Administration, "PUT", "/tokens", None);
        check(Place::Administration, "GET", "/history//then", None);
        check(Place::Administration, "GET", "/tokens/", None);
        check(
            Place::Installation,
            "POST",
            "/tenants/acme/restore",
            Some("/tenants/{name}/restore"),
        );
        check(Place::Scim, "GET", "/{type}/{id}", Some("/{type}/{id}"));
        check(Place::Scim, "GET", "/Users", None);
    }

    #[test]
    fn an_auditor_reads_all_but_a_whole_tenant_and_changes_nothing() {
        for row in [ADMINISTRATION, INSTALLATION].into_iter().flatten() {
            let operation = row.operation.unwrap();
            let reads = row.method == "GET" && row.path != "/tenants/{name}/export";
            assert_eq!(operation.role == Role::Auditor, reads, "{row:?}");
        }
        assert!(
            [SCIM, TENANT]
                .into_iter()
                .flatten()
                .all(|row| row.operation.is_none())
        );
    }

    #[test]
    fn no_route_has_two_rows() {
        for table in [SCIM, TENANT, ADMINISTRATION, INSTALLATION] {
            for (index, one) in table.iter().enumerate() {
                let twice = table
                    .iter()
                    .skip(index + 1)
                    .any(|other| other.method == one.method && other.path == one.path);
                assert!(!twice, "{one:?}");
            }
        }
    }
}
