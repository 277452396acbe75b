//! How an export begins.

use super::export::of;
use crate::harness::{Answer, TestServer, each_backend, pb};

each_backend! {
    async fn the_profile_is_sent_before_anything_else_is_read(server: TestServer) {
        server.seed(&["ada".to_owned()]).await;
        let mut stream = server.users().export_user(of("ada")).await.answered();
        let pb::ExportUserResponse { records } = stream.message().await.unwrap().unwrap();
        let begins = |record: &String, kind: &str| record.starts_with(&format!(r#"{{"type":"{kind}""#));
        assert_eq!(records.len(), 3, "{records:?}");
        assert!(begins(&records[2], "user"), "{records:?}");
        let mut last = String::new();
        while let Some(message) = stream.message().await.unwrap() {
            last.clone_from(message.records.last().unwrap());
        }
        assert!(last.contains(r#""type":"end""#), "{last}");
    }
}
