//! All pages of a list as one answer (RFC 7644 section 3.4.2.4). Does not filter.

use serde_json::{Map, Value, json};

use crate::client::{Client, Request};
use crate::response::{Response, SendError};

/// Resources asked for on one page.
const PAGE_SIZE: u64 = 200;
/// Resources that are read at most; a longer list proves nothing.
const RESOURCES_MAX: usize = 1_000_000;

/// Reads every page of a list. The answer is one list response with all resources, or the first answer that was not a list.
pub async fn read_all(client: &Client, request: &Request) -> Result<Response, SendError> {
    let mut resources: Vec<Value> = Vec::new();
    loop {
        let start = resources.len().saturating_add(1);
        let page = request.clone().with_query("startIndex", start.to_string()).with_query("count", PAGE_SIZE.to_string());
        let mut answer = client.send(&page).await?;
        let Some((found, total)) = answer.body.as_mut().filter(|_| (200..300).contains(&answer.status)).and_then(take_page) else {
            return Ok(answer);
        };
        let is_last = found.is_empty();
        resources.extend(found);
        if resources.len() > RESOURCES_MAX {
            return Err(SendError::Lost(format!("the list is longer than {RESOURCES_MAX} resources")));
        }
        if is_last || total.is_none_or(|total| u64::try_from(resources.len()).is_ok_and(|count| count >= total)) {
            answer.body = Some(list(resources));
            return Ok(answer);
        }
    }
}

/// Takes the resources of a page out of it, with `totalResults` where it says so; `None` where it is no list.
fn take_page(body: &mut Map<String, Value>) -> Option<(Vec<Value>, Option<u64>)> {
    let name = |wanted: &str| body.keys().find(|name| name.eq_ignore_ascii_case(wanted)).cloned();
    let (resources, total) = (name("Resources"), name("totalResults"));
    let total = total.and_then(|name| body.get(&name)).and_then(Value::as_u64);
    match resources.and_then(|name| body.shift_remove(&name)) {
        Some(Value::Array(resources)) => Some((resources, total)),
        // A list without matches may leave `Resources` out (RFC 7644 section 3.4.2).
        None | Some(Value::Null) if total == Some(0) => Some((Vec::new(), total)),
        _ => None,
    }
}

fn list(resources: Vec<Value>) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("schemas".into(), json!(["urn:ietf:params:scim:api:messages:2.0:ListResponse"]));
    body.insert("totalResults".into(), json!(resources.len()));
    body.insert("Resources".into(), Value::Array(resources));
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let check = |body: Value, expected: Option<(usize, Option<u64>)>| {
            let found = take_page(&mut body.as_object().cloned().unwrap());
            assert_eq!(found.map(|(resources, total)| (resources.len(), total)), expected, "{body}");
        };
        check(json!({"totalResults": 5, "Resources": [{}, {}]}), Some((2, Some(5))));
        check(json!({"totalresults": 1, "resources": [{}]}), Some((1, Some(1))));
        check(json!({"totalResults": 0}), Some((0, Some(0))));
        check(json!({"totalResults": 3}), None);
        check(json!({"Resources": []}), Some((0, None)));
        check(json!({"detail": "no"}), None);
    }
}
