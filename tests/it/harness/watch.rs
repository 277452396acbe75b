//! Watchers of tasks, which check every promise of `WatchTask` on all they see.

use tonic::{Code, Status, Streaming};

use super::expect::told;
use super::{Answer, Caller, pb, reason_of};

/// An open `WatchTask` stream, or several in a row that resume each other.
pub(crate) struct Watch {
    task_id: String,
    stream: Streaming<pb::WatchTaskResponse>,
    /// Of this stream: the revision it was opened behind, while nothing has come.
    opened_behind: Option<i64>,
    /// What was seen, over all streams.
    seen: Vec<pb::Task>,
}

impl Caller {
    /// Watches a task from its present state on.
    pub(crate) async fn watch(&self, task: &pb::Task) -> Watch {
        self.watch_after(&task.task_id, 0).await
    }

    /// Watches a task, from behind a revision on.
    pub(crate) async fn watch_after(&self, task_id: &str, after_revision: i64) -> Watch {
        self.try_watch(task_id, after_revision).await.expect("the task can be watched")
    }

    /// Watches a task on a server that may be gone.
    pub(crate) async fn try_watch(&self, task_id: &str, after_revision: i64) -> Result<Watch, Status> {
        let stream = self.open(task_id, after_revision).await?;
        Ok(Watch {
            task_id: task_id.to_owned(),
            stream,
            opened_behind: Some(after_revision),
            seen: Vec::new(),
        })
    }

    async fn open(
        &self,
        task_id: &str,
        after_revision: i64,
    ) -> Result<Streaming<pb::WatchTaskResponse>, Status> {
        let request = pb::WatchTaskRequest { task_id: task_id.to_owned(), after_revision };
        Ok(self.tasks().watch_task(request).await?.into_inner())
    }

    /// Waits for the end of a task that must complete.
    pub(crate) async fn completed(&self, task: &pb::Task) -> pb::Task {
        let last = self.watch(task).await.end().await;
        assert_eq!(last.state(), pb::TaskState::Completed, "{last:?}");
        last
    }

    /// Waits for the end of a request's task, which must complete.
    pub(crate) async fn deactivated(&self, ids: &[String]) -> pb::Task {
        let task = self.deactivate_all(ids).await;
        self.completed(&task).await
    }
}

impl Watch {
    /// The next state, `None` when the stream ended OK. Checks what must hold of every message.
    pub(crate) async fn next(&mut self) -> Result<Option<pb::Task>, Status> {
        let Some(message) = self.stream.message().await? else {
            let last = self.seen.last().expect("a stream does not end without a state");
            assert!(is_terminal(last), "a stream ends OK after a terminal state only, not {last:?}");
            return Ok(None);
        };
        let task = message.task.expect("every message is a task");
        assert_eq!(task.task_id, self.task_id, "no other task's states");
        assert!(task.users_done <= task.users_total, "{task:?}");
        if let Some(behind) = self.opened_behind.take() {
            if self.seen.last() == Some(&task) && is_terminal(&task) {
                return Ok(Some(task));
            }
            assert!(
                task.revision > behind || is_terminal(&task),
                "only what is newer than {behind}: {task:?}"
            );
        }
        if let Some(last) = self.seen.last() {
            assert!(task.revision > last.revision, "revisions rise: {last:?} then {task:?}");
            assert!(task.users_done >= last.users_done, "progress does not fall: {last:?} then {task:?}");
            assert!(!is_terminal(last), "nothing comes after a terminal state: {task:?}");
        }
        self.seen.push(task.clone());
        Ok(Some(task))
    }

    /// Reads until a state is as wanted; it must come.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&pb::Task) -> bool) -> pb::Task {
        loop {
            match self.next().await {
                Ok(Some(task)) if wanted(&task) => return task,
                Ok(Some(_)) => {}
                Ok(None) => panic!("the task ended before it was as wanted: {:?}", self.seen.last()),
                Err(status) => panic!("the watch broke: {}", told(&status)),
            }
        }
    }

    /// Reads to the end and tells the terminal state.
    pub(crate) async fn end(&mut self) -> pb::Task {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return self.seen.last().unwrap().clone(),
                Err(status) => panic!("the watch broke: {}", told(&status)),
            }
        }
    }

    /// Reads until the server says that it drains.
    pub(crate) async fn until_draining(&mut self) {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the task ended before the server drained"),
                Err(status) => {
                    assert_eq!(status.code(), Code::Unavailable, "{}", told(&status));
                    assert_eq!(reason_of(&status), "SERVER_DRAINING");
                    return;
                }
            }
        }
    }

    /// Goes on behind the last revision seen, on any server. Fails like the call.
    pub(crate) async fn resume_on(&mut self, caller: &Caller) -> Result<(), Status> {
        let after = self.seen.last().map_or(0, |task| task.revision);
        self.stream = caller.open(&self.task_id, after).await?;
        self.opened_behind = Some(after);
        Ok(())
    }

    /// What was seen, over all streams.
    pub(crate) fn seen(&self) -> &[pb::Task] {
        &self.seen
    }
}

/// Whether no later state can follow.
pub(crate) fn is_terminal(task: &pb::Task) -> bool {
    matches!(task.state(), pb::TaskState::Completed | pb::TaskState::Failed | pb::TaskState::Cancelled)
}

/// Opening a watch that must be refused.
impl Caller {
    pub(crate) async fn watch_refused(&self, task_id: &str, code: Code, reason: &str) -> Status {
        let request = pb::WatchTaskRequest { task_id: task_id.to_owned(), after_revision: 0 };
        let mut stream = match self.tasks().watch_task(request).await {
            Ok(response) => response.into_inner(),
            refused => return refused.refused(code, reason),
        };
        stream.message().await.map(tonic::Response::new).refused(code, reason)
    }
}
