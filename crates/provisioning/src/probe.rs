//! *(shell)* Asks an application what the engine would ask it, in each way in which it searches. Changes nothing there.

use scim_protocol::TypeSchema;

use crate::connector::{Capabilities, Exchange, Failure, RefusalKind, Target, Trace};
use crate::matching::Lookup;
use crate::proof::{Found, Listing};

/// What an application answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probe {
    /// What it can do; the usual where it does not say.
    pub capabilities: Capabilities,
    /// Why it did not say, where it was asked in vain.
    pub not_described: Option<Trace>,
    /// Whether a search by name shows that somebody is not there.
    pub can_search: bool,
    /// Searches that were answered with so many others: it seems to ignore such filters.
    pub ignored: Vec<(String, usize)>,
    /// Searches that failed.
    pub failed: Vec<(String, Trace)>,
    /// How long the last request took.
    pub milliseconds: u64,
}

/// Asks; `nobody` is a name that nobody has. Fails where the engine could not work either.
pub async fn probe(
    target: &dyn Target,
    schema: &TypeSchema,
    nobody: &str,
) -> Result<Probe, Box<(Trace, Failure)>> {
    let mut probe = Probe::default();
    let Exchange { trace, outcome, .. } = target.discover().await;
    match outcome {
        Ok(capabilities) => probe.capabilities = capabilities,
        Err(failure @ (Failure::Unauthorized | Failure::NotReached | Failure::Throttled)) => {
            return Err(Box::new((trace, failure)));
        }
        Err(_) => probe.not_described = Some(trace),
    }
    if probe.capabilities.filter {
        for attribute in crate::matching::attributes(schema) {
            let lookup = Lookup::new(schema, attribute, nobody);
            let exchange = target.find(schema, &lookup).await;
            probe.take(&lookup, exchange)?;
        }
    }
    if !probe.can_search {
        let Exchange { trace, outcome, .. } = target.list(schema).await;
        probe.milliseconds = trace.milliseconds;
        outcome.map_err(|failure| Box::new((trace, failure)))?;
    }
    Ok(probe)
}

impl Probe {
    fn take(
        &mut self,
        lookup: &Lookup,
        exchange: Exchange<Listing>,
    ) -> Result<(), Box<(Trace, Failure)>> {
        let Exchange { trace, outcome, .. } = exchange;
        self.milliseconds = trace.milliseconds;
        match outcome {
            Ok(listing) if matches!(listing.find(lookup), Found::Nothing(_)) => {
                self.can_search |= lookup.is_name();
            }
            Ok(listing) => self.ignored.push((
                lookup.attribute.clone(),
                listing.accounts.len() + listing.without_id.len(),
            )),
            Err(Failure::Refused(refusal)) if refusal.kind != RefusalKind::Forbidden => {
                self.failed.push((lookup.attribute.clone(), trace));
            }
            Err(Failure::Unknown { answered: true }) => {
                self.failed.push((lookup.attribute.clone(), trace));
            }
            Err(failure) => return Err(Box::new((trace, failure))),
        }
        Ok(())
    }
}
