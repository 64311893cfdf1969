//! What was measured and how, a paragraph each.

use super::Source;
use crate::analysis::summary::Summary;
use crate::plan::{Competitor, DIRECT, Kind, Plan, factor};
use crate::report::prose::{grid, load};
use crate::report::section::{Content, Section};
use crate::statistics::verdict::{LEAST_BLOCKS, LEVEL, MARGIN, WIDEST_MARGIN};
use crate::text::counted;

pub(super) fn sections(source: &Source<'_>) -> Vec<Section> {
    let environment = &source.stored.environment;
    let method = paragraphs(&source.analysis.summary, &environment.plan);
    let found = environment.rate_found.iter().map(|note| format!("How the rate was chosen: {note}."));
    let section = Section::new("method", "What was measured, and how");
    vec![section.with(method.into_iter().chain(found).map(Content::Paragraph))]
}

fn paragraphs(summary: &Summary, plan: &Plan) -> Vec<String> {
    let mut paragraphs = vec![
        what_was_run(summary, plan),
        what_a_trial_is(plan),
        what_a_ratio_is(),
        format!(
            "A trial is valid when every request was answered with 2xx and the right body{}. An invalid trial is \
             kept, listed with its reasons and enters no figure.",
            load::validity(summary.load())
        ),
        load::times(summary.load()),
        "CPU per request is the balancer process's own user and system time over the timed window; kernel work that \
         is billed to client or backends is not in it, and neither is waiting."
            .into(),
    ];
    paragraphs.extend(load::throughput(summary.load()).map(str::to_owned));
    if summary.competitors.iter().any(Competitor::is_direct) {
        paragraphs.push(format!(
            "The row {DIRECT} has no balancer and is no competitor: the client talks to the backends in turn. {}",
            load::direct(summary.load(), &plan.conditions())
        ));
    }
    paragraphs
}

fn what_was_run(summary: &Summary, plan: &Plan) -> String {
    format!(
        "One round-robin HTTP load balancer was run under {}, in front of {} backends \
         (HTTP servers). A load generator {}. Every answer was verified; each body is {} bytes long.",
        counted(summary.balancers().filter(|row| row.kind == Kind::Model).count(), "concurrency model"),
        grid::of_plan(plan, &factor::BACKENDS),
        load::driven(plan),
        grid::of_plan(plan, &factor::BODY_BYTES),
    )
}

fn what_a_trial_is(plan: &Plan) -> String {
    let [requests, warmup] = [&factor::REQUESTS, &factor::WARMUP].map(|of| grid::of_plan(plan, of));
    let seed = plan.seed;
    format!(
        "The sample is the trial, not the request: one fresh balancer process that serves one cell (model, \
         number of backends, concurrency) with {requests} timed requests, after {warmup} that are discarded. A \
         block holds every cell once, in a random order of its own (seed {seed}); the models of a number of backends \
         and a concurrency run one after another, so that a slow minute of the machine hits all of them alike. A \
         cell's figure is the median over its valid blocks; the range beside it runs from the smallest to the \
         largest block."
    )
}

fn what_a_ratio_is() -> String {
    format!(
        "A ratio is taken within a block, between trials that ran soon after each other; over blocks it is the geometric \
         mean. In brackets stands the interval that its verdict was made from: Student's t on the logarithms, with variances \
         that all comparisons of a figure share what they know of (empirical Bayes, Smyth 2004), Bonferroni's {:.0} % for all \
         comparisons of its table together, no narrower than the noise floor, which is how far the same model, run twice in each block \
         (A/A), differed from itself. Faster or slower: the interval leaves out 1; an end at exactly 1.00 means that Holm's \
         later steps settled the side. With that, no verdict of a table is false in at least {:.0} % of runs, and all of its \
         intervals hold together in at least {:.0} %. Equivalent: it lies within {:.0} % of 1, or within twice the noise floor where that is \
         more, and never further than {:.0} %. Unsettled: neither, and more blocks may settle it. Fewer than {LEAST_BLOCKS} blocks have no verdict. Blocks are \
         taken as independent of each other unless they visibly are not.",
        (1.0 - LEVEL) * 100.0,
        (1.0 - LEVEL) * 100.0,
        (1.0 - 2.0 * LEVEL) * 100.0,
        MARGIN * 100.0,
        WIDEST_MARGIN * 100.0,
    )
}
