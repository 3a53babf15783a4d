//! A document as XML: EN 16931 in UBL 2.1, `Invoice` or `CreditNote`. Pure.
//!
//! Source: EN 16931-1 (BT and BG are its terms and groups), bound to UBL by CEN/TS 16931-3-2; its rules as schematron:
//! <https://github.com/ConnectingEurope/eInvoicing-EN16931>.

mod demands;
mod figures;
#[cfg(test)]
mod tests;
mod xml;

use jiff::civil::Date;

use super::document::{Discount, Document, Kind, Line, Party, Period, Preceding, TaxCategory};
use crate::platform::error::{Error, Result};
use figures::{Group, Rate, amount, groups, price_of};
use xml::{Xml, clean};

const SPECIFICATION: &str = "urn:cen.eu:en16931:2017";
/// UNTDID 1001.
const COMMERCIAL_INVOICE: &str = "380";
const CREDIT_NOTE: &str = "381";
/// UNTDID 4461.
const SEPA_CREDIT_TRANSFER: &str = "58";
const CREDIT_TRANSFER: &str = "30";
/// UN/ECE Recommendation 20: one, of whatever the line names.
const ONE: &str = "C62";
/// An e-mail address, in the list of electronic address schemes.
const EMAIL: &str = "EM";
/// Not the VAT identifier, but a registration of the seller's own country.
const LOCAL_TAX: &str = "FC";
const VAT: &str = "VAT";
const REVERSE_CHARGE: &str = "VATEX-EU-AE";

/// Writes the document as XML that keeps all rules of EN 16931.
///
/// # Errors
/// [`Error::Invalid`] that names whatever the standard demands and the document lacks, or can't be said in it.
pub fn write(document: &Document) -> Result<Vec<u8>> {
    demands::check(document)?;
    let mut xml = Xml::new();
    draw(&mut xml, document).map_err(|e| Error::internal("writing a document as XML", e))?;
    Ok(xml.into_bytes())
}

type Drawn = std::io::Result<()>;

fn draw(xml: &mut Xml, document: &Document) -> Drawn {
    let root = match document.kind {
        Kind::Invoice => "Invoice",
        Kind::CreditNote => "CreditNote",
    };
    xml.root(root, |xml| {
        xml.text("cbc:CustomizationID", SPECIFICATION)?;
        xml.text("cbc:ID", &document.number)?;
        xml.text("cbc:IssueDate", &document.issued_on.to_string())?;
        match document.kind {
            Kind::Invoice => {
                xml.optional("cbc:DueDate", document.due_on.map(|day| day.to_string()).as_deref())?;
                xml.text("cbc:InvoiceTypeCode", COMMERCIAL_INVOICE)?;
            }
            Kind::CreditNote => xml.text("cbc:CreditNoteTypeCode", CREDIT_NOTE)?,
        }
        xml.optional("cbc:Note", document.note.as_deref().map(without_subject_code).as_deref())?;
        xml.text("cbc:DocumentCurrencyCode", document.currency.code())?;
        period(xml, document.period)?;
        preceding(xml, document.credits.as_ref())?;
        xml.group("cac:AccountingSupplierParty", |xml| party(xml, &document.seller, true))?;
        xml.group("cac:AccountingCustomerParty", |xml| party(xml, &document.buyer, false))?;
        match document.kind {
            Kind::Invoice => transfer(xml, document)?,
            // It has no due date, and is to say how it is settled all the same (BR-CO-25).
            Kind::CreditNote => {
                let terms = document.words().document.terms_of_credit;
                xml.group("cac:PaymentTerms", |xml| xml.text("cbc:Note", terms))?;
            }
        }
        for part in &document.discounts {
            discount(xml, document, part)?;
        }
        taxes(xml, document)?;
        totals(xml, document)?;
        for (n, sold) in document.lines.iter().enumerate() {
            line(xml, document, n + 1, sold)?;
        }
        Ok(())
    })
}

/// BT-22 may begin with a code between two `#`, by which people never mean one (BR-CL-08).
fn without_subject_code(note: &str) -> String {
    note.replace('#', "＃")
}

