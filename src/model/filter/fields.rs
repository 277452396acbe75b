//! What can be filtered on, and how: the one table. A new field is a row here, a variant of [`BuiltIn`],
//! its value in `evaluate` and its column in `storage::filter`.
//!
//! Where a name is no built-in field it is a path into `custom`; `custom.` before it makes it one in any
//! case. Built-in fields that cannot be filtered on are refused by name, never taken for custom ones.
//!
//! Teams are filtered as MongoDB filters arrays: `"a"` matches whoever is in team a, `$in` whoever is in
//! any of them, `["a", "b"]` whoever is in exactly these, null (or `[]`) whoever is in none.

use std::fmt;

use crate::model::json::Object;

/// What a test looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// A field of every user.
    BuiltIn(BuiltIn),
    /// A path into free data.
    Custom(CustomPath),
}

/// Built-in fields that can be filtered on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the fields")]
pub enum BuiltIn {
    Id,
    Role,
    Name,
    Language,
    Banned,
    ShadowBanned,
    Invisible,
    CreatedAt,
    UpdatedAt,
    LastActive,
    DeactivatedAt,
    Teams,
}

/// What values a field takes in a filter; null besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text; empty is a value like any other.
    Text,
    /// Text; empty and absent are the same.
    OptionalText,
    /// True or false.
    Flag,
    /// RFC 3339.
    Time,
    /// Names of teams.
    Teams,
    /// Any scalar.
    Free,
}

struct Row {
    name: &'static str,
    field: Place,
    kind: Kind,
    operators: &'static str,
}

enum Place {
    BuiltIn(BuiltIn),
    Custom,
}

const fn row(name: &'static str, field: BuiltIn, kind: Kind, operators: &'static str) -> Row {
    Row { name, field: Place::BuiltIn(field), kind, operators }
}

const TABLE: [Row; 13] = [
    row("id", BuiltIn::Id, Kind::Text, "$eq $ne $in $nin $gt $gte $lt $lte $exists $autocomplete"),
    row("role", BuiltIn::Role, Kind::Text, "$eq $ne $in $nin $gt $gte $lt $lte"),
    row("name", BuiltIn::Name, Kind::OptionalText, "$eq $in $autocomplete $exists"),
    row("language", BuiltIn::Language, Kind::OptionalText, "$eq $in"),
    row("banned", BuiltIn::Banned, Kind::Flag, "$eq $ne"),
    row("shadow_banned", BuiltIn::ShadowBanned, Kind::Flag, "$eq $ne"),
    row("invisible", BuiltIn::Invisible, Kind::Flag, "$eq $ne"),
    row("created_at", BuiltIn::CreatedAt, Kind::Time, "$eq $in $gt $gte $lt $lte $exists"),
    row("updated_at", BuiltIn::UpdatedAt, Kind::Time, "$eq $in $gt $gte $lt $lte $exists"),
    row("last_active", BuiltIn::LastActive, Kind::Time, "$eq $in $gt $gte $lt $lte $exists"),
    row("deactivated_at", BuiltIn::DeactivatedAt, Kind::Time, "$eq $in $gt $gte $lt $lte $exists"),
    row("teams", BuiltIn::Teams, Kind::Teams, "$eq $in $contains"),
    Row {
        name: USERNAME,
        field: Place::Custom,
        kind: Kind::Free,
        operators: "$eq $in $autocomplete $exists",
    },
];
const CUSTOM: &str = "$eq $ne $in $nin $gt $gte $lt $lte $exists $contains";
/// `custom.username` is the same field by the name of free data.
const CUSTOM_USERNAME: &str = "$eq $ne $in $nin $gt $gte $lt $lte $exists $contains $autocomplete";
const USERNAME: &str = "username";

/// Fields of a user that are not in the table (yet).
const CLOSED: [&str; 12] = [
    "image",
    "teams_role",
    "privacy_settings",
    "push_notifications",
    "online",
    "deleted_at",
    "ban_expires",
    "blocked_user_ids",
    "devices",
    "revoke_tokens_issued_before",
    "avg_response_time",
    "version",
];

/// A field with the rules for it.
pub(super) struct Resolved {
    pub(super) field: Field,
    pub(super) kind: Kind,
    /// The operators it takes, between spaces.
    pub(super) operators: &'static str,
}

impl Resolved {
    pub(super) fn takes(&self, operator: &str) -> bool {
        self.operators.split(' ').any(|known| known == operator)
    }
}

/// The field that `name` means in a filter.
pub(super) fn resolve(name: &str) -> Result<Resolved, &'static str> {
    let Some(row) = TABLE.iter().find(|row| row.name == name) else {
        let path = CustomPath::parse(name)?;
        let operators = if path.is_username() { CUSTOM_USERNAME } else { CUSTOM };
        return Ok(Resolved { field: Field::Custom(path), kind: Kind::Free, operators });
    };
    let field = match row.field {
        Place::BuiltIn(field) => Field::BuiltIn(field),
        Place::Custom => Field::Custom(CustomPath(vec![row.name.to_owned()])),
    };
    Ok(Resolved { field, kind: row.kind, operators: row.operators })
}

fn is_built_in(name: &str) -> bool {
    let in_table = |row: &Row| matches!(row.field, Place::BuiltIn(_)) && row.name == name;
    TABLE.iter().any(in_table) || CLOSED.contains(&name)
}

/// Where in a user's free data a value lies: keys of objects, one in the other. Never into arrays: `0` is a
/// key like any other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CustomPath(Vec<String>);

impl CustomPath {
    const MAX_SEGMENTS: usize = 16;
    const MAX_BYTES: usize = 255;

    /// Reads `custom.PATH`, or `PATH` where no built-in field has that name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "custom" {
            return Err("names no path: write custom.PATH");
        }
        let path = match text.strip_prefix("custom.") {
            Some(path) => path,
            None if is_built_in(text) => return Err("is a built-in field that cannot be used here"),
            None if text.split('.').next().is_some_and(is_built_in) => {
                return Err("leads into a built-in field: for free data of that name write custom.PATH");
            }
            None => text,
        };
        Self::checked(path)
    }

    fn checked(path: &str) -> Result<Self, &'static str> {
        if path.len() > Self::MAX_BYTES {
            return Err("must be a path of at most 255 bytes");
        }
        // Neither database could be told of these safely in the same way.
        if path.chars().any(|char| char.is_control() || matches!(char, '"' | '\\')) {
            return Err("must be a path without control characters, quotes and backslashes");
        }
        let segments: Vec<String> = path.split('.').map(str::to_owned).collect();
        if segments.len() > Self::MAX_SEGMENTS {
            return Err("must be a path of at most 16 parts");
        }
        if segments.iter().any(|segment| segment.is_empty() || segment.starts_with('$')) {
            return Err("must be a path of parts that are not empty and do not begin with $");
        }
        Ok(Self(segments))
    }

    /// Whether this is where users' second names are, which `$autocomplete` knows.
    pub fn is_username(&self) -> bool {
        self.0 == [USERNAME]
    }

    /// The keys, outermost first; at least one.
    pub fn segments(&self) -> &[String] {
        &self.0
    }

    /// The value there, if any.
    pub fn find<'a>(&self, custom: &'a Object) -> Option<&'a serde_json::Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(custom.get(first)?, |found, key| found.as_object()?.get(key))
    }
}

impl fmt::Display for CustomPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "custom.{}", self.0.join("."))
    }
}
