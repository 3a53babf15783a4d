//! A backup's name: `ashlar-20261124T020357Z-s10.db`, with `.zst` where it is compressed and `.age` where encrypted.

use std::fmt;

use super::Wrapping;
use crate::platform::clock::Time;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// When it was begun, to the second.
    pub at: Time,
    /// How many migrations it has seen.
    pub schema_version: i32,
    pub wrapping: Wrapping,
}

impl Name {
    /// None of any other file's name.
    pub fn parse(text: &str) -> Option<Name> {
        let (rest, encrypted) = without(text, ".age");
        let (rest, compressed) = without(rest, ".zst");
        let (time, version) = rest.strip_prefix("ashlar-")?.strip_suffix(".db")?.split_once("-s")?;
        let name = Name {
            at: Time::from_compact(time)?,
            schema_version: version.parse().ok()?,
            wrapping: Wrapping { compressed, encrypted },
        };
        // Written in one way only, so that nothing else is ever taken for a backup and removed.
        (name.to_string() == text).then_some(name)
    }
}

fn without<'t>(text: &'t str, suffix: &str) -> (&'t str, bool) {
    text.strip_suffix(suffix).map_or((text, false), |rest| (rest, true))
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Name { at, schema_version, wrapping } = self;
        write!(f, "ashlar-{}-s{schema_version}.db", at.to_compact())?;
        f.write_str(if wrapping.compressed { ".zst" } else { "" })?;
        f.write_str(if wrapping.encrypted { ".age" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_as_it_was_written() {
        for (compressed, encrypted) in [(false, false), (true, false), (false, true), (true, true)] {
            let at = Time::from_compact("20261124T020357Z").unwrap();
            let name = Name { at, schema_version: 10, wrapping: Wrapping { compressed, encrypted } };
            assert_eq!(Name::parse(&name.to_string()), Some(name));
        }
    }

    #[test]
    fn nothing_else_is_taken_for_a_backup() {
        for other in [
            "ashlar.db",
            "before-migration-20261124T020357Z.db",
            "ashlar-20261124T020357Z.db",
            "ashlar-20261124T020357Z-s10.db.sha256",
            "ashlar-20261124T020357Z-s10.db.unfinished-7",
            "ashlar-20261124T020357Z-s+10.db",
            "ashlar-20261324T020357Z-s10.db",
            "ashlar-20261124T020357Z-s10.db.age.zst",
            "my-ashlar-20261124T020357Z-s10.db",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }
}
