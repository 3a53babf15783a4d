//! The ledger as a file for beancount, entry by entry, so that it may be longer than memory.
//!
//! Source: <https://beancount.github.io/docs/beancount_language_syntax.html>.

use std::io::{self, Read};

use super::LedgerRepository;
use super::model::{Account, Entry, EntryId};
use crate::modules::billing::Owner;
use crate::platform::db::Database;
use crate::platform::error::Result;
use crate::platform::money::{Currency, major};

/// Entries that are read at once.
const AT_ONCE: u32 = 500;
/// Before everything that can be posted.
const OPENED: &str = "1970-01-01";

/// All entries that are there while it is read, oldest first.
pub struct Beancount {
    database: Database,
    /// The last entry that was written; none while the head was not.
    after: Option<Option<EntryId>>,
    text: io::Cursor<Vec<u8>>,
}

impl Beancount {
    pub fn of(database: Database) -> Beancount {
        Beancount { database, after: None, text: io::Cursor::default() }
    }

    /// What comes next; empty at the end.
    fn next(&mut self) -> Result<String> {
        let Some(after) = self.after else {
            let balances =
                self.database.read_blocking("export_ledger", |snapshot| snapshot.tables(Owner(())).balances(None))?;
            let mut currencies: Vec<Currency> = balances.into_iter().map(|balance| balance.currency).collect();
            currencies.dedup();
            self.after = Some(None);
            return Ok(head(&currencies));
        };
        let entries = self
            .database
            .read_blocking("export_ledger", |snapshot| snapshot.tables(Owner(())).list_entries_after(after, AT_ONCE))?;
        if let Some(last) = entries.last() {
            self.after = Some(Some(last.id));
        }
        Ok(entries.iter().map(transaction).collect())
    }
}

impl Read for Beancount {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.text.position() == self.text.get_ref().len() as u64 {
            let next = self.next().map_err(io::Error::other)?;
            self.text = io::Cursor::new(next.into_bytes());
        }
        self.text.read(buffer)
    }
}

impl Account {
    /// Its name in beancount's five kinds of accounts.
    fn in_beancount(self) -> &'static str {
        match self {
            Account::Receivable => "Assets:Receivable",
            Account::Credit => "Liabilities:CustomerCredit",
            Account::Cash => "Assets:Cash",
            Account::Fees => "Expenses:Fees",
            Account::Tax => "Liabilities:Tax",
            Account::DeferredRevenue => "Liabilities:DeferredRevenue",
            Account::Revenue => "Income:Revenue",
            Account::WriteOff => "Expenses:WriteOff",
        }
    }
}

fn head(currencies: &[Currency]) -> String {
    let mut text = "option \"title\" \"Ashlar\"\n".to_owned();
    for currency in currencies {
        text += &format!("option \"operating_currency\" \"{currency}\"\n");
    }
    text.push('\n');
    for account in Account::ALL {
        text += &format!("{OPENED} open {}\n", account.in_beancount());
    }
    text
}

fn transaction(entry: &Entry) -> String {
    let Entry { id, currency, day, cause, memo, .. } = entry;
    let cause = cause.as_str().replace('_', "-");
    let mut text = format!("\n{day} * \"{}\" #{cause}", quoted(memo));
    if let Some(document) = entry.document {
        text += &format!(" ^{document}");
    }
    text += &format!("\n  entry: \"{id}\"\n");
    if let Some(user) = entry.user {
        text += &format!("  customer: \"{user}\"\n");
    }
    for (account, amount_minor) in &entry.lines {
        text += &format!("  {}  {} {currency}\n", account.in_beancount(), major(*amount_minor, *currency));
    }
    text
}

/// As it stands between quotes: on one line, its own quotes escaped.
fn quoted(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.collect::<String>().replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::billing::ledger::Cause;
    use crate::platform::clock::Time;

    #[test]
    fn what_people_wrote_stays_within_its_quotes() {
        let entry = Entry {
            id: EntryId::new(Time::from_ms(1)),
            currency: Currency::EUR,
            day: "2026-11-25".parse().unwrap(),
            cause: Cause::WriteOff,
            document: None,
            user: None,
            memo: "a \"b\" \\\n2026-11-25 close Assets:Cash".into(),
            created_at: Time::from_ms(1),
            lines: vec![(Account::WriteOff, 1999), (Account::Receivable, -1999)],
        };

        let text = transaction(&entry);

        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "2026-11-25 * \"a \\\"b\\\" \\\\ 2026-11-25 close Assets:Cash\" #write-off");
        assert_eq!(lines[3..], ["  Expenses:WriteOff  19.99 EUR", "  Assets:Receivable  -19.99 EUR"]);
    }
}
