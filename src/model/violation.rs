//! What is wrong with a request, field by field. Collected, so that a caller hears of everything at once.

/// Characters of a path that are told.
pub const MAX_FIELD: usize = 200;
/// Violations that are kept; further ones are as if they were not there.
const MAX_KEPT: usize = 10_000;

/// What kind of rule was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The value is not of the form asked for.
    Invalid,
    /// The value is too large.
    TooLarge,
    /// The filter is not understood.
    Filter,
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path in the request, in proto names: `users[3].teams[0]`. Empty for the request as a whole.
    pub field: String,
    /// What must hold instead, without the offending value: that may be personal.
    pub description: String,
    /// Decides the reason told.
    pub rule: Rule,
}

impl Violation {
    /// The same, told of another place.
    #[must_use]
    pub fn at(self, field: &str) -> Self {
        Self { field: printable(field), ..self }
    }
}

/// Collects violations below a path.
#[derive(Debug, Default)]
pub struct Violations {
    found: Vec<Violation>,
}

impl Violations {
    /// None yet.
    pub const fn new() -> Self {
        Self { found: Vec::new() }
    }

    /// Notes that `field` breaks a rule of form.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.push(Rule::Invalid, field, description);
    }

    /// Notes that `field` is too large.
    pub fn add_too_large(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.push(Rule::TooLarge, field, description);
    }

    /// Notes that the filter is wrong at `field`.
    pub fn add_filter(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.push(Rule::Filter, field, description);
    }

    /// Takes the value of `result`, or notes the description of what is wrong with `field`.
    pub fn take<T>(&mut self, field: impl Into<String>, result: Result<T, &'static str>) -> Option<T> {
        result.map_err(|description| self.add(field, description)).ok()
    }

    /// Notes what was found elsewhere, below `prefix`.
    pub fn extend(&mut self, prefix: &str, found: Vec<Violation>) {
        self.found.extend(found.into_iter().map(|mut violation| {
            violation.field = join(prefix, &violation.field);
            violation
        }));
    }

    /// Whether nothing is wrong so far.
    pub const fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// `value` if nothing is wrong, all violations otherwise.
    pub fn into_result<T>(self, value: T) -> Result<T, Vec<Violation>> {
        if self.found.is_empty() { Ok(value) } else { Err(self.found) }
    }

    fn push(&mut self, rule: Rule, field: impl Into<String>, description: impl Into<String>) {
        if self.found.len() >= MAX_KEPT {
            return;
        }
        let field = printable(&field.into());
        self.found.push(Violation { field, description: description.into(), rule });
    }
}

/// A path may hold keys that the caller chose: what travels back, or into a database, is short and plain.
fn printable(field: &str) -> String {
    let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    field.chars().take(MAX_FIELD).map(plain).collect()
}

fn join(prefix: &str, field: &str) -> String {
    match (prefix.is_empty(), field.is_empty()) {
        (true, _) => field.to_owned(),
        (_, true) => prefix.to_owned(),
        _ if field.starts_with('[') => format!("{prefix}{field}"),
        _ => format!("{prefix}.{field}"),
    }
}
