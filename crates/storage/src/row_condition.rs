//! A condition on one resource's row: what its index rows and columns say, without a document and without another table. Reads nothing.

use std::cmp::Ordering;

use directory::search::{Condition, Position, Probe, SearchPlan, TimeTest, ValueTest};
use scim_protocol::TypeSchema;

use crate::filter_sql::{SortSource, sort_source};
use crate::rows::{attribute_key, each_entry};

/// What of a resource's row conditions look at.
pub(crate) struct Facts<'a> {
    /// Its id.
    pub id: &'a str,
    /// `meta.created`, in microseconds.
    pub created: i64,
    /// `meta.lastModified`, in microseconds.
    pub modified: i64,
    /// The column `entries`.
    pub entries: &'a [u8],
}

/// A condition, made ready to be asked of many rows.
#[derive(Debug)]
pub(crate) enum RowCondition<'a> {
    Constant(bool),
    All(Vec<RowCondition<'a>>),
    Any(Vec<RowCondition<'a>>),
    Not(Box<RowCondition<'a>>),
    Id(&'a str),
    Created(TimeTest),
    Modified(TimeTest),
    Value(i64, &'a ValueTest),
}

impl<'a> RowCondition<'a> {
    /// `None` where the condition is about memberships, which no row knows.
    pub(crate) fn of(schema: &TypeSchema, condition: &'a Condition) -> Option<Self> {
        let each = |all: &'a [Condition]| {
            all.iter()
                .map(|inner| Self::of(schema, inner))
                .collect::<Option<Vec<_>>>()
        };
        Some(match condition {
            Condition::All => Self::Constant(true),
            Condition::Nothing => Self::Constant(false),
            Condition::And(all) => Self::All(each(all)?),
            Condition::Or(all) => Self::Any(each(all)?),
            Condition::Not(inner) => Self::Not(Box::new(Self::of(schema, inner)?)),
            Condition::Probe(Probe::Id(id)) => Self::Id(id),
            Condition::Probe(Probe::Created(test)) => Self::Created(*test),
            Condition::Probe(Probe::LastModified(test)) => Self::Modified(*test),
            Condition::Probe(Probe::Value { path, test, .. }) => {
                Self::Value(attribute_key(schema.name(), path), test)
            }
            Condition::Probe(
                Probe::HasMember(_) | Probe::HasMembers | Probe::InGroup(_) | Probe::InGroups,
            ) => return None,
        })
    }

    /// Whether it holds of a row.
    pub(crate) fn holds(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Constant(truth) => *truth,
            Self::All(all) => all.iter().all(|inner| inner.holds(facts)),
            Self::Any(all) => all.iter().any(|inner| inner.holds(facts)),
            Self::Not(inner) => !inner.holds(facts),
            Self::Id(id) => *id == facts.id,
            Self::Created(test) => within(*test, facts.created),
            Self::Modified(test) => within(*test, facts.modified),
            Self::Value(attribute, test) => each_entry(facts.entries)
                .any(|(own, value)| own == *attribute && value_holds(test, value)),
        }
    }
}

fn within(test: TimeTest, at: i64) -> bool {
    test.from_micros.is_none_or(|from| from <= at) && test.to_micros.is_none_or(|to| at <= to)
}

/// Whether a test holds of the key of a value.
pub(crate) fn value_holds(test: &ValueTest, value: &[u8]) -> bool {
    match test {
        ValueTest::Present => true,
        ValueTest::Equal(key) => value == key,
        ValueTest::Range {
            from,
            from_open,
            to,
            to_open,
        } => {
            let above = from.as_deref().is_none_or(|from| {
                if *from_open {
                    value > from
                } else {
                    value >= from
                }
            });
            let below = to
                .as_deref()
                .is_none_or(|to| if *to_open { value < to } else { value <= to });
            above && below
        }
        ValueTest::Contains(part) => {
            part.is_empty() || value.windows(part.len()).any(|window| window == part)
        }
        ValueTest::EndsWith(end) => value.ends_with(end),
    }
}

/// The place of a row in the order of a plan whose order an index knows.
pub(crate) fn position(
    plan: &SearchPlan,
    place: u32,
    schema: &TypeSchema,
    key: i64,
    facts: &Facts<'_>,
) -> Position {
    let value = match plan
        .sort
        .as_ref()
        .and_then(|sort| sort_source(schema, sort))
    {
        None => Some(Vec::new()),
        Some(SortSource::Column("id")) => Some(facts.id.as_bytes().to_vec()),
        Some(SortSource::Column("created")) => Some(facts.created.to_be_bytes().to_vec()),
        Some(SortSource::Column(_)) => Some(facts.modified.to_be_bytes().to_vec()),
        Some(SortSource::Index { attribute, .. }) => each_entry(facts.entries)
            .find(|(own, _)| *own == attribute)
            .map(|(_, value)| value.to_vec()),
    };
    Position {
        place,
        missing: value.is_none(),
        value: value.unwrap_or_default(),
        key,
    }
}

/// The order of a plan: resources without a value come last in ascending order, first in descending order (RFC 7644 section 3.4.2.3); equals come by
/// type, then in order of creation.
pub(crate) fn compare(plan: &SearchPlan, a: &Position, b: &Position) -> Ordering {
    let by_value = (a.missing, &a.value).cmp(&(b.missing, &b.value));
    let descending = plan.sort.as_ref().is_some_and(|sort| sort.descending);
    let by_value = if descending {
        by_value.reverse()
    } else {
        by_value
    };
    by_value.then((a.place, a.key).cmp(&(b.place, b.key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{IndexRow, encode_entries};
    use directory::search::{Page, plan};
    use directory::store::Include;
    use scim_protocol::filter::FilterLimits;
    use scim_protocol::{Filter, SchemaSet};

    #[test]
    fn conditions_hold_of_rows() {
        let set = SchemaSet::standard();
        let user = set.by_name("User").unwrap();
        let row = |path: &str, unique, value: &[u8]| IndexRow {
            unique,
            attribute: attribute_key("User", path),
            value: value.to_vec(),
        };
        let entries = encode_entries(&[
            row("userName", true, b"ann"),
            row("emails.value", false, b"a@x"),
            row("emails.value", false, b"b@y"),
            row("active", false, &[1]),
        ]);
        let facts = Facts {
            id: "1",
            created: 1_700_000_000_000_000,
            modified: 1_700_000_001_000_000,
            entries: &entries,
        };
        let check = |filter: &str, expected: bool| {
            let parsed = Filter::parse(filter, FilterLimits::default()).unwrap();
            let types = [user.clone()];
            let plan = plan(
                &types,
                Some(parsed),
                None,
                Page {
                    offset: 0,
                    limit: 1,
                },
                Include::default(),
            )
            .unwrap();
            assert_eq!(
                RowCondition::of(user, &plan.conditions[0])
                    .unwrap()
                    .holds(&facts),
                expected,
                "{filter}"
            );
        };
        check(r#"userName eq "ANN" and active eq true"#, true);
        check(r#"userName eq "ann" and active eq false"#, false);
        check(r#"emails.value sw "B" or title pr"#, true);
        check(r#"emails.value co "@y""#, true);
        check(r#"emails.value ew "@z""#, false);
        check("not (emails.value pr)", false);
        check(r#"id eq "1" and userName gt "a" and userName lt "b""#, true);
        check(r#"meta.lastModified gt "2023-11-14T22:13:20Z""#, true);
        check(r#"meta.created lt "2023-11-14T22:13:20Z""#, false);
        let groups = Condition::Probe(Probe::InGroups);
        assert!(RowCondition::of(user, &groups).is_none());
    }
}
