//! What the result codes of SQLite mean (<https://sqlite.org/rescode.html>).

use crate::storage::error::{Meaning, Outage};

/// What a result code means, extended or not, and whether the connection may be used again after it.
///
/// After an error of memory or disk SQLite may have rolled the whole transaction back by itself, while the
/// driver goes on believing in it: then the connection must go.
pub(in crate::storage) fn of_code(code: &str) -> (Meaning, bool) {
    use Meaning::{Bug, Conflict, Timeout, Unavailable, Unique};
    let Ok(code) = code.parse::<i32>() else { return (Bug, false) };
    match (code & 0xff, code) {
        // SQLITE_CONSTRAINT: of a primary key, a unique index, a rowid; then of all else.
        (19, 1555 | 2067 | 2579) => (Unique, true),
        // ERROR, AUTH, CONSTRAINT, MISMATCH, RANGE, TOOBIG, NOTFOUND, EMPTY, FORMAT, NOTICE, WARNING: the
        // statement is wrong, nothing else.
        (1 | 12 | 16 | 18..=20 | 23..=25 | 27 | 28, _) => (Bug, true),
        // BUSY, LOCKED, SCHEMA: another connection was in the way.
        (5 | 6 | 17, _) => (Conflict, true),
        // ABORT, PROTOCOL: the same, and the transaction is lost.
        (4 | 15, _) => (Conflict, false),
        // INTERRUPT
        (9, _) => (Timeout, false),
        // NOMEM
        (7, _) => (Unavailable(Outage::OutOfResources), false),
        // READONLY_DBMOVED, then READONLY, PERM.
        (8, 1032) => (Unavailable(Outage::Replaced), false),
        (8 | 3, _) => (Unavailable(Outage::ReadOnly), false),
        // IOERR
        (10, _) => (Unavailable(Outage::DiskError), false),
        // CORRUPT, NOTADB
        (11 | 26, _) => (Unavailable(Outage::Damaged), false),
        // FULL, NOLFS
        (13 | 22, _) => (Unavailable(Outage::DiskFull), false),
        // CANTOPEN
        (14, _) => (Unavailable(Outage::CannotOpen), false),
        // INTERNAL, MISUSE, and what a later SQLite adds.
        _ => (Bug, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every primary result code of SQLite 3.50, with the extended ones that differ from it.
    const CODES: [(i32, Meaning, bool); 34] = {
        use Meaning::{Bug, Conflict, Timeout, Unavailable, Unique};
        [
            (1, Bug, true),
            (2, Bug, false),
            (3, Unavailable(Outage::ReadOnly), false),
            (4, Conflict, false),
            (5, Conflict, true),
            (6, Conflict, true),
            (7, Unavailable(Outage::OutOfResources), false),
            (8, Unavailable(Outage::ReadOnly), false),
            (1032, Unavailable(Outage::Replaced), false),
            (9, Timeout, false),
            (10, Unavailable(Outage::DiskError), false),
            (11, Unavailable(Outage::Damaged), false),
            (12, Bug, true),
            (13, Unavailable(Outage::DiskFull), false),
            (14, Unavailable(Outage::CannotOpen), false),
            (15, Conflict, false),
            (16, Bug, true),
            (17, Conflict, true),
            (18, Bug, true),
            (19, Bug, true),
            (1555, Unique, true),
            (2067, Unique, true),
            (2579, Unique, true),
            (20, Bug, true),
            (21, Bug, false),
            (22, Unavailable(Outage::DiskFull), false),
            (23, Bug, true),
            (24, Bug, true),
            (25, Bug, true),
            (26, Unavailable(Outage::Damaged), false),
            (27, Bug, true),
            (28, Bug, true),
            (100, Bug, false),
            (101, Bug, false),
        ]
    };

    #[test]
    fn every_result_code_has_its_meaning() {
        for (code, meaning, reusable) in CODES {
            assert_eq!(of_code(&code.to_string()), (meaning, reusable), "{code}");
        }
    }

    #[test]
    fn extended_codes_mean_what_their_primary_code_means() {
        let differing = [1032, 1555, 2067, 2579];
        for (primary, meaning, reusable) in CODES.iter().filter(|(code, ..)| *code < 100) {
            for extension in 1..=40 {
                let code = primary | extension << 8;
                if !differing.contains(&code) {
                    assert_eq!(of_code(&code.to_string()), (*meaning, *reusable), "{code}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_code_is_a_bug_after_which_the_connection_goes() {
        for code in ["", "-", "SQLITE_FULL", "99999999999"] {
            assert_eq!(of_code(code), (Meaning::Bug, false), "{code}");
        }
    }
}
