//! Any sequence of lifecycle operations over users who share content ends in the state that a model in plain
//! code says, whether each is waited for or all overlap; each undoes exactly what its counterpart did.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::harness::{Dump, TestServer, each_backend, item, pb, setting};
use pb::ItemOutcome::{Done, Failed, Unchanged};

const TIME: &str = "2024-05-01T12:00:00Z";
const USERS: [&str; 4] = ["a", "b", "c", "d"];
/// Channels and calls, their owner, their members.
const SHARED: [(&str, &str, &[&str]); 4] = [
    ("pair", "a", &["a", "b"]),
    ("duo", "c", &["c", "a"]),
    ("trio", "b", &["a", "b", "c"]),
    ("alone", "d", &["d"]),
];
const OPERATIONS: usize = 10;

#[derive(Debug, Clone, PartialEq)]
enum What {
    Deactivate { messages: bool, channels: bool },
    Reactivate { messages: bool, channels: bool },
    Delete { pruning: bool, messages: bool, conversations: bool, calls: bool },
    Restore,
}

#[derive(Debug, Clone)]
struct Operation {
    what: What,
    users: Vec<&'static str>,
    /// By the RPC for one user, which exists for two of them.
    single: bool,
}

fn operation(rng: &mut StdRng, overlap: bool) -> Operation {
    let mut flag = || rng.random_bool(0.6);
    let (one, two, three) = (flag(), flag(), flag());
    let what = match rng.random_range(0..10) {
        0..=2 => What::Deactivate { messages: one, channels: two },
        3..=4 => What::Reactivate { messages: one, channels: two },
        5..=7 => {
            let pruning = rng.random_bool(0.1);
            What::Delete { pruning, messages: one, conversations: two, calls: three }
        }
        _ => What::Restore,
    };
    let users = loop {
        let some: Vec<_> = USERS.into_iter().filter(|_| rng.random_bool(0.4)).collect();
        if !some.is_empty() {
            break some;
        }
    };
    let can_be_single = matches!(what, What::Deactivate { .. } | What::Reactivate { .. });
    let single = !overlap && can_be_single && users.len() == 1 && rng.random_bool(0.5);
    Operation { what, users, single }
}

