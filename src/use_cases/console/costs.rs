//! `/modules/costs`: which module hurts, over time.

use std::collections::BTreeMap;

use askama::Template;
use warp::reply::Response;

use super::parameter;
use crate::platform::clock::Time;
use crate::platform::costs::Step;
use crate::platform::error::Result;
use crate::platform::http::{Refusal, Request};
use crate::use_cases::costs::words::{bytes, percent, span, span_us};
use crate::use_cases::costs::{Advice, Bookkeeper, CostPoint, Costs, Leaving, Level, Line, span_of};

/// How far back, as the address and the page say it.
const SPANS: [(&str, &str); 3] = [("1 hour", "Hour"), ("1 day", "Day"), ("30 days", "Month")];
/// Told apart in a plot; the rest is one.
const MAX_SERIES: usize = 6;
/// What a bar takes of a plot, with the gap behind it, and the plot's height.
const SLOT: usize = 10;
const HEIGHT: f64 = 100.0;
/// Lines of a table, before the rest is one.
const LINES: usize = 15;
/// A queue of which the oldest has waited less is none, in milliseconds.
const SHORT_WAIT_MS: u64 = 1000;

#[derive(Template)]
#[template(path = "use_cases/console/templates/costs.html", config = "src/askama.toml")]
struct Page {
    costs: Costs,
    spans: Vec<(String, &'static str, bool)>,
    plots: Vec<Plot>,
}

/// Bars over time, drawn by the server.
struct Plot {
    id: &'static str,
    title: &'static str,
    /// What it shows, for those who don't see it.
    says: String,
    /// At the top and in the middle of its scale.
    top: String,
    middle: String,
    width: usize,
    bars: Vec<Bar>,
    series: Vec<Series>,
    from: String,
    to: String,
}

struct Bar {
    x: usize,
    title: String,
    parts: Vec<Part>,
}

struct Part {
    class: usize,
    y: String,
    height: String,
}

struct Series {
    class: usize,
    name: String,
}

/// `GET /modules/costs`
pub(super) async fn show(it: Bookkeeper, request: Request) -> Result<Response> {
    let asked = parameter(&request.head, "since");
    // Whatever else stands there, a day is shown.
    let (chosen, _) = SPANS.into_iter().find(|(key, _)| asked.as_deref() == Some(key)).unwrap_or(SPANS[1]);
    let (book, viewer_of) = (it.clone(), it.app.platform.viewer.clone());
    let look = it.app.platform.scan("costs_page", &request, move |snapshot, who| {
        who.must_be_staff()?;
        Ok((viewer_of(snapshot, who)?, book.look(snapshot, span_of(Some(chosen))?)?))
    });
    let (viewer, costs) = look.await?;
    let spans = SPANS.map(|(key, label)| (key.replace(' ', "+"), label, key == chosen)).to_vec();
    let page = Page { plots: plots(&costs), costs, spans };
    it.app.platform.show(&request.head, &viewer, "Costs", &Refusal::default(), &page)
}

impl Page {
    fn is_empty(&self) -> bool {
        self.costs.points.is_empty()
    }

    /// The lines that are shown, and how many are not.
    fn first<'a>(&self, lines: &'a [Line]) -> (&'a [Line], usize) {
        (&lines[..lines.len().min(LINES)], lines.len().saturating_sub(LINES))
    }

    fn is_bytes_known(&self) -> bool {
        self.costs.modules.iter().any(|module| module.bytes.is_some())
    }
}

fn look_of(advice: &Advice) -> &'static str {
    match advice.level {
        Level::Hurts => "notice bad",
        Level::Watch => "notice warn",
        Level::Fine => "notice good",
    }
}

/// A step as markup: what stands between backticks is code.
fn marked(step: &str) -> String {
    let part = |(n, part): (usize, &str)| {
        let part = part.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        if n % 2 == 1 { format!("<code>{part}</code>") } else { part }
    };
    step.split('`').enumerate().map(part).collect()
}

fn count_of(leaving: &Leaving) -> usize {
    leaving.calls.iter().map(|calls| calls.functions.len()).sum()
}

fn share_text(share: f64) -> String {
    // What is more than nothing is never called nothing.
    percent((share * 1e6).ceil() as u64, 1_000_000)
}

/// On a scale: `2.5 %`, `0.005 %`.
fn scale_text(share: f64) -> String {
    format!("{} %", (share * 1e6).round() / 1e4)
}

fn span_ms(ms: u64) -> String {
    span(ms as f64)
}

fn ms(time: Option<f64>) -> String {
    time.map(span).unwrap_or_default()
}

fn plots(costs: &Costs) -> Vec<Plot> {
    let shares = |id, title, of: fn(&CostPoint) -> &BTreeMap<String, f64>| shares(costs, id, title, of);
    let mut plots = vec![shares("by-module", "CPU by module", |point| &point.modules)];
    plots.push(shares("by-route", "CPU by route", |point| &point.routes));
    if !costs.jobs.is_empty() {
        plots.push(shares("by-job", "CPU by kind of job", |point| &point.jobs));
    }
    plots.push(latencies(costs));
    if costs.points.iter().any(|point| point.oldest_ms >= SHORT_WAIT_MS) {
        plots.push(waits(costs));
    }
    plots.retain(|plot| !plot.bars.is_empty());
    plots
}

