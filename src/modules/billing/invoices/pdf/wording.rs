//! How a document words its title and parties.

use super::super::document::{Document, Party};
use crate::modules::billing::languages::Words;

/// `Invoice INV-2026-0042`
pub fn title(document: &Document) -> String {
    format!("{} {}", document.words().kind(document.kind), document.number)
}

/// The address, a line each, with the country's name.
pub fn address(words: &Words, party: &Party) -> Vec<String> {
    let address = &party.address;
    let town =
        [&address.postcode, &address.city].into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
    let country = address.country.as_deref().map(|code| words.country(code));
    let lines = [address.line1.clone(), address.line2.clone(), Some(town), address.region.clone(), country];
    lines.into_iter().flatten().filter(|line| !line.trim().is_empty()).collect()
}

/// `DE89 3704 0044 0532 0130 00`
pub fn iban(iban: &str) -> String {
    let letters: Vec<char> = iban.chars().filter(|c| !c.is_whitespace()).collect();
    letters.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}
