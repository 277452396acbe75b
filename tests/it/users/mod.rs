//! `UserService`, one file per capability.

mod bulk_lifecycle;
mod bulk_order;
mod columns;
mod deletion;
mod deletion_crash;
mod deletion_matrix;
mod deletion_model;
mod erasure;
mod get;
mod guests;
mod lifecycle;
mod names;
mod partial;
mod presence;
mod query;
mod query_cases;
mod query_filter;
mod query_law;
mod query_page;
mod query_plan;
mod query_reference;
mod query_terms;
mod query_walk;
mod stream;
mod upsert;
mod upsert_limits;
