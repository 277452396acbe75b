//! gRPC in and out. One folder a service, one file per capability; the folder's `mod.rs` lists the RPCs,
//! a line each. Every handler decodes, calls the domain, encodes; the [`gate`] before them authorises.

mod apps;
pub mod auth;
mod content;
mod decode;
pub mod gate;
mod json;
pub mod status;
mod stream_end;
mod tasks;
mod time;
mod tokens;
mod users;

pub use self::apps::Apps;
pub use self::content::Content;
pub use self::tasks::Tasks;
pub use self::tokens::Tokens;
pub use self::users::Users;

use prost::Message;
use tonic::{Response, Status};

/// Bytes that an answer may have, so that clients with stock limits can read it.
const MAX_ANSWER: usize = 3_500 * 1024;

/// Answers from this size on are compressed for callers that accept it. Below, setting up the compressor takes
/// longer than to send the bytes it would save.
const WORTH_COMPRESSING: usize = 1024;

/// What a handler answers.
type RpcResult<T> = Result<Response<T>, Status>;

/// The answer of a unary RPC.
fn answer<M: Message>(message: M) -> Response<M> {
    let small = message.encoded_len() < WORTH_COMPRESSING;
    let mut response = Response::new(message);
    if small {
        response.disable_compression();
    }
    response
}
