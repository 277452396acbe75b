//! What the master key protects: secrets at rest, page tokens, sessions, and hashes nobody else can compute.

mod master_key;
pub mod stored;

use std::sync::{Arc, PoisonError, RwLock};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use rand::Rng as _;
use sha2::Sha256;

pub use self::master_key::{Keyset, MasterKey};

const NONCE: usize = 24;
/// Bytes of every key.
const KEY: usize = 32;
/// Bytes of a hash.
pub const HASH: usize = 32;

/// Seals, opens and hashes with the keyset of the database.
pub struct Vault {
    master: MasterKey,
    keys: RwLock<Arc<Keys>>,
}

struct Keys {
    /// Never empty: [`MasterKey::open`] sees to it.
    sealing: Vec<XChaCha20Poly1305>,
    hashing: [u8; KEY],
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
    /// A vault with `keyset`, which `master` has opened.
    pub fn new(master: MasterKey, keyset: &Keyset) -> Self {
        Self { master, keys: RwLock::new(Arc::new(Keys::of(keyset))) }
    }

    /// The master key it was opened with.
    pub const fn master(&self) -> &MasterKey {
        &self.master
    }

    /// Goes on with the keyset as it was stored anew. False where it is not sealed under this master key.
    pub fn adopt(&self, sealed: &[u8]) -> bool {
        let keyset = self.master.open(sealed);
        if let Some(keyset) = &keyset {
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Keys::of(keyset));
        }
        keyset.is_some()
    }

    /// Encrypts and authenticates `plain`; it opens only with the same `context`.
    #[expect(clippy::expect_used, reason = "going on without a key would store secrets as nothing")]
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        seal_with(self.keys().sealing.first().expect("a keyset has a sealing key"), context, plain)
    }

    /// What was sealed with `context`; `None` where it was not, or was changed.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        self.keys().sealing.iter().find_map(|key| open_with(key, context, sealed))
    }

    /// A keyed hash (HMAC-SHA256) of `parts`, each separated from its neighbours.
    pub fn hash<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; HASH] {
        self.mac(parts).finalize().into_bytes().into()
    }

    /// Whether `hash` is that of `parts`, compared in constant time.
    pub fn is_hash<'a>(&self, hash: &[u8], parts: impl IntoIterator<Item = &'a [u8]>) -> bool {
        self.mac(parts).verify_slice(hash).is_ok()
    }

    #[expect(clippy::expect_used, reason = "going on without a hash would make all hashes equal")]
    fn mac<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Hmac<Sha256> {
        let keys = self.keys();
        let mut mac =
            <Hmac<Sha256> as Mac>::new_from_slice(&keys.hashing).expect("HMAC takes keys of any length");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Keys {
    fn of(keyset: &Keyset) -> Self {
        let sealing = keyset.sealing.iter().map(|key| XChaCha20Poly1305::new(key.into())).collect();
        Self { sealing, hashing: keyset.hashing }
    }
}

#[expect(clippy::expect_used, reason = "going on without a ciphertext would store secrets as nothing")]
fn seal_with(key: &XChaCha20Poly1305, context: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut nonce = [0_u8; NONCE];
    rand::rng().fill_bytes(&mut nonce);
    let payload = Payload { msg: plain, aad: context };
    let sealed =
        key.encrypt(XNonce::from_slice(&nonce), payload).expect("what is sealed is far below 256 GiB");
    [nonce.as_slice(), &sealed].concat()
}

fn open_with(key: &XChaCha20Poly1305, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE)?;
    key.decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: context }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault() -> Vault {
        let master = MasterKey::parse(&MasterKey::generate()).unwrap();
        let keyset = master.first_keyset();
        Vault::new(master, &keyset)
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
    fn what_was_sealed_before_a_rotation_opens_until_the_next_and_hashes_stay() {
        let vault = vault();
        let (sealed, hash) = (vault.seal(b"a", b"secret"), vault.hash([b"x".as_slice()]));
        let once = vault.master.first_keyset().renewed();
        assert!(vault.adopt(&vault.master.seal(&once)));
        assert_eq!(vault.open(b"a", &sealed).as_deref(), Some(b"secret".as_slice()));
        assert!(vault.adopt(&vault.master.seal(&once.renewed())));
        assert_eq!(vault.open(b"a", &sealed), None, "that key is gone");
        let sealed = vault.seal(b"a", b"secret");
        assert!(vault.adopt(&vault.master.seal(&once.narrowed())));
        assert_eq!(vault.open(b"a", &sealed), None, "and so is the one after it");
        assert_eq!(vault.hash([b"x".as_slice()]), hash);
    }

    #[test]
    fn parts_of_a_hash_do_not_run_into_each_other() {
        let vault = vault();
        assert_ne!(vault.hash([b"ab".as_slice(), b"c"]), vault.hash([b"a".as_slice(), b"bc"]));
    }
}
