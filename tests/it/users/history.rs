//! Histories: who did what to a user, and why; kept in its time, and gone with the user.

use serde_json::json;
use tonic::Code;

use crate::harness::{
    Answer, Backend, Caller, TestServer, each_backend, eventually, fields_of, pb, struct_of, user, user_ids,
};
use pb::UserHistoryKind::{
    Deactivated, Deleted, Pruned, Reactivated, Restored, RevocationCleared, TokensRevoked,
};

/// In microseconds, as the table has it.
const DAY: i64 = 86_400_000_000;

/// All entries about a user, the oldest first.
async fn history(caller: &Caller, id: &str) -> Vec<pb::UserHistoryEntry> {
    let request = pb::ListUserHistoryRequest { user_id: id.to_owned(), limit: 1_000, ..Default::default() };
    let answer = caller.users().list_user_history(request).await.answered();
    assert_eq!(answer.next_page_token, "");
    let mut entries = answer.entries;
    entries.reverse();
    assert!(entries.iter().all(|entry| entry.user_id == id && entry.at.is_some()), "{entries:?}");
    entries
}

/// What happened, who asked for it, and why.
async fn told(caller: &Caller, id: &str) -> Vec<(pb::UserHistoryKind, String, String)> {
    let entries = history(caller, id).await;
    entries.into_iter().map(|entry| (entry.kind(), entry.by_id, entry.reason)).collect()
}

fn said(kind: pb::UserHistoryKind, by: &str, reason: &str) -> (pb::UserHistoryKind, String, String) {
    (kind, by.to_owned(), reason.to_owned())
}

fn deactivate(id: &str, by: &str, reason: &str) -> pb::DeactivateUserRequest {
    pb::DeactivateUserRequest {
        user_id: id.to_owned(),
        created_by_id: by.to_owned(),
        reason: reason.to_owned(),
        ..Default::default()
    }
}

fn soft(ids: &[&str], by: &str, reason: &str) -> pb::DeleteUsersRequest {
    pb::DeleteUsersRequest {
        user_ids: ids.iter().map(ToString::to_string).collect(),
        created_by_id: by.to_owned(),
        reason: reason.to_owned(),
        ..Default::default()
    }
}

fn hard(ids: &[&str]) -> pb::DeleteUsersRequest {
    let hard = pb::DeleteMode::Hard.into();
    pb::DeleteUsersRequest { user: hard, messages: hard, conversations: hard, ..soft(ids, "", "") }
}

async fn delete(caller: &Caller, request: pb::DeleteUsersRequest) -> pb::Task {
    let task = caller.users().delete_users(request).await.answered().task.unwrap();
    caller.completed(&task).await
}

fn deactivation(user: &pb::User) -> [&str; 2] {
    [&user.deactivated_by_id, &user.deactivation_reason]
}

