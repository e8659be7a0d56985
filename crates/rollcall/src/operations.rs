//! Which operations of the admin API each command sends. A test compares this table with the API and with the command line: what one of them can do, the
//! other can do, apart from the two short lists of exceptions with their reasons.

/// An operation of the admin API.
#[derive(Debug)]
pub struct Operation {
    /// The method.
    pub method: &'static str,
    /// The pattern of the path, as the OpenAPI document has it.
    pub path: &'static str,
    /// The commands that send it.
    pub commands: &'static [&'static str],
}

const fn send(
    method: &'static str,
    path: &'static str,
    commands: &'static [&'static str],
) -> Operation {
    Operation {
        method,
        path,
        commands,
    }
}

pub const LIST_TOKENS: Operation = send("GET", "/t/{tenant}/admin/v1/tokens", &["token list"]);
pub const CREATE_TOKEN: Operation = send("POST", "/t/{tenant}/admin/v1/tokens", &["token create"]);
pub const REVOKE_TOKEN: Operation = send(
    "DELETE",
    "/t/{tenant}/admin/v1/tokens/{id}",
    &["token revoke"],
);
pub const LIST_TENANTS: Operation = send("GET", "/admin/v1/tenants", &["tenant list"]);
pub const CREATE_TENANT: Operation = send("POST", "/admin/v1/tenants", &["tenant create"]);
pub const SHOW_TENANT: Operation = send(
    "GET",
    "/admin/v1/tenants/{name}",
    &["tenant show", "tenant edit", "tenant erase"],
);
pub const CHANGE_TENANT: Operation = send("PATCH", "/admin/v1/tenants/{name}", &["tenant edit"]);
pub const ERASE_TENANT: Operation = send("DELETE", "/admin/v1/tenants/{name}", &["tenant erase"]);
pub const SUSPEND_TENANT: Operation = send(
    "POST",
    "/admin/v1/tenants/{name}/suspend",
    &["tenant suspend"],
);
pub const RESUME_TENANT: Operation = send(
    "POST",
    "/admin/v1/tenants/{name}/resume",
    &["tenant resume"],
);
pub const LIST_CLIENTS: Operation = send("GET", "/t/{tenant}/admin/v1/clients", &["client list"]);
pub const CREATE_CLIENT: Operation = send("POST", "/t/{tenant}/admin/v1/clients", &["client add"]);
pub const REVOKE_CLIENT: Operation = send(
    "DELETE",
    "/t/{tenant}/admin/v1/clients/{id}",
    &["client revoke"],
);
pub const LIST_ISSUERS: Operation = send("GET", "/t/{tenant}/admin/v1/issuers", &["issuer list"]);
pub const CREATE_ISSUER: Operation = send("POST", "/t/{tenant}/admin/v1/issuers", &["issuer add"]);
pub const REMOVE_ISSUER: Operation = send(
    "DELETE",
    "/t/{tenant}/admin/v1/issuers/{name}",
    &["issuer remove"],
);
pub const LIST_APPLICATIONS: Operation = send(
    "GET",
    "/t/{tenant}/admin/v1/applications",
    &["application list"],
);
pub const ADD_APPLICATION: Operation = send(
    "POST",
    "/t/{tenant}/admin/v1/applications",
    &["application add"],
);
pub const SHOW_APPLICATION: Operation = send(
    "GET",
    "/t/{tenant}/admin/v1/applications/{name}",
    &["application show"],
);
pub const CHANGE_APPLICATION: Operation = send(
    "PATCH",
    "/t/{tenant}/admin/v1/applications/{name}",
    &["application pause", "application resume"],
);
pub const REMOVE_APPLICATION: Operation = send(
    "DELETE",
    "/t/{tenant}/admin/v1/applications/{name}",
    &["application remove"],
);
pub const SET_APPLICATION_TOKEN: Operation = send(
    "POST",
    "/t/{tenant}/admin/v1/applications/{name}/token",
    &["application token"],
);
pub const TEST_APPLICATION: Operation = send(
    "POST",
    "/t/{tenant}/admin/v1/applications/{name}/test",
    &["application test"],
);
pub const SYNC_STATUS: Operation = send("GET", "/t/{tenant}/admin/v1/sync", &["sync status"]);
pub const COMPARE_AGAIN: Operation = send("POST", "/t/{tenant}/admin/v1/sync", &["sync now"]);
pub const SYNC_LOG: Operation = send("GET", "/t/{tenant}/admin/v1/sync/log", &["sync log"]);
pub const PLAN_SYNC: Operation = send("GET", "/t/{tenant}/admin/v1/sync/plan", &["sync plan"]);
pub const LIST_AUDIT: Operation = send(
    "GET",
    "/t/{tenant}/admin/v1/audit",
    &["audit list", "audit export"],
);
pub const VERIFY_AUDIT: Operation = send(
    "GET",
    "/t/{tenant}/admin/v1/audit/verify",
    &["audit verify"],
);
pub const LIST_INSTALLATION_AUDIT: Operation =
    send("GET", "/admin/v1/audit", &["audit list", "audit export"]);
