//! `usher export`: archives that are whole, over connections that are not.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::Notify;

use super::{Ended, client, client_at, ended};
use crate::harness::{Answer, Caller, TestServer, aside, each_backend, eventually, item, pb};

async fn export(server: &TestServer, args: &[&str]) -> Ended {
    let args = [&["export"], args].concat();
    ended(client(server, &args, &server.credentials().secret), "").await
}

/// What happens to the first connection that has answered with so many bytes.
#[derive(Clone, Copy)]
pub(super) enum Then {
    Cut,
    /// It stays open, and silent.
    Hold,
}

/// Leads to the server; tells when the first connection has answered with `limit` bytes.
pub(super) async fn narrow(server: &TestServer, limit: usize, then: Then) -> (SocketAddr, Arc<Notify>) {
    let (target, listener) = (server.address(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let (address, spent) = (listener.local_addr().unwrap(), Arc::new(Notify::new()));
    let (told, first) = (Arc::clone(&spent), Arc::new(AtomicBool::new(true)));
    aside(async move {
        while let Ok((near, _)) = listener.accept().await {
            let limit = if first.swap(false, Ordering::SeqCst) { limit } else { usize::MAX };
            let (told, far) = (Arc::clone(&told), TcpStream::connect(target).await.unwrap());
            aside(async move {
                let ((mut near_in, mut near_out), (mut far_in, mut far_out)) =
                    (near.into_split(), far.into_split());
                let up = aside(async move { tokio::io::copy(&mut near_in, &mut far_out).await });
                let (mut passed, mut buffer) = (0, vec![0; 16 * 1024]);
                while passed < limit {
                    let read = far_in.read(&mut buffer).await.unwrap_or_default();
                    if read == 0 || near_out.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                    passed += read;
                }
                told.notify_one();
                if matches!(then, Then::Hold) {
                    std::future::pending::<()>().await;
                }
                up.abort();
            });
        }
    });
    (address, spent)
}

/// `ada` with about 1 MB that no compression makes much smaller, and `bob@b`.
pub(super) async fn seed(caller: &Caller) {
    let text = |at: usize| {
        let parts: Vec<String> =
            (0..60).map(|part| format!("{:x}", Sha256::digest(format!("{at} {part}")))).collect();
        parts.concat()
    };
    let mut items = vec![item("user", json!({"id": "ada"})), item("user", json!({"id": "bob@b"}))];
    items.push(item("channel", json!({"type": "messaging", "id": "c", "created_by": "ada"})));
    items.extend((0..500).map(|at| {
        item(
            "message",
            json!({"id": format!("m{at}"), "channel_type": "messaging", "channel_id": "c", "user": "ada",
            "text": text(at)}),
        )
    }));
    caller.imported("messages", &items).await;
}

/// How often a download of an archive of the user was begun at its start.
pub(super) async fn downloads(server: &Caller, user: &str) -> usize {
    let request = pb::ListUserHistoryRequest { user_id: user.to_owned(), ..Default::default() };
    let entries = server.users().list_user_history(request).await.answered().entries;
    entries.iter().filter(|entry| entry.kind() == pb::UserHistoryKind::ArchiveDownloaded).count()
}

fn dir(server: &TestServer) -> PathBuf {
    server.backend().dir().join("exports")
}

pub(super) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

async fn erase(server: &TestServer, user: &str) {
    let hard = pb::DeleteMode::Hard.into();
    let request = pb::DeleteUsersRequest {
        user_ids: vec![user.to_owned()],
        user: hard,
        messages: hard,
        conversations: hard,
        ..Default::default()
    };
    let task = server.users().delete_users(request).await.answered().task.unwrap();
    server.completed(&task).await;
}

each_backend! {
    async fn each_user_has_a_file_that_is_checked_without_a_server(server: TestServer) {
        seed(&server).await;
        let dir = dir(&server);
        let out = dir.to_str().unwrap();
        let done = export(&server, &["ada", "bob@b", "ada", "-o", out, "--reason", "asked"]).await;
        let lines = done.lines();
        assert!(lines[lines.len() - 2].starts_with("ada: 504 records, "), "{lines:?}");
        assert!(lines[lines.len() - 1].ends_with("exports/bob@b.jsonl.gz"), "{lines:?}");
        assert_eq!(names(&dir), ["ada.jsonl.gz", "bob@b.jsonl.gz"]);

        let files = names(&dir).into_iter().map(|name| dir.join(name).to_str().unwrap().to_owned());
        let files: Vec<String> = files.collect();
        let all = [fs::read(&files[0]).unwrap(), fs::read(&files[1]).unwrap()].concat();
        let both = dir.join("both.gz").to_str().unwrap().to_owned();
        fs::write(&both, all).unwrap();
        let mut verify = crate::harness::program(server.place());
        verify.args(["export", "--verify", &files[0], &files[1], &both]);
        let verified = ended(verify, "").await;
        let said: Vec<String> = verified.lines().iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(said, [
            format!("{}: whole: ada, 504 records", files[0]),
            format!("{}: whole: bob@b, 3 records", files[1]),
            format!("{both}: whole: ada, 504 records"),
            format!("{both}: whole: bob@b, 3 records"),
        ]);
    }

    async fn a_file_that_is_another_archive_stays_unless_forced(server: TestServer) {
        seed(&server).await;
        let (dir, out) = (dir(&server), dir(&server).to_str().unwrap().to_owned());
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("bob@b.jsonl.gz"), "mine").unwrap();
        let refused = export(&server, &["bob@b", "-o", &out]).await;
        assert!(refused.failed(1).contains("bob@b.jsonl.gz is another archive; --force overwrites it"));
        // With a request id, the file could be the archive of that request: it is found out once it is made.
        let refused = export(&server, &["bob@b", "-o", &out, "--request-id", "r", "--json"]).await;
        assert!(refused.failed(3).contains("--force overwrites it"));
        assert_eq!(refused.json(), [json!({"user_id": "bob@b", "outcome": "failed", "reason": "FILE_EXISTS"})]);
        assert_eq!(fs::read(dir.join("bob@b.jsonl.gz")).unwrap(), b"mine");
        let forced = export(&server, &["bob@b", "-o", &out, "--request-id", "r", "--json", "--force"]).await;
        let made = forced.json().pop().unwrap();
        let bytes = fs::read(dir.join("bob@b.jsonl.gz")).unwrap();
        assert_eq!(made["sha256"], format!("{:x}", Sha256::digest(&bytes)));
        assert_eq!((&made["bytes"], &made["records"]), (&json!(bytes.len()), &json!(3)));
        // Now it is that archive: nothing is done, and nothing refused.
        assert_eq!(export(&server, &["bob@b", "-o", &out, "--request-id", "r", "--json"]).await.json(), [made]);
        assert_eq!(downloads(&server, "bob@b").await, 1);
    }

    async fn a_download_goes_on_at_the_bytes_that_are_there(server: TestServer) {
        seed(&server).await;
        let dir = dir(&server);
        let args = ["ada", "-o", dir.to_str().unwrap(), "--request-id", "r"];
        export(&server, &args).await.lines();
        let (file, part) = (dir.join("ada.jsonl.gz"), dir.join("ada.jsonl.gz.part"));
        let whole = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        fs::write(&part, &whole[..whole.len() / 2]).unwrap();
        export(&server, &args).await.lines();
        assert!(fs::read(&file).unwrap() == whole);
        assert_eq!(downloads(&server, "ada").await, 1);

        // All bytes are there, but the name; or bytes of another archive, shorter and longer.
        let longer = [whole.as_slice(), b"x"].concat();
        for (bytes, downloaded) in [(whole.clone(), 1), (b"other".to_vec(), 2), (longer, 3)] {
            fs::remove_file(&file).unwrap();
            fs::write(&part, bytes).unwrap();
            export(&server, &args).await.lines();
            assert!(fs::read(&file).unwrap() == whole);
            assert_eq!(downloads(&server, "ada").await, downloaded);
        }
        assert_eq!(names(&dir), ["ada.jsonl.gz"]);
    }

    async fn a_broken_connection_is_taken_up_where_it_broke(server: TestServer) {
        seed(&server).await;
        let dir = dir(&server);
        let args = ["export", "ada", "-o", dir.to_str().unwrap(), "--request-id", "r"];
        let secret = server.credentials().secret.clone();
        ended(client(&server, &args, &secret), "").await.lines();
        let whole = fs::read(dir.join("ada.jsonl.gz")).unwrap();
        assert!(whole.len() > 800_000, "{}", whole.len());
        fs::remove_file(dir.join("ada.jsonl.gz")).unwrap();

        let (address, _) = narrow(&server, whole.len() * 3 / 4, Then::Cut).await;
        let resumed = ended(client_at(&server, address, &args, &secret), "").await;
        resumed.lines();
        assert!(resumed.stderr.contains("the connection is lost; trying again"), "{}", resumed.stderr);
        assert!(fs::read(dir.join("ada.jsonl.gz")).unwrap() == whole);
        assert_eq!(downloads(&server, "ada").await, 2, "each run begins at the start once");
    }

    async fn ctrl_c_leaves_what_the_next_run_goes_on_with(server: TestServer) {
        seed(&server).await;
        let dir = dir(&server);
        let args = ["export", "ada", "-o", dir.to_str().unwrap()];
        let secret = server.credentials().secret.clone();
        let (address, spent) = narrow(&server, 700_000, Then::Hold).await;
        let mut command = client_at(&server, address, &args, &secret);
        let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        spent.notified().await;
        // What has reached the client may not have reached the file.
        let part = dir.join("ada.jsonl.gz.part");
        let has_bytes = async || fs::metadata(&part).ok().filter(|part| part.len() > 0).map(drop);
        eventually("a file with bytes", has_bytes).await;
        let pid = child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &pid]).status().await.unwrap().success());
        let output = child.wait_with_output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert_eq!(names(&dir), ["ada.jsonl.gz.part"]);
        let (_, rest) = said.split_once("hint: the same command with --request-id ").unwrap();
        let (id, _) = rest.split_once(" goes on from there").unwrap();
        let again = [&args[..], &["--request-id", id]].concat();
        ended(client(&server, &again, &secret), "").await.lines();
        assert_eq!(names(&dir), ["ada.jsonl.gz"]);
        assert_eq!(downloads(&server, "ada").await, 1);
    }

    async fn users_without_an_archive_are_named_with_their_reason(server: TestServer) {
        seed(&server).await;
        let (dir, out) = (dir(&server), dir(&server).to_str().unwrap().to_owned());
        let list = server.backend().dir().join("list.txt");
        fs::write(&list, "nobody\n{\"id\": \"bob@b\"}\n").unwrap();
        let args = ["--file", list.to_str().unwrap(), "-o", &out, "--request-id", "r"];
        let done = export(&server, &args).await;
        assert!(done.failed(3).contains("failed: nobody: USER_NOT_FOUND"), "{}", done.stderr);
        assert!(done.stdout.contains("bob@b: 3 records, "), "{}", done.stdout);

        fs::rename(dir.join("bob@b.jsonl.gz"), dir.join("bob@b.jsonl.gz.part")).unwrap();
        erase(&server, "bob@b").await;
        let gone = export(&server, &[&args[..], &["--json"]].concat()).await;
        assert!(gone.failed(3).contains(": its archive is gone"), "{}", gone.stderr);
        let outcomes: Vec<Value> = gone.json().iter().map(|one| one["reason"].clone()).collect();
        assert_eq!(outcomes, [json!("USER_NOT_FOUND"), json!("EXPORT_GONE")]);
        assert_eq!(gone.json()[1]["user_id"], "bob@b");
        assert!(names(&dir).is_empty(), "of an erased user nothing stays: {:?}", names(&dir));
    }

    async fn an_archive_that_goes_meanwhile_leaves_nothing(server: TestServer) {
        seed(&server).await;
        let dir = dir(&server);
        let args = ["export", "ada", "-o", dir.to_str().unwrap(), "--json"];
        let (address, spent) = narrow(&server, 700_000, Then::Cut).await;
        let command = client_at(&server, address, &args, &server.credentials().secret);
        let run = aside(ended(command, ""));
        spent.notified().await;
        erase(&server, "ada").await;
        let gone = run.await.unwrap();
        // The rest may have come before the erasure: then the archive is whole.
        if gone.code == 0 {
            assert_eq!(names(&dir), ["ada.jsonl.gz"]);
        } else {
            assert!(gone.failed(3).contains("(EXPORT_GONE)"), "{}", gone.stderr);
            assert_eq!(gone.json()[0]["reason"], "EXPORT_GONE");
            assert!(names(&dir).is_empty());
        }
    }

    async fn more_users_than_a_task_takes_are_several_tasks(server: TestServer) {
        server.seed(&["ada", "bob"].map(str::to_owned)).await;
        let unknown = (0..999).map(|at| format!("u{at}"));
        let ids: Vec<String> =
            std::iter::once("ada".to_owned()).chain(unknown).chain(["bob".to_owned()]).collect();
        let (dir, list) = (dir(&server), server.backend().dir().join("list.txt"));
        fs::write(&list, ids.join("\n")).unwrap();
        let done = export(&server, &["--file", list.to_str().unwrap(), "-o", dir.to_str().unwrap()]).await;
        assert!(done.failed(3).contains(" (2 of 2)"), "{}", done.stderr);
        assert!(done.stderr.contains("989 more failed"), "{}", done.stderr);
        assert_eq!(names(&dir), ["ada.jsonl.gz", "bob.jsonl.gz"]);
    }

    async fn a_stream_is_written_line_by_line_and_can_be_checked(server: TestServer) {
        seed(&server).await;
        let streamed = export(&server, &["ada", "--stream"]).await;
        let records = streamed.json();
        assert_eq!((streamed.code, records.len()), (0, 506));
        assert_eq!((&records[0]["item"]["user_id"], &records[505]["type"]), (&json!("ada"), &json!("end")));
        let file = server.backend().dir().join("ada.jsonl");
        fs::write(&file, &streamed.stdout).unwrap();
        let verified = export(&server, &["--verify", file.to_str().unwrap(), "--json"]).await;
        assert_eq!((verified.code, &verified.json()[0]["records"]), (0, &json!(503)));

        let provided = export(&server, &["ada", "--stream", "--portability"]).await.json();
        assert_eq!(provided[0]["item"]["scope"], "PORTABILITY");
        let unknown = export(&server, &["nobody", "--stream"]).await;
        assert!(unknown.failed(1).contains("(USER_NOT_FOUND)"), "{}", unknown.stderr);
        let (address, _) = narrow(&server, 100_000, Then::Cut).await;
        let secret = &server.credentials().secret;
        let broken = ended(client_at(&server, address, &["export", "ada", "--stream"], secret), "").await;
        assert!(broken.failed(1).contains("what was written is not whole"), "{}", broken.stderr);
    }

    async fn the_schema_and_the_register_need_no_server(server: TestServer) {
        let print = async |args: &[&str]| {
            let mut command = crate::harness::program(server.place());
            command.args(args);
            ended(command, "").await
        };
        let schema: Value = serde_json::from_str(&print(&["export", "--schema"]).await.lines().join("\n")).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let message = &schema["$defs"]["message"]["properties"]["item"];
        assert_eq!(message["properties"]["created_at"], json!({"type": "string", "format": "date-time"}));
        assert_eq!((&message["required"], &message["additionalProperties"]), (&json!(["id", "user"]), &json!(false)));

        let register = print(&["personal-data", "--format", "json"]).await.json().pop().unwrap();
        let tables = register["tables"].as_array().unwrap();
        let users = tables.iter().find(|table| table["table"] == "users").unwrap();
        assert_eq!(users["records"][0]["purpose"], "to keep the user's account and profile");
        let text = print(&["personal-data"]).await;
        assert_eq!(text.lines()[0], "# Register of processing");
        assert!(tables.iter().all(|table| text.stdout.contains(&format!("## {}\n", table["table"].as_str().unwrap()))));
        for wrong in [&["personal-data", "--format", "xml"][..], &["personal-data", "ada"], &["export", "--schema", "ada"],
            &["export", "--schema", "-o", "d"], &["export", "--schema", "--stream"], &["export", "--schema", "--json"]] {
            print(wrong).await.failed(2);
        }
    }

    async fn archives_that_are_not_whole_are_named_with_line_and_fault(server: TestServer) {
        seed(&server).await;
        let dir = dir(&server);
        export(&server, &["ada", "bob@b", "-o", dir.to_str().unwrap()]).await.lines();
        let [ada, bob] = ["ada", "bob@b"].map(|id| fs::read(dir.join(format!("{id}.jsonl.gz"))).unwrap());
        let mut flipped = ada.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        for (bytes, said) in [
            (ada[..ada.len() - 1].to_vec(), "the file is cut off here"),
            (flipped, ""),
            ([bob.as_slice(), &ada[..1]].concat(), ":7: the file is cut off here"),
            (Vec::new(), ":1: the file is empty"),
            (b"hello\n".to_vec(), ":1: is not JSON"),
        ] {
            let file = dir.join("bad.gz");
            fs::write(&file, bytes).unwrap();
            let bad = export(&server, &["--verify", file.to_str().unwrap()]).await;
            assert_eq!(bad.code, 1, "{}", bad.stderr);
            let last = bad.stdout.lines().last().unwrap();
            assert!(last.starts_with(&format!("{}:", file.display())) && last.contains(said), "{last}");
            let as_json = export(&server, &["--verify", file.to_str().unwrap(), "--json"]).await.json();
            let last = as_json.last().unwrap();
            assert!(last["whole"] == false && last["line"].as_u64().is_some(), "{last}");
        }
        let none = dir.join("none.gz").to_str().unwrap().to_owned();
        let good = dir.join("ada.jsonl.gz").to_str().unwrap().to_owned();
        let checked = export(&server, &["--verify", &none, &good]).await;
        assert!(checked.code == 1 && checked.stdout.contains("none.gz: cannot read it: "), "{}", checked.stdout);
        assert!(checked.stdout.contains("whole: ada"), "the others are checked: {}", checked.stdout);
    }

    async fn what_makes_no_sense_is_a_wrong_command_line(server: TestServer) {
        for args in [
            &["ada"][..],
            &["-o", "d"],
            &["--stream"],
            &["ada", "bob", "--stream"],
            &["ada", "--stream", "-o", "d"],
            &["ada", "--stream", "--json"],
            &["ada", "--stream", "--request-id", "r"],
            &["ada", "--stream", "--force"],
            &["ada", "-o", "d", "--portability", "--include-received"],
            &["--verify"],
            &["ada", "--verify", "f"],
            &["--verify", "f", "--stream"],
            &["--verify", "f", "-o", "d"],
            &["--verify", "f", "--keep-references"],
        ] {
            let refused = export(&server, args).await;
            assert_eq!(refused.code, 2, "{args:?}: {}", refused.stderr);
        }
        let refused = export(&server, &["a b", "--stream"]).await;
        assert!(refused.failed(1).contains("user_id (a b): "), "{}", refused.stderr);
        let file = server.backend().dir().join("file");
        fs::write(&file, "").unwrap();
        let below = file.join("d");
        let refused = export(&server, &["ada", "-o", below.to_str().unwrap()]).await;
        assert!(refused.failed(2).contains("cannot make the directory"), "{}", refused.stderr);
    }
}
