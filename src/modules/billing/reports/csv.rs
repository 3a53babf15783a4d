//! Tables as CSV (RFC 4180), for spreadsheets. Pure.

use crate::platform::money::{Money, major};

/// What fills a cell.
pub enum Cell {
    /// What people may have written.
    Text(String),
    Amount(Money),
    Number(i64),
    Percent(Option<rust_decimal::Decimal>),
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Cell {
        Cell::Text(text.into())
    }

    fn write(&self, to: &mut String) {
        match self {
            Cell::Text(text) => write_text(text, to),
            Cell::Amount(money) => *to += &major(money.amount_minor, money.currency).to_string(),
            Cell::Number(number) => *to += &number.to_string(),
            Cell::Percent(percent) => *to += &percent.map(|percent| percent.to_string()).unwrap_or_default(),
        }
    }
}

/// A table whose first row names the columns.
pub fn table<const N: usize>(columns: [&str; N], rows: impl IntoIterator<Item = [Cell; N]>) -> String {
    let mut text = columns.join(",") + "\r\n";
    for row in rows {
        for (n, cell) in row.iter().enumerate() {
            if n > 0 {
                text.push(',');
            }
            cell.write(&mut text);
        }
        text += "\r\n";
    }
    text
}

/// Spreadsheets take a text that begins like a formula for one: an apostrophe keeps it a text.
///
/// Source: <https://owasp.org/www-community/attacks/CSV_Injection>.
fn write_text(text: &str, to: &mut String) {
    let guard =
        if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) { "'" } else { "" };
    if guard.is_empty() && !text.contains([',', '"', '\r', '\n', ';', '\'']) {
        return to.push_str(text);
    }
    *to += &format!("\"{guard}{}\"", text.replace('"', "\"\""));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::money::Currency;

    #[test]
    fn nothing_that_people_wrote_is_taken_for_a_formula() {
        let cell = |text: &str| {
            let mut written = String::new();
            Cell::text(text).write(&mut written);
            written
        };

        assert_eq!(cell("team"), "team");
        assert_eq!(cell("a, \"b\""), "\"a, \"\"b\"\"\"");
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1"] {
            assert!(cell(formula).starts_with("\"'"), "{formula}");
        }
    }

    #[test]
    fn amounts_are_numbers_also_where_they_are_negative() {
        let rows = [[Cell::Amount(Money::new(-1999, Currency::EUR)), Cell::Number(3), Cell::Percent(None)]];

        assert_eq!(table(["a", "b", "c"], rows), "a,b,c\r\n-19.99,3,\r\n");
    }
}
