//! Documents for tests: made by hand, and made up. They add up as those of the core do.

use std::io::Write;

use jiff::civil::{Date, date};
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::document::*;
use crate::platform::money::{Currency, round, share_out, sum};

/// What a document is made of before its sums are known.
#[derive(Debug, Clone)]
pub struct Draft {
    pub kind: Kind,
    pub currency: Currency,
    /// Description, quantity, price in minor units, tax.
    pub lines: Vec<(String, Decimal, Decimal, Tax)>,
    pub discount_minor: i64,
    pub prepaid_minor: i64,
    pub note: Option<String>,
}

pub fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub fn standard(percent: &str) -> Tax {
    Tax { category: TaxCategory::Standard, percent: decimal(percent), is_inclusive: false, note: None }
}

pub fn inclusive(percent: &str) -> Tax {
    Tax { is_inclusive: true, ..standard(percent) }
}

pub fn zero() -> Tax {
    Tax { category: TaxCategory::Zero, ..standard("0") }
}

pub fn exempt(note: &str) -> Tax {
    Tax { category: TaxCategory::Exempt, note: Some(note.to_owned()), ..standard("0") }
}

pub fn reverse_charge() -> Tax {
    let note = Some("Reverse charge: VAT is due by the recipient".to_owned());
    Tax { category: TaxCategory::ReverseCharge, note, ..standard("0") }
}

pub fn seller() -> Party {
    Party {
        name: "Steinmetz & Töchter GmbH".into(),
        address: Address {
            line1: Some("Quaderstraße 12".into()),
            line2: None,
            postcode: Some("10115".into()),
            city: Some("Berlin".into()),
            region: None,
            country: Some("DE".into()),
        },
        tax_id: Some("DE123456789".into()),
        tax_number: Some("29/815/08153".into()),
        email: Some("billing@steinmetz.example".into()),
    }
}

pub fn buyer() -> Party {
    Party {
        name: "Société Générale d'Ardoise SARL".into(),
        address: Address {
            line1: Some("8, rue de la Carrière".into()),
            line2: Some("Bâtiment C".into()),
            postcode: Some("49000".into()),
            city: Some("Angers".into()),
            region: Some("Pays de la Loire".into()),
            country: Some("FR".into()),
        },
        tax_id: Some("FR32123456789".into()),
        tax_number: None,
        email: Some("comptes@ardoise.example".into()),
    }
}

pub fn bank() -> BankAccount {
    BankAccount {
        holder: Some("Steinmetz & Töchter GmbH".into()),
        iban: "DE89 3704 0044 0532 0130 00".into(),
        bic: Some("COBADEFFXXX".into()),
    }
}

pub const ISSUED_ON: Date = date(2026, 11, 25);

impl Draft {
    /// An invoice in `currency` of lines given as description, quantity, price in minor units, tax.
    pub fn of(currency: &str, lines: &[(&str, &str, &str, Tax)]) -> Draft {
        let lines = lines
            .iter()
            .map(|(text, quantity, price, tax)| ((*text).to_owned(), decimal(quantity), decimal(price), tax.clone()));
        Draft {
            kind: Kind::Invoice,
            currency: Currency::parse(currency).unwrap(),
            lines: lines.collect(),
            discount_minor: 0,
            prepaid_minor: 0,
            note: None,
        }
    }

