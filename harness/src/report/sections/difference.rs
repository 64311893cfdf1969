//! What changed between two runs: its tables, how to read them, and the sentence that says it.

use crate::analysis::difference::matching::Weight;
use crate::analysis::difference::{Change, Decision, Difference, LostCell, Outcome};
use crate::analysis::grid::{Dimension, Grid};
use crate::analysis::loop_kind::Loop;
use crate::report::figures::Figure;
use crate::report::prose::{self, load};
use crate::report::section::{Column, Content, Document, Lead, Section, Table};
use crate::report::value::{Value, noise_floor, with_interval};
use crate::text::counted;

/// Changes that the sentence names.
const NAMED: usize = 5;

/// What changed, as a document.
pub(in crate::report) fn document(difference: &Difference, figures: &[Figure]) -> Document {
    let Difference { base, new, margin_percent, .. } = difference;
    let deciding = Section::new("decides", "What decides: each model over all conditions")
        .with(figures.iter().map(|figure| Content::Figure(figure.link())))
        .with([Content::Findings {
            sentences: prose::claims::of_difference(difference),
            findings: difference.findings(),
            quotable: None,
        }])
        .table(deciding(difference));
    let beside = beside(difference)
        .map(|table| Section::new("beside", "Beside it, without a part in the decision").table(table));
    let cells = Section::new("cells", "Cells that changed");
    let cells = match self::cells(difference) {
        Some(table) => cells.table(table),
        None => cells.paragraph("No single cell changed beyond noise."),
    };
    let method = Section::new("method", "How to read it").paragraph(method(difference));
    let outcome =
        Section::new("outcome", "What it comes to").paragraph(sentence(difference)).with(notes(difference));
    let sections = std::iter::once(outcome).chain([deciding]).chain(beside).chain([cells, method]);
    Document {
        title: format!("roundtable: from {base} to {new}"),
        command: format!("roundtable compare {base} {new} --margin {margin_percent}%"),
        lead: Some(lead(difference)),
        sections: sections.collect(),
    }
}

fn lead(difference: &Difference) -> Lead {
    let Difference { base, new, margin_percent: margin, .. } = difference;
    let found = match difference.outcome {
        Outcome::NoRegression => format!("No regression of {margin} % from {base} to {new}."),
        Outcome::Regression => format!("Regression: {new} is worse than {base}."),
        Outcome::CannotTell => format!("Cannot tell whether {new} is worse than {base}."),
    };
    let blocks: Vec<usize> = difference
        .changes
        .iter()
        .filter(|change| change.decides)
        .map(|change| change.ratio.judged.blocks)
        .collect();
    let blocks = match (blocks.iter().min(), blocks.iter().max()) {
        (Some(least), Some(most)) if least == most => counted(*most, "block"),
        (Some(least), Some(most)) => format!("{least} to {}", counted(*most, "block")),
        _ => "no block".to_owned(),
    };
    Lead {
        measured: format!("{new} against {base}, model by model, over all conditions that both have"),
        found,
        sure: format!(
            "{} decide together, each by an interval of {blocks}; a change of {margin} % for the worse is a regression.",
            counted(difference.judged()[0], "comparison")
        ),
    }
}

/// What the outcome rests on: each model over all its conditions, a row a metric.
fn deciding(difference: &Difference) -> Table {
    table(difference, &[], |change| change.decides)
}

/// Each model over all its conditions in the metrics that do not decide; `None` where there are none.
fn beside(difference: &Difference) -> Option<Table> {
    some(table(difference, &[], |change| !change.decides && change.condition.is_none()))
}

/// The cells that changed; `None` when none did.
fn cells(difference: &Difference) -> Option<Table> {
    let changed = |change: &Change| change.is_worse() || change.is_better();
    let dimensions = difference.grid.dimensions();
    some(table(difference, dimensions, |change| change.condition.is_some() && changed(change)))
}

/// In what the runs differ, by its weight: what changes what was compared, then what is worth knowing.
fn notes(difference: &Difference) -> impl Iterator<Item = Content> {
    let of = |weight, opening: &str| {
        let those = difference.mismatches.iter().filter(|mismatch| mismatch.weight == weight);
        let those: Vec<_> = those.map(ToString::to_string).collect();
        (!those.is_empty()).then(|| format!("{opening}: {}.", those.join("; ")))
    };
    let changes = of(Weight::ChangesTheMeaning, "These differ, and what changed may be their doing");
    let others = of(Weight::WorthKnowing, "These differ, which is worth knowing");
    changes.map(Content::Warning).into_iter().chain(others.map(Content::Paragraph))
}

