//! The ledger: double entry, append-only. Every document posts in the transaction that makes it.

mod model;
mod repository;
mod sqlite;

pub use model::{Account, Balance, Cause, Entry, EntryId, Posting};
pub(super) use repository::LedgerRepository;

use jiff::civil::Date;

use super::{Billing, Owner};
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::Result;
use crate::platform::money::Currency;

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

    /// What is wrong with the books, for `ashlar doctor`: nothing can be.
    pub fn ledger_faults(&self, snapshot: &Snapshot<'_>) -> Result<Vec<String>> {
        let tables = snapshot.tables(Owner(()));
        let unbalanced = tables.unbalanced()?.into_iter().map(|id| format!("the ledger's entry {id} does not balance"));
        let misstated = tables.misstated()?.into_iter().map(|(currency, account): (Currency, Account)| {
            format!("the balance of {} in {currency} is not what its entries come to", account.as_str())
        });
        Ok(unbalanced.chain(misstated).collect())
    }
}
