//! The cross-check: some cells again with other people's load generators, and how far ours agrees with them.
//!
//! Owns which tool is compared at what, the reading of what `ab` and `wrk` print, and the ratios. Their figures stand
//! here alone, never in a table of models: the tools differ in what they do (`ab` speaks HTTP/1.0, `wrk` sends for a
//! time and not a number of requests, neither compares bodies). Rules: ours and theirs are measured in pairs, one
//! right after the other, which of the two comes first changing from pair to pair, each at a fresh balancer; the ratio
//! is taken within the pair; a pair in which either saw a failure is kept apart and not in the ratio.

mod output;

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{PassError, Setup, go};
use crate::plan::{Competitor, Condition, Connections};
use crate::testbed::Testbed;
use crate::testbed::process::ChildError;
use crate::testbed::tool::{Running, ToolError, version};

/// Where it is kept in a run's folder.
pub const FILE: &str = "cross_check.json";
/// Backends behind each balancer.
pub const BACKENDS: u32 = 3;
/// Requests outstanding.
pub const CONCURRENCY: u32 = 10;
/// Requests of one measurement by number.
const REQUESTS: u64 = 10_000;
/// Length of one measurement by time, seconds.
const SECONDS: u64 = 2;
/// Requests before it, by ours.
const WARMUP: u64 = 500;
/// How long a tool may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Somebody else's load generator, with the way in which it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tool {
    /// `ab`: a connection for each request.
    #[serde(rename = "ab")]
    Ab,
    /// `ab -k`: persistent connections.
    #[serde(rename = "ab -k")]
    AbKeepAlive,
    /// `wrk -t1`: persistent connections.
    #[serde(rename = "wrk -t1")]
    Wrk,
}

/// All of them.
pub const TOOLS: [Tool; 3] = [Tool::Ab, Tool::AbKeepAlive, Tool::Wrk];

/// What was measured, and with which versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CrossCheck {
    /// The tools that were there, each as its first line of version tells.
    pub versions: Vec<String>,
    /// The tools that were not there or did not work, and why.
    pub missing: Vec<String>,
    /// Backends behind each balancer.
    pub backends: u32,
    /// Requests outstanding.
    pub concurrency: u32,
    /// In the order in which they were measured.
    pub pairs: Vec<Pair>,
}

/// Ours and theirs, one right after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The balancer's model.
    pub model: String,
    /// Theirs.
    pub tool: Tool,
    /// Whether ours was measured first.
    pub ours_first: bool,
    /// Requests per second by `load`.
    pub ours_per_second: f64,
    /// Requests per second by the tool.
    pub theirs_per_second: f64,
    /// Failures that either of them saw.
    pub failures: u64,
}

/// How far ours agrees with a tool at a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    /// The balancer's model.
    pub model: String,
    /// Theirs.
    pub tool: Tool,
    /// Pairs without a failure.
    pub pairs: usize,
    /// Pairs with one: not in the ratios.
    pub failed_pairs: usize,
    /// Ours divided by theirs: the lowest, the median and the highest of the pairs.
    pub ratio: Option<[f64; 3]>,
}

/// Measures `pairs` pairs for each of `models` and each tool that is there. `tell` hears of what is under way.
pub fn measure(
    testbed: &Testbed,
    base: &Condition,
    models: &[Competitor],
    pairs: u32,
    tell: &mut dyn FnMut(&str),
) -> Result<CrossCheck, PassError> {
    let mut check = CrossCheck {
        versions: Vec::new(),
        missing: Vec::new(),
        backends: BACKENDS,
        concurrency: CONCURRENCY,
        pairs: Vec::new(),
    };
    let mut tools = installed(&mut check);
    let setup = Setup::start(testbed, &Condition { backends: BACKENDS, ..base.clone() })?;
    for number in 0..pairs {
        for model in models {
            for tool in tools.clone() {
                tell(&format!("cross-check, pair {} of {pairs}: {model}, {}", number + 1, tool.name()));
                match pair(&setup, base, model, tool, number % 2 == 0) {
                    Ok(pair) => check.pairs.push(pair),
                    Err(PairError::Child(error)) => return Err(error.into()),
                    Err(PairError::Tool(ToolError::Interrupted)) => return Err(PassError::Interrupted),
                    Err(PairError::Tool(error)) => {
                        // What does not work once is not tried again.
                        check.missing.push(error.to_string());
                        tools.retain(|other| *other != tool);
                    }
                }
            }
        }
    }
    Ok(check)
}

enum PairError {
    Child(ChildError),
    Tool(ToolError),
}

impl From<ChildError> for PairError {
    fn from(error: ChildError) -> Self {
        PairError::Child(error)
    }
}

fn installed(check: &mut CrossCheck) -> Vec<Tool> {
    let mut tools = TOOLS.to_vec();
    for (program, option) in [("ab", "-V"), ("wrk", "-v")] {
        match version(program, option) {
            Ok(version) => check.versions.push(version),
            Err(error) => {
                check.missing.push(error.to_string());
                tools.retain(|tool| tool.program() != program);
            }
        }
    }
    tools
}

