//! How much work one PATCH may cause, counted in steps and not in time, so that the same request is always decided alike. Changes no resource.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::error::{Error, ErrorKind};
use crate::filter::Filter;

/// Most steps of one PATCH. A step is one value of an attribute that one operation looks at, for each term of its filter; so a thousand operations may each
/// select among a thousand values by four terms.
pub const WORK_STEPS_MAX: u64 = 4_000_000;

/// Most steps of all `PATCH`es of one bulk request together.
pub const BULK_STEPS_MAX: u64 = 16_000_000;

/// Bytes of text that count as one step more.
const BYTES_PER_STEP: usize = 256;

/// The steps that one PATCH has taken.
#[derive(Clone, Debug)]
pub struct Work {
    steps: u64,
    most: u64,
    sum: Option<Sum>,
}

/// The steps that the `PATCH`es of one bulk request have taken together.
#[derive(Clone, Debug)]
pub struct Sum {
    steps: Arc<AtomicU64>,
    most: u64,
}

impl Sum {
    /// None yet, and no more than `most`.
    pub fn up_to(most: u64) -> Self {
        Self {
            steps: Arc::default(),
            most,
        }
    }

    /// One more PATCH, whose steps count here too.
    pub fn work(&self) -> Work {
        Work {
            sum: Some(self.clone()),
            ..Work::default()
        }
    }

    fn spend(&self, steps: u64) -> Result<(), Error> {
        let before = self.steps.fetch_add(steps, Ordering::Relaxed);
        if before.saturating_add(steps) <= self.most {
            return Ok(());
        }
        let detail = format!(
            "The PATCH operations of this bulk request take more than {} steps together; send those that were refused in another request.",
            self.most
        );
        Err(Error::new(ErrorKind::TooMany, detail).at("Operations"))
    }
}

impl Default for Work {
    fn default() -> Self {
        Self::up_to(WORK_STEPS_MAX)
    }
}

impl Work {
    /// None yet, and no more than `most`.
    pub fn up_to(most: u64) -> Self {
        Self {
            steps: 0,
            most,
            sum: None,
        }
    }

    /// The steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Counts steps before they are taken. `tooMany` (RFC 7644 table 9) beyond the limit.
    pub(crate) fn spend(&mut self, steps: usize) -> Result<(), Error> {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        self.steps = self.steps.saturating_add(steps);
        if self.steps <= self.most {
            return self.sum.as_ref().map_or(Ok(()), |sum| sum.spend(steps));
        }
        let detail = format!(
            "This PATCH takes more than {} steps; an operation takes one for each value of the attribute that it names, times the terms of its filter. \
             Send fewer operations in one request, or name many values in one operation.",
            self.most
        );
        Err(Error::new(ErrorKind::TooMany, detail).at("Operations"))
    }
}

/// The steps that it takes to look at one value.
pub(super) fn steps_of(value: &Value) -> usize {
    1 + match value {
        Value::String(text) => text.len() / BYTES_PER_STEP,
        Value::Array(elements) => elements.iter().map(steps_of).sum(),
        // An object is looked at as one, unless its parts are long.
        Value::Object(object) => object.values().map(|part| steps_of(part) - 1).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// The comparisons of a filter.
pub(super) fn terms(filter: &Filter) -> usize {
    match filter {
        Filter::And(all) | Filter::Or(all) => all.iter().map(terms).sum(),
        Filter::Not(inner) => terms(inner),
        Filter::ValuePath { filter, .. } => terms(filter),
        Filter::Compare { .. } | Filter::Present(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::filter::FilterLimits;

    #[test]
    fn steps_are_counted_up_to_the_limit() {
        let mut work = Work::up_to(10);
        assert!(work.spend(10).is_ok());
        let error = work.spend(1).unwrap_err();
        assert_eq!(
            (error.kind(), error.kind().status()),
            (ErrorKind::TooMany, 400)
        );
        assert!(
            error.detail().contains("10 steps") && error.detail().contains("fewer operations"),
            "{error}"
        );
        assert!(work.spend(usize::MAX).is_err() && work.spend(usize::MAX).is_err());
    }

    #[test]
    fn long_values_and_long_filters_count_for_more() {
        assert_eq!(
            steps_of(&json!({"value": "a@x", "type": "work", "primary": true})),
            1
        );
        assert_eq!(steps_of(&json!({"value": "a".repeat(1_024)})), 5);
        assert_eq!(steps_of(&json!({"uris": ["a", "b"]})), 3);
        let filter = Filter::parse(
            "a eq 1 and not (b pr or c[d eq 2 and e eq 3])",
            FilterLimits::default(),
        )
        .unwrap();
        assert_eq!(terms(&filter), 4);
    }

    #[test]
    fn the_patches_of_a_bulk_request_have_a_sum() {
        let sum = Sum::up_to(10);
        assert!(sum.work().spend(6).is_ok());
        let mut second = sum.work();
        assert!(second.spend(4).is_ok());
        let refusal = second.spend(1).unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::TooMany);
        assert!(
            refusal.detail().contains("more than 10 steps together"),
            "{refusal}"
        );
        assert!(sum.work().spend(1).is_err(), "the next one has none left");
    }
}
