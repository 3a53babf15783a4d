//! Amounts of bytes, as settings write them and people read them.

/// `4 GiB`, `500 MiB`, `65536`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Bytes(pub u64);

const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl std::str::FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, factor) =
            UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor))).unwrap_or((text, 1));
        let bytes = number.trim_end().parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        bytes.map(Bytes).ok_or_else(|| format!("`{text}` is no amount: write it like 500 MiB or 4 GiB"))
    }
}

impl TryFrom<String> for Bytes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// In the largest unit of which there is one, with one digit behind the point.
impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (unit, size) = UNITS.into_iter().find(|(_, size)| self.0 >= *size).unwrap_or(("B", 1));
        if self.0.is_multiple_of(size) {
            return write!(f, "{} {unit}", self.0 / size);
        }
        write!(f, "{:.1} {unit}", self.0 as f64 / size as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_shown_in_their_units() {
        let read = |text: &str| text.parse::<Bytes>().map(|Bytes(bytes)| bytes);

        assert_eq!(read("4 GiB"), Ok(4 << 30));
        assert_eq!(read("500MiB"), Ok(500 << 20));
        assert_eq!(read("65536"), Ok(65_536));
        for wrong in ["", "GiB", "-1", "4 GB", "99999999999 GiB"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let shown = [0, 1023, 1024, 1_572_864, 4 << 30].map(|bytes| Bytes(bytes).to_string());
        assert_eq!(shown, ["0 B", "1023 B", "1 KiB", "1.5 MiB", "4 GiB"]);
    }
}
