//! What a port does inside a database, written once for both engines: statements, the fields that are bound to them, the rows that come back. How an
//! engine carries a statement out is said in `sqlite/session.rs` and `postgres/session.rs`.
//!
//! A port is a set of `async fn`s over `&mut dyn Session`. SQLite answers every statement at once, so such a function never waits there and is polled to
//! its end on the thread that has the connection. On PostgreSQL it runs in a transaction, and is tried again as a whole where PostgreSQL asks for that.
//!
//! ```ignore
//! static RENAME: Statement = Statement::new("UPDATE boxes SET name = $3 WHERE tenant = $1 AND id = $2");
//! static LIST: Statement = Statement::new("SELECT id, name FROM boxes WHERE tenant = $1 ORDER BY id COLLATE \"C\"");
//!
//! #[async_trait]
//! impl<E: Engine> Boxes for Database<E> {
//!     async fn rename_box(&self, tenant: TenantId, id: &str, name: &str) -> Result<bool, Fault> {
//!         self.write((tenant, id.to_owned(), name.to_owned()), rename).await
//!     }
//!
//!     async fn list_boxes(&self, tenant: TenantId) -> Result<Vec<(String, String)>, Fault> {
//!         self.read(&tenant, list).await
//!     }
//! }
//!
//! async fn rename(session: &mut dyn Session, (tenant, id, name): &(TenantId, String, String)) -> Result<bool, Fault> {
//!     Ok(session.execute(&RENAME, fields![tenant, id, name]).await? > 0)
//! }
//!
//! async fn list(session: &mut dyn Session, tenant: &TenantId) -> Result<Vec<(String, String)>, Fault> {
//!     session.rows(&LIST, fields![tenant], |row| Ok((row.get(0)?, row.get(1)?))).await
//! }
//! ```

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::OnceLock;

use access::credential::TokenHash;
use async_trait::async_trait;
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::rows::from_json;

/// A statement: one text with parameters `$1`, `$2`, as PostgreSQL reads it, and a text of its own for SQLite only where the dialects differ in more than
/// `SPELLINGS` knows.
pub(crate) struct Statement {
    text: Cow<'static, str>,
    sqlite: OnceLock<String>,
    sqlite_override: Option<&'static str>,
}

/// What SQLite spells otherwise than PostgreSQL, or does without: its texts are compared byte by byte anyway, only one connection writes, and its values
/// have their own types. The first that fits is taken.
const SPELLINGS: &[(&str, &str)] = &[
    (" COLLATE \"C\"", ""),
    (" OVERRIDING SYSTEM VALUE", ""),
    (" FOR UPDATE OF o SKIP LOCKED", ""),
    (" FOR NO KEY UPDATE", ""),
    (" FOR UPDATE", ""),
    (" FOR KEY SHARE", ""),
    (" FOR SHARE", ""),
    ("::JSONB", ""),
    ("::JSON", ""),
    ("::BIGINT", ""),
    ("::SMALLINT", ""),
    ("::TEXT", ""),
    ("::BYTEA", ""),
    ("::BOOLEAN", ""),
    ("NOT held", "held = 0"),
    ("NOT o.held", "o.held = 0"),
    ("NOT u.held", "u.held = 0"),
    ("greatest(", "max("),
    ("least(", "min("),
];

impl Statement {
    /// The same on both engines.
    pub(crate) const fn new(text: &'static str) -> Self {
        Self {
            text: Cow::Borrowed(text),
            sqlite: OnceLock::new(),
            sqlite_override: None,
        }
    }

    /// Of SQLite only.
    pub(crate) const fn sqlite_only(text: &'static str) -> Self {
        Self::new("").or_sqlite(text)
    }

    /// A text that is put together.
    pub(crate) fn made(text: String) -> Self {
        Self {
            text: Cow::Owned(text),
            sqlite: OnceLock::new(),
            sqlite_override: None,
        }
    }

    /// Texts that are put together, PostgreSQL's and SQLite's.
    pub(crate) fn made_for(postgres: String, sqlite: String) -> Self {
        Self {
            sqlite: OnceLock::from(sqlite),
            ..Self::made(postgres)
        }
    }

    /// With a text of its own on SQLite, in SQLite's spelling: parameters are `?1`, `?2`.
    pub(crate) const fn or_sqlite(self, text: &'static str) -> Self {
        let mut own = self;
        own.sqlite_override = Some(text);
        own
    }

    /// A lock of PostgreSQL's, which SQLite does without: it has one connection that writes.
    pub(crate) const fn lock(text: &'static str) -> Self {
        Self::new(text).or_sqlite("")
    }

