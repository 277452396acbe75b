//! How fast users are deleted, beside bare statements that do the same to the same rows, and how soon tasks
//! begin.
//!
//! `cargo bench --bench deletion -- [hard] [soft] [begin] [ROWS]` prints, on every database there is and of
//! what is named, or all: rows a second of a hard deletion of one user with so many messages and as many
//! reactions to them, beside the same DELETEs in chunks; of a soft deletion of as many users in ten tasks,
//! beside UPDATEs of their rows in chunks, once of the users alone and once with the rows of the tasks' items;
//! and how long after the call tasks are seen to have begun, also where every notification between replicas
//! is lost.
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

use harness::{Answer, Backend, Caller, Kind, TestServer, pb, user_ids};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, TransactionTrait, Value};
use serde_json::json;

/// Rows of one bare statement, as of one batch of a task.
const CHUNK: usize = 1_000;
const ROUNDS: usize = 3;
/// Tasks of a soft deletion.
const TASKS: usize = 10;
/// Tasks whose beginning is measured.
const BEGINNINGS: usize = 300;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rows = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
    let none_named = !arguments.iter().any(|argument| ["hard", "soft", "begin"].contains(&argument.as_str()));
    let is_asked = |part: &str| none_named || arguments.iter().any(|argument| argument == part);
    for (name, kind) in [("sqlite", Kind::Sqlite), ("postgres", Kind::Postgres)] {
        let Some((backend, _cleaner)) = Backend::prepare(kind) else { continue };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = backend.start_with(&["--request-timeout", "10m"]).await;
            let db = bare::connect(server.place()).await;
            if is_asked("hard") {
                hard(name, &server, &db, rows).await;
            }
            if is_asked("soft") {
                soft(name, &server, &db, rows).await;
            }
            if is_asked("begin") {
                beginnings(name, &server, &server).await;
            }
            db.close().await.unwrap();
            if kind == Kind::Postgres && is_asked("begin") {
                unheard(&backend, server).await;
            } else {
                server.stop().await;
            }
        });
    }
}

