//! How fast content is imported, beside bare multi-row INSERTs of the same rows into the same tables.
//!
//! `cargo bench --bench import [-- ROWS]` prints rows a second of both, measured in one run, and their ratio,
//! on every database there is. The client, the server and SQLite share this process.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "it prints what it measured, and ends where it cannot measure"
)]

mod bare;
#[path = "../tests/it/harness/mod.rs"]
#[expect(dead_code, unused_imports, unused_macros, reason = "a measurement needs less than the tests")]
mod harness;

use std::time::{Duration, Instant};

use harness::{Backend, Kind, TestServer, item, pb};
use sea_orm::{DatabaseConnection, Value};
use serde_json::json;

const USERS: usize = 1_000;
const CHANNELS: usize = 100;
/// Rows of one bare INSERT, as of one batch of an import.
const CHUNK: usize = 1_000;
const ROUNDS: usize = 3;

const MESSAGE: [&str; 15] = [
    "app_id",
    "id",
    "channel_type",
    "channel_id",
    "user_id",
    "type",
    "text",
    "show_in_channel",
    "attachments",
    "custom",
    "created_at",
    "parent_id",
    "quoted_message_id",
    "deleted_at",
    "import_no",
];
const REACTION: [&str; 7] = ["app_id", "message_id", "user_id", "type", "custom", "created_at", "import_no"];

fn main() {
    let rows = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(50_000);
    println!("{:<10} {:>9} {:>12} {:>12} {:>6}", "database", "rows", "import/s", "bare/s", "ratio");
    for (name, kind) in [("sqlite", Kind::Sqlite), ("postgres", Kind::Postgres)] {
        let Some((backend, _cleaner)) = Backend::prepare(kind) else { continue };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(measure(name, &backend, rows));
    }
}

/// Imports and inserts in turns, so that what else the machine does meets both.
async fn measure(name: &str, backend: &Backend, rows: usize) {
    let server = backend.start_with(&["--request-timeout", "10m"]).await;
    seed(&server).await;
    let db = bare::connect(server.place()).await;
    let (mut ours, mut theirs) = (Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS {
        ours += import(&server, &format!("i{round}"), rows).await;
        theirs += insert(&db, &format!("b{round}"), rows).await;
    }
    let count = u32::try_from(2 * rows * ROUNDS).unwrap();
    let (imported, bare) = (f64::from(count) / ours.as_secs_f64(), f64::from(count) / theirs.as_secs_f64());
    println!("{name:<10} {count:>9} {imported:>12.0} {bare:>12.0} {:>6.2}", imported / bare);
    db.close().await.unwrap();
    server.stop().await;
}

async fn seed(server: &TestServer) {
    let mut items: Vec<_> =
        (0..USERS).map(|number| item("user", json!({"id": format!("u{number}")}))).collect();
    items.extend((0..CHANNELS).map(|number| {
        item("channel", json!({"type": "messaging", "id": format!("c{number}"), "created_by": "u0"}))
    }));
    server.imported("seed", &items).await;
}

fn text(number: usize) -> String {
    format!("message number {number}, as long as what people say to each other mostly is")
}

/// Messages, and a reaction to each.
async fn import(server: &TestServer, prefix: &str, rows: usize) -> Duration {
    let mut import = server.import(prefix, pb::ImportMode::Upsert).await;
    let begun = Instant::now();
    for number in 0..rows {
        let message = json!({"type": "message", "item": {
            "id": format!("{prefix}-{number}"), "channel_type": "messaging",
            "channel_id": format!("c{}", number % CHANNELS), "user": format!("u{}", number % USERS),
            "text": text(number), "created_at": "2024-05-01T12:00:00Z", "custom": {"n": number},
        }});
        let reaction = json!({"type": "reaction", "item": {
            "message_id": format!("{prefix}-{number}"), "type": "like",
            "user_id": format!("u{}", (number + 1) % USERS), "created_at": "2024-05-01T12:00:01Z",
        }});
        let offset = i64::try_from(2 * number).unwrap();
        import.send(offset, message.to_string().as_bytes()).await;
        import.send(offset + 1, reaction.to_string().as_bytes()).await;
    }
    let tally = import.finish().await;
    assert_eq!((tally.accepted, tally.refused.len()), (i64::try_from(2 * rows).unwrap(), 0));
    begun.elapsed()
}

/// The same rows, a statement and a commit for each chunk.
async fn insert(db: &DatabaseConnection, prefix: &str, rows: usize) -> Duration {
    let begun = Instant::now();
    let at = 1_714_564_800_000_000_i64;
    for chunk in (0..rows).collect::<Vec<_>>().chunks(CHUNK) {
        let messages = chunk.iter().map(|number| -> Vec<Value> {
            let id = format!("{prefix}-{number}");
            let (channel, user) = (format!("c{}", number % CHANNELS), format!("u{}", number % USERS));
            let none = || Value::from(None::<String>);
            vec![
                1.into(),
                id.into(),
                "messaging".into(),
                channel.into(),
                user.into(),
                "regular".into(),
                text(*number).into(),
                false.into(),
                json!([]).into(),
                json!({"n": number}).into(),
                at.into(),
                none(),
                none(),
                None::<i64>.into(),
                1_i64.into(),
            ]
        });
        bare::insert(db, "messages", &MESSAGE, messages).await;
        let reactions = chunk.iter().map(|number| -> Vec<Value> {
            let (message, user) = (format!("{prefix}-{number}"), format!("u{}", (number + 1) % USERS));
            vec![
                1.into(),
                message.into(),
                user.into(),
                "like".into(),
                json!({}).into(),
                at.into(),
                1_i64.into(),
            ]
        });
        bare::insert(db, "reactions", &REACTION, reactions).await;
    }
    begun.elapsed()
}
