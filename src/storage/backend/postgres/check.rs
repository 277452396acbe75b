//! What usher needs of its PostgreSQL, looked at before anything is done with it: one sentence per cause, with
//! what to do about it.

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sea_orm::sqlx::{self, AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};

use super::connect::IS_READ_ONLY;
use super::url::UrlError;
use crate::storage::columns::TABLES;
use crate::storage::{Outage, StoreError};

const MIN_VERSION: i32 = 130_000;
/// The migration that every database of usher has.
const FIRST: &str = "m0001_first";

/// Why PostgreSQL cannot be used. The text says what to do.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum OpenError {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error(
        "nothing answers at the database URL's host and port; is PostgreSQL running there, and reachable?"
    )]
    Unreachable,
    #[error("what answers at the database URL's host and port is not PostgreSQL")]
    NotPostgres,
    #[error(
        "the database URL's `sslmode` wants TLS, and PostgreSQL offers none: set `ssl = on` there, or give \
             `sslmode=disable` where the network is trusted"
    )]
    NoTls,
    #[error(
        "PostgreSQL's TLS certificate is not accepted: give its authority as `sslrootcert`, and the host by \
             the name in the certificate"
    )]
    Certificate,
    #[error("PostgreSQL refuses the login: check user and password of the database URL, and pg_hba.conf")]
    Login,
    #[error(
        "PostgreSQL has no database of the URL's name: give another one, or run CREATE DATABASE with \
             ENCODING 'UTF8'"
    )]
    NoDatabase,
    #[error(
        "the database may not be connected to: run GRANT CONNECT ON DATABASE for the user of the database URL"
    )]
    MayNotConnect,
    #[error("PostgreSQL has no connection left: raise its max_connections, or lower --database-connections")]
    TooManyConnections,
    #[error("PostgreSQL is version {0}; usher needs 13 or newer")]
    Version(i32),
    #[error("the database's encoding is {0}; usher needs UTF8: run CREATE DATABASE with ENCODING 'UTF8'")]
    Encoding(String),
    #[error(
        "the database is read-only: a standby, or default_transaction_read_only is on; give the URL of the \
             server that can be written to"
    )]
    ReadOnly,
    #[error(
        "no schema of the search_path ({path}) is there and may be used: create one, run GRANT USAGE, CREATE ON \
             SCHEMA for it TO {user}, or name another one in the search_path"
    )]
    NoSchema { path: String, user: String },
    #[error("the right to create tables is missing: run GRANT CREATE ON SCHEMA {schema} TO {user}")]
    MayNotCreate { schema: String, user: String },
    #[error(
        "rights on the table {table} are missing: run GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN \
             SCHEMA {schema} TO {user}; upgrades need the tables' owner"
    )]
    MayNotUse { table: String, schema: String, user: String },
    #[error(
        "the schema {schema} has a table {table} of another program: give usher a database or a schema of \
             its own"
    )]
    Foreign { table: String, schema: String },
    #[error("USHER_DATABASE_POOLER=transaction needs USHER_DATABASE_LISTEN_URL, which leads past the pooler")]
    NoWayPastPooler,
    #[error("the database cannot be used: {0}")]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for OpenError {
    fn from(err: sqlx::Error) -> Self {
        match &err {
            sqlx::Error::Io(_) => Self::Unreachable,
            sqlx::Error::Protocol(_) => Self::NotPostgres,
            // The driver has no code for it.
            sqlx::Error::Tls(cause) if cause.to_string().contains("does not support TLS") => Self::NoTls,
            sqlx::Error::Tls(_) => Self::Certificate,
            sqlx::Error::Database(cause) if cause.code().as_deref() == Some("42501") => Self::MayNotConnect,
            sqlx::Error::Database(cause) if cause.code().as_deref() == Some("53300") => {
                Self::TooManyConnections
            }
            _ => match StoreError::from(err) {
                StoreError::Unavailable(Outage::LoginRefused) => Self::Login,
                StoreError::Unavailable(Outage::NoSuchDatabase) => Self::NoDatabase,
                StoreError::Unavailable(Outage::ReadOnly) => Self::ReadOnly,
                err => Self::Store(err),
            },
        }
    }
}

/// Looks at all of it over a connection of its own.
pub(super) async fn run(options: &PgConnectOptions) -> Result<(), OpenError> {
    let mut connection = options.connect().await?;
    let found = look(&mut connection).await;
    connection.close().await.ok();
    found
}

