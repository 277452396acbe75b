//! The shape of the code: which module may use which, how long a file may be, what is never written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// From the top down: each may use those behind it, and those named beside it.
const CHAIN: [&str; 8] = ["main", "cli", "server", "rpc", "domain", "engine", "storage", "model"];

/// Who may use the generated code.
const USES_PROTO: [&str; 3] = ["cli", "server", "rpc"];
/// Who may use a crate that belongs to one place.
const CRATES: [(&str, &[&str]); 6] = [
    ("sea_orm", &["storage"]),
    ("sea_orm_migration", &["storage"]),
    ("object_store", &["storage"]),
    ("reqwest", &["storage"]),
    ("tonic", &["cli", "server", "rpc", "proto"]),
    ("clap", &["cli", "server"]),
];
/// Where a refusal gets its gRPC form; the codec is the only one of `proto/`.
const USES_STATUS: [&str; 4] = ["rpc/", "server/", "cli/", "proto/codec.rs"];

/// What the capabilities of one service share within a layer.
const SHARED: [&str; 3] = ["mod.rs", "encode.rs", "decode.rs"];

const MAX_LINES: usize = 450;
const VAGUE: [&str; 6] = ["util", "utils", "common", "helper", "helpers", "misc"];

/// A file of `src/`, without its tests and comments.
struct Source {
    /// Below `src/`.
    path: String,
    /// The top module it belongs to.
    module: String,
    code: String,
    lines: usize,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn files_below(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn rust_files(dir: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files_below(&root().join(dir), &mut found);
    found.sort();
    assert!(!found.is_empty(), "there are files below {dir}/");
    found
}

fn sources() -> Vec<Source> {
    let base = root().join("src");
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).unwrap();
        let path = file.strip_prefix(&base).unwrap().to_str().unwrap().to_owned();
        let module = path.split(['/', '.']).next().unwrap().to_owned();
        Source { module, code: code_of(&text), lines: text.lines().count(), path }
    };
    rust_files("src").into_iter().map(read).collect()
}

