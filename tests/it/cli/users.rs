//! `usher users`: what finds, reads and writes.

use serde_json::json;

use super::users as usher;
use crate::harness::{TestServer, each_backend, pb, struct_of, user, user_ids};

each_backend! {
    async fn a_query_follows_pages_by_itself(server: TestServer) {
        let ids = user_ids("u", 2_100);
        server.seed(&ids).await;
        server.upsert(vec![pb::UserInput { role: "admin".to_owned(), ..user("boss") }]).await;
        server.deactivate("u-00007").await;

        let all = usher(&server, &["query", "--sort", "id", "--json"], "").await.json();
        assert_eq!(all.len(), 2_100, "all but the deactivated one");
        assert_eq!((&all[0]["id"], &all[2_099]["id"]), (&json!("boss"), &json!("u-02099")));
        let some = usher(&server, &["query", "--sort", "id:desc", "--limit", "1500"], "").await;
        let lines = some.lines();
        assert_eq!(lines.len(), 1_501, "a header, once");
        assert!(lines[0].starts_with("ID ") && lines[1].starts_with("u-02099 "), "{lines:?}");
        let admins = usher(&server, &["query", "{\"role\": \"admin\"}", "--json"], "").await.json();
        assert_eq!(admins.iter().map(|user| &user["id"]).collect::<Vec<_>>(), ["boss"]);
        let off = ["query", "{\"id\": \"u-00007\"}", "--deactivated"];
        assert!(usher(&server, &off, "").await.lines()[1].contains("deactivated"));

        usher(&server, &["query", "role"], "").await.failed(2);
        usher(&server, &["query", "--sort", "name:up"], "").await.failed(2);
        let refused = usher(&server, &["query", "{\"role\": {\"$near\": 1}}"], "").await;
        assert!(refused.failed(1).starts_with("usher: filter.role.$near: "), "{}", refused.stderr);
        assert!(refused.stderr.contains("(FILTER_INVALID)"), "{}", refused.stderr);
    }

    async fn users_are_shown_by_id(server: TestServer) {
        let ada = pb::UserInput {
            name: "Ada\u{1b}[2J\nLovelace".to_owned(),
            custom: Some(struct_of(json!({"level": 7}))),
            ..user("ada")
        };
        server.upsert(vec![ada, user("bob")]).await;
        let one = usher(&server, &["get", "ada"], "").await;
        assert!(one.lines().contains(&"custom: {\"level\":7}"), "{}", one.stdout);
        assert!(!one.stdout.contains('\u{1b}'), "nothing steers the terminal");
        assert_eq!(usher(&server, &["get", "bob", "ada"], "").await.lines().len(), 3);
        let some = usher(&server, &["get", "bob", "nobody", "ada", "--json"], "").await;
        assert!(some.failed(3).contains("there is no user nobody"));
        assert_eq!(some.json().iter().map(|user| &user["id"]).collect::<Vec<_>>(), ["bob", "ada"]);
        usher(&server, &["get"], "").await.failed(2);
        let refused = usher(&server, &["get", "ada", "b b"], "").await;
        assert!(
            refused.failed(1).starts_with("usher: user_ids[1] (b b): must be 1 to 255 characters"),
            "{}",
            refused.stderr
        );
    }

    async fn users_are_stored_from_a_file_or_standard_input(server: TestServer) {
        let lines = user_ids("u", 1_200).iter().map(|id| json!({"id": id}).to_string()).collect::<Vec<_>>();
        let lines = lines.join("\n");
        assert_eq!(usher(&server, &["upsert"], &lines).await.lines(), ["stored 1,200 users"]);
        let file = server.backend().dir().join("users.json");
        std::fs::write(&file, r#"[{"id": "ada", "custom": {"level": 7}}, {"id": "bob"}]"#).unwrap();
        let stored = usher(&server, &["upsert", file.to_str().unwrap(), "--json"], "").await.json();
        assert_eq!((&stored[0]["custom"]["level"], &stored[1]["version"]), (&json!(7), &json!(1)));

        let read = usher(&server, &["get", "ada", "--json"], "").await.stdout.replace('7', "8");
        usher(&server, &["upsert"], &read).await.lines();
        let ada = server.user("ada").await;
        assert_eq!((ada.custom, ada.version), (Some(struct_of(json!({"level": 8}))), 2));

        assert!(usher(&server, &["upsert"], "{\"id\": \"a\", \"color\": 1}").await.failed(2).contains("custom"));
        usher(&server, &["upsert", "/nowhere"], "").await.failed(2);
        let some_bad = format!("{lines}{}", json!({"id": "no good"}));
        let told = usher(&server, &["upsert"], &some_bad).await;
        assert!(told.failed(1).contains("users[200].id"), "{}", told.stderr);
        assert!(told.stderr.contains("1000 users were stored, and none from 1001 to 1201"), "{}", told.stderr);
    }

    async fn parts_of_a_user_are_changed(server: TestServer) {
        server.upsert(vec![pb::UserInput { name: "Ada".to_owned(), ..user("ada") }]).await;
        let args = ["patch", "ada", "--set", "color=\"blue\"", "--set", "address.zip=8001", "--unset", "name", "--json"];
        let after = usher(&server, &args, "").await.json().remove(0);
        assert_eq!(after["custom"], json!({"color": "blue", "address": {"zip": 8001}}));
        assert_eq!((after.get("name"), &after["version"]), (None, &json!(2)));

        let told = usher(&server, &["patch", "ada", "--set", "a..b=1"], "").await;
        assert!(told.failed(1).contains("users[0].set.a..b"), "{}", told.stderr);
        let stale = ["patch", "ada", "--set", "a=1", "--expected-version", "1"];
        assert!(usher(&server, &stale, "").await.failed(1).contains("VERSION_MISMATCH"));
        usher(&server, &["patch", "ada", "--set", "name=Ada"], "").await.failed(2);
        let unknown = usher(&server, &["patch", "nobody"], "").await;
        assert_eq!(
            unknown.failed(1),
            "usher: users[0] (nobody): there is no such user in this app (USER_NOT_FOUND)\n"
        );
        assert_eq!(server.user("ada").await.version, 2);
    }
}
