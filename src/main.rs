//! The `usher` program. Everything is in the library, so that tests reach it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Crash points, which FAILPOINTS in the environment arms; in test builds only.
    #[cfg(feature = "failpoints")]
    let _armed = fail::FailScenario::setup();
    usher::cli::main()
}
