//! The command line. Commands are clients of the gRPC API; only what bootstraps opens the database.

use std::process::ExitCode;

/// Runs the program.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
