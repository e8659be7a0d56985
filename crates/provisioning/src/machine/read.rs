//! Reads an account and takes what it is as acknowledged, as far as the application shows it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Command, Mark, Owner, Phase, State};
use crate::account::{Account, AccountId, get, text_of};
use crate::comparison::{self, Comparison};
use crate::connector::{Exchange, Failure, Refusal, RefusalKind, Trace};
use crate::knowledge::Fact;
use crate::link::{Link, LinkState};

/// Whether a member is shown as a group.
pub(super) fn is_group(account: &Account, id: &str) -> bool {
    let members = get(&account.attributes, "members")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object);
    let mut it =
        members.filter(|member| get(member, "value").and_then(text_of).as_deref() == Some(id));
    it.any(|member| {
        get(member, "type")
            .and_then(Value::as_str)
            .is_some_and(|kind| kind.eq_ignore_ascii_case("group"))
    })
}

impl State {
    pub(super) fn on_read(&mut self, exchange: Exchange<Account>) -> Command {
        let Exchange {
            trace,
            wait,
            outcome,
        } = exchange;
        self.heed(wait, outcome.is_ok());
        let account = match outcome {
            Ok(account) => self.respell(account),
            Err(Failure::Refused(Refusal {
                kind: RefusalKind::Gone,
                ..
            })) => {
                return if self.stays_locked() {
                    self.not_shown("read", &trace)
                } else {
                    self.vanish("read", &trace, true)
                };
            }
            // A page of HTML proves nothing: the whole list is read before another account is made.
            Err(Failure::Refused(Refusal {
                kind: RefusalKind::NotFound | RefusalKind::NotOffered,
                ..
            })) => {
                return self.vanish("read", &trace, false);
            }
            Err(failure) => return self.fail("read", &trace, &failure),
        };
        let strangers = self.unknown_members(&account);
        if strangers.is_empty() {
            return self.settle(account, &trace, &BTreeMap::new());
        }
        self.phase = Phase::ReadOwners(Box::new(account), trace);
        Command::FindOwners {
            ids: strangers,
            types: self.about.application.settings.types(),
            with_names: false,
        }
    }

    /// Members that the account shows and that we have not put there.
    fn unknown_members(&self, account: &Account) -> Vec<AccountId> {
        let known = self.link.as_ref().map(|link| {
            link.members()
                .union(&link.members_in_doubt())
                .cloned()
                .collect::<BTreeSet<_>>()
        });
        let known = known.unwrap_or_default();
        let desired = self.desired.as_ref().map(|desired| &desired.members);
        let is_known = |id: &String| {
            known.contains(id) || desired.is_some_and(|members| members.contains_key(id))
        };
        let shown = account.members.iter().flatten().filter(|id| !is_known(id));
        shown.filter_map(|id| AccountId::new(id.as_str())).collect()
    }

    /// Takes what was read as acknowledged. Members that no resource of the directory is linked to are not ours: they stay.
    pub(super) fn settle(
        &mut self,
        account: Account,
        trace: &Trace,
        owners: &BTreeMap<AccountId, Owner>,
    ) -> Command {
        let strangers: BTreeSet<String> = self
            .unknown_members(&account)
            .into_iter()
            .filter(|id| !owners.contains_key(id))
            .map(|id| id.to_string())
            .collect();
        let before = self.link.clone().unwrap_or_else(|| {
            self.new_link(Some(account.id.to_string()), LinkState::Linked, None)
        });
        let mut link = self.new_link(
            Some(account.id.to_string()),
            LinkState::Linked,
            Some(&before),
        );
        let told = before.attributes();
        let empty = serde_json::Map::new();
        let wanted = self
            .desired
            .as_ref()
            .map_or(&empty, |desired| &desired.document);
        let compared = comparison::compare(&self.about.schema, &account.attributes, &told, wanted);
        link.acknowledged = self.believed(&before, &told, &compared);
        let mut remarks = Vec::new();
        let (members, in_doubt) = match &account.members {
            Some(shown) => {
                self.learn_members();
                (
                    shown.difference(&strangers).cloned().collect(),
                    BTreeSet::new(),
                )
            }
            None if self.about.knowledge.shows_members => (BTreeSet::new(), BTreeSet::new()),
            None => (before.members(), before.members_in_doubt()),
        };
        if account.members.is_none() && !(members.is_empty() && in_doubt.is_empty()) {
            remarks.push("the application does not show the members, so it cannot be known whether they are all there".to_owned());
        }
        if !strangers.is_empty() {
            let names = strangers
                .iter()
                .take(10)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ");
            remarks.push(format!(
                "members that the directory does not know stay ({}): {names}",
                strangers.len()
            ));
        }
        if self.is(Mark::Verify) && (link.acknowledged != told || members != before.members()) {
            self.set(Mark::Drifted);
        }
        self.note("read", "done", trace, &remarks.join("; "));
        link.set_members(members, &in_doubt);
        self.put_aside_unstored(&compared, &mut link, &told, trace);
        self.put_aside_members(&link, trace);
        self.link = Some(link);
        self.clear(Mark::Verify);
        self.clear(Mark::Unproven);
        self.clear(Mark::Unsettled);
        self.current = Some(account);
        self.advance()
    }

