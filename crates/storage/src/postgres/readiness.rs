//! `Readiness` in PostgreSQL: one write, which also says with which key the database was made. Also compares the key with the database when a node starts.

use async_trait::async_trait;
use deadpool_postgres::Object;
use directory::readiness::{NotReady, Readiness};
use directory::store::Fault;
use tokio_postgres::Config;
use tokio_postgres::error::SqlState;

use super::connections::{Connections, begin, fault};
use super::tls::Tls;
use super::{ConnectError, Postgres, statements_of_installation as sql};
use crate::secrets::{MasterKey, SEALED};

/// A connection that goes back into the pool only when the trial has come to its end: otherwise each trial that is given up would leave one that waits.
struct Trial(Option<Object>);

impl Drop for Trial {
    fn drop(&mut self) {
        drop(self.0.take().map(Object::take));
    }
}

#[async_trait]
impl Readiness for Postgres {
    async fn check_readiness(&self) -> Result<(), NotReady> {
        let mut trial = Trial(Some(
            self.connections
                .get_tried()
                .await
                .map_err(NotReady::NoAnswer)?,
        ));
        let Some(connection) = trial.0.as_mut() else {
            return Err(NotReady::NoAnswer(Fault::new("there is no connection")));
        };
        let check = try_to_write(connection).await.map_err(|error| {
            let refuses = |code: &SqlState| {
                *code == SqlState::READ_ONLY_SQL_TRANSACTION || *code == SqlState::DISK_FULL
            };
            if error.code().is_some_and(refuses) {
                NotReady::ReadOnly(fault(error))
            } else {
                NotReady::NoAnswer(fault(error))
            }
        })?;
        drop(trial.0.take());
        if check.is_some_and(|check| self.key.has_check(&check)) {
            Ok(())
        } else {
            Err(NotReady::WrongKey)
        }
    }
}

async fn try_to_write(connection: &mut Object) -> Result<Option<Vec<u8>>, tokio_postgres::Error> {
    let transaction = begin(connection).await?;
    transaction.batch_execute(sql::LIMIT_TRIAL).await?;
    let rows = transaction.query(sql::TRY_TO_WRITE, &[]).await?;
    transaction.commit().await?;
    rows.first().map_or(Ok(None), |row| row.try_get(0))
}

/// See `postgres::is_in_use`.
pub(crate) async fn is_in_use(config: Config, tls: Tls) -> Result<bool, ConnectError> {
    let (client, connection) = config
        .connect(tls)
        .await
        .map_err(|error| ConnectError::NoConnection(fault(error)))?;
    // It ends with the client.
    tokio::spawn(connection);
    let row = client
        .query_one(sql::HAS_MIGRATIONS, &[])
        .await
        .map_err(fault)?;
    Ok(row.try_get(0).map_err(fault)?)
}

/// Refuses a database that was made with another key; tells a database that has no check value yet which key it has.
pub(crate) async fn check_key(connections: &Connections, key: &MasterKey) -> Result<(), Fault> {
    let mut connection = connections.get().await?;
    let transaction = begin(&mut connection).await.map_err(fault)?;
    let found = transaction
        .query_one(sql::LOCK_KEY_CHECK, &[])
        .await
        .map_err(fault)?;
    let check: Option<Vec<u8>> = found.try_get(0).map_err(fault)?;
    let mut sealed = Vec::new();
    if check.is_none() {
        for row in transaction.query(SEALED, &[]).await.map_err(fault)? {
            sealed.push((
                row.try_get(0).map_err(fault)?,
                row.try_get(1).map_err(fault)?,
            ));
        }
    }
    if let Some(check) = key.judge(check.as_deref(), &sealed)? {
        transaction
            .execute(sql::SET_KEY_CHECK, &[&check])
            .await
            .map_err(fault)?;
    }
    transaction.commit().await.map_err(fault)
}
