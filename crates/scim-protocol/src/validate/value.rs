//! One value against its attribute: type, canonical names, limits.

use std::fmt;

use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind};
use crate::filter::compare::{fold, instant};
use crate::quirk::{Quirk, QuirkSet};
use crate::resource::distinct;
use crate::schema::{Attribute, AttributeType, Mutability, Uniqueness};

/// Most elements of one multi-valued attribute (members of groups are not counted here).
pub const ELEMENTS_MAX: usize = 1_000;
/// Longest text, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Longest text of an attribute that is unique or indexed, in bytes: as much as stores keep of it in an index.
pub const INDEXED_TEXT_BYTES_MAX: usize = 2_000;
/// Longest binary or reference (a picture may be a `data:` URI), in bytes: as much as a request about one person may have by default.
pub const DATA_BYTES_MAX: usize = 1024 * 1024;

/// Where a value stands, for an error to name: written out only where there is one.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// An attribute, as it is to be named.
    Path(&'a str),
    /// An attribute of an extension, by its URN.
    Extension(&'a str, &'a str),
    /// An element of a multi-valued attribute.
    Element(&'a Place<'a>, usize),
    /// A sub-attribute.
    Sub(&'a Place<'a>, &'a str),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => formatter.write_str(path),
            Self::Extension(urn, name) => write!(formatter, "{urn}:{name}"),
            Self::Element(of, index) => write!(formatter, "{of}[{index}]"),
            Self::Sub(of, name) => write!(formatter, "{of}.{name}"),
        }
    }
}

/// A whole attribute: an array where it is multi-valued. `None` where it is unassigned.
pub(crate) fn value(
    path: Place<'_>,
    attribute: &Attribute,
    value: Value,
    quirks: &QuirkSet,
) -> Result<Option<Value>, Error> {
    if !attribute.multi_valued {
        return element(path, attribute, value, quirks);
    }
    let elements = match value {
        Value::Null => return Ok(None),
        Value::Array(elements) => elements,
        one if quirks.has(Quirk::SingleAsArray) => vec![one],
        other if attribute.is_readable() => {
            return Err(refuse(
                path,
                format!("must be an array, not {}", kind_of(&other)),
            ));
        }
        _ => return Err(refuse(path, "must be an array".into())),
    };
    check_count(path, elements.len())?;
    let mut kept: Vec<Value> = Vec::with_capacity(elements.len());
    for (index, one) in elements.into_iter().enumerate() {
        kept.extend(element(
            Place::Element(&path, index),
            attribute,
            one,
            quirks,
        )?);
    }
    distinct(&mut kept);
    // RFC 7643 section 2.4: the primary value true may appear no more than once.
    if kept
        .iter()
        .filter(|element| element.get("primary") == Some(&Value::Bool(true)))
        .count()
        > 1
    {
        return Err(refuse(
            path,
            "has more than one value with `primary` true; only one may be primary".into(),
        ));
    }
    Ok((!kept.is_empty()).then_some(Value::Array(kept)))
}

/// Refuses more elements than an attribute may have.
pub(crate) fn check_count(path: Place<'_>, count: usize) -> Result<(), Error> {
    if count > ELEMENTS_MAX {
        return Err(refuse(
            path,
            format!("has {count} values; at most {ELEMENTS_MAX} are accepted"),
        ));
    }
    Ok(())
}

/// Refuses a text that is longer than its attribute may have. It is not repeated.
pub(crate) fn check_length(
    path: Place<'_>,
    attribute: &Attribute,
    text: &str,
) -> Result<(), Error> {
    let most = match attribute.kind {
        _ if attribute.indexed || attribute.uniqueness != Uniqueness::None => {
            INDEXED_TEXT_BYTES_MAX
        }
        AttributeType::Binary | AttributeType::Reference => DATA_BYTES_MAX,
        _ => TEXT_BYTES_MAX,
    };
    if text.len() > most {
        return Err(refuse(
            path,
            format!("has {} bytes; at most {most} are accepted", text.len()),
        ));
    }
    Ok(())
}

