//! Where the server is and who calls it: the options every client command shares, and the clients.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use tonic::codec::CompressionEncoding;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::credential::{Credential, Given, KeyPair};
use super::failure::{self, Failure};
use crate::proto::v1::app_service_client::AppServiceClient;
use crate::proto::v1::content_service_client::ContentServiceClient;
use crate::proto::v1::task_service_client::TaskServiceClient;
use crate::proto::v1::token_service_client::TokenServiceClient;
use crate::proto::v1::user_service_client::UserServiceClient;
use crate::server::config::Secret;

/// The longest a unary call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Answers are kept below 4 MiB; an import that refused much may answer with more at its start.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// A channel that proves who calls.
pub(super) type Service = InterceptedService<Channel, Credential>;

/// Where the server is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct Target {
    /// Address of the server.
    #[arg(long, env = "USHER_SERVER", value_name = "URL", default_value = "http://127.0.0.1:50051",
          value_parser = server_url)]
    pub(super) server: String,
}

impl Target {
    /// A channel that connects when it is first used, and again whenever the connection was lost.
    pub(super) fn channel(&self) -> Result<Channel, Failure> {
        let endpoint = Endpoint::from_shared(self.server.clone())
            .and_then(|endpoint| endpoint.user_agent(concat!("usher-cli/", env!("CARGO_PKG_VERSION"))))
            .map_err(|err| Failure::usage(format!("--server {}: {err}", self.server)))?;
        Ok(endpoint
            .connect_timeout(Duration::from_secs(5))
            // A watched task can be silent for long; a server that vanished is noticed by this.
            .http2_keep_alive_interval(Duration::from_secs(15))
            .keep_alive_timeout(Duration::from_secs(10))
            .connect_lazy())
    }
}

/// The server, and what to prove to it. Without any of these, what `usher serve` put into its data
/// directory is used.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    target: Target,
    given: Given,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
struct Flags {
    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    pair: KeyPair,

    /// File that holds a token to call with, instead of a key and its secret. Or put the token into the
    /// environment variable `USHER_TOKEN`.
    #[arg(long, env = "USHER_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// The token itself. Environment only.
    #[arg(long = "token", env = "USHER_TOKEN", value_name = "TOKEN", hide = true, hide_env_values = true)]
    bearer: Option<Secret>,
}

impl Args for Connection {
    fn augment_args(command: Command) -> Command {
        Flags::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Flags::augment_args_for_update(command)
    }
}

