//! `attributes`, `excludedAttributes` and `returned` (RFC 7644 section 3.9, RFC 7643 section 7). Does not render resources: it drops from what was rendered.

use serde_json::{Map, Value};

use crate::attribute_path::AttributePath;
use crate::error::{Error, ErrorKind};
use crate::schema::set::{Resolved, TypeSchema};
use crate::schema::{Attribute, Returned};

/// Most names in `attributes` or `excludedAttributes`: each is looked for in each resource of the answer.
pub const NAMES_MAX: usize = 500;

/// Which attributes an answer has.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Projection {
    /// Those whose `returned` is `always` or `default`.
    #[default]
    Default,
    /// The minimum set and these.
    Only(Vec<AttributePath>),
    /// The default set without these.
    Without(Vec<AttributePath>),
}

impl Projection {
    /// From the two parameters; both at once is `invalidValue`. Names that no schema has are ignored.
    pub fn new(attributes: &[String], excluded_attributes: &[String]) -> Result<Self, Error> {
        let only = parse_all("attributes", attributes)?;
        let without = parse_all("excludedAttributes", excluded_attributes)?;
        match (only.is_empty(), without.is_empty()) {
            (true, true) => Ok(Self::Default),
            (false, true) => Ok(Self::Only(only)),
            (true, false) => Ok(Self::Without(without)),
            (false, false) => {
                let detail = "`attributes` and `excludedAttributes` exclude each other; send only one of them.";
                Err(Error::new(ErrorKind::InvalidValue, detail).at("excludedAttributes"))
            }
        }
    }

    /// Whether the answer has this top-level attribute of the core schema, so that `members` and `groups` are only read when they are shown.
    pub fn wants(&self, schema: &TypeSchema, attribute: &str) -> bool {
        let Some(attribute) = schema.core_attribute(attribute) else {
            return false;
        };
        let names_it = |path: &AttributePath| {
            schema.resolve(path).is_some_and(|found| {
                found.extension.is_none()
                    && found
                        .attribute
                        .is_some_and(|found| found.name == attribute.name)
            })
        };
        match (attribute.returned, self) {
            (Returned::Never, _) | (Returned::Request, Self::Default | Self::Without(_)) => false,
            (Returned::Always, _) | (Returned::Default, Self::Default) => true,
            (returned, Self::Only(paths)) => paths.iter().any(|path| {
                names_it(path)
                    || (returned == Returned::Default && whole_core_covers(schema, path, attribute))
            }),
            (Returned::Default, Self::Without(paths)) => !paths.iter().any(|path| {
                whole_core_covers(schema, path, attribute)
                    || (path.sub_attribute.is_none() && names_it(path))
            }),
        }
    }

    /// Whether nothing of an object with this JSON text has to be dropped. A `false` may be caution: what is not to be shown is looked for by its name, which
    /// may also stand for something else.
    pub fn keeps_all_of(&self, schema: &TypeSchema, text: &str) -> bool {
        *self == Self::Default && !schema.hidden_names().any(|name| text.contains(name))
    }

    /// Drops what the answer must not have.
    pub fn apply(&self, schema: &TypeSchema, resource: &mut Map<String, Value>) {
        match self {
            Self::Default => drop_hidden(schema, resource),
            Self::Only(paths) => keep_only(schema, paths, resource),
            Self::Without(paths) => {
                drop_hidden(schema, resource);
                for path in paths {
                    drop_path(schema, path, resource);
                }
            }
        }
    }
}

fn parse_all(parameter: &str, names: &[String]) -> Result<Vec<AttributePath>, Error> {
    if names.len() > NAMES_MAX {
        let detail = format!(
            "`{parameter}` has {} names; at most {NAMES_MAX} are accepted.",
            names.len()
        );
        return Err(Error::new(ErrorKind::InvalidValue, detail).at(parameter));
    }
    let names = names
        .iter()
        .map(|name| name.trim())
        .filter(|name| !name.is_empty());
    names
        .map(|name| {
            AttributePath::parse(name).map_err(|error| {
                Error::new(
                    ErrorKind::InvalidValue,
                    format!(
                        "`{parameter}` names `{name}`, which is not an attribute name: {error}"
                    ),
                )
                .at(parameter)
            })
        })
        .collect()
}

