//! What stands on the pages, read from their layout; and that any document becomes a sound PDF.

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::sheet::{LEFT, RIGHT};
use super::*;
use crate::modules::billing::invoices::document::*;
use crate::modules::billing::invoices::samples::{self, Draft, inclusive, reverse_charge, standard};
use crate::modules::billing::languages::{self, Language};

/// The text of each page, from top to bottom and left to right, one line for each that is printed.
fn pages(document: &Document) -> Vec<Vec<String>> {
    texts(document)
        .into_iter()
        .map(|mut page| {
            page.sort_by(|(_, a), (_, b)| (a[2], a[0]).partial_cmp(&(b[2], b[0])).unwrap());
            let mut lines: Vec<(f32, String)> = Vec::new();
            for (text, [.., baseline]) in page {
                match lines.last_mut() {
                    Some((same, line)) if *same == baseline => *line = format!("{} | {}", line.trim(), text.trim()),
                    _ => lines.push((baseline, text.trim().to_owned())),
                }
            }
            lines.into_iter().map(|(_, line)| line).collect()
        })
        .collect()
}

fn texts(document: &Document) -> Vec<Vec<(String, [f32; 3])>> {
    let mut written = lay_out(document).unwrap();
    written.sheets.frame(&frame(document)).unwrap();
    written.sheets.texts()
}

fn sample(name: &str) -> Document {
    samples::all().into_iter().find(|(known, _)| *known == name).unwrap().1
}

/// A sample as it is said in a language.
fn said_in(tag: &str, name: &str) -> Document {
    Document { language: Language::of(tag), ..sample(name) }
}

/// All text of a document as people see it, which no-break spaces they don't.
fn seen(document: &Document) -> String {
    pages(document).concat().join("\n").replace(['\u{a0}', '\u{202f}'], "_").replace('\u{2212}', "-")
}

fn many(lines: usize) -> Document {
    let mut draft = Draft::of("EUR", &[("", "1", "1999", standard("19"))]);
    let (_, quantity, price, tax) = draft.lines[0].clone();
    draft.lines = (1..=lines).map(|n| (format!("Delivery {n}"), quantity, price, tax.clone())).collect();
    draft.finish()
}

#[test]
fn an_invoice_says_all_that_its_document_says() {
    let [page] = &pages(&sample("mixed"))[..] else { panic!("one page") };

    assert_eq!(
        page.join("\n"),
        "\
Steinmetz & Töchter GmbH
Invoice
Quaderstraße 12
10115 Berlin
Germany
To | Number | INV-2026-0042
Société Générale d'Ardoise SARL | Date | 25 November 2026
8, rue de la Carrière | Due | 9 December 2026
Bâtiment C | Period | 1 – 30 November 2026
49000 Angers
Pays de la Loire
France
VAT ID FR32123456789
Please pay by 9 December 2026
324.68 EUR
Description | Quantity | Price | Tax | EUR
Team plan | 3 | 19.00 | 19 % | 57.00
Handbook, printed | 2 | 24.9025 | 7 % | 49.81
Export to a third country | 1 | 99.00 | 0 % | 99.00
Course for members | 1 | 120.00 | exempt | 120.00
Subtotal | 325.81
Loyalty discount | -10.01
Net | 315.80
Tax 19 % on 55.25 | 10.50
Tax 7 % on 48.28 | 3.38
Tax 0 % on 95.96 | 0.00
Exempt from tax: 116.31 | 0.00
Total | 329.68
Already paid | -5.00
Amount due | 324.68 EUR
Pay by transfer
Account holder | Steinmetz & Töchter GmbH
IBAN | DE89 3704 0044 0532 0130 00
BIC | COBADEFFXXX
Reference | INV-2026-0042
Notes
Exempt under § 4 No. 21 UStG
Thank you for your order #A17# of November.
See you soon.
Steinmetz & Töchter GmbH · VAT ID DE123456789 · Tax number 29/815/08153 · billing@steinmetz.example | Page 1 of 1"
    );
}

