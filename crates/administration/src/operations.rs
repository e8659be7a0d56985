//! The one table of who may do what: each operation, its name in the audit log, and the narrowest role that may do it. A broader role may do what a narrower
//! one may. Which scopes a route needs besides is a table of `server` (`needs.rs`).
//!
//! Why the table is as it is:
//! - An *auditor* reads everything, the audit log too, and changes nothing; nothing that is read holds a secret.
//! - *Help desk* does what helps one person and can be undone or repeated: it ends the tokens of that person, brings a deleted person back, and has one
//!   person compared with the applications again. It makes no credential: a credential could do what help desk itself may not.
//! - An *administrator* does everything inside a tenant. Releasing what the guard holds is among it, because that can remove many people at once.
//! - An *owner* does what makes, changes, moves or ends tenants.

#![expect(missing_docs, reason = "the name of an operation says what it is")]

use directory::access::Role;

/// One act of an administrator.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its name: the noun, a dot, the verb.
    pub name: &'static str,
    /// The narrowest role that may do it.
    pub role: Role,
}

const fn by(role: Role, name: &'static str) -> Operation {
    Operation { name, role }
}

// Tokens, clients and issuers.
pub const READ_TOKENS: Operation = by(Role::Auditor, "token.read");
pub const CREATE_TOKEN: Operation = by(Role::Administrator, "token.create");
pub const REVOKE_TOKEN: Operation = by(Role::Administrator, "token.revoke");
// A token that stands for a person.
pub const REVOKE_TOKEN_OF_PERSON: Operation = by(Role::HelpDesk, "token.revoke");
pub const READ_CLIENTS: Operation = by(Role::Auditor, "client.read");
pub const CREATE_CLIENT: Operation = by(Role::Administrator, "client.create");
pub const REVOKE_CLIENT: Operation = by(Role::Administrator, "client.revoke");
pub const READ_ISSUERS: Operation = by(Role::Auditor, "issuer.read");
pub const CREATE_ISSUER: Operation = by(Role::Administrator, "issuer.create");
pub const REMOVE_ISSUER: Operation = by(Role::Administrator, "issuer.remove");

// The guard, history and requests.
pub const READ_GUARD: Operation = by(Role::Auditor, "guard.read");
pub const ALLOW_REMOVALS: Operation = by(Role::Administrator, "guard.allow");
pub const APPROVE_REMOVAL: Operation = by(Role::Administrator, "guard.approve");
pub const REJECT_REMOVAL: Operation = by(Role::Administrator, "guard.reject");
pub const READ_HISTORY: Operation = by(Role::Auditor, "history.read");
pub const RESTORE_RESOURCE: Operation = by(Role::HelpDesk, "history.restore");
pub const UNDO_CHANGES: Operation = by(Role::Administrator, "history.undo");
pub const READ_REQUESTS: Operation = by(Role::Auditor, "request.read");

// Schemas and resource types.
pub const READ_TYPES: Operation = by(Role::Auditor, "type.read");
pub const CHANGE_SCHEMA: Operation = by(Role::Administrator, "schema.change");
pub const REMOVE_SCHEMA: Operation = by(Role::Administrator, "schema.remove");
pub const CHANGE_RESOURCE_TYPE: Operation = by(Role::Administrator, "resource-type.change");
pub const REMOVE_RESOURCE_TYPE: Operation = by(Role::Administrator, "resource-type.remove");

// Receivers of events, and the keys with which events are signed.
pub const READ_RECEIVERS: Operation = by(Role::Auditor, "receiver.read");
pub const CREATE_RECEIVER: Operation = by(Role::Administrator, "receiver.create");
pub const CHANGE_RECEIVER: Operation = by(Role::Administrator, "receiver.change");
pub const REMOVE_RECEIVER: Operation = by(Role::Administrator, "receiver.remove");
pub const ROTATE_RECEIVER_SECRET: Operation = by(Role::Administrator, "receiver.rotate-secret");
pub const REDELIVER_EVENTS: Operation = by(Role::Administrator, "receiver.redeliver");
pub const DISCARD_EVENTS: Operation = by(Role::Administrator, "receiver.discard");
pub const ADD_TO_FEED: Operation = by(Role::Administrator, "receiver.feed-add");
pub const REMOVE_FROM_FEED: Operation = by(Role::Administrator, "receiver.feed-remove");
// It sends a message that is about no resource, and nothing of it is kept.
pub const TEST_RECEIVER: Operation = by(Role::HelpDesk, "receiver.test");
pub const READ_SIGNING_KEYS: Operation = by(Role::Auditor, "signing-key.read");
pub const ROTATE_SIGNING_KEYS: Operation = by(Role::Administrator, "signing-key.rotate");

// Applications, and what is sent to them.
pub const READ_APPLICATIONS: Operation = by(Role::Auditor, "application.read");
pub const ADD_APPLICATION: Operation = by(Role::Administrator, "application.add");
pub const CHANGE_APPLICATION: Operation = by(Role::Administrator, "application.change");
pub const SET_APPLICATION_TOKEN: Operation = by(Role::Administrator, "application.set-token");
pub const REMOVE_APPLICATION: Operation = by(Role::Administrator, "application.remove");
// It reads the application, and nothing of it is kept.
pub const TEST_APPLICATION: Operation = by(Role::HelpDesk, "application.test");
pub const READ_SYNC: Operation = by(Role::Auditor, "sync.read");
pub const PLAN_SYNC: Operation = by(Role::Auditor, "sync.plan");
pub const COMPARE_ONE: Operation = by(Role::HelpDesk, "sync.compare");
pub const COMPARE_ALL: Operation = by(Role::Administrator, "sync.compare-all");

// The audit log.
pub const READ_AUDIT: Operation = by(Role::Auditor, "audit.read");

// The installation.
pub const READ_TENANTS: Operation = by(Role::Auditor, "tenant.read");
pub const CREATE_TENANT: Operation = by(Role::Owner, "tenant.create");
pub const CHANGE_TENANT: Operation = by(Role::Owner, "tenant.change");
pub const ERASE_TENANT: Operation = by(Role::Owner, "tenant.erase");
pub const SUSPEND_TENANT: Operation = by(Role::Owner, "tenant.suspend");
pub const RESUME_TENANT: Operation = by(Role::Owner, "tenant.resume");
pub const EXPORT_TENANT: Operation = by(Role::Owner, "tenant.export");
pub const RESTORE_TENANT: Operation = by(Role::Owner, "tenant.restore");
/// A token of a tenant that another tenant's credential makes.
pub const CREATE_TOKEN_IN_TENANT: Operation = by(Role::Owner, "token.create");
