//! How a claim ends, and the lines of the log that tell of it.

use jiff::Timestamp;

use super::{Command, Mark, Phase, State};
use crate::account::get;
use crate::connector::{Failure, RefusalKind, RetryAfter, Trace};
use crate::knowledge::Fact;
use crate::ledger::{LinkChange, Next, OutOfDate, Record};
use crate::link::{Link, LinkState};
use crate::pacing;
use crate::provisioning_log::LogEntry;
use crate::scope::{self, Scope};

/// No line of the provisioning log shows more of a body.
const LOGGED_BODY_BYTES_MAX: usize = 16 * 1_024;

impl State {
    /// All is as it should be, but for what was put aside.
    pub(super) fn finish(&mut self) -> Command {
        let next = if self.is(Mark::Again) {
            Next::RetryAt(self.backoff())
        } else if self.is(Mark::Held) {
            Next::Hold
        } else {
            self.pause.map_or(Next::Done, Next::PauseUntil)
        };
        self.conclude(next)
    }

    /// Ends the claim.
    pub(super) fn conclude(&mut self, next: Next) -> Command {
        self.phase = Phase::Ended;
        if let Some(lost) = self.lost.take() {
            self.link = Some(Link {
                state: LinkState::Uncertain,
                updated: self.now,
                ..lost
            });
        }
        if self.is(Mark::Unproven)
            && let Some(link) = &mut self.link
        {
            link.state = LinkState::Uncertain;
        }
        let link = match &self.link {
            same if *same == self.stored => LinkChange::Keep,
            Some(link) => LinkChange::Set(link.clone()),
            None => LinkChange::Remove,
        };
        let awaits = match (self.scope, &self.desired) {
            (Scope::Wanted, desired) => desired.as_ref().map(|desired| desired.awaits.clone()),
            _ => Some(Vec::new()),
        };
        let reach = self
            .contact
            .reach(self.about.claim.unanswered, self.now, self.about.random);
        Command::Record(Box::new(Record {
            claim: self.about.claim.clone(),
            link,
            log: self.take_lines(),
            at: self.now,
            next,
            awaits,
            also: std::mem::take(&mut self.also),
            reach,
        }))
    }

    /// What an answer says about when the application may be asked again.
    pub(super) fn heed(&mut self, wait: Option<RetryAfter>, is_success: bool) {
        if is_success && self.about.knowledge.is_throttled() {
            self.learn(Fact::Flows);
        }
        if let Some(wait) = wait {
            self.pause = Some(pacing::resume_at(self.now, wait));
        }
    }

    /// What follows a request that did not work and that no step knows better about.
    pub(super) fn fail(&mut self, step: &'static str, trace: &Trace, failure: &Failure) -> Command {
        let (kind, why) = match failure {
            Failure::Throttled => {
                let until = self
                    .pause
                    .unwrap_or_else(|| self.about.knowledge.throttled_until(self.now));
                self.learn(Fact::Throttled {
                    now: self.now,
                    until,
                });
                self.note(step, "retry", trace, "the application asks us to wait");
                return self.conclude(Next::PauseUntil(until));
            }
            Failure::Unauthorized => {
                self.note(step, "retry", trace, "the application refuses our token");
                return self.conclude(Next::PauseUntil(pacing::after(
                    self.now,
                    pacing::UNAUTHORIZED_MILLISECONDS,
                )));
            }
            Failure::NotReached | Failure::Unknown { .. } => return self.retry(step, trace, ""),
            Failure::NotUnderstood => {
                return self.retry(
                    step,
                    trace,
                    "the answer is not one of SCIM, so it is not known what was done",
                );
            }
            Failure::Refused(refusal) => (refusal.kind, "the application does not accept this"),
        };
        match kind {
            // A 403 may be about this one account (an owner that cannot be changed): the others are not to wait for it.
            RefusalKind::Forbidden => self.retry(step, trace, "our token does not allow this"),
            RefusalKind::NotFound | RefusalKind::NotOffered => self.retry(
                step,
                trace,
                "the application does not offer this; is its base URL right?",
            ),
            RefusalKind::Version => {
                self.retry(step, trace, "the account has changed since it was read")
            }
            _ => self.hold(step, trace, why),
        }
    }

