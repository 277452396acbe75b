//! `usher import`: a name stands for the content it was first used with.

use serde_json::json;

use super::{Ended, client, ended};
use crate::harness::{TestServer, each_backend};

/// `usher import` of a file that holds these users.
async fn import(server: &TestServer, users: &[&str], flags: &[&str]) -> Ended {
    let file = server.backend().dir().join("items.jsonl");
    let lines: Vec<String> =
        users.iter().map(|id| json!({"type": "user", "item": {"id": id}}).to_string()).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let args = [&["import", file.to_str().unwrap()], flags].concat();
    ended(client(server, &args, &server.credentials().secret), "").await
}

each_backend! {
    async fn a_name_that_was_used_for_another_file_is_refused(server: TestServer) {
        let named = ["--import-id", "x"];
        import(&server, &["ada"], &named).await.lines();
        let again = import(&server, &["ada"], &named).await;
        assert_eq!(again.code, 0, "the same file again is done already: {}", again.stderr);

        // Changed, longer and shorter: nothing of it may be skipped in silence.
        for changed in [&["bob"][..], &["ada", "bob"], &[]] {
            let refused = import(&server, changed, &named).await;
            let text = refused.failed(1);
            assert!(text.contains("the import was begun with other content"), "{text}");
            assert!(text.contains("(REQUEST_ID_REUSED)") && text.contains("--import-id"), "{text}");
            assert!(!text.contains("same command again"), "{text}");
        }
        assert!(server.read(&["bob".to_owned()]).await.is_empty());
        import(&server, &["ada", "bob"], &["--import-id", "y"]).await.lines();
        server.user("bob").await;
    }

    async fn without_a_name_a_changed_file_is_another_import(server: TestServer) {
        import(&server, &["ada"], &[]).await.lines();
        import(&server, &["ada", "bob"], &[]).await.lines();
        server.user("bob").await;
    }
}
