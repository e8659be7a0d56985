//! What schemas and resource types have in common here: the outcome of an edit, versions, and asking for a dry run.

use std::sync::Arc;

use axum::extract::RawQuery;
use directory::access::Caller;
use directory::directory::Edited;
use directory::schema_change::Edit;
use directory::schema_store::Activation;
use directory::tenant_types::{DocumentKind, DocumentVersion};
use http::StatusCode;
use scim_protocol::{Error, ErrorKind};
use serde::Serialize;
use utoipa::ToSchema;

use super::administrator::{Refuse, Refused};
use super::body::Answer;
use crate::state::State;

/// What became of an edit of schemas and resource types, or would become of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outcome {
    /// Whether nothing was changed, because only the outcome was asked for.
    dry_run: bool,
    /// The revision of the tenant's types.
    revision: u64,
    /// Each difference, as a sentence; none where the edit changes nothing.
    changes: Vec<String>,
    /// Stored resources that were looked at.
    resources_checked: u64,
    /// Stored resources that got other index rows.
    resources_indexed: u64,
}

/// A version of a document.
#[derive(Serialize, ToSchema)]
pub(crate) struct Version {
    /// Counted from 1.
    #[serde(rename = "version")]
    number: u64,
    /// When it became the current one.
    at: String,
    /// The id of the credential that made it.
    author: String,
    /// What it says; null where the document was removed.
    #[schema(value_type = Option<Object>)]
    document: Option<serde_json::Value>,
}

impl Version {
    fn of(version: DocumentVersion) -> Self {
        let DocumentVersion {
            version,
            at,
            author,
            document,
        } = version;
        Self {
            number: version,
            at: at.to_string(),
            author,
            document,
        }
    }
}

/// Carries out an edit; `?dryRun=true` only says what it would come to.
pub(crate) async fn edit(
    state: &Arc<State>,
    caller: &Caller,
    edit: Edit,
    query: RawQuery,
) -> Result<Answer<Outcome>, crate::refusal::Failure> {
    let activation = if is_dry_run(query.0.as_deref())? {
        Activation::Rehearse
    } else {
        Activation::Keep
    };
    let Edited {
        sentences,
        activated,
    } = state
        .directory
        .edit_types(caller, &edit, activation)
        .await?;
    let outcome = Outcome {
        dry_run: activation == Activation::Rehearse,
        revision: activated.revision,
        changes: sentences,
        resources_checked: activated.resources_checked,
        resources_indexed: activated.resources_indexed,
    };
    Ok(Answer(StatusCode::OK, outcome))
}

/// All versions of a document.
pub(crate) async fn history(
    state: &Arc<State>,
    caller: &Caller,
    kind: DocumentKind,
    name: &str,
    refuse: &Refuse,
) -> Result<Answer<Vec<Version>>, Refused> {
    let versions = state
        .directory
        .type_history(caller, kind, name)
        .await
        .map_err(|error| refuse.with(error))?;
    Ok(Answer(
        StatusCode::OK,
        versions.into_iter().map(Version::of).collect(),
    ))
}

fn is_dry_run(query: Option<&str>) -> Result<bool, Error> {
    let value = query
        .unwrap_or_default()
        .split('&')
        .find_map(|pair| match pair.split_once('=') {
            Some(("dryRun", value)) => Some(value),
            _ => None,
        });
    match value {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Error::new(
            ErrorKind::InvalidValue,
            "`dryRun` must be `true` or `false`.",
        )
        .at("dryRun")),
    }
}

#[cfg(test)]
mod tests {
    use super::is_dry_run;

    #[test]
    fn dry_runs_are_asked_for() {
        let check = |query: Option<&str>, expected: Option<bool>| {
            assert_eq!(is_dry_run(query).ok(), expected, "{query:?}");
        };
        check(None, Some(false));
        check(Some("a=b&dryRun=true"), Some(true));
        check(Some("dryRun=false"), Some(false));
        check(Some("dryRun=yes"), None);
    }
}
