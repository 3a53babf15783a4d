//! Bars on a scale, as the page draws them: places in a picture of its own units. Pure.

use crate::modules::billing::languages::CONSOLE;
use crate::platform::money::{Currency, Money, major};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 216.0;
/// Room for the scale's words, the months below, and half a line above.
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 10.0;
/// Steps of the scale, at most.
const STEPS: i64 = 5;
/// Names below the bars, at most, so that they don't run into one another.
const NAMES: usize = 12;

/// A part of a bar.
pub struct Part {
    /// What it is: in words, for whoever points at it.
    pub what: String,
    /// Which colour, as the stylesheet numbers them.
    pub colour: &'static str,
    /// Negative ones hang from the base line.
    pub amount_minor: i64,
}

/// A bar and its name.
pub struct Bar {
    pub name: String,
    /// What stands below it.
    pub short: String,
    pub parts: Vec<Part>,
}

/// A picture.
pub struct Plot {
    pub marks: Vec<Mark>,
    pub boxes: Vec<Box>,
    pub names: Vec<Name>,
    /// Where zero is.
    pub base: f64,
}

/// A line of the scale.
pub struct Mark {
    pub y: f64,
    pub label: String,
}

pub struct Box {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
    pub colour: &'static str,
    pub title: String,
}

pub struct Name {
    pub x: f64,
    pub text: String,
}

impl Plot {
    /// The picture of `bars`; none where there is nothing to see.
    pub fn of(bars: &[Bar], currency: Currency) -> Option<Plot> {
        let sum = |bar: &Bar, sign: i64| -> i64 {
            bar.parts.iter().map(|part| part.amount_minor).filter(|amount| amount.signum() == sign).sum()
        };
        let high = bars.iter().map(|bar| sum(bar, 1)).max()?;
        let low = bars.iter().map(|bar| sum(bar, -1)).min()?;
        if (low, high) == (0, 0) {
            return None;
        }
        let step = step(high - low);
        let (low, high) = (low.div_euclid(step) * step, (high + step - 1).div_euclid(step) * step);
        let y = |minor: i64| TOP + (high - minor) as f64 / (high - low) as f64 * (HEIGHT - TOP - BOTTOM);
        let mark = |minor: i64| Mark { y: y(minor), label: short(minor, currency) };
        let marks = (low / step..=high / step).map(|n| mark(n * step)).collect();

        let room = (WIDTH - LEFT) / bars.len() as f64;
        let width = (room * 0.68).min(64.0);
        let every = bars.len().div_ceil(NAMES);
        let (mut boxes, mut names) = (Vec::new(), Vec::new());
        for (n, bar) in bars.iter().enumerate() {
            let middle = LEFT + room * (n as f64 + 0.5);
            // From the last backwards, so that the newest always has its name.
            if (bars.len() - 1 - n).is_multiple_of(every) {
                names.push(Name { x: middle, text: bar.short.clone() });
            }
            let (mut up, mut down) = (0, 0);
            for part in bar.parts.iter().filter(|part| part.amount_minor != 0) {
                let from = if part.amount_minor > 0 { &mut up } else { &mut down };
                let (near, far) = (y(*from), y(*from + part.amount_minor));
                *from += part.amount_minor;
                boxes.push(Box {
                    x: middle - width / 2.0,
                    y: near.min(far),
                    width,
                    height: (near - far).abs(),
                    colour: part.colour,
                    title: format!("{}, {}: {}", bar.name, part.what, grouped(Money::new(part.amount_minor, currency))),
                });
            }
        }
        Some(Plot { marks, boxes, names, base: y(0) })
    }

    // Where things stand that don't depend on what is drawn.

    pub fn width(&self) -> f64 {
        WIDTH
    }

    pub fn height(&self) -> f64 {
        HEIGHT
    }

    pub fn left(&self) -> f64 {
        LEFT
    }

    /// Where the scale's words end.
    pub fn labels_x(&self) -> f64 {
        LEFT - 8.0
    }

    pub fn names_y(&self) -> f64 {
        HEIGHT - 6.0
    }
}

impl Mark {
    /// The foot of its word, whose middle is on the line.
    pub fn label_y(&self) -> String {
        px(&(self.y + 4.0))
    }
}

/// A place as it is written down.
pub fn px(place: &f64) -> String {
    format!("{place:.1}")
}

/// 1, 2 or 5 of a power of ten, such that few of them cover `span`.
fn step(span: i64) -> i64 {
    let steps = (0..18).flat_map(|power| [1, 2, 5].map(|n| n * 10_i64.pow(power)));
    steps.into_iter().find(|step| span / step < STEPS).unwrap_or(i64::MAX)
}

/// On a scale: `1.5k`, `-20`.
fn short(minor: i64, currency: Currency) -> String {
    let whole = major(minor, currency).normalize();
    let (divisor, unit) = match major(minor.saturating_abs(), currency).trunc().to_string().len() {
        ..=3 => (1, ""),
        4..=6 => (1_000, "k"),
        7..=9 => (1_000_000, "M"),
        _ => (1_000_000_000, "G"),
    };
    format!("{}{unit}", (whole / rust_decimal::Decimal::from(divisor)).normalize())
}

/// For people: `12,345.60 EUR`.
pub fn grouped(money: Money) -> String {
    CONSOLE.money(money.amount_minor, money.currency)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bar(amounts: &[i64]) -> Bar {
        let part = |amount: &i64| Part { what: "x".into(), colour: "chart-a", amount_minor: *amount };
        Bar { name: "Nov 2026".into(), short: "Nov".into(), parts: amounts.iter().map(part).collect() }
    }

    #[test]
    fn amounts_are_easy_to_read() {
        assert_eq!(grouped(Money::new(123_456_789, Currency::EUR)), "1,234,567.89\u{a0}EUR");
        assert_eq!(grouped(Money::new(-5, Currency::EUR)), "−0.05\u{a0}EUR");
        assert_eq!(grouped(Money::new(1000, Currency::parse("JPY").unwrap())), "1,000\u{a0}JPY");
        assert_eq!(short(150_000, Currency::EUR), "1.5k");
        assert_eq!(short(-2_000, Currency::EUR), "-20");
        assert_eq!(short(0, Currency::EUR), "0");
    }

    #[test]
    fn nothing_is_no_picture() {
        assert!(Plot::of(&[], Currency::EUR).is_none());
        assert!(Plot::of(&[bar(&[0, 0]), bar(&[])], Currency::EUR).is_none());
    }

    proptest! {
        #[test]
        fn every_part_is_drawn_within_the_picture(
            bars in prop::collection::vec(prop::collection::vec(-1_000_000_000_000_i64..1_000_000_000_000, 1..6), 1..121),
        ) {
            let bars: Vec<Bar> = bars.iter().map(|amounts| bar(amounts)).collect();
            prop_assume!(bars.iter().any(|bar| bar.parts.iter().any(|part| part.amount_minor != 0)));

            let plot = Plot::of(&bars, Currency::EUR).unwrap();

            prop_assert!((2..=STEPS as usize + 2).contains(&plot.marks.len()), "{}", plot.marks.len());
            prop_assert!(plot.names.len() <= NAMES);
            for it in &plot.boxes {
                prop_assert!(it.x >= LEFT && it.x + it.width <= WIDTH);
                prop_assert!(it.y >= TOP - 0.01 && it.y + it.height <= HEIGHT - BOTTOM + 0.01, "{} {}", it.y, it.height);
            }
        }
    }
}
