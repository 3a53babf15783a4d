//! A subscription, and what its periods and changes cost. Pure.

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::modules::billing::calendar::{self, Cycle};
use crate::modules::billing::catalogue::{Price, PriceId, TaxRate};
use crate::modules::billing::invoices::document::{Kind, Line, Period};
use crate::modules::billing::invoices::{InvoiceId, OwnLine};
use crate::modules::billing::languages::Words;
use crate::platform::clock::Time;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{Id, UserId};

pub type SubscriptionId = Id<Subscription>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SubscriptionState)]
pub enum State {
    /// It costs nothing yet.
    Trial,
    Active,
    /// An invoice of it is overdue; it goes on.
    PastDue,
    /// Nothing is billed until it is resumed.
    Paused,
    Cancelled,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Trial => "trial",
            State::Active => "active",
            State::PastDue => "past_due",
            State::Paused => "paused",
            State::Cancelled => "cancelled",
        }
    }

    /// Whether it brings in money month by month.
    pub fn is_recurring(self) -> bool {
        matches!(self, State::Active | State::PastDue)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    pub id: SubscriptionId,
    pub user_id: UserId,
    pub price_id: PriceId,
    pub seats: u32,
    pub state: State,
    pub billing_day: i8,
    /// A day on which a whole period begins.
    pub anchor: Date,
    pub started_on: Date,
    /// The first day that costs, of those with a trial.
    pub trial_until: Option<Date>,
    /// What is billed now.
    pub period: Option<Period>,
    /// The line by which that period was charged.
    pub charge: Option<(InvoiceId, u32)>,
    pub cancel_at_end: bool,
    /// From the end of the period on.
    pub next: Option<(PriceId, u32)>,
    pub ended_on: Option<Date>,
    /// When there is something to do.
    pub due_at: Option<Time>,
    pub version: i64,
    pub created_at: Time,
    pub updated_at: Time,
}

/// What a subscription was charged for the period it is in.
#[derive(Debug, Clone, PartialEq)]
pub struct Charge {
    pub invoice: InvoiceId,
    pub own: OwnLine,
    /// Less than what the line says where that was on a credit note.
    pub amount_minor: i64,
}

impl Subscription {
    pub fn cycle(&self, price: &Price) -> Cycle {
        Cycle { unit: price.interval, count: price.interval_count, anchor: self.anchor, billing_day: self.billing_day }
    }

    /// The day on which there is something to do next; none while it is paused or cancelled.
    pub fn next_day(&self) -> Option<Date> {
        match self.state {
            State::Trial => self.trial_until,
            State::Active | State::PastDue => self.period.map(|period| period.until),
            State::Paused | State::Cancelled => None,
        }
    }

    /// Ends it; nothing is billed any more.
    pub fn end(&mut self, day: Date) {
        (self.state, self.ended_on, self.next) = (State::Cancelled, Some(day), None);
    }
}

/// The line for `[from, until)` of a period of `cycle`, by days where that is a part of it.
pub fn charge_line(
    product: &str,
    price: &Price,
    seats: u32,
    rate: &TaxRate,
    cycle: &Cycle,
    (from, until): (Date, Date),
    words: &Words,
) -> Result<OwnLine> {
    let whole = cycle.around(from)?;
    let is_whole = (from, until) == (whole.from, whole.until);
    let ratio = if is_whole { Decimal::ONE } else { whole.ratio(from, until) };
    let mut description = product.to_owned();
    if price.is_per_seat {
        description += &format!(", {}", (words.document.seats)(seats));
    }
    if !is_whole {
        description += &format!(" ({})", (words.document.part_of_days)(calendar::days(from, until), whole.days()));
    }
    let quantity = (price.quantity(seats) * ratio).normalize();
    let mut line = Line::priced(description, quantity, price.unit_price_minor, rate.tax())?;
    line.period = Some(Period { from, until });
    Ok(OwnLine { line, tax_rate_id: rate.id, plan: Some(price.plan.clone()) })
}

