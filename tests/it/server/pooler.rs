//! Behind PgBouncer in transaction mode, which hands a server process to each transaction.

use serde_json::json;

use crate::harness::{Backend, Launch, PgBouncer, on_postgres, pb, user, user_ids};

/// A server whose way to the database leads through a pooler, and past it for LISTEN.
fn behind(pooler: &PgBouncer, backend: &Backend) -> Launch {
    let direct = backend.url().unwrap().to_owned();
    let launch = backend.launch().variable("USHER_DATABASE_POOLER", "transaction");
    launch.variable("USHER_DATABASE_LISTEN_URL", &direct).database(&pooler.url)
}

on_postgres! {
    async fn everything_works_behind_a_pooler_in_transaction_mode(backend: Backend) {
        // Fewer servers than connections: each transaction may meet another process.
        let Some(pooler) = backend.pgbouncer(8).await else { return };
        let one = behind(&pooler, &backend).start().await;
        let two = behind(&pooler, &backend).start().await;
        let ids = user_ids("u", 400);
        let items: Vec<_> = ids.iter().map(|id| json!({"id": id, "name": id, "level": 3})).collect();
        assert_eq!(one.import_users("pooled", &items).await.accepted, 400);

        let writers = (0..12).map(|number| {
            let caller = if number % 2 == 0 { one.on_another_connection() } else { two.on_another_connection() };
            async move {
                for _ in 0..10 {
                    caller.upsert(vec![user(&format!("w{number}"))]).await;
                    caller.user(&format!("w{number}")).await;
                }
            }
        });
        futures_util::future::join_all(writers).await;
        let filter = Some(crate::harness::struct_of(json!({"level": 3})));
        let request = pb::QueryUsersRequest { filter, with_total: true, ..Default::default() };
        assert_eq!(two.users().query_users(request).await.unwrap().into_inner().total, Some(400));

        // Watched on one replica, whichever of them does the work: LISTEN leads past the pooler.
        let task = two.deactivate_all(&ids).await;
        let mut watch = one.watch(&task).await;
        assert_eq!(watch.end().await.users_done, 400);
        assert!(one.read(&ids).await.iter().all(|user| user.version == 2), "each user once");
        for log in [one.log(), two.log()] {
            assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
        }
    }

    async fn behind_a_pooler_statements_end_with_their_callers(backend: Backend) {
        let Some(pooler) = backend.pgbouncer(4).await else { return };
        let server = behind(&pooler, &backend).start().await;
        super::postgres_outages::statements_of_callers_gone_end(&server, &backend, 3).await;
    }

    async fn a_pooler_needs_a_way_past_it(backend: Backend) {
        let launch = backend.launch().variable("USHER_DATABASE_POOLER", "transaction");
        let (status, log) = launch.try_start().await.err().expect("the start is refused");
        assert!(!status.success() && log.contains("USHER_DATABASE_LISTEN_URL"), "{log}");
    }
}
