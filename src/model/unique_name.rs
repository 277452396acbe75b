//! Which names count as the same, and whose name is taken.

use std::collections::{HashMap, HashSet};

use unicode_normalization::UnicodeNormalization as _;

use super::fold::fold_letters;
use super::settings::UniqueNames;
use super::user::User;

/// The longest key, in bytes: both databases can have it in an index. Only names whose letters are shorthand
/// for many are cut to it.
const MAX_BYTES: usize = 1_500;

/// What two names have in common that count as one: letters, digits and what combines with them, in
/// whichever case, composed or not; spaces and special characters do not count. A name of nothing else is
/// compared as it stands. Never empty, unless `name` is.
pub fn key(name: &str) -> String {
    let folded = fold_letters(name);
    let mut key = if folded.contains(char::is_alphanumeric) { folded } else { name.nfkc().collect() };
    key.truncate(key.floor_char_boundary(MAX_BYTES));
    key
}

/// An active user with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Named {
    pub id: String,
    pub key: String,
    pub teams: Vec<String>,
}

impl Named {
    /// Of a user who has a name and can act: the others hold none.
    pub fn of(user: &User) -> Option<Self> {
        let name = user.profile.name.as_deref()?;
        let acts = user.deactivated_at.is_none() && user.deleted_at.is_none();
        acts.then(|| Self {
            id: user.id().as_str().to_owned(),
            key: key(name),
            teams: user.profile.teams.clone(),
        })
    }

    /// Within what the name stands once: the app as a whole, or each team.
    fn scopes(&self, among: UniqueNames) -> Vec<&str> {
        match among {
            UniqueNames::None => Vec::new(),
            UniqueNames::App => vec![""],
            UniqueNames::Team => self.teams.iter().map(String::as_str).collect(),
        }
    }

    fn holds(&self, among: UniqueNames, key: &str, scope: &str) -> bool {
        self.key == key && self.scopes(among).contains(&scope)
    }
}

/// A user before and after a write, as far as names go.
#[derive(Debug, Clone)]
pub struct Renaming {
    /// What it held.
    pub before: Option<Named>,
    /// What it wants to hold.
    pub after: Option<Named>,
}

impl Renaming {
    /// Of a user that becomes `after`.
    pub fn of(before: Option<&User>, after: &User) -> Self {
        Self { before: before.and_then(Named::of), after: Named::of(after) }
    }

    /// Where it wants the name and did not hold it before. What a user already has is never taken from it,
    /// also where others have the same.
    fn claims(&self, among: UniqueNames) -> Vec<&str> {
        let Some(after) = &self.after else { return Vec::new() };
        let held =
            |scope: &&str| self.before.as_ref().is_some_and(|before| before.holds(among, &after.key, scope));
        after.scopes(among).into_iter().filter(|scope| !held(scope)).collect()
    }

    /// Whether it claims anything, whatever the app says.
    pub fn may_claim(&self) -> bool {
        self.after.is_some() && self.after != self.before
    }

    /// Whether it changes the name, and not only where it stands.
    pub fn is_of_another_name(&self) -> bool {
        let key = |named: &Option<Named>| named.as_ref().map(|named| named.key.clone());
        key(&self.before) != key(&self.after)
    }

    /// The key it claims somewhere, if any.
    pub fn claimed_key(&self, among: UniqueNames) -> Option<&str> {
        let after = self.after.as_ref()?;
        (!self.claims(among).is_empty()).then_some(&after.key)
    }
}

/// How several writes stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// All of them are done or none: one may take what another one gives up.
    Together,
    /// One after the other, each on its own: one that is refused keeps what it held.
    InTurn,
}

