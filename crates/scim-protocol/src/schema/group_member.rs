//! `GroupMember`: direct memberships of groups as resources of their own (draft-zollner-scim-group-members, experimental), so that those of very large
//! groups can be paged and filtered. No tenant stores such resources; they are made from the members of its groups.

use std::sync::{Arc, LazyLock};

use super::Schema;
use super::set::{ResourceType, SchemaSet, TypeSchema};

/// URN of the schema.
pub const GROUP_MEMBER: &str = "urn:ietf:params:scim:schemas:core:2.0:GroupMember";

static TYPE: LazyLock<Option<Arc<TypeSchema>>> = LazyLock::new(|| {
    let schema: Schema = serde_json::from_str(include_str!("data/group_member.json")).ok()?;
    let resource_type = ResourceType {
        id: "GroupMember".into(),
        name: "GroupMember".into(),
        endpoint: "/GroupMembers".into(),
        description: "A direct membership of a group (experimental)".into(),
        schema: GROUP_MEMBER.into(),
        schema_extensions: Vec::new(),
        quiet: false,
    };
    Some(Arc::new(TypeSchema::new(resource_type, schema, Vec::new())))
});

/// The resource type; the test below sees that it is there.
pub fn group_member() -> Option<&'static Arc<TypeSchema>> {
    TYPE.as_ref()
}

/// What a tenant with these schemas shows: its own, and `GroupMember` where it has groups and no type of that name.
pub fn shown(set: &SchemaSet) -> SchemaSet {
    let Some(own) = group_member() else {
        return set.clone();
    };
    if set.by_name("Group").is_none()
        || set.by_name(own.name()).is_some()
        || set.by_endpoint(&own.resource_type.endpoint).is_some()
    {
        return set.clone();
    }
    let types = set
        .types()
        .iter()
        .map(|schema| schema.resource_type.clone())
        .chain([own.resource_type.clone()])
        .collect();
    let schemas = set
        .schemas()
        .iter()
        .cloned()
        .chain([own.core.clone()])
        .collect();
    SchemaSet::new(types, schemas).unwrap_or_else(|_| set.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute_path::AttributePath;

    #[test]
    fn the_type_is_there_and_shown_once() {
        let own = group_member().unwrap();
        for path in [
            "group.value",
            "group.$ref",
            "group.display",
            "member.value",
            "member.type",
            "member.display",
            "meta.resourceType",
        ] {
            assert!(
                own.resolve(&AttributePath::parse(path).unwrap()).is_some(),
                "{path}"
            );
        }
        let set = SchemaSet::standard();
        let all = shown(&set);
        assert_eq!(all.types().len(), set.types().len() + 1);
        assert_eq!(shown(&all).types().len(), all.types().len());
        assert!(set.by_name("GroupMember").is_none());
    }
}
