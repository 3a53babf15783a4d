//! Plans: what a subscription will be after a wish or a day, and what it will have charged.

use jiff::ToSpan;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::model::{
    Cancellation, Charge, NewSubscription, State, Subscription, SubscriptionChange, SubscriptionId, When, as_document,
    charge_line, not_now, unused_line,
};
use crate::modules::billing::calendar::Cycle;
use crate::modules::billing::catalogue::{CatalogueRepository, MAX_SEATS, Price, TaxRate};
use crate::modules::billing::invoices::document::{Kind, Period, TaxCategory};
use crate::modules::billing::invoices::{Draft, InvoiceRepository, OwnLine, State as InvoiceState};
use crate::modules::billing::model::Details;
use crate::modules::billing::{Billing, Owner};
use crate::platform::db::Snapshot;
use crate::platform::error::{Error, Result};
use crate::platform::money;

/// Trials of one subscription, in days, at most.
const MAX_TRIAL_DAYS: u16 = 730;

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Planned {
    pub after: Subscription,
    pub draft: Option<Draft>,
    /// The draft's line by which the period is charged from now on, where that changes.
    pub charged_by: Option<u32>,
    pub kind: &'static str,
    /// For people.
    pub detail: String,
}

impl Planned {
    pub fn without_document(after: Subscription, kind: &'static str, detail: impl Into<String>) -> Planned {
        Planned { after, draft: None, charged_by: None, kind, detail: detail.into() }
    }
}

