//! What a change of schemas means for stored resources: which of them must be checked, and what is wrong with one. Reads nothing itself.

use std::sync::Arc;

use scim_protocol::quirk::QuirkSet;
use scim_protocol::schema::{Attribute, Uniqueness};
use scim_protocol::validate::validate;
use scim_protocol::{TypeSchema, ValidResource};
use serde_json::{Map, Value};

use crate::change_set::Content;
use crate::content::content;

/// A resource type that a change of schemas concerns.
#[derive(Clone, Debug)]
pub struct AffectedType {
    /// Its name.
    pub name: String,
    /// The type from now on; `None`: it goes, so there must be no resources of it.
    pub schema: Option<Arc<TypeSchema>>,
    /// Whether stored resources may contradict it.
    pub check: bool,
    /// Whether index rows of stored resources are missing.
    pub reindex: bool,
}

/// What a change of one type comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Whether stored resources may contradict it.
    pub check: bool,
    /// Whether index rows are missing.
    pub reindex: bool,
    /// Each difference, as a sentence.
    pub sentences: Vec<String>,
}

/// The resource as it would be stored, or what contradicts the type.
pub fn judge(
    affected: &AffectedType,
    schema: &TypeSchema,
    document: Map<String, Value>,
    strict: &QuirkSet,
) -> Result<Content, String> {
    if affected.check {
        let kept = validate(schema, Value::Object(document.clone()), None, strict)
            .map_err(|error| error.detail().to_owned())?;
        if let Some(lost) = first_lost(&document, kept.resource.document()) {
            return Err(format!("`{lost}` has a value, which could not be kept."));
        }
    }
    Ok(content(schema, ValidResource::trusted(document)))
}

/// An attribute that one document has and the other does not have in the same form.
fn first_lost(stored: &Map<String, Value>, kept: &Map<String, Value>) -> Option<String> {
    stored
        .iter()
        .find(|(name, value)| *name != "schemas" && kept.get(*name) != Some(value))
        .map(|(name, value)| {
            let inner = match (value, kept.get(name)) {
                (Value::Object(stored), Some(Value::Object(kept))) => first_lost(stored, kept),
                (Value::Object(stored), None) => first_lost(stored, &Map::new()),
                _ => None,
            };
            let separator = if name.contains(':') { ':' } else { '.' };
            inner.map_or_else(|| name.clone(), |inner| format!("{name}{separator}{inner}"))
        })
}

/// Compares a type with what it is to become.
pub fn compare(old: &TypeSchema, new: &TypeSchema) -> Effect {
    let mut effect = Effect::default();
    if !old.core.id.eq_ignore_ascii_case(&new.core.id) {
        effect.must_check(format!(
            "{} has the schema `{}` instead of `{}`",
            new.name(),
            new.core.id,
            old.core.id
        ));
        effect.reindex = true;
        return effect;
    }
    match (old.resource_type.quiet, new.resource_type.quiet) {
        (true, false) => effect.say(format!("{} is listed from now on", new.name())),
        (false, true) => effect.say(format!("{} is listed while there is one", new.name())),
        _ => {}
    }
    // The common attributes are compared too, as a constraint may put `externalId` into the core.
    let of_core = |schema: &TypeSchema| {
        [schema.core.attributes.as_slice(), schema.common.as_slice()].concat()
    };
    effect.attributes("", &of_core(old), &of_core(new));
    for extension in &old.extensions {
        let prefix = format!("{}:", extension.id);
        match new.extension(&extension.id) {
            Some(again) => effect.attributes(&prefix, &extension.attributes, &again.attributes),
            None => effect.must_check(format!(
                "{} loses the extension `{}`",
                new.name(),
                extension.id
            )),
        }
    }
    for (extension, reference) in new
        .extensions
        .iter()
        .zip(&new.resource_type.schema_extensions)
    {
        let before = old
            .resource_type
            .schema_extensions
            .iter()
            .find(|before| before.schema.eq_ignore_ascii_case(&extension.id));
        if before.is_none() {
            effect.say(format!(
                "{} gets the extension `{}`",
                new.name(),
                extension.id
            ));
        }
        if reference.required && before.is_none_or(|before| !before.required) {
            effect.must_check(format!(
                "every {} must have the extension `{}`",
                new.name(),
                extension.id
            ));
        }
    }
    effect
}

impl Effect {
    fn say(&mut self, sentence: String) {
        self.sentences.push(sentence);
    }

