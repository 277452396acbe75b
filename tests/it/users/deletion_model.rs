//! What a deletion leaves of the database, in plain code over all its rows: written from the documentation of
//! `DeleteUsers`, never from the statements that do it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use usher::storage::columns::{TABLES, Table, Trace};

use crate::harness::{Dump, Row, pb};
use pb::DeleteMode::{self, Hard, Keep, Pruning};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) user: DeleteMode,
    pub(super) messages: DeleteMode,
    pub(super) conversations: DeleteMode,
    pub(super) calls: DeleteMode,
    pub(super) activities: DeleteMode,
    pub(super) files: bool,
    pub(super) channel_heir: bool,
    pub(super) call_heir: bool,
}

/// A deletion that was done.
pub(super) struct Deletion<'a> {
    pub(super) plan: Plan,
    pub(super) users: &'a [String],
    pub(super) heir: &'a str,
    pub(super) task: &'a str,
}

/// Stands for any time.
pub(super) const SET: &str = "<set>";
/// Stands for nothing at all, however it is stored.
pub(super) const BLANK: &str = "<blank>";
/// Stands for a system id.
pub(super) const SYSTEM: &str = "<system>";
/// Stands for a pseudonym.
const PSEUDONYM: &str = "<pseudonym>";

/// Tables of the operation itself, and those that follow from others.
pub(super) const APART: [&str; 9] = [
    "apps",
    "app_keys",
    "master_keys",
    "tasks",
    "task_items",
    "deletion_targets",
    "deletion_heirs",
    "erased_users",
    "user_terms",
];

/// Tables that `dry_run` counts, as it names them; beside channels and calls.
const COUNTED: [(&str, &str); 13] = [
    ("messages", "messages"),
    ("reactions", "reactions"),
    ("channel_members", "channel_members"),
    ("call_members", "call_members"),
    ("activities", "activities"),
    ("comments", "comments"),
    ("feeds", "feeds"),
    ("feed_reactions", "feed_reactions"),
    ("follows", "follows"),
    ("flags", "flags"),
    ("devices", "devices"),
    ("user_blocks", "blocks"),
    ("future_channel_bans", "future_channel_bans"),
];

/// What a task says that it did, by what the rows are.
pub(super) fn counted_rows(task: &pb::Task) -> BTreeMap<String, i64> {
    match &task.result {
        Some(pb::task::Result::DeleteUsers(result)) => result.rows.clone().into_iter().collect(),
        other => panic!("no result of a deletion: {other:?}"),
    }
}

/// A row of the table, without the users it names.
fn but_names(name: &str, row: &Row) -> String {
    let Table { names, personal, .. } = table(name);
    let mut row = row.clone();
    names.iter().for_each(|(column, _)| set(&mut row, column, Value::Null));
    for column in *personal {
        if agrees(&json!(BLANK), &row[*column]) || row[*column] == BLANK {
            set(&mut row, column, BLANK);
        }
    }
    Value::from(row).to_string()
}

fn table(name: &str) -> &'static Table {
    TABLES.iter().find(|table| table.name == name).unwrap()
}

fn set(row: &mut Row, column: &str, to: impl Into<Value>) {
    row.insert(column.to_owned(), to.into());
}

