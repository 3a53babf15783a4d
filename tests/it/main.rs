//! Black-box tests of the whole program: one file a feature.

#![allow(clippy::unwrap_used, reason = "what a test can't go on without may panic")]

mod audit;
mod avatars;
mod backups;
mod bad_input;
mod billing;
mod boundaries;
mod browser;
mod commands;
mod connections;
mod costs;
mod crash;
mod idempotency;
mod jobs;
mod jobs_console;
mod limits;
mod logs;
mod mail;
mod meanwhile;
mod media;
mod media_faults;
mod media_places;
mod metrics;
mod new_module;
mod openapi;
mod pages;
mod passwords;
mod people;
mod permissions;
mod personal_data;
mod profiles;
mod readme;
mod replica;
mod replica_s3;
mod replicated;
mod restores;
mod sessions;
mod sign_up;
mod soak;
mod start;
mod support;
mod tus_clients;
mod worker_process;
mod workers;
