//! A document as PDF: A4, for people and archives (PDF/A-3a, PDF/UA-1), the same bytes for the same document. Pure.

mod letters;
mod sheet;
#[cfg(test)]
mod tests;
mod wording;

use krilla::embed::{AssociationKind, EmbeddedFile, MimeType};
use krilla::metadata::{DateTime, Metadata};

use super::document::{Document, Kind, Line};
use super::ubl;
use crate::platform::error::Result;
use crate::platform::money::Money;
use letters::{Face, Faces, Run, faces};
use sheet::{Align, Frame, Ink, LEFT, Part, RIGHT, Sheets, heading, paragraph, row, table};

/// Sizes of letters, and how far apart lines of them are, in points.
const TITLE: f32 = 20.0;
const LARGE: f32 = 15.0;
const BODY: f32 = 9.0;
const SMALL: f32 = 8.0;
const LEADING: f32 = 13.0;
const GAP: f32 = 22.0;
/// Where the right one of two columns begins.
const MIDDLE: f32 = 335.0;
/// Where that column's values begin.
const VALUES: f32 = 400.0;

/// Writes the document as PDF, with its XML attached where it can be said in that.
///
/// # Errors
/// [`crate::platform::error::Error::Internal`] only.
pub fn write(document: &Document) -> Result<Vec<u8>> {
    let Writer { sheets, parts, .. } = lay_out(document)?;
    sheets.finish(frame(document), parts, metadata(document), xml(document))
}

fn lay_out(document: &Document) -> Result<Writer<'_>> {
    let mut writer = Writer { document, faces: faces()?, sheets: Sheets::new(), parts: Vec::new() };
    writer.seller_and_title();
    writer.buyer_and_facts();
    writer.what_is_due();
    writer.lines();
    writer.sums();
    writer.bank();
    writer.notes();
    Ok(writer)
}

struct Writer<'a> {
    document: &'a Document,
    faces: &'static Faces,
    sheets: Sheets,
    /// What was said, in its order.
    parts: Vec<Part>,
}

