//! `ExportUsers` and `DownloadResult`: archives that are whole or not there.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tonic::{Code, Status};

use crate::harness::{
    Answer, Caller, TestServer, each_backend, eventually, fields_of, item, pb, reason_of, schema, user,
};
use crate::users::export::{exported, of};

pub(crate) fn of_all(users: &[&str]) -> pb::ExportUsersRequest {
    let user_ids = users.iter().map(|user| (*user).to_owned()).collect();
    pb::ExportUsersRequest { user_ids, ..Default::default() }
}

pub(crate) async fn start(caller: &Caller, request: pb::ExportUsersRequest) -> pb::Task {
    caller.users().export_users(request).await.answered().task.unwrap()
}

/// The header and the bytes from `offset` on.
pub(crate) async fn download(
    caller: &Caller,
    task: &pb::Task,
    index: i32,
    offset: i64,
) -> Result<(pb::DownloadHeader, Vec<u8>), Status> {
    let request = pb::DownloadResultRequest { task_id: task.task_id.clone(), index, offset };
    let mut stream = caller.tasks().download_result(request).await?.into_inner();
    let first = stream.message().await?.unwrap().part.unwrap();
    let pb::download_result_response::Part::Header(header) = first else { panic!("no header: {first:?}") };
    let mut bytes = Vec::new();
    while let Some(message) = stream.message().await? {
        let pb::download_result_response::Part::Data(data) = message.part.unwrap() else {
            panic!("a header")
        };
        assert!(!data.is_empty());
        bytes.extend(data);
    }
    Ok((header, bytes))
}

