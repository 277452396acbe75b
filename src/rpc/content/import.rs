//! Taking in items from a stream, batch by batch.

use std::pin::Pin;
use std::time::Duration;

use async_stream::try_stream;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::Content;
use crate::domain::content::import::{Ack, Begin, Import, ImportMode, RawItem};
use crate::domain::{Call, Domain, Error};
use crate::model::clock::Deadline;
use crate::model::id::parse_request_id;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::proto::v1::import_content_request::Step;
use crate::rpc::stream_end::StreamEnd;
use crate::rpc::{RpcResult, decode, status};

pub(super) type Acks = Pin<Box<dyn Stream<Item = Result<pb::ImportContentResponse, Status>> + Send>>;

/// A batch is stored when it has so many items, so many bytes, or when nothing came for so long.
const BATCH_ITEMS: usize = 1_000;
const BATCH_BYTES: usize = 2 * 1024 * 1024;
const BATCH_PAUSE: Duration = Duration::from_millis(10);

pub(super) fn import_content(
    content: &Content,
    mut request: Request<Streaming<pb::ImportContentRequest>>,
) -> RpcResult<Acks> {
    let end = StreamEnd::of(&mut request)?;
    let (call, inbound) = decode::open(request)?;
    let inbound = Inbound { messages: inbound, end, last: None };
    Ok(Response::new(Box::pin(acks(content.domain.clone(), call, content.timeout, inbound))))
}

fn acks(
    domain: Domain,
    call: Call,
    timeout: Duration,
    mut inbound: Inbound,
) -> impl Stream<Item = Result<pb::ImportContentResponse, Status>> {
    try_stream! {
        let begin = inbound.start().await?;
        let call = Call { deadline: Deadline::after(timeout), ..call };
        let (mut import, ack) = domain.begin_import(&call, begin).await.map_err(status::of)?;
        yield encode(ack);

        let mut told = None;
        while import.committed_offset().is_some() {
            let deadline = Deadline::after(timeout);
            let (earlier, last) = domain.earlier_refusals(&import, told, deadline).await.map_err(status::of)?;
            if last.is_none() {
                break;
            }
            told = last;
            yield encode(earlier);
        }

        loop {
            let (items, ending) = inbound.batch(&import).await;
            // Nothing more is stored for a caller who is refused.
            if !items.is_empty() && !inbound.end.is_refused() {
                let deadline = Deadline::after(timeout);
                yield encode(domain.import_batch(&mut import, items, deadline).await.map_err(status::of)?);
            }
            match ending {
                Ending::More => {}
                Ending::Done => {
                    let deadline = Deadline::after(timeout);
                    let judged = domain.finish_import(&mut import, deadline).await.map_err(status::of)?;
                    if let Some(ack) = judged {
                        yield encode(ack);
                    }
                    break;
                }
                // What came before it is stored and told.
                Ending::Failed(status) => Err(status)?,
            }
        }
    }
}

/// The caller's side of the stream.
struct Inbound {
    messages: Streaming<pb::ImportContentRequest>,
    end: StreamEnd,
    /// The last offset seen.
    last: Option<i64>,
}

/// Why a batch ended where it did.
enum Ending {
    More,
    Done,
    Failed(Status),
}

impl Inbound {
    async fn start(&mut self) -> Result<Begin, Status> {
        match self.next().await?.and_then(|message| message.step) {
            Some(Step::Start(start)) => parse_start(start),
            _ => Err(status::of(Error::invalid("start", "must be the first message of the stream"))),
        }
    }

    /// The next items beyond what `import` has committed.
    async fn batch(&mut self, import: &Import) -> (Vec<RawItem>, Ending) {
        let (mut items, mut bytes) = (Vec::new(), 0);
        while items.len() < BATCH_ITEMS && bytes < BATCH_BYTES {
            let next = if items.is_empty() {
                self.next().await
            } else {
                match tokio::time::timeout(BATCH_PAUSE, self.next()).await {
                    Ok(next) => next,
                    Err(_) => break,
                }
            };
            match next.and_then(|message| message.map(|message| self.item(message)).transpose()) {
                Ok(None) => return (items, Ending::Done),
                Err(status) => return (items, Ending::Failed(status)),
                Ok(Some(item)) if import.committed_offset().is_some_and(|offset| item.offset <= offset) => {}
                Ok(Some(item)) => {
                    bytes += item.json.len();
                    items.push(item);
                }
            }
        }
        (items, Ending::More)
    }

    fn item(&mut self, message: pb::ImportContentRequest) -> Result<RawItem, Status> {
        let Some(Step::Item(pb::ImportItem { offset, json })) = message.step else {
            return Err(status::of(Error::invalid("item", "must be every message after the first one")));
        };
        if offset < 0 || self.last.is_some_and(|last| offset <= last) {
            return Err(status::of(Error::invalid("item.offset", "must be 0 or more, and rise")));
        }
        self.last = Some(offset);
        Ok(RawItem { offset, json })
    }

    async fn next(&mut self) -> Result<Option<pb::ImportContentRequest>, Status> {
        let message = self.end.or(self.messages.message()).await?;
        message.map_err(|refusal| status::translated(&refusal).unwrap_or(refusal))
    }
}

fn parse_start(start: pb::ImportStart) -> Result<Begin, Status> {
    let pb::ImportStart { import_id, mode, content_sha256 } = start;
    let mut bad = Violations::new();
    let id = bad.take("start.import_id", parse_request_id(import_id));
    let mode = match pb::ImportMode::try_from(mode) {
        Ok(pb::ImportMode::Unspecified | pb::ImportMode::Upsert) => Some(ImportMode::Upsert),
        Ok(pb::ImportMode::Insert) => Some(ImportMode::Insert),
        Err(_) => bad.take("start.mode", Err("is not a value of this enum")),
    };
    let content = bad.take("start.content_sha256", parse_sha256(&content_sha256));
    let begin = id.zip(mode).zip(content).map(|((id, mode), content)| Begin { id, mode, content });
    decode::checked(bad, begin)
}

fn parse_sha256(text: &str) -> Result<Option<String>, &'static str> {
    match text.len() {
        0 => Ok(None),
        64 if text.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(Some(text.to_ascii_lowercase())),
        _ => Err("must be 64 hexadecimal digits, or not set"),
    }
}

fn encode(ack: Ack) -> pb::ImportContentResponse {
    let refused = ack.refused.into_iter().map(|(offset, refusal)| pb::ImportRefusal {
        offset,
        reason: refusal.reason.as_str().to_owned(),
        field: refusal.field,
        message: refusal.message,
    });
    pb::ImportContentResponse {
        committed_offset: ack.committed_offset,
        accepted: ack.accepted,
        skipped: ack.skipped,
        refused: refused.collect(),
        waiting: ack.waiting,
    }
}