    /// PostgreSQL's text; empty where there is nothing to do.
    pub(crate) fn postgres(&self) -> &str {
        &self.text
    }

    /// SQLite's text; empty where there is nothing to do.
    pub(crate) fn sqlite(&self) -> &str {
        match self.sqlite_override {
            Some(text) => text,
            None => self.sqlite.get_or_init(|| in_sqlite(&self.text)),
        }
    }
}

/// SQLite takes `$1` for a name and numbers names by where they first appear, so `$1` becomes `?1`. A list, which PostgreSQL gets as an array, SQLite gets
/// as JSON.
fn in_sqlite(text: &str) -> String {
    let (mut spelled, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(char) = rest.chars().next() {
        if let Some((of_postgres, of_sqlite)) =
            SPELLINGS.iter().find(|(own, _)| rest.starts_with(own))
        {
            spelled.push_str(of_sqlite);
            rest = rest.get(of_postgres.len()..).unwrap_or_default();
        } else if let Some((number, after)) = parameter(rest.strip_prefix("= ANY (")) {
            let _ = write!(spelled, "IN (SELECT value FROM json_each(?{number})");
            rest = after;
        } else if let Some((number, after)) = parameter(Some(rest)) {
            let _ = write!(spelled, "?{number}");
            rest = after;
        } else {
            spelled.push(char);
            rest = rest.get(char.len_utf8()..).unwrap_or_default();
        }
    }
    spelled
}

/// The number of the parameter with which a text begins, and what follows it; `'$.name'` is a path into JSON.
fn parameter(text: Option<&str>) -> Option<(&str, &str)> {
    let text = text?.strip_prefix('$')?;
    let end = text
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// A value that is bound or read. Instants are microseconds, booleans 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Field<'a> {
    Null,
    Integer(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Bound only: the key of a value in an index, of which PostgreSQL holds a short form where it is long.
    IndexKey(&'a [u8]),
    /// Bound only, where a statement says `= ANY ($n)`.
    Texts(&'a [String]),
    /// Bound only, where a statement says `= ANY ($n)`.
    Integers(&'a [i64]),
}

/// What can be bound by reference.
pub(crate) trait Bind {
    /// As a field.
    fn field(&self) -> Field<'_>;
}

impl<'a, T: Bind + ?Sized> From<&'a T> for Field<'a> {
    fn from(value: &'a T) -> Self {
        value.field()
    }
}

impl<'a, T: Into<Field<'a>>> From<Option<T>> for Field<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Field::Null, Into::into)
    }
}

impl From<i64> for Field<'_> {
    fn from(value: i64) -> Self {
        Field::Integer(value)
    }
}

impl From<u32> for Field<'_> {
    fn from(value: u32) -> Self {
        Field::Integer(value.into())
    }
}

impl From<i16> for Field<'_> {
    fn from(value: i16) -> Self {
        Field::Integer(value.into())
    }
}

impl From<bool> for Field<'_> {
    fn from(value: bool) -> Self {
        Field::Integer(value.into())
    }
}

impl From<Timestamp> for Field<'_> {
    fn from(value: Timestamp) -> Self {
        Field::Integer(value.as_microsecond())
    }
}

impl From<TenantId> for Field<'_> {
    fn from(value: TenantId) -> Self {
        Field::Integer(value.0)
    }
}

impl Bind for i64 {
    fn field(&self) -> Field<'_> {
        Field::Integer(*self)
    }
}

impl Bind for u32 {
    fn field(&self) -> Field<'_> {
        Field::Integer(i64::from(*self))
    }
}

impl Bind for bool {
    fn field(&self) -> Field<'_> {
        Field::Integer(i64::from(*self))
    }
}

impl Bind for Timestamp {
    fn field(&self) -> Field<'_> {
        Field::Integer(self.as_microsecond())
    }
}

impl Bind for TenantId {
    fn field(&self) -> Field<'_> {
        Field::Integer(self.0)
    }
}

impl Bind for TokenHash {
    fn field(&self) -> Field<'_> {
        Field::Bytes(&self.0)
    }
}

impl Bind for Uuid {
    fn field(&self) -> Field<'_> {
        Field::Bytes(self.as_bytes())
    }
}

impl Bind for str {
    fn field(&self) -> Field<'_> {
        Field::Text(self)
    }
}

impl Bind for String {
    fn field(&self) -> Field<'_> {
        Field::Text(self)
    }
}

impl Bind for [u8] {
    fn field(&self) -> Field<'_> {
        Field::Bytes(self)
    }
}

