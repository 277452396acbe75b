//! How the items of tasks are found.

use usher::model::id::{AppId, TaskId};
use usher::model::task::Outcome;
use usher::storage::items::select_items;

use crate::harness::{TestServer, each_backend, plan_of, user_ids};

each_backend! {
    async fn pending_items_are_found_without_those_that_are_over(server: TestServer) {
        let ids = user_ids("u", 3_000);
        server.seed(&ids).await;
        let task = server.deactivate_all(&ids).await;
        server.completed(&task).await;
        let (backend, place) = (server.backend().clone(), server.place().clone());
        server.stop().await;
        let task: TaskId = task.task_id.parse().unwrap();
        let select = select_items(AppId(1), task, &[Outcome::Pending], Some(7), 100);
        let store = backend.store(&place).await;
        for round in ["before", "after"] {
            let plan = plan_of(&store.read(None).await.unwrap(), &select).await;
            assert!(plan.contains("task_items_pending"), "{round} ANALYZE:\n{plan}");
            backend.meddle(&place, "ANALYZE").await;
        }
        store.close().await;
    }
}