    pub(super) fn learn_members(&mut self) {
        if !self.about.knowledge.shows_members {
            self.learn(Fact::ShowsMembers);
        }
    }

    /// What is there, as far as it can be known: what is shown; what this application never shows as it was told, or nothing known where a request about it
    /// may have been lost.
    fn believed(
        &mut self,
        before: &Link,
        told: &serde_json::Map<String, Value>,
        compared: &Comparison,
    ) -> serde_json::Map<String, Value> {
        let mut result = compared.shown.clone();
        let resource_type = self.resource_type().to_owned();
        for place in &compared.not_shown {
            if self
                .about
                .knowledge
                .is_hidden(&resource_type, &place.to_string())
            {
                let value = if before.state == LinkState::Uncertain {
                    Some(Value::Null)
                } else {
                    place.value_in(told).cloned()
                };
                place.put(&mut result, value);
            }
        }
        for place in comparison::places(&self.about.schema, [told])
            .into_iter()
            .filter(|place| place.value_in(told) == Some(&Value::Null))
        {
            if place.value_in(&result).is_none() {
                place.put(&mut result, Some(Value::Null));
            }
        }
        self.learn_shown(compared);
        result
    }

    /// Remembers which attributes the application shows.
    pub(super) fn learn_shown(&mut self, compared: &Comparison) {
        let resource_type = self.resource_type().to_owned();
        for place in comparison::places(&self.about.schema, [&compared.shown])
            .iter()
            .map(ToString::to_string)
        {
            if !self.about.knowledge.is_shown(&resource_type, &place) {
                self.learn(Fact::Shows(resource_type.clone(), place));
            }
        }
    }

    /// What was sent in this claim as often as it may be, and is not there, is not sent again.
    fn put_aside_unstored(
        &mut self,
        compared: &Comparison,
        link: &mut Link,
        told: &serde_json::Map<String, Value>,
        trace: &Trace,
    ) {
        let resource_type = self.resource_type().to_owned();
        for place in &compared.not_shown {
            let name = place.to_string();
            if self.about.knowledge.is_shown(&resource_type, &name) {
                self.put_aside_if_unstored(&name, trace);
            } else if self.times_sent(&name) > 0 {
                // It was sent just now and is not shown, as it never was of anybody.
                self.learn(Fact::Hides(resource_type.clone(), name));
                place.put(&mut link.acknowledged, place.value_in(told).cloned());
            }
        }
        for place in &compared.contradicted {
            self.put_aside_if_unstored(&place.to_string(), trace);
        }
    }

    /// The same for members: those who were added and are not in, and those who were taken out and are.
    fn put_aside_members(&mut self, link: &Link, trace: &Trace) {
        let members = link.members();
        let Some(desired) = self
            .desired
            .as_ref()
            .map(|desired| desired.members.keys().cloned().collect::<BTreeSet<_>>())
        else {
            return;
        };
        for id in members.symmetric_difference(&desired) {
            self.put_aside_if_unstored(id, trace);
        }
    }
}
