//! Tokens whose signature was found good, so that it need not be looked at again.
//!
//! Callers send the same token with every call. What it says and who signed it cannot change; whether its key
//! still verifies, its dates, and how its user stands are judged anew each time.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::Refusal;
use super::claims::{Claims, MAX_BYTES, Sealed};
use crate::domain::apps::ring::Key;
use crate::domain::{Domain, Error};
use crate::model::clock::Deadline;
use crate::model::id::AppId;

/// Tokens remembered at most, and the longest of them, so that all take a few dozen megabytes at most.
const REMEMBERED: usize = 8_192;
const LONGEST: usize = MAX_BYTES / 8;

/// What was opened, by token: the name of the key that signed it, and what it says.
pub struct Opened(Cache<String, Arc<(String, Claims)>>);

impl Default for Opened {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl Domain {
    /// The claims of a token that names its key, and that key, which must verify: a key of `app`, where that is
    /// given. A key of another app and none at all look the same.
    ///
    /// `None` where the token names none, and [`Sealed`] must be opened with a key found otherwise.
    pub(super) async fn open_named(
        &self,
        token: &str,
        app: Option<AppId>,
        deadline: Deadline,
    ) -> Result<Option<Result<(Arc<Key>, Claims), Refusal>>, Error> {
        let known = self.opened.0.get(token);
        if let Some(known) = known {
            let (kid, claims) = &*known;
            let key = self.key(kid, deadline).await?.filter(|key| is_of(app, key));
            return Ok(Some(key.map(|key| (key, claims.clone())).ok_or(Refusal::UNSIGNED)));
        }
        let sealed = match Sealed::parse(token) {
            Ok(sealed) => sealed,
            Err(refusal) => return Ok(Some(Err(refusal))),
        };
        let Some(kid) = &sealed.kid else { return Ok(None) };
        // No more is said of an unknown kid than of a wrong signature.
        let key = self.key(kid, deadline).await?.filter(|key| is_of(app, key));
        let Some(key) = key else { return Ok(Some(Err(Refusal::UNSIGNED))) };
        let claims = match sealed.open(&key, &self.vault) {
            Ok(claims) => claims,
            Err(refusal) => return Ok(Some(Err(refusal))),
        };
        if token.len() <= LONGEST {
            self.opened.0.insert(token.to_owned(), Arc::new((key.kid.clone(), claims.clone())));
        }
        Ok(Some(Ok((key, claims))))
    }
}

fn is_of(app: Option<AppId>, key: &Key) -> bool {
    app.is_none_or(|app| app == key.app)
}
