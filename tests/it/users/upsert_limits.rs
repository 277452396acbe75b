//! `UpsertUsers`: the form a user must have, at both sides of every limit.

use prost_types::value::Kind;
use prost_types::{Struct, Timestamp, Value as WireValue};
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::harness::{
    Answer, Caller, TestServer, each_backend, fields_of, metadata_of, pb, struct_of, user, user_ids,
};

/// What is told of a batch with a good user before and behind the one in question; nothing of it is stored.
async fn refusal(caller: &Caller, what: &str, input: pb::UserInput) -> Status {
    let users = vec![user("good-1"), input, user("good-2")];
    let Err(status) = caller.users().upsert_users(pb::UpsertUsersRequest { users }).await else {
        panic!("{what} should be refused");
    };
    assert!(
        caller.read(&["good-1".into(), "good-2".into()]).await.is_empty(),
        "{what}: nothing is half written"
    );
    status
}

/// Each of these is refused, and the field at fault is named.
async fn all_refused(caller: &Caller, cases: Vec<(&str, &str, pb::UserInput)>) {
    for (what, field, input) in cases {
        let status = refusal(caller, what, input).await;
        let path = if field.is_empty() { "users[1]".to_owned() } else { format!("users[1].{field}") };
        assert_eq!(fields_of(&status), [path], "{what}: {status:?}");
        Err::<tonic::Response<()>, _>(status).refused(Code::InvalidArgument, "INVALID_FIELD");
    }
}

/// Each of these is stored and read back with its free data unchanged.
async fn all_stored(caller: &Caller, cases: Vec<(&str, pb::UserInput)>) {
    for (what, input) in cases {
        let custom = input.custom.clone();
        let request = pb::UpsertUsersRequest { users: vec![input] };
        let stored = caller.users().upsert_users(request).await;
        let stored = stored.unwrap_or_else(|status| panic!("{what} should be stored, but: {status:?}"));
        assert_eq!(stored.into_inner().users[0].custom, custom, "{what}");
    }
}

fn with_custom(custom: Value) -> pb::UserInput {
    pb::UserInput { custom: Some(struct_of(custom)), ..user("ada") }
}

fn with_number(number: f64) -> pb::UserInput {
    let value = WireValue { kind: Some(Kind::NumberValue(number)) };
    pb::UserInput { custom: Some(Struct { fields: [("n".to_owned(), value)].into() }), ..user("ada") }
}

fn with_teams(teams: Vec<String>) -> pb::UserInput {
    pb::UserInput { teams, ..user("ada") }
}

/// `levels` objects within each other.
fn nested(levels: usize) -> Value {
    (1..levels).fold(json!({"end": 1}), |inner, _| json!({"x": inner}))
}

/// As many as the head of an answer has room for, 50 at most, and in order.
fn are_the_first(fields: &[String], field: impl Fn(usize) -> String) {
    assert!((30..=50).contains(&fields.len()), "{} are listed", fields.len());
    let expected: Vec<String> = (0..fields.len()).map(field).collect();
    assert_eq!(fields, expected);
}

