//! Black-box tests of the whole program: one file a feature.

#![allow(clippy::unwrap_used, reason = "what a test can't go on without may panic")]

mod boundaries;
mod new_module;
mod personal_data;
mod sign_up;
mod support;
