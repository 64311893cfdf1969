//! Every comparison within a run, judged: models to the reference, a model to itself, a handicapped model to itself.
//!
//! Rules: a metric's comparisons are judged together; A/A pairs and planted slowdowns are families of their own and no
//! competitors; what the client bounded is shown with its interval and not judged; an A/A pair is judged without the
//! noise floor, which it makes.

use rayon::prelude::*;

use crate::plan::Competitor;
use crate::plan::comparisons::Pair;
use crate::report::bottleneck::Bottlenecks;
use crate::report::metric::Metric;
use crate::report::summary::Summary;
use crate::report::table::{Column, Table};
use crate::report::tables::NOTHING;
use crate::report::words;
use crate::statistics::bootstrap::{Bootstrap, RESAMPLES};
use crate::statistics::verdict::{CONFIDENCE, Compared, Judged, Verdict, judge, noise_floor};

/// All verdicts of a run.
#[derive(Debug, Clone)]
pub struct Verdicts {
    /// One for each of [`Metric::of_loop`], in that order.
    metrics: Vec<OfMetric>,
}

/// The verdicts on one metric.
#[derive(Debug, Clone)]
pub struct OfMetric {
    /// Which.
    pub metric: Metric,
    /// How far a model differs from itself in this run, a log-ratio; `None` without an A/A pair of two blocks.
    pub floor: Option<f64>,
    /// Each model to the reference.
    pub models: Vec<Comparison>,
    /// Each second name to the first.
    pub twins: Vec<Comparison>,
    /// Each handicapped model to itself.
    pub planted: Vec<Comparison>,
}

/// One ratio.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Whose ratio it is.
    pub row: Competitor,
    /// What it is a ratio to.
    pub with: Competitor,
    /// Backend count and concurrency.
    pub place: (u32, u32),
    /// Log-ratios, block by block.
    pub log_ratios: Vec<f64>,
    /// The client, not the balancer, may have set either side.
    pub capped: bool,
    /// What came of it; absent where no block has both.
    pub judged: Option<Judged>,
}

impl Verdicts {
    /// Of `summary`, whose limits are `bottlenecks`.
    pub fn of(summary: &Summary, bottlenecks: &Bottlenecks) -> Self {
        let on = |&metric: &Metric| OfMetric::of(summary, bottlenecks, metric);
        Verdicts { metrics: Metric::of_loop(summary.rate()).par_iter().map(on).collect() }
    }

    /// On one metric; `None` where this kind of loop says nothing of it.
    pub fn on(&self, metric: Metric) -> Option<&OfMetric> {
        self.metrics.iter().find(|of| of.metric == metric)
    }

    /// On each.
    pub fn iter(&self) -> impl Iterator<Item = &OfMetric> {
        self.metrics.iter()
    }
}

impl OfMetric {
    fn of(summary: &Summary, bottlenecks: &Bottlenecks, metric: Metric) -> Self {
        let compare = |pairs: &[Pair]| -> Vec<Comparison> {
            let each = pairs.iter().flat_map(|Pair { competitor: row, with }| {
                summary.places().into_iter().map(move |place| Comparison {
                    row: row.clone(),
                    with: with.clone(),
                    place,
                    log_ratios: summary.log_ratios((row, with), place, |measured| metric.of(measured)),
                    capped: [row, with].iter().any(|label| bottlenecks.caps(metric, label, place)),
                    judged: None,
                })
            });
            each.collect()
        };
        let pairs = summary.comparisons();
        let mut twins = compare(&pairs.replicates);
        let floor = noise_floor(&twins.iter().map(|twin| twin.log_ratios.clone()).collect::<Vec<_>>());
        // The question to an A/A pair is not which is faster: it is judged whatever bounded it.
        twins.iter_mut().for_each(|twin| twin.capped = false);
        let (mut models, mut planted) = (compare(&pairs.models), compare(&pairs.slowdowns));
        judge_all(&mut twins, None);
        judge_all(&mut models, floor);
        judge_all(&mut planted, floor);
        OfMetric { metric, floor, models, twins, planted }
    }

