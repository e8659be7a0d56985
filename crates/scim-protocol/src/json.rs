//! Bodies as JSON: a text becomes values within limits, which are kept while it is parsed, so that the memory for a body stays a small multiple of its
//! size. Does not know what the values mean, except that the `Operations` of a bulk request are counted.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::{Error, ErrorKind};

/// Values that every body may have, however short it is.
pub const BODY_VALUES_ALWAYS: usize = 20_000;
/// A body with more values than that has at least so many bytes for each. A value takes a hundred bytes of memory or more, and the densest body that a
/// client sends, a PATCH of booleans, has eleven bytes for each.
pub const BODY_BYTES_PER_VALUE_MIN: usize = 8;

/// The JSON in a body. `operations_max` is how many elements the member `Operations` of the outermost object may have; parsing stops at the first one that
/// is too many.
pub fn parse(bytes: &[u8], operations_max: Option<usize>) -> Result<Value, Error> {
    // Some clients put a byte order mark in front.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.trim_ascii().is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidSyntax,
            "The body is empty; send a JSON object.",
        ));
    }
    let values_max = BODY_VALUES_ALWAYS.max(bytes.len() / BODY_BYTES_PER_VALUE_MIN);
    let reading = Reading {
        values_max,
        operations_max,
        values: Cell::new(0),
        refusal: RefCell::new(None),
    };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = Element {
        reading: &reading,
        place: Place::Outermost,
    }
    .deserialize(&mut deserializer);
    let whole = parsed.and_then(|value| deserializer.end().map(|()| value));
    whole.map_err(|error| {
        let refusal = reading.refusal.take();
        refusal.unwrap_or_else(|| {
            Error::new(
                ErrorKind::InvalidSyntax,
                format!("The body is not JSON: {error}."),
            )
        })
    })
}

/// What one text was found to have so far.
struct Reading {
    values_max: usize,
    operations_max: Option<usize>,
    values: Cell<usize>,
    /// Why parsing stopped before the end.
    refusal: RefCell<Option<Error>>,
}

impl Reading {
    fn refuse<E: serde::de::Error>(&self, detail: String) -> E {
        *self.refusal.borrow_mut() = Some(Error::new(ErrorKind::PayloadTooLarge, detail));
        E::custom("over a limit")
    }

    /// Counts one value more.
    fn count<E: serde::de::Error>(&self) -> Result<(), E> {
        let (values, most) = (self.values.get() + 1, self.values_max);
        self.values.set(values);
        if values <= most {
            return Ok(());
        }
        let detail = format!(
            "The body has more than {most} values; send at most {BODY_VALUES_ALWAYS}, or one for every {BODY_BYTES_PER_VALUE_MIN} bytes of a longer body."
        );
        Err(self.refuse(detail))
    }
}

/// Where in the text a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outermost,
    Operations,
    Inside,
}

/// A value that comes next.
struct Element<'a> {
    reading: &'a Reading,
    place: Place,
}

impl Element<'_> {
    fn inside(&self) -> Self {
        Self {
            reading: self.reading,
            place: Place::Inside,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.reading.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any valid JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let most = self
            .reading
            .operations_max
            .filter(|_| self.place == Place::Operations);
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(self.inside())? {
            if let Some(most) = most.filter(|most| values.len() == *most) {
                return Err(self.reading.refuse(format!(
                    "The request has more than {most} operations; send at most {most}."
                )));
            }
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let are_operations =
                self.place == Place::Outermost && name.eq_ignore_ascii_case("Operations");
            let place = if are_operations {
                Place::Operations
            } else {
                Place::Inside
            };
            let value = members.next_value_seed(Element {
                reading: self.reading,
                place,
            })?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies() {
        let check = |text: &str, expected: Result<Value, &str>| {
            let found = parse(text.as_bytes(), None).map_err(|error| error.detail().to_owned());
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        };
        check("\u{feff}{\"a\": 1}", Ok(json!({"a": 1})));
        check(
            "[null, true, -1, 18446744073709551615, 1.5, \"a\\u00e9\", {\"a\": {}, \"a\": 2}]",
            {
                Ok(
                    json!([null, true, -1, 18_446_744_073_709_551_615_u64, 1.5, "a\u{e9}", {"a": 2}]),
                )
            },
        );
        check(" ", Err("The body is empty; send a JSON object."));
        check(
            "{\"a\":",
            Err("The body is not JSON: EOF while parsing a value at line 1 column 5."),
        );
        check(
            "{} x",
            Err("The body is not JSON: trailing characters at line 1 column 4."),
        );
        assert!(parse("[".repeat(100_000).as_bytes(), None).is_err());
    }

    #[test]
    fn parsing_stops_at_the_value_that_is_too_many() {
        let refused = |text: &str, operations_max: Option<usize>| {
            parse(text.as_bytes(), operations_max).unwrap_err()
        };
        // What follows is not JSON, and is not looked at any more.
        let arrays = format!("[{}!", "[],".repeat(BODY_VALUES_ALWAYS));
        let error = refused(&arrays, None);
        assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
        assert!(
            error
                .detail()
                .contains("more than 20000 values; send at most 20000"),
            "{error}"
        );
        let members = format!("{{\"a\":[{}!", "{\"a\":0},".repeat(BODY_VALUES_ALWAYS / 2));
        assert_eq!(refused(&members, None).kind(), ErrorKind::PayloadTooLarge);
        let operations = "{\"operations\":[1,2,3!";
        assert_eq!(
            refused(operations, Some(3)).kind(),
            ErrorKind::InvalidSyntax
        );
        let error = refused("{\"operations\":[1,2,3!", Some(2));
        assert_eq!((error.kind(), error.detail()), {
            (
                ErrorKind::PayloadTooLarge,
                "The request has more than 2 operations; send at most 2.",
            )
        });
    }

    #[test]
    fn a_longer_body_may_have_more_values_and_only_operations_of_the_body_are_counted() {
        let members = json!(vec![json!({"value": "bulkId:1"}); BODY_VALUES_ALWAYS]);
        let body = json!({"Operations": [{"Operations": members}], "other": [1, 2, 3]});
        assert_eq!(parse(body.to_string().as_bytes(), Some(1)).unwrap(), body);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Within the limits it is what `serde_json` reads.
        #[test]
        fn values_are_those_of_the_text(value in any_json()) {
            let text = value.to_string();
            prop_assert_eq!(parse(text.as_bytes(), None).unwrap(), serde_json::from_str::<Value>(&text).unwrap());
        }
    }
}
