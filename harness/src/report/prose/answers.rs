//! What a run was made to answer, answered in sentences: by rule, each with the interval that it rests on.

use super::{few_blocks, row};
use crate::analysis::Analysis;
use crate::analysis::answers::Answered;
use crate::analysis::answers::along::{Along, AlongRow, Point};
use crate::analysis::answers::claim::{Outcome, Tested};
use crate::analysis::answers::promise::{PromiseRow, Promised};
use crate::analysis::answers::queue::QueueRow;
use crate::analysis::metric::Metric;
use crate::analysis::ratio::{Conclusion, Ratio};
use crate::plan::{Competitor, Factor, Kind, Value, factor};
use crate::record::in_words;
use crate::report::value::{self, Value as Shown};
use crate::statistics::Spread;
use crate::text::{counted, grouped};

/// Every answer of a run, in sentences: those that a reader is told first.
pub(in crate::report) fn of_run(analysis: &Analysis) -> Vec<String> {
    analysis.answers.iter().flat_map(of_answer).collect()
}

/// One answer.
pub(in crate::report) fn of_answer(answer: &Answered) -> Vec<String> {
    match answer {
        Answered::Along(along) => {
            along.rows.iter().filter(|of| is_told(&of.row)).filter_map(|of| of_row(along, of)).collect()
        }
        Answered::Promise(promised) => {
            promised.rows.iter().filter(|of| is_told(&of.row)).map(|of| of_promise(promised, of)).collect()
        }
        Answered::Queue(rows) => of_queue(rows),
        Answered::Claims(tested) => tested.iter().map(of_claim).collect(),
    }
}

/// Rows that a sentence is about: not the direct one, which is no balancer.
fn is_told(row: &Competitor) -> bool {
    row.kind != Kind::Direct
}

