//! Tokens: minting them, and judging those of callers and of others.

pub mod authenticate;
mod claims;
pub mod mint;
pub mod verify;
