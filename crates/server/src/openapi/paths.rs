//! Paths of the OpenAPI document: what is answered below a base URL for each type and for all, and what else is answered for a tenant.

use scim_protocol::TypeSchema;
use serde_json::{Map, Value, json};

use super::{SCIM, reference};

fn content(schema: &Value) -> Value {
    json!({SCIM: {"schema": schema}})
}

/// An operation whose good answers are these; every other one is a SCIM error.
fn operation(summary: &str, answers: &[(&str, Option<Value>)], more: Value) -> Value {
    let mut responses = Map::new();
    for (status, schema) in answers {
        let mut answer = json!({"description": summary});
        if let (Some(map), Some(schema)) = (answer.as_object_mut(), schema) {
            map.insert("content".into(), content(schema));
        }
        responses.insert((*status).into(), answer);
    }
    responses
        .insert("default".into(), json!({"description": "A SCIM error (RFC 7644 section 3.12)", "content": content(&reference("Error"))}));
    let mut operation = json!({"tags": ["SCIM"], "summary": summary, "security": [{"bearer": []}], "responses": responses});
    if let (Some(map), Value::Object(more)) = (operation.as_object_mut(), more) {
        map.extend(more);
    }
    operation
}

fn parameter(name: &str, place: &str, schema: Value) -> Value {
    json!({"name": name, "in": place, "required": place == "path", "schema": schema})
}

fn projection() -> Vec<Value> {
    ["attributes", "excludedAttributes"]
        .map(|name| parameter(name, "query", json!({"type": "string"})))
        .to_vec()
}

/// What any write may say in its head.
fn write_headers() -> Vec<Value> {
    let mut dry_run = parameter("Prefer", "header", json!({"type": "string"}));
    if let Some(dry_run) = dry_run.as_object_mut() {
        dry_run.insert(
            "description".into(),
            "`handling=dry-run` answers what would happen, and changes nothing.".into(),
        );
    }
    vec![dry_run]
}

/// What a create may be asked with.
fn write_parameters() -> Vec<Value> {
    [projection(), write_headers()].concat()
}

/// What a write of one resource may say in its head (RFC 7644 section 3.14).
fn conditional_write() -> Vec<Value> {
    let conditions = ["If-Match", "If-None-Match"]
        .map(|name| parameter(name, "header", json!({"type": "string"})));
    [write_headers(), conditions.to_vec()].concat()
}

/// The query of RFC 7644 section 3.4.2, and the cursor of RFC 9865.
fn query() -> Vec<Value> {
    let mut parameters = projection();
    let text = ["filter", "sortBy", "cursor"]
        .map(|name| parameter(name, "query", json!({"type": "string"})));
    let numbers =
        ["startIndex", "count"].map(|name| parameter(name, "query", json!({"type": "integer"})));
    parameters.extend(text);
    parameters.extend(numbers);
    parameters.push(parameter(
        "sortOrder",
        "query",
        json!({"type": "string", "enum": ["ascending", "descending"]}),
    ));
    parameters
}

fn body(schema: &str) -> Value {
    json!({"required": true, "content": content(&reference(schema))})
}

/// What is answered for a resource type.
pub(super) fn type_paths(schema: &TypeSchema, base_path: &str, paths: &mut Map<String, Value>) {
    let name = schema.name();
    let endpoint = format!(
        "{base_path}/{}",
        schema.resource_type.endpoint.trim_start_matches('/')
    );
    let (one, list, sent) = (
        reference(name),
        reference(&format!("{name}List")),
        format!("{name}Request"),
    );
    paths.insert(
        endpoint.clone(),
        json!({
            "get": operation(&format!("Finds resources of the type {name}"), &[("200", Some(list.clone()))], json!({"parameters": query()})),
            "post": operation(
                &format!("Creates a {name}"),
                &[("201", Some(one.clone()))],
                json!({"parameters": write_parameters(), "requestBody": body(&sent), "operationId": format!("create{name}")}),
            ),
        }),
    );
    if let Some(made) = paths
        .get_mut(&endpoint)
        .and_then(|path| path.pointer_mut("/post/responses/201"))
        .and_then(Value::as_object_mut)
    {
        made.insert("links".into(), links_to_one(name));
    }
    paths.insert(
        format!("{endpoint}/.search"),
        json!({"post": operation(&format!("Finds resources of the type {name}"), &[("200", Some(list))], json!({"requestBody": body("SearchRequest")}))}),
    );
    let mut item = resource_item(name, &one, &sent);
    if let Some(parameters) = item.get_mut("parameters").and_then(Value::as_array_mut) {
        parameters.push(parameter(
            "id",
            "path",
            json!({"type": "string", "minLength": 1}),
        ));
    }
    for (method, verb) in VERBS {
        if let Some(operation) = item.get_mut(method).and_then(Value::as_object_mut) {
            operation.insert("operationId".into(), format!("{verb}{name}").into());
        }
    }
    paths.insert(format!("{endpoint}/{{id}}"), item);
}