/// One user at a time who has everything, by turns through usher and by bare statements.
async fn hard(name: &str, server: &TestServer, db: &DatabaseConnection, rows: usize) {
    server.seed(&user_ids("peer", 100)).await;
    let channel = [
        1.into(),
        "messaging".into(),
        "all".into(),
        "peer-00000".into(),
        false.into(),
        false.into(),
        false.into(),
        json!({}).into(),
        1_i64.into(),
    ];
    let columns = [
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
    bare::insert(db, "channels", &columns, std::iter::once(channel.to_vec())).await;
    let (mut ours, mut theirs) = (Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS {
        for who in ["ours", "theirs"] {
            let id = format!("{who}-{round}");
            server.seed(std::slice::from_ref(&id)).await;
            fill(db, &id, rows).await;
        }
        if server.kind() == Kind::Postgres {
            db.execute_unprepared("ANALYZE").await.unwrap();
        }
        ours += delete_hard(server, &format!("ours-{round}")).await;
        theirs += delete_bare(db, &format!("theirs-{round}"), rows).await;
    }
    let deleted = u32::try_from(2 * rows * ROUNDS).unwrap();
    tell(name, "hard deletion of one user", deleted, ours, theirs);
}

async fn fill(db: &DatabaseConnection, user: &str, rows: usize) {
    const MESSAGE: [&str; 10] = [
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
    ];
    let message: Vec<&str> = MESSAGE.into_iter().chain(["created_at"]).collect();
    let reaction = ["app_id", "message_id", "user_id", "type", "custom", "created_at"];
    for chunk in (0..rows).collect::<Vec<_>>().chunks(CHUNK) {
        let id = |number: &usize| format!("{user}-{number:07}");
        let messages = chunk.iter().map(|number| -> Vec<Value> {
            vec![
                1.into(),
                id(number).into(),
                "messaging".into(),
                "all".into(),
                user.into(),
                "regular".into(),
                "what people say to each other mostly is as long as this".into(),
                false.into(),
                json!([]).into(),
                json!({}).into(),
                i64::try_from(*number).unwrap().into(),
            ]
        });
        bare::insert(db, "messages", &message, messages).await;
        let reactions = chunk.iter().map(|number| -> Vec<Value> {
            let peer = format!("peer-{:05}", number % 100);
            vec![1.into(), id(number).into(), peer.into(), "like".into(), json!({}).into(), 1_i64.into()]
        });
        bare::insert(db, "reactions", &reaction, reactions).await;
    }
}

async fn delete_hard(server: &Caller, user: &str) -> Duration {
    let hard = pb::DeleteMode::Hard.into();
    let begun = Instant::now();
    let request = pb::DeleteUsersRequest {
        user_ids: vec![user.to_owned()],
        user: hard,
        messages: hard,
        conversations: hard,
        ..Default::default()
    };
    let task = server.users().delete_users(request).await.answered().task.unwrap();
    server.completed(&task).await;
    begun.elapsed()
}

/// The same rows go, a chunk of messages with their reactions in each transaction.
async fn delete_bare(db: &DatabaseConnection, user: &str, rows: usize) -> Duration {
    let begun = Instant::now();
    for chunk in (0..rows).collect::<Vec<_>>().chunks(CHUNK) {
        let ids: Vec<String> = chunk.iter().map(|number| format!("{user}-{number:07}")).collect();
        let tx = begin(db).await;
        for (table, column) in [("reactions", "message_id"), ("messages", "id")] {
            let mut delete = Query::delete();
            delete.from_table(table).and_where(Expr::col("app_id").eq(1));
            delete.and_where(Expr::col(column).is_in(ids.iter().map(String::as_str)));
            tx.execute(&delete).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
    let mut delete = Query::delete();
    delete.from_table("users").and_where(Expr::col("app_id").eq(1)).and_where(Expr::col("id").eq(user));
    db.execute(&delete).await.unwrap();
    begun.elapsed()
}

/// Users with nothing but ids, by turns through ten tasks at a time and by bare statements.
async fn soft(name: &str, server: &TestServer, db: &DatabaseConnection, rows: usize) {
    let (mut ours, mut users, mut with_items) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS {
        let all = user_ids(&format!("soft-{round}"), rows * 3);
        server.seed(&all).await;
        if server.kind() == Kind::Postgres {
            db.execute_unprepared("ANALYZE").await.unwrap();
        }
        let parts: Vec<&[String]> = all.chunks(rows).collect();
        ours += delete_soft(server, parts[0]).await;
        users += update_bare(db, parts[1], None).await;
        with_items += update_bare(db, parts[2], Some(&format!("bare-{round}"))).await;
    }
    let deleted = u32::try_from(rows * ROUNDS).unwrap();
    tell(name, "soft deletion, users' rows alone", deleted, ours, users);
    tell(name, "soft deletion, with rows of items", deleted, ours, with_items);
}

async fn delete_soft(server: &Caller, ids: &[String]) -> Duration {
    let begun = Instant::now();
    let tasks = ids.chunks(ids.len().div_ceil(TASKS)).map(async |some| {
        let request = pb::DeleteUsersRequest { user_ids: some.to_vec(), ..Default::default() };
        let task = server.users().delete_users(request).await.answered().task.unwrap();
        server.completed(&task).await;
    });
    futures_util::future::join_all(tasks).await;
    begun.elapsed()
}

#[expect(clippy::disallowed_methods, reason = "nobody else writes meanwhile")]
async fn begin(db: &DatabaseConnection) -> DatabaseTransaction {
    db.begin().await.unwrap()
}

/// The users' rows change; with a task, an item is inserted for each, and changes too.
async fn update_bare(db: &DatabaseConnection, ids: &[String], task: Option<&str>) -> Duration {
    let begun = Instant::now();
    for (at, chunk) in ids.chunks(CHUNK).enumerate() {
        let tx = begin(db).await;
        let mut update = Query::update();
        update
            .table("users")
            .value("deleted_at", 1_i64)
            .value("deleted_by", task.unwrap_or("bare"))
            .value("updated_at", 1_i64)
            .value("version", Expr::col("version").add(1))
            .value("terms_version", Expr::col("terms_version").sub(1))
            .and_where(Expr::col("app_id").eq(1))
            .and_where(Expr::col("id").is_in(chunk.iter().map(String::as_str)));
        tx.execute(&update).await.unwrap();
        if let Some(task) = task {
            items_of(&tx, &format!("{task}-{at}"), chunk).await;
        }
        tx.commit().await.unwrap();
    }
    begun.elapsed()
}

async fn items_of(db: &impl ConnectionTrait, task: &str, ids: &[String]) {
    let columns = [
        "app_id",
        "id",
        "kind",
        "state",
        "phase",
        "params",
        "checkpoint",
        "users_total",
        "users_done",
        "users_failed",
        "users_unchanged",
        "rows_done",
        "revision",
        "failures",
        "cancel_requested",
        "created_by_id",
        "reason",
        "created_at",
        "updated_at",
        "lease_epoch",
        "run_after",
        "accepted_seq",
    ];
    let zero = || Value::from(0_i64);
    let row = vec![
        1.into(),
        task.into(),
        "delete_users".into(),
        "completed".into(),
        "users".into(),
        json!(null).into(),
        json!(null).into(),
        zero(),
        zero(),
        zero(),
        zero(),
        zero(),
        zero(),
        0.into(),
        false.into(),
        "".into(),
        "".into(),
        zero(),
        zero(),
        zero(),
        zero(),
        zero(),
    ];
    bare::insert(db, "tasks", &columns, std::iter::once(row)).await;
    let items = ids.iter().enumerate().map(|(at, id)| -> Vec<Value> {
        vec![1.into(), task.into(), i32::try_from(at).unwrap().into(), id.as_str().into(), 0_i16.into()]
    });
    bare::insert(db, "task_items", &["app_id", "task_id", "idx", "user_id", "outcome"], items).await;
    let mut update = Query::update();
    update.table("task_items").value("outcome", 1_i16);
    update.and_where(Expr::col("app_id").eq(1)).and_where(Expr::col("task_id").eq(task));
    db.execute(&update).await.unwrap();
}

/// From the call to the first state that is beyond pending, as a watcher sees it.
async fn beginnings(name: &str, caller: &TestServer, watcher: &Caller) {
    let ids = user_ids(&format!("soon-{}", name.len()), BEGINNINGS);
    caller.seed(&ids).await;
    let (mut firsts, mut begins) = (Vec::new(), Vec::new());
    for id in &ids {
        let begun = Instant::now();
        let request = pb::DeleteUsersRequest { user_ids: vec![id.clone()], ..Default::default() };
        let task = caller.users().delete_users(request).await.answered().task.unwrap();
        let mut watch = watcher.watch(&task).await;
        watch.next().await.unwrap();
        firsts.push(begun.elapsed());
        if watch.seen()[0].state() == pb::TaskState::Pending {
            watch.until(|task| task.state() != pb::TaskState::Pending).await;
        }
        begins.push(begun.elapsed());
        watch.end().await;
    }
    for (what, mut times) in [("first state seen", firsts), ("begun", begins)] {
        times.sort_unstable();
        let [p50, p99, max] = [times.len() / 2, times.len() * 99 / 100, times.len() - 1]
            .map(|at| times[at].as_secs_f64() * 1_000.0);
        println!("{name:<26} {what:<18} p50 {p50:>6.1} ms  p99 {p99:>6.1} ms  max {max:>6.1} ms");
    }
}

/// One replica takes the calls, another does the work, and neither hears of the other.
async fn unheard(backend: &Backend, server: TestServer) {
    let deaf = {
        let url = server.place().url.clone().unwrap();
        // Notifications stay within their database.
        let (start, _) = url.rsplit_once('/').unwrap();
        format!("{start}/postgres")
    };
    server.stop().await;
    let listen = ["--database-listen-url", &deaf];
    let front = backend.start_with(&[&["--workers", "0"], &listen[..]].concat()).await;
    let back = backend.start_with(&listen).await;
    beginnings("postgres, all unheard", &front, &front).await;
    front.stop().await;
    back.stop().await;
}

fn tell(name: &str, what: &str, rows: u32, ours: Duration, bare: Duration) {
    let [ours, bare] = [ours, bare].map(|time| f64::from(rows) / time.as_secs_f64());
    println!("{name:<9} {what:<34} {ours:>9.0}/s  bare {bare:>9.0}/s  ratio {:>5.2}", ours / bare);
}
