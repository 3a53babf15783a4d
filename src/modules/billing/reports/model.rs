//! What the reports say. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use super::month::{Month, Months};
use crate::modules::billing::invoices::document::{Tax, TaxCategory};
use crate::modules::billing::subscriptions::Movement;
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;
use crate::platform::money::{self, Currency, Money};

/// The monthly recurring revenue of one currency, and what moved it: start + new + expansion − contraction − churn = end.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Mrr {
    pub currency: Currency,
    /// Oldest first, every month.
    pub months: Vec<MrrMonth>,
}

#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct MrrMonth {
    #[schema(value_type = String, example = "2026-11")]
    pub month: Month,
    pub start: Money,
    /// Of subscriptions that begin, also of people who had one before.
    pub new: Money,
    /// Of those that bring in more, or go on after a pause.
    pub expansion: Money,
    /// Of those that bring in less, or are paused.
    pub contraction: Money,
    /// Of those that end.
    pub churn: Money,
    pub end: Money,
}

impl MrrMonth {
    /// From its start to its end.
    pub fn amounts(&self) -> [Money; 6] {
        [self.start, self.new, self.expansion, self.contraction, self.churn, self.end]
    }
}

/// What moved the recurring revenue of a month.
#[derive(Debug, Clone, Copy)]
pub struct Moved {
    pub currency: Currency,
    pub month: Month,
    pub movement: Movement,
    pub delta_minor: i64,
}

/// Recognised revenue of one currency, without tax.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Revenue {
    pub currency: Currency,
    pub total: Money,
    /// Oldest first, every month.
    pub months: Vec<RevenueMonth>,
}

#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct RevenueMonth {
    #[schema(value_type = String, example = "2026-11")]
    pub month: Month,
    pub total: Money,
    pub plans: Vec<PlanRevenue>,
}

#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct PlanRevenue {
    /// None of what no plan's price brought in.
    pub plan: Option<String>,
    pub revenue: Money,
}

/// Revenue of one plan and month, as it is kept.
#[derive(Debug, Clone)]
pub struct Earned {
    pub currency: Currency,
    pub month: Month,
    pub plan: Option<String>,
    pub amount_minor: i64,
}

/// Tax of one currency, of what was invoiced, less credit notes and void invoices.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct TaxReturn {
    pub currency: Currency,
    pub net: Money,
    pub tax: Money,
    pub rates: Vec<TaxOfRate>,
}

#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct TaxOfRate {
    /// Whose tax it is, by the rate; the buyer's country where the rate names none.
    #[schema(example = "DE")]
    pub country: Option<String>,
    pub category: TaxCategory,
    #[schema(value_type = String, example = "19")]
    pub percent: Decimal,
    /// What is taxed.
    pub net: Money,
    pub tax: Money,
}

impl TaxOfRate {
    /// `19 %`, or why there is none.
    pub fn label(&self) -> String {
        Tax { category: self.category, percent: self.percent, is_inclusive: false, note: None }.label()
    }
}

/// What is taxed, of one document or of many.
#[derive(Debug, Clone, PartialEq)]
pub struct TaxSum {
    pub currency: Currency,
    pub country: Option<String>,
    pub category: TaxCategory,
    pub percent: Decimal,
    pub net_minor: i64,
    pub tax_minor: i64,
}

/// What is open of one currency, by how long it has been due.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Receivables {
    pub currency: Currency,
    pub total: Money,
    /// All five, also where nothing is open.
    pub ages: Vec<Aged>,
}

#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Aged {
    pub age: Age,
    pub invoices: i64,
    pub due: Money,
}

/// For how many days an invoice has been due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ReceivablesAge)]
pub enum Age {
    #[serde(rename = "not_due")]
    NotDue,
    #[serde(rename = "1-30")]
    To30,
    #[serde(rename = "31-60")]
    To60,
    #[serde(rename = "61-90")]
    To90,
    #[serde(rename = "over_90")]
    Over90,
}

impl Age {
    pub const ALL: [Age; 5] = [Age::NotDue, Age::To30, Age::To60, Age::To90, Age::Over90];

