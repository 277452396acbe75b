//! `TaskService` and the engine beneath it, one file per capability.

mod clocks;
mod control;
mod crash;
pub(crate) mod export;
mod export_crash;
mod failure;
mod fencing;
mod items;
mod object_store;
mod read;
mod replicas;
mod retention;
mod watch;
