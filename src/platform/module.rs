//! What every module is to the rest of the program.

use serde_json::Value;

use super::Platform;
use super::db::{Snapshot, UnitOfWork};
use super::error::Result;
use super::http::Routes;
use super::http::page::NavItem;
use super::ids::UserId;
use super::jobs::{Kind, Work};

/// What a module says of itself; `ashlar modules` prints it, and a test holds it against the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Declaration {
    /// Its folder below `src/modules/`, and below `migrations/`.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub purpose: &'static str,
    /// Other modules whose faces it calls.
    pub uses: &'static [&'static str],
}

/// A module: a folder below `src/modules/`, listed in `app.rs`.
pub trait Module: Send + Sync {
    fn declaration(&self) -> Declaration;

    /// Everything it holds on a person, as JSON.
    fn export(&self, snapshot: &Snapshot<'_>, person: UserId) -> Result<Value>;

    /// Takes a person's data away. What the law wants kept stays, without the person.
    fn erase(&self, work: &UnitOfWork<'_>, person: UserId) -> Result<()>;

    /// Its JSON routes and pages, where it has any of its own.
    fn routes(&self, _platform: &Platform) -> Option<Routes> {
        None
    }

    /// What its JSON routes say of themselves.
    fn api(&self) -> utoipa::openapi::OpenApi {
        utoipa::openapi::OpenApi::default()
    }

    /// The kinds of jobs that are its own, each named after it: `media.video`.
    fn jobs(&self, _platform: &Platform) -> Vec<Kind> {
        Vec::new()
    }

    /// The part of its jobs that can be done on another machine.
    fn works(&self) -> Vec<Work> {
        Vec::new()
    }

    /// Its entry in the console's navigation.
    fn nav(&self) -> Option<NavItem> {
        None
    }
}