/// Which of `writes`, by their index, want a name that is taken: by one of `others`, none of whom is written,
/// or by an earlier write.
pub fn taken(among: UniqueNames, manner: Manner, writes: &[Renaming], others: &[Named]) -> Vec<usize> {
    let mut holders: HashMap<(&str, &str), HashSet<&str>> = HashMap::new();
    for other in others {
        for scope in other.scopes(among) {
            holders.entry((&other.key, scope)).or_default().insert(&other.id);
        }
    }
    for write in writes {
        let Some(before) = &write.before else { continue };
        for scope in before.scopes(among) {
            let kept = write.after.as_ref().is_some_and(|after| after.holds(among, &before.key, scope));
            if kept || manner == Manner::InTurn {
                holders.entry((&before.key, scope)).or_default().insert(&before.id);
            }
        }
    }

    let mut refused = Vec::new();
    for (at, write) in writes.iter().enumerate() {
        let claims = write.claims(among);
        if let Some(after) = &write.after {
            let by_another = |scope: &&str| {
                let holders = holders.get(&(after.key.as_str(), *scope));
                holders.is_some_and(|holders| holders.iter().any(|holder| *holder != after.id))
            };
            if claims.iter().any(by_another) {
                refused.push(at);
                continue;
            }
        }
        if let Some(before) = &write.before {
            for scope in before.scopes(among) {
                holders.entry((&before.key, scope)).or_default().remove(before.id.as_str());
            }
        }
        if let Some(after) = &write.after {
            for scope in after.scopes(among) {
                holders.entry((&after.key, scope)).or_default().insert(&after.id);
            }
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_people_take_for_the_same_have_one_key() {
        let same: [&[&str]; 8] = [
            &["John Doe", "john.doe", "JOHN-DOE", " j o h n\td_o_e ", "john\u{200d}doe", "John🎉Doe"],
            &["José", "jose\u{301}", "JOSÉ"],
            &["Straße", "STRASSE", "strasse"],
            &["Οδυσσεύς", "ΟΔΥΣΣΕΎΣ", "οδυσσεύσ"],
            &["ﬁn", "FIN"],
            &["Ａｄａ", "ada"],
            &["ada\u{fe0f}", "ada"],
            &["数学", "数 学"],
        ];
        for names in same {
            for name in names {
                assert_eq!(key(name), key(names[0]), "{name}");
            }
        }
    }

    #[test]
    fn names_that_differ_have_keys_that_differ() {
        let names = ["john", "jon", "jose", "josé", "1", "2", "कि", "की", "क", "!!!", "???", "🎉", "🏳️‍🌈", ""];
        let keys: std::collections::BTreeSet<String> = names.map(key).into();
        assert_eq!(keys.len(), names.len());
        assert_eq!(key(""), "");
        assert_eq!(key(&"\u{fdfa}".repeat(255)).len(), MAX_BYTES, "one letter that stands for many");
    }

    fn named(id: &str, key: &str, teams: &[&str]) -> Named {
        Named {
            id: id.to_owned(),
            key: key.to_owned(),
            teams: teams.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn within_one_batch_names_can_be_swapped_and_in_turn_they_cannot() {
        let write = |id, before, after| Renaming {
            before: Some(named(id, before, &[])),
            after: Some(named(id, after, &[])),
        };
        let swap = [write("a", "x", "y"), write("b", "y", "x")];
        assert_eq!(taken(UniqueNames::App, Manner::Together, &swap, &[]), [0; 0]);
        assert_eq!(taken(UniqueNames::App, Manner::InTurn, &swap, &[]), [0, 1]);
        let chain = [write("b", "y", "z"), write("a", "x", "y"), write("c", "w", "y")];
        assert_eq!(taken(UniqueNames::App, Manner::InTurn, &chain, &[]), [2], "given up before it is taken");
    }

    #[test]
    fn what_a_user_has_is_not_taken_from_it() {
        let keep = Renaming { before: Some(named("a", "x", &["r"])), after: Some(named("a", "x", &["r"])) };
        let joins =
            Renaming { before: Some(named("a", "x", &["r"])), after: Some(named("a", "x", &["r", "g"])) };
        let others = [named("b", "x", &["r", "g"])];
        for manner in [Manner::Together, Manner::InTurn] {
            assert_eq!(taken(UniqueNames::App, manner, std::slice::from_ref(&keep), &others), [0; 0]);
            assert_eq!(taken(UniqueNames::Team, manner, std::slice::from_ref(&keep), &others), [0; 0]);
            assert_eq!(taken(UniqueNames::Team, manner, std::slice::from_ref(&joins), &others), [0]);
            let new = Renaming { before: None, after: Some(named("c", "x", &["r"])) };
            assert_eq!(
                taken(UniqueNames::App, manner, &[new, keep.clone()], &[]),
                [0],
                "a later one keeps it"
            );
        }
    }

    /// Pairs of users who share a name within a scope.
    fn clashes(among: UniqueNames, users: &[Named]) -> HashSet<(String, String, String)> {
        let mut found = HashSet::new();
        for (at, one) in users.iter().enumerate() {
            for other in users.iter().skip(at + 1).filter(|other| other.key == one.key) {
                let shared =
                    one.scopes(among).into_iter().filter(|scope| other.scopes(among).contains(scope));
                let mut pair = [one.id.clone(), other.id.clone()];
                pair.sort();
                found.extend(shared.map(|scope| (pair[0].clone(), pair[1].clone(), scope.to_owned())));
            }
        }
        found
    }

    fn someone(id: String) -> impl proptest::strategy::Strategy<Value = Option<Named>> {
        use proptest::prelude::*;
        let teams = prop::collection::btree_set("[rg]", 0..3);
        prop::option::weighted(
            0.8,
            ("[xyz]", teams).prop_map(move |(key, teams)| Named {
                id: id.clone(),
                key,
                teams: teams.into_iter().collect(),
            }),
        )
    }

    proptest::proptest! {
        /// Whoever is let pass brings no clash that was not there, and nobody is refused without one.
        #[test]
        fn those_who_pass_make_no_new_clash_and_those_refused_would(
            before in (0..7).map(|at| someone(at.to_string())).collect::<Vec<_>>(),
            after in (0..4).map(|at| someone(at.to_string())).collect::<Vec<_>>(),
            together in proptest::prelude::any::<bool>(),
            among in proptest::sample::select(vec![UniqueNames::None, UniqueNames::App, UniqueNames::Team]),
        ) {
            let writes: Vec<Renaming> =
                before.iter().cloned().zip(after).map(|(before, after)| Renaming { before, after }).collect();
            let others: Vec<Named> = before[writes.len()..].iter().flatten().cloned().collect();
            let manner = if together { Manner::Together } else { Manner::InTurn };
            let refused = taken(among, manner, &writes, &others);
            for write in &writes {
                proptest::prop_assert!(write.claimed_key(among).is_none() || write.may_claim());
            }

            // The reference does it one by one, and looks at everybody each time.
            let mut now = before.clone();
            let mut expected = Vec::new();
            if together {
                for (place, write) in now.iter_mut().zip(&writes) {
                    let kept = |scope: &&str| write.after.as_ref().is_some_and(|after| {
                        write.before.as_ref().is_some_and(|before| after.holds(among, &before.key, scope))
                    });
                    let whole = write.before.as_ref().is_some_and(|before| before.scopes(among).iter().all(kept));
                    // Scopes that are kept in part cannot be told apart here: such cases are left out.
                    let none = write.before.as_ref().is_none_or(|before| !before.scopes(among).iter().any(kept));
                    proptest::prop_assume!(whole || none);
                    if !whole {
                        *place = None;
                    }
                }
            }
            for (at, write) in writes.iter().enumerate() {
                let mut then = now.clone();
                then[at].clone_from(&write.after);
                let held: HashSet<String> = write.before.iter().flat_map(|before| {
                    let same = write.after.as_ref().is_some_and(|after| after.key == before.key);
                    before.scopes(among).into_iter().filter(move |_| same).map(str::to_owned)
                }).collect();
                let live: Vec<Named> = then.iter().flatten().cloned().collect();
                let id = at.to_string();
                let clash = clashes(among, &live).iter().any(|(one, other, scope)| {
                    (*one == id || *other == id) && !held.contains(scope)
                });
                if clash {
                    expected.push(at);
                } else {
                    now = then;
                }
            }
            proptest::prop_assert_eq!(refused, expected);
        }


        #[test]
        fn a_key_is_its_own_key_and_no_name_is_without(name in "\\PC{1,12}") {
            let once = key(&name);
            proptest::prop_assert!(!once.is_empty());
            proptest::prop_assert_eq!(key(&once), once);
        }
    }
}
