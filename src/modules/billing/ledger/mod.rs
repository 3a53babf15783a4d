//! The ledger: double entry, append-only. Every document posts in the transaction that makes it.

mod beancount;
mod model;
mod proofs;
mod repository;
mod sqlite;

pub use beancount::Beancount;
pub use model::{Account, Balance, Cause, Entry, EntryId, Posting};
pub(super) use repository::LedgerRepository;

use jiff::civil::Date;

use super::{Billing, Owner};
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::Result;

impl Billing {
    /// Posts an entry; nothing, where nothing moves.
    pub(super) fn post(&self, work: &UnitOfWork<'_>, posting: &Posting) -> Result<()> {
        let lines = posting.lines()?;
        if lines.is_empty() {
            return Ok(());
        }
        work.tables(Owner(())).post_entry(work.new_id(), posting, &lines, work.now())
    }

    /// Entries before `before`, newest first; about one document where it is named.
    pub fn ledger_entries(
        &self,
        snapshot: &Snapshot<'_>,
        document: Option<uuid::Uuid>,
        before: Option<EntryId>,
        limit: u32,
    ) -> Result<Vec<Entry>> {
        snapshot.tables(Owner(())).list_entries(document, before, limit)
    }

    /// What all accounts come to, at the end of the month of `until`.
    pub fn ledger_balances(&self, snapshot: &Snapshot<'_>, until: Option<Date>) -> Result<Vec<Balance>> {
        snapshot.tables(Owner(())).balances(until)
    }
}