/// A path may be the core schema's URN alone; it then stands for all of its attributes, not for the common ones.
fn whole_core_covers(schema: &TypeSchema, path: &AttributePath, attribute: &Attribute) -> bool {
    schema.names_whole_core(path)
        && schema
            .core
            .attributes
            .iter()
            .any(|own| own.name == attribute.name)
}

/// Removes `never` and `request` attributes. Goes by the schema, because it has few of them and a resource has many keys.
fn drop_hidden(schema: &TypeSchema, resource: &mut Map<String, Value>) {
    for attribute in schema.core.attributes.iter().chain(&schema.common) {
        drop_hidden_attribute(attribute, resource);
    }
    for extension in &schema.extensions {
        let Some(Value::Object(values)) = resource.get_mut(&extension.id) else {
            continue;
        };
        for attribute in &extension.attributes {
            drop_hidden_attribute(attribute, values);
        }
    }
}

fn drop_hidden_attribute(attribute: &Attribute, values: &mut Map<String, Value>) {
    if attribute.is_hidden() {
        values.shift_remove(&attribute.name);
    } else if attribute.sub_attributes.iter().any(Attribute::is_hidden)
        && let Some(value) = values.get_mut(&attribute.name)
    {
        retain_sub_attributes(attribute, value, |sub| !sub.is_hidden());
    }
}

fn keep_only(schema: &TypeSchema, paths: &[AttributePath], resource: &mut Map<String, Value>) {
    let wanted: Vec<Resolved<'_>> = paths
        .iter()
        .filter_map(|path| schema.resolve(path))
        .collect();
    resource.retain(|name, value| {
        if let Some(attribute) = schema.core_attribute(name) {
            let whole = paths
                .iter()
                .any(|path| whole_core_covers(schema, path, attribute));
            return keep_attribute(
                attribute,
                wanted.iter().filter(|found| found.extension.is_none()),
                whole,
                value,
            );
        }
        let (Some(extension), Some(values)) = (schema.extension(name), value.as_object_mut())
        else {
            return false;
        };
        let wanted = || {
            wanted
                .iter()
                .filter(|found| found.extension == Some(&extension.id))
        };
        let whole = wanted().any(|found| found.attribute.is_none());
        values.retain(|name, value| {
            let attribute = extension
                .attributes
                .iter()
                .find(|attribute| attribute.name == *name);
            attribute.is_some_and(|attribute| keep_attribute(attribute, wanted(), whole, value))
        });
        !values.is_empty()
    });
}

/// Whether an attribute stays, and which of its sub-attributes. `whole` where the schema it is in was named.
fn keep_attribute<'a>(
    attribute: &Attribute,
    wanted: impl Iterator<Item = &'a Resolved<'a>>,
    whole: bool,
    value: &mut Value,
) -> bool {
    if !attribute.is_readable() {
        return false;
    }
    let mut all = attribute.returned == Returned::Always
        || (whole && attribute.returned == Returned::Default);
    let mut named: Vec<&str> = Vec::new();
    for found in wanted.filter(|found| {
        found
            .attribute
            .is_some_and(|found| found.name == attribute.name)
    }) {
        match found.sub_attribute {
            Some(sub) => named.push(&sub.name),
            None => all = true,
        }
    }
    if !all && named.is_empty() {
        return false;
    }
    if !(all && attribute.sub_attributes.iter().all(|sub| !sub.is_hidden())) {
        retain_sub_attributes(attribute, value, |sub| {
            let chosen =
                named.contains(&sub.name.as_str()) || (all && sub.returned == Returned::Default);
            sub.is_readable() && (chosen || sub.returned == Returned::Always)
        });
    }
    all || !is_empty(value)
}

