//! Values as bytes whose order is the order of filters and sorting. The store's index rows hold the same bytes, so that SQL and memory agree.
//! Does not read resources, except for `sort_key`.

use std::borrow::Cow;

use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;

use super::CompareOp;
use crate::attribute_path::AttributePath;
use crate::error::{Error, ErrorKind};
use crate::schema::set::{Resolved, TypeSchema};
use crate::schema::{Attribute, AttributeType};

/// The one attribute whose values are names to sign in with.
const USER_NAME: &str = "userName";

/// A string without its case: each character in lower case (and final sigma as sigma). The characters around it do not matter, so that `sw`, `ew` and `co`
/// hold for parts.
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        };
    }
    Cow::Owned(
        text.chars()
            .flat_map(char::to_lowercase)
            .map(|c| if c == '\u{3c2}' { '\u{3c3}' } else { c })
            .collect(),
    )
}

/// A `userName` as it is compared (RFC 7644 section 5): wide and narrow forms of a character are one, its case does not count, and composed and decomposed
/// accents are the same (the profile `UsernameCaseMapped`, RFC 7613 section 3.2.2).
pub fn prepare(user_name: &str) -> Cow<'_, str> {
    if user_name.is_ascii() {
        return fold(user_name);
    }
    let mut mapped = String::with_capacity(user_name.len());
    for c in user_name.chars() {
        match c {
            '\u{3000}' | '\u{ff00}'..='\u{ffef}' => mapped.extend(std::iter::once(c).nfkd()),
            c => mapped.push(c),
        }
    }
    Cow::Owned(fold(&mapped).nfc().collect())
}

/// Microseconds since 1970 of a dateTime (RFC 7643 section 2.3.5); without an offset it is taken as UTC.
pub fn instant(text: &str) -> Option<i64> {
    let timestamp = match text.parse::<jiff::Timestamp>() {
        Ok(timestamp) => timestamp,
        Err(_) => jiff::tz::TimeZone::UTC
            .to_timestamp(text.parse().ok()?)
            .ok()?,
    };
    Some(timestamp.as_microsecond())
}

/// A value in the form in which it is compared.
#[derive(Debug)]
pub(crate) enum Key<'a> {
    Text(Cow<'a, str>),
    Number([u8; 8]),
    Boolean([u8; 1]),
}

impl Key<'_> {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Number(bytes) => bytes,
            Self::Boolean(bytes) => bytes,
        }
    }
}

/// The comparable form of one value (not of an array) of a simple attribute; `None` where it does not have the attribute's type.
pub(crate) fn key<'a>(attribute: &Attribute, value: &'a Value) -> Option<Key<'a>> {
    match attribute.kind {
        AttributeType::String | AttributeType::Reference | AttributeType::Binary => {
            let text = value.as_str()?;
            Some(Key::Text(match attribute.name.as_str() {
                _ if attribute.case_exact => Cow::Borrowed(text),
                USER_NAME => prepare(text),
                _ => fold(text),
            }))
        }
        AttributeType::Boolean => boolean(value).map(|truth| Key::Boolean([u8::from(truth)])),
        AttributeType::Integer | AttributeType::Decimal => value
            .as_f64()
            .map(|number| Key::Number(ordered_float(number))),
        AttributeType::DateTime => {
            instant(value.as_str()?).map(|micros| Key::Number(ordered_integer(micros)))
        }
        AttributeType::Complex => None,
    }
}

/// The bytes of an index row for one value (not an array) of a simple attribute; `None` where the value does not have the attribute's type.
///
/// Strings, references and binaries: UTF-8, folded unless `caseExact`. Booleans: one byte. Numbers: eight bytes that order as the numbers do (as
/// `f64`, so integers beyond 2^53 may coincide). dateTimes: eight bytes that order as the instants do, to the microsecond.
pub fn index_key(attribute: &Attribute, value: &Value) -> Option<Vec<u8>> {
    key(attribute, value).map(|key| match key {
        Key::Text(text) => text.into_owned().into_bytes(),
        other => other.as_bytes().to_vec(),
    })
}

