//! `TokenService`, one file per capability.

mod attacks;
mod mint;
mod revoke;
mod settings;
mod verify;
