//! Of the session, against a server that commits in small batches and breaks streams.

use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response};

use super::super::tally::Counts;
use super::*;
use crate::proto::v1 as pb;
use crate::proto::v1::content_service_server::{ContentService, ContentServiceServer};

const BATCH: usize = 3;

/// What the server has stored, and how it behaves.
#[derive(Default)]
struct Book {
    stored: BTreeMap<i64, String>,
    refused: Vec<i64>,
    committed: Option<i64>,
    streams: usize,
    /// Streams whose caller said that nothing more comes.
    ended: usize,
    /// Items after which each stream breaks, in its last batch before the acknowledgement.
    breaks_after: Option<usize>,
    /// Items after which the server takes no more, but keeps the stream.
    stalls_after: Option<usize>,
}

impl Book {
    fn commit(&mut self, batch: &mut Vec<ImportItem>) -> ImportContentResponse {
        let mut ack = ImportContentResponse::default();
        for item in batch.drain(..) {
            assert!(Some(item.offset) > self.committed, "the client sends what is committed");
            self.committed = Some(item.offset);
            let json = String::from_utf8(item.json).unwrap();
            if json.contains("bad") {
                self.refused.push(item.offset);
                ack.refused.push(refusal(item.offset));
            } else {
                ack.accepted += 1;
                assert!(self.stored.insert(item.offset, json).is_none(), "an item is stored twice");
            }
        }
        ack.committed_offset = self.committed;
        ack
    }

    fn so_far(&self) -> ImportContentResponse {
        let accepted = i64::try_from(self.stored.len()).unwrap();
        let refused = self.refused.iter().map(|offset| refusal(*offset)).collect();
        ImportContentResponse { committed_offset: self.committed, accepted, refused, ..Default::default() }
    }
}

fn refusal(offset: i64) -> ImportRefusal {
    ImportRefusal { offset, reason: "INVALID_FIELD".to_owned(), ..Default::default() }
}

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Book>>);

type Acks = Pin<Box<dyn Stream<Item = Result<ImportContentResponse, Status>> + Send>>;

#[tonic::async_trait]
impl ContentService for Fake {
    async fn get_call(
        &self,
        _: Request<crate::proto::v1::GetCallRequest>,
    ) -> Result<Response<crate::proto::v1::GetCallResponse>, Status> {
        Err(Status::unimplemented("an import asks for no calls"))
    }

    type ImportContentStream = Acks;

    async fn import_content(
        &self,
        request: Request<Streaming<ImportContentRequest>>,
    ) -> Result<Response<Acks>, Status> {
        let (book, mut messages) = (self.0.clone(), request.into_inner());
        let acks = async_stream::try_stream! {
            let start = messages.next().await.unwrap()?;
            assert!(matches!(start.step, Some(Message::Start(_))));
            let (first, breaks_after, stalls_after) = {
                let mut book = book.lock().unwrap();
                book.streams += 1;
                (book.so_far(), book.breaks_after, book.stalls_after)
            };
            yield first;

            let (mut batch, mut taken) = (Vec::new(), 0);
            loop {
                if stalls_after.is_some_and(|after| taken >= after) {
                    std::future::pending::<()>().await;
                }
                let next = tokio::time::timeout(Duration::from_millis(20), messages.next()).await;
                let over = matches!(next, Ok(None));
                if let Ok(Some(message)) = &next
                    && let Ok(ImportContentRequest { step: Some(Message::Item(item)) }) = message {
                    batch.push(item.clone());
                    taken += 1;
                }
                if !batch.is_empty() && (batch.len() >= BATCH || next.is_err() || over) {
                    let ack = book.lock().unwrap().commit(&mut batch);
                    if breaks_after.is_some_and(|after| taken >= after) {
                        Err(Status::unavailable("gone"))?;
                    }
                    yield ack;
                }
                if over {
                    book.lock().unwrap().ended += 1;
                    break;
                }
            }
        };
        Ok(Response::new(Box::pin(acks)))
    }

    async fn get_channel(
        &self,
        _: Request<pb::GetChannelRequest>,
    ) -> Result<Response<pb::GetChannelResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn list_messages(
        &self,
        _: Request<pb::ListMessagesRequest>,
    ) -> Result<Response<pb::ListMessagesResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn get_footprint(
        &self,
        _: Request<pb::GetFootprintRequest>,
    ) -> Result<Response<pb::GetFootprintResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }
}

