//! Black-box tests of the whole program: one file a feature.

mod browser;
mod pages;
mod sign_up;
mod support;
