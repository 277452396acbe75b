//! What the SQLSTATEs of PostgreSQL mean (its manual, appendix A), and whether the connection may be used
//! again. Answers that mean "not here, not now" are outages, and their connection leaves the pool: another one
//! may lead to a server that can do it.

use sea_orm::sqlx;

use crate::storage::error::{Meaning, Outage};

/// A statement that its timeout, its caller or an operator ended.
const CANCELLED: &str = "57014";

/// What a SQLSTATE means, and whether the connection may be used again after it.
pub(in crate::storage) fn of_sqlstate(code: &str) -> (Meaning, bool) {
    use Meaning::{Conflict, Timeout, Unavailable, Unique};
    let outage = |outage| (Unavailable(outage), false);
    match code {
        "23505" => (Unique, true),
        // Lost races: serialisation, deadlocks, locks and objects that others hold; a row that was found, and is
        // gone when another one is to refer to it.
        "23503" | "40000" | "40001" | "40P01" | "55006" | "55P03" | "72000" => (Conflict, true),
        CANCELLED => (Timeout, true),
        // A standby, or a primary that was made read-only.
        "25006" => outage(Outage::ReadOnly),
        // Ended by the server, which may have committed before.
        "25P03" | "25P04" | "40003" | "57P05" => outage(Outage::ConnectionLost),
        "3D000" | "57P04" => outage(Outage::NoSuchDatabase),
        "42501" => outage(Outage::NotAllowed),
        // No statement but those of migrations makes tables.
        "42701" | "42710" | "42P07" => outage(Outage::InTheWay),
        "53100" => outage(Outage::DiskFull),
        "55000" => outage(Outage::TakesNoConnections),
        "58030" => outage(Outage::DiskError),
        "58P01" | "58P02" | "XX001" | "XX002" => outage(Outage::Damaged),
        // Statements or plans of another session: a pooler is in the way, or the schema has changed.
        "0A000" | "26000" | "42P05" => outage(Outage::StrangeSession),
        _ => of_class(code.get(..2).unwrap_or_default()),
    }
}

fn of_class(class: &str) -> (Meaning, bool) {
    let outage = |outage| (Meaning::Unavailable(outage), false);
    match class {
        "08" => outage(Outage::ConnectionLost),
        "28" => outage(Outage::LoginRefused),
        "3F" => outage(Outage::NoSchema),
        "53" => outage(Outage::OutOfResources),
        "57" => outage(Outage::ShuttingDown),
        "58" => outage(Outage::DiskError),
        "F0" => outage(Outage::TakesNoConnections),
        // The statement was wrong; the session is as it was.
        "00" | "01" | "02" | "03" | "09" | "0A" | "0F" | "0L" | "0P" | "0Z" | "20" | "21" | "22" | "23"
        | "24" | "26" | "27" | "2B" | "2F" | "34" | "38" | "39" | "40" | "42" | "44" | "54" | "55" | "HV"
        | "P0" => (Meaning::Bug, true),
        // 0B, 25, 2D, 3B, XX, and what is unknown: the transaction may not be in the state that usher believes.
        _ => (Meaning::Bug, false),
    }
}

/// Whether the connection on which `err` happened may be used again.
pub(super) fn keeps_connection(err: &sqlx::Error) -> bool {
    match err {
        sqlx::Error::Database(cause) => of_sqlstate(&cause.code().unwrap_or_default()).1,
        // About values, found in this process.
        sqlx::Error::RowNotFound
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::Encode(_)
        | sqlx::Error::TypeNotFound { .. } => true,
        _ => false,
    }
}

