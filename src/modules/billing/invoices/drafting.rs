//! Invoices and credit notes that staff write by hand.

use rust_decimal::Decimal;
use serde::Deserialize;

use super::document::{Kind, Line, Period, Tax};
use super::model::{Draft, Invoice, InvoiceId, Issued, OwnLine, State};
use super::totals::{self, WantedDiscount};
use super::{InvoiceRepository, not_now};
use crate::modules::billing::{Billing, Owner};
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::ids::UserId;
use crate::platform::money::{self, Currency, MAX_MINOR, Money};
use crate::platform::text;

/// Decimals of a quantity: as many as the parts of a period have.
const QUANTITY_DECIMALS: u32 = 9;
/// Decimals of a unit price beyond the minor unit.
const PRICE_DECIMALS: u32 = 4;
const PERCENT_DECIMALS: u32 = 4;
const MAX_QUANTITY: i64 = 1_000_000_000;
const MAX_LINE: usize = 200;
const MAX_NOTE: usize = 2000;
/// What a line is for begins and ends in these years.
const YEARS: std::ops::RangeInclusive<i16> = 2000..=2199;
/// Days of a line's period, at most: ten years.
const MAX_PERIOD_DAYS: i32 = 3653;

/// What an invoice is to say.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InvoiceContent)]
pub struct Content {
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Vec<NewLine>,
    pub discount: Option<NewDiscount>,
    /// For the buyer.
    #[schema(max_length = 2000)]
    pub note: Option<String>,
}

#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewInvoiceLine)]
pub struct NewLine {
    #[schema(min_length = 1, max_length = 200, example = "Training, one day")]
    pub description: String,
    /// With up to 9 decimals; negative for what is given back within the invoice.
    #[serde(default = "one")]
    #[schema(value_type = String, default = "1", example = "1.5")]
    pub quantity: Decimal,
    /// In minor units of the account's currency, with up to 4 decimals; with tax where the rate is inclusive.
    #[schema(value_type = String, example = "90000")]
    pub unit_price_minor: Decimal,
    #[schema(value_type = String, format = Uuid)]
    pub tax_rate_id: String,
    /// What it is for, so that its revenue is recognised day by day; earned at once where there is none.
    pub period: Option<Period>,
}

fn one() -> Decimal {
    Decimal::ONE
}

/// Off the whole document: either a part of it, or an amount.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewInvoiceDiscount)]
pub struct NewDiscount {
    #[schema(min_length = 1, max_length = 200, example = "Welcome")]
    pub reason: String,
    /// With up to 4 decimals.
    #[schema(value_type = Option<String>, example = "10")]
    pub percent: Option<Decimal>,
    /// As the lines' amounts: with tax where their rates are inclusive.
    pub amount: Option<Money>,
}

/// What of an invoice is credited.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCreditNote {
    /// All of it where none are named, while nothing of it is credited.
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Option<Vec<CreditedLine>>,
    /// Why, for the buyer.
    #[schema(max_length = 2000)]
    pub note: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCreditNoteLine)]
pub struct CreditedLine {
    /// Of the invoice's line, from 1.
    #[schema(minimum = 1)]
    pub position: u32,
    /// As the line's: with tax where its rate is inclusive.
    pub amount: Money,
}

impl NewLine {
    /// As a line that is taxed so.
    fn parse(self, tax: Tax) -> Result<Line> {
        let description = text::line("description", &self.description, MAX_LINE)?;
        let quantity = self.quantity.normalize();
        if quantity.is_zero() || quantity.abs() > Decimal::from(MAX_QUANTITY) || quantity.scale() > QUANTITY_DECIMALS {
            return Err(Error::invalid("quantity", "not 0, with up to 9 decimals, and at most 1,000,000,000"));
        }
        let price = self.unit_price_minor.normalize();
        if price < Decimal::ZERO || price > Decimal::from(MAX_MINOR) || price.scale() > PRICE_DECIMALS {
            return Err(Error::invalid("unit_price_minor", "not negative, with up to 4 decimals of the minor unit"));
        }
        if let Some(period) = self.period {
            let within = YEARS.contains(&period.from.year()) && YEARS.contains(&period.until.year());
            if !within || !(1..=MAX_PERIOD_DAYS).contains(&period.days()) {
                return Err(Error::invalid("period", "from a day up to, and without, a later one, ten years at most"));
            }
        }
        let mut line = Line::priced(description, quantity, price, tax)?;
        line.period = self.period;
        Ok(line)
    }
}

impl NewDiscount {
    fn parse(self, currency: Currency) -> Result<WantedDiscount> {
        let reason = text::line("discount.reason", &self.reason, MAX_LINE)?;
        if self.percent.is_some_and(|percent| percent.normalize().scale() > PERCENT_DECIMALS) {
            return Err(Error::invalid("discount.percent", "with up to 4 decimals"));
        }
        if self.amount.is_some_and(|amount| amount.currency != currency) {
            return Err(Error::invalid("discount.amount.currency", format!("this account is billed in {currency}")));
        }
        Ok(WantedDiscount {
            reason,
            percent: self.percent,
            amount_minor: self.amount.map(|amount| amount.amount_minor),
        })
    }
}

fn note(typed: Option<String>) -> Result<Option<String>> {
    let typed = typed.map(|typed| text::paragraph("note", &typed, MAX_NOTE)).transpose()?;
    Ok(typed.filter(|text| !text.is_empty()))
}

/// Says of which line the wrong fields are.
fn in_line(n: usize, error: Error) -> Error {
    match error {
        Error::Invalid(fields) => {
            let named = |wrong: FieldError| FieldError::new(format!("lines[{n}].{}", wrong.field), wrong.detail);
            Error::Invalid(fields.into_iter().map(named).collect())
        }
        other => other,
    }
}