    pub fn as_str(self) -> &'static str {
        match self {
            Age::NotDue => "not_due",
            Age::To30 => "1-30",
            Age::To60 => "31-60",
            Age::To90 => "61-90",
            Age::Over90 => "over_90",
        }
    }

    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Age::NotDue => "Not due yet",
            Age::To30 => "1–30 days overdue",
            Age::To60 => "31–60 days overdue",
            Age::To90 => "61–90 days overdue",
            Age::Over90 => "Over 90 days overdue",
        }
    }

    /// The first due days of the younger four, as of `today`: whatever is due before the last is older.
    pub fn bounds(today: Date) -> Result<[Date; 4]> {
        let before = |days: i64| today.checked_sub(days.days()).map_err(|e| Error::internal("counting days", e));
        Ok([today, before(30)?, before(60)?, before(90)?])
    }
}

/// What is open of one age, as it is kept.
#[derive(Debug, Clone, Copy)]
pub struct Open {
    pub currency: Currency,
    pub age: Age,
    pub invoices: i64,
    pub due_minor: i64,
}

/// Who and what left, of one currency.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Churn {
    pub currency: Currency,
    /// Oldest first, every month.
    pub months: Vec<ChurnMonth>,
}

/// Customers are people who bring in recurring revenue: on trial they are not yet, while they are paused they are not.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ChurnMonth {
    #[schema(value_type = String, example = "2026-11")]
    pub month: Month,
    /// At the start of the month.
    pub customers: i64,
    pub customers_new: i64,
    pub customers_lost: i64,
    /// Of those at the start; none where there were none.
    #[schema(value_type = Option<String>, example = "2.5")]
    pub customers_lost_percent: Option<Decimal>,
    /// Monthly and recurring, at the start of the month.
    pub revenue: Money,
    /// By churn and contraction.
    pub revenue_lost: Money,
    #[schema(value_type = Option<String>, example = "1.87")]
    pub revenue_lost_percent: Option<Decimal>,
}

/// How many people began and ceased to bring in recurring revenue in a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Customers {
    pub currency: Currency,
    pub month: Month,
    pub new: i64,
    pub lost: i64,
}

/// Counts them from what moved the recurring revenue, in the order of currency, person and day.
#[derive(Default)]
pub struct Count {
    /// Who began and who ceased.
    counted: BTreeMap<(Currency, Month), (i64, i64)>,
    standing: Option<Standing>,
}

/// What one person brought in before a month, and so far at its end.
struct Standing {
    currency: Currency,
    person: UserId,
    month: Month,
    before: i64,
    after: i64,
}

impl Count {
    pub fn moved(&mut self, currency: Currency, person: UserId, month: Month, delta_minor: i64) {
        let before = match &mut self.standing {
            Some(it) if (it.currency, it.person) == (currency, person) => {
                if it.month == month {
                    // Only its sign counts.
                    it.after = it.after.saturating_add(delta_minor);
                    return;
                }
                it.after
            }
            _ => 0,
        };
        self.note();
        let after = before.saturating_add(delta_minor);
        self.standing = Some(Standing { currency, person, month, before, after });
    }

    fn note(&mut self) {
        let Some(Standing { currency, month, before, after, .. }) = self.standing.take() else { return };
        let (new, lost) = self.counted.entry((currency, month)).or_default();
        *new += i64::from(before <= 0 && after > 0);
        *lost += i64::from(before > 0 && after <= 0);
    }

    /// By currency and month.
    pub fn finish(mut self) -> Vec<Customers> {
        self.note();
        let all = self.counted.into_iter();
        all.map(|((currency, month), (new, lost))| Customers { currency, month, new, lost }).collect()
    }
}

