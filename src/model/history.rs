//! What happened to a user, who asked for it, and why.

use super::clock::Timestamp;

/// Who asked for something, and why; `None` where the caller did not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Cause {
    pub by_id: Option<String>,
    pub reason: Option<String>,
}

impl Cause {
    /// From a request, where an empty text says nothing.
    pub fn of(by_id: &str, reason: &str) -> Self {
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self { by_id: said(by_id), reason: said(reason) }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented at the proto enum")]
pub enum HistoryKind {
    Deactivated,
    Reactivated,
    Deleted,
    Pruned,
    Restored,
    TokensRevoked,
    RevocationCleared,
    Exported,
    ArchiveDownloaded,
    ArchiveLinked,
}

impl HistoryKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Deactivated,
        Self::Reactivated,
        Self::Deleted,
        Self::Pruned,
        Self::Restored,
        Self::TokensRevoked,
        Self::RevocationCleared,
        Self::Exported,
        Self::ArchiveDownloaded,
        Self::ArchiveLinked,
    ];

    /// As stored; never changes.
    pub const fn code(self) -> i16 {
        match self {
            Self::Deactivated => 1,
            Self::Reactivated => 2,
            Self::Deleted => 3,
            Self::Pruned => 4,
            Self::Restored => 5,
            Self::TokensRevoked => 6,
            Self::RevocationCleared => 7,
            Self::Exported => 8,
            Self::ArchiveDownloaded => 9,
            Self::ArchiveLinked => 10,
        }
    }

    /// As an export says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deactivated => "deactivated",
            Self::Reactivated => "reactivated",
            Self::Deleted => "deleted",
            Self::Pruned => "pruned",
            Self::Restored => "restored",
            Self::TokensRevoked => "tokens_revoked",
            Self::RevocationCleared => "revocation_cleared",
            Self::Exported => "exported",
            Self::ArchiveDownloaded => "archive_downloaded",
            Self::ArchiveLinked => "archive_linked",
        }
    }

    /// From what is stored; `None` where a later version wrote it.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// One thing that happened to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the history of its user; rises with each.
    pub no: i64,
    /// `None` where this version does not know it.
    pub kind: Option<HistoryKind>,
    /// When.
    pub at: Timestamp,
    /// Who asked for it, and why.
    pub cause: Cause,
    /// The task that it is a part of, if any.
    pub task: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_as_it_was_stored_and_a_later_one_is_not_guessed() {
        for kind in HistoryKind::ALL {
            assert_eq!(HistoryKind::from_code(kind.code()), Some(kind));
        }
        assert_eq!(HistoryKind::from_code(0), None);
        assert_eq!(HistoryKind::from_code(99), None);
    }
}
