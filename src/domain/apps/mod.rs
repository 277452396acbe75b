//! Apps, the tenants, and what belongs to them as such.

pub mod create;
pub mod keys;
pub mod ring;
pub mod settings;
