//! Tokens: minting them, and judging those of callers and of others.

pub mod authenticate;
mod call_roles;
mod claims;
pub(super) mod connecting;
pub mod mint;
mod opened;
mod proof;
mod refusal;
pub(super) mod renewal;
pub mod revoke;
mod standing;
mod unique_map;
pub mod verify;

pub use self::opened::Opened;
pub use self::refusal::Refusal;
pub use self::renewal::Renewals;
pub use self::standing::Standings;