pub const VERIFY_INSTALLATION_AUDIT: Operation =
    send("GET", "/admin/v1/audit/verify", &["audit verify"]);

// Receivers of events, and the keys with which events are signed.
pub const LIST_RECEIVERS: Operation =
    send("GET", "/t/{tenant}/admin/v1/receivers", &["receiver list"]);
pub const ADD_RECEIVER: Operation =
    send("POST", "/t/{tenant}/admin/v1/receivers", &["receiver add"]);
pub const SHOW_RECEIVER: Operation = send(
    "GET",
    "/t/{tenant}/admin/v1/receivers/{name}",
    &["receiver show", "receiver rotate-secret"],
);
pub const CHANGE_RECEIVER: Operation = send(
    "PATCH",
    "/t/{tenant}/admin/v1/receivers/{name}",
    &["receiver pause", "receiver resume"],
);
pub const REMOVE_RECEIVER: Operation = send(
    "DELETE",
    "/t/{tenant}/admin/v1/receivers/{name}",
    &["receiver remove"],
);
pub const ROTATE_RECEIVER_SECRET: Operation = send(
    "POST",
    "/t/{tenant}/admin/v1/receivers/{name}/secret",
    &["receiver rotate-secret"],
);
pub const TEST_RECEIVER: Operation = send(
    "POST",
    "/t/{tenant}/admin/v1/receivers/{name}/test",
    &["receiver test"],
);
pub const ADD_TO_FEED: Operation = send(
    "POST",
    "/t/{tenant}/admin/v1/receivers/{name}/feed/add",
    &["receiver feed-add"],
);
pub const REMOVE_FROM_FEED: Operation = send(
    "POST",
    "/t/{tenant}/admin/v1/receivers/{name}/feed/remove",
    &["receiver feed-remove"],
);
pub const LIST_DEAD_LETTERS: Operation = send(
    "GET",
    "/t/{tenant}/admin/v1/receivers/{name}/dead-letters",
    &["receiver dead-letters"],
);
pub const REDELIVER: Operation = send(
    "POST",
    "/t/{tenant}/admin/v1/receivers/{name}/dead-letters/redeliver",
    &["receiver redeliver"],
);
pub const DISCARD: Operation = send(
    "POST",
    "/t/{tenant}/admin/v1/receivers/{name}/dead-letters/discard",
    &["receiver discard"],
);
pub const LIST_KEYS: Operation = send(
    "GET",
    "/t/{tenant}/admin/v1/signing-keys",
    &["keys list", "keys rotate"],
);
pub const ROTATE_KEYS: Operation = send(
    "POST",
    "/t/{tenant}/admin/v1/signing-keys",
    &["keys rotate"],
);

/// All of them, for the test.
#[cfg(test)]
pub const ALL: &[&Operation] = &[
    &LIST_TOKENS,
    &CREATE_TOKEN,
    &REVOKE_TOKEN,
    &LIST_TENANTS,
    &CREATE_TENANT,
    &SHOW_TENANT,
    &CHANGE_TENANT,
    &ERASE_TENANT,
    &SUSPEND_TENANT,
    &RESUME_TENANT,
    &LIST_CLIENTS,
    &CREATE_CLIENT,
    &REVOKE_CLIENT,
    &LIST_ISSUERS,
    &CREATE_ISSUER,
    &REMOVE_ISSUER,
    &LIST_APPLICATIONS,
    &ADD_APPLICATION,
    &SHOW_APPLICATION,
    &CHANGE_APPLICATION,
    &REMOVE_APPLICATION,
    &SET_APPLICATION_TOKEN,
    &TEST_APPLICATION,
    &SYNC_STATUS,
    &COMPARE_AGAIN,
    &SYNC_LOG,
    &PLAN_SYNC,
    &LIST_AUDIT,
    &VERIFY_AUDIT,
    &LIST_INSTALLATION_AUDIT,
    &VERIFY_INSTALLATION_AUDIT,
    &LIST_RECEIVERS,
    &ADD_RECEIVER,
    &SHOW_RECEIVER,
    &CHANGE_RECEIVER,
    &REMOVE_RECEIVER,
    &ROTATE_RECEIVER_SECRET,
    &TEST_RECEIVER,
    &ADD_TO_FEED,
    &REMOVE_FROM_FEED,
    &LIST_DEAD_LETTERS,
    &REDELIVER,
    &DISCARD,
    &LIST_KEYS,
    &ROTATE_KEYS,
];

/// The command works on the data folder itself; it is to become a client of the API.
#[cfg(test)]
const NOT_YET: &str = "not a client of the API yet";

/// Why a whole tenant does not come by the API.
#[cfg(test)]
const WHOLE: &str = "`tenant export` and `tenant restore` do the same between file and database";

