//! Creating and replacing users.

use std::collections::HashMap;

use prost::Message as _;
use tonic::{Request, Status};

use super::encode;
use crate::domain::users::upsert::UpsertUser;
use crate::domain::{Domain, Error};
use crate::model::clock::Timestamp;
use crate::model::user::{PrivacySetting, PrivacySettings, PushNotifications, UserInput};
use crate::model::violation::Violations;
use crate::proto::v1 as pb;
use crate::rpc::{MAX_ANSWER, RpcResult, answer, decode, json, status, time};

const MAX_USERS: usize = 500;
/// What an answer has beyond the request: times, versions, blocks.
const ROOM: usize = 256 * 1024;

pub(super) async fn upsert_users(
    domain: &Domain,
    request: Request<pb::UpsertUsersRequest>,
) -> RpcResult<pb::UpsertUsersResponse> {
    let (call, message) = decode::open(request)?;
    // The answer repeats the users; refused before anything is stored.
    if message.encoded_len() > MAX_ANSWER - ROOM {
        return Err(status::of(Error::TooLarge(
            "the users are too many bytes together; send fewer at a time",
        )));
    }
    let users = command(message)?;
    let users = domain.upsert_users(&call, users).await.map_err(status::of)?;
    Ok(answer(pb::UpsertUsersResponse { users: users.into_iter().map(encode::user).collect() }))
}

fn command(message: pb::UpsertUsersRequest) -> Result<Vec<UpsertUser>, Status> {
    let mut bad = Violations::new();
    if !(1..=MAX_USERS).contains(&message.users.len()) {
        bad.add("users", format!("must be 1 to {MAX_USERS} users"));
        return decode::checked(bad, None);
    }
    let mut first_at = HashMap::new();
    let mut users = Vec::with_capacity(message.users.len());
    for (at, input) in message.users.into_iter().enumerate() {
        if let Some(first) = first_at.insert(input.id.clone(), at) {
            bad.add(format!("users[{at}].id"), format!("is the id of users[{first}] too"));
        }
        let mut found = Violations::new();
        users.extend(user(input, &mut found));
        bad.extend(&format!("users[{at}]"), found.into_result(()).err().unwrap_or_default());
    }
    decode::checked(bad, Some(users))
}

pub(super) fn user(input: pb::UserInput, bad: &mut Violations) -> Option<UpsertUser> {
    let pb::UserInput {
        id,
        name,
        image,
        role,
        custom,
        language,
        invisible,
        teams,
        teams_role,
        privacy_settings,
        push_notifications,
        expected_version,
    } = input;
    if expected_version.is_some_and(|version| version < 0) {
        bad.add("expected_version", "must be 0 or more");
    }
    let input = UserInput {
        id,
        name,
        image,
        role,
        custom: json::object(custom.unwrap_or_default(), "custom", bad),
        language,
        invisible,
        teams,
        teams_role: teams_role.into_iter().collect(),
        privacy_settings: privacy_settings.map(privacy),
        push_notifications: push_notifications.map(|settings| push(&settings, bad)),
    };
    input.check(bad).map(|profile| UpsertUser { profile, expected_version })
}

fn privacy(settings: pb::PrivacySettings) -> PrivacySettings {
    let setting = |setting: pb::PrivacySetting| PrivacySetting { enabled: setting.enabled };
    PrivacySettings {
        typing_indicators: settings.typing_indicators.map(setting),
        read_receipts: settings.read_receipts.map(setting),
        delivery_receipts: settings.delivery_receipts.map(setting),
    }
}

fn push(settings: &pb::PushNotifications, bad: &mut Violations) -> PushNotifications {
    let until = settings.disabled_until.map(time::from_timestamp);
    let until = until.and_then(|until| bad.take("push_notifications.disabled_until", until));
    PushNotifications { disabled: settings.disabled, disabled_until: until.map(Timestamp::micros) }
}
