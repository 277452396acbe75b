//! What a deletion is to do, and the stages in which it is done and undone.

use serde::{Deserialize, Serialize};

use super::violation::Violations;

/// How far something is deleted; the further, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Left alone.
    Keep,
    /// Marked, with all data kept.
    Soft,
    /// Marked, with personal data blanked.
    Pruning,
    /// Gone.
    Hard,
}

/// What becomes of the archives of a user who is erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Archives {
    /// They go with the user.
    #[default]
    Now,
    /// They stay until they expire.
    AtExpiry,
}

impl Archives {
    /// Whether they go: what is not written is as earlier versions had it.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn are_to_go(&self) -> bool {
        *self == Self::Now
    }
}

/// What to do with users and with what they made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct DeletePlan {
    pub user: Mode,
    pub messages: Mode,
    pub conversations: Mode,
    pub calls: Mode,
    pub activities: Mode,
    pub files: bool,
    #[serde(default, skip_serializing_if = "Archives::are_to_go")]
    pub archives: Archives,
}

/// A plan as a caller sent it; `None` is what was not said.
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct AskedPlan {
    pub user: Option<Mode>,
    pub messages: Option<Mode>,
    pub conversations: Option<Mode>,
    pub calls: Option<Mode>,
    pub activities: Option<Mode>,
    pub files: bool,
    pub archives: Archives,
}

impl AskedPlan {
    /// The plan this is; what goes against the rules is noted by field name.
    pub fn check(self, bad: &mut Violations) -> DeletePlan {
        let messages = self.messages.unwrap_or(Mode::Soft);
        let plan = DeletePlan {
            user: self.user.unwrap_or(Mode::Soft),
            messages,
            conversations: self.conversations.unwrap_or(Mode::Soft),
            calls: self.calls.unwrap_or(Mode::Soft),
            activities: self.activities.unwrap_or(messages),
            files: self.files,
            archives: self.archives,
        };
        if plan.user == Mode::Keep {
            bad.add("user", "must not be KEEP: to delete content alone is not what this is for");
        }
        for (field, mode) in [("conversations", plan.conversations), ("calls", plan.calls)] {
            if mode == Mode::Pruning {
                bad.add(field, "must be SOFT, HARD or KEEP: there is nothing to blank");
            }
        }
        let needed = [("messages", self.messages), ("conversations", self.conversations)];
        if plan.user == Mode::Hard && needed.iter().any(|(_, mode)| *mode != Some(Mode::Hard)) {
            bad.add(
                "user",
                "can be HARD only where `messages` and `conversations` are, too, said explicitly",
            );
            for (field, mode) in needed {
                if mode != Some(Mode::Hard) {
                    bad.add(field, "must be HARD, said explicitly, where `user` is");
                }
            }
        }
        plan
    }
}

/// What has an author and is marked, blanked or removed as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Made {
    Messages,
    Activities,
    Comments,
    Feeds,
}

/// Reactions of a user to what others made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Reacted {
    ToMessages,
    ToActivities,
}

/// What several users are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Shared {
    Channels,
    Calls,
}

/// One part of the work on a user. A stage is done in any number of batches; all of them can be done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Blank attachments of content that stays.
    Files(Made),
    /// Mark content deleted.
    Mark(Made),
    /// Mark and blank it.
    Prune(Made),
    /// Remove it with what belongs to it.
    Erase(Made),
    /// Undo the marks of one task.
    Unmark(Made),
    /// Remove reactions.
    Reactions(Reacted),
    /// Mark the targets of the item.
    MarkTargets(Shared),
    /// Remove the targets of the item.
    EraseTargets(Shared),
    /// Mark the channels that the user owns.
    MarkOwned,
    /// Undo the marks of one task for this user.
    UnmarkShared(Shared),
    /// Blank the user.
    PruneUser,
    /// End the distinct channels that it is a member of.
    EndDistinct,
    /// Remove or replace its id wherever it stands.
    Traces,
    /// Give up items of imports that wait and name it.
    Waiting,
    /// Look everywhere once more, and remove the user.
    Remove,
}

