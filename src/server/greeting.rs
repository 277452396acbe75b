//! What a person sees on standard output once the server serves. The first line is for programs.

use std::io::Write as _;
use std::net::SocketAddr;

use super::first_start::DefaultKey;

/// Prints where the server listens, and after the first start what to do next.
pub(super) fn print(address: SocketAddr, key: Option<&DefaultKey>) {
    let mut text = format!("listening on {address}\n");
    if let Some(key) = key {
        let secret = key.secret_file.as_ref().map(|file| file.display().to_string());
        let secret = secret.as_deref().unwrap_or("with whoever made the app");
        text += &format!("app default: key {}, secret in {secret}\n", key.kid);
        if key.is_new {
            text += &next_steps(address);
        }
    }
    // Nobody may be reading: that is no reason to stop.
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
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