/// The line that gives back what was charged for the days from `from` on; none where nothing is left.
///
/// It is made from what was really charged, and never more than that.
pub fn unused_line(charge: &Charge, from: Date, words: &Words) -> Result<Option<OwnLine>> {
    let Some(period) = charge.own.line.period.filter(|period| from < period.until) else { return Ok(None) };
    let from = from.max(period.from);
    let ratio = period.ratio(from, period.until);
    let description = (words.document.unused)(&charge.own.line.description);
    let quantity = -ratio.normalize();
    let mut line =
        Line::priced(description, quantity, Decimal::from(charge.amount_minor), charge.own.line.tax.clone())?;
    line.period = Some(Period { from, until: period.until });
    Ok((line.amount_minor != 0).then(|| OwnLine { line, ..charge.own.clone() }))
}

/// Turns what is charged into what is given back, and back.
pub fn mirrored(own: OwnLine) -> OwnLine {
    let mut line = own.line;
    line.quantity = -line.quantity;
    line.amount_minor = -line.amount_minor;
    line.net_minor = -line.net_minor;
    OwnLine { line, ..own }
}

/// Whether lines are an invoice or, where they give back more than they charge, a credit note of mirrored lines.
pub fn as_document(lines: Vec<OwnLine>) -> Result<(Kind, Vec<OwnLine>)> {
    let mut sums: Vec<Line> = lines.iter().map(|own| own.line.clone()).collect();
    let totals = crate::modules::billing::invoices::totals::add_up(&mut sums, None)?.totals;
    Ok(match totals.gross_minor < 0 {
        false => (Kind::Invoice, lines),
        true => (Kind::CreditNote, lines.into_iter().map(mirrored).collect()),
    })
}

/// What is wanted of a new subscription.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSubscription {
    /// Whose it will be.
    #[schema(value_type = String, format = Uuid)]
    pub user_id: String,
    /// The active price of this plan in the account's currency.
    #[schema(example = "team-monthly")]
    pub plan: String,
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub seats: u32,
    /// Of months and years: the day on which periods begin; the one on which it starts where none is said.
    #[schema(minimum = 1, maximum = 31)]
    pub billing_day: Option<i8>,
    /// Instead of the price's.
    #[schema(maximum = 730)]
    pub trial_days: Option<u16>,
}

fn one() -> u32 {
    1
}

/// What is wanted of a subscription that there is.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionChange {
    /// The active price of another plan; the price stays where none is named.
    pub plan: Option<String>,
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub seats: Option<u32>,
    #[serde(default)]
    pub when: When,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SubscriptionChangeTime)]
pub enum When {
    /// At once; what is unused is credited, what is new is charged, both by days.
    #[default]
    Now,
    /// From the end of the period on.
    PeriodEnd,
}

#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancellation {
    #[serde(default = "at_period_end")]
    pub when: When,
    /// Whether what is unused is credited, where it ends now.
    #[serde(default)]
    pub credit: bool,
}

fn at_period_end() -> When {
    When::PeriodEnd
}

/// The error of what can't be done in the state that a subscription is in.
pub fn not_now(why: impl Into<String>) -> Error {
    Error::conflict("state", why)
}

/// Something that happened to a subscription.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub at: Time,
    pub day: Date,
    pub kind: String,
    /// For people.
    pub detail: String,
    pub currency: crate::platform::money::Currency,
    /// What it did to the monthly recurring revenue.
    pub movement: Option<Movement>,
    pub mrr_delta_minor: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = MrrMovement)]
pub enum Movement {
    New,
    Expansion,
    Contraction,
    Churn,
}

impl Movement {
    pub fn as_str(self) -> &'static str {
        match self {
            Movement::New => "new",
            Movement::Expansion => "expansion",
            Movement::Contraction => "contraction",
            Movement::Churn => "churn",
        }
    }

    /// What a step from `before` to `after` a month is.
    pub fn of(before_minor: i64, after_minor: i64) -> Option<Movement> {
        match (before_minor, after_minor) {
            (before, after) if before == after => None,
            (0, _) => Some(Movement::New),
            (_, 0) => Some(Movement::Churn),
            (before, after) if before < after => Some(Movement::Expansion),
            _ => Some(Movement::Contraction),
        }
    }
}
