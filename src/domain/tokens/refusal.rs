//! Why a token is refused, in words.
//!
//! Until its signature is known to be good there is one text for all that can be wrong, so that a forger
//! learns nothing. After that the text names the claim and the rule that it breaks.

use std::fmt;

use crate::model::reason::Reason;

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// One of the token reasons.
    pub reason: Reason,
    /// The claim and its rule; empty where none is to blame, or none is to be named.
    detail: String,
}

impl Refusal {
    /// The signature is not known to be good.
    pub(super) const UNSIGNED: Self = Self { reason: Reason::TokenInvalid, detail: String::new() };

    /// `claim` breaks `rule`.
    pub(super) fn of_claim(claim: &str, rule: &str) -> Self {
        Self::of_date(Reason::TokenInvalid, claim, rule)
    }

    /// The claims as a whole break `rule`.
    pub(super) fn of_claims(rule: &str) -> Self {
        Self { reason: Reason::TokenInvalid, detail: format!(": the claims {rule}") }
    }

    /// `date` is against it now, for `reason`.
    pub(super) fn of_date(reason: Reason, date: &str, rule: &str) -> Self {
        Self { reason, detail: format!(": `{date}` {rule}") }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: String::new() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wrong, remedy) = match self.reason {
            Reason::TokenExpired => ("the token has expired", "; get a new one"),
            Reason::TokenNotYetValid => ("the token is not valid yet", "; wait, or set the minter's clock"),
            Reason::TokenRevoked => ("the token was revoked", "; get a new one"),
            Reason::UserNotFound => ("the token's user does not exist", ""),
            Reason::UserDeleted => ("the token's user is deleted", ""),
            Reason::UserDeactivated => ("the token's user is deactivated", ""),
            _ => ("the token is not valid", ""),
        };
        write!(f, "{wrong}{}{remedy}", self.detail)
    }
}
