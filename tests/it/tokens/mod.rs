//! `TokenService`, one file per capability.

mod mint;
mod revoke;
mod verify;
