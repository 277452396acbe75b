//! usher: the service a company's other services ask about their users, over gRPC.
//!
//! One chain of arrows, checked by a test; nothing points back up:
//!
//! ```text
//! main, cli -> server -> rpc -> domain -> engine -> storage -> model
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`model`] | plain types and pure rules: ids, users, filters, task states, time |
//! | [`storage`] | the only SQL: entities, migrations, one file of queries per capability, `backend/` for what differs |
//! | [`engine`] | durable tasks in general: queue, worker, lease, watch hub. Knows no task kind |
//! | [`domain`] | the rules, one file per capability; `domain/jobs/` one file per task kind |
//! | [`rpc`] | gRPC in and out: decode, authorise, call the domain, encode |
//! | [`server`] | composition: settings, layers, limits, health, reflection, drain |
//! | [`cli`] | the command line, a client of the same API |
//! | [`proto`] | generated code |
//!
//! A capability has one name everywhere: `lifecycle.rs` in `rpc/users`, `domain/users`, `storage` and
//! `tests/it/users`. To add an RPC: the `.proto`, a line in its service's `mod.rs`, a function in its
//! capability's file of each layer, a line in `rpc/auth.rs`, tests. To add a task kind: a file in
//! `domain/jobs`, a line in its registry, a test file.

pub mod cli;
pub mod domain;
pub mod engine;
pub mod model;
pub mod proto;
pub mod rpc;
pub mod server;
pub mod storage;