#[test]
fn an_invoice_is_said_in_the_language_that_it_was_finalised_in() {
    assert_eq!(
        seen(&said_in("de", "mixed")),
        "\
Steinmetz & Töchter GmbH
Rechnung
Quaderstraße 12
10115 Berlin
Deutschland
An | Nummer | INV-2026-0042
Société Générale d'Ardoise SARL | Datum | 25._November_2026
8, rue de la Carrière | Fällig am | 9._Dezember_2026
Bâtiment C | Leistungszeitraum | 1. – 30._November_2026
49000 Angers
Pays de la Loire
Frankreich
USt-IdNr. FR32123456789
Zahlbar bis zum 9._Dezember_2026
324,68_€
Bezeichnung | Menge | Einzelpreis | USt. | EUR
Team plan | 3 | 19,00 | 19_% | 57,00
Handbook, printed | 2 | 24,9025 | 7_% | 49,81
Export to a third country | 1 | 99,00 | 0_% | 99,00
Course for members | 1 | 120,00 | steuerfrei | 120,00
Zwischensumme | 325,81
Loyalty discount | -10,01
Nettobetrag | 315,80
USt. 19_% auf 55,25 | 10,50
USt. 7_% auf 48,28 | 3,38
USt. 0_% auf 95,96 | 0,00
Steuerfrei: 116,31 | 0,00
Gesamtbetrag | 329,68
Bereits bezahlt | -5,00
Zahlbetrag | 324,68_€
Zahlung per Überweisung
Kontoinhaber | Steinmetz & Töchter GmbH
IBAN | DE89 3704 0044 0532 0130 00
BIC | COBADEFFXXX
Verwendungszweck | INV-2026-0042
Hinweise
Exempt under § 4 No. 21 UStG
Thank you for your order #A17# of November.
See you soon.
Steinmetz & Töchter GmbH · USt-IdNr. DE123456789 · Steuernummer 29/815/08153 · billing@steinmetz.example | Seite 1 von 1"
    );
    for (tag, lines) in [
        ("en", ["Please pay by 9_December_2026\n€324.68", "Tax 19% on 55.25 | 10.50", "Loyalty discount | -10.01"]),
        (
            "fr",
            [
                "À régler au plus tard le 9_décembre_2026\n324,68_€",
                "TVA 19_% sur 55,25 | 10,50",
                "Période de service | du 1er au 30_novembre_2026",
            ],
        ),
        (
            "es",
            [
                "A pagar a más tardar el 9_de_diciembre_de_2026\n324,68_€",
                "IVA 19_% sobre 55,25 | 10,50",
                "Fecha de expedición | 25_de_noviembre_de_2026",
            ],
        ),
    ] {
        let said = seen(&said_in(tag, "mixed"));
        assert!(lines.iter().all(|line| said.contains(line)), "{said}");
    }
}

#[test]
fn a_credit_note_bears_its_legal_name_and_why_there_is_no_tax_in_its_language() {
    for (tag, lines) in [
        (
            "de",
            [
                "Rechnungskorrektur",
                "Zur Rechnung | INV-2026-0042",
                "Ihnen gutgeschrieben\n50,00_€",
                "Steuerschuldnerschaft des Leistungsempfängers (Reverse charge: VAT is due by the recipient)",
            ],
        ),
        (
            "fr",
            [
                "Avoir",
                "Facture d’origine | INV-2026-0042",
                "Montant en votre faveur\n50,00_€",
                "Autoliquidation (Reverse charge: VAT is due by the recipient)",
            ],
        ),
        (
            "es",
            [
                "Factura rectificativa",
                "Factura rectificada | INV-2026-0042",
                "Importe a su favor\n50,00_€",
                "Inversión del sujeto pasivo (Reverse charge: VAT is due by the recipient)",
            ],
        ),
    ] {
        let said = seen(&said_in(tag, "reverse_charge_credit_note"));
        assert!(lines.iter().all(|line| said.contains(line)), "{said}");
    }
}

