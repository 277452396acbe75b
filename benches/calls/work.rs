//! What callers do.

use prost::Message;

use crate::harness::pb;
use crate::load::{Line, Work};

pub(crate) const DEACTIVATE: &str = "/usher.v1.UserService/DeactivateUsers";
const REACTIVATE: &str = "/usher.v1.UserService/ReactivateUsers";
const WATCH: &str = "/usher.v1.TaskService/WatchTask";

/// One unary call, with a message made from the number of the call.
pub(crate) struct Unary {
    path: &'static str,
    message: Box<dyn Fn(u64) -> Vec<u8> + Send + Sync>,
}

impl Unary {
    pub(crate) fn new<M: Message>(
        path: &'static str,
        message: impl Fn(u64) -> M + Send + Sync + 'static,
    ) -> Self {
        Self { path, message: Box::new(move |number| message(number).encode_to_vec()) }
    }

    /// The same message each time.
    pub(crate) fn always(path: &'static str, message: Vec<u8>) -> Self {
        Self { path, message: Box::new(move |_| message.clone()) }
    }

    /// What is sent first.
    pub(crate) fn first(&self) -> Vec<u8> {
        (self.message)(0)
    }
}

impl Work for Unary {
    async fn call(&self, line: Line, number: u64) {
        line.unary(self.path, (self.message)(number)).await;
    }
}

/// A stream of users, read to its end.
pub(crate) struct Stream(pub(crate) pb::StreamUsersRequest);

impl Work for Stream {
    async fn call(&self, line: Line, _: u64) {
        let last = line.stream("/usher.v1.UserService/StreamUsers", &self.0).await;
        assert!(!last.is_empty(), "users were streamed");
    }
}

/// Deactivates users, and reactivates them in the next turn over all of them, as a task that is watched to its end.
pub(crate) struct Tasks {
    /// Ids, as many as one task has each.
    pub(crate) users: Vec<Vec<String>>,
    /// Where the task is watched from, as well as where it was made.
    pub(crate) watchers: Vec<Line>,
}

impl Tasks {
    /// The message that begins the task of a turn.
    pub(crate) fn begin(&self, number: u64) -> (&'static str, Vec<u8>) {
        let count = self.users.len() as u64;
        let user_ids = self.users[usize::try_from(number % count).unwrap()].clone();
        if (number / count).is_multiple_of(2) {
            let request = pb::DeactivateUsersRequest { user_ids, ..Default::default() };
            (DEACTIVATE, request.encode_to_vec())
        } else {
            let request = pb::ReactivateUsersRequest { user_ids, ..Default::default() };
            (REACTIVATE, request.encode_to_vec())
        }
    }
}

impl Work for Tasks {
    async fn call(&self, line: Line, number: u64) {
        let (path, message) = self.begin(number);
        let answer = line.unary(path, message).await;
        // The answer of each has its task in the same field.
        let task = pb::DeactivateUsersResponse::decode(answer.as_slice()).unwrap().task.unwrap();
        let request = pb::WatchTaskRequest { task_id: task.task_id, ..Default::default() };
        let watched = async |line: &Line| {
            let last = line.stream(WATCH, &request).await;
            let last = pb::WatchTaskResponse::decode(last.as_slice()).unwrap().task.unwrap();
            assert_eq!(last.state(), pb::TaskState::Completed, "{last:?}");
        };
        if self.watchers.is_empty() {
            watched(&line).await;
        }
        futures_util::future::join_all(self.watchers.iter().map(watched)).await;
    }
}