fn some(table: Table) -> Option<Table> {
    (!table.rows.is_empty()).then_some(table)
}

/// The changes that are `shown`, told apart by the factors of `dimensions`.
fn table(difference: &Difference, dimensions: &[Dimension], shown: impl Fn(&Change) -> bool) -> Table {
    let mut columns = vec![Column::words("model")];
    columns.extend(dimensions.iter().map(|of| prose::grid::column(of.factor)));
    columns.extend([
        Column::words("metric"),
        Column::numbers("NEW / BASE"),
        Column::words("verdict"),
        Column::words(format!("a regression of {} %?", difference.margin_percent)),
    ]);
    let rows = difference.changes.iter().filter(|change| shown(change)).map(|change| {
        let mut row = vec![prose::row(&change.model).into()];
        let value = |of: &Dimension| {
            Value::or_nothing(change.condition.as_ref(), |condition| {
                prose::grid::value(&of.factor.get(condition))
            })
        };
        row.extend(dimensions.iter().map(value));
        row.extend([
            change.metric.name().into(),
            Value::ratio(&change.ratio),
            prose::verdict(change.metric, &change.ratio).into(),
            decision(change.decision).into(),
        ]);
        row
    });
    Table::new(columns, rows)
}

fn decision(decision: Decision) -> String {
    match decision {
        Decision::NoRegression => "no".to_owned(),
        Decision::Regression => "worse".to_owned(),
        Decision::Undecided { more_blocks: Some(more) } => {
            format!("undecided: about {}", counted(more as usize, "more block"))
        }
        Decision::Undecided { more_blocks: None } => "undecided".to_owned(),
        Decision::ClientBound => "client-bound".to_owned(),
    }
}

/// What the tables' figures are, in words.
fn method(difference: &Difference) -> String {
    let floors = difference.floors.iter().map(|floor| {
        let text = |floor: Option<f64>| floor.map_or("unknown".into(), noise_floor);
        format!("{} {} a cell, {} over all", floor.metric.name(), text(floor.cell), text(floor.all))
    });
    let margin = difference.margin_percent;
    let unadjusted: Vec<_> = difference
        .changes
        .iter()
        .filter(|change| change.decides && !change.adjusted)
        .map(|change| format!("{} in {}", prose::row(&change.model), change.metric.name()))
        .collect();
    let unadjusted = match unadjusted.as_slice() {
        [] => String::new(),
        some => format!(
            " Not adjusted, because under these the client and the backends themselves came to pay another price: {}.",
            some.join("; ")
        ),
    };
    format!(
        "NEW / BASE: ratio of geometric means over blocks, in brackets the interval that everything beside it was made from \
         (95 % for the {} comparisons that decide together, and for the {} others; Welch's t on the logarithms, with \
         variances that share what they know of spread, and no narrower than the noise floor of the runs' A/A pairs: {}). \
         Figures are adjusted for how fast the machine was during a trial, by what its client and backends paid for a \
         request; those other than CPU time are taken over the direct row's.{unadjusted} No regression: the interval leaves out a change of {margin} % for the worse (a factor of {:.2}); worse: \
         it shows a change for the worse, and does not leave that out; else undecided. {}",
        difference.judged()[0],
        difference.judged()[1],
        floors.collect::<Vec<_>>().join("; "),
        1.0 + f64::from(margin) / 100.0,
        loops(difference)
    )
}

