//! What belongs to no single service: who may call, limits, health, reflection, starting and stopping.

mod apps;
mod auth;
mod compression;
mod deadlines;
mod drain;
mod errors;
mod failing_disk;
mod health;
mod hostile;
mod limits;
mod maintenance;
mod master_key;
mod metrics;
mod pooler;
mod postgres_outages;
mod postgres_start;
mod reflection;
mod sqlite_files;
mod start;
mod statistics;
mod upgrade;
mod way_back_in;
