//! `usher users delete --export-first`: archives first, checked and kept by the disk; then the deletion; then a receipt.
//!
//! Nothing is deleted before the archives of all users are there. What was done is in the receipt before the next step
//! begins, so the same command goes on after any interruption.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use super::Plan;
use super::receipt::{self, Asked, Entry, Receipt, State};
use crate::cli::connect::unary;
use crate::cli::export::{self, Got, Order, Report};
use crate::cli::failure::{self, Exit, Failure, Outcome};
use crate::cli::interrupt::Interrupt;
use crate::cli::task::{Shown, watch};
use crate::cli::users::bulk::{Agreed, Operation as _};
use crate::cli::{output, text};
use crate::model::clock::{Clock, Timestamp};
use crate::proto::v1;

/// How long archives are good to delete by: what their users make afterwards is not in them.
const GOOD_FOR: Duration = Duration::from_hours(24);
/// Archives at fault that are named.
const NAMED: usize = 10;
const UNTOUCHED: &str = "nothing was deleted; the same command goes on from there";
const BEGUN: &str = "hint: the same command goes on from there";

struct Run<'a> {
    agreed: &'a Agreed,
    plan: &'a Plan,
    dir: &'a Path,
    receipt: Receipt,
    /// There was a receipt, and it is gone on with.
    is_resumed: bool,
    interrupt: Interrupt,
}

/// Exports the users to the directory, and deletes them.
pub(super) async fn run(agreed: &Agreed, plan: &Plan, dir: &Path, clock: &dyn Clock) -> Outcome {
    export::make_dir(dir)?;
    let asked = Asked {
        plan: plan.to_json(),
        created_by_id: agreed.created_by_id.clone(),
        reason: agreed.reason.clone(),
    };
    let found = Receipt::load(dir)?;
    let (receipt, is_resumed) = match found {
        Some(found) if found.is_of(&asked, &agreed.user_ids, &agreed.request_id) => (found, true),
        found => {
            found.map_or(Ok(()), |found| give_way(&found, &agreed.user_ids, dir))?;
            check_free(&agreed.user_ids, dir)?;
            (Receipt::new(asked, &agreed.user_ids, &agreed.request_id, clock.now()), false)
        }
    };
    let mut run = Run { agreed, plan, dir, receipt, is_resumed, interrupt: Interrupt::new() };
    if run.receipt.state == State::Done {
        return run.print();
    }
    run.check_age(clock.now())?;
    if run.is_interrupted().await {
        return Ok(Exit::Interrupted);
    }
    let exit = match run.receipt.state {
        State::Exporting => run.export().await?,
        _ => run.check_server().await?,
    };
    if exit != Exit::Success {
        return Ok(exit);
    }
    if !run.verify().await? {
        output::note(if run.receipt.state == State::Exporting { UNTOUCHED } else { BEGUN });
        return Ok(Exit::Interrupted);
    }
    run.delete(clock).await
}

/// Makes room for another run, where one has deleted nothing: its archives are made anew.
fn give_way(found: &Receipt, users: &[String], dir: &Path) -> Result<(), Failure> {
    let path = receipt::path(dir);
    match found.state {
        State::Exporting => {}
        State::Deleting => {
            return Err(Failure::failed(format!(
                "{} is of another deletion, which may have begun\n\
                 hint: give that command again to go on with it, or give another directory",
                path.display()
            )));
        }
        State::Done => {
            let said = format!("{} is of another deletion\nhint: give another directory", path.display());
            return Err(Failure::failed(said));
        }
    }
    let users: HashSet<&String> = users.iter().collect();
    for Entry { user_id, archive, .. } in found.users.iter().filter(|entry| users.contains(&entry.user_id)) {
        if let Some(archive) = archive.as_ref().filter(|archive| archive.verify(dir, user_id).is_ok()) {
            let file = dir.join(&archive.file);
            std::fs::remove_file(&file)
                .map_err(|err| Failure::failed(format!("cannot remove {}: {err}", file.display())))?;
        }
    }
    Ok(())
}

