//! What an app is, and its settings.

use std::ops::RangeInclusive;

use prost_types::Duration as PbDuration;
use tonic::{Request, Status};

use super::about;
use crate::domain::Domain;
use crate::domain::apps::settings::AppView;
use crate::model::settings::{
    MAX_TOKEN_LEEWAY_SECONDS, MAX_TOKEN_VALIDITY_SECONDS, SettingsChange, UniqueNames,
};
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::time::to_timestamp;
use crate::rpc::{RpcResult, answer, decode, status};

/// Ten years.
const MAX_DAYS: u32 = 3_650;
/// A year.
const MAX_HOURS: u32 = 8_760;

pub(super) async fn get_app(
    domain: &Domain,
    request: Request<pb::GetAppRequest>,
) -> RpcResult<pb::GetAppResponse> {
    let (call, pb::GetAppRequest {}) = decode::open(request)?;
    let (view, active) = domain.get_app(&call).await.map_err(status::of)?;
    let monthly_active_users = i64::try_from(active).unwrap_or(i64::MAX);
    Ok(answer(pb::GetAppResponse { app: Some(app(view)), monthly_active_users }))
}

pub(super) async fn update_app(
    domain: &Domain,
    request: Request<pb::UpdateAppRequest>,
) -> RpcResult<pb::UpdateAppResponse> {
    let (call, message) = decode::open(request)?;
    let change = change(message)?;
    let view = domain.update_app(&call, change).await.map_err(status::of)?;
    Ok(answer(pb::UpdateAppResponse { app: Some(app(view)) }))
}

fn app(view: AppView) -> pb::App {
    let settings = pb::AppSettings {
        guests_enabled: view.settings.guests_enabled,
        guest_retention_days: i32::try_from(view.settings.guest_retention_days).unwrap_or(i32::MAX),
        unique_names: match view.settings.unique_names {
            UniqueNames::None => pb::UniqueNames::None.into(),
            UniqueNames::App => pb::UniqueNames::App.into(),
            UniqueNames::Team => pb::UniqueNames::Team.into(),
        },
        max_token_validity: Some(seconds(view.settings.max_token_validity_seconds)),
        token_leeway: Some(seconds(view.settings.token_leeway_seconds)),
        token_issuer: view.settings.token_issuer,
        token_audience: view.settings.token_audience,
        retention_days: i32::try_from(view.settings.retention_days).unwrap_or(i32::MAX),
        history_retention_days: i32::try_from(view.settings.history_retention_days).unwrap_or(i32::MAX),
        export_retention_days: i32::try_from(view.settings.export_retention_days).unwrap_or(i32::MAX),
        keep_archive_hours: i32::try_from(view.settings.keep_archive_hours).unwrap_or(i32::MAX),
        erasure_due_days: i32::try_from(view.settings.erasure_due_days).unwrap_or(i32::MAX),
        export_about: Some(about::encode(view.settings.export_about)),
    };
    pb::App { name: view.name, created_at: Some(to_timestamp(view.created_at)), settings: Some(settings) }
}

fn change(message: pb::UpdateAppRequest) -> Result<SettingsChange, Status> {
    let mut bad = Violations::new();
    let settings = message.settings.unwrap_or_default();
    let paths = message.update_mask.unwrap_or_default().paths;
    if paths.is_empty() {
        bad.add("update_mask", "must name at least one setting");
    }
    let mut change = SettingsChange::default();
    for (at, path) in paths.iter().enumerate() {
        match path.as_str() {
            "guests_enabled" => change.guests_enabled = Some(settings.guests_enabled),
            "guest_retention_days" => {
                let days = days(settings.guest_retention_days);
                change.guest_retention_days = bad.take("settings.guest_retention_days", days);
            }
            "retention_days" => {
                change.retention_days = bad.take("settings.retention_days", days(settings.retention_days));
            }
            "history_retention_days" => {
                let days = days(settings.history_retention_days);
                change.history_retention_days = bad.take("settings.history_retention_days", days);
            }
            "export_retention_days" => {
                let days = from_one(settings.export_retention_days, MAX_DAYS);
                let days = days.ok_or("must be 1 to 3,650 days");
                change.export_retention_days = bad.take("settings.export_retention_days", days);
            }
            "keep_archive_hours" => {
                let hours = from_one(settings.keep_archive_hours, MAX_HOURS);
                let hours = hours.ok_or("must be 1 to 8,760 hours");
                change.keep_archive_hours = bad.take("settings.keep_archive_hours", hours);
            }
            "erasure_due_days" => {
                let days = from_one(settings.erasure_due_days, MAX_DAYS);
                let days = days.ok_or("must be 1 to 3,650 days");
                change.erasure_due_days = bad.take("settings.erasure_due_days", days);
            }
            "export_about" => {
                let about = settings.export_about.clone().unwrap_or_default();
                change.export_about = Some(about::decode(about, "settings.export_about", &mut bad));
            }
            "unique_names" => {
                change.unique_names = bad.take("settings.unique_names", unique_names(settings.unique_names));
            }
            "max_token_validity" => {
                let validity = whole_seconds(settings.max_token_validity, 1..=MAX_TOKEN_VALIDITY_SECONDS);
                let validity = validity.ok_or("must be 1 second to 365 days, in whole seconds");
                change.max_token_validity_seconds = bad.take("settings.max_token_validity", validity);
            }
            "token_leeway" => {
                let leeway = whole_seconds(settings.token_leeway, 0..=MAX_TOKEN_LEEWAY_SECONDS);
                let leeway = leeway.ok_or("must be 0 to 300 seconds, in whole seconds");
                change.token_leeway_seconds = bad.take("settings.token_leeway", leeway);
            }
            "token_issuer" => {
                change.token_issuer = bad.take("settings.token_issuer", text(&settings.token_issuer));
            }
            "token_audience" => {
                change.token_audience = bad.take("settings.token_audience", text(&settings.token_audience));
            }
            _ => bad.add(format!("update_mask.paths[{at}]"), "is not a setting"),
        }
    }
    decode::checked(bad, Some(change))
}

fn days(days: i32) -> Result<u32, &'static str> {
    let days = u32::try_from(days).ok().filter(|days| *days <= MAX_DAYS);
    days.ok_or("must be 0 to 3,650 days")
}

fn from_one(number: i32, max: u32) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| (1..=max).contains(number))
}

fn seconds(seconds: u32) -> PbDuration {
    PbDuration { seconds: seconds.into(), nanos: 0 }
}

fn whole_seconds(duration: Option<PbDuration>, range: RangeInclusive<u32>) -> Option<u32> {
    let seconds = duration.filter(|duration| duration.nanos == 0)?.seconds;
    u32::try_from(seconds).ok().filter(|seconds| range.contains(seconds))
}

fn text(text: &str) -> Result<String, &'static str> {
    if text.len() <= 255 && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err("must be at most 255 bytes without control characters")
    }
}

fn unique_names(among: i32) -> Result<UniqueNames, &'static str> {
    match pb::UniqueNames::try_from(among) {
        Ok(pb::UniqueNames::None) => Ok(UniqueNames::None),
        Ok(pb::UniqueNames::App) => Ok(UniqueNames::App),
        Ok(pb::UniqueNames::Team) => Ok(UniqueNames::Team),
        Ok(pb::UniqueNames::Unspecified) => Err("must be said"),
        Err(_) => Err("is not a value of this enum"),
    }
}
