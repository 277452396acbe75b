//! Files and standard input as other programs write them: byte order marks, CRLF, blank lines, UTF-16.

use std::path::PathBuf;

use serde_json::json;

use super::{client, ended, users as usher};
use crate::harness::{TestServer, each_backend, program};

/// `text` as editors on various systems save it.
fn spellings(text: &str) -> Vec<Vec<u8>> {
    let crlf = text.replace('\n', "\r\n");
    [text.to_owned(), crlf.clone(), format!("\u{feff}{text}"), format!("\u{feff}{crlf}\r\n \r\n\n")]
        .map(String::into_bytes)
        .to_vec()
}

fn utf16(text: &str) -> [Vec<u8>; 4] {
    let little = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let marked = format!("\u{feff}{text}");
    [little(text), big(text), little(&marked), big(&marked)]
}

fn file(server: &TestServer, name: &str, content: &[u8]) -> PathBuf {
    let file = server.backend().dir().join(name);
    std::fs::write(&file, content).unwrap();
    file
}

each_backend! {
    async fn a_list_of_ids_names_the_same_users_however_it_is_saved(server: TestServer) {
        for (round, list) in spellings("ada\n{\"id\": \"bob\"}\n").into_iter().enumerate() {
            server.seed(&["ada", "bob"].map(str::to_owned)).await;
            let list = file(&server, "ids.txt", &list);
            let done = usher(&server, &["delete", "--file", list.to_str().unwrap(), "--yes"], "").await;
            let end = done.lines().last().copied().unwrap_or_default();
            assert!(end.starts_with("completed: 2 of 2 users"), "{round}: {}{}", done.stdout, done.stderr);
            let restored = usher(&server, &["restore", "ada", "bob", "--yes"], "").await;
            restored.lines();
        }
        let empty = file(&server, "ids.txt", "\u{feff}\r\n\r\n".as_bytes());
        let said = usher(&server, &["delete", "--file", empty.to_str().unwrap(), "--yes"], "").await;
        said.failed(2);
    }

    async fn users_are_read_however_their_file_is_saved(server: TestServer) {
        for (round, users) in spellings("[{\"id\": \"ada\"},\n {\"id\": \"bob\"}]\n").into_iter().enumerate() {
            let users = file(&server, "users.json", &users);
            assert_eq!(usher(&server, &["upsert", users.to_str().unwrap()], "").await.lines(), ["stored 2 users"]);
            let text = std::fs::read_to_string(&users).unwrap();
            assert_eq!(usher(&server, &["upsert"], &text).await.lines(), ["stored 2 users"], "{round}");
        }
    }

    async fn an_import_is_read_however_its_file_is_saved(server: TestServer) {
        let secret = server.credentials().secret.clone();
        let user = |id: &str| json!({"type": "user", "item": {"id": id}}).to_string();
        for (round, items) in spellings(&format!("{}\n{}\n", user("ada"), user("bob"))).into_iter().enumerate() {
            let items = file(&server, "items.jsonl", &items);
            let import = client(&server, &["import", items.to_str().unwrap(), "--json"], &secret);
            let done = ended(import, "").await;
            let last = done.json().pop().unwrap();
            assert_eq!((done.code, &last["event"], &last["accepted"]), (0, &json!("done"), &json!(2)), "{round}");
        }
    }

    async fn a_secret_and_a_token_are_read_however_their_file_is_saved(server: TestServer) {
        let secret = server.credentials().secret.clone();
        for spelling in spellings(&format!("{secret}\n")) {
            let list = ended(client(&server, &["app", "list-keys"], &spelling), "").await;
            assert_eq!(list.lines().len(), 2);
        }
        for token in spellings(&format!("{}\n", server.credentials().server_token())) {
            let text = String::from_utf8(token.clone()).unwrap();
            let verified = ended(client(&server, &["token", "verify", "-"], &secret), &text).await;
            assert_eq!(verified.lines()[0], "valid: true");
            let mut list = program(server.place());
            list.args(["app", "list-keys", "--server", &server.address().to_string(), "--token-file"]);
            list.arg(file(&server, "token", &token));
            assert_eq!(ended(list, "").await.lines().len(), 2);
        }
    }

    async fn utf16_is_refused_with_a_sentence(server: TestServer) {
        let secret = server.credentials().secret.clone();
        server.seed(&["ada".to_owned()]).await;
        for content in utf16("[{\"id\": \"ada\"}]\n") {
            let content = file(&server, "utf16", &content);
            let path = content.to_str().unwrap();
            for args in [
                &["users", "delete", "--yes", "--file", path][..],
                &["users", "upsert", path],
                &["import", path],
                &["app", "list-keys", "--token-file", path],
            ] {
                let said = ended(client(&server, args, &secret), "").await;
                let sentence = format!("usher: {path} is UTF-16, not UTF-8: save it as UTF-8 and try again\n");
                assert_eq!(said.failed(2), sentence, "{args:?}");
            }
        }
        for content in utf16(&secret) {
            let said = ended(client(&server, &["app", "list-keys"], &content), "").await;
            assert!(said.failed(2).contains("cli.secret is UTF-16, not UTF-8"), "{}", said.stderr);
        }
        assert_eq!(server.user("ada").await.version, 1);
    }
}
