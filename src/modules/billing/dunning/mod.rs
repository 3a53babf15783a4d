//! Collection and dunning: who has a gateway is charged at once, and again after a decline; who pays by transfer is
//! reminded once the invoice is overdue. What stays unpaid is given up.

mod model;
mod repository;
mod sqlite;

pub use model::{Charging, Dunning};
pub(super) use repository::DunningRepository;

use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::events::EventType;
use super::gateways::{Charge, Charged, Declined, Gateways};
use super::invoices::document::Kind as DocumentKind;
use super::invoices::{Invoice, InvoiceId, InvoiceRepository, State};
use super::mails::About;
use super::model::{Details, GiveUp};
use super::payments::Method;
use super::repository::AccountRepository;
use super::subscriptions::{Cancellation, State as SubscriptionState, When};
use super::{Billing, Owner, calendar};
use crate::platform::clock::Time;
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::Result;
use crate::platform::jobs::{self, Failure, Kind, Order, Payload, Record, Run};
use model::Due;

/// While a gateway can't be reached: a day of tries; after that the billing run asks for it once a day.
const ATTEMPTS: u32 = 20;
const FIRST_WAIT: Duration = Duration::from_secs(15);
const LONGEST_WAIT: Duration = Duration::from_secs(2 * 60 * 60);

/// Charges an invoice, for the `attempt`th time.
#[derive(Serialize, Deserialize)]
struct Collect {
    invoice: uuid::Uuid,
    attempt: u32,
}

impl Payload for Collect {
    const KIND: &'static str = "billing.collect";
}

pub(super) fn jobs(gateways: &Gateways) -> Vec<Kind> {
    let gateways = gateways.clone();
    let collect = Kind::new(move |run: &Run, Collect { invoice, attempt }| {
        let invoice = InvoiceId::from_uuid(invoice);
        let charge =
            run.database.read_blocking(Collect::KIND, |snapshot| Billing.next_charge(snapshot, invoice, attempt))?;
        // It was paid meanwhile, or this attempt was answered before.
        let Some((method, charge)) = charge else { return Ok(Record::nothing()) };
        let charged = gateways.find(method).map_err(|error| Failure::Retry(error.to_string()))?.charge(&charge)?;
        Ok(Record::new(move |work| match &charged {
            // Money is money, whatever else has happened meanwhile: what is too much is the account's credit.
            Charged::Paid(receipt) => {
                Billing.record_receipt(work, charge.user, method, receipt, Some(invoice)).map(drop)
            }
            Charged::Pending => Billing.was_not_paid(work, invoice, attempt, None),
            Charged::Declined(declined) => Billing.was_not_paid(work, invoice, attempt, Some(declined)),
        }))
    });
    vec![collect.attempts(ATTEMPTS).backoff(FIRST_WAIT, LONGEST_WAIT).outward()]
}

impl Billing {
    /// How far the collection of an invoice is; none where nothing was to be done.
    pub fn dunning(&self, snapshot: &Snapshot<'_>, invoice: InvoiceId) -> Result<Option<Dunning>> {
        snapshot.tables(Owner(())).find_dunning(invoice)
    }

    /// Has a new invoice charged where its account has a gateway, and looked at once it is overdue where it has none.
    pub(super) fn begin_collecting(&self, work: &UnitOfWork<'_>, details: &Details, invoice: &Invoice) -> Result<()> {
        if invoice.state != State::Open || invoice.kind != DocumentKind::Invoice {
            return Ok(());
        }
        let (charging, next) = match details.gateway {
            // Until it is charged, the billing run sees to it that there is a job to do so.
            Some(_) => (Charging::Due, tomorrow(details, work)),
            None => (Charging::None, invoice.due_on.unwrap_or(details.today(work.now())).saturating_add(1.day())),
        };
        let mut dunning = Dunning::new(invoice.id, charging);
        self.wait_until(&mut dunning, details, next)?;
        work.tables(Owner(())).put_dunning(&dunning)?;
        if charging == Charging::Due { self.enqueue_charge(work, invoice, &dunning) } else { Ok(()) }
    }

