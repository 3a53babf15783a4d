//! Where it is kept how far the collection of each invoice is.

use super::model::Dunning;
use crate::modules::billing::invoices::InvoiceId;
use crate::modules::billing::subscriptions::SubscriptionId;
use crate::platform::clock::Time;
use crate::platform::error::Result;
use crate::platform::ids::UserId;

pub(in crate::modules::billing) trait DunningRepository {
    fn find_dunning(&self, invoice: InvoiceId) -> Result<Option<Dunning>>;
    fn put_dunning(&self, dunning: &Dunning) -> Result<()>;
    /// Notes that nothing is collected any more, where something was.
    fn end_dunning(&self, invoice: InvoiceId, now: Time) -> Result<()>;
    /// Those with something to do by `now`, of accounts that go by the clock of all.
    fn list_to_dun(&self, now: Time, limit: u32) -> Result<Vec<InvoiceId>>;
    /// The same, of one account.
    fn list_to_dun_of(&self, user: UserId, now: Time, limit: u32) -> Result<Vec<InvoiceId>>;
    /// Whether any open invoice of a subscription was declined or is overdue, and not given up.
    fn is_dunned(&self, subscription: SubscriptionId) -> Result<bool>;
}
