//! `usher users delete --export-first`: nothing is deleted before the archives are on disk.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use super::export::{Then, names, narrow, seed};
use super::{Ended, client, client_at, client_of, command, ended, users as usher};
use crate::harness::{Answer, Backend, Caller, TestServer, aside, each_backend, pb, program};

const HARD: [&str; 8] =
    ["--user", "hard", "--messages", "hard", "--conversations", "hard", "--calls", "hard"];

fn dir(backend: &Backend) -> PathBuf {
    backend.dir().join("erased")
}

/// Arguments that erase these users for good, and export them first.
fn erasing<'a>(users: &[&'a str], dir: &'a Path) -> Vec<&'a str> {
    [&["delete"], users, &["--export-first", dir.to_str().unwrap(), "--yes"], &HARD[..]].concat()
}

async fn erase(server: &TestServer, users: &[&str], more: &[&str]) -> Ended {
    let dir = dir(server.backend());
    usher(server, &[&erasing(users, &dir), more].concat(), "").await
}

fn receipt(dir: &Path) -> Value {
    serde_json::from_slice(&fs::read(dir.join("receipt.json")).unwrap()).unwrap()
}

async fn live(caller: &Caller, user: &str) -> bool {
    let request = pb::GetUsersRequest { user_ids: vec![user.to_owned()], ..Default::default() };
    !caller.users().get_users(request).await.answered().users.is_empty()
}

async fn tasks(caller: &Caller, kind: &str) -> Vec<pb::Task> {
    let request = pb::ListTasksRequest { kinds: vec![kind.to_owned()], ..Default::default() };
    caller.tasks().list_tasks(request).await.answered().tasks
}

/// What never arrives once the archives are on disk: the deletion that the command sends, or the answer to it.
#[derive(Clone, Copy, PartialEq)]
enum Lost {
    Question,
    Answer,
}

