//! `TokenService`, one file per capability.

mod mint;
mod revoke;
mod settings;
mod verify;