/// BG-14 and BG-26, whose last day is in them.
fn period(xml: &mut Xml, period: Option<Period>) -> Drawn {
    let Some(Period { from, until }) = period else { return Ok(()) };
    xml.group("cac:InvoicePeriod", |xml| {
        xml.text("cbc:StartDate", &from.to_string())?;
        xml.text("cbc:EndDate", &last_day(until).to_string())
    })
}

fn last_day(until: Date) -> Date {
    until.yesterday().unwrap_or(until)
}

/// BG-3
fn preceding(xml: &mut Xml, credited: Option<&Preceding>) -> Drawn {
    let Some(invoice) = credited else { return Ok(()) };
    xml.group("cac:BillingReference", |xml| {
        xml.group("cac:InvoiceDocumentReference", |xml| {
            xml.text("cbc:ID", &invoice.number)?;
            xml.text("cbc:IssueDate", &invoice.issued_on.to_string())
        })
    })
}

/// BG-4 and BG-7
fn party(xml: &mut Xml, party: &Party, is_seller: bool) -> Drawn {
    let vat = party.tax_id.as_deref().filter(|id| !clean(id).is_empty());
    let local = party.tax_number.as_deref().filter(|number| is_seller && !clean(number).is_empty());
    xml.group("cac:Party", |xml| {
        if let Some(email) = &party.email {
            xml.attributed("cbc:EndpointID", ("schemeID", EMAIL), email)?;
        }
        // Sellers must be told apart by one of the two (BR-CO-26), and the local number alone does not count as one.
        if let (None, Some(number)) = (vat, local) {
            xml.group("cac:PartyIdentification", |xml| xml.text("cbc:ID", number))?;
        }
        xml.group("cac:PostalAddress", |xml| {
            let address = &party.address;
            xml.optional("cbc:StreetName", address.line1.as_deref())?;
            xml.optional("cbc:AdditionalStreetName", address.line2.as_deref())?;
            xml.optional("cbc:CityName", address.city.as_deref())?;
            xml.optional("cbc:PostalZone", address.postcode.as_deref())?;
            xml.optional("cbc:CountrySubentity", address.region.as_deref())?;
            xml.group("cac:Country", |xml| xml.optional("cbc:IdentificationCode", address.country.as_deref()))
        })?;
        for (number, scheme) in [(vat, VAT), (local, LOCAL_TAX)] {
            let Some(number) = number else { continue };
            xml.group("cac:PartyTaxScheme", |xml| {
                xml.text("cbc:CompanyID", number)?;
                tax_scheme(xml, scheme)
            })?;
        }
        xml.group("cac:PartyLegalEntity", |xml| xml.text("cbc:RegistrationName", &party.name))?;
        let email = party.email.as_deref().filter(|email| !clean(email).is_empty());
        email.map_or(Ok(()), |email| xml.group("cac:Contact", |xml| xml.text("cbc:ElectronicMail", email)))
    })
}

/// BG-16 and BG-17
fn transfer(xml: &mut Xml, document: &Document) -> Drawn {
    let Some(bank) = &document.bank else { return Ok(()) };
    let means = if document.currency.code() == "EUR" { SEPA_CREDIT_TRANSFER } else { CREDIT_TRANSFER };
    xml.group("cac:PaymentMeans", |xml| {
        xml.text("cbc:PaymentMeansCode", means)?;
        xml.text("cbc:PaymentID", &document.number)?;
        xml.group("cac:PayeeFinancialAccount", |xml| {
            xml.text("cbc:ID", &bank.iban.replace(' ', ""))?;
            xml.optional("cbc:Name", bank.holder.as_deref())?;
            let Some(bic) = bank.bic.as_deref().filter(|bic| !clean(bic).is_empty()) else { return Ok(()) };
            xml.group("cac:FinancialInstitutionBranch", |xml| xml.text("cbc:ID", bic))
        })
    })
}

