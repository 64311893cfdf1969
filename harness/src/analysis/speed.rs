//! How fast the machine was during a trial, by what the trial's client and backends paid for a request.
//!
//! They do the same work under a model and under the same model once more, slowed down, or of another build; so what they
//! paid tells the state of the processor (its clock, its caches, its neighbours behind the hypervisor), which the balancer's
//! figures share. Two trials of *one* model are therefore compared by figures that are adjusted for it (control variates:
//! Lavenberg & Welch, *A Perspective on the Use of Control Variables to Increase the Efficiency of Monte Carlo Simulations*,
//! 1981; the slopes are those of an analysis of covariance within cells). On the stored runs that takes two thirds of the noise
//! out of CPU time. Rule: two different models may make their clients and backends pay differently, and are compared without.

use super::metric::Metric;
use super::summary::Summary;
use super::trial::ValidTrial;

/// Degrees of freedom that slopes must rest on to be used.
const LEAST_DEGREES: f64 = 20.0;

/// By how many percent a figure rises for each percent that client and backends paid more.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Speed {
    client: f64,
    backends: f64,
}

/// Sums of squares and products about cells' means.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    degrees: f64,
    /// client², client · backends, backends².
    covariates: [f64; 3],
    /// client · figure, backends · figure.
    products: [f64; 2],
}

/// Logarithms of what client and backends paid for a request, and of the figure.
fn logarithms(metric: Metric, trial: &ValidTrial) -> Option<[f64; 3]> {
    let all = [trial.client_us.ln(), trial.backends_us.ln(), metric.of(trial)?.ln()];
    all.iter().all(|log| log.is_finite()).then_some(all)
}

impl Sums {
    fn add(&mut self, cell: &[[f64; 3]]) {
        if cell.len() < 2 {
            return;
        }
        let count = cell.len() as f64;
        let mean = [0, 1, 2].map(|of| cell.iter().map(|trial| trial[of]).sum::<f64>() / count);
        self.degrees += count - 1.0;
        for trial in cell {
            let [client, backends, figure] = [0, 1, 2].map(|of| trial[of] - mean[of]);
            let terms = [client * client, client * backends, backends * backends];
            self.covariates.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
            self.products[0] += client * figure;
            self.products[1] += backends * figure;
        }
    }
}

impl Speed {
    /// Of `metric`, from every trial that has it; nothing where these are too few, and nothing of a figure that client and
    /// backends are a part of.
    pub(super) fn of(summaries: &[&Summary], metric: Metric) -> Self {
        if metric == Metric::AllCpu {
            return Speed::default();
        }
        let mut sums = Sums::default();
        for summary in summaries {
            for cell in summary.cells.values() {
                let trials: Vec<_> =
                    cell.valid.iter().filter_map(|trial| logarithms(metric, trial)).collect();
                sums.add(&trials);
            }
        }
        let [cc, cb, bb] = sums.covariates;
        let determinant = cc * bb - cb * cb;
        // Covariates that are the same, or do not vary, have no slopes of their own.
        if sums.degrees - 2.0 < LEAST_DEGREES || determinant <= 1e-9 * cc * bb {
            return Speed::default();
        }
        let [of_client, of_backends] = sums.products;
        Speed {
            client: (of_client * bb - of_backends * cb) / determinant,
            backends: (of_backends * cc - of_client * cb) / determinant,
        }
    }

    /// The logarithm of `metric` in `trial`, as it would be with what client and backends paid taken out.
    pub(super) fn adjusted(self, metric: Metric, trial: &ValidTrial) -> Option<f64> {
        if self == Speed::default() {
            return metric.of(trial).map(f64::ln).filter(|log| log.is_finite());
        }
        let [client, backends, figure] = logarithms(metric, trial)?;
        Some(figure - self.client * client - self.backends * backends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::synthetic::Run;
    use crate::record::Outcome;
    use crate::statistics::verdict::mean;

    /// A run in which every trial meets another speed of the processor, the same for all roles.
    fn uneven() -> Summary {
        let mut stored = Run::new().models(&["direct", "mio", "mio+10%"]).backends(&[1]).blocks(10).build();
        for (index, trial) in stored.trials.iter_mut().enumerate() {
            let Outcome::Measured(sample) = &mut trial.outcome else { continue };
            let percent = 80 + (index as u64 * 37) % 50;
            for usage in [&mut sample.client, &mut sample.backends].into_iter().chain(&mut sample.balancer) {
                usage.user_ns = usage.user_ns * percent / 100;
                usage.system_ns = usage.system_ns * percent / 100;
            }
        }
        Summary::of(&stored)
    }

    #[test]
    fn what_the_processors_speed_does_to_all_roles_is_taken_out() {
        let summary = uneven();
        let metric = Metric::BalancerCpu;
        let speed = Speed::of(&[&summary], metric);
        assert!((0.7..1.3).contains(&(speed.client + speed.backends)), "{speed:?}");
        let spread = |of: &dyn Fn(&ValidTrial) -> Option<f64>| {
            let pair = [&summary.competitors[2], &summary.competitors[1]];
            let logs = summary
                .log_ratios((pair[0], pair[1]), &summary.conditions()[0], |trial| Some(of(trial)?.exp()));
            let middle = mean(&logs).unwrap();
            (middle, logs.iter().map(|log| (log - middle).powi(2)).sum::<f64>())
        };
        let (plain, adjusted) =
            (spread(&|trial| Some(metric.of(trial)?.ln())), spread(&|trial| speed.adjusted(metric, trial)));
        assert!(adjusted.1 < plain.1 / 4.0, "{plain:?} {adjusted:?}");
        assert!((adjusted.0 - 1.1_f64.ln()).abs() < 0.03, "{adjusted:?}");
    }

    #[test]
    fn few_trials_have_no_slopes_and_what_client_and_backends_are_part_of_is_left_alone() {
        let few =
            Summary::of(&Run::new().models(&["mio"]).backends(&[1]).concurrency(&[2]).blocks(5).build());
        assert_eq!(Speed::of(&[&few], Metric::BalancerCpu), Speed::default());
        assert_eq!(Speed::of(&[&uneven()], Metric::AllCpu), Speed::default());
    }
}