/// Of what moved up to the last of `months`.
pub fn mrr(moved: &[Moved], months: Months) -> Result<Vec<Mrr>> {
    let currencies: BTreeSet<Currency> = moved.iter().map(|it| it.currency).collect();
    let of = |currency| {
        let own = || moved.iter().filter(move |it| it.currency == currency);
        let mut end = money::sum(own().filter(|it| it.month < months.from).map(|it| it.delta_minor))?;
        let month = |month: Month| {
            let by = |movement| {
                let of = own().filter(|it| it.month == month && it.movement == movement);
                money::sum(of.map(|it| it.delta_minor))
            };
            let start = end;
            let [new, expansion, contraction, churn] =
                [by(Movement::New)?, by(Movement::Expansion)?, by(Movement::Contraction)?, by(Movement::Churn)?];
            end = money::sum([start, new, expansion, contraction, churn])?;
            let money = |minor| Money::new(minor, currency);
            Ok(MrrMonth {
                month,
                start: money(start),
                new: money(new),
                expansion: money(expansion),
                contraction: money(-contraction),
                churn: money(-churn),
                end: money(end),
            })
        };
        Ok(Mrr { currency, months: months.iter().map(month).collect::<Result<_>>()? })
    };
    currencies.into_iter().map(of).collect()
}

pub fn revenue(earned: &[Earned], months: Months) -> Result<Vec<Revenue>> {
    let currencies: BTreeSet<Currency> = earned.iter().map(|it| it.currency).collect();
    let of = |currency| {
        let month = |month: Month| {
            let own = earned.iter().filter(|it| it.currency == currency && it.month == month && it.amount_minor != 0);
            let plan =
                |it: &Earned| PlanRevenue { plan: it.plan.clone(), revenue: Money::new(it.amount_minor, currency) };
            let plans: Vec<PlanRevenue> = own.map(plan).collect();
            let total = Money::new(money::sum(plans.iter().map(|it| it.revenue.amount_minor))?, currency);
            Ok(RevenueMonth { month, total, plans })
        };
        let months: Vec<RevenueMonth> = months.iter().map(month).collect::<Result<_>>()?;
        let total = Money::new(money::sum(months.iter().map(|it| it.total.amount_minor))?, currency);
        Ok(Revenue { currency, total, months })
    };
    currencies.into_iter().map(of).collect()
}

/// `sums` are one for each currency, country, category and percent.
pub fn tax_returns(sums: Vec<TaxSum>) -> Result<Vec<TaxReturn>> {
    let mut by_currency: BTreeMap<Currency, Vec<TaxSum>> = BTreeMap::new();
    for sum in sums {
        by_currency.entry(sum.currency).or_default().push(sum);
    }
    let of = |(currency, sums): (Currency, Vec<TaxSum>)| {
        let money = |minor| Money::new(minor, currency);
        let net = money(money::sum(sums.iter().map(|sum| sum.net_minor))?);
        let tax = money(money::sum(sums.iter().map(|sum| sum.tax_minor))?);
        let rate = |sum: TaxSum| TaxOfRate {
            country: sum.country,
            category: sum.category,
            percent: sum.percent,
            net: money(sum.net_minor),
            tax: money(sum.tax_minor),
        };
        Ok(TaxReturn { currency, net, tax, rates: sums.into_iter().map(rate).collect() })
    };
    by_currency.into_iter().map(of).collect()
}

pub fn receivables(open: &[Open]) -> Result<Vec<Receivables>> {
    let currencies: BTreeSet<Currency> = open.iter().map(|it| it.currency).collect();
    let of = |currency| {
        let aged = |age: Age| {
            let found = open.iter().find(|it| it.currency == currency && it.age == age);
            Aged {
                age,
                invoices: found.map_or(0, |it| it.invoices),
                due: Money::new(found.map_or(0, |it| it.due_minor), currency),
            }
        };
        let ages: Vec<Aged> = Age::ALL.into_iter().map(aged).collect();
        let total = Money::new(money::sum(ages.iter().map(|it| it.due.amount_minor))?, currency);
        Ok(Receivables { currency, total, ages })
    };
    currencies.into_iter().map(of).collect()
}

