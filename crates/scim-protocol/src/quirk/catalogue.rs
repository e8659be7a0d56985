//! What each quirk is called, means and comes from, with an example that the tests run.

use serde_json::{Value, json};

use super::Quirk;
use crate::patch_path::PATCH_SCHEMA;
use crate::schema::standard::{ENTERPRISE_USER, USER};

const ENTRA_KNOWN_ISSUES: &str = "Microsoft Entra ID, known issues with SCIM 2.0 protocol compliance (without `aadOptscim062020`)";

/// What an example is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// The body of a POST of a User.
    User,
    /// The body of a PATCH of a User.
    UserPatch,
    /// The body of a PATCH of a Group.
    GroupPatch,
}

/// What is sent, and what the RFC would have had in its place: with the quirk the first does what the second does without any.
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
    Example { message: Message::User, before: whole(before), after: whole(after) }
}

fn patch(message: Message, before: &Value, after: &Value) -> Example {
    let whole = |operations: &Value| json!({ "schemas": [PATCH_SCHEMA], "Operations": operations });
    Example { message, before: whole(before), after: whole(after) }
}

impl Quirk {
    /// Its name in settings and reports.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// What is tolerated, in one sentence.
    pub fn description(self) -> &'static str {
        self.row().1
    }

    /// Who sends it, and where that is known from.
    pub fn source(self) -> &'static str {
        self.row().2
    }

    /// Name, what is accepted, source.
    fn row(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::OpCase => {
                let what = "`Add`, `Replace` and `Remove`, and the names of the message itself, may be in any case.";
                ("op-case", what, ENTRA_KNOWN_ISSUES)
            }
            Self::BooleanString => ("boolean-string", "`\"True\"` and `\"False\"` stand for the booleans.", ENTRA_KNOWN_ISSUES),
            Self::RemoveMembersByValue => (
                "remove-members-by-value",
                "A remove of `members` with a `value` removes those members, not all; other attributes alike.",
                "Microsoft Entra ID, SCIM endpoint tutorial: remove members from a group",
            ),
            Self::ElementFromFilter => (
                "element-from-filter",
                "A value path that selects nothing makes the element that its `eq` terms describe.",
                "Microsoft Entra ID, SCIM endpoint tutorial: multi-valued attributes in an update",
            ),
            Self::PathKeys => (
                "path-keys",
                "Keys of a body or a path-less operation may be paths; a path may leave out the URN of an extension.",
                "Microsoft Entra ID, SCIM endpoint tutorial: update of several attributes without `path`",
            ),
            Self::ReferenceAsString => (
                "reference-as-string",
                "A reference may be its bare id; an empty one is none.",
                "Microsoft Entra ID, known issues with SCIM 2.0 protocol compliance: `manager`",
            ),
            Self::IgnoreReadOnly => (
                "ignore-read-only",
                "A path-less operation may repeat read-only attributes; they are ignored.",
                "Okta, SCIM 2.0 reference: update a group's name (repeats `id`)",
            ),
            Self::IgnoreUnknown => (
                "ignore-unknown",
                "Attributes that no schema has are ignored.",
                "Microsoft Entra ID and Okta, custom attribute mappings to applications that do not have them",
            ),
            Self::MissingSchemas => (
                "missing-schemas",
                "`schemas` may be missing or incomplete; the endpoint says what the body is.",
                "JumpCloud, OneLogin: requests as recorded in `wire/WIRE.md`, Others",
            ),
            Self::SingleAsArray => {
                ("single-as-array", "One value may stand where an array of values is wanted.", "Several clients: `wire/WIRE.md`, Others")
            }
            Self::StringifiedJson => (
                "stringified-json",
                "A string that is JSON may stand for the array or object that is wanted.",
                "Microsoft Entra ID, app roles: `AssertiveAppRoleAssignmentsComplex` sends JSON in a string",
            ),
            Self::OlderSchemaUrn => (
                "older-schema-urn",
                "The URNs of SCIM 1.1 and of the drafts of 2.0 stand for those of today.",
                "OneLogin, older schema URNs: `wire/WIRE.md`, Others",
            ),
            Self::EmptyOperations => (
                "empty-operations",
                "A PATCH without operations changes nothing and is no error.",
                "Several clients, on a cycle without changes: `wire/WIRE.md`, Others",
            ),
            Self::WrappedSingleValue => (
                "wrapped-single-value",
                "An array of one, or `{\"$ref\": null, \"value\": x}`, may stand where one value is wanted.",
                "Microsoft Entra ID, known issues with SCIM 2.0 protocol compliance: values of single-valued attributes",
            ),
        }
    }

    /// What is sent, and what the RFC would have had in its place.
    pub fn example(self) -> Example {
        let users = |before: Value, after: Value| patch(Message::UserPatch, &before, &after);
        let groups = |before: Value, after: Value| patch(Message::GroupPatch, &before, &after);
        let manager = format!("{ENTERPRISE_USER}:manager");
        match self {
            Self::OpCase => {
                users(json!([{"op": "Replace", "path": "title", "value": "T"}]), json!([{"op": "replace", "path": "title", "value": "T"}]))
            }
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
            Self::IgnoreUnknown => user(json!({"shoeSize": 9, "title": "T"}), json!({"title": "T"})),
            Self::MissingSchemas => user(json!({"schemas": []}), json!({})),
            Self::SingleAsArray => user(json!({"emails": {"value": "a@x"}}), json!({"emails": [{"value": "a@x"}]})),
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
            Self::WrappedSingleValue => users(
                json!([{"op": "replace", "path": "title", "value": [{"$ref": null, "value": "T"}]}]),
                json!([{"op": "replace", "path": "title", "value": "T"}]),
            ),
        }
    }
}