each_backend! {
    async fn ids_keep_to_their_pattern_and_length(server: TestServer) {
        all_stored(
            &server,
            vec![
                ("one character", user("a")),
                ("every kind of character", user("A-z_0@9")),
                ("255 characters", user(&"x".repeat(255))),
            ],
        )
        .await;
        let refused = [
            "",
            " ",
            "a b",
            "a.b",
            "a/b",
            "a|b",
            "a:b",
            "é",
            "日",
            "a\0",
            "a\n",
            "\u{202e}a",
            "'; DROP TABLE users; --",
        ];
        all_refused(&server, refused.into_iter().map(|id| (id, "id", user(id))).collect()).await;
        all_refused(&server, vec![("256 characters", "id", user(&"x".repeat(256)))]).await;
    }

    async fn text_fields_keep_to_their_lengths(server: TestServer) {
        let name = |name: String| pb::UserInput { name, ..user("ada") };
        let image = |image: String| pb::UserInput { image, ..user("ada") };
        let language = |language: String| pb::UserInput { language, ..user("ada") };
        all_stored(
            &server,
            vec![
                ("a name of 255 characters, not bytes", name("é".repeat(255))),
                ("an image of 2,048 bytes", image("i".repeat(2_048))),
                ("a language of 64 bytes", language("l".repeat(64))),
            ],
        )
        .await;
        all_refused(
            &server,
            vec![
                ("a name of 256 characters", "name", name("é".repeat(256))),
                ("an image of 2,049 bytes", "image", image("i".repeat(2_049))),
                ("a language of 65 bytes", "language", language("l".repeat(65))),
            ],
        )
        .await;
    }

    async fn teams_keep_to_their_number_and_length(server: TestServer) {
        let teams = |count: usize| (0..count).map(|number| format!("t{number}")).collect::<Vec<_>>();
        all_stored(
            &server,
            vec![
                ("250 teams", with_teams(teams(250))),
                ("a team of 100 bytes", with_teams(vec!["é".repeat(50)])),
            ],
        )
        .await;
        all_refused(
            &server,
            vec![
                ("251 teams", "teams", with_teams(teams(251))),
                ("a team of 101 bytes", "teams[1]", with_teams(vec!["ok".to_owned(), "x".repeat(101)])),
                ("a team of 102 bytes in 51 characters", "teams[0]", with_teams(vec!["é".repeat(51)])),
                ("an empty team", "teams[0]", with_teams(vec![String::new()])),
            ],
        )
        .await;
    }

    async fn roles_by_team_keep_to_their_number_and_length(server: TestServer) {
        let by_team = |count: usize| pb::UserInput {
            teams_role: (0..count).map(|number| (format!("t{number}"), "user".to_owned())).collect(),
            ..user("ada")
        };
        all_stored(&server, vec![("250 teams", by_team(250))]).await;
        let one = |team: &str, role: &str| pb::UserInput {
            teams_role: [(team.to_owned(), role.to_owned())].into(),
            ..user("ada")
        };
        all_refused(
            &server,
            vec![
                ("251 teams", "teams_role", by_team(251)),
                ("a team of 101 bytes", "teams_role", one(&"x".repeat(101), "user")),
                ("no team", "teams_role", one("", "user")),
                ("no role", "teams_role", one("red", "")),
            ],
        )
        .await;
    }

    async fn a_nul_is_refused_wherever_text_is(server: TestServer) {
        let nul = || "a\0b".to_owned();
        all_refused(
            &server,
            vec![
                ("in a name", "name", pb::UserInput { name: nul(), ..user("ada") }),
                ("in an image", "image", pb::UserInput { image: nul(), ..user("ada") }),
                ("in a role", "role", pb::UserInput { role: nul(), ..user("ada") }),
                ("in a language", "language", pb::UserInput { language: nul(), ..user("ada") }),
                ("in a team", "teams[0]", with_teams(vec![nul()])),
                (
                    "in a team with a role",
                    "teams_role",
                    pb::UserInput { teams_role: [(nul(), "user".to_owned())].into(), ..user("ada") },
                ),
                (
                    "in the role of a team",
                    "teams_role",
                    pb::UserInput { teams_role: [("red".to_owned(), nul())].into(), ..user("ada") },
                ),
                ("in free text", "custom.a[0].b", with_custom(json!({"a": [{"b": "x\0"}]}))),
                ("in a free name", "custom.a\u{fffd}", with_custom(json!({"a\0": 1}))),
            ],
        )
        .await;
    }

    async fn free_data_nests_sixteen_levels_deep(server: TestServer) {
        all_stored(
            &server,
            vec![
                ("16 levels", with_custom(nested(16))),
                ("arrays count", with_custom(json!({"a": [[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}))),
            ],
        )
        .await;
        for (what, custom) in
            [("17 levels", nested(17)), ("17 with arrays", json!({"a": [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}))]
        {
            let status = refusal(&server, what, with_custom(custom)).await;
            assert!(fields_of(&status)[0].starts_with("users[1].custom."), "{what}: {status:?}");
            Err::<tonic::Response<()>, _>(status).refused(Code::InvalidArgument, "INVALID_FIELD");
        }
    }

    async fn numbers_are_stored_as_they_are_or_refused(server: TestServer) {
        let edge = 9_007_199_254_740_992.0;
        let stored =
            [0.0, 1.0, -1.0, 0.1, 1.5e300, -2.5e-300, 5e-324, f64::MAX, f64::MIN_POSITIVE, edge, -edge];
        all_stored(&server, stored.into_iter().map(|number| ("a number", with_number(number))).collect())
            .await;
        all_refused(
            &server,
            vec![
                ("not a number", "custom.n", with_number(f64::NAN)),
                ("infinity", "custom.n", with_number(f64::INFINITY)),
                ("minus infinity", "custom.n", with_number(f64::NEG_INFINITY)),
            ],
        )
        .await;
    }

    async fn any_finite_number_is_read_back_bit_by_bit(server: TestServer) {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let numbers: Vec<f64> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from_bits(state)
        })
        .filter(|number| number.is_finite())
        .take(400)
        .collect();
        let ids = user_ids("u", numbers.len());
        let input = |(id, number): (&String, &f64)| pb::UserInput { id: id.clone(), ..with_number(*number) };

        let stored = server.upsert(ids.iter().zip(&numbers).map(input).collect()).await;

        for (number, user) in numbers.iter().zip(server.read(&ids).await) {
            assert_eq!(user.custom, with_number(*number).custom);
        }
        assert_eq!(stored.len(), numbers.len());
    }

    async fn a_value_without_a_kind_is_refused(server: TestServer) {
        let custom = Struct { fields: [("n".to_owned(), WireValue { kind: None })].into() };
        let input = pb::UserInput { custom: Some(custom), ..user("ada") };
        all_refused(&server, vec![("no kind", "custom.n", input)]).await;
    }

    async fn naughty_text_comes_back_as_sent(server: TestServer) {
        let texts = [
            "'; DROP TABLE users; --",
            "\\",
            "\"",
            "%_",
            "\u{1}\u{1f}\u{7f}",
            "\u{feff}",
            "e\u{301} é",
            "🏳️‍🌈",
            "\u{202e}txt",
            "${jndi:ldap://x}",
            "null",
            "{{7*7}}",
            "\r\n",
            "\u{ffff}",
            "\u{10ffff}",
            " leading and trailing ",
        ];
        for text in texts {
            let name = text.to_owned();
            let custom = Some(struct_of(json!({text: text, "nested": {text: [text]}})));
            let stored =
                server.upsert(vec![pb::UserInput { name, custom: custom.clone(), ..user("ada") }]).await;
            assert_eq!((stored[0].name.as_str(), &stored[0].custom), (text, &custom));
            assert_eq!(server.user("ada").await, stored[0], "{text:?}");
        }
    }

    async fn a_user_weighs_at_most_5_kib_as_json(server: TestServer) {
        let frame = json!({"id": "ada", "custom": {"t": ""}}).to_string().len();
        let weighing = |bytes: usize| with_custom(json!({"t": "x".repeat(bytes - frame)}));
        all_stored(&server, vec![("5,120 bytes", weighing(5_120))]).await;

        let status = refusal(&server, "5,121 bytes", weighing(5_121)).await;
        assert_eq!(fields_of(&status), ["users[1]"]);
        Err::<tonic::Response<()>, _>(status).refused(Code::InvalidArgument, "TOO_LARGE");
    }

    async fn every_violation_is_listed_by_its_path(server: TestServer) {
        let users = vec![
            user("a b"),
            user("ada"),
            pb::UserInput { name: "\0".to_owned(), teams: vec![String::new()], ..user("") },
        ];
        let status = server.users().upsert_users(pb::UpsertUsersRequest { users }).await;
        let status = status.refused(Code::InvalidArgument, "INVALID_FIELD");
        let mut fields = fields_of(&status);
        fields.sort();
        assert_eq!(fields, ["users[0].id", "users[2].id", "users[2].name", "users[2].teams[0]"]);
        assert_eq!(metadata_of(&status).get("violations_total").map(String::as_str), Some("4"));
    }

    async fn of_many_violations_the_first_are_listed_and_all_are_counted(server: TestServer) {
        let users = (0..500).map(|number| user(&format!("no id {number}"))).collect();
        let status = server.users().upsert_users(pb::UpsertUsersRequest { users }).await;
        let status = status.refused(Code::InvalidArgument, "INVALID_FIELD");
        are_the_first(&fields_of(&status), |at| format!("users[{at}].id"));
        assert_eq!(metadata_of(&status).get("violations_total").map(String::as_str), Some("500"));
    }

    async fn of_many_concerned_users_the_first_are_named_and_all_are_counted(server: TestServer) {
        let knights =
            (0..60).map(|number| pb::UserInput { role: "knight".to_owned(), ..user(&format!("k{number}")) });
        let request = pb::UpsertUsersRequest { users: knights.collect() };
        let status = server.users().upsert_users(request).await.refused(Code::NotFound, "ROLE_NOT_FOUND");
        are_the_first(&fields_of(&status), |at| format!("users[{at}].role"));
        assert_eq!(metadata_of(&status).get("violations_total").map(String::as_str), Some("60"));
    }

    async fn times_outside_the_years_1_to_9999_are_refused(server: TestServer) {
        let until = |seconds, nanos| pb::UserInput {
            push_notifications: Some(pb::PushNotifications {
                disabled: true,
                disabled_until: Some(Timestamp { seconds, nanos }),
            }),
            ..user("ada")
        };
        let field = "push_notifications.disabled_until";
        all_refused(
            &server,
            vec![
                ("the year 10000", field, until(253_402_300_800, 0)),
                ("the end of time", field, until(i64::MAX, 0)),
                ("the year 0", field, until(-62_135_596_801, 0)),
                ("negative nanoseconds", field, until(0, -1)),
                ("too many nanoseconds", field, until(0, 1_000_000_000)),
            ],
        )
        .await;
    }
}
