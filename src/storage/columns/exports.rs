//! What the tables hold in which exports keep their archives.

use super::Derived::{Goes, Hashed};
use super::Table;
use super::Trace::Archive;
use super::class::NOTHING;

/// Why an archive is not exported again: it holds what the export holds.
const EXPORTED: &[(&str, &str)] = &[("*", "of an archive, which holds what the export holds")];

pub(super) const FILES: Table = Table {
    name: "export_files",
    withheld: EXPORTED,
    plain: &[
        "app_id",
        "task_id",
        "idx",
        "records",
        "bytes",
        "sha256",
        "sealed",
        "object",
        "created_at",
        "expires_at",
        "downloaded_at",
    ],
    names: &[("user_id", Archive)],
    ..NOTHING
};

pub(super) const CHUNKS: Table = Table {
    name: "export_chunks",
    withheld: EXPORTED,
    plain: &["app_id", "task_id", "idx", "start"],
    personal: &["data"],
    derived: &[("data", Goes)],
    ..NOTHING
};

pub(super) const NUMBERS: Table = Table {
    name: "export_numbers",
    internal: &["app_id", "task_id", "idx", "hash", "number"],
    derived: &[("hash", Hashed)],
    ..NOTHING
};

pub(super) const NAMES: Table = Table {
    name: "export_names",
    withheld: EXPORTED,
    plain: &["app_id", "task_id", "idx"],
    names: &[("user_id", Archive)],
    ..NOTHING
};

pub(super) const OBJECTS: Table = Table {
    name: "export_objects",
    internal: &["app_id", "task_id", "idx", "name", "upload", "created_at", "is_settled", "is_doomed"],
    ..NOTHING
};