    fn must_check(&mut self, sentence: String) {
        self.check = true;
        self.sentences.push(sentence);
    }

    fn attributes(&mut self, prefix: &str, old: &[Attribute], new: &[Attribute]) {
        let find = |all: &[Attribute], name: &str| {
            all.iter()
                .position(|attribute| attribute.name.eq_ignore_ascii_case(name))
        };
        for attribute in old
            .iter()
            .filter(|attribute| find(new, &attribute.name).is_none())
        {
            self.must_check(format!("`{prefix}{}` goes", attribute.name));
        }
        for attribute in new {
            let path = format!("{prefix}{}", attribute.name);
            match find(old, &attribute.name).and_then(|place| old.get(place)) {
                Some(before) => self.attribute(&path, before, attribute),
                // Nothing stored has a value of it, so there is nothing to index.
                None if attribute.required => {
                    self.must_check(format!("`{path}` comes and is required"));
                }
                None => self.say(format!("`{path}` comes")),
            }
        }
    }

    fn attribute(&mut self, path: &str, old: &Attribute, new: &Attribute) {
        self.shape(path, old, new);
        self.allowed_values(path, old, new);
        self.index(path, old, new);
        if old.returned != new.returned
            || old.description != new.description
            || old.reference_types != new.reference_types
        {
            self.say(format!("`{path}` is described or returned otherwise"));
        }
        if !new.enforced && (old.enforced || old.canonical_values != new.canonical_values) {
            self.say(format!("`{path}` has other canonical values"));
        }
        self.attributes(
            &format!("{path}."),
            &old.sub_attributes,
            &new.sub_attributes,
        );
    }

    /// The name, the type, how many values there are, and whether a client must or may write them.
    fn shape(&mut self, path: &str, old: &Attribute, new: &Attribute) {
        if old.name != new.name {
            self.must_check(format!("`{path}` is spelled otherwise"));
        }
        if old.kind != new.kind {
            self.must_check(format!("`{path}` has another type"));
            self.reindex |= has_index_rows(new);
        }
        if old.multi_valued != new.multi_valued {
            self.must_check(format!(
                "`{path}` holds {}",
                if new.multi_valued {
                    "several values"
                } else {
                    "one value"
                }
            ));
        }
        if old.mutability != new.mutability {
            self.must_check(format!("`{path}` has another mutability"));
        }
        if new.required && !old.required {
            self.must_check(format!("`{path}` is required"));
        }
        if !new.required && old.required {
            self.say(format!("`{path}` is no longer required"));
        }
    }

    /// The canonical values where they are enforced, and the forms.
    fn allowed_values(&mut self, path: &str, old: &Attribute, new: &Attribute) {
        if new.enforced
            && (!old.enforced
                || old
                    .canonical_values
                    .iter()
                    .any(|value| !new.canonical_values.contains(value)))
        {
            self.must_check(format!(
                "`{path}` has no other values than the canonical ones"
            ));
        }
        if old.forms != new.forms {
            if new.forms.is_empty() {
                self.say(format!("`{path}` may have any form"));
            } else {
                self.must_check(format!(
                    "`{path}` has no other forms than {}",
                    new.forms.join(", ")
                ));
            }
        }
    }

    /// How values are compared, and whether the store keeps them apart and indexes them.
    fn index(&mut self, path: &str, old: &Attribute, new: &Attribute) {
        if old.case_exact != new.case_exact {
            self.say(format!(
                "`{path}` is compared {} case",
                if new.case_exact { "with" } else { "without" }
            ));
            self.reindex |= has_index_rows(new);
        }
        let was_unique = old.uniqueness != Uniqueness::None;
        match (was_unique, new.uniqueness != Uniqueness::None) {
            (false, true) => {
                self.reindex = true;
                self.say(format!("`{path}` is unique"));
            }
            (true, false) => {
                self.reindex |= new.indexed;
                self.say(format!("`{path}` is no longer unique"));
            }
            _ => {}
        }
        if new.indexed != old.indexed {
            self.reindex |= new.indexed;
            self.say(format!(
                "`{path}` {}",
                if new.indexed {
                    "is indexed"
                } else {
                    "is no longer indexed"
                }
            ));
        }
    }
}

/// Whether the store keeps index rows for the values of an attribute.
fn has_index_rows(attribute: &Attribute) -> bool {
    attribute.indexed || attribute.uniqueness != Uniqueness::None
}

