//! Decides what an administrator's edit of schemas and resource types comes to: which documents change, which types are affected, and each difference as a
//! sentence. Does not look at stored resources.

use std::sync::Arc;

use scim_protocol::schema::Schema;
use scim_protocol::schema::set::{ResourceType, SchemaExtension};
use scim_protocol::{Error, ErrorKind, SchemaSet};
use serde_json::Value;

use crate::allowed_values;
use crate::resource_type_document;
use crate::schema_document::{self, refuse};
use crate::schema_effect::{AffectedType, compare};
use crate::tenant_types::{
    DocumentKind, TenantTypes, brought_schema, resource_type_document, schema_document,
    standard_type,
};

/// Most schemas and resource types that a tenant may have of its own.
const DOCUMENTS_MAX: usize = 200;
/// Most indexed attributes of one resource type; each costs a row for each value.
const INDEXED_MAX: usize = 100;

/// What an administrator asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Add or change a schema.
    PutSchema(Value),
    /// Remove a schema of the tenant's own, or the constraints on a standard one.
    RemoveSchema(String),
    /// Add or change a resource type.
    PutResourceType(Value),
    /// Remove a resource type, or the extensions of User or Group.
    RemoveResourceType(String),
}

/// One document of a change.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentChange {
    /// Of which kind.
    pub kind: DocumentKind,
    /// Its URN or name, in lower case.
    pub key: String,
    /// What it says from now on; `None`: it goes.
    pub document: Option<Value>,
}

/// A decided edit.
#[derive(Clone, Debug)]
pub struct TypeChange {
    /// The revision of the tenant's types that it was decided on.
    pub based_on: u64,
    /// The documents that change; none where the edit changes nothing.
    pub documents: Vec<DocumentChange>,
    /// The types that are affected and exist already.
    pub affected: Vec<AffectedType>,
    /// The difference, as sentences.
    pub sentences: Vec<String>,
}

/// Decides an edit.
pub fn decide(current: &TenantTypes, edit: &Edit) -> Result<TypeChange, Error> {
    let mut next = TenantTypes {
        revision: current.revision + 1,
        ..current.clone()
    };
    match edit {
        Edit::PutSchema(document) => put_schema(current, &mut next, document)?,
        Edit::RemoveSchema(urn) => remove_schema(&mut next, urn)?,
        Edit::PutResourceType(document) => {
            let read = resource_type_document::read(current, document)?;
            set_type(&mut next, read);
        }
        Edit::RemoveResourceType(name) => remove_type(&mut next, name)?,
    }
    if next.schemas.len() + next.resource_types.len() > DOCUMENTS_MAX {
        return Err(refuse(
            "id",
            format!(
                "The tenant has {DOCUMENTS_MAX} schemas and resource types of its own; there may be no more"
            ),
        ));
    }
    let documents = documents(current, &next);
    let (before, after) = (current.schema_set()?, next.schema_set()?);
    allowed_values::check(&after)?;
    let mut change = TypeChange {
        based_on: current.revision,
        documents,
        affected: Vec::new(),
        sentences: Vec::new(),
    };
    if !change.documents.is_empty() {
        change.compare(&before, &after)?;
    }
    Ok(change)
}

