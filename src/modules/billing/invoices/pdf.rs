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
use crate::modules::billing::languages::Words;
use crate::platform::error::Result;
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
/// Where that column's values begin; where names are long, the column begins further to the left.
const VALUES: f32 = 378.0;
/// Of documents from before they had a language, whose bytes stay.
const VALUES_BEFORE: f32 = 400.0;
/// Where values begin beside names at the left, unless those are longer.
const LEFT_VALUES: f32 = LEFT + 85.0;
/// Between a name and its value, at least.
const NAME_GAP: f32 = 10.0;

/// Writes the document as PDF, with its XML attached where it can be said in that.
///
/// # Errors
/// [`crate::platform::error::Error::Internal`] only.
pub fn write(document: &Document) -> Result<Vec<u8>> {
    let Writer { sheets, parts, .. } = lay_out(document)?;
    sheets.finish(frame(document), parts, metadata(document), xml(document))
}

fn lay_out(document: &Document) -> Result<Writer<'_>> {
    let (words, breaks, faces) = (document.words(), breaks(document), faces()?);
    let facts = facts(document);
    let values = if document.language.is_some() { VALUES } else { VALUES_BEFORE };
    let middle = (values - widest(faces, &facts)).min(MIDDLE);
    let columns = (middle, values);
    let mut writer = Writer { document, words, breaks, columns, faces, sheets: Sheets::new(), parts: Vec::new() };
    writer.seller_and_title();
    writer.buyer_and_facts(&facts);
    writer.what_is_due();
    writer.lines();
    writer.sums();
    writer.bank();
    writer.notes();
    Ok(writer)
}

struct Writer<'a> {
    document: &'a Document,
    words: &'static Words,
    breaks: fn(char) -> bool,
    /// Where the right column begins, and its values.
    columns: (f32, f32),
    faces: &'static Faces,
    sheets: Sheets,
    /// What was said, in its order.
    parts: Vec<Part>,
}

