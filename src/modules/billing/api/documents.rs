//! What an invoice or a credit note says, with its amounts as money.

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::modules::billing::invoices::document::{
    BankAccount, Document, Kind, Line, Party, Period, Preceding, Tax, TaxSum, Totals,
};
use crate::modules::billing::languages::Language;
use crate::platform::money::{Currency, Money};

/// What an invoice or a credit note says; of a draft or a preview, what it would.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = InvoiceDocument)]
pub(super) struct DocumentView {
    kind: Kind,
    /// What it is said in, on paper and on its page; null of those from before documents had one, which are in English.
    language: Option<Language>,
    /// Null before it is finalised.
    #[schema(example = "INV-2026-000001")]
    number: Option<String>,
    #[schema(value_type = String, format = Date, example = "2026-11-25")]
    issued_on: Date,
    #[schema(value_type = Option<String>, format = Date, example = "2026-12-09")]
    due_on: Option<Date>,
    seller: Party,
    buyer: Party,
    bank: Option<BankAccount>,
    /// The invoice that a credit note credits.
    credits: Option<Preceding>,
    period: Option<Period>,
    note: Option<String>,
    lines: Vec<LineView>,
    /// Of the whole document, one part for each tax rate.
    discounts: Vec<DiscountView>,
    /// One sum for each tax rate.
    taxes: Vec<TaxView>,
    totals: TotalsView,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = InvoiceLine)]
struct LineView {
    /// From 1.
    position: u32,
    #[schema(example = "Team, 3 seats")]
    description: String,
    #[schema(value_type = String, example = "3")]
    quantity: Decimal,
    /// In minor units, with up to 4 decimals; with tax where the rate is inclusive.
    #[schema(value_type = String, example = "1999")]
    unit_price_minor: Decimal,
    /// With tax where the rate is inclusive.
    amount: Money,
    /// Without tax.
    net: Money,
    tax: Tax,
    period: Option<Period>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = InvoiceDiscountPart)]
struct DiscountView {
    reason: String,
    /// With tax where the rate is inclusive.
    amount: Money,
    /// Without tax.
    net: Money,
    tax: Tax,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = InvoiceTaxSum)]
struct TaxView {
    rate: Tax,
    /// What is taxed.
    net: Money,
    tax: Money,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = InvoiceSums)]
struct TotalsView {
    /// All lines, without tax and before discounts.
    lines_net: Money,
    /// All discounts, without tax.
    discount_net: Money,
    net: Money,
    tax: Money,
    gross: Money,
    /// What the account's credit paid of it.
    prepaid: Money,
    /// What was left to pay when it was made.
    due: Money,
}

impl From<Document> for DocumentView {
    fn from(document: Document) -> DocumentView {
        let currency = document.currency;
        let money = |minor| Money::new(minor, currency);
        let discounts = document.discounts.into_iter().map(|part| DiscountView {
            reason: part.reason,
            amount: money(part.amount_minor),
            net: money(part.net_minor),
            tax: part.tax,
        });
        let sum = |one: TaxSum| TaxView { rate: one.tax, net: money(one.net_minor), tax: money(one.tax_minor) };
        DocumentView {
            kind: document.kind,
            language: document.language,
            number: Some(document.number).filter(|number| !number.is_empty()),
            issued_on: document.issued_on,
            due_on: document.due_on,
            seller: document.seller,
            buyer: document.buyer,
            bank: document.bank,
            credits: document.credits,
            period: document.period,
            note: document.note,
            lines: (1..).zip(document.lines).map(|(position, line)| line_view(position, line, currency)).collect(),
            discounts: discounts.collect(),
            taxes: document.taxes.into_iter().map(sum).collect(),
            totals: totals_view(document.totals, currency),
        }
    }
}

fn line_view(position: u32, line: Line, currency: Currency) -> LineView {
    LineView {
        position,
        description: line.description,
        quantity: line.quantity,
        unit_price_minor: line.unit_price_minor,
        amount: Money::new(line.amount_minor, currency),
        net: Money::new(line.net_minor, currency),
        tax: line.tax,
        period: line.period,
    }
}

fn totals_view(totals: Totals, currency: Currency) -> TotalsView {
    let money = |minor| Money::new(minor, currency);
    TotalsView {
        lines_net: money(totals.lines_net_minor),
        discount_net: money(totals.discount_net_minor),
        net: money(totals.net_minor),
        tax: money(totals.tax_minor),
        gross: money(totals.gross_minor),
        prepaid: money(totals.prepaid_minor),
        due: money(totals.due_minor),
    }
}