impl Stage {
    /// Whether it touches nothing but content.
    pub const fn is_of_content(self) -> bool {
        !matches!(self, Self::PruneUser | Self::EndDistinct | Self::Traces | Self::Waiting | Self::Remove)
    }

    /// Whether it removes what must not come back.
    pub const fn erases(self) -> bool {
        !matches!(
            self,
            Self::Mark(_) | Self::Unmark(_) | Self::MarkTargets(_) | Self::MarkOwned | Self::UnmarkShared(_)
        )
    }

    /// As a task tells it.
    pub const fn phase(self) -> &'static str {
        match self {
            Self::Files(made)
            | Self::Mark(made)
            | Self::Prune(made)
            | Self::Erase(made)
            | Self::Unmark(made) => match made {
                Made::Messages => "messages",
                Made::Activities => "activities",
                Made::Comments => "comments",
                Made::Feeds => "feeds",
            },
            Self::Reactions(_) => "reactions",
            Self::MarkTargets(shared) | Self::EraseTargets(shared) | Self::UnmarkShared(shared) => {
                match shared {
                    Shared::Channels => "channels",
                    Shared::Calls => "calls",
                }
            }
            Self::MarkOwned | Self::EndDistinct => "channels",
            Self::PruneUser | Self::Remove => "users",
            Self::Traces | Self::Waiting => "traces",
        }
    }
}

/// Comments before activities: those on the user's own activities then go but once.
const FEED: [Made; 3] = [Made::Comments, Made::Activities, Made::Feeds];

impl DeletePlan {
    /// What becomes of what has an author.
    pub const fn mode_of(&self, made: Made) -> Mode {
        match made {
            Made::Messages => self.messages,
            Made::Activities | Made::Comments | Made::Feeds => self.activities,
        }
    }

    /// The stages of one user, in order: what is told apart by membership before memberships end, the user
    /// last.
    pub fn stages(self) -> Vec<Stage> {
        let mut stages = Vec::new();
        for (shared, mode) in [(Shared::Channels, self.conversations), (Shared::Calls, self.calls)] {
            match mode {
                Mode::Keep => {}
                Mode::Soft | Mode::Pruning => stages.push(Stage::MarkTargets(shared)),
                Mode::Hard => stages.push(Stage::EraseTargets(shared)),
            }
        }
        self.made(self.messages, &[Made::Messages], Reacted::ToMessages, &mut stages);
        self.made(self.activities, &FEED, Reacted::ToActivities, &mut stages);
        match self.user {
            Mode::Keep | Mode::Soft => {}
            Mode::Pruning => stages.push(Stage::PruneUser),
            Mode::Hard => {
                stages.extend([Stage::EndDistinct, Stage::Traces, Stage::Waiting, Stage::Remove]);
            }
        }
        stages
    }

    fn made(self, mode: Mode, kinds: &[Made], reacted: Reacted, stages: &mut Vec<Stage>) {
        if self.files && mode < Mode::Pruning {
            let with_files = kinds.iter().filter(|made| **made != Made::Feeds);
            stages.extend(with_files.map(|made| Stage::Files(*made)));
        }
        match mode {
            Mode::Keep => {}
            Mode::Soft => stages.extend(kinds.iter().map(|made| Stage::Mark(*made))),
            Mode::Pruning => stages.extend(kinds.iter().map(|made| Stage::Prune(*made))),
            Mode::Hard => stages.extend(kinds.iter().map(|made| Stage::Erase(*made))),
        }
        if mode >= Mode::Pruning {
            stages.push(Stage::Reactions(reacted));
        }
    }

