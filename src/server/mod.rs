//! Composition: opens the database, puts the layers together, listens, and drains.

pub mod admin;
pub mod config;
mod connection;
mod database_url;
mod drain;
mod first_start;
mod frames;
mod greeting;
mod health;
mod listen;
mod open;
mod open_sqlite;
mod ops;
mod own_key;
mod serve;
pub mod telemetry;
pub mod text_file;

pub use self::open::StartError;
pub use self::serve::{Running, run, start};