impl Bind for Vec<u8> {
    fn field(&self) -> Field<'_> {
        Field::Bytes(self)
    }
}

impl<const N: usize> Bind for [u8; N] {
    fn field(&self) -> Field<'_> {
        Field::Bytes(self)
    }
}

impl Bind for [String] {
    fn field(&self) -> Field<'_> {
        Field::Texts(self)
    }
}

impl Bind for Vec<String> {
    fn field(&self) -> Field<'_> {
        Field::Texts(self)
    }
}

impl Bind for [i64] {
    fn field(&self) -> Field<'_> {
        Field::Integers(self)
    }
}

impl Bind for Vec<i64> {
    fn field(&self) -> Field<'_> {
        Field::Integers(self)
    }
}

impl<T: Bind> Bind for Option<T> {
    fn field(&self) -> Field<'_> {
        self.as_ref().map_or(Field::Null, Bind::field)
    }
}

impl<T: Bind + ?Sized> Bind for &T {
    fn field(&self) -> Field<'_> {
        (**self).field()
    }
}

/// Values as the fields of a statement: small ones themselves, others by reference.
macro_rules! fields {
    ($($value:expr),* $(,)?) => {
        &[$($crate::session::Field::from($value)),*]
    };
}
pub(crate) use fields;

/// A number of rows as a `LIMIT`.
pub(crate) fn at_most(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// A row.
pub(crate) trait Columns {
    /// The value in a column, counted from 0.
    fn field(&self, column: usize) -> Result<Field<'_>, Fault>;
}

impl dyn Columns + '_ {
    /// The value in a column, as what it is there.
    pub(crate) fn get<'r, T: Read<'r>>(&'r self, column: usize) -> Result<T, Fault> {
        T::read(self.field(column)?)
            .ok_or_else(|| Fault::new(format!("column {column} has a value of another kind")))
    }

    /// The instant in a column in which 0 stands for none.
    pub(crate) fn instant(&self, column: usize) -> Result<Option<Timestamp>, Fault> {
        let at: Timestamp = self.get(column)?;
        Ok(Some(at).filter(|at| *at != Timestamp::UNIX_EPOCH))
    }

    /// What the JSON in a column says.
    pub(crate) fn json<T: DeserializeOwned>(&self, column: usize) -> Result<T, Fault> {
        from_json(self.get(column)?)
    }
}

/// What can be read from a column.
pub(crate) trait Read<'r>: Sized {
    /// `None` where the value is of another kind.
    fn read(field: Field<'r>) -> Option<Self>;
}

impl Read<'_> for i64 {
    fn read(field: Field<'_>) -> Option<Self> {
        if let Field::Integer(value) = field {
            Some(value)
        } else {
            None
        }
    }
}

impl Read<'_> for u32 {
    fn read(field: Field<'_>) -> Option<Self> {
        i64::read(field).map(|value| u32::try_from(value).unwrap_or(u32::MAX))
    }
}

impl Read<'_> for bool {
    fn read(field: Field<'_>) -> Option<Self> {
        i64::read(field).map(|value| value != 0)
    }
}

impl Read<'_> for Timestamp {
    fn read(field: Field<'_>) -> Option<Self> {
        Timestamp::from_microsecond(i64::read(field)?).ok()
    }
}

impl Read<'_> for TenantId {
    fn read(field: Field<'_>) -> Option<Self> {
        i64::read(field).map(TenantId)
    }
}

impl Read<'_> for TokenHash {
    fn read(field: Field<'_>) -> Option<Self> {
        <[u8; 32]>::read(field).map(TokenHash)
    }
}

impl Read<'_> for Uuid {
    fn read(field: Field<'_>) -> Option<Self> {
        Uuid::from_slice(<&[u8]>::read(field)?).ok()
    }
}

impl<'r> Read<'r> for &'r str {
    fn read(field: Field<'r>) -> Option<Self> {
        if let Field::Text(value) = field {
            Some(value)
        } else {
            None
        }
    }
}

impl Read<'_> for String {
    fn read(field: Field<'_>) -> Option<Self> {
        <&str>::read(field).map(str::to_owned)
    }
}

impl<'r> Read<'r> for &'r [u8] {
    fn read(field: Field<'r>) -> Option<Self> {
        if let Field::Bytes(value) = field {
            Some(value)
        } else {
            None
        }
    }
}

impl Read<'_> for Vec<u8> {
    fn read(field: Field<'_>) -> Option<Self> {
        <&[u8]>::read(field).map(<[u8]>::to_vec)
    }
}