/// Whether `err`, in answer to COMMIT, says for certain that nothing was committed.
pub(super) fn is_refusal(err: &sqlx::Error) -> bool {
    let Some(code) = err.as_database_error().and_then(sqlx::error::DatabaseError::code) else { return false };
    // A cancelled COMMIT may have reached the disk before it heard of that.
    of_sqlstate(&code).1 && code != CANCELLED
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code of appendix A, as PostgreSQL 15 knows them, by what it means and what becomes of the connection.
    const APPENDIX_A: &str = "\
Bug kept: 00000 01000 0100C 01008 01003 01007 01006 01004 01P01 02000 02001 03000 09000 0F000 0F001\n\
Bug kept: 0L000 0LP01 0P000 0Z000 0Z002 20000 21000 22000 2202E 22021 22008 22012 22005 2200B 22022\n\
Bug kept: 22015 2201E 22014 22016 2201F 2201G 22018 22007 22019 2200D 22025 22P06 22010 22023 22013\n\
Bug kept: 2201B 2201W 2201X 2202H 2202G 22009 2200C 2200G 22004 22002 22003 2200H 22026 22001 22011\n\
Bug kept: 22027 22024 2200F 22P01 22P02 22P03 22P04 22P05 2200L 2200M 2200N 2200S 2200T 22030 22031\n\
Bug kept: 22032 22033 22034 22035 22036 22037 22038 22039 2203A 2203B 2203C 2203D 2203E 2203F 2203G\n\
Bug kept: 23000 23001 23502 23514 23P01 24000 27000 2B000 2BP01 2F000 2F005 2F002 2F003 2F004\n\
Bug kept: 34000 38000 38001 38002 38003 38004 39000 39001 39004 39P01 39P02 39P03 40002 42000 42601\n\
Bug kept: 42846 42803 42P20 42P19 42830 42602 42622 42939 42804 42P18 42P21 42P22 42809 428C9 42703\n\
Bug kept: 42883 42P01 42P02 42704 42P03 42P04 42723 42P06 42712 42702 42725 42P08\n\
Bug kept: 42P09 42P10 42611 42P11 42P12 42P13 42P14 42P15 42P16 42P17 44000 54000 54001 54011 54023\n\
Bug kept: 55P02 55P04 HV000 HV005 HV002 HV010 HV021 HV024 HV007 HV008 HV004 HV006 HV091 HV00B HV00C\n\
Bug kept: HV00D HV090 HV00A HV009 HV014 HV001 HV00P HV00J HV00K HV00Q HV00R HV00L HV00M HV00N P0000\n\
Bug kept: P0001 P0002 P0003 P0004\n\
Unavailable(ConnectionLost) discarded: 08000 08003 08006 08001 08004 08007 08P01 25P03 40003 57P05\n\
Unavailable(ConnectionLost) discarded: 25P04\n\
Unavailable(StrangeSession) discarded: 0A000 26000 42P05\n\
Bug discarded: 0B000 25000 25001 25002 25008 25003 25004 25005 25007 25P01 25P02 2D000 3B000 3B001\n\
Bug discarded: XX000\n\
Unique kept: 23505\n\
Unavailable(ReadOnly) discarded: 25006\n\
Unavailable(LoginRefused) discarded: 28000 28P01\n\
Unavailable(NoSuchDatabase) discarded: 3D000 57P04\n\
Unavailable(NoSchema) discarded: 3F000\n\
Conflict kept: 23503 40000 40001 40P01 55006 55P03 72000\n\
Unavailable(NotAllowed) discarded: 42501\n\
Unavailable(OutOfResources) discarded: 53000 53200 53300 53400\n\
Unavailable(InTheWay) discarded: 42701 42710 42P07\n\
Unavailable(DiskFull) discarded: 53100\n\
Unavailable(TakesNoConnections) discarded: 55000 F0000 F0001\n\
Unavailable(ShuttingDown) discarded: 57000 57P01 57P02 57P03\n\
Timeout kept: 57014\n\
Unavailable(DiskError) discarded: 58000 58030\n\
Unavailable(Damaged) discarded: 58P01 58P02 XX001 XX002";

    #[test]
    fn every_code_of_the_manual_has_a_meaning() {
        let mut seen = std::collections::BTreeSet::new();
        for line in APPENDIX_A.lines() {
            let (expected, codes) = line.split_once(": ").unwrap();
            for code in codes.split(' ') {
                let (meaning, keeps) = of_sqlstate(code);
                let became = if keeps { "kept" } else { "discarded" };
                assert_eq!(format!("{meaning:?} {became}"), expected, "{code}");
                assert!(seen.insert(code.to_owned()), "{code} stands twice");
            }
        }
        assert_eq!(seen.len(), 261);
    }

    #[test]
    fn what_is_not_here_or_not_now_never_keeps_its_connection() {
        let codes = APPENDIX_A.lines().flat_map(|line| line.split_once(": ").unwrap().1.split(' '));
        for code in codes.chain(["ZZ999", "", "é"]) {
            let (meaning, keeps) = of_sqlstate(code);
            assert!(!(keeps && matches!(meaning, Meaning::Unavailable(_))), "{code}");
        }
    }
}