/// One element of a multi-valued attribute, or the value of a single-valued one. `None` where it is unassigned.
pub(crate) fn element(
    path: Place<'_>,
    attribute: &Attribute,
    value: Value,
    quirks: &QuirkSet,
) -> Result<Option<Value>, Error> {
    // What may not be read back is not repeated in an error either.
    let found = |value: &Value| {
        if attribute.is_readable() {
            kind_of(value)
        } else {
            "what was sent".to_owned()
        }
    };
    let wrong = |value: &Value, wanted: &str| {
        Err(refuse(
            path,
            format!("must be {wanted}, not {}", found(value)),
        ))
    };
    let Some(value) = unwrapped(value, quirks) else {
        return Ok(None);
    };
    match (attribute.kind, value) {
        (AttributeType::Complex, value) => complex(path, attribute, value, quirks),
        (AttributeType::Boolean, Value::Bool(flag)) => Ok(Some(Value::Bool(flag))),
        (AttributeType::Boolean, value) => wrong(&value, "a boolean (`true` or `false`)"),
        (AttributeType::Integer, Value::Number(number)) if number.is_i64() || number.is_u64() => {
            Ok(Some(Value::Number(number)))
        }
        (AttributeType::Integer, value) => wrong(&value, "an integer"),
        (AttributeType::Decimal, Value::Number(number)) => Ok(Some(Value::Number(number))),
        (AttributeType::Decimal, value) => wrong(&value, "a number"),
        (AttributeType::DateTime, Value::String(text))
            if !attribute.is_readable() && instant(&text).is_none() =>
        {
            wrong(&Value::Null, wanted_text(AttributeType::DateTime))
        }
        (_, Value::String(text)) => {
            check_length(path, attribute, &text)?;
            canonical(path, attribute, &text)?;
            formed(path, attribute, &text)?;
            self::text(path, attribute.kind, text).map(Some)
        }
        (_, value) => wrong(&value, wanted_text(attribute.kind)),
    }
}

/// Canonical values are suggestions (RFC 7643 section 7), unless the schema says that there are no others.
fn canonical(path: Place<'_>, attribute: &Attribute, text: &str) -> Result<(), Error> {
    let is_it = |known: &String| {
        if attribute.case_exact {
            known == text
        } else {
            fold(known) == fold(text)
        }
    };
    if !attribute.enforced
        || attribute.canonical_values.is_empty()
        || attribute.canonical_values.iter().any(is_it)
    {
        return Ok(());
    }
    let known: Vec<String> = attribute
        .canonical_values
        .iter()
        .map(|known| format!("`{known}`"))
        .collect();
    Err(refuse(
        path,
        format!("is `{}`; use one of {}", shortened(text), known.join(", ")),
    ))
}

/// Refuses a text that has none of the forms that the schema names. They are the whole of what may be written, so no quirk tolerates another.
fn formed(path: Place<'_>, attribute: &Attribute, text: &str) -> Result<(), Error> {
    let has = |form: &String| {
        let fits = |(form, byte): (u8, u8)| {
            if form == b'X' {
                byte.is_ascii_hexdigit()
            } else {
                form == byte
            }
        };
        form.len() == text.len() && form.bytes().zip(text.bytes()).all(fits)
    };
    if attribute.forms.is_empty() || attribute.forms.iter().any(has) {
        return Ok(());
    }
    let forms: Vec<String> = attribute
        .forms
        .iter()
        .map(|form| format!("`{form}`"))
        .collect();
    let found = if attribute.is_readable() {
        format!("is `{}`", shortened(text))
    } else {
        "has another form".into()
    };
    Err(refuse(
        path,
        format!(
            "{found}; use {}, where each X is a hexadecimal digit",
            forms.join(" or ")
        ),
    ))
}

fn wanted_text(kind: AttributeType) -> &'static str {
    match kind {
        AttributeType::DateTime => "a date and time as a string (`2026-01-31T08:00:00Z`)",
        AttributeType::Binary => "base64 as a string",
        AttributeType::Reference => "a URI as a string",
        _ => "a string",
    }
}

fn text(path: Place<'_>, kind: AttributeType, text: String) -> Result<Value, Error> {
    if text.contains('\0') {
        return Err(refuse(
            path,
            "contains the character U+0000, which cannot be stored".into(),
        ));
    }
    match kind {
        // Both a date and a time (RFC 7643 section 2.3.5); a filter may name a day alone.
        AttributeType::DateTime if instant(&text).is_none() || !text.contains(['T', 't']) => {
            Err(refuse(
                path,
                format!(
                    "is `{}`, which is not a date and time; use RFC 3339 (`2026-01-31T08:00:00Z`)",
                    shortened(&text)
                ),
            ))
        }
        AttributeType::Reference if !is_reference(&text) => Err(refuse(
            path,
            format!(
                "is `{}`, which is not a URI; use an absolute or relative one (RFC 3986), such as `https://example.com/a`",
                shortened(&text)
            ),
        )),
        AttributeType::Binary if !is_base64(&text) => Err(refuse(
            path,
            "is not base64 (RFC 4648 section 4 or 5)".into(),
        )),
        _ => Ok(Value::String(text)),
    }
}

