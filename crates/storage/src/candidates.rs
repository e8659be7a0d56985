//! What of a search no index answers: the filter on each candidate, and orders that only the documents know. Reads nothing; the engines offer.

use std::cmp::Ordering;

use directory::search::SearchPlan;
use directory::store::StoredResource;
use scim_protocol::filter::compare::sort_key;

use crate::filter_sql::Order;

/// Collects the keys of resources that match, in the order they are offered, and keeps no document.
pub(crate) struct Candidates<'a> {
    plan: &'a SearchPlan,
    order: Order,
    total: u64,
    found: Vec<Found>,
}

struct Found {
    key: i64,
    sort: Option<Vec<u8>>,
}

impl<'a> Candidates<'a> {
    /// For a plan that has a residual filter or such an order.
    pub(crate) fn new(plan: &'a SearchPlan, order: Order) -> Self {
        Self { plan, order, total: 0, found: Vec::new() }
    }

    /// Looks at a candidate, read with what `residual_needs` says.
    pub(crate) fn offer(&mut self, key: i64, resource: StoredResource) {
        let plan = self.plan;
        let Some(schema) = plan.types.iter().find(|schema| schema.name() == resource.resource_type) else { return };
        let document = resource.into_document();
        if plan.residual.as_ref().is_some_and(|filter| !filter.matches(schema, &document)) {
            return;
        }
        self.total += 1;
        match (&plan.sort, self.order) {
            (Some(sort), Order::InMemory) => self.found.push(Found { key, sort: sort_key(schema, &sort.path, &document) }),
            // Offered in the right order: what is not on the page is only counted.
            _ if self.total > plan.offset && self.total <= plan.offset.saturating_add(plan.limit) => {
                self.found.push(Found { key, sort: None });
            }
            _ => {}
        }
    }

    /// How many matched, and the keys of the page.
    pub(crate) fn page(mut self) -> (u64, Vec<i64>) {
        if self.order == Order::InSql {
            return (self.total, self.found.into_iter().map(|found| found.key).collect());
        }
        let descending = self.plan.sort.as_ref().is_some_and(|sort| sort.descending);
        // A stable sort: equals stay in the order they were offered.
        self.found.sort_by(|a, b| compare(a, b, descending));
        let offset = usize::try_from(self.plan.offset).unwrap_or(usize::MAX);
        let limit = usize::try_from(self.plan.limit).unwrap_or(usize::MAX);
        (self.total, self.found.into_iter().skip(offset).take(limit).map(|found| found.key).collect())
    }
}

/// Resources without a value come last in ascending order, first in descending order (RFC 7644 section 3.4.2.3).
fn compare(a: &Found, b: &Found, descending: bool) -> Ordering {
    let ascending = match (&a.sort, &b.sort) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    };
    if descending { ascending.reverse() } else { ascending }
}
