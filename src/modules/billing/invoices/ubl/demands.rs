//! What EN 16931 demands of a document, held against it before a byte is written.

use rust_decimal::Decimal;

use super::super::document::{Document, Kind, Party, Period, TaxCategory};
use super::figures::{Group, Rate, amount, groups, price_of};
use super::xml::clean;
use crate::modules::billing::catalogue::{is_country, is_vat_prefix};
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::money::sum;

/// Codes of ISO 4217, most of them withdrawn, that the standard's list lacks (BR-CL-04).
const UNKNOWN_CURRENCIES: [&str; 7] = ["BGN", "CUC", "HRK", "SLL", "STN", "XAD", "ZWL"];

/// Names all at once that the document lacks or that the standard has no way to say.
///
/// # Errors
/// [`Error::Invalid`]; [`Error::Internal`] if the document contradicts itself.
pub fn check(document: &Document) -> Result<()> {
    let mut found = Found(Vec::new());
    found.head(document);
    found.seller(&document.seller);
    found.buyer(document);
    found.lines(document);
    found.discounts(document);
    found.rates(document);
    found.amounts(document);
    if found.0.is_empty() { adds_up(document) } else { Err(Error::Invalid(found.0)) }
}

struct Found(Vec<FieldError>);

impl Found {
    fn add(&mut self, field: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError::new(field, detail));
    }

    fn text(&mut self, field: impl Into<String>, text: &str) {
        if clean(text).is_empty() {
            self.add(field, "missing: an electronic invoice must have it");
        }
    }

    fn head(&mut self, document: &Document) {
        self.text("number", &document.number);
        let is_payable = document.kind == Kind::Invoice && document.totals.due_minor > 0;
        if is_payable && document.due_on.is_none() {
            self.add("due_on", "missing: an electronic invoice must say until when it is to be paid");
        }
        if UNKNOWN_CURRENCIES.contains(&document.currency.code()) {
            let detail = format!("{} is not in the list of electronic invoices", document.currency);
            self.add("currency", detail);
        }
        self.period("period", document.period);
        if let Some(bank) = document.bank.as_ref().filter(|_| document.kind == Kind::Invoice) {
            self.text("bank.iban", &bank.iban);
        }
        if let Some(invoice) = &document.credits {
            self.text("credits.number", &invoice.number);
        }
    }

    fn period(&mut self, field: impl Into<String>, period: Option<Period>) {
        if period.is_some_and(|period| period.until <= period.from) {
            self.add(field, "has no day in it");
        }
    }

    fn seller(&mut self, seller: &Party) {
        self.party("seller", seller);
        let numbers = [&seller.tax_id, &seller.tax_number];
        if numbers.into_iter().flatten().all(|number| clean(number).is_empty()) {
            self.add(
                "seller.tax_id",
                "missing: a VAT identifier, or else a tax number, must be on an electronic invoice",
            );
        }
    }

    fn buyer(&mut self, document: &Document) {
        self.party("buyer", &document.buyer);
        let is_reverse = document.taxes.iter().any(|sum| sum.tax.category == TaxCategory::ReverseCharge);
        if is_reverse && document.buyer.tax_id.as_deref().is_none_or(|id| clean(id).is_empty()) {
            self.add("buyer.tax_id", "missing: with reverse charge the buyer's VAT identifier must be on the invoice");
        }
    }

    fn party(&mut self, who: &str, party: &Party) {
        self.text(format!("{who}.name"), &party.name);
        let country = party.address.country.as_deref().map(clean).unwrap_or_default();
        if country.is_empty() {
            self.add(format!("{who}.address.country"), "missing: an electronic invoice must have it");
        } else if !is_country(&country) {
            self.add(format!("{who}.address.country"), "no ISO 3166 code: write it like DE");
        }
        let vat = party.tax_id.as_deref().map(clean).unwrap_or_default();
        let prefix: String = vat.chars().take(2).collect();
        if !vat.is_empty() && !is_vat_prefix(&prefix) {
            self.add(format!("{who}.tax_id"), "begins with no country's code: write it like DE123456789");
        }
    }

    fn lines(&mut self, document: &Document) {
        if document.lines.is_empty() {
            self.add("lines", "missing: an electronic invoice must have one");
        }
        for (n, line) in document.lines.iter().enumerate() {
            self.text(format!("lines[{n}].description"), &line.description);
            self.period(format!("lines[{n}].period"), line.period);
            if price_of(line, document.currency).is_none() {
                self.add(format!("lines[{n}].quantity"), "no price times this quantity is the line's amount");
            }
        }
    }

    fn discounts(&mut self, document: &Document) {
        for (n, discount) in document.discounts.iter().enumerate() {
            self.text(format!("discounts[{n}].reason"), &discount.reason);
        }
    }

    fn rates(&mut self, document: &Document) {
        for (n, tax) in document.taxes.iter().map(|sum| &sum.tax).enumerate() {
            let is_standard = tax.category == TaxCategory::Standard;
            if is_standard != (tax.percent > Decimal::ZERO) {
                self.add(format!("taxes[{n}].tax.percent"), "standard rates are above zero, and all others are zero");
            }
            let says_why = tax.note.as_deref().is_some_and(|note| !clean(note).is_empty());
            if tax.category == TaxCategory::Exempt && !says_why {
                self.add(format!("taxes[{n}].tax.note"), "missing: an exempt rate must say why there is no tax");
            }
        }
        for group in groups(document).iter().filter(|group| !is_near(group, document)) {
            let Rate { percent, .. } = group.rate;
            let detail = format!("{percent} % of it is too far from the tax for an electronic invoice");
            self.add("totals.tax_minor", detail);
        }
    }

    fn amounts(&mut self, document: &Document) {
        let totals = &document.totals;
        let lines = document.lines.iter().map(|line| line.net_minor);
        let discounts = document.discounts.iter().map(|discount| discount.net_minor);
        let taxes = document.taxes.iter().flat_map(|sum| [sum.net_minor, sum.tax_minor]);
        let mut all = lines.chain(discounts).chain(taxes).chain([totals.prepaid_minor, totals.due_minor]);
        if all.any(|minor| amount(minor, document.currency).is_none()) {
            let detail = "electronic invoices have amounts of at most two decimals, and this one has more";
            self.add("currency", detail);
        }
    }
}