impl Writer<'_> {
    /// Lines of text, one below the other.
    fn block(&mut self, face: &'static Face, size: f32, text: &str, from: f32, to: f32, ink: Ink) -> Vec<Part> {
        let lines = face.lines(size, text, to - from);
        let mut parts = Vec::new();
        for line in lines {
            self.sheets.ensure(LEADING);
            if !line.text.trim().is_empty() {
                parts.push(self.sheets.text(line, Align::Left(from), size.max(BODY), ink));
            }
            self.sheets.y += LEADING.max(size + 4.0);
        }
        parts
    }

    fn say(&mut self, face: &'static Face, size: f32, text: &str, from: f32, to: f32, ink: Ink) {
        let parts = self.block(face, size, text, from, to, ink);
        self.parts.push(paragraph(parts));
    }

    fn seller_and_title(&mut self) {
        let (document, faces) = (self.document, self.faces);
        let top = self.sheets.y;
        let title = wording::kind(document.kind);
        let parts = self.block(&faces.strong, TITLE, title, MIDDLE, RIGHT, Ink::Text);
        self.parts.push(heading(1, &wording::title(document), parts));
        self.sheets.y = top + 4.0;
        self.say(&faces.strong, 12.0, &document.seller.name, LEFT, MIDDLE - 20.0, Ink::Text);
        for line in wording::address(&document.seller) {
            self.say(&faces.regular, SMALL, &line, LEFT, MIDDLE - 20.0, Ink::Aside);
        }
        self.sheets.y += GAP;
    }

    fn buyer_and_facts(&mut self) {
        let (document, faces) = (self.document, self.faces);
        let top = self.sheets.y;
        self.say(&faces.regular, SMALL, "To", LEFT, MIDDLE - 20.0, Ink::Aside);
        self.say(&faces.strong, BODY, &document.buyer.name, LEFT, MIDDLE - 20.0, Ink::Text);
        for line in wording::address(&document.buyer) {
            self.say(&faces.regular, BODY, &line, LEFT, MIDDLE - 20.0, Ink::Text);
        }
        if let Some(id) = &document.buyer.tax_id {
            self.say(&faces.regular, BODY, &format!("VAT ID {id}"), LEFT, MIDDLE - 20.0, Ink::Text);
        }
        let bottom = std::mem::replace(&mut self.sheets.y, top);
        let mut facts = vec![("Number", document.number.clone()), ("Date", wording::day(document.issued_on))];
        facts.extend(document.due_on.map(|day| ("Due", wording::day(day))));
        facts.extend(document.period.map(|period| ("Period", wording::period(period))));
        let credited = document.credits.as_ref();
        facts.extend(credited.map(|of| ("Credits", format!("{}\nof {}", of.number, wording::day(of.issued_on)))));
        self.facts(&facts, MIDDLE, VALUES);
        self.sheets.y = self.sheets.y.max(bottom) + GAP;
    }

    /// Names and values, side by side.
    fn facts(&mut self, facts: &[(&str, String)], names: f32, values: f32) {
        for (name, value) in facts {
            self.sheets.ensure(LEADING);
            let name = self.faces.regular.line(BODY, &format!("{name} "));
            let name = self.sheets.text(name, Align::Left(names), BODY, Ink::Aside);
            let mut parts = vec![name];
            parts.extend(self.block(&self.faces.regular, BODY, value, values, RIGHT, Ink::Text));
            self.parts.push(paragraph(parts));
        }
    }

    /// The one figure that people look for.
    fn what_is_due(&mut self) {
        let (document, totals) = (self.document, &self.document.totals);
        let (label, amount_minor) = match (document.kind, document.due_on) {
            (Kind::CreditNote, _) => ("Credited to you".to_owned(), totals.gross_minor),
            (Kind::Invoice, _) if totals.due_minor == 0 && totals.prepaid_minor > 0 => {
                ("Nothing to pay, since it is paid already".to_owned(), 0)
            }
            (Kind::Invoice, _) if totals.due_minor <= 0 => ("Amount due".to_owned(), totals.due_minor),
            (Kind::Invoice, Some(day)) => (format!("Please pay by {}", wording::day(day)), totals.due_minor),
            (Kind::Invoice, None) => ("Amount due".to_owned(), totals.due_minor),
        };
        self.say(&self.faces.regular, SMALL, &label, LEFT, RIGHT, Ink::Aside);
        let amount = Money::new(amount_minor, document.currency).to_string();
        self.say(&self.faces.strong, LARGE, &amount, LEFT, RIGHT, Ink::Text);
        self.sheets.y += GAP;
    }

    fn lines(&mut self) {
        let columns = Columns::of(self.document, self.faces);
        let head = self.head(&columns);
        let lines = &self.document.lines;
        let body = lines.iter().zip(&columns.rows).map(|(line, cells)| self.line(line, cells, &columns)).collect();
        self.sheets.end_head();
        self.parts.push(table(head, body));
        self.sheets.y += 6.0;
    }

    fn head(&mut self, columns: &Columns) -> Vec<Part> {
        let top = self.sheets.y;
        let face = &self.faces.regular;
        let mut parts = Vec::new();
        for (name, align) in std::iter::zip(&columns.names, columns.aligns) {
            parts.push(self.sheets.text(face.line(SMALL, name), align, SMALL, Ink::Aside));
        }
        self.sheets.y += LEADING;
        self.sheets.rule(LEFT);
        self.sheets.y += 5.0;
        self.sheets.begin_head(top);
        parts
    }

    fn line(&mut self, line: &Line, cells: &[Run; 4], columns: &Columns) -> Part {
        let (document, face) = (self.document, &self.faces.regular);
        let mut said = face.lines(BODY, &line.description, columns.width);
        let period = line.period.filter(|period| document.period != Some(*period));
        let first_of_period = said.len();
        said.extend(period.into_iter().flat_map(|period| face.lines(SMALL, &wording::period(period), columns.width)));
        self.sheets.ensure(LEADING * said.len() as f32 + 6.0);

        let mut description = Vec::new();
        let mut figures = Vec::new();
        for (n, run) in said.into_iter().enumerate() {
            self.sheets.ensure(LEADING);
            let ink = if n < first_of_period { Ink::Text } else { Ink::Aside };
            if !run.text.trim().is_empty() {
                description.push(self.sheets.text(run, columns.aligns[0], BODY, ink));
            }
            if n == 0 {
                for (cell, align) in std::iter::zip(cells, &columns.aligns[1..]) {
                    figures.push(vec![self.sheets.text(cell.clone(), *align, BODY, Ink::Text)]);
                }
            }
            self.sheets.y += LEADING;
        }
        self.sheets.y += 2.0;
        self.sheets.rule(LEFT);
        self.sheets.y += 4.0;
        let mut all = vec![description];
        all.extend(figures);
        row(all)
    }

    /// Discounts, tax of each rate, totals.
    fn sums(&mut self) {
        let (document, totals, currency) = (self.document, &self.document.totals, self.document.currency);
        let amount = |minor: i64| wording::amount(minor, currency);
        let prices_have_tax = prices_have_tax(document) == Some(true);
        let mut sums: Vec<(String, String, bool)> = Vec::new();
        let mut add =
            |label: &str, minor: i64, is_strong: bool| sums.push((label.to_owned(), amount(minor), is_strong));
        let of_lines = if prices_have_tax {
            totals.gross_minor + document.discounts.iter().map(|part| part.amount_minor).sum::<i64>()
        } else {
            totals.lines_net_minor
        };
        let has_discount = !document.discounts.is_empty();
        if has_discount {
            add("Subtotal", of_lines, false);
            for (reason, minor) in discounts(document, prices_have_tax) {
                add(&reason, -minor, false);
            }
        }
        if prices_have_tax {
            add("Total with tax", totals.gross_minor, true);
            for sum in &document.taxes {
                add(&format!("of which {}", lower_first(&wording::tax_sum(sum, currency))), sum.tax_minor, false);
            }
        } else {
            add("Net", totals.net_minor, false);
            for sum in &document.taxes {
                add(&wording::tax_sum(sum, currency), sum.tax_minor, false);
            }
            add("Total", totals.gross_minor, true);
        }
        let (paid, left) = match document.kind {
            Kind::Invoice => ("Already paid", "Amount due"),
            Kind::CreditNote => ("Already given back", "Left to give back"),
        };
        if totals.prepaid_minor != 0 {
            add(paid, -totals.prepaid_minor, false);
        }
        if totals.prepaid_minor != 0 || document.kind == Kind::Invoice {
            add(left, totals.due_minor, true);
        }
        if let Some((_, shown, _)) = sums.last_mut() {
            *shown += &format!(" {currency}");
        }
        self.sheets.ensure((LEADING + 2.0) * sums.len() as f32 + 12.0);
        let last = sums.len();
        for (n, (label, shown, is_strong)) in sums.into_iter().enumerate() {
            self.sum(&label, &shown, is_strong, n + 1 == last);
        }
        self.sheets.y += GAP;
    }

    fn sum(&mut self, label: &str, shown: &str, is_strong: bool, is_last: bool) {
        let face = if is_strong { &self.faces.strong } else { &self.faces.regular };
        let from = MIDDLE - 60.0;
        let shown = face.line(BODY, shown);
        let mut lines = face.lines(BODY, label, RIGHT - from - shown.width - 10.0);
        self.sheets.ensure(LEADING + 6.0);
        if is_last && is_strong {
            self.sheets.y += 2.0;
            self.sheets.rule(from);
            self.sheets.y += 5.0;
        }
        let ink = if is_strong { Ink::Text } else { Ink::Aside };
        let first = lines.remove(0);
        let mut parts = vec![self.sheets.text(spaced(first), Align::Left(from), BODY, ink)];
        let shown = self.sheets.text(shown, Align::Right(RIGHT), BODY, Ink::Text);
        self.sheets.y += LEADING + 2.0;
        for line in lines {
            self.sheets.ensure(LEADING);
            parts.push(self.sheets.text(spaced(line), Align::Left(from), BODY, ink));
            self.sheets.y += LEADING + 2.0;
        }
        parts.push(shown);
        self.parts.push(paragraph(parts));
    }

    fn bank(&mut self) {
        let document = self.document;
        let is_payable = document.kind == Kind::Invoice && document.totals.due_minor > 0;
        let Some(bank) = document.bank.as_ref().filter(|_| is_payable) else { return };
        let mut facts = Vec::new();
        facts.extend(bank.holder.as_ref().map(|holder| ("Account holder", holder.clone())));
        facts.push(("IBAN", wording::iban(&bank.iban)));
        facts.extend(bank.bic.as_ref().map(|bic| ("BIC", bic.clone())));
        facts.push(("Reference", document.number.clone()));
        self.sheets.ensure(LEADING * (facts.len() + 2) as f32);
        self.heading("Pay by transfer");
        self.facts(&facts, LEFT, LEFT + 85.0);
        self.sheets.y += GAP;
    }

    /// Why there is no tax, and what else is to be said.
    fn notes(&mut self) {
        let document = self.document;
        let mut notes: Vec<&str> = Vec::new();
        let reasons = document.taxes.iter().filter_map(|sum| sum.tax.note.as_deref());
        for note in reasons.chain(document.note.as_deref()).filter(|note| !note.trim().is_empty()) {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        if notes.is_empty() {
            return;
        }
        self.sheets.ensure(LEADING * 3.0);
        self.heading("Notes");
        for note in notes {
            self.say(&self.faces.regular, BODY, note, LEFT, RIGHT, Ink::Text);
            self.sheets.y += 4.0;
        }
    }

    fn heading(&mut self, text: &str) {
        let parts = self.block(&self.faces.strong, BODY, text, LEFT, RIGHT, Ink::Text);
        self.parts.push(heading(2, text, parts));
        self.sheets.y += 3.0;
    }
}

