//! A tenant's own schemas and resource types: extensions, constraints on standard schemas, types of its own, and those that this program brings, switched on or
//! off. What an edit means, and whether it contradicts what is stored, `directory` decides.

use directory::DirectoryError;
use directory::audit::Entry;
use directory::directory::Edited;
use directory::schema_change::Edit;
use directory::schema_store::Activation;
use directory::tenant_types::{
    DocumentKind, DocumentVersion, TenantTypes, resource_type_document, schema_document,
};
use jiff::Timestamp;
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::administration::Administration;
use crate::administrator::Administrator;
use crate::operations::{
    CHANGE_RESOURCE_TYPE, CHANGE_SCHEMA, Operation, READ_TYPES, REMOVE_RESOURCE_TYPE, REMOVE_SCHEMA,
};

/// Whether an edit is only tried.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Trying {
    /// `true`: the answer says what would happen, and nothing is changed; `false`, or left out: it is done.
    pub dry_run: Option<String>,
}

impl Trying {
    fn activation(&self) -> Result<Activation, Error> {
        match self.dry_run.as_deref() {
            None | Some("false") => Ok(Activation::Keep),
            Some("true") => Ok(Activation::Rehearse),
            Some(_) => {
                let detail = "`dryRun` must be `true` or `false`.";
                Err(Error::new(ErrorKind::InvalidValue, detail).at("dryRun"))
            }
        }
    }
}

/// What became of an edit of schemas and resource types, or would become of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Whether nothing was changed, because only the outcome was asked for.
    pub dry_run: bool,
    /// The revision of the tenant's types.
    pub revision: u64,
    /// Each difference, as a sentence; none where the edit changes nothing.
    pub changes: Vec<String>,
    /// Stored resources that were looked at.
    pub resources_checked: u64,
    /// Stored resources that got other index rows.
    pub resources_indexed: u64,
}

/// A version of a document.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// Counted from 1.
    #[serde(rename = "version")]
    pub number: u64,
    /// When it became the current one.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// The id of the credential that made it.
    pub author: String,
    /// What it says; null where the document was removed.
    #[schema(value_type = Option<Object>)]
    pub document: Option<Value>,
}

impl Version {
    fn of(version: DocumentVersion) -> Self {
        Self {
            number: version.version,
            at: version.at,
            author: version.author,
            document: version.document,
        }
    }
}

/// The documents that a tenant has of its own, and standard ones that it changed.
pub async fn list(
    on: &Administration,
    by: &Administrator,
    kind: DocumentKind,
) -> Result<Vec<Value>, DirectoryError> {
    by.may(&READ_TYPES)?;
    let types = on.directory.types(&by.caller).await?;
    Ok(match kind {
        DocumentKind::Schema => types.schemas.iter().map(schema_document).collect(),
        DocumentKind::ResourceType => types
            .resource_types
            .iter()
            .map(resource_type_document)
            .collect(),
    })
}

/// One of them, or a standard one.
pub async fn show(
    on: &Administration,
    by: &Administrator,
    kind: DocumentKind,
    name: &str,
) -> Result<Value, DirectoryError> {
    by.may(&READ_TYPES)?;
    let missing = || {
        let detail = format!("There is no {} `{name}`.", words(kind));
        Error::new(ErrorKind::NotFound, detail)
    };
    let types = on.directory.types(&by.caller).await?;
    Ok(document(&types, kind, name).ok_or_else(missing)?)
}

/// All versions of one that there ever were, oldest first.
pub async fn history(
    on: &Administration,
    by: &Administrator,
    kind: DocumentKind,
    name: &str,
) -> Result<Vec<Version>, DirectoryError> {
    by.may(&READ_TYPES)?;
    let versions = on.directory.type_history(&by.caller, kind, name).await?;
    Ok(versions.into_iter().map(Version::of).collect())
}

/// Adds or changes one, where it does not contradict what is stored.
pub async fn put(
    on: &Administration,
    by: &Administrator,
    kind: DocumentKind,
    document: Value,
    trying: Trying,
) -> Result<Outcome, DirectoryError> {
    let (operation, member) = match kind {
        DocumentKind::Schema => (&CHANGE_SCHEMA, "id"),
        DocumentKind::ResourceType => (&CHANGE_RESOURCE_TYPE, "name"),
    };
    by.may(operation)?;
    let name = document.get(member).and_then(Value::as_str);
    let name = name.unwrap_or_default().to_owned();
    let entry = entry(on, by, operation, (kind, &name), Some(&document)).await?;
    let edit = match kind {
        DocumentKind::Schema => Edit::PutSchema(document),
        DocumentKind::ResourceType => Edit::PutResourceType(document),
    };
    carry_out(on, by, &edit, entry, &trying).await
}

/// Removes one that is not in use.
pub async fn remove(
    on: &Administration,
    by: &Administrator,
    kind: DocumentKind,
    name: String,
    trying: Trying,
) -> Result<Outcome, DirectoryError> {
    let operation = match kind {
        DocumentKind::Schema => &REMOVE_SCHEMA,
        DocumentKind::ResourceType => &REMOVE_RESOURCE_TYPE,
    };
    by.may(operation)?;
    let entry = entry(on, by, operation, (kind, &name), None).await?;
    let edit = match kind {
        DocumentKind::Schema => Edit::RemoveSchema(name),
        DocumentKind::ResourceType => Edit::RemoveResourceType(name),
    };
    carry_out(on, by, &edit, entry, &trying).await
}

async fn entry(
    on: &Administration,
    by: &Administrator,
    operation: &Operation,
    (kind, name): (DocumentKind, &str),
    after: Option<&Value>,
) -> Result<Entry, DirectoryError> {
    let types = on.directory.types(&by.caller).await?;
    let before = match kind {
        DocumentKind::Schema => types.schema(name).map(schema_document),
        DocumentKind::ResourceType => types.resource_type(name).map(resource_type_document),
    };
    Ok(by.entry(operation, name, on.clock.now(), before.as_ref(), after))
}

async fn carry_out(
    on: &Administration,
    by: &Administrator,
    edit: &Edit,
    entry: Entry,
    trying: &Trying,
) -> Result<Outcome, DirectoryError> {
    let activation = trying.activation()?;
    let Edited {
        sentences,
        activated,
    } = on
        .directory
        .recording(entry)
        .edit_types(&by.caller, edit, activation)
        .await?;
    Ok(Outcome {
        dry_run: activation == Activation::Rehearse,
        revision: activated.revision,
        changes: sentences,
        resources_checked: activated.resources_checked,
        resources_indexed: activated.resources_indexed,
    })
}

fn document(types: &TenantTypes, kind: DocumentKind, name: &str) -> Option<Value> {
    match kind {
        DocumentKind::Schema => types.known_schema(name).as_ref().map(schema_document),
        DocumentKind::ResourceType => types.known_type(name).as_ref().map(resource_type_document),
    }
}

/// What a kind is called in a sentence.
fn words(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::Schema => "schema",
        DocumentKind::ResourceType => "resource type",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dry_runs_are_asked_for() {
        let check = |dry_run: Option<&str>, expected: Option<Activation>| {
            let trying = Trying {
                dry_run: dry_run.map(str::to_owned),
            };
            assert_eq!(trying.activation().ok(), expected, "{dry_run:?}");
        };
        check(None, Some(Activation::Keep));
        check(Some("true"), Some(Activation::Rehearse));
        check(Some("false"), Some(Activation::Keep));
        check(Some("yes"), None);
    }
}