/// BG-20
fn discount(xml: &mut Xml, document: &Document, part: &Discount) -> Drawn {
    xml.group("cac:AllowanceCharge", |xml| {
        xml.text("cbc:ChargeIndicator", "false")?;
        xml.text("cbc:AllowanceChargeReason", &part.reason)?;
        money(xml, document, "cbc:Amount", part.net_minor)?;
        xml.group("cac:TaxCategory", |xml| tax_category(xml, Rate::of(&part.tax), None))
    })
}

/// BG-23
fn taxes(xml: &mut Xml, document: &Document) -> Drawn {
    xml.group("cac:TaxTotal", |xml| {
        money(xml, document, "cbc:TaxAmount", document.totals.tax_minor)?;
        for Group { rate, net_minor, tax_minor, note } in groups(document) {
            xml.group("cac:TaxSubtotal", |xml| {
                money(xml, document, "cbc:TaxableAmount", net_minor)?;
                money(xml, document, "cbc:TaxAmount", tax_minor)?;
                xml.group("cac:TaxCategory", |xml| tax_category(xml, rate, Some(&note)))
            })?;
        }
        Ok(())
    })
}

/// BG-22
fn totals(xml: &mut Xml, document: &Document) -> Drawn {
    let totals = &document.totals;
    xml.group("cac:LegalMonetaryTotal", |xml| {
        money(xml, document, "cbc:LineExtensionAmount", totals.lines_net_minor)?;
        money(xml, document, "cbc:TaxExclusiveAmount", totals.net_minor)?;
        money(xml, document, "cbc:TaxInclusiveAmount", totals.gross_minor)?;
        if !document.discounts.is_empty() {
            money(xml, document, "cbc:AllowanceTotalAmount", totals.discount_net_minor)?;
        }
        if totals.prepaid_minor != 0 {
            money(xml, document, "cbc:PrepaidAmount", totals.prepaid_minor)?;
        }
        money(xml, document, "cbc:PayableAmount", totals.due_minor)
    })
}

/// BG-25
fn line(xml: &mut Xml, document: &Document, n: usize, line: &Line) -> Drawn {
    let (name, counted) = match document.kind {
        Kind::Invoice => ("cac:InvoiceLine", "cbc:InvoicedQuantity"),
        Kind::CreditNote => ("cac:CreditNoteLine", "cbc:CreditedQuantity"),
    };
    let (quantity, price) = price_of(line, document.currency).unwrap_or_default();
    xml.group(name, |xml| {
        xml.text("cbc:ID", &n.to_string())?;
        xml.attributed(counted, ("unitCode", ONE), &quantity.to_string())?;
        money(xml, document, "cbc:LineExtensionAmount", line.net_minor)?;
        period(xml, line.period)?;
        xml.group("cac:Item", |xml| {
            xml.text("cbc:Name", &line.description)?;
            xml.group("cac:ClassifiedTaxCategory", |xml| tax_category(xml, Rate::of(&line.tax), None))
        })?;
        xml.group("cac:Price", |xml| {
            xml.attributed("cbc:PriceAmount", ("currencyID", document.currency.code()), &price.to_string())
        })
    })
}

/// A rate, with the reason why it is none where one is to be said.
fn tax_category(xml: &mut Xml, rate: Rate, reason: Option<&str>) -> Drawn {
    xml.text("cbc:ID", rate.category.code())?;
    xml.text("cbc:Percent", &rate.percent.to_string())?;
    if reason.is_some() && rate.category == TaxCategory::ReverseCharge {
        xml.text("cbc:TaxExemptionReasonCode", REVERSE_CHARGE)?;
    }
    if matches!(rate.category, TaxCategory::ReverseCharge | TaxCategory::Exempt) {
        xml.optional("cbc:TaxExemptionReason", reason)?;
    }
    tax_scheme(xml, VAT)
}

fn tax_scheme(xml: &mut Xml, scheme: &str) -> Drawn {
    xml.group("cac:TaxScheme", |xml| xml.text("cbc:ID", scheme))
}

/// An amount that [`demands::check`] found to have a place in the standard.
fn money(xml: &mut Xml, document: &Document, name: &str, amount_minor: i64) -> Drawn {
    let amount = amount(amount_minor, document.currency).unwrap_or_default();
    xml.attributed(name, ("currencyID", document.currency.code()), &amount.to_string())
}
