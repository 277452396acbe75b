//! Base64 in more than one spelling: a part reads in one way, or not at all (RFC 4648, 3).
//!
//! Each spelling is what was signed, so the signature is good.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{
    GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD,
};

use super::{Attack, Forge, attack, encode, refused};
use crate::harness::{TestServer, each_backend};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Reads stray bits as if they were none.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// All other texts that a lenient reader takes for what `part` says, by their last character.
pub(super) fn with_stray_bits(part: &str) -> Vec<String> {
    let said = LENIENT.decode(part).unwrap();
    let (start, _) = part.split_at(part.len() - 1);
    let texts = ALPHABET.iter().map(|last| format!("{start}{}", char::from(*last)));
    texts.filter(|text| text != part && LENIENT.decode(text).is_ok_and(|other| other == said)).collect()
}

/// Other spellings of `part` than the one of RFC 7515.
fn spellings(part: &str, said: &str) -> Vec<(String, String)> {
    let half = part.len() / 2;
    let (start, end) = part.split_at(half);
    let mut spellings: Vec<(String, String)> = [
        ("padding", URL_SAFE.encode(said)),
        ("too much padding", format!("{part}====")),
        ("the other alphabet", STANDARD_NO_PAD.encode(said)),
        ("a character too many", format!("{part}A")),
        ("a space within", format!("{start} {end}")),
        ("a line end within", format!("{start}\n{end}")),
        ("a folded line within", format!("{start}\r\n {end}")),
        ("a line end behind", format!("{part}\n")),
        ("a tab before", format!("\t{part}")),
        ("a NUL within", format!("{start}\0{end}")),
        ("an equals sign within", format!("{start}={end}")),
        ("a dash to be skipped", format!("{start}\u{ad}{end}")),
        ("a percent sign", format!("{start}%20{end}")),
        ("a letter that looks alike", part.replacen('e', "\u{435}", 1)),
    ]
    .map(|(what, text)| (what.to_owned(), text))
    .to_vec();
    let stray = with_stray_bits(part);
    spellings
        .extend(stray.into_iter().map(|text| (format!("stray bits, {}", &text[text.len() - 1..]), text)));
    spellings
}

/// `json` with spaces behind, so that its last character in base64 has `bits` that say nothing; and with both
/// characters in it that differ between the alphabets.
fn leaving(bits: usize, json: impl Fn(&str) -> String) -> String {
    let rest = match bits {
        0 => 0,
        2 => 2,
        _ => 1,
    };
    let shifts = ["", "_", "__"].map(|shift| json(&format!("{shift}???>>>???>>>")));
    let texts = shifts.into_iter().flat_map(|text| (0..3).map(move |n| format!("{text}{}", " ".repeat(n))));
    let mut fit = texts.filter(|text| text.len() % 3 == rest && encode(text).contains(['-', '_']));
    fit.next().expect("one of the shifts fits")
}

each_backend! {
    async fn claims_are_spelled_in_one_way(server: TestServer) {
        let forge = Forge::of(&server).await;
        let header = encode(forge.header());
        let mut attacks: Vec<Attack> = Vec::new();
        for bits in [0, 2, 4] {
            let claims = leaving(bits, |x| format!(r#"{{"user_id":"ada","x":"{x}"}}"#));
            let part = encode(&claims);
            let twin = forge.token(forge.header(), &claims);
            assert_eq!(with_stray_bits(&part).len(), (1 << bits) - 1);
            let forged = |text: &str| forge.sign(&format!("{header}.{text}"));
            let spellings = spellings(&part, &claims).into_iter().filter(|(_, text)| *text != part);
            attacks.extend(spellings.map(|(what, text)| {
                let attack = attack(format!("{bits} bits: {what}"), forged(&text), &twin);
                // Where it is no other spelling, but other bytes, they are signed and no JSON.
                let is_spelled = URL_SAFE_NO_PAD.decode(&text).is_ok();
                if is_spelled { attack.naming("the claims") } else { attack }
            }));
        }
        refused(&server, attacks).await;
    }

    async fn a_header_is_spelled_in_one_way(server: TestServer) {
        let forge = Forge::of(&server).await;
        let claims = encode(super::ADA);
        let mut attacks: Vec<Attack> = Vec::new();
        for spaces in 0..3 {
            let header = format!("{}{}", forge.header(), " ".repeat(spaces));
            let part = encode(&header);
            let twin = forge.token(&header, super::ADA);
            let forged = |text: &str| forge.sign(&format!("{text}.{claims}"));
            let spellings = spellings(&part, &header).into_iter().filter(|(_, text)| *text != part);
            attacks.extend(spellings.map(|(what, text)| attack(format!("{spaces} spaces: {what}"), forged(&text), &twin)));
        }
        let stray = attacks.iter().filter(|attack| attack.what.contains("stray")).count();
        assert_eq!(stray, 3 + 15, "whatever the length of a kid, two of three headers leave bits");
        refused(&server, attacks).await;
    }
}
