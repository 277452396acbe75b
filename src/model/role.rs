//! Roles, and what they permit.

/// The role of whoever was given none.
pub const DEFAULT: &str = "user";
/// The role of callers who are no user.
pub const ANONYMOUS: &str = "anonymous";

/// The role of users who are there for a time.
pub const GUEST: &str = "guest";

/// Roles that exist in every app.
pub const BUILT_IN: [&str; 5] = ["user", GUEST, ANONYMOUS, "admin", "moderator"];

/// Roles that a member of a call can have in every app. Further ones are the app's own: until roles are managed,
/// those that members of its calls have.
pub const OF_MEMBERS: [&str; 8] = [
    "call_member",
    "channel_member",
    "channel_moderator",
    "user",
    "moderator",
    "admin",
    "global_moderator",
    "global_admin",
];

/// A user may read itself.
pub const READ_USER_OWNER: &str = "read-user-owner";
/// A user may change itself.
pub const UPDATE_USER_OWNER: &str = "update-user-owner";

/// Whether `role` exists.
pub fn exists(role: &str) -> bool {
    BUILT_IN.contains(&role)
}

/// Whether no member of a call can have `role`, whatever roles an app has.
pub fn is_never_of_members(role: &str) -> bool {
    [GUEST, ANONYMOUS].contains(&role)
}

/// What `role` permits in the app as a whole. Everything else is refused to users.
pub fn permissions(role: &str) -> &'static [&'static str] {
    match role {
        "user" | "guest" | "admin" | "moderator" => &[READ_USER_OWNER, UPDATE_USER_OWNER],
        _ => &[],
    }
}
