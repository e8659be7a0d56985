//! What the machine wants to be done, and what came of it.

use std::collections::BTreeMap;

use crate::account::{Account, AccountChange, AccountId, NewAccount, Replacement};
use crate::connector::{Capabilities, Created, Exchange, Failure};
use crate::ledger::{Record, Written};
use crate::link::Link;
use crate::matching::Lookup;
use crate::proof::{Acknowledged, Listing};
use crate::provisioning_log::LogEntry;

/// A request that was lost sooner than this was cut, and not left waiting.
const SILENT_MILLISECONDS_MIN: u64 = 1_000;

/// A request to the application.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// What can it do?
    Discover,
    /// Accounts with a value, by its own search.
    Find(Lookup),
    /// All accounts.
    List,
    /// One account.
    Read(AccountId),
    /// Make one.
    Create(NewAccount),
    /// Change parts of one.
    Change(AccountChange),
    /// Replace one as a whole.
    Replace(Replacement),
    /// Remove one.
    Remove(AccountId),
}

impl Request {
    /// Whether it may change something.
    pub fn is_write(&self) -> bool {
        matches!(
            self,
            Self::Create(_) | Self::Change(_) | Self::Replace(_) | Self::Remove(_)
        )
    }
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Ask the application something.
    Ask {
        /// What.
        request: Box<Request>,
        /// Lines of the log that are on record before the request leaves.
        lines: Vec<LogEntry>,
        /// Whether a step begins: it is looked first whether the application may still be sent something.
        is_step: bool,
    },
    /// Find out which resources are linked to accounts.
    FindOwners {
        /// The accounts.
        ids: Vec<AccountId>,
        /// The types of resources that count.
        types: Vec<String>,
        /// Whether the names that the resources have are asked for.
        with_names: bool,
    },
    /// Write the link, and lines of the log with it, before anything else happens.
    WriteLink(Box<Link>, Vec<LogEntry>),
    /// Record what came of the claim; it ends.
    Record(Box<Record>),
    /// The claim is another worker's: only write these lines; it ends.
    Leave(Vec<LogEntry>),
}

/// What came of a command.
#[derive(Clone, Debug)]
pub enum Event {
    /// Of the request that was asked.
    Answered(Box<Reply>),
    /// The application is not to be sent anything now.
    NotServed,
    /// The linked resources by account id.
    Owners(BTreeMap<AccountId, Owner>),
    /// Of the link that was to be written.
    LinkWritten(Written),
    /// The lease is another worker's.
    LeaseLost,
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To `Discover`.
    Described(Exchange<Capabilities>),
    /// To `Find` and `List`.
    Listed(Exchange<Listing>),
    /// To `Read`.
    Read(Exchange<Account>),
    /// To `Create`.
    Created(Exchange<Created>),
    /// To `Change`, `Replace` and `Remove`.
    Written(Exchange<Acknowledged>),
}

impl Reply {
    /// Whether the application left the request without an answer; `None`: this says nothing about it. A gateway that says that nothing answers behind it
    /// (502, 504) is no answer. A connection that was cut at once is no silence: it took no place from others.
    pub fn is_silent(&self) -> Option<bool> {
        fn of<T>(Exchange { trace, outcome, .. }: &Exchange<T>) -> Option<bool> {
            match outcome {
                Err(Failure::NotReached) => Some(true),
                Err(Failure::Unknown { answered: false }) => {
                    (trace.milliseconds >= SILENT_MILLISECONDS_MIN).then_some(true)
                }
                Err(Failure::Unknown { answered: true }) => {
                    Some(matches!(trace.status, Some(502 | 504)))
                }
                _ => Some(false),
            }
        }
        match self {
            Self::Described(exchange) => of(exchange),
            Self::Listed(exchange) => of(exchange),
            Self::Read(exchange) => of(exchange),
            Self::Created(exchange) => of(exchange),
            Self::Written(exchange) => of(exchange),
        }
    }
}

/// The resource that is linked to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its id.
    pub resource_id: String,
    /// Whether it is out of date over there and will be looked after without anybody's help.
    pub is_waiting: bool,
    /// The account's id as the link has it, where the letters are in another case.
    pub account_id: Option<AccountId>,
    /// The name that people know it by, where that was asked for.
    pub name: Option<String>,
}
