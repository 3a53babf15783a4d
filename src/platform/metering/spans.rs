//! Spans: whose SQL ran together, and on whose behalf. What leaves must do without that.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use super::account::{Account, Kind};
use super::room::rooms;

/// How statements belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// One state of the database is read.
    Read,
    /// One transaction changes it.
    Write,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Read => "read",
            Action::Write => "write",
        }
    }
}

/// Statements of `owner` ran in the unit of work, or the read, `name`, which `by` asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub action: Action,
    pub name: String,
    pub owner: String,
    pub by: (Kind, String),
}

thread_local! {
    /// What this thread has told already: owners by account and name, as bits.
    static TOLD: RefCell<HashMap<(usize, usize, Action), u64>> = RefCell::default();
}

static SEEN: Mutex<BTreeSet<Span>> = Mutex::new(BTreeSet::new());

/// Notes the rooms whose bits are set in `touched`.
pub(super) fn note(by: &'static Account, action: Action, name: &'static str, touched: u64) {
    let key = (std::ptr::from_ref(by).addr(), name.as_ptr().addr(), action);
    let is_new = TOLD.with_borrow_mut(|told| {
        let told = told.entry(key).or_default();
        let before = std::mem::replace(told, *told | touched);
        *told != before
    });
    if !is_new {
        return;
    }
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    for room in rooms().into_iter().filter(|room| touched & 1 << room.index != 0) {
        let by = (by.kind, by.name().to_owned());
        seen.insert(Span { action, name: name.to_owned(), owner: room.name.to_owned(), by });
    }
}

/// All that was seen since the process started.
pub fn spans() -> Vec<Span> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
}
