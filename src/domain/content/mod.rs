//! What users made elsewhere, taken in.

pub mod calls;
pub mod import;
