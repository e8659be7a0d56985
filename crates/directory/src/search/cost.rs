//! What a search costs: how many parts of its filter are answered by looking at many rows. Refuses filters that have too many of them.

use std::collections::HashSet;

use scim_protocol::{Error, ErrorKind};

use super::{Condition, Probe, SearchPlan, ValueTest};

impl SearchPlan {
    /// Refuses (`invalidFilter`) a filter with more costly terms than this.
    pub fn check_cost(&self, costly_terms_max: usize) -> Result<(), Error> {
        let costly = self.costly_terms();
        if costly <= costly_terms_max {
            return Ok(());
        }
        let detail = format!(
            "The filter has {costly} comparisons that are answered by looking at many resources; accepted are at most {costly_terms_max}. \
             `eq` on `id`, `userName` and other attributes with an index does not count, and several requests can ask for the rest."
        );
        Err(Error::new(ErrorKind::InvalidFilter, detail).at("filter"))
    }

    /// Where the filter is evaluated on each candidate, all of its terms; otherwise those that no index answers with a few rows.
    fn costly_terms(&self) -> usize {
        if let Some(filter) = &self.residual {
            return filter.terms();
        }
        let costly = |condition: &Condition| {
            let mut seen = HashSet::new();
            costly_probes(condition, &mut seen)
        };
        self.conditions.iter().map(costly).max().unwrap_or_default()
    }
}

/// Different values of an attribute select different resources, so all of them together select no more than there are; the same value once more does.
fn costly_probes<'a>(condition: &'a Condition, seen: &mut HashSet<(&'a str, &'a [u8])>) -> usize {
    match condition {
        Condition::All
        | Condition::Nothing
        | Condition::Probe(Probe::Id(_) | Probe::HasMember(_)) => 0,
        Condition::And(all) | Condition::Or(all) => {
            all.iter().map(|inner| costly_probes(inner, seen)).sum()
        }
        // A negation may select everything else.
        Condition::Not(inner) => costly_probes(inner, seen).max(1),
        Condition::Probe(Probe::Value {
            path,
            test: ValueTest::Equal(key),
            unique,
        }) => {
            let is_new = seen.insert((path.as_str(), key.as_slice()));
            usize::from(!unique && !is_new)
        }
        Condition::Probe(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use scim_protocol::filter::FilterLimits;
    use scim_protocol::{Filter, SchemaSet};

    use super::super::{Include, Page, plan};
    use super::*;

    fn search(text: &str) -> SearchPlan {
        let user = SchemaSet::standard().by_name("User").unwrap().clone();
        let filter = Filter::parse(text, FilterLimits::default()).unwrap();
        plan(
            &[user],
            Some(filter),
            None,
            Page {
                offset: 0,
                limit: 1,
            },
            Include::default(),
        )
        .unwrap()
    }

    #[test]
    fn what_costs() {
        let check = |text: &str, expected: usize| {
            assert_eq!(search(text).costly_terms(), expected, "{text}");
        };
        check(r#"userName eq "a" or id eq "b" or emails.value eq "c""#, 0);
        check(r#"emails.value eq "a" or emails.value eq "b""#, 0);
        check(
            r#"(active eq true and userName eq "a") or (active eq true and userName eq "b")"#,
            1,
        );
        check(
            r#"userName co "a" or userName ew "b" or userName sw "c""#,
            3,
        );
        check(r#"userName ne "a""#, 1);
        check("not (groups pr)", 1);
        check(r#"groups.value eq "a" and groups.value eq "a""#, 2);
        check(r#"groups.display co "a" or userName eq "b""#, 2);
        check(r#"emails[type eq "work" and value eq "a"]"#, 2);
    }

    #[test]
    fn a_filter_that_costs_too_much_is_refused_with_the_limit() {
        let plan = search(&vec![r#"groups.display co "a""#; 21].join(" or "));
        let refusal = plan.check_cost(20).unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::InvalidFilter);
        assert!(
            refusal.detail().contains("has 21 comparisons")
                && refusal.detail().contains("at most 20"),
            "{refusal}"
        );
        assert!(plan.check_cost(21).is_ok());
    }
}
