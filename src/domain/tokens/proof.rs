//! The proof that usher minted a token itself.
//!
//! Each holder of an app's secret can sign a token with any epoch and any time in it. A token with this proof
//! was minted here, for this user, under these epochs, at this time: the clock that dated it was usher's own, so
//! its `iat` need not be judged, which a clock that was set back would make lie ahead. The proof is a hash by a
//! key that never leaves usher. A token without a good one is judged as one minted elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::claims::Here;
use crate::domain::vault::Vault;
use crate::model::id::{AppId, UserId};

/// The claim that carries the proof.
pub(super) const PROOF: &str = "usher_proof";

/// The proof that `here` was said of `user` of `app` by usher.
pub(super) fn prove(vault: &Vault, app: AppId, user: &UserId, here: Here) -> String {
    URL_SAFE_NO_PAD.encode(vault.hash(parts(app, user, here).iter().map(Vec::as_slice)))
}

/// Whether `proof` is that one.
pub(super) fn is_proof(vault: &Vault, app: AppId, user: &UserId, here: Here, proof: &str) -> bool {
    let proof = URL_SAFE_NO_PAD.decode(proof);
    proof.is_ok_and(|proof| vault.is_hash(&proof, parts(app, user, here).iter().map(Vec::as_slice)))
}

fn parts(app: AppId, user: &UserId, here: Here) -> [Vec<u8>; 6] {
    let number = |number: i64| number.to_be_bytes().to_vec();
    [
        b"minted here".to_vec(),
        app.0.to_be_bytes().to_vec(),
        user.as_str().as_bytes().to_vec(),
        number(here.user_epoch),
        number(here.app_epoch),
        number(here.at.micros()),
    ]
}