/// Operations that no command sends, and why.
#[cfg(test)]
pub const WITHOUT_COMMAND: &[(&str, &str, &str)] = &[
    ("GET", "/t/{tenant}/admin/v1/guard", NOT_YET),
    ("POST", "/t/{tenant}/admin/v1/guard/allowances", NOT_YET),
    (
        "POST",
        "/t/{tenant}/admin/v1/guard/parked/{id}/approve",
        NOT_YET,
    ),
    ("DELETE", "/t/{tenant}/admin/v1/guard/parked/{id}", NOT_YET),
    ("GET", "/t/{tenant}/admin/v1/history/{id}", NOT_YET),
    ("GET", "/t/{tenant}/admin/v1/history/{id}/then", NOT_YET),
    ("POST", "/t/{tenant}/admin/v1/history/{id}/restore", NOT_YET),
    ("GET", "/t/{tenant}/admin/v1/deleted", NOT_YET),
    ("POST", "/t/{tenant}/admin/v1/undo", NOT_YET),
    ("GET", "/t/{tenant}/admin/v1/pending", NOT_YET),
    ("GET", "/t/{tenant}/admin/v1/schemas", NOT_YET),
    ("POST", "/t/{tenant}/admin/v1/schemas", NOT_YET),
    ("GET", "/t/{tenant}/admin/v1/schemas/{name}", NOT_YET),
    ("DELETE", "/t/{tenant}/admin/v1/schemas/{name}", NOT_YET),
    (
        "GET",
        "/t/{tenant}/admin/v1/schemas/{name}/history",
        NOT_YET,
    ),
    ("GET", "/t/{tenant}/admin/v1/resource-types", NOT_YET),
    ("POST", "/t/{tenant}/admin/v1/resource-types", NOT_YET),
    ("GET", "/t/{tenant}/admin/v1/resource-types/{name}", NOT_YET),
    (
        "DELETE",
        "/t/{tenant}/admin/v1/resource-types/{name}",
        NOT_YET,
    ),
    (
        "GET",
        "/t/{tenant}/admin/v1/resource-types/{name}/history",
        NOT_YET,
    ),
    ("GET", "/t/{tenant}/admin/v1/requests", NOT_YET),
    ("GET", "/t/{tenant}/admin/v1/requests/{id}", NOT_YET),
    ("GET", "/t/{tenant}/admin/v1/quirks", NOT_YET),
    ("GET", "/admin/v1/tenants/{name}/export", WHOLE),
    ("POST", "/admin/v1/tenants/{name}/restore", WHOLE),
    (
        "POST",
        "/admin/v1/tenants/{name}/tokens",
        "`token create --tenant` makes it in the tenant itself",
    ),
];

/// Commands that send no operation of the admin API, and why.
#[cfg(test)]
pub const WITHOUT_OPERATION: &[(&str, &str)] = &[
    ("serve", "is the server"),
    ("demo", "starts servers of its own"),
    ("config show", "shows the settings of this machine"),
    ("profile list", "shows what this program knows"),
    ("profile show", "shows what this program knows"),
    ("tenant export", WHOLE),
    ("tenant restore", WHOLE),
    ("requests list", NOT_YET),
    ("requests show", NOT_YET),
    ("requests quirks", NOT_YET),
    ("schema add", NOT_YET),
    ("schema list", NOT_YET),
    ("schema show", NOT_YET),
    ("schema remove", NOT_YET),
    ("schema history", NOT_YET),
    ("resource-type add", NOT_YET),
    ("resource-type list", NOT_YET),
    ("resource-type show", NOT_YET),
    ("resource-type remove", NOT_YET),
    ("resource-type history", NOT_YET),
    ("history list", NOT_YET),
    ("history show", NOT_YET),
    ("history restore", NOT_YET),
    ("history deleted", NOT_YET),
    ("history undo", NOT_YET),
    ("history pending", NOT_YET),
    ("guard status", NOT_YET),
    ("guard allow", NOT_YET),
    ("guard approve", NOT_YET),
    ("guard reject", NOT_YET),
    (
        "user list",
        "people and groups are resources of the SCIM API",
    ),
    (
        "user show",
        "people and groups are resources of the SCIM API",
    ),
    (
        "user create",
        "people and groups are resources of the SCIM API",
    ),
    (
        "user edit",
        "people and groups are resources of the SCIM API",
    ),
    (
        "user deactivate",
        "people and groups are resources of the SCIM API",
    ),
    (
        "user delete",
        "people and groups are resources of the SCIM API",
    ),
    (
        "group list",
        "people and groups are resources of the SCIM API",
    ),
    (
        "group show",
        "people and groups are resources of the SCIM API",
    ),
    (
        "group create",
        "people and groups are resources of the SCIM API",
    ),
    (
        "group rename",
        "people and groups are resources of the SCIM API",
    ),
    (
        "group delete",
        "people and groups are resources of the SCIM API",
    ),
    (
        "group add-member",
        "people and groups are resources of the SCIM API",
    ),
    (
        "group remove-member",
        "people and groups are resources of the SCIM API",
    ),
    ("import", "people and groups are resources of the SCIM API"),
];