/// The documents of a tenant that was just made: what adding every type that this program brings comes to.
pub fn first_documents() -> Vec<DocumentChange> {
    documents(&TenantTypes::default(), TenantTypes::first())
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

fn put_schema(
    current: &TenantTypes,
    next: &mut TenantTypes,
    document: &Value,
) -> Result<(), Error> {
    let urn = schema_document::urn_of(document)?;
    if let Some(brought) = brought_schema(urn) {
        if !current.all_types().iter().any(|found| uses(found, urn)) {
            return Err(refuse(
                "id",
                format!(
                    "`{urn}` is a standard schema that no resource type of the tenant has, so there is nothing to constrain"
                ),
            ));
        }
        let own = current.known_schema(urn).unwrap_or_else(|| brought.clone());
        let is_core = current
            .all_types()
            .iter()
            .any(|found| same(&found.schema, urn));
        let constrained = schema_document::read_constraint(&brought, &own, is_core, document)?;
        set_schema(next, constrained, Some(&brought));
        return Ok(());
    }
    let posted = schema_document::read(document)?;
    ambiguous(current, &posted.schema.id)?;
    for name in &posted.extends {
        let unknown = || {
            refuse(
                "extends",
                format!("`extends` names `{name}`, but the tenant has no such resource type"),
            )
        };
        let mut extended = next.known_type(name).ok_or_else(unknown)?;
        if !uses(&extended, &posted.schema.id) {
            extended.schema_extensions.push(SchemaExtension {
                schema: posted.schema.id.clone(),
                required: false,
            });
            set_type(next, extended);
        }
    }
    set_schema(next, posted.schema, None);
    Ok(())
}

fn uses(resource_type: &ResourceType, urn: &str) -> bool {
    same(&resource_type.schema, urn)
        || resource_type
            .schema_extensions
            .iter()
            .any(|extension| same(&extension.schema, urn))
}

/// Where one URN is the other with a colon and more behind it, the longer one could be a path into the shorter one.
fn ambiguous(current: &TenantTypes, urn: &str) -> Result<(), Error> {
    let begins = |long: &str, short: &str| {
        long.get(..short.len())
            .is_some_and(|start| same(start, short))
            && long.as_bytes().get(short.len()) == Some(&b':')
    };
    let set = current.schema_set()?;
    match set
        .schemas()
        .iter()
        .find(|other| begins(urn, &other.id) || begins(&other.id, urn))
    {
        Some(other) => Err(refuse(
            "id",
            format!(
                "`{urn}` and the schema `{}` could not be told apart in paths; choose another URN",
                other.id
            ),
        )),
        None => Ok(()),
    }
}

/// A standard schema without constraints is not kept.
fn set_schema(next: &mut TenantTypes, schema: Schema, brought: Option<&Schema>) {
    let place = next
        .schemas
        .iter()
        .position(|own| same(&own.id, &schema.id));
    match (
        place.and_then(|place| next.schemas.get_mut(place)),
        brought == Some(&schema),
    ) {
        (_, true) => next.schemas.retain(|own| !same(&own.id, &schema.id)),
        (Some(own), false) => *own = schema,
        (None, false) => next.schemas.push(schema),
    }
}

/// User and Group without extensions of the tenant's own are not kept.
fn set_type(next: &mut TenantTypes, read: ResourceType) {
    let place = next
        .resource_types
        .iter()
        .position(|own| same(&own.name, &read.name));
    match (
        place.and_then(|place| next.resource_types.get_mut(place)),
        standard_type(&read.name).as_ref() == Some(&read),
    ) {
        (_, true) => next
            .resource_types
            .retain(|own| !same(&own.name, &read.name)),
        (Some(own), false) => *own = read,
        (None, false) => next.resource_types.push(read),
    }
}

fn not_found(detail: String) -> Error {
    Error::new(ErrorKind::NotFound, detail)
}

fn remove_schema(next: &mut TenantTypes, urn: &str) -> Result<(), Error> {
    if next.schema(urn).is_none() {
        return Err(not_found(format!(
            "The tenant has no schema `{urn}` of its own."
        )));
    }
    if brought_schema(urn).is_none() {
        let types = next.all_types();
        if let Some(user) = types.iter().find(|found| same(&found.schema, urn)) {
            let detail = format!(
                "`{urn}` is the schema of the resource type {}, which must be removed first.",
                user.name
            );
            return Err(Error::new(ErrorKind::Conflict, detail));
        }
        for mut extended in types.into_iter().filter(|found| uses(found, urn)) {
            extended
                .schema_extensions
                .retain(|extension| !same(&extension.schema, urn));
            set_type(next, extended);
        }
    }
    next.schemas.retain(|own| !same(&own.id, urn));
    Ok(())
}

fn remove_type(next: &mut TenantTypes, name: &str) -> Result<(), Error> {
    if next.resource_type(name).is_none() {
        if standard_type(name).is_some() {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("{name} is there in every tenant and cannot be removed."),
            ));
        }
        return Err(not_found(format!(
            "The tenant has no resource type `{name}`."
        )));
    }
    next.resource_types.retain(|own| !same(&own.name, name));
    Ok(())
}

fn documents(current: &TenantTypes, next: &TenantTypes) -> Vec<DocumentChange> {
    let mut changes = Vec::new();
    let mut difference = |kind, before: Vec<(String, Value)>, after: Vec<(String, Value)>| {
        let gone = before
            .iter()
            .filter(|(key, _)| !after.iter().any(|(other, _)| other == key));
        changes.extend(gone.map(|(key, _)| DocumentChange {
            kind,
            key: key.clone(),
            document: None,
        }));
        let come = after.into_iter().filter(|pair| !before.contains(pair));
        changes.extend(come.map(|(key, document)| DocumentChange {
            kind,
            key,
            document: Some(document),
        }));
    };
    let schemas = |types: &TenantTypes| {
        types
            .schemas
            .iter()
            .map(|own| (own.id.to_ascii_lowercase(), schema_document(own)))
            .collect()
    };
    let types = |types: &TenantTypes| {
        types
            .resource_types
            .iter()
            .map(|own| (own.name.to_ascii_lowercase(), resource_type_document(own)))
            .collect()
    };
    difference(DocumentKind::Schema, schemas(current), schemas(next));
    difference(DocumentKind::ResourceType, types(current), types(next));
    changes
}

