//! Tasks that ended long ago are forgotten, with all that was kept of them.

use tonic::Code;

use crate::harness::{Answer, TestServer, each_backend, eventually, pb, user_ids};

/// In microseconds, as the table has it.
const DAY: i64 = 86_400_000_000;

each_backend! {
    async fn ended_tasks_are_forgotten_after_their_time_and_no_others(server: TestServer) {
        let server = server.restart_with(&["--task-retention-days", "7"]).await;
        let request = |name: &str| pb::DeactivateUsersRequest {
            user_ids: user_ids(name, 50),
            request_id: name.to_owned(),
            ..Default::default()
        };
        let begin =
            async |name: &str| server.users().deactivate_users(request(name)).await.answered().task.unwrap();
        let (old, young) = (begin("old").await, begin("young").await);
        let (old, young) = (server.completed(&old).await, server.completed(&young).await);
        let server = server.restart_with(&["--workers", "0"]).await;
        let waiting = server.deactivate_all(&user_ids("waiting", 1)).await;
        let (backend, place) = (server.backend().clone(), server.place().clone());
        server.stop().await;
        let age = |id: &str, days: i64| {
            let by = days * DAY;
            format!(
                "UPDATE tasks SET created_at = created_at - {by}, finished_at = finished_at - {by} WHERE id = '{id}'"
            )
        };
        backend.meddle(&place, &age(&old.task_id, 8)).await;
        backend.meddle(&place, &age(&young.task_id, 6)).await;
        backend.meddle(&place, &age(&waiting.task_id, 100)).await;

        let server = backend.start_with(&["--workers", "0", "--task-retention-days", "7"]).await;

        let gone = eventually("nothing left of the old task", || async {
            server.tasks().get_task(pb::GetTaskRequest { task_id: old.task_id.clone() }).await.err()
        });
        Err::<tonic::Response<()>, _>(gone.await).refused(Code::NotFound, "TASK_NOT_FOUND");
        let items = pb::ListTaskItemsRequest { task_id: old.task_id.clone(), ..Default::default() };
        server.tasks().list_task_items(items).await.refused(Code::NotFound, "TASK_NOT_FOUND");
        assert_eq!(server.items(&young.task_id).await.len(), 50, "a younger one stays whole");
        assert_eq!(
            server.task(&waiting.task_id).await.state(),
            pb::TaskState::Pending,
            "what has not ended stays"
        );
        let again = server.users().deactivate_users(request("old")).await.answered().task.unwrap();
        assert_ne!(again.task_id, old.task_id, "its request is forgotten with it");
    }
}
