//! What every application must be told, and when.
//!
//! Sync is level-triggered: a change only marks pairs of (application, resource) as out of date; the worker compares what is with what should be.
//! Knows neither SQL nor HTTP.
//!
//! Modules in dependency order: a module uses only those above it.

pub mod application;
pub mod account;
pub mod link;
pub mod provisioning_log;
pub mod resource_type;
pub mod matching;
pub mod proof;
pub mod connector;
pub mod lanes;
pub mod ledger;
pub mod scope;
pub mod mapping;
pub mod concern;
pub mod comparison;
pub mod plan;
pub mod pacing;
pub mod knowledge;
pub mod machine;
pub mod invariants;
pub mod types;
pub mod dispatcher;
pub mod worker;
pub mod probe;
pub mod dry_run;

pub mod provisioning;