    /// What is said of `comparison`, in this metric's words.
    pub fn word(&self, comparison: &Comparison) -> &'static str {
        match comparison.judged {
            None => "invalid",
            Some(_) if comparison.capped => "client-bound",
            Some(judged) => self.metric.word(judged.verdict),
        }
    }

    /// "1.20 (1.11–1.30) faster": the ratio, its interval, the verdict.
    pub(super) fn text(&self, comparison: &Comparison) -> String {
        match comparison.judged {
            None => "invalid".into(),
            Some(judged) => format!("{} {}", words::ratio_interval(&judged), self.word(comparison)),
        }
    }

    /// How many of the models' intervals the studentised bootstrap agrees with about 1, of how many.
    fn seconded(&self) -> (usize, usize) {
        let agree: Vec<bool> = self
            .models
            .par_iter()
            .filter_map(|comparison| {
                let interval = comparison.judged?.interval?;
                let name = format!(
                    "{:?} {} {} {:?}",
                    self.metric, comparison.row, comparison.with, comparison.place
                );
                let (low, high) =
                    Bootstrap::of(&comparison.log_ratios, RESAMPLES, CONFIDENCE, &name)?.studentised;
                let (theirs, ours) = (low > 0.0 || high < 0.0, interval.low > 1.0 || interval.high < 1.0);
                Some(theirs == ours)
            })
            .collect();
        (agree.iter().filter(|&&agrees| agrees).count(), agree.len())
    }
}

fn judge_all(comparisons: &mut [Comparison], floor: Option<f64>) {
    let of = |comparison: &Comparison| Compared::paired(&comparison.log_ratios);
    let ranked: Vec<_> = comparisons.iter().map(|c| (of(c).filter(|_| !c.capped), floor)).collect();
    let judged = judge(&ranked);
    for (comparison, judged) in comparisons.iter_mut().zip(judged) {
        comparison.judged = if comparison.capped {
            // Its interval alone: it is in nobody's correction.
            judge(&[(of(comparison), floor)])[0]
        } else {
            judged
        };
    }
}

/// Ratios of `metric`: a row a place, a column a model. `None` where there is no pair.
pub(super) fn table(of: &OfMetric) -> Option<Table> {
    by_place(of, &of.models)
}

/// The same of handicapped rows to the model without.
pub(super) fn planted(of: &OfMetric) -> Option<Table> {
    by_place(of, &of.planted)
}

fn by_place(of: &OfMetric, comparisons: &[Comparison]) -> Option<Table> {
    comparisons.iter().find(|comparison| comparison.judged.is_some())?;
    let mut pairs: Vec<_> = comparisons.iter().map(|c| (&c.row, &c.with)).collect();
    pairs.dedup();
    let mut columns = vec![
        Column::numbers("HTTP servers").short("HTTP\nservers"),
        Column::numbers("concurrency").short("conc."),
    ];
    columns.extend(
        pairs.iter().map(|(row, with)| Column::words(format!("{} / {}", words::row(row), words::row(with)))),
    );
    let mut places: Vec<_> = comparisons.iter().map(|comparison| comparison.place).collect();
    places.sort_unstable();
    places.dedup();
    let rows = places.into_iter().map(|place| {
        let mut row = vec![place.0.to_string(), place.1.to_string()];
        row.extend(pairs.iter().map(|pair| {
            let found = comparisons.iter().find(|c| c.place == place && (&c.row, &c.with) == *pair);
            found.map_or(NOTHING.into(), |comparison| of.text(comparison))
        }));
        row
    });
    Some(Table { columns, rows: rows.collect() })
}

