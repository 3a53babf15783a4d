//! Revenue: recognised by day over the period that is served.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::document::Period;
use super::model::InvoiceId;
use super::{Deferral, InvoiceRepository, OwnLine};
use crate::modules::billing::ledger::{Account, Cause, Posting};
use crate::modules::billing::{Billing, Owner};
use crate::platform::db::UnitOfWork;
use crate::platform::error::Result;
use crate::platform::money::{self, Currency, share_out};

/// Lines that are recognised in one unit of work, so that nobody waits for it.
const AT_ONCE: u32 = 100;

impl Deferral {
    /// How much of it is of the days before `today`.
    fn earned(&self, today: Date) -> Result<i64> {
        let Period { from, until } = self.period;
        money::round(Decimal::from(self.amount_minor) * self.period.ratio(from, today.clamp(from, until)))
    }
}

/// What of each line is revenue: its net, less its part of its rate's discount.
pub(super) fn revenue_of(lines: &[OwnLine], discounts: &[super::document::Discount]) -> Vec<i64> {
    let mut revenue: Vec<i64> = lines.iter().map(|own| own.line.net_minor).collect();
    for discount in discounts {
        let of_rate = |own: &OwnLine| own.line.tax == discount.tax;
        let weights: Vec<i64> = lines.iter().map(|own| if of_rate(own) { own.line.net_minor } else { 0 }).collect();
        for (revenue, part) in revenue.iter_mut().zip(share_out(discount.net_minor, &weights)) {
            *revenue -= part;
        }
    }
    revenue
}

impl Billing {
    /// Notes the revenue of an invoice's lines (of a credit note with `sign` −1): what has a period is deferred, the rest is
    /// earned on `day`. Returns what is deferred and what is earned.
    pub(super) fn note_revenue(
        &self,
        work: &UnitOfWork<'_>,
        (invoice, currency, day): (InvoiceId, Currency, Date),
        lines: &[OwnLine],
        revenue: &[i64],
        sign: i64,
    ) -> Result<(i64, i64)> {
        let tables = work.tables(Owner(()));
        let (mut deferred, mut earned) = (0, 0);
        for ((position, own), net) in (1..).zip(lines).zip(revenue) {
            let amount_minor = net * sign;
            match own.line.period.filter(|period| period.until > day && period.days() > 0) {
                _ if amount_minor == 0 => {}
                Some(period) => {
                    let plan = own.plan.clone();
                    tables.insert_deferral(&Deferral {
                        invoice,
                        position,
                        currency,
                        plan,
                        period,
                        amount_minor,
                        recognized_minor: 0,
                    })?;
                    deferred += amount_minor;
                }
                None => {
                    self.note_earned(work, currency, own.plan.as_deref(), day, amount_minor)?;
                    earned += amount_minor;
                }
            }
        }
        Ok((deferred, earned))
    }

    fn note_earned(
        &self,
        work: &UnitOfWork<'_>,
        currency: Currency,
        plan: Option<&str>,
        day: Date,
        amount_minor: i64,
    ) -> Result<()> {
        let month = day.strftime("%Y-%m").to_string();
        work.tables(Owner(())).add_revenue(currency, plan.unwrap_or_default(), &month, amount_minor)
    }

    /// Recognises what has been earned by days before `today`; returns how many lines there were, of which there may be more.
    pub(in crate::modules::billing) fn recognize(&self, work: &UnitOfWork<'_>, today: Date) -> Result<usize> {
        let due = work.tables(Owner(())).list_due_deferrals(today, AT_ONCE)?;
        // One entry for each currency and month: what is late is earned in the month it was served in.
        let mut earned: BTreeMap<(Currency, Date), i64> = BTreeMap::new();
        let mut by_plan: BTreeMap<(Currency, Option<&str>, Date), i64> = BTreeMap::new();
        for deferral in &due {
            let mut now = deferral.clone();
            let mut from = deferral.period.from;
            while from < today && from < deferral.period.until {
                let next_month = from.last_of_month().tomorrow().unwrap_or(Date::MAX);
                let until = next_month.min(today).min(deferral.period.until);
                let so_far = deferral.earned(until)?;
                let amount = so_far - now.recognized_minor;
                // Months before the last time are behind: nothing of them is left.
                if amount != 0 && so_far.abs() > deferral.recognized_minor.abs() {
                    let day = until.yesterday().unwrap_or(from);
                    *earned.entry((deferral.currency, day)).or_default() += amount;
                    let of_month = (deferral.currency, deferral.plan.as_deref(), day.first_of_month());
                    *by_plan.entry(of_month).or_default() += amount;
                    now.recognized_minor += amount;
                }
                from = until;
            }
            let next = (today < deferral.period.until).then_some(today);
            work.tables(Owner(())).update_deferral(&now, next)?;
        }
        for ((currency, plan, month), amount) in by_plan {
            self.note_earned(work, currency, plan, month, amount)?;
        }
        for ((currency, day), amount) in earned {
            let posting = Posting::new(currency, day, Cause::Recognition, format!("revenue up to {day}"))
                .debit(Account::DeferredRevenue, amount)
                .credit(Account::Revenue, amount);
            self.post(work, &posting)?;
        }
        Ok(due.len())
    }

    /// Takes back the revenue of an invoice that is void: returns what had been earned of it, and what had not.
    pub(super) fn take_back_revenue(
        &self,
        work: &UnitOfWork<'_>,
        (invoice, currency, day): (InvoiceId, Currency, Date),
        lines: &[OwnLine],
        revenue: &[i64],
    ) -> Result<(i64, i64)> {
        let tables = work.tables(Owner(()));
        let mut deferrals = tables.list_deferrals(invoice)?;
        let (mut earned, mut open) = (0, 0);
        for ((position, own), net) in (1..).zip(lines).zip(revenue) {
            // What had no days to come was earned at once; of the rest, what was recognised since.
            let of_line = match deferrals.iter_mut().find(|deferral| deferral.position == position) {
                None => *net,
                Some(deferral) => {
                    open += deferral.amount_minor - deferral.recognized_minor;
                    deferral.amount_minor = deferral.recognized_minor;
                    tables.update_deferral(deferral, None)?;
                    deferral.recognized_minor
                }
            };
            earned += of_line;
            if of_line != 0 {
                self.note_earned(work, currency, own.plan.as_deref(), day, -of_line)?;
            }
        }
        Ok((earned, open))
    }
}
