//! How fast users are exported, beside a bare SELECT of the same rows, how soon, and with how much memory.
//!
//! `cargo bench --bench export -- [sqlite] [postgres] [MESSAGES]`; docs/performance.md says what the figures mean.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "it prints what it measured, and ends where it cannot measure"
)]

mod bare;
#[path = "../tests/it/harness/mod.rs"]
#[expect(dead_code, unused_imports, unused_macros, reason = "a measurement needs less than the tests")]
mod harness;
#[expect(dead_code, reason = "processor time is measured elsewhere")]
mod served;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harness::{Answer, Backend, Caller, Kind, pb, user_ids};
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query};
use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult, Value};
use serde_json::json;
use served::Served;

/// Rows of one bare statement.
const CHUNK: usize = 1_000;
const ROUNDS: usize = 3;
/// Calls whose first record is waited for.
const CALLS: usize = 30;
/// Callers that read the first records of a stream, and then nothing.
const IDLE: u32 = 20;
/// They have been sent all that a caller who reads nothing is sent.
const SETTLED: Duration = Duration::from_secs(3);
/// Downloads in a row, and at the same time.
const DOWNLOADS: usize = 20;
const AT_ONCE: usize = 10;

const MESSAGE: [&str; 13] = [
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
    "pinned_at",
    "updated_at",
    "created_at",
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let messages = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(200_000);
    let kinds = [("sqlite", Kind::Sqlite), ("postgres", Kind::Postgres)];
    let named = |name: &str| arguments.iter().any(|argument| argument == name);
    let is_any_named = kinds.iter().any(|(name, _)| named(name));
    for (name, kind) in kinds.into_iter().filter(|(name, _)| named(name) || !is_any_named) {
        let Some((backend, _cleaner)) = Backend::prepare(kind) else { continue };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(measure(name, &backend, messages));
    }
}

async fn measure(name: &str, backend: &Backend, messages: usize) {
    let server = Served::start(backend, backend.place()).await;
    let db = bare::connect(server.place()).await;
    fill(server.caller(), &db, messages).await;
    if server.place().url.is_some() {
        db.execute_unprepared("ANALYZE").await.unwrap();
    }
    let server = first_records(name, backend, server).await;
    let server = memory(name, server.restart(backend).await, messages).await.restart(backend).await;
    rates(name, server.caller(), &db, messages).await;
    db.close().await.unwrap();
    downloads(name, server.restart(backend).await).await.stop().await;
}

/// `user-00000` with so many messages in one channel, half of them with free data.
async fn fill(server: &Caller, db: &DatabaseConnection, messages: usize) {
    let ids = user_ids("user", 2);
    server.seed(&ids).await;
    let channel = [
        "app_id",
        "type",
        "id",
        "created_by_id",
        "is_distinct",
        "disabled",
        "frozen",
        "custom",
        "created_at",
    ];
    let row: [Value; 9] = [
        1.into(),
        "messaging".into(),
        "all".into(),
        ids[1].as_str().into(),
        false.into(),
        false.into(),
        false.into(),
        json!({}).into(),
        1_i64.into(),
    ];
    bare::insert(db, "channels", &channel, std::iter::once(row.to_vec())).await;
    for chunk in (0..messages).collect::<Vec<_>>().chunks(CHUNK) {
        let rows = chunk.iter().map(|number| -> Vec<Value> {
            let custom = if number % 2 == 0 { json!({}) } else { json!({"client": "web", "n": number}) };
            vec![
                1.into(),
                format!("message-{number:07}").into(),
                "messaging".into(),
                "all".into(),
                ids[0].as_str().into(),
                "regular".into(),
                "what people say to each other mostly is as long as this".into(),
                false.into(),
                json!([]).into(),
                custom.into(),
                None::<i64>.into(),
                None::<i64>.into(),
                1_700_000_000_000_000_i64.saturating_add(i64::try_from(*number).unwrap()).into(),
            ]
        });
        bare::insert(db, "messages", &MESSAGE, rows).await;
    }
}

/// How soon the first record comes: in the first call of a server, and in later ones.
async fn first_records(name: &str, backend: &Backend, mut server: Served) -> Served {
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        server = server.restart(backend).await;
        connected(server.caller()).await;
        first.push(first_record(server.caller()).await);
    }
    for _ in 0..CALLS {
        later.push(first_record(server.caller()).await);
    }
    first.sort_unstable();
    later.sort_unstable();
    let [median, most, first] = [later[CALLS / 2], later[CALLS - 1], first[ROUNDS - 1]].map(ms);
    tell(
        name,
        "ExportUser, first record",
        &format!("{median} median, {most} at most; {first} after a start"),
    );
    server
}

/// The first call of a connection makes it; this one asks nothing of the database.
async fn connected(server: &Caller) {
    server.health().check(tonic_health::pb::HealthCheckRequest::default()).await.unwrap();
}

async fn first_record(server: &Caller) -> Duration {
    let begun = Instant::now();
    let message = begin(server).await.message().await.unwrap().expect("records");
    assert!(!message.records.is_empty());
    begun.elapsed()
}

async fn begin(server: &Caller) -> tonic::Streaming<pb::ExportUserResponse> {
    let request = pb::ExportUserRequest { user_id: "user-00000".to_owned(), ..Default::default() };
    server.users().export_user(request).await.answered()
}

