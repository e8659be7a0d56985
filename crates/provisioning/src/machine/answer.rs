//! What the answer to a write shows, beside what was just told: a difference is a difference, and not success.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Mark, State};
use crate::account::{Account, Edit};
use crate::comparison;
use crate::connector::Trace;
use crate::knowledge::Fact;
use crate::link::Link;
use crate::mapping;
use crate::matching;

/// How often a value is sent that the application says to have accepted and shows otherwise.
const SENT_MAX: u32 = 2;

impl State {
    /// What the answer to a write shows is what is. Says what it shows otherwise than it was just told.
    pub(super) fn compare_answer(
        &mut self,
        link: &mut Link,
        shown: &Account,
        edits: &[Edit],
        added: &BTreeSet<String>,
        removed: &BTreeSet<String>,
    ) -> Vec<String> {
        let told = link.attributes();
        let empty = serde_json::Map::new();
        let wanted = self
            .desired
            .as_ref()
            .map_or(&empty, |desired| &desired.document);
        let compared = comparison::compare(&self.about.schema, &shown.attributes, &told, wanted);
        for place in comparison::places(&self.about.schema, [&compared.shown]) {
            place.put(
                &mut link.acknowledged,
                place.value_in(&compared.shown).cloned(),
            );
        }
        let mut unstored: Vec<String> = compared
            .contradicted
            .iter()
            .map(ToString::to_string)
            .collect();
        let held = mapping::writable(&self.about.schema, &shown.attributes);
        for edit in edits.iter().filter(|edit| edit.value.is_none()) {
            if let Some(value) = edit
                .place
                .value_in(&held)
                .filter(|value| value.as_str() != Some(""))
            {
                edit.place.put(&mut link.acknowledged, Some(value.clone()));
                unstored.push(edit.place.to_string());
            }
        }
        self.learn_shown(&compared);
        self.learn_not_shown(&compared);
        if let Some(shown) = &shown.members {
            self.learn_members();
            let missing: BTreeSet<String> = added.difference(shown).cloned().collect();
            let left: BTreeSet<String> = removed.intersection(shown).cloned().collect();
            let members = link
                .members()
                .difference(&missing)
                .cloned()
                .chain(left.iter().cloned())
                .collect();
            let in_doubt = link.members_in_doubt();
            link.set_members(members, &in_doubt);
            unstored.extend(missing.into_iter().chain(left));
        }
        unstored
    }

    /// What was just sent and is not shown is one that is never shown, or was not stored: the account is read where others show it.
    fn learn_not_shown(&mut self, compared: &comparison::Comparison) {
        let resource_type = self.resource_type().to_owned();
        let schema = Arc::clone(&self.about.schema);
        let names = matching::attributes(&schema);
        // Some answer with a part of the account.
        let is_whole = names.iter().any(|name| compared.shown.contains_key(*name));
        for place in compared
            .not_shown
            .iter()
            .map(ToString::to_string)
            .filter(|place| self.sent.contains_key(place))
            .collect::<Vec<_>>()
        {
            if is_whole && self.about.knowledge.is_shown(&resource_type, &place) {
                self.set(Mark::Verify);
            } else if !self.about.knowledge.is_hidden(&resource_type, &place) {
                self.learn(Fact::Hides(resource_type.clone(), place));
            }
        }
    }

    pub(super) fn count_sent(&mut self, name: &str) {
        *self.sent.entry(name.to_owned()).or_default() += 1;
    }

    pub(super) fn times_sent(&self, name: &str) -> u32 {
        self.sent.get(name).copied().unwrap_or_default()
    }

    /// What was accepted as often as it is sent, and is not there, is held.
    pub(super) fn put_aside_if_unstored(&mut self, name: &str, trace: &Trace) {
        if self.times_sent(name) >= SENT_MAX && !self.aside.contains(name) {
            let why =
                format!("{name} was accepted, not stored: the application shows another value");
            self.put_aside(self.step_name(), name.to_owned(), Mark::Held, trace, &why);
        }
    }

    /// An account with the ids in our spelling, where an application writes those of lists and members in another case than those of accounts.
    pub(super) fn respell(&self, mut account: Account) -> Account {
        let Some(shown) = account.members.take() else {
            return account;
        };
        let link = self.link.as_ref();
        let known: BTreeSet<String> = link
            .map(Link::members)
            .into_iter()
            .chain(link.map(Link::members_in_doubt))
            .flatten()
            .chain(
                self.desired
                    .iter()
                    .flat_map(|desired| desired.members.keys().cloned()),
            )
            .collect();
        let by_lower: BTreeMap<String, &String> =
            known.iter().map(|id| (id.to_lowercase(), id)).collect();
        let ours = |id: String| match by_lower.get(&id.to_lowercase()) {
            Some(ours) if !known.contains(&id) => (*ours).clone(),
            _ => id,
        };
        account.members = Some(shown.into_iter().map(ours).collect());
        account
    }
}
