//! What a claim knows when the application wants to be left alone stays over the wait: the next claim of the pair goes on with the request that was to be
//! sent, so that an application that asks for a wait after each answer is served all the same.

use jiff::Timestamp;

use super::{Command, Phase, Request, Situation, State};
use crate::ledger::Next;
use crate::link::Link;
use crate::pacing::{self, Contact};

/// What was found out longer ago than this is found out anew.
const MILLISECONDS_MAX: u64 = 2 * 60 * 60 * 1_000;

/// A claim that waits with its next request.
#[derive(Clone, Debug)]
pub struct Rest {
    state: Box<State>,
    phase: Phase,
    request: Request,
    /// The link as it is on record during the wait.
    link: Option<Link>,
    since: Timestamp,
}

impl Rest {
    /// Goes on where the claim stopped; `None` where anything has changed since, so that the claim begins anew.
    pub fn resume(self, situation: &Situation, now: Timestamp) -> Option<(State, Command)> {
        let Self {
            mut state,
            phase,
            request,
            link,
            since,
        } = self;
        let before = &state.about;
        let is_same = situation.claim.generation == before.claim.generation
            && situation.claim.verify == before.claim.verify
            && situation.application == before.application
            && situation.subject == before.subject
            && situation.remote_ids == before.remote_ids
            && situation.link == link;
        if !is_same || pacing::after(since, MILLISECONDS_MAX) < now {
            return None;
        }
        state.stored = link;
        state.about = situation.clone();
        (state.now, state.pause, state.steps) = (now, None, 0);
        (state.is_step, state.contact) = (true, Contact::default());
        let command = state.ask(phase, request);
        Some((*state, command))
    }
}

impl State {
    /// What the next claim of the pair may go on with, where this one ended because the application wants to be left alone.
    pub fn take_rest(&mut self) -> Option<Rest> {
        self.rest.take()
    }

    /// Ends the claim until the application may be asked again, and keeps the request.
    pub(super) fn rest(&mut self, phase: Phase, request: Request, until: Timestamp) -> Command {
        let mut state = self.clone();
        (state.log, state.also, state.facts) = (Vec::new(), Vec::new(), Vec::new());
        let command = self.conclude(Next::PauseUntil(until));
        self.rest = Some(Rest {
            state: Box::new(state),
            phase,
            request,
            link: self.link.clone(),
            since: self.now,
        });
        command
    }
}
