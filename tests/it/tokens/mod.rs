//! `TokenService`, one file per capability.

mod attacks;
mod call_roles;
mod clocks;
mod messages;
mod mint;
mod revoke;
mod settings;
mod streams;
mod verify;
