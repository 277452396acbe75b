//! The only place with SQL: entities, migrations, and one file of queries per capability.
//!
//! Query functions take a connection ([`Db`] to read, [`Tx`] to write) and never begin a transaction;
//! [`Store::write`] does. What differs between SQLite and PostgreSQL lives in `backend/`.

pub mod apps;
pub mod archives;
pub mod backend;
pub mod calls;
pub mod channels;
pub mod clock;
pub mod columns;
mod connection;
pub mod content;
pub mod deletion;
pub mod devices;
pub mod entity;
pub mod erased;
mod error;
pub mod export;
pub mod filter;
pub mod footprint;
pub mod get;
pub mod history;
pub mod import;
pub mod items;
pub mod lifecycle;
pub mod master_keys;
pub mod messages;
pub mod migration;
pub mod names;
pub mod narrow;
pub mod object_store;
pub mod objects;
pub mod page;
pub mod presence;
pub mod query;
pub mod queue;
pub mod roles;
pub mod row;
pub mod settings;
mod store;
pub mod sweep;
pub mod tasks;
pub mod terms;
pub mod tokens;
pub mod upsert;

pub use connection::{Db, OpenTransaction, Runner, Tx};
pub use error::{Outage, Retryable, StoreError};
pub use store::{Store, Urgency, Verdict, Work};
