//! Plain types and pure rules. No database, no gRPC, no clock of its own, no I/O.

pub mod call;
pub mod clock;
pub mod content;
pub mod deletion;
pub mod filter;
pub mod footprint;
pub mod history;
pub mod id;
pub mod import;
pub mod json;
pub mod kid;
pub mod lifecycle;
pub mod patch;
pub mod pseudonym;
pub mod query;
pub mod reason;
pub mod revocation;
pub mod role;
pub mod secret;
pub mod session;
pub mod settings;
pub mod task;
pub mod unique_name;
pub mod user;
mod user_json;
pub mod violation;
pub mod words;
