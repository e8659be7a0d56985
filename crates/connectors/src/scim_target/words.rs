//! What an application says in an error, in its own words, whatever their shape. Does not judge it.

use scim_client::Response;
use serde_json::{Map, Value};

/// Characters of what an application says that the provisioning log keeps.
const SAID_CHARACTERS_MAX: usize = 500;
/// Members of error bodies that hold words for people, the ones that say most first.
const KEYS: [&str; 10] = [
    "detail",
    "message",
    "error_description",
    "description",
    "error",
    "title",
    "reason",
    "msg",
    "error_message",
    "errormessage",
];
/// How deep words are looked for.
const DEPTH_MAX: usize = 6;

/// What came back, in words for the provisioning log: no more than so many.
pub(super) fn describe(response: &Response) -> String {
    let said = said(response);
    match said.char_indices().nth(SAID_CHARACTERS_MAX) {
        None => said,
        // The ellipsis takes the place of one.
        Some(_) => said
            .chars()
            .take(SAID_CHARACTERS_MAX - 1)
            .chain(['\u{2026}'])
            .collect(),
    }
}

fn said(response: &Response) -> String {
    let status = response.status;
    if let (300..=399, Some(to)) = (status, &response.location) {
        return format!("status {status}: it redirects to {to}");
    }
    let words = response.body.as_ref().map(words_of).unwrap_or_default();
    let scim_type = response.body.as_ref().and_then(scim_type);
    match (scim_type, words.is_empty()) {
        (Some(scim_type), false) => format!("{scim_type}: {words}"),
        (Some(scim_type), true) => scim_type,
        (None, false) => words,
        (None, true) if response.text.is_empty() => match &response.body {
            Some(body) if !body.is_empty() => {
                format!("status {status}: {}", Value::Object(body.clone()))
            }
            _ => format!("status {status} without a word"),
        },
        (None, true) => format!("status {status} and not SCIM: {}", response.text),
    }
}

/// The `scimType` of an error (RFC 7644 section 3.12).
pub(super) fn scim_type(body: &Map<String, Value>) -> Option<String> {
    body.iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("scimType"))
        .and_then(|(_, value)| value.as_str())
        .map(str::to_owned)
}

/// All words for people in a body, each once.
pub(super) fn words_of(body: &Map<String, Value>) -> String {
    let mut found = Vec::new();
    collect_object(body, 0, &mut found);
    found.join("; ")
}

