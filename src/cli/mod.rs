//! The command line. Commands are clients of the gRPC API; only what bootstraps opens the database.
//!
//! Standard output carries what was asked for, standard error all else. Exit codes, decided here and in
//! `failure.rs` only: 0 done; 1 failed; 2 wrong usage or settings; 3 done, but some items were refused or
//! failed; 4 the task was cancelled, or not confirmed; 130 interrupted; 141 standard output was closed.

mod app;
mod connect;
mod credential;
mod export;
mod failure;
mod healthcheck;
mod import;
mod interrupt;
mod json;
mod maintenance;
mod master_key;
mod meter;
mod migrate;
mod output;
mod personal_data;
mod retry;
mod selection;
mod serve;
mod settings;
mod task;
mod text;
mod token;
mod users;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::{Exit, Outcome};

/// A self-hosted gRPC service for managing users, and the commands to work with it.
#[derive(Debug, Parser)]
#[command(name = "usher", version, propagate_version = true, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs the server until SIGTERM or Ctrl-C.
    Serve(serve::Serve),
    /// Brings the database to the schema of this version, and ends. Opens the database directly.
    Migrate(migrate::Migrate),
    /// Scrubs deleted data from the database's files and gives back their space. Opens the database directly.
    Maintenance(maintenance::Maintenance),
    /// Creates and lists apps (the tenants), and manages their keys.
    App(app::App),
    /// Changes the master key. Opens the database directly.
    MasterKey(master_key::MasterKey),
    /// Mints and verifies tokens.
    Token(token::Token),
    /// Imports users and content from a file: a JSON array or JSON lines.
    Import(import::Import),
    /// Exports everything about users, and checks archives of users.
    Export(export::Export),
    /// Prints the register of processing (GDPR article 30).
    PersonalData(personal_data::PersonalData),
    /// Finds, reads, writes, deletes and restores users.
    Users(users::Users),
    /// Lists, watches, cancels and retries tasks.
    Task(task::Task),
    /// Asks a running server for its health. Exits with 1 if it does not serve.
    Healthcheck(healthcheck::Healthcheck),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli: Cli = match settings::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(err) => {
            // If standard error is closed, the exit code is enough.
            let _ = err.print();
            return if err.use_stderr() { Exit::Usage.into() } else { Exit::Success.into() };
        }
    };
    match run(cli.verb) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::failure(&failure);
            failure.exit().into()
        }
    }
}

fn run(verb: Verb) -> Outcome {
    match verb {
        Verb::Serve(serve) => serve.run(),
        Verb::Migrate(migrate) => block_on(migrate.run()),
        Verb::Maintenance(maintenance) => block_on(maintenance.run()),
        Verb::App(app) => block_on(app.run()),
        Verb::MasterKey(master_key) => block_on(master_key.run()),
        Verb::Token(token) => block_on(token.run()),
        Verb::Import(import) => block_on(import.run()),
        Verb::Export(export) => block_on(export.run()),
        Verb::PersonalData(personal_data) => personal_data.run(),
        Verb::Users(users) => block_on(users.run()),
        Verb::Task(task) => block_on(task.run()),
        Verb::Healthcheck(healthcheck) => block_on(healthcheck.run()),
    }
}

/// Runs a command to its end. Enough for a client: one connection, driven by one thread.
fn block_on(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|err| failure::Failure::failed(format!("cannot start: {err}")))?;
    let outcome = runtime.block_on(command);
    // A reader that hangs on a slow disk must not keep the program from ending.
    runtime.shutdown_background();
    outcome
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    fn helps(command: &mut clap::Command, found: &mut Vec<(String, String)>) {
        found.push((command.get_name().to_owned(), command.render_long_help().to_string()));
        for below in command.get_subcommands_mut() {
            helps(below, found);
        }
    }

    #[test]
    fn help_is_in_plain_english() {
        let mut found = Vec::new();
        helps(&mut Cli::command(), &mut found);
        assert!(found.len() > 30, "all commands are read");
        let banned =
            ["whom", "whoever", "somebody", "nobody", "as far as", "told", "tells", "beside", "what becomes"];
        for (command, help) in found {
            let lower = help.to_lowercase();
            let words = banned.into_iter().find(|words| lower.contains(words));
            assert_eq!(words, None, "in the help of `{command}`: {help}");
        }
    }

    #[test]
    fn help_of_delete_says_which_calls_and_channels() {
        let mut command = Cli::command();
        let delete = command.find_subcommand_mut("users").unwrap().find_subcommand_mut("delete").unwrap();
        let help = delete.render_long_help().to_string();
        for text in ["Their channels with exactly two members", "Their calls with exactly two members"] {
            assert!(help.contains(text), "{help}");
        }
    }

    #[test]
    fn every_command_is_understood() {
        for line in [
            "usher serve --listen 127.0.0.1:0",
            "usher serve --kid k --default-secret-file f",
            "usher migrate --data-dir d",
            "usher maintenance --wait 5m --json",
            "usher app create shop --data-dir d --json",
            "usher app list",
            "usher app create shop --secret-file f --kid k",
            "usher app new-key shop --data-dir d --json",
            "usher app new-key shop --kid k --secret-file f",
            "usher app rotate-key --json",
            "usher app list-keys --key k --secret-file f",
            "usher app retire-key k",
            "usher master-key rotate --new-master-key-file f",
            "usher master-key retire --data-dir d",
            "usher token server --key k --secret-file f --validity 1h",
            "usher token user ada --validity 5m --claims {}",
            "usher token verify -",
            "usher import users.jsonl --mode insert --import-id x",
            "usher import --archive --trusted ada.jsonl.gz bob.jsonl.gz --mode insert --json",
            "usher export ada bob@b -o d --keep-references --by boss --reason why --request-id r --force --json",
            "usher export --file - --out d --portability",
            "usher export ada --stream --include-received",
            "usher export --verify a.jsonl.gz b.jsonl.gz --json",
            "usher export --schema",
            "usher personal-data --format json",
            "usher personal-data",
            "usher users query {} --sort name:desc --limit 5 --json",
            "usher users get ada grace --deleted",
            "usher users upsert users.json",
            "usher users upsert",
            "usher users patch ada --set color=1 --unset name --expected-version 3",
            "usher users delete ada bob --user hard --messages keep --files --yes --json",
            "usher users delete ada --user soft --export-first d --dry-run",
            "usher users restore --file - --yes --reason mistake",
            "usher users deactivate ada --mark-messages --dry-run",
            "usher users reactivate ada --restore-channels --by boss --request-id r",
            "usher task watch 1 --json",
            "usher task list --state failed --limit 5",
            "usher task items 1 --failed",
            "usher task cancel 1 --server 127.0.0.1:1",
            "usher healthcheck --wait 30s",
        ] {
            let args = line.split(' ').map(Into::into);
            assert!(settings::parse::<Cli>(args).is_ok(), "{line}");
        }
    }
}
