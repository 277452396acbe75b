//! `usher export --stream`: the records of one user, as they come.

use serde_json::Value;
use tonic::Streaming;

use super::Choice;
use crate::cli::connect::Client;
use crate::cli::failure::{Exit, Failure, Outcome};
use crate::cli::interrupt::Interrupt;
use crate::cli::output;
use crate::proto::v1::{ExportUserRequest, ExportUserResponse};

const NOT_WHOLE: &str =
    "hint: what was written is not whole: its last record is not `end`; export the user again";

/// Writes the records of `user` to standard output.
pub(super) async fn run(client: &Client, user: &str, choice: Choice) -> Outcome {
    let request = ExportUserRequest {
        user_id: user.to_owned(),
        references: choice.references().into(),
        scope: choice.scope().into(),
        include_received: choice.include_received,
    };
    let mut interrupt = Interrupt::new();
    let mut users = client.users();
    let opened = tokio::select! {
        opened = users.export_user(request) => opened,
        () = interrupt.wait() => return Ok(Exit::Interrupted),
    };
    let ids = [user.to_owned()];
    let records = opened.map_err(|status| client.failure_about(&status, &ids))?.into_inner();
    copy(client, records, &mut interrupt).await
}

async fn copy(
    client: &Client,
    mut records: Streaming<ExportUserResponse>,
    interrupt: &mut Interrupt,
) -> Outcome {
    let mut is_whole = false;
    loop {
        let message = tokio::select! {
            message = records.message() => message,
            () = interrupt.wait() => {
                output::note(NOT_WHOLE);
                return Ok(Exit::Interrupted);
            }
        };
        match message {
            Ok(Some(ExportUserResponse { records })) => {
                output::records(&records)?;
                is_whole = records.last().is_some_and(|record| is_end(record));
            }
            Ok(None) if is_whole => return Ok(Exit::Success),
            Ok(None) => return Err(Failure::failed("the export ended without its `end`").and(NOT_WHOLE)),
            Err(status) => return Err(client.failure(&status).and(NOT_WHOLE)),
        }
    }
}

fn is_end(record: &str) -> bool {
    let record: Value = serde_json::from_str(record).unwrap_or_default();
    record.get("type").and_then(Value::as_str) == Some("end")
}
