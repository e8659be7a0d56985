//! `rollcall group`: groups and their members. Every write goes through `Directory`, as if an identity provider had sent it.

use clap::{Args, Subcommand};
use scim_protocol::patch::PATCH_SCHEMA;
use serde_json::{Map, Value, json};

use crate::commands::{Find, TenantArgument, show, text_at};
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::identities::Identities;
use crate::output::Output;
use crate::wiring::{Missing, Rollcall};

/// `rollcall group ...`
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List groups
    List(Find),
    /// Show one group and its members
    Show(Named),
    /// Create a group
    #[command(
        after_help = "Example:\n  rollcall group create Engineers --member ada@example.com --member grace@example.com"
    )]
    Create {
        /// Its displayName
        name: String,
        #[command(flatten)]
        tenant: TenantArgument,
        /// A person (id or userName) who is to be in it; may be repeated
        #[arg(long, value_name = "USER")]
        member: Vec<String>,
    },
    /// Give a group another displayName
    Rename {
        /// Its id or displayName
        group: String,
        /// Its new displayName
        name: String,
        #[command(flatten)]
        tenant: TenantArgument,
    },
    /// Delete a group, here and in every application; its members stay
    Delete(Named),
    /// Add people or groups to a group
    AddMember(Membership),
    /// Remove people or groups from a group
    RemoveMember(Membership),
}

/// Which group.
#[derive(Args, Debug)]
pub struct Named {
    /// Its id or displayName
    group: String,
    #[command(flatten)]
    tenant: TenantArgument,
}

/// Which members of which group.
#[derive(Args, Debug)]
pub struct Membership {
    /// The group's id or displayName
    group: String,
    /// Ids or userNames of people, ids or displayNames of groups
    #[arg(required = true, value_name = "MEMBER")]
    members: Vec<String>,
    #[command(flatten)]
    tenant: TenantArgument,
}

/// Runs it.
pub async fn run(
    command: Command,
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
    match command {
        Command::List(find) => list(&rollcall, &find, output).await,
        Command::Show(named) => {
            let identities = named.identities(&rollcall).await?;
            show(
                identities.shown("Group", identities.get("Group", &named.group).await?),
                output,
            );
            Ok(())
        }
        Command::Create {
            name,
            tenant,
            member,
        } => {
            let identities = rollcall
                .identities(&rollcall.tenant(&tenant.tenant).await?)
                .await?;
            let members = member_values(&identities, &member).await?;
            let mut document = Map::new();
            document.insert("displayName".into(), name.into());
            document.insert("members".into(), members.into());
            let group = identities.create("Group", document).await?;
            let text = format!(
                "Group {} is there, with the id {}.",
                text_at(&group, "displayName"),
                text_at(&group, "id")
            );
            output.say(text, &Value::Object(group));
            Ok(())
        }
        Command::Rename {
            group,
            name,
            tenant,
        } => {
            let identities = rollcall
                .identities(&rollcall.tenant(&tenant.tenant).await?)
                .await?;
            let id = identities.require_id("Group", &group).await?;
            let renamed = identities
                .patch(
                    "Group",
                    &id,
                    message(&json!({ "op": "replace", "path": "displayName", "value": name })),
                )
                .await?;
            output.say(
                format!("The group is called {name} now."),
                &Value::Object(renamed),
            );
            Ok(())
        }
        Command::Delete(named) => {
            let identities = named.identities(&rollcall).await?;
            let id = identities.require_id("Group", &named.group).await?;
            identities.delete("Group", &id).await?;
            output.say(
                format!("Group {} is deleted.", named.group),
                &json!({ "id": id, "deleted": true }),
            );
            Ok(())
        }
        Command::AddMember(members) => change_members(&rollcall, &members, true, output).await,
        Command::RemoveMember(members) => change_members(&rollcall, &members, false, output).await,
    }
}

impl Named {
    async fn identities(&self, rollcall: &Rollcall) -> Result<Identities, Failure> {
        rollcall
            .identities(&rollcall.tenant(&self.tenant.tenant).await?)
            .await
    }
}

async fn list(rollcall: &Rollcall, find: &Find, output: Output) -> Result<(), Failure> {
    let identities = rollcall
        .identities(&rollcall.tenant(&find.tenant.tenant).await?)
        .await?;
    let page = identities
        .search("Group", find.request("displayName"))
        .await?;
    let rows = page.resources.iter().map(row).collect();
    output.table(
        &["displayName", "members", "id"],
        rows,
        "No group matches.",
        &find.page_json(&page),
    );
    find.say_rest(&page, output);
    Ok(())
}

fn row(group: &Map<String, Value>) -> Vec<String> {
    let members = group
        .get("members")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    vec![
        text_at(group, "displayName"),
        members.to_string(),
        text_at(group, "id"),
    ]
}

async fn member_ids(identities: &Identities, names: &[String]) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::with_capacity(names.len());
    for name in names {
        let id = match identities.find_id("User", name).await? {
            Some(id) => id,
            None => identities.find_id("Group", name).await?.ok_or_else(|| {
                Failure::not_found(format!(
                    "there is no person and no group `{name}` in tenant {}",
                    identities.tenant_name()
                ))
            })?,
        };
        ids.push(id);
    }
    Ok(ids)
}

async fn member_values(identities: &Identities, names: &[String]) -> Result<Vec<Value>, Failure> {
    Ok(member_ids(identities, names)
        .await?
        .into_iter()
        .map(|id| json!({ "value": id }))
        .collect())
}

/// Sends members as operations, so that the cost does not depend on the size of the group.
async fn change_members(
    rollcall: &Rollcall,
    arguments: &Membership,
    add: bool,
    output: Output,
) -> Result<(), Failure> {
    let identities = rollcall
        .identities(&rollcall.tenant(&arguments.tenant.tenant).await?)
        .await?;
    let id = identities.require_id("Group", &arguments.group).await?;
    let operations: Vec<Value> = if add {
        let members = member_values(&identities, &arguments.members).await?;
        vec![json!({ "op": "add", "path": "members", "value": members })]
    } else {
        let ids = member_ids(&identities, &arguments.members).await?;
        ids.iter().map(|id| json!({ "op": "remove", "path": format!("members[value eq {}]", Value::from(id.as_str())) })).collect()
    };
    let body = json!({ "schemas": [PATCH_SCHEMA], "Operations": operations });
    let group = identities.patch("Group", &id, body).await?;
    let verb = if add { "joined" } else { "left" };
    output.say(
        format!(
            "{} {verb} {}.",
            arguments.members.join(", "),
            arguments.group
        ),
        &Value::Object(group),
    );
    Ok(())
}

fn message(operation: &Value) -> Value {
    json!({ "schemas": [PATCH_SCHEMA], "Operations": [operation] })
}
