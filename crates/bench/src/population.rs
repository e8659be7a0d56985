//! The users that both servers are filled with, and the requests that make, read and change them.

use serde_json::{Value, json};

use super::load::{Load, Measured, Request, request};
use super::server::Server;
use crate::Failure;

/// What both servers take for the token of a caller.
pub const TOKEN: &str = "a-token-that-only-the-benchmark-knows";
/// Connections that write.
pub const WRITE_CONNECTIONS: usize = 32;

pub async fn fill(server: &Server, users: usize) -> Result<Vec<String>, Failure> {
    ids_of(
        &Load {
            address: server.address.clone(),
            connections: WRITE_CONNECTIONS,
            keep_bodies: true,
        }
        .run(users, post_from(0))
        .await?,
    )
}

/// Creates, numbered from `first`.
pub fn post_from(first: usize) -> impl Fn(usize) -> Request {
    move |number| {
        request(
            "POST",
            "/scim/v2/Users",
            TOKEN,
            Some(&user(first + number).to_string()),
        )
    }
}

/// Reads of these, scattered.
pub fn get_of(ids: &[String]) -> impl Fn(usize) -> Request {
    move |number| {
        request(
            "GET",
            &format!("/scim/v2/Users/{}", nth(ids, number)),
            TOKEN,
            None,
        )
    }
}

/// Changes of the title of these, scattered.
pub fn patch_of(ids: &[String]) -> impl Fn(usize) -> Request {
    move |number| {
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "path": "title", "value": format!("Title {number}")}]});
        request(
            "PATCH",
            &format!("/scim/v2/Users/{}", nth(ids, number)),
            TOKEN,
            Some(&body.to_string()),
        )
    }
}

pub fn ids_of(measured: &Measured) -> Result<Vec<String>, Failure> {
    let id = |body: &Vec<u8>| -> Result<String, Failure> {
        let document: Value = serde_json::from_slice(body)?;
        Ok(document
            .get("id")
            .and_then(Value::as_str)
            .ok_or("a created user without an id")?
            .to_owned())
    };
    measured.bodies.iter().map(id).collect()
}

/// Spreads consecutive numbers over `below`, so that no cache sees a pattern.
pub fn scatter(number: usize, below: usize) -> usize {
    number.wrapping_mul(7919) % below.max(1)
}

pub fn nth(ids: &[String], number: usize) -> &str {
    ids.get(scatter(number, ids.len()))
        .map_or("", String::as_str)
}

/// One of forty is a Smith.
fn family(number: usize) -> String {
    if number.is_multiple_of(40) {
        format!("Smith{number}")
    } else {
        format!("Family{number}")
    }
}

/// One of twenty leads.
fn title(number: usize) -> &'static str {
    if number.is_multiple_of(20) {
        "Team lead"
    } else {
        "Engineer"
    }
}

/// A user as an identity provider sends one.
pub fn user(number: usize) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "userName": format!("user{number}@example.com"),
        "externalId": format!("00u{number:09}"),
        "active": true,
        "displayName": format!("Given{number} Family{number}"),
        "name": {"givenName": format!("Given{number}"), "familyName": family(number), "formatted": format!("Given{number} Family{number}")},
        "title": title(number),
        "emails": [{"value": format!("user{number}@example.com"), "type": "work", "primary": true}],
        "phoneNumbers": [{"value": format!("+44 20 {number:07}"), "type": "work"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": number.to_string(), "department": "Research"},
    })
}