/// ", persistent connections": what else a row's conditions have in common.
fn place(common: &[(&'static Factor, Value)]) -> String {
    let phrases = common.iter().map(|(factor, value)| format!(", {}", factor.phrase(value)));
    phrases.collect()
}

fn of_row(along: &Along, of: &AlongRow) -> Option<String> {
    let (first, last) = of.ends()?;
    let name = format!("{}{}", row(&of.row), place(&of.common));
    let at = |point: &Point| along.factor.phrase(&point.level);
    let known = |place: &usize| first.figures[*place].is_some();
    let places: Vec<usize> = (0..along.metrics.len()).filter(known).collect();
    let begin = places.iter().filter_map(|place| Some(figure(along.metrics[*place], first.figures[*place]?)));
    let begin: Vec<_> = begin.collect();
    let mut sentence = format!("{name}: {} with {}", all_of(&begin), at(first));
    let end = places.iter().filter_map(|place| {
        let ratio = last.to_first[*place]?;
        Some(format!("{}{}", times(&ratio), ideal(along, along.metrics[*place], [&first.level, &last.level])))
    });
    let end: Vec<_> = end.collect();
    if !end.is_empty() {
        sentence.push_str(&format!("; {} of that with {}", all_of(&end), at(last)));
    }
    if *along.factor == factor::CONCURRENCY
        && let Some(bytes) = of.memory_for_each().filter(|bytes| *bytes >= 1.0)
    {
        sentence.push_str(&format!("; {:.1} KiB of memory for each connection more", bytes / 1024.0));
    }
    if let Some(point) = of.falls_behind(along) {
        sentence.push_str(&format!(
            "; it falls behind what it serves with {} from {} on",
            at(first),
            at(point)
        ));
    }
    if let Some(point) = of.breaks() {
        sentence.push_str(&format!("; no trial with {} is valid ({})", at(point), in_words(&point.reasons)));
    }
    if last.to_first.iter().flatten().any(|ratio| ratio.conclusion() == Conclusion::TooFewBlocks) {
        let blocks = last.to_first.iter().flatten().map(|ratio| ratio.judged.blocks).max().unwrap_or(0);
        sentence.push_str(&format!(" ({}: no verdict)", few_blocks(blocks)));
    }
    Some(sentence + ".")
}

/// "a, b and c".
fn all_of(texts: &[String]) -> String {
    match texts.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => texts.concat(),
    }
}

/// What throughput would ideally have grown to between these values of the factor.
fn ideal(along: &Along, metric: Metric, levels: [&Value; 2]) -> String {
    match levels {
        [Value::Number(from), Value::Number(to)] if along.has_ideal && metric == Metric::Throughput => {
            let ideal = *to as f64 / (*from).max(1) as f64;
            format!(
                " ({} × would be ideal)",
                Shown::figure(ideal).plain().trim_end_matches('0').trim_end_matches('.')
            )
        }
        _ => String::new(),
    }
}

/// "27,124 requests per second".
fn figure(metric: Metric, spread: Spread) -> String {
    let number = grouped(&Shown::figure(spread.median).plain());
    match metric {
        Metric::Throughput => format!("{number} requests per second"),
        Metric::BalancerCpu => format!("{number} µs of CPU per request"),
        Metric::AllCpu => format!("{number} µs of CPU per request in all roles"),
        Metric::P50 => format!("a p50 of {number} ms"),
        Metric::P99 => format!("a p99 of {number} ms"),
    }
}

/// "0.62 × (0.55–0.70)", and where it is not settled, that.
fn times(ratio: &Ratio) -> String {
    let bound = match (ratio.is_at_least(), ratio.conclusion()) {
        (true, Conclusion::Above) => "at least ",
        (true, _) => "at most ",
        _ => "",
    };
    let interval =
        ratio.judged.interval.map_or(String::new(), |of| format!(" ({:.2}–{:.2})", of.low, of.high));
    let note = match ratio.conclusion() {
        Conclusion::Unsettled => " (unsettled)",
        Conclusion::ClientBound => " (the load generator was the limit)",
        _ => "",
    };
    format!("{bound}{:.2} ×{interval}{note}", ratio.judged.ratio)
}

fn of_promise(promised: &Promised, of: &PromiseRow) -> String {
    let name = format!("{}{}", row(&of.row), place(&of.common));
    let promise = promised.promise;
    let per_second = |rate: f64| format!("{} requests per second", grouped(&format!("{rate:.0}")));
    let Some(highest) = of.highest else {
        return format!(
            "{name}: whether it keeps {promise} is not known, since no block tells of every rate."
        );
    };
    let blocks = match of.blocks {
        few @ (1 | 2) => format!("{}, so no more than a first look", few_blocks(few)),
        more => format!("in each of {}", counted(more, "block")),
    };
    let mut sentence = match of.always() {
        None => format!("{name} did not keep {promise} in every block even at the lowest rate"),
        Some(_) if of.is_beyond() => {
            format!(
                "{name} kept {promise} at every rate of the run, up to {} ({blocks}): its limit is not known",
                per_second(highest.min)
            )
        }
        Some(rate) => format!("{name} kept {promise} up to {} ({blocks})", per_second(rate as f64)),
    };
    if !of.is_beyond() && highest.max > highest.min {
        sentence.push_str(&format!(", in single blocks up to {}", per_second(highest.max)));
    }
    if let (false, Some(last)) = (of.is_beyond(), of.points.last())
        && let Some(within) = last.within_per_second
    {
        let failed = last.failed.filter(|failed| failed.median > 0.0);
        let failed = failed
            .map_or(String::new(), |of| format!(", and {:.1} % had no right answer", of.median * 100.0));
        sentence.push_str(&format!(
            "; of {} it answered {} in that time{failed}",
            grouped(&last.rate.to_string()),
            grouped(&format!("{:.0}", within.median))
        ));
    }
    sentence + "."
}

/// How far each row is from the queue, over its conditions.
fn of_queue(rows: &[QueueRow]) -> Vec<String> {
    let mut models: Vec<(&Competitor, Vec<f64>)> = Vec::new();
    for of in rows.iter().filter(|of| is_told(&of.row)) {
        let Some(measured) = of.measured_ms else { continue };
        let ratio = measured.median / of.expected_ms;
        match models.last_mut() {
            Some((last, ratios)) if **last == of.row => ratios.push(ratio),
            _ => models.push((&of.row, vec![ratio])),
        }
    }
    let sentence = |(model, ratios): (&Competitor, Vec<f64>)| {
        let Spread { min, max, .. } = Spread::of(&ratios)?;
        let times = if ratios.len() == 1 { format!("{min:.2}") } else { format!("{min:.2} to {max:.2}") };
        Some(format!("{}: mean response times were {times} × those of the M/M/c queue.", row(model)))
    };
    models.into_iter().filter_map(sentence).collect()
}

/// "Confirmed here: …".
fn of_claim(of: &Tested) -> String {
    let Tested { claim, metric, ratio, outcome, .. } = of;
    let measured = ratio.map_or(String::new(), |ratio| {
        let with = match (&claim.across, &claim.with) {
            (Some(across), _) => {
                let [to, from] = [&across.to, &across.from].map(ToString::to_string);
                let option = across.factor.0.name;
                format!("{} with --{option} {to} to --{option} {from}", claim.model)
            }
            (None, with) => format!("{} to {}", claim.model, with.as_deref().unwrap_or(&claim.model)),
        };
        format!("{with}, {}: {}", metric.name(), value::with_interval(&ratio))
    });
    let statement = format!("\"{}\"", claim.statement);
    match outcome {
        Outcome::Confirmed => format!("Confirmed here: {statement}. {measured}."),
        Outcome::Refuted => format!("Refuted here: {statement}. {measured}."),
        other => format!(
            "Neither confirmed nor refuted here: {statement}, because {}.",
            because(*other, &measured)
        ),
    }
}

/// Why nothing is concluded.
fn because(outcome: Outcome, measured: &str) -> String {
    match outcome {
        Outcome::NotMeasured => "this run has no valid trial of what it compares".to_owned(),
        Outcome::TooFewBlocks => format!("the blocks are too few for a verdict ({measured})"),
        Outcome::ClientBound => format!("the load generator was the limit ({measured})"),
        Outcome::Unsettled { more_blocks } => {
            let more = more_blocks.map_or(String::new(), |more| {
                format!("; about {} would settle it", counted(more as usize, "more block"))
            });
            format!("the interval holds both ({measured}{more})")
        }
        Outcome::Confirmed | Outcome::Refuted => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::synthetic::Run;
    use crate::plan::Purpose;
    use crate::plan::answer::{Across, Answer, Claim, ClaimMetric, Expectation, FactorName};

    fn sentences(run: &Run, answers: Vec<Answer>) -> Vec<String> {
        let mut stored = run.build();
        stored.environment.plan.purpose = Some(Purpose {
            scenario: Some("mine".into()),
            run: None,
            question: "why?".into(),
            answers,
            figures: vec![],
        });
        of_run(&Analysis::of(&stored))
    }

    #[test]
    fn each_row_is_told_from_the_first_value_to_the_last() {
        let run = Run::new().models(&["direct", "mio", "mio#2"]).backends(&[3]).blocks(6);
        let answers = vec![Answer::Along { factor: FactorName(&factor::CONCURRENCY) }];
        insta::assert_snapshot!(sentences(&run, answers).join("\n"), @"mio: 7,673 requests per second and 74.68 µs of CPU per request with concurrency 2; 1.39 × (1.32–1.47) and 1.02 × (0.98–1.06) (unsettled) of that with concurrency 10.");
        let run = Run::new().models(&["direct", "mio", "mio#2"]).concurrency(&[10]).blocks(2);
        let answers = vec![Answer::SpeedUp { factor: FactorName(&factor::BACKENDS) }];
        insta::assert_snapshot!(sentences(&run, answers).join("\n"), @"mio: 10,997 requests per second and 74.77 µs of CPU per request with 1 backend; 0.94 × (5 × would be ideal) and 0.99 × of that with 5 backends (two blocks: no verdict).");
    }

    #[test]
    fn a_promise_is_told_with_the_blocks_that_it_rests_on() {
        let run = Run::new().models(&["direct", "mio", "mio#2"]).backends(&[3]).concurrency(&[10]).blocks(3);
        let run = run.rate(1000).over(&factor::RATE, "1000,2000");
        let promise = |text: &str| vec![Answer::Promise { promise: text.parse().unwrap() }];
        insta::assert_snapshot!(sentences(&run, promise("p99<1s")).join("\n"), @"mio kept p99<1s at every rate of the run, up to 2,000 requests per second (in each of 3 blocks): its limit is not known.");
        insta::assert_snapshot!(sentences(&run, promise("p99<1us")).join("\n"), @"mio did not keep p99<1us in every block even at the lowest rate; of 2,000 it answered 0 in that time.");
    }

    #[test]
    fn a_claim_is_told_with_what_speaks_for_or_against_it() {
        let run = Run::new().models(&["direct", "threads", "mio", "threads#2"]).backends(&[3]).blocks(8);
        let claim = |model: &str, expects| {
            Answer::Claim(Box::new(Claim {
                statement: "events are cheaper than threads".into(),
                source: "https://example.org".into(),
                model: model.into(),
                with: Some("threads".into()),
                across: None,
                place: vec![],
                metric: ClaimMetric::Cpu,
                expects,
                limits: String::new(),
            }))
        };
        let claims = vec![
            claim("mio", Expectation::Below),
            claim("mio", Expectation::Above),
            claim("uring", Expectation::Below),
        ];
        insta::assert_snapshot!(sentences(&run, claims).join("\n"), @r###"
Confirmed here: "events are cheaper than threads". mio to threads, CPU per request, balancer: 0.70 (0.68–0.71).
Refuted here: "events are cheaper than threads". mio to threads, CPU per request, balancer: 0.70 (0.68–0.71).
Neither confirmed nor refuted here: "events are cheaper than threads", because this run has no valid trial of what it compares.
"###);
    }

    #[test]
    fn a_claim_about_a_factor_names_the_option_and_both_its_values() {
        let run = Run::new().models(&["direct", "mio", "mio#2"]).backends(&[3]).blocks(6);
        let across = Across {
            factor: FactorName(&factor::CONCURRENCY),
            from: Value::Number(2),
            to: Value::Number(10),
        };
        let claim = Claim {
            statement: "more serve more".into(),
            source: "https://example.org".into(),
            model: "mio".into(),
            with: None,
            across: Some(across),
            place: vec![],
            metric: ClaimMetric::Throughput,
            expects: Expectation::Above,
            limits: String::new(),
        };
        let told = sentences(&run, vec![Answer::Claim(Box::new(claim))]).join("\n");
        assert!(
            told.contains(". mio with --concurrency 10 to --concurrency 2, requests per second: 1."),
            "{told}"
        );
    }
}
