//! Remembers: the only SQL. SQLite by default, PostgreSQL when many nodes share one database.
//!
//! Modules in dependency order: a module uses only those above it.

pub mod private_files;
pub mod secrets;
mod rows;
mod event_rows;
mod signing;
mod moments;
mod migrate;
mod recorded;
mod tenant_tables;
mod transfer;
mod restored;
mod filter_sql;
mod membership_sql;
mod row_test;
mod candidates;
mod totals;
mod reindex;
mod stage;
pub mod sqlite;
pub mod postgres;

#[cfg(test)]
#[path = "../tests/it/postgres_server.rs"]
mod postgres_server;
#[cfg(test)]
mod query_plans;