    /// A refund has opened a paid invoice again: it is asked for anew, once it is due, by days that count from today. What
    /// went back is not charged by itself: whoever wanted it back would find it gone again.
    pub(super) fn collect_again(&self, work: &UnitOfWork<'_>, details: &Details, invoice: &Invoice) -> Result<()> {
        let tables = work.tables(Owner(()));
        let today = details.today(work.now());
        let base = invoice.is_overdue(today).then_some(today);
        // A gateway would answer the next charge as it answered the last, were it the same attempt.
        let attempt = tables.find_dunning(invoice.id)?.map_or(0, |known| known.attempt + 1);
        let mut dunning = Dunning { attempt, base_on: base, ..Dunning::new(invoice.id, Charging::Refused) };
        let from = invoice.due_on.map_or(today, |due| due.max(today));
        self.wait_until(&mut dunning, details, from.saturating_add(1.day()))?;
        tables.put_dunning(&dunning)
    }

    fn enqueue_charge(&self, work: &UnitOfWork<'_>, invoice: &Invoice, dunning: &Dunning) -> Result<()> {
        let collect = Collect { invoice: invoice.id.uuid(), attempt: dunning.attempt };
        let unique_key = Some(format!("{}/{}", invoice.id, dunning.attempt));
        let order = Order { unique_key, person: Some(invoice.user_id), ..Order::default() };
        jobs::enqueue_with(work, &collect, order).map(drop)
    }

    /// There is another way to charge an account: what was declined is charged so, at once.
    pub(super) fn try_again(&self, work: &UnitOfWork<'_>, details: &Details) -> Result<()> {
        if details.gateway.is_none() {
            return Ok(());
        }
        let tables = work.tables(Owner(()));
        for invoice in tables.list_open(details.account.user_id)? {
            let Some(mut dunning) = tables.find_dunning(invoice.id)? else { continue };
            // What is to be paid by transfer, and is not overdue, may be on its way.
            let is_awaited = dunning.charging == Charging::None && dunning.base_on.is_none();
            let is_charged = matches!(dunning.charging, Charging::Due | Charging::Pending);
            if is_awaited || is_charged || dunning.ended_at.is_some() {
                continue;
            }
            dunning.charging = Charging::Due;
            tables.put_dunning(&dunning)?;
            self.enqueue_charge(work, &invoice, &dunning)?;
        }
        Ok(())
    }

    /// What is to be charged for this attempt; nothing, if it needs none any more.
    fn next_charge(&self, snapshot: &Snapshot<'_>, id: InvoiceId, attempt: u32) -> Result<Option<(Method, Charge)>> {
        let Some(dunning) = self.dunning(snapshot, id)? else { return Ok(None) };
        let invoice = self.invoice(snapshot, id)?;
        let details = self.details(snapshot, invoice.user_id)?;
        let gateway = [Method::Trial, Method::Stripe]
            .into_iter()
            .find(|method| details.gateway.as_deref() == Some(method.as_str()));
        let is_due = dunning.charging == Charging::Due && dunning.attempt == attempt && dunning.ended_at.is_none();
        let (true, State::Open, Some(method)) = (is_due, invoice.state, gateway) else { return Ok(None) };
        let charge = Charge {
            // The same after a crash, and after a restore of what was before it.
            key: format!("ashlar-{id}-{attempt}"),
            customer: details.gateway_customer,
            user: invoice.user_id,
            invoice: id,
            label: invoice.label(),
            attempt,
            amount_minor: invoice.due_minor,
            currency: invoice.currency,
        };
        Ok(Some((method, charge)))
    }

    /// A gateway has declined an attempt, now or by a message, or will tell of it later: each answer counts once.
    pub(super) fn was_not_paid(
        &self,
        work: &UnitOfWork<'_>,
        id: InvoiceId,
        attempt: u32,
        declined: Option<&Declined>,
    ) -> Result<()> {
        let invoice = self.invoice(work, id)?;
        let tables = work.tables(Owner(()));
        let Some(mut dunning) = tables.find_dunning(id)? else { return Ok(()) };
        let is_waited_for = matches!(dunning.charging, Charging::Due | Charging::Pending);
        if dunning.attempt != attempt || !is_waited_for || dunning.ended_at.is_some() || invoice.state != State::Open {
            return Ok(());
        }
        let details = self.details(work, invoice.user_id)?;
        let Some(declined) = declined else {
            dunning.charging = Charging::Pending;
            self.wait_until(&mut dunning, &details, tomorrow(&details, work))?;
            return tables.put_dunning(&dunning);
        };
        let today = details.today(work.now());
        let (settings, _) = self.settings(work)?;
        let base = *dunning.base_on.get_or_insert(today);
        dunning.attempt += 1;
        dunning.charging = if declined.is_hard { Charging::Refused } else { Charging::None };
        dunning.why = Some(declined.why.clone());
        let next = dunning.next_day(base, &settings, today);
        self.wait_until(&mut dunning, &details, next)?;
        tables.put_dunning(&dunning)?;
        self.tell_invoice(work, EventType::InvoicePaymentFailed, &invoice)?;
        let is_again = !declined.is_hard && dunning.step < settings.retry_days.len();
        self.notify(work, &invoice, About::Declined { why: declined.why.clone(), again_on: is_again.then_some(next) })?;
        match invoice.subscription_id {
            Some(subscription) => self.set_past_due(work, subscription, true),
            None => Ok(()),
        }
    }

