//! `/api/billing/reports` and `/api/billing/ledger/export`: for staff.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use utoipa::OpenApi;
use warp::http::{HeaderValue, StatusCode, header};
use warp::path as at;
use warp::reply::{Reply, Response};

use super::csv::{self, Cell};
use super::model::{Churn, Format, Mrr, Receivables, Revenue, TaxReturn, Wanted};
use super::month::{Month, Months};
use crate::modules::billing::ledger::Beancount;
use crate::modules::billing::{Billing, calendar};
use crate::platform::Platform;
use crate::platform::db::Snapshot;
use crate::platform::error::{Error, Result};
use crate::platform::http::{self, Request, Routes, answers, on};
use crate::platform::money::Currency;

#[derive(OpenApi)]
#[openapi(paths(mrr, revenue, tax, receivables, churn, export))]
pub(in crate::modules::billing) struct ReportsApi;

pub(in crate::modules::billing) fn routes(platform: &Platform) -> Option<Routes> {
    http::either([
        on(platform).get(mrr).at(at!("api" / "billing" / "reports" / "mrr")),
        on(platform).get(revenue).at(at!("api" / "billing" / "reports" / "revenue")),
        on(platform).get(tax).at(at!("api" / "billing" / "reports" / "tax")),
        on(platform).get(receivables).at(at!("api" / "billing" / "reports" / "receivables")),
        on(platform).get(churn).at(at!("api" / "billing" / "reports" / "churn")),
        on(platform).get(export).at(at!("api" / "billing" / "ledger" / "export")),
    ])
}

/// A report over months.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BillingReport)]
pub(super) struct Monthly<T> {
    #[schema(value_type = String, example = "2026-01")]
    from: Month,
    /// Counted as well.
    #[schema(value_type = String, example = "2026-12")]
    until: Month,
    /// One for each currency.
    items: Vec<T>,
}

/// A report of a day.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ReceivablesReport)]
struct AsOf {
    #[schema(value_type = String, format = Date)]
    day: Date,
    /// One for each currency in which something is open.
    items: Vec<Receivables>,
}

pub(super) trait Report: Serialize + Send + 'static {
    /// What its file is called.
    const NAME: &'static str;

    fn csv(&self) -> String;
}

impl Report for Monthly<Mrr> {
    const NAME: &'static str = "mrr";

    fn csv(&self) -> String {
        let columns = ["currency", "month", "start", "new", "expansion", "contraction", "churn", "end"];
        let rows = self.items.iter().flat_map(|mrr| mrr.months.iter().map(|it| (mrr.currency, it)));
        csv::table(
            columns,
            rows.map(|(currency, it)| {
                let [start, new, expansion, contraction, churn, end] = it.amounts().map(Cell::Amount);
                [Cell::text(currency.code()), month(it.month), start, new, expansion, contraction, churn, end]
            }),
        )
    }
}

impl Report for Monthly<Revenue> {
    const NAME: &'static str = "revenue";

    fn csv(&self) -> String {
        let months = self.items.iter().flat_map(|it| &it.months);
        let rows = months.flat_map(|it| it.plans.iter().map(|plan| (it.month, plan)));
        csv::table(
            ["currency", "month", "plan", "revenue"],
            rows.map(|(of, it)| {
                let plan = Cell::text(it.plan.clone().unwrap_or_default());
                [Cell::text(it.revenue.currency.code()), month(of), plan, Cell::Amount(it.revenue)]
            }),
        )
    }
}

impl Report for Monthly<TaxReturn> {
    const NAME: &'static str = "tax";

    fn csv(&self) -> String {
        let rows = self.items.iter().flat_map(|it| &it.rates);
        csv::table(
            ["from", "until", "currency", "country", "category", "percent", "net", "tax"],
            rows.map(|it| {
                [
                    month(self.from),
                    month(self.until),
                    Cell::text(it.net.currency.code()),
                    Cell::text(it.country.clone().unwrap_or_default()),
                    Cell::text(it.category.as_str()),
                    Cell::Percent(Some(it.percent)),
                    Cell::Amount(it.net),
                    Cell::Amount(it.tax),
                ]
            }),
        )
    }
}

impl Report for Monthly<Churn> {
    const NAME: &'static str = "churn";

