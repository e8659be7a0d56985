//! The port that says whether a store can be used right now, and if not, why. It mends nothing.

use async_trait::async_trait;

use crate::store::Fault;

/// Why requests cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// No answer, or none in time.
    #[error("the database does not answer")]
    NoAnswer(#[source] Fault),
    /// It reads, and refuses to write.
    #[error("the database cannot be written")]
    ReadOnly(#[source] Fault),
    /// Too little room.
    #[error(
        "the disk of the database is full: {free} bytes are free, and at least {least} have to be"
    )]
    DiskFull {
        /// How many bytes are free.
        free: u64,
        /// How many have to be.
        least: u64,
    },
    /// It was found damaged.
    #[error("the database is damaged: put it back from a backup")]
    Damaged,
    /// It was made with another key than this process has.
    #[error("the key file is not the one that the database was made with")]
    WrongKey,
}

/// Whether a store can be used.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Tries it: reads, and writes a row that means nothing else.
    async fn check_readiness(&self) -> Result<(), NotReady>;
}
