//! The file of SQLite and what lies next to it: what does not fit is refused, and what goes missing is noticed.

use std::fs;
use std::path::{Path, PathBuf};

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::harness::{
    Backend, Caller, Launch, Process, eventually, on_sqlite, pb, reason_of, user, user_ids,
};

/// A server that was started once, holds one user, and has ended.
async fn ended(backend: &Backend) -> (Launch, PathBuf) {
    let mut server = backend.launch().start().await;
    server.upsert(vec![user("ada")]).await;
    server.signal("TERM").await;
    server.ended(std::time::Duration::from_secs(10)).await;
    let dir = server.launch().place().data_dir.clone();
    (server.launch().clone(), dir)
}

async fn refused(launch: &Launch) -> String {
    let Err((status, log)) = launch.try_start().await else { panic!("the start should be refused") };
    assert!(status.code().is_some_and(|code| code != 0), "{status}");
    assert!(!log.contains("panicked") && !log.contains("database error"), "{log}");
    log
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn becomes(caller: &Caller, wanted: ServingStatus) {
    let what = format!("health {}", wanted.as_str_name());
    let look = || async {
        let request = HealthCheckRequest { service: String::new() };
        let status = caller.health().check(request).await.unwrap().into_inner().status();
        (status == wanted).then_some(())
    };
    eventually(&what, look).await;
}

async fn refuses_writes(server: &Process, id: &str) {
    let request = pb::UpsertUsersRequest { users: vec![user(id)] };
    let status = server.users().upsert_users(request).await.unwrap_err();
    assert_eq!(reason_of(&status), "DATABASE_UNAVAILABLE", "{status:?}");
}

on_sqlite! {
    async fn a_missing_or_empty_database_next_to_its_master_key_is_refused(backend: Backend) {
        let (launch, dir) = ended(&backend).await;
        let (file, kept) = (dir.join("usher.db"), dir.join("kept"));
        let secret = fs::read(dir.join("default.secret")).unwrap();
        fs::rename(&file, &kept).unwrap();
        let log = refused(&launch).await;
        assert!(log.contains("usher.db") && log.contains("missing") && log.contains("backup"), "{log}");
        assert!(!file.exists(), "nothing is made in its place: {:?}", names(&dir));

        fs::write(&file, "").unwrap();
        assert!(refused(&launch).await.contains("empty"));
        assert_eq!(fs::metadata(&file).unwrap().len(), 0);
        for left in ["master.key", "default.key"] {
            fs::rename(dir.join(left), dir.join(format!("{left}.kept"))).unwrap();
            refused(&launch).await;
        }
        assert_eq!(fs::read(dir.join("default.secret")).unwrap(), secret);

        for left in ["master.key", "default.key"] {
            fs::rename(dir.join(format!("{left}.kept")), dir.join(left)).unwrap();
        }
        fs::rename(&kept, &file).unwrap();
        assert_eq!(launch.start().await.user("ada").await.version, 1, "with the database back, it starts");
    }

    async fn a_database_of_another_program_is_refused_and_left_as_it_is(backend: Backend) {
        let (launch, dir) = ended(&backend).await;
        let file = dir.join("usher.db");
        let tables = ["CREATE TABLE users (name text)", "CREATE TABLE t (x)", "PRAGMA user_version = 1"];
        for (statement, named) in tables.into_iter().zip(["table `users`", "table `t`", "is another one"]) {
            fs::write(&file, "").unwrap();
            backend.meddle(launch.place(), statement).await;
            let log = refused(&launch).await;
            assert!(log.contains("usher.db") && log.contains(named), "{log}");
        }
    }

    async fn a_database_of_a_newer_version_is_refused_with_what_to_do(backend: Backend) {
        let (launch, _) = ended(&backend).await;
        let newer = "INSERT INTO seaql_migrations VALUES ('m9999_later', 0)";
        backend.meddle(launch.place(), newer).await;
        let log = refused(&launch).await;
        assert!(log.contains("newer version of usher"), "{log}");
    }

    async fn a_missing_master_key_is_refused_and_not_made_anew(backend: Backend) {
        let (launch, dir) = ended(&backend).await;
        let (key, kept) = (dir.join("master.key"), dir.join("kept"));
        fs::rename(&key, &kept).unwrap();
        let before = names(&dir);
        let log = refused(&launch).await;
        assert!(log.contains("master.key") && log.contains("missing"), "{log}");
        assert_eq!(names(&dir), before);
        fs::rename(&kept, &key).unwrap();
        assert_eq!(launch.start().await.user("ada").await.version, 1);
    }

    async fn a_first_start_that_was_cut_off_can_be_repeated(backend: Backend) {
        // Cut off before the database was made, then before the key got its name.
        let (launch, dir) = ended(&backend).await;
        fs::rename(dir.join("master.key"), dir.join("master.key.draft")).unwrap();
        let server = launch.start().await;
        assert_eq!(server.user("ada").await.version, 1);
        assert!(dir.join("master.key").exists() && !dir.join("master.key.draft").exists());

        server.kill().await;
        for name in names(&dir) {
            if name != "master.key" {
                fs::remove_file(dir.join(name)).unwrap();
            }
        }
        fs::rename(dir.join("master.key"), dir.join("master.key.draft")).unwrap();
        let draft = fs::read(dir.join("master.key.draft")).unwrap();
        launch.start().await;
        assert_eq!(fs::read(dir.join("master.key")).unwrap(), draft);
    }

    async fn a_damaged_database_is_named_with_what_to_do(backend: Backend) {
        let (launch, dir) = ended(&backend).await;
        let file = dir.join("usher.db");
        let whole = fs::read(&file).unwrap();
        let mut no_header = whole.clone();
        no_header[..16].fill(b'x');
        let mut no_first_page = whole.clone();
        no_first_page[100..4096].fill(0xff);
        for damaged in [&no_header[..], &no_first_page, &whole[..whole.len() / 2], b"not a database at all"] {
            fs::write(&file, damaged).unwrap();
            let log = refused(&launch).await;
            assert!(log.contains("usher.db") && log.contains("damaged") && log.contains("backup"), "{log}");
        }
        fs::write(&file, &whole).unwrap();
        assert_eq!(launch.start().await.user("ada").await.version, 1);
    }

    async fn a_database_that_proves_damaged_takes_no_more_writes(backend: Backend) {
        let (launch, dir) = ended(&backend).await;
        let mut server = launch.start().await;
        for chunk in user_ids("u", 4_000).chunks(500) {
            let users = chunk.iter().map(|id| pb::UserInput { name: "x".repeat(200), ..user(id) });
            server.upsert(users.collect()).await;
        }
        server.signal("TERM").await;
        server.ended(std::time::Duration::from_secs(10)).await;
        let server = launch.start().await;
        let file = fs::OpenOptions::new().write(true).open(dir.join("usher.db")).unwrap();
        let garbage = vec![0xff; usize::try_from(file.metadata().unwrap().len()).unwrap() - 400_000];
        std::os::unix::fs::FileExt::write_all_at(&file, &garbage, 400_000).unwrap();

        let request = pb::QueryUsersRequest { limit: 1_000, ..Default::default() };
        let mut refused = 0;
        for id in ["u-01000", "u-02000", "u-03000", "u-03999"] {
            let ids = vec![id.to_owned()];
            let read = pb::GetUsersRequest { user_ids: ids, include_deleted: true };
            refused += usize::from(server.users().get_users(read).await.is_err());
        }
        refused += usize::from(server.users().query_users(request).await.is_err());
        assert!(refused > 0, "damage is met");
        becomes(&server, ServingStatus::NotServing).await;
        refuses_writes(&server, "late").await;
        let log = server.log();
        assert_eq!(log.matches("its file is damaged").count(), 1, "{log}");
    }

    async fn a_file_that_is_removed_or_replaced_takes_no_more_writes_until_it_is_back(backend: Backend) {
        let server = backend.launch().start().await;
        server.upsert(vec![user("ada")]).await;
        let dir = server.launch().place().data_dir.clone();
        for (round, name) in ["usher.db", "usher.db-wal", "usher.db-shm"].into_iter().enumerate() {
            let (file, kept) = (dir.join(name), dir.join("kept"));
            fs::rename(&file, &kept).unwrap();
            refuses_writes(&server, &format!("removed-{round}")).await;
            becomes(&server, ServingStatus::NotServing).await;
            fs::copy(&kept, &file).unwrap();
            refuses_writes(&server, &format!("replaced-{round}")).await;
            fs::rename(&kept, &file).unwrap();
            becomes(&server, ServingStatus::Serving).await;
            server.upsert(vec![user(&format!("back-{round}"))]).await;
        }
        let launch = server.kill().await;
        let server = launch.start().await;
        for round in 0..3 {
            assert_eq!(server.user(&format!("back-{round}")).await.version, 1);
        }
    }

    async fn a_file_is_served_once_whatever_its_name(backend: Backend) {
        let server = backend.launch().start().await;
        let dir = server.launch().place().data_dir.clone();
        let (file, other) = (dir.join("usher.db"), backend.dir().join("aliases"));
        fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(&file, other.join("symbolic.db")).unwrap();
        fs::hard_link(&file, other.join("hard.db")).unwrap();
        std::os::unix::fs::symlink(&dir, other.join("dir")).unwrap();
        let key = dir.join("master.key");
        for alias in ["symbolic.db", "hard.db", "dir/usher.db", "dir/../aliases/hard.db"] {
            let url = format!("sqlite:{}", other.join(alias).display());
            let launch = backend.launch().flag("--database-url", &url).flag("--master-key-file", key.to_str().unwrap());
            let log = refused(&launch).await;
            assert!(log.contains("in use by another usher"), "{alias}: {log}");
        }
        server.upsert(vec![user("ada")]).await;
    }

    async fn urls_of_every_form_lead_to_the_file_they_name(backend: Backend) {
        let dir = backend.dir().join("my data");
        fs::create_dir(&dir).unwrap();
        let place = dir.display().to_string();
        let encoded = place.replace(' ', "%20");
        for (url, name) in [
            (format!("sqlite:{place}/a.db"), "a.db"),
            (format!("sqlite://{encoded}/b.db?mode=rwc"), "b.db"),
            (format!("sqlite:{encoded}/c%3Fd%23.db"), "c?d#.db"),
        ] {
            let data = backend.dir().join(format!("data-{}", &name[..1]));
            let launch = backend.launch().with_data_dir(&data).flag("--database-url", &url);
            let server = launch.start().await;
            assert!(dir.join(name).exists(), "{url} names {name}: {:?}", names(&dir));
            server.kill().await;
        }
        for (url, named) in [("sqlite:x.db?cache=shared", "cache"), ("sqlite::memory:", "memory"), ("mysql://x", "sqlite:")] {
            let log = refused(&backend.launch().flag("--database-url", url)).await;
            assert!(log.contains(named), "{url}: {log}");
        }
    }
}