    fn csv(&self) -> String {
        let columns = [
            "currency",
            "month",
            "customers",
            "customers_new",
            "customers_lost",
            "customers_lost_percent",
            "revenue",
            "revenue_lost",
            "revenue_lost_percent",
        ];
        let rows = self.items.iter().flat_map(|churn| churn.months.iter().map(|it| (churn.currency, it)));
        csv::table(
            columns,
            rows.map(|(currency, it)| {
                [
                    Cell::text(currency.code()),
                    month(it.month),
                    Cell::Number(it.customers),
                    Cell::Number(it.customers_new),
                    Cell::Number(it.customers_lost),
                    Cell::Percent(it.customers_lost_percent),
                    Cell::Amount(it.revenue),
                    Cell::Amount(it.revenue_lost),
                    Cell::Percent(it.revenue_lost_percent),
                ]
            }),
        )
    }
}

impl Report for AsOf {
    const NAME: &'static str = "receivables";

    fn csv(&self) -> String {
        let rows = self.items.iter().flat_map(|it| &it.ages);
        csv::table(
            ["day", "currency", "age", "invoices", "due"],
            rows.map(|it| {
                [
                    Cell::text(self.day.to_string()),
                    Cell::text(it.due.currency.code()),
                    Cell::text(it.age.as_str()),
                    Cell::Number(it.invoices),
                    Cell::Amount(it.due),
                ]
            }),
        )
    }
}

fn month(month: Month) -> Cell {
    Cell::text(month.to_string())
}

/// What a report over months finds.
pub(super) type Find<T> = fn(&Billing, &Snapshot<'_>, Option<Currency>, Months) -> Result<Vec<T>>;

/// Answers with a report over months, in `format` where the request does not choose it.
pub(super) async fn monthly<T, P>(
    platform: &Platform,
    request: &Request<P>,
    find: Find<T>,
    format: Option<Format>,
) -> Result<Response>
where
    T: Send + 'static,
    Monthly<T>: Report,
{
    let wanted: Result<Wanted> = request.query();
    let report = platform.scan(Monthly::<T>::NAME, request, move |snapshot, who| {
        who.must_be_staff()?;
        let Wanted { from, until, currency, format } = wanted?;
        let Months { from, until } = Months::wanted(from, until, this_month(snapshot))?;
        let items = find(&Billing, snapshot, currency, Months { from, until })?;
        Ok((Monthly { from, until, items }, format))
    });
    let (report, asked) = report.await?;
    answer(&report, format.unwrap_or(asked))
}

/// As [`monthly`], with what is open today.
pub(super) async fn open_items<P>(
    platform: &Platform,
    request: &Request<P>,
    format: Option<Format>,
) -> Result<Response> {
    let wanted: Result<Wanted> = request.query();
    let report = platform.scan(AsOf::NAME, request, move |snapshot, who| {
        who.must_be_staff()?;
        let wanted = wanted?;
        if wanted.from.is_some() || wanted.until.is_some() {
            return Err(Error::invalid(
                if wanted.from.is_some() { "from" } else { "until" },
                "this report is of today",
            ));
        }
        let day = today(snapshot);
        Ok((AsOf { day, items: Billing.receivables(snapshot, wanted.currency, day)? }, wanted.format))
    });
    let (report, asked) = report.await?;
    answer(&report, format.unwrap_or(asked))
}

fn answer<R: Report>(report: &R, format: Format) -> Result<Response> {
    match format {
        Format::Json => answers::json(StatusCode::OK, report),
        Format::Csv => as_file(answers::text("text/csv; charset=utf-8", report.csv()), &format!("{}.csv", R::NAME)),
    }
}

fn as_file(mut response: Response, name: &str) -> Result<Response> {
    let value = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    let value = value.map_err(|e| Error::internal("writing a header", e))?;
    response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    Ok(response)
}

/// Today, of those who look at reports: there is no one account whose time zone it could be.
pub(super) fn today(snapshot: &Snapshot<'_>) -> Date {
    calendar::day_at(snapshot.now(), &TimeZone::UTC)
}

pub(super) fn this_month(snapshot: &Snapshot<'_>) -> Month {
    Month::of(today(snapshot))
}

/// The monthly recurring revenue, and what moved it: start + new + expansion − contraction − churn = end.
#[utoipa::path(
    get, path = "/api/billing/reports/mrr", tag = "billing", operation_id = "report_mrr", security(("bearer" = [])),
    params(
        ("from" = Option<String>, Query, description = "a month; a year up to `until` where none is said", example = "2026-01"),
        ("until" = Option<String>, Query, description = "a month, counted as well; this one where none is said", example = "2026-12"),
        ("currency" = Option<String>, Query, description = "all where none is named", example = "EUR"),
        ("format" = Option<String>, Query, description = "`json` or `csv`"),
    ),
    responses(
        (status = 200, content((Monthly<Mrr> = "application/json"), (String = "text/csv; charset=utf-8"))),
        (status = 403, description = "not staff"),
    ),
)]
async fn mrr(platform: Platform, request: Request) -> Result<Response> {
    monthly(&platform, &request, Billing::mrr, None).await
}