    /// Again after a while.
    pub(super) fn retry(&mut self, step: &str, trace: &Trace, why: &str) -> Command {
        self.note(step, "retry", trace, why);
        self.conclude(
            self.pause
                .map_or_else(|| Next::RetryAt(self.backoff()), Next::PauseUntil),
        )
    }

    /// Not before something changes.
    pub(super) fn hold(&mut self, step: &str, trace: &Trace, why: &str) -> Command {
        self.note(step, "held", trace, why);
        self.conclude(Next::Hold)
    }

    /// What was not accepted is left out of everything else that this claim sends; the claim ends with it.
    pub(super) fn put_aside(
        &mut self,
        step: &str,
        name: String,
        mark: Mark,
        trace: &Trace,
        why: &str,
    ) {
        self.aside.insert(name);
        self.set(mark);
        self.note(
            step,
            if mark == Mark::Held { "held" } else { "retry" },
            trace,
            why,
        );
    }

    pub(super) fn backoff(&self) -> Timestamp {
        pacing::after(
            self.now,
            pacing::backoff_milliseconds(self.about.claim.attempts, self.about.random),
        )
    }

    /// A link of this resource, written now.
    pub(super) fn new_link(
        &self,
        remote_id: Option<String>,
        state: LinkState,
        from: Option<&Link>,
    ) -> Link {
        Link {
            application: self.about.application.id,
            resource_type: self.about.claim.resource_type.clone(),
            resource_id: self.about.claim.resource_id.clone(),
            remote_id,
            state,
            acknowledged: from
                .map(|link| link.acknowledged.clone())
                .unwrap_or_default(),
            acknowledged_members: from
                .map(|link| link.acknowledged_members.clone())
                .unwrap_or_default(),
            updated: self.now,
        }
    }

    /// Marks the groups that name this account out of date.
    pub(super) fn mark_groups(&mut self, verify: bool) {
        let groups = self
            .about
            .subject
            .iter()
            .flat_map(|subject| &subject.groups)
            .filter(|group| group.direct);
        let groups: Vec<OutOfDate> = groups
            .map(|group| OutOfDate {
                verify,
                ..self.to_verify(&group.resource_type, &group.id)
            })
            .collect();
        self.also.extend(groups);
    }

    /// Another resource whose account is to be read and compared.
    pub(super) fn to_verify(&self, resource_type: &str, resource_id: &str) -> OutOfDate {
        OutOfDate {
            application: self.about.application.id,
            resource_type: resource_type.to_owned(),
            resource_id: resource_id.to_owned(),
            priority: scope::priority(resource_type, false),
            due: self.now,
            verify: true,
        }
    }

    /// A line of the provisioning log.
    pub(super) fn note(&mut self, step: &str, outcome: &str, trace: &Trace, why: &str) {
        let detail = [why, trace.said.as_str()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(": ");
        self.log.push(LogEntry {
            at: self.now,
            application: self.about.application.id,
            resource_type: self.about.claim.resource_type.clone(),
            resource_id: self.about.claim.resource_id.clone(),
            display: self.display(),
            step: step.to_owned(),
            outcome: outcome.to_owned(),
            request: trace.request.clone(),
            request_body: trace.body.as_ref().map(|body| shorten(body.to_string())),
            status: trace.status,
            detail,
            duration_milliseconds: trace.milliseconds,
            attempt: self.about.claim.attempts.saturating_add(1),
        });
    }

    fn display(&self) -> String {
        let documents = [
            self.about
                .subject
                .as_ref()
                .map(|subject| &*subject.document),
            self.link.as_ref().map(|link| &link.acknowledged),
        ];
        let mut names = documents.into_iter().flatten().flat_map(|document| {
            ["userName", "displayName"]
                .into_iter()
                .filter_map(|key| get(document, key).and_then(serde_json::Value::as_str))
        });
        names
            .next()
            .unwrap_or(&self.about.claim.resource_id)
            .to_owned()
    }
}

fn shorten(mut text: String) -> String {
    if text.len() > LOGGED_BODY_BYTES_MAX {
        let end = (0..=LOGGED_BODY_BYTES_MAX)
            .rev()
            .find(|end| text.is_char_boundary(*end))
            .unwrap_or(0);
        text.truncate(end);
        text.push_str(" ...");
    }
    text
}
