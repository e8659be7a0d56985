//! The value of a `remove` as the filter that selects what it names. RFC 7644 section 3.5.2.2 gives a remove no value; clients that send one
//! (`Quirk::RemoveMembersByValue`) mean only the values that are like it. Changes no resource.

use serde_json::Value;

use crate::attribute_path::AttributePath;
use crate::error::{Error, ErrorKind};
use crate::filter::{CompareOp, Filter};
use crate::schema::{Attribute, AttributeType, Mutability};

/// Selects the values of an attribute that have all members of one of the given values. `None` where no value is given, so that the path alone says what
/// goes. `invalidValue` where a given value names no member: every value would be like it.
pub(super) fn of_attribute(
    path: &str,
    extension: Option<&str>,
    attribute: &Attribute,
    value: &Value,
) -> Result<Option<Filter>, Error> {
    let Some(given) = given(attribute.multi_valued, value) else {
        return Ok(None);
    };
    let filters = given
        .iter()
        .filter(|one| !one.is_null())
        .map(|one| like(path, attribute, one))
        .collect::<Result<_, _>>()?;
    checked(path, extension, attribute, Filter::Or(filters)).map(Some)
}

/// Selects by the value of one sub-attribute: any of the given ones. An empty list or text selects nothing of an attribute that has several values, unless
/// the path has a filter (`is_selected`), which says already what goes.
pub(super) fn of_sub_attribute(
    path: &str,
    extension: Option<&str>,
    (attribute, sub): (&Attribute, &Attribute),
    is_selected: bool,
    value: &Value,
) -> Result<Option<Filter>, Error> {
    let Some(given) = given(attribute.multi_valued && !is_selected, value) else {
        return Ok(None);
    };
    let filters = given
        .iter()
        .filter(|one| !one.is_null())
        .map(|one| equal(&sub.name, one))
        .collect();
    checked(path, extension, attribute, Filter::Or(filters)).map(Some)
}

/// Selects among the values of one multi-valued sub-attribute.
pub(super) fn within_sub_attribute(
    path: &str,
    sub: &Attribute,
    value: &Value,
) -> Result<Option<Filter>, Error> {
    let Some(given) = given(sub.multi_valued, value) else {
        return Ok(None);
    };
    let filters = given
        .iter()
        .filter(|one| !one.is_null())
        .map(|one| equal("value", one))
        .collect();
    checked(path, None, sub, Filter::Or(filters)).map(Some)
}

/// The given values. `None` if there is none: null, and, of what cannot have several values, an empty list or text.
fn given(has_several: bool, value: &Value) -> Option<&[Value]> {
    match value {
        Value::Null => None,
        Value::Array(elements) if elements.is_empty() && !has_several => None,
        Value::Array(elements) => Some(elements),
        Value::String(text) if text.is_empty() && !has_several => None,
        one => Some(std::slice::from_ref(one)),
    }
}

fn like(path: &str, attribute: &Attribute, given: &Value) -> Result<Filter, Error> {
    if attribute.kind != AttributeType::Complex {
        return Ok(equal("value", given));
    }
    let Value::Object(members) = given else {
        return Ok(equal("value", given));
    };
    let mut terms = Vec::with_capacity(members.len());
    for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
        let Some(sub) = attribute.sub_attribute(name) else {
            return Err(refuse(
                path,
                format!(
                    "names `{name}`, which is not a sub-attribute of `{}`",
                    attribute.name
                ),
            ));
        };
        if sub.mutability == Mutability::ReadOnly {
            continue;
        }
        match value {
            Value::Array(values) => {
                terms.extend(values.iter().map(|value| equal(&sub.name, value)));
            }
            value => terms.push(equal(&sub.name, value)),
        }
    }
    if terms.is_empty() {
        return Err(refuse(
            path,
            "has an object without members, which selects nothing".into(),
        ));
    }
    Ok(Filter::And(terms))
}

fn equal(name: &str, value: &Value) -> Filter {
    Filter::Compare {
        path: AttributePath::of(name),
        op: CompareOp::Eq,
        value: value.clone(),
    }
}

/// Refuses values that no value of the attribute can equal: those of another type, and those of an attribute that may not be read.
fn checked(
    path: &str,
    extension: Option<&str>,
    attribute: &Attribute,
    filter: Filter,
) -> Result<Filter, Error> {
    filter
        .check_element(extension, attribute)
        .map_err(|error| refuse(path, format!("cannot be compared: {}", error.detail())))?;
    Ok(filter)
}

fn refuse(path: &str, problem: String) -> Error {
    let end = if problem.ends_with('.') { "" } else { "." };
    let detail = format!(
        "The `value` of the remove of `{path}` {problem}{end} Leave it out to remove all, or select in the `path` (`{path}[...]`)."
    );
    Error::new(ErrorKind::InvalidValue, detail).at(path)
}
