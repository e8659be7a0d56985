//! What the issue tracker keeps, in memory: people, teams, issues. Knows nothing of HTTP.

use std::sync::{Mutex, MutexGuard, PoisonError};

use embedding::Record;
use serde::Serialize;

/// A row of the table of people: what the tracker itself needs in columns of its own, and beside it the whole of what the identity provider said.
#[derive(Clone, Debug)]
pub struct Person {
    /// What they sign in with, in lower case.
    pub login: String,
    /// What others see.
    pub name: String,
    /// Whether they may come in.
    pub may_sign_in: bool,
    /// What the identity provider said.
    pub record: Record,
}

/// An issue.
#[derive(Clone, Debug, Serialize)]
pub struct Issue {
    /// Counted from 1.
    pub number: usize,
    /// What is wrong.
    pub title: String,
    /// Who said so: a login.
    pub reporter: String,
    /// Who looks after it: a login.
    pub assignee: Option<String>,
}

/// The tables.
#[derive(Debug, Default)]
pub struct Tables {
    /// In order of arrival.
    pub people: Vec<Person>,
    /// In order of arrival.
    pub teams: Vec<Record>,
    /// In order of arrival.
    pub issues: Vec<Issue>,
}

impl Tables {
    /// Whether this login may come in.
    pub fn may_sign_in(&self, login: &str) -> bool {
        self.people
            .iter()
            .any(|person| person.login == login && person.may_sign_in)
    }

    /// Issues of people who may no longer come in wait for somebody else.
    pub fn release_issues(&mut self) {
        let people = &self.people;
        let stays = |login: &String| {
            people
                .iter()
                .any(|person| person.login == *login && person.may_sign_in)
        };
        for issue in &mut self.issues {
            issue.assignee = issue.assignee.take().filter(stays);
        }
    }
}

/// The issue tracker.
#[derive(Debug, Default)]
pub struct Tracker {
    tables: Mutex<Tables>,
}

impl Tracker {
    /// The tables, for as long as the guard lives; a database would have a transaction.
    pub fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
