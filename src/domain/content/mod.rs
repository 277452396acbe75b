//! What users made elsewhere, taken in.

pub mod import;