impl<const N: usize> Read<'_> for [u8; N] {
    fn read(field: Field<'_>) -> Option<Self> {
        <&[u8]>::read(field)?.try_into().ok()
    }
}

impl<'r, T: Read<'r>> Read<'r> for Option<T> {
    fn read(field: Field<'r>) -> Option<Self> {
        if field == Field::Null {
            Some(None)
        } else {
            T::read(field).map(Some)
        }
    }
}

/// A connection that carries statements out, one after the other.
#[async_trait]
pub(crate) trait Session: Send {
    /// Carries a statement out; how many rows it changed.
    async fn execute(&mut self, statement: &Statement, fields: &[Field<'_>]) -> Result<u64, Fault>;

    /// Carries a statement out once for each list of fields, in order; how many rows each changed. PostgreSQL gets all of them before it answers.
    async fn execute_each(
        &mut self,
        statement: &Statement,
        lists: &[Vec<Field<'_>>],
    ) -> Result<Vec<u64>, Fault>;

    /// Carries several statements out, in order; how many rows each changed. PostgreSQL gets all of them before it answers.
    async fn execute_all(&mut self, all: &[(&Statement, &[Field<'_>])]) -> Result<Vec<u64>, Fault>;

    /// Hands each row of a query to `read`, in order.
    async fn each_row(
        &mut self,
        statement: &Statement,
        fields: &[Field<'_>],
        read: &mut (dyn for<'r> FnMut(&'r dyn Columns) -> Result<(), Fault> + Send),
    ) -> Result<(), Fault>;

    /// Whether this was tried before, and it is not known whether that was committed.
    fn is_again(&self) -> bool;

    /// Nothing of this is to be kept, although it is no fault.
    fn take_back(&mut self);

    /// A tenant's revision was raised: every process learns of it with the commit.
    fn revised(&mut self);
}

impl dyn Session + '_ {
    /// The rows of a query, in order.
    pub(crate) async fn rows<T: Send>(
        &mut self,
        statement: &Statement,
        fields: &[Field<'_>],
        mut read: impl FnMut(&dyn Columns) -> Result<T, Fault> + Send,
    ) -> Result<Vec<T>, Fault> {
        let mut found = Vec::new();
        self.each_row(statement, fields, &mut |row| {
            found.push(read(row)?);
            Ok(())
        })
        .await?;
        Ok(found)
    }

    /// Whether a query has a row.
    pub(crate) async fn is_there(
        &mut self,
        statement: &Statement,
        fields: &[Field<'_>],
    ) -> Result<bool, Fault> {
        let found = self.first(statement, fields, |_| Ok(())).await?;
        Ok(found.is_some())
    }

    /// The first row of a query.
    pub(crate) async fn first<T: Send>(
        &mut self,
        statement: &Statement,
        fields: &[Field<'_>],
        mut read: impl FnMut(&dyn Columns) -> Result<T, Fault> + Send,
    ) -> Result<Option<T>, Fault> {
        let mut first = None;
        self.each_row(statement, fields, &mut |row| {
            if first.is_none() {
                first = Some(read(row)?);
            }
            Ok(())
        })
        .await?;
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, sqlite: &str) {
        assert_eq!(in_sqlite(text), sqlite);
    }

    #[test]
    fn sqlite_gets_its_own_spelling() {
        check("a = $1 AND b = $12", "a = ?1 AND b = ?12");
        check("a ->> '$.active' = $2", "a ->> '$.active' = ?2");
        check("SELECT 'é' WHERE $1", "SELECT 'é' WHERE ?1");
        check(
            "id = ANY ($2) AND $1",
            "id IN (SELECT value FROM json_each(?2)) AND ?1",
        );
        check("ORDER BY a COLLATE \"C\", b", "ORDER BY a, b");
        check("WHERE a = $1::BIGINT FOR NO KEY UPDATE", "WHERE a = ?1");
        check("greatest(a, $1)", "max(a, ?1)");
    }

    #[test]
    fn fields_come_back() {
        assert_eq!(
            Option::<String>::read(Some("a").field()),
            Some(Some("a".into()))
        );
        assert_eq!(Option::<i64>::read(None::<i64>.into()), Some(None));
        assert_eq!(bool::read(true.into()), Some(true));
        assert_eq!(<[u8; 2]>::read([1_u8, 2].field()), Some([1, 2]));
        assert_eq!(<[u8; 3]>::read([1_u8, 2].field()), None);
        assert_eq!(i64::read("1".field()), None);
    }
}