fn drop_path(schema: &TypeSchema, path: &AttributePath, resource: &mut Map<String, Value>) {
    if schema.names_whole_core(path) {
        let is_kept = |name: &str| {
            schema
                .core
                .attributes
                .iter()
                .all(|own| own.name != name || own.returned == Returned::Always)
        };
        resource.retain(|name, _| is_kept(name));
        return;
    }
    let Some(found) = schema.resolve(path) else {
        return;
    };
    let Some(attribute) = found.attribute else {
        if let Some(extension) = found.extension {
            drop_extension(schema, extension, resource);
        }
        return;
    };
    match found.extension {
        None => drop_attribute(attribute, found.sub_attribute, resource),
        Some(extension) => {
            if let Some(Value::Object(values)) = resource.get_mut(extension) {
                drop_attribute(attribute, found.sub_attribute, values);
                if values.is_empty() {
                    resource.shift_remove(extension);
                }
            }
        }
    }
}

fn drop_extension(schema: &TypeSchema, urn: &str, resource: &mut Map<String, Value>) {
    let (Some(extension), Some(Value::Object(values))) =
        (schema.extension(urn), resource.get_mut(urn))
    else {
        return;
    };
    let is_always = |name: &str| {
        extension
            .attributes
            .iter()
            .any(|own| own.name == name && own.returned == Returned::Always)
    };
    values.retain(|name, _| is_always(name));
    if values.is_empty() {
        resource.shift_remove(urn);
    }
}

fn drop_attribute(attribute: &Attribute, sub: Option<&Attribute>, values: &mut Map<String, Value>) {
    let Some(sub) = sub else {
        if attribute.returned != Returned::Always {
            values.shift_remove(&attribute.name);
        }
        return;
    };
    let Some(value) = values.get_mut(&attribute.name) else {
        return;
    };
    if sub.returned == Returned::Always {
        return;
    }
    retain_sub_attributes(attribute, value, |own| own.name != sub.name);
    if is_empty(value) {
        values.shift_remove(&attribute.name);
    }
}