pub(crate) fn unpack(bytes: &[u8]) -> Vec<Value> {
    let mut text = String::new();
    MultiGzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An archive, whose length and checksum are as the header says.
pub(crate) async fn archive(caller: &Caller, task: &pb::Task, index: i32) -> Vec<u8> {
    let (header, bytes) = download(caller, task, index, 0).await.unwrap();
    let sha256 = usher::domain::vault::hex(&Sha256::digest(&bytes));
    assert_eq!((header.total_bytes, header.sha256), (i64::try_from(bytes.len()).unwrap(), sha256));
    assert_eq!(header.content_type, "application/gzip");
    schema::check(&unpack(&bytes));
    bytes
}

/// Records without those in which the export speaks of itself.
pub(crate) fn of_user(records: &[Value]) -> Vec<&Value> {
    records.iter().filter(|record| record.get("basis").is_some() && record["type"] != "task_item").collect()
}

/// `ada` with so many messages of about 1 KB, half of which mention one of ten others each.
pub(crate) async fn seed_messages(caller: &Caller, count: usize) {
    let others = (0..10).map(|at| item("user", json!({"id": format!("other-{at}")})));
    let mut items: Vec<Value> = others.collect();
    items.push(item("user", json!({"id": "ada"})));
    items.push(item("channel", json!({"type": "messaging", "id": "c", "created_by": "ada"})));
    items.extend((0..count).map(|at| {
        let mentioned: Vec<String> =
            (at % 2 == 0).then(|| format!("other-{}", at / 2 % 10)).into_iter().collect();
        item(
            "message",
            json!({"id": format!("m{at:06}"), "channel_type": "messaging", "channel_id": "c",
            "user": "ada", "text": format!("{at} {}", "x".repeat(1_000)), "mentioned_users_ids": mentioned}),
        )
    }));
    caller.imported("messages", &items).await;
}

pub(crate) fn erase(user: &str) -> pb::DeleteUsersRequest {
    let hard = pb::DeleteMode::Hard.into();
    pb::DeleteUsersRequest {
        user_ids: vec![user.to_owned()],
        user: hard,
        messages: hard,
        conversations: hard,
        ..Default::default()
    }
}

each_backend! {
    async fn an_archive_holds_the_records_that_the_stream_has(server: TestServer) {
        seed_messages(&server, 3_000).await;
        let streamed = exported(&server, of("ada")).await;
        let task = server.completed(&start(&server, of_all(&["ada"])).await).await;
        let bytes = archive(&server, &task, 0).await;
        let records = unpack(&bytes);
        assert_eq!(of_user(&records), of_user(&streamed));
        assert_eq!(records[0]["item"]["task_id"], json!(task.task_id));
        assert_eq!(records[records.len() - 1]["item"]["records"]["message"], 3_000);

        let counted = i64::try_from(records.len() - 3).unwrap();
        let Some(pb::task::Result::ExportUsers(result)) = task.result else { panic!("{task:?}") };
        assert_eq!((result.files, result.records), (1, counted));
        assert_eq!((result.bytes, task.rows_done), (i64::try_from(bytes.len()).unwrap(), counted));
        let file = server.items(&task.task_id).await[0].file.clone().unwrap();
        assert_eq!((file.records, file.bytes), (counted, result.bytes));
        assert!(file.expires_at.is_some() && file.download_url.is_empty() && !file.file_name.contains("ada"));
        let history = pb::ListUserHistoryRequest { user_id: "ada".to_owned(), ..Default::default() };
        let entries = server.users().list_user_history(history).await.answered().entries;
        let kinds: Vec<_> = entries.iter().map(pb::UserHistoryEntry::kind).collect();
        assert_eq!(kinds, [pb::UserHistoryKind::ArchiveDownloaded, pb::UserHistoryKind::Exported]);
    }

    async fn a_download_goes_on_from_any_byte(server: TestServer) {
        seed_messages(&server, 2_500).await;
        let task = server.completed(&start(&server, of_all(&["ada"])).await).await;
        let bytes = archive(&server, &task, 0).await;
        let total = bytes.len();
        for offset in [0, 1, 1_000, total / 2, total - 1, total] {
            let (header, rest) = download(&server, &task, 0, i64::try_from(offset).unwrap()).await.unwrap();
            assert_eq!(header.total_bytes, i64::try_from(total).unwrap());
            assert!(rest == bytes[offset..], "from {offset}");
        }
        for (index, offset, field) in [
            (0, i64::try_from(total).unwrap() + 1, "offset"),
            (0, -1, "offset"),
            (1, 0, "index"),
            (-1, 0, "index"),
        ] {
            let refused = download(&server, &task, index, offset).await.unwrap_err();
            assert_eq!((refused.code(), fields_of(&refused)), (Code::InvalidArgument, vec![field.to_owned()]));
        }
        let other = pb::Task { task_id: uuid::Uuid::now_v7().to_string(), ..Default::default() };
        let unknown = download(&server, &other, 0, 0).await.unwrap_err();
        assert_eq!((unknown.code(), &*reason_of(&unknown)), (Code::NotFound, "TASK_NOT_FOUND"));
    }

    async fn every_user_has_an_archive_and_ids_that_are_none_have_a_reason(server: TestServer) {
        server.upsert(vec![user("ada"), user("bob"), user("eve")]).await;
        server.deactivate("bob").await;
        let task = server.users().delete_users(erase("eve")).await.answered().task.unwrap();
        server.completed(&task).await;
        let request = of_all(&["ada", "nobody", "a b", "ada", "bob", "eve"]);
        let task = server.completed(&start(&server, request).await).await;
        let items = server.items(&task.task_id).await;
        let outcomes: Vec<_> = items.iter().map(|item| (item.user_id.as_str(), item.reason.as_str())).collect();
        assert_eq!(outcomes, [("ada", ""), ("nobody", "USER_NOT_FOUND"), ("a b", "INVALID_FIELD"), ("bob", ""),
            ("eve", "USER_DELETED")]);
        for (index, id) in [(0, "ada"), (3, "bob")] {
            assert_eq!(unpack(&archive(&server, &task, index).await)[0]["item"]["user_id"], id);
        }
        let gone = download(&server, &task, 1, 0).await.unwrap_err();
        assert_eq!((gone.code(), &*reason_of(&gone)), (Code::NotFound, "EXPORT_GONE"));
    }

    async fn an_export_is_repeatable_and_bad_ones_say_what_is_wrong(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let request = pb::ExportUsersRequest { request_id: "once".to_owned(), ..of_all(&["ada"]) };
        let first = start(&server, request.clone()).await;
        assert_eq!(start(&server, request.clone()).await.task_id, first.task_id);
        let keep = pb::ExportUsersRequest { references: pb::ExportReferences::Keep.into(), ..request };
        let other = server.users().export_users(keep).await.unwrap_err();
        assert_eq!((other.code(), &*reason_of(&other)), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
        let ids: Vec<String> = (0..1_001).map(|at| format!("u{at}")).collect();
        let bad = pb::ExportUsersRequest { user_ids: ids, scope: 7, references: 7, ..Default::default() };
        let bad = server.users().export_users(bad).await.unwrap_err();
        assert_eq!(fields_of(&bad), ["references", "scope", "user_ids"]);
        let none = server.users().export_users(pb::ExportUsersRequest::default()).await.unwrap_err();
        assert_eq!(fields_of(&none), ["user_ids"]);
    }

    async fn an_archive_goes_with_its_user(server: TestServer) {
        seed_messages(&server, 2_500).await;
        let task = server.completed(&start(&server, of_all(&["ada", "other-1"])).await).await;
        archive(&server, &task, 0).await;
        let erased = server.users().delete_users(erase("ada")).await.answered().task.unwrap();
        server.completed(&erased).await;
        let gone = download(&server, &task, 0, 1).await.unwrap_err();
        assert_eq!((gone.code(), &*reason_of(&gone)), (Code::NotFound, "EXPORT_GONE"));
        archive(&server, &task, 1).await;
        assert!(server.items(&task.task_id).await[0].file.is_none());
        let is_clean = async || {
            let left = server.backend().select(server.place(), "SELECT idx FROM export_chunks").await;
            (left.len() == 1).then_some(())
        };
        eventually("the chunks are gone", is_clean).await;
    }

    async fn an_archive_can_stay_until_it_expires_and_then_names_nobody(server: TestServer) {
        server.upsert(vec![user("ada"), user("bob")]).await;
        let export = server.completed(&start(&server, of_all(&["ada", "bob"])).await).await;
        archive(&server, &export, 1).await;
        let keeping = pb::DeleteUsersRequest {
            user_ids: vec!["ada".to_owned(), "bob".to_owned()],
            archives: pb::Archives::AtExpiry.into(),
            dry_run: true,
            ..erase("ada")
        };
        let unread = vec![pb::UnreadArchive { user_id: "ada".to_owned(), task_id: export.task_id.clone(), index: 0 }];
        let previewed = server.users().delete_users(keeping.clone()).await.answered();
        assert_eq!(previewed.unread_archives, unread);
        let erased = pb::DeleteUsersRequest { dry_run: false, ..keeping };
        let answer = server.users().delete_users(erased).await.answered();
        assert_eq!(answer.unread_archives, unread);
        server.completed(&answer.task.unwrap()).await;
        for index in [0, 1] {
            archive(&server, &export, index).await;
        }
        let users = server.backend().select(server.place(), "SELECT user_id FROM export_files").await;
        assert!(users.len() == 2 && users.iter().all(|user| user.contains("erased-")), "{users:?}");
        let bad = pb::DeleteUsersRequest { archives: 9, ..erase("ada") };
        assert_eq!(fields_of(&server.users().delete_users(bad).await.unwrap_err()), ["archives"]);
    }

    async fn an_archive_that_keeps_ids_goes_with_any_user_it_names(server: TestServer) {
        seed_messages(&server, 2_500).await;
        let keep = pb::ExportUsersRequest { references: pb::ExportReferences::Keep.into(), ..of_all(&["ada"]) };
        let kept = server.completed(&start(&server, keep).await).await;
        let pseudonymous = server.completed(&start(&server, of_all(&["ada"])).await).await;
        let records = unpack(&archive(&server, &kept, 0).await);
        assert!(records.iter().any(|record| record["item"]["mentioned_users_ids"] == json!(["other-3"])));
        let erased = server.users().delete_users(erase("other-3")).await.answered().task.unwrap();
        server.completed(&erased).await;
        let gone = download(&server, &kept, 0, 0).await.unwrap_err();
        assert_eq!(reason_of(&gone), "EXPORT_GONE");
        archive(&server, &pseudonymous, 0).await;
    }

    async fn an_export_that_was_accepted_first_runs_before_the_erasure(server: TestServer) {
        seed_messages(&server, 2_500).await;
        let export = start(&server, of_all(&["ada"])).await;
        let erased = server.users().delete_users(erase("ada")).await.answered().task.unwrap();
        let later = start(&server, of_all(&["ada"])).await;
        let export = server.completed(&export).await;
        assert_eq!(server.items(&export.task_id).await[0].outcome(), pb::ItemOutcome::Done);
        server.completed(&erased).await;
        let later = server.completed(&later).await;
        assert_eq!(server.items(&later.task_id).await[0].reason, "USER_DELETED");
    }

    async fn exports_and_deletions_have_a_due_date(server: TestServer) {
        server.upsert(vec![user("ada")]).await;
        let task = start(&server, of_all(&["ada"])).await;
        let days = |task: &pb::Task| {
            let seconds = task.due_at.unwrap().seconds - task.created_at.unwrap().seconds;
            seconds / 86_400
        };
        assert_eq!(days(&task), 30);
        server.set_up(pb::AppSettings { erasure_due_days: 3, ..Default::default() }, &["erasure_due_days"]).await;
        let erased = server.users().delete_users(erase("ada")).await.answered().task.unwrap();
        assert_eq!(days(&erased), 3);
        server.completed(&erased).await;
        let moved = server.deactivate_all(&["nobody".to_owned()]).await;
        assert!(moved.due_at.is_none());
        let overdue = pb::ListTasksRequest { overdue: true, ..Default::default() };
        assert!(server.tasks().list_tasks(overdue.clone()).await.answered().tasks.is_empty());
        // The task is made a failed one, and its date is moved back.
        let statement = format!("UPDATE tasks SET state = 'failed', due_at = 1 WHERE id = '{}'", erased.task_id);
        server.backend().meddle(server.place(), &statement).await;
        let tasks = server.tasks().list_tasks(overdue).await.answered().tasks;
        assert_eq!(tasks.iter().map(|task| &task.task_id).collect::<Vec<_>>(), [&erased.task_id]);
    }
}
