//! `TokenService`, one file per capability.

mod attacks;
mod clocks;
mod messages;
mod mint;
mod revoke;
mod settings;
mod verify;