/// Whether it can be an absolute or relative URI (RFC 3986 section 4.1), characters beyond ASCII taken as RFC 3987 does. A bare id is a relative one.
fn is_reference(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => is_hex(at + 1) && is_hex(at + 2),
        b'<' | b'>' | b'"' | b'{' | b'}' | b'|' | b'\\' | b'^' | b'`' => false,
        byte => byte.is_ascii_graphic() || !byte.is_ascii(),
    })
}

/// The one value in an array of one, where that is tolerated. `None` where there is none.
fn unwrapped(value: Value, quirks: &QuirkSet) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(mut elements)
            if quirks.has(Quirk::WrappedSingleValue) && elements.len() <= 1 =>
        {
            elements.pop().filter(|one| !one.is_null())
        }
        value => Some(value),
    }
}

fn complex(
    path: Place<'_>,
    attribute: &Attribute,
    value: Value,
    quirks: &QuirkSet,
) -> Result<Option<Value>, Error> {
    let Some(mut kept) = parts(path, attribute, value, quirks)? else {
        return Ok(None);
    };
    super::drop_unassigned(&mut kept);
    if kept.is_empty() {
        return Ok(None);
    }
    complete(path, attribute, &kept)?;
    Ok(Some(Value::Object(kept)))
}

/// The sub-attributes that one complex value names, with null for those that it leaves unassigned. Read-only ones are ignored, and required ones may be
/// missing: a PATCH names only what it changes. `None` where the value is none as a whole.
pub(crate) fn parts(
    path: Place<'_>,
    attribute: &Attribute,
    value: Value,
    quirks: &QuirkSet,
) -> Result<Option<Map<String, Value>>, Error> {
    let object = match unwrapped(value, quirks) {
        None => return Ok(None),
        Some(Value::Object(object)) => object,
        // A bare id where a reference is wanted (Entra's manager), a bare address where an element is.
        Some(simple @ Value::String(_))
            if quirks.has(Quirk::ReferenceAsString)
                && attribute.sub_attribute("value").is_some() =>
        {
            if simple == Value::String(String::new()) {
                return Ok(None);
            }
            Map::from_iter([("value".to_owned(), simple)])
        }
        Some(other) if attribute.is_readable() => {
            return Err(refuse(
                path,
                format!("must be an object, not {}", kind_of(&other)),
            ));
        }
        Some(_) => return Err(refuse(path, "must be an object".into())),
    };
    let mut named = Map::with_capacity(object.len());
    for (name, value) in object {
        let Some(sub) = attribute.sub_attribute(&name) else {
            if quirks.has(Quirk::IgnoreUnknown) {
                continue;
            }
            let (parent, path) = (&attribute.name, Place::Sub(&path, &name).to_string());
            let detail =
                format!("`{path}` is not a sub-attribute of `{parent}`; /Schemas lists all.");
            return Err(Error::new(ErrorKind::InvalidSyntax, detail).at(path));
        };
        if sub.mutability == Mutability::ReadOnly {
            continue;
        }
        let checked = self::value(Place::Sub(&path, &sub.name), sub, value, quirks)?;
        if named
            .insert(super::spelled(name, &sub.name), checked.unwrap_or_default())
            .is_some()
        {
            let path = Place::Sub(&path, &sub.name).to_string();
            return Err(Error::new(
                ErrorKind::InvalidSyntax,
                format!("`{path}` is there twice; names are compared without case."),
            )
            .at(path));
        }
    }
    Ok(Some(named))
}

/// Refuses a complex value without a sub-attribute that its attribute requires.
pub(crate) fn complete(
    path: Place<'_>,
    attribute: &Attribute,
    held: &Map<String, Value>,
) -> Result<(), Error> {
    let mut wanted = attribute
        .sub_attributes
        .iter()
        .filter(|sub| sub.required && sub.mutability != Mutability::ReadOnly);
    match wanted.find(|sub| !held.contains_key(&sub.name)) {
        Some(sub) => Err(refuse(
            Place::Sub(&path, &sub.name),
            "is required; it is missing".into(),
        )),
        None => Ok(()),
    }
}

fn refuse(path: Place<'_>, problem: String) -> Error {
    let path = path.to_string();
    Error::new(ErrorKind::InvalidValue, format!("`{path}` {problem}.")).at(path)
}

fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "a boolean".into(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the string `{}`", shortened(text)),
        Value::Array(_) => "an array".into(),
        Value::Object(_) => "an object".into(),
    }
}

/// Values may be secrets or megabytes; an error repeats only their beginning.
fn shortened(text: &str) -> String {
    if text.chars().count() <= 40 {
        text.to_owned()
    } else {
        text.chars().take(40).chain(['…']).collect()
    }
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len() - body.len() <= 2
        && body.len() % 4 != 1
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_'))
}
