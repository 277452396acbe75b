//! What the SQLSTATEs of PostgreSQL mean (its manual, appendix A).

use crate::storage::error::{Meaning, Outage};

/// What a SQLSTATE means, and whether the connection may be used again after it.
pub(in crate::storage) fn of_sqlstate(code: &str) -> (Meaning, bool) {
    use Meaning::{Bug, Conflict, Timeout, Unavailable, Unique};
    match code {
        "40001" | "40P01" | "55P03" => (Conflict, true),
        "57014" => (Timeout, true),
        "23505" => (Unique, true),
        "55000" => (Unavailable(Outage::TakesNoConnections), false),
        "3D000" => (Unavailable(Outage::NoSuchDatabase), false),
        "28000" | "28P01" => (Unavailable(Outage::LoginRefused), false),
        "25P03" | "57P01" | "57P02" | "57P03" | "57P05" => (Unavailable(Outage::ShuttingDown), false),
        _ if code.starts_with("08") => (Unavailable(Outage::ConnectionLost), false),
        _ if code.starts_with("53") => (Unavailable(Outage::OutOfResources), false),
        _ => (Bug, true),
    }
}
