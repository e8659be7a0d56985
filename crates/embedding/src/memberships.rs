//! Who is in which group, directly and through other groups, as the records say at one moment.

use std::collections::{HashMap, HashSet};

use directory::content::content;
use directory::store::{Fault, Related};
use scim_protocol::{SchemaSet, ValidResource};

use crate::account_store::{AccountStore, Record};

/// What people call a record.
pub(crate) fn display(schemas: &SchemaSet, record: &Record) -> String {
    let schema = schemas.by_name(&record.resource_type);
    schema
        .map(|schema| content(schema, ValidResource::trusted(record.document.clone())).display)
        .unwrap_or_default()
}

/// The record with this id, of any type.
pub(crate) async fn find(
    accounts: &dyn AccountStore,
    schemas: &SchemaSet,
    id: &str,
) -> Result<Option<Record>, Fault> {
    for schema in schemas.types() {
        if let Some(record) = accounts.get(schema.name(), id).await? {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// A group's members.
pub(crate) async fn members(
    accounts: &dyn AccountStore,
    schemas: &SchemaSet,
    group: &Record,
) -> Result<Vec<Related>, Fault> {
    let mut members = Vec::new();
    for id in &group.members {
        if let Some(member) = find(accounts, schemas, id).await? {
            let display = display(schemas, &member);
            members.push(Related {
                id: member.id,
                resource_type: member.resource_type,
                display,
                direct: true,
            });
        }
    }
    Ok(members)
}

/// The groups at one moment.
pub(crate) struct Memberships {
    groups: Vec<Related>,
    /// A member's id to the places of the groups it is in itself.
    of: HashMap<String, Vec<usize>>,
}

impl Memberships {
    /// Reads all groups.
    pub(crate) async fn read(
        accounts: &dyn AccountStore,
        schemas: &SchemaSet,
    ) -> Result<Self, Fault> {
        let mut memberships = Self {
            groups: Vec::new(),
            of: HashMap::new(),
        };
        for (place, group) in accounts.list("Group").await?.into_iter().enumerate() {
            let display = display(schemas, &group);
            for member in group.members {
                memberships.of.entry(member).or_default().push(place);
            }
            memberships.groups.push(Related {
                id: group.id,
                resource_type: group.resource_type,
                display,
                direct: true,
            });
        }
        Ok(memberships)
    }

    /// The groups of a resource, direct ones first. A circle of groups is walked once.
    pub(crate) fn groups_of(&self, id: &str) -> Vec<Related> {
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        let mut level: Vec<&str> = vec![id];
        let mut direct = true;
        while !level.is_empty() {
            let places = level
                .iter()
                .flat_map(|id| self.of.get(*id).into_iter().flatten());
            let groups: Vec<&Related> = places
                .filter(|place| seen.insert(**place))
                .filter_map(|place| self.groups.get(*place))
                .collect();
            level = groups.iter().map(|group| group.id.as_str()).collect();
            // Through a circle a group is reached from itself; it is not its own group for that.
            found.extend(
                groups
                    .into_iter()
                    .filter(|group| group.id != id)
                    .map(|group| Related {
                        direct,
                        ..group.clone()
                    }),
            );
            direct = false;
        }
        found
    }
}
