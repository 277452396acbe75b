//! Composition.
pub mod config;