#[test]
fn large_amounts_are_grouped_and_never_broken() {
    let large = Draft::of("EUR", &[("Quarry", "1", "123456789", standard("19"))]).finish();
    let large = |tag| Document { language: Language::of(tag), ..large.clone() };

    for (tag, line) in [
        ("en", "Tax 19% on 1,234,567.89 | 234,567.90"),
        ("de", "USt. 19_% auf 1.234.567,89 | 234.567,90"),
        ("fr", "TVA 19_% sur 1_234_567,89 | 234_567,90"),
        ("es", "IVA 19_% sobre 1.234.567,89 | 234.567,90"),
    ] {
        let said = seen(&large(tag));
        assert!(said.contains(line), "{said}");
    }
    // Of the one from before it had a language, nothing changes.
    assert!(seen(&large("none")).contains("Tax 19 % on 1234567.89 | 234567.90"));
}

#[test]
fn the_file_says_its_language() {
    for language in languages::ALL {
        let tag = language.words().tag;
        let pdf = write(&said_in(tag, "standard")).unwrap();
        let says = |text: &str| pdf.windows(text.len()).any(|bytes| bytes == text.as_bytes());
        assert!(says(&format!("/Lang({tag})")) && says(&format!("<rdf:li>{tag}</rdf:li>")), "{tag}");
    }
}

#[test]
fn the_font_has_all_that_is_said_in_any_language() {
    let faces = faces().unwrap();
    let missing = faces.regular.missing_glyph();
    for (language, (name, document)) in
        languages::ALL.into_iter().flat_map(|language| samples::all().into_iter().map(move |sample| (language, sample)))
    {
        if name == "yen" {
            continue; // Japanese is what the font lacks.
        }
        for (text, _) in texts(&Document { language: Some(language), ..document }).concat() {
            for face in [&faces.regular, &faces.strong] {
                assert!(face.line(9.0, &text).glyphs.iter().all(|glyph| glyph.glyph_id != missing), "{text}");
            }
        }
    }
}

#[test]
fn a_credit_note_names_its_invoice_and_asks_for_nothing() {
    let said = pages(&sample("reverse_charge_credit_note")).concat().join("\n");

    for line in [
        "Credit note",
        "Credits | INV-2026-0042",
        "of 20 November 2026",
        "Credited to you\n50.00 EUR",
        "Team plan | 3 | 19.00 | reverse | 57.00",
        "Reverse charge on 50.00 | 0.00\nTotal | 50.00 EUR",
        "Reverse charge: VAT is due by the recipient",
    ] {
        assert!(said.contains(line), "{line}, in\n{said}");
    }
    assert!(!said.contains("due by 9") && !said.contains("IBAN") && !said.contains("Amount due"), "{said}");
}

#[test]
fn prices_with_tax_in_them_add_up_to_the_total_and_say_the_tax_within() {
    let said = pages(&sample("inclusive")).concat().join("\n");

    assert!(
        said.contains(
            "\
Description | Quantity | Price with tax | Tax | EUR with tax
Monthly pass | 3 | 9.99 | 19 % | 29.97
Paperback | 7 | 12.95 | 7 % | 90.65
Sticker | 1 | 0.01 | 19 % | 0.01
Subtotal | 120.63
Loyalty discount | -3.33
Total with tax | 117.30
of which tax 19 % on 24.50 | 4.65
of which tax 7 % on 82.38 | 5.77
Amount due | 117.30 EUR"
        ),
        "{said}"
    );

    let both =
        Draft::of("EUR", &[("Plan", "1", "100", standard("19")), ("Pass", "1", "119", inclusive("19"))]).finish();
    let said = pages(&both).concat().join("\n");
    assert!(said.contains("Pass | 1 | 1.19 | 19 % incl. | 1.19\nNet | 2.00\n"), "{said}");
}

