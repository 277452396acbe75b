//! The command line.

mod archive_world;
mod archives;
mod export;
mod export_first;
mod files;
mod import;
mod lifecycle;
mod users;

use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::harness::{TestServer, program};

/// What the program came to.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ended {
    /// The lines of standard output, where it went well.
    #[track_caller]
    fn lines(&self) -> Vec<&str> {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self.stdout.lines().collect()
    }

    /// The objects it printed.
    #[track_caller]
    fn json(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What it said, where it failed so.
    #[track_caller]
    fn failed(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        &self.stderr
    }
}

/// `usher users` with these arguments.
async fn users(server: &TestServer, args: &[&str], input: &str) -> Ended {
    ended(command(server, args), input).await
}

/// The same at a terminal, where `typed` is what somebody types; what it says is all in `stdout`.
async fn users_at_terminal(server: &TestServer, args: &[&str], typed: &str) -> Ended {
    let command = command(server, args);
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', r"'\''")));
    let line = quoted.collect::<Vec<_>>().join(" ");
    // Of util-linux: it gives the program a terminal of its own, and ends with its exit code.
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).stdout(Stdio::piped());
    script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    ended(script, typed).await
}

fn command(server: &TestServer, args: &[&str]) -> Command {
    client(server, &[&["users"], args].concat(), &server.credentials().secret)
}

/// Any command that calls the server, with the app's key and a secret file that holds `secret`.
fn client(server: &TestServer, args: &[&str], secret: impl AsRef<[u8]>) -> Command {
    client_of(server, &server.credentials().kid, args, secret)
}

/// The same with the key of another app.
fn client_of(server: &TestServer, kid: &str, args: &[&str], secret: impl AsRef<[u8]>) -> Command {
    caller(server, (server.address(), kid), args, secret)
}

/// The same, where the server is reached at another address.
fn client_at(server: &TestServer, address: SocketAddr, args: &[&str], secret: impl AsRef<[u8]>) -> Command {
    caller(server, (address, &server.credentials().kid), args, secret)
}

fn caller(
    server: &TestServer,
    (address, kid): (SocketAddr, &str),
    args: &[&str],
    secret: impl AsRef<[u8]>,
) -> Command {
    let file = server.backend().dir().join("cli.secret");
    std::fs::write(&file, secret).unwrap();
    let mut command = program(server.place());
    command.args(args).args(["--server", &address.to_string()]);
    command.args(["--key", kid, "--secret-file"]).arg(file);
    command
}

async fn ended(mut command: Command, input: &str) -> Ended {
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    if let Err(err) = stdin.write_all(input.as_bytes()).await {
        // A program that refuses its command line ends without reading.
        assert_eq!(err.kind(), std::io::ErrorKind::BrokenPipe);
    }
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
