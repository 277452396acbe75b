//! What is on standard output once the server serves: a line for programs, and to a person what to do next.

use std::borrow::Cow;
use std::io::{IsTerminal as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::config::DEFAULT_DATA_DIR;
use super::first_start::DefaultKey;

/// Prints where the server listens; on a terminal the app `default` too, and after the first start what to try.
pub(super) fn print(address: SocketAddr, data_dir: &Path, key: Option<&DefaultKey>) {
    let mut out = std::io::stdout().lock();
    let key = key.filter(|_| out.is_terminal());
    let about = key.map_or_else(String::new, |key| about(key, address, data_dir));
    // Nobody may be reading: that is no reason to stop.
    write!(out, "listening on {address}\n{about}").and_then(|()| out.flush()).ok();
}

fn about(key: &DefaultKey, address: SocketAddr, data_dir: &Path) -> String {
    let secret = key.secret_file.as_ref().map(|file| format!("in {}", file.display()));
    let secret = secret.as_deref().unwrap_or("where the first replica made it");
    let next = if key.is_new { next_steps(address, data_dir) } else { String::new() };
    format!("app default: key {}, secret {secret}\n{next}", key.kid)
}

fn next_steps(address: SocketAddr, data_dir: &Path) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "usher".to_owned());
    let program = quoted(&program);
    let server = format!("--server http://{}", reachable(address));
    let credential = if data_dir == Path::new(DEFAULT_DATA_DIR) {
        server.clone()
    } else {
        format!("{server} --data-dir {}", quoted(&data_dir.to_string_lossy()))
    };
    format!(
        "\nThis is the first start. In another terminal, in this directory, try:\n\
         \n  {program} healthcheck {server}\n\
         \n  echo '{{\"type\": \"user\", \"item\": {{\"id\": \"ada\", \"name\": \"Ada\"}}}}' > users.jsonl\n  \
         {program} import users.jsonl {credential}\n\
         \n  {program} token user ada {credential}\n\n"
    )
}

/// Where a client on this machine reaches `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// As a word of a shell.
fn quoted(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', "'\\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_one_word_of_a_shell() {
        assert_eq!(quoted("./target/debug/usher"), "./target/debug/usher");
        assert_eq!(quoted("my data"), "'my data'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
