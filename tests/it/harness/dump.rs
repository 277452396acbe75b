//! The complete database as plain data, read behind the server's back: what models compare with.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use usher::storage::columns::TABLES;

use super::{Backend, Kind, Place};

/// A row, by column.
pub(crate) type Row = Map<String, Value>;

/// All rows of all tables of the register, in an order that only what stands in them decides.
pub(crate) type Dump = BTreeMap<&'static str, Vec<Row>>;

/// An index, as far as it says what it finds.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) table: String,
    /// In their order.
    pub(crate) columns: Vec<String>,
    /// Which rows stand in it; empty where all do.
    pub(crate) predicate: String,
}

impl Backend {
    /// Everything that stands in the database at `place`.
    pub(crate) async fn dump(&self, place: &Place) -> Dump {
        let queries: Vec<_> = TABLES.iter().map(|table| format!("SELECT * FROM {}", table.name)).collect();
        let found = self.select_each(place, &queries).await;
        let sorted = |rows: Vec<String>| {
            let mut rows: Vec<Row> = rows.iter().map(|row| row_of(row)).collect();
            rows.sort_by_cached_key(|row| Value::from(row.clone()).to_string());
            rows
        };
        TABLES.iter().map(|table| table.name).zip(found.into_iter().map(sorted)).collect()
    }

    /// Every column there is, with its table, but for what the migrations keep for themselves.
    pub(crate) async fn columns(&self, place: &Place) -> BTreeSet<(String, String)> {
        let query = match self.kind() {
            Kind::Sqlite => {
                "SELECT t.name AS tab, c.name AS col FROM sqlite_master t, pragma_table_info(t.name) c \
                 WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'"
            }
            Kind::Postgres => {
                "SELECT table_name::text AS tab, column_name::text AS col \
                 FROM information_schema.columns WHERE table_schema = current_schema()"
            }
        };
        let rows = self.rows(place, query).await;
        let all = rows.iter().map(|row| (text(row, "tab"), text(row, "col")));
        all.filter(|(table, _)| table != "seaql_migrations").collect()
    }

    /// Every index there is.
    pub(crate) async fn indexes(&self, place: &Place) -> Vec<Index> {
        let query = match self.kind() {
            Kind::Sqlite => {
                "SELECT t.name AS tab, i.name AS idx, c.name AS col, coalesce(s.sql, '') AS said \
                 FROM sqlite_master t, pragma_index_list(t.name) i, pragma_index_info(i.name) c \
                 LEFT JOIN sqlite_master s ON s.type = 'index' AND s.name = i.name \
                 WHERE t.type = 'table' ORDER BY t.name, i.name, c.seqno"
            }
            Kind::Postgres => {
                "SELECT t.relname::text AS tab, i.relname::text AS idx, coalesce(a.attname::text, '') AS col, \
                 coalesce(' WHERE ' || pg_get_expr(x.indpred, x.indrelid), '') AS said \
                 FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid \
                 CROSS JOIN LATERAL unnest(x.indkey::int2[]) WITH ORDINALITY AS k(num, pos) \
                 LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.num AND k.num > 0 \
                 WHERE t.relnamespace = current_schema()::regnamespace ORDER BY tab, idx, k.pos"
            }
        };
        let mut indexes: BTreeMap<(String, String), Index> = BTreeMap::new();
        for row in self.rows(place, query).await {
            let (table, said) = (text(&row, "tab"), text(&row, "said"));
            let predicate = said.split_once(" WHERE ").map_or("", |(_, predicate)| predicate);
            let predicate = predicate.replace(['(', ')', '"'], "").trim().to_lowercase();
            let index = indexes.entry((table.clone(), text(&row, "idx"))).or_insert_with(|| Index {
                table,
                columns: Vec::new(),
                predicate,
            });
            index.columns.push(text(&row, "col"));
        }
        indexes.into_values().collect()
    }

    async fn rows(&self, place: &Place, query: &str) -> Vec<Row> {
        self.select(place, query).await.iter().map(|row| row_of(row)).collect()
    }
}

fn row_of(text: &str) -> Row {
    serde_json::from_str(text).expect("a row is an object")
}

fn text(row: &Row, column: &str) -> String {
    row[column].as_str().unwrap_or_default().to_owned()
}
