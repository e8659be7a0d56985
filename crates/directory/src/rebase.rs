//! A change set that was decided with earlier types, as it is with the types of now: the same documents, other index rows. Does not commit it, and
//! does not decide what a client meant.

use std::collections::HashMap;

use scim_protocol::SchemaSet;
use scim_protocol::quirk::QuirkSet;

use crate::change_set::{Change, ChangeSet};
use crate::schema_effect::{AffectedType, compare, judge};

/// The change set with other types; `None` where they do not allow one of its documents, or a type is gone.
pub fn rebase(change_set: &ChangeSet, old: &SchemaSet, new: &SchemaSet) -> Option<ChangeSet> {
    let mut change_set = change_set.clone();
    let mut types: HashMap<String, AffectedType> = HashMap::new();
    let strict = QuirkSet::strict();
    for write in &mut change_set.writes {
        let schema = new.by_name(&write.resource_type)?;
        let before = old.by_name(&write.resource_type)?;
        let affected = types
            .entry(write.resource_type.clone())
            .or_insert_with(|| AffectedType {
                name: schema.name().to_owned(),
                schema: Some(schema.clone()),
                check: compare(before, schema).check,
                reindex: true,
            });
        if let Change::Create { content, .. }
        | Change::Update {
            content: Some(content),
            ..
        } = &mut write.change
        {
            *content = judge(
                affected,
                schema,
                content.document.clone().into_tree(),
                &strict,
            )
            .ok()?;
        }
    }
    change_set.types_revision = new.revision();
    Some(change_set)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use scim_protocol::schema::standard::{self, USER};
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::change_set::Moment;
    use crate::{create, delete};

    /// The standard types with this characteristic of `title`.
    fn with_title(
        revision: u64,
        change: impl Fn(&mut scim_protocol::schema::Attribute),
    ) -> SchemaSet {
        let mut schemas = standard::schemas();
        let user = schemas.iter_mut().find(|schema| schema.id == USER).unwrap();
        change(
            user.attributes
                .iter_mut()
                .find(|attribute| attribute.name == "title")
                .unwrap(),
        );
        let types = SchemaSet::standard()
            .types()
            .iter()
            .map(|schema| schema.resource_type.clone())
            .collect();
        SchemaSet::at_revision(types, schemas, revision).unwrap()
    }

    fn created(more: Value) -> ChangeSet {
        let mut body = json!({"schemas": [USER], "userName": "ann"});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let moment = Moment {
            at: Timestamp::UNIX_EPOCH,
            change_id: Uuid::nil(),
        };
        create::decide(
            moment,
            SchemaSet::standard().by_name("User").unwrap(),
            "1",
            body,
            &QuirkSet::strict(),
        )
        .unwrap()
    }

    fn paths(change_set: &ChangeSet) -> Vec<&str> {
        let Change::Create { content, .. } = &change_set.writes[0].change else {
            panic!("a create")
        };
        content
            .index
            .iter()
            .map(|entry| entry.path.as_str())
            .collect()
    }

    #[test]
    fn the_same_documents_have_the_index_rows_of_today() {
        let old = SchemaSet::standard();
        let change_set = created(json!({"title": "Dr"}));
        let same = rebase(&change_set, &old, &with_title(1, |_| {})).unwrap();
        assert_eq!(
            same,
            ChangeSet {
                types_revision: 1,
                ..change_set.clone()
            }
        );
        let indexed = rebase(
            &change_set,
            &old,
            &with_title(2, |title| title.indexed = !title.indexed),
        )
        .unwrap();
        assert_ne!(
            paths(&indexed).contains(&"title"),
            paths(&change_set).contains(&"title")
        );
    }

    #[test]
    fn what_is_not_allowed_any_more_is_not_committed() {
        let old = SchemaSet::standard();
        let required = with_title(1, |title| title.required = true);
        assert!(rebase(&created(json!({})), &old, &required).is_none());
        assert!(rebase(&created(json!({"title": "Dr"})), &old, &required).is_some());
        // A type that is gone, also if the edit names none of its documents.
        let groups = SchemaSet::at_revision(
            vec![old.by_name("Group").unwrap().resource_type.clone()],
            standard::schemas(),
            1,
        )
        .unwrap();
        let moment = Moment {
            at: Timestamp::UNIX_EPOCH,
            change_id: Uuid::nil(),
        };
        let ended = delete::decide(
            moment,
            old.by_name("User").unwrap(),
            "1",
            crate::change_set::Precondition::Exists,
        );
        assert!(rebase(&ended, &old, &groups).is_none());
    }
}
