//! A database on either engine: the type that implements the ports, and what it asks of its engine. Has no SQL.

use std::io::Write;
use std::ops::Deref;
use std::sync::Arc;

use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::secrets::MasterKey;
use crate::session::Session;

/// A database. The ports that are written once are implemented for every engine; those that an engine has of its own, for that engine.
#[derive(Clone)]
pub struct Database<E>(pub(crate) E);

impl<E> Deref for Database<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.0
    }
}

/// What a port does in a session, with what it was asked: an `async fn(&mut dyn Session, &A) -> Result<T, Fault>`.
///
/// `AsLongAsThatLives` says that `'a` is not longer than what was asked lives; so what was asked may borrow.
pub(crate) trait Port<'a, A: ?Sized, T, AsLongAsThatLives = &'a A>: Send + Sync {
    /// What gives its answer.
    type Answer: Future<Output = Result<T, Fault>> + Send;

    /// Does it. May be asked again after everything was undone.
    fn run(&self, session: &'a mut dyn Session, asked: &'a A) -> Self::Answer;
}

impl<'a, A: ?Sized, T, P, R> Port<'a, A, T, &'a A> for P
where
    P: Fn(&'a mut (dyn Session + 'a), &'a A) -> R + Send + Sync,
    R: Future<Output = Result<T, Fault>> + Send,
{
    type Answer = R;

    fn run(&self, session: &'a mut dyn Session, asked: &'a A) -> R {
        self(session, asked)
    }
}

/// The ways in which ports use a database.
pub(crate) trait Engine: Clone + Send + Sync + 'static {
    /// For how many applications one transaction claims work.
    const CLAIMED_TOGETHER: usize;
    /// Whether a restore sets keys aside before it begins, so that no other transaction waits for them.
    const RESERVES_KEYS: bool;

    /// Writes in one transaction: all of it is durable when this returns, or nothing of it was kept.
    fn write<A, T, P>(&self, asked: A, port: P) -> impl Future<Output = Result<T, Fault>> + Send
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        P: for<'a> Port<'a, A, T> + 'static;

    /// Writes with statements that need no common transaction, mostly a single one: on PostgreSQL each is a transaction of its own, which spares two
    /// round trips.
    fn write_each<A, T, P>(
        &self,
        asked: A,
        port: P,
    ) -> impl Future<Output = Result<T, Fault>> + Send
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        P: for<'a> Port<'a, A, T> + 'static;

    /// Reads a few rows by key. Where there are several statements, others may write between them.
    fn read<A, T, P>(&self, asked: &A, port: P) -> impl Future<Output = Result<T, Fault>> + Send
    where
        A: Sync + ?Sized,
        T: Send,
        P: for<'a> Port<'a, A, T>;

    /// The same within one snapshot.
    fn read_snapshot<A, T, P>(
        &self,
        asked: &A,
        port: P,
    ) -> impl Future<Output = Result<T, Fault>> + Send
    where
        A: Sync + ?Sized,
        T: Send,
        P: for<'a> Port<'a, A, T>;

    /// Reads as many rows as there are. Only so many such reads go on at once, and of each tenant only a part of them; `None` stands
    /// for the program itself. The read is interrupted where its future is dropped.
    fn read_long<A, T, P>(
        &self,
        tenant: Option<TenantId>,
        asked: A,
        port: P,
    ) -> impl Future<Output = Result<T, Fault>> + Send
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        P: for<'a> Port<'a, A, T> + 'static;

    /// The same within one snapshot.
    fn read_long_snapshot<A, T, P>(
        &self,
        tenant: Option<TenantId>,
        asked: A,
        port: P,
    ) -> impl Future<Output = Result<T, Fault>> + Send
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        P: for<'a> Port<'a, A, T> + 'static;

    /// The revision of the tenant with a name, as the port reads it, or remembered where every change of it is heard of.
    fn revision<P>(
        &self,
        name: &str,
        port: P,
    ) -> impl Future<Output = Result<Option<i64>, Fault>> + Send
    where
        P: for<'a> Port<'a, str, Option<i64>>;

    /// Writes everything of a tenant apart from secrets as lines of JSON, from one snapshot; says how many lines.
    fn export_tenant(
        &self,
        tenant: TenantId,
        at: Timestamp,
        sink: Box<dyn Write + Send>,
    ) -> impl Future<Output = Result<u64, Fault>> + Send;

    /// A tenant was erased: nothing of it stays where only the engine knows.
    fn forget_erased(&self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Wakes those who work on what was written.
    fn notify(&self);

    /// Notified of commits.
    fn commits(&self) -> &Arc<Notify>;

    /// The key of the secrets in it.
    fn key(&self) -> &Arc<MasterKey>;
}