impl Deletion<'_> {
    fn is_of(&self, row: &Row, column: &str) -> bool {
        self.users.iter().any(|user| row[column] == **user)
    }

    /// The database as it must be now.
    pub(super) fn applied(&self, before: &Dump) -> Dump {
        let mut dump = self.without_content(before);
        self.users(&mut dump);
        dump
    }

    /// The same, before the users themselves go.
    fn without_content(&self, before: &Dump) -> Dump {
        let mut dump = before.clone();
        let plan = self.plan;
        for (kind, mode) in [("channel", plan.conversations), ("call", plan.calls)] {
            self.shared(&mut dump, before, kind, mode);
        }
        self.made(&mut dump, "messages", "user_id", plan.messages);
        for (table, author) in
            [("comments", "user_id"), ("activities", "user_id"), ("feeds", "created_by_id")]
        {
            self.made(&mut dump, table, author, plan.activities);
        }
        for (table, mode) in [("reactions", plan.messages), ("feed_reactions", plan.activities)] {
            if matches!(mode, Pruning | Hard) {
                dump.get_mut(table).unwrap().retain(|row| !self.is_of(row, "user_id"));
            }
        }
        dump
    }

    /// What `dry_run` has to count: rows that are gone, or whose marks or data of the user changed.
    pub(super) fn counts(&self, before: &Dump) -> BTreeMap<String, i64> {
        let (marked, after) = (self.without_content(before), self.applied(before));
        let mut counts = BTreeMap::new();
        for (name, told) in COUNTED {
            let mut left: BTreeMap<String, i64> = BTreeMap::new();
            after[name].iter().for_each(|row| *left.entry(but_names(name, row)).or_default() += 1);
            before[name].iter().for_each(|row| *left.entry(but_names(name, row)).or_default() -= 1);
            counts.insert(told.to_owned(), left.into_values().filter(|more| *more < 0).sum::<i64>().abs());
        }
        for (things, marks, kind) in
            [("channels", "channel_marks", "channel"), ("calls", "call_marks", "call")]
        {
            let (type_of, id_of) = (format!("{kind}_type"), format!("{kind}_id"));
            let is_live = |dump: &Dump, thing: &Row| {
                let is_it = |row: &Row| row["type"] == thing["type"] && row["id"] == thing["id"];
                dump[things].iter().any(|row| is_it(row) && row["deleted_at"].is_null())
            };
            let marks_of = |dump: &Dump, thing: &Row| {
                let is_its = |row: &&Row| row[&type_of] == thing["type"] && row[&id_of] == thing["id"];
                dump[marks].iter().filter(is_its).count()
            };
            // Those that were marked before are kept deleted at most.
            let touched = before[things].iter().filter(|thing| {
                let dies = marks_of(before, thing) == 0 && is_live(before, thing) && !is_live(&after, thing);
                let goes =
                    !after[things].iter().any(|row| row["type"] == thing["type"] && row["id"] == thing["id"]);
                goes || dies || marks_of(&marked, thing) > marks_of(before, thing)
            });
            counts.insert(things.to_owned(), i64::try_from(touched.count()).unwrap());
        }
        counts.retain(|_, count| *count > 0);
        counts
    }

    /// Channels or calls of exactly two members, as they were before anything was removed.
    fn shared(&self, dump: &mut Dump, before: &Dump, kind: &'static str, mode: DeleteMode) {
        let [things, members, marks] = match kind {
            "channel" => ["channels", "channel_members", "channel_marks"],
            _ => ["calls", "call_members", "call_marks"],
        };
        let (type_of, id_of) = (format!("{kind}_type"), format!("{kind}_id"));
        for thing in &before[things] {
            let is_in = |row: &Row| row[&type_of] == thing["type"] && row[&id_of] == thing["id"];
            let inside: Vec<&Row> = before[members].iter().filter(|row| is_in(row)).collect();
            let deleted: Vec<&Row> =
                inside.iter().copied().filter(|row| self.is_of(row, "user_id")).collect();
            if inside.len() != 2 || deleted.is_empty() || mode == Keep {
                continue;
            }
            if mode == Hard {
                let messages: Vec<Row> =
                    dump["messages"].iter().filter(|row| kind == "channel" && is_in(row)).cloned().collect();
                for message in messages {
                    remove(dump, "messages", &message);
                }
                dump.get_mut(members).unwrap().retain(|row| !is_in(row));
                dump.get_mut(marks).unwrap().retain(|row| !is_in(row));
                dump.get_mut(things).unwrap().retain(|row| row != thing);
                continue;
            }
            for member in deleted {
                let mark = json!({"app_id": thing["app_id"], type_of.as_str(): thing["type"],
                    id_of.as_str(): thing["id"], "user_id": member["user_id"], "marked_by": self.task,
                    "marked_at": SET});
                dump.get_mut(marks).unwrap().push(mark.as_object().unwrap().clone());
            }
        }
    }

    /// What has an author.
    fn made(&self, dump: &mut Dump, name: &'static str, author: &str, mode: DeleteMode) {
        let own: Vec<Row> = dump[name].iter().filter(|row| self.is_of(row, author)).cloned().collect();
        for row in own {
            if mode == Hard {
                remove(dump, name, &row);
                continue;
            }
            if mode == Pruning {
                strip(dump, name, &row);
            }
            let stays = dump.get_mut(name).unwrap().iter_mut().find(|one| **one == row).unwrap();
            if mode != Keep && row["deleted_at"].is_null() {
                set(stays, "deleted_at", SET);
                set(stays, "deleted_by", self.task);
            }
            if mode == Pruning {
                table(name).personal.iter().for_each(|column| set(stays, column, BLANK));
            }
            if self.plan.files && row.contains_key("attachments") {
                set(stays, "attachments", BLANK);
            }
        }
    }

    /// The users, and wherever they are named.
    fn users(&self, dump: &mut Dump) {
        for row in dump.get_mut("users").unwrap().iter_mut().filter(|row| self.is_of(row, "id")) {
            set(row, "deleted_at", SET);
            set(row, "deleted_by", self.task);
            if self.plan.user == Pruning {
                set(row, "pruned", true);
                set(row, "deactivated_by_id", BLANK);
                table("users").personal.iter().for_each(|column| set(row, column, BLANK));
            }
        }
        if self.plan.user == Pruning {
            for name in ["devices", "user_blocks", "sessions"] {
                dump.get_mut(name).unwrap().retain(|row| !self.is_of(row, "user_id"));
            }
        }
        if self.plan.user != Hard {
            self.remember(dump);
            return;
        }
        self.keep_deleted(dump);
        let heir = |has: bool| if has { self.heir } else { SYSTEM };
        for table in TABLES {
            let rows = dump.get_mut(table.name).unwrap();
            for (column, trace) in table.names {
                if *trace == Trace::Listed {
                    rows.retain(|row| row["naming"] == "visibility" || !self.is_of(row, column));
                }
                let stand_in = match trace {
                    Trace::Channel => heir(self.plan.channel_heir),
                    Trace::Call => heir(self.plan.call_heir),
                    Trace::System | Trace::Author | Trace::Listed => SYSTEM,
                    Trace::Asker(_) => PSEUDONYM,
                    Trace::Itself
                    | Trace::Row
                    | Trace::History
                    | Trace::Cascade
                    | Trace::Pseudonym
                    | Trace::Archive
                    | Trace::Item => {
                        rows.retain(|row| !self.is_of(row, column));
                        continue;
                    }
                };
                rows.iter_mut()
                    .filter(|row| self.is_of(row, column))
                    .for_each(|row| set(row, column, stand_in));
            }
        }
        let is_flag_on = |row: &Row| row["entity_type"] == "user" && self.is_of(row, "entity_id");
        dump.get_mut("flags").unwrap().retain(|row| !is_flag_on(row));
    }

    /// An entry in the history of each.
    fn remember(&self, dump: &mut Dump) {
        let kind = if self.plan.user == Pruning { 4 } else { 3 };
        for user in self.users {
            let history = dump.get_mut("user_history").unwrap();
            let no = history.iter().filter(|row| row["user_id"] == **user).count() + 1;
            let entry = json!({"app_id": 1, "user_id": user, "no": no, "kind": kind, "created_at": SET, "by_id": null,
                "reason": null, "task_id": self.task});
            history.push(entry.as_object().unwrap().clone());
        }
    }

    /// Marks of users of whom nothing is left hold for ever.
    fn keep_deleted(&self, dump: &mut Dump) {
        for (things, marks, kind) in
            [("channels", "channel_marks", "channel"), ("calls", "call_marks", "call")]
        {
            let marked: BTreeSet<(String, String)> = dump[marks]
                .iter()
                .filter(|row| self.is_of(row, "user_id"))
                .map(|row| (row[&format!("{kind}_type")].to_string(), row[&format!("{kind}_id")].to_string()))
                .collect();
            for row in dump.get_mut(things).unwrap() {
                let is_marked = marked.contains(&(row["type"].to_string(), row["id"].to_string()));
                if is_marked && row["deleted_at"].is_null() {
                    set(row, "deleted_at", SET);
                }
            }
        }
    }
}

