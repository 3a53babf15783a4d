//! Owners, and the SQL that each of them may run.

/// Owns tables. Each module makes one key type of its own, which no other code can construct:
///
/// ```ignore
/// struct Owner(());
/// impl db::Owner for Owner {
///     const PATH: &'static str = module_path!();
/// }
/// ```
pub trait Owner {
    /// `module_path!()`, and nothing else: the owner's name is read from it.
    const PATH: &'static str;
    const NAME: &'static str = owner_name(Self::PATH);
}

/// One SQL statement of the program, made by [`sql!`](crate::sql).
#[derive(Debug)]
pub struct Statement {
    /// Who may run it.
    pub owner: &'static str,
    /// The text with its owner's tag in front, so that no other owner's cached statement is ever taken for it.
    pub text: &'static str,
    pub file: &'static str,
    pub line: u32,
}

impl Statement {
    /// Does not compile without the tag: the cache would hand out what another owner prepared.
    #[doc(hidden)]
    pub const fn new(path: &'static str, text: &'static str, file: &'static str, line: u32) -> Self {
        assert!(is_tagged(text.as_bytes(), path.as_bytes()), "a statement bears its owner's tag");
        Statement { owner: owner_name(path), text, file, line }
    }

    /// The text as it was written.
    pub fn untagged(&self) -> &'static str {
        self.text.split_once("*/ ").map_or(self.text, |(_, text)| text)
    }
}

/// All statements of the program, gathered by the linker.
#[allow(unsafe_code, reason = "the linker gathers the statics; linkme makes that safe")]
#[linkme::distributed_slice]
pub static STATEMENTS: [Statement];

/// One SQL statement, tagged with the module it stands in and registered to be checked at start.
#[macro_export]
macro_rules! sql {
    ($text:literal) => {{
        #[allow(unsafe_code, reason = "the linker gathers the statics; linkme makes that safe")]
        #[linkme::distributed_slice($crate::platform::db::STATEMENTS)]
        static STATEMENT: $crate::platform::db::Statement = $crate::platform::db::Statement::new(
            module_path!(),
            concat!("/*", module_path!(), "*/ ", $text),
            file!(),
            line!(),
        );
        &STATEMENT
    }};
}

/// `ashlar::modules::billing::sqlite` → `billing`.
pub const fn owner_name(path: &'static str) -> &'static str {
    segment(path, 2)
}

/// The `n`th of the parts of `path` that `::` divides.
const fn segment(path: &'static str, n: usize) -> &'static str {
    let bytes = path.as_bytes();
    let (mut start, mut seen, mut at) = (0, 0, 0);
    while at < bytes.len() {
        if bytes[at] == b':' {
            if seen == n {
                break;
            }
            seen += 1;
            at += 1;
            start = at + 1;
        }
        at += 1;
    }
    assert!(seen == n, "tables are owned by a module below src/modules or src/platform");
    path.split_at(at).0.split_at(start).1
}

/// Whether `text` begins with `/*path*/ `.
const fn is_tagged(text: &[u8], path: &[u8]) -> bool {
    let Some((open, rest)) = text.split_at_checked(2) else { return false };
    let Some((tag, rest)) = rest.split_at_checked(path.len()) else { return false };
    if !matches!(open, b"/*") || !matches!(rest, [b'*', b'/', b' ', ..]) {
        return false;
    }
    let mut at = 0;
    while at < path.len() && tag[at] == path[at] {
        at += 1;
    }
    at == path.len()
}

#[cfg(test)]
mod tests {
    use super::owner_name;

    #[test]
    fn the_owner_is_the_third_part_of_the_path() {
        assert_eq!(owner_name("ashlar::modules::billing"), "billing");
        assert_eq!(owner_name("ashlar::modules::billing::sqlite::tests"), "billing");
        assert_eq!(owner_name("ashlar::platform::auth::sessions"), "auth");
    }

    #[test]
    fn sql_bears_its_owners_tag_and_stands_in_the_register() {
        let statement = sql!("SELECT created_at FROM unit");

        assert_eq!(statement.text, "/*ashlar::platform::db::statement::tests*/ SELECT created_at FROM unit");
        assert_eq!(statement.owner, "db");
        assert!(super::STATEMENTS.iter().any(|known| std::ptr::eq(known, statement)));
    }
}
