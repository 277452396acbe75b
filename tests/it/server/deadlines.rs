//! Nothing lasts longer than the caller, or the server, allowed.

use std::time::Duration;

use tonic::{Code, Request, Response};

use crate::harness::{Answer, Backend, aside, each_backend, eventually, pb, reason_of, user_ids};

/// What is waited for at most; the limits under test are far shorter.
const PATIENCE: Duration = Duration::from_secs(10);

each_backend! {
    async fn a_call_that_is_half_sent_is_not_waited_for(backend: Backend) {
        let server = backend.start_with(&["--request-timeout", "500ms"]).await;
        for path in [
            "/usher.v1.UserService/GetUsers",
            "/usher.v1.TaskService/WatchTask",
            "/grpc.health.v1.Health/Check",
        ] {
            let ended = tokio::time::timeout(PATIENCE, server.send_half(path)).await;
            let status = ended.unwrap_or_else(|_| panic!("{path} should end"));
            assert_eq!(status.code(), Code::DeadlineExceeded, "{path}: {status:?}");
        }
    }

    async fn a_watch_ends_by_the_callers_deadline(backend: Backend) {
        let server = backend.start_with(&["--workers", "0"]).await;
        let task = server.deactivate_all(&user_ids("u", 1)).await;
        let mut request = Request::new(pb::WatchTaskRequest { task_id: task.task_id, after_revision: 0 });
        request.set_timeout(Duration::from_millis(300));
        let mut stream = server.tasks().watch_task(request).await.unwrap().into_inner();
        assert!(stream.message().await.unwrap().is_some(), "the present state comes");
        let ended = tokio::time::timeout(PATIENCE, stream.message()).await.expect("the stream ends");
        let status = ended.unwrap_err();
        // Whoever of both sees the time run out first.
        assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    }

    async fn one_app_cannot_shut_out_the_others(backend: Backend) {
        let server = backend.start_with(&["--workers", "0", "--max-concurrent-calls", "2"]).await;
        let other = server.of_app(backend.create_app("other", server.place()).await);
        let ids = user_ids("u", 1);
        server.seed(&ids).await;
        server.deactivate_all(&ids).await;
        // Waits for work that nobody does, and holds what one app may have of two places.
        let caller = server.on_another_connection();
        let waiting = aside(async move {
            let request = pb::DeactivateUserRequest { user_id: ids[0].clone(), ..Default::default() };
            while caller.users().deactivate_user(request.clone()).await.is_err() {}
        });
        let ask = || pb::GetUsersRequest { user_ids: vec!["u".to_owned()], include_deleted: false };
        let refused = eventually("a refusal", || async { server.users().get_users(ask()).await.err() }).await;
        assert_eq!(reason_of(&refused), "OVERLOADED");
        Err::<Response<()>, _>(refused).refused(Code::ResourceExhausted, "OVERLOADED");

        other.users().get_users(ask()).await.answered();
        waiting.abort();
    }
}
