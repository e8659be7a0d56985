//! `Audit`: the audit log. An entry is appended in the transaction of its act, and the acts of one chain wait for one another.

use async_trait::async_trait;
use directory::audit::{Chain, Entry, Head, Recorded};
use directory::audit_log::Audit;
use directory::store::Fault;
use directory::tenant::TenantId;

use crate::engine::{Database, Engine};
use crate::rows::{json_text, stored};
use crate::session::{Columns, Session, fields};
use crate::statements_of_audit as sql;

/// How many entries others may append between an act and its repetition.
const REPEATED_WITHIN: u64 = 1_000;

#[async_trait]
impl<E: Engine> Audit for Database<E> {
    async fn audit_entries(
        &self,
        chain: Chain,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Recorded>, Fault> {
        self.read_long(None, (chain, after, limit), entries).await
    }

    async fn append(&self, chain: Chain, entry: Entry) -> Result<(), Fault> {
        self.write((chain, entry), append_alone).await
    }

    async fn audit_head(&self, chain: Chain) -> Result<Head, Fault> {
        self.read(&chain, read_head).await
    }
}

/// Appends an entry to a chain. Is the last thing that an act does, as it holds up other acts.
pub(crate) async fn append(
    session: &mut dyn Session,
    chain: Chain,
    entry: &Entry,
) -> Result<(), Fault> {
    let (key, begin, text) = (chain.key(), chain.beginning(), json_text(entry)?);
    let first = fields![key, stored(begin.number), &begin.hash];
    session.execute(&sql::BEGIN_CHAIN, first).await?;
    let locked = session.first(&sql::LOCK_HEAD, fields![key], head).await?;
    let before = locked.unwrap_or(begin);
    if session.is_again() {
        let since = stored(before.number.saturating_sub(REPEATED_WITHIN));
        let repeated = session
            .first(&sql::HAS_ENTRY, fields![key, since, &text], |_| Ok(()))
            .await?;
        if repeated.is_some() {
            return Ok(());
        }
    }
    let Head { number, hash } = before.after(&text);
    let number = stored(number);
    let values = fields![key, number, &text, &hash];
    session.execute(&sql::ADD_ENTRY, values).await?;
    let values = fields![key, number, &hash];
    session.execute(&sql::MOVE_HEAD, values).await.map(drop)
}

async fn append_alone(
    session: &mut dyn Session,
    (chain, entry): &(Chain, Entry),
) -> Result<(), Fault> {
    append(session, *chain, entry).await
}

/// Appends an entry of a tenant where its act has changed something; whether it has.
pub(crate) async fn append_if(
    session: &mut dyn Session,
    tenant: TenantId,
    entry: &Entry,
    changed: bool,
) -> Result<bool, Fault> {
    if changed {
        append(session, Chain::Tenant(tenant), entry).await?;
    }
    Ok(changed)
}

async fn read_head(session: &mut dyn Session, chain: &Chain) -> Result<Head, Fault> {
    let found = session
        .first(&sql::HEAD, fields![chain.key()], head)
        .await?;
    Ok(found.unwrap_or_else(|| chain.beginning()))
}

fn head(row: &dyn Columns) -> Result<Head, Fault> {
    Ok(Head {
        number: row.get::<i64>(0)?.unsigned_abs(),
        hash: row.get(1)?,
    })
}

async fn entries(
    session: &mut dyn Session,
    (chain, after, limit): &(Chain, u64, u32),
) -> Result<Vec<Recorded>, Fault> {
    let values = fields![chain.key(), stored(*after), i64::from(*limit)];
    session
        .rows(&sql::ENTRIES, values, |row| {
            Ok(Recorded {
                number: row.get::<i64>(0)?.unsigned_abs(),
                text: row.get(1)?,
                hash: row.get(2)?,
            })
        })
        .await
}
