//! How much of everything a user has.

/// Counts, of what is deleted softly too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented at the proto message")]
pub struct Footprint {
    pub channels: i64,
    pub channel_memberships: i64,
    pub conversations: i64,
    pub messages: i64,
    pub reactions: i64,
    pub calls: i64,
    pub call_memberships: i64,
    pub feeds: i64,
    pub activities: i64,
    pub comments: i64,
    pub feed_reactions: i64,
    pub follows: i64,
    pub flags: i64,
    pub flags_received: i64,
    pub devices: i64,
    pub future_channel_bans: i64,
    pub mentions: i64,
    pub blocks: i64,
}
