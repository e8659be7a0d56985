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
pub const LIST_UNDELIVERED: Operation = send(
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

// The guard.
pub const READ_GUARD: Operation = send("GET", "/t/{tenant}/admin/v1/guard", &["guard status"]);
pub const ALLOW_REMOVALS: Operation = send(
    "POST",
    "/t/{tenant}/admin/v1/guard/allowances",
    &["guard allow"],
);
pub const APPROVE_REMOVAL: Operation = send(
    "POST",
    "/t/{tenant}/admin/v1/guard/parked/{id}/approve",
    &["guard approve"],
);
pub const REJECT_REMOVAL: Operation = send(
    "DELETE",
    "/t/{tenant}/admin/v1/guard/parked/{id}",
    &["guard reject"],
);

// What resources were.
pub const LIST_HISTORY: Operation = send(
    "GET",
    "/t/{tenant}/admin/v1/history/{id}",
    &["history list"],
);
pub const READ_HISTORY_THEN: Operation = send(
    "GET",
    "/t/{tenant}/admin/v1/history/{id}/then",
    &["history show"],
);
pub const RESTORE_RESOURCE: Operation = send(
    "POST",
    "/t/{tenant}/admin/v1/history/{id}/restore",
    &["history restore"],
);
pub const LIST_DELETED: Operation =
    send("GET", "/t/{tenant}/admin/v1/deleted", &["history deleted"]);
pub const UNDO_CHANGES: Operation = send("POST", "/t/{tenant}/admin/v1/undo", &["history undo"]);
pub const LIST_PENDING: Operation =
    send("GET", "/t/{tenant}/admin/v1/pending", &["history pending"]);

// The request log.
pub const LIST_REQUESTS: Operation =
    send("GET", "/t/{tenant}/admin/v1/requests", &["requests list"]);
pub const READ_REQUEST: Operation = send(
    "GET",
    "/t/{tenant}/admin/v1/requests/{id}",
    &["requests show"],
);
pub const LIST_QUIRKS: Operation = send("GET", "/t/{tenant}/admin/v1/quirks", &["requests quirks"]);

// Schemas and resource types.
pub const LIST_SCHEMAS: Operation = send("GET", "/t/{tenant}/admin/v1/schemas", &["schema list"]);
pub const PUT_SCHEMA: Operation = send("POST", "/t/{tenant}/admin/v1/schemas", &["schema add"]);
pub const READ_SCHEMA: Operation = send(
    "GET",
    "/t/{tenant}/admin/v1/schemas/{name}",
    &["schema show"],
);
pub const REMOVE_SCHEMA: Operation = send(
    "DELETE",
    "/t/{tenant}/admin/v1/schemas/{name}",
    &["schema remove"],
);
pub const SCHEMA_HISTORY: Operation = send(
    "GET",
    "/t/{tenant}/admin/v1/schemas/{name}/history",
    &["schema history"],
);
pub const LIST_RESOURCE_TYPES: Operation = send(
    "GET",
    "/t/{tenant}/admin/v1/resource-types",
    &["resource-type list"],
);
pub const PUT_RESOURCE_TYPE: Operation = send(
    "POST",
    "/t/{tenant}/admin/v1/resource-types",
    &["resource-type add"],
);
pub const READ_RESOURCE_TYPE: Operation = send(
    "GET",
    "/t/{tenant}/admin/v1/resource-types/{name}",
    &["resource-type show"],
);
pub const REMOVE_RESOURCE_TYPE: Operation = send(
    "DELETE",
    "/t/{tenant}/admin/v1/resource-types/{name}",
    &["resource-type remove"],
);
pub const RESOURCE_TYPE_HISTORY: Operation = send(
    "GET",
    "/t/{tenant}/admin/v1/resource-types/{name}/history",
    &["resource-type history"],
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
    &LIST_UNDELIVERED,
    &REDELIVER,
    &DISCARD,
    &LIST_KEYS,
    &ROTATE_KEYS,
    &READ_GUARD,
    &ALLOW_REMOVALS,
    &APPROVE_REMOVAL,
    &REJECT_REMOVAL,
    &LIST_HISTORY,
    &READ_HISTORY_THEN,
    &RESTORE_RESOURCE,
    &LIST_DELETED,
    &UNDO_CHANGES,
    &LIST_PENDING,
    &LIST_REQUESTS,
    &READ_REQUEST,
    &LIST_QUIRKS,
    &LIST_SCHEMAS,
    &PUT_SCHEMA,
    &READ_SCHEMA,
    &REMOVE_SCHEMA,
    &SCHEMA_HISTORY,
    &LIST_RESOURCE_TYPES,
    &PUT_RESOURCE_TYPE,
    &READ_RESOURCE_TYPE,
    &REMOVE_RESOURCE_TYPE,
    &RESOURCE_TYPE_HISTORY,
];

/// Why a whole tenant does not come by the API.
#[cfg(test)]
const WHOLE: &str = "`tenant export` and `tenant restore` do the same between file and database";

/// Operations that no command sends, and why.
#[cfg(test)]
pub const WITHOUT_COMMAND: &[(&str, &str, &str)] = &[
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
