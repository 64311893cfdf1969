//! What the machine did besides, over the valid trials.

use super::Source;
use crate::analysis::summary::Summary;
use crate::analysis::trial::ValidTrial;
use crate::report::section::{Section, Table};
use crate::report::value::NOTHING;
use crate::statistics::Spread;
use crate::text::counted;

pub(super) fn sections(source: &Source<'_>) -> Vec<Section> {
    vec![Section::new("machine-noise", "The machine's noise").table(table(&source.analysis.summary))]
}

fn table(summary: &Summary) -> Table {
    let steal: Vec<_> = summary.valid().map(|trial| trial.steal * 100.0).collect();
    let share = |value: Option<f64>| value.map_or(NOTHING.into(), |share| format!("{share:.2} %"));
    let spread = Spread::of(&steal);
    let total = |count: fn(&ValidTrial) -> u64| {
        let with = summary.valid().filter(|trial| count(trial) > 0).count();
        let sum: u64 = summary.valid().map(count).sum();
        format!("{sum} in all, in {}", counted(with, "trial"))
    };
    Table::of_facts(vec![
        ("trials", format!("{}, of which {} invalid", summary.trials, summary.invalid.len())),
        ("time stolen by the hypervisor, median trial", share(spread.map(|s| s.median))),
        ("time stolen by the hypervisor, worst trial", share(spread.map(|s| s.max))),
        ("connections that met a full accept queue", total(|trial| trial.listen_overflows)),
        ("retransmission timers that fired", total(|trial| trial.tcp_timeouts)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::synthetic::Run;

    #[test]
    fn steal_is_a_share_of_all_processors_time() {
        let mut run = Run::new().models(&["mio"]).backends(&[1]).concurrency(&[2]).blocks(1).build();
        if let crate::record::Outcome::Measured(sample) = &mut run.trials[0].outcome {
            sample.host.steal_ns = sample.elapsed_ns;
        }
        assert_eq!(table(&Summary::of(&run)).plain_row(2)[1], "50.00 %");
    }
}
