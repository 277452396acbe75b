//! Whose a token is: a server's, a user's, or a user's for calls; none passes as another (RFC 8725, 3.12).

use super::{ADA, Forge, attack, refused};
use crate::harness::{TestServer, each_backend, user};

each_backend! {
    async fn a_server_token_says_so_and_names_no_user(server: TestServer) {
        let forge = Forge::of(&server).await;
        let twins = [forge.claims(r#"{"server":true}"#), forge.claims(r#"{"server":false,"user_id":"ada"}"#)];
        let cases = [
            ("`user_id`", "{}"),
            ("`user_id`", r#"{"iat":1700000000}"#),
            ("`user_id`", r#"{"server":false}"#),
            ("`server`", r#"{"server":null}"#),
            ("`server`", r#"{"server":"true"}"#),
            ("`server`", r#"{"server":"1"}"#),
            ("`server`", r#"{"server":1}"#),
            ("`server`", r#"{"server":[true]}"#),
            ("`server`", r#"{"server":{"server":true}}"#),
            ("`user_id`", r#"{"Server":true}"#),
            ("`user_id`", r#"{"server ":true}"#),
            ("`user_id`", r#"{"role":"admin"}"#),
            ("`user_id`", r#"{"admin":true,"sub":"server"}"#),
            ("`user_id`", r#"{"server":true,"user_id":"ada"}"#),
            ("`user_id`", r#"{"server":true,"user_id":""}"#),
            ("`user_id`", r#"{"server":true,"user_id":null}"#),
            ("`user_id`", r#"{"server":true,"user_id":5}"#),
            ("`call_cids`", r#"{"server":true,"call_cids":["default:standup"]}"#),
            ("`server`", r#"{"server":"false","user_id":"ada"}"#),
            ("`server`", r#"{"server":null,"user_id":"ada"}"#),
            ("`server`", r#"{"server":0,"user_id":"ada"}"#),
        ];
        let attacks = cases.into_iter().zip(twins.iter().cycle()).map(|((named, claims), twin)| {
            attack(claims, forge.claims(claims), twin).naming(named)
        });
        refused(&server, attacks).await;
    }

    async fn a_user_token_names_its_user_and_nothing_else_does(server: TestServer) {
        let forge = Forge::of(&server).await;
        let longest = "x".repeat(255);
        server.upsert(vec![user(&longest)]).await;
        let of = |id: &str| format!(r#"{{"user_id":{id}}}"#);
        let twins = [forge.claims(ADA), forge.claims(of(&format!("\"{longest}\"")))];
        let ids: Vec<String> = [
            "5", "0", "null", "true", "[]", r#"["ada"]"#, "{}", r#"{"id":"ada"}"#, r#"{"$ne":""}"#, r#""""#,
            r#"" ada""#, r#""ada ""#, r#""a da""#, r#""ada\u0000""#, r#""\u0000""#, r#""ada\n""#, r#""ada\u200b""#,
            "\"\u{430}da\"", "\"\u{ff41}da\"", "\"ada\u{301}\"", r#""ada,grace""#, r#""ada:x""#, r#""../ada""#,
            r#""ada/""#, r#""ada%""#, r#""*""#, r#""' OR id='ada""#,
        ]
        .map(str::to_owned)
        .to_vec();
        let too_long = [format!("\"x{longest}\""), format!("\"{}\"", "x".repeat(4_000))];
        let elsewhere = [
            r#"{"sub":"ada"}"#,
            r#"{"userid":"ada"}"#,
            r#"{"User_id":"ada"}"#,
            r#"{"user_id ":"ada"}"#,
            r#"{"user":{"user_id":"ada"}}"#,
            r#"{"claims":{"user_id":"ada"}}"#,
        ];
        let of_ids = ids.iter().chain(&too_long).map(|id| of(id));
        let cases = of_ids.chain(elsewhere.map(str::to_owned)).zip(twins.iter().cycle());
        let attacks = cases.map(|(claims, twin)| {
            let what = claims.chars().take(60).collect::<String>();
            attack(what, forge.claims(claims), twin).naming("`user_id`")
        });
        refused(&server, attacks).await;
    }

    async fn calls_of_a_token_are_names_of_calls(server: TestServer) {
        let forge = Forge::of(&server).await;
        let (kind, id) = ("k".repeat(64), "i".repeat(64));
        let of = |cids: &str| forge.claims(format!(r#"{{"user_id":"ada","call_cids":{cids}}}"#));
        let twins = [of(r#"["default:standup"]"#), of(&format!(r#"["{kind}:{id}","default:standup"]"#)), of("[]")];
        let cases = [
            "null".to_owned(),
            "5".to_owned(),
            "true".to_owned(),
            r#""default:standup""#.to_owned(),
            r#""""#.to_owned(),
            r#"{"default":"standup"}"#.to_owned(),
            r#"{"0":"default:standup"}"#.to_owned(),
            "[5]".to_owned(),
            "[null]".to_owned(),
            r#"[""]"#.to_owned(),
            r#"[["default:standup"]]"#.to_owned(),
            r#"[{"cid":"default:standup"}]"#.to_owned(),
            r#"["standup"]"#.to_owned(),
            r#"["default:"]"#.to_owned(),
            r#"[":standup"]"#.to_owned(),
            r#"[":"]"#.to_owned(),
            r#"["default:standup:x"]"#.to_owned(),
            r#"["default: standup"]"#.to_owned(),
            r#"["default:standup\u0000"]"#.to_owned(),
            r#"["default:*"]"#.to_owned(),
            r#"["default:../standup"]"#.to_owned(),
            r#"["default:standup,default:other"]"#.to_owned(),
            "[\"default\u{ff1a}standup\"]".to_owned(),
            format!(r#"["k{kind}:{id}"]"#),
            format!(r#"["{kind}:i{id}"]"#),
            r#"["default:standup",""]"#.to_owned(),
            r#"["default:standup",5]"#.to_owned(),
        ];
        let attacks = cases.iter().zip(twins.iter().cycle());
        let attacks = attacks.map(|(cids, twin)| attack(cids.as_str(), of(cids), twin).naming("`call_cids`"));
        refused(&server, attacks).await;
    }

    async fn the_role_in_calls_is_one_word(server: TestServer) {
        let forge = Forge::of(&server).await;
        let of = |role: &str| {
            forge.claims(format!(r#"{{"user_id":"ada","call_cids":["default:standup"],"role":{role}}}"#))
        };
        let twins = [of(r#""host""#), of(&format!("\"{}\"", "r".repeat(64)))];
        let too_long = format!("\"{}\"", "r".repeat(65));
        let cases = [
            "null", "5", "true", "[]", r#"["host"]"#, "{}", r#""""#, r#"" ""#, r#""ho st""#, r#""host\u0000""#,
            r#""host,admin""#, "\"h\u{43e}st\"", too_long.as_str(),
        ];
        let attacks = cases.iter().zip(twins.iter().cycle());
        let attacks = attacks.map(|(role, twin)| attack(*role, of(role), twin).naming("`role`"));
        refused(&server, attacks).await;
    }
}
