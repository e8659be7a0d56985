//! PATCH (RFC 7644 section 3.5.2): the operations, parsed and printed. What they do to a resource is in `apply`; operations on the members of a
//! group are in `member`, which never needs the group.

pub mod apply;
mod change;
pub mod difference;
pub mod member;
pub mod mention;
mod selection;
pub mod work;

use serde_json::{Map, Value, json};

use crate::error::{Error, ErrorKind};
use crate::filter::wrong_value;
pub use crate::patch_path::{PATCH_SCHEMA, PatchPath};
use crate::quirk::{Quirk, QuirkSet};
use crate::schema::AttributeType;
use crate::schema::set::TypeSchema;

/// The three operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum Op {
    Add,
    Remove,
    Replace,
}

impl Op {
    /// As it stands in a message.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Replace => "replace",
        }
    }
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// What to do.
    pub op: Op,
    /// Where; `None`: the value is an object of attributes.
    pub path: Option<PatchPath>,
    /// With what.
    pub value: Option<Value>,
}

impl Operation {
    fn to_json(&self) -> Value {
        let mut operation = Map::new();
        operation.insert("op".into(), self.op.name().into());
        if let Some(path) = &self.path {
            operation.insert("path".into(), path.to_string().into());
        }
        if let Some(value) = &self.value {
            operation.insert("value".into(), value.clone());
        }
        Value::Object(operation)
    }
}

/// Parses a PATCH message. `invalidSyntax` where it is not one, `invalidPath`, `invalidFilter` (a filter that names an unknown attribute), `noTarget` (a
/// remove without a path), `invalidValue` (an add or replace without a value, a remove with one).
pub fn parse(schema: &TypeSchema, body: Value, quirks: &QuirkSet) -> Result<Vec<Operation>, Error> {
    let syntax = |detail: String| Error::new(ErrorKind::InvalidSyntax, detail);
    let Value::Object(mut body) = body else {
        return Err(syntax(
            "The body of a PATCH must be a JSON object with `schemas` and `Operations`.".into(),
        ));
    };
    let names_patch = body
        .get("schemas")
        .and_then(Value::as_array)
        .is_some_and(|urns| {
            urns.iter().any(|urn| {
                urn.as_str()
                    .is_some_and(|urn| urn.eq_ignore_ascii_case(PATCH_SCHEMA))
            })
        });
    if !names_patch && !quirks.has(Quirk::MissingSchemas) {
        return Err(syntax(format!("`schemas` must contain `{PATCH_SCHEMA}`.")).at("schemas"));
    }
    let operations = match body.remove("Operations") {
        Some(Value::Array(operations)) => operations,
        Some(_) => {
            return Err(
                syntax("`Operations` must be an array of operations.".into()).at("Operations"),
            );
        }
        None => {
            return Err(syntax(
                "`Operations` is missing; it must be an array of operations.".into(),
            )
            .at("Operations"));
        }
    };
    if operations.is_empty() && !quirks.has(Quirk::EmptyOperations) {
        return Err(
            syntax("`Operations` is empty; it must hold at least one operation.".into())
                .at("Operations"),
        );
    }
    operations
        .into_iter()
        .enumerate()
        .map(|(index, operation)| parse_operation(schema, index, operation, quirks))
        .collect()
}

