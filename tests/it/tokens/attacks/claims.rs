//! Claims that are not one JSON object, or not the same one to every reader.

use super::{ADA, Forge, attack, refused};
use crate::harness::{TestServer, each_backend};

each_backend! {
    async fn claims_are_one_json_object(server: TestServer) {
        let forge = Forge::of(&server).await;
        let twin = forge.claims(ADA);
        let cases = [
            ("nothing", String::new()),
            ("no JSON", "user_id=ada".to_owned()),
            ("null", "null".to_owned()),
            ("a number", "5".to_owned()),
            ("a text", r#""ada""#.to_owned()),
            ("an array of name and value", r#"["user_id","ada"]"#.to_owned()),
            ("an array of pairs", r#"[["user_id","ada"]]"#.to_owned()),
            ("an array around them", format!("[{ADA}]")),
            ("a text around them", format!("{ADA:?}")),
            ("a byte order mark", format!("\u{feff}{ADA}")),
            ("a NUL before", format!("\0{ADA}")),
            ("a NUL behind", format!("{ADA}\0")),
            ("another object behind", format!("{ADA}{{}}")),
            ("the same object behind", format!("{ADA}\n{ADA}")),
            ("a word behind", format!("{ADA}x")),
            ("a comma behind", format!("{ADA},")),
            ("a comma at the end", ADA.replace('}', ",}")),
            ("a comment", ADA.replace('}', "/**/}")),
            ("single quotes", ADA.replace('"', "'")),
            ("no quotes", "{user_id:\"ada\"}".to_owned()),
            ("not closed", ADA.replace('}', "")),
            ("an unescaped line end", r#"{"user_id":"ada","x":"?"}"#.replace('?', "\n")),
            ("half of a character", r#"{"user_id":"ada","x":"\ud800"}"#.to_owned()),
            ("halves the wrong way round", r#"{"user_id":"ada","x":"\udc00\ud800"}"#.to_owned()),
            ("half of a character in a name", r#"{"user_id":"ada","\ud800":1}"#.to_owned()),
            ("not a number", r#"{"user_id":"ada","x":NaN}"#.to_owned()),
            ("no end of a number", r#"{"user_id":"ada","x":1e400}"#.to_owned()),
            ("a number with a zero before", r#"{"user_id":"ada","exp":04102444800}"#.to_owned()),
            ("a hexadecimal number", r#"{"user_id":"ada","exp":0xf48656f0}"#.to_owned()),
            ("nested beyond all bounds", format!(r#"{{"user_id":"ada","x":{}"#, "[".repeat(5_000))),
            ("nested deep", format!(r#"{{"user_id":"ada","x":{}{}}}"#, "[".repeat(1_000), "]".repeat(1_000))),
        ];
        refused(&server, cases.map(|(what, claims)| attack(what, forge.claims(claims), &twin).naming("the claims"))).await;
    }

    async fn claims_are_utf_8(server: TestServer) {
        let forge = Forge::of(&server).await;
        let with = |bytes: &[u8]| [br#"{"user_id":"ada","x":""#, bytes, br#""}"#].concat();
        let twin = forge.claims(with("\u{e9}\u{1f600}".as_bytes()));
        let utf_16: Vec<u8> = ADA.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let cases: [(&str, Vec<u8>); 9] = [
            ("Latin-1", with(b"\xe9")),
            ("a slash in two bytes", with(b"\xc0\xaf")),
            ("a NUL in two bytes", with(b"\xc0\x80")),
            ("half of a character", with(b"\xed\xa0\x80")),
            ("beyond the last character", with(b"\xf4\x90\x80\x80")),
            ("a character cut off", with(b"\xf0\x9f\x98")),
            ("bytes that never are", with(b"\xff\xfe")),
            ("a quote in two bytes", with(b"\xc0\xa2,\xc0\xa2server\xc0\xa2:true")),
            ("UTF-16", utf_16),
        ];
        refused(&server, cases.map(|(what, claims)| attack(what, forge.claims(claims), &twin).naming("the claims"))).await;
    }

    async fn no_name_stands_twice(server: TestServer) {
        let forge = Forge::of(&server).await;
        let twin = forge.claims(r#"{"user_id":"ada","exp":4102444800,"server":false,"x":1}"#);
        let twice = [
            ("`user_id`", r#"{"user_id":"ada","user_id":"grace"}"#),
            ("`user_id`", r#"{"user_id":"grace","user_id":"ada"}"#),
            ("`user_id`", r#"{"user_id":"ada","user_id":"ada"}"#),
            ("`user_id`", r#"{"user_id":"grace","\u0075ser_id":"ada"}"#),
            ("`user_id`", r#"{"user_id":"grace","user\u005fid":"ada"}"#),
            ("`exp`", r#"{"user_id":"ada","exp":1,"exp":4102444800}"#),
            ("`exp`", r#"{"user_id":"ada","exp":4102444800,"exp":4102444800}"#),
            ("`exp`", r#"{"user_id":"ada","exp":1,"e\u0078p":4102444800}"#),
            ("`nbf`", r#"{"user_id":"ada","nbf":4102444800,"nbf":1}"#),
            ("`iat`", r#"{"user_id":"ada","iat":1,"iat":1}"#),
            ("`server`", r#"{"user_id":"ada","server":true,"server":false}"#),
            ("`server`", r#"{"user_id":"ada","server":false,"server":false}"#),
            ("`call_cids`", r#"{"user_id":"ada","call_cids":["default:a"],"call_cids":["default:b"]}"#),
            ("`jti`", r#"{"user_id":"ada","jti":"a","jti":"b"}"#),
            ("the claims", r#"{"user_id":"ada","x":1,"x":1}"#),
            ("the claims", r#"{"user_id":"ada","":1,"":1}"#),
            ("the claims", r#"{"user_id":"ada","x":{},"x":[]}"#),
        ];
        let attacks = twice.map(|(named, claims)| attack(claims, forge.claims(claims), &twin).naming(named));
        refused(&server, attacks).await;
    }
}
