//! The environment of the test run. The only place that reads it.
//!
//! | variable | meaning |
//! |---|---|
//! | `USHER_TEST_POSTGRES_URL` | an existing PostgreSQL to make databases in, instead of a private cluster |
//! | `USHER_REQUIRE_POSTGRES` | `1`: fail, not skip, where no PostgreSQL is found |
//! | `USHER_TEST_CASES` | how many random queries are compared with the reference, default 2,000 |
//! | `USHER_TEST_PYTHON` | the Python that has grpcio, default `python3` |
//! | `USHER_TEST_NODE_MODULES` | the folder that has `@grpc/grpc-js` and `@grpc/proto-loader` |
//! | `USHER_TEST_ENVOY` | Envoy's program, default `envoy` |
//! | `USHER_REQUIRE_FOREIGN` | `1`: fail, not skip, where grpcio, grpc-js, buf, nginx or Envoy are missing |

use std::io::Write;

/// The value of `name`, unless it is empty.
#[expect(clippy::disallowed_methods, reason = "tests have no other configuration")]
pub(crate) fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether `name` is switched on.
pub(crate) fn is_on(name: &str) -> bool {
    setting(name).is_some_and(|value| value == "1")
}

/// Names of the variables that would configure a spawned `usher`.
pub(crate) fn usher_variables() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with("USHER_") || name == "FAILPOINTS").collect()
}

/// Tells the person at the terminal something; tests' usual output is captured.
pub(crate) fn tell(sentence: &str) {
    let _ = std::io::stderr().write_all(format!("{sentence}\n").as_bytes());
}
