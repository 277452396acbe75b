//! Roles, and what they permit.

/// The role of whoever was given none.
pub const DEFAULT: &str = "user";

/// Roles that exist in every app.
pub const BUILT_IN: [&str; 5] = ["user", "guest", "anonymous", "admin", "moderator"];

/// Whether `role` exists.
pub fn exists(role: &str) -> bool {
    BUILT_IN.contains(&role)
}