impl Billing {
    /// The draft of an invoice to `user`, of what staff have written.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the account is closed.
    pub fn write_draft(&self, snapshot: &Snapshot<'_>, user: UserId, content: Content) -> Result<Draft> {
        let details = self.details(snapshot, user)?;
        if details.closed_at.is_some() {
            return Err(Error::conflict("user_id", "this account is closed: nothing more is invoiced to it"));
        }
        let currency = details.account.currency;
        let lines = content.lines.into_iter().enumerate().map(|(n, new)| {
            let rate = self.usable_tax_rate(snapshot, &new.tax_rate_id).map_err(|error| in_line(n, error))?;
            let line = new.parse(rate.tax()).map_err(|error| in_line(n, error))?;
            Ok(OwnLine { line, tax_rate_id: rate.id, plan: None })
        });
        Ok(Draft {
            kind: Kind::Invoice,
            user_id: user,
            subscription_id: None,
            credits: None,
            run_key: None,
            currency,
            lines: lines.collect::<Result<_>>()?,
            discount: content.discount.map(|discount| discount.parse(currency)).transpose()?,
            note: note(content.note)?,
        })
    }

    /// Credits an invoice, or lines of it, by a credit note that has its number at once.
    ///
    /// # Errors
    /// [`Error::Conflict`] unless it is open or paid, and that much of it is left: of the whole, and of each tax rate.
    pub fn credit_invoice(
        &self,
        work: &UnitOfWork<'_>,
        id: InvoiceId,
        new: NewCreditNote,
        check: impl FnOnce(&Invoice) -> Result<()>,
    ) -> Result<Issued> {
        let invoice = self.invoice(work, id)?;
        check(&invoice)?;
        if invoice.kind != Kind::Invoice || !matches!(invoice.state, State::Open | State::Paid) {
            let (label, state) = (invoice.label(), invoice.state.as_str());
            return Err(not_now(format!("{label} is {state}: only an invoice that is open or paid can be credited")));
        }
        let own = self.invoice_lines(work, id)?;
        let (lines, discount) = match new.lines {
            Some(wanted) => (credited_lines(&own, wanted, invoice.currency)?, None),
            // The mirror of all that it says.
            None if invoice.credited_minor == 0 => (own, invoice.discount.clone()),
            None => return Err(not_now("a part of it is credited already: say which lines, and how much of each")),
        };
        self.must_be_left(work, &invoice, &lines, discount.as_ref())?;
        let draft = Draft {
            kind: Kind::CreditNote,
            user_id: invoice.user_id,
            subscription_id: invoice.subscription_id,
            credits: Some(id),
            run_key: None,
            currency: invoice.currency,
            discount,
            note: note(new.note)?,
            lines,
        };
        let mut details = self.details(work, invoice.user_id)?;
        self.issue(work, work.new_id(), &mut details, draft)
    }

    /// The credit notes of an invoice, oldest first.
    pub fn credit_notes_of(&self, snapshot: &Snapshot<'_>, id: InvoiceId) -> Result<Vec<InvoiceId>> {
        snapshot.tables(Owner(())).list_credit_notes(id)
    }

    /// Refuses what is more than is left of a tax rate: what is due to the tax office must not go below nothing.
    fn must_be_left(
        &self,
        snapshot: &Snapshot<'_>,
        invoice: &Invoice,
        lines: &[OwnLine],
        discount: Option<&WantedDiscount>,
    ) -> Result<()> {
        let issued = |id| self.document(snapshot, id)?.ok_or_else(|| Error::Internal("a number without words".into()));
        let mut left = issued(invoice.id)?.taxes;
        for note in self.credit_notes_of(snapshot, invoice.id)? {
            for sum in issued(note)?.taxes {
                left.iter_mut().filter(|of| of.tax == sum.tax).for_each(|of| of.net_minor -= sum.net_minor);
            }
        }
        let mut lines: Vec<Line> = lines.iter().map(|own| own.line.clone()).collect();
        for sum in totals::add_up(&mut lines, discount)?.taxes {
            let of_rate = money::sum(left.iter().filter(|of| of.tax == sum.tax).map(|of| of.net_minor))?;
            if sum.net_minor > of_rate {
                let (rate, left) = (sum.tax.label(), Money::new(of_rate.max(0), invoice.currency));
                return Err(Error::conflict(
                    "lines",
                    format!("of what is taxed at {rate} only {left} net is left of {}", invoice.label()),
                ));
            }
        }
        Ok(())
    }
}

/// The parts of an invoice's lines that are credited.
fn credited_lines(own: &[OwnLine], wanted: Vec<CreditedLine>, currency: Currency) -> Result<Vec<OwnLine>> {
    let credited = wanted.into_iter().map(|CreditedLine { position, amount }| {
        let of = (position as usize).checked_sub(1).and_then(|index| own.get(index));
        let of = of.ok_or_else(|| Error::invalid("position", "the invoice has no such line"))?;
        if amount.currency != currency {
            return Err(Error::invalid("amount.currency", format!("the invoice is in {currency}")));
        }
        let most = of.line.amount_minor;
        if !(1..=most.max(1)).contains(&amount.amount_minor) || most < 1 {
            return Err(Error::invalid("amount.amount_minor", format!("from 1 to {most}, which is what it came to")));
        }
        if amount.amount_minor == most {
            return Ok(of.clone());
        }
        let Line { description, tax, period, .. } = of.line.clone();
        let mut line = Line::priced(description, Decimal::ONE, Decimal::from(amount.amount_minor), tax)?;
        line.period = period;
        Ok(OwnLine { line, ..of.clone() })
    });
    credited.enumerate().map(|(n, line)| line.map_err(|error| in_line(n, error))).collect()
}
