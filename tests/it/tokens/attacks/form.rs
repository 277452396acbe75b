//! Text that is no token: other parts, other serialisations, too long.

use serde_json::json;

use super::{ADA, Forge, attack, encode, refused};
use crate::harness::{TestServer, each_backend};

/// The longest token looked at, in bytes.
const MAX_BYTES: usize = 8 * 1024;

each_backend! {
    async fn a_token_is_three_parts_and_two_dots(server: TestServer) {
        let forge = Forge::of(&server).await;
        let good = forge.claims(ADA);
        let [header, claims, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
        let cases = [
            ("nothing", String::new()),
            ("a word", "token".to_owned()),
            ("a dot", ".".to_owned()),
            ("two dots", "..".to_owned()),
            ("three dots", "...".to_owned()),
            ("no signature", format!("{header}.{claims}")),
            ("no header", format!(".{claims}.{signature}")),
            ("no claims", format!("{header}..{signature}")),
            ("no dots", format!("{header}{claims}{signature}")),
            ("a dot before", format!(".{good}")),
            ("a dot behind", format!("{good}.")),
            ("two dots in between", format!("{header}..{claims}.{signature}")),
            ("its signature twice", format!("{good}.{signature}")),
            ("another token behind", format!("{good}.{good}")),
            ("the parts the other way round", format!("{signature}.{claims}.{header}")),
            ("commas", good.replace('.', ",")),
            ("dots in percent", good.replace('.', "%2E")),
            ("dots of another script", good.replace('.', "\u{3002}")),
            ("dots that look alike", good.replace('.', "\u{2024}")),
            ("a byte order mark before", format!("\u{feff}{good}")),
            ("nothing that can be seen behind", format!("{good}\u{200b}")),
            ("a space before", format!(" {good}")),
            ("a line end behind", format!("{good}\n")),
            ("a NUL behind", format!("{good}\0")),
            ("a NUL and another claim behind", format!("{good}\0{claims}")),
            ("quotes", format!("\"{good}\"")),
            ("its scheme before", format!("Bearer {good}")),
            ("its scheme before, with a colon", format!("Bearer:{good}")),
            ("a list", format!("{good},{good}")),
            ("a query", format!("token={good}")),
            ("encoded once more", encode(&good)),
        ];
        refused(&server, cases.map(|(what, forged)| attack(what, forged, &good))).await;
    }

    async fn other_serialisations_are_no_tokens(server: TestServer) {
        let forge = Forge::of(&server).await;
        let good = forge.claims(ADA);
        let [header, claims, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
        let flattened = json!({"protected": header, "payload": claims, "signature": signature});
        let general =
            json!({"payload": claims, "signatures": [{"protected": header, "signature": signature}]});
        let unprotected = json!({
            "header": {"alg": "HS256", "kid": forge.0.kid}, "payload": claims, "signature": signature,
        });
        let dir = format!(r#"{{"alg":"dir","enc":"A256GCM","kid":"{}"}}"#, forge.0.kid);
        let (iv, text) = (encode([1; 12]), encode([2; 40]));
        let cases = [
            ("JSON, flattened", flattened.to_string()),
            ("JSON, general", general.to_string()),
            ("JSON, with a header that is not signed", unprotected.to_string()),
            ("encrypted, in five parts", format!("{}..{iv}.{text}.{}", encode(dir), encode([3; 16]))),
            // A good signature over all that stands before it, and a part more, or two.
            ("four parts, and signed so", forge.sign(&format!("{header}.{claims}.{claims}"))),
            ("five parts, and signed so", forge.sign(&format!("{header}.{claims}.{iv}.{text}"))),
            ("an empty part more, and signed so", forge.sign(&format!("{header}.{claims}."))),
            ("two parts, and signed so", forge.sign(claims)),
            ("claims that are not encoded", forge.sign(&format!("{header}.{ADA}"))),
        ];
        // The signature is good here: the claims of a good token within claims that are a token themselves.
        let signed = [
            ("a token for its claims", forge.claims(&good)),
            ("a token for its claims, as text", forge.claims(format!("\"{good}\""))),
            ("detached claims", forge.sign(&format!("{header}."))),
        ];
        let attacks = cases.map(|(what, forged)| attack(what, forged, &good)).into_iter();
        let signed = signed.map(|(what, forged)| attack(what, forged, &good).naming("the claims"));
        refused(&server, attacks.chain(signed)).await;
    }

    async fn a_token_is_8_kib_at_most(server: TestServer) {
        let forge = Forge::of(&server).await;
        // Base64 leaves lengths out; with spaces behind the header there is one for every length.
        let of_length = |length: usize| {
            let spaces = (0..3).map(|count| format!("{}{}", forge.header(), " ".repeat(count)));
            let estimate = (length - forge.claims(ADA).len()) * 3 / 4;
            let fills = || estimate.saturating_sub(20)..estimate + 20;
            let mut tokens = spaces.flat_map(|header| {
                let fill = |count| format!(r#"{{"user_id":"ada","x":"{}"}}"#, "y".repeat(count));
                fills().map(|count| forge.token(&header, fill(count))).collect::<Vec<_>>()
            });
            tokens.find(|token| token.len() == length).expect("a token of every length")
        };
        let longest = of_length(MAX_BYTES);
        let cases = [MAX_BYTES + 1, MAX_BYTES + 2, MAX_BYTES + 3_000]
            .map(|length| attack(format!("{length} bytes"), of_length(length), &longest));
        refused(&server, cases).await;
    }
}