/// Whether the tax is what the validators take for the rate of the net: less than one major unit off (BR-CO-17).
fn is_near(group: &Group, document: &Document) -> bool {
    let (Some(net), Some(tax)) =
        (amount(group.net_minor, document.currency), amount(group.tax_minor, document.currency))
    else {
        return true;
    };
    let Rate { category, percent } = group.rate;
    let is_none = category != TaxCategory::Standard || percent < Decimal::new(5, 1);
    if is_none {
        return tax.abs() < Decimal::new(5, 1);
    }
    let due = net.abs().checked_mul(percent / Decimal::ONE_HUNDRED);
    due.is_some_and(|due| (due.round_dp(2) - tax.abs()).abs() < Decimal::new(99, 2))
}

/// # Errors
/// [`Error::Internal`] where a sum is not that of its parts.
fn adds_up(document: &Document) -> Result<()> {
    let totals = &document.totals;
    let lines = sum(document.lines.iter().map(|line| line.net_minor))?;
    let discounts = sum(document.discounts.iter().map(|discount| discount.net_minor))?;
    let taxes = sum(document.taxes.iter().map(|sum| sum.tax_minor))?;
    let of = |rate: Rate| -> Result<i64> {
        let lines = document.lines.iter().filter(|line| Rate::of(&line.tax) == rate).map(|line| line.net_minor);
        let discounts = document.discounts.iter().filter(|discount| Rate::of(&discount.tax) == rate);
        sum(lines.chain(discounts.map(|discount| -discount.net_minor)))
    };
    let groups = groups(document);
    let mut wrong = Vec::new();
    for group in &groups {
        if of(group.rate)? != group.net_minor {
            wrong.push(format!("the net of {} {} %", group.rate.category.code(), group.rate.percent));
        }
    }
    let rates = document.lines.iter().map(|line| &line.tax).chain(document.discounts.iter().map(|part| &part.tax));
    for rate in rates.map(Rate::of).filter(|rate| !groups.iter().any(|group| group.rate == *rate)) {
        wrong.push(format!("{} {} %, which has no sum", rate.category.code(), rate.percent));
    }
    let sums = [
        ("the lines", totals.lines_net_minor, lines),
        ("the discounts", totals.discount_net_minor, discounts),
        ("the net", totals.net_minor, lines - discounts),
        ("the tax", totals.tax_minor, taxes),
        ("the gross", totals.gross_minor, totals.net_minor.saturating_add(totals.tax_minor)),
        ("what is due", totals.due_minor, totals.gross_minor.saturating_sub(totals.prepaid_minor)),
    ];
    wrong.extend(sums.into_iter().filter(|(_, said, right)| said != right).map(|(what, ..)| what.to_owned()));
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Error::internal(&format!("adding up {}", document.number), format!("wrong is {}", wrong.join(", "))))
}
