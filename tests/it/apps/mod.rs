//! `AppService`, one file per capability.

mod keys;
mod settings;
