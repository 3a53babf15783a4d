//! `/billing/reports`: the reports, drawn.

use askama::Template;
use serde::{Deserialize, Deserializer};
use warp::path as at;
use warp::reply::Response;

use super::api::{monthly, open_items, this_month, today};
use super::model::{Churn, Format, Mrr, MrrMonth, Receivables, Revenue, TaxReturn};
use super::month::{Month, Months};
use super::plots::{Bar, Part, Plot, grouped, px};
use crate::modules::billing::Billing;
use crate::platform::Platform;
use crate::platform::db::Snapshot;
use crate::platform::error::{Error, Result};
use crate::platform::http::{self, Refusal, Request, Routes, on};
use crate::platform::money::{Currency, Money};

/// Plans that have a colour of their own; all others share one.
const PLANS: usize = 5;
const COLOURS: [&str; PLANS] = ["chart-a", "chart-b", "chart-c", "chart-d", "chart-e"];
const OTHERS: &str = "chart-rest";

pub(in crate::modules::billing) fn routes(platform: &Platform) -> Option<Routes> {
    http::either([
        on(platform).get(show).at(at!("billing" / "reports")),
        on(platform).get(file).at(at!("billing" / "reports" / String)),
    ])
}

#[derive(Template)]
#[template(path = "modules/billing/reports/templates/reports.html", config = "src/askama.toml")]
struct Page {
    currencies: Vec<Currency>,
    currency: Currency,
    months: Months,
    /// As parameters, for the files.
    query: String,
    found: Found,
}

/// All reports of one currency.
struct Found {
    revenue: Option<Revenue>,
    mrr: Option<Mrr>,
    receivables: Option<Receivables>,
    tax: Option<TaxReturn>,
    churn: Option<Churn>,
}

/// A colour and what it stands for.
struct Key {
    colour: &'static str,
    label: String,
}

/// What is asked for; fields of the form that were left empty ask for nothing.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    #[serde(deserialize_with = "typed")]
    currency: Option<Currency>,
    #[serde(deserialize_with = "typed")]
    from: Option<Month>,
    #[serde(deserialize_with = "typed")]
    until: Option<Month>,
}

fn typed<'de, T: serde::de::DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    use serde::de::IntoDeserializer;
    let text = String::deserialize(deserializer)?;
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    T::deserialize(text.into_deserializer()).map(Some)
}

/// `GET /billing/reports`
async fn show(platform: Platform, request: Request) -> Result<Response> {
    let asked: Result<Asked> = request.query();
    let viewer = platform.viewer.clone();
    let page = platform.scan("reports_page", &request, move |snapshot, who| {
        who.must_be_staff()?;
        Ok((viewer(snapshot, who)?, find(snapshot, asked?)?))
    });
    let (viewer, page) = page.await?;
    platform.show(&request.head, &viewer, "Reports", &Refusal::default(), &page)
}

/// `GET /billing/reports/{name}.csv`
async fn file(platform: Platform, request: Request<String>) -> Result<Response> {
    let csv = Some(Format::Csv);
    match request.path.as_str() {
        "mrr.csv" => monthly(&platform, &request, Billing::mrr, csv).await,
        "revenue.csv" => monthly(&platform, &request, Billing::revenue, csv).await,
        "tax.csv" => monthly(&platform, &request, Billing::tax, csv).await,
        "churn.csv" => monthly(&platform, &request, Billing::churn, csv).await,
        "receivables.csv" => open_items(&platform, &request, csv).await,
        _ => Err(Error::NotFound("report")),
    }
}

fn find(snapshot: &Snapshot<'_>, Asked { currency, from, until }: Asked) -> Result<Page> {
    let mut currencies: Vec<Currency> =
        Billing.ledger_balances(snapshot, None)?.into_iter().map(|balance| balance.currency).collect();
    currencies.dedup();
    let months = Months::wanted(from, until, this_month(snapshot))?;
    let currency = currency.or(currencies.first().copied()).unwrap_or(Currency::EUR);
    if !currencies.contains(&currency) {
        currencies.push(currency);
    }
    let one = Some(currency);
    let found = Found {
        revenue: Billing.revenue(snapshot, one, months)?.pop(),
        mrr: Billing.mrr(snapshot, one, months)?.pop(),
        receivables: Billing.receivables(snapshot, one, today(snapshot))?.pop(),
        tax: Billing.tax(snapshot, one, months)?.pop(),
        churn: Billing.churn(snapshot, one, months)?.pop(),
    };
    let query = format!("currency={currency}&from={}&until={}", months.from, months.until);
    Ok(Page { currencies, currency, months, query, found })
}

