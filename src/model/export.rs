//! The export of a user (GDPR articles 15 and 20): what a caller asks for, and what a record says of itself.
//!
//! Which rows and columns are released is said by the register of personal data, not here.

use serde::{Deserialize, Serialize};

/// The format of the records, written in the first one.
pub const FORMAT: &str = "usher-export/1";

/// How the ids of other people appear in an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum References {
    /// As `~1`, `~2`: the same person has the same number throughout one export.
    Pseudonym,
    /// As stored, for moving data to another system.
    Keep,
}

impl References {
    /// As written in the first record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pseudonym => "PSEUDONYM",
            Self::Keep => "KEEP",
        }
    }
}

/// Which records an export holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything about the user (article 15).
    Access,
    /// What the user provided (article 20).
    Portability,
}

impl Scope {
    /// As written in the first record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "ACCESS",
            Self::Portability => "PORTABILITY",
        }
    }
}

/// What a caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct ExportOptions {
    pub references: References,
    pub scope: Scope,
    pub include_received: bool,
}

/// Where the data of a record comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The user provided it, by writing or choosing it.
    Provided,
    /// It was observed: it came about as the service was used.
    Observed,
}

impl Basis {
    /// As written in a record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provided => "provided",
            Self::Observed => "observed",
        }
    }
}
