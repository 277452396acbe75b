//! The tests of usher from outside: over gRPC, on both databases, with real processes where they matter.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test, these are how it fails"
)]

mod apps;
mod architecture;
mod cli;
mod content;
mod foreign;
mod harness;
mod proxies;
mod server;
mod tasks;
mod tokens;
mod users;
mod wire;
