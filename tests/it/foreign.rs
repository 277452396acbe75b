//! Clients that share no code with usher: Python's grpcio with stubs of its own, Node's grpc-js as the guide
//! uses it, and `buf curl`, which knows the API by reflection only.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::harness::setting::{is_on, setting, tell};
use crate::harness::{Answer, Backend, Process, each_backend, on_postgres, pb, user};

const LIMIT: Duration = Duration::from_secs(50);

fn below_root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

async fn output(command: &mut Command) -> std::io::Result<Output> {
    let output = command.kill_on_drop(true).output();
    tokio::time::timeout(LIMIT, output).await.expect("a client ends by itself")
}

fn text(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n{out}\n{err}", output.status)
}

/// Whether `command` can be run; if not, the tests of this client are skipped, in so many words.
pub(crate) async fn present(command: &mut Command, what: &str) -> bool {
    let found = output(command).await.is_ok_and(|output| output.status.success());
    if !found {
        assert!(!is_on("USHER_REQUIRE_FOREIGN"), "{what} is required");
        tell(&format!("A test with a foreign client is skipped: {what} is missing."));
    }
    found
}

fn python() -> Command {
    Command::new(setting("USHER_TEST_PYTHON").unwrap_or_else(|| "python3".to_owned()))
}

/// Calls an RPC with `buf curl`; an error is told as JSON.
async fn curl(server: &Process, rpc: &str, request: &Value) -> Result<Value, Value> {
    let mut command = Command::new("buf");
    command.args(["curl", "--protocol", "grpc", "--http2-prior-knowledge", "--emit-defaults"]);
    command.args(["--header", &format!("authorization: Bearer {}", server.credentials().server_token())]);
    command.args(["--data", &request.to_string(), &format!("http://{}/usher.v1.{rpc}", server.address())]);
    let output = output(&mut command).await.unwrap();
    let parse = |bytes: &[u8]| serde_json::from_slice(bytes).unwrap_or_else(|_| panic!("{}", text(&output)));
    if output.status.success() { Ok(parse(&output.stdout)) } else { Err(parse(&output.stderr)) }
}

/// How the README mints tokens without usher: the language of the block, its file, and what runs it.
const PROVIDERS: [(&str, &str, &[&str]); 4] = [
    ("python", "mint.py", &["python3"]),
    ("js", "mint.mjs", &["node"]),
    ("bash", "mint.sh", &["bash"]),
    ("go", "mint.go", &["go", "run"]),
];

/// The first block of a page in `language`, as it stands.
fn block_of(page: &str, language: &str) -> String {
    let page = std::fs::read_to_string(below_root(page)).unwrap();
    let (_, rest) = page.split_once(&format!("```{language}\n")).expect(language);
    rest.split_once("```\n").unwrap().0.to_owned()
}

/// Node with grpc-js and proto-loader, which lie in a folder that the environment names.
fn node() -> Command {
    let mut node = Command::new("node");
    if let Some(modules) = setting("USHER_TEST_NODE_MODULES") {
        node.env("NODE_PATH", modules);
    }
    node
}

each_backend! {
    async fn tokens_minted_as_the_readme_says_are_good(backend: Backend) {
        let server = backend.launch().start().await;
        server.upsert(vec![user("ada")]).await;
        let secret_file = backend.dir().join("secret");
        std::fs::write(&secret_file, &server.credentials().secret).unwrap();
        for (language, file, run) in PROVIDERS {
            // Go is on few machines; its program is tried where it is.
            let mut version = Command::new(run[0]);
            version.arg(if language == "go" { "version" } else { "--version" });
            let there = output(&mut version).await.is_ok_and(|output| output.status.success());
            if !there && language == "go" {
                tell("The README's program in Go is not tried: go is missing.");
                continue;
            }
            if !there && !present(&mut version, run[0]).await {
                continue;
            }
            let program = backend.dir().join(file);
            std::fs::write(&program, block_of("README.md", language)).unwrap();
            let mut mint = Command::new(run[0]);
            mint.args(&run[1..]).arg(&program).env("USHER_KEY", &server.credentials().kid);
            let minted = output(mint.env("USHER_SECRET_FILE", &secret_file)).await.unwrap();
            assert!(minted.status.success(), "{language}: {}", text(&minted));

            let token = String::from_utf8(minted.stdout).unwrap().trim().to_owned();
            let ada = server.with_token(&token);
            let connected = ada.users().connect_user(pb::ConnectUserRequest::default()).await.answered();
            assert_eq!(connected.user.unwrap().id, "ada", "{language}");
            let verdict = server.tokens().verify_token(pb::VerifyTokenRequest { token }).await.answered();
            let life = verdict.expires_at.unwrap().seconds - verdict.issued_at.unwrap().seconds;
            assert!(verdict.valid && life == 3_600, "{language}: {verdict:?}");
        }
    }

    async fn a_stock_python_client_can_use_every_rpc(backend: Backend) {
        if !present(
            python().args(["-c", "import grpc_tools, grpc_health, grpc_reflection"]),
            "grpcio with its tools",
        )
        .await
        {
            return;
        }
        let server = backend.launch().start().await;
        let mut client = python();
        client
            .arg(below_root("tests/python/client.py"))
            .arg(server.address().to_string())
            .arg(below_root("proto"));
        client.env("USHER_TOKEN", server.credentials().server_token()).env("PYTHONDONTWRITEBYTECODE", "1");
        let output = output(&mut client).await.unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }

    async fn a_node_client_finds_what_the_guide_says_and_never_everybody_by_mistake(backend: Backend) {
        let libraries = "require('@grpc/grpc-js'); require('@grpc/proto-loader')";
        if !present(node().args(["-e", libraries]), "Node with @grpc/grpc-js and @grpc/proto-loader").await {
            return;
        }
        let server = backend.launch().start().await;
        let program = backend.dir().join("client.cjs");
        std::fs::write(&program, block_of("docs/node.md", "js")).unwrap();
        let mut client = node();
        client.arg(&program).env("USHER_PROTO", below_root("proto"));
        client.env("USHER_ADDRESS", server.address().to_string());
        client.env("USHER_TOKEN", server.credentials().server_token());
        let output = output(&mut client).await.unwrap();
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), block_of("docs/node.md", "text"));
    }

    async fn buf_curl_can_call_by_reflection_alone(backend: Backend) {
        if !present(Command::new("buf").arg("--version"), "buf").await {
            return;
        }
        let server = backend.launch().start().await;

        let request =
            json!({"users": [{"id": "ada", "custom": {"n": 1}, "pushNotifications": {"disabled": true}}]});
        let stored = curl(&server, "UserService/UpsertUsers", &request).await.unwrap();
        assert_eq!(stored["users"][0]["version"], "1");
        let task = curl(&server, "UserService/DeactivateUsers", &json!({"userIds": ["ada"]})).await.unwrap();
        let task_id = task["task"]["taskId"].clone();
        server
            .completed(&crate::harness::pb::Task {
                task_id: task_id.as_str().unwrap().to_owned(),
                ..Default::default()
            })
            .await;
        let seen = curl(&server, "TaskService/WatchTask", &json!({"taskId": task_id})).await.unwrap();
        assert_eq!(seen["task"]["state"], "TASK_STATE_COMPLETED", "one message, and the end");
        let refused = curl(&server, "UserService/GetUsers", &json!({"userIds": ["a b"]})).await.unwrap_err();
        assert_eq!(refused["code"], "invalid_argument");
        assert_eq!(refused["details"][0]["type"], "google.rpc.ErrorInfo");
    }
}

