//! How each row's figures change along a factor: at each of its values, and as a ratio to the first one.
//!
//! A ratio is taken within a block, between trials of the same row that differ in that factor alone; all ratios of a metric
//! are judged together. Rules: a row *falls behind* at the first value where it is shown to serve less than [`LOST`] of what it
//! serves at the first value; it *breaks* at the first where it has trials and none of them is valid.

use super::{Basis, Common, Line, lines};
use crate::analysis::metric::Metric;
use crate::analysis::ratio::{Bound, Candidate, Ratio, judge_together};
use crate::analysis::summary::Summary;
use crate::analysis::trial::ValidTrial;
use crate::analysis::verdicts::compared;
use crate::plan::{Competitor, Condition, Factor, Value};
use crate::record::Reason;
use crate::statistics::Spread;
use crate::statistics::moderation::{Moments, Prior};

/// Share of its throughput at the first value under which a row has fallen behind.
pub const LOST: f64 = 0.9;

/// Figures along a factor.
#[derive(Debug, Clone)]
pub struct Along {
    /// The factor.
    pub factor: &'static Factor,
    /// The metrics that ratios are taken in.
    pub metrics: Vec<Metric>,
    /// Whether twice as many should serve twice as much.
    pub has_ideal: bool,
    /// Each row, under each condition but for the factor.
    pub rows: Vec<AlongRow>,
}

/// A row along the factor.
#[derive(Debug, Clone)]
pub struct AlongRow {
    /// Who.
    pub row: Competitor,
    /// What all its conditions have in common, of what the run varies.
    pub common: Common,
    /// One for each value that was measured, ascending.
    pub points: Vec<Point>,
}

/// A row at one value of the factor.
#[derive(Debug, Clone)]
pub struct Point {
    /// The value.
    pub level: Value,
    /// The condition.
    pub condition: Condition,
    /// Its figures, one for each metric.
    pub figures: Vec<Option<Spread>>,
    /// Their ratios to those at the first value; none at that value itself.
    pub to_first: Vec<Option<Ratio>>,
    /// The most memory that the balancer had, bytes.
    pub memory_bytes: Option<Spread>,
    /// Threads of the balancer.
    pub threads: Option<Spread>,
    /// Trials that are invalid.
    pub invalid: usize,
    /// Why the first of them is.
    pub reasons: Vec<Reason>,
}

impl Along {
    pub(super) fn of(basis: &Basis<'_>, factor: &'static Factor, has_ideal: bool) -> Self {
        let summary = basis.summary;
        let metrics = summary.load().main_metrics().to_vec();
        let mut rows = rows(summary, factor, &metrics);
        for (place, &metric) in metrics.iter().enumerate() {
            judge(basis, metric, place, &mut rows);
        }
        Along { factor, metrics, has_ideal, rows }
    }

    /// The place of `metric` among the figures.
    pub fn place(&self, metric: Metric) -> Option<usize> {
        self.metrics.iter().position(|known| *known == metric)
    }
}

impl AlongRow {
    /// The first value where it is shown to serve less than [`LOST`] of what it serves at the first one.
    pub fn falls_behind(&self, along: &Along) -> Option<&Point> {
        let place = along.place(Metric::Throughput)?;
        let lost = |point: &&Point| {
            let interval = point.to_first.get(place).copied().flatten().and_then(|of| of.judged.interval);
            interval.is_some_and(|of| of.high < LOST)
        };
        self.points.iter().find(lost)
    }

    /// The first value where none of its trials is valid.
    pub fn breaks(&self) -> Option<&Point> {
        self.points.iter().find(|point| point.invalid > 0 && point.figures.iter().all(Option::is_none))
    }

    /// The first and the last point that have figures.
    pub fn ends(&self) -> Option<(&Point, &Point)> {
        let mut measured = self.points.iter().filter(|point| point.figures.iter().any(Option::is_some));
        let first = measured.next()?;
        Some((first, measured.next_back().unwrap_or(first)))
    }