/// By how much the memory of a server grows: by one stream, by callers that wait, by one task.
async fn memory(name: &str, server: Served, messages: usize) -> Served {
    first_record(server.caller()).await;
    let before = server.peak_memory();
    stream(server.caller(), messages).await;
    tell(name, "ExportUser, memory", &format!("{} MiB more", mib(server.peak_memory() - before)));
    let before = server.memory();
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        let mut stream = begin(&server.caller().on_another_connection()).await;
        stream.message().await.unwrap().expect("records");
        idle.push(stream);
    }
    tokio::time::sleep(SETTLED).await;
    let each = mib(server.memory().saturating_sub(before)) / f64::from(IDLE);
    tell(name, "ExportUser, a caller that waits", &format!("{each:.1} MiB more"));
    drop(idle);
    let before = server.peak_memory();
    archive(server.caller()).await;
    let more = mib(server.peak_memory().saturating_sub(before));
    tell(name, "ExportUsers, memory", &format!("{more} MiB more than that"));
    server
}

async fn rates(name: &str, server: &Caller, db: &DatabaseConnection, messages: usize) {
    let (mut streamed, mut archived, mut bare) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for _ in 0..ROUNDS {
        streamed += stream(server, messages).await;
        let begun = Instant::now();
        archive(server).await;
        archived += begun.elapsed();
        bare += select(db, messages).await;
    }
    let rate = |time: Duration| (messages * ROUNDS) as f64 / time.as_secs_f64();
    let bare = rate(bare);
    for (what, time) in [("ExportUser, messages", streamed), ("ExportUsers, messages", archived)] {
        let rate = rate(time);
        tell(name, what, &format!("{rate:.0}/s, bare {bare:.0}/s, ratio {:.2}", rate / bare));
    }
}

/// Downloads one after the other, and at the same time.
async fn downloads(name: &str, server: Served) -> Served {
    let task = archive(server.caller()).await;
    let (before, begun, mut bytes) = (server.peak_memory(), Instant::now(), 0);
    for _ in 0..DOWNLOADS {
        bytes += download(server.caller().clone(), &task).await;
    }
    let rate = bytes as f64 / 1e6 / begun.elapsed().as_secs_f64();
    let more = mib(server.peak_memory().saturating_sub(before));
    tell(name, "DownloadResult", &format!("{rate:.0} MB/s, {more} MiB more"));
    let (begun, before) = (Instant::now(), server.peak_memory());
    let callers = (0..AT_ONCE).map(|_| download(server.caller().on_another_connection(), &task));
    let bytes: usize = join_all(callers).await.into_iter().sum();
    let rate = bytes as f64 / 1e6 / begun.elapsed().as_secs_f64();
    let more = mib(server.peak_memory().saturating_sub(before));
    tell(name, "DownloadResult, ten at once", &format!("{rate:.0} MB/s, {more} MiB more"));
    server
}

fn tell(name: &str, what: &str, figures: &str) {
    println!("{name:<9} {what:<33} {figures}");
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn mib(kib: u64) -> f64 {
    (kib as f64 / 102.4).round() / 10.0
}

async fn stream(server: &Caller, messages: usize) -> Duration {
    let begun = Instant::now();
    let (mut stream, mut records) = (begin(server).await, 0);
    while let Some(message) = stream.message().await.unwrap() {
        records += message.records.len();
    }
    assert!(records > messages);
    begun.elapsed()
}

async fn archive(server: &Caller) -> pb::Task {
    let request = pb::ExportUsersRequest { user_ids: vec!["user-00000".to_owned()], ..Default::default() };
    let task = server.users().export_users(request).await.answered().task.unwrap();
    server.completed(&task).await
}

/// The same rows, all columns of them read.
async fn select(db: &DatabaseConnection, messages: usize) -> Duration {
    let (begun, mut after, mut read) = (Instant::now(), String::new(), 0);
    loop {
        let select = Query::select()
            .columns(MESSAGE)
            .from("messages")
            .and_where(Expr::col("app_id").eq(1))
            .and_where(Expr::col("user_id").eq("user-00000"))
            .and_where(Expr::col("id").gt(after.as_str()))
            .order_by("id", Order::Asc)
            .limit(CHUNK as u64)
            .take();
        let rows = db.query_all(&select).await.unwrap();
        let bytes: usize = rows.iter().map(values).sum();
        assert!(bytes > 0 || rows.is_empty());
        read += rows.len();
        match rows.last() {
            Some(last) if rows.len() == CHUNK => after = last.try_get_by_index(1).unwrap(),
            _ => break,
        }
    }
    assert_eq!(read, messages);
    begun.elapsed()
}

/// Takes every value of a row; their size.
fn values(row: &QueryResult) -> usize {
    let texts = (1..7).map(|at| row.try_get_by_index::<String>(at).unwrap().len()).sum::<usize>();
    let flag = usize::from(row.try_get_by_index::<bool>(7).unwrap());
    let json = (8..10)
        .map(|at| usize::from(row.try_get_by_index::<serde_json::Value>(at).unwrap().as_object().is_some()));
    let times = (10..13).map(|at| usize::from(row.try_get_by_index::<Option<i64>>(at).unwrap().is_some()));
    texts + flag + json.sum::<usize>() + times.sum::<usize>()
}

/// Downloads an archive; its length.
async fn download(server: Caller, task: &pb::Task) -> usize {
    let request = pb::DownloadResultRequest { task_id: task.task_id.clone(), index: 0, offset: 0 };
    let mut stream = server.tasks().download_result(request).await.answered();
    let mut bytes = 0;
    while let Some(message) = stream.message().await.unwrap() {
        if let Some(pb::download_result_response::Part::Data(data)) = message.part {
            bytes += data.len();
        }
    }
    bytes
}
