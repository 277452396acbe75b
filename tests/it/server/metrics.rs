//! The operations listener.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Backend, each_backend, user_ids};

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

    async fn an_operations_address_in_use_is_an_error(backend: Backend) {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let Err((status, log)) = backend.launch().flag("--ops-listen", &address).try_start().await else {
            panic!("the start should be refused");
        };
        assert!(!status.success() && !log.contains("panicked"), "{log}");
    }
}