async fn look(connection: &mut PgConnection) -> Result<(), OpenError> {
    let sql = format!(
        "SELECT current_setting('server_version_num')::integer AS version, \
         current_setting('server_encoding') AS encoding, {IS_READ_ONLY} AS read_only, \
         quote_ident(current_schema()) AS schema, quote_ident(current_user) AS user, \
         current_setting('search_path') AS path, \
         coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create"
    );
    let row = one(connection, &sql).await?;
    check_version(row.try_get("version")?)?;
    let encoding: String = row.try_get("encoding")?;
    if encoding != "UTF8" {
        return Err(OpenError::Encoding(encoding));
    }
    if row.try_get("read_only")? {
        return Err(OpenError::ReadOnly);
    }
    let schema: Option<String> = row.try_get("schema")?;
    let user: String = row.try_get("user")?;
    let Some(schema) = schema else {
        return Err(OpenError::NoSchema { path: row.try_get("path")?, user });
    };
    if !row.try_get::<bool, _>("may_create")? {
        return Err(OpenError::MayNotCreate { schema, user });
    }
    look_at_tables(connection, schema, user).await
}

/// `version` as `server_version_num` has it: the major version, and four digits.
const fn check_version(version: i32) -> Result<(), OpenError> {
    if version < MIN_VERSION { Err(OpenError::Version(version / 10_000)) } else { Ok(()) }
}

/// Tables that have a name of ours and were not made by us, or that we may not use.
async fn look_at_tables(
    connection: &mut PgConnection,
    schema: String,
    user: String,
) -> Result<(), OpenError> {
    if are_ours(connection, &schema).await? {
        let unusable = "AND relkind = 'r' AND relowner = (SELECT relowner FROM pg_class \
             WHERE relname = 'seaql_migrations' AND relnamespace = current_schema()::regnamespace) \
             AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT') \
             AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))";
        let table = first_table(connection, unusable).await?;
        return table.map_or(Ok(()), |table| Err(OpenError::MayNotUse { table, schema, user }));
    }
    let names: Vec<String> = TABLES.iter().map(|table| format!("'{}'", table.name)).collect();
    let taken = format!("AND relname IN ({})", names.join(", "));
    let table = first_table(connection, &taken).await?;
    table.map_or(Ok(()), |table| Err(OpenError::Foreign { table, schema }))
}

/// Whether usher has been here before. The table of migrations has a name that other programs use, too.
async fn are_ours(connection: &mut PgConnection, schema: &str) -> Result<bool, OpenError> {
    let columns = "SELECT count(*) AS columns FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
                   WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = 'seaql_migrations' \
                   AND a.attname IN ('version', 'applied_at') AND NOT a.attisdropped";
    let is_there = "AND relname = 'seaql_migrations'";
    if first_table(connection, is_there).await?.is_none() {
        return Ok(false);
    }
    let foreign = || OpenError::Foreign { table: "seaql_migrations".to_owned(), schema: schema.to_owned() };
    if one(connection, columns).await?.try_get::<i64, _>("columns")? != 2 {
        return Err(foreign());
    }
    let versions = "SELECT has_table_privilege('seaql_migrations', 'SELECT') AS may_read";
    if !one(connection, versions).await?.try_get("may_read")? {
        return Ok(true);
    }
    let versions = format!(
        "SELECT count(*) > 0 AS any, coalesce(bool_or(version = '{FIRST}'), false) AS ours FROM seaql_migrations"
    );
    let row = one(connection, &versions).await?;
    match (row.try_get("any")?, row.try_get("ours")?) {
        (true, false) => Err(foreign()),
        (_, ours) => Ok(ours),
    }
}

/// The first by name that meets a condition.
async fn first_table(connection: &mut PgConnection, condition: &str) -> Result<Option<String>, OpenError> {
    let sql = format!(
        "SELECT (SELECT quote_ident(relname) FROM pg_class \
         WHERE relnamespace = current_schema()::regnamespace {condition} ORDER BY relname LIMIT 1) AS table"
    );
    Ok(one(connection, &sql).await?.try_get("table")?)
}

async fn one(connection: &mut PgConnection, sql: &str) -> Result<PgRow, OpenError> {
    Ok(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_one(connection).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_before_13_are_refused_by_their_number() {
        for (version, major) in [(80_400, 8), (90_624, 9), (100_023, 10), (120_000, 12), (129_999, 12)] {
            let refused = check_version(version).unwrap_err();
            let expected = format!("PostgreSQL is version {major}; usher needs 13 or newer");
            assert_eq!(refused.to_string(), expected, "{version}");
        }
        for version in [130_000, 130_001, 150_014, 180_000, 1_000_000] {
            assert!(check_version(version).is_ok(), "{version}");
        }
    }
}
