//! The master key, and the keyset that it seals.
//!
//! The database holds the keyset once for every master key in use, so that replicas can go over from one to
//! another one by one. A new master key comes with a new sealing key: what the old one could open does not
//! open what is sealed from then on.

use std::collections::HashSet;

use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use hkdf::Hkdf;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{KEY, hex, open_with, seal_with};

const MIN_LENGTH: usize = 32;
/// What a random generator makes has more different characters than this.
const MIN_DISTINCT: usize = 10;

/// Text of at least 32 characters that looks random; its characters are the bytes that keys derive from.
#[derive(Clone)]
pub struct MasterKey {
    derived: Hkdf<Sha256>,
}

/// The keys behind a [`Vault`](super::Vault).
#[derive(Clone, Serialize, Deserialize)]
pub struct Keyset {
    /// Never changes: what was hashed cannot be hashed again. So the first master key, and each later one with a
    /// copy of the database from its time, goes on to yield it, and with it whether a pseudonym is that of a
    /// guessed id.
    pub(super) hashing: [u8; KEY],
    /// The first one seals, all of them open.
    pub(super) sealing: Vec<[u8; KEY]>,
}

impl MasterKey {
    /// Takes text that may have come from a random generator; says what to do about any other.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let distinct = text.bytes().collect::<HashSet<_>>().len();
        if text.len() < MIN_LENGTH {
            Err("the master key must have at least 32 characters; make one with `openssl rand -hex 32`")
        } else if distinct < MIN_DISTINCT {
            Err("the master key is not random; make one with `openssl rand -hex 32`")
        } else {
            Ok(Self { derived: Hkdf::new(None, text.as_bytes()) })
        }
    }

    /// The text of a new one.
    pub fn generate() -> String {
        let mut key = [0_u8; KEY];
        rand::rng().fill_bytes(&mut key);
        hex(&key)
    }

    /// Tells master keys apart, and nothing about them.
    pub fn fingerprint(&self) -> String {
        hex(&self.derive::<8>(b"usher fingerprint"))
    }

    /// The keyset of a database that has none: as versions before keysets derived it.
    pub fn first_keyset(&self) -> Keyset {
        Keyset { hashing: self.derive(b"usher hashing"), sealing: vec![self.derive(b"usher sealing")] }
    }

    /// Seals `keyset` under this master key.
    #[expect(clippy::expect_used, reason = "going on would store an empty keyset")]
    pub fn seal(&self, keyset: &Keyset) -> Vec<u8> {
        let plain = serde_json::to_vec(keyset).expect("a keyset is lists of numbers");
        seal_with(&self.wrapping(), b"keyset", &plain)
    }

    /// The keyset, if it was sealed under this master key. One without a sealing key is none.
    pub fn open(&self, sealed: &[u8]) -> Option<Keyset> {
        let plain = open_with(&self.wrapping(), b"keyset", sealed)?;
        serde_json::from_slice(&plain).ok().filter(|keyset: &Keyset| !keyset.sealing.is_empty())
    }

    fn wrapping(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.derive::<KEY>(b"usher wrapping").into())
    }

    /// Keys of their own for each purpose (RFC 5869).
    #[expect(clippy::expect_used, reason = "going on would seal with a key of zeros")]
    fn derive<const N: usize>(&self, purpose: &[u8]) -> [u8; N] {
        let mut key = [0; N];
        self.derived.expand(purpose, &mut key).expect("HKDF-SHA256 gives up to 8,160 bytes");
        key
    }
}

impl Keyset {
    /// The same with a new key that seals from now on. The one before it still opens what it sealed, until
    /// [`Self::narrowed`]; secrets are sealed anew, so that nothing but page tokens and sessions, which do not
    /// last, depends on it.
    #[must_use]
    pub fn renewed(&self) -> Self {
        let mut key = [0_u8; KEY];
        rand::rng().fill_bytes(&mut key);
        let before = self.sealing.first().copied();
        Self { hashing: self.hashing, sealing: std::iter::once(key).chain(before).collect() }
    }

    /// The same with the newest sealing key alone.
    #[must_use]
    pub fn narrowed(&self) -> Self {
        Self { hashing: self.hashing, sealing: self.sealing.iter().take(1).copied().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master() -> MasterKey {
        MasterKey::parse(&MasterKey::generate()).unwrap()
    }

    #[test]
    fn weak_master_keys_are_refused() {
        for weak in
            ["", "secret", &"0".repeat(64), &"ab".repeat(32), &"password".repeat(8), "0123456789abcdef"]
        {
            assert!(MasterKey::parse(weak).is_err(), "{weak}");
        }
    }

    #[test]
    fn a_keyset_opens_under_its_master_key_only() {
        let (one, two) = (master(), master());
        let keyset = one.first_keyset();
        assert_eq!(one.open(&one.seal(&keyset)).unwrap().hashing, keyset.hashing);
        assert!(two.open(&one.seal(&keyset)).is_none());
        assert_ne!(one.fingerprint(), two.fingerprint());
    }

    #[test]
    fn a_keyset_without_a_sealing_key_does_not_open() {
        let master = master();
        let empty = Keyset { sealing: Vec::new(), ..master.first_keyset() };
        assert!(master.open(&master.seal(&empty)).is_none(), "nothing could be sealed with it");
    }
}