fn parse_operation(
    schema: &TypeSchema,
    index: usize,
    operation: Value,
    quirks: &QuirkSet,
) -> Result<Operation, Error> {
    let place = format!("Operations[{index}]");
    let refuse = |kind, detail: String| Err(Error::new(kind, detail).at(place.clone()));
    let Value::Object(mut operation) = operation else {
        return refuse(
            ErrorKind::InvalidSyntax,
            format!("`{place}` must be an object with `op`, and `path` or `value`."),
        );
    };
    let op = parse_op(&place, operation.get("op").and_then(Value::as_str))?;
    let path = match operation.get("path") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.is_empty() => None,
        Some(Value::String(text)) => Some(PatchPath::parse(text)?),
        Some(_) => {
            return refuse(
                ErrorKind::InvalidPath,
                format!("`{place}.path` must be a string."),
            );
        }
    };
    let value = operation.remove("value");
    match (&path, op, &value) {
        (None, Op::Remove, _) => {
            return refuse(
                ErrorKind::NoTarget,
                format!("`{place}` is a remove without a `path`; name the attribute to remove."),
            );
        }
        (_, Op::Add | Op::Replace, None) => {
            return refuse(
                ErrorKind::InvalidValue,
                format!("`{place}.value` is missing."),
            );
        }
        (None, Op::Add | Op::Replace, Some(value)) if !value.is_object() => {
            let detail =
                format!("`{place}` has no `path`, so its `value` must be an object of attributes.");
            return refuse(ErrorKind::InvalidValue, detail);
        }
        _ => {}
    }
    if let Some(path) = &path {
        check_path(schema, path, quirks)?;
        // RFC 7644 section 3.5.2.2 gives a remove no value. Those that send one mean only that value, so to empty the attribute would lose the others.
        if op == Op::Remove
            && value.as_ref().is_some_and(|value| !value.is_null())
            && !quirks.has(Quirk::RemoveMembersByValue)
        {
            let detail = format!(
                "`{place}` is a remove with a `value`; select what to remove in the `path` (`members[value eq \"...\"]`), and send no `value`."
            );
            return refuse(ErrorKind::InvalidValue, detail);
        }
    }
    Ok(Operation { op, path, value })
}

fn parse_op(place: &str, name: Option<&str>) -> Result<Op, Error> {
    let found = match name {
        Some("add") => return Ok(Op::Add),
        Some("remove") => return Ok(Op::Remove),
        Some("replace") => return Ok(Op::Replace),
        Some(other) => format!("`{other}`"),
        None => "missing".to_owned(),
    };
    let detail = format!("`{place}.op` is {found}; it must be `add`, `remove` or `replace`.");
    Err(Error::new(ErrorKind::InvalidSyntax, detail).at(place))
}

/// Refuses a path that leads nowhere in this type, and one whose filter has `"True"` for a boolean where no quirk allows that.
fn check_path(schema: &TypeSchema, path: &PatchPath, quirks: &QuirkSet) -> Result<(), Error> {
    if schema.names_whole_core(&path.attribute) {
        return Ok(());
    }
    let unknown = || {
        Error::new(
            ErrorKind::InvalidPath,
            format!("`{path}` names no attribute of {}.", schema.name()),
        )
        .at(path.to_string())
    };
    let resolved = schema.resolve(&path.attribute).ok_or_else(unknown)?;
    let Some(filter) = &path.filter else {
        return Ok(());
    };
    let attribute = resolved.attribute.ok_or_else(unknown)?;
    if resolved.sub_attribute.is_some() {
        let detail = format!(
            "In `{path}`, brackets follow a sub-attribute; they may only follow the attribute itself."
        );
        return Err(Error::new(ErrorKind::InvalidPath, detail).at(path.to_string()));
    }
    filter.check_element(resolved.extension, attribute)?;
    if let Some((name, text)) = filter
        .strings_for_booleans_of(attribute)
        .first()
        .filter(|_| !quirks.has(Quirk::BooleanString))
    {
        return Err(wrong_value(
            &path.attribute.with_sub_attribute(*name),
            AttributeType::Boolean,
            &Value::from(*text),
        ));
    }
    match &path.sub_attribute {
        Some(name) if attribute.sub_attribute(name).is_none() => Err(unknown()),
        _ => Ok(()),
    }
}

/// The PATCH message that says these operations.
pub fn to_json(operations: &[Operation]) -> Value {
    json!({
        "schemas": [PATCH_SCHEMA],
        "Operations": operations.iter().map(Operation::to_json).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests;
