//! All pages of a list as one answer (RFC 7644 section 3.4.2.4). Does not filter.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::client::{Client, Request};
use crate::response::{Response, SendError};

/// Resources asked for on one page.
const PAGE_SIZE: u64 = 200;
/// Resources that are read at most; a longer list proves nothing.
const RESOURCES_MAX: usize = 1_000_000;

/// Reads every page of a list. The answer is one list response with all resources, or the first answer that was not a list. A list of which pages are
/// missing, or that shows the same page again and again, is no answer: whoever is not in it may still be there.
pub async fn read_all(client: &Client, request: &Request) -> Result<Response, SendError> {
    let mut whole = Whole::default();
    loop {
        let start = whole.resources.len().saturating_add(1);
        let page = request.clone().with_query("startIndex", start.to_string()).with_query("count", PAGE_SIZE.to_string());
        let mut answer = client.send(&page).await?;
        let Some((found, total)) = answer.body.as_mut().filter(|_| (200..300).contains(&answer.status)).and_then(take_page) else {
            return Ok(answer);
        };
        match whole.add(found, total) {
            Progress::More => {}
            Progress::Whole => {
                answer.body = Some(list(whole.resources));
                return Ok(answer);
            }
            Progress::Broken(why) => return Err(SendError::Lost(why)),
        }
    }
}

/// What has been read of a list, each resource once.
#[derive(Default)]
struct Whole {
    resources: Vec<Value>,
    ids: HashSet<String>,
}

#[derive(Debug, PartialEq)]
enum Progress {
    More,
    Whole,
    Broken(String),
}

impl Whole {
    /// Adds a page. Without `totalResults` a page that is shorter than was asked for is the last one.
    fn add(&mut self, page: Vec<Value>, total: Option<u64>) -> Progress {
        let (length, before) = (page.len() as u64, self.resources.len());
        for resource in page {
            let is_new = resource.get("id").and_then(Value::as_str).is_none_or(|id| self.ids.insert(id.to_owned()));
            if is_new {
                self.resources.push(resource);
            }
        }
        let count = self.resources.len();
        if count > RESOURCES_MAX {
            return Progress::Broken(format!("the list is longer than {RESOURCES_MAX} resources"));
        }
        let is_whole = total.map_or(length < PAGE_SIZE, |total| count as u64 >= total);
        match (is_whole, count > before, total) {
            (true, ..) => Progress::Whole,
            (false, true, _) => Progress::More,
            (false, false, Some(total)) => Progress::Broken(format!("the list ends after {count} of {total} resources")),
            (false, false, None) => Progress::Broken("the list shows the same page again and again".into()),
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
    fn a_list_is_whole_or_no_answer() {
        let page = |ids: std::ops::Range<u64>| ids.map(|id| json!({"id": id.to_string()})).collect::<Vec<_>>();
        let check = |pages: &[(std::ops::Range<u64>, Option<u64>)], expected: &str| {
            let mut whole = Whole::default();
            let mut last = Progress::More;
            for (ids, total) in pages {
                assert_eq!(last, Progress::More, "{pages:?}");
                last = whole.add(page(ids.clone()), *total);
            }
            let said = match last {
                Progress::More => "more".to_owned(),
                Progress::Whole => format!("{} resources", whole.resources.len()),
                Progress::Broken(why) => why,
            };
            assert_eq!(said, expected, "{pages:?}");
        };
        check(&[(0..2, Some(5)), (2..4, Some(5)), (4..5, Some(5))], "5 resources");
        // Somebody was deleted meanwhile.
        check(&[(0..2, Some(4)), (2..3, Some(3))], "3 resources");
        check(&[(0..2, Some(5)), (2..2, Some(5))], "the list ends after 2 of 5 resources");
        check(&[(0..2, Some(5)), (0..2, Some(5))], "the list ends after 2 of 5 resources");
        check(&[(0..2, Some(5))], "more");
        check(&[(0..7, None)], "7 resources");
        check(&[(0..PAGE_SIZE, None), (PAGE_SIZE..PAGE_SIZE + 1, None)], "201 resources");
        check(&[(0..PAGE_SIZE, None), (0..PAGE_SIZE, None)], "the list shows the same page again and again");
    }

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
