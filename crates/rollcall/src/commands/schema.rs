//! `rollcall schema` and `rollcall resource-type`: what resources of a tenant may have. Each takes the same arguments.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use directory::access::{Caller, Permissions};
use directory::directory::Edited;
use directory::schema_change::Edit;
use directory::schema_store::Activation;
use directory::tenant_types::{
    DocumentKind, DocumentVersion, resource_type_document, schema_document,
};
use scim_protocol::schema::optional;
use serde_json::{Value, json};

use super::TenantArgument;
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::output::{Output, instant};
use crate::wiring::{Missing, Rollcall};

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

/// What a command is about.
struct Subject {
    rollcall: Rollcall,
    caller: Caller,
    kind: DocumentKind,
    output: Output,
}

impl Subject {
    async fn open(
        configuration: &Configuration,
        kind: DocumentKind,
        tenant: &TenantArgument,
        output: Output,
    ) -> Result<Self, Failure> {
        let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
        let tenant = Arc::new(rollcall.tenant(&tenant.tenant).await?);
        let caller = rollcall
            .directory
            .caller(tenant, "command-line".into(), Permissions::all())
            .await?;
        Ok(Self {
            rollcall,
            caller,
            kind,
            output,
        })
    }

    /// Name and document of each.
    async fn documents(&self) -> Result<Vec<(String, Value)>, Failure> {
        let types = self.rollcall.directory.types(&self.caller).await?;
        Ok(match self.kind {
            DocumentKind::Schema => types
                .schemas
                .iter()
                .map(|schema| (schema.id.clone(), schema_document(schema)))
                .collect(),
            DocumentKind::ResourceType => types
                .resource_types
                .iter()
                .map(|found| (found.name.clone(), resource_type_document(found)))
                .collect(),
        })
    }

    async fn edit(&self, edit: Edit, dry_run: bool) -> Result<(), Failure> {
        let activation = if dry_run {
            Activation::Rehearse
        } else {
            Activation::Keep
        };
        let Edited {
            sentences,
            activated,
        } = self
            .rollcall
            .directory
            .edit_types(&self.caller, &edit, activation)
            .await?;
        let mut lines = sentences.clone();
        if lines.is_empty() {
            lines.push("Nothing changes.".into());
        } else {
            let (checked, indexed) = (activated.resources_checked, activated.resources_indexed);
            lines.push(format!(
                "{checked} stored resources were looked at, {indexed} got other index rows."
            ));
            if dry_run {
                lines.push("Nothing was changed; without --dry-run it will be.".into());
            }
        }
        let value = json!({
            "dryRun": dry_run, "revision": activated.revision, "changes": sentences,
            "resourcesChecked": activated.resources_checked, "resourcesIndexed": activated.resources_indexed,
        });
        self.output.say(lines.join("\n"), &value);
        Ok(())
    }
}

/// Runs it.
pub async fn run(
    command: Command,
    kind: DocumentKind,
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    match command {
        Command::Add(Add {
            file,
            dry_run,
            tenant,
        }) => {
            let document = document(&file, kind)?;
            let subject = Subject::open(configuration, kind, &tenant, output).await?;
            let edit = match kind {
                DocumentKind::Schema => Edit::PutSchema(document),
                DocumentKind::ResourceType => Edit::PutResourceType(document),
            };
            subject.edit(edit, dry_run).await
        }
        Command::List { tenant } => {
            let subject = Subject::open(configuration, kind, &tenant, output).await?;
            let documents = subject.documents().await?;
            let rows = documents
                .iter()
                .map(|(name, document)| vec![name.clone(), summary(document)])
                .collect();
            let value = Value::Array(
                documents
                    .iter()
                    .map(|(_, document)| document.clone())
                    .collect(),
            );
            output.table(
                &["name", "what it has"],
                rows,
                "The tenant has none of its own.",
                &value,
            );
            Ok(())
        }
        Command::Show(Named { name, tenant }) => {
            let subject = Subject::open(configuration, kind, &tenant, output).await?;
            let types = subject.rollcall.directory.types(&subject.caller).await?;
            let found = match kind {
                DocumentKind::Schema => types
                    .known_schema(&name)
                    .map(|schema| schema_document(&schema)),
                DocumentKind::ResourceType => types
                    .known_type(&name)
                    .map(|found| resource_type_document(&found)),
            };
            let found = found.ok_or_else(|| {
                Failure::not_found(format!("there is no {} `{name}`", kind.name()))
            })?;
            output.say(
                serde_json::to_string_pretty(&found).unwrap_or_default(),
                &found,
            );
            Ok(())
        }
        Command::Remove(Remove {
            named: Named { name, tenant },
            dry_run,
        }) => {
            let subject = Subject::open(configuration, kind, &tenant, output).await?;
            let edit = match kind {
                DocumentKind::Schema => Edit::RemoveSchema(name),
                DocumentKind::ResourceType => Edit::RemoveResourceType(name),
            };
            subject.edit(edit, dry_run).await
        }
        Command::History(Named { name, tenant }) => {
            let subject = Subject::open(configuration, kind, &tenant, output).await?;
            let versions = subject
                .rollcall
                .directory
                .type_history(&subject.caller, kind, &name)
                .await?;
            let row = |version: &DocumentVersion| {
                let what = version
                    .document
                    .as_ref()
                    .map_or_else(|| "removed".into(), summary);
                vec![
                    version.version.to_string(),
                    instant(version.at),
                    version.author.clone(),
                    what,
                ]
            };
            let value = versions.iter().map(|version| {
                json!({"version": version.version, "at": version.at.to_string(), "author": version.author, "document": version.document})
            });
            output.table(
                &["version", "since", "by", "what it has"],
                versions.iter().map(row).collect(),
                "",
                &value.collect(),
            );
            Ok(())
        }
    }
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
