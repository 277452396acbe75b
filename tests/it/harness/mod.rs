//! What the tests stand on: servers over databases of their own, clients, processes, and the words
//! to expect things with. No test sleeps; what can only be polled goes through [`wait`].

mod backend;
mod client;
pub(crate) mod disk;
mod dump;
mod expect;
mod import;
mod pgbouncer;
mod plan;
mod postgres;
mod process;
mod proxy;
pub(crate) mod raw;
mod reaper;
mod s3;
pub(crate) mod schema;
mod seed;
mod server;
pub(crate) mod setting;
mod wait;
mod watch;

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;

pub(crate) use backend::{Backend, Kind, Place};
pub(crate) use client::{Caller, Credentials, now};
pub(crate) use dump::{Dump, Row};
pub(crate) use expect::{Answer, fields_of, metadata_of, reason_of, retry_of, told};
pub(crate) use import::{Import, Tally, item, user_item};
pub(crate) use pgbouncer::PgBouncer;
pub(crate) use plan::plan_of;
pub(crate) use process::{Launch, Process, program};
pub(crate) use proxy::{Cut, Proxy};
pub(crate) use s3::S3;
pub(crate) use seed::{struct_of, user, user_ids};
pub(crate) use server::TestServer;
pub(crate) use wait::eventually;
pub(crate) use watch::Watch;

/// The generated types.
pub(crate) use usher::proto::v1 as pb;

/// A test that takes longer hangs.
const TEST_LIMIT: Duration = Duration::from_mins(3);

/// What a test can ask for as its argument.
pub(crate) trait Subject: Sized {
    /// Makes it over an empty database.
    async fn over(backend: Backend) -> Self;
}

impl Subject for Backend {
    async fn over(backend: Backend) -> Self {
        backend
    }
}

impl Subject for TestServer {
    async fn over(backend: Backend) -> Self {
        backend.start().await
    }
}

/// Runs one test over an empty database of `kind`, or skips it where there is no such database.
pub(crate) fn run<S: Subject, F: Future<Output = ()>>(kind: Kind, test: impl FnOnce(S) -> F) {
    let Some((backend, _cleaner)) = Backend::prepare(kind) else { return };
    block_on(async { test(S::over(backend).await).await });
}

/// Runs `test` on a runtime of its own, for as long as a test may take, or as asked for more cases than usual.
pub(crate) fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let limit = setting::setting("USHER_TEST_CASES").map_or(TEST_LIMIT, |_| TEST_LIMIT * 60);
    let ended = runtime.block_on(async { tokio::time::timeout(limit, test).await });
    runtime.shutdown_timeout(Duration::from_secs(1));
    assert!(ended.is_ok(), "the test did not end within {limit:?}");
}

/// Lets something go on beside the test; it ends with the test's runtime.
#[expect(clippy::disallowed_methods, reason = "nothing drains a test")]
pub(crate) fn aside<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(work)
}

/// Makes each test twice: `sqlite::name` and `postgres::name`. Once per file.
///
/// A test takes a `TestServer`, already running, or a `Backend`, over which it starts servers itself.
macro_rules! each_backend {
    ($($(#[$meta:meta])* async fn $name:ident($subject:ident: $kind:ty $(,)?) $body:block)+) => {
        $($(#[$meta])* async fn $name($subject: $kind) $body)+

        mod sqlite {
            $(#[test] fn $name() { $crate::harness::run($crate::harness::Kind::Sqlite, super::$name); })+
        }

        mod postgres {
            $(#[test] fn $name() { $crate::harness::run($crate::harness::Kind::Postgres, super::$name); })+
        }
    };
}
pub(crate) use each_backend;

/// Makes tests of what only SQLite has, such as a file: `sqlite::name`.
macro_rules! on_sqlite {
    ($($(#[$meta:meta])* async fn $name:ident($subject:ident: $kind:ty $(,)?) $body:block)+) => {
        $($(#[$meta])* async fn $name($subject: $kind) $body)+

        mod sqlite {
            $(#[test] fn $name() { $crate::harness::run($crate::harness::Kind::Sqlite, super::$name); })+
        }
    };
}
pub(crate) use on_sqlite;

/// Makes tests that only make sense with several replicas, over PostgreSQL: `replicas::name`.
macro_rules! on_postgres {
    ($($(#[$meta:meta])* async fn $name:ident($subject:ident: $kind:ty $(,)?) $body:block)+) => {
        $($(#[$meta])* async fn $name($subject: $kind) $body)+

        mod replicas {
            $(#[test] fn $name() { $crate::harness::run($crate::harness::Kind::Postgres, super::$name); })+
        }
    };
}
pub(crate) use on_postgres;
