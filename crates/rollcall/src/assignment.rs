//! One attribute of a resource, named by a short path and set by text: the columns of `import` and the `--set PATH=VALUE` of commands. What the
//! attribute may hold is decided by `scim_protocol::validate` when the resource is written, not here.

use scim_protocol::schema::{Attribute, AttributeType};
use scim_protocol::{AttributePath, TypeSchema};
use serde_json::{Map, Number, Value};

use crate::failure::Failure;

/// An attribute that text can be assigned to.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// As written, for messages.
    pub path: String,
    extension: Option<String>,
    attribute: Attribute,
    place: Place,
}

/// Where in the attribute the text goes.
#[derive(Clone, Debug, PartialEq)]
enum Place {
    /// The attribute itself.
    Whole,
    /// A sub-attribute of a complex attribute that holds one value.
    Sub(Attribute),
    /// A sub-attribute of the element with this `type` (or of the primary one).
    Element {
        kind: Option<String>,
        sub: Attribute,
    },
}

impl Assignment {
    /// Parses `userName`, `name.givenName`, `emails.work`, `addresses.work.locality`, `department` or `urn:...:department`.
    pub fn parse(schema: &TypeSchema, text: &str) -> Result<Self, Failure> {
        let unknown = || {
            Failure::refused(format!("`{text}` is not an attribute of a {}", schema.name()))
                .hint("attributes are named as in SCIM: userName, displayName, name.givenName, emails.work, department, active")
        };
        let (urn, name) = text
            .rsplit_once(':')
            .map_or((None, text), |(urn, name)| (Some(urn), name));
        let mut segments = name.split('.');
        let first = segments.next().unwrap_or_default();
        let path = AttributePath {
            schema: urn.map(str::to_owned),
            attribute: first.to_owned(),
            sub_attribute: None,
        };
        let (extension, attribute) = find(schema, &path).ok_or_else(unknown)?;
        let rest: Vec<&str> = segments.collect();
        let sub = |name: &str| {
            attribute
                .sub_attributes
                .iter()
                .find(|sub| sub.name.eq_ignore_ascii_case(name))
                .cloned()
        };
        let complex = attribute.kind == AttributeType::Complex;
        let place = match (complex, attribute.multi_valued, rest.as_slice()) {
            (false, false, []) => Place::Whole,
            (true, false, []) => Place::Sub(sub("value").ok_or_else(unknown)?),
            (true, false, [name]) => Place::Sub(sub(name).ok_or_else(unknown)?),
            (true, true, []) => Place::Element {
                kind: None,
                sub: sub("value").ok_or_else(unknown)?,
            },
            (true, true, [one]) => match sub(one) {
                Some(sub) => Place::Element { kind: None, sub },
                None => Place::Element {
                    kind: Some((*one).to_owned()),
                    sub: sub("value").ok_or_else(unknown)?,
                },
            },
            (true, true, [kind, name]) => Place::Element {
                kind: Some((*kind).to_owned()),
                sub: sub(name).ok_or_else(unknown)?,
            },
            _ => return Err(unknown()),
        };
        Ok(Self {
            path: text.to_owned(),
            extension,
            attribute: attribute.clone(),
            place,
        })
    }

    /// Whether this is the attribute by which people are recognised.
    pub fn is_user_name(&self) -> bool {
        self.extension.is_none() && self.attribute.name == "userName"
    }

    /// Puts the text into the document as a value of the attribute's type.
    pub fn set(&self, document: &mut Map<String, Value>, text: &str) -> Result<(), Failure> {
        let leaf = match &self.place {
            Place::Whole => &self.attribute,
            Place::Sub(sub) | Place::Element { sub, .. } => sub,
        };
        let value = self.value(leaf, text)?;
        match &self.extension {
            Some(urn) => with_object(document, urn, |extension| self.put(extension, value)),
            None => self.put(document, value),
        }
        Ok(())
    }

