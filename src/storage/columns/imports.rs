//! What the tables hold that the import keeps its own state in.

use super::Derived::Refused;
use super::Table;
use super::class::NOTHING;

/// Why nothing of an import is released to one user.
const COMPANY_FILE: &[(&str, &str)] = &[("*", "about a file of the company, which may name any user")];

pub(super) const IMPORTS: Table = Table {
    name: "imports",
    withheld: COMPANY_FILE,
    plain: &[
        "app_id",
        "import_id",
        "mode",
        "committed_offset",
        "accepted",
        "skipped",
        "created_at",
        "updated_at",
        "items",
        "refused",
        "content_sha256",
    ],
    internal: &["no"],
    ..NOTHING
};

pub(super) const IMPORT_REFUSALS: Table = Table {
    name: "import_refusals",
    withheld: COMPANY_FILE,
    plain: &["app_id", "item_offset", "reason", "field", "message"],
    internal: &["import_no", "no"],
    ..NOTHING
};

pub(super) const IMPORT_WAITING: Table = Table {
    name: "import_waiting",
    internal: &["app_id", "import_no", "item_offset", "item_no", "item_key", "needs", "bytes", "json"],
    derived: &[("item_key", Refused), ("needs", Refused), ("json", Refused)],
    ..NOTHING
};