/// Of what moved, and of who came and went, up to the last month of `mrr`.
pub fn churn(mrr: &[Mrr], customers: &[Customers]) -> Vec<Churn> {
    let of = |mrr: &Mrr| {
        let own = || customers.iter().filter(|it| it.currency == mrr.currency);
        let first = mrr.months.first().map(|it| it.month);
        let before = own().filter(|it| first.is_some_and(|first| it.month < first));
        let mut now: i64 = before.map(|it| it.new - it.lost).sum();
        let month = |it: &MrrMonth| {
            let moved = own().find(|of| of.month == it.month);
            let (start, new, lost) = (now, moved.map_or(0, |of| of.new), moved.map_or(0, |of| of.lost));
            now = start + new - lost;
            let revenue_lost = it.churn.amount_minor + it.contraction.amount_minor;
            ChurnMonth {
                month: it.month,
                customers: start,
                customers_new: new,
                customers_lost: lost,
                customers_lost_percent: percent(lost, start),
                revenue: it.start,
                revenue_lost: Money::new(revenue_lost, mrr.currency),
                revenue_lost_percent: percent(revenue_lost, it.start.amount_minor),
            }
        };
        Churn { currency: mrr.currency, months: mrr.months.iter().map(month).collect() }
    };
    mrr.iter().map(of).collect()
}

/// Rounded to two decimals; none of nothing.
fn percent(part: i64, whole: i64) -> Option<Decimal> {
    (whole > 0).then(|| {
        let exact = Decimal::from(part) * Decimal::ONE_HUNDRED / Decimal::from(whole);
        exact.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero).normalize()
    })
}

/// What is asked of a report.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wanted {
    /// Both of them counted; the twelve up to this month where nothing is said.
    pub from: Option<Month>,
    pub until: Option<Month>,
    /// All where none is named.
    pub currency: Option<Currency>,
    pub format: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    Json,
    Csv,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::clock::Time;

    #[test]
    fn an_invoice_ages_on_the_day_after_it_was_due() {
        let today: Date = "2026-11-25".parse().unwrap();
        let [not_due, to_30, to_60, to_90] = Age::bounds(today).unwrap();

        assert_eq!(not_due, today);
        assert_eq!(to_30.to_string(), "2026-10-26");
        assert_eq!((to_60.to_string(), to_90.to_string()), ("2026-09-26".into(), "2026-08-27".into()));
    }

    #[test]
    fn who_comes_and_goes_is_counted_by_what_stands_at_the_end_of_each_month() {
        let month = |text: &str| text.parse::<Month>().unwrap();
        let usd = Currency::parse("USD").unwrap();
        let [ann, bob] = [1, 2].map(|n| UserId::new(Time::from_ms(n)));
        let mut count = Count::default();
        for (currency, person, of, delta) in [
            // Comes, grows, and goes; comes back.
            (Currency::EUR, ann, "2026-01", 10),
            (Currency::EUR, ann, "2026-02", 5),
            (Currency::EUR, ann, "2026-03", -15),
            (Currency::EUR, ann, "2026-05", 10),
            // Comes and goes within one month, and comes for good in that of ann's return.
            (Currency::EUR, bob, "2026-01", 10),
            (Currency::EUR, bob, "2026-01", -10),
            (Currency::EUR, bob, "2026-05", 10),
            // Another currency's customer is another.
            (usd, bob, "2026-05", 10),
        ] {
            count.moved(currency, person, month(of), delta);
        }

        let of = |currency, at: &str, new, lost| Customers { currency, month: month(at), new, lost };
        assert_eq!(
            count.finish(),
            [
                of(Currency::EUR, "2026-01", 1, 0),
                of(Currency::EUR, "2026-02", 0, 0),
                of(Currency::EUR, "2026-03", 0, 1),
                of(Currency::EUR, "2026-05", 2, 0),
                of(usd, "2026-05", 1, 0),
            ]
        );
    }

    #[test]
    fn shares_of_nothing_are_none() {
        assert_eq!(percent(1, 0), None);
        assert_eq!(percent(1, 3).unwrap().to_string(), "33.33");
        assert_eq!(percent(1, 40).unwrap().to_string(), "2.5");
    }
}
