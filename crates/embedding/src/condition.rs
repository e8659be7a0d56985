//! Whether a record is among those that a condition selects: what a database does with an index, done by looking.

use directory::change_set::IndexEntry;
use directory::search::{Condition, Probe, TimeTest, ValueTest};
use directory::store::StoredResource;
use jiff::Timestamp;

/// Whether the condition selects the resource, which has been read with its members' ids and its groups.
pub(crate) fn selects(
    condition: &Condition,
    resource: &StoredResource,
    index: &[IndexEntry],
) -> bool {
    match condition {
        Condition::All => true,
        Condition::Nothing => false,
        Condition::And(all) => all.iter().all(|inner| selects(inner, resource, index)),
        Condition::Or(any) => any.iter().any(|inner| selects(inner, resource, index)),
        Condition::Not(inner) => !selects(inner, resource, index),
        Condition::Probe(probe) => passes(probe, resource, index),
    }
}

fn passes(probe: &Probe, resource: &StoredResource, index: &[IndexEntry]) -> bool {
    match probe {
        Probe::Id(id) => resource.id == *id,
        Probe::Created(test) => is_within(*test, resource.created),
        Probe::LastModified(test) => is_within(*test, resource.last_modified),
        Probe::Value { path, unique, test } => index.iter().any(|entry| {
            entry.path == *path && entry.unique == *unique && key_passes(test, &entry.key)
        }),
        Probe::HasMember(id) => resource.members.iter().any(|member| member.id == *id),
        Probe::HasMembers => !resource.members.is_empty(),
        Probe::InGroup(id) => resource.groups.iter().any(|group| group.id == *id),
        Probe::InGroups => !resource.groups.is_empty(),
    }
}

fn is_within(test: TimeTest, at: Timestamp) -> bool {
    let at = at.as_microsecond();
    test.from_micros.is_none_or(|from| from <= at) && test.to_micros.is_none_or(|to| at <= to)
}

fn key_passes(test: &ValueTest, key: &[u8]) -> bool {
    match test {
        ValueTest::Present => true,
        ValueTest::Equal(other) => key == other,
        ValueTest::Range {
            from,
            from_open,
            to,
            to_open,
        } => {
            let above = from
                .as_deref()
                .is_none_or(|from| if *from_open { key > from } else { key >= from });
            let below = to
                .as_deref()
                .is_none_or(|to| if *to_open { key < to } else { key <= to });
            above && below
        }
        ValueTest::Contains(part) => {
            part.is_empty() || key.windows(part.len()).any(|window| window == part)
        }
        ValueTest::EndsWith(part) => key.ends_with(part),
    }
}

/// The `userName` that a condition demands, where it demands one: then nothing else has to be looked at.
pub(crate) fn user_name(condition: &Condition) -> Option<String> {
    match condition {
        Condition::Probe(Probe::Value {
            path,
            test: ValueTest::Equal(key),
            ..
        }) if path == "userName" => String::from_utf8(key.clone()).ok(),
        Condition::And(all) => all.iter().find_map(user_name),
        _ => None,
    }
}
