//! The rules of EN 16931, read from the XML alone: each as the standard words it, with a way to break it.

use rust_decimal::{Decimal, RoundingStrategy};

use super::tree::{Doc, Edit, Node};

/// A rule: whether it holds, and what breaks it in which of the samples.
pub struct Rule {
    pub id: &'static str,
    pub holds: fn(&Doc) -> bool,
    pub broken: (&'static str, Edit),
}

/// Rules on what a document of ours never has.
pub const NOT_OURS: &[(&str, &[&str])] = &[
    ("payees other than the seller", &["BR-17"]),
    ("tax representatives", &["BR-18", "BR-19", "BR-20", "BR-56"]),
    ("gross prices", &["BR-28"]),
    ("charges", &["BR-36", "BR-37", "BR-38", "BR-CO-06", "BR-CO-12", "BR-CO-22"]),
    (
        "charges at one rate",
        &["BR-S-04", "BR-S-07", "BR-Z-04", "BR-Z-07", "BR-E-04", "BR-E-07", "BR-AE-04", "BR-AE-07"],
    ),
    ("discounts of one line", &["BR-41", "BR-42", "BR-CO-07", "BR-CO-23"]),
    ("charges on one line", &["BR-43", "BR-44", "BR-CO-08", "BR-CO-24"]),
    ("codes for the reason of a discount", &["BR-CO-05"]),
    ("cards", &["BR-51"]),
    ("supporting documents", &["BR-52"]),
    ("a second currency for the tax", &["BR-53"]),
    ("attributes and identifiers of items", &["BR-54", "BR-64", "BR-65"]),
    ("places of delivery", &["BR-57"]),
    ("a day on which the tax falls due", &["BR-CO-03"]),
];

pub const SELLER: &str = "cac:AccountingSupplierParty/cac:Party";
pub const BUYER: &str = "cac:AccountingCustomerParty/cac:Party";
const SUBTOTAL: &str = "cac:TaxTotal/cac:TaxSubtotal";
const TOTALS: &str = "cac:LegalMonetaryTotal";
const ALLOWANCE: &str = "cac:AllowanceCharge";

fn says(node: &Doc, path: &str) -> bool {
    node.text(path).is_some_and(|text| !text.trim().is_empty())
}

fn lines<'a>(doc: &'a Doc) -> Vec<Node<'a>> {
    [doc.all("cac:InvoiceLine"), doc.all("cac:CreditNoteLine")].concat()
}

fn quantity<'a>(line: &Node<'a>) -> Option<Node<'a>> {
    line.one("cbc:InvoicedQuantity").or_else(|| line.one("cbc:CreditedQuantity"))
}

fn each_line(doc: &Doc, holds: impl Fn(&Node) -> bool) -> bool {
    lines(doc).iter().all(holds)
}

fn each(doc: &Doc, path: &str, holds: impl Fn(&Node) -> bool) -> bool {
    doc.all(path).iter().all(holds)
}

fn cents(exact: Decimal) -> Decimal {
    exact.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

fn total(doc: &Doc, name: &str) -> Decimal {
    doc.number(&format!("{TOTALS}/{name}")).unwrap_or_default()
}

fn sum_of(nodes: &[Node], path: &str) -> Decimal {
    nodes.iter().map(|node| node.number(path).unwrap()).sum()
}

/// Of the category of a line's item, a discount or a tax sum.
fn is_of(node: &Node, category: &str) -> bool {
    ["cac:Item/cac:ClassifiedTaxCategory", "cac:TaxCategory"].iter().any(|path| {
        node.text(&format!("{path}/cbc:ID")) == Some(category)
            && node.text(&format!("{path}/cac:TaxScheme/cbc:ID")) == Some("VAT")
    })
}

fn percent(node: &Node) -> Option<Decimal> {
    node.number("cac:Item/cac:ClassifiedTaxCategory/cbc:Percent").or_else(|| node.number("cac:TaxCategory/cbc:Percent"))
}

fn of<'a>(nodes: Vec<Node<'a>>, category: &str) -> Vec<Node<'a>> {
    nodes.into_iter().filter(|node| is_of(node, category)).collect()
}

