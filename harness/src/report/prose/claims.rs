//! What a run's reader is told first: each finding as a sentence, by rule, with the interval that it rests on.

use super::{event as event_named, few_blocks, row};
use crate::analysis::Analysis;
use crate::analysis::difference::Difference;
use crate::analysis::faults::{self, FaultRun, ModelFault};
use crate::analysis::findings::{Claim, Finding};
use crate::analysis::metric::Metric;
use crate::analysis::ratio::Conclusion;
use crate::plan::Competitor;
use crate::text::counted;

/// Sentences of single models that are told; the report has a table of all.
const MODELS: usize = 6;

/// Everything that was found, the most general first: the families, where single conditions stand, the tiers, the models.
pub(in crate::report) fn of_run(analysis: &Analysis) -> Vec<String> {
    let findings = analysis.findings();
    let mut sentences: Vec<String> = families(&findings).into_iter().collect();
    sentences.extend(conditions(analysis));
    sentences.extend(tiers(&findings));
    let models = overall(&findings, |claim| match claim {
        Claim::ModelOverall { model, with, .. } => Some((row(model), row(with))),
        _ => None,
    });
    sentences.extend(models.into_iter().take(MODELS));
    sentences
}

/// How the async models stand to the threaded ones over all conditions, where a run has both.
pub(in crate::report) fn of_families(analysis: &Analysis) -> Option<String> {
    families(&analysis.findings())
}

fn families(findings: &[Finding]) -> Option<String> {
    let sentences = overall(findings, |claim| match claim {
        Claim::FamiliesOverall { .. } => Some(("Async".into(), "threaded".into())),
        _ => None,
    });
    sentences.into_iter().next()
}

/// How each model changed from one run to the next, a sentence a model.
pub(in crate::report) fn of_difference(difference: &Difference) -> Vec<String> {
    overall(&difference.findings(), |claim| match claim {
        Claim::Change { model, .. } => {
            Some((format!("In {}, {}", difference.new, row(model)), format!("itself in {}", difference.base)))
        }
        _ => None,
    })
}

/// A sentence for each pair of which `findings` claim something over all conditions.
fn overall(findings: &[Finding], pair: impl Fn(&Claim) -> Option<(String, String)>) -> Vec<String> {
    let mut pairs: Vec<((String, String), Vec<&Finding>)> = Vec::new();
    for finding in findings {
        let Some(names) = pair(&finding.claim) else { continue };
        match pairs.iter_mut().find(|(known, _)| *known == names) {
            Some((_, of)) => of.push(finding),
            None => pairs.push((names, vec![finding])),
        }
    }
    let sentence = |((subject, object), mut of): ((String, String), Vec<&Finding>)| {
        // CPU time first: it is the robust one.
        of.sort_by_key(|finding| !finding.claim.metric().is_some_and(Metric::is_cpu));
        let clauses: Vec<_> = of.iter().filter_map(|finding| clause(finding, &object)).collect();
        let few = of.iter().find(|of| of.claim.conclusion() == Some(Conclusion::TooFewBlocks));
        let few =
            few.map_or(String::new(), |of| format!(" ({}: no verdict)", few_blocks(of.evidence.blocks)));
        format!("{subject} {}{few}.", clauses.join(", and "))
    };
    pairs.into_iter().map(sentence).collect()
}

/// "needed 0.55 × (0.52–0.59) the CPU time per request of threaded".
fn clause(finding: &Finding, object: &str) -> Option<String> {
    let (metric, conclusion, ratio) = (finding.claim.metric()?, finding.claim.conclusion()?, finding.ratio?);
    let interval = finding.interval.map_or(String::new(), |of| format!(" ({:.2}–{:.2})", of.low, of.high));
    let (verb, thing) = match metric {
        Metric::Throughput => ("served", "requests per second"),
        Metric::BalancerCpu => ("needed", "CPU time per request"),
        Metric::AllCpu => ("needed, with its client and backends,", "CPU time per request"),
        Metric::P50 => ("had", "p50 response time"),
        Metric::P99 => ("had", "p99 response time"),
    };
    let bound = match (finding.at_least, conclusion) {
        (true, Conclusion::Above) => "at least ",
        (true, _) => "at most ",
        _ => "",
    };
    let part = match (finding.conditions.len(), finding.of_conditions) {
        (some, all) if some < all => {
            format!(" (over the {some} of {all} conditions that tell)")
        }
        _ => String::new(),
    };
    let said = match conclusion {
        Conclusion::Above | Conclusion::Below => {
            format!("{verb} {bound}{ratio:.2} ×{interval} the {thing} of {object}")
        }
        Conclusion::Equivalent => {
            let within = finding.evidence.margin.exp_m1() * 100.0;
            format!("{verb} the same {thing} as {object} within {within:.0} %{interval}")
        }
        Conclusion::Unsettled => {
            let more = finding.evidence.more_blocks.map_or(String::new(), |more| {
                format!(", which about {} would settle", counted(more as usize, "more block"))
            });
            format!("is unsettled against {object} in {thing}: {ratio:.2} ×{interval}{more}")
        }
        Conclusion::TooFewBlocks => format!("{verb} {ratio:.2} × the {thing} of {object}"),
        Conclusion::ClientBound => format!(
            "cannot be told from {object} in {thing}, since the load generator was the limit ({ratio:.2} × measured)"
        ),
    };
    Some(said + &part)
}