/// What the loops of the two runs make of their figures.
fn loops(difference: &Difference) -> String {
    match difference.loads {
        [Loop::Closed, Loop::Closed] => "Response times are of the runs' own kind of load. Client-bound: the load generator \
                                         was the limit in both runs."
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

/// What it comes to, in a few sentences.
pub fn sentence(difference: &Difference) -> String {
    let Difference { base, new, margin_percent: margin, grid, .. } = difference;
    let named = |shown: &dyn Fn(&Change) -> bool| {
        let all: Vec<_> = difference
            .changes
            .iter()
            .filter(|change| shown(change))
            .map(|change| named(grid, change))
            .collect();
        let more = if all.len() > NAMED { "; …" } else { "" };
        (all.len(), format!("{}{more}", all[..all.len().min(NAMED)].join("; ")))
    };
    let lost = match difference.lost.as_slice() {
        [] => String::new(),
        lost => {
            let cells: Vec<_> = lost.iter().map(|lost| lost_cell(grid, lost)).collect();
            format!(" Measured in {base} and not valid in {new}: {}.", cells.join(", "))
        }
    };
    let is_open = |change: &Change| change.decides && matches!(change.decision, Decision::Undecided { .. });
    let text = match difference.outcome {
        Outcome::Regression => {
            let (count, worse) = named(&|change| {
                change.decision == Decision::Regression && (change.decides || change.is_worse())
            });
            format!("Regression: {new} is worse than {base} in {}: {worse}.", counted(count, "comparison"))
        }
        Outcome::CannotTell => {
            let (count, open) = named(&is_open);
            let needed = match difference.more_blocks {
                _ if count == 0 => String::new(),
                Some(more) => {
                    format!(" It needs about {} of either run.", counted(more as usize, "more block"))
                }
                None => " No number of blocks that anyone would run decides it.".to_owned(),
            };
            let open = if count == 0 {
                String::new()
            } else {
                format!(" Undecided in {}: {open}.", counted(count, "comparison"))
            };
            format!(
                "Cannot tell whether {new} is worse than {base}: neither a regression of {margin} % is excluded everywhere, \
                 nor any is shown.{open}{needed}"
            )
        }
        Outcome::NoRegression => {
            let (count, worse) = named(&|change| change.decides && change.is_worse());
            let within = if count > 0 { format!(" Worse, but by less: {worse}.") } else { String::new() };
            format!(
                "No regression of {margin} % from {base} to {new}: every model's interval over all conditions excludes it.{within}"
            )
        }
    };
    text + &lost
}

fn lost_cell(grid: &Grid, LostCell { row, condition }: &LostCell) -> String {
    format!("{} ({})", prose::row(row), prose::grid::named(grid, condition))
}

/// "mio (all conditions) dearer in CPU per request, balancer, 1.20 (1.11–1.30)".
fn named(grid: &Grid, change: &Change) -> String {
    let place = match &change.condition {
        Some(condition) => prose::grid::named(grid, condition),
        None => "all conditions".into(),
    };
    format!(
        "{} ({place}) {} in {}, {}",
        prose::row(&change.model),
        prose::verdict(change.metric, &change.ratio),
        change.metric.name(),
        with_interval(&change.ratio)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::synthetic::{halves, paced_halves, slow_cpu};

    fn of(base: &crate::record::Stored, new: &crate::record::Stored) -> Difference {
        Difference::of(base, new, 10, true).unwrap()
    }

    #[test]
    fn no_regression_is_said_with_the_margin() {
        let [base, new] = halves(|_, _| ());
        let same = of(&base, &new);
        assert_eq!(cells(&same), None);
        assert_eq!(deciding(&same).rows.len(), 2 * 2);
        assert_eq!(beside(&same).unwrap().rows.len(), 2 * 3);
        assert!(sentence(&same).starts_with("No regression of 10 % from base to new"), "{}", sentence(&same));
    }

    #[test]
    fn a_regression_is_named_with_its_model_and_metric() {
        let [base, new] = halves(|model, sample| slow_cpu(model, "mio", sample, 1.3));
        let worse = of(&base, &new);
        let text = sentence(&worse);
        assert!(text.contains("mio (all conditions) dearer in CPU per request, balancer"), "{text}");
        assert!(cells(&worse).is_some());
    }

    #[test]
    fn too_few_blocks_are_told_how_many_more_it_takes() {
        let [base, mut new] = halves(|_, _| ());
        new.trials.retain(|trial| trial.block == 8);
        let text = sentence(&of(&base, &new));
        assert!(text.starts_with("Cannot tell whether new is worse than base"), "{text}");
        assert!(
            text.contains("one block: no verdict") && text.contains("It needs about 2 more blocks"),
            "{text}"
        );
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
    fn each_model_is_told_in_a_sentence_with_the_interval_of_each_metric_that_decides() {
        let [base, new] = halves(|model, sample| slow_cpu(model, "mio", sample, 1.3));
        let told = document(&of(&base, &new), &[]);
        let Content::Findings { sentences, findings, .. } = &told.sections[1].content[0] else {
            panic!("findings first")
        };
        assert_eq!((sentences.len(), findings.len()), (2, 4));
        assert!(sentences[1].starts_with("In new, mio needed 1.23 × ("), "{sentences:?}");
        assert!(sentences[1].contains(") the CPU time per request of itself in base, and "), "{sentences:?}");
    }

    #[test]
    fn the_words_are_those_of_the_loops() {
        let [closed, _] = halves(|_, _| ());
        let [base, new] = paced_halves(2000);
        let same = of(&base, &new);
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
