//! `GetFootprint`. What it counts of each kind is tested where one of each kind is imported.

use serde_json::json;
use tonic::{Code, Response, Status};

use super::import_kinds::people;
use crate::harness::{Answer, Caller, TestServer, each_backend, fields_of, item, pb};

async fn get(caller: &Caller, user: &str) -> Result<Response<pb::GetFootprintResponse>, Status> {
    caller.content().get_footprint(pb::GetFootprintRequest { user_id: user.to_owned() }).await
}

each_backend! {
    async fn of_nobody_there_is_none(server: TestServer) {
        get(&server, "nobody").await.refused(Code::NotFound, "USER_NOT_FOUND");
        let status = get(&server, "no id").await.refused(Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(fields_of(&status), ["user_id"]);
    }

    async fn a_user_with_nothing_has_an_empty_one(server: TestServer) {
        server.imported("people", &people()).await;
        assert_eq!(get(&server, "ada").await.answered().footprint, Some(pb::Footprint::default()));
    }

    async fn conversations_are_channels_of_exactly_two(server: TestServer) {
        let mut items = people();
        for (id, members) in [("one", vec!["ada"]), ("two", vec!["ada", "bob"]), ("three", vec!["ada", "bob", "eve"])] {
            items.push(item("channel", json!({"type": "messaging", "id": id, "created_by": "bob"})));
            items.extend(members.into_iter().map(|user| {
                item("member", json!({"channel_type": "messaging", "channel_id": id, "user_id": user}))
            }));
        }
        server.imported("channels", &items).await;
        let ada = get(&server, "ada").await.answered().footprint.unwrap();
        assert_eq!((ada.channel_memberships, ada.conversations, ada.channels), (3, 1, 0));
        let eve = get(&server, "eve").await.answered().footprint.unwrap();
        assert_eq!((eve.channel_memberships, eve.conversations), (1, 0));
    }

    async fn a_follow_between_two_feeds_of_one_user_counts_once(server: TestServer) {
        let mut items = people();
        for (group, owner) in [("user", "ada"), ("timeline", "ada"), ("other", "bob")] {
            items.push(item("feed", json!({"group_id": group, "id": "f", "fid": format!("{group}:f"),
                "created_by_id": owner})));
        }
        for (source, target) in [("timeline:f", "user:f"), ("timeline:f", "other:f"), ("other:f", "user:f")] {
            items.push(item("follow", json!({"source_fid": source, "target_fid": target})));
        }
        server.imported("feeds", &items).await;
        assert_eq!(get(&server, "ada").await.answered().footprint.unwrap().follows, 3);
        assert_eq!(get(&server, "bob").await.answered().footprint.unwrap().follows, 2);
    }

    async fn blocks_count_on_both_sides(server: TestServer) {
        let items = [
            item("user", json!({"id": "ada", "blocked_user_ids": ["bob", "eve"]})),
            item("user", json!({"id": "bob", "blocked_user_ids": ["ada"]})),
        ];
        server.imported("blocks", &items).await;
        assert_eq!(get(&server, "ada").await.answered().footprint.unwrap().blocks, 3);
    }
}