/// Removes what only makes sense with a thing that has an author: what is said of it, and who follows it. Who
/// may see it stays.
fn strip(dump: &mut Dump, name: &str, thing: &Row) {
    let kind = match name {
        "messages" => "message",
        "activities" => "activity",
        "comments" => "comment",
        _ => {
            let is_it = |row: &Row, end: &str| {
                row[&format!("{end}_group")] == thing["group_id"] && row[&format!("{end}_id")] == thing["id"]
            };
            dump.get_mut("follows").unwrap().retain(|row| !is_it(row, "source") && !is_it(row, "target"));
            return;
        }
    };
    let id = &thing["id"];
    dump.get_mut("flags").unwrap().retain(|row| !(row["entity_type"] == kind && row["entity_id"] == *id));
    dump.get_mut("named_users").unwrap().retain(|row| {
        !(row["owner_kind"] == kind && row["owner_id"] == *id) || row["naming"] == "visibility"
    });
    match kind {
        "message" => dump.get_mut("reactions").unwrap().retain(|row| row["message_id"] != *id),
        "comment" => dump.get_mut("feed_reactions").unwrap().retain(|row| row["comment_id"] != *id),
        // Those to comments are of the comments.
        _ => dump.get_mut("feed_reactions").unwrap().retain(|row| {
            row["activity_id"] != *id || row["comment_id"].as_str().is_some_and(|comment| !comment.is_empty())
        }),
    }
}

