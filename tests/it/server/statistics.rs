//! Plans that PostgreSQL made for empty tables do not outlive that.

use crate::harness::{TestServer, eventually, on_postgres, user_ids};

on_postgres! {
    async fn tables_that_grow_are_analysed_within_seconds(server: TestServer) {
        let known = "SELECT 1 AS one FROM pg_class WHERE relname = 'users' AND reltuples >= 600";
        assert!(server.backend().select(server.place(), known).await.is_empty());
        server.seed(&user_ids("u", 1_000)).await;
        eventually("statistics of users", async || {
            (!server.backend().select(server.place(), known).await.is_empty()).then_some(())
        })
        .await;
    }
}
