//! `TokenService`, one file per capability.

mod mint;
mod verify;
