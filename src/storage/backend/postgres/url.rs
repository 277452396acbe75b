//! The database URL, read by us before the driver reads it: what is wrong is said without repeating any of it,
//! as it may hold a password.

use std::net::IpAddr;

use sea_orm::sqlx::ConnectOptions as _;
use sea_orm::sqlx::postgres::PgConnectOptions;

/// Parameters that the driver knows.
const PARAMETERS: [&str; 17] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// What is wrong with a database URL, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UrlError(String);

fn wrong(text: &str) -> UrlError {
    UrlError(format!("the database URL {text}"))
}

/// Reads `url`.
pub(super) fn parse(url: &str) -> Result<PgConnectOptions, UrlError> {
    let rest = url.split_once("://").map(|(_, rest)| rest);
    let rest = rest.ok_or_else(|| wrong("must begin with `postgres://`"))?;
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    check_place(place, parameters)?;
    check_parameters(parameters)?;
    let options: PgConnectOptions = url.parse().map_err(|_| {
        wrong(
            "cannot be read: write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters \
             of user and password percent-encoded, as `#` by %23",
        )
    })?;
    // Poolers refuse a parameter of the session that they do not know. SQL is not logged.
    Ok(options.extra_float_digits(None).disable_statement_logging())
}

/// User, password, hosts and path: characters that end a part of a URL end it too early in a password.
fn check_place(place: &str, parameters: &str) -> Result<(), UrlError> {
    let (authority, path) = place.split_once('/').unwrap_or((place, ""));
    if place.contains('#') || parameters.contains('#') {
        return Err(wrong("has a bare `#`: in a user or password write it as %23"));
    }
    if path.contains('@') || (!authority.contains('@') && parameters.split('&').next().is_some_and(is_cut)) {
        return Err(wrong(
            "has a bare `/` or `?` before the `@`: in a user or password write `/` as %2F, `?` as %3F",
        ));
    }
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    if hosts.contains(',') {
        return Err(wrong(
            "names several hosts: give one, whose address leads to the server that can be written to",
        ));
    }
    let after_host = hosts.rsplit_once(']').map_or(hosts, |(_, port)| port);
    match after_host.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_err() => Err(wrong(
            "has a port that is no number from 1 to 65535; a `:`, `/` or `@` in a password is written %3A, %2F, %40",
        )),
        _ => Ok(()),
    }
}

/// Whether what looks like the first parameter is the end of a password.
fn is_cut(parameter: &str) -> bool {
    parameter.split('=').next().is_some_and(|name| name.contains('@'))
}

fn check_parameters(parameters: &str) -> Result<(), UrlError> {
    let has_secret = parameters.contains("password");
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name {
            "sslmode" | "ssl-mode" if !SSL_MODES.contains(&value) => {
                return Err(wrong(&format!(
                    "has an `{name}` that there is not: it is one of {}",
                    SSL_MODES.join(", ")
                )));
            }
            "port" if value.parse::<u16>().is_err() => {
                return Err(wrong("has a `port` that is no number from 1 to 65535"));
            }
            "hostaddr" if value.parse::<IpAddr>().is_err() => {
                return Err(wrong("has a `hostaddr` that is no IP address"));
            }
            "host" if value.contains(',') => return check_place(",", ""),
            name if PARAMETERS.contains(&name) || (name.starts_with("options[") && name.ends_with(']')) => {}
            // Behind a password with a bare `&`, the name may be its end.
            name if !has_secret && is_name(name) && parameter.contains('=') => {
                return Err(wrong(&format!(
                    "has a parameter `{name}` that usher does not know; leave it out"
                )));
            }
            _ => {
                return Err(wrong(
                    "has a parameter that usher does not know; in a password write `&` as %26, `?` as %3F",
                ));
            }
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    name.len() <= 40 && name.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_every_documented_form_are_read() {
        for good in [
            "postgres://usher:password@db/usher",
            "postgresql://usher@db:5433/usher?sslmode=disable",
            "postgres://usher:a%23b%2Fc%40d@[::1]:5432/usher?application_name=x&options=-csearch_path%3Dusher",
            "postgres:///usher?host=/var/run/postgresql&user=usher",
            "postgres://%2Fvar%2Frun%2Fpostgresql/usher",
            "postgres://usher:p@ssword@db/usher?options[search_path]=usher",
            "postgres://db",
            "postgres://db/usher?sslmode=verify-full&sslrootcert=/etc/ca.pem&hostaddr=10.0.0.1&port=1",
        ] {
            assert!(parse(good).is_ok(), "{good}: {:?}", parse(good).err());
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_secrets() {
        for (bad, says) in [
            ("postgres://app:S3cr3t#x@h/db", "%23"),
            ("postgres://app:S3cr3t/x@h/db", "%2F"),
            ("postgres://app:S3cr3t?x@h/db", "%3F"),
            ("postgres://app:S3cr3t?x=1@h/db", "unknown"),
            ("postgres://app:S3cr3t@h1,h2/db", "several hosts"),
            ("postgres://app:S3cr3t@h1:5432,h2:5433/db", "several hosts"),
            ("postgres://app:S3cr3t@h/db?host=a,b", "several hosts"),
            ("postgres://app:S3cr3t@h:99999/db", "port"),
            ("postgres://app:S3cr3t:x/db", "port"),
            ("postgres://app:S3cr3t@h:/db", "port"),
            ("postgres://app:S3cr3t@h/db?sslmode=banana", "`sslmode`"),
            ("postgres://app:S3cr3t@h/db?sslmode=", "verify-full"),
            ("postgres://app:S3cr3t@h/db?target_session_attrs=read-write", "`target_session_attrs`"),
            ("postgres://app:S3cr3t@h/db?connect_timeout=3", "`connect_timeout`"),
            ("postgres://h/db?user=app&password=a&S3cr3t=1", "%26"),
            ("postgres://h/db?user=app&password=a&S3cr3t", "%26"),
            ("postgres://app@h/db?S3cr3t", "%3F"),
            ("postgres://h/db?hostaddr=S3cr3t", "`hostaddr`"),
            ("postgres://h/db?port=S3cr3t", "`port`"),
            ("postgres:S3cr3t", "postgres://"),
            ("postgres://app:S3cr3t%@[h/db", "cannot be read"),
            ("postgres://app:S3cr3t%FF@h/db", "cannot be read"),
        ] {
            let text = parse(bad).map(drop).unwrap_err().to_string();
            assert!(!text.contains("S3cr3t"), "{text}");
            assert!(says == "unknown" || text.contains(says), "{bad}: {text}");
        }
    }
}
