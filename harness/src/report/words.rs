//! Sentences that charts, report and terminal share, each made from the run that it speaks of.

use crate::load::latency::REQUESTS_BEYOND_A_PERCENTILE;
use crate::plan::{Competitor, Condition, Connections, DIRECT, Plan};
use crate::record::in_words;
use crate::report::open_loop;
use crate::report::summary::{Refused, Summary};
use crate::statistics::verdict::{Judged, LEVEL};

/// A row's name as it is read: "threads again", "threads +10 % CPU".
pub(super) fn row(competitor: &Competitor) -> String {
    let Competitor { name, slowdown_percent, replicate, .. } = competitor;
    let slowed = if *slowdown_percent > 0 { format!(" +{slowdown_percent} % CPU") } else { String::new() };
    format!("{name}{slowed}{}", if *replicate { " again" } else { "" })
}

/// "mio, tokio".
pub(super) fn joined(competitors: &[Competitor]) -> String {
    competitors.iter().map(row).collect::<Vec<_>>().join(", ")
}

/// "1.20 (1.11–1.30)": a ratio and its interval.
pub(super) fn ratio_interval(judged: &Judged) -> String {
    match judged.interval {
        Some(interval) => format!("{:.2} ({:.2}–{:.2})", judged.ratio, interval.low, interval.high),
        None => format!("{:.2} (one block)", judged.ratio),
    }
}

/// "±3.1 %": a log-ratio on either side of 1.
pub(super) fn floor(log_ratio: f64) -> String {
    format!("±{:.1} %", log_ratio.exp_m1() * 100.0)
}

/// A p-value.
pub(super) fn p(p: f64) -> String {
    if p < 0.001 { "<0.001".into() } else { format!("{p:.3}") }
}

/// "5 blocks", or "3 to 5 blocks" where cells differ.
pub(super) fn blocks(summary: &Summary) -> String {
    match summary.blocks() {
        (fewest, most) if fewest == most => counted(most, "block"),
        (fewest, most) => format!("{fewest} to {}", counted(most, "block")),
    }
}

/// Why a chart has gaps, where it has any.
pub(super) fn empty_cells(summary: &Summary) -> &'static str {
    if summary.cells.values().any(|cell| cell.valid.is_empty()) { " A gap: no valid trial." } else { "" }
}

/// What load a trial was, in one sentence.
pub(super) fn load(plan: &Plan) -> String {
    let Condition { requests, rate, connections: kept, .. } = plan.base;
    let requests = grouped(&requests.to_string());
    let (kind, after) = match rate {
        None => ("Closed loop".to_owned(), ","),
        Some(rate) => (capitalised(&open_loop::load(rate)), ";"),
    };
    format!("{kind}{after} {requests} requests a trial, {}.", connections(kept))
}

/// What a terminal's reader must know of the response times of a closed loop.
pub(super) const CLOSED_LOOP_TIMES: &str = " p50 and p99 are a closed loop's, which leave out the wait that it avoids: for \
    latencies, `roundtable run --rate auto`.";

/// What the concurrency of a cell is, on an axis.
pub(super) fn concurrency(plan: &Plan) -> &'static str {
    match plan.base.rate {
        None => "requests outstanding at any time",
        Some(_) => "requests outstanding at most",
    }
}

/// The title of a chart, with the loop where it is an open one.
pub(super) fn titled(title: &str, plan: &Plan) -> String {
    title.to_owned() + &plan.base.rate.map_or(String::new(), |rate| format!(", {}", open_loop::at(rate)))
}

/// With a capital letter at its head.
pub(super) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// How the client uses connections.
pub(super) fn connections(connections: Connections) -> &'static str {
    match connections {
        Connections::Close => "a new connection for each request",
        Connections::Keepalive => "persistent connections",
    }
}

/// How much the number of blocks supports.
pub(super) fn strength(summary: &Summary) -> String {
    match summary.blocks().1 {
        0 => "No trial of this run is valid: there is nothing to compare.".into(),
        1 => "There is one block: nothing tells how far these figures would repeat.".into(),
        _ => "A range is what was seen over the blocks; only ratios have confidence intervals.".into(),
    }
}