impl FromArgMatches for Connection {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let Flags { target, pair, token_file, bearer } = Flags::from_arg_matches(matches)?;
        let typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        if typed("bearer") {
            return Err(clap::Error::raw(
                ErrorKind::InvalidValue,
                "a secret on the command line can be read by every process: use USHER_TOKEN or --token-file\n",
            ));
        }
        // What is typed overrides what lies in the environment, also where they are different means.
        let given = match (token_file, bearer) {
            (Some(file), _) if typed("token_file") => Given::TokenFile(file, pair.key),
            _ if typed("secret_file") => Given::Pair(pair),
            (_, Some(token)) => Given::Token(token, pair.key),
            (Some(file), None) => Given::TokenFile(file, pair.key),
            (None, None) => Given::Pair(pair),
        };
        Ok(Self { target, given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Connection {
    /// The data directory of `usher serve`, where the credential is the one that lies there.
    pub(super) fn data_dir(&self) -> Option<&Path> {
        match &self.given {
            Given::Pair(pair) => pair.of_first_app(),
            Given::Token(..) | Given::TokenFile(..) => None,
        }
    }

    /// Reads the credential. The connection itself is made by the first call.
    pub(super) fn open(&self) -> Result<Client, Failure> {
        let credential = self.given.read()?;
        let mints = credential.mints();
        let service = InterceptedService::new(self.target.channel()?, credential);
        Ok(Client { service, server: self.target.server.clone(), mints })
    }
}

/// A server to call.
#[derive(Debug, Clone)]
pub(super) struct Client {
    service: Service,
    server: String,
    mints: bool,
}

impl Client {
    pub(super) fn apps(&self) -> AppServiceClient<Service> {
        AppServiceClient::new(self.service.clone())
    }

    pub(super) fn tokens(&self) -> TokenServiceClient<Service> {
        TokenServiceClient::new(self.service.clone())
    }

    pub(super) fn users(&self) -> UserServiceClient<Service> {
        UserServiceClient::new(self.service.clone()).accept_compressed(CompressionEncoding::Gzip)
    }

    pub(super) fn tasks(&self) -> TaskServiceClient<Service> {
        TaskServiceClient::new(self.service.clone()).accept_compressed(CompressionEncoding::Gzip)
    }

    pub(super) fn content(&self) -> ContentServiceClient<Service> {
        ContentServiceClient::new(self.service.clone()).max_decoding_message_size(MAX_ANSWER)
    }

    /// What to say about a call that failed.
    pub(super) fn failure(&self, status: &Status) -> Failure {
        Failure::of_status(status, &self.server)
    }

    /// The same for a call about these users, so that the message can name them.
    pub(super) fn failure_about(&self, status: &Status, ids: &[String]) -> Failure {
        Failure::of_status_about(status, &self.server, ids)
    }

    /// Whether a call that can be resumed may go well if it is made again.
    pub(super) fn may_recover(&self, status: &Status) -> bool {
        let reason = failure::reason(status);
        status.code() == Code::Unavailable
            || failure::is_broken(status)
            || matches!(reason.as_str(), "OVERLOADED" | "CONFLICT")
            // The next call carries a token minted anew.
            || (self.mints && reason == "TOKEN_EXPIRED")
    }

    #[cfg(test)]
    pub(super) fn for_tests(server: &str) -> Self {
        let target = Target { server: server.to_owned() };
        let service = InterceptedService::new(target.channel().unwrap(), Credential::for_tests());
        Self { service, server: server.to_owned(), mints: false }
    }
}

/// A unary request, with the deadline all of them have.
pub(super) fn unary<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}

/// Takes an URL, or an address as `usher serve` prints it.
fn server_url(text: &str) -> Result<String, &'static str> {
    let text = text.trim().trim_end_matches('/');
    match text.split_once("://") {
        Some(("http", rest)) if !rest.is_empty() => Ok(text.to_owned()),
        Some(("https", _)) => Err("TLS is not built in; let a proxy or a mesh speak it, and give http://"),
        Some(_) => Err("must be like http://127.0.0.1:50051"),
        None if text.is_empty() => Err("must be like http://127.0.0.1:50051"),
        None => Ok(format!("http://{text}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Sample {
        #[command(flatten)]
        connection: Connection,
    }

    fn given(args: &[&str]) -> Result<Given, String> {
        let args = std::iter::once("usher").chain(args.iter().copied());
        Sample::try_parse_from(args).map(|sample| sample.connection.given).map_err(|err| err.to_string())
    }

    #[test]
    fn an_address_without_scheme_is_plain_http() {
        assert_eq!(server_url("127.0.0.1:50051").unwrap(), "http://127.0.0.1:50051");
        assert_eq!(server_url("http://usher:50051/").unwrap(), "http://usher:50051");
        assert!(server_url("https://usher").is_err());
        assert!(server_url("").is_err());
    }

    #[test]
    fn a_token_on_the_command_line_is_refused() {
        assert!(given(&["--token", "abc"]).unwrap_err().contains("USHER_TOKEN"));
    }

    #[test]
    fn a_typed_token_file_goes_before_a_key_and_keeps_it_as_the_name_of_the_app() {
        let Given::TokenFile(file, key) = given(&["--token-file", "f", "--key", "k"]).unwrap() else {
            panic!("the token file")
        };
        assert_eq!((file.to_str(), key.as_deref()), (Some("f"), Some("k")));
    }
}
