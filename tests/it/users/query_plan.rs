//! How databases answer queries: by an index, and never by reading everybody.

use sea_orm::{ConnectionTrait as _, QueryTrait as _};
use serde_json::{Value, json};
use usher::model::clock::Timestamp;
use usher::model::filter::{self, Filter};
use usher::model::id::{AppId, UserId};
use usher::model::query::{Direction, IdBounds, SortField, SortKey, UserQuery, cursor_of};
use usher::model::user::{Profile, User, UserInput};
use usher::model::violation::Violations;
use usher::storage::row::UserMarks;
use usher::storage::upsert::{Stored, upsert_users};
use usher::storage::{Db, Store, StoreError, Urgency, query};

use crate::harness::{Kind, TestServer, each_backend, plan_of};

const APP: AppId = AppId(1);
const USERS: i32 = 8_000;

fn someone(number: i32) -> User {
    let at = Timestamp::from_micros(1_700_000_000_000_000 + i64::from(number) * 1_000_000);
    let input = UserInput {
        id: format!("user-{number:06}"),
        name: format!("Name{} Surname{}", number % 97, number % 1_009),
        role: if number % 500 == 0 { "admin".to_owned() } else { String::new() },
        teams: vec![format!("team-{}", number % 200)],
        custom: json!({"city": format!("city-{}", number % 400), "level": number, "vip": number % 50 == 0})
            .as_object()
            .cloned()
            .unwrap(),
        ..UserInput::default()
    };
    User {
        profile: input.check(&mut Violations::new()).unwrap(),
        created_at: at,
        updated_at: at,
        deactivated_at: None,
        deactivation: usher::model::history::Cause::default(),
        deleted_at: None,
        tokens_revoked_before: None,
        last_active: None,
        avg_response_time: None,
        version: 1,
    }
}

async fn seed(store: &Store, users: i32, one: impl Fn(i32) -> User) {
    let users: Vec<i32> = (0..users).collect();
    for some in users.chunks(500) {
        let stored: Vec<Stored> = some
            .iter()
            .map(|number| Stored { user: one(*number).into(), marks: UserMarks::default() })
            .collect();
        let write = move |tx| {
            let stored = stored.clone();
            async move { upsert_users(&tx, APP, &stored).await }
        };
        store.write::<_, StoreError, _, _>(Urgency::Background, None, write).await.unwrap();
    }
}

fn asked(filter: &Value) -> UserQuery {
    UserQuery {
        filter: filter
            .as_object()
            .map_or(Filter::ALL, |filter| filter::parse(filter, &mut Violations::new()).unwrap()),
        sort: Vec::new(),
        ids: IdBounds::ALL,
        limit: 31,
        offset: 0,
        after: None,
        include_deactivated: false,
        include_deleted: false,
    }
}

/// The plan of the database for a query, as it tells it.
async fn plan(db: &Db, query: &UserQuery) -> String {
    plan_of(db, &query::select_page(db, APP, query).await.unwrap().into_query()).await
}

/// Users are read by their key, and terms by theirs.
fn is_looked_up(kind: Kind, plan: &str, by_terms: bool) -> bool {
    let (users, terms, all): (_, _, &[&str]) = match kind {
        Kind::Sqlite => (
            "SEARCH users USING INDEX sqlite_autoindex_users_1 (app_id=? AND id=?)",
            "user_terms_found (app_id=? AND path=?",
            &["SCAN users", "SCAN user_terms"],
        ),
        Kind::Postgres => {
            ("users_pkey", "user_terms_found", &["Seq Scan on users", "Seq Scan on user_terms"])
        }
    };
    plan.contains(users) && (!by_terms || plan.contains(terms)) && all.iter().all(|all| !plan.contains(all))
}

/// Users are read in the order of their creation, from a given place on.
fn is_walked_from_a_place(kind: Kind, plan: &str) -> bool {
    let line = plan.lines().position(|line| line.contains("users_created"));
    let Some(line) = line else { return false };
    let place = match kind {
        Kind::Sqlite => plan.lines().nth(line).is_some_and(|line| line.contains("created_at")),
        Kind::Postgres => {
            plan.lines().skip(line).any(|line| line.contains("Index Cond") && line.contains("created_at"))
        }
    };
    place && !plan.contains("Sort") && !plan.contains("TEMP B-TREE")
}

async fn check_walks(kind: Kind, db: &Db) {
    // The last one is of a range that began long before the page.
    for filter in [json!(null), json!({"created_at": {"$lt": "2023-12-31T00:00:00Z"}})] {
        let deep = asked(&filter);
        let cursor = cursor_of(&someone(USERS / 2), &deep.order());
        let next = UserQuery { after: Some(cursor), ..deep };
        let found = plan(db, &next).await;
        assert!(is_walked_from_a_place(kind, &found), "the next page of {filter}:\n{found}");
        let sql = query::select_page(db, APP, &next).await.unwrap().build(db.get_database_backend()).sql;
        assert_eq!(sql.matches("\"created_at\" <").count(), 0, "one end of the range only: {sql}");
    }
    let range = json!({"created_at": {"$gt": "2023-11-15T00:00:00Z", "$lt": "2023-11-15T00:01:00Z"}});
    let range = plan(db, &asked(&range)).await;
    assert!(is_walked_from_a_place(kind, &range), "a range of time:\n{range}");
}

