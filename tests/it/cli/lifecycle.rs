//! `usher users delete|restore|deactivate|reactivate`.

use serde_json::{Value, json};

use super::{client, ended, users as usher, users_at_terminal};
use crate::harness::{Answer, TestServer, each_backend, item, pb, user_ids};

/// Users who have written three messages into a channel that ada owns.
async fn chat(server: &TestServer) {
    server.seed(&["ada", "bob"].map(str::to_owned)).await;
    let channel = json!({"type": "messaging", "id": "general", "created_by": "ada"});
    let message = |number: usize| {
        let user = if number == 0 { "bob" } else { "ada" };
        let message = json!({"id": format!("m{number}"), "channel_type": "messaging", "channel_id": "general",
            "user": user, "text": "hello"});
        item("message", message)
    };
    let items: Vec<Value> = std::iter::once(item("channel", channel)).chain((0..3).map(message)).collect();
    server.imported("chat", &items).await;
}

async fn messages(server: &TestServer) -> usize {
    let request = pb::ListMessagesRequest { cid: "messaging:general".to_owned(), ..Default::default() };
    server.content().list_messages(request).await.answered().messages.len()
}

async fn tasks(server: &TestServer) -> Vec<pb::Task> {
    server.tasks().list_tasks(pb::ListTasksRequest::default()).await.answered().tasks
}

