//! *(shell)* The requests that read and change one account, and what each answer means for its link. Does not decide which of them is sent.

use std::sync::Arc;

use directory::store::Fault;
use serde_json::{Map, Value, json};

use crate::connector::{Capabilities, Exchange, Reply, get};
use crate::ledger::Written;
use crate::link::{Link, LinkState};
use crate::mapping::{self, Desired};
use crate::outcome::{self, Outcome};
use crate::plan::{self, Patch};
use crate::worker::run::{Flow, Run};

impl Run<'_> {
    /// Makes an account. The link says so before the request leaves, so that whoever comes after a crash looks before making another.
    pub(super) async fn create(&mut self) -> Result<Flow, Fault> {
        let Some(desired) = self.desired.clone() else { return Ok(Flow::Again) };
        // Where there is no PATCH, later members would each cost a whole PUT.
        let members_max = if self.patch { self.members_max() } else { usize::MAX };
        let members: Vec<(&String, &bool)> = desired.members.iter().take(members_max).collect();
        let body = mapping::creation(&self.schema, &desired.document, mapping::member_elements(members.iter().copied()));
        if self.unnamed {
            let nothing = Exchange {
                request: String::new(),
                body: None,
                reply: Reply::NotSent("a second account might be a twin".into()),
                milliseconds: 0,
            };
            return Ok(self.hold("create", &nothing, "an account was made that told no id and cannot be found"));
        }
        let creating = self.new_link(None, LinkState::Creating, desired.document.clone(), Vec::new());
        if self.write_link(creating).await? != Written::Written {
            return Ok(Flow::LeaseLost);
        }
        let (target, schema) = (self.target(), Arc::clone(&self.schema));
        let Some(exchange) = self.ask(target.create(schema.name(), body)).await? else { return Ok(Flow::LeaseLost) };
        match outcome::classify(&exchange.reply, self.now()) {
            Outcome::Accepted(answer) => {
                let remote_id = answer.body.as_ref().and_then(|body| get(body, "id")?.as_str()).filter(|id| !id.is_empty());
                let Some(remote_id) = remote_id else {
                    self.unnamed = true;
                    self.note("create", "done", &exchange, "the answer has no id; the account is looked for");
                    return Ok(Flow::Again);
                };
                let members = members.into_iter().map(|(id, _)| id.clone()).collect();
                let link = self.new_link(Some(remote_id.to_owned()), LinkState::Linked, desired.document.clone(), members);
                self.made(link, &exchange).await
            }
            Outcome::Conflict if !self.conflicted => {
                self.conflicted = true;
                self.note("create", "retry", &exchange, "there is such an account already; it is looked for");
                Ok(Flow::Again)
            }
            Outcome::Refused => {
                // Refused for certain, so there is nothing to look for.
                self.link = None;
                Ok(self.fail("create", &exchange))
            }
            _ => Ok(self.fail("create", &exchange)),
        }
    }

    /// Links the account that a create was answered with, unless it is another's: who answers so has made none, and may have changed that one.
    async fn made(&mut self, link: Link, exchange: &Exchange) -> Result<Flow, Fault> {
        self.note("create", "done", exchange, "");
        match self.write_link(link.clone()).await? {
            Written::Written => {
                self.verify = false;
                self.link_to(link).await?;
                Ok(Flow::Again)
            }
            Written::Taken => {
                self.unnote();
                // Between the two looks it may have been let go; then nobody's account was touched.
                let owner = self.owner_of(link.remote_id.as_deref()).await?.unwrap_or_default();
                if !owner.is_empty() {
                    let touched = self.to_verify(&link.resource_type, &owner);
                    self.also.push(touched);
                }
                let why =
                    format!("the answer names an account that is linked to another resource, {owner:?}, so it is not linked to this one");
                Ok(self.hold("create", exchange, &why))
            }
            Written::LeaseLost => Ok(Flow::LeaseLost),
        }
    }

    /// Reads the account and takes what it is as acknowledged.
    pub(super) async fn read(&mut self, remote_id: &str) -> Result<Flow, Fault> {
        match self.read_account(remote_id).await? {
            Ok(_) => {
                self.verify = false;
                Ok(Flow::Again)
            }
            Err(flow) => Ok(flow),
        }
    }

    async fn read_account(&mut self, remote_id: &str) -> Result<Result<Map<String, Value>, Flow>, Fault> {
        let (target, schema) = (self.target(), Arc::clone(&self.schema));
        let Some(exchange) = self.ask(target.read(schema.name(), remote_id)).await? else { return Ok(Err(Flow::LeaseLost)) };
        match outcome::classify(&exchange.reply, self.now()) {
            Outcome::Accepted(answer) => {
                let Some(account) = answer.body.clone().filter(|account| get(account, "id").and_then(Value::as_str) == Some(remote_id))
                else {
                    return Ok(Err(self.retry("read", &exchange, "the answer is not the account")));
                };
                self.note("read", "done", &exchange, "");
                let before = self.link.take().map(|link| link.acknowledged).unwrap_or_default();
                let empty = Map::new();
                let wanted = self.desired.as_ref().map_or(&empty, |desired| &desired.document);
                let acknowledged = mapping::managed(&schema, &account, &before, wanted);
                let members = if schema.name() == "Group" { mapping::members_of(&account) } else { Vec::new() };
                self.link = Some(self.new_link(Some(remote_id.to_owned()), LinkState::Linked, acknowledged, members));
                Ok(Ok(account))
            }
            // A page of HTML proves nothing, and neither does this 404 alone: the account is looked for before another one is made.
            Outcome::Gone | Outcome::NotOffered => Ok(Err(self.vanish("read", &exchange))),
            _ => Ok(Err(self.fail("read", &exchange))),
        }
    }

    /// Changes the account. Where another has its new name, everything else is sent without it: whether somebody may still sign in does not wait for a name.
    pub(super) async fn update(&mut self, patch: Patch) -> Result<Flow, Fault> {
        let acknowledged = self.link.as_ref().filter(|_| !self.conflicted).map(|link| &link.acknowledged);
        let rest = acknowledged.and_then(|acknowledged| plan::without_name(&patch, self.schema.name(), acknowledged));
        let message = plan::message(&patch.operations);
        let flow = self.send_patch("update", &patch.remote_id, message, patch.document, patch.members).await?;
        let (Flow::Conflict(step, exchange), Some(rest)) = (&flow, rest) else { return Ok(flow) };
        self.conflicted = true;
        self.note(step, "retry", exchange, "another account has this name; the rest is sent without it");
        let message = plan::message(&rest.operations);
        self.send_patch("update", &rest.remote_id, message, rest.document, rest.members).await
    }

    async fn send_patch(
        &mut self,
        step: &'static str,
        remote_id: &str,
        message: Value,
        document: Map<String, Value>,
        members: Vec<String>,
    ) -> Result<Flow, Fault> {
        let (target, schema) = (self.target(), Arc::clone(&self.schema));
        let Some(exchange) = self.ask(target.patch(schema.name(), remote_id, message)).await? else { return Ok(Flow::LeaseLost) };
        if matches!(outcome::classify(&exchange.reply, self.now()), Outcome::NotOffered) {
            self.without_patch(step, &exchange);
            return Ok(Flow::Again);
        }
        Ok(self.acknowledge(step, remote_id, &exchange, document, members))
    }

    /// PATCH is not offered: PUT from now on. A 404 that is not SCIM may be a proxy's and is not remembered for other accounts.
    fn without_patch(&mut self, step: &str, exchange: &Exchange) {
        self.note(step, "retry", exchange, "the application does not offer PATCH; PUT is sent instead");
        self.patch = false;
        if matches!(&exchange.reply, Reply::Answer(answer) if answer.status != 404) {
            let capabilities = Capabilities { patch: false, ..Capabilities::clone(&self.capabilities) };
            self.capabilities = self.worker.remember(self.application.id, capabilities);
        }
    }

    /// What the answer to a write means for the link: acknowledged, gone, or uncertain.
    fn acknowledge(
        &mut self,
        step: &'static str,
        remote_id: &str,
        exchange: &Exchange,
        document: Map<String, Value>,
        members: Vec<String>,
    ) -> Flow {
        match outcome::classify(&exchange.reply, self.now()) {
            Outcome::Accepted(_) => {
                self.note(step, "done", exchange, "");
                self.link = Some(self.new_link(Some(remote_id.to_owned()), LinkState::Linked, document, members));
                Flow::Again
            }
            Outcome::Gone => self.vanish(step, exchange),
            // It may have had its effect, or a part of it: read before the next write.
            Outcome::Unreachable { uncertain: true } | Outcome::Refused | Outcome::Conflict => {
                let (mut union, mut all) = self.link.take().map(|link| (link.acknowledged, link.acknowledged_members)).unwrap_or_default();
                union.extend(document);
                all.extend(members);
                all.sort_unstable();
                all.dedup();
                self.link = Some(self.new_link(Some(remote_id.to_owned()), LinkState::Uncertain, union, all));
                self.fail(step, exchange)
            }
            _ => self.fail(step, exchange),
        }
    }

    /// Reads the account and replaces it where it is not as it should be.
    pub(super) async fn replace(&mut self, remote_id: &str) -> Result<Flow, Fault> {
        let Some(desired) = self.desired.clone() else { return Ok(Flow::Again) };
        self.put("update", remote_id, desired).await
    }

    async fn put(&mut self, step: &'static str, remote_id: &str, desired: Desired) -> Result<Flow, Fault> {
        let account = match self.read_account(remote_id).await? {
            Ok(account) => account,
            Err(flow) => return Ok(flow),
        };
        let Some(link) = &self.link else { return Ok(Flow::Again) };
        let members: Vec<String> = desired.members.keys().cloned().collect();
        let same = plan::changes(&self.schema, &link.acknowledged, &desired.document).is_empty() && link.acknowledged_members == members;
        if same {
            return Ok(Flow::Again);
        }
        let body = mapping::replacement(&self.schema, &account, &link.acknowledged, &desired);
        let (target, schema) = (self.target(), Arc::clone(&self.schema));
        let Some(exchange) = self.ask(target.replace(schema.name(), remote_id, body)).await? else { return Ok(Flow::LeaseLost) };
        if matches!(outcome::classify(&exchange.reply, self.now()), Outcome::NotOffered) {
            return Ok(self.retry(step, &exchange, "the application offers neither PATCH nor PUT"));
        }
        Ok(self.acknowledge(step, remote_id, &exchange, desired.document, members))
    }

    /// Deactivates the account of somebody who is gone.
    pub(super) async fn deactivate(&mut self, remote_id: &str) -> Result<Flow, Fault> {
        let (mut document, members) =
            self.link.as_ref().map(|link| (link.acknowledged.clone(), link.acknowledged_members.clone())).unwrap_or_default();
        document.insert("active".into(), Value::Bool(false));
        let flow = if self.patch {
            let message = plan::message(&[json!({ "op": "replace", "path": "active", "value": false })]);
            self.send_patch("deactivate", remote_id, message, document, members).await?
        } else {
            let desired = Desired { document, members: members.into_iter().map(|id| (id, false)).collect(), awaits: Vec::new() };
            self.put("deactivate", remote_id, desired).await?
        };
        Ok(flow)
    }

    /// Deletes the account of somebody who is gone, or a group that is.
    pub(super) async fn delete(&mut self, remote_id: &str) -> Result<Flow, Fault> {
        let (target, schema) = (self.target(), Arc::clone(&self.schema));
        let Some(exchange) = self.ask(target.delete(schema.name(), remote_id)).await? else { return Ok(Flow::LeaseLost) };
        match outcome::classify(&exchange.reply, self.now()) {
            Outcome::Accepted(_) => {
                self.note("delete", "done", &exchange, "");
                self.link = None;
                Ok(Flow::Again)
            }
            Outcome::Gone => {
                self.note("delete", "done", &exchange, "it was gone already");
                self.link = None;
                Ok(Flow::Again)
            }
            Outcome::NotOffered if matches!(&exchange.reply, Reply::Answer(answer) if answer.status == 404) => {
                Ok(self.vanish("delete", &exchange))
            }
            Outcome::NotOffered if schema.name() == "User" => {
                self.note("delete", "retry", &exchange, "the application does not delete; the account is deactivated instead");
                self.application.settings.delete_users = false;
                Ok(Flow::Again)
            }
            Outcome::NotOffered => Ok(self.hold("delete", &exchange, "the application does not delete groups")),
            _ => Ok(self.fail("delete", &exchange)),
        }
    }
}
