//! Sentences that figures, report and terminal share, each made from the run that it speaks of.
//!
//! What is written differently of a closed and of an open loop stands in [`load`].

pub(super) mod answers;
pub(super) mod claims;
pub(super) mod findings;
pub(super) mod grid;
pub(super) mod load;

use crate::analysis::metric::Metric;
use crate::analysis::ratio::{Conclusion, Ratio};
use crate::analysis::summary::{InvalidTrial, Summary};
use crate::analysis::verdicts::OfMetric;
use crate::plan::fault::{Act, Event};
use crate::plan::{Cell, Competitor, Kind, backend_name};
use crate::record::{Environment, in_words};
use crate::report::value;
use crate::statistics::verdict::LEAST_BLOCKS;
use crate::text::counted;

/// A row's name as it is read: "threads again", "threads +10 % CPU", "nginx (product)".
pub(super) fn row(competitor: &Competitor) -> String {
    let Competitor { kind, name, slowdown_percent, replicate } = competitor;
    let slowed = if *slowdown_percent > 0 { format!(" +{slowdown_percent} % CPU") } else { String::new() };
    format!("{name}{}{slowed}{}", mark(*kind), if *replicate { " again" } else { "" })
}

/// What tells a row that is no model of ours from those that are.
fn mark(kind: Kind) -> &'static str {
    match kind {
        Kind::Direct | Kind::Model => "",
        Kind::Peer => " (product)",
        Kind::Floor => " (no proxy)",
    }
}

/// "kill-backend b2", "surge to 3 times the rate".
pub(super) fn event(event: &Event) -> String {
    match event.act {
        Act::Surge { times } => format!("surge to {times} times the rate"),
        Act::Calm => "calm".to_owned(),
        act => format!("{} {}", act.name(), backend_name(event.backend)),
    }
}

/// "mio, tokio".
pub(super) fn joined(competitors: &[Competitor]) -> String {
    competitors.iter().map(row).collect::<Vec<_>>().join(", ")
}

/// "5 blocks", or "3 to 5 blocks" where cells differ.
pub(super) fn blocks(summary: &Summary) -> String {
    match summary.blocks() {
        (fewest, most) if fewest == most => counted(most, "block"),
        (fewest, most) => format!("{fewest} to {}", counted(most, "block")),
    }
}

/// What lay between the roles: "loopback", or "3 hosts".
pub(super) fn network(environment: &Environment) -> String {
    match &environment.hosts {
        None => "loopback".to_owned(),
        Some(hosts) => counted(hosts.each.len(), "host"),
    }
}

/// Why a chart has gaps, where it has any.
pub(super) fn empty_cells(summary: &Summary) -> &'static str {
    if summary.cells.values().any(|cell| cell.valid.is_empty()) { " A gap: no valid trial." } else { "" }
}

/// How much the number of blocks supports.
pub(super) fn strength(summary: &Summary) -> String {
    match summary.blocks().1 {
        0 => "No trial of this run is valid: there is nothing to compare.".into(),
        1 => "There is one block: nothing tells how far these figures would repeat, and there is no verdict."
            .into(),
        2 => "There are two blocks: a range is what was seen; a verdict takes a third.".into(),
        _ => "A range is what was seen over the blocks; only ratios have confidence intervals.".into(),
    }
}

/// What is concluded of `ratio` in `metric`, in its words.
pub(super) fn verdict(metric: Metric, ratio: &Ratio) -> String {
    match ratio.conclusion() {
        Conclusion::TooFewBlocks => format!("{}: no verdict", few_blocks(ratio.judged.blocks)),
        conclusion => metric.word(conclusion).to_owned(),
    }
}

/// "one block", "two blocks".
pub(super) fn few_blocks(blocks: usize) -> String {
    match blocks {
        1 => "one block".to_owned(),
        2 => "two blocks".to_owned(),
        more => counted(more, "block"),
    }
}

/// The noise floor of a metric, or why there is none.
pub(super) fn noise_floor(of: &OfMetric) -> String {
    match (of.floor, of.blocks_of_aa()) {
        (Some(floor), _) => value::noise_floor(floor),
        (None, None) => "unknown: this run has no model measured twice (A/A)".to_owned(),
        (None, Some(blocks)) => {
            format!("unknown: it takes {LEAST_BLOCKS} valid blocks of the A/A pair, and there are {blocks}")
        }
    }
}

/// How much of the plan is there; `None` when all of it is.
pub(super) fn gaps(summary: &Summary) -> Option<String> {
    let (all, not_run, failed) =
        summary.cells.values().fold((0, 0, 0), |(all, not_run, failed), cell| {
            match (cell.valid.len(), cell.invalid) {
                (0, 0) => (all + 1, not_run + 1, failed),
                (0, _) => (all + 1, not_run, failed + 1),
                _ => (all + 1, not_run, failed),
            }
        });
    let mut parts = Vec::new();
    if not_run > 0 {
        parts.push(format!("of {}, {not_run} not run yet", counted(all, "cell")));
    }
    if failed > 0 {
        parts.push(format!("of {}, {failed} without a valid trial", counted(all, "cell")));
    }
    let (fewest, most) = summary.blocks();
    if parts.is_empty() && fewest < most {
        parts.push(format!("cells have between {fewest} and {most} valid blocks"));
    }
    (!parts.is_empty()).then(|| format!("This run is not complete: {}.", parts.join("; ")))
}

/// An invalid trial of `summary`, in one line.
pub(super) fn invalid_trial(summary: &Summary, trial: &InvalidTrial) -> String {
    let InvalidTrial { cell: Cell { competitor, condition }, block, attempt, reasons } = trial;
    format!(
        "{}, {}, block {}, attempt {attempt}: {}",
        row(competitor),
        grid::named(&summary.grid, condition),
        u64::from(*block) + 1,
        in_words(reasons)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::synthetic::Run;

    #[test]
    fn a_row_that_is_no_model_says_what_it_is() {
        let rows = ["direct", "mio+10%", "peer:nginx#2", "floor"].map(|label| row(&Competitor::of(label)));
        assert_eq!(rows, ["direct", "mio +10 % CPU", "nginx (product) again", "floor (no proxy)"]);
    }

    #[test]
    fn few_blocks_are_said_to_be_few() {
        let strength = |blocks| strength(&Summary::of(&Run::new().blocks(blocks).backends(&[1]).build()));
        assert!(strength(0).starts_with("No trial"));
        assert!(strength(1).starts_with("There is one block"));
        assert!(strength(2).contains("a verdict takes a third"));
        assert!(strength(3).contains("only ratios have confidence intervals"));
    }

    #[test]
    fn a_partial_run_says_what_is_missing() {
        let mut run = Run::new().blocks(2).backends(&[1]).concurrency(&[2]).build();
        assert_eq!(gaps(&Summary::of(&run)), None);
        run.trials.truncate(7);
        assert_eq!(
            gaps(&Summary::of(&run)).unwrap(),
            "This run is not complete: cells have between 1 and 2 valid blocks."
        );
        run.trials.truncate(4);
        assert_eq!(gaps(&Summary::of(&run)).unwrap(), "This run is not complete: of 5 cells, 1 not run yet.");
    }
}