/// The line's columns: what it is, how many, at which price, with which tax, and the amount.
struct Columns {
    names: [String; 5],
    aligns: [Align; 5],
    /// Of the first.
    width: f32,
    /// The other four of each line.
    rows: Vec<[Run; 4]>,
}

impl Columns {
    /// As wide as their widest cell; the description has the rest.
    fn of(document: &Document, faces: &'static Faces) -> Columns {
        let (face, currency) = (&faces.regular, document.currency);
        let with_tax = if prices_have_tax(document) == Some(true) { " with tax" } else { "" };
        let names = [
            "Description".to_owned(),
            "Quantity".to_owned(),
            format!("Price{with_tax}"),
            "Tax".to_owned(),
            format!("{currency}{with_tax}"),
        ];
        let is_mixed = prices_have_tax(document).is_none();
        let cells = |line: &Line| {
            let texts = [
                line.quantity.normalize().to_string(),
                wording::price(line, currency),
                wording::tax_of_line(&line.tax, is_mixed),
                wording::amount(line.amount_minor, currency),
            ];
            texts.map(|text| face.line(BODY, &text))
        };
        let rows: Vec<[Run; 4]> = document.lines.iter().map(cells).collect();
        let mut aligns = [Align::Left(LEFT); 5];
        let mut right = RIGHT;
        for n in (1..5).rev() {
            let widest = rows.iter().map(|row| row[n - 1].width).fold(face.line(SMALL, &names[n]).width, f32::max);
            aligns[n] = Align::Right(right);
            right -= widest + 16.0;
        }
        Columns { names, aligns, width: (right - LEFT).max(120.0), rows }
    }
}

