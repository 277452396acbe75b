//! `usher maintenance`: nothing that was removed stays in the files of the database.

use serde_json::{Value, json};

use crate::harness::{Answer, Backend, Caller, Kind, Place, each_backend, item, on_postgres, pb, program};

const CANARY: &str = "canary-5e21";

/// What the program came to, and each step it told.
async fn maintenance(place: &Place, args: &[&str]) -> (i32, Vec<Value>, String) {
    let mut command = program(place);
    command.args(["maintenance", "--json", "--data-dir"]).arg(&place.data_dir).args(args);
    let output = command.stderr(std::process::Stdio::piped()).output().await.unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let steps = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code().unwrap(), steps, String::from_utf8(output.stderr).unwrap())
}

/// Users of whom the database has taken statistics, who are erased then.
async fn erase(backend: &Backend, caller: &Caller, place: &Place) {
    let ids: Vec<String> = (0..300).map(|number| format!("{CANARY}-{number:03}")).collect();
    let items: Vec<Value> =
        ids.iter().map(|id| item("user", json!({"id": id, "name": format!("name of {id}")}))).collect();
    caller.imported("world", &items).await;
    if backend.kind() == Kind::Postgres {
        backend.meddle(place, "ANALYZE").await;
        backend.meddle(place, "CHECKPOINT").await;
        assert!(backend.files_hold(place, CANARY).await, "the canary can be found at all");
    }
    let hard = pb::DeleteMode::Hard.into();
    let request = pb::DeleteUsersRequest {
        user_ids: ids,
        user: hard,
        messages: hard,
        conversations: hard,
        ..Default::default()
    };
    let task = caller.users().delete_users(request).await.answered().task.unwrap();
    caller.completed(&task).await;
}

each_backend! {
    async fn what_was_removed_is_in_no_file_afterwards(backend: Backend) {
        let server = backend.start_with(&[]).await;
        let place = server.place().clone();
        erase(&backend, &server, &place).await;
        if backend.kind() == Kind::Sqlite {
            let (code, steps, told) = maintenance(&place, &[]).await;
            assert!(code == 1 && steps.is_empty() && told.contains("in use"), "beside a server: {told}");
            server.stop().await;
            let (code, steps, told) = maintenance(&place, &[]).await;
            assert_eq!((code, steps.len()), (0, 1), "{told}");
            assert!(steps[0]["bytes_after"].as_i64() <= steps[0]["bytes_before"].as_i64(), "{steps:?}");
        } else {
            backend.meddle(&place, "CHECKPOINT").await;
            assert!(backend.files_hold(&place, CANARY).await, "it needs maintenance");
            let (code, steps, told) = maintenance(&place, &[]).await;
            assert_eq!(code, 0, "{told}");
            let names: Vec<_> = steps.iter().filter_map(|step| step["name"].as_str()).collect();
            assert!(["users", "task_items", "pg_statistic"].iter().all(|name| names.contains(name)), "{names:?}");
            assert_eq!(steps.last().unwrap()["step"], "log_closed");
            server.seed(&["after".to_owned()]).await;
        }
        assert!(!backend.files_hold(&place, CANARY).await, "nothing is left");
    }
}

on_postgres! {
    async fn who_still_reads_what_was_removed_is_named_and_waited_for(backend: Backend) {
        let server = backend.start_with(&[]).await;
        let place = server.place().clone();
        let reader = backend.reader(&place).await;
        erase(&backend, &server, &place).await;
        let (code, steps, told) = maintenance(&place, &["--wait", "300ms"]).await;
        assert!(code == 1 && steps.is_empty(), "{code} {steps:?}");
        assert!(told.contains("process ") && told.contains("--wait"), "{told}");
        let (ended, ()) = tokio::join!(maintenance(&place, &["--wait", "1m"]), async {
            reader.close().await.unwrap();
        });
        assert_eq!(ended.0, 0, "{}", ended.2);
        assert!(!backend.files_hold(&place, CANARY).await, "nothing is left");
    }

    async fn what_only_a_superuser_may_do_is_told(backend: Backend) {
        let server = backend.start_with(&[]).await;
        let mut place = server.place().clone();
        let role = format!("plain_{}", std::process::id());
        backend.meddle(&place, &format!("CREATE ROLE {role} LOGIN")).await;
        let all = format!("DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables \
            WHERE schemaname = 'public' LOOP EXECUTE format('ALTER TABLE %I OWNER TO {role}', t); END LOOP; \
            EXECUTE format('ALTER SCHEMA public OWNER TO {role}'); END $$");
        backend.meddle(&place, &all).await;
        let url = place.url.clone().unwrap();
        let (_, rest) = url.split_once('@').unwrap();
        place.url = Some(format!("postgres://{role}@{rest}"));
        let (code, steps, told) = maintenance(&place, &[]).await;
        assert_eq!(code, 3, "{told} {steps:?}");
        let left: Vec<_> = steps.iter().filter_map(|step| step["sql"].as_str()).collect();
        assert_eq!(left, ["VACUUM FULL pg_statistic", "SELECT pg_switch_wal(); CHECKPOINT"]);
        backend.meddle(server.place(), &format!("REASSIGN OWNED BY {role} TO CURRENT_USER")).await;
        backend.meddle(server.place(), &format!("DROP ROLE {role}")).await;
    }
}
