//! Reads the command line; for commands that take the server's settings, in two passes: the first one
//! finds the settings file, which the second one lays beneath environment and flags.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches};

use crate::server::config::{Config, ConfigError};

/// The server's settings as flags of a command, checked.
#[derive(Debug, Clone)]
pub(super) struct Settings(pub(super) Config);

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        Config::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Config::augment_args_for_update(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Config::from_matches(matches).map(Self).map_err(to_clap)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Reads `args` as a `T`, with the settings file they name, if any.
pub(super) fn parse<T>(args: impl Iterator<Item = OsString>) -> Result<T, clap::Error>
where
    T: CommandFactory + FromArgMatches,
{
    let args: Vec<OsString> = args.collect();
    let command = T::command();
    let mut matches = command.clone().try_get_matches_from(&args)?;

    let (path, leaf) = leaf(&matches);
    if let Ok(Some(file)) = leaf.try_get_one::<PathBuf>("config") {
        check_file(file)?;
        let command = lay_beneath(command, &path, file).map_err(to_clap)?;
        matches = command.try_get_matches_from(&args)?;
    }
    T::from_arg_matches(&matches)
}

/// The names of the subcommands asked for, and what the last one of them was given.
fn leaf(matches: &ArgMatches) -> (Vec<String>, &ArgMatches) {
    let (mut path, mut leaf) = (Vec::new(), matches);
    while let Some((name, below)) = leaf.subcommand() {
        path.push(name.to_owned());
        leaf = below;
    }
    (path, leaf)
}

fn lay_beneath(command: Command, path: &[String], file: &Path) -> Result<Command, ConfigError> {
    let Some((name, rest)) = path.split_first() else {
        return Config::with_file(command, file);
    };
    let Some(below) = command.find_subcommand(name).cloned() else {
        return Ok(command);
    };
    let below = lay_beneath(below, rest, file)?;
    Ok(command.mut_subcommand(name, |_| below))
}

/// Checks that a file holds settings only, each with a value it can have.
///
/// Beneath a command its values are defaults, which clap takes for right, and a command's other
/// arguments would be settings too.
fn check_file(file: &Path) -> Result<(), clap::Error> {
    let bare = Config::augment_args(Command::new("usher")).mut_args(|arg| arg.env(None::<&str>));
    let own_defaults: Vec<_> = bare.get_arguments().map(|arg| arg.get_default_values().to_vec()).collect();
    let laid = Config::with_file(bare.clone(), file).map_err(to_clap)?;

    let mut args = vec![OsString::from("usher")];
    for (arg, own) in laid.get_arguments().zip(&own_defaults) {
        if let (Some(long), [value]) = (arg.get_long(), arg.get_default_values())
            && own.as_slice() != [value.clone()]
        {
            let mut flag = OsString::from(format!("--{long}="));
            flag.push(value);
            args.push(flag);
        }
    }
    bare.try_get_matches_from(args).map(drop).map_err(|err| {
        clap::Error::raw(ErrorKind::InvalidValue, format!("in {}: {}", file.display(), without_frame(&err)))
    })
}

/// The first line of what clap says, without `error: `; the usage that follows is of no use for a file.
fn without_frame(err: &clap::Error) -> String {
    let text = err.to_string();
    let line = text.lines().next().unwrap_or_default();
    format!("{}\n", line.strip_prefix("error: ").unwrap_or(line))
}

fn to_clap(err: ConfigError) -> clap::Error {
    let text = err.0;
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    clap::Error::raw(ErrorKind::InvalidValue, format!("{}\n", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    enum Sample {
        App {
            #[command(subcommand)]
            verb: Below,
        },
    }

    #[derive(Debug, clap::Subcommand)]
    enum Below {
        Create {
            name: String,
            #[command(flatten)]
            settings: Settings,
        },
    }

    fn read(file: &str, flags: &[&str]) -> Result<(String, Config), String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("usher.toml");
        std::fs::write(&path, file).unwrap();
        let path = path.display().to_string();
        let args = [&["usher", "app", "create", "shop", "--config", path.as_str()], flags].concat();
        match parse(args.into_iter().map(OsString::from)) {
            Ok(Sample::App { verb: Below::Create { name, settings } }) => Ok((name, settings.0)),
            Err(err) => Err(err.to_string()),
        }
    }

    #[test]
    fn flags_override_the_file_and_the_file_overrides_defaults() {
        let file = "workers = 9\nlisten = \"127.0.0.1:7\"\ntask-lease = \"9s\"";
        let (name, config) = read(file, &["--listen", "127.0.0.1:8"]).unwrap();
        assert_eq!((name.as_str(), config.workers), ("shop", 9));
        assert_eq!((config.listen.port(), config.task_lease.as_secs()), (8, 9));
    }

    #[test]
    fn a_value_the_file_cannot_have_is_an_error_that_names_it() {
        let said = read("workers = 9000", &[]).unwrap_err();
        assert!(said.contains("usher.toml: invalid value '9000' for '--workers <N>'"), "{said}");
    }

    #[test]
    fn the_file_holds_settings_and_no_other_arguments() {
        let said = read("name = \"x\"", &[]).unwrap_err();
        assert!(said.contains("there is no setting `name`"), "{said}");
    }

    #[test]
    fn a_secret_on_the_command_line_is_refused() {
        let said = read("", &["--master-key", "00"]).unwrap_err();
        assert!(said.contains("USHER_MASTER_KEY"), "{said}");
    }
}