    /// The same with all sums, as the rules of billing have them.
    pub fn finish(self) -> Document {
        let mut rates: Vec<Tax> = Vec::new();
        for (.., tax) in &self.lines {
            if !rates.contains(tax) {
                rates.push(tax.clone());
            }
        }
        let amounts: Vec<i64> =
            self.lines.iter().map(|(_, quantity, price, _)| round(quantity * price).unwrap()).collect();
        let of_rate =
            |rate: &Tax| -> Vec<usize> { (0..self.lines.len()).filter(|n| self.lines[*n].3 == *rate).collect() };
        let by_rate: Vec<i64> = rates.iter().map(|rate| of_rate(rate).iter().map(|n| amounts[*n]).sum()).collect();
        let discounts = share_out(self.discount_minor, &by_rate);

        let mut nets = vec![0; self.lines.len()];
        let (mut parts, mut taxes) = (Vec::new(), Vec::new());
        for ((rate, all), discount) in rates.iter().zip(&by_rate).zip(&discounts) {
            let factor = Decimal::ONE + rate.percent / Decimal::ONE_HUNDRED;
            let net_of = |minor: i64| {
                if rate.is_inclusive { round(Decimal::from(minor) / factor).unwrap() } else { minor }
            };
            let net = net_of(all - discount);
            let tax = if rate.is_inclusive {
                all - discount - net
            } else {
                round(Decimal::from(net) * rate.percent / Decimal::ONE_HUNDRED).unwrap()
            };
            taxes.push(TaxSum { tax: rate.clone(), net_minor: net, tax_minor: tax });
            let discount_net = net_of(*discount);
            if *discount > 0 {
                let reason = "Loyalty discount".to_owned();
                parts.push(Discount { reason, amount_minor: *discount, net_minor: discount_net, tax: rate.clone() });
            }
            let lines = of_rate(rate);
            for n in &lines {
                nets[*n] = net_of(amounts[*n]);
            }
            nets[lines[0]] += net + discount_net - lines.iter().map(|n| nets[*n]).sum::<i64>();
        }
        let is_invoice = self.kind == Kind::Invoice;
        let month = Period { from: date(2026, 11, 1), until: date(2026, 12, 1) };
        let lines_net_minor = sum(nets.iter().copied()).unwrap();
        let discount_net_minor = parts.iter().map(|part| part.net_minor).sum();
        let net_minor = lines_net_minor - discount_net_minor;
        let tax_minor = taxes.iter().map(|sum| sum.tax_minor).sum();
        let gross_minor = net_minor + tax_minor;
        Document {
            kind: self.kind,
            language: None,
            number: if is_invoice { "INV-2026-0042" } else { "CN-2026-0007" }.to_owned(),
            issued_on: ISSUED_ON,
            due_on: is_invoice.then(|| date(2026, 12, 9)),
            currency: self.currency,
            seller: seller(),
            buyer: buyer(),
            bank: is_invoice.then(bank),
            credits: (!is_invoice).then(|| Preceding { number: "INV-2026-0042".into(), issued_on: date(2026, 11, 20) }),
            period: Some(month),
            note: self.note,
            lines: std::iter::zip(self.lines, nets)
                .zip(amounts)
                .map(|(((description, quantity, unit_price_minor, tax), net_minor), amount_minor)| Line {
                    description,
                    quantity,
                    unit_price_minor,
                    amount_minor,
                    net_minor,
                    tax,
                    period: Some(month),
                })
                .collect(),
            discounts: parts,
            taxes,
            totals: Totals {
                lines_net_minor,
                discount_net_minor,
                net_minor,
                tax_minor,
                gross_minor,
                prepaid_minor: self.prepaid_minor,
                due_minor: gross_minor - self.prepaid_minor,
            },
        }
    }
}

/// One of each kind that there is, by name.
pub fn all() -> Vec<(&'static str, Document)> {
    let plan = ("Team plan", "3", "1900", standard("19"));
    let books = ("Handbook, printed", "2", "2490.25", standard("7"));
    let mixed = Draft {
        discount_minor: 1001,
        prepaid_minor: 500,
        note: Some("Thank you for your order #A17# of November.\nSee you soon.".into()),
        ..Draft::of(
            "EUR",
            &[
                plan.clone(),
                books.clone(),
                ("Export to a third country", "1", "9900", zero()),
                ("Course for members", "1", "12000", exempt("Exempt under § 4 No. 21 UStG")),
            ],
        )
    };
    let credit = Draft { kind: Kind::CreditNote, ..mixed.clone() };
    let steuernummer = Party { tax_id: None, ..seller() };
    let mut small_business =
        Draft::of("EUR", &[("Consulting", "7.5", "8000", exempt("Small business, § 19 UStG"))]).finish();
    small_business.seller = steuernummer;
    let mut paid = Draft::of("EUR", std::slice::from_ref(&plan)).finish();
    paid.totals.prepaid_minor = paid.totals.gross_minor;
    paid.totals.due_minor = 0;
    (paid.due_on, paid.bank) = (None, None);
    let two = |percent| {
        [("Team plan", "1", "10000", standard(percent)), ("Team plan, upgrade", "1", "11900", inclusive(percent))]
    };
    let reverse = Draft::of("EUR", std::slice::from_ref(&plan));
    let reverse = |kind| Draft {
        kind,
        discount_minor: 700,
        lines: reverse
            .lines
            .iter()
            .cloned()
            .map(|(text, quantity, price, _)| (text, quantity, price, reverse_charge()))
            .collect(),
        ..reverse.clone()
    };
    vec![
        ("standard", Draft::of("EUR", std::slice::from_ref(&plan)).finish()),
        ("standard_with_discount", Draft { discount_minor: 570, ..Draft::of("EUR", &[plan.clone(), books]) }.finish()),
        ("mixed", mixed.finish()),
        ("credit_note", credit.finish()),
        (
            "zero",
            Draft { discount_minor: 100, ..Draft::of("USD", &[("Goods for export", "10", "4999", zero())]) }.finish(),
        ),
        (
            "exempt",
            Draft {
                discount_minor: 33,
                ..Draft::of(
                    "EUR",
                    &[
                        ("Course", "1", "12000", exempt("Exempt under § 4 No. 21 UStG")),
                        ("Insurance", "1", "3000", exempt("Exempt under § 4 No. 10 UStG")),
                    ],
                )
            }
            .finish(),
        ),
        ("reverse_charge", reverse(Kind::Invoice).finish()),
        ("reverse_charge_credit_note", reverse(Kind::CreditNote).finish()),
        (
            "inclusive",
            Draft {
                discount_minor: 333,
                ..Draft::of(
                    "EUR",
                    &[
                        ("Monthly pass", "3", "999", inclusive("19")),
                        ("Paperback", "7", "1295", inclusive("7")),
                        ("Sticker", "1", "1", inclusive("19")),
                    ],
                )
            }
            .finish(),
        ),
        ("both_ways_of_one_rate", Draft::of("EUR", &two("19")).finish()),
        (
            "proration",
            Draft::of(
                "EUR",
                &[
                    ("Team plan, 25 Nov to 30 Nov 2026", "0.935483871", "59995", standard("19")),
                    ("Starter plan, unused part", "-0.935483871", "2900", standard("19")),
                    ("Goodwill", "1", "-150", standard("19")),
                    ("Requests", "1234567", "0.0125", standard("19")),
                ],
            )
            .finish(),
        ),
        (
            "yen",
            Draft {
                discount_minor: 77,
                prepaid_minor: 100,
                ..Draft::of(
                    "JPY",
                    &[("チームプラン Team plan", "3", "1999", standard("10")), ("Milk", "7", "33.3333", standard("8"))],
                )
            }
            .finish(),
        ),
        (
            "yen_inclusive",
            Draft::of("JPY", &[("Pass", "1", "105", inclusive("10")), ("Pass", "3", "33", inclusive("8"))]).finish(),
        ),
        ("dinar", Draft::of("KWD", &[("Team plan", "2", "12500", standard("5"))]).finish()),
        ("small_business", small_business),
        ("paid", paid),
        ("given_back", Draft::of("EUR", &[("Starter plan, unused part", "-1", "2900", standard("19"))]).finish()),
        ("nothing", Draft::of("EUR", &[("Trial", "1", "0", standard("19"))]).finish()),
    ]
}

