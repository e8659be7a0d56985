//! Remembers: the only SQL. SQLite by default, PostgreSQL when many nodes share one database.
//!
//! Modules in dependency order: a module uses only those above it.

pub mod private_files;
pub mod secrets;
mod rows;
mod session;
mod engine;
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
mod row_condition;
mod candidates;
mod totals;
mod reindex;
mod stage;
mod statements_of_audit;
mod statements_of_callers;
mod statements_of_events;
mod statements_of_safety;
mod statements_of_schemas;
mod statements_of_tenants;
mod statements_of_work;
mod audit;
mod tenants;
mod tokens;
mod clients;
mod issuers;
mod event_log;
mod deliveries;
mod receivers;
mod outbox;
mod catalogue;
mod provisioning_log;
mod ledger;
mod written;
mod guard;
mod leavers;
mod history;
mod safety;
mod schemas;
mod memberships;
mod tenant_life;
pub mod ports;
pub mod sqlite;
pub mod postgres;

/// The limits that the engines keep, by name.
pub fn limits() -> serde_json::Value {
    serde_json::json!({
        "sqlite_long_reads_max": sqlite::LONG_READS_MAX,
        "sqlite_long_reads_per_tenant_max": sqlite::LONG_READS_PER_TENANT_MAX,
        "postgres_long_reads_max": postgres::LONG_READS_MAX,
        "postgres_long_reads_per_tenant_max": postgres::LONG_READS_PER_TENANT_MAX,
        "postgres_commits_per_tenant_max": postgres::COMMITS_PER_TENANT_MAX,
    })
}

#[cfg(test)]
#[path = "../tests/it/postgres_server.rs"]
mod postgres_server;
#[cfg(test)]
mod query_plans;
