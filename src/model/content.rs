//! Content in general: what kinds of it there are, what names one, and what one refers to.

use serde_json::Value;

use super::call::Cid;
use super::clock::Timestamp;
use super::id::parse_word;
use super::reason::Reason;

/// A kind of thing that is imported, in the order in which they can be written: none refers to a later
/// one, but for a distinct channel and its members, who come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    User,
    Channel,
    Call,
    Feed,
    Message,
    Activity,
    Comment,
    ChannelMember,
    CallMember,
    Reaction,
    FeedReaction,
    Follow,
    Flag,
    Device,
    FutureChannelBan,
}

impl Kind {
    /// All of them, in order.
    pub const ALL: [Self; 15] = [
        Self::User,
        Self::Channel,
        Self::Call,
        Self::Feed,
        Self::Message,
        Self::Activity,
        Self::Comment,
        Self::ChannelMember,
        Self::CallMember,
        Self::Reaction,
        Self::FeedReaction,
        Self::Follow,
        Self::Flag,
        Self::Device,
        Self::FutureChannelBan,
    ];

    /// As people and stored keys call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Channel => "channel",
            Self::Call => "call",
            Self::Feed => "feed",
            Self::Message => "message",
            Self::Activity => "activity",
            Self::Comment => "comment",
            Self::ChannelMember => "member",
            Self::CallMember => "call_member",
            Self::Reaction => "reaction",
            Self::FeedReaction => "feed_reaction",
            Self::Follow => "follow",
            Self::Flag => "flag",
            Self::Device => "device",
            Self::FutureChannelBan => "future_channel_ban",
        }
    }

    /// Why something that refers to one that does not exist is refused.
    pub const fn missing(self) -> Reason {
        match self {
            Self::User => Reason::UserNotFound,
            Self::Channel => Reason::ChannelNotFound,
            Self::Call => Reason::CallNotFound,
            Self::Feed => Reason::FeedNotFound,
            Self::Message => Reason::MessageNotFound,
            Self::Activity => Reason::ActivityNotFound,
            Self::Comment => Reason::CommentNotFound,
            // Nothing refers to the others.
            _ => Reason::MemberNotFound,
        }
    }

    /// What an import never changes of a row that is stored: the container it is in, and who made it. The
    /// owner of a channel or call may change.
    pub const fn fixed(self) -> &'static [Fixed] {
        match self {
            Self::Message => {
                const {
                    &[
                        Fixed::container("channel_id", "channel_id"),
                        Fixed::container("channel_type", "channel_type"),
                        Fixed::author("user_id", "user"),
                    ]
                }
            }
            Self::Activity => const { &[Fixed::author("user_id", "user_id")] },
            Self::Comment => {
                const { &[Fixed::container("activity_id", "object_id"), Fixed::author("user_id", "user_id")] }
            }
            Self::Feed => const { &[Fixed::author("created_by_id", "created_by_id")] },
            _ => &[],
        }
    }

    /// Whether it can be marked deleted and stay.
    pub const fn is_deletable(self) -> bool {
        matches!(self, Self::Channel | Self::Feed | Self::Message | Self::Activity | Self::Comment)
    }
}

/// A column that stays as it is once a row is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// As stored.
    pub column: &'static str,
    /// Where an item says it.
    pub field: &'static str,
    /// What is wrong where an item says otherwise.
    pub rule: &'static str,
}

impl Fixed {
    const fn container(column: &'static str, field: &'static str) -> Self {
        Self { column, field, rule: "must stay: what is stored under this id is in another place" }
    }

    const fn author(column: &'static str, field: &'static str) -> Self {
        Self { column, field, rule: "must stay: what is stored under this id is by another user" }
    }
}

/// What names one thing within its app: the parts of its key, none with control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Key {
    pub kind: Kind,
    pub parts: Vec<String>,
}

impl Key {
    /// A key of these parts.
    pub fn new<const N: usize>(kind: Kind, parts: [&str; N]) -> Self {
        Self { kind, parts: parts.map(str::to_owned).to_vec() }
    }

    /// One text for it, different for different keys.
    pub fn text(&self) -> String {
        format!("{}\n{}", self.kind.as_str(), self.parts.join("\n"))
    }
}

/// Something else that must exist for an item to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// What must exist.
    pub key: Key,
    /// Path within the item that names it.
    pub field: String,
}

/// The value of a column.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Cell {
    Text(Option<String>),
    Flag(bool),
    /// Microseconds since the epoch.
    Time(Option<Timestamp>),
    Json(Value),
}

/// A row of content to be stored, beside its key and times. Rows of a kind have the same columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What names it.
    pub key: Key,
    /// Columns that hold no part of the key.
    pub columns: Vec<(&'static str, Cell)>,
    /// Where the source does not say, what is stored, or now.
    pub created_at: Option<Timestamp>,
    /// The source has it as deleted.
    pub deleted_at: Option<Timestamp>,
    /// What it refers to.
    pub needs: Vec<Need>,
    /// Users it names in lists, in order and each once, with what they are named for.
    pub named: Vec<(Naming, String)>,
    /// Feeds an activity stands in, as group and id, in order.
    pub feeds: Vec<(String, String)>,
}

impl Row {
    /// The text of a column, where it has one.
    pub fn text(&self, column: &str) -> Option<&str> {
        self.columns.iter().find(|(name, _)| *name == column).and_then(|(_, cell)| match cell {
            Cell::Text(text) => text.as_deref(),
            _ => None,
        })
    }
}

/// What content names users for, beside its author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Naming {
    /// They are addressed.
    Mention,
    /// Nobody else sees it.
    Visibility,
    /// They are kept out.
    Ban,
}

impl Naming {
    /// Those whose lists mean everybody when they are empty: the last name must not be taken out of one.
    pub const NARROWING: Self = Self::Visibility;

    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mention => "mention",
            Self::Visibility => "visibility",
            Self::Ban => "ban",
        }
    }
}

/// Devices that a user may have; the oldest go first.
pub const MAX_DEVICES: i64 = 25;

/// What every distinct channel's id begins with, and no other's.
pub const DISTINCT: &str = "!members-";

/// What the id begins with that a distinct channel goes on under when one of its members is erased.
pub const ENDED: &str = "!erased-";

/// Type and id of the channel that is named `type:id`, those that are or were distinct included.
pub fn parse_channel_cid(cid: &str) -> Result<Cid, &'static str> {
    let rule = "must be type:id, as a channel tells its cid";
    let (kind, id) = cid.split_once(':').ok_or(rule)?;
    parse_word(kind.to_owned()).map_err(|_| rule)?;
    let word = id.strip_prefix(DISTINCT).or_else(|| id.strip_prefix(ENDED)).unwrap_or(id);
    parse_word(word.to_owned()).map_err(|_| rule)?;
    Ok(Cid { kind: kind.to_owned(), id: id.to_owned() })
}