/// What is left without comments and without the tests at the end of the file.
fn code_of(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = before_tests.lines().map(|line| match line.trim_start() {
        comment if comment.starts_with("//") => "",
        _ => line.split(" // ").next().unwrap(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// First segments of all paths that begin with `prefix`, in `use` trees too: `crate::{a, b::c}` has a and b.
fn heads(code: &str, prefix: &str) -> Vec<String> {
    let mut heads = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        // `mycrate::x` is not `crate::x`, nor is `my::crate::x`.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        if let Some(tree) = rest.strip_prefix('{') {
            heads.extend(branches(tree));
        } else {
            heads.push(word(rest));
        }
    }
    heads
}

/// The first segments of the branches of a `use` tree, up to its closing brace.
fn branches(tree: &str) -> Vec<String> {
    let (mut depth, mut begins, mut found) = (0, true, Vec::new());
    for (at, c) in tree.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            c if begins && !c.is_whitespace() => {
                found.push(word(&tree[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    found
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn rank(module: &str) -> Option<usize> {
    CHAIN.iter().position(|link| *link == module)
}

#[test]
fn paths_are_read_from_use_trees() {
    let code =
        "use crate::{a, b::{c, d}, e as f};\nlet x = crate::g::h();\nmycrate::i; pub(crate) use\ncrate::j;";
    assert_eq!(heads(code, "crate::"), ["a", "b", "e", "g", "j"]);
}

#[test]
fn no_arrow_points_back_up() {
    let mut bad = Vec::new();
    for source in sources() {
        for used in heads(&source.code, "crate::") {
            let allowed = match (rank(&source.module), rank(&used)) {
                (Some(from), Some(to)) => to >= from,
                // Macros and items of the crate's root are nobody's layer.
                (_, None) => {
                    used != "proto"
                        || source.module == "proto"
                        || USES_PROTO.contains(&source.module.as_str())
                }
                (None, Some(_)) => source.module == "lib",
            };
            if !allowed {
                bad.push(format!("{} uses {used}", source.path));
            }
        }
    }
    assert!(bad.is_empty(), "against the arrows {}:\n{}", CHAIN.join(" -> "), bad.join("\n"));
}

#[test]
fn crates_stay_where_they_belong() {
    let mut bad = Vec::new();
    for source in sources() {
        for (name, places) in CRATES {
            let used = !heads(&source.code, &format!("{name}::")).is_empty()
                || source.code.contains(&format!("use {name};"));
            if used && !places.contains(&source.module.as_str()) {
                bad.push(format!("{} uses {name}, which belongs to {places:?}", source.path));
            }
        }
        let status = heads(&source.code, "tonic::").iter().any(|item| item == "Status");
        if status && !USES_STATUS.iter().any(|place| source.path.starts_with(place)) {
            bad.push(format!("{} uses tonic::Status", source.path));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn what_differs_between_databases_stays_in_backend() {
    let mut bad = Vec::new();
    for source in sources().iter().filter(|source| !source.path.starts_with("storage/backend")) {
        for word in ["Backend::Postgres", "Backend::Sqlite", "is_postgres", "is_sqlite"] {
            if source.code.contains(word) {
                bad.push(format!("{} says {word}", source.path));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn no_default_stands_in_for_a_failure_of_what_seals_and_hashes() {
    let mut bad = Vec::new();
    let places = ["domain/vault/", "domain/page_token.rs"];
    let sources = sources();
    let sealing = |source: &&Source| places.iter().any(|place| source.path.starts_with(place));
    for source in sources.iter().filter(sealing) {
        for default in ["unwrap_or_default(", ".unwrap_or(", ".map_or(", "Vec::new()", "String::new"] {
            if source.code.contains(default) {
                bad.push(format!("{} says {default}", source.path));
            }
        }
    }
    assert!(bad.is_empty(), "say what cannot happen with expect, or return a Result:\n{}", bad.join("\n"));
}

#[test]
fn files_are_short_and_have_telling_names() {
    let mut bad = Vec::new();
    for source in sources() {
        if source.lines > MAX_LINES {
            bad.push(format!("{} has {} lines", source.path, source.lines));
        }
        if source.path.split(['/', '.']).any(|part| VAGUE.contains(&part)) {
            bad.push(format!("{} says nothing by its name", source.path));
        }
    }
    for file in rust_files("tests") {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        if lines > MAX_LINES {
            bad.push(format!("{} has {lines} lines", file.display()));
        }
    }
    assert!(bad.is_empty(), "at most {MAX_LINES} lines:\n{}", bad.join("\n"));
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    let mut bad = Vec::new();
    // Put together here, so that this file does not find itself.
    let expect = format!("[{}(", "expect");
    let allow = ["#[", "#!["].map(|open| format!("{open}allow("));
    for file in rust_files("src").into_iter().chain(rust_files("tests")) {
        let text = std::fs::read_to_string(&file).unwrap();
        if allow.iter().any(|allow| text.contains(allow.as_str())) {
            bad.push(format!("{} allows a lint", file.display()));
        }
        for (at, _) in text.match_indices(&expect) {
            let end = text[at..].find(")]").map_or(text.len(), |end| at + end);
            if !text[at..end].contains("reason") {
                bad.push(format!("{} expects a lint without a reason", file.display()));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn a_capability_has_one_name_in_every_layer() {
    let folders = ["rpc", "domain"];
    let mut seen: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for source in sources() {
        let mut parts = source.path.split('/');
        let (Some(layer), Some(service), Some(file)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        if let Some(layer) = folders.iter().find(|folder| **folder == layer)
            && service == "users"
            && !SHARED.contains(&file)
        {
            seen.entry(file.to_owned()).or_default().push(layer);
        }
    }
    let lonely: Vec<_> = seen.iter().filter(|(_, layers)| !layers.contains(&"domain")).collect();
    assert!(lonely.is_empty(), "files of rpc/users without their like in domain/users: {lonely:?}");
}