    /// Memory that the balancer had more for each one more of the factor, between its first and its last value, bytes.
    pub fn memory_for_each(&self) -> Option<f64> {
        let (first, last) = self.ends()?;
        let number = |point: &Point| match point.level {
            Value::Number(number) => Some(number as f64),
            Value::Word(_) => None,
        };
        let more = number(last)? - number(first)?;
        (more > 0.0).then_some(())?;
        Some((last.memory_bytes?.median - first.memory_bytes?.median) / more)
    }
}

fn rows(summary: &Summary, factor: &'static Factor, metrics: &[Metric]) -> Vec<AlongRow> {
    let lines = lines(&summary.grid, factor);
    let of = |row: &Competitor, line: &Line<'_>| AlongRow {
        row: row.clone(),
        common: line.common.clone(),
        points: line
            .conditions
            .iter()
            .map(|condition| point(summary, row, condition, factor, metrics))
            .collect(),
    };
    let each = summary.shown().flat_map(|row| lines.iter().map(move |line| of(row, line)));
    let is_there = |point: &Point| point.invalid > 0 || point.figures.iter().any(Option::is_some);
    each.filter(|row| row.points.iter().any(is_there)).collect()
}

fn point(
    summary: &Summary,
    row: &Competitor,
    condition: &Condition,
    factor: &Factor,
    metrics: &[Metric],
) -> Point {
    let cell = summary.cell(row, condition);
    let mut invalid = summary.invalid_of(row, condition);
    Point {
        level: factor.get(condition),
        condition: condition.clone(),
        figures: metrics.iter().map(|metric| cell.spread(|trial| metric.of(trial))).collect(),
        to_first: vec![None; metrics.len()],
        memory_bytes: cell.spread(ValidTrial::peak_memory_bytes),
        threads: cell.spread(ValidTrial::threads),
        invalid: cell.invalid,
        reasons: invalid.next().map_or(Vec::new(), |of| of.reasons.clone()),
    }
}

/// Log-ratios of one row between two conditions, a value for each block in which both have a valid trial.
pub(super) fn between(
    summary: &Summary,
    row: &Competitor,
    [to, from]: [&Condition; 2],
    metric: Metric,
) -> Vec<(u32, f64)> {
    let (to, from) = (summary.cell(row, to), summary.cell(row, from));
    let ratio = |trial: &ValidTrial| {
        let ratio = metric.of(trial)? / metric.of(from.in_block(trial.block)?)?;
        Some((trial.block, ratio.ln())).filter(|(_, log)| log.is_finite())
    };
    to.valid.iter().filter_map(ratio).collect()
}

