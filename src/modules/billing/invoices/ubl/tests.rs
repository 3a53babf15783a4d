//! The rules of EN 16931, held against the XML of samples and of documents made up, and against CEN's own validator.

mod rules;
mod tree;
mod validator;

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rules::{RULES, Rule};
use tree::Node;

use super::write;
use crate::modules::billing::invoices::document::*;
use crate::modules::billing::invoices::samples::{self, Draft, decimal, exempt, inclusive, reverse_charge, standard};
use crate::modules::billing::languages::{self, Language};
use crate::platform::error::Error;
use crate::platform::money::Currency;

const MADE_UP: usize = 300;

/// XML by the document's name: the samples, then those made up that can be said in the standard.
static WRITTEN: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let mut runner = TestRunner::deterministic();
    let made_up =
        (0..MADE_UP).map(|n| (format!("made_up_{n}"), samples::any().new_tree(&mut runner).unwrap().current()));
    let samples = samples::all().into_iter().map(|(name, document)| (name.to_owned(), document));
    let said_in = |language: Language| {
        let say = move |(name, document)| {
            (format!("{name}_{}", language.words().tag), Document { language: Some(language), ..document })
        };
        samples::all().into_iter().map(say)
    };
    let written =
        samples.chain(languages::ALL.into_iter().flat_map(said_in)).chain(made_up).filter_map(|(name, document)| {
            match write(&document) {
                Ok(xml) => Some((name, String::from_utf8(xml).unwrap())),
                Err(refused) => {
                    assert!(name.starts_with("made_up") && matches!(refused, Error::Invalid(_)), "{name}: {refused}");
                    None
                }
            }
        });
    written.collect()
});

fn xml_of(name: &str) -> &'static str {
    &WRITTEN.iter().find(|(known, _)| known == name).unwrap().1
}

fn broken(rule: &Rule) -> String {
    let (sample, edit) = rule.broken;
    edit.apply(xml_of(sample))
}

/// The rule holds for all that is written, and does not for what breaks it.
fn proves(id: &str) {
    let rule = RULES.iter().find(|rule| rule.id == id).unwrap();
    let holds = |xml: &str| {
        let document = roxmltree::Document::parse(xml).unwrap();
        (rule.holds)(&Node::root(&document))
    };
    for (name, xml) in WRITTEN.iter() {
        assert!(holds(xml), "{id} does not hold for {name}:\n{xml}");
    }
    assert!(!holds(&broken(rule)), "{id} holds for what should break it");
}

#[test]
fn most_documents_that_are_made_up_can_be_said_in_the_standard() {
    assert!(WRITTEN.len() > MADE_UP / 2, "only {}", WRITTEN.len());
}

/// Of each line, quantity times price is its net: validators beyond CEN's want it (PEPPOL-EN16931-R120).
#[test]
fn a_lines_net_is_quantity_times_price_rounded_to_the_minor_unit() {
    for (name, xml) in WRITTEN.iter() {
        let document = roxmltree::Document::parse(xml).unwrap();
        let root = Node::root(&document);
        let decimals = Currency::parse(root.text("cbc:DocumentCurrencyCode").unwrap()).unwrap().decimals();
        for line in [root.all("cac:InvoiceLine"), root.all("cac:CreditNoteLine")].concat() {
            let quantity = line.number("cbc:InvoicedQuantity").or_else(|| line.number("cbc:CreditedQuantity")).unwrap();
            let exact = quantity * line.number("cac:Price/cbc:PriceAmount").unwrap();
            let rounded = exact.round_dp_with_strategy(decimals, rust_decimal::RoundingStrategy::MidpointAwayFromZero);
            assert_eq!(Some(rounded), line.number("cbc:LineExtensionAmount"), "{name}:\n{xml}");
        }
    }
}

