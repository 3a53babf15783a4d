//! What is written in each language, and which is taken.

use jiff::civil::{Date, date};
use rust_decimal::Decimal;

use super::*;

fn words(tag: &str) -> &'static Words {
    Language::of(tag).unwrap().words()
}

/// Narrow no-break spaces as `_`, no-break spaces as `~`, for tests that can be read.
fn seen(text: &str) -> String {
    text.replace('\u{202f}', "_").replace('\u{a0}', "~").replace('\u{2212}', "-")
}

#[test]
fn amounts_are_written_as_in_the_language() {
    for (tag, [euros, less, pounds, dollars, yen, dinars, small]) in [
        ("en", ["€1,999.00", "-€0.05", "£1,234,567.89", "USD~1,000.00", "JPY~123,456", "KWD~1,234.567", "€999.99"]),
        ("de", ["1.999,00~€", "-0,05~€", "1.234.567,89~£", "1.000,00~USD", "123.456~JPY", "1.234,567~KWD", "999,99~€"]),
        ("fr", ["1_999,00~€", "-0,05~€", "1_234_567,89~£", "1_000,00~USD", "123_456~JPY", "1_234,567~KWD", "999,99~€"]),
        ("es", ["1.999,00~€", "-0,05~€", "1.234.567,89~£", "1.000,00~USD", "123.456~JPY", "1.234,567~KWD", "999,99~€"]),
    ] {
        let written = |minor, code| seen(&words(tag).money(minor, Currency::parse(code).unwrap()));
        assert_eq!(written(199_900, "EUR"), euros);
        assert_eq!(written(-5, "EUR"), less);
        assert_eq!(written(123_456_789, "GBP"), pounds);
        assert_eq!(written(100_000, "USD"), dollars);
        assert_eq!(written(123_456, "JPY"), yen);
        assert_eq!(written(1_234_567, "KWD"), dinars);
        assert_eq!(written(99_999, "EUR"), small);
    }
    assert_eq!(seen(&CONSOLE.money(-123_456_789, Currency::EUR)), "-1,234,567.89~EUR");
    assert_eq!(UNGROUPED.money(-123_456_789, Currency::EUR), "-1234567.89 EUR");
}

#[test]
fn numbers_prices_and_percents_are_written_as_in_the_language() {
    let decimal = |text: &str| -> Decimal { text.parse().unwrap() };
    for (tag, [count, part, price, percent]) in [
        ("en", ["1,234,567", "-0.935483871", "1,000.0125", "7.7%"]),
        ("de", ["1.234.567", "-0,935483871", "1.000,0125", "7,7~%"]),
        ("fr", ["1_234_567", "-0,935483871", "1_000,0125", "7,7~%"]),
        ("es", ["1.234.567", "-0,935483871", "1.000,0125", "7,7~%"]),
    ] {
        let figures = words(tag).figures;
        assert_eq!(seen(&figures.number(decimal("1234567"))), count);
        assert_eq!(seen(&figures.number(decimal("-0.935483871"))), part);
        assert_eq!(seen(&figures.price(decimal("100001.25"), Currency::EUR)), price);
        assert_eq!(seen(&figures.percent(decimal("7.7000"))), percent);
    }
    assert_eq!(words("de").figures.price(decimal("1000"), Currency::EUR), "10,00");
    assert_eq!(words("de").figures.number(decimal("-0")), "0");
}

#[test]
fn days_are_written_as_in_the_language() {
    for (tag, last, first) in [
        ("en", "30~November~2026", "1~March~2027"),
        ("de", "30.~November~2026", "1.~März~2027"),
        ("fr", "30~novembre~2026", "1er~mars~2027"),
        ("es", "30~de~noviembre~de~2026", "1~de~marzo~de~2027"),
    ] {
        assert_eq!(seen(&words(tag).day(date(2026, 11, 30))), last);
        assert_eq!(seen(&words(tag).day(date(2027, 3, 1))), first);
    }
}