/// What became of a user of an operation.
type Outcome = (pb::ItemOutcome, &'static str);

/// The state of a world; operations are told by their number.
#[derive(Debug, Default, Clone, PartialEq)]
struct Model {
    deactivated: BTreeMap<String, usize>,
    deleted: BTreeMap<String, usize>,
    pruned: BTreeSet<String>,
    /// By channel and author.
    messages: BTreeMap<(String, String), usize>,
    /// Kind, id, user, operation.
    marks: BTreeSet<(String, String, String, usize)>,
    /// By user, as stored.
    history: BTreeMap<String, Vec<i64>>,
}

impl Model {
    fn apply(&mut self, number: usize, operation: &Operation) -> Vec<Outcome> {
        operation.users.iter().map(|user| self.apply_to(number, &operation.what, user)).collect()
    }

    fn apply_to(&mut self, number: usize, what: &What, user: &str) -> Outcome {
        let is_deleted = self.deleted.contains_key(user);
        match *what {
            What::Deactivate { .. } | What::Reactivate { .. } if is_deleted => (Failed, "USER_DELETED"),
            What::Deactivate { messages, channels } => {
                if self.deactivated.contains_key(user) {
                    return (Unchanged, "");
                }
                self.deactivated.insert(user.to_owned(), number);
                self.remember(user, 1);
                self.mark(number, user, messages, |_, owner, _| channels && owner == user, |_| false);
                (Done, "")
            }
            What::Reactivate { messages, channels } => {
                let Some(by) = self.deactivated.remove(user) else { return (Unchanged, "") };
                self.remember(user, 2);
                self.undo(by, user, messages, channels);
                (Done, "")
            }
            What::Delete { pruning, messages, conversations, calls } => {
                if is_deleted && (!pruning || self.pruned.contains(user)) {
                    return (Unchanged, "");
                }
                self.deleted.insert(user.to_owned(), number);
                self.remember(user, if pruning { 4 } else { 3 });
                if pruning {
                    self.pruned.insert(user.to_owned());
                }
                let is_two = |members: &[&str]| members.len() == 2 && members.contains(&user);
                let is_marked = |_: &str, _: &str, members: &[&str]| conversations && is_two(members);
                self.mark(number, user, messages, is_marked, |members| calls && is_two(members));
                (Done, "")
            }
            What::Restore if !is_deleted => (Failed, "USER_NOT_DELETED"),
            What::Restore if self.pruned.contains(user) => (Failed, "NOT_RESTORABLE"),
            What::Restore => {
                let by = self.deleted.remove(user).unwrap();
                self.remember(user, 5);
                self.undo(by, user, true, true);
                (Done, "")
            }
        }
    }

    fn remember(&mut self, user: &str, kind: i64) {
        self.history.entry(user.to_owned()).or_default().push(kind);
    }

    fn mark(
        &mut self,
        number: usize,
        user: &str,
        messages: bool,
        channels: impl Fn(&str, &str, &[&str]) -> bool,
        calls: impl Fn(&[&str]) -> bool,
    ) {
        for (id, owner, members) in SHARED {
            if messages {
                self.messages.entry((id.to_owned(), user.to_owned())).or_insert(number);
            }
            for (kind, is) in [("channel", channels(id, owner, members)), ("call", calls(members))] {
                if is {
                    self.marks.insert((kind.to_owned(), id.to_owned(), user.to_owned(), number));
                }
            }
        }
    }

    fn undo(&mut self, by: usize, user: &str, messages: bool, shared: bool) {
        if messages {
            self.messages.retain(|(_, author), marked| author != user || *marked != by);
        }
        if shared {
            self.marks.retain(|(_, _, of, number)| of != user || *number != by);
        }
    }
}

fn world(w: &str) -> Vec<Value> {
    let id = |name: &str| format!("{w}-{name}");
    let mut items: Vec<Value> = USERS.map(|user| item("user", json!({"id": id(user)}))).to_vec();
    for (name, owner, members) in SHARED {
        let channel =
            json!({"type": "messaging", "id": id(name), "created_by": id(owner), "created_at": TIME});
        items.push(item("channel", channel));
        let call = json!({"type": "default", "id": id(name), "created_by": id(owner), "created_at": TIME});
        items.push(item("call", call));
        for user in members {
            let member = json!({"channel_type": "messaging", "channel_id": id(name), "user_id": id(user),
                "created_at": TIME});
            items.push(item("member", member));
            let member = json!({"call_type": "default", "call_id": id(name), "user_id": id(user),
                "created_at": TIME});
            items.push(item("call_member", member));
        }
        for user in USERS {
            let message = json!({"id": format!("{}-{user}", id(name)), "channel_type": "messaging",
                "channel_id": id(name), "user": id(user), "text": "hello", "created_at": TIME});
            items.push(item("message", message));
        }
    }
    items
}

/// Asks for it; the task, where there is one.
async fn begin(server: &TestServer, w: &str, operation: &Operation) -> Result<Option<String>, tonic::Status> {
    let user_ids: Vec<String> = operation.users.iter().map(|user| format!("{w}-{user}")).collect();
    let user_id = user_ids[0].clone();
    let soft_if = |is| if is { pb::DeleteMode::Soft } else { pb::DeleteMode::Keep }.into();
    let mut users = server.users();
    let task = match operation.what {
        What::Deactivate { messages: mark_messages_deleted, channels: mark_channels_deleted } => {
            if operation.single {
                let request = pb::DeactivateUserRequest {
                    user_id,
                    mark_messages_deleted,
                    mark_channels_deleted,
                    ..Default::default()
                };
                return users.deactivate_user(request).await.map(|answer| Some(answer.into_inner().task_id));
            }
            let request = pb::DeactivateUsersRequest {
                user_ids,
                mark_messages_deleted,
                mark_channels_deleted,
                ..Default::default()
            };
            users.deactivate_users(request).await?.into_inner().task
        }
        What::Reactivate { messages: restore_messages, channels: restore_channels } => {
            if operation.single {
                let request = pb::ReactivateUserRequest {
                    user_id,
                    restore_messages,
                    restore_channels,
                    ..Default::default()
                };
                return users.reactivate_user(request).await.map(|answer| Some(answer.into_inner().task_id));
            }
            let request = pb::ReactivateUsersRequest {
                user_ids,
                restore_messages,
                restore_channels,
                ..Default::default()
            };
            users.reactivate_users(request).await?.into_inner().task
        }
        What::Delete { pruning, messages, conversations, calls } => {
            let user = if pruning { pb::DeleteMode::Pruning } else { pb::DeleteMode::Soft };
            let request = pb::DeleteUsersRequest {
                user_ids,
                user: user.into(),
                messages: soft_if(messages),
                conversations: soft_if(conversations),
                calls: soft_if(calls),
                ..Default::default()
            };
            users.delete_users(request).await?.into_inner().task
        }
        What::Restore => {
            let request = pb::RestoreUsersRequest { user_ids, ..Default::default() };
            users.restore_users(request).await?.into_inner().task
        }
    };
    Ok(task.map(|task| task.task_id))
}

/// The state of the world `w`, in the words of the model.
fn stored(dump: &Dump, w: &str, tasks: &[String]) -> Model {
    let prefix = format!("{w}-");
    let short = |value: &Value| value.as_str().unwrap().strip_prefix(&prefix).map(str::to_owned);
    let number = |value: &Value| {
        let task = value.as_str().unwrap_or_default();
        tasks.iter().position(|id| id == task).unwrap_or(usize::MAX)
    };
    let mut model = Model::default();
    for row in &dump["users"] {
        let Some(user) = short(&row["id"]) else { continue };
        for (column, into) in [("deactivated", &mut model.deactivated), ("deleted", &mut model.deleted)] {
            if !row[&format!("{column}_at")].is_null() {
                into.insert(user.clone(), number(&row[&format!("{column}_by")]));
            }
        }
        if [json!(true), json!(1)].contains(&row["pruned"]) {
            model.pruned.insert(user);
        }
    }
    let mut history: Vec<_> = dump["user_history"].iter().collect();
    history.sort_by_key(|row| row["no"].as_i64());
    for row in history {
        if let Some(user) = short(&row["user_id"]) {
            model.remember(&user, row["kind"].as_i64().unwrap());
        }
    }
    for row in dump["messages"].iter().filter(|row| !row["deleted_at"].is_null()) {
        if let (Some(channel), Some(user)) = (short(&row["channel_id"]), short(&row["user_id"])) {
            model.messages.insert((channel, user), number(&row["deleted_by"]));
        }
    }
    for kind in ["channel", "call"] {
        for row in &dump[format!("{kind}_marks").as_str()] {
            if let (Some(id), Some(user)) = (short(&row[&format!("{kind}_id")]), short(&row["user_id"])) {
                model.marks.insert((kind.to_owned(), id, user, number(&row["marked_by"])));
            }
        }
    }
    model
}

/// Runs one sequence, and tells what was not as the model says.
async fn run(server: &TestServer, seed: u64, overlap: bool) -> Result<(), String> {
    let w = format!("w{seed}{overlap}");
    server.imported(&w, &world(&w)).await;
    let mut rng = StdRng::seed_from_u64(seed);
    let operations: Vec<Operation> = (0..OPERATIONS).map(|_| operation(&mut rng, overlap)).collect();
    let (mut model, mut tasks, mut expected) = (Model::default(), Vec::new(), Vec::new());
    for (number, operation) in operations.iter().enumerate() {
        let told = |what: String| format!("seed {seed}, operation {number}: {what}\n{operations:#?}");
        let outcomes = model.apply(number, operation);
        let begun = begin(server, &w, operation).await;
        if operation.single && outcomes[0].0 != Done {
            tasks.push(String::new());
            begun.expect_err(&told("it should be refused".to_owned()));
            continue;
        }
        let task = begun.map_err(|status| told(status.to_string()))?.unwrap_or_default();
        tasks.push(task.clone());
        if !operation.single {
            expected.push((number, outcomes));
        }
        if !overlap && !task.is_empty() {
            let ended = server.task(&task).await;
            server.completed(&ended).await;
        }
    }
    let told = |what: String| format!("seed {seed}, overlapping: {overlap}: {what}\n{operations:#?}");
    for (number, outcomes) in expected {
        let task = server.task(&tasks[number]).await;
        server.completed(&task).await;
        let items = server.items(&task.task_id).await;
        let items: Vec<_> = items.iter().map(|item| (item.outcome(), item.reason.as_str())).collect();
        if items != outcomes {
            return Err(told(format!("operation {number}: {items:?}, not {outcomes:?}")));
        }
    }
    let dump = server.backend().dump(server.place()).await;
    let stored = stored(&dump, &w, &tasks);
    let (stored, model) = (told_apart(&stored, overlap), told_apart(&model, overlap));
    if stored != model {
        return Err(told(format!("stored {stored:#?}\nmodel {model:#?}")));
    }
    Ok(())
}

/// Without what a deactivation without marks keeps: it has no task to name. A deletion that overlaps with others is
/// in the history from the moment it is accepted, before what it waits for.
fn told_apart(model: &Model, overlap: bool) -> Model {
    let mut model = model.clone();
    if overlap {
        model.history.clear();
    }
    model.deactivated.values_mut().for_each(|by| *by = 0);
    model
}

async fn all(server: &TestServer, overlap: bool) {
    let cases = setting::setting("USHER_TEST_CASES").map_or(25, |cases| cases.parse().unwrap());
    for seed in 0..cases {
        if let Err(told) = run(server, seed, overlap).await {
            panic!("{told}");
        }
    }
}

each_backend! {
    async fn any_sequence_of_operations_ends_as_the_model_says(server: TestServer) {
        all(&server, false).await;
    }

    async fn operations_that_overlap_take_effect_in_the_order_accepted(server: TestServer) {
        all(&server, true).await;
    }
}
