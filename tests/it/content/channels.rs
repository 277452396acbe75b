//! `GetChannel`.

use serde_json::json;
use tonic::{Code, Response, Status};

use super::import_kinds::people;
use crate::harness::{Answer, Caller, TestServer, each_backend, fields_of, item, pb, user_ids};

async fn get(caller: &Caller, cid: &str) -> Result<Response<pb::GetChannelResponse>, Status> {
    let request = pb::GetChannelRequest { cid: cid.to_owned(), ..Default::default() };
    caller.content().get_channel(request).await
}

each_backend! {
    async fn names_that_are_none_are_refused(server: TestServer) {
        for cid in ["", "general", "messaging:", ":general", "a b:c", "messaging:!general", "messaging:a:b"] {
            let status = get(&server, cid).await.refused(Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(fields_of(&status), ["cid"], "{cid}");
        }
        let request = pb::GetChannelRequest {
            cid: "a:b".to_owned(),
            r#type: "a b".to_owned(),
            member_ids: vec!["no id".to_owned()],
            ..Default::default()
        };
        let status = server.content().get_channel(request).await.refused(Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(fields_of(&status), ["cid", "type", "member_ids[0]"]);
    }

    async fn a_channel_that_is_not_there_is_not_found(server: TestServer) {
        get(&server, "messaging:nowhere").await.refused(Code::NotFound, "CHANNEL_NOT_FOUND");
        let request = pb::GetChannelRequest {
            r#type: "messaging".to_owned(), member_ids: vec!["ada".to_owned()], ..Default::default()
        };
        let refused = server.content().get_channel(request).await.refused(Code::NotFound, "CHANNEL_NOT_FOUND");
        assert_eq!(fields_of(&refused), ["member_ids"]);
    }

    async fn nothing_of_another_app_is_found(server: TestServer) {
        let mut items = people();
        items.push(item("channel", json!({"type": "messaging", "id": "c", "created_by": "ada"})));
        server.imported("here", &items).await;
        get(&server, "messaging:c").await.answered();
        let app = server.backend().create_app("other", server.place()).await;
        get(&server.of_app(app), "messaging:c").await.refused(Code::NotFound, "CHANNEL_NOT_FOUND");
    }

    async fn members_come_by_user_id_a_page_at_a_time(server: TestServer) {
        let ids = user_ids("u", 130);
        let mut items: Vec<_> = ids.iter().map(|id| item("user", json!({"id": id}))).collect();
        items.push(item("channel", json!({"type": "messaging", "id": "c", "created_by": ids[0]})));
        items.extend(ids.iter().rev().map(|id| {
            item("member", json!({"channel_type": "messaging", "channel_id": "c", "user_id": id}))
        }));
        server.imported("many", &items).await;
        let (mut told, mut page_token) = (Vec::new(), String::new());
        for expected in [50, 50, 30] {
            let request = pb::GetChannelRequest {
                cid: "messaging:c".to_owned(), limit: 50, page_token, ..Default::default()
            };
            let page = server.content().get_channel(request).await.answered();
            let found = page.channel.unwrap();
            assert_eq!((found.members_total, found.members.len()), (130, expected));
            told.extend(found.members.into_iter().map(|member| member.user_id));
            page_token = page.next_page_token;
        }
        assert_eq!((told, page_token.as_str()), (ids, ""));

        let first = get(&server, "messaging:c").await.answered().next_page_token;
        let other = pb::GetChannelRequest {
            cid: "messaging:d".to_owned(), page_token: first, ..Default::default()
        };
        server.content().get_channel(other).await.refused(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    }
}
