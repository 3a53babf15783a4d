//! Black-box tests of the whole program: one file a feature.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test, and helpers are no #[test]")]

mod commands;
mod crash;
mod sign_up;
mod start;
mod support;
