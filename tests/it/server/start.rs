//! Starting: the first time, again, and beside others.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::harness::{Backend, Kind, Place, TestServer, each_backend, on_postgres, pb, user};

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

each_backend! {
    async fn the_first_start_leaves_a_key_and_a_secret_for_their_owner_only(server: TestServer) {
        let dir = &server.place().data_dir;
        let secret = std::fs::read_to_string(dir.join("default.secret")).unwrap();
        assert!(
            secret.len() >= 32 && secret.bytes().all(|byte| byte.is_ascii_graphic()),
            "no newline, no space"
        );
        assert_eq!(mode(&dir.join("default.secret")), 0o600);
        if server.kind() == Kind::Sqlite {
            let master = std::fs::read_to_string(dir.join("master.key")).unwrap();
            assert!(master.len() == 64 && master.bytes().all(|byte| byte.is_ascii_hexdigit()));
            assert_eq!(mode(&dir.join("master.key")), 0o600);
            let others = mode(dir) & mode(&dir.join("usher.db")) & 0o077;
            assert_eq!(others, 0, "nobody else reads the users");
        }
    }

    async fn the_second_start_uses_the_same_app(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let dir = server.place().data_dir.clone();
        let read =
            || ["default.secret", "default.key"].map(|name| std::fs::read_to_string(dir.join(name)).unwrap());
        let before = read();
        let token = server.credentials().server_token();

        let server = server.restart().await;

        assert_eq!(read(), before);
        assert_eq!(server.with_token(&token).user("ada").await.version, 1);
    }

    async fn the_secret_does_not_lie_open_in_the_database(server: TestServer) {
        let secret = server.credentials().secret.clone();
        let dir = server.place().data_dir.clone();
        let kind = server.kind();
        server.stop().await;
        if kind == Kind::Sqlite {
            let bytes = std::fs::read(dir.join("usher.db")).unwrap();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
    }

    async fn a_wrong_master_key_is_refused_and_changes_nothing(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let place = server.place().clone();
        let backend = server.backend().clone();
        server.stop().await;
        let file = place.master_key_file.clone().unwrap_or_else(|| place.data_dir.join("master.key"));
        let right = std::fs::read_to_string(&file).unwrap();
        for wrong in ["ff".repeat(32), "ff".repeat(31), "xy".repeat(32), String::new()] {
            std::fs::write(&file, &wrong).unwrap();
            assert!(backend.try_start_at(&place).await.is_err(), "{wrong:?} should be refused");
        }
        std::fs::write(&file, right).unwrap();
        let server = backend.try_start_at(&place).await.unwrap();
        assert_eq!(server.user("ada").await.version, 1);
    }

    async fn a_program_that_cannot_start_says_why_and_fails(backend: Backend) {
        let cases = [
            ("--workers", "1000"),
            ("--task-batch", "0"),
            ("--listen", "nowhere"),
            ("--task-lease", "1"),
            ("--reflection", "maybe"),
            ("--config", "/nonexistent.toml"),
        ];
        for (flag, value) in cases {
            let Err((status, log)) = backend.launch().flag(flag, value).try_start().await else {
                panic!("{flag} {value} should be refused");
            };
            assert!(!status.success() && status.code().is_some(), "{flag} {value}: {status}");
            assert!(!log.is_empty() && !log.contains("panicked"), "{flag} {value}: {log}");
        }
    }

    async fn settings_are_read_from_a_file_beneath_flags(backend: Backend) {
        let file = backend.dir().join("usher.toml");
        let path = file.to_str().unwrap();
        std::fs::write(&file, "workers = 0\ntask-batch = \"3\"\nreflection = \"off\"\n").unwrap();
        let server = backend.launch().flag("--config", path).start().await;
        let task = server.deactivate_all(&["nobody".to_owned()]).await;
        server.deactivate_all(&["nobody".to_owned()]).await;
        assert_eq!(server.task(&task.task_id).await, task, "no workers");

        let server = server.kill().await.flag("--workers", "1").start().await;
        assert_eq!(server.completed(&task).await.users_failed, 1, "a flag stands above the file");
        server.kill().await;

        for wrong in ["worker = 1", "workers = \"many\"", "workers", "[server]\nworkers = 1"] {
            std::fs::write(&file, wrong).unwrap();
            let refused = backend.launch().flag("--config", path).try_start().await;
            assert!(refused.is_err(), "{wrong:?} should be refused");
        }
    }

    async fn secrets_are_not_taken_from_the_command_line(backend: Backend) {
        let secrets = [
            ("--master-key", "ab".repeat(32)),
            ("--database-url", "postgres://someone:canary@127.0.0.1:1/x".to_owned()),
        ];
        for (flag, secret) in secrets {
            let Err((status, log)) = backend.launch().flag(flag, &secret).try_start().await else {
                panic!("{flag} should be refused");
            };
            assert!(!status.success() && !log.contains("canary") && !log.contains(&secret), "{log}");
        }
    }

    async fn an_address_in_use_leaves_nothing_behind(backend: Backend) {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let launch = backend.launch().flag("--listen", &address);
        let (status, log) = launch.try_start().await.err().expect("the address is taken");
        assert!(!status.success() && log.contains(&address), "{log}");
        assert!(!launch.place().data_dir.exists(), "no data directory");
    }

    async fn one_record_of_the_log_says_what_serves_where(backend: Backend) {
        for format in ["json", "text"] {
            let mut server = backend.launch().flag("--log-format", format).start().await;
            let (address, log) = (server.address().to_string(), server.log());
            let about = |line: &&str| line.contains("serving") && line.contains(&address);
            let records: Vec<&str> = log.lines().filter(about).collect();
            assert_eq!(records.len(), 1, "{log}");
            if format == "json" {
                let record: serde_json::Value = serde_json::from_str(records[0]).unwrap();
                let fields = &record["fields"];
                assert_eq!((&fields["message"], &fields["address"]), (&json!("serving"), &json!(address)));
                assert_eq!(fields["version"], env!("CARGO_PKG_VERSION"));
                let backend = if backend.kind() == Kind::Sqlite { "sqlite" } else { "postgres" };
                assert_eq!(fields["backend"], backend);
            }
            server.signal("TERM").await;
            assert!(server.ended(std::time::Duration::from_secs(20)).await.success());
            assert!(server.rest_of_output().await.is_empty(), "the rest is for terminals");
        }
    }

    async fn another_app_can_be_made_beside_a_running_server(server: TestServer) {
        let other = server.backend().create_app("other", server.place()).await;
        assert_ne!(other.kid, server.credentials().kid);
        assert!(other.secret.len() >= 32);
        server.of_app(other).upsert(vec![user("ada")]).await;
        assert!(server.read(&["ada".to_owned()]).await.is_empty());
    }

    async fn logs_hold_no_tokens_and_nothing_personal(backend: Backend) {
        let server = backend.launch().flag("--log", "trace").start().await;
        server
            .import_users("x", &[json!({"id": "ada", "name": "canary-name", "canary-field": "canary-value"})])
            .await;
        let request = pb::QueryUsersRequest {
            filter: Some(crate::harness::struct_of(
                json!({"canary-field": "canary-value", "name": "canary-name"}),
            )),
            ..Default::default()
        };
        server.users().query_users(request).await.unwrap();
        let bad = pb::UserInput { name: "canary-name".repeat(100), ..user("ada") };
        server.users().upsert_users(pb::UpsertUsersRequest { users: vec![bad] }).await.unwrap_err();
        let token = server.user_token("ada").await;
        server.tokens().verify_token(pb::VerifyTokenRequest { token: token.clone() }).await.unwrap();
        let log = server.log();
        assert!(!log.is_empty());
        let signature = token.rsplit('.').next().unwrap();
        for secret in
            ["canary-name", "canary-value", signature, server.credentials().secret.as_str(), "Bearer "]
        {
            assert!(!log.contains(secret), "the log holds {secret}");
        }
        for sql in ["INSERT INTO", "SELECT ", "UPDATE ", "sqlx::query", "db.statement"] {
            assert!(!log.contains(sql), "the log holds SQL: {sql}");
        }
    }
}

/// Tests of SQLite alone.
mod embedded {
    use std::process::Stdio;

    use tokio::io::{AsyncBufReadExt, BufReader};

    use super::*;

    #[test]
    fn a_second_server_on_the_same_file_is_refused() {
        crate::harness::run(Kind::Sqlite, async |server: TestServer| {
            server.upsert(vec![user("ada")]).await;
            let refused = server.backend().try_start(&[]).await;
            assert!(refused.is_err(), "one server at a time");
            let process = server.backend().launch().try_start().await;
            let (status, log) = process.err().expect("from another process neither");
            assert!(!status.success() && !log.contains("panicked"), "{log}");
            assert_eq!(server.user("ada").await.version, 1, "the first one goes on");

            let server = server.restart().await;
            assert_eq!(server.user("ada").await.version, 1, "and the file is free once it has gone");
        });
    }

    /// `script` gives the program a terminal; it is on every Debian.
    #[test]
    fn what_the_first_start_prints_works_as_it_stands() {
        crate::harness::run(Kind::Sqlite, async |backend: Backend| {
            let dir = backend.dir().join("a dir");
            std::fs::create_dir(&dir).unwrap();
            let usher = env!("CARGO_BIN_EXE_usher");
            let serve = format!("exec {usher} serve --listen 127.0.0.1:0 --data-dir 'my data'");
            let shell = |program: &str| {
                let mut command = tokio::process::Command::new(program);
                command.current_dir(&dir).env_clear().env("PATH", "/usr/bin:/bin").kill_on_drop(true);
                command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
                command
            };
            let mut server = shell("script");
            let mut server = server.args(["-qfec", &serve, "/dev/null"]).spawn().unwrap();
            let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
            let mut commands = Vec::new();
            while commands.len() < 4 {
                let line = lines.next_line().await.unwrap().expect("four commands");
                commands.extend(line.trim_end().strip_prefix("  ").map(str::to_owned));
            }
            for command in commands {
                let output = shell("sh").args(["-c", &command]).output().await.unwrap();
                assert!(output.status.success(), "{command}: {output:?}");
            }
        });
    }

    #[test]
    fn after_a_kill_the_file_is_free() {
        crate::harness::run(Kind::Sqlite, async |backend: Backend| {
            let server = backend.launch().start().await;
            server.upsert(vec![user("ada")]).await;
            let launch = server.kill().await;
            let server = launch.start().await;
            assert_eq!(server.user("ada").await.version, 1);
        });
    }
}

on_postgres! {
    async fn replicas_that_start_at_once_migrate_once_and_share_one_app(backend: Backend) {
        let servers = backend.start_together(4).await;
        assert_eq!(backend.secret_holders().len(), 1, "one of them made the app");
        servers[0].upsert(vec![user("ada")]).await;
        for server in &servers {
            assert_eq!(server.user("ada").await.version, 1);
        }
    }

    async fn a_port_in_use_is_an_error_that_names_it(server: TestServer) {
        let address = server.address().to_string();
        let refused = server.backend().try_start(&["--listen", &address]).await;
        let text = refused.map(drop).unwrap_err().to_string();
        assert!(text.contains(&address), "{text}");
    }

    async fn without_a_master_key_the_start_is_refused(backend: Backend) {
        let place = Place { master_key_file: None, ..backend.place() };
        let refused = backend.try_start_at(&place).await;
        let text = refused.map(drop).unwrap_err().to_string().to_lowercase();
        assert!(text.contains("master"), "{text}");
    }

    async fn a_database_that_is_not_there_is_an_error_and_not_a_hang(backend: Backend) {
        let place = backend.place();
        let url = place.url.as_ref().map(|url| format!("{url}_absent"));
        let refused = backend.try_start_at(&Place { url, ..place }).await;
        let text = refused.map(drop).unwrap_err().to_string();
        assert!(!text.contains("postgres://"), "the URL may hold a password: {text}");
    }
}