/// What is done with one resource, as the names of operations say it.
const VERBS: &[(&str, &str)] = &[
    ("get", "read"),
    ("put", "replace"),
    ("patch", "change"),
    ("delete", "delete"),
];

/// From a resource that was made to what can be done with it.
fn links_to_one(name: &str) -> Value {
    let link = |(_, verb): &(&str, &str)| {
        let operation = format!("{verb}{name}");
        (
            operation.clone(),
            json!({"operationId": operation, "parameters": {"id": "$response.body#/id"}}),
        )
    };
    VERBS
        .iter()
        .map(link)
        .collect::<Map<String, Value>>()
        .into()
}

/// What is answered for one resource, apart from how it is found.
fn resource_item(name: &str, one: &Value, sent: &str) -> Value {
    json!({
        "parameters": projection(),
        "get": operation(
            &format!("Reads a {name}"),
            &[("200", Some(one.clone())), ("304", None)],
            json!({"parameters": [parameter("If-None-Match", "header", json!({"type": "string"}))]}),
        ),
        "put": operation(
            &format!("Replaces a {name}"),
            &[("200", Some(one.clone()))],
            json!({"parameters": conditional_write(), "requestBody": body(sent)}),
        ),
        "patch": operation(
            &format!("Changes a {name}"),
            &[("200", Some(one.clone())), ("204", None)],
            json!({"parameters": conditional_write(), "requestBody": body("PatchOp")}),
        ),
        "delete": operation(&format!("Deletes a {name}"), &[("204", None)], json!({"parameters": conditional_write()})),
    })
}

/// What is answered for the whole of a base URL.
pub(super) fn service_paths(base_path: &str) -> Map<String, Value> {
    let discovery = |summary: &str, schema: &str| json!({"get": operation(summary, &[("200", Some(reference(schema)))], json!({}))});
    let one = |summary: &str| {
        let id = parameter("id", "path", json!({"type": "string", "minLength": 1}));
        json!({"parameters": [id], "get": operation(summary, &[("200", Some(reference("Discovery")))], json!({}))})
    };
    let post = |summary: &str, sent: &str, answered: &str| json!({"post": operation(summary, &[("200", Some(reference(answered)))], json!({"requestBody": body(sent)}))});
    let bulk = json!({"post": operation(
        "Carries out several operations",
        &[("200", Some(reference("BulkResponse")))],
        json!({"parameters": write_headers(), "requestBody": body("BulkRequest")}),
    )});
    let members = json!({
        "get": operation("Finds memberships", &[("200", Some(reference("GroupMemberList")))], json!({"parameters": query()})),
        "post": operation(
            "Makes somebody a member",
            &[("201", Some(reference("GroupMember")))],
            json!({"parameters": write_parameters(), "requestBody": body("GroupMemberRequest")}),
        ),
    });
    let membership = json!({
        "parameters": [parameter("id", "path", json!({"type": "string", "minLength": 1}))],
        "get": operation("Reads a membership", &[("200", Some(reference("GroupMember")))], json!({"parameters": projection()})),
        "delete": operation("Ends a membership", &[("204", None)], json!({"parameters": write_headers()})),
    });
    let all = json!({"get": operation("Finds resources of every type", &[("200", Some(reference("AnyList")))], json!({"parameters": query()}))});
    [
        ("/".to_owned(), all),
        (
            "/.search".to_owned(),
            post("Finds resources of every type", "SearchRequest", "AnyList"),
        ),
        ("/Bulk".to_owned(), bulk),
        (
            "/Me".to_owned(),
            resource_item(
                "User that the token stands for",
                &reference("User"),
                "UserRequest",
            ),
        ),
        ("/GroupMembers".to_owned(), members),
        (
            "/GroupMembers/.search".to_owned(),
            post("Finds memberships", "SearchRequest", "GroupMemberList"),
        ),
        ("/GroupMembers/{id}".to_owned(), membership),
        (
            "/ServiceProviderConfig".to_owned(),
            discovery("Says what is offered", "Discovery"),
        ),
        (
            "/ResourceTypes".to_owned(),
            discovery("All resource types", "AnyList"),
        ),
        ("/ResourceTypes/{id}".to_owned(), one("One resource type")),
        ("/Schemas".to_owned(), discovery("All schemas", "AnyList")),
        ("/Schemas/{id}".to_owned(), one("One schema")),
    ]
    .into_iter()
    .map(|(path, item)| (format!("{base_path}{path}"), item))
    .collect()
}

