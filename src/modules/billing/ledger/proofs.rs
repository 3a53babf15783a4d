//! Proofs over all the books, for `ashlar doctor`: what transactions, triggers and checks make true is looked at once more,
//! from what is really there.

use std::collections::BTreeMap;

use super::model::Account;
use super::repository::LedgerRepository;
use crate::modules::billing::{Billing, Owner};
use crate::platform::db::Snapshot;
use crate::platform::error::Result;
use crate::platform::money::{Currency, Money};

impl Billing {
    /// What is wrong with the books: nothing can be. A long list is cut short, for its first lines say what to look at.
    pub fn ledger_faults(&self, snapshot: &Snapshot<'_>) -> Result<Vec<String>> {
        let tables = snapshot.tables(Owner(()));
        let mut faults = Vec::new();
        faults.extend(tables.unbalanced()?.into_iter().map(|id| format!("the ledger's entry {id} does not balance")));
        faults.extend(tables.misstated()?.into_iter().map(|(currency, account): (Currency, Account)| {
            format!("the balance of {} in {currency} is not what its entries come to", account.as_str())
        }));
        faults.extend(self.unfounded(snapshot)?);
        faults.extend(tables.misstated_tax()?.into_iter().map(|currency| {
            format!("the sums for the tax return in {currency} are not what invoices and credit notes come to")
        }));
        faults.extend(tables.gaps()?.into_iter().map(|series| format!("numbers are missing in the series {series}")));
        faults.extend(tables.misallocated()?.into_iter().map(|id| {
            format!("what payment {id} has paid, or what of it was given back, is not what the ledger says")
        }));
        faults.extend(tables.miscounted()?.into_iter().map(|number| format!("{number} does not add up")));
        Ok(faults)
    }

    /// Accounts of the ledger that come to something else than the documents behind them.
    fn unfounded(&self, snapshot: &Snapshot<'_>) -> Result<Vec<String>> {
        let tables = snapshot.tables(Owner(()));
        let mut compared: BTreeMap<(Currency, Account), (i64, i64)> = BTreeMap::new();
        for balance in tables.balances(None)? {
            compared.entry((balance.currency, balance.account)).or_default().0 += balance.minor();
        }
        for (currency, account, minor) in tables.claims()? {
            compared.entry((currency, account)).or_default().1 += minor;
        }
        let off = compared.into_iter().filter(|(_, (booked, claimed))| booked != claimed);
        let said = off.map(|((currency, account), (booked, claimed))| {
            format!(
                "{} comes to {} in the ledger, and to {} by {}",
                account.as_str(),
                Money::new(booked, currency),
                Money::new(claimed, currency),
                account.founded_on()
            )
        });
        Ok(said.collect())
    }
}

impl Account {
    /// What says what it must come to.
    fn founded_on(self) -> &'static str {
        match self {
            Account::Receivable => "what is open of invoices",
            Account::Credit => "the accounts' credit",
            Account::Cash | Account::Fees => "the payments",
            Account::Tax => "invoices and credit notes",
            Account::DeferredRevenue => "the deferrals",
            Account::Revenue => "the revenue by month",
            Account::WriteOff => "what is open of uncollectible invoices",
        }
    }
}