/// A line's end within a paragraph, as a space.
fn spaced(run: Run) -> Run {
    run.face.line(run.size, &format!("{} ", run.text.trim_end()))
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// Whether the prices contain the tax; none if some do and some don't.
fn prices_have_tax(document: &Document) -> Option<bool> {
    let mut lines = document.lines.iter().map(|line| line.tax.is_inclusive);
    let first = lines.next().unwrap_or(false);
    lines.all(|is_inclusive| is_inclusive == first).then_some(first)
}

/// The discounts for people: one for each reason, not one for each rate.
fn discounts(document: &Document, with_tax: bool) -> Vec<(String, i64)> {
    let mut all: Vec<(String, i64)> = Vec::new();
    for part in &document.discounts {
        let minor = if with_tax { part.amount_minor } else { part.net_minor };
        match all.iter_mut().find(|(reason, _)| *reason == part.reason) {
            Some((_, sum)) => *sum += minor,
            None => all.push((part.reason.clone(), minor)),
        }
    }
    all
}

fn frame(document: &Document) -> Frame {
    let seller = &document.seller;
    let mut foot = vec![seller.name.clone()];
    foot.extend(seller.tax_id.as_ref().map(|id| format!("VAT ID {id}")));
    foot.extend(seller.tax_number.as_ref().map(|number| format!("Tax number {number}")));
    foot.extend(seller.email.clone());
    Frame { title: wording::title(document), foot: foot.join(" · ") }
}

fn metadata(document: &Document) -> Metadata {
    Metadata::new()
        .title(wording::title(document))
        .authors(vec![document.seller.name.clone()])
        .creator("Ashlar".into())
        .language("en".into())
        .document_id(format!("{} {}", document.seller.name, document.number))
        .creation_date(issued(document))
}

fn issued(document: &Document) -> DateTime {
    let day = document.issued_on;
    DateTime::new(day.year().unsigned_abs()).month(day.month().unsigned_abs()).day(day.day().unsigned_abs())
}

/// The XML beside the pages, for the programs of whoever gets it.
fn xml(document: &Document) -> Option<EmbeddedFile> {
    let xml = ubl::write(document).ok()?;
    Some(EmbeddedFile {
        path: "invoice.xml".into(),
        mime_type: MimeType::new("application/xml"),
        description: Some("The same as EN 16931 UBL".into()),
        association_kind: AssociationKind::Alternative,
        data: xml.into(),
        modification_date: Some(issued(document)),
        compress: Some(true),
        location: None,
    })
}
