//! A peer that speaks HTTP/2 by hand, for what no well-behaved client does.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Caller;

pub(crate) const DATA: u8 = 0;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What is waited for comes within this time.
const LIMIT: Duration = Duration::from_secs(30);

/// A frame as it came.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A connection on which frames are sent by hand; nothing is answered by itself, no PING and no SETTINGS.
pub(crate) struct RawPeer {
    stream: TcpStream,
    authority: String,
    token: String,
}

/// A frame's bytes.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A string of a header block (RFC 7541, 5.2), not compressed.
fn string(text: &str, block: &mut Vec<u8>) {
    let mut left = text.len();
    if left < 127 {
        block.push(u8::try_from(left).unwrap());
    } else {
        block.push(127);
        left -= 127;
        while left >= 128 {
            block.push(u8::try_from(left % 128).unwrap() | 128);
            left /= 128;
        }
        block.push(u8::try_from(left).unwrap());
    }
    block.extend(text.as_bytes());
}

impl RawPeer {
    /// Connects to the server of `caller`, with whose token calls are made.
    pub(crate) async fn connect(caller: &Caller) -> Self {
        let address: SocketAddr = caller.address();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let hello = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &[])[..]].concat();
        stream.write_all(&hello).await.unwrap();
        Self { stream, authority: address.to_string(), token: caller.credentials().server_token() }
    }

    /// The frame that begins a call.
    pub(crate) fn begin(&self, stream: u32, path: &str) -> Vec<u8> {
        let bearer = format!("Bearer {}", self.token);
        let mut block = Vec::new();
        for (name, value) in [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", &self.authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("authorization", &bearer),
        ] {
            // A literal that is not indexed (RFC 7541, 6.2.2).
            block.push(0);
            string(name, &mut block);
            string(value, &mut block);
        }
        frame(HEADERS, END_HEADERS, stream, &block)
    }

    /// The frame that ends a call's request, with its message.
    pub(crate) fn message(stream: u32, message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        frame(DATA, END_STREAM, stream, &[&[0], &length[..], message].concat())
    }

    /// The frame that gives a call up.
    pub(crate) fn reset(stream: u32) -> Vec<u8> {
        frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
    }

    /// A frame that the other side answers once it has read all before it.
    pub(crate) fn ping() -> Vec<u8> {
        frame(PING, 0, 0, &[0; 8])
    }

    /// Sends bytes; `false` where the other side takes no more.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// The next frame; `None` at the end of the connection.
    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, _, s0, s1, s2, s3] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some(Frame { kind, stream: u32::from_be_bytes([s0, s1, s2, s3]), payload })
    }

    /// Reads until a frame is as wanted; `None` where the connection ends before.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        let found = async {
            loop {
                let frame = self.next().await?;
                if wanted(&frame) {
                    return Some(frame);
                }
            }
        };
        tokio::time::timeout(LIMIT, found).await.expect("a frame, or the end of the connection")
    }
}
