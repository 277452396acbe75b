//! The register of columns says what becomes of everything when a user is deleted: it must know everything.

use std::collections::BTreeSet;

use usher::storage::columns::{TABLES, Table, Trace, traces};

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

    async fn every_column_is_internal_released_or_withheld_with_a_reason(server: TestServer) {
        let there = server.backend().columns(server.place()).await;
        for table in TABLES {
            let of_lists = table.released.iter().flat_map(|release| release.lists);
            let released: BTreeSet<&str> =
                table.released.iter().flat_map(|release| release.fields).map(|field| field.column).collect();
            let withheld: BTreeSet<&str> = table.withheld.iter().map(|(column, _)| *column).collect();
            assert!(withheld.iter().all(|column| !released.contains(column)), "{}: both", table.name);
            assert!(of_lists.clone().all(|list| !list.name.is_empty()));
            // The app is said once, in the first record.
            let unsaid: Vec<&str> = table.columns()
                .filter(|column| *column != "app_id" && !table.internal.contains(column))
                .filter(|column| !released.contains(column) && !withheld.contains(column) && !withheld.contains("*"))
                .collect();
            assert!(unsaid.is_empty(), "{}: neither released nor withheld: {unsaid:?}", table.name);
            let columns = table.released.iter().flat_map(|release| {
                let fields = release.fields.iter().map(|field| field.column).filter(|column| !column.is_empty());
                fields.chain(release.order.iter().copied())
            });
            let unreal: Vec<&str> = columns
                .filter(|column| !there.contains(&(table.name.to_owned(), (*column).to_owned())))
                .collect();
            assert!(unreal.is_empty(), "{}: released, but not there: {unreal:?}", table.name);
            let internal: Vec<&str> = released.into_iter().filter(|column| table.internal.contains(column)).collect();
            assert!(internal.is_empty(), "{}: internal, but released: {internal:?}", table.name);
        }
    }

    async fn what_is_made_of_users_is_said_of_columns_that_there_are(server: TestServer) {
        let there = server.backend().columns(server.place()).await;
        let said: Vec<_> = TABLES.iter().flat_map(|table| table.derived.iter().map(move |(column, _)| (table, *column))).collect();
        let names_nobody = |(table, column): &(&Table, &str)| {
            there.contains(&(table.name.to_owned(), (*column).to_owned()))
                && !table.names.iter().any(|(name, _)| name == column)
        };
        assert!(said.iter().all(names_nobody), "{said:?}");
        // Wherever the id of a channel stands, it is said what becomes of one that is made of its members' ids.
        for (table, column) in there.iter().filter(|(_, column)| column == "channel_id") {
            assert!(said.iter().any(|(one, name)| one.name == *table && name == column), "{table}.{column}");
        }
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