/// Stacked: who used which share of the machine's CPU.
fn shares(costs: &Costs, id: &'static str, title: &'static str, of: fn(&CostPoint) -> &BTreeMap<String, f64>) -> Plot {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, share) in costs.points.iter().flat_map(of) {
        *sums.entry(name).or_default() += share;
    }
    let mut names: Vec<&str> = sums.keys().copied().collect();
    names.sort_by(|a, b| sums[b].total_cmp(&sums[a]));
    let has_others = names.len() > MAX_SERIES;
    names.truncate(MAX_SERIES);
    let highest = costs.points.iter().map(|point| of(point).values().sum()).fold(0.0, f64::max);
    let top = nice(highest * 100.0) / 100.0;
    let stack = |point: &CostPoint| {
        let by = of(point);
        let mut parts: Vec<(usize, f64)> =
            names.iter().enumerate().map(|(n, name)| (n + 1, by.get(*name).copied().unwrap_or(0.0))).collect();
        let others = by.iter().filter(|(name, _)| !names.contains(&name.as_str())).map(|(_, share)| share).sum();
        parts.push((0, others));
        let named = names.iter().filter_map(|name| Some(format!("{name} {}", share_text(*by.get(*name)?))));
        (parts, named.collect::<Vec<_>>().join(", "))
    };
    let mut series: Vec<Series> =
        names.iter().enumerate().map(|(n, name)| Series { class: n + 1, name: (*name).to_owned() }).collect();
    if has_others {
        series.push(Series { class: 0, name: "others".into() });
    }
    let says = format!("{title}, as a share of the machine’s {} CPUs. The table below has the sums.", costs.cores);
    plot(costs, Frame { id, title, says, series }, top, scale_text, stack)
}

/// One before the other: how long requests took.
fn latencies(costs: &Costs) -> Plot {
    let top = nice(costs.points.iter().filter_map(|point| point.p99_ms).fold(0.0, f64::max));
    let bars = |point: &CostPoint| {
        let (half, most) = (point.p50_ms.unwrap_or(0.0), point.p99_ms.unwrap_or(0.0));
        let title = format!("99 % within {}, half within {}", ms(point.p99_ms), ms(point.p50_ms));
        (vec![(1, half), (2, (most - half).max(0.0))], title)
    };
    let series = vec![
        Series { class: 1, name: "half of the requests are answered within".into() },
        Series { class: 2, name: "99 % are".into() },
    ];
    let says = "How long requests took: the median and the 99th percentile.".to_owned();
    plot(costs, Frame { id: "latency", title: "Answered within", says, series }, top, span, bars)
}

fn waits(costs: &Costs) -> Plot {
    let top = nice(costs.points.iter().map(|point| point.oldest_ms as f64).fold(0.0, f64::max));
    let bars = |point: &CostPoint| (vec![(1, point.oldest_ms as f64)], span(point.oldest_ms as f64));
    let series = vec![Series { class: 1, name: "of all kinds".into() }];
    let says = "The longest that a job was due before it began, or is due.".to_owned();
    plot(costs, Frame { id: "waits", title: "The oldest job has waited", says, series }, top, span, bars)
}

/// What a plot is called and tells apart.
struct Frame {
    id: &'static str,
    title: &'static str,
    says: String,
    series: Vec<Series>,
}

fn plot(
    costs: &Costs,
    frame: Frame,
    top: f64,
    label: impl Fn(f64) -> String,
    stack: impl Fn(&CostPoint) -> (Vec<(usize, f64)>, String),
) -> Plot {
    let slot = |at: Time| ((at.as_ms() - costs.since.as_ms()) / costs.step.ms()).max(0) as usize;
    let mut bars = Vec::new();
    for point in &costs.points {
        let (stacked, title) = stack(point);
        let mut from = 0.0;
        let mut parts = Vec::new();
        for (class, value) in stacked.into_iter().filter(|(_, value)| *value > 0.0) {
            let height = (value / top * HEIGHT).min(HEIGHT - from);
            from += height;
            parts.push(Part { class, y: format!("{:.2}", HEIGHT - from), height: format!("{height:.2}") });
        }
        if !parts.is_empty() {
            let title = format!("{}: {title}", moment(point.at, costs.step));
            bars.push(Bar { x: slot(point.at) * SLOT, title, parts });
        }
    }
    let Frame { id, title, says, series } = frame;
    Plot {
        id,
        title,
        says,
        top: label(top),
        middle: label(top / 2.0),
        width: (slot(costs.until) + 1) * SLOT,
        bars,
        series,
        from: moment(costs.since, costs.step),
        to: moment(costs.until, costs.step),
    }
}

fn moment(at: Time, step: Step) -> String {
    if step == Step::Day { at.to_day() } else { at.to_minute() }
}

/// The next of 1, 2, 5, 10, 20, 50 … above.
fn nice(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let size = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|step| step * size).find(|step| *step >= value).unwrap_or(10.0 * size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_ends_at_a_round_number_above_what_it_shows() {
        assert_eq!([0.0, 0.3, 1.0, 1.1, 4.0, 51.0].map(nice), [1.0, 0.5, 1.0, 2.0, 5.0, 100.0]);
    }

    #[test]
    fn commands_in_steps_are_code_and_nothing_in_them_is_markup() {
        assert_eq!(marked("type `a <b>` & see"), "type <code>a &lt;b&gt;</code> &amp; see");
    }
}
