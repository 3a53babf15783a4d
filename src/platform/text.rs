//! Text that people type: cleaned, bounded, and folded for search.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::error::{Error, Result};

/// One line of `1..=max_chars` characters: trimmed, composed (NFC), without control characters.
pub fn line(field: &'static str, text: &str, max_chars: usize) -> Result<String> {
    let text: String = text.trim().nfc().collect();
    if text.is_empty() {
        return Err(Error::invalid(field, "missing: write something"));
    }
    if text.chars().any(|c| c.is_control() || is_invisible(c)) {
        return Err(Error::invalid(field, "contains control or invisible characters"));
    }
    within(field, text, max_chars)
}

/// Several lines: as [`line`], but line breaks may stand in it.
pub fn paragraph(field: &'static str, text: &str, max_chars: usize) -> Result<String> {
    let text: String = text.trim().replace("\r\n", "\n").nfc().collect();
    if text.chars().any(|c| (c.is_control() && c != '\n' && c != '\t') || is_invisible(c)) {
        return Err(Error::invalid(field, "contains control or invisible characters"));
    }
    within(field, text, max_chars)
}

fn within(field: &'static str, text: String, max_chars: usize) -> Result<String> {
    if text.chars().count() > max_chars {
        return Err(Error::invalid(field, format!("too long: at most {max_chars} characters")));
    }
    Ok(text)
}

/// Characters that hide or reorder what is written: a name must look like what it is.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{2028}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The text without case and accents, for search.
pub fn fold(text: &str) -> String {
    text.nfkd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
        .nfkd()
        .filter(|c| !is_combining_mark(*c))
        .collect()
}

/// The folded words of a text: what stands between anything but letters and digits.
pub fn words(text: &str) -> Vec<String> {
    fold(text).split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The first text that does not begin with `prefix` any more: the end of its range in an index.
pub fn after_prefix(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_takes_case_and_accents_away() {
        assert_eq!(fold("Zoë ÅNGSTRÖM"), "zoe angstrom");
        assert_eq!(words("Anne-Marie d'Arc (Éditions)"), ["anne", "marie", "d", "arc", "editions"]);
    }

    #[test]
    fn a_line_has_no_control_characters() {
        assert_eq!(line("name", "  Ann  ", 10).unwrap(), "Ann");
        assert!(line("name", "Ann\u{202e}nnA", 10).is_err());
        assert!(line("name", "Ann\nLee", 10).is_err());
        assert!(line("name", "", 10).is_err());
        assert!(line("name", "eleven chars", 10).is_err());
    }
}
