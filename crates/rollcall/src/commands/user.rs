//! `rollcall user`: people. Every write goes through `Directory`, as if an identity provider had sent it.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::assignment::Assignment;
use crate::commands::{Find, TenantArgument, show, text_at};
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::identities::Identities;
use crate::output::Output;
use crate::wiring::{Missing, Rollcall};

/// `rollcall user ...`
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List people
    #[command(
        after_help = "Examples:\n  rollcall user list\n  rollcall user list --filter 'active eq false'\n  \
        rollcall user list --filter 'emails.value co \"@example.com\"' --json"
    )]
    List(Find),
    /// Show one person
    Show(Named),
    /// Create a person
    #[command(
        after_help = "Example:\n  rollcall user create ada@example.com --set name.givenName=Ada --set name.familyName=Lovelace \\\n    \
        --set emails.work=ada@example.com --set department=Engines"
    )]
    Create(Create),
    /// Change attributes of a person
    #[command(
        after_help = "Examples:\n  rollcall user edit ada@example.com --set title=Countess --set department=Engines\n  \
        rollcall user edit ada@example.com --unset title"
    )]
    Edit(Edit),
    /// Set `active` to false: the person can no longer sign in, here and in every application
    Deactivate(Named),
    /// Delete a person, here and in every application
    Delete(Named),
}

/// Which person.
#[derive(Args, Debug)]
pub struct Named {
    /// Its id or userName
    user: String,
    #[command(flatten)]
    tenant: TenantArgument,
}

/// `rollcall user create`
#[derive(Args, Debug)]
pub struct Create {
    /// The login name
    user_name: String,
    #[command(flatten)]
    tenant: TenantArgument,
    /// An attribute, such as name.givenName=Ada, emails.work=ada@example.com or department=Engines; may be repeated
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
}

/// `rollcall user edit`
#[derive(Args, Debug)]
pub struct Edit {
    /// Its id or userName
    user: String,
    #[command(flatten)]
    tenant: TenantArgument,
    /// An attribute and its new value; may be repeated
    #[arg(long, value_name = "PATH=VALUE", required_unless_present = "unset")]
    set: Vec<String>,
    /// An attribute that is to have no value; may be repeated
    #[arg(long, value_name = "PATH")]
    unset: Vec<String>,
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
            let identities = rollcall
                .identities(&rollcall.tenant(&named.tenant.tenant).await?)
                .await?;
            show(
                identities.shown("User", identities.get("User", &named.user).await?),
                output,
            );
            Ok(())
        }
        Command::Create(arguments) => create(&rollcall, arguments, output).await,
        Command::Edit(arguments) => edit(&rollcall, arguments, output).await,
        Command::Deactivate(named) => {
            let identities = rollcall
                .identities(&rollcall.tenant(&named.tenant.tenant).await?)
                .await?;
            let user = change(&identities, &named.user, |user| {
                drop(user.insert("active".into(), false.into()));
            })
            .await?;
            output.say(
                format!("{} is deactivated.", text_at(&user, "userName")),
                &Value::Object(identities.shown("User", user)),
            );
            Ok(())
        }
        Command::Delete(named) => {
            let identities = rollcall
                .identities(&rollcall.tenant(&named.tenant.tenant).await?)
                .await?;
            let user = identities.get("User", &named.user).await?;
            let (id, name) = (text_at(&user, "id"), text_at(&user, "userName"));
            identities.delete("User", &id).await?;
            output.say(
                format!("{name} is deleted."),
                &json!({ "id": id, "userName": name, "deleted": true }),
            );
            Ok(())
        }
    }
}

async fn list(rollcall: &Rollcall, find: &Find, output: Output) -> Result<(), Failure> {
    let identities = rollcall
        .identities(&rollcall.tenant(&find.tenant.tenant).await?)
        .await?;
    let mut page = identities.search("User", find.request("userName")).await?;
    page.resources = page
        .resources
        .into_iter()
        .map(|user| identities.shown("User", user))
        .collect();
    let rows = page.resources.iter().map(row).collect();
    output.table(
        &["userName", "name", "active", "id"],
        rows,
        "Nobody matches.",
        &find.page_json(&page),
    );
    find.say_rest(&page, output);
    Ok(())
}

fn row(user: &Map<String, Value>) -> Vec<String> {
    let display = text_at(user, "displayName");
    let name = if display.is_empty() {
        full_name(user)
    } else {
        display
    };
    let active = match user.get("active") {
        Some(Value::Bool(false)) => "no",
        _ => "yes",
    };
    vec![
        text_at(user, "userName"),
        name,
        active.to_owned(),
        text_at(user, "id"),
    ]
}

fn full_name(user: &Map<String, Value>) -> String {
    let Some(name) = user.get("name").and_then(Value::as_object) else {
        return String::new();
    };
    let formatted = text_at(name, "formatted");
    if !formatted.is_empty() {
        return formatted;
    }
    format!(
        "{} {}",
        text_at(name, "givenName"),
        text_at(name, "familyName")
    )
    .trim()
    .to_owned()
}

async fn create(rollcall: &Rollcall, arguments: Create, output: Output) -> Result<(), Failure> {
    let identities = rollcall
        .identities(&rollcall.tenant(&arguments.tenant.tenant).await?)
        .await?;
    let mut document = Map::new();
    document.insert("userName".into(), arguments.user_name.into());
    document.insert("active".into(), true.into());
    set_all(&identities, &mut document, &arguments.set)?;
    let user = identities.create("User", document).await?;
    let text = format!(
        "{} is there, with the id {}.",
        text_at(&user, "userName"),
        text_at(&user, "id")
    );
    output.say(text, &Value::Object(identities.shown("User", user)));
    Ok(())
}

async fn edit(rollcall: &Rollcall, arguments: Edit, output: Output) -> Result<(), Failure> {
    let identities = rollcall
        .identities(&rollcall.tenant(&arguments.tenant.tenant).await?)
        .await?;
    let schema = identities.schema("User")?;
    let before = identities.get("User", &arguments.user).await?;
    let mut document = before.clone();
    set_all(&identities, &mut document, &arguments.set)?;
    for path in &arguments.unset {
        Assignment::parse(&schema, path)?.unset(&mut document);
    }
    let user = identities.replace("User", &before, document).await?;
    output.say(
        format!("{} is changed.", text_at(&user, "userName")),
        &Value::Object(identities.shown("User", user)),
    );
    Ok(())
}

fn set_all(
    identities: &Identities,
    document: &mut Map<String, Value>,
    pairs: &[String],
) -> Result<(), Failure> {
    let schema = identities.schema("User")?;
    for pair in pairs {
        let (path, value) = pair.split_once('=').ok_or_else(|| {
            Failure::usage(format!(
                "--set {pair}: PATH=VALUE was expected, such as title=Countess"
            ))
        })?;
        Assignment::parse(&schema, path)?.set(document, value)?;
    }
    Ok(())
}

async fn change(
    identities: &Identities,
    user: &str,
    edit: impl FnOnce(&mut Map<String, Value>),
) -> Result<Map<String, Value>, Failure> {
    let before = identities.get("User", user).await?;
    let mut document = before.clone();
    edit(&mut document);
    identities.replace("User", &before, document).await
}
