//! All pages of a list as one answer (RFC 7644 section 3.4.2.4). Does not filter.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::client::{Client, Request};
use crate::response::{Response, SendError};

/// Resources asked for on one page.
const PAGE_SIZE: u64 = 200;
/// Resources that are read at most; a longer list proves nothing.
const RESOURCES_MAX: usize = 1_000_000;

/// Reads every page of a list. The answer is one list response with all resources, or the first answer that was not a list. A list that shows the same page
/// again and again is no answer. `totalResults` is what the server counted where that is more than it showed: what is not in the list may still be there.
pub async fn read_all(client: &Client, request: &Request) -> Result<Response, SendError> {
    let mut whole = Whole::default();
    loop {
        let start = whole.resources.len().saturating_add(1);
        let page = request
            .clone()
            .with_query("startIndex", start.to_string())
            .with_query("count", PAGE_SIZE.to_string());
        let mut answer = client.send(&page).await?;
        let Some((found, total)) = answer
            .body
            .as_mut()
            .filter(|_| (200..300).contains(&answer.status))
            .and_then(take_page)
        else {
            if whole.may_end() && matches!(answer.status, 400 | 404) {
                return Ok(Response {
                    status: 200,
                    body: Some(list(whole)),
                    ..Response::default()
                });
            }
            return Ok(answer);
        };
        match whole.add(found, total) {
            Progress::More => {}
            Progress::Whole => {
                answer.body = Some(list(whole));
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
    seen: HashSet<String>,
    total: Option<u64>,
}

#[derive(Debug, PartialEq)]
enum Progress {
    More,
    Whole,
    Broken(String),
}

impl Whole {
    /// Adds a page. The list ends with a page that is empty or shows nothing new (RFC 7644 section 3.4.2.4), and not where `totalResults` says so: some
    /// servers count the page there. A page that is the whole of a list whose server knows no pages comes twice.
    fn add(&mut self, page: Vec<Value>, total: Option<u64>) -> Progress {
        let (length, before) = (page.len() as u64, self.resources.len());
        self.total = total;
        for resource in page {
            if self.seen.insert(identity(&resource)) {
                self.resources.push(resource);
            }
        }
        let count = self.resources.len();
        if count > RESOURCES_MAX {
            return Progress::Broken(format!("the list is longer than {RESOURCES_MAX} resources"));
        }
        if count > before {
            return Progress::More;
        }
        match total {
            None if length >= PAGE_SIZE => {
                Progress::Broken("the list shows the same page again and again".into())
            }
            _ => Progress::Whole,
        }
    }
}

impl Whole {
    /// Whether all counted resources are there. Then a server that refuses to show a page after the last one has said that there is none.
    fn may_end(&self) -> bool {
        !self.resources.is_empty()
            && self
                .total
                .is_some_and(|total| self.resources.len() as u64 >= total)
    }
}

/// What tells a resource from others: its id, which is a number at some servers; where it has none, all of it.
fn identity(resource: &Value) -> String {
    match resource.get("id") {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => resource.to_string(),
    }
}

/// Takes the resources of a page out of it, with `totalResults` where it says so; `None` where it is no list.
fn take_page(body: &mut Map<String, Value>) -> Option<(Vec<Value>, Option<u64>)> {
    let name = |wanted: &str| {
        body.keys()
            .find(|name| name.eq_ignore_ascii_case(wanted))
            .cloned()
    };
    let (resources, total) = (name("Resources"), name("totalResults"));
    let total = total
        .and_then(|name| body.get(&name))
        .and_then(Value::as_u64);
    match resources.and_then(|name| body.shift_remove(&name)) {
        Some(Value::Array(resources)) => Some((resources, total)),
        // A list without matches may leave `Resources` out (RFC 7644 section 3.4.2).
        None | Some(Value::Null) if total == Some(0) => Some((Vec::new(), total)),
        _ => None,
    }
}

fn list(whole: Whole) -> Map<String, Value> {
    let count = whole.resources.len() as u64;
    let mut body = Map::new();
    body.insert(
        "schemas".into(),
        json!(["urn:ietf:params:scim:api:messages:2.0:ListResponse"]),
    );
    body.insert(
        "totalResults".into(),
        json!(whole.total.unwrap_or(count).max(count)),
    );
    body.insert("Resources".into(), Value::Array(whole.resources));
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_whole_or_no_answer() {
        let page = |ids: std::ops::Range<u64>| {
            ids.map(|id| json!({"id": id.to_string()}))
                .collect::<Vec<_>>()
        };
        let check = |pages: &[(std::ops::Range<u64>, Option<u64>)], expected: &str| {
            let mut whole = Whole::default();
            let mut last = Progress::More;
            for (ids, total) in pages {
                assert_eq!(last, Progress::More, "{pages:?}");
                last = whole.add(page(ids.clone()), *total);
            }
            let said = match last {
                Progress::More => "more".to_owned(),
                Progress::Whole => {
                    let body = list(whole);
                    let listed = body["Resources"].as_array().unwrap().len();
                    match body["totalResults"].as_u64() {
                        Some(total) if total > listed as u64 => {
                            format!("{listed} of {total} resources")
                        }
                        _ => format!("{listed} resources"),
                    }
                }
                Progress::Broken(why) => why,
            };
            assert_eq!(said, expected, "{pages:?}");
        };
        check(
            &[
                (0..2, Some(5)),
                (2..4, Some(5)),
                (4..5, Some(5)),
                (5..5, Some(5)),
            ],
            "5 resources",
        );
        check(&[(0..2, Some(5)), (2..4, Some(5)), (4..5, Some(5))], "more");
        // It counts the page.
        check(
            &[
                (0..2, Some(2)),
                (2..4, Some(2)),
                (4..5, Some(1)),
                (5..5, Some(0)),
            ],
            "5 resources",
        );
        check(&[(0..2, Some(2))], "more");
        // It knows no pages.
        check(&[(0..2, Some(2)), (0..2, Some(2))], "2 resources");
        check(&[(0..7, None), (0..7, None)], "7 resources");
        check(&[(0..0, Some(0))], "0 resources");
        // A resource was deleted meanwhile.
        check(
            &[(0..2, Some(4)), (2..3, Some(3)), (3..3, Some(3))],
            "3 resources",
        );
        check(&[(0..2, Some(5)), (2..2, Some(5))], "2 of 5 resources");
        check(&[(0..2, Some(5)), (0..2, Some(5))], "2 of 5 resources");
        check(&[(0..2, Some(5))], "more");
        check(
            &[
                (0..PAGE_SIZE, None),
                (PAGE_SIZE..PAGE_SIZE + 1, None),
                (0..0, None),
            ],
            "201 resources",
        );
        check(
            &[(0..PAGE_SIZE, None), (0..PAGE_SIZE, None)],
            "the list shows the same page again and again",
        );
    }

    #[test]
    fn pages() {
        let check = |body: Value, expected: Option<(usize, Option<u64>)>| {
            let found = take_page(&mut body.as_object().cloned().unwrap());
            assert_eq!(
                found.map(|(resources, total)| (resources.len(), total)),
                expected,
                "{body}"
            );
        };
        check(
            json!({"totalResults": 5, "Resources": [{}, {}]}),
            Some((2, Some(5))),
        );
        check(
            json!({"totalresults": 1, "resources": [{}]}),
            Some((1, Some(1))),
        );
        check(json!({"totalResults": 0}), Some((0, Some(0))));
        check(json!({"totalResults": 3}), None);
        check(json!({"Resources": []}), Some((0, None)));
        check(json!({"detail": "no"}), None);
    }
}