#[test]
fn an_invoice_says_what_its_document_says() {
    let document = roxmltree::Document::parse(xml_of("mixed")).unwrap();
    let root = Node::root(&document);
    let said = |path: &str| root.text(path).unwrap_or_default();

    assert_eq!(root.name(), "Invoice");
    assert_eq!(said("cbc:ID"), "INV-2026-0042");
    assert_eq!(said("cbc:InvoiceTypeCode"), "380");
    assert_eq!(said("cbc:DueDate"), "2026-12-09");
    assert_eq!(said("cac:InvoicePeriod/cbc:EndDate"), "2026-11-30");
    assert_eq!(
        said("cac:AccountingSupplierParty/cac:Party/cac:PartyLegalEntity/cbc:RegistrationName"),
        "Steinmetz & Töchter GmbH"
    );
    assert_eq!(said("cac:AccountingCustomerParty/cac:Party/cac:PartyTaxScheme/cbc:CompanyID"), "FR32123456789");
    assert_eq!(said("cac:PaymentMeans/cbc:PaymentMeansCode"), "58");
    assert_eq!(said("cac:PaymentMeans/cac:PayeeFinancialAccount/cbc:ID"), "DE89370400440532013000");
    let numbers: Vec<_> = root
        .all("cac:AccountingSupplierParty/cac:Party/cac:PartyTaxScheme/cbc:CompanyID")
        .iter()
        .map(|id| id.own_text())
        .collect();
    assert_eq!(numbers, ["DE123456789", "29/815/08153"]);
    assert_eq!(said("cac:InvoiceLine/cbc:InvoicedQuantity"), "3");
    assert_eq!(said("cac:InvoiceLine/cac:Price/cbc:PriceAmount"), "19.00");
    let rates: Vec<_> = root
        .all("cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory")
        .iter()
        .map(|rate| (rate.text("cbc:ID").unwrap(), rate.text("cbc:Percent").unwrap()))
        .collect();
    assert_eq!(rates, [("S", "19"), ("S", "7"), ("Z", "0"), ("E", "0")]);
    assert_eq!(said("cac:LegalMonetaryTotal/cbc:PrepaidAmount"), "5.00");
}

#[test]
fn a_credit_note_names_the_invoice_that_it_credits_and_has_positive_amounts() {
    let document = roxmltree::Document::parse(xml_of("credit_note")).unwrap();
    let root = Node::root(&document);

    assert_eq!(root.name(), "CreditNote");
    assert_eq!(root.text("cbc:CreditNoteTypeCode"), Some("381"));
    assert_eq!(root.text("cac:BillingReference/cac:InvoiceDocumentReference/cbc:ID"), Some("INV-2026-0042"));
    assert_eq!(root.text("cac:BillingReference/cac:InvoiceDocumentReference/cbc:IssueDate"), Some("2026-11-20"));
    assert_eq!(root.text("cac:CreditNoteLine/cbc:CreditedQuantity"), Some("3"));
    assert!(root.one("cac:PaymentMeans").is_none());
    assert!(root.number("cac:LegalMonetaryTotal/cbc:PayableAmount").unwrap() > decimal("0"));
}

#[test]
fn what_is_given_back_within_an_invoice_has_a_negative_quantity_and_never_a_negative_price() {
    let document = roxmltree::Document::parse(xml_of("proration")).unwrap();
    let lines: Vec<_> = Node::root(&document)
        .all("cac:InvoiceLine")
        .iter()
        .map(|line| {
            ["cbc:InvoicedQuantity", "cac:Price/cbc:PriceAmount", "cbc:LineExtensionAmount"]
                .map(|path| line.text(path).unwrap())
        })
        .collect();

    assert_eq!(
        lines,
        [
            ["0.935483871", "599.95", "561.24"],
            ["-0.935483871", "29.00", "-27.13"],
            ["-1", "1.50", "-1.50"],
            ["1234567", "0.000125", "154.32"],
        ]
    );
}