impl Writer<'_> {
    /// Lines of text, one below the other.
    fn block(&mut self, face: &'static Face, size: f32, text: &str, from: f32, to: f32, ink: Ink) -> Vec<Part> {
        let lines = face.lines(size, text, to - from, self.breaks);
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
        let (document, words, faces, (middle, _)) = (self.document, self.words, self.faces, self.columns);
        let top = self.sheets.y;
        let title = words.kind(document.kind);
        let parts = self.block(&faces.strong, TITLE, title, middle, RIGHT, Ink::Text);
        self.parts.push(heading(1, &wording::title(document), parts));
        self.sheets.y = top + 4.0;
        self.say(&faces.strong, 12.0, &document.seller.name, LEFT, middle - 20.0, Ink::Text);
        for line in wording::address(words, &document.seller) {
            self.say(&faces.regular, SMALL, &line, LEFT, middle - 20.0, Ink::Aside);
        }
        self.sheets.y += GAP;
    }

    fn buyer_and_facts(&mut self, facts: &[(&str, String)]) {
        let (document, words, faces, (middle, values)) = (self.document, self.words, self.faces, self.columns);
        let said = &words.document;
        let top = self.sheets.y;
        self.say(&faces.regular, SMALL, said.to, LEFT, middle - 20.0, Ink::Aside);
        self.say(&faces.strong, BODY, &document.buyer.name, LEFT, middle - 20.0, Ink::Text);
        for line in wording::address(words, &document.buyer) {
            self.say(&faces.regular, BODY, &line, LEFT, middle - 20.0, Ink::Text);
        }
        if let Some(id) = &document.buyer.tax_id {
            self.say(&faces.regular, BODY, &format!("{} {id}", said.vat_id), LEFT, middle - 20.0, Ink::Text);
        }
        let bottom = std::mem::replace(&mut self.sheets.y, top);
        self.facts(facts, middle, values);
        self.sheets.y = self.sheets.y.max(bottom) + GAP;
    }

    /// Names and values, side by side.
    fn facts(&mut self, facts: &[(&str, String)], names: f32, values: f32) {
        let values = values.max(names + widest(self.faces, facts));
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
        let (document, totals, said) = (self.document, &self.document.totals, &self.words.document);
        let (label, amount_minor) = match (document.kind, document.due_on) {
            (Kind::CreditNote, _) => (said.credited_to_you.to_owned(), totals.gross_minor),
            (Kind::Invoice, _) if totals.due_minor == 0 && totals.prepaid_minor > 0 => {
                (said.nothing_to_pay.to_owned(), 0)
            }
            (Kind::Invoice, _) if totals.due_minor <= 0 => (said.amount_due.to_owned(), totals.due_minor),
            (Kind::Invoice, Some(day)) => ((said.pay_by)(&self.words.day(day)), totals.due_minor),
            (Kind::Invoice, None) => (said.amount_due.to_owned(), totals.due_minor),
        };
        self.say(&self.faces.regular, SMALL, &label, LEFT, RIGHT, Ink::Aside);
        let amount = self.words.money(amount_minor, document.currency);
        self.say(&self.faces.strong, LARGE, &amount, LEFT, RIGHT, Ink::Text);
        self.sheets.y += GAP;
    }

    fn lines(&mut self) {
        let columns = Columns::of(self.document, self.words, self.faces);
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
        let (document, words, face, breaks) = (self.document, self.words, &self.faces.regular, self.breaks);
        let mut said = face.lines(BODY, &line.description, columns.width, breaks);
        let period = line.period.filter(|period| document.period != Some(*period));
        let first_of_period = said.len();
        let period = period.map(|period| face.lines(SMALL, &words.period(period), columns.width, breaks));
        said.extend(period.into_iter().flatten());
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
        let (words, said) = (self.words, &self.words.document);
        let prices_have_tax = document.prices_have_tax() == Some(true);
        let mut sums: Vec<(String, i64, bool)> = Vec::new();
        let mut add = |label: &str, minor: i64, is_strong: bool| sums.push((label.to_owned(), minor, is_strong));
        let of_lines = if prices_have_tax {
            totals.gross_minor + document.discounts.iter().map(|part| part.amount_minor).sum::<i64>()
        } else {
            totals.lines_net_minor
        };
        let has_discount = !document.discounts.is_empty();
        if has_discount {
            add(said.subtotal, of_lines, false);
            for (reason, minor) in discounts(document, prices_have_tax) {
                add(&reason, -minor, false);
            }
        }
        let taxes = document.taxes.iter().map(|sum| {
            let net = words.figures.amount(sum.net_minor, currency);
            (words.tax_sum(sum, &net), sum.tax_minor)
        });
        if prices_have_tax {
            add(said.total_with_tax, totals.gross_minor, true);
            taxes.for_each(|(label, minor)| add(&(said.of_which)(&label), minor, false));
        } else {
            add(said.net, totals.net_minor, false);
            taxes.for_each(|(label, minor)| add(&label, minor, false));
            add(said.total, totals.gross_minor, true);
        }
        let (paid, left) = match document.kind {
            Kind::Invoice => (said.already_paid, said.amount_due),
            Kind::CreditNote => (said.already_given_back, said.left_to_give_back),
        };
        if totals.prepaid_minor != 0 {
            add(paid, -totals.prepaid_minor, false);
        }
        if totals.prepaid_minor != 0 || document.kind == Kind::Invoice {
            add(left, totals.due_minor, true);
        }
        self.sheets.ensure((LEADING + 2.0) * sums.len() as f32 + 12.0);
        let last = sums.len();
        for (n, (label, minor, is_strong)) in sums.into_iter().enumerate() {
            let is_last = n + 1 == last;
            let shown = if is_last { words.money(minor, currency) } else { words.figures.amount(minor, currency) };
            self.sum(&label, &shown, is_strong, is_last);
        }
        self.sheets.y += GAP;
    }

    fn sum(&mut self, label: &str, shown: &str, is_strong: bool, is_last: bool) {
        let face = if is_strong { &self.faces.strong } else { &self.faces.regular };
        let from = MIDDLE - 60.0;
        let shown = face.line(BODY, shown);
        let mut lines = face.lines(BODY, label, RIGHT - from - shown.width - 10.0, self.breaks);
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
        let (document, said) = (self.document, &self.words.document);
        let is_payable = document.kind == Kind::Invoice && document.totals.due_minor > 0;
        let Some(bank) = document.bank.as_ref().filter(|_| is_payable) else { return };
        let mut facts = Vec::new();
        facts.extend(bank.holder.as_ref().map(|holder| (said.account_holder, holder.clone())));
        facts.push(("IBAN", wording::iban(&bank.iban)));
        facts.extend(bank.bic.as_ref().map(|bic| ("BIC", bic.clone())));
        facts.push((said.reference, document.number.clone()));
        self.sheets.ensure(LEADING * (facts.len() + 2) as f32);
        self.heading(said.pay_by_transfer);
        self.facts(&facts, LEFT, LEFT_VALUES);
        self.sheets.y += GAP;
    }

    /// Why there is no tax, and what else is to be said.
    fn notes(&mut self) {
        let document = self.document;
        let mut notes: Vec<String> = Vec::new();
        let reasons = document.taxes.iter().filter_map(|sum| self.words.why_untaxed(&sum.tax));
        for note in reasons.chain(document.note.clone()).filter(|note| !note.trim().is_empty()) {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        if notes.is_empty() {
            return;
        }
        self.sheets.ensure(LEADING * 3.0);
        self.heading(self.words.document.notes);
        for note in notes {
            self.say(&self.faces.regular, BODY, &note, LEFT, RIGHT, Ink::Text);
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
    fn of(document: &Document, words: &Words, faces: &'static Faces) -> Columns {
        let (face, currency) = (&faces.regular, document.currency);
        let (said, has_tax) = (&words.document, document.prices_have_tax());
        let names = [
            said.description.to_owned(),
            said.quantity.to_owned(),
            said.price.of(has_tax).to_owned(),
            said.tax.to_owned(),
            (said.amount_in)(currency.code(), has_tax),
        ];
        let cells = |line: &Line| {
            let texts = [
                words.figures.number(line.quantity.normalize()),
                words.figures.price(line.unit_price_minor, currency),
                words.tax_of_line(&line.tax, has_tax.is_none()),
                words.figures.amount(line.amount_minor, currency),
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

/// What stands beside the buyer.
fn facts(document: &Document) -> Vec<(&'static str, String)> {
    let (words, said) = (document.words(), &document.words().document);
    let mut facts = vec![(said.number, document.number.clone()), (said.date, words.day(document.issued_on))];
    facts.extend(document.due_on.map(|day| (said.due, words.day(day))));
    facts.extend(document.period.map(|period| (said.period, words.period(period))));
    facts.extend(document.credits.as_ref().map(|of| (said.credits, words.credited(of))));
    facts
}

/// How much room the longest of the names takes.
fn widest(faces: &'static Faces, facts: &[(&str, String)]) -> f32 {
    facts.iter().map(|(name, _)| faces.regular.line(BODY, name).width + NAME_GAP).fold(0.0, f32::max)
}

/// Where a line may break. What was finalised before it had a language breaks at no-break spaces too: its bytes stay.
fn breaks(document: &Document) -> fn(char) -> bool {
    match document.language {
        Some(_) => |c| c.is_whitespace() && !matches!(c, '\u{a0}' | '\u{2007}' | '\u{202f}'),
        None => char::is_whitespace,
    }
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
    let (seller, words) = (&document.seller, document.words());
    let mut foot = vec![seller.name.clone()];
    foot.extend(seller.tax_id.as_ref().map(|id| format!("{} {id}", words.document.vat_id)));
    foot.extend(seller.tax_number.as_ref().map(|number| format!("{} {number}", words.document.tax_number)));
    foot.extend(seller.email.clone());
    Frame { title: wording::title(document), foot: foot.join(" · "), words, breaks: breaks(document) }
}

fn metadata(document: &Document) -> Metadata {
    Metadata::new()
        .title(wording::title(document))
        .authors(vec![document.seller.name.clone()])
        .creator("Ashlar".into())
        .language(document.words().tag.into())
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
        description: Some(document.words().document.same_as_xml.into()),
        association_kind: AssociationKind::Alternative,
        data: xml.into(),
        modification_date: Some(issued(document)),
        compress: Some(true),
        location: None,
    })
}
