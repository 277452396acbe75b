//! What the master key protects: secrets at rest, page tokens, and hashes nobody else can compute.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use rand::Rng as _;
use sha2::Sha256;

const NONCE: usize = 24;

/// Keys derived from the master key (HKDF-SHA256, RFC 5869), one per purpose.
pub struct Vault {
    sealing: XChaCha20Poly1305,
    hashing: [u8; 32],
}

/// A master key, as the bytes that keys are derived from.
///
/// Taken is any text of at least 32 characters that looks random; its characters are the bytes. What is
/// short, or has few different characters, was not made by a random generator.
pub fn parse_master_key(text: &str) -> Result<Vec<u8>, &'static str> {
    const MIN_DISTINCT: usize = 10;
    let distinct = text.bytes().collect::<std::collections::HashSet<_>>().len();
    if text.len() < 32 {
        Err("the master key must have at least 32 characters; make one with `openssl rand -hex 32`")
    } else if distinct < MIN_DISTINCT {
        Err("the master key is not random; make one with `openssl rand -hex 32`")
    } else {
        Ok(text.as_bytes().to_vec())
    }
}

/// A new master key, as people write it.
pub fn new_master_key() -> String {
    let mut key = [0_u8; 32];
    rand::rng().fill_bytes(&mut key);
    hex(&key)
}

/// `bytes` as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        use std::fmt::Write as _;
        write!(text, "{byte:02x}").ok();
        text
    })
}

impl Vault {
    /// Derives the keys.
    pub fn new(master: &[u8]) -> Self {
        let derived = Hkdf::<Sha256>::new(None, master);
        let mut sealing = [0; 32];
        let mut hashing = [0; 32];
        // 32 bytes are always within what HKDF gives.
        derived.expand(b"usher sealing", &mut sealing).ok();
        derived.expand(b"usher hashing", &mut hashing).ok();
        Self { sealing: XChaCha20Poly1305::new(&sealing.into()), hashing }
    }

    /// Encrypts and authenticates `plain`; it opens only with the same `context`.
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0_u8; NONCE];
        rand::rng().fill_bytes(&mut nonce);
        let payload = Payload { msg: plain, aad: context };
        let sealed = self.sealing.encrypt(XNonce::from_slice(&nonce), payload).unwrap_or_default();
        [nonce.as_slice(), &sealed].concat()
    }

    /// What was sealed with `context`; `None` where it was not, or was changed.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE)?;
        self.sealing.decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: context }).ok()
    }

    /// A keyed hash (HMAC-SHA256) of `parts`, each told apart from its neighbours.
    pub fn hash<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(&self.hashing) else { return Vec::new() };
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault() -> Vault {
        Vault::new(&parse_master_key(&new_master_key()).unwrap())
    }

    #[test]
    fn what_is_sealed_opens_with_its_context_only() {
        let vault = vault();
        let sealed = vault.seal(b"app 1", b"secret");
        assert_eq!(vault.open(b"app 1", &sealed).as_deref(), Some(b"secret".as_slice()));
        assert_eq!(vault.open(b"app 2", &sealed), None);
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(vault.open(b"app 1", &changed), None);
        assert_eq!(vault.open(b"app 1", b"short"), None);
        assert_eq!(self::vault().open(b"app 1", &sealed), None);
    }

    #[test]
    fn parts_of_a_hash_do_not_run_into_each_other() {
        let vault = vault();
        assert_ne!(vault.hash([b"ab".as_slice(), b"c"]), vault.hash([b"a".as_slice(), b"bc"]));
    }

    #[test]
    fn weak_master_keys_are_refused() {
        for weak in
            ["", "secret", &"0".repeat(64), &"ab".repeat(32), &"password".repeat(8), "0123456789abcdef"]
        {
            assert!(parse_master_key(weak).is_err(), "{weak}");
        }
    }
}
