//! How fast users are exported, beside a bare SELECT of the same rows, and how fast archives are downloaded.
//!
//! `cargo bench --bench export -- [MESSAGES]` prints, on every database there is: how soon the first record of
//! `ExportUser` comes, and messages a second of the stream; messages a second of `ExportUsers`; those of a bare
//! SELECT of the same rows, in pages by key; the rate of `DownloadResult`; and by how much the memory of the
//! process, client included, grew at most meanwhile.
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

use std::time::{Duration, Instant};

use harness::{Answer, Backend, Kind, TestServer, pb, user_ids};
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query};
use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult, Value};
use serde_json::json;

/// Rows of one bare statement.
const CHUNK: usize = 1_000;
const ROUNDS: usize = 3;
/// Downloads in a row.
const DOWNLOADS: u32 = 20;

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
    let messages = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(200_000);
    for (name, kind) in [("sqlite", Kind::Sqlite), ("postgres", Kind::Postgres)] {
        let Some((backend, _cleaner)) = Backend::prepare(kind) else { continue };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = backend.start_with(&["--request-timeout", "10m"]).await;
            let db = bare::connect(&server).await;
            fill(&server, &db, messages).await;
            measure(name, &server, &db, messages).await;
            db.close().await.unwrap();
            server.stop().await;
        });
    }
}

/// `user-00000` with so many messages in one channel, half of them with free data.
async fn fill(server: &TestServer, db: &DatabaseConnection, messages: usize) {
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
    if server.kind() == Kind::Postgres {
        db.execute_unprepared("ANALYZE").await.unwrap();
    }
}

async fn measure(name: &str, server: &TestServer, db: &DatabaseConnection, messages: usize) {
    let before = memory();
    let (mut first, mut streamed, mut archived, mut bare) =
        (Duration::ZERO, Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut task = pb::Task::default();
    for _ in 0..ROUNDS {
        let (to_first, whole) = stream(server, messages).await;
        first = first.max(to_first);
        streamed += whole;
        let (done, took) = archive(server).await;
        (task, archived) = (done, archived + took);
        bare += select(db, messages).await;
    }
    let grown = memory().saturating_sub(before) / 1024;
    let rate = |time: Duration| (messages * ROUNDS) as f64 / time.as_secs_f64();
    let (streamed, archived, bare) = (rate(streamed), rate(archived), rate(bare));
    println!("{name:<9} first record of ExportUser         {:>9.1} ms at most", first.as_secs_f64() * 1e3);
    for (what, rate) in [("ExportUser, messages", streamed), ("ExportUsers, messages", archived)] {
        println!("{name:<9} {what:<34} {rate:>9.0}/s  bare {bare:>9.0}/s  ratio {:>5.2}", rate / bare);
    }
    let rate = download(server, &task).await;
    println!("{name:<9} DownloadResult                     {rate:>9.0} MB/s");
    println!("{name:<9} memory grew by                     {grown:>9} MiB at most, client included");
}

/// How soon the first record comes, and the last.
async fn stream(server: &TestServer, messages: usize) -> (Duration, Duration) {
    let begun = Instant::now();
    let request = pb::ExportUserRequest { user_id: "user-00000".to_owned(), ..Default::default() };
    let mut stream = server.users().export_user(request).await.answered();
    let (mut first, mut records) = (None, 0);
    while let Some(message) = stream.message().await.unwrap() {
        first.get_or_insert_with(|| begun.elapsed());
        records += message.records.len();
    }
    assert!(records > messages);
    (first.unwrap(), begun.elapsed())
}

async fn archive(server: &TestServer) -> (pb::Task, Duration) {
    let begun = Instant::now();
    let request = pb::ExportUsersRequest { user_ids: vec!["user-00000".to_owned()], ..Default::default() };
    let task = server.users().export_users(request).await.answered().task.unwrap();
    let task = server.completed(&task).await;
    (task, begun.elapsed())
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

/// Megabytes a second of downloads in a row.
async fn download(server: &TestServer, task: &pb::Task) -> f64 {
    let (begun, mut bytes) = (Instant::now(), 0_usize);
    for _ in 0..DOWNLOADS {
        let request = pb::DownloadResultRequest { task_id: task.task_id.clone(), index: 0, offset: 0 };
        let mut stream = server.tasks().download_result(request).await.answered();
        while let Some(message) = stream.message().await.unwrap() {
            if let Some(pb::download_result_response::Part::Data(data)) = message.part {
                bytes += data.len();
            }
        }
    }
    bytes as f64 / 1e6 / begun.elapsed().as_secs_f64()
}

/// The most memory that this process has used, in KiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}