#[test]
fn periods_are_written_as_short_as_they_can_be() {
    let spans: [(Date, Date); 4] = [
        (date(2026, 11, 1), date(2026, 12, 1)),
        (date(2026, 11, 15), date(2026, 12, 15)),
        (date(2026, 12, 15), date(2027, 1, 15)),
        (date(2026, 12, 15), date(2026, 12, 16)),
    ];
    for (tag, written) in [
        (
            "en",
            [
                "1 – 30~November~2026",
                "15~November – 14~December~2026",
                "15~December~2026 – 14~January~2027",
                "15~December~2026",
            ],
        ),
        (
            "de",
            [
                "1. – 30.~November~2026",
                "15.~November – 14.~Dezember~2026",
                "15.~Dezember~2026 – 14.~Januar~2027",
                "15.~Dezember~2026",
            ],
        ),
        (
            "fr",
            [
                "du 1er au 30~novembre~2026",
                "du 15~novembre au 14~décembre~2026",
                "du 15~décembre~2026 au 14~janvier~2027",
                "15~décembre~2026",
            ],
        ),
        (
            "es",
            [
                "del 1 al 30~de~noviembre~de~2026",
                "del 15~de~noviembre al 14~de~diciembre~de~2026",
                "del 15~de~diciembre~de~2026 al 14~de~enero~de~2027",
                "15~de~diciembre~de~2026",
            ],
        ),
    ] {
        assert_eq!(spans.map(|(from, until)| seen(&words(tag).period(Period { from, until }))), written);
    }
}

#[test]
fn a_tag_is_taken_by_its_first_part_or_not_at_all() {
    for (tag, taken) in [
        ("de", Some("de")),
        ("de-AT", Some("de")),
        ("DE-ch", Some("de")),
        ("fr-CA", Some("fr")),
        ("es-419", Some("es")),
        ("en-GB", Some("en")),
        ("pt-BR", None),
        ("deu", None),
        ("", None),
    ] {
        assert_eq!(Language::of(tag).map(|language| language.words().tag), taken, "{tag}");
    }
}

#[test]
fn a_language_is_kept_as_its_tag() {
    for language in ALL {
        let json = serde_json::to_string(&language).unwrap();
        assert_eq!(json, format!("\"{}\"", language.words().tag));
        assert_eq!(serde_json::from_str::<Language>(&json).unwrap(), language);
    }
    assert!(serde_json::from_str::<Language>("\"de-AT\"").unwrap_err().to_string().contains("en, de, fr, es"));
}

#[test]
fn every_language_names_every_country() {
    assert_eq!(["DE", "XX"].map(|code| words("fr").country(code)), ["Allemagne", "XX"]);
    for language in ALL {
        let words = language.words();
        let codes: Vec<&str> = words.countries.lines().map(|line| line.split_once(' ').unwrap().0).collect();
        let all = ('A'..='Z').flat_map(|a| ('A'..='Z').map(move |b| format!("{a}{b}")));
        let all = all.filter(|code| iso_country::Country::from_str(code).is_ok());
        assert_eq!(codes, all.collect::<Vec<_>>(), "{}", words.name);
    }
}

#[test]
fn what_the_law_wants_is_said_once_and_what_the_seller_says_is_kept() {
    let tax = |category, note: Option<&str>| Tax {
        category,
        percent: Decimal::ZERO,
        is_inclusive: false,
        note: note.map(str::to_owned),
    };
    let why = |tag, note| words(tag).why_untaxed(&tax(TaxCategory::ReverseCharge, note));

    assert_eq!(why("fr", None).unwrap(), "Autoliquidation");
    assert_eq!(why("es", Some("Art. 196")).unwrap(), "Inversión del sujeto pasivo (Art. 196)");
    assert_eq!(why("en", Some("VAT reverse charge")).unwrap(), "VAT reverse charge");
    assert_eq!(
        why("de", Some("Reverse charge")).unwrap(),
        "Steuerschuldnerschaft des Leistungsempfängers (Reverse charge)"
    );
    assert_eq!(UNGROUPED.why_untaxed(&tax(TaxCategory::ReverseCharge, Some("Art. 196"))).unwrap(), "Art. 196");
    assert_eq!(words("de").why_untaxed(&tax(TaxCategory::Exempt, Some("§ 19 UStG"))).unwrap(), "§ 19 UStG");
    assert_eq!(words("de").why_untaxed(&tax(TaxCategory::Standard, None)), None);
}
