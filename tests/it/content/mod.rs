//! `ContentService`.

mod import;
mod import_crash;
mod import_items;
mod import_kinds;
mod import_stream;
