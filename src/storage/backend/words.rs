//! The words of table definitions that differ.

use sea_orm::DbBackend;

/// `{text}` is compared byte by byte, `{json}` and `{bytes}` hold what they say; a table of keys alone is
/// `{clustered}` by its primary key where there is such a thing.
pub fn spell(sql: &str, database: DbBackend) -> String {
    let words = match database {
        DbBackend::Postgres => {
            [("{text}", "text COLLATE \"C\""), ("{json}", "jsonb"), ("{bytes}", "bytea"), ("{clustered}", "")]
        }
        _ => [
            ("{text}", "text"),
            ("{json}", "jsonb_text"),
            ("{bytes}", "blob"),
            ("{clustered}", " WITHOUT ROWID"),
        ],
    };
    words.iter().fold(sql.to_owned(), |sql, (word, spelling)| sql.replace(word, spelling))
}
