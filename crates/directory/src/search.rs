//! Filter, sort and page as a plan that any store can carry out.
//!
//! A filter is parted in two: `condition`, which an index can answer and which selects *at least* the matching resources, and `residual`, the whole
//! filter, which is evaluated on each document where the condition alone is not exact. So a filter means the same in memory and on every store.

mod condition;

mod cost;

pub mod cursor;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use scim_protocol::filter::compare::check_sort;
use scim_protocol::schema::set::Resolved;
use scim_protocol::{AttributePath, Error, Filter, TypeSchema};

/// Which derived attributes to read with a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Include {
    /// The members of a group.
    pub members: bool,
    /// The groups of a resource, direct and indirect.
    pub groups: bool,
}

/// A search, planned.
#[derive(Clone, Debug)]
pub struct SearchPlan {
    /// The resource types to look in, in order.
    pub types: Vec<Arc<TypeSchema>>,
    /// What the store's indexes answer; one per type, in the same order (an attribute may exist in one type only).
    pub conditions: Vec<Condition>,
    /// The filter as text; stores need not look at it.
    pub filter: Option<String>,
    /// The filter, where a condition selects more than it should.
    pub residual: Option<Filter>,
    /// Derived attributes the residual or the sort needs.
    pub residual_needs: Include,
    /// The order; ties, and everything without a sort, in order of creation.
    pub sort: Option<Sort>,
    /// How many to pass over.
    pub offset: u64,
    /// Most resources to return; 0 counts only.
    pub limit: u64,
    /// Derived attributes the answer needs.
    pub include: Include,
    /// Whether the page begins at a position instead of after so many.
    pub keyset: Option<Keyset>,
}

/// A page that is found by its position (RFC 9865), and not by counting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyset {
    /// Where the page before ended; `None` on the first.
    pub after: Option<Position>,
}

/// The place of a resource in the order of a plan: what it is sorted by, and then what no two resources share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which of the plan's types it has.
    pub place: u32,
    /// Whether it has no value of the attribute that is sorted by; always false without an order.
    pub missing: bool,
    /// What it is sorted by, as the store has it; empty without an order.
    pub value: Vec<u8>,
    /// The store's key of it.
    pub key: i64,
}

impl SearchPlan {
    /// The same search, page by page by position: nothing that is there all the time is missed or answered twice while others write, as long as it
    /// matches and keeps its place in the order.
    #[must_use]
    pub fn by_position(self, after: Option<Position>) -> Self {
        Self {
            offset: 0,
            keyset: Some(Keyset { after }),
            ..self
        }
    }

    /// Whether it asks for one resource of one type by a unique value, as identity providers do before they create a person; and not for members, which may
    /// be many.
    pub fn finds_one_at_most(&self) -> bool {
        let names_one = |condition: &Condition| {
            matches!(
                condition,
                Condition::Probe(
                    Probe::Id(_)
                        | Probe::Value {
                            unique: true,
                            test: ValueTest::Equal(_),
                            ..
                        }
                )
            )
        };
        let reads_members = self.include.members || self.residual_needs.members;
        !reads_members
            && self.residual.is_none()
            && self.conditions.len() == 1
            && self.conditions.iter().all(names_one)
    }

    /// Whether `total_results` of its page is counted. With positions it is left out where no index counts: each page would have to look at everything.
    pub fn is_counted(&self) -> bool {
        self.keyset.is_none() || self.residual.is_none()
    }
}

/// Which part of the matching resources is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many to pass over.
    pub offset: u64,
    /// Most resources to return; 0 counts only.
    pub limit: u64,
}

/// Plans a search over these types: exactly the resources that `Filter::matches` selects. Refuses filters and orders that name what is not defined or may
/// not be read.
pub fn plan(
    types: &[Arc<TypeSchema>],
    filter: Option<Filter>,
    sort: Option<Sort>,
    page: Page,
    include: Include,
) -> Result<SearchPlan, Error> {
    let schemas: Vec<&TypeSchema> = types.iter().map(AsRef::as_ref).collect();
    if let Some(filter) = &filter {
        filter.check(&schemas)?;
    }
    if let Some(sort) = &sort {
        check_sort(&schemas, &sort.path)?;
    }
    let mut exact = true;
    let conditions = types.iter().map(|schema| match &filter {
        None => Condition::All,
        Some(filter) => {
            let selection = condition::of_filter(schema, filter);
            exact &= selection.exact;
            selection.condition
        }
    });
    let conditions = conditions.collect();
    let text = filter.as_ref().map(ToString::to_string);
    let residual = filter.filter(|_| !exact);
    let mut named: Vec<AttributePath> = residual.iter().flat_map(Filter::paths).collect();
    named.extend(sort.iter().map(|sort| sort.path.clone()));
    let concerns = |attribute: &str| {
        let is_it = |found: Resolved<'_>| {
            found.extension.is_none()
                && found.attribute.is_some_and(|found| found.name == attribute)
        };
        named.iter().any(|path| {
            schemas
                .iter()
                .filter_map(|schema| schema.resolve(path))
                .any(is_it)
        })
    };
    let residual_needs = Include {
        members: concerns("members"),
        groups: concerns("groups"),
    };
    Ok(SearchPlan {
        types: types.to_vec(),
        conditions,
        filter: text,
        residual,
        residual_needs,
        sort,
        offset: page.offset,
        limit: page.limit,
        include,
        keyset: None,
    })
}

/// An order.
#[derive(Clone, Debug, PartialEq)]
pub struct Sort {
    /// By which attribute; resources without a value come last in ascending order, first in descending order (RFC 7644 section 3.4.2.3).
    pub path: AttributePath,
    /// Downwards.
    pub descending: bool,
}

/// What an index answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Everything of the type.
    All,
    /// Nothing.
    Nothing,
    /// All of these (not empty).
    And(Vec<Condition>),
    /// One of these (not empty).
    Or(Vec<Condition>),
    /// Not this (only where this is exact).
    Not(Box<Condition>),
    /// A test.
    Probe(Probe),
}

/// A test of one column or index.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// The id is this.
    Id(String),
    /// `meta.created`, in microseconds since 1970.
    Created(TimeTest),
    /// `meta.lastModified`, in microseconds since 1970.
    LastModified(TimeTest),
    /// A value of an indexed attribute.
    Value {
        /// Canonical path.
        path: String,
        /// Whether it is among the unique values.
        unique: bool,
        /// The test.
        test: ValueTest,
    },
    /// A group that has this resource as a direct member.
    HasMember(String),
    /// A group that has any member.
    HasMembers,
    /// A resource that is in this group, directly or through other groups.
    InGroup(String),
    /// A resource that is in any group.
    InGroups,
}

/// Comparison of an instant; bounds are inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeTest {
    /// At or after.
    pub from_micros: Option<i64>,
    /// At or before.
    pub to_micros: Option<i64>,
}

/// A test of index keys; any value of the resource may satisfy it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueTest {
    /// There is a value.
    Present,
    /// This key.
    Equal(Vec<u8>),
    /// At or above `from` (above, where `from_open`), below or at `to` (below, where `to_open`).
    Range {
        /// Lower bound.
        from: Option<Vec<u8>>,
        /// Whether the lower bound itself is out.
        from_open: bool,
        /// Upper bound.
        to: Option<Vec<u8>>,
        /// Whether the upper bound itself is out.
        to_open: bool,
    },
    /// The key contains these bytes.
    Contains(Vec<u8>),
    /// The key ends with these bytes.
    EndsWith(Vec<u8>),
}