    /// Undoing what a soft deletion marked, whatever it was.
    pub fn undone() -> Vec<Stage> {
        let made = [Made::Messages, Made::Activities, Made::Comments, Made::Feeds].map(Stage::Unmark);
        let shared = [Shared::Channels, Shared::Calls].map(Stage::UnmarkShared);
        made.into_iter().chain(shared).collect()
    }
}

/// Which content a deactivation marks, or a reactivation gives back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Marks {
    pub messages: bool,
    pub channels: bool,
}

impl Marks {
    /// Whether there is anything to do.
    pub const fn any(self) -> bool {
        self.messages || self.channels
    }

    /// The stages that put them.
    pub fn put(self) -> Vec<Stage> {
        self.pick(Stage::Mark(Made::Messages), Stage::MarkOwned)
    }

    /// The stages that take them back.
    pub fn undone(self) -> Vec<Stage> {
        self.pick(Stage::Unmark(Made::Messages), Stage::UnmarkShared(Shared::Channels))
    }

    fn pick(self, messages: Stage, channels: Stage) -> Vec<Stage> {
        let picked = [self.messages.then_some(messages), self.channels.then_some(channels)];
        picked.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODES: [Option<Mode>; 5] =
        [None, Some(Mode::Keep), Some(Mode::Soft), Some(Mode::Pruning), Some(Mode::Hard)];

    fn checked(asked: AskedPlan) -> Result<DeletePlan, Vec<String>> {
        let mut bad = Violations::new();
        let plan = asked.check(&mut bad);
        bad.into_result(plan).map_err(|bad| bad.iter().map(|one| one.field.clone()).collect())
    }

    #[test]
    fn nothing_said_is_soft_all_through() {
        let plan = checked(AskedPlan::default()).unwrap();
        let soft = [plan.user, plan.messages, plan.conversations, plan.calls, plan.activities];
        assert_eq!((soft, plan.files), ([Mode::Soft; 5], false));
    }

    #[test]
    fn activities_follow_messages_unless_said() {
        let pruning = AskedPlan { messages: Some(Mode::Pruning), ..AskedPlan::default() };
        assert_eq!(checked(pruning).unwrap().activities, Mode::Pruning);
        let kept = AskedPlan { activities: Some(Mode::Keep), ..pruning };
        assert_eq!(checked(kept).unwrap().activities, Mode::Keep);
    }

    #[test]
    fn hard_needs_hard_said_and_names_what_is_not() {
        for messages in MODES {
            for conversations in MODES {
                let asked =
                    AskedPlan { user: Some(Mode::Hard), messages, conversations, ..AskedPlan::default() };
                let hard = Some(Mode::Hard);
                match checked(asked) {
                    Ok(_) => assert_eq!((messages, conversations), (hard, hard)),
                    Err(fields) => {
                        assert_eq!(fields.contains(&"messages".to_owned()), messages != hard);
                        assert_eq!(
                            fields.iter().filter(|field| *field == "conversations").count(),
                            usize::from(conversations != hard)
                                + usize::from(conversations == Some(Mode::Pruning))
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_blanked_is_not_pruned_and_users_are_not_kept() {
        let pruning = Some(Mode::Pruning);
        let asked = AskedPlan { conversations: pruning, calls: pruning, ..AskedPlan::default() };
        assert_eq!(checked(asked), Err(vec!["conversations".to_owned(), "calls".to_owned()]));
        let asked = AskedPlan { user: Some(Mode::Keep), ..AskedPlan::default() };
        assert_eq!(checked(asked), Err(vec!["user".to_owned()]));
    }

    #[test]
    fn the_user_goes_last_and_after_its_traces() {
        let hard = Some(Mode::Hard);
        let asked = AskedPlan { user: hard, messages: hard, conversations: hard, ..AskedPlan::default() };
        let stages = checked(asked).unwrap().stages();
        let last = [Stage::EndDistinct, Stage::Traces, Stage::Waiting, Stage::Remove];
        assert_eq!(stages[stages.len() - 4..], last);
    }
}
