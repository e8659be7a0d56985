//! What each quirk is called, means and comes from, with an example that the tests run.

use serde_json::{Value, json};

use super::Quirk;
use crate::messages::BULK_REQUEST_SCHEMA;
use crate::patch_path::PATCH_SCHEMA;
use crate::schema::standard::{ENTERPRISE_USER, USER};

const ENTRA_KNOWN_ISSUES: &str = "https://learn.microsoft.com/en-us/entra/identity/app-provisioning/application-provisioning-config-problem-scim-compatibility";
const ENTRA_ENDPOINT: &str = "https://learn.microsoft.com/en-us/entra/identity/app-provisioning/use-scim-to-provision-users-and-groups";
const ONELOGIN_SCHEMA: &str = "https://developers.onelogin.com/scim/define-user-schema";
const PING_LIMITATIONS: &str =
    "https://docs.pingidentity.com/r/en-us/pingone/p1_scim_provisioning_limitations";

/// What an example is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// The body of a POST of a User.
    User,
    /// The body of a PATCH of a User.
    UserPatch,
    /// The body of a PATCH of a Group.
    GroupPatch,
    /// Query parameters, as an object.
    Query,
    /// The body of a bulk request.
    Bulk,
}

/// A message as it is sent, and the message that the RFC wants in its place. With the quirk the first does what the second does without it.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// What the two are.
    pub message: Message,
    /// As it is sent.
    pub before: Value,
    /// As the RFC has it.
    pub after: Value,
}

fn user(before: Value, after: Value) -> Example {
    let whole = |mut body: Value| {
        if let Some(body) = body.as_object_mut() {
            body.entry("schemas").or_insert_with(|| json!([USER]));
            body.entry("userName").or_insert_with(|| json!("ann"));
        }
        body
    };
    Example {
        message: Message::User,
        before: whole(before),
        after: whole(after),
    }
}

fn patch(message: Message, before: &Value, after: &Value) -> Example {
    let whole = |operations: &Value| json!({ "schemas": [PATCH_SCHEMA], "Operations": operations });
    Example {
        message,
        before: whole(before),
        after: whole(after),
    }
}

