//! The register of columns says what becomes of everything when a user is deleted: it must know everything.

use std::collections::BTreeSet;

use usher::storage::columns::{TABLES, Trace, traces};

use crate::harness::{TestServer, each_backend};

each_backend! {
    async fn every_column_has_a_class(server: TestServer) {
        let there = server.backend().columns(server.place()).await;
        let mut classed = BTreeSet::new();
        for table in TABLES {
            for column in table.columns() {
                let is_new = classed.insert((table.name.to_owned(), column.to_owned()));
                assert!(is_new, "{}.{column} has two classes", table.name);
            }
        }
        let unclassed: Vec<_> = there.difference(&classed).collect();
        let unreal: Vec<_> = classed.difference(&there).collect();
        assert!(unclassed.is_empty() && unreal.is_empty(), "without a class: {unclassed:?}, not there: {unreal:?}");
    }

    async fn every_column_that_names_a_user_is_found_by_an_index(server: TestServer) {
        let indexes = server.backend().indexes(server.place()).await;
        let scanned: Vec<String> = traces()
            .filter(|(_, _, trace)| *trace != Trace::Cascade)
            .filter(|(table, column, _)| {
                let all = format!("{column} is not null");
                !indexes.iter().any(|index| {
                    let first = || index.columns.iter().take(2);
                    index.table == *table
                        && (first().eq(["app_id", column]) || first().eq([column, "app_id"]))
                        && (index.predicate.is_empty() || index.predicate == all)
                })
            })
            .map(|(table, column, _)| format!("{table}.{column}"))
            .collect();
        assert!(scanned.is_empty(), "erasing reads all of {scanned:?}; there are {indexes:?}");
    }
}
