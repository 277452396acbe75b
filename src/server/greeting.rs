//! What a person sees on standard output once the server serves. The first line is for programs.

use std::io::Write as _;
use std::net::SocketAddr;

use super::first_start::DefaultKey;

/// Prints where the server listens, and after the first start what to do next.
pub(super) fn print(address: SocketAddr, key: Option<&DefaultKey>) {
    let about = key.map_or_else(String::new, |key| about(key, address));
    // Nobody may be reading: that is no reason to stop.
    let mut out = std::io::stdout().lock();
    write!(out, "listening on {address}\n{about}").and_then(|()| out.flush()).ok();
}

fn about(key: &DefaultKey, address: SocketAddr) -> String {
    let secret = key.secret_file.as_ref().map(|file| format!("in {}", file.display()));
    let secret = secret.as_deref().unwrap_or("where the first replica made it");
    let next = if key.is_new { next_steps(address) } else { String::new() };
    format!("app default: key {}, secret {secret}\n{next}", key.kid)
}

fn next_steps(address: SocketAddr) -> String {
    format!(
        "\nThis is the first start. In another terminal, in this directory, try:\n\
         \n  usher healthcheck --server http://{address}\n\
         \n  echo '{{\"type\": \"user\", \"item\": {{\"id\": \"ada\", \"name\": \"Ada\"}}}}' > users.jsonl\n  \
         usher import users.jsonl --server http://{address}\n\
         \n  usher token user ada --server http://{address}\n\n"
    )
}
