//! Black-box tests of the whole program: one file a feature.
#![allow(clippy::unwrap_used, reason = "what a test can't go on without may panic")]

mod audit;
mod bad_input;
mod browser;
mod connections;
mod idempotency;
mod limits;
mod logs;
mod metrics;
mod openapi;
mod pages;
mod passwords;
mod people;
mod permissions;
mod profiles;
mod sessions;
mod sign_up;
mod support;