#[test]
fn prices_with_tax_in_them_become_the_shortest_net_price_that_fits() {
    let document = roxmltree::Document::parse(xml_of("both_ways_of_one_rate")).unwrap();
    let root = Node::root(&document);

    let prices: Vec<_> =
        root.all("cac:InvoiceLine/cac:Price/cbc:PriceAmount").iter().map(|price| price.own_text()).collect();
    assert_eq!(prices, ["100.00", "100.00"]);
    assert_eq!(root.all("cac:TaxTotal/cac:TaxSubtotal").len(), 1);
    assert_eq!(root.text("cac:TaxTotal/cac:TaxSubtotal/cbc:TaxableAmount"), Some("200.00"));
}

#[test]
fn reasons_for_no_tax_are_said_once_for_all_lines_of_a_kind() {
    let reason = |name| {
        let document = roxmltree::Document::parse(xml_of(name)).unwrap();
        let path = "cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory";
        let category = Node::root(&document).one(path).unwrap();
        ["cbc:TaxExemptionReasonCode", "cbc:TaxExemptionReason"].map(|name| category.text(name).map(str::to_owned))
    };

    assert_eq!(reason("exempt"), [None, Some("Exempt under § 4 No. 21 UStG; Exempt under § 4 No. 10 UStG".into())]);
    assert_eq!(
        reason("reverse_charge"),
        [Some("VATEX-EU-AE".into()), Some("Reverse charge: VAT is due by the recipient".into())]
    );
}

#[test]
fn figures_are_the_same_in_every_language_and_what_people_read_is_said_in_it() {
    let document = roxmltree::Document::parse(xml_of("reverse_charge_credit_note_de")).unwrap();
    let root = Node::root(&document);

    assert_eq!(root.text("cac:PaymentTerms/cbc:Note"), Some("Dieser Betrag wird Ihnen gutgeschrieben."));
    assert_eq!(
        root.text("cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory/cbc:TaxExemptionReason"),
        Some("Steuerschuldnerschaft des Leistungsempfängers (Reverse charge: VAT is due by the recipient)")
    );
    assert_eq!(xml_of("mixed_fr"), xml_of("mixed"));
}

#[test]
fn amounts_have_the_decimals_of_their_currency_but_never_more_than_two() {
    for (name, price, net) in [("yen", "1999", "5997"), ("dinar", "12.500", "25.00"), ("standard", "19.00", "57.00")] {
        let document = roxmltree::Document::parse(xml_of(name)).unwrap();
        let line = Node::root(&document).one("cac:InvoiceLine").unwrap();
        assert_eq!(
            (line.text("cac:Price/cbc:PriceAmount"), line.text("cbc:LineExtensionAmount")),
            (Some(price), Some(net)),
            "{name}"
        );
    }

    let finer = Draft::of("KWD", &[("Team plan", "1", "12505", standard("5"))]).finish();
    assert_eq!(lacking(&finer), ["currency"]);
}

#[test]
fn characters_that_xml_can_not_hold_are_replaced() {
    let (_, mut document) = samples::all().swap_remove(0);
    document.buyer.name = "A\u{0}\u{1b}\u{ffff} & <B>".into();
    document.lines[0].description = "Tab\tand \"quotes\" ]]> \u{8}".into();

    let xml = String::from_utf8(write(&document).unwrap()).unwrap();

    let read = roxmltree::Document::parse(&xml).unwrap();
    let name =
        Node::root(&read).text("cac:AccountingCustomerParty/cac:Party/cac:PartyLegalEntity/cbc:RegistrationName");
    assert_eq!(name, Some("A\u{fffd}\u{fffd}\u{fffd} & <B>"));
    assert_eq!(Node::root(&read).text("cac:InvoiceLine/cac:Item/cbc:Name"), Some("Tab\tand \"quotes\" ]]> \u{fffd}"));
}

