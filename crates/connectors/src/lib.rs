//! Reaches applications. What is sent, and when, is decided in `provisioning`.
//!
//! Modules in dependency order: a module uses only those above it. (The blank lines keep rustfmt from sorting
//! them.)

pub mod egress;

pub mod event_receiver;

pub mod key_sets;

pub mod admin_server;

mod capabilities;

pub mod scim_target;
