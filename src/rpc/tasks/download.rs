//! Downloading what a task has made.

use std::pin::Pin;

use async_stream::try_stream;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::domain::Domain;
use crate::domain::export::Download;
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::proto::v1::download_result_response::Part;
use crate::rpc::stream_end::StreamEnd;
use crate::rpc::{RpcResult, decode, status};

pub(super) type Parts = Pin<Box<dyn Stream<Item = Result<pb::DownloadResultResponse, Status>> + Send>>;

/// Bytes of one message.
const MESSAGE: usize = 256 * 1024;

pub(super) async fn download_result(
    domain: &Domain,
    mut request: Request<pb::DownloadResultRequest>,
) -> RpcResult<Parts> {
    let end = StreamEnd::of(&mut request)?;
    let (call, message) = decode::open(request)?;
    let pb::DownloadResultRequest { task_id, index, offset } = message;
    let task = decode::task_id(&task_id)?;
    let mut bad = Violations::new();
    if index < 0 {
        bad.add("index", "must not be negative");
    }
    if offset < 0 {
        bad.add("offset", "must not be negative");
    }
    decode::checked(bad, Some(()))?;
    let download = domain.download_result(&call, task, index, offset).await.map_err(status::of)?;
    Ok(Response::new(Box::pin(parts(download, end))))
}

/// Reads on only as fast as the caller does. Ends after the last byte, or by [`StreamEnd`].
fn parts(
    mut download: Download,
    mut end: StreamEnd,
) -> impl Stream<Item = Result<pb::DownloadResultResponse, Status>> {
    try_stream! {
        yield part(Part::Header(header(&download)));
        loop {
            let next = end.or(download.next()).await?;
            let Some(mut data) = next.map_err(status::of)? else { break };
            while !data.is_empty() {
                let message = data.split_to(data.len().min(MESSAGE));
                yield part(Part::Data(message.into()));
            }
        }
    }
}

fn header(download: &Download) -> pb::DownloadHeader {
    let archive = &download.archive;
    pb::DownloadHeader {
        total_bytes: archive.bytes,
        sha256: archive.sha256.clone().unwrap_or_default(),
        file_name: archive.file_name(),
        content_type: "application/gzip".to_owned(),
    }
}

const fn part(part: Part) -> pb::DownloadResultResponse {
    pb::DownloadResultResponse { part: Some(part) }
}