    fn put(&self, holder: &mut Map<String, Value>, value: Value) {
        let name = &self.attribute.name;
        match &self.place {
            Place::Whole => drop(holder.insert(name.clone(), value)),
            Place::Sub(sub) => with_object(holder, name, |object| {
                drop(object.insert(sub.name.clone(), value));
            }),
            Place::Element { kind, sub } => {
                let mut elements = match holder.get_mut(name).map(Value::take) {
                    Some(Value::Array(elements)) => elements,
                    _ => Vec::new(),
                };
                put_in_element(&mut elements, kind.as_deref(), &sub.name, value);
                holder.insert(name.clone(), Value::Array(elements));
            }
        }
    }

    /// Takes the attribute's value out of the document.
    pub fn unset(&self, document: &mut Map<String, Value>) {
        let holder = match &self.extension {
            Some(urn) => document.get_mut(urn).and_then(Value::as_object_mut),
            None => Some(document),
        };
        let Some(holder) = holder else { return };
        match &self.place {
            Place::Whole => drop(holder.remove(&self.attribute.name)),
            Place::Sub(sub) => {
                if let Some(object) = holder
                    .get_mut(&self.attribute.name)
                    .and_then(Value::as_object_mut)
                {
                    object.remove(&sub.name);
                }
            }
            Place::Element { kind, .. } => {
                if let Some(elements) = holder
                    .get_mut(&self.attribute.name)
                    .and_then(Value::as_array_mut)
                {
                    elements
                        .retain(|element| kind.is_some() && !has_type(element, kind.as_deref()));
                }
            }
        }
    }

    fn value(&self, leaf: &Attribute, text: &str) -> Result<Value, Failure> {
        let refuse = |expected: &str| {
            Err(Failure::refused(format!(
                "`{}`: {text:?} is not {expected}",
                self.path
            )))
        };
        match leaf.kind {
            AttributeType::Boolean => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => Ok(Value::Bool(true)),
                "false" | "no" | "0" => Ok(Value::Bool(false)),
                _ => refuse("`true` or `false`"),
            },
            AttributeType::Integer => text
                .parse::<i64>()
                .map(Value::from)
                .or_else(|_| refuse("a whole number")),
            AttributeType::Decimal => match text.parse::<f64>().ok().and_then(Number::from_f64) {
                Some(number) => Ok(Value::Number(number)),
                None => refuse("a number"),
            },
            _ => Ok(Value::String(text.to_owned())),
        }
    }
}

/// Core and common attributes first, then those of extensions, so that `department` needs no URN.
fn find<'a>(
    schema: &'a TypeSchema,
    path: &AttributePath,
) -> Option<(Option<String>, &'a Attribute)> {
    if let Some(resolved) = schema.resolve(path) {
        return Some((resolved.extension.map(str::to_owned), resolved.attribute?));
    }
    if path.schema.is_some() {
        return None;
    }
    let matches = |attribute: &&Attribute| attribute.name.eq_ignore_ascii_case(&path.attribute);
    schema.extensions.iter().find_map(|extension| {
        Some((
            Some(extension.id.clone()),
            extension.attributes.iter().find(matches)?,
        ))
    })
}

/// Changes the object of this name, which is made where there is none.
fn with_object(
    holder: &mut Map<String, Value>,
    name: &str,
    change: impl FnOnce(&mut Map<String, Value>),
) {
    let mut object = match holder.get_mut(name).map(Value::take) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    };
    change(&mut object);
    holder.insert(name.to_owned(), Value::Object(object));
}

fn has_type(element: &Value, kind: Option<&str>) -> bool {
    let text = element.get("type").and_then(Value::as_str);
    match (text, kind) {
        (Some(text), Some(kind)) => text.eq_ignore_ascii_case(kind),
        (None, None) => true,
        _ => false,
    }
}

