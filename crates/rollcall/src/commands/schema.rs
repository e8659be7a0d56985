//! `rollcall schema` and `rollcall resource-type`: what resources of a tenant may have. Each takes the same arguments.

use std::io::Read;
use std::path::{Path, PathBuf};

use administration::schemas::{Outcome, Version};
use clap::{Args, Subcommand};
use directory::tenant_types::DocumentKind;
use scim_protocol::schema::optional;
use serde_json::{Value, json};

use super::TenantArgument;
use crate::admin_client::{AdminClient, Destination, Request};
use crate::failure::Failure;
use crate::operations::{
    LIST_RESOURCE_TYPES, LIST_SCHEMAS, Operation, PUT_RESOURCE_TYPE, PUT_SCHEMA,
    READ_RESOURCE_TYPE, READ_SCHEMA, REMOVE_RESOURCE_TYPE, REMOVE_SCHEMA, RESOURCE_TYPE_HISTORY,
    SCHEMA_HISTORY,
};
use crate::output::{Output, instant};

/// Largest document that is read.
const DOCUMENT_BYTES_MAX: u64 = 1024 * 1024;

/// `rollcall schema ...`, `rollcall resource-type ...`
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Add or change one, where it does not contradict what is stored
    Add(Add),
    /// List those that the tenant has of its own
    List {
        #[command(flatten)]
        tenant: TenantArgument,
    },
    /// Show one, as the document that `add` takes
    Show(Named),
    /// Remove one that is not in use
    Remove(Remove),
    /// Show every version that there ever was
    History(Named),
}

/// `rollcall schema add`
#[derive(Args, Debug)]
pub struct Add {
    /// A file with the JSON document (RFC 7643 section 7 for schemas, 6 for resource types), `-` for standard input; or the name of a
    /// resource type that Rollcall brings: Device, EndpointApp, Agent, AgenticApplication, Role, Entitlement
    file: PathBuf,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    tenant: TenantArgument,
}

/// One of them.
#[derive(Args, Debug)]
pub struct Named {
    /// Its URN, or the name of the resource type
    name: String,
    #[command(flatten)]
    tenant: TenantArgument,
}

/// `rollcall schema remove`
#[derive(Args, Debug)]
pub struct Remove {
    #[command(flatten)]
    named: Named,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
}

/// The operations on documents of one kind.
struct Operations {
    list: &'static Operation,
    put: &'static Operation,
    read: &'static Operation,
    remove: &'static Operation,
    history: &'static Operation,
    /// The member of a document that names it.
    name: &'static str,
}

impl Operations {
    fn of(kind: DocumentKind) -> Self {
        match kind {
            DocumentKind::Schema => Self {
                list: &LIST_SCHEMAS,
                put: &PUT_SCHEMA,
                read: &READ_SCHEMA,
                remove: &REMOVE_SCHEMA,
                history: &SCHEMA_HISTORY,
                name: "id",
            },
            DocumentKind::ResourceType => Self {
                list: &LIST_RESOURCE_TYPES,
                put: &PUT_RESOURCE_TYPE,
                read: &READ_RESOURCE_TYPE,
                remove: &REMOVE_RESOURCE_TYPE,
                history: &RESOURCE_TYPE_HISTORY,
                name: "name",
            },
        }
    }
}

