//! `usher healthcheck`: what a container's health check runs. Needs no credential.

use std::time::Duration;

use clap::Args;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::connect::Target;
use super::failure::{Exit, Failure, Outcome};
use super::output;

/// The longest one question may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two questions while waiting.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// Ask about one service, such as `usher.v1.UserService`. [default: the server as a whole]
    #[arg(long, value_name = "NAME", default_value = "")]
    service: String,
    /// Ask again until it serves, for at most this long, such as 30s.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
    #[command(flatten)]
    target: Target,
}

impl Healthcheck {
    pub(super) async fn run(self) -> Outcome {
        let mut client = HealthClient::new(self.target.channel()?);
        let until = Instant::now() + self.wait.unwrap_or_default();
        loop {
            let answer = self.ask(&mut client).await;
            let left = until.saturating_duration_since(Instant::now());
            match answer {
                Ok(ServingStatus::Serving) => {
                    output::line("SERVING")?;
                    return Ok(Exit::Success);
                }
                Ok(status) if left.is_zero() => {
                    output::line(status.as_str_name())?;
                    return Ok(Exit::Failed);
                }
                Err(status) if left.is_zero() => return Err(self.failure(&status)),
                _ => tokio::time::sleep(PAUSE.min(left)).await,
            }
        }
    }

    async fn ask(&self, client: &mut HealthClient<Channel>) -> Result<ServingStatus, Status> {
        let mut request = Request::new(HealthCheckRequest { service: self.service.clone() });
        request.set_timeout(ASK_TIMEOUT);
        client.check(request).await.map(|answer| answer.into_inner().status())
    }

    fn failure(&self, status: &Status) -> Failure {
        if status.code() == Code::NotFound {
            return Failure::failed(format!(
                "{} does not know a service `{}`",
                self.target.server, self.service
            ));
        }
        Failure::of_status(status, &self.target.server)
    }
}
