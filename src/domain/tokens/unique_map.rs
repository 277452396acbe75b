//! JSON objects in which a name stands once.
//!
//! Parsers differ on which of two members of one name counts (RFC 8259, 4), and a token must not say one
//! thing to us and another to somebody else (RFC 7519, 4).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

/// An object without a name that stands twice, at its top.
#[derive(Debug)]
pub(super) struct UniqueMap(pub(super) Map<String, Value>);

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

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<UniqueMap, A::Error> {
        let mut map = Map::new();
        while let Some((name, value)) = members.next_entry::<String, Value>()? {
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(UniqueMap(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_stands_twice_is_refused_however_it_is_written() {
        for twice in [r#"{"a":1,"a":1}"#, r#"{"a":1,"b":2,"\u0061":3}"#] {
            assert!(serde_json::from_str::<UniqueMap>(twice).is_err(), "{twice}");
        }
        assert!(serde_json::from_str::<UniqueMap>(r#"{"a":{"x":1},"b":{"x":1}}"#).is_ok());
    }
}