/// Recognised revenue by month and plan, without tax.
#[utoipa::path(
    get, path = "/api/billing/reports/revenue", tag = "billing", operation_id = "report_revenue",
    security(("bearer" = [])),
    params(
        ("from" = Option<String>, Query, description = "a month; a year up to `until` where none is said", example = "2026-01"),
        ("until" = Option<String>, Query, description = "a month, counted as well; this one where none is said", example = "2026-12"),
        ("currency" = Option<String>, Query, description = "all where none is named", example = "EUR"),
        ("format" = Option<String>, Query, description = "`json` or `csv`"),
    ),
    responses(
        (status = 200, content((Monthly<Revenue> = "application/json"), (String = "text/csv; charset=utf-8"))),
        (status = 403, description = "not staff"),
    ),
)]
async fn revenue(platform: Platform, request: Request) -> Result<Response> {
    monthly(&platform, &request, Billing::revenue, None).await
}

/// Tax by country and rate, for a return: of what was issued in these months, less credit notes, and less what was made
/// void in them.
#[utoipa::path(
    get, path = "/api/billing/reports/tax", tag = "billing", operation_id = "report_tax", security(("bearer" = [])),
    params(
        ("from" = Option<String>, Query, description = "a month; a year up to `until` where none is said", example = "2026-01"),
        ("until" = Option<String>, Query, description = "a month, counted as well; this one where none is said", example = "2026-03"),
        ("currency" = Option<String>, Query, description = "all where none is named", example = "EUR"),
        ("format" = Option<String>, Query, description = "`json` or `csv`"),
    ),
    responses(
        (status = 200, content((Monthly<TaxReturn> = "application/json"), (String = "text/csv; charset=utf-8"))),
        (status = 403, description = "not staff"),
    ),
)]
async fn tax(platform: Platform, request: Request) -> Result<Response> {
    monthly(&platform, &request, Billing::tax, None).await
}

/// What is open today, by how long it has been due.
#[utoipa::path(
    get, path = "/api/billing/reports/receivables", tag = "billing", operation_id = "report_receivables",
    security(("bearer" = [])),
    params(
        ("currency" = Option<String>, Query, description = "all where none is named", example = "EUR"),
        ("format" = Option<String>, Query, description = "`json` or `csv`"),
    ),
    responses(
        (status = 200, content((AsOf = "application/json"), (String = "text/csv; charset=utf-8"))),
        (status = 403, description = "not staff"),
    ),
)]
async fn receivables(platform: Platform, request: Request) -> Result<Response> {
    open_items(&platform, &request, None).await
}

/// Which customers and how much recurring revenue left, by month.
#[utoipa::path(
    get, path = "/api/billing/reports/churn", tag = "billing", operation_id = "report_churn", security(("bearer" = [])),
    params(
        ("from" = Option<String>, Query, description = "a month; a year up to `until` where none is said", example = "2026-01"),
        ("until" = Option<String>, Query, description = "a month, counted as well; this one where none is said", example = "2026-12"),
        ("currency" = Option<String>, Query, description = "all where none is named", example = "EUR"),
        ("format" = Option<String>, Query, description = "`json` or `csv`"),
    ),
    responses(
        (status = 200, content((Monthly<Churn> = "application/json"), (String = "text/csv; charset=utf-8"))),
        (status = 403, description = "not staff"),
    ),
)]
async fn churn(platform: Platform, request: Request) -> Result<Response> {
    monthly(&platform, &request, Billing::churn, None).await
}

/// The whole ledger for beancount: every entry, oldest first.
#[utoipa::path(
    get, path = "/api/billing/ledger/export", tag = "billing", operation_id = "export_ledger", security(("bearer" = [])),
    responses(
        (status = 200, body = String, content_type = "text/plain; charset=utf-8"),
        (status = 403, description = "not staff"),
    ),
)]
async fn export(platform: Platform, request: Request) -> Result<Response> {
    platform.read("export_ledger", &request, |_, who| who.must_be_staff()).await?;
    let pieces = answers::pieces(Beancount::of(platform.database.clone()));
    let mut response = warp::reply::stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    as_file(response, "ledger.beancount")
}
