//! What is written of a closed loop, and what of an open one: the one place where the words differ.

use crate::analysis::grid::Dimension;
use crate::analysis::loop_kind::Loop;
use crate::analysis::metric::Metric;
use crate::load::latency::REQUESTS_BEYOND_A_PERCENTILE;
use crate::plan::{Condition, Connections, Plan, factor};
use crate::report::prose::grid;
use crate::text::{capitalised, counted, grouped};

/// "open loop at 2,000 requests per second"; nothing of a closed one, which is what a reader expects.
pub(in crate::report) fn name(load: Loop) -> Option<String> {
    match load {
        Loop::Closed => None,
        Loop::Open { rate: Some(rate) } => {
            Some(format!("open loop at {} requests per second", grouped(&rate.to_string())))
        }
        Loop::Open { rate: None } => Some("open loop at several rates".to_owned()),
    }
}

/// The same, and since when its response times count.
pub(in crate::report) fn name_with_times(load: Loop) -> Option<String> {
    Some(format!("{}, latency from the intended send time", name(load)?))
}

/// `title`, with the loop where it is an open one.
pub(in crate::report) fn titled(title: &str, load: Loop) -> String {
    title.to_owned() + &name(load).map_or(String::new(), |name| format!(", {name}"))
}

/// What stands behind the name of `metric` in a heading, so that nobody takes one loop's figures for the other's.
pub(in crate::report) fn remark_on(metric: Metric, load: Loop) -> String {
    let times = matches!(metric, Metric::P50 | Metric::P99);
    let remark = match load {
        Loop::Closed => times.then(|| "closed loop".to_owned()),
        Loop::Open { .. } if times => name_with_times(load),
        Loop::Open { .. } => name(load),
    };
    remark.map_or(String::new(), |remark| format!(" ({remark})"))
}

/// What load a trial was, in one sentence.
pub(in crate::report) fn of_a_trial(plan: &Plan) -> String {
    let connections = grid::of_plan_grouped(plan, &factor::CONNECTIONS);
    let kind = match name_with_times(Loop::of_plan(plan)) {
        None => "Closed loop,".to_owned(),
        Some(open) => format!("{};", capitalised(&open)),
    };
    format!("{kind} {}, {connections}.", length(plan))
}

/// How long a trial was: "10,000 requests a trial", "at most 2s and 10,000 requests a trial".
pub(in crate::report) fn length(plan: &Plan) -> String {
    let requests = grid::of_plan_grouped(plan, &factor::REQUESTS);
    match plan.values(&factor::DURATION).as_slice() {
        [only] if plan.base.duration_ms.is_none() && *only == factor::DURATION.get(&plan.base) => {
            format!("{requests} requests a trial")
        }
        _ => format!("{} and {requests} requests a trial", grid::of_plan(plan, &factor::DURATION)),
    }
}

/// What lies across a chart whose scale is remarked on, where that says something.
pub(in crate::report) fn across(load: Loop, across: &Dimension, scale: &str) -> String {
    let outstanding = match load {
        _ if *across.factor != factor::CONCURRENCY => "",
        Loop::Closed => "requests outstanding at any time",
        Loop::Open { .. } => "requests outstanding at most",
    };
    grid::axis_title(across, &[outstanding, scale])
}

/// What a terminal's reader must know of the response times.
pub(in crate::report) fn times_on_a_terminal(load: Loop) -> &'static str {
    match load {
        Loop::Closed => {
            " p50 and p99 are a closed loop's, which leave out the wait that it avoids: for latencies, \
             `roundtable run --rate auto`."
        }
        Loop::Open { .. } => "",
    }
}

/// What a reader of response times under a figure must know.
pub(in crate::report) fn times_in_a_figure(load: Loop) -> &'static str {
    match load {
        Loop::Closed => {
            "Closed-loop times: they leave out the wait of requests that a stalled loop did not send (coordinated omission)."
        }
        Loop::Open { .. } => {
            "Times from the intended send time: whatever a request waited since it was due is in them."
        }
    }
}