/// How far the measurement may be trusted: a row a metric.
pub(super) fn trust(verdicts: &Verdicts) -> Table {
    let columns = vec![
        Column::words("metric"),
        Column::numbers("noise floor"),
        Column::numbers("A/A: comparisons"),
        Column::numbers("of these indistinguishable"),
        Column::numbers("their intervals without 1"),
        Column::numbers("furthest from 1"),
        Column::numbers("models: intervals that the bootstrap confirms"),
    ];
    let rows = verdicts.iter().map(|of| {
        let judged: Vec<_> = of.twins.iter().filter_map(|twin| twin.judged).collect();
        let known = judged.iter().filter(|judged| judged.interval.is_some()).count();
        let alike = judged
            .iter()
            .filter(|judged| judged.interval.is_some() && judged.verdict == Verdict::Indistinguishable);
        let without = judged.iter().filter(|judged| judged.interval.is_some() && judged.p < 1.0 - CONFIDENCE);
        let furthest =
            judged.iter().map(|judged| judged.ratio).max_by(|a, b| a.ln().abs().total_cmp(&b.ln().abs()));
        let (agree, all) = of.seconded();
        vec![
            of.metric.name().to_owned(),
            of.floor.map_or("unknown".into(), words::floor),
            known.to_string(),
            alike.count().to_string(),
            without.count().to_string(),
            furthest.map_or(NOTHING.into(), |ratio| format!("{ratio:.3}")),
            format!("{agree} of {all}"),
        ]
    });
    Table { columns, rows: rows.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic::Run;

    fn run(models: &[&str]) -> Run {
        Run::new().models(models).backends(&[1, 2]).concurrency(&[10]).blocks(8)
    }

    fn of(stored: &crate::record::Stored) -> Verdicts {
        let summary = Summary::of(stored);
        Verdicts::of(&summary, &Bottlenecks::of(&summary))
    }

    fn verdicts(run: &Run) -> Verdicts {
        of(&run.build())
    }

    #[test]
    fn a_model_again_makes_the_noise_floor_and_is_no_competitor() {
        let verdicts = verdicts(&run(&["direct", "threads", "mio", "threads#2"]));
        for of in verdicts.iter() {
            assert!(of.floor.is_some_and(|floor| floor > 0.0), "{:?}", of.metric);
            assert!(
                of.models
                    .iter()
                    .all(|comparison| comparison.row.name == "mio" && comparison.with.name == "threads")
            );
            assert!(of.twins.iter().all(|twin| twin.row == twin.with.again() && twin.with.name == "threads"));
            assert_eq!((of.models.len(), of.twins.len(), of.planted.len()), (2, 2, 0));
        }
    }

    #[test]
    fn without_a_pair_the_floor_is_unknown_and_said_to_be() {
        let verdicts = verdicts(&run(&["threads", "mio"]));
        assert!(verdicts.iter().all(|of| of.floor.is_none()));
        assert!(trust(&verdicts).rows.iter().all(|row| row[1] == "unknown" && row[2] == "0"));
    }

    #[test]
    fn a_handicapped_row_is_compared_with_its_own_model() {
        let verdicts = verdicts(&run(&["threads", "mio", "mio+10%"]));
        let of = verdicts.on(Metric::BalancerCpu).unwrap();
        assert!(
            of.planted
                .iter()
                .all(|planted| planted.row == Competitor::of("mio+10%")
                    && planted.with == Competitor::of("mio"))
        );
        assert_eq!(of.models.iter().filter(|comparison| comparison.row.name != "mio").count(), 0);
        assert_eq!(planted(of).unwrap().columns[2].title, "mio +10 % CPU / mio");
    }

    #[test]
    fn what_the_client_bounded_has_an_interval_and_no_rank() {
        let mut stored = run(&["threads", "mio"]).build();
        for trial in stored.trials.iter_mut().filter(|trial| trial.cell.competitor.name == "mio") {
            if let crate::record::Outcome::Measured(sample) = &mut trial.outcome {
                sample.client.system_ns = sample.elapsed_ns;
            }
        }
        let verdicts = of(&stored);
        let text = |metric| {
            let of = verdicts.on(metric).unwrap();
            of.text(&of.models[0])
        };
        assert!(text(Metric::Throughput).ends_with(") client-bound"), "{}", text(Metric::Throughput));
        assert!(text(Metric::BalancerCpu).ends_with(") cheaper"), "{}", text(Metric::BalancerCpu));
    }

    #[test]
    fn a_pair_without_a_common_valid_block_is_invalid() {
        let run = (0..8).fold(run(&["threads", "mio"]), |run, block| run.invalid("mio", 1, 10, block));
        let verdicts = verdicts(&run);
        let of = verdicts.on(Metric::Throughput).unwrap();
        assert_eq!(of.text(&of.models[0]), "invalid");
        assert_ne!(of.text(&of.models[1]), "invalid");
    }

    #[test]
    fn the_ratios_with_their_verdicts() {
        let verdicts = verdicts(&run(&["direct", "threads", "mio", "threads#2"]));
        insta::assert_snapshot!(table(verdicts.on(Metric::Throughput).unwrap()).unwrap().markdown(), @r"
        | HTTP servers | concurrency | mio / threads |
        | ---: | ---: | --- |
        | 1 | 10 | 1.35 (1.28–1.43) faster |
        | 2 | 10 | 1.33 (1.28–1.39) faster |
        ");
        insta::assert_snapshot!(trust(&verdicts).markdown(), @r"
        | metric | noise floor | A/A: comparisons | of these indistinguishable | their intervals without 1 | furthest from 1 | models: intervals that the bootstrap confirms |
        | --- | ---: | ---: | ---: | ---: | ---: | ---: |
        | requests per second | ±4.8 % | 2 | 2 | 0 | 0.989 | 2 of 2 |
        | CPU per request, balancer | ±1.6 % | 2 | 2 | 0 | 0.985 | 2 of 2 |
        | CPU per request, all roles | ±1.1 % | 2 | 1 | 1 | 0.989 | 2 of 2 |
        | response time, p50 | ±4.9 % | 2 | 2 | 0 | 1.008 | 2 of 2 |
        | response time, p99 | ±5.8 % | 2 | 2 | 0 | 1.026 | 2 of 2 |
        ");
    }
}
