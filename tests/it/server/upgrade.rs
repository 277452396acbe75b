//! Databases that earlier versions have left are brought up to date, with what is in them.

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use usher::storage::migration;

use crate::harness::{Backend, Kind, aside, each_backend, eventually, on_postgres, user_ids};

/// What the first version could hold, in the words of both databases.
const FIRST: [&str; 5] = [
    "INSERT INTO apps (id, name, auth_epoch, accepted_seq, created_at) VALUES (1, 'old', 1, 0, 1)",
    "INSERT INTO users (app_id, id, name, role, custom, invisible, teams, teams_role, created_at, updated_at, \
     version, auth_epoch) VALUES (1, 'ada', 'Ada', 'user', '{\"level\": 7}', false, '[]', '{}', 5, 6, 3, 2)",
    "INSERT INTO user_blocks (app_id, user_id, blocked_user_id, created_at) VALUES (1, 'ada', 'bob', 7)",
    "INSERT INTO imports (app_id, import_id, no, mode, committed_offset, accepted, skipped, created_at, updated_at) \
     VALUES (1, 'half', 1, 'upsert', 8, 7, 0, 5, 6)",
    "INSERT INTO import_refusals (app_id, import_no, item_offset, reason, field, message) \
     VALUES (1, 1, 3, 'INVALID_FIELD', 'id', 'is none')",
];

async fn connect(backend: &Backend) -> DatabaseConnection {
    let place = backend.place();
    let url = place.url.unwrap_or_else(|| {
        std::fs::create_dir_all(&place.data_dir).unwrap();
        format!("sqlite:{}?mode=rwc", place.data_dir.join("usher.db").display())
    });
    Database::connect(url).await.unwrap()
}

each_backend! {
    async fn every_earlier_version_is_brought_up_to_date_with_its_users(backend: Backend) {
        let database = connect(&backend).await;
        migration::run_next(&database, 1).await.unwrap();
        for statement in FIRST {
            database.execute_unprepared(statement).await.unwrap();
        }
        // One version after the other, as releases came.
        for count in 2..=migration::count() {
            migration::run_next(&database, 1).await.unwrap();
            let users = database.execute_unprepared("UPDATE users SET version = version + 1").await.unwrap();
            assert_eq!(users.rows_affected(), 1, "after migration {count}");
        }
        database.close().await.unwrap();
        if backend.kind() == Kind::Sqlite {
            std::fs::write(backend.place().data_dir.join("master.key"), "0123456789abcdeffedcba98765432100f1e2d3c4b5a69788796a5b4c3d2e1f0").unwrap();
        }

        backend.migrate().await;

        let database = connect(&backend).await;
        let statement = sea_orm::Statement::from_string(
            database.get_database_backend(),
            "SELECT name, version, auth_epoch, revoked_epoch, revoked_before FROM users",
        );
        let ada = database.query_one_raw(statement).await.unwrap().expect("ada is still there");
        let number = |column: &str| ada.try_get::<i64>("", column).unwrap();
        let raised = i64::try_from(migration::count()).unwrap() - 1;
        assert_eq!(ada.try_get::<String>("", "name").unwrap(), "Ada");
        assert_eq!((number("version"), number("auth_epoch"), number("revoked_epoch")), (3 + raised, 2, 0));
        assert_eq!(ada.try_get::<Option<i64>>("", "revoked_before").unwrap(), None);

        // An import that was under way goes on: what it refused comes before whatever is numbered.
        for kept in [
            "UPDATE imports SET items = 0 WHERE committed_offset = 8 AND items = 0 AND refused = 0",
            "UPDATE import_refusals SET no = 0 WHERE item_offset = 3 AND no = 0",
        ] {
            assert_eq!(database.execute_unprepared(kept).await.unwrap().rows_affected(), 1, "{kept}");
        }
    }
}

on_postgres! {
    async fn an_index_that_is_missing_or_half_built_is_built_beside_whoever_writes(backend: Backend) {
        let server = backend.start().await;
        server.seed(&user_ids("old", 100)).await;
        let place = server.place().clone();
        server.stop().await;
        backend.meddle(&place, "DROP INDEX users_named").await;
        // As a build that broke off leaves it.
        backend.meddle(&place, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'users_guests'::regclass").await;

        // Somebody is in the middle of a write, which the build waits for. Everybody else goes on.
        let mut options = ConnectOptions::new(place.url.clone().unwrap());
        options.max_connections(1);
        let other = Database::connect(options).await.unwrap();
        let write = "UPDATE users SET name = name WHERE id = 'old-00001'";
        other.execute_unprepared(&format!("BEGIN; {write}")).await.unwrap();
        let migration = aside({ let backend = backend.clone(); async move { backend.migrate().await } });
        let waiting = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' \
                       AND wait_event_type = 'Lock' AND datname = current_database()";
        eventually("a build that waits", async || (!backend.select(&place, waiting).await.is_empty()).then_some(())).await;
        backend.meddle(&place, "SET lock_timeout = '1s'; UPDATE users SET name = 'new' WHERE id <> 'old-00001'").await;
        other.execute_unprepared("COMMIT").await.unwrap();
        migration.await.unwrap();
        other.close().await.unwrap();

        let whole = "SELECT 1 FROM pg_index WHERE indisvalid \
                     AND indexrelid IN ('users_named'::regclass, 'users_guests'::regclass)";
        assert_eq!(backend.select(&place, whole).await.len(), 2);
    }
}