    fn wait_until(&self, dunning: &mut Dunning, details: &Details, day: Date) -> Result<()> {
        dunning.next_at = Some(calendar::start_of(day, &details.zone())?);
        Ok(())
    }

    /// Unpaid invoices of which something is due by `until`, each by its account's clock.
    pub(super) fn due_dunnings(&self, snapshot: &Snapshot<'_>, until: Time, limit: u32) -> Result<Vec<InvoiceId>> {
        let tables = snapshot.tables(Owner(()));
        let mut due = tables.list_to_dun(snapshot.now().min(until), limit)?;
        for user in tables.list_on_trial()? {
            let now = self.details(snapshot, user)?.now(snapshot.now());
            due.extend(tables.list_to_dun_of(user, now.min(until), limit)?);
        }
        Ok(due)
    }

    /// Does what is due of one invoice, which is then due on a later day, or never.
    pub(super) fn dun(&self, work: &UnitOfWork<'_>, id: InvoiceId) -> Result<()> {
        let tables = work.tables(Owner(()));
        let Some(mut dunning) = tables.find_dunning(id)? else { return Ok(()) };
        let invoice = self.invoice(work, id)?;
        let details = self.details(work, invoice.user_id)?;
        let today = details.today(work.now());
        if invoice.state != State::Open {
            dunning.ended_at = Some(work.now());
            return tables.put_dunning(&dunning);
        }
        if matches!(dunning.charging, Charging::Due | Charging::Pending) && details.gateway.is_some() {
            if dunning.charging == Charging::Due {
                self.enqueue_charge(work, &invoice, &dunning)?;
            }
            self.wait_until(&mut dunning, &details, tomorrow(&details, work))?;
            return tables.put_dunning(&dunning);
        }
        // Its gateway was taken away before it was charged: it is paid by transfer.
        let base = dunning.base_on.or(invoice.due_on).unwrap_or(today);
        dunning.base_on = Some(base).filter(|base| *base < today).or(dunning.base_on);
        let (settings, _) = self.settings(work)?;
        if let Some(subscription) = invoice.subscription_id.filter(|_| base < today) {
            self.set_past_due(work, subscription, true)?;
        }
        match dunning.due(base, &settings, today) {
            Due::Nothing => {}
            Due::GiveUp => {
                dunning.ended_at = Some(work.now());
                tables.put_dunning(&dunning)?;
                return self.give_up(work, &invoice, settings.give_up);
            }
            Due::Again(step) => {
                dunning.step = step;
                if details.gateway.is_some() && dunning.charging != Charging::Refused {
                    dunning.charging = Charging::Due;
                    self.enqueue_charge(work, &invoice, &dunning)?;
                } else {
                    self.notify(work, &invoice, About::Reminder { step, of: settings.retry_days.len() })?;
                }
            }
        }
        let next = dunning.next_day(base, &settings, today);
        self.wait_until(&mut dunning, &details, next)?;
        tables.put_dunning(&dunning)
    }

    fn give_up(&self, work: &UnitOfWork<'_>, invoice: &Invoice, how: GiveUp) -> Result<()> {
        self.notify(work, invoice, About::GivenUp)?;
        if let Some(id) = invoice.subscription_id
            && self.subscription(work, id)?.state != SubscriptionState::Cancelled
        {
            self.cancel(work, id, &Cancellation { when: When::Now, credit: false }, |_| Ok(()))?;
        }
        match how {
            GiveUp::Cancel => Ok(()),
            GiveUp::WriteOff => self.write_off(work, invoice.id, |_| Ok(())).map(drop),
        }
    }
}

fn tomorrow(details: &Details, work: &UnitOfWork<'_>) -> Date {
    details.today(work.now()).saturating_add(1.day())
}