#[test]
fn amounts_have_the_decimals_of_their_currency() {
    for (name, line) in [("yen", "Amount due | 6663 JPY"), ("dinar", "Amount due | 26.250 KWD")] {
        let said = pages(&sample(name)).concat().join("\n");
        assert!(said.contains(line), "{line}, in\n{said}");
    }
}

#[test]
fn hundreds_of_lines_go_on_over_pages_with_their_head_and_number() {
    let pages = pages(&many(300));
    let all = pages.len();

    assert!((8..=14).contains(&all), "{all} pages");
    for (n, page) in pages.iter().enumerate() {
        assert!(page.last().unwrap().ends_with(&format!("Page {} of {all}", n + 1)), "{page:?}");
        let has_lines = page.iter().any(|line| line.starts_with("Delivery"));
        assert_eq!(
            page.iter().filter(|line| line.starts_with("Description |")).count(),
            usize::from(has_lines),
            "{page:?}"
        );
        assert!(n == 0 || page[0] == "Invoice INV-2026-0042", "{page:?}");
    }
    let sold: Vec<_> = pages.concat().into_iter().filter(|line| line.starts_with("Delivery")).collect();
    let expected: Vec<String> = (1..=300).map(|n| format!("Delivery {n} | 1 | 19.99 | 19 % | 19.99")).collect();
    assert_eq!(sold, expected);
}

#[test]
fn long_names_go_on_in_the_next_line_and_words_without_end_are_broken() {
    let mut document = sample("standard");
    document.seller.name =
        "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft ".repeat(2);
    document.buyer.name = "W".repeat(200);
    document.lines[0].description = "Iron ".repeat(40);

    let said = pages(&document).concat().join("\n");

    let count = |letter: &str| said.matches(letter).count();
    assert_eq!((count("W"), count("Iron")), (200, 40), "{said}");
    assert!(fits(&document));
}

#[test]
fn what_the_font_lacks_is_a_box_that_can_be_copied_as_what_it_is() {
    let faces = faces().unwrap();
    let missing = faces.regular.line(9.0, "チ").glyphs[0].glyph_id;

    assert_eq!(faces.regular.line(9.0, "□").glyphs[0].glyph_id, missing);
    assert_eq!(faces.regular.line(9.0, "チ").text, "チ");
    for letters in ["Straße", "Łódź", "Ελληνικά", "Українська", "Việt Nam", "£€₴₺¥"] {
        let run = faces.regular.line(9.0, letters);
        assert!(run.glyphs.iter().all(|glyph| glyph.glyph_id != missing), "{letters}");
    }
}

#[test]
fn characters_that_no_archive_takes_do_no_harm() {
    let mut document = sample("standard");
    document.buyer.name =
        "A\u{0}B\u{e000}\u{feff}\u{fffe}\u{200d}\u{301}\u{5d0}\u{627}\u{1f469}\u{200d}\u{1f4bb}C".into();
    document.note = Some("\n\n \t \r\n".into());

    assert!(write(&document).is_ok());
}

