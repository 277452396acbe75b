//! Messages that are compressed with gzip, and those that say so and are not.

use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use futures_util::future::poll_fn;
use http::{HeaderMap, Request};
use http_body::{Body as _, Frame};
use prost::Message as _;
use prost::bytes::Bytes;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::{Code, Response, Status};
use tower::{Service as _, ServiceExt as _};

use crate::harness::{Answer, Backend, Caller, TestServer, each_backend, pb, user, user_ids};

const GET_USERS: &str = "/usher.v1.UserService/GetUsers";

/// A body of one piece.
struct Piece(Option<Bytes>);

impl http_body::Body for Piece {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Sends `body` as it is, with `headers`; the headers and the body of the answer.
async fn post(caller: &Caller, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (HeaderMap, Vec<u8>) {
    let uri = format!("http://{}{path}", caller.address());
    let mut request = Request::post(uri).header("content-type", "application/grpc").header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut wire = caller.wire();
    let request = request.body(tonic::body::Body::new(Piece(Some(body.into())))).unwrap();
    let (head, mut body) = wire.ready().await.unwrap().call(request).await.unwrap().into_parts();
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        bytes.extend(frame.unwrap().into_data().unwrap_or_default());
    }
    (head.headers, bytes)
}

/// One message as it travels: whether it is compressed, its length, its bytes.
fn framed(compressed: bool, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[u8::from(compressed)][..], &length, message].concat()
}

/// So many MiB of zeros, compressed a thousand to one. What it promises at its end is never reached.
fn zeros(mebibytes: usize) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; 1024 * 1024]).unwrap();
    // Ends with a whole byte, so that it can be said again and again.
    encoder.flush().unwrap();
    let block = encoder.get_ref().clone();
    [b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec(), block.repeat(mebibytes)].concat()
}

/// The refusal that an answer without a body is.
fn refusal(headers: &HeaderMap) -> Result<Response<()>, Status> {
    Err(Status::from_header_map(headers).expect("the call is refused"))
}

each_backend! {
    async fn callers_who_compress_are_answered_by_every_service(server: TestServer) {
        let ids = user_ids("u", 200);
        let users = ids.iter().map(|id| user(id)).collect();
        let mut caller = server.users().send_compressed(Gzip).accept_compressed(Gzip);
        let stored = caller.upsert_users(pb::UpsertUsersRequest { users }).await.answered();
        assert_eq!(stored.users.len(), 200);

        let mut tasks = server.tasks().send_compressed(Gzip).accept_compressed(Gzip);
        assert!(tasks.list_tasks(pb::ListTasksRequest::default()).await.answered().tasks.is_empty());
        let mut tokens = server.tokens().send_compressed(Gzip).accept_compressed(Gzip);
        let request = pb::VerifyTokenRequest { token: server.user_token(&ids[0]).await };
        assert!(tokens.verify_token(request).await.answered().valid);
        let mut apps = server.apps().send_compressed(Gzip).accept_compressed(Gzip);
        apps.get_app(pb::GetAppRequest::default()).await.answered();
        let mut content = server.content().send_compressed(Gzip).accept_compressed(Gzip);
        let request = pb::GetFootprintRequest { user_id: ids[0].clone() };
        content.get_footprint(request).await.answered();
        let mut health = server.health().send_compressed(Gzip).accept_compressed(Gzip);
        health.check(tonic_health::pb::HealthCheckRequest::default()).await.answered();
    }

    async fn a_large_answer_is_compressed_for_those_who_accept_it(server: TestServer) {
        let ids = user_ids("u", 200);
        server.seed(&ids).await;
        let ask = |count: usize| {
            let user_ids = ids[..count].to_vec();
            framed(false, &pb::GetUsersRequest { user_ids, include_deleted: false }.encode_to_vec())
        };
        let accepts = [("grpc-accept-encoding", "identity,gzip")];

        let (headers, plain) = post(&server, GET_USERS, &[], ask(200)).await;
        assert!(headers.get("grpc-encoding").is_none() && plain[0] == 0, "not for others");
        let (headers, compressed) = post(&server, GET_USERS, &accepts, ask(200)).await;
        assert_eq!((headers["grpc-encoding"].as_bytes(), compressed[0]), (&b"gzip"[..], 1));
        assert!(compressed.len() < plain.len() / 4, "{} of {}", compressed.len(), plain.len());
        let (_, small) = post(&server, GET_USERS, &accepts, ask(1)).await;
        assert_eq!(small[0], 0, "a small answer costs less as it is");
    }

    async fn the_limit_on_messages_counts_after_decompression(backend: Backend) {
        let server = backend.launch().start().await;
        server.seed(&user_ids("u", 1)).await;
        let bomb = framed(true, &zeros(512));
        assert!(bomb.len() < 1024 * 1024, "512 MiB in {} bytes", bomb.len());
        let before = server.peak_memory();
        for path in ["/usher.v1.UserService/UpsertUsers", "/usher.v1.TokenService/VerifyToken"] {
            let (answer, _) = post(&server, path, &[("grpc-encoding", "gzip")], bomb.clone()).await;
            refusal(&answer).refused(Code::ResourceExhausted, "TOO_LARGE");
        }
        let grown = server.peak_memory() - before;
        assert!(grown < 64 * 1024 * 1024, "{grown} bytes for messages that are refused");
        let path = "/usher.v1.UserService/UpsertUsers";
        let (answer, _) =
            post(&server, path, &[("grpc-encoding", "gzip")], framed(true, &zeros(5))).await;
        refusal(&answer).refused(Code::ResourceExhausted, "TOO_LARGE");
        server.seed(&user_ids("still-there", 1)).await;
    }

    async fn what_is_not_compressed_as_it_says_is_the_callers_fault(server: TestServer) {
        let says = [("grpc-encoding", "gzip")];
        let good = pb::GetUsersRequest::default().encode_to_vec();
        let cases = [
            (&says[..], framed(true, b"not gzip at all")),
            (&says[..], framed(true, b"\x1f\x8b\x08\0\0\0\0\0\0\xff")),
            (&says[..], framed(true, b"")),
            (&says[..0], framed(true, &good)),
            (&says[..], vec![7, 0, 0, 0, 0]),
        ];
        for (headers, body) in cases {
            let (answer, _) = post(&server, GET_USERS, headers, body.clone()).await;
            refusal(&answer).refused(Code::InvalidArgument, "INVALID_FIELD");
            let (answer, _) = post(&server.anonymous(), "/grpc.health.v1.Health/Check", headers, body).await;
            refusal(&answer).refused(Code::InvalidArgument, "INVALID_FIELD");
        }
        // Another compression is not known, and the answer says which is.
        let (answer, _) = post(&server, GET_USERS, &[("grpc-encoding", "br")], framed(false, &good)).await;
        assert_eq!(Status::from_header_map(&answer).unwrap().code(), Code::Unimplemented);
        assert_eq!(answer["grpc-accept-encoding"], "gzip,identity");
    }
}