fn collect_object(object: &Map<String, Value>, depth: usize, found: &mut Vec<String>) {
    let mut add = |text: &str| {
        let text = text.trim();
        if !text.is_empty() && !found.iter().any(|known| known == text) {
            found.push(text.to_owned());
        }
    };
    for key in KEYS {
        for (_, value) in object
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(key))
        {
            if let Some(text) = value.as_str() {
                add(text);
            }
        }
    }
    if depth >= DEPTH_MAX {
        return;
    }
    for (name, value) in object {
        match value {
            Value::Object(inner) => collect_object(inner, depth + 1, found),
            Value::Array(elements) => {
                for element in elements {
                    match element {
                        Value::Object(inner) => collect_object(inner, depth + 1, found),
                        // A list of sentences under a name that says that they are errors, or the name of what they are about.
                        Value::String(text)
                            if !name.eq_ignore_ascii_case("schemas") && depth < DEPTH_MAX =>
                        {
                            let is_general = ["errors", "messages", "details"]
                                .iter()
                                .any(|known| name.eq_ignore_ascii_case(known));
                            let text = if is_general {
                                text.clone()
                            } else {
                                format!("{name}: {text}")
                            };
                            if !found.contains(&text) {
                                found.push(text);
                            }
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

/// The one of these names that an error is about: the one that stands in it as a word. None where several do.
pub(super) fn named(response: &Response, names: &[String]) -> Option<String> {
    let text = response.body.as_ref().map_or_else(
        || response.text.clone(),
        |body| Value::Object(body.clone()).to_string(),
    );
    let words: Vec<&str> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '$'))
        .collect();
    let mut found = names
        .iter()
        .filter(|name| words.iter().any(|word| is_about(word, name)));
    let first = found.next()?;
    found.next().is_none().then(|| first.clone())
}

fn is_about(word: &str, name: &str) -> bool {
    // "phone_numbers" and "phoneNumber" are how some write phoneNumbers.
    let plain = |text: &str| text.replace('_', "").to_ascii_lowercase();
    let (word, name) = (plain(word), plain(name));
    word == name || (name.len() > 4 && name.strip_suffix('s') == Some(word.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn response(status: u16, body: &Value) -> Response {
        Response {
            status,
            body: body.as_object().cloned(),
            ..Response::default()
        }
    }

    #[test]
    fn an_application_is_quoted_whatever_the_shape() {
        let check = |body: Value, expected: &str| {
            assert_eq!(describe(&response(400, &body)), expected, "{body}");
        };
        check(
            json!({"detail": "no", "scimType": "invalidValue"}),
            "invalidValue: no",
        );
        check(
            json!({"message": "name.familyName is required", "statusCode": 422}),
            "name.familyName is required",
        );
        check(
            json!({"Errors": [{"description": "username_too_long", "code": 400}]}),
            "username_too_long",
        );
        check(
            json!({"error": "bad_domain", "error_description": "domain is not verified"}),
            "domain is not verified; bad_domain",
        );
        check(
            json!({"type": "about:blank", "title": "Seat limit reached", "status": 400}),
            "Seat limit reached",
        );
        check(
            json!({"detail": "Request failed.", "urn:x:Error": {"generalErrors": [{"message": "Webhook unreachable"}]}}),
            "Request failed.; Webhook unreachable",
        );
        check(json!({"errors": ["too many seats"]}), "too many seats");
        check(
            json!({"userName": ["This field must be unique."]}),
            "userName: This field must be unique.",
        );
        check(json!({"error": {"code": 7, "message": "nope"}}), "nope");
        check(json!({"code": 7}), "status 400: {\"code\":7}");
        check(json!({}), "status 400 without a word");
        let moved = Response {
            status: 302,
            location: Some("https://login.example/".into()),
            ..Response::default()
        };
        assert_eq!(
            describe(&moved),
            "status 302: it redirects to https://login.example/"
        );
    }

    #[test]
    fn what_an_application_says_has_an_end() {
        let describe = |detail: String| {
            describe(&response(
                400,
                &json!({ "detail": detail, "scimType": "invalidValue" }),
            ))
        };
        assert_eq!(describe("no".into()), "invalidValue: no");
        let whole = SAID_CHARACTERS_MAX - "invalidValue: ".len();
        assert_eq!(
            describe("ä".repeat(whole)),
            format!("invalidValue: {}", "ä".repeat(whole))
        );
        assert_eq!(
            describe("ä".repeat(whole + 1)),
            format!("invalidValue: {}\u{2026}", "ä".repeat(whole - 1))
        );
    }

    #[test]
    fn the_attribute_in_an_error_is_found() {
        let names: Vec<String> = ["userName", "name", "phoneNumbers", "title"]
            .map(str::to_owned)
            .to_vec();
        let check = |body: Value, expected: Option<&str>| {
            assert_eq!(
                named(&response(400, &body), &names).as_deref(),
                expected,
                "{body}"
            );
        };
        check(
            json!({"message": "Value at 'operations.1.updateAttributes.phoneNumbers' failed"}),
            Some("phoneNumbers"),
        );
        check(
            json!({"detail": "phone_number is not valid"}),
            Some("phoneNumbers"),
        );
        check(
            json!({"phone_numbers": ["not valid"]}),
            Some("phoneNumbers"),
        );
        check(
            json!({"detail": "title and phoneNumbers are not valid"}),
            None,
        );
        check(json!({"detail": "no"}), None);
        check(json!({"detail": "entitled to nothing"}), None);
    }
}
