//! How a watched task is shown: a bar on a terminal, lines in a pipe, a JSON object per message on request.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::failure::Failure;
use crate::cli::meter::Meter;
use crate::cli::{json, output, text};
use crate::proto::v1;

/// Lines in a pipe come at most this often; the last one always comes.
const PAUSE: Duration = Duration::from_millis(200);

/// Shows a task as it changes.
pub(super) struct View {
    style: Style,
    meter: Meter,
}

enum Style {
    Bar(ProgressBar),
    Lines { last: Option<Instant>, held: Option<Box<v1::Task>> },
    Json,
    Silent,
}

impl View {
    pub(super) fn new(json: bool) -> Self {
        let style = if json {
            Style::Json
        } else if std::io::stderr().is_terminal() && std::io::stdout().is_terminal() {
            Style::Bar(bar())
        } else {
            Style::Lines { last: None, held: None }
        };
        Self { style, meter: Meter::default() }
    }

    /// Shows nothing.
    pub(super) fn silent() -> Self {
        Self { style: Style::Silent, meter: Meter::default() }
    }

    /// Shows what a message told.
    pub(super) fn show(&mut self, task: v1::Task, now: Instant) -> Result<(), Failure> {
        let done = moved(&task);
        self.meter.note(now, done);
        let rate = self.meter.per_second(now, done);
        match &mut self.style {
            Style::Silent => Ok(()),
            Style::Json => output::json(&json::task(&task)),
            Style::Bar(bar) => {
                bar.set_length(u64::try_from(task.users_total).unwrap_or(0));
                bar.set_position(done);
                bar.set_prefix(json::state(task.state()));
                bar.set_message(pace(&task, rate));
                Ok(())
            }
            Style::Lines { last, held } => {
                if last.is_some_and(|at| now.duration_since(at) < PAUSE) {
                    *held = Some(Box::new(task));
                    return Ok(());
                }
                (*last, *held) = (Some(now), None);
                output::line(line(&task, rate))
            }
        }
    }

    /// When a line that was held back may be shown.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.style {
            Style::Lines { last: Some(last), held: Some(_) } => Some(*last + PAUSE),
            _ => None,
        }
    }

    /// Shows what was held back.
    pub(super) fn flush(&mut self, now: Instant) -> Result<(), Failure> {
        let Style::Lines { last, held } = &mut self.style else { return Ok(()) };
        let Some(task) = held.take() else { return Ok(()) };
        *last = Some(now);
        output::line(line(&task, self.meter.per_second(now, moved(&task))))
    }

    /// Tells something beside the task.
    pub(super) fn note(&self, note: &str) {
        match &self.style {
            Style::Bar(bar) => bar.suspend(|| output::note(note)),
            _ => output::note(note),
        }
    }

    /// Ends the bar, leaving a line that tells how it stands.
    pub(super) fn end(&mut self, task: Option<&v1::Task>, now: Instant) -> Result<(), Failure> {
        self.flush(now)?;
        let Style::Bar(bar) = &self.style else { return Ok(()) };
        bar.finish_and_clear();
        task.map_or(Ok(()), |task| output::line(line(task, None)))
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    // The template is a constant, and a test draws it; the default is a bar as well.
    if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
        bar.set_style(style);
    }
    bar
}

const EXPORT: &str = "export_users";
const TEMPLATE: &str = "{prefix:>9} {wide_bar} {msg}";

/// What a line in a pipe tells: `running: 120 of 500 users, 3 failed, 60/s`.
fn line(task: &v1::Task, rate: Option<f64>) -> String {
    format!("{}: {}", json::state(task.state()), pace(task, rate))
}

/// What is counted to see how fast a task is: one user can have much to export.
fn moved(task: &v1::Task) -> u64 {
    let count = if task.kind == EXPORT { task.rows_done } else { task.users_done };
    u64::try_from(count).unwrap_or(0)
}

fn pace(task: &v1::Task, rate: Option<f64>) -> String {
    let (done, total) = (text::count_i64(task.users_done), text::count_i64(task.users_total));
    let (running, over) = (task.state() == v1::TaskState::Running, super::watch::is_over(task.state()));
    let rows = if task.kind == EXPORT { "records" } else { "rows" };
    let parts = [
        Some(format!("{done} of {total} users")),
        // A user with much content takes long, and this is what moves meanwhile.
        (task.rows_done > task.users_done).then(|| format!("{} {rows}", text::count_i64(task.rows_done))),
        (running && task.phase != "users" && !task.phase.is_empty()).then(|| task.phase.clone()),
        (task.users_failed > 0).then(|| format!("{} failed", text::count_i64(task.users_failed))),
        (task.users_unchanged > 0).then(|| format!("{} unchanged", text::count_i64(task.users_unchanged))),
        (task.cancel_requested && !over).then(|| "cancel requested".to_owned()),
        rate.filter(|_| running).map(text::rate),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_there_is_to_tell() {
        let mut task =
            v1::Task { users_total: 5_000, users_done: 1_200, users_failed: 3, ..Default::default() };
        task.set_state(v1::TaskState::Running);
        assert_eq!(line(&task, Some(60.4)), "running: 1,200 of 5,000 users, 3 failed, 60/s");
        (task.phase, task.rows_done) = ("messages".to_owned(), 45_000);
        assert_eq!(line(&task, None), "running: 1,200 of 5,000 users, 45,000 rows, messages, 3 failed");
        task.cancel_requested = true;
        task.rows_done = 0;
        task.set_state(v1::TaskState::Cancelled);
        assert_eq!(line(&task, Some(60.4)), "cancelled: 1,200 of 5,000 users, 3 failed");
    }

    #[test]
    fn lines_come_five_times_a_second_and_the_newest_is_kept() {
        let start = Instant::now();
        let mut view =
            View { style: Style::Lines { last: Some(start), held: None }, meter: Meter::default() };
        for (after, done) in [(50, 2), (100, 3)] {
            let task = v1::Task { users_done: done, ..Default::default() };
            view.show(task, start + Duration::from_millis(after)).unwrap();
        }
        assert_eq!(view.due(), Some(start + PAUSE));
        let Style::Lines { held: Some(held), .. } = &view.style else { panic!("the newest is held") };
        assert_eq!(held.users_done, 3);
    }

    #[test]
    fn the_template_of_the_bar_is_sound() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
