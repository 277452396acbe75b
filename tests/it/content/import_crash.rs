//! The process dies in the middle of an import; what was acknowledged is stored, and nothing is stored twice.

use std::time::Duration;

use serde_json::{Value, json};
use tonic::Status;

use crate::harness::{Backend, Caller, Tally, each_backend, item, pb, user_item};

const ITEMS: i64 = 30;
const BATCH: i64 = 10;

/// Imports everything, waiting for the acknowledgement of each tenth item, so that there are three batches
/// at least. A tenth of the items is refused.
async fn import(caller: &Caller, name: &str) -> Result<Tally, Status> {
    let mut import = caller.try_import(name, pb::ImportMode::Upsert).await?;
    for offset in 0..ITEMS {
        let id = if offset % 10 == 5 { "no id".to_owned() } else { format!("{name}-{offset}") };
        import.send(offset, &user_item(&json!({"id": id}))).await;
        while offset % BATCH == BATCH - 1 && import.tally().committed_offset < Some(offset) {
            import.acknowledged().await?;
        }
    }
    import.try_finish().await
}

async fn survives_dying_at(point: &str, backend: Backend) {
    let launch = backend.launch();
    for hit in 0..30 {
        let name = format!("hit{hit}");
        let mut server = launch.clone().failpoints(&format!("{point}={hit}*off->return")).start().await;
        let survived = import(&server, &name).await;
        let last = survived.is_ok();
        let (tally, server) = if let Ok(tally) = survived {
            (tally, server)
        } else {
            server.ended(Duration::from_secs(10)).await;
            let server = launch.start().await;
            (import(&server, &name).await.unwrap(), server)
        };
        assert_eq!(
            (tally.committed_offset, tally.accepted, tally.skipped),
            (Some(ITEMS - 1), 27, 0),
            "hit {hit}"
        );
        assert_eq!(tally.refused.iter().map(|refusal| refusal.offset).collect::<Vec<_>>(), [5, 15, 25]);
        let ids: Vec<_> = (0..ITEMS).map(|offset| format!("{name}-{offset}")).collect();
        let users = server.read(&ids).await;
        assert_eq!(users.len(), 27);
        assert!(users.iter().all(|user| user.version == 1), "no version rises twice");
        if last {
            assert!(hit >= 3, "{point} is passed once a batch");
            return;
        }
        server.kill().await;
    }
    panic!("{point} is passed without end");
}

/// Users, channels and messages, each before what it refers to, so that most of it waits for a while.
fn backwards() -> Vec<Value> {
    let mut items = Vec::new();
    for number in 0..10 {
        items.extend([
            item(
                "reaction",
                json!({"message_id": format!("m{number}"), "type": "like", "user_id": "ada",
                "created_at": "2024-05-01T12:00:00Z"}),
            ),
            item(
                "message",
                json!({"id": format!("m{number}"), "channel_type": "messaging",
                "channel_id": format!("c{}", number % 3), "user": format!("u{}", number % 4)}),
            ),
        ]);
    }
    items.extend((0..3).map(|number| {
        item("channel", json!({"type": "messaging", "id": format!("c{number}"), "created_by": "ada"}))
    }));
    // `u3` never comes: its messages are refused, and their reactions.
    items.extend(["ada", "u0", "u1", "u2"].map(|id| item("user", json!({"id": id}))));
    items
}

/// Imports all of it in batches of about five.
async fn import_backwards(caller: &Caller) -> Result<Tally, Status> {
    let mut import = caller.try_import("backwards", pb::ImportMode::Upsert).await?;
    for (offset, item) in (0..).zip(backwards()) {
        import.send(offset, item.to_string().as_bytes()).await;
        while offset % 5 == 4 && import.tally().committed_offset < Some(offset) {
            import.acknowledged().await?;
        }
    }
    import.try_finish().await
}

/// Dies at every passing of `point` in turn; the import ends as one that was left alone.
async fn items_that_wait_survive_dying_at(point: &str, backend: Backend) {
    let launch = backend.launch();
    let mut deaths = 0;
    loop {
        let mut server = launch.clone().failpoints(&format!("{point}=1*off->return")).start().await;
        let ended = import_backwards(&server).await;
        if ended.is_err() {
            server.ended(Duration::from_secs(10)).await;
            deaths += 1;
            assert!(deaths < 40, "each start gets one batch further");
            continue;
        }
        let tally = ended.unwrap();
        let refused: Vec<_> = tally.refused.iter().map(|refusal| refusal.offset).collect();
        assert_eq!(refused, [6, 7, 14, 15], "the messages of `u3`, and the reactions to them");
        assert_eq!((tally.accepted, tally.waiting, tally.committed_offset), (23, 0, Some(26)));
        let request = pb::GetFootprintRequest { user_id: "ada".to_owned() };
        let footprint =
            server.content().get_footprint(request).await.unwrap().into_inner().footprint.unwrap();
        assert_eq!((footprint.channels, footprint.reactions), (3, 8));
        assert!(deaths >= 3, "{deaths} deaths");
        server.kill().await;
        return;
    }
}

each_backend! {
    async fn items_that_wait_survive_dying_before_a_commit(backend: Backend) {
        items_that_wait_survive_dying_at("import_before_commit", backend).await;
    }

    async fn items_that_wait_survive_dying_after_a_commit(backend: Backend) {
        items_that_wait_survive_dying_at("import_committed", backend).await;
    }

    async fn dying_before_the_commit_of_a_batch_loses_and_repeats_nothing(backend: Backend) {
        survives_dying_at("import_before_commit", backend).await;
    }

    async fn dying_after_the_commit_of_a_batch_loses_and_repeats_nothing(backend: Backend) {
        survives_dying_at("import_committed", backend).await;
    }
}