impl Quirk {
    /// Its name in settings and reports.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// The deviation that is tolerated, in one sentence.
    pub fn description(self) -> &'static str {
        self.row().1
    }

    /// The page or issue that it is known from.
    pub fn source(self) -> &'static str {
        self.row().2
    }

    /// Name, description, source.
    fn row(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::OpCase => {
                let what = "`Add`, `Replace` and `Remove`, and the names of the message itself, may be in any case.";
                ("op-case", what, ENTRA_KNOWN_ISSUES)
            }
            Self::BooleanString => (
                "boolean-string",
                "`\"True\"` and `\"False\"` stand for the booleans.",
                ENTRA_KNOWN_ISSUES,
            ),
            Self::RemoveMembersByValue => (
                "remove-members-by-value",
                "A remove of `members` with a `value` removes those members, not all; other attributes alike.",
                "https://github.com/AzureAD/SCIMReferenceCode/issues/10",
            ),
            Self::ElementFromFilter => (
                "element-from-filter",
                "A value path that selects nothing makes the element that its `eq` terms describe.",
                "https://github.com/Captain-P-Goldfish/SCIM-SDK/issues/416",
            ),
            Self::PathKeys => (
                "path-keys",
                "Keys of a body or a path-less operation may be paths.",
                "https://github.com/Captain-P-Goldfish/SCIM-SDK/issues/193",
            ),
            Self::ReferenceAsString => (
                "reference-as-string",
                "A reference may be its bare id; an empty one is none.",
                "https://github.com/Captain-P-Goldfish/SCIM-SDK/issues/686",
            ),
            Self::IgnoreReadOnly => (
                "ignore-read-only",
                "A path-less operation may repeat read-only attributes; they are ignored.",
                "https://github.com/Metatavu/keycloak-scim-server/pull/113",
            ),
            Self::IgnoreUnknown => (
                "ignore-unknown",
                "Attributes that no schema has are ignored.",
                ENTRA_ENDPOINT,
            ),
            Self::MissingSchemas => (
                "missing-schemas",
                "`schemas` may be missing or incomplete; the endpoint says what the body is.",
                "https://github.com/ssoready/ssoready/pull/182",
            ),
            Self::SingleAsArray => (
                "single-as-array",
                "One value may stand where an array of values is wanted.",
                ONELOGIN_SCHEMA,
            ),
            Self::StringifiedJson => (
                "stringified-json",
                "A string that is JSON may stand for the array or object that is wanted.",
                "https://github.com/Captain-P-Goldfish/SCIM-SDK/issues/516",
            ),
            Self::OlderSchemaUrn => (
                "older-schema-urn",
                "The URNs of SCIM 1.1 and of the drafts of 2.0 stand for those of today.",
                ONELOGIN_SCHEMA,
            ),
            Self::EmptyOperations => (
                "empty-operations",
                "A PATCH without operations changes nothing and is no error.",
                "https://github.com/scimmyjs/scimmy/issues/59",
            ),
            later => later.later_row(),
        }
    }

    /// The rows of the quirks that came after the first thirteen.
    fn later_row(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::WrappedSingleValue => (
                "wrapped-single-value",
                "An array of one, or `{\"$ref\": null, \"value\": x}`, may stand where one value is wanted.",
                ENTRA_KNOWN_ISSUES,
            ),
            Self::SeveralPrimaries => (
                "several-primaries",
                "Where several values are marked primary, the first stays it.",
                PING_LIMITATIONS,
            ),
            Self::EmptyForNone => (
                "empty-for-none",
                "An empty string is no value where a boolean, a number, a date or an object is wanted.",
                ONELOGIN_SCHEMA,
            ),
            Self::NumberString => (
                "number-string",
                "A number may be in quotes; a text of an extension or a sub-attribute may be a number (`employeeNumber`).",
                "https://github.com/goauthentik/authentik/issues/15533",
            ),
            Self::PatchAsResource => (
                "patch-as-resource",
                "A PATCH may be a part of the resource, as in SCIM 1.1, instead of operations.",
                "http://www.simplecloud.info/specs/draft-scim-api-01.html#edit-resource-with-patch",
            ),
            Self::EmptyParameter => (
                "empty-parameter",
                "A query parameter without a value is as if it were not there.",
                "https://github.com/simpleidserver/SimpleIdServer/issues/604",
            ),
            Self::ExtensionNames => (
                "extension-names",
                "An attribute that only one extension has may be named without its URN; behind a URN a dot may stand for the colon.",
                ENTRA_ENDPOINT,
            ),
            Self::NamedValue => (
                "named-value",
                "The value of an operation may stand in an object below the name of its path.",
                "https://github.com/pond/scimitar/issues/43",
            ),
            Self::ZeroFailOnErrors => (
                "zero-fail-on-errors",
                "`failOnErrors` of 0 is as if it were not there.",
                "https://datatracker.ietf.org/doc/html/rfc7644#section-3.7",
            ),
            Self::ValuePathNames => (
                "value-path-names",
                "A name in `attributes` may be a value path; its brackets are ignored.",
                ENTRA_ENDPOINT,
            ),
            _ => (
                "reference-id",
                "SCIM 1.1's `managerId` stands for the `value` of `manager`.",
                ONELOGIN_SCHEMA,
            ),
        }
    }

    /// A message as it is sent, and the message that the RFC wants in its place.
    pub fn example(self) -> Example {
        let users = |before: Value, after: Value| patch(Message::UserPatch, &before, &after);
        let groups = |before: Value, after: Value| patch(Message::GroupPatch, &before, &after);
        let manager = format!("{ENTERPRISE_USER}:manager");
        match self {
            Self::OpCase => users(
                json!([{"op": "Replace", "path": "title", "value": "T"}]),
                json!([{"op": "replace", "path": "title", "value": "T"}]),
            ),
            Self::BooleanString => users(
                json!([{"op": "replace", "path": "active", "value": "False"}]),
                json!([{"op": "replace", "path": "active", "value": false}]),
            ),
            Self::RemoveMembersByValue => groups(
                json!([{"op": "remove", "path": "members", "value": [{"$ref": null, "value": "a"}]}]),
                json!([{"op": "remove", "path": "members[value eq \"a\"]"}]),
            ),
            Self::ElementFromFilter => users(
                json!([{"op": "add", "path": "emails[type eq \"work\"].value", "value": "a@x"}]),
                json!([{"op": "add", "path": "emails", "value": [{"type": "work", "value": "a@x"}]}]),
            ),
            Self::PathKeys => users(
                json!([{"op": "add", "value": {"displayName": "D", "name.givenName": "A"}}]),
                json!([{"op": "add", "value": {"displayName": "D"}}, {"op": "add", "path": "name.givenName", "value": "A"}]),
            ),
            Self::ReferenceAsString => users(
                json!([{"op": "add", "path": manager, "value": "26118915"}]),
                json!([{"op": "add", "path": manager, "value": {"value": "26118915"}}]),
            ),
            Self::IgnoreReadOnly => users(
                json!([{"op": "replace", "value": {"id": "x", "displayName": "D"}}]),
                json!([{"op": "replace", "value": {"displayName": "D"}}]),
            ),
            Self::IgnoreUnknown => {
                user(json!({"shoeSize": 9, "title": "T"}), json!({"title": "T"}))
            }
            Self::MissingSchemas => user(json!({"schemas": []}), json!({})),
            Self::SingleAsArray => user(
                json!({"emails": {"value": "a@x"}}),
                json!({"emails": [{"value": "a@x"}]}),
            ),
            Self::StringifiedJson => users(
                json!([{"op": "add", "path": "roles", "value": "[{\"value\":\"admin\"}]"}]),
                json!([{"op": "add", "path": "roles", "value": [{"value": "admin"}]}]),
            ),
            Self::OlderSchemaUrn => user(
                json!({
                    "schemas": ["urn:scim:schemas:core:1.0", "urn:scim:schemas:extension:enterprise:1.0"],
                    "urn:scim:schemas:extension:enterprise:1.0": {"department": "D"},
                }),
                json!({"schemas": [USER, ENTERPRISE_USER], ENTERPRISE_USER: {"department": "D"}}),
            ),
            Self::EmptyOperations => users(json!([]), json!([{"op": "add", "value": {}}])),
            later => later.later_example(),
        }
    }

    /// The examples of the quirks that came after the first thirteen.
    fn later_example(self) -> Example {
        let enterprise =
            |held: Value| json!({"schemas": [USER, ENTERPRISE_USER], ENTERPRISE_USER: held});
        match self {
            Self::WrappedSingleValue => patch(
                Message::UserPatch,
                &json!([{"op": "replace", "path": "title", "value": [{"$ref": null, "value": "T"}]}]),
                &json!([{"op": "replace", "path": "title", "value": "T"}]),
            ),
            Self::SeveralPrimaries => user(
                json!({"emails": [{"value": "a@x", "primary": true}, {"value": "b@x", "primary": true}]}),
                json!({"emails": [{"value": "a@x", "primary": true}, {"value": "b@x", "primary": false}]}),
            ),
            Self::EmptyForNone => user(json!({"name": "", "active": ""}), json!({})),
            Self::NumberString => user(
                enterprise(json!({"employeeNumber": 701_984})),
                enterprise(json!({"employeeNumber": "701984"})),
            ),
            Self::PatchAsResource => Example {
                message: Message::UserPatch,
                before: json!({"schemas": [USER], "title": "T", "emails": [{"value": "a@x"}], "meta": {"attributes": ["active"]}}),
                after: json!({"schemas": [PATCH_SCHEMA], "Operations": [
                    {"op": "add", "path": "emails", "value": [{"value": "a@x"}]}, {"op": "remove", "path": "active"},
                    {"op": "replace", "value": {"title": "T"}},
                ]}),
            },
            Self::EmptyParameter => Example {
                message: Message::Query,
                before: json!({"count": "", "startIndex": "2"}),
                after: json!({"startIndex": "2"}),
            },
            Self::ExtensionNames => user(
                json!({"department": "D"}),
                json!({"schemas": [USER, ENTERPRISE_USER], ENTERPRISE_USER: {"department": "D"}}),
            ),
            Self::NamedValue => patch(
                Message::GroupPatch,
                &json!([{"op": "replace", "path": "members", "value": {"members": []}}]),
                &json!([{"op": "replace", "path": "members", "value": []}]),
            ),
            Self::ZeroFailOnErrors => {
                let bulk = |extra: Value| {
                    let mut body = json!({"schemas": [BULK_REQUEST_SCHEMA], "Operations": []});
                    if let (Some(body), Value::Object(extra)) = (body.as_object_mut(), extra) {
                        body.extend(extra);
                    }
                    body
                };
                Example {
                    message: Message::Bulk,
                    before: bulk(json!({"failOnErrors": 0})),
                    after: bulk(json!({})),
                }
            }
            Self::ValuePathNames => Example {
                message: Message::Query,
                before: json!({"attributes": "userName,emails[type eq \"work\"].value"}),
                after: json!({"attributes": "userName,emails.value"}),
            },
            _ => user(
                enterprise(json!({"manager": {"managerId": "7"}})),
                enterprise(json!({"manager": {"value": "7"}})),
            ),
        }
    }
}
