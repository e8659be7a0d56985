//! Tells others what happened: the feed of events, webhooks, and Security Event Tokens that are pushed or polled.
//!
//! An event is a row of the change log; this crate renders it and takes every receiver along the log. `subscription::Subscriptions` delivers until it is told
//! to stop, and `renderer` renders the same event for the feed, for webhooks and for tokens. The ports are in `event_log`: storage implements the log, the
//! receivers and the signing keys, `connectors` the way to a receiver.
//!
//! A receiver gets every event that it wants at least once and in order. It never sees more of a resource than a reader of its tenant does. Nothing here
//! knows SQL or HTTP, or signs.
//!
//! Modules in dependency order: a module uses only those above it. *(shell)* marks the files that do; the others only decide.

pub mod event;

pub mod receiver;

pub mod room;

pub mod security_event;

pub mod event_log;

pub mod renderer;

pub mod subscription;
