//! How the export of a user releases the rows of a table: which rows, which columns, and as what.

use crate::model::content::Naming;
use crate::model::export::Basis;

/// Records that a table gives to the export of a user.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    /// The type of the record: as in the import format, where that has the kind.
    pub record: &'static str,
    /// Tells releases of one table with the same record apart. Checkpoints hold it: it never changes.
    pub step: &'static str,
    /// What the user is to the row.
    pub relation: Relation,
    /// Where the data comes from.
    pub basis: Basis,
    /// What the data is processed for.
    pub purpose: Purpose,
    /// Which rows are meant.
    pub found: Found,
    /// The columns that tell these rows apart: the order in which they are read.
    pub order: &'static [&'static str],
    /// What of a row is released.
    pub fields: &'static [Field],
    /// Lists of the row, which other tables hold.
    pub lists: &'static [List],
}

/// What a user is to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The user wrote it.
    Author,
    /// It is about the user.
    Subject,
    /// The user made the channel, call or feed.
    Owner,
    /// Another user did something to this one: who did it is not released.
    Counterparty,
    /// Another user's message that reached this one: released only with `include_received`.
    Recipient,
}

impl Relation {
    /// As the register of processing calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Author => "author",
            Self::Subject => "subject",
            Self::Owner => "owner",
            Self::Counterparty => "counterparty",
            Self::Recipient => "recipient",
        }
    }
}

/// What data is processed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum Purpose {
    Account,
    Chat,
    Calls,
    Feeds,
    Notifications,
    Moderation,
    Accountability,
}

impl Purpose {
    /// As the register of processing and the archive say it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "to keep the user's account and profile",
            Self::Chat => "to carry chat between users",
            Self::Calls => "to carry calls between users",
            Self::Feeds => "to show feeds, activities and comments",
            Self::Notifications => "to deliver notifications to the user's devices",
            Self::Moderation => "to keep users safe from each other",
            Self::Accountability => "to account for what was done to the user's account",
        }
    }
}

/// How the rows of a user are found.
#[derive(Debug, Clone, Copy)]
pub enum Found {
    /// The column names the user.
    By(&'static str),
    /// The same, where a condition is met too.
    ByWhere(&'static str, &'static str),
    /// Follows that begin at a feed of the user's.
    FromOwnFeed,
    /// Follows of the user's feeds that begin at a feed of another user.
    ToOwnFeed,
    /// Messages of the other member of a channel of two.
    ReceivedDirectly,
    /// Other messages that only the user and a few others can see.
    ReceivedRestricted,
    /// Reactions of others to rows of this record, counted by type; read together with those rows.
    CountedOn(&'static str),
    /// Flags of others on rows of this record; read together with those rows.
    FlagsOn(&'static str),
}

impl Found {
    /// The record whose rows are read first, where this is read together with them.
    pub const fn with(self) -> Option<&'static str> {
        match self {
            Self::CountedOn(record) | Self::FlagsOn(record) => Some(record),
            _ => None,
        }
    }
}

/// A column, and the field of a record that it becomes.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// In the record.
    pub name: &'static str,
    /// In the table; empty where the field is of another row, or the same in all.
    pub column: &'static str,
    /// What is selected, where that is not the column itself.
    pub sql: &'static str,
    /// How it is written.
    pub form: Form,
}

/// How a value is written in a record. Null is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As stored.
    Text,
    /// RFC 3339.
    Time,
    /// True or false.
    Flag,
    /// A number.
    Number,
    /// Any JSON.
    Json,
    /// Settings of notifications, whose time is RFC 3339 outside.
    Push,
    /// A user: itself, or as references are written.
    Person,
    /// A user that the record does not name.
    Unnamed,
    /// The same in every record.
    Always(&'static str),
    /// A part of another field, not written by itself.
    Part,
    /// The id of a channel; and its members, where it is distinct, as the field named second.
    Channel(&'static str, &'static str),
    /// The id of a call of the type in the column named.
    Call(&'static str),
    /// The id of a feed of the group in the column named.
    Feed(&'static str),
    /// Group and id of a feed of the group in the column named.
    Fid(&'static str),
    /// Type and id of a channel, in one.
    Cid,
    /// The id of what the column named says the type of: it may be a user.
    Entity(&'static str),
    /// The type of a message: `deleted` where it is.
    MessageType,
    /// A code of `model::history::HistoryKind`.
    HistoryKind,
    /// A code of `model::task::Outcome`.
    Outcome,
}

/// A list of a row.
#[derive(Debug, Clone, Copy)]
pub struct List {
    /// In the record.
    pub name: &'static str,
    /// What it holds.
    pub of: ListOf,
}

/// What a list holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListOf {
    /// Users that the row names.
    Named(Naming),
    /// The feeds that an activity is in.
    Feeds,
    /// Users that the user has blocked.
    Blocked,
}

const fn field(name: &'static str, column: &'static str, form: Form) -> Field {
    Field { name, column, sql: "", form }
}

/// Text under the column's own name.
pub(in crate::storage::columns) const fn text(column: &'static str) -> Field {
    field(column, column, Form::Text)
}

/// Text under another name.
pub(in crate::storage::columns) const fn text_as(name: &'static str, column: &'static str) -> Field {
    field(name, column, Form::Text)
}

/// A time under the column's own name.
pub(in crate::storage::columns) const fn time(column: &'static str) -> Field {
    field(column, column, Form::Time)
}

/// True or false under the column's own name.
pub(in crate::storage::columns) const fn flag(column: &'static str) -> Field {
    field(column, column, Form::Flag)
}

/// A number under the column's own name.
pub(in crate::storage::columns) const fn number(column: &'static str) -> Field {
    field(column, column, Form::Number)
}

/// JSON under the column's own name.
pub(in crate::storage::columns) const fn json(column: &'static str) -> Field {
    field(column, column, Form::Json)
}

/// A user under another name.
pub(in crate::storage::columns) const fn person(name: &'static str, column: &'static str) -> Field {
    field(name, column, Form::Person)
}

/// Any form under another name.
pub(in crate::storage::columns) const fn as_form(
    name: &'static str,
    column: &'static str,
    form: Form,
) -> Field {
    field(name, column, form)
}

/// A part of another field.
pub(in crate::storage::columns) const fn part(column: &'static str) -> Field {
    field("", column, Form::Part)
}

/// The same in every record.
pub(in crate::storage::columns) const fn always(name: &'static str, value: &'static str) -> Field {
    field(name, "", Form::Always(value))
}

/// What an expression selects. `column` is what of it is in the register.
pub(in crate::storage::columns) const fn selected(
    name: &'static str,
    column: &'static str,
    sql: &'static str,
    form: Form,
) -> Field {
    Field { name, column, sql, form }
}