on_postgres! {
    async fn a_default_client_sees_nothing_of_a_deploy(backend: Backend) {
        let grpcio = "grpcio with its tools";
        if !present(python().args(["-c", "import grpc_tools, grpc_health, grpc_reflection"]), grpcio).await {
            return;
        }
        let launch = backend.launch().flag("--drain-grace", "30s");
        let mut replicas = Vec::new();
        for launch in [launch, backend.launch().flag("--drain-grace", "30s")] {
            let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            replicas.push(launch.flag("--listen", &address.to_string()).start().await);
        }
        let mut client = python();
        client.arg(below_root("tests/python/deploy.py")).arg(below_root("proto"));
        client.args(replicas.iter().map(|replica| replica.address().to_string()));
        client.env("USHER_TOKEN", replicas[0].credentials().server_token());
        client.env("PYTHONDONTWRITEBYTECODE", "1").kill_on_drop(true);
        let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("calling"));

        let mut again = Vec::new();
        for mut replica in replicas {
            replica.signal("TERM").await;
            assert!(replica.ended(LIMIT).await.success(), "{}", replica.log());
            again.push(replica.launch().start().await);
        }
        drop(client.stdin.take());
        let told: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        assert_eq!(told["failures"], json!([]), "of {} calls", told["calls"]);
        assert!(told["calls"].as_u64().unwrap() > 100, "{told}");
    }
}

#[test]
fn the_protos_pass_lint() {
    crate::harness::block_on(async {
        if present(Command::new("buf").arg("--version"), "buf").await {
            let output =
                output(Command::new("buf").arg("lint").current_dir(below_root("proto"))).await.unwrap();
            assert!(output.status.success(), "{}", text(&output));
        }
    });
}

/// Compares the protos in `dir` with those of the last release.
async fn breaking(dir: &Path) -> Output {
    let mut command = Command::new("buf");
    command.args(["breaking", "--against"]).arg(below_root("proto/baseline.binpb")).current_dir(dir);
    output(&mut command).await.unwrap()
}

#[test]
fn what_is_taken_away_from_the_protos_is_noticed() {
    crate::harness::block_on(async {
        if !present(Command::new("buf").arg("--version"), "buf").await {
            return;
        }
        let unchanged = breaking(&below_root("proto")).await;
        assert!(unchanged.status.success(), "{}", text(&unchanged));
        for (name, taken, left) in [
            ("user.proto", "  string name = 2;", ""),
            ("user.proto", "  string name = 2;", "  reserved 2;\n  reserved \"name\";"),
            ("user.proto", "  string name = 2;", "  string title = 2;"),
            ("user.proto", "  string name = 2;", "  bytes name = 2;"),
            ("user_service.proto", "  rpc GetUsers(GetUsersRequest) returns (GetUsersResponse);", ""),
            ("error_reason.proto", "  ERROR_REASON_TOO_MANY_KEYS = 48;", ""),
        ] {
            let copy = tempfile::tempdir().unwrap();
            let protos = copy.path().join("usher/v1");
            std::fs::create_dir_all(&protos).unwrap();
            std::fs::copy(below_root("proto/buf.yaml"), copy.path().join("buf.yaml")).unwrap();
            for file in std::fs::read_dir(below_root("proto/usher/v1")).unwrap().flatten() {
                std::fs::copy(file.path(), protos.join(file.file_name())).unwrap();
            }
            let whole = std::fs::read_to_string(protos.join(name)).unwrap();
            assert!(whole.contains(taken), "{name} has {taken}");
            std::fs::write(protos.join(name), whole.replacen(taken, left, 1)).unwrap();
            let changed = breaking(copy.path()).await;
            assert_eq!(changed.status.code(), Some(100), "{taken} -> {left}: {}", text(&changed));
        }
    });
}