/// More than are looked up before a walk is tried, and more than a walk goes past.
const FIRST_USERS: i32 = 3_200;
const LATER_USERS: i32 = 10_500;

/// With nothing but whether it is one of the first.
fn early_or_late(number: i32) -> User {
    let bare = Profile::bare(UserId::stored(format!("user-{number:06}")), "user".to_owned());
    let custom = json!({"early": number < FIRST_USERS}).as_object().cloned().unwrap();
    User { profile: Profile { custom, ..bare }, ..someone(number) }
}

/// Whom `query` finds, page by page, by their numbers.
async fn walked(db: &Db, query: &UserQuery) -> Vec<i32> {
    let (mut query, mut found) = (query.clone(), Vec::new());
    loop {
        let page = query::list_users(db, APP, &query).await.unwrap();
        found.extend(page.iter().map(|user| user.id().as_str()["user-".len()..].parse::<i32>().unwrap()));
        let Some(last) = page.last() else { return found };
        query.after = Some(cursor_of(last, &query.order()));
    }
}

each_backend! {
    async fn many_who_are_all_far_away_are_found_without_a_walk_to_them(server: TestServer) {
        let (backend, place, kind) = (server.backend().clone(), server.place().clone(), server.kind());
        server.stop().await;
        let store = backend.store(&place).await;
        seed(&store, FIRST_USERS + LATER_USERS, early_or_late).await;
        backend.meddle(&place, "ANALYZE").await;
        let db = store.read(None).await.unwrap();

        let early = asked(&json!({"early": true}));
        let begun = plan(&db, &early).await;
        assert!(is_walked_from_a_place(kind, &begun), "it is tried as far as somebody is:\n{begun}");
        let oldest_first: Vec<i32> = (0..FIRST_USERS).collect();
        let newest_first: Vec<i32> = oldest_first.iter().rev().copied().collect();
        for (field, direction, expected) in [
            (SortField::CreatedAt, Direction::Descending, &newest_first),
            (SortField::CreatedAt, Direction::Ascending, &oldest_first),
            (SortField::Id, Direction::Descending, &newest_first),
            (SortField::Id, Direction::Ascending, &oldest_first),
            (SortField::UpdatedAt, Direction::Descending, &newest_first),
        ] {
            let sort = vec![SortKey { field, direction }];
            let query = UserQuery { sort, limit: 400, ..early.clone() };
            assert_eq!(&walked(&db, &query).await, expected, "{:?}", query.sort);
            let some = UserQuery { limit: 30, offset: 20, ..query };
            let page: Vec<i32> = expected[20..50].to_vec();
            let found = query::list_users(&db, APP, &some).await.unwrap();
            let ids: Vec<String> = page.iter().map(|number| format!("user-{number:06}")).collect();
            assert_eq!(found.iter().map(|user| user.id().as_str()).collect::<Vec<_>>(), ids);
        }
        assert_eq!(query::count_users(&db, APP, &early).await.unwrap(), u64::try_from(FIRST_USERS).unwrap());
        let nobody = asked(&json!({"early": true, "created_at": {"$gt": "2023-11-14T23:30:00Z"}}));
        assert_eq!(query::list_users(&db, APP, &nobody).await.unwrap(), []);
        store.close().await;
    }

    async fn queries_read_whom_they_find_and_nobody_else(server: TestServer) {
        let (backend, place, kind) = (server.backend().clone(), server.place().clone(), server.kind());
        server.stop().await;
        let store = backend.store(&place).await;
        seed(&store, USERS, someone).await;
        let db = store.read(None).await.unwrap();
        // With and without knowledge of what the tables hold.
        for round in ["before", "after"] {
            for (filter, by_terms) in [
                (json!({"id": {"$in": ["user-000007", "user-000700", "nobody"]}}), false),
                (json!({"role": "admin"}), true),
                (json!({"teams": "team-7"}), true),
                (json!({"teams": {"$in": ["team-7", "team-8"]}}), true),
                (json!({"city": "city-7"}), true),
                (json!({"city": "nowhere"}), true),
                (json!({"city": "city-50", "vip": true}), true),
                (json!({"level": {"$gte": 700, "$lt": 720}}), true),
                (json!({"name": {"$autocomplete": "surname77"}}), true),
                (json!({"name": "Name5 Surname102"}), true),
                (json!({"id": {"$autocomplete": "000123"}}), true),
                (json!({"$or": [{"city": "city-7"}, {"level": 5}]}), true),
            ] {
                let plan = plan(&db, &asked(&filter)).await;
                assert!(is_looked_up(kind, &plan, by_terms), "{filter} {round} ANALYZE:\n{plan}");
            }

            // PostgreSQL looks at its tables by itself, SQLite never does.
            if round == "after" || kind == Kind::Sqlite {
                check_walks(kind, &db).await;
            }
            backend.meddle(&place, "ANALYZE").await;
        }
        store.close().await;
    }
}
