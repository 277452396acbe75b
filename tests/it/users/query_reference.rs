//! `QueryUsers` against the reference in `usher::model`, on users and questions made at random.

use proptest::test_runner::TestCaseError;
use serde_json::Value;
use usher::model::clock::Timestamp;
use usher::model::history::Cause;
use usher::model::id::UserId;
use usher::model::json::{Object, number};
use usher::model::query::ValueType;
use usher::model::user::{Profile, User};

use super::query_cases::{Ask, Case, IDS, Seed, Sort};
use super::query_law::{Page, check_case, questions, run_cases};
use crate::harness::{Answer, Backend, Caller, TestServer, each_backend, on_postgres, pb, struct_of, user};

/// Stores the seeds of a case in place of those before.
async fn put(caller: &Caller, case: &Case) {
    let ids = ids_of(case);
    for user in caller.read(&ids).await.into_iter().filter(|user| user.deactivated_at.is_some()) {
        let request = pb::ReactivateUserRequest { user_id: user.id, ..Default::default() };
        caller.users().reactivate_user(request).await.answered();
    }
    caller.upsert(case.users.iter().map(input_of).collect()).await;
    for seed in case.users.iter().filter(|seed| seed.deactivated) {
        caller.deactivate(&seed.input.id).await;
    }
}

/// Asks everything in a case.
async fn ask(caller: &Caller, case: &Case) -> Result<(), TestCaseError> {
    let stored: Vec<User> = caller.read(&ids_of(case)).await.into_iter().map(user_of).collect();
    check_case(case, &stored, |ask| answer(caller, ask)).await
}

fn ids_of(case: &Case) -> Vec<String> {
    case.users.iter().map(|seed| seed.input.id.clone()).collect()
}

async fn answer(caller: &Caller, ask: Ask) -> Page {
    let request = pb::QueryUsersRequest {
        filter: (!ask.filter.is_null()).then(|| struct_of(ask.filter)),
        sort: ask.sort.iter().map(key_of).collect(),
        limit: ask.limit,
        offset: ask.offset,
        id_gt: ask.id_gt,
        id_gte: ask.id_gte,
        id_lt: ask.id_lt,
        id_lte: ask.id_lte,
        page_token: ask.page_token,
        include_deactivated_users: ask.include_deactivated,
        ..Default::default()
    };
    let page = caller.users().query_users(request).await.answered();
    Page { ids: page.users.into_iter().map(|user| user.id).collect(), next_page_token: page.next_page_token }
}

fn input_of(seed: &Seed) -> pb::UserInput {
    let input = seed.input.clone();
    pb::UserInput {
        id: input.id,
        name: input.name,
        role: input.role,
        language: input.language,
        custom: Some(struct_of(Value::Object(input.custom))),
        invisible: input.invisible,
        teams: input.teams,
        ..Default::default()
    }
}

fn key_of(sort: &Sort) -> pb::SortKey {
    let direction = if sort.descending { pb::SortDirection::Desc } else { pb::SortDirection::Asc };
    let kind = match sort.ty {
        None => pb::SortType::Unspecified,
        Some(ValueType::Text) => pb::SortType::String,
        Some(ValueType::Number) => pb::SortType::Number,
        Some(ValueType::Bool) => pb::SortType::Boolean,
    };
    pb::SortKey { field: sort.field.clone(), direction: direction.into(), r#type: kind.into() }
}

fn user_of(user: pb::User) -> User {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let time =
        |at: prost_types::Timestamp| Timestamp::from_parts(at.seconds, at.nanos.unsigned_abs()).unwrap();
    User {
        profile: Profile {
            id: UserId::parse(user.id).unwrap(),
            name: some(user.name),
            image: some(user.image),
            role: user.role,
            custom: user.custom.map(object_of).unwrap_or_default(),
            language: some(user.language),
            invisible: user.invisible,
            teams: user.teams,
            teams_role: user.teams_role.into_iter().collect(),
            privacy_settings: None,
            push_notifications: None,
        },
        created_at: time(user.created_at.unwrap()),
        updated_at: time(user.updated_at.unwrap()),
        deactivated_at: user.deactivated_at.map(time),
        deactivation: Cause::default(),
        deleted_at: user.deleted_at.map(time),
        tokens_revoked_before: None,
        avg_response_time: None,
        last_active: user.last_active.map(time),
        version: user.version,
    }
}

fn object_of(object: prost_types::Struct) -> Object {
    object.fields.into_iter().map(|(name, value)| (name, value_of(value))).collect()
}

fn value_of(value: prost_types::Value) -> Value {
    use prost_types::value::Kind;
    match value.kind.unwrap() {
        Kind::NullValue(_) => Value::Null,
        Kind::BoolValue(value) => Value::Bool(value),
        Kind::NumberValue(value) => Value::Number(number(value).unwrap()),
        Kind::StringValue(value) => Value::String(value),
        Kind::ListValue(list) => list.values.into_iter().map(value_of).collect(),
        Kind::StructValue(object) => Value::Object(object_of(object)),
    }
}

/// Presence of some of the users, with ties: nothing that the cases do touches it.
const PRESENCE: &str = "UPDATE users SET last_active = CASE \
    WHEN id IN ('a', 'A', 'b') THEN 1700000000000001 WHEN id IN ('B', '0', 'aa') THEN 1700000000000002 \
    WHEN id IN ('Z9', '-a') THEN 1800000000000000 END";

each_backend! {
    async fn every_answer_is_that_of_the_reference(server: TestServer) {
        server.upsert(IDS.map(user).to_vec()).await;
        let (backend, place) = (server.backend().clone(), server.place().clone());
        server.stop().await;
        backend.meddle(&place, PRESENCE).await;
        let server = backend.try_start_at(&place).await.unwrap();

        let caller = Caller::clone(&server);
        each_case(questions(), async move |case| {
            put(&caller, case).await;
            ask(&caller, case).await
        })
        .await;
    }
}

/// proptest is synchronous: off the runtime.
async fn each_case(questions: u32, check: impl AsyncFn(&Case) -> Result<(), TestCaseError> + Send + 'static) {
    let runtime = tokio::runtime::Handle::current();
    let run = move || run_cases(questions, |case| runtime.block_on(check(case)));
    if let Err(failed) = tokio::task::spawn_blocking(run).await {
        std::panic::resume_unwind(failed.into_panic());
    }
}

on_postgres! {
    async fn so_it_is_while_terms_of_some_are_missing_and_of_others_old(backend: Backend) {
        let server = backend.launch().failpoints("missing_terms=return").start().await;
        let (caller, place) = (Caller::clone(&server), server.launch().place().clone());
        each_case(questions() / 4, async move |case| {
            // What an earlier usher wrote over leaves old terms behind; what it wrote first has none.
            backend.meddle(&place, "UPDATE users SET terms_version = -version").await;
            put(&caller, case).await;
            backend.meddle(&place, "UPDATE users SET terms_version = NULL WHERE ascii(id) % 2 = 1").await;
            // Not where there is such a word already.
            let changed = "UPDATE user_terms SET value = 'a' || value WHERE ascii(user_id) % 4 = 1 AND NOT EXISTS \
                (SELECT 1 FROM user_terms AS other WHERE (other.app_id, other.user_id, other.path, other.value) = \
                (user_terms.app_id, user_terms.user_id, user_terms.path, 'a' || user_terms.value))";
            backend.meddle(&place, changed).await;
            backend.meddle(&place, "DELETE FROM user_terms WHERE ascii(user_id) % 4 = 3").await;
            ask(&caller, case).await
        })
        .await;
    }
}
