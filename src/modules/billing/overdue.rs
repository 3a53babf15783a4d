//! What is overdue where its account is: each goes by the day of its time zone, or by a clock of its own.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::invoices::{Invoice, InvoiceId, InvoiceRepository};
use super::repository::AccountRepository;
use super::{Billing, Owner, calendar, sqlite};
use crate::platform::db::Snapshot;
use crate::platform::error::Result;

/// What day it is for every account.
///
/// A query can't tell the day of a time zone, and need not: all accounts share few zones, and few have clocks of their own.
/// So the days are told to it, and it walks only what is open and due before the latest of them.
#[derive(Debug, Clone)]
pub(super) struct Days {
    pub latest: Date,
    /// JSON: the day by time zone; and by account, in hexadecimal digits, where it has a clock of its own.
    pub by_account: String,
}

impl Billing {
    pub(super) fn days(&self, snapshot: &Snapshot<'_>) -> Result<Days> {
        let tables = snapshot.tables(Owner(()));
        let mut days = BTreeMap::new();
        for name in tables.list_zones()? {
            let zone = calendar::zone(&name).unwrap_or(TimeZone::UTC);
            days.insert(name, calendar::day_at(snapshot.now(), &zone));
        }
        for user in tables.list_on_trial()? {
            let today = self.details(snapshot, user)?.today(snapshot.now());
            days.insert(user.uuid().simple().to_string().to_uppercase(), today);
        }
        let latest = days.values().max().copied().unwrap_or_else(|| calendar::day_at(snapshot.now(), &TimeZone::UTC));
        Ok(Days { latest, by_account: sqlite::to_json(&days)? })
    }

    /// What is open and was due, before `before`, newest first.
    pub(super) fn overdue_invoices(
        &self,
        snapshot: &Snapshot<'_>,
        days: &Days,
        before: Option<InvoiceId>,
        limit: u32,
    ) -> Result<Vec<Invoice>> {
        snapshot.tables(Owner(())).list_overdue(days, before, limit)
    }
}
