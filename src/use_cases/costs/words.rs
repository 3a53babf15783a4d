//! Figures as people read them. Pure.

use crate::platform::bytes::Bytes;

/// `71 %`, `under 1 %`, `0 %`.
pub fn percent(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return "0 %".into();
    }
    match part as f64 / whole as f64 * 100.0 {
        share if share < 1.0 => "under 1 %".into(),
        share => format!("{share:.0} %"),
    }
}

/// A span of milliseconds: `0.4 ms`, `40 ms`, `1.5 s`, `12 min`, `5 h`, `6 days`.
pub fn span(ms: f64) -> String {
    const UNITS: [(f64, &str); 5] =
        [(86_400_000.0, "days"), (3_600_000.0, "h"), (60_000.0, "min"), (1000.0, "s"), (1.0, "ms")];
    // Below two days hours say more.
    let unit = UNITS.into_iter().find(|(size, unit)| ms >= *size * if *unit == "days" { 2.0 } else { 1.0 });
    let (size, unit) = unit.unwrap_or((1.0, "ms"));
    let number = format!("{:.*}", usize::from(ms / size < 9.95), ms / size);
    format!("{} {unit}", number.strip_suffix(".0").unwrap_or(&number))
}

/// As [`span`], of microseconds.
pub fn span_us(us: u64) -> String {
    span(us as f64 / 1000.0)
}

pub fn bytes(number: u64) -> String {
    Bytes(number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_two_digits_or_so_and_a_unit() {
        let spans = [0.0, 0.44, 9.96, 40.2, 1500.0, 61_000.0, 5.0 * 3_600_000.0, 47.0 * 3_600_000.0, 172_800_000.0];
        assert_eq!(spans.map(span), ["0 ms", "0.4 ms", "10 ms", "40 ms", "1.5 s", "1 min", "5 h", "47 h", "2 days"]);
        assert_eq!(span_us(2_500), "2.5 ms");
        assert_eq!(
            [(0, 5), (1, 1000), (71, 100), (1, 0)].map(|(a, b)| percent(a, b)),
            ["0 %", "under 1 %", "71 %", "0 %"]
        );
    }
}