/// Under how many single conditions which family stands better; nothing where too few blocks say so of none.
fn conditions(analysis: &Analysis) -> Option<String> {
    let families = analysis.families.as_ref().ok()?;
    let mut metrics = analysis.summary.load().main_metrics().to_vec();
    metrics.sort_by_key(|metric| !metric.is_cpu());
    let of = |metric: Metric| {
        let findings = families.findings_on(metric);
        let all = findings.first()?.of_conditions;
        let has_verdict = |of: &&Finding| of.claim.conclusion() != Some(Conclusion::TooFewBlocks);
        let each = findings.iter().filter(has_verdict).filter_map(|finding| {
            let word = metric.word(finding.claim.conclusion()?);
            let [low, high] = [finding.ratios.low, finding.ratios.high].map(|ratio| format!("{ratio:.2}"));
            let range = if low == high { low } else { format!("{low} to {high}") };
            Some(format!("{word} in {} of {all} ({range})", finding.conditions.len()))
        });
        let each: Vec<_> = each.collect();
        (!each.is_empty()).then(|| format!("in {}, {}", short(metric), each.join(", ")))
    };
    let clauses: Vec<_> = metrics.into_iter().filter_map(of).collect();
    (families.cells.len() > 1 && !clauses.is_empty())
        .then(|| format!("Condition by condition, async over threaded: {}.", clauses.join("; ")))
}

/// A metric where it stands beside others of the balancer.
fn short(metric: Metric) -> &'static str {
    match metric {
        Metric::BalancerCpu => "CPU per request",
        other => other.name(),
    }
}

/// "CPU per request, requests per second, best first: mio, then tokio, then pool, then threads."
fn tiers(findings: &[Finding]) -> Vec<String> {
    let mut alike: Vec<(&Vec<Vec<Competitor>>, Vec<Metric>)> = Vec::new();
    for finding in findings {
        let Claim::Tiers { metric, tiers } = &finding.claim else { continue };
        match alike.iter_mut().find(|(known, _)| *known == tiers) {
            Some((_, metrics)) => metrics.push(*metric),
            None => alike.push((tiers, vec![*metric])),
        }
    }
    let sentence = |(tiers, metrics): (&Vec<Vec<Competitor>>, Vec<Metric>)| {
        let tier = |of: &Vec<Competitor>| of.iter().map(row).collect::<Vec<_>>().join(" and ");
        let named: Vec<_> = tiers.iter().map(tier).collect();
        let metrics: Vec<_> = metrics.into_iter().map(short).collect();
        let note = match tiers.iter().any(|tier| tier.len() > 1) {
            true => " Those joined by \"and\" cannot be told apart from the first of them.",
            false => "",
        };
        format!(
            "Over all conditions, best first in {}: {}.{note}",
            metrics.join(" and in "),
            named.join(", then ")
        )
    };
    alike.retain(|(tiers, _)| tiers.iter().flatten().count() > 1);
    alike.into_iter().map(sentence).collect()
}

/// What clients noticed of the faults of a run, a sentence a model and fault.
pub(in crate::report) fn of_faults(run: FaultRun<'_>) -> Vec<String> {
    faults::by_model(run).iter().filter_map(of_fault).collect()
}

fn of_fault(of: &ModelFault) -> Option<String> {
    let seen = of.seen.as_ref()?;
    let event = of.fault.as_ref().map_or_else(String::new, |event| {
        let at = event.at_ms as f64 / 1e3;
        format!(", {} at {at} s", event_named(event))
    });
    let errors = match seen.errors?.median {
        0.0 => "no request failed".to_owned(),
        count => format!("{} without a good answer", counted(count.round() as usize, "request")),
    };
    let suffered = match seen.left_out_ms.map(|of| of.median) {
        Some(ms) if ms.is_infinite() => "; requests suffered to the end".to_owned(),
        Some(ms) if ms >= 1.0 => format!("; the last request that suffered ended {ms:.0} ms after the fault"),
        _ => "; none had to wait for it".to_owned(),
    };
    let again = match seen.used_again_ms.map(|of| of.median) {
        None => String::new(),
        Some(ms) if ms.is_infinite() => "; the backend was not used again".to_owned(),
        Some(ms) => format!("; the backend answered again {ms:.0} ms after its return"),
    };
    let calm =
        match (of.fault.is_some_and(|fault| fault.act.is_of_the_load()), seen.calm_ms.map(|of| of.median)) {
            (true, Some(ms)) if ms >= 1.0 => format!("; {ms:.0} ms after the surge nobody suffered any more"),
            (true, Some(_)) => "; nobody suffered after the surge".to_owned(),
            _ => String::new(),
        };
    Some(format!("{}{event}: {errors}{suffered}{again}{calm}.", row(&of.model)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::synthetic::Run;

    fn sentences(run: Run) -> Vec<String> {
        of_run(&Analysis::of(&run.build()))
    }

    #[test]
    fn a_run_is_told_in_sentences_that_name_their_intervals() {
        let run = Run::new()
            .models(&["direct", "threads", "mio", "threads#2"])
            .backends(&[1, 2])
            .concurrency(&[2, 10]);
        insta::assert_snapshot!(sentences(run.blocks(8)).join("\n"));
    }

    #[test]
    fn one_block_allows_no_verdict_and_says_so() {
        let told =
            sentences(Run::new().models(&["threads", "mio"]).backends(&[1]).concurrency(&[2]).blocks(1));
        assert!(told[0].ends_with("(one block: no verdict)."), "{told:?}");
        assert!(!told.join(" ").contains("faster"), "{told:?}");
    }
}
