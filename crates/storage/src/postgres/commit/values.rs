//! Rows of indexes, in PostgreSQL: those of one resource or of many, added and removed by one statement each. Refuses values that another resource has.

use std::collections::HashSet;

use deadpool_postgres::Transaction;
use directory::change_set::{Content, Write};
use directory::store::CommitError;
use tokio_postgres::Row;

use super::super::statements as sql;
use super::{Commit, Failure};
use crate::rows::{IndexRow, attribute_key, stored_key};

/// Rows that a resource gets.
pub(crate) struct Added<'a> {
    pub(crate) write: &'a Write,
    pub(crate) content: &'a Content,
    pub(crate) resource: i64,
    pub(crate) rows: Vec<&'a IndexRow>,
}

impl Added<'_> {
    /// The refusal of a value of this attribute.
    fn taken(&self, attribute: i64) -> CommitError {
        let is_it = |path: &&str| attribute_key(&self.write.resource_type, path) == attribute;
        let path = self
            .content
            .index
            .iter()
            .map(|entry| entry.path.as_str())
            .find(is_it)
            .unwrap_or_default();
        CommitError::ValueTaken {
            path: path.to_owned(),
        }
    }
}

/// Rows of many resources, by column.
#[derive(Default)]
struct Columns {
    attributes: Vec<i64>,
    values: Vec<Vec<u8>>,
    resources: Vec<i64>,
}

impl Columns {
    fn of(added: &[Added<'_>], unique: bool) -> Self {
        let mut columns = Self::default();
        for one in added {
            for row in one.rows.iter().filter(|row| row.unique == unique) {
                columns.attributes.push(row.attribute);
                columns.values.push(stored_key(&row.value).into_owned());
                columns.resources.push(one.resource);
            }
        }
        columns
    }

    async fn execute(
        &self,
        transaction: &Transaction<'_>,
        tenant: i64,
        statement: &str,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        if self.resources.is_empty() {
            return Ok(Vec::new());
        }
        let statement = transaction.prepare_cached(statement).await?;
        transaction
            .query(
                &statement,
                &[&tenant, &self.attributes, &self.values, &self.resources],
            )
            .await
    }
}

/// Takes the unique values of these resources. The places of those that are refused one, each with the refusal of its first.
pub(crate) async fn take_values(
    transaction: &Transaction<'_>,
    tenant: i64,
    added: &[Added<'_>],
) -> Result<Vec<(usize, CommitError)>, tokio_postgres::Error> {
    let wanted = Columns::of(added, true);
    let taken = wanted
        .execute(transaction, tenant, sql::TAKE_VALUES)
        .await?;
    if taken.len() == wanted.resources.len() {
        return Ok(Vec::new());
    }
    let read = |row: &Row| {
        Ok((
            row.try_get::<_, i64>(0)?,
            row.try_get::<_, Vec<u8>>(1)?,
            row.try_get::<_, i64>(2)?,
        ))
    };
    let taken = taken
        .iter()
        .map(read)
        .collect::<Result<HashSet<_>, tokio_postgres::Error>>()?;
    let is_refused = |one: &Added<'_>| {
        one.rows
            .iter()
            .filter(|row| row.unique)
            .find(|row| {
                let value = stored_key(&row.value).into_owned();
                !taken.contains(&(row.attribute, value, one.resource))
            })
            .map(|row| one.taken(row.attribute))
    };
    Ok(added
        .iter()
        .enumerate()
        .filter_map(|(place, one)| is_refused(one).map(|refusal| (place, refusal)))
        .collect())
}

/// Adds the rows of these resources that others may have too.
pub(crate) async fn add_values(
    transaction: &Transaction<'_>,
    tenant: i64,
    added: &[Added<'_>],
) -> Result<(), tokio_postgres::Error> {
    Columns::of(added, false)
        .execute(transaction, tenant, sql::ADD_VALUES)
        .await
        .map(drop)
}

impl Commit<'_> {
    /// Adds rows of one resource.
    pub(crate) async fn add_rows(&self, added: Added<'_>) -> Result<(), Failure> {
        let added = [added];
        let refused = take_values(self.transaction, self.tenant, &added).await?;
        if let Some((_, refusal)) = refused.into_iter().next() {
            return Err(refusal.into());
        }
        for one in &added {
            self.check_alone(one).await?;
        }
        add_values(self.transaction, self.tenant, &added).await?;
        Ok(())
    }

    /// Refuses a value that another resource has, where the policy wants it alone.
    async fn check_alone(&self, added: &Added<'_>) -> Result<(), Failure> {
        let resource_type = &added.write.resource_type;
        let Some(path) = self.change_set.policy.alone(resource_type) else {
            return Ok(());
        };
        for row in added
            .rows
            .iter()
            .filter(|row| !row.unique && row.attribute == attribute_key(resource_type, path))
        {
            let value = stored_key(&row.value);
            self.query(sql::LOCK_VALUE, &[&self.tenant, &row.attribute, &&*value])
                .await?;
            // This sees what was committed before the lock was given.
            let another = self
                .query(
                    sql::HAS_ANOTHER,
                    &[&self.tenant, &row.attribute, &&*value, &added.resource],
                )
                .await?;
            if !another.is_empty() {
                return Err(added.taken(row.attribute).into());
            }
        }
        Ok(())
    }

    pub(crate) async fn remove_rows(
        &self,
        resource: i64,
        rows: &[&IndexRow],
    ) -> Result<(), Failure> {
        for (statement, unique) in [(sql::RELEASE_VALUES, true), (sql::REMOVE_VALUES, false)] {
            let (attributes, values) = columns(rows, unique);
            if !attributes.is_empty() {
                self.execute(statement, &[&self.tenant, &attributes, &values, &resource])
                    .await?;
            }
        }
        Ok(())
    }
}

/// The attributes and values of the rows of one kind, as columns.
pub(crate) fn columns(rows: &[&IndexRow], unique: bool) -> (Vec<i64>, Vec<Vec<u8>>) {
    rows.iter()
        .filter(|row| row.unique == unique)
        .map(|row| (row.attribute, stored_key(&row.value).into_owned()))
        .unzip()
}