/// BR-S-01 and alike: whatever is of the category has its tax sum, one alone but for the standard rates.
fn has_its_sum(doc: &Doc, category: &str) -> bool {
    let used = !of(lines(doc), category).is_empty() || !of(doc.all(ALLOWANCE), category).is_empty();
    let sums = of(doc.all(SUBTOTAL), category).len();
    match (used, category) {
        (false, _) => sums == 0,
        (true, "S") => sums >= 1,
        (true, _) => sums == 1,
    }
}

/// BR-S-02, 03 and alike: the seller has a VAT identifier or a tax number, with reverse charge the buyer an identifier too.
fn parties_have_numbers(doc: &Doc, category: &str, of_what: Vec<Node>) -> bool {
    let seller = !doc.all(&format!("{SELLER}/cac:PartyTaxScheme/cbc:CompanyID")).is_empty();
    let buyer = doc
        .all(&format!("{BUYER}/cac:PartyTaxScheme"))
        .iter()
        .any(|scheme| scheme.text("cac:TaxScheme/cbc:ID") == Some("VAT") && scheme.one("cbc:CompanyID").is_some());
    of(of_what, category).is_empty() || (seller && (category != "AE" || buyer))
}

/// BR-S-05, 06 and alike.
fn rates_are_right(nodes: Vec<Node>, category: &str) -> bool {
    of(nodes, category).iter().all(|node| {
        percent(node).is_some_and(|rate| if category == "S" { rate > Decimal::ZERO } else { rate == Decimal::ZERO })
    })
}

/// BR-S-08 and alike: exactly, though the validators let standard rates be off by less than 1.
fn is_taxed_on_its_parts(doc: &Doc, category: &str) -> bool {
    of(doc.all(SUBTOTAL), category).iter().all(|sum| {
        let rate = percent(sum);
        let same = |nodes: Vec<Node>, path: &str| -> Decimal {
            let same: Vec<Node> = of(nodes, category).into_iter().filter(|node| percent(node) == rate).collect();
            sum_of(&same, path)
        };
        let net = same(lines(doc), "cbc:LineExtensionAmount") - same(doc.all(ALLOWANCE), "cbc:Amount");
        sum.number("cbc:TaxableAmount") == Some(net)
    })
}

/// BR-CO-17 and BR-S-09, as near as the validators want it: prices with tax in them can be off by a minor unit.
fn tax_is_of_the_rate(sum: &Node) -> bool {
    let (net, tax) = (sum.number("cbc:TaxableAmount").unwrap(), sum.number("cbc:TaxAmount").unwrap());
    match percent(sum) {
        Some(rate) if rate >= Decimal::new(5, 1) => {
            (cents(net.abs() * rate / Decimal::ONE_HUNDRED) - tax.abs()).abs() < Decimal::ONE
        }
        _ => tax.abs() < Decimal::new(5, 1),
    }
}

fn has_no_tax(doc: &Doc, category: &str) -> bool {
    of(doc.all(SUBTOTAL), category).iter().all(|sum| sum.number("cbc:TaxAmount") == Some(Decimal::ZERO))
}

fn gives_reasons(doc: &Doc, category: &str) -> bool {
    of(doc.all(SUBTOTAL), category).iter().all(|sum| {
        let reason = ["cbc:TaxExemptionReason", "cbc:TaxExemptionReasonCode"]
            .iter()
            .any(|name| sum.one(&format!("cac:TaxCategory/{name}")).is_some());
        reason == matches!(category, "E" | "AE")
    })
}

fn has_few_decimals(doc: &Doc, path: &str) -> bool {
    each(doc, path, |amount| amount.own_text().split_once('.').is_none_or(|(_, decimals)| decimals.len() <= 2))
}

fn period_is_forward(period: &Node) -> bool {
    period.text("cbc:StartDate").is_none_or(|from| period.text("cbc:EndDate").is_none_or(|to| from <= to))
}

macro_rules! rules {
    ($($name:ident $id:literal $holds:expr, in $sample:literal $edit:expr;)+) => {
        pub const RULES: &[Rule] = &[$(Rule { id: $id, holds: $holds, broken: ($sample, $edit) }),+];

        mod each {
            $(#[test]
            fn $name() {
                super::super::proves($id);
            })+
        }
    };
}

use Edit::{Remove, Set};