/// Into the element of this type; without a type the primary one, or the first; a new one where there is none. The first element of all is primary.
fn put_in_element(elements: &mut Vec<Value>, kind: Option<&str>, name: &str, value: Value) {
    let primary = |element: &Value| element.get("primary") == Some(&Value::Bool(true));
    let found = match kind {
        Some(_) => elements.iter().position(|element| has_type(element, kind)),
        None => elements
            .iter()
            .position(primary)
            .or(if elements.is_empty() { None } else { Some(0) }),
    };
    if let Some(object) = found
        .and_then(|index| elements.get_mut(index))
        .and_then(Value::as_object_mut)
    {
        object.insert(name.to_owned(), value);
        return;
    }
    let mut fresh = Map::new();
    if let Some(kind) = kind {
        fresh.insert("type".into(), kind.into());
    }
    if elements.is_empty() {
        fresh.insert("primary".into(), true.into());
    }
    fresh.insert(name.to_owned(), value);
    elements.push(Value::Object(fresh));
}

#[cfg(test)]
mod tests {
    use scim_protocol::SchemaSet;
    use serde_json::json;

    use super::*;

    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    fn apply(document: &Value, path: &str, text: &str) -> Result<Value, String> {
        let set = SchemaSet::standard();
        let schema = set.by_name("User").unwrap();
        let mut map = document.as_object().unwrap().clone();
        let assignment = Assignment::parse(schema, path).map_err(|failure| failure.message)?;
        if text.is_empty() {
            assignment.unset(&mut map);
        } else {
            assignment
                .set(&mut map, text)
                .map_err(|failure| failure.message)?;
        }
        Ok(Value::Object(map))
    }

    #[test]
    fn text_becomes_a_value_at_its_path() {
        let check = |before: Value, path: &str, text: &str, after: Value| {
            assert_eq!(apply(&before, path, text).unwrap(), after, "{path}");
        };
        check(json!({}), "username", "ada", json!({"userName": "ada"}));
        check(
            json!({}),
            "name.givenName",
            "Ada",
            json!({"name": {"givenName": "Ada"}}),
        );
        check(json!({}), "active", "No", json!({"active": false}));
        check(
            json!({}),
            "department",
            "Engines",
            json!({ENTERPRISE: {"department": "Engines"}}),
        );
        check(
            json!({}),
            &format!("{ENTERPRISE}:department"),
            "Engines",
            json!({ENTERPRISE: {"department": "Engines"}}),
        );
        check(
            json!({}),
            "manager",
            "17",
            json!({ENTERPRISE: {"manager": {"value": "17"}}}),
        );
        check(
            json!({}),
            "emails",
            "a@b.c",
            json!({"emails": [{"primary": true, "value": "a@b.c"}]}),
        );
        check(
            json!({}),
            "emails.work",
            "a@b.c",
            json!({"emails": [{"type": "work", "primary": true, "value": "a@b.c"}]}),
        );
        let one = json!({"emails": [{"type": "work", "primary": true, "value": "a@b.c"}]});
        check(
            one.clone(),
            "emails.Work",
            "x@b.c",
            json!({"emails": [{"type": "work", "primary": true, "value": "x@b.c"}]}),
        );
        let two = json!({"emails": [{"type": "work", "primary": true, "value": "a@b.c"}, {"type": "home", "value": "h@b.c"}]});
        check(one, "emails.home", "h@b.c", two.clone());
        check(
            two,
            "emails.home",
            "",
            json!({"emails": [{"type": "work", "primary": true, "value": "a@b.c"}]}),
        );
        check(
            json!({}),
            "addresses.work.locality",
            "Paris",
            json!({"addresses": [{"type": "work", "primary": true, "locality": "Paris"}]}),
        );
    }

    #[test]
    fn what_is_no_attribute_or_no_value_is_refused() {
        let check = |path: &str, text: &str, said: &str| {
            let message = apply(&json!({}), path, text).unwrap_err();
            assert!(message.contains(said), "{message}");
        };
        check(
            "nickname.x",
            "a",
            "`nickname.x` is not an attribute of a User",
        );
        check("salary", "1", "`salary` is not an attribute of a User");
        check("active", "maybe", "\"maybe\" is not `true` or `false`");
        check("name.givenNme", "a", "`name.givenNme`");
    }
}
