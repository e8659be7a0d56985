//! What must always hold, stated once: of each request that leaves, of each link that is written, and of an application that has become equal. Pure; the machine
//! asserts what it can see in debug builds, and the simulation asserts all of it after each step of each run.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use crate::account::AccountChange;
use crate::machine::Request;

/// A rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Only accounts that Rollcall made or adopted are changed or removed.
    OwnAccountsOnly,
    /// What takes something away from somebody goes alone.
    RevocationAlone,
    /// What takes something away from somebody goes before everything else that is sent about them.
    RevocationFirst,
    /// Another account is made only after the application was asked, and answered, since the last time that it was told to make one.
    LookBeforeCreate,
    /// Who is put into a group has an account there.
    MemberFirst,
    /// Nothing is sent to an application before the time that it asked for.
    WaitKept,
    /// Only the claim that holds the lease writes the link.
    LeaseHolderWrites,
    /// Nobody has two accounts.
    OneAccount,
    /// Somebody who left, or is not active, cannot sign in once nothing waits any more.
    LeaversLocked,
    /// Accounts that nobody here knows are as they were.
    StrangersUntouched,
    /// When changes stop, what is there is what should be.
    Converged,
    /// After that, another pass sends nothing.
    Quiet,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnAccountsOnly => "an account that is not ours was changed",
            Self::RevocationAlone => "a revocation does not go alone",
            Self::RevocationFirst => "a revocation does not go first",
            Self::LookBeforeCreate => "an account was made without a look since the last create",
            Self::MemberFirst => "a member has no account",
            Self::WaitKept => "a request left before the time that the application asked for",
            Self::LeaseHolderWrites => "a claim that had lost its lease wrote the link",
            Self::OneAccount => "somebody has two accounts",
            Self::LeaversLocked => "somebody who left can still sign in",
            Self::StrangersUntouched => "a stranger's account was changed",
            Self::Converged => "what is there is not what should be",
            Self::Quiet => "another pass sends something",
        })
    }
}

/// What is known when a request leaves.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// The request.
    pub request: &'a Request,
    /// When.
    pub now: Timestamp,
    /// Until when the application wants to be left alone.
    pub paused_until: Timestamp,
    /// Whether the account that is touched was made or adopted by us.
    pub is_ours: bool,
    /// Whether a create of this resource may have had its effect, and the application was not asked since.
    pub is_create_open: bool,
    /// Whether the person is to be locked, and nothing that locks was sent in this claim.
    pub is_lock_open: bool,
    /// Ids of accounts that are linked.
    pub linked: &'a BTreeSet<String>,
}

/// Which rule a request breaks.
pub fn of_request(sent: &Sent<'_>) -> Option<Invariant> {
    let Sent { request, .. } = sent;
    if sent.now < sent.paused_until {
        return Some(Invariant::WaitKept);
    }
    let touches = matches!(
        request,
        Request::Change(_) | Request::Replace(_) | Request::Remove(_)
    );
    if touches && !sent.is_ours {
        return Some(Invariant::OwnAccountsOnly);
    }
    let added: Vec<&String> = match request {
        Request::Create(_) if sent.is_create_open => return Some(Invariant::LookBeforeCreate),
        Request::Create(account) => account.members.keys().collect(),
        Request::Change(change) if !goes_alone(change) => {
            return Some(Invariant::RevocationAlone);
        }
        Request::Change(change) if sent.is_lock_open && !change.is_revocation() => {
            return Some(Invariant::RevocationFirst);
        }
        Request::Change(change) => change.added.keys().collect(),
        _ => Vec::new(),
    };
    added
        .into_iter()
        .any(|id| !sent.linked.contains(id))
        .then_some(Invariant::MemberFirst)
}

/// Whether a change that takes something away does nothing else.
pub fn goes_alone(change: &AccountChange) -> bool {
    let locks = change
        .edits
        .iter()
        .any(|edit| edit.place.is_active() && edit.value == Some(Value::Bool(false)));
    let takes = locks || !change.removed.is_empty();
    !takes || change.parts() == 1 || (change.edits.is_empty() && change.added.is_empty())
}

/// Which rule is broken where a claim writes a link.
pub fn of_link_write(claim_fence: i64, lease_fence: i64) -> Option<Invariant> {
    (claim_fence != lease_fence).then_some(Invariant::LeaseHolderWrites)
}

/// Which rule is broken by the accounts of one person, once nothing waits any more: whether each can sign in; `is_wanted`: whether the person may.
pub fn of_accounts(can_sign_in: &[bool], is_wanted: bool) -> Option<Invariant> {
    if can_sign_in.len() > 1 {
        return Some(Invariant::OneAccount);
    }
    (!is_wanted && can_sign_in.contains(&true)).then_some(Invariant::LeaversLocked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{AccountId, Edit, NewAccount, Place};

    #[test]
    fn each_rule_is_told_when_it_is_broken() {
        let id = AccountId::new("r1").unwrap();
        let mut mixed = AccountChange::disable(id.clone());
        mixed.edits.push(Edit {
            place: Place::core("title"),
            value: None,
        });
        let title = AccountChange {
            edits: mixed.edits[1..].to_vec(),
            ..AccountChange::of(id.clone())
        };
        let mut joins = AccountChange::of(id.clone());
        joins.added.insert("r9".into(), false);
        let (early, now) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        let (nobody, linked) = (BTreeSet::new(), BTreeSet::from(["r9".to_owned()]));
        let create = Request::Create(NewAccount::default());
        let check = |request: &Request, change: &dyn Fn(&mut Sent<'_>), expected| {
            let mut sent = Sent {
                request,
                now,
                paused_until: early,
                is_ours: true,
                is_create_open: false,
                is_lock_open: false,
                linked: &nobody,
            };
            change(&mut sent);
            assert_eq!(of_request(&sent), expected, "{request:?}");
        };
        let nothing = |_: &mut Sent<'_>| {};
        check(&create, &nothing, None);
        check(
            &create,
            &|sent| sent.is_create_open = true,
            Some(Invariant::LookBeforeCreate),
        );
        check(
            &create,
            &|sent| (sent.now, sent.paused_until) = (early, now),
            Some(Invariant::WaitKept),
        );
        check(
            &Request::Remove(id),
            &|sent| sent.is_ours = false,
            Some(Invariant::OwnAccountsOnly),
        );
        check(
            &Request::Change(mixed),
            &nothing,
            Some(Invariant::RevocationAlone),
        );
        check(
            &Request::Change(title),
            &|sent| sent.is_lock_open = true,
            Some(Invariant::RevocationFirst),
        );
        let joins = Request::Change(joins);
        check(&joins, &nothing, Some(Invariant::MemberFirst));
        assert_eq!(
            of_request(&Sent {
                request: &joins,
                now,
                paused_until: early,
                is_ours: true,
                is_create_open: false,
                is_lock_open: false,
                linked: &linked,
            }),
            None
        );
        assert_eq!(of_link_write(1, 2), Some(Invariant::LeaseHolderWrites));
        assert_eq!(
            of_accounts(&[true, false], true),
            Some(Invariant::OneAccount)
        );
        assert_eq!(of_accounts(&[true], false), Some(Invariant::LeaversLocked));
        assert_eq!(of_accounts(&[false], false), None);
    }
}
