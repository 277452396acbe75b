//! What each table releases to the export of a user. What is internal is never released; every other column is
//! in a release here, or withheld with a reason. A test fails where one is in neither.

mod account;
mod calls;
mod chat;
mod feeds;

pub(super) use self::account::{
    DEVICES, SESSIONS, TASK_ITEMS, TASKS, TASKS_WITHHELD, USER_BLOCKS, USER_HISTORY, USERS,
};
pub(super) use self::calls::{CALL_MARKS, CALL_MEMBERS, CALLS};
pub(super) use self::chat::{
    CHANNEL_MARKS, CHANNEL_MEMBERS, CHANNELS, FLAGS, FUTURE_CHANNEL_BANS, MESSAGES, NAMED_USERS, REACTIONS,
};
pub(super) use self::feeds::{ACTIVITIES, COMMENTS, FEED_REACTIONS, FEEDS, FOLLOWS};
use super::release::{Field, Form, Found, List, ListOf, Purpose, Relation, Release, as_form, text};
use crate::model::content::Naming;
use crate::model::export::Basis::{Observed, Provided};

/// What a kind of records begins from: provided by its author.
const AUTHORED: Release = Release {
    record: "",
    step: "",
    relation: Relation::Author,
    basis: Provided,
    purpose: Purpose::Chat,
    found: Found::By("user_id"),
    order: &["id"],
    fields: &[],
    lists: &[],
};

/// What a kind of records begins from: observed, about the user.
const ABOUT: Release =
    Release { relation: Relation::Subject, basis: Observed, purpose: Purpose::Accountability, ..AUTHORED };

const CHANNEL_TYPE: Field = text("channel_type");
const CHANNEL_ID: Field =
    as_form("channel_id", "channel_id", Form::Channel("channel_type", "channel_member_ids"));
const MENTIONED: List = List { name: "mentioned_user_ids", of: ListOf::Named(Naming::Mention) };