rules! {
    br_01 "BR-01" |d| says(d, "cbc:CustomizationID"), in "standard" Remove("cbc:CustomizationID");
    br_02 "BR-02" |d| says(d, "cbc:ID"), in "standard" Set("cbc:ID", " ");
    br_03 "BR-03" |d| says(d, "cbc:IssueDate"), in "standard" Remove("cbc:IssueDate");
    br_04 "BR-04" |d| says(d, "cbc:InvoiceTypeCode") || says(d, "cbc:CreditNoteTypeCode"), in "standard" Remove("cbc:InvoiceTypeCode");
    br_05 "BR-05" |d| says(d, "cbc:DocumentCurrencyCode"), in "standard" Remove("cbc:DocumentCurrencyCode");
    br_06 "BR-06" |d| says(d, &format!("{SELLER}/cac:PartyLegalEntity/cbc:RegistrationName")), in "standard" Set("cac:AccountingSupplierParty/cac:Party/cac:PartyLegalEntity/cbc:RegistrationName", "");
    br_07 "BR-07" |d| says(d, &format!("{BUYER}/cac:PartyLegalEntity/cbc:RegistrationName")), in "standard" Set("cac:AccountingCustomerParty/cac:Party/cac:PartyLegalEntity/cbc:RegistrationName", "");
    br_08 "BR-08" |d| d.one(&format!("{SELLER}/cac:PostalAddress")).is_some(), in "standard" Remove("cac:AccountingSupplierParty/cac:Party/cac:PostalAddress");
    br_09 "BR-09" |d| says(d, &format!("{SELLER}/cac:PostalAddress/cac:Country/cbc:IdentificationCode")), in "standard" Remove("cac:AccountingSupplierParty/cac:Party/cac:PostalAddress/cac:Country");
    br_10 "BR-10" |d| d.one(&format!("{BUYER}/cac:PostalAddress")).is_some(), in "standard" Remove("cac:AccountingCustomerParty/cac:Party/cac:PostalAddress");
    br_11 "BR-11" |d| says(d, &format!("{BUYER}/cac:PostalAddress/cac:Country/cbc:IdentificationCode")), in "standard" Remove("cac:AccountingCustomerParty/cac:Party/cac:PostalAddress/cac:Country");
    br_12 "BR-12" |d| d.one(&format!("{TOTALS}/cbc:LineExtensionAmount")).is_some(), in "standard" Remove("cac:LegalMonetaryTotal/cbc:LineExtensionAmount");
    br_13 "BR-13" |d| d.one(&format!("{TOTALS}/cbc:TaxExclusiveAmount")).is_some(), in "standard" Remove("cac:LegalMonetaryTotal/cbc:TaxExclusiveAmount");
    br_14 "BR-14" |d| d.one(&format!("{TOTALS}/cbc:TaxInclusiveAmount")).is_some(), in "standard" Remove("cac:LegalMonetaryTotal/cbc:TaxInclusiveAmount");
    br_15 "BR-15" |d| d.one(&format!("{TOTALS}/cbc:PayableAmount")).is_some(), in "standard" Remove("cac:LegalMonetaryTotal/cbc:PayableAmount");
    br_16 "BR-16" |d| !lines(d).is_empty(), in "standard" Remove("cac:InvoiceLine");
    br_21 "BR-21" |d| each_line(d, |l| l.text("cbc:ID").is_some_and(|id| !id.is_empty())), in "standard" Remove("cac:InvoiceLine/cbc:ID");
    br_22 "BR-22" |d| each_line(d, |l| quantity(l).is_some()), in "credit_note" Remove("cac:CreditNoteLine/cbc:CreditedQuantity");
    br_23 "BR-23" |d| each_line(d, |l| quantity(l).is_some_and(|q| q.attribute("unitCode").is_some())), in "standard" Edit::Bare("cac:InvoiceLine/cbc:InvoicedQuantity");
    br_24 "BR-24" |d| each_line(d, |l| l.one("cbc:LineExtensionAmount").is_some()), in "standard" Remove("cac:InvoiceLine/cbc:LineExtensionAmount");
    br_25 "BR-25" |d| each_line(d, |l| l.text("cac:Item/cbc:Name").is_some_and(|name| !name.trim().is_empty())), in "standard" Set("cac:InvoiceLine/cac:Item/cbc:Name", "");
    br_26 "BR-26" |d| each_line(d, |l| l.one("cac:Price/cbc:PriceAmount").is_some()), in "standard" Remove("cac:InvoiceLine/cac:Price/cbc:PriceAmount");
    br_27 "BR-27" |d| each_line(d, |l| l.number("cac:Price/cbc:PriceAmount").is_some_and(|p| p >= Decimal::ZERO)), in "proration" Set("cac:InvoiceLine/cac:Price/cbc:PriceAmount", "-1");
    br_29 "BR-29" |d| each(d, "cac:InvoicePeriod", period_is_forward), in "standard" Set("cac:InvoicePeriod/cbc:EndDate", "2026-10-31");
    br_30 "BR-30" |d| each_line(d, |l| l.all("cac:InvoicePeriod").iter().all(period_is_forward)), in "standard" Set("cac:InvoiceLine/cac:InvoicePeriod/cbc:EndDate", "2026-10-31");
    br_31 "BR-31" |d| each(d, ALLOWANCE, |a| a.one("cbc:Amount").is_some()), in "mixed" Remove("cac:AllowanceCharge/cbc:Amount");
    br_32 "BR-32" |d| each(d, ALLOWANCE, |a| ["S", "Z", "E", "AE"].iter().any(|code| is_of(a, code))), in "mixed" Remove("cac:AllowanceCharge/cac:TaxCategory/cbc:ID");
    br_33 "BR-33" |d| each(d, ALLOWANCE, |a| a.one("cbc:AllowanceChargeReason").is_some()), in "mixed" Remove("cac:AllowanceCharge/cbc:AllowanceChargeReason");
    br_45 "BR-45" |d| each(d, SUBTOTAL, |s| s.one("cbc:TaxableAmount").is_some()), in "mixed" Remove("cac:TaxTotal/cac:TaxSubtotal/cbc:TaxableAmount");
    br_46 "BR-46" |d| each(d, SUBTOTAL, |s| s.one("cbc:TaxAmount").is_some()), in "mixed" Remove("cac:TaxTotal/cac:TaxSubtotal/cbc:TaxAmount");
    br_47 "BR-47" |d| each(d, SUBTOTAL, |s| ["S", "Z", "E", "AE"].iter().any(|code| is_of(s, code))), in "mixed" Remove("cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory/cbc:ID");
    br_48 "BR-48" |d| each(d, SUBTOTAL, |s| percent(s).is_some()), in "zero" Remove("cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory/cbc:Percent");
    br_49 "BR-49" |d| each(d, "cac:PaymentMeans", |m| m.one("cbc:PaymentMeansCode").is_some()), in "standard" Remove("cac:PaymentMeans/cbc:PaymentMeansCode");
    br_50 "BR-50" |d| each(d, "cac:PaymentMeans/cac:PayeeFinancialAccount", |a| a.text("cbc:ID").is_some_and(|id| !id.trim().is_empty())), in "standard" Set("cac:PaymentMeans/cac:PayeeFinancialAccount/cbc:ID", "");
    br_55 "BR-55" |d| each(d, "cac:BillingReference", |b| b.one("cac:InvoiceDocumentReference/cbc:ID").is_some()), in "credit_note" Remove("cac:BillingReference/cac:InvoiceDocumentReference/cbc:ID");
    br_61 "BR-61" |d| each(d, "cac:PaymentMeans", |m| !matches!(m.text("cbc:PaymentMeansCode"), Some("30" | "58")) || m.one("cac:PayeeFinancialAccount/cbc:ID").is_some()), in "standard" Remove("cac:PaymentMeans/cac:PayeeFinancialAccount");
    br_62 "BR-62" |d| each(d, &format!("{SELLER}/cbc:EndpointID"), |e| e.attribute("schemeID").is_some()), in "standard" Edit::Bare("cac:AccountingSupplierParty/cac:Party/cbc:EndpointID");
    br_63 "BR-63" |d| each(d, &format!("{BUYER}/cbc:EndpointID"), |e| e.attribute("schemeID").is_some()), in "standard" Edit::Bare("cac:AccountingCustomerParty/cac:Party/cbc:EndpointID");

    br_co_04 "BR-CO-04" |d| each_line(d, |l| ["S", "Z", "E", "AE"].iter().any(|code| is_of(l, code))), in "standard" Remove("cac:InvoiceLine/cac:Item/cac:ClassifiedTaxCategory/cbc:ID");
    br_co_09 "BR-CO-09" |d| [SELLER, BUYER].iter().all(|who| each(d, &format!("{who}/cac:PartyTaxScheme"), |s| s.text("cac:TaxScheme/cbc:ID") != Some("VAT") || matches!(s.text("cbc:CompanyID").and_then(|id| id.get(..2)), Some("DE" | "FR")))), in "standard" Set("cac:AccountingCustomerParty/cac:Party/cac:PartyTaxScheme/cbc:CompanyID", "12345");
    br_co_10 "BR-CO-10" |d| total(d, "cbc:LineExtensionAmount") == sum_of(&lines(d), "cbc:LineExtensionAmount"), in "mixed" Set("cac:LegalMonetaryTotal/cbc:LineExtensionAmount", "1.00");
    br_co_11 "BR-CO-11" |d| total(d, "cbc:AllowanceTotalAmount") == sum_of(&d.all(ALLOWANCE), "cbc:Amount"), in "mixed" Set("cac:LegalMonetaryTotal/cbc:AllowanceTotalAmount", "1.00");
    br_co_13 "BR-CO-13" |d| total(d, "cbc:TaxExclusiveAmount") == total(d, "cbc:LineExtensionAmount") - total(d, "cbc:AllowanceTotalAmount"), in "mixed" Set("cac:LegalMonetaryTotal/cbc:TaxExclusiveAmount", "1.00");
    br_co_14 "BR-CO-14" |d| d.number("cac:TaxTotal/cbc:TaxAmount") == Some(sum_of(&d.all(SUBTOTAL), "cbc:TaxAmount")), in "mixed" Set("cac:TaxTotal/cbc:TaxAmount", "1.00");
    br_co_15 "BR-CO-15" |d| Some(total(d, "cbc:TaxInclusiveAmount") - total(d, "cbc:TaxExclusiveAmount")) == d.number("cac:TaxTotal/cbc:TaxAmount"), in "mixed" Set("cac:LegalMonetaryTotal/cbc:TaxInclusiveAmount", "1.00");
    br_co_16 "BR-CO-16" |d| total(d, "cbc:PayableAmount") == total(d, "cbc:TaxInclusiveAmount") - total(d, "cbc:PrepaidAmount"), in "mixed" Remove("cac:LegalMonetaryTotal/cbc:PrepaidAmount");
    br_co_17 "BR-CO-17" |d| each(d, SUBTOTAL, tax_is_of_the_rate), in "standard" Set("cac:TaxTotal/cac:TaxSubtotal/cbc:TaxAmount", "9.00");
    br_co_18 "BR-CO-18" |d| !d.all(SUBTOTAL).is_empty(), in "zero" Remove("cac:TaxTotal/cac:TaxSubtotal");
    br_co_19 "BR-CO-19" |d| each(d, "cac:InvoicePeriod", |p| p.one("cbc:StartDate").is_some() || p.one("cbc:EndDate").is_some()), in "standard" Set("cac:InvoicePeriod", "");
    br_co_20 "BR-CO-20" |d| each_line(d, |l| l.all("cac:InvoicePeriod").iter().all(|p| p.one("cbc:StartDate").is_some() || p.one("cbc:EndDate").is_some())), in "standard" Set("cac:InvoiceLine/cac:InvoicePeriod", "");
    br_co_21 "BR-CO-21" |d| each(d, ALLOWANCE, |a| a.text("cbc:AllowanceChargeReason").is_some_and(|why| !why.is_empty())), in "mixed" Remove("cac:AllowanceCharge/cbc:AllowanceChargeReason");
    br_co_25 "BR-CO-25" |d| total(d, "cbc:PayableAmount") <= Decimal::ZERO || says(d, "cbc:DueDate") || says(d, "cac:PaymentTerms/cbc:Note"), in "standard" Remove("cbc:DueDate");
    br_co_26 "BR-CO-26" |d| d.one(&format!("{SELLER}/cac:PartyIdentification/cbc:ID")).is_some() || d.all(&format!("{SELLER}/cac:PartyTaxScheme/cac:TaxScheme/cbc:ID")).iter().any(|id| id.own_text() == "VAT"), in "small_business" Remove("cac:AccountingSupplierParty/cac:Party/cac:PartyIdentification");

    br_s_01 "BR-S-01" |d| has_its_sum(d, "S"), in "standard" Set("cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory/cbc:ID", "Z");
    br_s_02 "BR-S-02" |d| parties_have_numbers(d, "S", lines(d)), in "standard" Edit::RemoveAll("cac:AccountingSupplierParty/cac:Party/cac:PartyTaxScheme");
    br_s_03 "BR-S-03" |d| parties_have_numbers(d, "S", d.all(ALLOWANCE)), in "standard_with_discount" Edit::RemoveAll("cac:AccountingSupplierParty/cac:Party/cac:PartyTaxScheme");
    br_s_05 "BR-S-05" |d| rates_are_right(lines(d), "S"), in "standard" Set("cac:InvoiceLine/cac:Item/cac:ClassifiedTaxCategory/cbc:Percent", "0");
    br_s_06 "BR-S-06" |d| rates_are_right(d.all(ALLOWANCE), "S"), in "standard_with_discount" Set("cac:AllowanceCharge/cac:TaxCategory/cbc:Percent", "0");
    br_s_08 "BR-S-08" |d| is_taxed_on_its_parts(d, "S"), in "standard" Set("cac:TaxTotal/cac:TaxSubtotal/cbc:TaxableAmount", "50.00");
    br_s_09 "BR-S-09" |d| of(d.all(SUBTOTAL), "S").iter().all(tax_is_of_the_rate), in "standard" Set("cac:TaxTotal/cac:TaxSubtotal/cbc:TaxAmount", "9.00");
    br_s_10 "BR-S-10" |d| gives_reasons(d, "S"), in "standard" Edit::Before("cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory/cac:TaxScheme", "<cbc:TaxExemptionReason>None</cbc:TaxExemptionReason>");

    br_z_01 "BR-Z-01" |d| has_its_sum(d, "Z"), in "zero" Set("cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory/cbc:ID", "E");
    br_z_02 "BR-Z-02" |d| parties_have_numbers(d, "Z", lines(d)), in "zero" Edit::RemoveAll("cac:AccountingSupplierParty/cac:Party/cac:PartyTaxScheme");
    br_z_03 "BR-Z-03" |d| parties_have_numbers(d, "Z", d.all(ALLOWANCE)), in "zero" Edit::RemoveAll("cac:AccountingSupplierParty/cac:Party/cac:PartyTaxScheme");
    br_z_05 "BR-Z-05" |d| rates_are_right(lines(d), "Z"), in "zero" Set("cac:InvoiceLine/cac:Item/cac:ClassifiedTaxCategory/cbc:Percent", "19");
    br_z_06 "BR-Z-06" |d| rates_are_right(d.all(ALLOWANCE), "Z"), in "zero" Set("cac:AllowanceCharge/cac:TaxCategory/cbc:Percent", "19");
    br_z_08 "BR-Z-08" |d| is_taxed_on_its_parts(d, "Z"), in "zero" Set("cac:TaxTotal/cac:TaxSubtotal/cbc:TaxableAmount", "50.00");
    br_z_09 "BR-Z-09" |d| has_no_tax(d, "Z"), in "zero" Set("cac:TaxTotal/cac:TaxSubtotal/cbc:TaxAmount", "0.01");
    br_z_10 "BR-Z-10" |d| gives_reasons(d, "Z"), in "zero" Edit::Before("cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory/cac:TaxScheme", "<cbc:TaxExemptionReason>None</cbc:TaxExemptionReason>");

    br_e_01 "BR-E-01" |d| has_its_sum(d, "E"), in "exempt" Set("cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory/cbc:ID", "Z");
    br_e_02 "BR-E-02" |d| parties_have_numbers(d, "E", lines(d)), in "exempt" Edit::RemoveAll("cac:AccountingSupplierParty/cac:Party/cac:PartyTaxScheme");
    br_e_03 "BR-E-03" |d| parties_have_numbers(d, "E", d.all(ALLOWANCE)), in "exempt" Edit::RemoveAll("cac:AccountingSupplierParty/cac:Party/cac:PartyTaxScheme");
    br_e_05 "BR-E-05" |d| rates_are_right(lines(d), "E"), in "exempt" Set("cac:InvoiceLine/cac:Item/cac:ClassifiedTaxCategory/cbc:Percent", "19");
    br_e_06 "BR-E-06" |d| rates_are_right(d.all(ALLOWANCE), "E"), in "exempt" Set("cac:AllowanceCharge/cac:TaxCategory/cbc:Percent", "19");
    br_e_08 "BR-E-08" |d| is_taxed_on_its_parts(d, "E"), in "exempt" Set("cac:TaxTotal/cac:TaxSubtotal/cbc:TaxableAmount", "50.00");
    br_e_09 "BR-E-09" |d| has_no_tax(d, "E"), in "exempt" Set("cac:TaxTotal/cac:TaxSubtotal/cbc:TaxAmount", "0.01");
    br_e_10 "BR-E-10" |d| gives_reasons(d, "E"), in "exempt" Remove("cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory/cbc:TaxExemptionReason");

    br_ae_01 "BR-AE-01" |d| has_its_sum(d, "AE"), in "reverse_charge" Set("cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory/cbc:ID", "E");
    br_ae_02 "BR-AE-02" |d| parties_have_numbers(d, "AE", lines(d)), in "reverse_charge" Edit::RemoveAll("cac:AccountingCustomerParty/cac:Party/cac:PartyTaxScheme");
    br_ae_03 "BR-AE-03" |d| parties_have_numbers(d, "AE", d.all(ALLOWANCE)), in "reverse_charge" Edit::RemoveAll("cac:AccountingCustomerParty/cac:Party/cac:PartyTaxScheme");
    br_ae_05 "BR-AE-05" |d| rates_are_right(lines(d), "AE"), in "reverse_charge" Set("cac:InvoiceLine/cac:Item/cac:ClassifiedTaxCategory/cbc:Percent", "19");
    br_ae_06 "BR-AE-06" |d| rates_are_right(d.all(ALLOWANCE), "AE"), in "reverse_charge" Set("cac:AllowanceCharge/cac:TaxCategory/cbc:Percent", "19");
    br_ae_08 "BR-AE-08" |d| is_taxed_on_its_parts(d, "AE"), in "reverse_charge" Set("cac:TaxTotal/cac:TaxSubtotal/cbc:TaxableAmount", "51.00");
    br_ae_09 "BR-AE-09" |d| has_no_tax(d, "AE"), in "reverse_charge" Set("cac:TaxTotal/cac:TaxSubtotal/cbc:TaxAmount", "0.01");
    br_ae_10 "BR-AE-10" |d| gives_reasons(d, "AE"), in "reverse_charge" Edit::RemoveReasons;

    br_dec_01 "BR-DEC-01" |d| has_few_decimals(d, "cac:AllowanceCharge/cbc:Amount"), in "mixed" Set("cac:AllowanceCharge/cbc:Amount", "1.001");
    br_dec_12 "BR-DEC-12" |d| has_few_decimals(d, "cac:LegalMonetaryTotal/cbc:TaxExclusiveAmount"), in "mixed" Set("cac:LegalMonetaryTotal/cbc:TaxExclusiveAmount", "1.001");
    br_dec_20 "BR-DEC-20" |d| has_few_decimals(d, "cac:TaxTotal/cac:TaxSubtotal/cbc:TaxAmount"), in "mixed" Set("cac:TaxTotal/cac:TaxSubtotal/cbc:TaxAmount", "1.001");
    br_dec_23 "BR-DEC-23" |d| lines(d).iter().all(|l| l.text("cbc:LineExtensionAmount").is_some_and(|a| a.split_once('.').is_none_or(|(_, decimals)| decimals.len() <= 2))), in "mixed" Set("cac:InvoiceLine/cbc:LineExtensionAmount", "1.001");
    br_cl_08 "BR-CL-08" |d| each(d, "cbc:Note", |n| !n.own_text().contains('#')), in "mixed" Set("cbc:Note", "#XYZ#");
}
