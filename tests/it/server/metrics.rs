//! The operations listener.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::raw::{GOAWAY, RawPeer};
use crate::harness::{Answer, Backend, each_backend, eventually, on_postgres, pb, user_ids};

async fn fetch(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

each_backend! {
    async fn calls_are_counted_by_rpc_and_nothing_personal_is_told(backend: Backend) {
        let address = free_address().await;
        let server = backend.launch().flag("--ops-listen", &address).start().await;
        server.seed(&user_ids("canary", 2)).await;
        server.send_raw("/usher.v1.UserService/canary", &[]).await.unwrap_err();
        server.deactivated(&user_ids("canary", 2)).await;

        let told = fetch(&address, "/metrics").await;

        assert!(told.starts_with("HTTP/1.1 200"), "{told}");
        assert!(told.contains("usher_calls_total") && told.contains("UserService/UpsertUsers"), "{told}");
        assert!(!told.contains("canary"), "labels come from usher, not from callers");
        assert!(!told.contains(&server.credentials().secret));
    }

    async fn tasks_past_their_due_date_are_counted(backend: Backend) {
        let address = free_address().await;
        let server = backend.launch().flag("--ops-listen", &address).start().await;
        server.seed(&user_ids("u", 1)).await;
        let request = pb::ExportUsersRequest { user_ids: user_ids("u", 1), ..Default::default() };
        let task = server.users().export_users(request).await.answered().task.unwrap();
        server.completed(&task).await;
        let counted = async || fetch(&address, "/metrics").await.contains("usher_tasks_overdue 0").then_some(());
        eventually("the count of overdue tasks", counted).await;
        let place = backend.place();
        let mut server = server;
        server.signal("TERM").await;
        server.ended(Duration::from_secs(10)).await;
        let overdue = format!("UPDATE tasks SET state = 'failed', due_at = 1 WHERE id = '{}'", task.task_id);
        backend.meddle(&place, &overdue).await;
        let _server = backend.launch().flag("--ops-listen", &address).start().await;
        let counted = async || fetch(&address, "/metrics").await.contains("usher_tasks_overdue 1").then_some(());
        eventually("the overdue task", counted).await;
    }

    async fn probes_are_answered_and_nothing_else_is(backend: Backend) {
        let address = free_address().await;
        let _server = backend.launch().flag("--ops-listen", &address).start().await;
        for (path, status) in
            [("/livez", "200"), ("/readyz", "200"), ("/metrics", "200"), ("/healthz", "404"), ("/", "404"), ("/livez/x", "404")]
        {
            let told = fetch(&address, path).await;
            assert!(told.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {told}");
        }
    }

    async fn a_server_that_drains_is_alive_and_not_ready(backend: Backend) {
        let address = free_address().await;
        let launch = backend.launch().flag("--ops-listen", &address).flag("--drain-grace", "60s");
        let mut server = launch.start().await;
        // Silent peers of the listener, and a call that never ends its request.
        let silent = [TcpStream::connect(&address).await.unwrap(), TcpStream::connect(&address).await.unwrap()];
        let mut peer = RawPeer::connect(&server).await;
        assert!(peer.send(&peer.begin(1, "/usher.v1.UserService/GetUsers")).await);
        server.signal("TERM").await;
        peer.until(|frame| frame.kind == GOAWAY).await.expect("the drain begins");

        assert!(fetch(&address, "/livez").await.starts_with("HTTP/1.1 200"));
        assert!(fetch(&address, "/readyz").await.starts_with("HTTP/1.1 503"));
        assert!(peer.send(&RawPeer::reset(1)).await);
        assert!(server.ended(Duration::from_secs(30)).await.success());
        drop(silent);
    }

    async fn an_operations_address_in_use_is_an_error(backend: Backend) {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let launch = backend.launch().flag("--ops-listen", &address);
        let Err((status, log)) = launch.try_start().await else {
            panic!("the start should be refused");
        };
        assert!(!status.success() && log.contains(&address) && !log.contains("panicked"), "{log}");
        assert!(!launch.place().data_dir.exists(), "nothing is left behind");
    }
}

on_postgres! {
    async fn a_server_without_its_database_is_alive_and_not_ready(backend: Backend) {
        let address = free_address().await;
        let _server = backend.launch().flag("--ops-listen", &address).start().await;
        backend.cut_off(true).await;
        eventually("503", || async { fetch(&address, "/readyz").await.starts_with("HTTP/1.1 503").then_some(()) }).await;
        assert!(fetch(&address, "/livez").await.starts_with("HTTP/1.1 200"));
        backend.cut_off(false).await;
        eventually("200", || async { fetch(&address, "/readyz").await.starts_with("HTTP/1.1 200").then_some(()) }).await;
    }
}
