//! A PostgreSQL that usher cannot use: each start is refused with a sentence that names cause and remedy.

use crate::harness::{Backend, Place, on_postgres};

/// How the program refuses to start with `url`.
async fn refusal(backend: &Backend, url: &str) -> String {
    let mut launch = backend.launch();
    launch = launch.database(url);
    let (status, log) = launch.try_start().await.err().unwrap_or_else(|| panic!("{url} should be refused"));
    assert!(status.code().is_some_and(|code| code != 0) && !log.contains("panicked"), "{url}: {log}");
    assert!(!log.contains("database error") && !log.contains("driver error"), "{log}");
    log
}

/// `url` with more parameters.
fn with(url: &str, parameters: &str) -> String {
    format!("{url}{}{parameters}", if url.contains('?') { '&' } else { '?' })
}

/// `url` as another user.
fn logged_in_as(url: &str, user: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
    format!("{scheme}://{user}@{rest}")
}

/// `url` with a password, and that password.
fn with_password(url: &str) -> (String, String) {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (user, place) = rest.rsplit_once('@').unwrap();
    match user.split_once(':') {
        Some((_, password)) => (url.to_owned(), password.to_owned()),
        None => (format!("{scheme}://{user}:S3cr3t@{place}"), "S3cr3t".to_owned()),
    }
}