/// What was measured and how, a paragraph each.
pub(super) fn method(summary: &Summary, plan: &Plan) -> Vec<String> {
    let (Condition { requests, warmup, body_bytes, rate, .. }, seed) = (&plan.base, plan.seed);
    let driven = match *rate {
        None => format!(
            "kept {} requests outstanding (concurrency), {}, and began a new one only when an old one was answered: a closed \
             loop, as ab and wrk have it",
            listed(&summary.concurrency),
            connections(plan.base.connections),
        ),
        Some(rate) => open_loop::driven(summary, rate),
    };
    let sustained = if rate.is_some() {
        ", the servers got equal turns, and the rate was sustained"
    } else {
        ", and the servers got equal turns"
    };
    let mut paragraphs = vec![
        format!(
            "One round-robin HTTP load balancer was run under {}, in front of {} servers (the \
             backends). A load generator {driven}. Every answer was verified; each body is {body_bytes} bytes long.",
            counted(summary.balancers().count(), "concurrency model"),
            listed(&summary.backends),
        ),
        format!(
            "The sample is the trial, not the request: one fresh balancer process that serves one cell (model, \
             number of servers, concurrency) with {requests} timed requests, after {warmup} that are discarded. A \
             block holds every cell once, in a random order of its own (seed {seed}); the models of a number of servers \
             and a concurrency run one after another, so that a slow minute of the machine hits all of them alike. A \
             cell's figure is the median over its valid blocks; the range beside it runs from the smallest to the \
             largest block."
        ),
        format!(
            "A ratio is taken within a block, between trials that met the same weather; over blocks it is the geometric \
             mean, with its 95 % interval in brackets (Student's t on the logarithms). There is a verdict where two \
             things hold: the ratio differs from 1 at the {} % level after Holm's correction for all comparisons of its \
             table, and by more than the noise floor, which is how far the same model, run twice in each block (A/A), \
             differed from itself. So an interval may leave out 1 without a verdict. Indistinguishable means that \
             this run cannot tell, not that there is no difference. Blocks are taken as independent of each other; \
             a machine whose weather lasts over blocks makes the intervals too narrow.",
            LEVEL * 100.0
        ),
        format!(
            "A trial is valid when every request was answered with 2xx and the right body{sustained}. An invalid trial is \
             kept, listed with its reasons and enters no figure."
        ),
        match rate {
            Some(_) => open_loop::times(REQUESTS_BEYOND_A_PERCENTILE),
            None => format!(
            "The response times come from the closed loop: when the system stalls, the loop stops sending, so the wait \
             that further requests would have had is left out (coordinated omission). They compare models under this \
             load; they are not what users of an open system would see: those are measured by `roundtable run --rate auto`. \
             A percentile is printed only where at least {REQUESTS_BEYOND_A_PERCENTILE} requests lie beyond it: per trial in \
             the tables, pooled over blocks in the curves."
            ),
        },
        "CPU per request is the balancer process's own user and system time over the timed window; kernel work that \
         is billed to client or servers is not in it, and neither is waiting."
            .into(),
    ];
    paragraphs.extend(rate.map(|_| open_loop::THROUGHPUT.to_owned()));
    if summary.models.iter().any(Competitor::is_direct) {
        let ceiling = match plan.base.connections {
            connections if rate.is_some() => open_loop::direct(connections),
            Connections::Keepalive => {
                "It is the ceiling of client, servers and machine: where a model comes near it, they may be the limit \
                 rather than the model."
            }
            Connections::Close => {
                "It shows what client, servers and machine can do, but it is no strict ceiling: its servers meet a \
                 new connection with every request, while a balancer keeps its connections to them, so a model can be \
                 above it. A model that is near or above it was limited by the client or the machine."
            }
        };
        paragraphs.push(format!(
            "The row {DIRECT} has no balancer and is no competitor: the client talks to the servers in turn. {ceiling}"
        ));
    }
    paragraphs
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

/// An invalid trial, in one line.
pub(super) fn refused(refused: &Refused) -> String {
    let Refused { cell, block, attempt, reasons } = refused;
    format!(
        "{}, {}, concurrency {}, block {}, attempt {attempt}: {}",
        row(&cell.competitor),
        counted(cell.condition.backends as usize, "server"),
        cell.condition.concurrency,
        u64::from(*block) + 1,
        in_words(reasons)
    )
}

/// `text` in lines of at most `width` characters.
pub fn wrapped(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// "1 block", "2 blocks".
pub(super) fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// "2", "2 or 5", "2, 5 or 10".
pub(super) fn listed(numbers: &[u32]) -> String {
    let texts: Vec<_> = numbers.iter().map(u32::to_string).collect();
    match texts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "no".into(),
    }
}

/// Commas between the thousands of a decimal number.
pub(super) fn grouped(text: &str) -> String {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(w, f)| (w, Some(f)));
    let mut grouped = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if let Some(fraction) = fraction {
        grouped.push('.');
        grouped.push_str(fraction);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic::Run;

    #[test]
    fn few_blocks_are_said_to_be_few() {
        let strength = |blocks| strength(&Summary::of(&Run::new().blocks(blocks).backends(&[1]).build()));
        assert!(strength(0).starts_with("No trial"));
        assert!(strength(1).starts_with("There is one block"));
        assert!(strength(2).contains("only ratios have confidence intervals"));
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

    #[test]
    fn numbers_are_listed_and_grouped() {
        assert_eq!(
            ["2", "2 or 5", "2, 5 or 10"],
            [&[2][..], &[2, 5], &[2, 5, 10]].map(listed).each_ref().map(String::as_str)
        );
        assert_eq!(
            ["1,234,567", "123", "-1,234.5"],
            ["1234567", "123", "-1234.5"].map(grouped).each_ref().map(String::as_str)
        );
    }
}