/// Runs it.
pub async fn run(
    command: Command,
    kind: DocumentKind,
    destination: &Destination<'_>,
    output: Output,
) -> Result<(), Failure> {
    let operations = Operations::of(kind);
    match command {
        Command::Add(Add {
            file,
            dry_run,
            tenant,
        }) => {
            let document = document(&file, kind)?;
            let client = destination.open().await?;
            let request = client.request(operations.put, &[&tenant.tenant]);
            edit(request.body(&document), dry_run, output).await
        }
        Command::List { tenant } => {
            let client = destination.open().await?;
            list(&client, &operations, &tenant.tenant, output).await
        }
        Command::Show(Named { name, tenant }) => {
            let client = destination.open().await?;
            let request = client.request(operations.read, &[&tenant.tenant, &name]);
            let found: Value = request.answer().await?;
            let text = serde_json::to_string_pretty(&found).unwrap_or_default();
            output.say(text, &found);
            Ok(())
        }
        Command::Remove(Remove {
            named: Named { name, tenant },
            dry_run,
        }) => {
            let client = destination.open().await?;
            let request = client.request(operations.remove, &[&tenant.tenant, &name]);
            edit(request, dry_run, output).await
        }
        Command::History(Named { name, tenant }) => {
            let client = destination.open().await?;
            let request = client.request(operations.history, &[&tenant.tenant, &name]);
            history(request, output).await
        }
    }
}

async fn edit(request: Request<'_>, dry_run: bool, output: Output) -> Result<(), Failure> {
    let request = request.query_if("dryRun", dry_run.then_some(true));
    let outcome: Outcome = request.answer().await?;
    let mut lines = outcome.changes.clone();
    if lines.is_empty() {
        lines.push("Nothing changes.".into());
    } else {
        let (checked, indexed) = (outcome.resources_checked, outcome.resources_indexed);
        lines.push(format!(
            "{checked} stored resources were looked at, {indexed} got other index rows."
        ));
        if dry_run {
            lines.push("Nothing was changed; without --dry-run it will be.".into());
        }
    }
    output.say(lines.join("\n"), &json!(outcome));
    Ok(())
}

async fn list(
    client: &AdminClient,
    operations: &Operations,
    tenant: &str,
    output: Output,
) -> Result<(), Failure> {
    let documents: Vec<Value> = client.request(operations.list, &[tenant]).answer().await?;
    let row = |document: &Value| {
        let name = document.get(operations.name).and_then(Value::as_str);
        vec![name.unwrap_or_default().to_owned(), summary(document)]
    };
    output.table(
        &["name", "what it has"],
        documents.iter().map(row).collect(),
        "The tenant has none of its own.",
        &json!(documents),
    );
    Ok(())
}

async fn history(request: Request<'_>, output: Output) -> Result<(), Failure> {
    let versions: Vec<Version> = request.answer().await?;
    let row = |version: &Version| {
        let what = version
            .document
            .as_ref()
            .map_or_else(|| "removed".into(), summary);
        vec![
            version.number.to_string(),
            instant(version.at),
            version.author.clone(),
            what,
        ]
    };
    output.table(
        &["version", "since", "by", "what it has"],
        versions.iter().map(row).collect(),
        "",
        &json!(versions),
    );
    Ok(())
}

/// The names of a document's attributes, or a resource type's endpoint and extensions.
fn summary(document: &Value) -> String {
    let text = |value: &Value, name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let all = |name: &str, of: &str| {
        let elements = document
            .get(name)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        elements
            .iter()
            .map(|element| text(element, of))
            .collect::<Vec<_>>()
    };
    match document.get("endpoint") {
        Some(_) => std::iter::once(text(document, "endpoint"))
            .chain(all("schemaExtensions", "schema"))
            .collect::<Vec<_>>()
            .join(" "),
        None => all("attributes", "name").join(" "),
    }
}

fn document(file: &Path, kind: DocumentKind) -> Result<Value, Failure> {
    let name = file.to_string_lossy();
    if kind == DocumentKind::ResourceType && optional::type_named(&name).is_some() && !file.exists()
    {
        return Ok(json!({ "name": name }));
    }
    let unreadable =
        |error: std::io::Error| Failure::refused(format!("{name} cannot be read: {error}"));
    let mut text = String::new();
    if name == "-" {
        std::io::stdin()
            .take(DOCUMENT_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
    } else {
        let opened = std::fs::File::open(file).map_err(unreadable)?;
        opened
            .take(DOCUMENT_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
    }
    serde_json::from_str(&text)
        .map_err(|error| Failure::refused(format!("{name} is not JSON: {error}")))
}
