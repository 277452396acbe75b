//! The register of processing (GDPR article 30), made from the register of personal data.

use serde::Serialize;

use super::envelope::RETENTION;
use crate::storage::columns::release::{Found, Release};
use crate::storage::columns::{TABLES, Table};

/// What is held, of which people, and how long.
#[derive(Debug, Serialize)]
pub struct Processing {
    /// Of which people data is held.
    pub data_subjects: &'static [&'static str],
    /// How long.
    pub retention: &'static str,
    /// Where, and what for.
    pub tables: Vec<Held>,
}

/// What a table holds.
#[derive(Debug, Serialize)]
pub struct Held {
    /// Its name.
    pub table: &'static str,
    /// Records that it gives to the export of a user.
    pub records: Vec<Given>,
    /// Columns that no export holds.
    pub withheld: Vec<Withheld>,
    /// Columns that usher keeps for itself.
    pub internal: &'static [&'static str],
}

/// A kind of records.
#[derive(Debug, Serialize)]
pub struct Given {
    /// Its type.
    pub record: &'static str,
    /// What the user is to it.
    pub relation: &'static str,
    /// Whether the user provided it.
    pub basis: &'static str,
    /// What it is processed for.
    pub purpose: &'static str,
    /// Which rows are meant.
    pub rows: String,
    /// Columns that are released.
    pub columns: Vec<&'static str>,
    /// Lists from other tables that are released with them.
    pub lists: Vec<&'static str>,
}

/// A column that is withheld.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Withheld {
    /// Its name.
    pub column: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// The register: for each table which records it gives to exports of users, and what it does not give.
pub fn processing() -> Processing {
    Processing {
        data_subjects: &["users of the apps"],
        retention: RETENTION,
        tables: TABLES.iter().map(held).collect(),
    }
}

fn held(table: &Table) -> Held {
    Held {
        table: table.name,
        records: table.released.iter().map(given).collect(),
        withheld: withheld(table),
        internal: table.internal,
    }
}

fn given(release: &Release) -> Given {
    let columns = release.fields.iter().map(|field| field.column).filter(|column| !column.is_empty());
    Given {
        record: release.record,
        relation: release.relation.as_str(),
        basis: release.basis.as_str(),
        purpose: release.purpose.as_str(),
        rows: rows(release.found),
        columns: columns.collect(),
        lists: release.lists.iter().map(|list| list.name).collect(),
    }
}

/// Which rows are meant, in words.
fn rows(found: Found) -> String {
    match found {
        Found::By(column) => format!("{column} is the user"),
        Found::ByWhere(column, condition) => format!("{column} is the user, and {condition}"),
        Found::FromOwnFeed => "follows that begin at a feed of the user".to_owned(),
        Found::ToOwnFeed => "follows of a feed of the user by others".to_owned(),
        Found::ReceivedDirectly => "messages of the other member of a channel of two".to_owned(),
        Found::ReceivedRestricted => "messages that only the user and a few others see".to_owned(),
        Found::CountedOn(record) => format!("reactions of others to a {record} of the user, counted"),
        Found::FlagsOn(record) => format!("flags of others on a {record} of the user"),
    }
}

/// Columns that are neither released nor internal, with the reason.
fn withheld(table: &Table) -> Vec<Withheld> {
    let columns = table.columns().filter(|column| !table.internal.contains(column));
    let columns = columns.filter(|column| !is_released(table, column));
    columns.map(|column| Withheld { column, reason: reason(table, column) }).collect()
}

fn is_released(table: &Table, column: &str) -> bool {
    table.released.iter().flat_map(|release| release.fields).any(|field| field.column == column)
}

/// Why a column is withheld. Where the register says it of none, a test fails but for the app.
fn reason(table: &Table, column: &str) -> &'static str {
    let said =
        |name: &str| table.withheld.iter().find(|(withheld, _)| *withheld == name).map(|(_, why)| *why);
    said(column).or_else(|| said("*")).unwrap_or("the app, which the first record of an export names")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_said_in_one_place() {
        for (table, held) in TABLES.iter().zip(processing().tables) {
            for column in table.columns() {
                let places = [
                    held.records.iter().any(|record| record.columns.contains(&column)),
                    held.withheld.iter().any(|withheld| withheld.column == column),
                    held.internal.contains(&column),
                ];
                let places = places.into_iter().filter(|place| *place).count();
                assert_eq!(places, 1, "{}.{column}", table.name);
            }
        }
    }

    #[test]
    fn a_reason_is_the_column_s_own_before_that_of_the_table() {
        let tables = processing().tables;
        let withheld = |table: &str, column: &str| {
            let held = tables.iter().find(|held| held.table == table)?;
            held.withheld.iter().find(|withheld| withheld.column == column).map(|withheld| withheld.reason)
        };
        assert!(withheld("messages", "deleted_by").unwrap().contains("which task deleted it"));
        assert!(withheld("apps", "name").unwrap().contains("about the app"));
        assert!(withheld("messages", "app_id").unwrap().contains("the first record"));
        assert_eq!(withheld("messages", "text"), None);
    }
}