#[expect(clippy::disallowed_methods, reason = "ends with the runtime of the test")]
async fn serve(fake: &Fake) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let service = ContentServiceServer::new(fake.clone());
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    Client::for_tests(&server)
}

fn session(client: Client, content: &str, interrupt: Interrupt) -> Session {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    let source = Source::open(file.path()).unwrap();
    let fingerprint = format!("{:x}", Sha256::digest(content));
    let plan = Plan { import_id: "i".to_owned(), mode: ImportMode::Upsert, source, fingerprint };
    // The reader opens it later, on its own thread.
    file.keep().unwrap();
    Session::new(client, plan, interrupt, Report::silent())
}

fn never() -> Interrupt {
    Interrupt::when(std::future::pending())
}

fn lines(count: usize) -> String {
    let lines: Vec<_> = (0..count).map(|number| format!("{{\"no\":{number}}}\n")).collect();
    lines.concat()
}

#[tokio::test]
async fn every_item_is_stored_once_though_streams_break_and_acknowledgements_are_lost() {
    let fake = Fake::default();
    fake.0.lock().unwrap().breaks_after = Some(7);
    let client = serve(&fake).await;
    let content = lines(40) + "{\"bad\":1}\nno json\n" + &lines(10);

    let mut session = session(client, &content, never());
    assert_eq!(session.run().await, Ok(Finish::Read(None)));

    let standing = session.standing();
    assert_eq!(standing.counts, Counts { accepted: 50, skipped: 0, refused: 2 });
    assert_eq!((standing.of_this_run, standing.position), (51, standing.size));
    let book = fake.0.lock().unwrap();
    assert_eq!((book.stored.len(), book.committed, book.ended), (50, Some(51), 1));
    assert!(book.streams > 4, "{}", book.streams);
}

#[tokio::test]
async fn a_complete_import_is_not_done_again() {
    let fake = Fake::default();
    let client = serve(&fake).await;
    let content = format!("[{}]", lines(10).trim().replace('\n', ",\n"));
    session(client.clone(), &content, never()).run().await.unwrap();

    let mut again = session(client, &content, never());
    assert_eq!(again.run().await, Ok(Finish::Read(None)));

    assert_eq!((again.standing().of_this_run, again.standing().counts.accepted), (0, 10));
    assert!(!again.is_of_another_file());
}

#[tokio::test]
async fn a_file_that_ends_before_the_import_is_another_file() {
    let fake = Fake::default();
    let client = serve(&fake).await;
    session(client.clone(), &lines(10), never()).run().await.unwrap();

    let mut other = session(client, &lines(4), never());
    other.run().await.unwrap();

    assert!(other.is_of_another_file());
}

#[tokio::test]
async fn what_comes_before_a_fault_in_the_file_is_stored() {
    let fake = Fake::default();
    let client = serve(&fake).await;

    let finish = session(client, "[{\"a\":1},{\"a\":2},\n}", never()).run().await;

    assert_eq!(finish, Ok(Finish::Read(Some("line 2, column 1: an element is missing here".to_owned()))));
    let book = fake.0.lock().unwrap();
    assert_eq!((book.stored.len(), book.ended), (2, 0), "what waits is not judged by half a file");
}

#[tokio::test]
async fn after_an_interruption_the_same_command_goes_on() {
    let fake = Fake::default();
    fake.0.lock().unwrap().stalls_after = Some(4);
    let client = serve(&fake).await;
    let asked = tokio::time::sleep(Duration::from_millis(300));
    let mut first = session(client.clone(), &lines(2_000), Interrupt::when(asked));
    first.farewell = Duration::from_millis(100);
    let finish = tokio::time::timeout(FAREWELL, first.run()).await.unwrap();
    assert_eq!(finish, Ok(Finish::Interrupted));
    {
        let book = fake.0.lock().unwrap();
        assert_eq!((book.committed, book.ended), (Some(2), 0));
    }

    fake.0.lock().unwrap().stalls_after = None;
    let mut second = session(client, &lines(2_000), never());
    assert_eq!(second.run().await, Ok(Finish::Read(None)));

    assert_eq!(fake.0.lock().unwrap().ended, 1);
    assert_eq!(second.standing().counts.accepted, 2_000);
    assert_eq!(second.standing().of_this_run, 1_997);
}
