//! Links an account that is there already.

use std::collections::BTreeSet;

use super::{Command, Mark, Phase, State};
use crate::account::{Account, get, text_of};
use crate::ledger::Written;
use crate::link::{Link, LinkState};
use crate::mapping;
use crate::resource_type::has_members;

impl State {
    /// Only what our own lost create made has our externalId.
    pub(super) fn is_made_by_us(&self, account: &Account) -> bool {
        let attempted = self
            .link
            .as_ref()
            .and_then(|link| link.acknowledged.get("externalId"))
            .and_then(text_of);
        attempted.is_some() && get(&account.attributes, "externalId").and_then(text_of) == attempted
    }

    pub(super) fn adopt(&mut self, account: &Account) -> Command {
        let attempted = self.link.as_ref().map(Link::attributes).unwrap_or_default();
        let mut in_doubt = self
            .link
            .as_ref()
            .map(Link::members_in_doubt)
            .unwrap_or_default();
        if let Some(lost) = self.lost.take() {
            if lost.remote_id.as_deref() == Some(account.id.as_str()) {
                // It was never gone: members whom we have put there are no strangers.
                in_doubt.extend(lost.members().into_iter().chain(lost.members_in_doubt()));
            } else {
                self.mark_groups(true);
            }
        }
        let wanted = self
            .desired
            .as_ref()
            .map_or(&attempted, |desired| &desired.document);
        let acknowledged =
            mapping::managed(&self.about.schema, &account.attributes, &attempted, wanted);
        // Lists may leave members out, and the account may have members that the directory does not know: a group is read before it is compared.
        let state = if has_members(&self.about.schema) {
            LinkState::Uncertain
        } else {
            LinkState::Linked
        };
        let mut link = self.new_link(Some(account.id.to_string()), state, None);
        link.acknowledged = acknowledged;
        link.set_members(BTreeSet::new(), &in_doubt);
        self.write_link(Phase::Adopt, link)
    }

    pub(super) fn on_adopted(&mut self, written: Written) -> Command {
        if written == Written::Taken {
            // Another claim has adopted it since it was looked at; now it is no longer free.
            self.link.clone_from(&self.stored);
            return self.advance();
        }
        self.is_written();
        if !has_members(&self.about.schema) {
            self.clear(Mark::Verify);
        }
        if let Some(link) = self.link.clone() {
            self.link_to(link);
        }
        self.advance()
    }
}