#[cfg(test)]
mod tests {
    use scim_protocol::schema::Schema;
    use scim_protocol::schema::set::ResourceType;
    use serde_json::json;

    use super::*;

    fn schema(attributes: &Value) -> TypeSchema {
        let core: Schema =
            serde_json::from_value(json!({"id": "urn:x:Badge", "attributes": attributes})).unwrap();
        let resource_type: ResourceType = serde_json::from_value(
            json!({"id": "Badge", "name": "Badge", "endpoint": "/Badges", "schema": "urn:x:Badge"}),
        )
        .unwrap();
        TypeSchema::new(resource_type, core, Vec::new())
    }

    #[test]
    fn changes_that_concern_what_is_stored() {
        let before = json!({"name": "a", "type": "string", "canonicalValues": ["x", "y"]});
        let check = |change: Value, check: bool, reindex: bool| {
            let mut after = before.clone();
            after
                .as_object_mut()
                .unwrap()
                .extend(change.as_object().unwrap().clone());
            let effect = compare(&schema(&json!([before])), &schema(&json!([after])));
            assert_eq!((effect.check, effect.reindex), (check, reindex), "{change}");
            assert_eq!(effect.sentences.is_empty(), change == json!({}), "{change}");
        };
        check(json!({}), false, false);
        check(json!({"required": true}), true, false);
        check(json!({"multiValued": true}), true, false);
        check(json!({"type": "integer"}), true, false);
        check(json!({"type": "integer", "x-indexed": true}), true, true);
        check(json!({"mutability": "readOnly"}), true, false);
        check(json!({"uniqueness": "server"}), false, true);
        check(json!({"uniqueness": "global"}), false, true);
        check(json!({"x-indexed": true}), false, true);
        check(json!({"x-enforced": true}), true, false);
        check(json!({"canonicalValues": ["x"]}), false, false);
        check(json!({"x-forms": ["XX"]}), true, false);
        check(json!({"description": "d"}), false, false);
        check(json!({"returned": "request"}), false, false);
        let both = |old: Value, new: Value| compare(&schema(&old), &schema(&new));
        assert!(both(json!([before]), json!([])).check);
        let formed = json!([{"name": "a", "type": "string", "x-forms": ["XX"]}]);
        assert!(
            !both(formed.clone(), json!([before])).check && !both(formed.clone(), formed).check
        );
        let plain = both(
            json!([before]),
            json!([before, {"name": "b", "type": "string", "uniqueness": "server"}]),
        );
        assert!(!plain.check && !plain.reindex);
        assert!(
            both(
                json!([before]),
                json!([before, {"name": "b", "type": "string", "required": true}])
            )
            .check
        );
        let unique = json!([{"name": "a", "type": "string", "uniqueness": "server"}]);
        let exact =
            json!([{"name": "a", "type": "string", "uniqueness": "server", "caseExact": true}]);
        assert!(both(unique, exact).reindex);
    }

    #[test]
    fn a_stored_resource_is_judged() {
        let new = Arc::new(schema(&json!([
            {"name": "number", "type": "string", "required": true, "uniqueness": "server"},
            {"name": "color", "type": "string", "canonicalValues": ["red"], "x-enforced": true},
            {"name": "note", "type": "string", "mutability": "readOnly"}
        ])));
        let affected = AffectedType {
            name: "Badge".into(),
            schema: Some(new.clone()),
            check: true,
            reindex: true,
        };
        let judge = |document: Value| {
            let Value::Object(mut document) = document else {
                panic!("an object")
            };
            document.insert("schemas".into(), json!(["urn:x:Badge"]));
            judge(&affected, &new, document, &QuirkSet::strict())
        };
        assert_eq!(
            judge(json!({"number": "A1", "color": "red"}))
                .unwrap()
                .index
                .len(),
            1
        );
        let check = |document: Value, said: &str| {
            let error = judge(document.clone()).unwrap_err();
            assert!(error.contains(said), "{document}: {error}");
        };
        check(json!({"color": "red"}), "`number` is required");
        check(
            json!({"number": "A1", "color": "blue"}),
            "accepted is one of `red`",
        );
        check(json!({"number": "A1", "note": "n"}), "`note` has a value");
        check(
            json!({"number": "A1", "gone": 1}),
            "`gone` is not an attribute",
        );
        check(json!({"number": 7}), "must be a string");
    }
}
