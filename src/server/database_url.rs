//! What a database URL names.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::config::{Config, ConfigError};

/// The database that is configured.
pub(super) enum DatabaseAt {
    /// SQLite, in this file.
    Sqlite(PathBuf),
    /// PostgreSQL, at this URL.
    Postgres(String),
}

/// The configured database; without a URL, SQLite in the data directory.
pub(super) fn database(config: &Config) -> Result<DatabaseAt, ConfigError> {
    let Some(url) = config.database_url()? else {
        return Ok(DatabaseAt::Sqlite(config.data_dir.join("usher.db")));
    };
    if let Some(rest) = url.strip_prefix("sqlite:") {
        return sqlite_file(rest).map(DatabaseAt::Sqlite).map_err(ConfigError);
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(DatabaseAt::Postgres(url));
    }
    let text = "the database URL must begin with `sqlite:` or `postgres://`";
    Err(ConfigError(text.to_owned()))
}

/// `sqlite:PATH` and `sqlite://PATH`, where an absolute path begins with a slash of its own; percent-encoded.
/// The one parameter is `mode=rwc`, which is how usher opens it anyway.
fn sqlite_file(rest: &str) -> Result<PathBuf, String> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=').unwrap_or((parameter, "")) {
            ("mode", "rwc") => {}
            ("mode", _) => {
                return Err(
                    "the parameter `mode` of an SQLite URL can only be `rwc`: usher reads, writes and \
                            creates the file"
                        .to_owned(),
                );
            }
            (name, _) => {
                return Err(format!(
                    "an SQLite URL has no parameter `{name}`; write a `?` in a file name as %3F"
                ));
            }
        }
    }
    let path = percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| "the path in the SQLite URL is not UTF-8 once it is decoded".to_owned())?;
    match &*path {
        "" => Err("the SQLite URL names no file; write sqlite:PATH".to_owned()),
        ":memory:" => Err("usher keeps users in a file, not in memory; write sqlite:PATH".to_owned()),
        path if path.contains('\0') => Err("a file name holds no NUL character".to_owned()),
        path => Ok(PathBuf::from(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_sqlite_url_names_its_file() {
        let forms = [
            ("usher.db", "usher.db"),
            ("//usher.db", "usher.db"),
            ("./dir/usher.db", "./dir/usher.db"),
            ("/var/lib/usher.db", "/var/lib/usher.db"),
            ("///var/lib/usher.db", "/var/lib/usher.db"),
            ("///var/lib/usher.db?mode=rwc", "/var/lib/usher.db"),
            ("my%20users%3F.db", "my users?.db"),
            ("my users#1.db", "my users#1.db"),
            ("usher.db?", "usher.db"),
        ];
        for (rest, file) in forms {
            assert_eq!(sqlite_file(rest), Ok(PathBuf::from(file)), "{rest}");
        }
    }

    #[test]
    fn what_an_sqlite_url_cannot_say_is_refused_by_name() {
        let refused = [
            ("usher.db?cache=shared", "`cache`"),
            ("usher.db?mode=rwc&immutable=1", "`immutable`"),
            ("usher.db?mode=ro", "`mode`"),
            ("usher.db?mode=memory", "`mode`"),
            ("usher.db?journal", "`journal`"),
            (":memory:", "memory"),
            ("", "no file"),
            ("//", "no file"),
            ("?mode=rwc", "no file"),
            ("a%00b", "NUL"),
            ("a%ffb", "UTF-8"),
        ];
        for (rest, named) in refused {
            let text = sqlite_file(rest).unwrap_err();
            assert!(text.contains(named), "{rest}: {text}");
        }
    }
}
