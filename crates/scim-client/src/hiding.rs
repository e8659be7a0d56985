//! Takes a bearer token out of what a server says back: some repeat the request's headers in their errors. Does not know where the text is going.

use serde_json::Value;

/// What stands where the token stood.
const HIDDEN: &str = "(hidden)";
/// JSON in JSON in JSON in JSON. A server that sends more escapes in a row must not make the search long.
const ESCAPES_MAX: usize = 15;

/// The text without the token, however it is written: as it is, percent-encoded, or escaped as in JSON, also where only some of its characters are.
pub fn hide(text: &str, token: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(after) =
            written(rest.as_bytes(), token.as_bytes()).and_then(|length| rest.get(length..))
        {
            shown.push_str(HIDDEN);
            rest = after;
        } else {
            shown.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    shown
}

/// The same for every text in a JSON document; names of members stay.
pub fn hide_in(value: &mut Value, token: &str) {
    match value {
        Value::String(text) => *text = hide(text, token),
        Value::Array(elements) => elements
            .iter_mut()
            .for_each(|element| hide_in(element, token)),
        Value::Object(object) => object.values_mut().for_each(|value| hide_in(value, token)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// How many bytes the token takes at the beginning of this text; `None` where it is not there.
fn written(text: &[u8], token: &[u8]) -> Option<usize> {
    if token.is_empty() {
        return None;
    }
    if text.starts_with(token) {
        return Some(token.len());
    }
    let mut length = 0_usize;
    for byte in token {
        length = length.saturating_add(written_byte(text.get(length..)?, *byte)?);
    }
    Some(length)
}

/// The same for one byte of it.
fn written_byte(text: &[u8], byte: u8) -> Option<usize> {
    let hexadecimal =
        |digits: &[u8]| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let is_it = |digits: Option<&[u8]>| digits.and_then(hexadecimal) == Some(u32::from(byte));
    if text.first() == Some(&b'%') {
        let mut at = 1_usize;
        loop {
            let end = at.saturating_add(2);
            if is_it(text.get(at..end)) {
                return Some(end);
            }
            // A percent sign that was itself encoded.
            if text.get(at..end) != Some(b"25") {
                break;
            }
            at = end;
        }
    }
    // JSON within JSON escapes the escapes.
    let slashes = text
        .iter()
        .take(ESCAPES_MAX)
        .take_while(|byte| **byte == b'\\')
        .count();
    let escaped = text.get(slashes..)?;
    if slashes > 0 && escaped.first() == Some(&b'u') && is_it(escaped.get(1..5)) {
        return slashes.checked_add(5);
    }
    if slashes > 0 && byte == b'\\' {
        return Some(slashes.min(2));
    }
    let can_stand = slashes == 0 || !byte.is_ascii_alphanumeric();
    (can_stand && escaped.first() == Some(&byte)).then(|| slashes.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_hidden_however_it_is_written() {
        let check = |text: &str, token: &str, expected: &str| {
            assert_eq!(hide(text, token), expected, "{text}");
        };
        check(
            "The token Bearer sekret-tok is not valid",
            "sekret-tok",
            "The token Bearer (hidden) is not valid",
        );
        check(
            "sekret-toksekret-tok, sekret-to",
            "sekret-tok",
            "(hidden)(hidden), sekret-to",
        );
        check("ä sekretü", "sekret", "ä (hidden)ü");
        let token = r#"a+b/c="d~"#;
        for written in [
            r#"a+b/c="d~"#,
            "a%2Bb%2Fc%3D%22d~",
            "a%2bb%2fc%3d%22d%7e",
            "%61+b/c%3D%22d~",
            "a%252Bb%252Fc%253D%2522d~",
            r#"a+b\/c=\"d~"#,
            r#"a\u002bb\/c\u003D\"d~"#,
            r#"a\\u002bb\\\/c=\\\"d~"#,
        ] {
            check(&format!("<{written}>"), token, "<(hidden)>");
        }
        check(
            r"x\\y x\\\\y x%5Cy x\u005cy",
            r"x\y",
            "(hidden) x\\\\\\\\y (hidden) (hidden)",
        );
        check(r"x\\y", r"x\\y", "(hidden)");
        check("100%", "100%", "(hidden)");
        check("100%25 100%2", "100%", "(hidden)25 (hidden)2");
        check(r"\n abc \nabc", "nabc", r"\n abc \(hidden)");
        check("nothing", "", "nothing");
        check("%", "x", "%");
    }

    #[test]
    fn a_document_is_searched_to_its_end() {
        let mut value = json!({"detail": "tok", "echo": [{"Authorization": "Bearer tok"}, 1, null], "tok": true});
        hide_in(&mut value, "tok");
        assert_eq!(
            value,
            json!({"detail": "(hidden)", "echo": [{"Authorization": "Bearer (hidden)"}, 1, null], "tok": true})
        );
    }
}
