//! `ImportContent`: the stream itself, and streams that go wrong.

use serde_json::json;
use tonic::{Code, Response, Status};

use crate::harness::{
    Answer, Backend, Caller, Import, TestServer, each_backend, fields_of, on_postgres, pb, reason_of,
    user_item,
};
use pb::ImportMode::Upsert;
use pb::import_content_request::Step;

async fn refused(import: Import, code: Code, reason: &str) -> Status {
    Err::<Response<()>, _>(import.failed().await).refused(code, reason)
}

fn start(import_id: &str) -> Step {
    Step::Start(pb::ImportStart {
        import_id: import_id.to_owned(),
        mode: Upsert.into(),
        ..Default::default()
    })
}

fn ada() -> Vec<u8> {
    user_item(&json!({"id": "ada"}))
}

/// Two streams on one import, each sending its own users; tells how each ended.
async fn contend(one: &Caller, two: &Caller) -> [Result<(), Status>; 2] {
    let stream = async |caller: &Caller, name: &str| {
        let mut import = caller.try_import("contended", Upsert).await?;
        for offset in 0..300 {
            import.send(offset, &user_item(&json!({"id": format!("u-{offset}"), "by": name}))).await;
            if offset % 50 == 49 && import.tally().committed_offset < Some(offset) {
                import.acknowledged().await?;
            }
        }
        import.try_finish().await.map(drop)
    };
    let (one, two) = tokio::join!(stream(one, "one"), stream(two, "two"));
    [one, two]
}

/// Whoever failed was told to try again; the import is whole once somebody has gone on to its end.
async fn settle(caller: &Caller, ended: [Result<(), Status>; 2]) {
    for status in ended.into_iter().filter_map(Result::err) {
        Err::<Response<()>, _>(status).refused(Code::Aborted, "CONFLICT");
    }
    let mut import = caller.import("contended", Upsert).await;
    for offset in 0..300 {
        import.send(offset, &user_item(&json!({"id": format!("u-{offset}"), "by": "last"}))).await;
    }
    let tally = import.finish().await;
    assert_eq!((tally.committed_offset, tally.accepted, tally.refused.len()), (Some(299), 300, 0));
    let ids: Vec<_> = (0..300).map(|offset| format!("u-{offset}")).collect();
    assert!(caller.read(&ids).await.iter().all(|user| user.version == 1), "no user is stored twice");
}

