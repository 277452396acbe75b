//! What is left of users who are erased: hashes that nobody but whoever has the id can find, and the rule
//! that no token of theirs works for whoever has the id next.

use std::sync::Arc;

use crate::domain::tokens::revoke;
use crate::domain::vault::{HASH, Vault, hex};
use crate::model::id::AppId;
use crate::model::pseudonym::replace_id;
use crate::storage::upsert::Stored;
use crate::storage::{StoreError, Tx, erased};

/// Bytes of a hash that stand in an id.
const SHORT: usize = 16;
/// What every pseudonym begins with.
const PSEUDONYM: &str = "erased-";

fn hash(vault: &Vault, what: &str, app: AppId, id: &str) -> [u8; HASH] {
    vault.hash([what.as_bytes(), app.0.to_be_bytes().as_slice(), id.as_bytes()])
}

fn short(hash: &[u8; HASH]) -> String {
    hex(&hash[..SHORT])
}

/// What the ledger holds of an id.
pub(in crate::domain) fn ledger_hash(vault: &Vault, app: AppId, id: &str) -> Vec<u8> {
    hash(vault, "erased user", app, id).to_vec()
}

/// What stands for a user in what is kept of it.
pub(in crate::domain) fn system_id(vault: &Vault, app: AppId, id: &str) -> String {
    format!("delete-user-{}", short(&hash(vault, "system id", app, id)))
}

/// Whether an item of a task was about a user who is erased by now.
pub(in crate::domain) fn is_pseudonym(id: &str) -> bool {
    id.strip_prefix(PSEUDONYM).is_some_and(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// What stands for a user in tasks.
pub(in crate::domain) fn pseudonym(vault: &Vault, app: AppId, id: &str) -> String {
    format!("{PSEUDONYM}{}", short(&hash(vault, "pseudonym", app, id)))
}

/// `text` without those of `ids` that stand in it as words, as it is kept once they are erased; `None` where
/// there is none.
pub(in crate::domain) fn replace_ids<'a>(
    vault: &Vault,
    app: AppId,
    text: &str,
    ids: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    ids.into_iter().filter(|id| text.contains(id)).fold(None, |replaced: Option<String>, id| {
        let before = replaced.as_deref().unwrap_or(text);
        replace_id(before, id, &pseudonym(vault, app, id)).or(replaced)
    })
}

/// Lets new users among `users` begin as if their tokens had been revoked when whoever had their ids before
/// was erased.
pub(in crate::domain) async fn refuse_old_tokens(
    tx: &Tx,
    vault: &Vault,
    app: AppId,
    users: &mut [Stored],
) -> Result<(), StoreError> {
    let mut new: Vec<&mut Stored> = users.iter_mut().filter(|stored| stored.user.version == 1).collect();
    if new.is_empty() || !erased::has_any(tx, app).await? {
        return Ok(());
    }
    let hashes: Vec<Vec<u8>> =
        new.iter().map(|stored| ledger_hash(vault, app, stored.user.id().as_str())).collect();
    let found = erased::list(tx, app, &hashes).await?;
    for (stored, hash) in new.iter_mut().zip(hashes) {
        if let Some(entry) = found.get(&hash) {
            let epoch = entry.auth_epoch + revoke::step();
            (stored.marks.auth_epoch, stored.marks.revoked_epoch) = (epoch, epoch);
            Arc::make_mut(&mut stored.user).tokens_revoked_before = Some(entry.erased_at);
        }
    }
    Ok(())
}
