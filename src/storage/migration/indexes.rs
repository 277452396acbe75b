//! Indexes that came later than their tables, which may be large by then: built after the migrations, without
//! keeping anybody from writing where the database can.

/// Its name, and what it is an index of.
pub(in crate::storage) type Index = (&'static str, &'static str);

/// 1 where the terms of a user are missing or old, else 0, said with two numbers that its mark is compared with; see
/// `terms::write`.
macro_rules! missing {
    ($mark:literal, $earlier:literal) => {
        concat!(
            "CASE WHEN terms_version = ",
            $mark,
            " THEN 0 WHEN terms_version = ",
            $earlier,
            " AND octet_length(coalesce(name, '')) = length(coalesce(name, ''))",
            " AND octet_length(coalesce(custom ->> 'username', '')) = length(coalesce(custom ->> 'username', ''))",
            " THEN 0 ELSE 1 END"
        )
    };
}
pub(in crate::storage) use missing;

/// All of them.
pub(in crate::storage) const ALL: [Index; 11] = [
    // Users whose terms are to be written, which is nobody most of the time.
    ("users_without_words", concat!("users (app_id, id) WHERE ", missing!("-version", "version"), " = 1")),
    ("users_named", "users (app_id, name_key) WHERE name_key IS NOT NULL"),
    ("users_guests", "users (app_id, id) WHERE role = 'guest' AND deleted_at IS NULL"),
    ("users_deleted", "users (app_id, deleted_at) WHERE deleted_at IS NOT NULL"),
    ("users_deactivators", "users (app_id, deactivated_by_id) WHERE deactivated_by_id IS NOT NULL"),
    ("user_blocks_blocked", "user_blocks (app_id, blocked_user_id)"),
    ("calls_owner", "calls (app_id, created_by_id) WHERE created_by_id IS NOT NULL"),
    ("call_members_role", "call_members (app_id, role) WHERE role <> 'call_member'"),
    // By user, whether they are pending or not.
    ("task_items_user", "task_items (user_id, app_id)"),
    ("tasks_creator", "tasks (app_id, created_by_id)"),
    // What is done is left out, which is nearly all.
    ("tasks_due", "tasks (due_at) WHERE due_at IS NOT NULL AND state NOT IN ('completed', 'cancelled')"),
];
