//! `Range`: which bytes of a content are asked for.
//!
//! Source: RFC 9110, section 14.

/// What is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    Whole,
    /// From, and up to without.
    Part(u64, u64),
    /// There is nothing like that in it.
    Nothing,
}

/// Which bytes of `size` are wanted. What is no single range of bytes is as good as not said.
pub fn wanted(range: Option<&str>, size: u64) -> Wanted {
    let Some(spec) = range.and_then(|range| range.strip_prefix("bytes=")) else { return Wanted::Whole };
    let Some((from, to)) = spec.split_once('-').filter(|_| !spec.contains(',')) else { return Wanted::Whole };
    let number = |text: &str| text.trim().parse::<u64>();
    match (from.trim(), to.trim()) {
        ("", "") => Wanted::Whole,
        ("", last) => match number(last) {
            Ok(0) => Wanted::Nothing,
            Ok(last) if size > 0 => Wanted::Part(size.saturating_sub(last), size),
            Ok(_) => Wanted::Nothing,
            Err(_) => Wanted::Whole,
        },
        (from, to) => match (number(from), to, number(to)) {
            (Ok(from), "", _) if from < size => Wanted::Part(from, size),
            (Ok(_), "", _) => Wanted::Nothing,
            (Ok(from), _, Ok(to)) if from > to => Wanted::Whole,
            (Ok(from), _, Ok(to)) if from < size => Wanted::Part(from, to.saturating_add(1).min(size)),
            (Ok(_), _, Ok(_)) => Wanted::Nothing,
            _ => Wanted::Whole,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::Wanted::{Nothing, Part, Whole};
    use super::*;

    #[test]
    fn a_single_range_is_understood_and_what_is_none_is_not_said() {
        let cases = [
            ("bytes=0-0", Part(0, 1)),
            ("bytes=2-5", Part(2, 6)),
            ("bytes=5-", Part(5, 10)),
            ("bytes=5-99", Part(5, 10)),
            ("bytes=-3", Part(7, 10)),
            ("bytes=-99", Part(0, 10)),
            ("bytes=10-", Nothing),
            ("bytes=10-12", Nothing),
            ("bytes=-0", Nothing),
            ("bytes=5-2", Whole),
            ("bytes=0-1,3-4", Whole),
            ("bytes=", Whole),
            ("bytes=-", Whole),
            ("bytes=a-b", Whole),
            ("lines=1-2", Whole),
            ("bytes=18446744073709551615-", Nothing),
            ("bytes=0-18446744073709551615", Part(0, 10)),
        ];
        for (range, expected) in cases {
            assert_eq!(wanted(Some(range), 10), expected, "{range}");
        }
        assert_eq!(wanted(None, 10), Whole);
        assert_eq!(wanted(Some("bytes=0-"), 0), Nothing);
    }
}
