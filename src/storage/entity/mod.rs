//! One file per table. Times are microseconds since the epoch, JSON is `jsonb` or text.
//!
//! Rows are read through the functions of each file, which take the app: to forget it does not compile.

pub mod app;
pub mod app_key;
pub mod call;
pub mod call_member;
pub mod channel;
pub mod channel_member;
pub mod import;
pub mod import_refusal;
pub mod import_waiting;
pub mod master_key;
pub mod message;
pub mod name_turn;
pub mod named_user;
pub mod session;
pub mod task;
pub mod task_item;
pub mod user;
pub mod user_block;
pub mod user_term;
