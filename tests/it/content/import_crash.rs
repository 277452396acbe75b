//! The process dies in the middle of an import; what was acknowledged is stored, and nothing is stored twice.

use std::time::Duration;

use serde_json::json;
use tonic::Status;

use crate::harness::{Backend, Caller, Tally, each_backend, pb, user_item};

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

each_backend! {
    async fn dying_before_the_commit_of_a_batch_loses_and_repeats_nothing(backend: Backend) {
        survives_dying_at("import_before_commit", backend).await;
    }

    async fn dying_after_the_commit_of_a_batch_loses_and_repeats_nothing(backend: Backend) {
        survives_dying_at("import_committed", backend).await;
    }
}
