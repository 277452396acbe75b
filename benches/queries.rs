//! How queries and upserts fare as an app grows: `cargo bench --bench queries -- [sqlite] [postgres] [SIZE]...`
//!
//! Sizes are numbers of users, 10,000 and 100,000 unless said; a million takes a while. Everything goes over
//! gRPC to a server in this process. What is printed last, and what can be compared between machines, are
//! ratios within one run: times of one size to those of the size before, upserts to bare ones.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench tells, and ends where it cannot go on"
)]

#[path = "../tests/it/harness/mod.rs"]
#[expect(dead_code, unused_imports, unused_macros, reason = "made for the tests, which use all of it")]
mod harness;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harness::{Answer as _, Backend, Kind, TestServer, pb, struct_of};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, IntoActiveModel as _, Iterable as _,
    QueryFilter as _,
};
use serde_json::{Value, json};
use usher::model::id::AppId;
use usher::storage::entity::{user, user_term};
use usher::storage::{Store, StoreError, Urgency};

const BATCH: u64 = 500;
const RUNS: usize = 100;
/// Upserts that are measured, in batches; as many at a time on both sides.
const MEASURED: u64 = 40;
const AT_A_TIME: u64 = 4;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut sizes: Vec<u64> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![10_000, 100_000];
    }
    let named = |name: &str| arguments.iter().any(|argument| argument == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for (name, kind) in [("sqlite", Kind::Sqlite), ("postgres", Kind::Postgres)] {
        let others = ["sqlite", "postgres"].into_iter().any(|other| other != name && named(other));
        if others && !named(name) {
            continue;
        }
        let Some((backend, _cleaner)) = Backend::prepare(kind) else { continue };
        runtime.block_on(measure(name, &backend, &sizes));
    }
}

async fn measure(name: &str, backend: &Backend, sizes: &[u64]) {
    let server = backend.start().await;
    let mut before: Option<(u64, Vec<(&str, Duration)>)> = None;
    let mut stored = 0;
    for &size in sizes {
        println!("\n{name}, {size} users");
        let rate = seed(&server, stored..size).await;
        stored = size;
        println!("  stored with {rate:.0} users/s");
        backend.meddle(server.place(), "ANALYZE").await;
        let medians = queries(&server, size, before.as_ref()).await;
        before = Some((size, medians));
    }
    upserts(&server, backend, stored).await;
    server.stop().await;
}

fn someone(number: u64, round: u64) -> pb::UserInput {
    // As many to a city whatever the size; of the others, shares of all.
    pb::UserInput {
        id: format!("user-{number:08}"),
        name: format!("Name{} Surname{}", number % 997, number % 99_991),
        role: if number.is_multiple_of(1_000) { "admin".to_owned() } else { String::new() },
        teams: vec![format!("team-{}", number / 100)],
        custom: Some(struct_of(json!({
            "city": format!("city-{}", number / 20),
            "level": number,
            "plan": format!("plan-{}", number % 20),
            "vip": number.is_multiple_of(50),
            "round": round,
            "cohort": number / 5_000,
        }))),
        ..Default::default()
    }
}

async fn store(server: &TestServer, numbers: std::ops::Range<u64>, round: u64) {
    let users = numbers.map(|number| someone(number, round)).collect();
    server.users().upsert_users(pb::UpsertUsersRequest { users }).await.answered();
}

async fn seed(server: &TestServer, numbers: std::ops::Range<u64>) -> f64 {
    let (begun, count) = (Instant::now(), numbers.end - numbers.start);
    for first in numbers.clone().step_by(500) {
        store(server, first..(first + BATCH).min(numbers.end), 0).await;
    }
    rate(count, begun.elapsed())
}