each_backend! {
    async fn the_first_message_is_the_start(server: TestServer) {
        let mut import = server.open_import().await.unwrap();
        import.send(0, &ada()).await;
        assert_eq!(fields_of(&refused(import, Code::InvalidArgument, "INVALID_FIELD").await), ["start"]);

        let mut import = server.open_import().await.unwrap();
        import.send_message(pb::ImportContentRequest { step: None }).await;
        refused(import, Code::InvalidArgument, "INVALID_FIELD").await;

        let mut import = server.open_import().await.unwrap();
        import.close();
        refused(import, Code::InvalidArgument, "INVALID_FIELD").await;
    }

    async fn every_other_message_is_an_item(server: TestServer) {
        let mut import = server.import("twice", Upsert).await;
        import.send_step(start("twice")).await;
        refused(import, Code::InvalidArgument, "INVALID_FIELD").await;

        let mut import = server.import("empty", Upsert).await;
        import.send(0, &ada()).await;
        import.send_message(pb::ImportContentRequest { step: None }).await;
        refused(import, Code::InvalidArgument, "INVALID_FIELD").await;
        assert_eq!(server.import("empty", Upsert).await.tally().accepted, 1, "what came before is stored");
    }

    async fn an_import_needs_a_name_and_a_known_mode(server: TestServer) {
        for import_id in ["", "a\0", "a\nb", &"x".repeat(129)] {
            let mut import = server.open_import().await.unwrap();
            import.send_step(start(import_id)).await;
            assert_eq!(
                fields_of(&refused(import, Code::InvalidArgument, "INVALID_FIELD").await),
                ["start.import_id"]
            );
        }
        let mut import = server.open_import().await.unwrap();
        let unknown = pb::ImportStart { import_id: "x".to_owned(), mode: 9, ..Default::default() };
        import.send_step(Step::Start(unknown)).await;
        assert_eq!(fields_of(&refused(import, Code::InvalidArgument, "INVALID_FIELD").await), ["start.mode"]);
        server.import(&"é".repeat(64), Upsert).await.finish().await;
        server.import("no mode", pb::ImportMode::Unspecified).await.finish().await;
        server.import("no mode", Upsert).await.finish().await;
    }

    async fn offsets_must_rise_within_a_stream(server: TestServer) {
        for (name, offsets) in
            [("equal", [5, 5]), ("falling", [5, 4]), ("negative", [-1, 0]), ("far negative", [i64::MIN, 0])]
        {
            let mut import = server.import(name, Upsert).await;
            for offset in offsets {
                import
                    .send(offset, &user_item(&json!({"id": format!("{name}{offset}").replace(' ', "")})))
                    .await;
            }
            assert_eq!(
                fields_of(&refused(import, Code::InvalidArgument, "INVALID_FIELD").await),
                ["item.offset"],
                "{name}"
            );
        }
        let stored = server.import("falling", Upsert).await;
        assert_eq!(
            (stored.tally().committed_offset, stored.tally().accepted),
            (Some(5), 1),
            "what came before is stored"
        );
        let mut far = server.import("far", Upsert).await;
        far.send(i64::MAX, &ada()).await;
        assert_eq!(far.finish().await.committed_offset, Some(i64::MAX));
    }

    async fn an_import_of_nothing_ends_well(server: TestServer) {
        let tally = server.import("nothing", Upsert).await.finish().await;
        assert_eq!(tally, crate::harness::Tally::default());
    }

    async fn a_message_beyond_the_limit_ends_the_stream_and_loses_nothing(server: TestServer) {
        let mut import = server.import("huge", Upsert).await;
        import.send(0, &ada()).await;
        import.send(1, &vec![b' '; 5 * 1024 * 1024]).await;
        refused(import, Code::ResourceExhausted, "TOO_LARGE").await;
        assert_eq!(server.import("huge", Upsert).await.tally().accepted, 1);
    }

    async fn a_caller_who_vanishes_leaves_the_import_to_be_resumed(server: TestServer) {
        for round in 0..5 {
            let mut import = server.on_another_connection().import("vanishing", Upsert).await;
            for offset in 0..20 {
                let number = round * 20 + offset;
                import.send(number, &user_item(&json!({"id": format!("u-{number}")}))).await;
            }
            drop(import);
        }
        let mut import = server.import("vanishing", Upsert).await;
        for number in 0..100 {
            import.send(number, &user_item(&json!({"id": format!("u-{number}")}))).await;
        }
        let tally = import.finish().await;
        assert_eq!(tally.committed_offset, Some(99));
        let ids: Vec<_> = (0..100).map(|number| format!("u-{number}")).collect();
        let stored = server.read(&ids).await;
        assert!(stored.iter().all(|user| user.version == 1));
        // What a vanished caller did not get through is missing, and is not counted either.
        assert_eq!(i64::try_from(stored.len()).unwrap(), tally.accepted);
    }

    async fn a_drain_ends_the_stream_and_the_import_goes_on_afterwards(server: TestServer) {
        let mut import = server.import("drained", Upsert).await;
        import.send(0, &ada()).await;
        import.acknowledged().await.unwrap();
        let (status, server) = tokio::join!(import.failed(), server.restart());
        assert_eq!((status.code(), reason_of(&status).as_str()), (Code::Unavailable, "SERVER_DRAINING"));

        let import = server.import("drained", Upsert).await;
        assert_eq!(import.tally().committed_offset, Some(0));
        drop(import);
    }

    async fn of_two_streams_on_one_import_one_is_told_of_the_conflict(server: TestServer) {
        let mut first = server.import("same", Upsert).await;
        let mut second = server.import("same", Upsert).await;
        first.send(0, &ada()).await;
        first.acknowledged().await.unwrap();
        second.send(0, &user_item(&json!({"id": "bob"}))).await;
        refused(second, Code::Aborted, "CONFLICT").await;
        first.send(1, &user_item(&json!({"id": "eve"}))).await;
        assert_eq!(first.finish().await.accepted, 2, "the other goes on");
        assert!(server.read(&["bob".to_owned()]).await.is_empty());
    }

    async fn streams_that_race_store_nobody_twice(server: TestServer) {
        let ended = contend(&server, &server.on_another_connection()).await;
        settle(&server, ended).await;
    }
}

on_postgres! {
    async fn streams_that_race_on_two_replicas_store_nobody_twice(backend: Backend) {
        let (one, two) = (backend.start().await, backend.start().await);
        let ended = contend(&one, &two).await;
        settle(&one, ended).await;
    }

    async fn an_import_goes_on_at_another_replica(backend: Backend) {
        let (one, two) = (backend.start().await, backend.start().await);
        one.import_users("moved", &[json!({"id": "a"})]).await;
        let tally = two.import_users("moved", &[json!({"id": "a"}), json!({"id": "b"})]).await;
        assert_eq!((tally.accepted, tally.refused.len()), (2, 0));
    }
}
