//! Which states of the database a replica's files hold, and how they are named.

use std::fmt;

use crate::platform::clock::Time;

/// The level of a snapshot.
pub const SNAPSHOTS: u8 = 9;

/// A state of the database: each increment makes the next. From 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Txid(pub u64);

impl Txid {
    pub fn next(self) -> Txid {
        Txid(self.0 + 1)
    }
}

/// As in file names: 16 hex digits.
impl fmt::Display for Txid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl serde::Serialize for Txid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Txid {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl std::str::FromStr for Txid {
    type Err = String;

    /// 16 hex digits, or fewer without the zeros in front.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_hex = (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        match u64::from_str_radix(text, 16) {
            Ok(number) if is_hex && number > 0 => Ok(Txid(number)),
            _ => Err(format!("`{text}` is no TXID: write it in up to 16 hex digits, such as 00000000000001f4")),
        }
    }
}

/// Which file: what brings a database at `min - 1` to `max`, merged so often as its level says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LtxName {
    /// 0…8, or 9 for snapshots.
    pub level: u8,
    pub min: Txid,
    pub max: Txid,
}

impl LtxName {
    pub fn new(level: u8, min: Txid, max: Txid) -> LtxName {
        LtxName { level, min, max }
    }

    /// `0000000000000001-00000000000000ff.ltx`
    pub fn file_name(&self) -> String {
        format!("{}-{}.ltx", self.min, self.max)
    }

    /// What `file_name` of `level` means; none if it is something else.
    pub fn parse(level: u8, file_name: &str) -> Option<LtxName> {
        let (min, max) = file_name.strip_suffix(".ltx")?.split_once('-')?;
        let is_written_so = |text: &str| text.len() == 16 && !text.bytes().any(|b| b.is_ascii_uppercase());
        if !is_written_so(min) || !is_written_so(max) {
            return None;
        }
        let name = LtxName { level, min: min.parse().ok()?, max: max.parse().ok()? };
        (name.min <= name.max).then_some(name)
    }
}

impl fmt::Display for LtxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "level {}, {}", self.level, self.file_name())
    }
}

/// A file as it lies in the replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LtxFile {
    pub name: LtxName,
    /// When the newest state in it was taken.
    pub timestamp: Time,
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_as_litestream_writes_them_are_files_of_a_replica() {
        let good = "0000000000000001-00000000000000ff.ltx";
        assert_eq!(LtxName::parse(3, good), Some(LtxName::new(3, Txid(1), Txid(255))));
        assert_eq!(LtxName::parse(3, good).unwrap().file_name(), good);
        for foreign in [
            "",
            ".ltx",
            "0000000000000001-00000000000000FF.ltx",
            "0000000000000002-0000000000000001.ltx",
            "0000000000000000-0000000000000001.ltx",
            "1-2.ltx",
            "+000000000000001-0000000000000001.ltx",
            "0000000000000001-0000000000000001.ltx.tmp",
        ] {
            assert_eq!(LtxName::parse(0, foreign), None, "{foreign}");
        }
    }
}