/// Keeps the sub-attributes that `keep` wants, in an object or in each object of an array; elements left empty go. Keys that no schema has are kept
/// only where everything is.
fn retain_sub_attributes(
    attribute: &Attribute,
    value: &mut Value,
    keep: impl Fn(&Attribute) -> bool + Copy,
) {
    match value {
        Value::Object(map) => map.retain(|name, _| attribute.sub_attribute(name).is_some_and(keep)),
        Value::Array(elements) => {
            for element in elements.iter_mut() {
                if let Value::Object(map) = element {
                    map.retain(|name, _| attribute.sub_attribute(name).is_some_and(keep));
                }
            }
            elements.retain(|element| !is_empty(element));
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::set::{ResourceType, SchemaExtension, SchemaSet};
    use crate::schema::standard::{ENTERPRISE_USER, USER};

    fn user() -> Value {
        json!({
            "schemas": [USER, ENTERPRISE_USER], "id": "1", "userName": "b", "nickName": "n", "password": "p",
            "name": {"familyName": "J", "givenName": "B"},
            "emails": [{"value": "a@x", "type": "work"}, {"value": "b@x"}],
            ENTERPRISE_USER: {"department": "D", "manager": {"value": "2", "displayName": "M"}},
            "meta": {"resourceType": "User"}
        })
    }

    fn project(
        attributes: &[&str],
        excluded: &[&str],
        schema: &TypeSchema,
        mut resource: Value,
    ) -> Value {
        let owned = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        Projection::new(&owned(attributes), &owned(excluded))
            .unwrap()
            .apply(schema, resource.as_object_mut().unwrap());
        resource
    }

    #[test]
    fn the_named_attributes_and_the_minimum_set() {
        let set = SchemaSet::standard();
        let check = |attributes: &[&str], mut expected: Value| {
            expected["schemas"] = json!([USER, ENTERPRISE_USER]);
            expected["id"] = json!("1");
            assert_eq!(
                project(attributes, &[], set.by_name("User").unwrap(), user()),
                expected,
                "{attributes:?}"
            );
        };
        check(&["USERNAME"], json!({"userName": "b"}));
        check(
            &["urn:ietf:params:scim:schemas:core:2.0:User:userName"],
            json!({"userName": "b"}),
        );
        check(
            &["emails.value"],
            json!({"emails": [{"value": "a@x"}, {"value": "b@x"}]}),
        );
        check(&["emails.type"], json!({"emails": [{"type": "work"}]}));
        check(
            &["emails.type", "emails"],
            json!({"emails": user()["emails"]}),
        );
        check(
            &["name.familyName", "meta"],
            json!({"name": {"familyName": "J"}, "meta": {"resourceType": "User"}}),
        );
        check(
            &[ENTERPRISE_USER],
            json!({ENTERPRISE_USER: user()[ENTERPRISE_USER]}),
        );
        check(
            &[&format!("{ENTERPRISE_USER}:manager.value")],
            json!({ENTERPRISE_USER: {"manager": {"value": "2"}}}),
        );
        check(&["password", "nothing", "title"], json!({}));
        check(&["emails.primary"], json!({}));
        let mut core = user();
        for name in ["meta", "password", ENTERPRISE_USER] {
            core.as_object_mut().unwrap().remove(name);
        }
        check(&[USER], core);
    }

    #[test]
    fn a_text_is_kept_whole_where_nothing_in_it_may_be_hidden() {
        let set = SchemaSet::standard();
        let user = set.by_name("User").unwrap();
        let secret = r#"{"userName":"ann","password":"x"}"#;
        for (text, kept) in [
            (secret, false),
            (r#"{"title":"password"}"#, false),
            (r#"{"title":"a password"}"#, true),
            ("{}", true),
        ] {
            assert_eq!(Projection::Default.keeps_all_of(user, text), kept, "{text}");
        }
        let only = Projection::new(&["title".into()], &[]).unwrap();
        let without = Projection::new(&[], &["title".into()]).unwrap();
        assert!(!only.keeps_all_of(user, "{}") && !without.keeps_all_of(user, "{}"));
        // A hidden attribute may also be deeper, or in an extension.
        let hidden = |place: &str| {
            let mut own = Vec::clone(&user.extensions);
            let mut core = user.core.clone();
            let attribute = if place == "sub" {
                core.attributes
                    .iter_mut()
                    .find(|attribute| attribute.name == "name")
                    .and_then(|name| name.sub_attributes.first_mut())
            } else {
                own.first_mut()
                    .and_then(|extension| extension.attributes.first_mut())
            };
            let attribute = attribute.unwrap();
            attribute.returned = Returned::Request;
            let text = format!("{{\"{}\":1}}", attribute.name);
            !Projection::Default.keeps_all_of(
                &TypeSchema::new(user.resource_type.clone(), core, own),
                &text,
            ) && Projection::Default.keeps_all_of(user, &text)
        };
        assert!(hidden("sub") && hidden("extension"));
    }

    #[test]
    fn the_default_set_without_the_named() {
        let set = SchemaSet::standard();
        let check = |excluded: &[&str], gone: &[&str]| {
            let mut expected = user();
            for pointer in gone.iter().chain(&["/password"]) {
                let (parent, name) = pointer.rsplit_once('/').unwrap();
                expected
                    .pointer_mut(parent)
                    .unwrap()
                    .as_object_mut()
                    .unwrap()
                    .shift_remove(name);
            }
            assert_eq!(
                project(&[], excluded, set.by_name("User").unwrap(), user()),
                expected,
                "{excluded:?}"
            );
        };
        check(&[], &[]);
        check(&["nickname", "id", "schemas"], &["/nickName"]);
        check(&["emails.type"], &["/emails/0/type"]);
        check(&["name.familyName", "name.givenName"], &["/name"]);
        check(&[ENTERPRISE_USER], &[&format!("/{ENTERPRISE_USER}")]);
        check(
            &[&format!("{ENTERPRISE_USER}:manager")],
            &[&format!("/{ENTERPRISE_USER}/manager")],
        );
        check(&["nothing"], &[]);
        check(&[USER], &["/userName", "/nickName", "/name", "/emails"]);
    }

    #[test]
    fn returned_is_obeyed_at_both_levels() {
        let core = json!({"id": "urn:x:core:1.0:Thing", "attributes": [
            {"name": "plain", "type": "string"},
            {"name": "asked", "type": "string", "returned": "request"},
            {"name": "secret", "type": "string", "returned": "never"},
            {"name": "part", "type": "complex", "subAttributes": [
                {"name": "plain", "type": "string"},
                {"name": "always", "type": "string", "returned": "always"},
                {"name": "asked", "type": "string", "returned": "request"},
                {"name": "secret", "type": "string", "returned": "never"}]}]});
        let resource_type = ResourceType {
            id: "Thing".into(),
            name: "Thing".into(),
            endpoint: "/Things".into(),
            description: String::new(),
            schema: "urn:x:core:1.0:Thing".into(),
            schema_extensions: Vec::<SchemaExtension>::new(),
            quiet: false,
        };
        let schema = TypeSchema::new(
            resource_type,
            serde_json::from_value(core).unwrap(),
            Vec::new(),
        );
        let resource = || json!({"id": "1", "plain": "p", "asked": "q", "secret": "s", "part": {"plain": "p", "always": "a", "asked": "q", "secret": "s"}});
        let check = |attributes: &[&str], excluded: &[&str], expected: Value| {
            assert_eq!(
                project(attributes, excluded, &schema, resource()),
                expected,
                "{attributes:?} {excluded:?}"
            );
        };
        check(
            &[],
            &[],
            json!({"id": "1", "plain": "p", "part": {"plain": "p", "always": "a"}}),
        );
        check(&["asked", "secret"], &[], json!({"id": "1", "asked": "q"}));
        check(
            &["part"],
            &[],
            json!({"id": "1", "part": {"plain": "p", "always": "a"}}),
        );
        check(
            &["part.asked", "part.secret"],
            &[],
            json!({"id": "1", "part": {"always": "a", "asked": "q"}}),
        );
        check(
            &[],
            &["part.always", "part.plain", "plain"],
            json!({"id": "1", "part": {"always": "a"}}),
        );
        assert!(!Projection::Default.wants(&schema, "asked"));
        assert!(Projection::Only(vec![AttributePath::of("ASKED")]).wants(&schema, "asked"));
    }

    #[test]
    fn members_are_wanted_only_when_shown() {
        let set = SchemaSet::standard();
        let group = set.by_name("Group").unwrap();
        let path = |text: &str| vec![AttributePath::parse(text).unwrap()];
        let check = |projection: Projection, expected: bool| {
            assert_eq!(
                projection.wants(group, "members"),
                expected,
                "{projection:?}"
            );
        };
        check(Projection::Default, true);
        check(Projection::Only(path("displayName")), false);
        check(Projection::Only(path("members.value")), true);
        check(Projection::Only(path(&group.core.id)), true);
        check(Projection::Without(path("MEMBERS")), false);
        check(Projection::Without(path("members.display")), true);
        check(Projection::Without(path("displayName")), true);
    }

    #[test]
    fn refused_parameters() {
        let names = |text: &str| vec![text.to_owned()];
        assert_eq!(
            Projection::new(&names("a"), &names("b"))
                .unwrap_err()
                .kind(),
            ErrorKind::InvalidValue
        );
        assert!(
            Projection::new(&names("user name"), &[])
                .unwrap_err()
                .detail()
                .contains("user name")
        );
        assert_eq!(
            Projection::new(&names(" "), &[]).unwrap(),
            Projection::Default
        );
    }
}