/// What is answered for a tenant beside SCIM and the admin API: tokens (RFC 6749, RFC 8414), events (RFC 8936), keys (RFC 7517), this document.
pub(super) fn tenant_paths() -> Map<String, Value> {
    let tenant = || {
        json!([parameter(
            "tenant",
            "path",
            json!({"type": "string", "minLength": 1})
        )])
    };
    let text = || json!({"type": "string"});
    let form = json!({"application/x-www-form-urlencoded": {"schema": {
        "type": "object",
        "properties": {
            "grant_type": {"type": "string", "enum": ["client_credentials"]}, "scope": text(), "client_id": text(), "client_secret": text(),
            "client_assertion_type": text(), "client_assertion": text(),
        },
        "required": ["grant_type"],
    }}});
    let poll = json!({"application/json": {"schema": {
        "type": "object",
        "properties": {
            "maxEvents": {"type": "integer", "minimum": 0}, "returnImmediately": {"type": "boolean"},
            "ack": {"type": "array", "items": text()}, "setErrs": {"type": "object"},
        },
    }}});
    let events = [
        ("after", text()),
        ("limit", json!({"type": "integer", "minimum": 1})),
        ("wait", json!({"type": "integer", "minimum": 0})),
        (
            "detail",
            json!({"type": "string", "enum": ["full", "notice"]}),
        ),
    ];
    let events: Vec<Value> = events
        .into_iter()
        .map(|(name, schema)| parameter(name, "query", schema))
        .collect();
    [
        (
            "oauth2/token",
            "post",
            plain("Gives a client a token", true, json!({"security": [{}], "requestBody": {"required": true, "content": form}})),
        ),
        (".well-known/oauth-authorization-server", "get", plain("How tokens are had", true, json!({"security": [{}]}))),
        ("events", "get", plain("What changed since a position", false, json!({"parameters": events}))),
        (
            "receivers/{name}/poll",
            "post",
            plain(
                "Hands out Security Event Tokens",
                false,
                json!({
                    "parameters": [parameter("name", "path", json!({"type": "string", "minLength": 1}))],
                    "requestBody": {"required": true, "content": poll},
                }),
            ),
        ),
        (".well-known/jwks.json", "get", plain("The keys with which tokens are signed", false, json!({"security": [{}]}))),
        ("openapi.json", "get", plain("This document with the tenant's own resource types", false, json!({}))),
    ]
    .into_iter()
    .map(|(path, method, operation)| (format!("/t/{{tenant}}/{path}"), json!({"parameters": tenant(), method: operation})))
    .collect()
}

/// An operation that answers with JSON that is not SCIM. `is_oauth`: its refusals have the form of RFC 6749 section 5.2.
fn plain(summary: &str, is_oauth: bool, more: Value) -> Value {
    let content = json!({"application/json": {"schema": {"type": "object"}}});
    let mut operation = operation(summary, &[], more);
    if let Some(map) = operation.as_object_mut() {
        map.insert("tags".into(), json!(["tenant"]));
    }
    if let Some(responses) = operation
        .get_mut("responses")
        .and_then(Value::as_object_mut)
    {
        responses.insert(
            "200".into(),
            json!({"description": summary, "content": content}),
        );
        if is_oauth {
            let error = json!({"type": "object", "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}}, "required": ["error"]});
            for status in ["400", "401", "429"] {
                let content = json!({"application/json": {"schema": error}});
                responses.insert(
                    status.into(),
                    json!({"description": "An error of RFC 6749 section 5.2", "content": content}),
                );
            }
        }
    }
    operation
}