each_backend! {
    async fn users_are_deleted_and_restored(server: TestServer) {
        chat(&server).await;
        let deleted = usher(&server, &["delete", "ada", "--yes", "--by", "bob", "--reason", "left"], "").await;
        let [.., last, rows] = deleted.lines()[..] else { panic!("{}", deleted.stdout) };
        assert!(last.starts_with("completed: 1 of 1 users"), "{}", deleted.stdout);
        assert_eq!(rows, "  messages          2");
        assert_eq!(messages(&server).await, 1);
        let task = tasks(&server).await.remove(0);
        assert!(deleted.stderr.contains(&format!("task {}", task.task_id)), "{}", deleted.stderr);
        assert_eq!((task.created_by_id.as_str(), task.reason.as_str()), ("bob", "left"));

        usher(&server, &["restore", "ada", "-y"], "").await.lines();
        assert_eq!(messages(&server).await, 3);
        assert_eq!(server.user("ada").await.deleted_at, None);
    }

    async fn everything_goes_as_far_as_told(server: TestServer) {
        chat(&server).await;
        let args = ["delete", "ada", "--user", "hard", "--messages", "hard", "--conversations", "hard", "--calls", "keep",
            "--activities", "hard", "--files", "--new-channel-owner", "bob", "--yes"];
        usher(&server, &args, "").await.lines();
        assert_eq!(messages(&server).await, 1);
        let request = pb::GetChannelRequest { cid: "messaging:general".to_owned(), ..Default::default() };
        let channel = server.content().get_channel(request).await.answered().channel.unwrap();
        assert_eq!(channel.created_by_id, "bob");
        usher(&server, &["delete", "bob", "--user", "keep", "--yes"], "").await.failed(2);
        usher(&server, &["delete", "bob", "--calls", "pruning", "--yes"], "").await.failed(2);
    }

    async fn a_terminal_is_asked_after_it_was_told_what_would_be_touched(server: TestServer) {
        chat(&server).await;
        for typed in ["n\n", "\n", "no, yes\n"] {
            let asked = users_at_terminal(&server, &["delete", "ada"], typed).await;
            let said = &asked.stdout;
            assert_eq!(asked.code, 4, "{typed:?}: {said}");
            let shown = ["would be deleted softly: 1 user", "messages          2", "Go on? [y/N]", "nothing was changed"];
            assert!(shown.iter().all(|part| said.contains(part)), "{typed:?}: {said}");
        }
        assert_eq!((server.user("ada").await.deleted_at, messages(&server).await), (None, 3));

        let asked = users_at_terminal(&server, &["delete", "ada"], "y\n").await;
        assert_eq!(asked.code, 0, "{}", asked.stdout);
        assert!(asked.stdout.contains("completed: 1 of 1 users"), "{}", asked.stdout);
        assert_eq!(messages(&server).await, 1);
    }

    async fn what_would_be_touched_is_shown_and_nothing_is(server: TestServer) {
        chat(&server).await;
        let shown = usher(&server, &["delete", "ada", "nobody", "--dry-run"], "").await;
        assert_eq!(shown.lines()[..2], ["would be deleted softly: 1 user", "are unknown, or cannot be: 1 user"]);
        assert!(shown.lines().contains(&"  messages          2"), "{}", shown.stdout);
        let shown = usher(&server, &["delete", "ada", "--dry-run", "--messages", "keep", "--json"], "").await.json();
        assert_eq!((&shown[0]["users"], &shown[0]["rows"]["messages"]), (&json!(1), &Value::Null));

        let marks = ["deactivate", "ada", "bob", "--mark-messages", "--mark-channels", "--dry-run", "--json"];
        let shown = usher(&server, &marks, "").await.json();
        let rows = json!({"messages": 3, "channels": 1});
        assert_eq!(shown[0], json!({"users": 2, "users_unchanged": 0, "users_failed": 0, "rows": rows}));
        let shown = usher(&server, &["reactivate", "ada", "nobody", "--dry-run"], "").await;
        assert_eq!(shown.lines(), [
            "would be reactivated: 0 users",
            "would stay as they are: 1 user",
            "are unknown, or cannot be: 1 user",
        ]);
        let shown = usher(&server, &["restore", "ada", "--dry-run"], "").await;
        assert!(shown.lines()[0].ends_with(": 0 users"), "{}", shown.stdout);
        assert!(tasks(&server).await.iter().all(|task| task.kind == "import_content"));
        assert_eq!(messages(&server).await, 3);
    }

    async fn what_was_deleted_is_said_at_the_end_and_is_what_was_foretold(server: TestServer) {
        chat(&server).await;
        let shown = usher(&server, &["delete", "ada", "--dry-run"], "").await;
        let foretold = shown.lines()[1..].to_vec();
        let done = usher(&server, &["delete", "ada", "--yes"], "").await;
        let at = done.lines().iter().position(|line| line.starts_with("completed: 1 of 1 users")).unwrap();
        assert_eq!(done.lines()[at + 1..], foretold);
        assert!(foretold.contains(&"  messages          2"), "{foretold:?}");

        let task = tasks(&server).await.into_iter().find(|task| task.kind == "delete_users").unwrap();
        let secret = &server.credentials().secret.clone();
        let task = async |verb: &str, how: &[&str]| {
            let args = [&["task", verb, &task.task_id], how].concat();
            ended(client(&server, &args, secret), "").await
        };
        for verb in ["get", "watch"] {
            let shown = task(verb, &[]).await;
            assert!(shown.lines().ends_with(&foretold), "{verb}: {}", shown.stdout);
            let rows = task(verb, &["--json"]).await.json().pop().unwrap()["delete_users"]["rows"].clone();
            assert_eq!(rows["messages"], 2, "{verb}");
        }
        let again = usher(&server, &["delete", "ada", "--yes"], "").await;
        assert!(again.lines().last().unwrap().starts_with("completed: "), "nothing was deleted: {}", again.stdout);
    }

    async fn without_a_terminal_nobody_is_asked_and_nothing_done(server: TestServer) {
        chat(&server).await;
        for verb in ["delete", "restore", "deactivate", "reactivate"] {
            let told = usher(&server, &[verb, "ada"], "y\n").await;
            assert!(told.failed(2).contains("--yes"), "{}", told.stderr);
        }
        usher(&server, &["delete", "--yes"], "").await.failed(2);
        usher(&server, &["delete", "--file", "-", "--yes"], "").await.failed(2);
        assert_eq!(server.user("ada").await.version, 1);
    }

    async fn marks_are_put_and_undone(server: TestServer) {
        chat(&server).await;
        usher(&server, &["deactivate", "ada", "--mark-messages", "--yes"], "").await.lines();
        assert!(server.user("ada").await.deactivated_at.is_some());
        assert_eq!(messages(&server).await, 1);
        usher(&server, &["reactivate", "ada", "--restore-messages", "--yes"], "").await.lines();
        assert_eq!(server.user("ada").await.deactivated_at, None);
        assert_eq!(messages(&server).await, 3);
    }

    async fn ids_come_from_a_query_and_beyond_a_tasks_limit(server: TestServer) {
        let ids = user_ids("u", 10_003);
        server.seed(&ids).await;
        let found = usher(&server, &["query", "--json"], "").await.stdout;
        let args = ["deactivate", "ada", "--file", "-", "--yes", "--json", "--request-id", "r"];
        let told = usher(&server, &args, &found).await;
        assert!(told.failed(3).contains("failed: ada: USER_NOT_FOUND"), "{}", told.stderr);
        let ended: Vec<Value> = told.json().into_iter().filter(|task| task["state"] == "completed").collect();
        let counts: Vec<_> = ended
            .iter()
            .map(|task| (&task["request_id"], &task["users_total"], &task["users_failed"]))
            .collect();
        assert_eq!(counts, [
            (&json!("r"), &json!(10_000), &json!(1)),
            (&json!("r/1"), &json!(4), &json!(0)),
        ]);
        let off = usher(&server, &["query", "--deactivated", "--json"], "").await.json();
        assert!(off.iter().all(|user| user["deactivated_at"].is_string()));

        // The same command again does nothing twice.
        let again = usher(&server, &args, &found).await;
        again.failed(3);
        assert_eq!(tasks(&server).await.iter().filter(|task| task.kind == "deactivate_users").count(), 2);
    }

    async fn a_command_that_waited_shows_the_first_failed_items_with_their_reason(server: TestServer) {
        server.seed(&["ada".to_owned()]).await;
        let unknown = user_ids("x", 13).join("\n");
        let args = ["deactivate", "ada", "--file", "-", "--yes"];
        let ended = usher(&server, &args, &unknown).await;
        let shown: Vec<&str> = ended.failed(3).lines().filter(|line| line.starts_with("failed: ")).collect();
        assert_eq!(shown.len(), 10, "{}", ended.stderr);
        assert_eq!((shown[0], shown[9]), ("failed: x-00000: USER_NOT_FOUND", "failed: x-00009: USER_NOT_FOUND"));
        let task = tasks(&server).await.remove(0).task_id;
        let more = format!("3 more failed: see them with `usher task items {task} --failed`");
        assert!(ended.stderr.lines().any(|line| line == more), "{}", ended.stderr);
    }

    async fn what_the_server_refuses_is_told(server: TestServer) {
        chat(&server).await;
        let told = usher(&server, &["delete", "ada", "--user", "hard", "--yes"], "").await;
        assert!(told.failed(1).contains("messages: must be HARD"), "{}", told.stderr);
        let args = ["delete", "ada", "--user", "hard", "--messages", "hard", "--conversations", "hard",
            "--new-channel-owner", "nobody", "--yes"];
        let told = usher(&server, &args, "").await;
        assert!(told.failed(1).contains("new_channel_owner_id"), "{}", told.stderr);
        assert_eq!(server.user("ada").await.version, 1);
    }

    async fn the_history_of_a_user_is_shown_the_newest_first(server: TestServer) {
        server.seed(&["ada".to_owned()]).await;
        usher(&server, &["deactivate", "ada", "--reason", "left\nus", "--yes"], "").await.lines();
        usher(&server, &["reactivate", "ada", "--yes"], "").await.lines();
        let shown = usher(&server, &["history", "ada", "--json"], "").await.json();
        let kinds: Vec<_> = shown.iter().map(|entry| &entry["kind"]).collect();
        assert_eq!(kinds, ["reactivated", "deactivated"]);
        assert_eq!((&shown[1]["reason"], &shown[0]["by_id"]), (&"left\nus".into(), &"".into()));
        let told = usher(&server, &["history", "ada"], "").await;
        assert_eq!(told.lines().len(), 3, "a header, and a line for each");
        assert!(told.lines()[2].ends_with("left us"), "{}", told.stdout);
        assert_eq!(usher(&server, &["history", "ada", "--limit", "1"], "").await.lines().len(), 2);
        assert!(usher(&server, &["history", "nobody"], "").await.failed(1).contains("USER_NOT_FOUND"));
    }
}