impl Page {
    fn is_empty(&self) -> bool {
        let Found { revenue, mrr, receivables, tax, churn: _ } = &self.found;
        revenue.is_none() && mrr.is_none() && receivables.is_none() && tax.is_none()
    }

    fn span(&self) -> String {
        let Months { from, until } = self.months;
        if from == until {
            format!("in {}", from.label())
        } else {
            format!("from {} to {}", from.label(), until.label())
        }
    }
}

impl Revenue {
    /// The plans that brought in most, each with its colour; then what stands for all others.
    fn keys(&self) -> Vec<Key> {
        let mut plans = self.plans();
        plans.truncate(PLANS);
        let mut keys: Vec<Key> =
            plans.into_iter().zip(COLOURS).map(|(plan, colour)| Key { colour, label: plan_label(&plan) }).collect();
        if self.plans().len() > PLANS {
            keys.push(Key { colour: OTHERS, label: "Other plans".into() });
        }
        keys
    }

    /// Every plan, those that brought in most first.
    fn plans(&self) -> Vec<Option<String>> {
        let mut totals: Vec<(Option<String>, i64)> = Vec::new();
        for of in self.months.iter().flat_map(|month| &month.plans) {
            match totals.iter_mut().find(|(plan, _)| *plan == of.plan) {
                Some((_, total)) => *total += of.revenue.amount_minor,
                None => totals.push((of.plan.clone(), of.revenue.amount_minor)),
            }
        }
        totals.sort_by_key(|(_, total)| std::cmp::Reverse(*total));
        totals.into_iter().map(|(plan, _)| plan).collect()
    }

    fn plot(&self) -> Option<Plot> {
        let plans = self.plans();
        let bar = |month: &super::model::RevenueMonth| {
            let mut parts: Vec<(usize, Part)> = month
                .plans
                .iter()
                .map(|of| {
                    let place = plans.iter().position(|plan| *plan == of.plan).unwrap_or(PLANS);
                    let colour = COLOURS.get(place).copied().unwrap_or(OTHERS);
                    (place, Part { what: plan_label(&of.plan), colour, amount_minor: of.revenue.amount_minor })
                })
                .collect();
            parts.sort_by_key(|(place, _)| *place);
            bar_of(month.month, parts.into_iter().map(|(_, part)| part).collect())
        };
        Plot::of(&self.months.iter().map(bar).collect::<Vec<_>>(), self.currency)
    }
}

fn plan_label(plan: &Option<String>) -> String {
    plan.clone().unwrap_or_else(|| "Without a plan".into())
}

impl Mrr {
    /// What it is at the end of the last month.
    fn now(&self) -> Money {
        self.months.last().map_or(Money::new(0, self.currency), |month| month.end)
    }

    fn plot(&self) -> Option<Plot> {
        self.bars(|month| vec![part("at its end", "chart-a", month.end, 1)])
    }

    fn movement_plot(&self) -> Option<Plot> {
        self.bars(|month| {
            vec![
                part("new", "chart-new", month.new, 1),
                part("expansion", "chart-expansion", month.expansion, 1),
                part("contraction", "chart-contraction", month.contraction, -1),
                part("churn", "chart-churn", month.churn, -1),
            ]
        })
    }

    fn bars(&self, parts: impl Fn(&MrrMonth) -> Vec<Part>) -> Option<Plot> {
        let bars = self.months.iter().map(|month| bar_of(month.month, parts(month)));
        Plot::of(&bars.collect::<Vec<_>>(), self.currency)
    }
}

impl Receivables {
    fn plot(&self) -> Option<Plot> {
        let bar = |it: &super::model::Aged| {
            let colour = if it.age == super::model::Age::NotDue { "chart-a" } else { "chart-churn" };
            let name = it.age.label();
            Bar { name: name.into(), short: name.into(), parts: vec![part("open", colour, it.due, 1)] }
        };
        Plot::of(&self.ages.iter().map(bar).collect::<Vec<_>>(), self.currency)
    }
}

fn bar_of(month: Month, parts: Vec<Part>) -> Bar {
    Bar { name: month.label(), short: month.short(), parts }
}

fn part(what: &str, colour: &'static str, money: Money, sign: i64) -> Part {
    Part { what: what.into(), colour, amount_minor: sign * money.amount_minor }
}

fn money(amount: impl std::borrow::Borrow<Money>) -> String {
    grouped(*amount.borrow())
}

/// A number that may not be there.
fn share(percent: &Option<rust_decimal::Decimal>) -> String {
    percent.map_or_else(|| "–".into(), |percent| format!("{percent}\u{a0}%"))
}