/// Leads to the server until the receipt says that the deletion begins; then all is cut off.
async fn gate(target: SocketAddr, dir: &Path, lost: Lost) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (path, is_shut) = (dir.join("receipt.json"), Arc::new(AtomicBool::new(false)));
    let is_deleting = move || fs::read_to_string(&path).is_ok_and(|text| text.contains("\"deleting\""));
    aside(async move {
        while let Ok((near, _)) = listener.accept().await {
            if is_shut.load(Ordering::SeqCst) {
                continue;
            }
            let (is_deleting, is_shut) = (is_deleting.clone(), Arc::clone(&is_shut));
            let far = TcpStream::connect(target).await.unwrap();
            aside(async move {
                let ((mut near_in, mut near_out), (mut far_in, mut far_out)) =
                    (near.into_split(), far.into_split());
                let (mut up, mut down) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
                loop {
                    let (read, is_up) = tokio::select! {
                        read = near_in.read(&mut up) => (read.unwrap_or_default(), true),
                        read = far_in.read(&mut down) => (read.unwrap_or_default(), false),
                    };
                    if read == 0 || (is_deleting() && is_up == (lost == Lost::Question)) {
                        is_shut.store(is_deleting(), Ordering::SeqCst);
                        return;
                    }
                    let written = if is_up {
                        far_out.write_all(&up[..read]).await
                    } else {
                        near_out.write_all(&down[..read]).await
                    };
                    if written.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

each_backend! {
    async fn users_are_exported_then_deleted_and_a_receipt_says_so(server: TestServer) {
        seed(&server).await;
        let done = erase(&server, &["ada", "bob@b"], &["--reason", "asked"]).await;
        let dir = dir(server.backend());
        assert_eq!(names(&dir), ["ada.jsonl.gz", "bob@b.jsonl.gz", "receipt.json"]);
        let sha256 = |name: &str| format!("{:x}", Sha256::digest(fs::read(dir.join(name)).unwrap()));
        let lines = done.lines();
        let heading = lines.iter().position(|line| *line == "rows that were marked, blanked or removed:").unwrap();
        let at = |name: &str| dir.join(name).display().to_string();
        let said = |user: &str, records: &str| {
            let name = format!("{user}.jsonl.gz");
            format!("{user}: deleted for good; {records} records, sha256 {}: {}", sha256(&name), at(&name))
        };
        assert_eq!(lines[heading - 2..heading], [said("ada", "504"), said("bob@b", "3")]);
        let rows = &lines[heading + 1..lines.len() - 1];
        let messages = rows.iter().filter(|line| line.split_whitespace().eq(["messages", "500"]));
        assert_eq!(messages.count(), 1, "{}", done.stdout);
        assert_eq!(lines[lines.len() - 1], format!("receipt: {}", at("receipt.json")));

        let written = receipt(&dir);
        assert_eq!((&written["state"], &written["reason"], &written["plan"]["archives"]), (&json!("done"), &json!("asked"), &json!("now")));
        assert_eq!(written["users"][0]["archive"]["sha256"], sha256("ada.jsonl.gz"));
        assert_eq!((&written["users"][1]["user_id"], &written["users"][1]["outcome"]), (&json!("bob@b"), &json!("done")));
        assert_eq!((&written["rows"]["messages"], &written["tasks"][0]["rows"]["messages"]), (&json!(500), &json!(500)));
        for name in names(&dir) {
            assert_eq!(fs::metadata(dir.join(&name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        }
        assert!(!live(&server, "ada").await && !live(&server, "bob@b").await);
        let export = tasks(&server, "export_users").await.remove(0);
        assert!(server.items(&export.task_id).await.iter().all(|item| item.file.is_none()), "they went with the users");
        let mut verify = program(server.place());
        verify.args(["export", "--verify", &at("ada.jsonl.gz"), &at("bob@b.jsonl.gz")]);
        ended(verify, "").await.lines();

        // The same command again says the same, and does nothing.
        let again = erase(&server, &["ada", "bob@b"], &["--reason", "asked", "--json"]).await;
        assert_eq!((again.code, again.json()), (0, vec![written]));
        assert_eq!(tasks(&server, "delete_users").await.len(), 1);
        let other = erase(&server, &["ada"], &["--reason", "asked"]).await;
        assert!(other.failed(1).contains("is of another deletion\nhint: give another directory"), "{}", other.stderr);
    }

    async fn machines_get_one_object_and_archives_can_stay(server: TestServer) {
        seed(&server).await;
        let done = erase(&server, &["bob@b"], &["--json", "--archives", "at-expiry"]).await;
        assert_eq!((done.code, done.json()), (0, vec![receipt(&dir(server.backend()))]), "{}", done.stderr);
        let export = tasks(&server, "export_users").await.remove(0);
        assert!(server.items(&export.task_id).await[0].file.is_some());
    }

    async fn every_plan_can_export_first(server: TestServer) {
        seed(&server).await;
        let dir = dir(server.backend());
        let args = ["delete", "ada", "--export-first", dir.to_str().unwrap(), "--yes"];
        let done = usher(&server, &args, "").await;
        assert!(done.stdout.contains("ada: deleted softly; 504 records, sha256 "), "{}", done.stdout);
        assert!(done.stdout.contains("  messages        500"), "{}", done.stdout);
        usher(&server, &["restore", "ada", "--yes"], "").await.lines();
        assert!(live(&server, "ada").await);
    }

    async fn a_user_without_an_archive_keeps_all_of_them(server: TestServer) {
        seed(&server).await;
        let dir = dir(server.backend());
        let refused = erase(&server, &["ada", "nobody", "a b"], &[]).await;
        let said = refused.failed(1);
        for part in ["failed: nobody: USER_NOT_FOUND", "failed: a b: INVALID_FIELD",
            "usher: nothing was deleted: 2 of 3 users have no archive\nhint: "] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let refused = erase(&server, &["ada", "nobody", "a b"], &["--json"]).await;
        refused.failed(1);
        let object = refused.json().pop().unwrap();
        // What the first run did is in the history of the user.
        assert_eq!((&object["state"], &object["users"][0]["archive"]["records"]), (&json!("exporting"), &json!(507)));
        assert_eq!((&object["users"][1]["outcome"], &object["users"][1]["reason"]), (&json!("not_exported"), &json!("USER_NOT_FOUND")));
        assert!(live(&server, "ada").await && tasks(&server, "delete_users").await.is_empty());

        // With the list mended, the same directory is good.
        erase(&server, &["ada", "bob@b"], &[]).await.lines();
        assert!(!live(&server, "ada").await);
        assert_eq!(names(&dir), ["ada.jsonl.gz", "bob@b.jsonl.gz", "receipt.json"]);
    }

    async fn a_directory_that_cannot_hold_the_archives_stops_it(server: TestServer) {
        seed(&server).await;
        let dir = dir(server.backend());
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("bob@b.jsonl.gz"), "mine").unwrap();
        let taken = erase(&server, &["ada", "bob@b"], &[]).await;
        assert!(taken.failed(1).contains("bob@b.jsonl.gz is there already; nothing was deleted"), "{}", taken.stderr);
        fs::remove_file(dir.join("bob@b.jsonl.gz")).unwrap();
        assert!(tasks(&server, "export_users").await.is_empty());

        fs::create_dir(dir.join("receipt.json.part")).unwrap();
        let unwritable = erase(&server, &["ada"], &[]).await;
        assert!(unwritable.failed(1).contains("receipt.json: Is a directory"), "{}", unwritable.stderr);
        fs::remove_dir(dir.join("receipt.json.part")).unwrap();

        // A disk without room for the archive.
        symlink("/dev/full", dir.join("ada.jsonl.gz.part")).unwrap();
        let full = erase(&server, &["ada"], &[]).await;
        let said = full.failed(1);
        assert!(said.contains("No space left on device") && said.contains("nothing was deleted"), "{said}");
        fs::remove_file(dir.join("ada.jsonl.gz.part")).unwrap();

        let file = server.backend().dir().join("file");
        fs::write(&file, "").unwrap();
        let below = usher(&server, &erasing(&["ada"], &file.join("dir")), "").await;
        assert!(below.failed(2).contains("cannot make the directory"), "{}", below.stderr);
        assert!(live(&server, "ada").await && tasks(&server, "delete_users").await.is_empty());
        erase(&server, &["ada"], &[]).await.lines();
        assert!(!live(&server, "ada").await);
    }

    async fn what_the_server_would_refuse_is_said_before_anything_is_exported(server: TestServer) {
        seed(&server).await;
        let dir = dir(server.backend());
        let args = ["delete", "ada", "--export-first", dir.to_str().unwrap(), "--yes", "--user", "hard"];
        assert!(usher(&server, &args, "").await.failed(1).contains("messages: must be HARD"));
        let heir = erase(&server, &["ada"], &["--new-channel-owner", "nobody"]).await;
        assert!(heir.failed(1).contains("new_channel_owner_id"), "{}", heir.stderr);
        assert!(tasks(&server, "export_users").await.is_empty() && !dir.exists());
    }

    async fn a_dry_run_shows_both_and_does_neither(server: TestServer) {
        seed(&server).await;
        let dir = dir(server.backend());
        let shown = command(&server, &[&["delete", "ada", "--dry-run", "--export-first", dir.to_str().unwrap()], &HARD[..]].concat());
        let shown = ended(shown, "").await;
        let first = format!("would first be exported to {}, and each archive be checked", dir.display());
        assert_eq!(shown.lines()[..2], [first.as_str(), "would be deleted for good: 1 user"]);
        assert!(tasks(&server, "export_users").await.is_empty() && !dir.exists());
    }

    async fn ctrl_c_deletes_nothing_and_the_next_run_goes_on(server: TestServer) {
        seed(&server).await;
        let (dir, secret) = (dir(server.backend()), server.credentials().secret.clone());
        let args = [&["users"], &erasing(&["ada"], &dir)[..]].concat();
        let (address, spent) = narrow(&server, 700_000, Then::Hold).await;
        let mut command = client_at(&server, address, &args, &secret);
        let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        spent.notified().await;
        let pid = child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &pid]).status().await.unwrap().success());
        let output = child.wait_with_output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert!(said.contains("nothing was deleted; the same command goes on from there"), "{said}");
        assert_eq!(names(&dir), ["ada.jsonl.gz.part", "receipt.json"]);
        assert!(live(&server, "ada").await);

        ended(client(&server, &args, &secret), "").await.lines();
        assert_eq!(names(&dir), ["ada.jsonl.gz", "receipt.json"]);
        assert!(!live(&server, "ada").await);
        assert_eq!(tasks(&server, "export_users").await.len(), 1, "it is the same archive");
    }

    async fn archives_that_are_broken_or_old_or_of_another_app_delete_nothing(server: TestServer) {
        seed(&server).await;
        let (dir, secret) = (dir(server.backend()), server.credentials().secret.clone());
        let args = [&["users"], &erasing(&["ada", "bob@b"], &dir)[..]].concat();
        let address = gate(server.address(), &dir, Lost::Question).await;
        ended(client_at(&server, address, &args, &secret), "").await.failed(1);
        let (file, whole) = (dir.join("ada.jsonl.gz"), fs::read(dir.join("ada.jsonl.gz")).unwrap());

        let mut broken = whole.clone();
        broken[5_000] ^= 1;
        for bytes in [broken.as_slice(), &whole[..whole.len() / 2], b""] {
            fs::write(&file, bytes).unwrap();
            let refused = erase(&server, &["ada", "bob@b"], &[]).await;
            let said = refused.failed(1);
            assert!(said.contains("an archive is not whole any more:\n") && said.contains("ada.jsonl.gz: "), "{said}");
        }
        fs::remove_file(&file).unwrap();
        assert!(erase(&server, &["ada", "bob@b"], &[]).await.failed(1).contains("ada.jsonl.gz: No such file"));
        fs::write(&file, &whole).unwrap();

        let path = dir.join("receipt.json");
        let text = fs::read_to_string(&path).unwrap();
        let mut old = receipt(&dir);
        old["started_at"] = json!("2020-01-01T00:00:00Z");
        fs::write(&path, old.to_string()).unwrap();
        let refused = erase(&server, &["ada", "bob@b"], &[]).await;
        assert!(refused.failed(1).contains("are of 2020-01-01T00:00:00Z: what their users made since"), "{}", refused.stderr);
        fs::write(&path, &text).unwrap();

        let app = server.backend().create_app("other", server.place()).await;
        let elsewhere = ended(client_of(&server, &app.kid, &args, &app.secret), "").await;
        assert!(elsewhere.failed(1).contains("is of another server or app"), "{}", elsewhere.stderr);
        let other = erase(&server, &["ada"], &[]).await;
        assert!(other.failed(1).contains("is of another deletion, which may have begun"), "{}", other.stderr);

        assert!(live(&server, "ada").await && tasks(&server, "delete_users").await.is_empty());
        let requested = [&args[..], &["--request-id", "another"]].concat();
        ended(client(&server, &requested, &secret), "").await.failed(1);
        ended(client(&server, &args, &secret), "").await.lines();
        assert!(!live(&server, "ada").await);
    }

    async fn a_server_that_dies_between_export_and_deletion_loses_neither(backend: Backend) {
        for lost in [Lost::Question, Lost::Answer] {
            let server = backend.launch().start().await;
            seed(&server).await;
            let name = if lost == Lost::Question { "ada" } else { "bob@b" };
            let dir = backend.dir().join(name);
            let args = [&["users"], &erasing(&[name], &dir)[..]].concat();
            let usher = async |address: SocketAddr| {
                let file = backend.dir().join("erase.secret");
                fs::write(&file, server.credentials().secret.as_str()).unwrap();
                let mut command = program(server.launch().place());
                command.args(&args).args(["--server", &address.to_string(), "--key", &server.credentials().kid]);
                command.arg("--secret-file").arg(file);
                ended(command, "").await
            };
            let address = gate(server.address(), &dir, lost).await;
            let cut = usher(address).await;
            assert!(cut.failed(1).contains("hint: the same command goes on from there"), "{}", cut.stderr);
            assert_eq!(receipt(&dir)["state"], "deleting");
            let exports = tasks(&server, "export_users").await.len();
            if lost == Lost::Question {
                assert!(live(&server, name).await);
            }
            let (credentials, place) = (server.credentials().clone(), server.launch().place().clone());
            let server = server.kill().await.start().await;
            let file = backend.dir().join("erase.secret");
            let mut command = program(&place);
            command.args(&args).args(["--server", &server.address().to_string(), "--key", &credentials.kid]);
            command.arg("--secret-file").arg(file);
            let done = ended(command, "").await;
            assert!(done.stdout.contains(&format!("{name}: deleted for good; ")), "{}", done.stdout);
            assert!(!live(&server, name).await);
            let deletions = tasks(&server, "delete_users").await;
            assert_eq!(deletions.iter().filter(|task| task.users_total == 1).count(), deletions.len());
            assert_eq!(tasks(&server, "export_users").await.len(), exports, "the archives on disk are good");
            server.kill().await;
        }
    }
}