#[expect(clippy::cast_precision_loss, reason = "counts of users are far below 2^52")]
fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// A kind of query, and one of that kind at random.
type Ask = (&'static str, fn(&mut SmallRng, u64) -> Value);

const ASKS: [Ask; 13] = [
    ("30 ids", |random, size| {
        let ids: Vec<String> = (0..30).map(|_| format!("user-{:08}", random.random_range(0..size))).collect();
        json!({"id": {"$in": ids}})
    }),
    ("role, a thousandth", |_, _| json!({"role": "admin"})),
    ("team of 100", |random, size| json!({"teams": format!("team-{}", random.random_range(0..size) / 100)})),
    (
        "custom = , 20 users",
        |random, size| json!({"city": format!("city-{}", random.random_range(0..size) / 20)}),
    ),
    ("custom = , a twentieth", |random, _| json!({"plan": format!("plan-{}", random.random_range(0..20))})),
    (
        "two custom = , few",
        |random, size| json!({"city": format!("city-{}", random.random_range(0..size) / 20), "vip": true}),
    ),
    ("two custom = , a thousandth", |_, _| json!({"plan": "plan-0", "vip": true})),
    ("custom range of 50", |random, size| {
        let low = random.random_range(0..size);
        json!({"level": {"$gte": low, "$lt": low + 50}})
    }),
    ("custom range, a half", |_, size| json!({"level": {"$gte": size / 2}})),
    (
        "autocomplete, few",
        |random, size| json!({"name": {"$autocomplete": format!("surname{}", random.random_range(0..size.min(99_991)))}}),
    ),
    ("autocomplete, everybody", |_, _| json!({"name": {"$autocomplete": "sur"}})),
    ("custom =, 5,000 far away", |_, _| json!({"cohort": 0})),
    ("custom =, nobody", |_, _| json!({"city": "nowhere"})),
];

async fn queries(
    server: &TestServer,
    size: u64,
    before: Option<&(u64, Vec<(&'static str, Duration)>)>,
) -> Vec<(&'static str, Duration)> {
    println!("  {:<28} {:>9} {:>9}   p50 to the size before", "a page of 30", "p50", "p99");
    let mut random = SmallRng::seed_from_u64(1);
    let mut medians = Vec::new();
    let mut tell = |name: &'static str, mut times: Vec<Duration>| {
        times.sort_unstable();
        let (median, worst) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        let ratio = before
            .and_then(|(size, medians)| Some((size, medians.iter().find(|(other, _)| *other == name)?.1)))
            .map(|(size, other)| {
                format!("{:.1} x that of {size}", median.as_secs_f64() / other.as_secs_f64())
            });
        println!("  {name:<28} {:>9} {:>9}   {}", ms(median), ms(worst), ratio.unwrap_or_default());
        medians.push((name, median));
    };
    for (name, ask) in ASKS {
        let mut times = Vec::new();
        for _ in 0..RUNS {
            let filter = Some(struct_of(ask(&mut random, size)));
            times.push(timed(server, pb::QueryUsersRequest { filter, ..Default::default() }).await.0);
        }
        tell(name, times);
    }
    let (mut ranges, mut pages) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let id = format!("user-{:08}", random.random_range(1_000..size));
        let at = server.user(&id).await.created_at.unwrap();
        let at = usher::model::clock::Timestamp::from_parts(at.seconds, at.nanos.unsigned_abs()).unwrap();
        // From there on, downwards: the first page, and the one that its token leads to.
        let filter = Some(struct_of(json!({"created_at": {"$lte": at.to_string()}})));
        let first = pb::QueryUsersRequest { filter, ..Default::default() };
        let (took, answer) = timed(server, first.clone()).await;
        ranges.push(took);
        pages.push(
            timed(server, pb::QueryUsersRequest { page_token: answer.next_page_token, ..first }).await.0,
        );
    }
    tell("created_at range", ranges);
    tell("next page, anywhere", pages);
    medians
}

async fn timed(server: &TestServer, request: pb::QueryUsersRequest) -> (Duration, pb::QueryUsersResponse) {
    let begun = Instant::now();
    let answer = server.users().query_users(request).await.answered();
    (begun.elapsed(), answer)
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1_000.0)
}

/// Rows of a batch, as they are stored.
struct Rows {
    users: Vec<user::Model>,
    terms: Vec<user_term::Model>,
}

