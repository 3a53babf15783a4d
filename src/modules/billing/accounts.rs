//! Billing accounts and the seller's settings: opened, changed, closed.

use super::invoices::{Filter, InvoiceRepository, State as InvoiceState};
use super::languages::Language;
use super::model::{Account, Details, DetailsChange, Settings};
use super::repository::AccountRepository;
use super::subscriptions::{Cancellation, State, SubscriptionRepository, When};
use super::{Billing, Owner, record, record_about};
use crate::platform::clock::Time;
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::{Error, OrConflict, Result};
use crate::platform::ids::UserId;
use crate::platform::money::Currency;

/// What of a person's books is looked through at once.
const AT_ONCE: u32 = 1000;

impl Billing {
    /// Opens the account of a new user, who is called `name` and spoken to as the seller speaks; [`Error::Conflict`] if
    /// that user has one.
    pub fn open_account(&self, work: &UnitOfWork<'_>, user: UserId, currency: Currency, name: &str) -> Result<Account> {
        let account = Account { user_id: user, currency, created_at: work.now() };
        let (settings, _) = self.settings(work)?;
        work.tables(Owner(()))
            .insert(&account, name, settings.language)
            .or_conflict("user_id", "this user has a billing account")?;
        Ok(account)
    }

    /// A user's account; [`Error::NotFound`] if there is none.
    pub fn account_of(&self, snapshot: &Snapshot<'_>, user: UserId) -> Result<Account> {
        snapshot.tables(Owner(())).find(user)?.ok_or(Error::NotFound("billing account"))
    }

    /// The accounts of users `first..=last`, by id.
    pub fn accounts_between(&self, snapshot: &Snapshot<'_>, first: UserId, last: UserId) -> Result<Vec<Account>> {
        snapshot.tables(Owner(())).list_between(first, last)
    }

    /// The users of all accounts that are not closed, for `ashlar doctor`.
    pub fn ids(&self, snapshot: &Snapshot<'_>) -> Result<Vec<UserId>> {
        snapshot.tables(Owner(())).list_ids()
    }

    /// An account whole; [`Error::NotFound`] if there is none.
    pub fn details(&self, snapshot: &Snapshot<'_>, user: UserId) -> Result<Details> {
        snapshot.tables(Owner(())).find_details(user)?.ok_or(Error::NotFound("billing account"))
    }

    /// Changes an account, if it is still what `check` wants it to be. What only staff may change of it, the caller sees to.
    ///
    /// # Errors
    /// [`Error::Conflict`] for another currency once there is an invoice.
    pub fn change_account(
        &self,
        work: &UnitOfWork<'_>,
        user: UserId,
        change: DetailsChange,
        check: impl FnOnce(&Details) -> Result<()>,
    ) -> Result<Details> {
        let before = self.details(work, user)?;
        check(&before)?;
        let rate = change.tax_rate_id.clone();
        let mut after = before.with(change)?;
        match rate.as_deref() {
            None => {}
            Some("") => after.tax_rate_id = None,
            Some(id) => after.tax_rate_id = Some(self.usable_tax_rate(work, id)?.id),
        }
        if after.account.currency != before.account.currency {
            let tables = work.tables(Owner(()));
            let subscribed = tables.list_subscriptions(Some(user), None, 1)?;
            if tables.has_books(user)? || !subscribed.is_empty() {
                return Err(Error::conflict("currency", "the first subscription, invoice or payment has fixed it"));
            }
        }
        if after == before {
            return Ok(before);
        }
        self.put_details(work, &mut after)?;
        record_about(work, "billing.account_changed", user, user, Some(&before), Some(&after))?;
        Ok(after)
    }

    /// Lets an account for trial have a clock of its own, and sets it; it only goes forward.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the account has real books, or the clock would go back.
    pub fn set_test_clock(&self, work: &UnitOfWork<'_>, user: UserId, at: Time) -> Result<Details> {
        let mut details = self.details(work, user)?;
        match details.test_clock_at {
            Some(now) if at < now => {
                return Err(Error::conflict("test_clock_at", format!("it stands at {now}, and only goes forward")));
            }
            None if work.tables(Owner(())).has_books(user)? => {
                return Err(Error::conflict(
                    "test_clock_at",
                    "this account has real invoices or payments: use a new one",
                ));
            }
            _ => {}
        }
        let before = details.test_clock_at;
        details.test_clock_at = Some(at);
        self.put_details(work, &mut details)?;
        record_about(work, "billing.test_clock_set", user, user, before.as_ref(), Some(&at))?;
        Ok(details)
    }

    pub(super) fn put_details(&self, work: &UnitOfWork<'_>, details: &mut Details) -> Result<()> {
        details.version += 1;
        details.updated_at = work.now();
        work.tables(Owner(())).update_details(details)
    }

    /// Who sells, and how, with the version of that.
    pub fn settings(&self, snapshot: &Snapshot<'_>) -> Result<(Settings, i64)> {
        Ok(snapshot.tables(Owner(())).find_settings()?.unwrap_or_default())
    }

    /// The language in which an account is spoken to.
    pub(super) fn language_of(&self, snapshot: &Snapshot<'_>, details: &Details) -> Result<Language> {
        match Language::of(&details.language) {
            Some(language) => Ok(language),
            None => Ok(self.settings(snapshot)?.0.language),
        }
    }

    pub fn change_settings(
        &self,
        work: &UnitOfWork<'_>,
        settings: Settings,
        check: impl FnOnce(i64) -> Result<()>,
    ) -> Result<i64> {
        let (before, version) = self.settings(work)?;
        check(version)?;
        settings.check()?;
        if settings == before {
            return Ok(version);
        }
        work.tables(Owner(())).put_settings(&settings, version + 1, work.now())?;
        record(work, "billing.settings_changed", work.new_id::<Settings>(), Some(&before), Some(&settings))?;
        Ok(version + 1)
    }

    /// Closes the account of a person who leaves: their subscriptions end, their drafts go, and so does what is known of
    /// them. Invoices, payments and the ledger stay, as the law wants; what is open stays open, for staff to see to.
    pub(super) fn close(&self, work: &UnitOfWork<'_>, user: UserId) -> Result<()> {
        let tables = work.tables(Owner(()));
        let Some(details) = tables.find_details(user)? else { return Ok(()) };
        for subscription in tables.list_subscriptions(Some(user), None, AT_ONCE)? {
            if subscription.state != State::Cancelled {
                self.cancel(work, subscription.id, &Cancellation { when: When::Now, credit: false }, |_| Ok(()))?;
            }
        }
        let drafts = Filter { user: Some(user), state: Some(InvoiceState::Draft), ..Filter::default() };
        for draft in tables.list_invoices(&drafts, None, AT_ONCE)? {
            tables.delete_draft(draft.id)?;
        }
        if !tables.has_books(user)? {
            return tables.delete(user);
        }
        tables.forget_words(user)?;
        let mut closed = Details {
            name: None,
            address: Default::default(),
            tax_id: None,
            gateway: None,
            gateway_customer: None,
            closed_at: Some(work.now()),
            ..details
        };
        self.put_details(work, &mut closed)
    }
}
