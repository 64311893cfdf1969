//! What changed between two runs: its tables, how to read them, and the sentence that says it.

use crate::analysis::difference::{Change, Difference, LostCell, Outcome};
use crate::analysis::grid::Grid;
use crate::analysis::loop_kind::Loop;
use crate::analysis::metric::Metric;
use crate::report::prose::{self, load};
use crate::report::section::{Column, Table};
use crate::report::value::{Value, noise_floor, with_interval};
use crate::text::counted;

/// Regressions that the sentence names.
const NAMED: usize = 5;

/// Each model over all its cells, a row a metric.
pub fn overall(difference: &Difference) -> Table {
    table(difference, |change| change.condition.is_none())
}

/// The cells that changed; `None` when none did.
pub fn cells(difference: &Difference) -> Option<Table> {
    let table =
        table(difference, |change| change.condition.is_some() && (change.is_worse() || change.is_better()));
    (!table.rows.is_empty()).then_some(table)
}

fn table(difference: &Difference, shown: impl Fn(&Change) -> bool) -> Table {
    let grid = &difference.grid;
    let mut columns = vec![Column::words("model")];
    columns.extend(prose::grid::columns(grid));
    columns.extend([
        Column::words("metric"),
        Column::numbers("NEW / BASE"),
        Column::numbers("p"),
        Column::words("verdict"),
    ]);
    let rows = difference.changes.iter().filter(|change| shown(change)).map(|change| {
        let mut row = vec![prose::row(&change.model).into()];
        row.extend(match &change.condition {
            Some(condition) => prose::grid::values(grid, condition),
            None => vec!["all".into(); grid.dimensions().len()],
        });
        row.extend([
            change.metric.name().into(),
            Value::ratio(&change.ratio),
            Value::p(change.ratio.judged.p_holm),
            change.metric.word(change.conclusion()).into(),
        ]);
        row
    });
    Table::new(columns, rows)
}

/// What the tables' figures are, in words.
pub fn method(difference: &Difference) -> String {
    let floors = difference.floors.iter().map(|floor| {
        let text = |floor: Option<f64>| floor.map_or("unknown".into(), noise_floor);
        format!("{} {} a cell, {} over all", floor.metric.name(), text(floor.cell), text(floor.all))
    });
    format!(
        "NEW / BASE: ratio of geometric means over blocks, in brackets its 95 % interval (Welch's t on the logarithms); p \
         after correction for all {} comparisons (Holm, half of the level for models over all cells, half for single \
         cells). A change must also pass the noise floor, from both runs' \
         A/A pairs and from the direct row, which no change of a balancer can move: {}. {}",
        difference.judged(),
        floors.collect::<Vec<_>>().join("; "),
        loops(difference)
    )
}

/// What the loops of the two runs make of their figures.
fn loops(difference: &Difference) -> String {
    match difference.loads {
        [Loop::Closed, Loop::Closed] => "Response times are of the runs' own kind of load. Client-bound: the load generator \
                                         was the limit in either run."
            .into(),
        [base @ Loop::Open { .. }, new] if base == new => format!(
            "Both runs: {}; throughput is the rate and is not compared.",
            load::name_with_times(base).unwrap_or_default()
        ),
        [Loop::Open { .. }, Loop::Open { .. }] => "Open loops, but at two rates: what differs in response times may be the \
                                                   rates' doing. Throughput is the rate and is not compared."
            .into(),
        _ => "One run is a closed loop and the other is not: of what they measured, only CPU time can be compared, and \
              it differs with how busy a model is."
            .into(),
    }
}

/// What it comes to, in one sentence.
pub fn sentence(difference: &Difference) -> String {
    let (base, new) = (&difference.base, &difference.new);
    let worse: Vec<_> = difference
        .changes
        .iter()
        .filter(|change| change.is_worse())
        .map(|change| named(&difference.grid, change))
        .collect();
    let better = difference.changes.iter().filter(|change| change.is_better()).count();
    let lost = match difference.lost.as_slice() {
        [] => String::new(),
        lost => {
            let cells: Vec<_> = lost.iter().map(|lost| lost_cell(&difference.grid, lost)).collect();
            format!(" Measured in {base} and not valid in {new}: {}.", cells.join(", "))
        }
    };
    let text = match difference.outcome {
        Outcome::Regression => format!(
            "Regression: {new} is worse than {base} in {}: {}{}.",
            counted(worse.len(), "comparison"),
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
            counted(difference.changes.len(), "comparison"),
            resolution(difference)
        ),
    };
    text + &lost
}