impl TypeChange {
    fn compare(&mut self, before: &SchemaSet, after: &SchemaSet) -> Result<(), Error> {
        for old in before.types() {
            let Some(new) = after.types().iter().find(|new| new.name() == old.name()) else {
                self.sentences
                    .push(format!("The resource type {} goes", old.name()));
                self.affected.push(AffectedType {
                    name: old.name().to_owned(),
                    schema: None,
                    check: false,
                    reindex: false,
                });
                continue;
            };
            let effect = compare(old, new);
            self.sentences.extend(effect.sentences);
            if effect.check || effect.reindex {
                let schema = Some(Arc::clone(new));
                self.affected.push(AffectedType {
                    name: old.name().to_owned(),
                    schema,
                    check: effect.check,
                    reindex: effect.reindex,
                });
            }
        }
        for new in after.types() {
            if !before.types().iter().any(|old| old.name() == new.name()) {
                self.sentences.push(format!(
                    "The resource type {} comes, at `{}`",
                    new.name(),
                    new.resource_type.endpoint
                ));
            }
            if new.indexed().len() > INDEXED_MAX {
                let detail = format!(
                    "{} would have {} indexed attributes; at most {INDEXED_MAX} are accepted",
                    new.name(),
                    new.indexed().len()
                );
                return Err(refuse("x-indexed", detail));
            }
        }
        let known =
            |set: &SchemaSet, urn: &str| set.schemas().iter().any(|schema| same(&schema.id, urn));
        let comes = after
            .schemas()
            .iter()
            .filter(|schema| !known(before, &schema.id))
            .map(|schema| format!("The schema `{}` comes", schema.id));
        let goes = before
            .schemas()
            .iter()
            .filter(|schema| !known(after, &schema.id))
            .map(|schema| format!("The schema `{}` goes", schema.id));
        self.sentences.extend(comes.chain(goes));
        if self.sentences.is_empty() {
            self.sentences.push("Only descriptions change".into());
        }
        // Twice where a schema belongs to two types.
        let mut seen = Vec::new();
        self.sentences.retain(|sentence| {
            !seen.contains(sentence) && {
                seen.push(sentence.clone());
                true
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use scim_protocol::schema::standard::USER;
    use serde_json::json;

    use super::*;

    const BADGE: &str = "urn:example:Badge";

    /// The tenant after an edit.
    fn after(current: &TenantTypes, edit: &Edit) -> TenantTypes {
        let change = decide(current, edit).unwrap();
        let mut next = TenantTypes {
            revision: current.revision + 1,
            ..current.clone()
        };
        for document in change.documents {
            match document.kind {
                DocumentKind::Schema => {
                    next.schemas
                        .retain(|own| own.id.to_lowercase() != document.key);
                    next.schemas.extend(
                        document
                            .document
                            .map(|document| serde_json::from_value::<Schema>(document).unwrap()),
                    );
                }
                DocumentKind::ResourceType => {
                    next.resource_types
                        .retain(|own| own.name.to_lowercase() != document.key);
                    next.resource_types.extend(
                        document.document.map(|document| {
                            serde_json::from_value::<ResourceType>(document).unwrap()
                        }),
                    );
                }
            }
        }
        next
    }

    fn badge(changes: Value) -> Edit {
        let mut document =
            json!({"id": BADGE, "attributes": [{"name": "number", "type": "string"}]});
        document
            .as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        Edit::PutSchema(document)
    }

    fn refused(current: &TenantTypes, edit: &Edit, kind: ErrorKind, said: &str) {
        let error = decide(current, edit).unwrap_err();
        assert!(
            error.kind() == kind && error.detail().contains(said),
            "{edit:?}: {error}"
        );
    }

    #[test]
    fn an_extension_comes_changes_and_goes() {
        let none = TenantTypes::default();
        let edit = badge(json!({"extends": ["user"]}));
        let change = decide(&none, &edit).unwrap();
        assert_eq!(
            change.sentences,
            [
                format!("User gets the extension `{BADGE}`"),
                format!("The schema `{BADGE}` comes")
            ]
        );
        assert!(change.affected.is_empty());
        let one = after(&none, &edit);
        assert!(
            one.schema_set()
                .unwrap()
                .by_name("User")
                .unwrap()
                .extension(BADGE)
                .is_some()
        );
        assert!(
            decide(&one, &badge(json!({})))
                .unwrap()
                .documents
                .is_empty(),
            "`extends` may be left out later"
        );
        let unique = badge(
            json!({"attributes": [{"name": "number", "type": "string", "uniqueness": "server"}]}),
        );
        let change = decide(&one, &unique).unwrap();
        assert_eq!(change.sentences, [format!("`{BADGE}:number` is unique")]);
        assert!(
            change.affected[0].reindex
                && !change.affected[0].check
                && change.affected[0].name == "User"
        );
        let change = decide(&one, &Edit::RemoveSchema(BADGE.to_uppercase())).unwrap();
        assert_eq!(change.documents.len(), 2);
        assert!(
            change
                .documents
                .iter()
                .all(|document| document.document.is_none())
                && change.affected[0].check
        );
    }

    #[test]
    fn a_custom_type_comes_and_goes() {
        let one = after(&TenantTypes::default(), &badge(json!({})));
        let edit =
            Edit::PutResourceType(json!({"name": "Badge", "endpoint": "/Badges", "schema": BADGE}));
        assert_eq!(
            decide(&one, &edit).unwrap().sentences,
            ["The resource type Badge comes, at `/Badges`"]
        );
        let two = after(&one, &edit);
        assert!(two.schema_set().unwrap().by_endpoint("Badges").is_some());
        refused(
            &two,
            &Edit::RemoveSchema(BADGE.into()),
            ErrorKind::Conflict,
            "must be removed first",
        );
        let change = decide(&two, &Edit::RemoveResourceType("badge".into())).unwrap();
        assert!(change.affected[0].schema.is_none());
        let three = after(&two, &Edit::RemoveResourceType("badge".into()));
        assert!(
            after(&three, &Edit::RemoveSchema(BADGE.into()))
                .schemas
                .is_empty()
        );
    }

    #[test]
    fn constraints_on_standard_schemas() {
        let none = TenantTypes::default();
        let edit = Edit::PutSchema(
            json!({"id": USER, "attributes": [{"name": "displayName", "required": true}]}),
        );
        let change = decide(&none, &edit).unwrap();
        assert!(change.affected[0].check && change.sentences == ["`displayName` is required"]);
        let one = after(&none, &edit);
        assert!(
            one.schema_set()
                .unwrap()
                .by_name("User")
                .unwrap()
                .core
                .attribute("displayName")
                .unwrap()
                .required
        );
        let change = decide(&one, &Edit::RemoveSchema(USER.into())).unwrap();
        assert_eq!(change.sentences, ["`displayName` is no longer required"]);
        assert!(change.affected.is_empty());
    }

    #[test]
    fn a_constraint_on_what_every_resource_has() {
        let none = TenantTypes::default();
        let edit = Edit::PutSchema(
            json!({"id": USER, "attributes": [{"name": "externalId", "uniqueness": "server"}]}),
        );
        let change = decide(&none, &edit).unwrap();
        assert!(
            change.affected[0].reindex
                && change.affected.len() == 1
                && change.sentences == ["`externalId` is unique"]
        );
        let set = after(&none, &edit).schema_set().unwrap();
        let unique = |name: &str| {
            let of_type = set
                .by_name(name)
                .unwrap()
                .indexed()
                .iter()
                .filter(|indexed| indexed.path == "externalId");
            of_type.map(|indexed| indexed.unique).collect::<Vec<_>>()
        };
        assert_eq!((unique("User"), unique("Group")), (vec![true], vec![false]));
        let change = decide(&after(&none, &edit), &Edit::RemoveSchema(USER.into())).unwrap();
        assert!(
            change.affected[0].reindex && change.sentences == ["`externalId` is no longer unique"]
        );
    }

    #[test]
    fn refusals() {
        let one = after(
            &TenantTypes::default(),
            &badge(json!({"extends": ["User"]})),
        );
        refused(
            &one,
            &badge(json!({"extends": ["Pet"]})),
            ErrorKind::InvalidValue,
            "`Pet`",
        );
        refused(
            &one,
            &badge(json!({"id": "urn:example:badge:More"})),
            ErrorKind::InvalidValue,
            "told apart",
        );
        refused(
            &one,
            &Edit::RemoveSchema("urn:x:y".into()),
            ErrorKind::NotFound,
            "no schema",
        );
        refused(
            &one,
            &Edit::RemoveSchema(USER.into()),
            ErrorKind::NotFound,
            "of its own",
        );
        refused(
            &one,
            &Edit::RemoveResourceType("Group".into()),
            ErrorKind::Conflict,
            "every tenant",
        );
        refused(
            &one,
            &Edit::RemoveResourceType("Pet".into()),
            ErrorKind::NotFound,
            "`Pet`",
        );
        let device = "urn:ietf:params:scim:schemas:core:2.0:Device";
        refused(
            &one,
            &Edit::PutSchema(json!({"id": device, "attributes": []})),
            ErrorKind::InvalidValue,
            "nothing to constrain",
        );
    }
}
