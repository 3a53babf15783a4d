//! Black-box tests of the whole program: one file a feature.

mod commands;
mod crash;
mod sign_up;
mod start;
mod support;
