//! JSON objects in which a name stands once.
//!
//! Parsers differ on which of two members of one name counts (RFC 8259, 4), and a token must not say one
//! thing to us and another to somebody else (RFC 7519, 4).

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// An object, and the first name that stands in it twice, at its top.
#[derive(Debug)]
pub(super) struct UniqueMap {
    pub(super) members: Map<String, Value>,
    /// Where there is one, `members` means nothing.
    pub(super) twice: Option<String>,
}

impl<'de> Deserialize<'de> for UniqueMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = UniqueMap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<UniqueMap, A::Error> {
        let (mut members, mut twice) = (Map::new(), None);
        while let Some((name, value)) = entries.next_entry::<String, Value>()? {
            if members.contains_key(&name) {
                twice.get_or_insert(name);
            } else {
                members.insert(name, value);
            }
        }
        Ok(UniqueMap { members, twice })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_stands_twice_is_found_however_it_is_written() {
        let twice = |json| serde_json::from_str::<UniqueMap>(json).unwrap().twice;
        for json in [r#"{"a":1,"a":1}"#, r#"{"a":1,"b":2,"\u0061":3}"#, r#"{"a":1,"a":2,"b":1,"b":2}"#] {
            assert_eq!(twice(json).as_deref(), Some("a"), "{json}");
        }
        assert_eq!(twice(r#"{"a":{"x":1},"b":{"x":1}}"#), None);
    }
}
