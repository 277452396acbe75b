//! `grpc.health.v1`.

use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::harness::{Caller, Process, TestServer, each_backend};

const SERVICES: [&str; 6] = [
    "",
    "usher.v1.UserService",
    "usher.v1.TokenService",
    "usher.v1.TaskService",
    "usher.v1.ContentService",
    "usher.v1.AppService",
];

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

async fn check(caller: &Caller, service: &str) -> Result<ServingStatus, tonic::Status> {
    Ok(caller.health().check(of(service)).await?.into_inner().status())
}

each_backend! {
    async fn every_service_is_serving(server: TestServer) {
        for service in SERVICES {
            assert_eq!(
                check(&server.anonymous(), service).await.unwrap(),
                ServingStatus::Serving,
                "{service}"
            );
        }
    }

    async fn an_unknown_service_is_not_found_by_check_and_unknown_to_watch(server: TestServer) {
        for service in ["usher.v1.NoService", "x", "usher.v1"] {
            assert_eq!(check(&server, service).await.unwrap_err().code(), Code::NotFound);
            match server.health().watch(of(service)).await {
                Ok(stream) => {
                    let first = stream.into_inner().message().await.unwrap().unwrap();
                    assert_eq!(first.status(), ServingStatus::ServiceUnknown);
                }
                Err(status) => assert_eq!(status.code(), Code::NotFound),
            }
        }
    }

    async fn a_watch_tells_the_present_state_at_once_and_the_drain_when_it_comes(server: TestServer) {
        let server = server.restart_with(&["--drain-delay", "300ms"]).await;
        let mut watch = server.health().watch(of("usher.v1.UserService")).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
        let stopping = crate::harness::aside(server.stop());
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
        stopping.await.unwrap();
    }

    async fn on_sigterm_health_says_so_before_the_listener_closes(backend: crate::harness::Backend) {
        let mut server: Process = backend.launch().flag("--drain-delay", "1500ms").start().await;
        let mut watch = server.health().watch(of("")).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);

        server.signal("TERM").await;

        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
        // The listener still takes connections, and calls still work, on old and new ones.
        let late = server.on_another_connection();
        for service in SERVICES {
            assert_eq!(check(&late, service).await.unwrap(), ServingStatus::NotServing);
        }
        late.seed(&crate::harness::user_ids("late", 1)).await;
        server.seed(&crate::harness::user_ids("late", 1)).await;
        drop(watch);
        let status = server.ended(std::time::Duration::from_secs(10)).await;
        assert!(status.success(), "{status}");
    }
}