on_postgres! {
    async fn a_database_that_cannot_be_used_is_refused_with_cause_and_remedy(backend: Backend) {
        let url = backend.url().unwrap().to_owned();
        for (parameters, cause, remedy) in [
            ("sslmode=banana", "sslmode", "verify-full"),
            ("sslmode=require", "TLS", "ssl = on"),
            ("options[search_path]=nowhere", "search_path", "create one"),
            ("options[default_transaction_read_only]=on", "read-only", "can be written to"),
            ("target_session_attrs=any", "`target_session_attrs`", "leave it out"),
        ] {
            let said = refusal(&backend, &with(&url, parameters)).await;
            assert!(said.contains(cause) && said.contains(remedy), "{parameters}: {said}");
        }
        let said = refusal(&backend, &format!("{url}_absent")).await;
        assert!(said.contains("no database") && said.contains("CREATE DATABASE"), "{said}");
        let said = refusal(&backend, &logged_in_as(&url, "nobody_of_this_name")).await;
        assert!(said.contains("login"), "{said}");
        let said = refusal(&backend, "postgres://usher@127.0.0.1:1/usher").await;
        assert!(said.contains("nothing answers"), "{said}");
    }

    async fn a_database_whose_encoding_is_not_utf_8_is_refused_with_cause_and_remedy(backend: Backend) {
        let (url, password) = with_password(backend.url().unwrap());
        let (path, parameters) = url.split_once('?').unwrap_or((&url, ""));
        let (server, name) = path.rsplit_once('/').unwrap();
        for encoding in ["LATIN1", "SQL_ASCII"] {
            let other = format!("{name}_{}", encoding.to_lowercase());
            let made = format!("CREATE DATABASE {other} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'");
            backend.meddle(&backend.place(), &made).await;

            let said = refusal(&backend, &format!("{server}/{other}?{parameters}")).await;

            backend.meddle(&backend.place(), &format!("DROP DATABASE {other}")).await;
            let cause = format!("encoding is {encoding}; usher needs UTF8");
            assert!(said.contains(&cause) && said.contains("CREATE DATABASE with ENCODING 'UTF8'"), "{said}");
            assert!(!said.contains(&password), "{said}");
        }
    }

    async fn a_server_too_old_is_refused_with_its_version_and_the_one_needed(backend: Backend) {
        let (url, password) = with_password(backend.url().unwrap());
        let query = "SELECT current_setting('server_version_num') AS version";
        let row = backend.select(&backend.place(), query).await.pop().unwrap();
        let row: serde_json::Value = serde_json::from_str(&row).unwrap();
        let (launch, proxy) = backend.launch().database(&url).through_proxy().await;

        proxy.answer_instead(row["version"].as_str().unwrap(), "120022");

        let (status, said) = launch.try_start().await.err().expect("the start is refused");
        assert!(status.code().is_some_and(|code| code != 0) && !said.contains("panicked"), "{said}");
        assert!(said.contains("PostgreSQL is version 12; usher needs 13 or newer"), "{said}");
        assert!(!said.contains(&password), "{said}");
    }

    async fn a_table_of_another_program_is_named_and_left_alone(backend: Backend) {
        let place = backend.place();
        backend.meddle(&place, "CREATE TABLE users (id integer)").await;
        let said = refusal(&backend, backend.url().unwrap()).await;
        assert!(said.contains("table users of another program") && said.contains("schema public"), "{said}");
        let tables = backend.select(&place, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace").await;
        assert_eq!(tables.len(), 1, "nothing was made: {tables:?}");
    }

    async fn whatever_another_program_has_in_the_way_is_refused_with_a_sentence(backend: Backend) {
        let (place, url) = (backend.place(), backend.url().unwrap().to_owned());
        for (made, named, unmade) in [
            ("CREATE TABLE seaql_migrations (version varchar PRIMARY KEY, applied_at bigint NOT NULL)",
                "", "DROP TABLE seaql_migrations"),
            ("CREATE TABLE seaql_migrations (id integer)", "table seaql_migrations", "DROP TABLE seaql_migrations"),
            ("CREATE TABLE distinct_ends (id integer)", "table distinct_ends", "DROP TABLE distinct_ends"),
            ("CREATE TABLE export_chunks (id integer)", "table export_chunks", "DROP TABLE export_chunks"),
            ("CREATE VIEW user_history AS SELECT 1", "table user_history", "DROP VIEW user_history"),
            ("CREATE SEQUENCE tasks", "table tasks", "DROP SEQUENCE tasks"),
        ] {
            backend.meddle(&place, made).await;
            if named.is_empty() {
                backend.meddle(&place, "INSERT INTO seaql_migrations VALUES ('m20220101_of_another', 1)").await;
            }
            let said = refusal(&backend, &url).await;
            assert!(said.contains(named) && said.contains("of another program"), "{made}: {said}");
            backend.meddle(&place, unmade).await;
        }
        backend.meddle(&place, "CREATE TABLE other (id integer)").await;
        backend.meddle(&place, "CREATE INDEX activities_user ON other (id)").await;
        let said = refusal(&backend, &url).await;
        assert!(said.contains("of another program has a name that usher needs"), "{said}");
        backend.meddle(&place, "DROP TABLE other").await;
        assert!(backend.launch().database(&url).try_start().await.is_ok());
    }

    async fn a_wrong_setting_ends_with_2_and_a_wrong_world_with_1(backend: Backend) {
        let url = backend.url().unwrap().to_owned();
        for (url, code) in [
            (with(&url, "sslmode=banana"), 2),
            ("mysql://here".to_owned(), 2),
            ("sqlite:d.db?foo=1".to_owned(), 2),
            (format!("{url}_absent"), 1),
        ] {
            let (status, said) = backend.launch().database(&url).try_start().await.err().expect("it is refused");
            assert_eq!(status.code(), Some(code), "{url}: {said}");
        }
    }

    async fn missing_rights_are_named_with_their_grant(backend: Backend) {
        let place = backend.place();
        let role = format!("poor_{}", std::process::id());
        let url = logged_in_as(backend.url().unwrap(), &role);
        backend.meddle(&place, "REVOKE ALL ON SCHEMA public FROM PUBLIC").await;
        backend.meddle(&place, &format!("CREATE ROLE {role} LOGIN")).await;

        let said = refusal(&backend, &url).await;
        assert!(said.contains("GRANT USAGE") && said.contains(&role) && said.contains("public"), "{said}");
        backend.meddle(&place, &format!("GRANT USAGE ON SCHEMA public TO {role}")).await;
        let said = refusal(&backend, &url).await;
        assert!(said.contains(&format!("GRANT CREATE ON SCHEMA public TO {role}")), "{said}");
        backend.start().await.stop().await;
        backend.meddle(&place, &format!("GRANT CREATE ON SCHEMA public TO {role}")).await;
        let said = refusal(&backend, &url).await;
        assert!(said.contains("GRANT SELECT, INSERT, UPDATE, DELETE") && said.contains(&role), "{said}");

        backend.meddle(&place, &format!("DROP OWNED BY {role}")).await;
        backend.meddle(&place, &format!("DROP ROLE {role}")).await;
    }

    async fn no_part_of_a_password_reaches_the_log(backend: Backend) {
        let url = backend.url().unwrap();
        let (_, place) = url.rsplit_once('@').unwrap();
        for url in [
            format!("postgres://app:S3cr3t#x@{place}"),
            format!("postgres://app:S3cr3t/x@{place}"),
            format!("postgres://app:S3cr3t?x@{place}"),
            format!("postgres://app:S3cr3t@{place},other/x"),
            format!("postgres://app:S3cr3t@one,two/{place}"),
            format!("postgres://app:S3cr3t@{place}?sslmode=S3cr3t"),
            format!("postgres://nobody_of_this_name:S3cr3t@{place}"),
            "postgres://app:S3cr3t@127.0.0.1:1/x".to_owned(),
            "postgres://app:S3cr3t@[x/y".to_owned(),
            "postgres:S3cr3t".to_owned(),
            "mysql://app:S3cr3t@h/d".to_owned(),
        ] {
            let said = refusal(&backend, &url).await;
            assert!(!said.contains("S3cr3t") && !said.contains("postgres://app"), "{url}: {said}");
            let place = Place { url: Some(url.clone()), ..backend.place() };
            let output = crate::harness::program(&place).args(["app", "list"]).output().await.unwrap();
            let said = format!("{output:?}");
            assert!(!output.status.success() && !said.contains("S3cr3t"), "{url}: {said}");
        }
    }
}