/// The smallest changes that could be seen.
fn resolution(difference: &Difference) -> String {
    // Of two kinds of loop, what an open one is run for says most.
    let open = difference.loads.into_iter().find(|load| !load.is_closed());
    let metrics: &[Metric] = open.unwrap_or(Loop::Closed).main_metrics();
    let known: Vec<_> = metrics
        .iter()
        .filter_map(|&metric| {
            let smallest = difference.resolution(metric)?;
            Some(format!("{:.0} % in {}", smallest.exp_m1() * 100.0, metric.name()))
        })
        .collect();
    if known.is_empty() { "nothing for certain".into() } else { known.join(" and ") }
}

fn lost_cell(grid: &Grid, LostCell { row, condition }: &LostCell) -> String {
    format!("{} ({})", prose::row(row), prose::grid::named(grid, condition))
}

/// "mio (all cells) dearer in CPU per request, balancer, 1.20 (1.14–1.27)".
fn named(grid: &Grid, change: &Change) -> String {
    let place = match &change.condition {
        Some(condition) => prose::grid::named(grid, condition),
        None => "all cells".into(),
    };
    let (name, word) = (change.metric.name(), change.metric.word(change.conclusion()));
    format!(
        "{} ({place}) {word} in {name}, {}",
        prose::row(&change.model),
        with_interval(&change.ratio.judged)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::synthetic::{halves, paced_halves, slow_cpu};

    fn of(base: &crate::record::Stored, new: &crate::record::Stored) -> Difference {
        Difference::of(base, new, true).unwrap()
    }

    #[test]
    fn no_regression_is_said_with_what_could_have_been_seen() {
        let [base, new] = halves(|_, _| ());
        let same = of(&base, &new);
        assert_eq!(cells(&same), None);
        assert_eq!(overall(&same).rows.len(), 2 * Metric::ALL.len());
        assert!(sentence(&same).contains("had a chance of 80 % to show from about"), "{}", sentence(&same));
    }

    #[test]
    fn a_regression_is_named_with_its_model_and_metric() {
        let [base, new] = halves(|model, sample| slow_cpu(model, "mio", sample, 1.2));
        let worse = of(&base, &new);
        let text = sentence(&worse);
        assert!(text.contains("mio (all cells) dearer in CPU per request, balancer"), "{text}");
        assert!(cells(&worse).is_some());
    }

    #[test]
    fn a_cell_that_was_lost_is_named() {
        let [base, mut new] = halves(|_, _| ());
        for trial in new
            .trials
            .iter_mut()
            .filter(|t| t.cell.competitor.name == "mio" && t.cell.condition.backends == 2)
        {
            trial.outcome = crate::record::Outcome::Invalid {
                reasons: vec![crate::record::Reason::Words("1 of 10000 failed".into())],
            };
        }
        let text = sentence(&of(&base, &new));
        assert!(
            text.contains(
                "not valid in new: mio (2 backends, concurrency 2), mio (2 backends, concurrency 10)."
            ),
            "{text}"
        );
    }

    #[test]
    fn the_words_are_those_of_the_loops() {
        let [closed, _] = halves(|_, _| ());
        let [base, new] = paced_halves(2000);
        let same = of(&base, &new);
        assert!(sentence(&same).contains("% in response time, p50 and"), "{}", sentence(&same));
        assert!(
            method(&same).contains(
                "Both runs: open loop at 2,000 requests per second, latency from the intended send"
            )
        );
        assert!(!method(&same).contains("Client-bound") && !sentence(&same).contains("requests per second"));
        let [_, slower] = paced_halves(1000);
        assert!(method(&of(&base, &slower)).contains("at two rates"));
        assert!(method(&of(&closed, &new)).contains("only CPU time can be compared"));
    }
}
