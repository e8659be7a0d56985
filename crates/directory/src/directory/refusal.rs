//! Why a write was not done: the guard holds it, or it is refused, or something failed; and whether it may be decided again.

use scim_protocol::{Error, ErrorKind};

use super::DirectoryError;
use crate::access::unauthorized;
use crate::deletion_guard::Excess;
use crate::self_service;
use crate::store::{CommitError, Fault};
use crate::version::{Expected, precondition_failed};

/// How often a write is decided again because another request wrote in between.
pub(super) const ATTEMPTS_MAX: usize = 8;

/// Why a write was not done.
pub(super) enum NotWritten {
    /// The deletion guard holds it.
    Held(Excess),
    /// It is refused, or something failed.
    Failed(DirectoryError),
}

impl From<CommitError> for NotWritten {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Held(excess) => Self::Held(excess),
            error => Self::Failed(refusal(error)),
        }
    }
}

impl From<DirectoryError> for NotWritten {
    fn from(error: DirectoryError) -> Self {
        Self::Failed(error)
    }
}

impl From<Error> for NotWritten {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Fault> for NotWritten {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.into())
    }
}

impl From<NotWritten> for DirectoryError {
    fn from(reason: NotWritten) -> Self {
        match reason {
            NotWritten::Held(excess) => refusal(CommitError::Held(excess)),
            NotWritten::Failed(error) => error,
        }
    }
}

/// Whether a write may be decided again: another request wrote in between, and the caller did not name a version.
pub(super) fn may_try_again(
    error: CommitError,
    expected: &Expected,
    attempt: usize,
) -> Result<(), NotWritten> {
    match error {
        CommitError::VersionChanged { .. } if expected.is_anything() && attempt < ATTEMPTS_MAX => {
            Ok(())
        }
        CommitError::VersionChanged { .. } if expected.is_anything() => Err(too_busy().into()),
        error => Err(error.into()),
    }
}

pub(super) fn refusal(error: CommitError) -> DirectoryError {
    let refused = match error {
        CommitError::VersionChanged { current } => precondition_failed(current),
        CommitError::NotFound { resource_type, id } => not_found(&resource_type, &id),
        CommitError::ValueTaken { path } => {
            let detail =
                format!("The value of `{path}` is taken by another resource; use a value that no other resource has (case may not matter).");
            Error::new(ErrorKind::Uniqueness, detail).at(path)
        }
        CommitError::ReferenceMissing { id } => {
            let detail =
                format!("`members` names `{id}`, but there is no such resource; use the `id` of an existing User or Group.");
            Error::new(ErrorKind::InvalidValue, detail).at("members")
        }
        CommitError::TypesChanged => Error::new(
            ErrorKind::Unavailable,
            "The tenant's schemas were changed while the request was under way; nothing was changed by it, and sending it again is safe.",
        )
        .retry_after(1),
        CommitError::Held(excess) => Error::new(ErrorKind::TooManyRequests, excess.detail()).retry_after(excess.retry_after_seconds),
        CommitError::OfOneself { attribute } => self_service::refusal(attribute),
        CommitError::PersonLeft => unauthorized(),
        CommitError::Fault(fault) => return DirectoryError::Fault(fault),
    };
    DirectoryError::Refused(refused)
}

pub(super) fn not_found(resource_type: &str, id: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("There is no {resource_type} with the id `{id}`."),
    )
}

pub(super) fn too_busy() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "Others keep changing this resource at the same time; nothing was changed, and sending the request again is safe.",
    )
}
