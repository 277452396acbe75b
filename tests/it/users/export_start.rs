//! How an export begins.

use serde_json::json;

use super::export::{exported, of};
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

    async fn it_says_of_the_controller_what_the_app_has_set(server: TestServer) {
        server.seed(&["ada".to_owned()]).await;
        let about = exported(&server, of("ada")).await[1]["item"].clone();
        assert_eq!((&about["controller"], &about["recipients"]), (&json!(null), &json!([])));
        assert!(about["retention"].as_str().unwrap().contains("until the user is deleted"), "{about}");
        let said = pb::ExportAbout {
            controller: "Example Ltd".to_owned(),
            recipients: vec!["a host".to_owned()],
            ..Default::default()
        };
        let settings = pb::AppSettings { export_about: Some(said), ..Default::default() };
        server.set_up(settings, &["export_about"]).await;
        let set = exported(&server, of("ada")).await[1]["item"].clone();
        assert_eq!((&set["controller"], &set["recipients"]), (&json!("Example Ltd"), &json!(["a host"])));
        for by_default in ["purposes", "categories", "retention", "source", "rights"] {
            assert_eq!(set[by_default], about[by_default], "{by_default}");
        }
    }
}