/// What the load generator did, as the end of a sentence.
pub(in crate::report) fn driven(plan: &Plan) -> String {
    let [concurrency, connections] =
        [&factor::CONCURRENCY, &factor::CONNECTIONS].map(|of| grid::of_plan(plan, of));
    match Loop::of_plan(plan) {
        Loop::Closed => format!(
            "kept {concurrency} requests outstanding (concurrency), {connections}, and began a new one only when an old \
             one was answered: a closed loop, as ab and wrk have it"
        ),
        Loop::Open { .. } => format!(
            "sent {} requests per second, evenly spaced, each when it was due, whatever had become of those before it: an open \
             loop, as wrk2 has it. It had at most {concurrency} requests outstanding (concurrency), {connections}; one that \
             came due while as many were outstanding waited for its turn",
            grid::of_plan_grouped(plan, &factor::RATE),
        ),
    }
}

/// What a valid trial must have been besides, as the end of a list.
pub(in crate::report) fn validity(load: Loop) -> &'static str {
    match load {
        Loop::Closed => ", and the backends got equal turns",
        Loop::Open { .. } => ", the backends got equal turns, and the rate was sustained",
    }
}

/// What the response times are.
pub(in crate::report) fn times(load: Loop) -> String {
    let times = match load {
        Loop::Closed => {
            "The response times come from the closed loop: when the system stalls, the loop stops sending, so the wait \
             that further requests would have had is left out (coordinated omission). They compare models under this \
             load; they are not what users of an open system would see: those are measured by `roundtable run --rate auto`."
        }
        Loop::Open { .. } => {
            "The response time counts from when a request was due, its intended send time, to the last byte of its answer. \
             When the system stalls, the wait of every request that came due meanwhile is in it: the wait that a closed loop \
             leaves out (coordinated omission). What the load generator itself was late is in it too. Evenly spaced requests \
             are milder than the bursts of many independent users."
        }
    };
    format!(
        "{times} A percentile is printed only where at least {REQUESTS_BEYOND_A_PERCENTILE} requests lie beyond it: per \
         trial in the tables, pooled over blocks in the curves."
    )
}

/// What becomes of throughput, where it was not measured.
pub(in crate::report) fn throughput(load: Loop) -> Option<&'static str> {
    match load {
        Loop::Closed => None,
        Loop::Open { .. } => Some(
            "The rate is the same for every row, so throughput is the rate and is not compared: what \
             may differ is response time and CPU time. A rate counts as sustained when at least 99 % of it were answered and no \
             backlog grew to the end. A trial in which it was not is left out although it was slow, so that a cell with such \
             trials among its invalid ones was slower at times than its figures say. CPU time per request at a part of what a \
             model can serve includes falling asleep and waking up, which a saturated model does less often.",
        ),
    }
}

/// What the direct row shows under `conditions`.
pub(in crate::report) fn direct(load: Loop, conditions: &[Condition]) -> &'static str {
    let kept = conditions.iter().all(|condition| condition.connections == Connections::Keepalive);
    match (load, if kept { Connections::Keepalive } else { Connections::Close }) {
        (Loop::Closed, Connections::Keepalive) => {
            "It is the ceiling of client, backends and machine: where a model comes near it, they may be the limit \
             rather than the model."
        }
        (Loop::Closed, Connections::Close) => {
            "It shows what client, backends and machine can do, but it is no strict ceiling: its backends meet a \
             new connection with every request, while a balancer keeps its connections to them, so a model can be \
             above it. A model that is near or above it was limited by the client or the machine."
        }
        (Loop::Open { .. }, Connections::Keepalive) => {
            "Its times are what client, backends and machine need at this rate without a balancer."
        }
        (Loop::Open { .. }, Connections::Close) => {
            "Its times are what client, backends and machine need at this rate without a balancer; but its backends meet a new \
             connection with every request, while a balancer keeps its connections to them, so a model can be quicker."
        }
    }
}

/// What load a trial with faults was, in one sentence.
pub(in crate::report) fn of_faults(plan: &Plan) -> String {
    let backends = counted(plan.most_backends() as usize, "backend");
    format!(
        "Open loop: {} requests per second are due, on up to {} connections, {}; {backends}.",
        plan.base.rate.unwrap_or(0),
        plan.most_concurrency(),
        grid::of_plan(plan, &factor::CONNECTIONS)
    )
}
