//! What a header says: the algorithm is the key's, and nothing but `alg`, `typ` and `kid` is listened to.

use std::io::ErrorKind;
use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::Algorithm;

use super::{ADA, Forge, attack, encode, hmac, refused};
use crate::harness::{TestServer, each_backend};

each_backend! {
    async fn no_header_chooses_the_algorithm(server: TestServer) {
        let forge = Forge::of(&server).await;
        let header = |alg: &str| format!(r#"{{"alg":{alg},"typ":"JWT","kid":"{}"}}"#, forge.0.kid);
        let twin = forge.token(header(r#""HS256""#), ADA);
        let said = [
            r#""none""#, r#""None""#, r#""NONE""#, r#""nOnE""#, r#""""#, "null", "256", "true",
            r#"["HS256"]"#, r#"{"HS256":1}"#, r#""hs256""#, r#""HS256 ""#, r#""HS256\u0000""#,
            "\"\u{41d}S256\"", "\"HS\u{ff12}56\"", r#""HS384""#, r#""HS512""#, r#""RS256""#, r#""PS256""#,
            r#""ES256""#, r#""EdDSA""#, r#""dir""#,
        ];
        let signed_all_the_same =
            said.map(|alg| attack(format!("alg {alg}"), forge.token(header(alg), ADA), &twin));

        let signed_as = |alg: &str, algorithm| {
            let signed = format!("{}.{}", encode(header(&format!("\"{alg}\""))), encode(ADA));
            let signature = hmac(algorithm, forge.0.secret.as_bytes(), signed.as_bytes());
            attack(format!("{alg}, and signed so"), format!("{signed}.{signature}"), &twin)
        };
        let unsigned = format!("{}.{}.", encode(header(r#""none""#)), encode(ADA));
        let without = format!(r#"{{"typ":"JWT","kid":"{}"}}"#, forge.0.kid);
        let others = [
            signed_as("HS384", Algorithm::HS384),
            signed_as("HS512", Algorithm::HS512),
            attack("alg none and no signature", unsigned, &twin),
            attack("no alg", forge.token(without, ADA), &twin),
        ];
        refused(&server, signed_all_the_same.into_iter().chain(others)).await;
    }

    async fn a_header_has_three_names_and_no_others(server: TestServer) {
        let forge = Forge::of(&server).await;
        let bait = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/keys", bait.local_addr().unwrap());
        // The forger's own key, offered in every way there is.
        let jwk = format!(r#"{{"kty":"oct","alg":"HS256","k":"{}"}}"#, encode(&forge.0.secret));
        let chain = STANDARD.encode(&forge.0.secret);
        let further = [
            format!(r#""jwk":{jwk}"#),
            format!(r#""jku":"{url}""#),
            format!(r#""x5u":"{url}""#),
            format!(r#""x5c":["{chain}"]"#),
            format!(r#""x5t":"{}""#, encode([7; 20])),
            format!(r#""x5t#S256":"{}""#, encode([7; 32])),
            r#""crit":["exp"]"#.to_owned(),
            r#""crit":[]"#.to_owned(),
            r#""crit":["b64"],"b64":false"#.to_owned(),
            r#""b64":false"#.to_owned(),
            r#""b64":true"#.to_owned(),
            r#""zip":"DEF""#.to_owned(),
            r#""enc":"A256GCM""#.to_owned(),
            r#""cty":"JWT""#.to_owned(),
            r#""p2c":2000000000"#.to_owned(),
            r#""epk":{"kty":"OKP"}"#.to_owned(),
            r#""user_id":"ada""#.to_owned(),
            r#""ALG":"HS256""#.to_owned(),
            r#""":"""#.to_owned(),
        ];
        let twin = forge.claims(ADA);
        let header = |further: &str| format!("{},{further}}}", forge.header().trim_end_matches('}'));
        refused(&server, further.map(|further| {
            let forged = forge.token(header(&further), ADA);
            attack(further, forged, &twin)
        }))
        .await;
        bait.set_nonblocking(true).unwrap();
        assert_eq!(bait.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "no key is fetched from anywhere");
    }

    async fn a_header_is_of_the_type_jwt_if_of_any(server: TestServer) {
        let forge = Forge::of(&server).await;
        let header = |typ: &str| format!(r#"{{"alg":"HS256","typ":{typ},"kid":"{}"}}"#, forge.0.kid);
        let twins = [
            forge.token(header(r#""JWT""#), ADA),
            forge.token(header(r#""jwt""#), ADA),
            forge.token(format!(r#"{{"alg":"HS256","kid":"{}"}}"#, forge.0.kid), ADA),
        ];
        let said = [
            r#""JWE""#, r#""JOSE""#, r#""JOSE+JSON""#, r#""at+jwt""#, r#""dpop+jwt""#, r#""secevent+jwt""#,
            r#""JWT ""#, r#""""#, "null", "5", "false", r#"["JWT"]"#, r#"{"JWT":1}"#,
        ];
        let attacks = said.into_iter().zip(twins.iter().cycle());
        refused(&server, attacks.map(|(typ, twin)| {
            attack(format!("typ {typ}"), forge.token(header(typ), ADA), twin)
        }))
        .await;
    }

    async fn a_kid_is_the_name_of_a_key_letter_by_letter(server: TestServer) {
        let forge = Forge::of(&server).await;
        let kid = forge.0.kid.as_str();
        let header = |kid: &str| format!(r#"{{"alg":"HS256","typ":"JWT","kid":{kid}}}"#);
        let twins = [
            forge.token(header(&format!("\"{kid}\"")), ADA),
            // However it is spelled in JSON.
            forge.token(header(&format!("\"\\u{:04x}{}\"", u32::from(kid.as_bytes()[0]), &kid[1..])), ADA),
        ];
        let swapped: String = kid
            .chars()
            .map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
            .collect();
        let mut said: Vec<String> = ["5", "null", "true", "[]", r#""""#, r#"" ""#, r#""nobody""#, r#""%""#, r#""*""#]
            .map(str::to_owned)
            .to_vec();
        said.extend([
            format!(r#"["{kid}"]"#),
            format!(r#"{{"kid":"{kid}"}}"#),
            format!(r#""{swapped}""#),
            format!(r#"" {kid}""#),
            format!(r#""{kid} ""#),
            format!(r#""{kid}\u0000""#),
            format!(r#""{kid}\n""#),
            format!(r#""{kid}\u200b""#),
            format!(r#""{}""#, &kid[1..]),
            format!(r#""{}%""#, &kid[..4]),
            format!(r#""{kid}{}""#, "k".repeat(5_000)),
            r#""../../../../dev/null""#.to_owned(),
            format!(r#""./{kid}""#),
            format!(r#""' OR kid='{kid}""#),
            format!(r#""x' UNION SELECT '{kid}' -- ""#),
            format!(r#""|echo {kid}""#),
        ]);
        let attacks = said.iter().zip(twins.iter().cycle());
        refused(&server, attacks.map(|(said, twin)| {
            attack(format!("kid {said}"), forge.token(header(said), ADA), twin)
        }))
        .await;
    }

    async fn a_header_is_one_json_object(server: TestServer) {
        let forge = Forge::of(&server).await;
        let (good, kid) = (forge.header(), forge.0.kid.as_str());
        let twin = forge.token(&good, ADA);
        let text = [
            ("nothing", String::new()),
            ("no JSON", "HS256".to_owned()),
            ("null", "null".to_owned()),
            ("a text", r#""HS256""#.to_owned()),
            ("an array of the fields", format!(r#"["HS256","JWT","{kid}"]"#)),
            ("an array around it", format!("[{good}]")),
            ("a text around it", format!("{good:?}")),
            ("a byte order mark", format!("\u{feff}{good}")),
            ("a NUL behind", format!("{good}\0")),
            ("another object behind", format!("{good}{{}}")),
            ("a word behind", format!("{good}x")),
            ("a comma at the end", good.replace('}', ",}")),
            ("a comment", good.replace('}', "/**/}")),
            ("single quotes", good.replace('"', "'")),
            ("not closed", good.replace('}', "")),
            ("alg twice", good.replace('}', r#","alg":"HS256"}"#)),
            ("alg twice, the first one none", good.replace('{', r#"{"alg":"none","#)),
            ("alg twice, once spelled with escapes", good.replace('}', r#","\u0061lg":"HS256"}"#)),
            ("typ twice", good.replace('}', r#","typ":"JWT"}"#)),
            ("kid twice", good.replace('}', &format!(r#","kid":"{kid}"}}"#))),
            ("kid twice, once spelled with escapes", good.replace('}', &format!(r#","k\u0069d":"{kid}"}}"#))),
            ("half of a character", good.replace("JWT", r"JWT\ud800")),
            ("an unescaped line end", good.replace("JWT", "JWT\n")),
        ];
        let attacks = text.into_iter().map(|(what, header)| attack(what, forge.token(header, ADA), &twin));
        let latin = forge.token([&good.as_bytes()[..good.len() - 2], b"\xe9\"}"].concat(), ADA);
        let overlong = good.replace("\"JWT\"", "\"JW?\"").into_bytes();
        let overlong: Vec<u8> =
            overlong.into_iter().flat_map(|byte| if byte == b'?' { vec![0xc1, 0x94] } else { vec![byte] }).collect();
        let bytes = [
            attack("Latin-1", latin, &twin),
            attack("T in two bytes", forge.token(overlong, ADA), &twin),
        ];
        refused(&server, attacks.chain(bytes)).await;
    }
}