/// Entra ID writes booleans as the strings `True` and `False`.
fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn ordered_integer(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// IEEE 754 numbers order as their bits do once negative ones are inverted and positive ones have the sign bit set.
fn ordered_float(number: f64) -> [u8; 8] {
    // Adding zero makes negative zero positive: they are the same number.
    let bits = (number + 0.0).to_bits();
    let ordered = if bits >> 63 == 1 {
        !bits
    } else {
        bits | (1 << 63)
    };
    ordered.to_be_bytes()
}

/// Whether an operator makes sense for a type (RFC 7644 section 3.4.2.2, table 3).
pub(crate) fn applies(op: CompareOp, kind: AttributeType) -> bool {
    let equality = matches!(op, CompareOp::Eq | CompareOp::Ne);
    let substring = matches!(op, CompareOp::Co | CompareOp::Sw | CompareOp::Ew);
    match kind {
        AttributeType::String | AttributeType::Reference => true,
        AttributeType::Binary => equality || substring,
        AttributeType::Integer | AttributeType::Decimal | AttributeType::DateTime => !substring,
        AttributeType::Boolean | AttributeType::Complex => equality,
    }
}

/// Whether the keys compare so. `ne` is the negation of `eq` over the whole attribute and is not asked of one value.
pub(crate) fn holds(op: CompareOp, value: &Key<'_>, literal: &Key<'_>) -> bool {
    let (value, literal) = (value.as_bytes(), literal.as_bytes());
    match op {
        CompareOp::Eq | CompareOp::Ne => value == literal,
        CompareOp::Sw => value.starts_with(literal),
        CompareOp::Ew => value.ends_with(literal),
        CompareOp::Co => contains(value, literal),
        CompareOp::Gt => value > literal,
        CompareOp::Ge => value >= literal,
        CompareOp::Lt => value < literal,
        CompareOp::Le => value <= literal,
    }
}

fn contains(value: &[u8], part: &[u8]) -> bool {
    match (std::str::from_utf8(value), std::str::from_utf8(part)) {
        (Ok(value), Ok(part)) => value.contains(part),
        _ => false,
    }
}

/// Refuses (`invalidValue`) a `sortBy` that none of `types` has, that may not be read, or that has no order.
pub fn check_sort(types: &[&TypeSchema], path: &AttributePath) -> Result<(), Error> {
    let refuse = |reason: &str| {
        Err(Error::new(
            ErrorKind::InvalidValue,
            format!("`sortBy` is `{path}`, {reason}."),
        )
        .at("sortBy"))
    };
    let mut found = false;
    for resolved in types.iter().filter_map(|schema| schema.resolve(path)) {
        if !resolved.is_readable() {
            return refuse("which may not be read, so it may not be sorted by");
        }
        if let Some(instead) = resolved.stored_instead() {
            return refuse(&format!(
                "a URI that is written when a resource is answered and is not stored; sort by `{instead}` instead"
            ));
        }
        found = true;
        if resolved.comparable().is_none() {
            return refuse("a complex attribute; name one of its sub-attributes");
        }
    }
    if found {
        Ok(())
    } else {
        refuse("but no such attribute is defined; use the attributes shown under /Schemas")
    }
}

/// What a resource is sorted by (RFC 7644 section 3.4.2.3): of several values the primary one, else the first. `None` (no value) sorts last when ascending.
pub fn sort_key(
    schema: &TypeSchema,
    path: &AttributePath,
    resource: &Map<String, Value>,
) -> Option<Vec<u8>> {
    let resolved = schema
        .resolve(path)
        .filter(Resolved::is_readable)?
        .comparable()?;
    let attribute = resolved.attribute?;
    let value = match resolved.value_in(resource)? {
        Value::Array(elements) => {
            let primary = elements
                .iter()
                .find(|element| element.get("primary") == Some(&Value::Bool(true)));
            primary.or_else(|| elements.first())?
        }
        single => single,
    };
    match resolved.sub_attribute {
        Some(sub) => index_key(sub, value.get(&sub.name)?),
        None => index_key(attribute, value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::schema::set::SchemaSet;

    fn of_kind(kind: &str, case_exact: bool) -> Attribute {
        serde_json::from_value(json!({"name": "x", "type": kind, "caseExact": case_exact})).unwrap()
    }

    #[test]
    fn user_names_are_prepared() {
        let check = |name: &str, expected: &str| assert_eq!(prepare(name), expected, "{name}");
        check("Ada@Example.com", "ada@example.com");
        check("Ada\u{ff20}\u{ff25}xample", "ada@example");
        check("Zoe\u{308}", "zo\u{eb}");
        check("ZO\u{cb}", "zo\u{eb}");
        check("\u{ff76}\u{ff9e}", "\u{30ac}");
        // Other compatibility characters stay what they are.
        check("\u{fb01}sh\u{b2}", "\u{fb01}sh\u{b2}");
        assert!(matches!(prepare("plain"), Cow::Borrowed(_)));
        let of = |name: &str| {
            index_key(
                &serde_json::from_value(json!({"name": name, "type": "string"})).unwrap(),
                &json!("Zoe\u{308}"),
            )
        };
        assert_eq!(of("userName"), Some("zo\u{eb}".into()));
        assert_eq!(of("nickName"), Some("zoe\u{308}".into()));
    }

    #[test]
    fn strings_fold() {
        let check = |text: &str, expected: &str| assert_eq!(fold(text), expected);
        check("BJensen", "bjensen");
        check("\u{c9}MILE", "\u{e9}mile");
        check("\u{39f}\u{3a3}", "\u{3bf}\u{3c3}");
        check("\u{3bf}\u{3c2}", "\u{3bf}\u{3c3}");
        assert!(matches!(fold("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn keys_of_values() {
        let check = |kind: &str, value: Value, expected: Option<&[u8]>| {
            assert_eq!(
                index_key(&of_kind(kind, false), &value).as_deref(),
                expected,
                "{kind} {value}"
            );
        };
        check("string", json!("Ab"), Some(b"ab"));
        check("string", json!(1), None);
        check("boolean", json!(true), Some(&[1]));
        check("boolean", json!("False"), Some(&[0]));
        check("boolean", json!("no"), None);
        check("complex", json!({}), None);
        check(
            "dateTime",
            json!("1970-01-01T00:00:00Z"),
            Some(&[0x80, 0, 0, 0, 0, 0, 0, 0]),
        );
        check("dateTime", json!("yesterday"), None);
        assert_eq!(
            index_key(&of_kind("string", true), &json!("Ab")).unwrap(),
            b"Ab"
        );
    }

    #[test]
    fn instants_do_not_depend_on_the_offset() {
        assert_eq!(
            instant("2011-05-13T04:42:34Z"),
            instant("2011-05-13T06:42:34.000+02:00")
        );
        assert_eq!(
            instant("2011-05-13T04:42:34"),
            instant("2011-05-13T04:42:34Z")
        );
        assert!(instant("2011-05-13T04:42:34.001Z") > instant("2011-05-13T04:42:34Z"));
        assert_eq!(instant("next week"), None);
    }

    #[test]
    fn sorting_takes_the_primary_value() {
        let set = SchemaSet::standard();
        let user = set.by_name("User").unwrap();
        let resource = json!({
            "userName": "B", "emails": [{"value": "z@x"}, {"value": "A@x", "primary": true}], "phoneNumbers": [{"value": "2"}, {"value": "1"}],
            "name": {"familyName": "J"}, "password": "p"
        });
        let check = |path: &str, expected: Option<&str>| {
            let key = sort_key(
                user,
                &AttributePath::parse(path).unwrap(),
                resource.as_object().unwrap(),
            );
            assert_eq!(key.as_deref(), expected.map(str::as_bytes), "{path}");
        };
        check("userName", Some("b"));
        check("emails", Some("a@x"));
        check("emails.value", Some("a@x"));
        check("phoneNumbers", Some("2"));
        check("name.familyName", Some("j"));
        check("title", None);
        check("password", None);
        let refused =
            |path: &str| check_sort(&[user], &AttributePath::parse(path).unwrap()).is_err();
        assert!(refused("password") && refused("name") && refused("nothing"));
        assert!(!refused("emails") && !refused("meta.created"));
        assert!(refused("meta.location") && refused("groups.$ref") && !refused("emails.$ref"));
    }

    proptest! {
        #[test]
        fn numbers_and_their_keys_order_alike(a in -1e9f64..1e9, b in -1e9f64..1e9) {
            let decimal = of_kind("decimal", false);
            let keys = [a, b].map(|n| index_key(&decimal, &json!(n)).unwrap());
            prop_assert_eq!(a.partial_cmp(&b), keys[0].partial_cmp(&keys[1]));
        }

        #[test]
        fn instants_and_their_keys_order_alike(a in -1_000_000_000_000i64..1_000_000_000_000, b in -1_000_000_000_000i64..1_000_000_000_000) {
            prop_assert_eq!(a.cmp(&b), ordered_integer(a).cmp(&ordered_integer(b)));
        }

        #[test]
        fn folding_parts_is_folding_the_whole(a in "\\PC{0,8}", b in "\\PC{0,8}") {
            prop_assert_eq!(fold(&format!("{a}{b}")).into_owned(), format!("{}{}", fold(&a), fold(&b)));
            prop_assert_eq!(fold(&fold(&a)).into_owned(), fold(&a).into_owned());
        }
    }
}
