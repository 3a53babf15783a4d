//! Where the books are kept.

use jiff::civil::Date;

use super::model::{Account, Balance, Entry, EntryId, Posting};
use crate::platform::clock::Time;
use crate::platform::error::Result;
use crate::platform::money::Currency;

pub(in crate::modules::billing) trait LedgerRepository {
    /// Writes an entry with its lines and posts it; SQLite refuses it unless they sum to zero.
    fn post_entry(&self, id: EntryId, posting: &Posting, lines: &[(Account, i64)], at: Time) -> Result<()>;
    /// Before `before`, newest first; about one document where it is named.
    fn list_entries(&self, document: Option<uuid::Uuid>, before: Option<EntryId>, limit: u32) -> Result<Vec<Entry>>;
    /// What all accounts come to, up to and with the month of `until` where it is given.
    fn balances(&self, until: Option<Date>) -> Result<Vec<Balance>>;
    /// Entries that are not posted, or whose lines don't sum to zero: there can't be any.
    fn unbalanced(&self) -> Result<Vec<EntryId>>;
    /// Accounts whose kept balance is not what their lines come to: there can't be any.
    fn misstated(&self) -> Result<Vec<(Currency, Account)>>;
}
