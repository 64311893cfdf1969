//! What a difference between two runs says: its tables, how to read them, and its sentence.

use super::{Change, Difference, FAMILIES, Outcome};
use crate::report::metric::Metric;
use crate::report::open_loop;
use crate::report::table::{Column, Table};
use crate::report::words;
use crate::statistics::interval::quantile;
use crate::statistics::verdict::{CONFIDENCE, LEVEL, Verdict};

/// Regressions that the sentence names.
const NAMED: usize = 5;

impl Difference {
    /// Each model over all its cells, a row a metric.
    pub fn overall(&self) -> Table {
        self.table(|change| change.backends.is_none())
    }

    /// The cells that changed; `None` when none did.
    pub fn cells(&self) -> Option<Table> {
        let table =
            self.table(|change| change.backends.is_some() && change.verdict() != Verdict::Indistinguishable);
        (!table.rows.is_empty()).then_some(table)
    }

    fn table(&self, shown: impl Fn(&Change) -> bool) -> Table {
        let columns = vec![
            Column::words("model"),
            Column::numbers("HTTP servers").short("HTTP\nservers"),
            Column::numbers("concurrency").short("conc."),
            Column::words("metric"),
            Column::numbers("NEW / BASE"),
            Column::numbers("p"),
            Column::words("verdict"),
        ];
        let count = |count: Option<u32>| count.map_or("all".to_owned(), |count| count.to_string());
        let rows = self.changes.iter().filter(|change| shown(change)).map(|change| {
            vec![
                words::row(&change.model),
                count(change.backends),
                count(change.concurrency),
                change.metric.name().to_owned(),
                words::ratio_interval(&change.judged),
                words::p(change.judged.p_holm),
                if change.client_bound { "client-bound" } else { change.metric.word(change.judged.verdict) }
                    .to_owned(),
            ]
        });
        Table { columns, rows: rows.collect() }
    }

    /// What the tables' figures are, in words.
    pub fn method(&self) -> String {
        let floors = self.floors.iter().map(|floor| {
            let text = |floor: Option<f64>| floor.map_or("unknown".into(), words::floor);
            format!("{} {} a cell, {} over all", floor.metric.name(), text(floor.cell), text(floor.all))
        });
        format!(
            "NEW / BASE: ratio of geometric means over blocks, in brackets its 95 % interval (Welch's t on the logarithms); p \
             after correction for all {} comparisons (Holm, half of the level for models over all cells, half for single \
             cells). A change must also pass the noise floor, from both runs' \
             A/A pairs and from the direct row, which no change of a balancer can move: {}. {}",
            self.changes.iter().filter(|change| !change.client_bound).count(),
            floors.collect::<Vec<_>>().join("; "),
            self.loops()
        )
    }

    /// What the loops of the two runs make of their figures.
    fn loops(&self) -> String {
        match self.rates {
            [None, None] => "Response times are of the runs' own kind of load. Client-bound: the load generator was the \
                             limit in either run."
                .into(),
            [Some(base), Some(new)] if base == new => {
                format!("Both runs: {}; throughput is the rate and is not compared.", open_loop::load(base))
            }
            [Some(_), Some(_)] => "Open loops, but at two rates: what differs in response times may be the rates' doing. \
                                   Throughput is the rate and is not compared."
                .into(),
            _ => "One run is a closed loop and the other is not: of what they measured, only CPU time can be compared, and \
                  it differs with how busy a model is."
                .into(),
        }
    }

    /// What it comes to, in one sentence.
    pub fn sentence(&self) -> String {
        let (base, new) = (&self.base, &self.new);
        let worse: Vec<_> =
            self.changes.iter().filter(|change| change.is_worse()).map(Change::told).collect();
        let better = self.changes.iter().filter(|change| change.is_better()).count();
        let lost = match self.lost.as_slice() {
            [] => String::new(),
            lost => format!(" Measured in {base} and not valid in {new}: {}.", lost.join(", ")),
        };
        let text = match self.outcome {
            Outcome::Regression => format!(
                "Regression: {new} is worse than {base} in {}: {}{}.",
                words::counted(worse.len(), "comparison"),
                worse[..worse.len().min(NAMED)].join("; "),
                if worse.len() > NAMED { "; …" } else { "" }
            ),
            Outcome::CannotTell => format!(
                "Cannot tell whether {new} is worse than {base}: it takes two valid blocks of a cell in each run, and every \
                 cell of {base} in {new}."
            ),
            Outcome::NoRegression => format!(
                "No regression found from {base} to {new} ({better} of {} better); a change over all cells had a chance of 80 % to show \
                 from about {} on.",
                words::counted(self.changes.len(), "comparison"),
                self.resolution()
            ),
        };
        text + &lost
    }

    /// The smallest change over all cells that the least sure of the models had a chance of 80 % to show.
    fn resolution(&self) -> String {
        let overall = || self.changes.iter().filter(|change| change.backends.is_none());
        let most_demanding = 1.0 - LEVEL / (2 * FAMILIES * overall().count().max(1)) as f64;
        let of = |metric: Metric| {
            let floor = self.floors.iter().find(|floor| floor.metric == metric)?.all.unwrap_or(0.0);
            let shown = |change: &Change| {
                let interval = change.judged.interval?;
                let degrees = 2.0 * (change.judged.blocks as f64 - 1.0);
                let error =
                    (interval.high / interval.low).ln() / 2.0 / quantile((1.0 + CONFIDENCE) / 2.0, degrees);
                let chance = quantile(0.8, degrees);
                let corrected = error * quantile(most_demanding, degrees);
                Some(corrected.max(floor) + error * chance)
            };
            let least_sure =
                overall().filter(|change| change.metric == metric).filter_map(shown).reduce(f64::max)?;
            Some(format!("{:.0} % in {}", least_sure.exp_m1() * 100.0, metric.name()))
        };
        let told: &[Metric] = match self.rates {
            [None, None] => &[Metric::Throughput, Metric::BalancerCpu],
            _ => &[Metric::P50, Metric::P99, Metric::BalancerCpu],
        };
        let known: Vec<_> = told.iter().filter_map(|&metric| of(metric)).collect();
        if known.is_empty() { "nothing for certain".into() } else { known.join(" and ") }
    }
}

impl Change {
    fn told(&self) -> String {
        let place = match (self.backends, self.concurrency) {
            (Some(backends), Some(concurrency)) => {
                format!("{}, concurrency {concurrency}", words::counted(backends as usize, "server"))
            }
            _ => "all cells".into(),
        };
        let (name, word) = (self.metric.name(), self.metric.word(self.judged.verdict));
        format!(
            "{} ({place}) {word} in {name}, {}",
            words::row(&self.model),
            words::ratio_interval(&self.judged)
        )
    }
}
