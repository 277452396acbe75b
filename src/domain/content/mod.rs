//! What users make in chat, video and feeds: taking it in, and reading it.

pub mod calls;
pub mod channels;
pub mod distinct;
pub mod footprint;
pub mod import;
pub mod messages;