impl Billing {
    pub(super) fn plan_start(
        &self,
        snapshot: &Snapshot<'_>,
        details: &Details,
        id: SubscriptionId,
        new: &NewSubscription,
    ) -> Result<Planned> {
        if details.closed_at.is_some() {
            return Err(Error::NotFound("billing account"));
        }
        let price = self.price_of_plan(snapshot, details, &new.plan)?;
        check_seats(new.seats)?;
        if new.billing_day.is_some_and(|day| !(1..=31).contains(&day)) {
            return Err(Error::invalid("billing_day", "from 1 to 31"));
        }
        let trial_days = new.trial_days.unwrap_or(price.trial_days);
        if trial_days > MAX_TRIAL_DAYS {
            return Err(Error::invalid("trial_days", format!("at most {MAX_TRIAL_DAYS}")));
        }
        let today = details.today(snapshot.now());
        let starts =
            today.checked_add(i64::from(trial_days).days()).map_err(|e| Error::internal("counting days", e))?;
        let cycle = Cycle::beginning(starts, price.interval, price.interval_count, new.billing_day)?;
        let now = snapshot.now();
        let after = Subscription {
            id,
            user_id: details.account.user_id,
            price_id: price.id,
            seats: new.seats,
            state: if trial_days > 0 { State::Trial } else { State::Active },
            billing_day: cycle.billing_day,
            anchor: cycle.anchor,
            started_on: today,
            trial_until: (trial_days > 0).then_some(starts),
            period: None,
            charge: None,
            cancel_at_end: false,
            next: None,
            ended_on: None,
            due_at: None,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        // Whether it can be taxed shows now, not when the trial ends.
        self.rate_of(snapshot, details, &price)?;
        if trial_days > 0 {
            let detail = format!("Trial of {} until {starts}", price.plan);
            return Ok(Planned::without_document(after, "started", detail));
        }
        let detail = format!("Subscribed to {}", price.plan);
        self.plan_period(snapshot, details, after, &price, today, ("started", detail))
    }

    /// Charges the period that begins on `from`.
    fn plan_period(
        &self,
        snapshot: &Snapshot<'_>,
        details: &Details,
        mut after: Subscription,
        price: &Price,
        from: Date,
        (kind, detail): (&'static str, String),
    ) -> Result<Planned> {
        let cycle = after.cycle(price);
        let until = cycle.around(from)?.until;
        let rate = self.rate_of(snapshot, details, price)?;
        let product = self.product(snapshot, price.product_id)?.name;
        let words = self.language_of(snapshot, details)?.words();
        let line = charge_line(&product, price, after.seats, &rate, &cycle, (from, until), words)?;
        (after.period, after.charge) = (Some(Period { from, until }), None);
        if line.line.amount_minor == 0 {
            return Ok(Planned::without_document(after, kind, detail));
        }
        let run_key = Some(format!("{}:{from}", after.id));
        let draft = draft_of(details, &after, Kind::Invoice, run_key, vec![line]);
        Ok(Planned { after, draft: Some(draft), charged_by: Some(1), kind, detail })
    }

    pub(super) fn plan_change(
        &self,
        snapshot: &Snapshot<'_>,
        details: &Details,
        before: &Subscription,
        change: &SubscriptionChange,
    ) -> Result<Planned> {
        if !matches!(before.state, State::Trial | State::Active | State::PastDue) {
            return Err(not_now(format!("this subscription is {}: it can't be changed", before.state.as_str())));
        }
        let old = self.price(snapshot, before.price_id)?;
        let price = match &change.plan {
            // Its own plan keeps the price that it has, whatever that plan costs others by now.
            Some(plan) if *plan != old.plan => self.price_of_plan(snapshot, details, plan)?,
            _ => old.clone(),
        };
        let seats = change.seats.unwrap_or(before.seats);
        check_seats(seats)?;
        if (price.id, seats) == (before.price_id, before.seats) {
            return match before.next {
                Some(_) => Ok(Planned::without_document(
                    Subscription { next: None, ..before.clone() },
                    "changed",
                    "The change at the end of the period is taken back",
                )),
                None => Err(Error::invalid("plan", "it has this plan and these seats already")),
            };
        }
        self.rate_of(snapshot, details, &price)?;
        let what = format!("{} × {seats}", price.plan);
        let mut after = before.clone();
        if change.when == When::PeriodEnd {
            after.next = Some((price.id, seats));
            return Ok(Planned::without_document(
                after,
                "changed",
                format!("Will be {what} from the end of the period on"),
            ));
        }
        (after.price_id, after.seats, after.next) = (price.id, seats, None);
        let detail = format!("Changed from {} × {} to {what}", old.plan, before.seats);
        let today = details.today(snapshot.now());
        let same_cycle = (old.interval, old.interval_count) == (price.interval, price.interval_count);
        let Some(period) = before.period.filter(|_| before.state != State::Trial) else {
            if let Some(starts) = before.trial_until.filter(|_| !same_cycle) {
                let cycle = Cycle::beginning(starts, price.interval, price.interval_count, Some(before.billing_day))?;
                after.anchor = cycle.anchor;
            }
            return Ok(Planned::without_document(after, "changed", detail));
        };
        if today >= period.until {
            return Err(not_now("its period has ended: change it once the next one is billed, in a moment"));
        }
        let words = self.language_of(snapshot, details)?.words();
        let unused = self.charge_of(snapshot, before)?.map(|charge| unused_line(&charge, today, words));
        let unused = unused.transpose()?.flatten();
        let rate = self.rate_of(snapshot, details, &price)?;
        let product = self.product(snapshot, price.product_id)?.name;
        let until = match same_cycle {
            true => period.until,
            false => {
                let cycle = Cycle::beginning(today, price.interval, price.interval_count, None)?;
                (after.anchor, after.billing_day) = (cycle.anchor, cycle.billing_day);
                cycle.around(today)?.until
            }
        };
        let line = charge_line(&product, &price, seats, &rate, &after.cycle(&price), (today, until), words)?;
        after.period = Some(Period { from: today, until });
        let mut lines: Vec<OwnLine> = unused.into_iter().collect();
        let charges = line.line.amount_minor != 0;
        if charges {
            lines.push(line);
        }
        if lines.is_empty() {
            after.charge = None;
            return Ok(Planned::without_document(after, "changed", detail));
        }
        let charged_by = if charges { Some(lines.len() as u32) } else { None };
        if !charges {
            after.charge = None;
        }
        let (kind, lines) = as_document(lines)?;
        let mut draft = draft_of(details, &after, kind, None, lines);
        self.name_credited(snapshot, before, &mut draft)?;
        Ok(Planned { after, draft: Some(draft), charged_by, kind: "changed", detail })
    }

    pub(super) fn plan_cancellation(
        &self,
        snapshot: &Snapshot<'_>,
        details: &Details,
        before: &Subscription,
        wish: &Cancellation,
    ) -> Result<Planned> {
        if before.state == State::Cancelled {
            return Err(not_now("this subscription has ended"));
        }
        let today = details.today(snapshot.now());
        let mut after = before.clone();
        if wish.when == When::PeriodEnd && before.state != State::Paused {
            if before.cancel_at_end {
                return Err(not_now("this subscription ends with its period already"));
            }
            (after.cancel_at_end, after.next) = (true, None);
            let ends = before.next_day().map_or_else(String::new, |day| format!(" on {day}"));
            return Ok(Planned::without_document(after, "cancelled_at_end", format!("Will end{ends}")));
        }
        after.end(today);
        let detail = "Ended".to_owned();
        let charge = if wish.credit { self.charge_of(snapshot, before)? } else { None };
        let words = self.language_of(snapshot, details)?.words();
        let unused = charge.map(|charge| unused_line(&charge, today, words)).transpose()?.flatten();
        let Some(unused) = unused else { return Ok(Planned::without_document(after, "cancelled", detail)) };
        let (kind, lines) = as_document(vec![unused])?;
        let mut draft = draft_of(details, &after, kind, None, lines);
        self.name_credited(snapshot, before, &mut draft)?;
        Ok(Planned { after, draft: Some(draft), charged_by: None, kind: "cancelled", detail })
    }

    pub(super) fn plan_resumption(
        &self,
        snapshot: &Snapshot<'_>,
        details: &Details,
        before: &Subscription,
    ) -> Result<Planned> {
        let mut after = before.clone();
        match before.state {
            State::Cancelled => Err(not_now("this subscription has ended: begin a new one")),
            State::Paused => {
                after.state = State::Active;
                let today = details.today(snapshot.now());
                if before.period.is_some_and(|period| today < period.until) {
                    return Ok(Planned::without_document(after, "resumed", "Resumed within its period"));
                }
                let price = self.price(snapshot, before.price_id)?;
                let cycle = Cycle::beginning(today, price.interval, price.interval_count, None)?;
                (after.anchor, after.billing_day) = (cycle.anchor, cycle.billing_day);
                self.plan_period(
                    snapshot,
                    details,
                    after,
                    &price,
                    today,
                    ("resumed", "Resumed with a new period".into()),
                )
            }
            _ if before.cancel_at_end || before.next.is_some() => {
                (after.cancel_at_end, after.next) = (false, None);
                Ok(Planned::without_document(after, "resumed", "Goes on as it is"))
            }
            _ => Err(not_now("there is nothing to resume: it goes on as it is")),
        }
    }

    /// What is to be done on `day`, on which a trial or a period ends.
    pub(super) fn plan_step(
        &self,
        snapshot: &Snapshot<'_>,
        details: &Details,
        before: &Subscription,
        day: Date,
    ) -> Result<Planned> {
        let mut after = before.clone();
        if before.cancel_at_end {
            after.end(day);
            return Ok(Planned::without_document(after, "cancelled", "Ended with its period"));
        }
        let mut price = self.price(snapshot, before.price_id)?;
        if let Some((next, seats)) = before.next {
            let old = price;
            price = self.price(snapshot, next)?;
            (after.price_id, after.seats, after.next) = (next, seats, None);
            if (old.interval, old.interval_count) != (price.interval, price.interval_count) {
                let cycle = Cycle::beginning(day, price.interval, price.interval_count, None)?;
                (after.anchor, after.billing_day) = (cycle.anchor, cycle.billing_day);
            }
        }
        let said = match before.state {
            State::Trial => ("started", "The trial has ended".to_owned()),
            _ => ("renewed", format!("Renewed with {} × {}", price.plan, after.seats)),
        };
        if before.state == State::Trial {
            after.state = State::Active;
        }
        self.plan_period(snapshot, details, after, &price, day, said)
    }

    fn price_of_plan(&self, snapshot: &Snapshot<'_>, details: &Details, plan: &str) -> Result<Price> {
        let currency = details.account.currency;
        let found = snapshot.tables(Owner(())).find_active_price(plan, currency)?;
        let price = found.ok_or_else(|| {
            Error::invalid(
                "plan",
                format!("there is no price of this plan in {currency}, in which the account is billed"),
            )
        })?;
        match self.product(snapshot, price.product_id)?.is_active {
            true => Ok(price),
            false => Err(Error::invalid("plan", "this product is not sold any more")),
        }
    }

    /// How a price is taxed for an account: by the rate that the account has of its own, else by the price's. Where that is
    /// of another country than the account, a business with a tax id has the reverse-charge rate, and anybody else the rate
    /// of their country, if we have such.
    fn rate_of(&self, snapshot: &Snapshot<'_>, details: &Details, price: &Price) -> Result<TaxRate> {
        let id = details.tax_rate_id.or(price.tax_rate_id).ok_or_else(|| {
            Error::invalid(
                "plan",
                "neither its price nor the account has a tax rate: give one of them one, exempt where no tax is due",
            )
        })?;
        let rate = self.tax_rate(snapshot, id)?;
        let abroad = details
            .address
            .country
            .as_deref()
            .filter(|theirs| rate.country.as_deref().is_some_and(|ours| ours != *theirs));
        let Some(country) = abroad.filter(|_| details.tax_rate_id.is_none()) else { return Ok(rate) };
        let category = match &details.tax_id {
            Some(_) => TaxCategory::ReverseCharge,
            None => TaxCategory::Standard,
        };
        let theirs = snapshot.tables(Owner(())).find_rate_of_country(country, category, rate.is_inclusive)?;
        Ok(theirs.unwrap_or(rate))
    }

    /// What the subscription's period was charged by; none where that was not charged, or is void or given up.
    fn charge_of(&self, snapshot: &Snapshot<'_>, subscription: &Subscription) -> Result<Option<Charge>> {
        let Some((id, position)) = subscription.charge else { return Ok(None) };
        let invoice = self.invoice(snapshot, id)?;
        if matches!(invoice.state, InvoiceState::Void | InvoiceState::Uncollectible | InvoiceState::Draft) {
            return Ok(None);
        }
        let found = snapshot.tables(Owner(())).find_line(id, position)?;
        let own = found.ok_or_else(|| Error::Internal(format!("{} has no line {position}", invoice.label())))?;
        let amount_minor = match invoice.kind {
            // What staff have credited of it since is not given back once more.
            Kind::Invoice if invoice.credited_minor > 0 => {
                let left = Decimal::from(invoice.gross_minor - invoice.credited_minor);
                money::round(Decimal::from(own.line.amount_minor) * left / Decimal::from(invoice.gross_minor))?
            }
            Kind::Invoice => own.line.amount_minor,
            Kind::CreditNote => -own.line.amount_minor,
        };
        Ok((amount_minor > 0).then_some(Charge { invoice: id, own, amount_minor }))
    }

    /// Says in a credit note which invoice it credits, where that much is left of one.
    fn name_credited(&self, snapshot: &Snapshot<'_>, before: &Subscription, draft: &mut Draft) -> Result<()> {
        if let (Kind::CreditNote, Some((id, _))) = (draft.kind, before.charge) {
            let invoice = self.invoice(snapshot, id)?;
            let mut lines: Vec<_> = draft.lines.iter().map(|own| own.line.clone()).collect();
            let gross = crate::modules::billing::invoices::totals::add_up(&mut lines, None)?.totals.gross_minor;
            let fits = gross <= invoice.gross_minor - invoice.credited_minor;
            draft.credits = (invoice.kind == Kind::Invoice && fits).then_some(id);
        }
        Ok(())
    }
}

fn draft_of(
    details: &Details,
    after: &Subscription,
    kind: Kind,
    run_key: Option<String>,
    lines: Vec<OwnLine>,
) -> Draft {
    Draft {
        kind,
        user_id: after.user_id,
        subscription_id: Some(after.id),
        credits: None,
        run_key,
        currency: details.account.currency,
        discount: None,
        note: None,
        lines,
    }
}

fn check_seats(seats: u32) -> Result<()> {
    match (1..=MAX_SEATS).contains(&seats) {
        true => Ok(()),
        false => Err(Error::invalid("seats", format!("from 1 to {MAX_SEATS}"))),
    }
}
