//! What of a search no index answers: the filter on each candidate, and orders that only the documents know. Reads nothing; the engines offer.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use directory::search::{Position, SearchPlan};
use directory::store::StoredResource;
use scim_protocol::filter::compare::sort_key;

use crate::filter_sql::Order;
use crate::row_condition::compare;

/// Collects the positions of resources that match, in the order they are offered, and keeps no document and no more positions than the page needs.
pub(crate) struct Candidates<'a> {
    plan: &'a SearchPlan,
    order: Order,
    total: u64,
    /// As many as lead up to the end of the page, with one more where positions are wanted.
    most: usize,
    in_order: Vec<Position>,
    least: BinaryHeap<Found<'a>>,
}

/// A position that compares as the plan orders.
struct Found<'a> {
    plan: &'a SearchPlan,
    position: Position,
}

impl Ord for Found<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self.plan, &self.position, &other.position)
    }
}

impl PartialOrd for Found<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Found<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Found<'_> {}

impl<'a> Candidates<'a> {
    /// For a plan that has a residual filter or such an order.
    pub(crate) fn new(plan: &'a SearchPlan, order: Order) -> Self {
        let most = wanted(plan).saturating_add(usize::try_from(plan.offset).unwrap_or(usize::MAX));
        Self {
            plan,
            order,
            total: 0,
            most,
            in_order: Vec::new(),
            least: BinaryHeap::new(),
        }
    }

    /// Looks at a candidate, read with what `residual_needs` says.
    pub(crate) fn offer(&mut self, position: Position, resource: StoredResource) {
        let plan = self.plan;
        let Some(schema) = plan
            .types
            .iter()
            .find(|schema| schema.name() == resource.resource_type)
        else {
            return;
        };
        let document = resource.into_document();
        if plan
            .residual
            .as_ref()
            .is_some_and(|filter| !filter.matches(schema, &document))
        {
            return;
        }
        self.total += 1;
        match (&plan.sort, self.order) {
            (Some(sort), Order::InMemory) => {
                let value = sort_key(schema, &sort.path, &document);
                self.keep(Position {
                    missing: value.is_none(),
                    value: value.unwrap_or_default(),
                    ..position
                });
            }
            // Offered in the right order: what is behind the page is only counted.
            _ if self.in_order.len() < self.most => self.in_order.push(position),
            _ => {}
        }
    }

    /// Keeps a position where it is among the least of those behind the page before.
    fn keep(&mut self, position: Position) {
        let after = self
            .plan
            .keyset
            .as_ref()
            .and_then(|keyset| keyset.after.as_ref());
        if after.is_some_and(|after| compare(self.plan, &position, after) != Ordering::Greater) {
            return;
        }
        self.least.push(Found {
            plan: self.plan,
            position,
        });
        if self.least.len() > self.most {
            self.least.pop();
        }
    }

    /// Whether nothing that could still be offered would matter.
    pub(crate) fn is_full(&self) -> bool {
        self.plan.keyset.is_some() && self.order == Order::InSql && self.in_order.len() >= self.most
    }

    /// How many matched, and the positions of the page.
    pub(crate) fn page(self) -> (u64, Vec<Position>) {
        let found = match self.order {
            Order::InSql => self.in_order,
            Order::InMemory => self
                .least
                .into_sorted_vec()
                .into_iter()
                .map(|found| found.position)
                .collect(),
        };
        (
            self.total,
            found
                .into_iter()
                .skip(usize::try_from(self.plan.offset).unwrap_or(usize::MAX))
                .collect(),
        )
    }
}

/// How many positions a page is made from: with positions one more, which tells whether there is another page.
pub(crate) fn wanted(plan: &SearchPlan) -> usize {
    let more = u64::from(plan.keyset.is_some() && plan.limit > 0);
    usize::try_from(plan.limit.saturating_add(more)).unwrap_or(usize::MAX)
}

/// The page of these positions, and where it ended if there is more.
pub(crate) fn cut(plan: &SearchPlan, mut found: Vec<Position>) -> (Vec<i64>, Option<Position>) {
    let limit = usize::try_from(plan.limit).unwrap_or(usize::MAX);
    let more = plan.keyset.is_some() && found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).cloned();
    (
        found.into_iter().map(|position| position.key).collect(),
        next,
    )
}