/// The fields of the error that `document` gets.
fn lacking(document: &Document) -> Vec<String> {
    match write(document) {
        Err(Error::Invalid(fields)) => fields.into_iter().map(|field| field.field).collect(),
        other => panic!("it was not refused: {:?}", other.map(String::from_utf8)),
    }
}

#[test]
fn all_that_a_document_lacks_is_named_at_once() {
    let (_, full) = samples::all().swap_remove(0);
    let bare = Document {
        number: " ".into(),
        due_on: None,
        seller: Party {
            address: Address { country: None, ..full.seller.address.clone() },
            tax_id: None,
            tax_number: Some(" ".into()),
            ..full.seller.clone()
        },
        buyer: Party {
            name: "\u{2003}".into(),
            address: Address { country: Some("Deutschland".into()), ..Address::default() },
            tax_id: Some("123".into()),
            ..full.buyer.clone()
        },
        bank: Some(BankAccount { iban: String::new(), ..samples::bank() }),
        period: Some(Period { from: samples::ISSUED_ON, until: samples::ISSUED_ON }),
        lines: vec![Line { description: String::new(), ..full.lines[0].clone() }],
        ..full
    };

    assert_eq!(
        lacking(&bare),
        [
            "number",
            "due_on",
            "period",
            "bank.iban",
            "seller.address.country",
            "seller.tax_id",
            "buyer.name",
            "buyer.address.country",
            "buyer.tax_id",
            "lines[0].description",
        ]
    );
}

#[test]
fn what_a_rate_demands_is_named() {
    let mut reverse = Draft::of("EUR", &[("Team plan", "1", "1900", reverse_charge())]).finish();
    reverse.buyer.tax_id = None;
    assert_eq!(lacking(&reverse), ["buyer.tax_id"]);

    let unsaid = Draft::of("EUR", &[("Course", "1", "1900", exempt(" "))]).finish();
    assert_eq!(lacking(&unsaid), ["taxes[0].tax.note"]);

    let none = Draft::of("EUR", &[("Team plan", "1", "1900", standard("0"))]).finish();
    assert_eq!(lacking(&none), ["taxes[0].tax.percent"]);

    let withdrawn = Draft::of("HRK", &[("Team plan", "1", "1900", standard("25"))]).finish();
    assert_eq!(lacking(&withdrawn), ["currency"]);

    let absurd =
        Draft::of("JPY", &[("Team plan", "1", "100", inclusive("150")), ("Team plan", "1", "99", standard("150"))])
            .finish();
    assert!(write(&absurd).is_ok(), "within what validators take");
    let tiny = Draft::of("EUR", &[("Team plan", "1", "1000000", standard("0.4"))]).finish();
    assert_eq!(lacking(&tiny), ["totals.tax_minor"]);

    let empty = Document { lines: Vec::new(), taxes: Vec::new(), totals: Totals::default(), ..none };
    assert_eq!(lacking(&empty), ["lines"]);
}

#[test]
fn a_document_that_does_not_add_up_is_a_fault_and_no_file() {
    let (_, sound) = samples::all().swap_remove(2);
    let faults: [fn(&mut Document); 6] = [
        |document| document.lines[0].net_minor += 1,
        |document| document.discounts[0].net_minor += 1,
        |document| document.taxes[0].net_minor += 1,
        |document| document.totals.gross_minor += 1,
        |document| document.totals.due_minor += 1,
        |document| drop(document.taxes.pop()),
    ];
    for fault in faults {
        let mut document = sound.clone();
        fault(&mut document);
        assert!(matches!(write(&document), Err(Error::Internal(_))), "{document:#?}");
    }
}

proptest! {
    #[test]
    fn any_document_gives_xml_or_words_for_people(document in samples::any()) {
        match write(&document) {
            Ok(xml) => prop_assert!(roxmltree::Document::parse(&String::from_utf8(xml).unwrap()).is_ok()),
            Err(refused) => prop_assert!(matches!(refused, Error::Invalid(_)), "{}", refused),
        }
    }
}
