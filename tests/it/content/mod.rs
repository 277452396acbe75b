//! `ContentService`.

mod channels;
mod footprint;
mod import;
mod import_content;
mod import_crash;
mod import_items;
mod import_kinds;
mod import_moves;
mod import_order;
mod import_stream;
mod messages;
