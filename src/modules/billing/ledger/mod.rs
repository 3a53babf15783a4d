//! The ledger: double entry, append-only. Every document posts in the transaction that makes it.

mod model;
mod repository;
mod sqlite;

pub use model::{Account, Balance, Cause, Entry, EntryId, Posting};
pub(super) use repository::LedgerRepository;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::repository::AccountRepository;
use super::{Billing, Owner};
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::Result;
use crate::platform::money::{Currency, Money};

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
        let mut faults: Vec<String> = unbalanced.chain(misstated).collect();
        // What the documents say, and what the books say of it.
        let balances = self.ledger_balances(snapshot, None)?;
        let said = [(Account::Receivable, 1, tables.list_owed()?), (Account::Credit, -1, tables.list_held()?)];
        for (account, sign, documents) in said {
            let books =
                balances.iter().filter(|one| one.account == account).map(|one| (one.currency, one.minor() * sign));
            let books: BTreeMap<Currency, i64> = books.filter(|(_, minor)| *minor != 0).collect();
            let documents: BTreeMap<Currency, i64> = documents.into_iter().filter(|(_, minor)| *minor != 0).collect();
            let currencies: BTreeSet<_> = books.keys().chain(documents.keys()).collect();
            for currency in currencies.into_iter().filter(|currency| books.get(currency) != documents.get(currency)) {
                let of =
                    |sums: &BTreeMap<Currency, i64>| Money::new(sums.get(currency).copied().unwrap_or(0), *currency);
                let (account, books, documents) = (account.as_str(), of(&books), of(&documents));
                faults.push(format!("the ledger has {books} of {account}, and the documents come to {documents}"));
            }
        }
        Ok(faults)
    }
}