/// Judges the ratios of `metric`, the one at `place`, to the first point of each row.
fn judge(basis: &Basis<'_>, metric: Metric, place: usize, rows: &mut [AlongRow]) {
    let mut samples: Vec<(usize, usize, Vec<f64>, Bound)> = Vec::new();
    for (of_row, row) in rows.iter().enumerate() {
        let Some(first) = row.points.iter().find(|point| point.figures.iter().any(Option::is_some)) else {
            continue;
        };
        for (of_point, point) in row.points.iter().enumerate() {
            if point.level == first.level {
                continue;
            }
            let conditions = [&point.condition, &first.condition];
            let values = between(basis.summary, &row.row, conditions, metric);
            let limited =
                conditions.map(|condition| basis.bottlenecks.is_client_bound(metric, &row.row, condition));
            let bound = Bound::of(limited, metric.less_is_better());
            samples.push((of_row, of_point, values.into_iter().map(|(_, value)| value).collect(), bound));
        }
    }
    let moments: Vec<Moments> = samples.iter().filter_map(|(_, _, values, _)| Moments::of(values)).collect();
    let prior = Prior::of(&moments);
    let floor = basis.floor_of_a_condition(metric);
    let candidates: Vec<Candidate> = samples
        .iter()
        .map(|(_, _, values, bound)| Candidate { compared: compared(values, &prior), floor, bound: *bound })
        .collect();
    for ((of_row, of_point, _, _), ratio) in samples.iter().zip(judge_together(&candidates, 1)) {
        rows[*of_row].points[*of_point].to_first[place] = ratio;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Analysis;
    use crate::analysis::answers::Answered;
    use crate::analysis::ratio::Conclusion;
    use crate::analysis::synthetic::Run;
    use crate::plan::Purpose;
    use crate::plan::answer::{Answer, FactorName};
    use crate::plan::factor;
    use crate::record::{Outcome, Stored};

    fn asked(mut stored: Stored, answer: Answer) -> Stored {
        stored.environment.plan.purpose = Some(Purpose {
            scenario: Some("mine".into()),
            run: None,
            question: "why?".into(),
            answers: vec![answer],
            figures: vec![],
        });
        stored
    }

    fn along(stored: Stored, answer: Answer) -> Along {
        let analysis = Analysis::of(&asked(stored, answer));
        let [Answered::Along(along)] = &analysis.answers[..] else { panic!("{:?}", analysis.answers) };
        along.clone()
    }

    fn run() -> Run {
        Run::new().models(&["direct", "threads", "mio", "threads#2"]).backends(&[3]).blocks(6)
    }

    #[test]
    fn figures_are_followed_along_the_factor_and_compared_with_the_first_value() {
        let along = along(run().build(), Answer::Along { factor: FactorName(&factor::CONCURRENCY) });
        let names: Vec<_> = along.rows.iter().map(|row| row.row.to_string()).collect();
        assert_eq!(names, ["direct", "threads", "mio"]);
        let mio = &along.rows[2];
        let levels: Vec<_> = mio.points.iter().map(|point| point.level.to_string()).collect();
        assert_eq!(levels, ["2", "5", "10"]);
        let place = along.place(Metric::Throughput).unwrap();
        assert_eq!(mio.points[0].to_first[place], None);
        // It is made up to serve 1.35 × at ten what it serves at two.
        let last = mio.points[2].to_first[place].unwrap();
        assert!((last.judged.ratio - 1.35).abs() < 0.06, "{last:?}");
        assert_eq!(last.conclusion(), Conclusion::Above);
        assert!(mio.falls_behind(&along).is_none() && mio.breaks().is_none());
    }

    #[test]
    fn where_a_row_serves_less_it_falls_behind_and_where_nothing_is_valid_it_breaks() {
        let mut stored = run().build();
        for trial in &mut stored.trials {
            let condition = &trial.cell.condition;
            match (&*trial.cell.competitor.name, condition.concurrency, &mut trial.outcome) {
                ("mio", 5.., Outcome::Measured(sample)) => sample.elapsed_ns *= 3,
                ("threads", 10, outcome) => {
                    *outcome = Outcome::Invalid { reasons: vec![Reason::LeftOpen { connections: 1 }] };
                }
                _ => {}
            }
        }
        let along = along(stored, Answer::Along { factor: FactorName(&factor::CONCURRENCY) });
        let of = |name: &str| along.rows.iter().find(|row| row.row.name == name).unwrap();
        assert_eq!(of("mio").falls_behind(&along).unwrap().level, Value::Number(5));
        assert!(of("mio").breaks().is_none());
        assert_eq!(of("threads").breaks().unwrap().level, Value::Number(10));
        assert_eq!(of("threads").ends().unwrap().1.level, Value::Number(5));
    }

    #[test]
    fn memory_for_each_connection_is_what_the_last_value_takes_more_than_the_first() {
        let mut stored = run().build();
        for trial in &mut stored.trials {
            if let Outcome::Measured(sample) = &mut trial.outcome
                && let Some(balancer) = &mut sample.balancer
            {
                balancer.peak_rss_bytes = (1 << 20) + 4096 * u64::from(trial.cell.condition.concurrency);
            }
        }
        let along = along(stored, Answer::Along { factor: FactorName(&factor::CONCURRENCY) });
        assert_eq!(along.rows[1].memory_for_each(), Some(4096.0));
        assert_eq!(along.rows[0].memory_for_each(), None, "the direct row has no balancer");
    }
}
