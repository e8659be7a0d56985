//! The events that are told about resources (RFC 9967 section 2), by their URIs, and which of them a change is. Does not build tokens.

/// A resource is told of from now on, though nothing happened to it.
pub const FEED_ADD: &str = "urn:ietf:params:scim:event:feed:add";
/// A resource is no longer told of, though nothing happened to it.
pub const FEED_REMOVE: &str = "urn:ietf:params:scim:event:feed:remove";
/// Created; with the resource.
pub const CREATE_FULL: &str = "urn:ietf:params:scim:event:prov:create:full";
/// Made; with the names of its attributes.
pub const CREATE_NOTICE: &str = "urn:ietf:params:scim:event:prov:create:notice";
/// Changed in part; with a PATCH that leads there.
pub const PATCH_FULL: &str = "urn:ietf:params:scim:event:prov:patch:full";
/// Changed in part; with the names of what changed.
pub const PATCH_NOTICE: &str = "urn:ietf:params:scim:event:prov:patch:notice";
/// Replaced; with the resource.
pub const PUT_FULL: &str = "urn:ietf:params:scim:event:prov:put:full";
/// Replaced; with the names of what changed.
pub const PUT_NOTICE: &str = "urn:ietf:params:scim:event:prov:put:notice";
/// Gone.
pub const DELETE: &str = "urn:ietf:params:scim:event:prov:delete";
/// `active` became true.
pub const ACTIVATE: &str = "urn:ietf:params:scim:event:prov:activate";
/// `active` became false.
pub const DEACTIVATE: &str = "urn:ietf:params:scim:event:prov:deactivate";

/// All that are sent, as `ServiceProviderConfig` announces them.
pub const ALL: &[&str] = &[
    FEED_ADD,
    FEED_REMOVE,
    CREATE_FULL,
    CREATE_NOTICE,
    PATCH_FULL,
    PATCH_NOTICE,
    PUT_FULL,
    PUT_NOTICE,
    DELETE,
    ACTIVATE,
    DEACTIVATE,
];