/// Nothing beyond the margins, and no two texts on one another.
fn fits(document: &Document) -> bool {
    texts(document).iter().all(|page| {
        let inside = |[left, right, baseline]: [f32; 3]| left >= LEFT - 0.5 && right <= RIGHT + 3.0 && baseline < 820.0;
        let apart = |n: usize| {
            let (_, [left, right, baseline]) = page[n];
            page[..n].iter().all(|(_, other)| {
                (other[2] - baseline).abs() > 5.0 || other[1] <= left + 3.0 || other[0] >= right - 3.0
            })
        };
        page.iter().all(|(_, place)| inside(*place)) && (0..page.len()).all(apart)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_document_is_a_sound_pdf_with_nothing_outside_or_on_top_of_another(
        document in samples::any(),
        language in prop::option::of(prop::sample::select(languages::ALL.to_vec())),
    ) {
        let document = Document { language, ..document };
        let pdf = write(&document).unwrap();

        prop_assert!(pdf.starts_with(b"%PDF-1.7") && pdf.ends_with(b"%%EOF"));
        prop_assert!(fits(&document), "{:#?}", pages(&document));
    }
}

/// Invoices are rendered when they are asked for, so whatever changes these bytes changes those of every invoice that was
/// ever sent: a new version of a crate, say. Where that is meant, put the new digest here.
#[test]
fn the_bytes_are_the_same_on_every_call_thread_and_machine() {
    let document = sample("mixed");
    let once = write(&document).unwrap();

    let again = std::thread::scope(|scope| scope.spawn(|| write(&document).unwrap()).join().unwrap());

    assert!(once == again);
    let digest = |document: &Document| -> String {
        Sha256::digest(write(document).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    for (tag, expected) in [
        // From before documents had a language.
        ("none", "56713b95d60ebe06ec2156885c50bb03acd78f91f28dcc50b5639fe208007278"),
        ("en", "580ab903f1fdf1718d73d5c3209c68b1a86e1fe5cdd290fbc820f98cff3d0131"),
        ("de", "fcded30698208bca69dcc97d3f3a82688c90e94418282f0c89fd770c45cad593"),
        ("fr", "8bed2a7c079c8c061a688fff8b4d178e995d099b3ba2964b51fcc2a24d18c299"),
        ("es", "f4a9e007035ae09a413a555f782ef479ee3cdb44a00b82c055533ab8ebce4710"),
    ] {
        assert_eq!(digest(&said_in(tag, "mixed")), expected, "{tag}");
    }
}

#[test]
fn a_document_from_before_it_had_a_language_is_read_and_written_as_it_was() {
    let document = sample("mixed");
    let kept = serde_json::to_value(&document).unwrap();

    assert!(kept.get("language").is_none());
    assert_eq!(serde_json::from_value::<Document>(kept).unwrap(), document);
    assert_eq!(serde_json::to_value(said_in("fr", "mixed")).unwrap()["language"], "fr");
}

#[test]
fn its_own_xml_is_attached_where_there_is_one() {
    let has_xml = |document: &Document| {
        let pdf = write(document).unwrap();
        pdf.windows(11).any(|bytes| bytes == b"invoice.xml")
    };
    let mut document = Draft::of("EUR", &[("Team plan", "1", "1900", reverse_charge())]).finish();

    assert!(has_xml(&document));
    document.buyer.tax_id = None;
    assert!(!has_xml(&document));
}

/// With a reader of its own kind: what is on the page can be searched, copied and read aloud, also where the font lacks it.
#[test]
fn what_is_printed_can_be_read_back() {
    let mut document = sample("yen");
    document.buyer.name = "Łódź Ελληνικά Українська £€₴".into();
    let Some(text) = read_back(&document) else { return };
    for said in [
        "Łódź Ελληνικά Українська £€₴",
        "チームプラン Team plan 3 1999 10 % 5997",
        "Milk 7 33.3333 8 % 233",
        "Amount due 6663 JPY",
    ] {
        assert!(letters(&text).contains(&letters(said)), "{said}, in\n{text}");
    }

    let Some(text) = read_back(&said_in("de", "mixed")) else { return };
    for said in ["Zahlbar bis zum 9. Dezember 2026 324,68 €", "USt. 19 % auf 55,25 10,50", "Zahlbetrag 324,68 €"] {
        assert!(letters(&text).contains(&letters(said)), "{said}, in\n{text}");
    }
}

fn letters(text: &str) -> String {
    text.split_whitespace().collect()
}

/// What another program reads in the file; none where there is no such program.
fn read_back(document: &Document) -> Option<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), write(document).unwrap()).unwrap();
    match std::process::Command::new("pdftotext").arg("-layout").arg(file.path()).arg("-").output() {
        Ok(read) => Some(String::from_utf8(read.stdout).unwrap()),
        Err(_) => {
            samples::skip("reading the text of a PDF", "pdftotext is not installed");
            None
        }
    }
}