fn check_free(users: &[String], dir: &Path) -> Result<(), Failure> {
    export::find_taken(users, dir).map_or(Ok(()), |file| {
        Err(Failure::failed(format!(
            "{} is there already; nothing was deleted\nhint: give another directory",
            file.display()
        )))
    })
}

impl Run<'_> {
    /// Whether Ctrl-C came since the last time, or the beginning.
    async fn is_interrupted(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.interrupt.wait() => true,
            () = std::future::ready(()) => false,
        }
    }

    fn check_age(&self, now: Timestamp) -> Result<(), Failure> {
        let Some(started) = self.receipt.started_at() else { return Ok(()) };
        if started.plus(GOOD_FOR) >= now {
            return Ok(());
        }
        let path = receipt::path(self.dir);
        let hint = match self.receipt.state {
            State::Exporting => "nothing was deleted\nhint: give another directory, to export the users anew",
            _ => {
                "hint: `usher task list --kind delete_users` shows whether the deletion has begun; if not, give \
                 another directory, to export the users anew"
            }
        };
        Err(Failure::failed(format!(
            "the archives of {} are of {started}: what their users made since is not in them\n{hint}",
            path.display()
        )))
    }

    /// Whether the receipt is of this server and app: another one knows nothing of its export.
    async fn check_server(&self) -> Outcome {
        let Some(task_id) = self.receipt.export_task_ids.first() else { return Ok(Exit::Success) };
        let request = v1::GetTaskRequest { task_id: task_id.clone() };
        match self.agreed.client.tasks().get_task(unary(request)).await {
            Ok(_) => Ok(Exit::Success),
            Err(status) if failure::reason(&status) == "TASK_NOT_FOUND" => Err(Failure::failed(format!(
                "{} is of another server or app: its export {task_id} is not known here\n\
                 hint: give another directory",
                receipt::path(self.dir).display()
            ))),
            Err(status) => Err(self.agreed.client.failure(&status)),
        }
    }

    /// Has all archives made and fetched; something else than success where one is missing.
    async fn export(&mut self) -> Outcome {
        self.receipt.store(self.dir).map_err(|failure| failure.and("nothing was deleted"))?;
        let order = Order::of(&self.agreed.created_by_id, &self.agreed.reason, self.is_resumed);
        let report = if self.agreed.json { Report::Nothing } else { Report::Progress };
        let place = (self.dir, self.receipt.export_request_id.as_str());
        let made = order.make(&self.agreed.client, &self.agreed.user_ids, place, report).await;
        let made = made.map_err(|failure| failure.and(UNTOUCHED))?;
        self.receipt.export_task_ids = made.task_ids;
        let mut got: HashMap<String, _> =
            made.got.into_iter().map(|Got { user_id, archive }| (user_id, archive)).collect();
        for entry in &mut self.receipt.users {
            let Some(archive) = got.remove(&entry.user_id) else { continue };
            entry.reason = archive.as_ref().err().cloned();
            entry.outcome = entry.reason.is_some().then(|| "not_exported".to_owned());
            entry.archive = archive.ok();
        }
        if made.exit == Exit::Interrupted {
            self.receipt.store(self.dir)?;
            output::note(UNTOUCHED);
            return Ok(Exit::Interrupted);
        }
        let missing = self.receipt.users.iter().filter(|entry| entry.archive.is_none()).count();
        if missing == 0 {
            return Ok(Exit::Success);
        }
        self.stop()?;
        let [missing, all] = [missing, self.receipt.users.len()].map(|number| text::count(number as u64));
        Err(Failure::failed(format!(
            "nothing was deleted: {missing} of {all} users have no archive\n\
             hint: leave them out, or mend what is said above, and give the command again: it exports all users anew"
        )))
    }

    /// Notes what there is of a run that deletes nothing. The next one makes archives anew: a user may exist by then.
    fn stop(&mut self) -> Result<(), Failure> {
        if self.agreed.json {
            output::json(&self.receipt.to_json())?;
        }
        self.receipt.export_request_id = uuid::Uuid::new_v4().to_string();
        self.receipt.store(self.dir).map_err(|failure| failure.and("nothing was deleted"))
    }

    /// Reads all archives where they lie, and has the disk keep them; false where Ctrl-C came first.
    async fn verify(&mut self) -> Result<bool, Failure> {
        let (dir, users) = (self.dir.to_owned(), self.receipt.users.clone());
        let read = tokio::task::spawn_blocking(move || {
            let wrong = users.iter().filter_map(|Entry { user_id, archive, .. }| {
                let archive = archive.as_ref()?;
                let why = archive.verify(&dir, user_id).err()?;
                Some(format!("  {}: {why}", dir.join(&archive.file).display()))
            });
            (wrong.collect::<Vec<String>>(), export::sync_dir(&dir))
        });
        let (wrong, synced) = tokio::select! {
            read = read => read.map_err(|err| Failure::failed(err.to_string()))?,
            () = self.interrupt.wait() => return Ok(false),
        };
        synced?;
        if wrong.is_empty() {
            return Ok(!self.is_interrupted().await);
        }
        let mut lines = vec![match wrong.as_slice() {
            [_] => "an archive is not whole any more:".to_owned(),
            _ => format!("{} archives are not whole any more:", text::count(wrong.len() as u64)),
        }];
        lines.extend(wrong.iter().take(NAMED).cloned());
        lines.extend(wrong.len().checked_sub(NAMED + 1).map(|more| format!("  ... and {} more", more + 1)));
        lines.push(match self.receipt.state {
            State::Exporting => UNTOUCHED.to_owned(),
            _ => "hint: `usher task list --kind delete_users` shows whether the deletion has begun; if not, give \
                  another directory, to export the users anew"
                .to_owned(),
        });
        Err(Failure::failed(lines.join("\n")))
    }

    /// Deletes the users, follows that to its end, and writes the receipt.
    async fn delete(&mut self, clock: &dyn Clock) -> Outcome {
        self.receipt.state = State::Deleting;
        self.receipt.store(self.dir).map_err(|failure| failure.and("nothing was deleted"))?;
        if !self.agreed.json {
            let archives = text::plural(self.receipt.users.len() as u64, "archive");
            output::note(format_args!("{archives}: checked, on disk in {}", self.dir.display()));
        }
        let started = self.agreed.start(self.plan, &self.receipt.delete_request_id).await;
        let started = started.map_err(|failure| failure.and(BEGUN))?;
        self.receipt.forget_tasks();
        let (shown, mut first) = (if self.agreed.json { Shown::Nothing } else { Shown::Progress }, 0);
        for task in started {
            if !self.agreed.json {
                output::note(format_args!("task {}", task.task_id));
            }
            let client = &self.agreed.client;
            let watched = watch(client.clone(), task.task_id.clone(), shown).await;
            let (exit, last) = watched.map_err(|failure| failure.and(BEGUN))?;
            let items = match exit {
                Exit::Success | Exit::Partly | Exit::Cancelled => {
                    export::items(client, &task.task_id, &mut self.interrupt).await?
                }
                _ => None,
            };
            let (Some(last), Some(items)) = (last, items) else {
                output::note(BEGUN);
                return Ok(if exit == Exit::Failed { exit } else { Exit::Interrupted });
            };
            self.receipt.add(first, &last, &items);
            first += task.user_ids.len();
        }
        self.receipt.finish(clock.now());
        self.receipt.store(self.dir).map_err(|failure| failure.and(BEGUN))?;
        self.print()
    }

    fn print(&self) -> Outcome {
        if self.agreed.json {
            output::json(&self.receipt.to_json())?;
        } else {
            self.receipt.lines(self.dir, &self.plan.done()).iter().try_for_each(output::line)?;
        }
        Ok(self.receipt.exit())
    }
}
