//! A document: what an invoice or a credit note says from the moment it has its number, whole and for ever. The page,
//! the PDF and the XML are made of it alone. Pure.

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::modules::billing::languages::{Language, UNGROUPED, Words};
use crate::platform::money::Currency;

/// What a finalised invoice or credit note says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    pub kind: Kind,
    /// What it is said in; none of those from before documents had one, which stay as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    pub number: String,
    pub issued_on: Date,
    /// Of invoices.
    pub due_on: Option<Date>,
    pub currency: Currency,
    pub seller: Party,
    pub buyer: Party,
    /// Where the buyer is to pay to by transfer.
    pub bank: Option<BankAccount>,
    /// The invoice that a credit note credits.
    pub credits: Option<Preceding>,
    /// What it is for, where its lines have periods: from the first of them to the last.
    pub period: Option<Period>,
    /// For people: why a credit note was made, say.
    pub note: Option<String>,
    pub lines: Vec<Line>,
    /// Discounts of the whole document, one part for each tax rate.
    pub discounts: Vec<Discount>,
    /// One sum for each tax rate, in the order in which the lines name them.
    pub taxes: Vec<TaxSum>,
    pub totals: Totals,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = InvoiceKind)]
pub enum Kind {
    Invoice,
    /// Its amounts are positive, and are what is given back.
    CreditNote,
}

/// Who sells or buys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InvoiceParty)]
pub struct Party {
    pub name: String,
    pub address: Address,
    /// The VAT identifier, with its country's prefix: `DE123456789`.
    pub tax_id: Option<String>,
    /// A registration of its own country: the German Steuernummer, say. Of sellers.
    pub tax_number: Option<String>,
    pub email: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InvoiceAddress)]
pub struct Address {
    pub line1: Option<String>,
    pub line2: Option<String>,
    pub postcode: Option<String>,
    pub city: Option<String>,
    pub region: Option<String>,
    /// ISO 3166-1 alpha-2: `DE`.
    pub country: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SellerBankAccount)]
pub struct BankAccount {
    pub holder: Option<String>,
    pub iban: String,
    pub bic: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = CreditedInvoice)]
pub struct Preceding {
    pub number: String,
    #[schema(value_type = String, format = Date)]
    pub issued_on: Date,
}

/// Days from the first up to, and without, the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BillingPeriod)]
pub struct Period {
    #[schema(value_type = String, format = Date, example = "2026-11-01")]
    pub from: Date,
    #[schema(value_type = String, format = Date, example = "2026-12-01")]
    pub until: Date,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub description: String,
    /// Whole or part: 3 seats, 0.935483871 of a month. Negative for what is given back within an invoice.
    pub quantity: Decimal,
    /// In minor units, with up to 4 decimals; with tax where the rate is inclusive.
    pub unit_price_minor: Decimal,
    /// Quantity times price, rounded once; with tax where the rate is inclusive.
    pub amount_minor: i64,
    /// The same without tax. The lines of one rate, less its discount, add up to the net of its [`TaxSum`].
    pub net_minor: i64,
    pub tax: Tax,
    pub period: Option<Period>,
}

/// How a line is taxed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = InvoiceTax)]
pub struct Tax {
    pub category: TaxCategory,
    /// In percent, with up to 4 decimals: 19, 7.7. Zero but for [`TaxCategory::Standard`].
    #[schema(value_type = String, example = "19")]
    pub percent: Decimal,
    /// Whether prices contain it.
    pub is_inclusive: bool,
    /// Why there is none, of exempt and reverse-charge rates: "Reverse charge: VAT is due by the recipient".
    pub note: Option<String>,
}

/// UNCL 5305, as EN 16931 uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaxCategory {
    /// `S`
    Standard,
    /// `Z`
    Zero,
    /// `E`
    Exempt,
    /// `AE`: the buyer owes it.
    ReverseCharge,
}

/// The part of a document's discount that falls on one tax rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Discount {
    pub reason: String,
    /// As the lines' amounts: with tax where the rate is inclusive. Positive.
    pub amount_minor: i64,
    /// Without tax. Positive.
    pub net_minor: i64,
    pub tax: Tax,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaxSum {
    pub tax: Tax,
    /// What is taxed: the lines' net less the discount's.
    pub net_minor: i64,
    /// Rounded once, on that.
    pub tax_minor: i64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = InvoiceTotals)]
pub struct Totals {
    /// All lines, without tax and before discounts.
    pub lines_net_minor: i64,
    /// All discounts, without tax.
    pub discount_net_minor: i64,
    pub net_minor: i64,
    pub tax_minor: i64,
    pub gross_minor: i64,
    /// What was paid before it was made: from the account's credit.
    pub prepaid_minor: i64,
    /// What is left to pay.
    pub due_minor: i64,
}

impl Document {
    /// What it is worded with, on paper for ever the same.
    pub fn words(&self) -> &'static Words {
        self.language.map_or(&UNGROUPED, Language::words)
    }

    /// Whether its prices contain the tax; none if some do and some don't.
    pub fn prices_have_tax(&self) -> Option<bool> {
        let mut lines = self.lines.iter().map(|line| line.tax.is_inclusive);
        let first = lines.next().unwrap_or(false);
        lines.all(|is_inclusive| is_inclusive == first).then_some(first)
    }
}

impl TaxCategory {
    pub fn as_str(self) -> &'static str {
        match self {
            TaxCategory::Standard => "standard",
            TaxCategory::Zero => "zero",
            TaxCategory::Exempt => "exempt",
            TaxCategory::ReverseCharge => "reverse_charge",
        }
    }

    /// The code of UNCL 5305.
    pub fn code(self) -> &'static str {
        match self {
            TaxCategory::Standard => "S",
            TaxCategory::Zero => "Z",
            TaxCategory::Exempt => "E",
            TaxCategory::ReverseCharge => "AE",
        }
    }
}
