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
#[serde(from = "AnyVersion")]
pub struct CrossCheck {
    /// The tools that were there, each as its first line of version tells.
    pub versions: Vec<String>,
    /// The tools that were not there or did not work, and why.
    pub missing: Vec<String>,
    /// In the order in which they were measured.
    pub pairs: Vec<Pair>,
}

/// Ours and theirs, one right after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The balancer's model.
    pub model: String,
    /// What was done to it; the connections are those of the tool.
    pub condition: Condition,
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
    /// What was done to it.
    pub condition: Condition,
    /// Theirs.
    pub tool: Tool,
    /// Pairs without a failure.
    pub pairs: usize,
    /// Pairs with one: not in the ratios.
    pub failed_pairs: usize,
    /// Ours divided by theirs: the lowest, the median and the highest of the pairs.
    pub ratio: Option<[f64; 3]>,
}

/// Measures `pairs` pairs for each of `models` and each tool that is there, under each of `conditions`. `tell` hears of
/// what is under way.
pub fn measure(
    testbed: &Testbed,
    conditions: &[Condition],
    models: &[Competitor],
    pairs: u32,
    tell: &mut dyn FnMut(&str),
) -> Result<CrossCheck, PassError> {
    let mut check = CrossCheck { versions: Vec::new(), missing: Vec::new(), pairs: Vec::new() };
    let mut tools = installed(&mut check);
    let conditions = super::each_once(conditions, as_tools_ask);
    for condition in &conditions {
        let setup = Setup::start(testbed, condition)?;
        for number in 0..pairs {
            for model in models {
                for tool in tools.clone() {
                    let (place, name) = (super::place(condition), tool.name());
                    tell(&format!("cross-check, {place}, pair {} of {pairs}: {model}, {name}", number + 1));
                    match pair(&setup, condition, model, tool, number % 2 == 0) {
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
    }
    Ok(check)
}

/// `asked`, as far as the tools can do so. Each has its own connections; a closed loop, whatever the run's: so are theirs; and they ask
/// for one URL alone, which a cache has.
fn as_tools_ask(asked: &Condition) -> Condition {
    Condition {
        connections: Connections::Close,
        rate: None,
        fault: None,
        hit_ratio_percent: asked.hit_ratio_percent.map(|_| 100),
        requests: REQUESTS,
        warmup: WARMUP,
        ..asked.clone()
    }
}

/// As it is kept now, and as an earlier roundtable kept it: with one backend count and concurrency for all pairs.
#[derive(Deserialize)]
struct AnyVersion {
    versions: Vec<String>,
    missing: Vec<String>,
    backends: Option<u32>,
    concurrency: Option<u32>,
    pairs: Vec<PairOfAnyVersion>,
}

#[derive(Deserialize)]
struct PairOfAnyVersion {
    model: String,
    condition: Option<Condition>,
    tool: Tool,
    ours_first: bool,
    ours_per_second: f64,
    theirs_per_second: f64,
    failures: u64,
}

impl From<AnyVersion> for CrossCheck {
    fn from(AnyVersion { versions, missing, backends, concurrency, pairs }: AnyVersion) -> Self {
        let plain = Condition::default();
        let earlier = |tool: Tool| Condition {
            backends: backends.unwrap_or(plain.backends),
            concurrency: concurrency.unwrap_or(plain.concurrency),
            connections: tool.connections(),
            requests: REQUESTS,
            warmup: WARMUP,
            ..plain.clone()
        };
        let today = |pair: PairOfAnyVersion| Pair {
            condition: pair.condition.unwrap_or_else(|| earlier(pair.tool)),
            model: pair.model,
            tool: pair.tool,
            ours_first: pair.ours_first,
            ours_per_second: pair.ours_per_second,
            theirs_per_second: pair.theirs_per_second,
            failures: pair.failures,
        };
        CrossCheck { versions, missing, pairs: pairs.into_iter().map(today).collect() }
    }
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
    condition: &Condition,
    model: &Competitor,
    tool: Tool,
    ours_first: bool,
) -> Result<Pair, PairError> {
    let condition = Condition { connections: tool.connections(), ..condition.clone() };
    let ours = || -> Result<_, PairError> {
        let balancer = setup.balancer(model, &condition)?;
        let report = go(setup.load(balancer.address, &condition)?, &condition)?;
        Ok((report.requests_per_second(), report.requests - report.completed + report.non_2xx))
    };
    let theirs = || -> Result<_, PairError> {
        let balancer = setup.balancer(model, &condition)?;
        // Theirs cannot warm up: ours does it for them, with as little behind it as there can be.
        let little = Condition { requests: condition.concurrency.into(), ..condition.clone() };
        drop(setup.load(balancer.address, &little)?);
        let args = tool.args(balancer.address, condition.concurrency);
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
        condition,
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

    fn connections(self) -> Connections {
        if self == Tool::Ab { Connections::Close } else { Connections::Keepalive }
    }

    fn args(self, target: SocketAddr, concurrency: u32) -> Vec<String> {
        let url = format!("http://{target}/");
        let line = match self {
            Tool::Ab => format!("-q -n {REQUESTS} -c {concurrency} {url}"),
            Tool::AbKeepAlive => format!("-q -k -n {REQUESTS} -c {concurrency} {url}"),
            Tool::Wrk => format!("-t1 -c{concurrency} -d{SECONDS}s {url}"),
        };
        line.split(' ').map(str::to_owned).collect()
    }
}

impl CrossCheck {
    /// Condition by condition, model by model and tool by tool, in the order in which they were first measured.
    pub fn agreements(&self) -> Vec<Agreement> {
        let mut alike: Vec<Vec<&Pair>> = Vec::new();
        for pair in &self.pairs {
            let key = |pair: &Pair| (pair.condition.clone(), pair.model.clone(), pair.tool);
            match alike.iter_mut().find(|of| of.first().is_some_and(|first| key(first) == key(pair))) {
                Some(of) => of.push(pair),
                None => alike.push(vec![pair]),
            }
        }
        alike.iter().filter_map(|pairs| Agreement::of(pairs)).collect()
    }
}

impl Agreement {
    /// Of pairs of one condition, model and tool; `None` of none.
    fn of(pairs: &[&Pair]) -> Option<Self> {
        let Pair { model, condition, tool, .. } = pairs.first()?;
        let sound = pairs.iter().filter(|pair| pair.failures == 0 && pair.theirs_per_second > 0.0);
        let mut ratios: Vec<f64> = sound.map(|pair| pair.ours_per_second / pair.theirs_per_second).collect();
        ratios.sort_by(f64::total_cmp);
        let at = |index: usize| ratios.get(index).copied();
        let ratio = ratios.first().zip(ratios.last()).and_then(|(lowest, highest)| {
            let median = f64::midpoint(at((ratios.len() - 1) / 2)?, at(ratios.len() / 2)?);
            Some([*lowest, median, *highest])
        });
        Some(Agreement {
            model: model.clone(),
            condition: condition.clone(),
            tool: *tool,
            pairs: ratios.len(),
            failed_pairs: pairs.len() - ratios.len(),
            ratio,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(tool: Tool, ours: f64, theirs: f64, failures: u64) -> Pair {
        Pair {
            model: "mio".into(),
            condition: Condition { connections: tool.connections(), ..Condition::default() },
            tool,
            ours_first: true,
            ours_per_second: ours,
            theirs_per_second: theirs,
            failures,
        }
    }

    fn check(pairs: Vec<Pair>) -> CrossCheck {
        CrossCheck { versions: Vec::new(), missing: Vec::new(), pairs }
    }

    #[test]
    fn tools_ask_for_one_url_so_that_hit_ratios_are_no_conditions_of_theirs() {
        let of =
            |hit_ratio_percent| Condition { hit_ratio_percent, cache_mib: Some(64), ..Condition::default() };
        let asked = super::super::each_once(&[of(Some(0)), of(Some(90)), of(None)], as_tools_ask);
        let ratios: Vec<_> = asked.iter().map(|condition| condition.hit_ratio_percent).collect();
        assert_eq!(ratios, [Some(100), None]);
        assert!(asked.iter().all(|condition| condition.cache_mib == Some(64)));
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

    #[test]
    fn pairs_that_an_earlier_roundtable_kept_are_of_their_one_condition() {
        let kept = r#"{"versions":[],"missing":[],"backends":4,"concurrency":20,"pairs":[{"model":"mio","tool":"ab -k",
            "ours_first":true,"ours_per_second":1.0,"theirs_per_second":2.0,"failures":0}]}"#;
        let pair = &serde_json::from_str::<CrossCheck>(kept).unwrap().pairs[0];
        assert_eq!((pair.condition.backends, pair.condition.concurrency), (4, 20));
        assert_eq!(pair.condition.connections, Connections::Keepalive);
    }
}