/// Removes such a thing with all that hangs on it.
fn remove(dump: &mut Dump, name: &'static str, thing: &Row) {
    strip(dump, name, thing);
    let is_list =
        |row: &Row| name == "messages" && row["owner_kind"] == "message" && row["owner_id"] == thing["id"];
    dump.get_mut("named_users").unwrap().retain(|row| !is_list(row));
    if name == "activities" {
        let comments: Vec<Row> =
            dump["comments"].iter().filter(|row| row["activity_id"] == thing["id"]).cloned().collect();
        for comment in comments {
            remove(dump, "comments", &comment);
        }
        dump.get_mut("activity_feeds").unwrap().retain(|row| row["activity_id"] != thing["id"]);
    }
    if name == "feeds" {
        let is_in = |row: &Row| row["group_id"] == thing["group_id"] && row["feed_id"] == thing["id"];
        dump.get_mut("activity_feeds").unwrap().retain(|row| !is_in(row));
    }
    dump.get_mut(name).unwrap().retain(|row| row != thing);
}

/// Whether what is stored is what the model says.
fn agrees(model: &Value, stored: &Value) -> bool {
    match model.as_str() {
        Some(SET) => !stored.is_null(),
        Some(BLANK) => {
            [json!(null), json!(""), json!([]), json!({}), json!(false), json!(0), json!("[]"), json!("{}")]
                .contains(stored)
        }
        Some(PSEUDONYM) => stored.as_str().is_some_and(|id| id.starts_with("erased-")),
        Some(SYSTEM) => stored.as_str().is_some_and(|id| id.starts_with("delete-user-")),
        _ => model == stored || (*model == json!(true) && *stored == json!(1)),
    }
}

/// Rows of `table` that the model has and the database has not, and the other way round.
pub(super) fn differences(table: &Table, model: &[Row], stored: &[Row]) -> Vec<String> {
    let moving = |column: &str| {
        ["updated_at", "version", "last_active"].contains(&column)
            || (table.name == "users" && table.internal.contains(&column))
    };
    let same = |one: &Row, other: &Row| {
        one.iter().all(|(column, value)| moving(column) || agrees(value, &other[column.as_str()]))
    };
    // What is the same to the letter, and that is nearly everything, need not be looked for.
    let mut same_text: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
    for row in stored {
        same_text.entry(Value::from(row.clone()).to_string()).or_default().push(row);
    }
    let is_other =
        |row: &&Row| same_text.get_mut(&Value::from((*row).clone()).to_string()).and_then(Vec::pop).is_none();
    let model: Vec<&Row> = model.iter().filter(is_other).collect();
    let mut left: Vec<&Row> = same_text.into_values().flatten().collect();
    let mut told = Vec::new();
    for row in model {
        if let Some(at) = left.iter().position(|other| same(row, other)) {
            left.swap_remove(at);
        } else {
            told.push(format!("{}: not there {}", table.name, Value::from(row.clone())));
        }
    }
    told.extend(
        left.iter().map(|row| format!("{}: not foreseen {}", table.name, Value::from((*row).clone()))),
    );
    told
}
