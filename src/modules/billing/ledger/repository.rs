//! Where the books are kept.

use jiff::civil::Date;

use super::model::{Account, Balance, Entry, EntryId, Posting};
use crate::modules::billing::payments::PaymentId;
use crate::platform::clock::Time;
use crate::platform::error::Result;
use crate::platform::money::Currency;

pub(in crate::modules::billing) trait LedgerRepository {
    /// Writes an entry with its lines and posts it; SQLite refuses it unless they sum to zero.
    fn post_entry(&self, id: EntryId, posting: &Posting, lines: &[(Account, i64)], at: Time) -> Result<()>;
    /// Before `before`, newest first; about one document where it is named.
    fn list_entries(&self, document: Option<uuid::Uuid>, before: Option<EntryId>, limit: u32) -> Result<Vec<Entry>>;
    /// After `after`, oldest first.
    fn list_entries_after(&self, after: Option<EntryId>, limit: u32) -> Result<Vec<Entry>>;
    /// What all accounts come to, up to and with the month of `until` where it is given.
    fn balances(&self, until: Option<Date>) -> Result<Vec<Balance>>;
    /// Entries that are not posted, or whose lines don't sum to zero: there can't be any.
    fn unbalanced(&self) -> Result<Vec<EntryId>>;
    /// Accounts whose kept balance is not what their lines come to: there can't be any.
    fn misstated(&self) -> Result<Vec<(Currency, Account)>>;
    /// What each account must come to by what invoices, accounts, deferrals and payments say: debits less credits.
    fn claims(&self) -> Result<Vec<(Currency, Account, i64)>>;
    /// Currencies whose sums for the tax return are not what their invoices and credit notes come to.
    fn misstated_tax(&self) -> Result<Vec<Currency>>;
    /// Series of whose numbers one is missing, or was never given out.
    fn gaps(&self) -> Result<Vec<String>>;
    /// Payments whose allocations are not what was posted of them, or whose refunds don't add up.
    fn misallocated(&self) -> Result<Vec<PaymentId>>;
    /// The numbers of invoices that don't add up in themselves, or with their credit notes.
    fn miscounted(&self) -> Result<Vec<String>>;
}