/// Upserts over gRPC beside bare ones, turn by turn: the same rows under other ids, written to the same tables
/// with the same indexes by plain statements, in transactions of the same size.
async fn upserts(server: &TestServer, backend: &Backend, stored: u64) {
    let database = backend.store(server.place()).await;
    let mut before: Vec<Rows> = Vec::new();
    for (round, what) in ["new", "again, one value changed"].into_iter().enumerate() {
        let (mut ours, mut plain) = (Duration::ZERO, Duration::ZERO);
        for turn in (0..MEASURED / AT_A_TIME).map(|turn| turn * AT_A_TIME) {
            let firsts = || (turn..turn + AT_A_TIME).map(|batch| stored + batch * BATCH);
            let begun = Instant::now();
            join_all(firsts().map(|first| store(server, first..first + BATCH, round as u64))).await;
            ours += begun.elapsed();
            let rows = join_all(firsts().map(|first| rows(&database, first))).await;
            let before_of = |at: usize| before.get(usize::try_from(turn).unwrap() + at).filter(|_| round > 0);
            let writes: Vec<_> =
                rows.iter().enumerate().map(|(at, rows)| bare(&database, rows, before_of(at))).collect();
            let begun = Instant::now();
            join_all(writes).await;
            plain += begun.elapsed();
            if round == 0 {
                before.extend(rows);
            }
        }
        let (ours, plain) = (rate(MEASURED * BATCH, ours), rate(MEASURED * BATCH, plain));
        println!("  upsert, {what}: {ours:.0} users/s, bare {plain:.0}: {:.2} of it", ours / plain);
    }
    database.close().await;
}

const APP: AppId = AppId(1);

/// The rows of a batch, as those of users who are called otherwise. In the same app: its indexes are as deep
/// for them.
async fn rows(database: &Store, first: u64) -> Rows {
    let db = database.read(None).await.unwrap();
    let ids: Vec<String> = (first..first + BATCH).map(|number| format!("user-{number:08}")).collect();
    let users = user::any(APP).filter(user::Column::Id.is_in(&ids)).all(&db).await.unwrap();
    let terms = user_term::Entity::find()
        .filter(user_term::Column::AppId.eq(APP.0))
        .filter(user_term::Column::UserId.is_in(&ids))
        .all(&db)
        .await
        .unwrap();
    let other = |id: &str| id.replace("user", "bare");
    Rows {
        users: users.into_iter().map(|user| user::Model { id: other(&user.id), ..user }).collect(),
        terms: terms
            .into_iter()
            .map(|term| user_term::Model { user_id: other(&term.user_id), value: other(&term.value), ..term })
            .collect(),
    }
}

/// Writes rows with plain statements: users all of them, terms as far as `before` had others. What is to be
/// written is worked out at once.
fn bare(database: &Store, rows: &Rows, before: Option<&Rows>) -> impl Future<Output = ()> {
    let row = |term: &user_term::Model| [term.user_id.clone(), term.path.clone(), term.value.clone()];
    let other = |these: &[user_term::Model], those: &[user_term::Model]| {
        let those: HashSet<_> = those.iter().map(row).collect();
        these.iter().map(row).filter(|term| !those.contains(term)).collect::<Vec<_>>()
    };
    let had: &[_] = before.map_or(&[], |before| &before.terms);
    let (fresh, gone, users) = (other(&rows.terms, had), other(had, &rows.terms), rows.users.clone());
    let columns: Vec<_> = user::Column::iter().skip(2).collect();
    let conflict =
        OnConflict::columns([user::Column::AppId, user::Column::Id]).update_columns(columns).to_owned();

    let write = move |tx: usher::storage::Tx| {
        let (fresh, gone, users, conflict) = (fresh.clone(), gone.clone(), users.clone(), conflict.clone());
        async move {
            let rows = users.into_iter().map(user::Model::into_active_model);
            let rows = rows.map(sea_orm::ActiveModelTrait::reset_all);
            user::Entity::insert_many(rows).on_conflict(conflict).exec_without_returning(&*tx).await?;
            let terms = tx.backend().terms();
            if !gone.is_empty() {
                tx.execute_raw(terms.delete(APP, gone)).await?;
            }
            if !fresh.is_empty() {
                tx.execute_raw(terms.insert(APP, fresh)).await?;
            }
            Ok(())
        }
    };
    let database = database.clone();
    async move { database.write::<_, StoreError, _, _>(Urgency::Background, None, write).await.unwrap() }
}
