//! `/api/billing/ledger`: the books. They are whole for staff, as the audit trail is: books with gaps prove nothing.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use warp::reply::Response;

use super::{Cursor, Limit, Request, Result, Room, page};
use crate::modules::billing::ledger::{Account, Balance, Cause, Entry, EntryId};
use crate::platform::clock::Time;
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::money::Money;

/// A posted entry: its lines sum to zero, and it never changes.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = LedgerEntry)]
pub(super) struct EntryView {
    #[schema(value_type = String, format = Uuid)]
    id: EntryId,
    /// On which it counts.
    #[schema(value_type = String, format = Date, example = "2026-11-25")]
    day: Date,
    kind: Cause,
    /// What made it: an invoice, a payment, a refund.
    #[schema(value_type = Option<String>, format = Uuid)]
    document_id: Option<uuid::Uuid>,
    #[schema(value_type = Option<String>, format = Uuid)]
    user_id: Option<UserId>,
    #[schema(example = "invoice INV-2026-000001")]
    memo: String,
    created_at: Time,
    lines: Vec<LineView>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = LedgerLine)]
struct LineView {
    account: Account,
    /// Debits positive, credits negative.
    amount: Money,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct LedgerEntryPage {
    /// Newest first.
    items: Vec<EntryView>,
    #[schema(value_type = Option<String>)]
    next_cursor: Option<Cursor<Entry>>,
}

/// What an account of one currency comes to.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = LedgerBalance)]
struct BalanceView {
    account: Account,
    debit: Money,
    credit: Money,
    /// Debits less credits.
    balance: Money,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct LedgerBalances {
    items: Vec<BalanceView>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryQuery {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<Entry>>,
    document: Option<uuid::Uuid>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BalanceQuery {
    month: Option<String>,
}

impl From<Entry> for EntryView {
    fn from(entry: Entry) -> EntryView {
        let line = |(account, minor)| LineView { account, amount: Money::new(minor, entry.currency) };
        EntryView {
            id: entry.id,
            day: entry.day,
            kind: entry.cause,
            document_id: entry.document,
            user_id: entry.user,
            memo: entry.memo,
            created_at: entry.created_at,
            lines: entry.lines.into_iter().map(line).collect(),
        }
    }
}

impl From<Balance> for BalanceView {
    fn from(balance: Balance) -> BalanceView {
        let money = |minor| Money::new(minor, balance.currency);
        BalanceView {
            account: balance.account,
            debit: money(balance.debit_minor),
            credit: money(balance.credit_minor),
            balance: money(balance.minor()),
        }
    }
}

/// The ledger's entries; those of one invoice, payment or refund where it is named.
#[utoipa::path(
    get, path = "/api/billing/ledger/entries", tag = "billing", operation_id = "list_ledger_entries",
    security(("bearer" = [])),
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query),
        ("document" = Option<String>, Query, format = Uuid),
    ),
    responses((status = 200, body = LedgerEntryPage), (status = 403, description = "not staff")),
)]
pub(super) async fn entries(room: Room, request: Request) -> Result<Response> {
    let query = request.query();
    room.answer_list("list_ledger_entries", &request, move |room, snapshot, who| {
        who.must_be_staff()?;
        let EntryQuery { limit, cursor, document } = query?;
        let list = |before, limit| room.billing.ledger_entries(snapshot, document, before, limit);
        let (items, next_cursor) = page(limit, cursor, |entry: &Entry| entry.id, list, |_| Ok(true))?;
        Ok(LedgerEntryPage { items: items.into_iter().map(EntryView::from).collect(), next_cursor })
    })
    .await
}

/// What each account of each currency comes to; up to and with a month where one is named.
#[utoipa::path(
    get, path = "/api/billing/ledger/balances", tag = "billing", operation_id = "list_ledger_balances",
    security(("bearer" = [])),
    params(("month" = Option<String>, Query, description = "its last: 2026-11")),
    responses((status = 200, body = LedgerBalances), (status = 403, description = "not staff")),
)]
pub(super) async fn balances(room: Room, request: Request) -> Result<Response> {
    let query = request.query();
    room.answer_list("list_ledger_balances", &request, move |room, snapshot, who| {
        who.must_be_staff()?;
        let BalanceQuery { month } = query?;
        let until = month.map(|month| last_day(&month)).transpose()?;
        let items = room.billing.ledger_balances(snapshot, until)?.into_iter().map(BalanceView::from).collect();
        Ok(LedgerBalances { items })
    })
    .await
}

fn last_day(month: &str) -> Result<Date> {
    let first: Option<Date> = format!("{month}-01").parse().ok().filter(|_| month.len() == 7);
    first.map(Date::last_of_month).ok_or_else(|| Error::invalid("month", "write it like 2026-11"))
}