fn pair(
    setup: &Setup<'_>,
    base: &Condition,
    model: &Competitor,
    tool: Tool,
    ours_first: bool,
) -> Result<Pair, PairError> {
    // A closed loop, whatever the run's: so are theirs.
    let condition = Condition {
        backends: BACKENDS,
        concurrency: CONCURRENCY,
        connections: if tool.keeps_alive() { Connections::Keepalive } else { Connections::Close },
        rate: None,
        fault: None,
        requests: REQUESTS,
        warmup: WARMUP,
        ..base.clone()
    };
    let ours = || -> Result<_, PairError> {
        let balancer = setup.balancer(model, &condition)?;
        let report = go(setup.load(balancer.address, &condition)?, &condition)?;
        Ok((report.requests_per_second(), report.requests - report.completed + report.non_2xx))
    };
    let theirs = || -> Result<_, PairError> {
        let balancer = setup.balancer(model, &condition)?;
        // Theirs cannot warm up: ours does it for them, with as little behind it as there can be.
        let little = Condition { requests: CONCURRENCY.into(), ..condition.clone() };
        drop(setup.load(balancer.address, &little)?);
        let args = tool.args(balancer.address);
        let output = Running::start(tool.program(), &args)
            .and_then(|running| running.output(PATIENCE, setup.interrupt()));
        let read = output.and_then(|output| {
            let seen = if tool == Tool::Wrk { output::wrk(&output) } else { output::ab(&output) };
            seen.ok_or_else(|| ToolError::failed(tool.name(), "it printed no requests per second"))
        });
        read.map(|seen| (seen.per_second, seen.failures)).map_err(PairError::Tool)
    };
    let (ours, theirs) = if ours_first {
        let ours = ours()?;
        (ours, theirs()?)
    } else {
        let theirs = theirs()?;
        (ours()?, theirs)
    };
    Ok(Pair {
        model: model.to_string(),
        tool,
        ours_first,
        ours_per_second: ours.0,
        theirs_per_second: theirs.0,
        failures: ours.1 + theirs.1,
    })
}

impl Tool {
    /// As on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Ab => "ab",
            Tool::AbKeepAlive => "ab -k",
            Tool::Wrk => "wrk -t1",
        }
    }

    fn program(self) -> &'static str {
        if self == Tool::Wrk { "wrk" } else { "ab" }
    }

    fn keeps_alive(self) -> bool {
        self != Tool::Ab
    }

    fn args(self, target: SocketAddr) -> Vec<String> {
        let url = format!("http://{target}/");
        let line = match self {
            Tool::Ab => format!("-q -n {REQUESTS} -c {CONCURRENCY} {url}"),
            Tool::AbKeepAlive => format!("-q -k -n {REQUESTS} -c {CONCURRENCY} {url}"),
            Tool::Wrk => format!("-t1 -c{CONCURRENCY} -d{SECONDS}s {url}"),
        };
        line.split(' ').map(str::to_owned).collect()
    }
}

impl CrossCheck {
    /// Model by model and tool by tool, in the order in which they were first measured.
    pub fn agreements(&self) -> Vec<Agreement> {
        let mut keys: Vec<(&str, Tool)> = Vec::new();
        for pair in &self.pairs {
            if !keys.contains(&(pair.model.as_str(), pair.tool)) {
                keys.push((&pair.model, pair.tool));
            }
        }
        let agreement = |(model, tool): (&str, Tool)| {
            let all: Vec<_> =
                self.pairs.iter().filter(|pair| pair.model == model && pair.tool == tool).collect();
            let sound = all.iter().filter(|pair| pair.failures == 0 && pair.theirs_per_second > 0.0);
            let mut ratios: Vec<f64> =
                sound.map(|pair| pair.ours_per_second / pair.theirs_per_second).collect();
            ratios.sort_by(f64::total_cmp);
            let middle = |at: usize| ratios.get(at).copied();
            let ratio = ratios.first().zip(ratios.last()).and_then(|(lowest, highest)| {
                let median = f64::midpoint(middle((ratios.len() - 1) / 2)?, middle(ratios.len() / 2)?);
                Some([*lowest, median, *highest])
            });
            let failed_pairs = all.len() - ratios.len();
            Agreement { model: model.to_owned(), tool, pairs: ratios.len(), failed_pairs, ratio }
        };
        keys.into_iter().map(agreement).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(tool: Tool, ours: f64, theirs: f64, failures: u64) -> Pair {
        Pair {
            model: "mio".into(),
            tool,
            ours_first: true,
            ours_per_second: ours,
            theirs_per_second: theirs,
            failures,
        }
    }

    fn check(pairs: Vec<Pair>) -> CrossCheck {
        CrossCheck { versions: Vec::new(), missing: Vec::new(), backends: 3, concurrency: 10, pairs }
    }

    #[test]
    fn agreement_is_the_median_of_the_ratios_within_pairs() {
        let check = check(vec![
            pair(Tool::Wrk, 100.0, 50.0, 0),
            pair(Tool::Ab, 90.0, 100.0, 0),
            pair(Tool::Wrk, 100.0, 100.0, 0),
            pair(Tool::Wrk, 110.0, 100.0, 0),
            pair(Tool::Wrk, 900.0, 1.0, 4),
            pair(Tool::Ab, 110.0, 100.0, 0),
        ]);
        let [wrk, ab] = check.agreements().try_into().unwrap();
        assert_eq!(
            (wrk.tool, wrk.pairs, wrk.failed_pairs, wrk.ratio),
            (Tool::Wrk, 3, 1, Some([1.0, 1.1, 2.0]))
        );
        assert_eq!((ab.pairs, ab.ratio), (2, Some([0.9, 1.0, 1.1])));
    }

    #[test]
    fn pairs_that_all_failed_have_no_ratio() {
        let check = check(vec![pair(Tool::Ab, 1.0, 1.0, 1), pair(Tool::Ab, 1.0, 0.0, 0)]);
        assert_eq!(check.agreements()[0].ratio, None);
    }

    #[test]
    fn a_cross_check_survives_its_json_form() {
        let check = check(vec![pair(Tool::AbKeepAlive, 1.5, 2.25, 0)]);
        let text = serde_json::to_string(&check).unwrap();
        assert!(text.contains("\"ab -k\""));
        assert_eq!(serde_json::from_str::<CrossCheck>(&text).unwrap(), check);
    }
}
