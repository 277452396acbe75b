//! Signatures that are none: cut, spelled otherwise, of something else, by another key, by another rule.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use sha2::{Digest as _, Sha256};

use super::encoding::with_stray_bits;
use super::{ADA, Forge, attack, encode, hmac, refused};
use crate::harness::{TestServer, each_backend};

/// A token whose signature has the characters in it that differ between the alphabets.
fn telling_alphabets_apart(forge: &Forge) -> String {
    let mut tokens = (0..).map(|n| forge.claims(format!(r#"{{"user_id":"ada","x":{n}}}"#)));
    tokens
        .find(|token| token.rsplit('.').next().is_some_and(|it| it.contains('-') && it.contains('_')))
        .unwrap()
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])).collect()
}

fn taken_apart(token: &str) -> (&str, &str) {
    token.rsplit_once('.').unwrap()
}

each_backend! {
    async fn a_signature_is_whole_and_spelled_in_one_way(server: TestServer) {
        let forge = Forge::of(&server).await;
        let good = telling_alphabets_apart(&forge);
        let (signed, signature) = taken_apart(&good);
        let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let hex = hex(&bytes);
        let (start, end) = signature.split_at(20);
        let cases = [
            ("none", String::new()),
            ("half of it", encode(&bytes[..16])),
            ("its first byte", encode(&bytes[..1])),
            ("all but the last byte", encode(&bytes[..31])),
            ("all but the first byte", encode(&bytes[1..])),
            ("all but the last character", signature[..42].to_owned()),
            ("a byte more", encode([&bytes[..], &[0]].concat())),
            ("itself twice", encode([&bytes[..], &bytes].concat())),
            ("zeros", encode([0; 32])),
            ("zeros, 64", encode([0; 64])),
            ("ones", encode([255; 32])),
            ("from back to front", encode(bytes.iter().rev().copied().collect::<Vec<_>>())),
            ("hexadecimal", hex.clone()),
            ("hexadecimal in base64", encode(&hex)),
            ("padding", URL_SAFE.encode(&bytes)),
            ("padding alone", "=".to_owned()),
            ("the other alphabet", STANDARD_NO_PAD.encode(&bytes)),
            ("the other alphabet and padding", STANDARD.encode(&bytes)),
            ("a space within", format!("{start} {end}")),
            ("a line end within", format!("{start}\n{end}")),
            ("a line end behind", format!("{signature}\r\n")),
            ("a tab before", format!("\t{signature}")),
            ("a NUL within", format!("{start}\0{end}")),
            ("a NUL behind", format!("{signature}\0")),
            ("a dash to be skipped", format!("{start}\u{ad}{end}")),
            ("a fragment", format!("{signature}#")),
            ("true", "true".to_owned()),
        ];
        let stray = with_stray_bits(signature);
        assert_eq!(stray.len(), 3, "32 bytes leave two bits of the last character");
        let stray = stray.into_iter().map(|text| ("stray bits", text));
        let attacks = cases.into_iter().chain(stray);
        refused(&server, attacks.map(|(what, text)| attack(what, format!("{signed}.{text}"), &good))).await;
    }

    async fn a_signature_is_compared_to_its_last_bit(server: TestServer) {
        let forge = Forge::of(&server).await;
        let good = forge.claims(ADA);
        let (signed, signature) = taken_apart(&good);
        let attacks = (0..32).map(|at| {
            let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
            bytes[at] ^= 1 << (at % 8);
            attack(format!("a bit of byte {at}"), format!("{signed}.{}", encode(bytes)), &good)
        });
        refused(&server, attacks).await;
    }

    async fn a_signature_is_of_this_header_and_these_claims(server: TestServer) {
        let forge = Forge::of(&server).await;
        let (good, other) = (forge.claims(ADA), forge.claims(r#"{"server":true}"#));
        let [header, claims, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
        let [_, theirs, their_signature] = other.split('.').collect::<Vec<_>>().try_into().unwrap();
        let bare = encode(format!(r#"{{"alg":"HS256","kid":"{}"}}"#, forge.0.kid));
        let of = |message: &str| hmac(Algorithm::HS256, forge.0.secret.as_bytes(), message.as_bytes());
        let signed = format!("{header}.{claims}");
        let cases = [
            ("the signature of another token", format!("{signed}.{their_signature}")),
            ("the claims of another token", format!("{header}.{theirs}.{signature}")),
            ("the header of another token", format!("{bare}.{claims}.{signature}")),
            ("of the claims alone", format!("{signed}.{}", of(claims))),
            ("of the header alone", format!("{signed}.{}", of(header))),
            ("of header and claims without the dot", format!("{signed}.{}", of(&format!("{header}{claims}")))),
            ("of claims and header", format!("{signed}.{}", of(&format!("{claims}.{header}")))),
            ("of a dot more", format!("{signed}.{}", of(&format!("{signed}.")))),
            ("of a line end more", format!("{signed}.{}", of(&format!("{signed}\n")))),
            ("of the texts before base64", format!("{signed}.{}", of(&format!("{}.{ADA}", forge.header())))),
            ("of nothing", format!("{signed}.{}", of(""))),
            ("of itself", format!("{signed}.{}", of(signature))),
        ];
        let letters = signed.char_indices().filter(|(_, letter)| *letter != '.').map(|(at, letter)| {
            let changed = if letter == 'A' { "B" } else { "A" };
            let forged = format!("{}{changed}{}.{signature}", &signed[..at], &signed[at + 1..]);
            attack(format!("another letter at {at}"), forged, &good)
        });
        let attacks = cases.into_iter().map(|(what, forged)| attack(what, forged, &good));
        refused(&server, attacks.chain(letters).collect::<Vec<_>>()).await;
    }

    async fn a_signature_is_hmac_sha256_with_the_characters_of_the_secret(server: TestServer) {
        let forge = Forge::of(&server).await;
        let good = forge.claims(ADA);
        let (signed, _) = taken_apart(&good);
        let (secret, message) = (forge.0.secret.as_bytes(), signed.as_bytes());
        let text = |change: fn(&str) -> String| change(&forge.0.secret).into_bytes();
        let keys: [(&str, Vec<u8>); 18] = [
            ("nothing", Vec::new()),
            ("a zero", vec![0]),
            ("a well-known word", b"secret".to_vec()),
            ("the name of the key", forge.0.kid.clone().into_bytes()),
            ("the header", forge.header().into_bytes()),
            ("the secret decoded from base64", URL_SAFE_NO_PAD.decode(secret).unwrap()),
            ("the secret in base64", text(|secret| encode(secret))),
            ("the secret in hexadecimal", text(|secret| hex(secret.as_bytes()))),
            ("the secret in quotes", text(|secret| format!("\"{secret}\""))),
            ("the secret with a line end", text(|secret| format!("{secret}\n"))),
            ("the secret with a NUL", text(|secret| format!("{secret}\0"))),
            ("the secret without its first character", text(|secret| secret[1..].to_owned())),
            ("the secret without its last character", text(|secret| secret[..63].to_owned())),
            ("half of the secret", text(|secret| secret[..32].to_owned())),
            ("the secret in small letters", text(str::to_ascii_lowercase)),
            ("the secret in capital letters", text(str::to_ascii_uppercase)),
            ("the secret from back to front", text(|secret| secret.chars().rev().collect())),
            ("the hash of the secret", Sha256::digest(secret).to_vec()),
        ];
        let with_keys = keys.map(|(what, key)| {
            (what, hmac(Algorithm::HS256, &key, message))
        });
        let short = |algorithm| encode(&URL_SAFE_NO_PAD.decode(hmac(algorithm, secret, message)).unwrap()[..32]);
        let with_rules = [
            ("SHA-256 of secret and text", encode(Sha256::digest([secret, message].concat()))),
            ("SHA-256 of text and secret", encode(Sha256::digest([message, secret].concat()))),
            ("SHA-256 of the text", encode(Sha256::digest(message))),
            ("key and text the other way round", hmac(Algorithm::HS256, message, secret)),
            ("HMAC-SHA384 cut to size", short(Algorithm::HS384)),
            ("HMAC-SHA512 cut to size", short(Algorithm::HS512)),
            ("HMAC-SHA384", hmac(Algorithm::HS384, secret, message)),
            ("HMAC-SHA512", hmac(Algorithm::HS512, secret, message)),
        ];
        let attacks = with_keys.into_iter().chain(with_rules);
        refused(&server, attacks.map(|(what, text)| attack(what, format!("{signed}.{text}"), &good))).await;
    }
}
