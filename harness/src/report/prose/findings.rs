//! Findings, written out by rule.

use crate::analysis::Analysis;
use crate::analysis::findings::{self, Claim, Finding};
use crate::analysis::metric::Metric;
use crate::analysis::ratio::Conclusion;
use crate::plan::{Competitor, Condition};
use crate::report::prose;
use crate::report::value::Value;
use crate::statistics::Spread;
use crate::text::{capitalised, counted, grouped};

/// How each model stands to the reference in `metric`, in one sentence; `None` where nothing was compared.
pub(in crate::report) fn of_models(analysis: &Analysis, metric: Metric) -> Option<String> {
    let findings = findings::on_models(analysis.verdicts.on(metric)?);
    let Claim::ModelToReference { reference, .. } = &findings.first()?.claim else { return None };
    let mut models: Vec<(&Competitor, Vec<&Finding>)> = Vec::new();
    for finding in &findings {
        let Claim::ModelToReference { model, .. } = &finding.claim else { continue };
        match models.last_mut() {
            Some((last, of)) if *last == model => of.push(finding),
            _ => models.push((model, vec![finding])),
        }
    }
    let each: Vec<_> = models.iter().map(|(model, of)| of_model(model, metric, of)).collect();
    Some(format!(
        "{}, compared to {}: {}.",
        capitalised(metric.name()),
        prose::row(reference),
        each.join("; ")
    ))
}

/// From which to which median each row's cells reach in `metric`, in one sentence; `None` where there is no figure.
pub(in crate::report) fn of_medians(analysis: &Analysis, metric: Metric) -> Option<String> {
    let value = |row: &Competitor, condition: &Condition| {
        analysis.summary.cell(row, condition).spread(|trial| metric.of(trial))
    };
    of_values(analysis, metric.name_with_unit(), &value)
}

/// From which to which median each row's cells reach in `values`, called `name`; `None` where there is none.
pub(in crate::report) fn of_values(
    analysis: &Analysis,
    name: &str,
    values: &dyn Fn(&Competitor, &Condition) -> Option<Spread>,
) -> Option<String> {
    let summary = &analysis.summary;
    let range = |row: &Competitor| {
        let median = |condition| Some(values(row, condition)?.median);
        let medians: Vec<f64> = summary.conditions().iter().filter_map(median).collect();
        let Spread { min, max, .. } = Spread::of(&medians)?;
        let [low, high] = [min, max].map(|value| grouped(&Value::figure(value).plain()));
        let row = prose::row(row);
        Some(if low == high { format!("{row} {low}") } else { format!("{row} {low} to {high}") })
    };
    let each: Vec<_> = summary.shown().filter_map(range).collect();
    let name = capitalised(name);
    (!each.is_empty()).then(|| format!("{name}, medians of the cells: {}.", each.join("; ")))
}

/// How a model stands to itself; `None` where none was measured twice.
pub(in crate::report) fn same_again(analysis: &Analysis) -> Option<String> {
    let tallies = analysis.summary.load().main_metrics().iter().filter_map(|&metric| {
        let tally = analysis.verdicts.on(metric)?.aa_tally();
        (tally.comparisons > 0)
            .then(|| format!("{} of {} in {}", tally.without_difference, tally.comparisons, metric.name()))
    });
    let tallies: Vec<_> = tallies.collect();
    (!tallies.is_empty()).then(|| {
        format!("The same model measured twice was not told apart from itself in {}.", tallies.join(", "))
    })
}

/// "mio faster in 12 of 15 cells (ratios 1.18 to 1.46), client-bound in 3 (…)".
fn of_model(model: &Competitor, metric: Metric, findings: &[&Finding]) -> String {
    let clause = |(index, finding): (usize, &&Finding)| {
        let all = if index == 0 {
            format!(" of {}", counted(finding.of_conditions, "cell"))
        } else {
            String::new()
        };
        let word = finding.claim.conclusion().map_or("", |conclusion| metric.word(conclusion));
        format!("{word} in {}{all}{}{}", finding.conditions.len(), range(finding), more_blocks(finding))
    };
    let clauses: Vec<_> = findings.iter().enumerate().map(clause).collect();
    format!("{} {}", prose::row(model), clauses.join(", "))
}

/// ", about 12 more blocks would settle it", of a finding that is unsettled.
pub(in crate::report) fn more_blocks(finding: &Finding) -> String {
    match (finding.claim.conclusion(), finding.evidence.more_blocks) {
        (Some(Conclusion::Unsettled), Some(more)) => {
            format!(", about {} would settle it", counted(more as usize, "more block"))
        }
        _ => String::new(),
    }
}

/// " (ratios 1.19 to 1.21)".
pub(in crate::report) fn range(finding: &Finding) -> String {
    let (low, high) = (format!("{:.2}", finding.ratios.low), format!("{:.2}", finding.ratios.high));
    let bound = if finding.at_least { ", at least so where the client was the limit" } else { "" };
    if low == high { format!(" (ratio {low}{bound})") } else { format!(" (ratios {low} to {high}{bound})") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::synthetic::Run;

    #[test]
    fn a_sentence_counts_the_cells_of_each_conclusion() {
        let run =
            Run::new().models(&["direct", "threads", "mio", "tokio"]).backends(&[1, 2]).concurrency(&[2, 10]);
        let analysis = Analysis::of(&run.blocks(8).build());
        insta::assert_snapshot!(of_models(&analysis, Metric::Throughput).unwrap(), @"Requests per second, compared to threads: mio faster in 4 of 4 cells (ratios 1.12 to 1.35); tokio faster in 3 of 4 cells (ratios 1.06 to 1.23), unsettled in 1 (ratio 1.03), about 18 more blocks would settle it.");
    }

    #[test]
    fn a_sentence_of_medians_has_every_row_that_is_drawn() {
        let run = Run::new().models(&["direct", "threads", "threads#2"]).backends(&[1, 2]).blocks(2);
        let analysis = Analysis::of(&run.build());
        insta::assert_snapshot!(of_medians(&analysis, Metric::Throughput).unwrap(), @"Requests per second, medians of the cells: direct 13,747 to 20,745; threads 7,005 to 8,400.");
        // The direct row has no balancer.
        let cpu = of_medians(&analysis, Metric::BalancerCpu).unwrap();
        assert!(cpu.contains("threads ") && !cpu.contains("direct"), "{cpu}");
    }

    #[test]
    fn where_nothing_is_compared_nothing_is_said() {
        let analysis = Analysis::of(&Run::new().models(&["direct", "mio"]).blocks(1).build());
        assert_eq!(of_models(&analysis, Metric::Throughput), None);
    }
}