each_backend! {
    async fn a_deactivated_user_says_who_asked_for_it_and_why(server: TestServer) {
        server.seed(&["ada".to_owned(), "grace".to_owned()]).await;
        let request = deactivate("ada", "grace", "left the company");
        let off = server.users().deactivate_user(request).await.answered().user.unwrap();
        assert_eq!(deactivation(&off), ["grace", "left the company"]);
        assert_eq!(server.user("ada").await, off);
        let query = pb::QueryUsersRequest {
            filter: Some(struct_of(json!({"id": "ada"}))),
            include_deactivated_users: true,
            ..Default::default()
        };
        let found = server.users().query_users(query).await.answered().users;
        assert_eq!(deactivation(&found[0]), ["grace", "left the company"]);

        // It comes back from a deletion as it was.
        delete(&server, soft(&["ada"], "", "")).await;
        assert_eq!(deactivation(&server.user("ada").await), ["grace", "left the company"]);
        let restore = pb::RestoreUsersRequest { user_ids: vec!["ada".to_owned()], ..Default::default() };
        let task = server.users().restore_users(restore).await.answered().task.unwrap();
        server.completed(&task).await;
        assert_eq!(deactivation(&server.user("ada").await), ["grace", "left the company"]);

        let on = pb::ReactivateUserRequest { user_id: "ada".to_owned(), reason: "back".to_owned(), ..Default::default() };
        let on = server.users().reactivate_user(on).await.answered().user.unwrap();
        assert_eq!((deactivation(&on), on.deactivated_at), (["", ""], None));
        assert_eq!(server.user("ada").await, on);
        // Nothing of an earlier one is left where the next one says nothing.
        assert_eq!(deactivation(&server.deactivate("ada").await), ["", ""]);
    }

    async fn every_move_is_in_the_history_with_who_asked_for_it_and_why(server: TestServer) {
        server.seed(&["ada".to_owned(), "bob".to_owned(), "boss".to_owned()]).await;
        server.users().deactivate_user(deactivate("ada", "boss", "one")).await.answered();
        let on = pb::ReactivateUserRequest {
            user_id: "ada".to_owned(),
            created_by_id: "boss".to_owned(),
            reason: "two".to_owned(),
            name: "Ada".to_owned(),
            ..Default::default()
        };
        server.users().reactivate_user(on).await.answered();
        let user_ids = || vec!["ada".to_owned(), "bob".to_owned(), "nobody".to_owned()];
        let off = pb::DeactivateUsersRequest { user_ids: user_ids(), reason: "three".to_owned(), ..Default::default() };
        let off = server.users().deactivate_users(off).await.answered().task.unwrap();
        server.completed(&off).await;
        // It is so already: nothing happens.
        let task = server.deactivate_all(&user_ids()).await;
        server.completed(&task).await;
        let on = pb::ReactivateUsersRequest {
            user_ids: user_ids(),
            created_by_id: "boss".to_owned(),
            ..Default::default()
        };
        let on = server.users().reactivate_users(on).await.answered().task.unwrap();
        server.completed(&on).await;
        let gone = delete(&server, soft(&["ada", "nobody"], "boss", "five")).await;
        let back = pb::RestoreUsersRequest {
            user_ids: vec!["ada".to_owned()],
            reason: "six".to_owned(),
            ..Default::default()
        };
        let back = server.users().restore_users(back).await.answered().task.unwrap();
        server.completed(&back).await;
        delete(&server, soft(&["ada"], "", "seven")).await;
        let pruning = || pb::DeleteUsersRequest { user: pb::DeleteMode::Pruning.into(), ..soft(&["ada"], "boss", "eight") };
        delete(&server, pruning()).await;
        delete(&server, pruning()).await;

        let expected = [
            said(Deactivated, "boss", "one"),
            said(Reactivated, "boss", "two"),
            said(Deactivated, "", "three"),
            said(Reactivated, "boss", ""),
            said(Deleted, "boss", "five"),
            said(Restored, "", "six"),
            said(Deleted, "", "seven"),
            said(Pruned, "boss", "eight"),
        ];
        assert_eq!(told(&server, "ada").await, expected);
        let entries = history(&server, "ada").await;
        let tasks: Vec<&str> = entries[..6].iter().map(|entry| entry.task_id.as_str()).collect();
        assert_eq!(tasks, ["", "", &off.task_id, &on.task_id, &gone.task_id, &back.task_id]);
        assert!(entries.windows(2).all(|two| {
            let [one, next] = [&two[0], &two[1]].map(|entry| entry.at.map(|at| (at.seconds, at.nanos)));
            one <= next
        }));
        let bob = history(&server, "bob").await;
        assert_eq!(bob.iter().map(pb::UserHistoryEntry::kind).collect::<Vec<_>>(), [Deactivated, Reactivated]);
        let ada = server.user("ada").await;
        assert_eq!(deactivation(&ada), ["", ""]);
    }

    async fn pruning_leaves_no_reason_on_the_user(server: TestServer) {
        server.seed(&["ada".to_owned()]).await;
        server.users().deactivate_user(deactivate("ada", "boss", "rude")).await.answered();
        let pruning = pb::DeleteUsersRequest { user: pb::DeleteMode::Pruning.into(), ..soft(&["ada"], "", "") };
        delete(&server, pruning).await;
        let ada = server.user("ada").await;
        assert!(ada.deactivated_at.is_some());
        assert_eq!(deactivation(&ada), ["", ""]);
    }

    async fn content_that_is_marked_leads_to_its_task(server: TestServer) {
        server.seed(&["ada".to_owned()]).await;
        let request = pb::DeactivateUserRequest { mark_messages_deleted: true, ..deactivate("ada", "", "spam") };
        let answer = server.users().deactivate_user(request).await.answered();
        server.completed(&server.task(&answer.task_id).await).await;
        let entries = history(&server, "ada").await;
        assert_eq!(entries.iter().map(|entry| entry.task_id.as_str()).collect::<Vec<_>>(), [answer.task_id]);
    }

    async fn a_deletion_that_is_cancelled_is_in_the_history_as_undone(server: TestServer) {
        server.seed(&["ada".to_owned()]).await;
        let server = server.restart_with(&["--workers", "0"]).await;
        let task = server.users().delete_users(soft(&["ada"], "boss", "mistake")).await.answered().task.unwrap();
        let other = server.users().delete_users(soft(&["ada"], "eve", "again")).await.answered().task.unwrap();
        let erasing = server.users().delete_users(hard(&["ada"])).await.answered().task.unwrap();
        for task in [&task, &other, &erasing] {
            server.tasks().cancel_task(pb::CancelTaskRequest { task_id: task.task_id.clone() }).await.answered();
        }
        assert_eq!(server.user("ada").await.deleted_at, None);
        let expected = [
            said(Deleted, "boss", "mistake"),
            said(Restored, "", ""),
            said(Deleted, "eve", "again"),
            said(Restored, "", ""),
        ];
        assert_eq!(told(&server, "ada").await, expected);
        let entries = history(&server, "ada").await;
        let tasks: Vec<&str> = entries.iter().map(|entry| entry.task_id.as_str()).collect();
        assert_eq!(tasks, [&task.task_id, &task.task_id, &other.task_id, &other.task_id]);
    }

    async fn a_user_whom_a_later_deletion_waits_for_is_restored_and_deleted_again(server: TestServer) {
        server.seed(&["ada".to_owned()]).await;
        delete(&server, soft(&["ada"], "", "one")).await;
        let server = server.restart_with(&["--workers", "0"]).await;
        let restore =
            pb::RestoreUsersRequest { user_ids: vec!["ada".to_owned()], reason: "two".to_owned(), ..Default::default() };
        server.users().restore_users(restore).await.answered();
        let last = server.users().delete_users(soft(&["ada"], "eve", "three")).await.answered().task.unwrap();
        let server = server.restart_with(&[]).await;
        server.completed(&last).await;
        assert!(server.user("ada").await.deleted_at.is_some());
        let expected = [said(Deleted, "", "one"), said(Restored, "", "two"), said(Deleted, "eve", "three")];
        assert_eq!(told(&server, "ada").await, expected);
    }

    async fn revocations_are_in_the_history_and_other_writes_are_not(server: TestServer) {
        server.seed(&["ada".to_owned()]).await;
        server.upsert(vec![pb::UserInput { name: "Ada".to_owned(), ..user("ada") }]).await;
        let patch = async |set: serde_json::Value| {
            let patch = pb::UserPatch { id: "ada".to_owned(), set: Some(struct_of(set)), ..Default::default() };
            let request = pb::UpdateUsersPartialRequest { users: vec![patch] };
            server.users().update_users_partial(request).await.answered();
        };
        patch(json!({"color": "green"})).await;
        server.import_users("again", &[json!({"id": "ada", "name": "Countess"})]).await;
        assert_eq!(history(&server, "ada").await, []);

        let revoke = || pb::RevokeUserTokensRequest { user_ids: vec!["ada".to_owned()], ..Default::default() };
        server.tokens().revoke_user_tokens(revoke()).await.answered();
        server.tokens().revoke_user_tokens(pb::RevokeUserTokensRequest { clear: true, ..revoke() }).await.answered();
        patch(json!({"revoke_tokens_issued_before": "2024-05-01T12:00:00Z", "color": "red"})).await;
        let expected =
            [said(TokensRevoked, "", ""), said(RevocationCleared, "", ""), said(TokensRevoked, "", "")];
        assert_eq!(told(&server, "ada").await, expected);
        let missing = pb::RevokeUserTokensRequest { user_ids: vec!["ada".to_owned(), "x".to_owned()], ..revoke() };
        server.tokens().revoke_user_tokens(missing).await.refused(Code::NotFound, "USER_NOT_FOUND");
        assert_eq!(history(&server, "ada").await.len(), 3, "all or nothing");
    }

    async fn an_import_that_deactivates_a_user_anew_leaves_no_old_reason(server: TestServer) {
        server.seed(&["ada".to_owned()]).await;
        server.users().deactivate_user(deactivate("ada", "boss", "rude")).await.answered();
        let same = server.user("ada").await.deactivated_at.unwrap();
        let off = json!({"id": "ada", "deactivated_at": "2024-05-01T12:00:00Z"});
        server.import_users("anew", &[off]).await;
        let ada = server.user("ada").await;
        assert_ne!(ada.deactivated_at, Some(same));
        assert_eq!(deactivation(&ada), ["", ""]);
    }

    async fn a_history_is_read_in_pages_the_newest_first(server: TestServer) {
        server.seed(&["ada".to_owned(), "bob".to_owned()]).await;
        for _ in 0..3 {
            server.deactivate("ada").await;
            let on = pb::ReactivateUserRequest { user_id: "ada".to_owned(), ..Default::default() };
            server.users().reactivate_user(on).await.answered();
        }
        server.deactivate("ada").await;
        let page = |id: &str, limit: i32, page_token: &str| pb::ListUserHistoryRequest {
            user_id: id.to_owned(),
            limit,
            page_token: page_token.to_owned(),
        };
        let (mut kinds, mut token, mut sizes) = (Vec::new(), String::new(), Vec::new());
        loop {
            let answer = server.users().list_user_history(page("ada", 3, &token)).await.answered();
            sizes.push(answer.entries.len());
            kinds.extend(answer.entries.iter().map(pb::UserHistoryEntry::kind));
            if answer.next_page_token.is_empty() {
                break;
            }
            token = answer.next_page_token;
            if sizes.len() == 1 {
                // What happens meanwhile moves nothing.
                server.tokens().revoke_user_tokens(pb::RevokeUserTokensRequest {
                    user_ids: vec!["ada".to_owned()],
                    ..Default::default()
                }).await.answered();
            }
        }
        assert_eq!(sizes, [3, 3, 1]);
        let expected = [Deactivated, Reactivated, Deactivated, Reactivated, Deactivated, Reactivated, Deactivated];
        assert_eq!(kinds, expected);

        let list = async |request| server.users().list_user_history(request).await;
        list(page("bob", 3, &token)).await.refused(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
        list(page("ada", 3, "x")).await.refused(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
        let status = list(page("a b", 1_001, "")).await.refused(Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(fields_of(&status), ["user_id", "limit"]);
        list(page("nobody", 0, "")).await.refused(Code::NotFound, "USER_NOT_FOUND");
        assert_eq!(list(page("bob", 0, "")).await.answered().entries, []);
        let bob = server.with_token(&server.user_token("bob").await);
        bob.users().list_user_history(page("bob", 0, "")).await.refused(Code::PermissionDenied, "PERMISSION_MISSING");
    }

    async fn entries_that_are_too_old_go_and_no_others(backend: Backend) {
        let server = backend.start().await;
        let ids = user_ids("u", 1_100);
        server.seed(&ids).await;
        server.completed(&server.deactivate_all(&ids).await).await;
        server.completed(&server.reactivate_all(&ids).await).await;
        let place = server.place().clone();
        server.stop().await;
        let age = |kind: i32, days: i64| {
            format!("UPDATE user_history SET created_at = created_at - {} WHERE kind = {kind}", days * DAY)
        };
        backend.meddle(&place, &age(1, 1_096)).await;
        backend.meddle(&place, &age(2, 1_094)).await;

        let server = backend.try_start_at(&place).await.expect("the server starts");
        for id in [&ids[0], &ids[1_099]] {
            let kinds = async || {
                let kinds: Vec<_> = history(&server, id).await.iter().map(pb::UserHistoryEntry::kind).collect();
                (kinds == [Reactivated]).then_some(())
            };
            eventually("only what is young enough", kinds).await;
        }
        let settings = pb::AppSettings { history_retention_days: 0, ..Default::default() };
        server.set_up(settings, &["history_retention_days"]).await;
        let shop = backend.create_app("shop", &place).await;
        server.of_app(shop.clone()).upsert(vec![user("u")]).await;
        server.of_app(shop.clone()).deactivate("u").await;
        server.stop().await;
        backend.meddle(&place, &age(1, 4_000)).await;
        backend.meddle(&place, &age(2, 4_000)).await;
        let server = backend.try_start_at(&place).await.expect("the server starts");
        let shop = server.of_app(shop);
        eventually("nothing in the app that is swept last", async || {
            history(&shop, "u").await.is_empty().then_some(())
        })
        .await;
        assert_eq!(history(&server, &ids[0]).await.len(), 1, "kept as long as the user");
    }

    async fn an_erased_user_is_in_no_history(server: TestServer) {
        let ids = ["ada", "bob", "joann", "eve"].map(str::to_owned);
        server.seed(&ids).await;
        // By ann, about others; with ann, about others; and about ann alone.
        server.seed(&["ann".to_owned()]).await;
        server.users().deactivate_user(deactivate("ada", "ann", "ann and joann disagree")).await.answered();
        server.users().deactivate_user(deactivate("joann", "ann", "no word")).await.answered();
        let off = pb::DeactivateUsersRequest {
            user_ids: vec!["ann".to_owned(), "bob".to_owned(), "eve".to_owned()],
            created_by_id: "eve".to_owned(),
            reason: "ann, with the others".to_owned(),
            ..Default::default()
        };
        let off = server.users().deactivate_users(off).await.answered().task.unwrap();
        server.completed(&off).await;
        // The task may be forgotten long before the histories are.
        let forget = "DELETE FROM tasks WHERE kind = 'deactivate_users'";
        server.backend().meddle(server.place(), "DELETE FROM task_items").await;
        server.backend().meddle(server.place(), forget).await;

        delete(&server, hard(&["ann"])).await;
        let request = pb::ListUserHistoryRequest { user_id: "ann".to_owned(), ..Default::default() };
        server.users().list_user_history(request).await.refused(Code::NotFound, "USER_NOT_FOUND");
        let [ada, joann, bob] = ["ada", "joann", "bob"].map(|id| told(&server, id));
        let (ada, joann, bob) = (ada.await, joann.await, bob.await);
        let pseudonym = ada[0].1.clone();
        assert!(pseudonym.starts_with("erased-"), "{pseudonym}");
        assert_eq!(ada, [said(Deactivated, &pseudonym, &format!("{pseudonym} and joann disagree"))]);
        assert_eq!(joann, [said(Deactivated, &pseudonym, "no word")]);
        assert_eq!(bob, [said(Deactivated, "eve", &format!("{pseudonym}, with the others"))]);
        let reasons = [
            ("ada", [pseudonym.clone(), format!("{pseudonym} and joann disagree")]),
            ("joann", [pseudonym.clone(), "no word".to_owned()]),
            ("bob", ["eve".to_owned(), format!("{pseudonym}, with the others")]),
        ];
        for (id, expected) in reasons {
            assert_eq!(deactivation(&server.user(id).await), expected, "{id}");
        }

        let new = server.upsert(vec![user("ann")]).await;
        assert_eq!(new[0].version, 1);
        assert_eq!(history(&server, "ann").await, [], "the next user of the id has no past");
    }
}
