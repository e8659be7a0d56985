//! What each route needs of a bearer's credential: scopes, and for which resource types it has to be. The one table that handlers take their check from; a
//! route without a row is refused, and a test finds a row for every operation of the OpenAPI document. What a credential may give others is decided in
//! `directory`'s `access`.

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
    row("GET", "/tokens", ADMIN, Any),
    row("POST", "/tokens", ADMIN, Any),
    row("DELETE", "/tokens/{id}", ADMIN, Any),
    row("GET", "/clients", ADMIN, Any),
    row("POST", "/clients", ADMIN, Any),
    row("DELETE", "/clients/{id}", ADMIN, Any),
    row("GET", "/issuers", ADMIN, Any),
    row("POST", "/issuers", ADMIN, Any),
    row("DELETE", "/issuers/{name}", ADMIN, Any),
    row("GET", "/guard", ADMIN_READ, All),
    row("POST", "/guard/allowances", ADMIN_WRITE, All),
    row("POST", "/guard/parked/{id}/approve", ADMIN_BOTH, All),
    row("DELETE", "/guard/parked/{id}", ADMIN_WRITE, All),
    row("GET", "/history/{id}", ADMIN_READ, Named),
    row("GET", "/history/{id}/then", ADMIN_READ, Named),
    row("POST", "/history/{id}/restore", ADMIN_BOTH, Named),
    row("GET", "/deleted", ADMIN_READ, Shown),
    row("POST", "/undo", ADMIN_BOTH, All),
    row("GET", "/pending", ADMIN_READ, Shown),
    row("GET", "/schemas", ADMIN, Any),
    // What is stored is checked against a schema that changes, and a refusal names it.
    row("POST", "/schemas", ADMIN_READ, All),
    row("GET", "/schemas/{name}", ADMIN, Any),
    row("DELETE", "/schemas/{name}", ADMIN_READ, All),
    row("GET", "/schemas/{name}/history", ADMIN, Any),
    row("GET", "/resource-types", ADMIN, Any),
    row("POST", "/resource-types", ADMIN_READ, All),
    row("GET", "/resource-types/{name}", ADMIN, Any),
    row("DELETE", "/resource-types/{name}", ADMIN_READ, All),
    row("GET", "/resource-types/{name}/history", ADMIN, Any),
    // A request of anybody: bodies, filters and paths about resources of every type.
    row("GET", "/requests", ADMIN_READ, All),
    row("GET", "/requests/{id}", ADMIN_READ, All),
    row("GET", "/quirks", ADMIN_READ, All),
    row("GET", "/receivers", ADMIN, Shown),
    row("POST", "/receivers", ADMIN_READ, Named),
    row("GET", "/receivers/{name}", ADMIN, Named),
    row("PATCH", "/receivers/{name}", ADMIN_READ, Named),
    row("DELETE", "/receivers/{name}", ADMIN, Named),
    row("POST", "/receivers/{name}/secret", ADMIN_READ, Named),
    row("GET", "/receivers/{name}/dead-letters", ADMIN_READ, Named),
    row(
        "POST",
        "/receivers/{name}/dead-letters/redeliver",
        ADMIN_READ,
        Named,
    ),
    row(
        "POST",
        "/receivers/{name}/dead-letters/discard",
        ADMIN,
        Named,
    ),
    row("POST", "/signing-keys", ADMIN, All),
];

/// Below `/admin/v1`.
const INSTALLATION: &[Need] = &[
    row("GET", "/tenants", OPERATOR, All),
    row("POST", "/tenants", OPERATOR, All),
    row("GET", "/tenants/{name}", OPERATOR, All),
    row("PATCH", "/tenants/{name}", OPERATOR, All),
    row("DELETE", "/tenants/{name}", OPERATOR_WRITE, All),
    row("POST", "/tenants/{name}/tokens", OPERATOR, All),
    row("POST", "/tenants/{name}/suspend", OPERATOR, All),
    row("POST", "/tenants/{name}/resume", OPERATOR, All),
    row("GET", "/tenants/{name}/export", OPERATOR_READ, All),
    row("POST", "/tenants/{name}/restore", OPERATOR_WRITE, All),
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
        match (self.types, named) {
            (All, _) => caller.is_for_all_types(),
            (Named, Some(name)) => caller.is_for(name),
            (Named, None) | (Any | Shown, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
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
