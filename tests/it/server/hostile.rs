//! Calls made to cost more than they are worth. Each ends within the limit of a test, which a server that
//! does the work they ask for does not.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde_json::json;
use tonic::{Code, Request};

use crate::harness::raw::{GOAWAY, PING, RawPeer};
use crate::harness::{Answer, TestServer, each_backend, pb, user, user_ids, user_item};

/// Below what any of these takes where work grows with the product of two sizes.
const SOON: Duration = Duration::from_secs(20);

/// One key of a million characters that holds a hundred thousand values: their paths would be 100 GB.
fn wide(kind: &Kind) -> Struct {
    let list = ListValue { values: vec![Value { kind: Some(kind.clone()) }; 100_000] };
    let member = Value { kind: Some(Kind::ListValue(list)) };
    Struct { fields: [("k".repeat(1_000_000), member)].into() }
}

each_backend! {
    async fn wide_data_below_a_long_name_is_refused_at_once(server: TestServer) {
        for kind in [Kind::NullValue(0), Kind::NumberValue(f64::NAN), Kind::StringValue("\0".to_owned())] {
            let ended = tokio::time::timeout(SOON, async {
                let input = pb::UserInput { custom: Some(wide(&kind)), ..user("ada") };
                let upsert = pb::UpsertUsersRequest { users: vec![input] };
                let status = server.users().upsert_users(upsert).await.expect_err("should be refused");
                assert_eq!(status.code(), Code::InvalidArgument);

                let query = pb::QueryUsersRequest { filter: Some(wide(&kind)), ..Default::default() };
                let status = server.users().query_users(query).await.expect_err("should be refused");
                assert_eq!(status.code(), Code::InvalidArgument);

                let claims = pb::CreateUserTokenRequest {
                    user_id: "ada".to_owned(),
                    claims: Some(wide(&kind)),
                    ..Default::default()
                };
                let status = server.tokens().create_user_token(claims).await.expect_err("should be refused");
                assert_eq!(status.code(), Code::InvalidArgument);
            });
            ended.await.expect("work that grows with the product of two sizes");
        }
    }

    async fn wide_data_below_a_long_path_is_refused_at_once(server: TestServer) {
        for kind in [Kind::NullValue(0), Kind::NumberValue(f64::NAN), Kind::StringValue("\0".to_owned())] {
            let patch = pb::UserPatch { id: "ada".to_owned(), set: Some(wide(&kind)), ..Default::default() };
            let update = pb::UpdateUsersPartialRequest { users: vec![patch] };
            let mut users = server.users();
            let ended = tokio::time::timeout(SOON, users.update_users_partial(update)).await;
            let status = ended.expect("work that grows with the product of two sizes").expect_err("refused");
            assert_eq!(status.code(), Code::InvalidArgument);
        }
    }

    async fn callers_who_give_up_at_once_cost_no_other_caller_of_their_connection_anything(server: TestServer) {
        let ids = user_ids("u", 50);
        server.seed(&ids).await;
        let ask = || pb::GetUsersRequest { user_ids: ids.clone(), include_deleted: false };
        let bursts = async {
            // Fewer resets than a connection may send in a second, however fast this machine is.
            for _ in 0..9 {
                let burst = (0..200).map(|_| async {
                    let mut request = Request::new(ask());
                    request.set_timeout(Duration::from_millis(3));
                    server.users().get_users(request).await.is_ok()
                });
                join_all(burst).await;
            }
        };
        let steady = async {
            loop {
                server.users().get_users(ask()).await.answered();
            }
        };
        tokio::select! {
            () = bursts => {}
            () = steady => {}
        }
        server.users().get_users(ask()).await.answered();
    }

    async fn a_peer_that_resets_too_many_streams_is_cut_off(server: TestServer) {
        server.seed(&user_ids("u", 1)).await;
        let mut peer = RawPeer::connect(&server).await;
        let path = "/usher.v1.UserService/GetUsers";
        let pair = |stream| [peer.begin(stream, path), RawPeer::reset(stream)].concat();
        let mut flood: Vec<u8> = (0..10_000).flat_map(|number| pair(2 * number + 1)).collect();
        flood.extend(RawPeer::ping());
        let begun = Instant::now();
        // It may be cut off before all is sent.
        let _ = peer.send(&flood).await;
        let end = peer.until(|frame| [GOAWAY, PING].contains(&frame.kind)).await;
        match end {
            Some(frame) if frame.kind == GOAWAY => {
                assert_eq!(frame.payload[4..8], [0, 0, 0, 0xb], "ENHANCE_YOUR_CALM");
            }
            // A machine that is too busy for more than 2,000 a second has read them all.
            Some(_) => assert!(begun.elapsed() > Duration::from_secs(4), "{:?}", begun.elapsed()),
            None => {}
        }
        server.seed(&user_ids("still-there", 1)).await;
    }

    async fn more_blocks_than_a_user_can_have_are_refused_and_the_import_goes_on(server: TestServer) {
        let blocked = |number: usize| -> Vec<String> { (0..number).map(|at| format!("b{at}")).collect() };
        let mut import = server.import("blocks", pb::ImportMode::Upsert).await;
        import.send(0, &user_item(&json!({"id": "most", "blocked_user_ids": blocked(1_000)}))).await;
        import.send(1, &user_item(&json!({"id": "more", "blocked_user_ids": blocked(20_000)}))).await;
        import.send(2, &user_item(&json!({"id": "none"}))).await;
        let tally = import.finish().await;

        assert_eq!((tally.accepted, tally.refused.len()), (2, 1));
        let refusal = &tally.refused[0];
        assert_eq!((refusal.reason.as_str(), refusal.field.as_str()), ("TOO_LARGE", "blocked_user_ids"));
        let request = pb::GetUsersRequest { user_ids: vec!["most".to_owned()], include_deleted: false };
        let got = server.users().get_users(request).await.answered();
        assert_eq!(got.users[0].blocked_user_ids.len(), 1_000);
    }
}
