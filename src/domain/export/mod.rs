//! The records of one user, as `ExportUser` streams them and as archives hold them: one JSON object a line.
//!
//! What is read is said by the register of personal data; here it is written, and other people get their
//! pseudonyms.

mod chunks;
mod download;
mod envelope;
mod link;
mod names;
pub mod objects;
mod processing;
mod reader;
mod record;
mod register;
mod schema;
mod sweep;

pub use self::chunks::Chunks;
pub use self::download::Download;
pub use self::envelope::Header;
pub use self::link::Linked;
pub use self::names::Names;
pub use self::processing::{Given, Held, Processing, Withheld, processing};
pub use self::reader::{Batch, Pace, Position, Reader};
pub use self::register::own_field;
pub use self::schema::schema;