/// Documents as they may come: all rates and currencies, part and negative quantities, any text.
pub fn any() -> impl Strategy<Value = Document> {
    let tax = prop_oneof![
        4 => prop::sample::select(vec!["19", "7", "25.5", "8.1", "7.7125", "0.4"]).prop_map(standard),
        4 => prop::sample::select(vec!["19", "7", "21", "2.5"]).prop_map(inclusive),
        1 => Just(zero()),
        1 => prop::sample::select(vec!["Exempt", "§ 19 UStG"]).prop_map(exempt),
        1 => Just(reverse_charge()),
    ];
    let quantity = prop_oneof![
        (1..50_i64).prop_map(Decimal::from),
        (-2_000_000_000..2_000_000_000_i64).prop_map(|n| Decimal::new(n, 9))
    ];
    let price = prop_oneof![
        (0..100_000_i64).prop_map(Decimal::from),
        (-1_000_000..1_000_000_000_i64).prop_map(|n| Decimal::new(n, 4))
    ];
    let line = ("\\PC{1,40}", quantity, price, tax).prop_filter("says something", |(text, ..)| !text.trim().is_empty());
    let currency = prop::sample::select(vec!["EUR", "EUR", "USD", "JPY", "KWD", "CHF"]);
    let note = prop::option::of(prop_oneof!["(?s).{0,60}", "#[A-Z]{3}#.{0,9}"]);
    let kind = prop_oneof![3 => Just(Kind::Invoice), 1 => Just(Kind::CreditNote)];
    (kind, currency, prop::collection::vec(line, 1..8), 0..5_000_i64, 0..5_000_i64, note).prop_map(
        |(kind, currency, lines, discount_minor, prepaid_minor, note)| {
            let currency = Currency::parse(currency).unwrap();
            Draft { kind, currency, lines, discount_minor, prepaid_minor, note }.finish()
        },
    )
}

/// Tells whoever runs the tests that `what` was not tried, as `skip` in `tests/it/support.rs` does.
pub fn skip(what: &str, why: &str) {
    let line = format!("skipped: {what}, because {why}\n");
    // Nobody is left to be told when even this fails.
    std::io::stderr().write_all(line.as_bytes()).ok();
    if let Some(list) = std::env::var_os("ASHLAR_TEST_SKIPPED") {
        std::fs::OpenOptions::new().append(true).create(true).open(list).unwrap().write_all(line.as_bytes()).unwrap();
    }
}
