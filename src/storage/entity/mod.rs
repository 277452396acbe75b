//! One file per table. Times are microseconds since the epoch, JSON is `jsonb` or text.
//!
//! Rows are read through the functions of each file, which take the app: to forget it does not compile.

pub mod app;
pub mod app_key;
pub mod call;
pub mod call_member;
pub mod import;
pub mod import_refusal;
pub mod master_key;
pub mod name_turn;
pub mod session;
pub mod task;
pub mod task_item;
pub mod user;
pub mod user_block;
pub mod user_term;
