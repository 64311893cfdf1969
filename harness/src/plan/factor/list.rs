//! The list of factors: one entry for each field of a [`Condition`](crate::plan::Condition).

use super::{Factor, Value, Values};
use crate::load::MAX_RATE;
use crate::plan::condition::{Accept, Connections, Layout};
use crate::plan::fault::{Draft, FaultError, Faults};
use crate::text::counted;

/// "1 backend", "3 backends".
fn many(count: u64, thing: &str) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), thing)
}

const CLOSED: &str = "closed";
const DEFAULT: &str = "default";
/// No fault script.
pub(super) const NONE: &str = "none";

/// Number of backend servers.
pub static BACKENDS: Factor = Factor {
    name: "backends",
    title: "backends",
    heading: "backends",
    short_heading: "backends",
    unit: "",
    placeholder: "LIST",
    help: "How many backends stand behind the balancer, as in 1-5 or 1,3,5 [default: 1-5]",
    phrase: |n| many(n, "backend"),
    values: Values::Whole { least: 1, most: 64, unset: None },
    get: |c| c.backends.into(),
    set: |c, value| value.whole().map(|backends| c.backends = backends),
};

/// Requests outstanding.
pub static CONCURRENCY: Factor = Factor {
    name: "concurrency",
    title: "concurrency",
    heading: "concurrency",
    short_heading: "conc.",
    unit: "",
    placeholder: "LIST",
    help: "How many requests are outstanding at any time (with --rate: at most), as in 2,5,10 [default: 2,5,10]",
    phrase: |n| format!("concurrency {n}"),
    values: Values::Whole { least: 1, most: 20_000, unset: None },
    get: |c| c.concurrency.into(),
    set: |c, value| value.whole().map(|concurrency| c.concurrency = concurrency),
};

/// Requests per second of the open loop.
pub static RATE: Factor = Factor {
    name: "rate",
    title: "rate",
    heading: "rate, per second",
    short_heading: "rate\n/second",
    unit: "per second",
    placeholder: "R|auto",
    help: "Open loop: so many requests per second are due, evenly spaced, whatever became of those before, and latency \
           counts from when each was due. For latencies; throughput is then the rate. auto looks for a rate that every row \
           sustains at every condition, before the first trial: about two seconds for each row and condition \
           [default: closed loop]",
    phrase: |n| format!("{n} requests per second"),
    values: Values::Whole { least: 1, most: MAX_RATE, unset: Some((CLOSED, "a closed loop")) },
    get: |c| c.rate.map_or(Value::word(CLOSED), Value::Number),
    set: |c, value| {
        c.rate = value.number();
        Some(())
    },
};

/// Requests of the timed window.
pub static REQUESTS: Factor = Factor {
    name: "requests",
    title: "requests a trial",
    heading: "requests a trial",
    short_heading: "requests\na trial",
    unit: "",
    placeholder: "N",
    help: "Requests that are timed in each trial [default: 10000; with --quick 4000; with --rate one second's, at least \
           2000 so that a p99 is known, at most 30 s; with --rate and --quick half a second's, at least 2000, at most 15 s]",
    phrase: |n| format!("{n} requests a trial"),
    values: Values::Whole { least: 1, most: MOST_REQUESTS, unset: None },
    get: |c| Value::Number(c.requests),
    set: |c, value| value.number().map(|requests| c.requests = requests),
};

/// Requests before the timed window.
pub static WARMUP: Factor = Factor {
    name: "warmup",
    title: "warm-up requests",
    heading: "warm-up requests",
    short_heading: "warm-up",
    unit: "",
    placeholder: "N",
    help: "Requests that are sent before and discarded [default: 10 for each connection of the largest concurrency, and \
           at least a twentieth of --requests; with --rate at most ten seconds of it]",
    phrase: |n| format!("{n} warm-up requests"),
    values: Values::Whole { least: 0, most: MOST_REQUESTS, unset: None },
    get: |c| Value::Number(c.warmup),
    set: |c, value| value.number().map(|warmup| c.warmup = warmup),
};

/// How the client uses connections.
pub static CONNECTIONS: Factor = Factor {
    name: "connections",
    title: "connections",
    heading: "connections",
    short_heading: "connections",
    unit: "",
    placeholder: "close|keepalive",
    help: "One request on each client connection (close) or many (keepalive) [default: close]",
    phrase: |n| format!("connections {n}"),
    values: Values::Words(&[
        ("close", "a new connection for each request"),
        ("keepalive", "persistent connections"),
    ]),
    get: |c| {
        Value::word(match c.connections {
            Connections::Close => "close",
            Connections::Keepalive => "keepalive",
        })
    },
    set: |c, value| {
        c.connections = match value {
            Value::Word(word) if word == "close" => Connections::Close,
            Value::Word(word) if word == "keepalive" => Connections::Keepalive,
            _ => return None,
        };
        Some(())
    },
};

/// Length of each response body.
pub static BODY_BYTES: Factor = Factor {
    name: "body-bytes",
    title: "bytes a body",
    heading: "body, bytes",
    short_heading: "body\nbytes",
    unit: "",
    placeholder: "N",
    help: "Length of each response body, bytes [default: 1024]",
    phrase: |n| format!("bodies of {n} bytes"),
    values: Values::Whole { least: 0, most: 64 << 20, unset: None },
    get: |c| Value::Number(c.body_bytes),
    set: |c, value| value.number().map(|bytes| c.body_bytes = bytes),
};

/// Which processors the roles may use.
pub static LAYOUT: Factor = Factor {
    name: "layout",
    title: "layout",
    heading: "layout",
    short_heading: "layout",
    unit: "",
    placeholder: "shared|pinned",
    help: "Let all processes use all processors (shared), or give the balancer one to itself (pinned) [default: shared]",
    phrase: |n| format!("layout {n}"),
    values: Values::Words(&[
        ("shared", "every process may use every processor"),
        ("pinned", "the balancer has one processor, client and backends have the others"),
    ]),
    get: |c| {
        Value::word(match c.layout {
            Layout::Shared => "shared",
            Layout::Pinned => "pinned",
        })
    },
    set: |c, value| {
        c.layout = match value {
            Value::Word(word) if word == "shared" => Layout::Shared,
            Value::Word(word) if word == "pinned" => Layout::Pinned,
            _ => return None,
        };
        Some(())
    },
};

/// Worker threads of the models that have a fixed number of them.
pub static WORKERS: Factor = Factor {
    name: "workers",
    title: "workers",
    heading: "workers",
    short_heading: "workers",
    unit: "",
    placeholder: "N",
    help: "Worker threads of the models that have a fixed number of them, and of the products whose number can be chosen; the \
           others are measured without [default: each model's own; one for a product, 25 for httpd-event]",
    phrase: |n| many(n, "worker"),
    values: Values::Whole { least: 1, most: 1024, unset: Some((DEFAULT, "each model's own number")) },
    get: |c| c.workers.map_or(Value::word(DEFAULT), Value::from),
    set: |c, value| {
        c.workers = match value {
            Value::Number(_) => Some(value.whole()?),
            Value::Word(_) => None,
        };
        Some(())
    },
};

/// Who accepts connections.
pub static ACCEPT: Factor = Factor {
    name: "accept",
    title: "who accepts",
    heading: "who accepts",
    short_heading: "who\naccepts",
    unit: "",
    placeholder: "single|reuseport",
    help: "Where a model's workers share nothing: let one thread accept for all of them, in turn (single), or each worker for \
           itself, as the kernel chooses (reuseport) [default: single]",
    phrase: |n| n.to_string(),
    values: Values::Words(&[
        ("single", "where workers share nothing, one thread accepts for all, in turn"),
        ("reuseport", "where workers share nothing, each accepts for itself, as the kernel chooses"),
    ]),
    get: |c| {
        Value::word(match c.accept {
            Accept::Single => "single",
            Accept::Reuseport => "reuseport",
        })
    },
    set: |c, value| {
        c.accept = match value {
            Value::Word(word) if word == "single" => Accept::Single,
            Value::Word(word) if word == "reuseport" => Accept::Reuseport,
            _ => return None,
        };
        Some(())
    },
};

/// What befalls the backends.
pub static FAULT: Factor = Factor {
    name: "fault",
    title: "faults",
    heading: "faults",
    short_heading: "faults",
    unit: "",
    placeholder: "SCRIPT",
    help: "Let faults befall a backend while a load goes on at a fixed rate, and see how clients fare under each model, as in \
           kill-backend@2s,restore@4s; there are kill-backend, slow-backend and refuse, and refuse=1@2s is of the first \
           backend instead of the last; three times with 3 backends at 500 requests per second, unless --blocks, --backends \
           and --rate say otherwise",
    phrase: |n| format!("faults {n}"),
    values: Values::Script,
    get: |c| c.fault.as_ref().map_or(Value::word(NONE), |faults| Value::word(&faults.script.to_string())),
    set: |c, value| {
        c.fault = match value {
            Value::Word(word) if word == NONE => None,
            value => Some(Faults::of(draft(value).ok()?.over(c.backends).ok()?)),
        };
        Some(())
    },
};

pub(super) fn draft(value: &Value) -> Result<Draft, FaultError> {
    value.to_string().parse()
}

const MOST_REQUESTS: u64 = 100_000_000;

/// All of them; axes are crossed in this order, the first one outermost.
pub static FACTORS: [&Factor; 11] = [
    &BACKENDS,
    &CONCURRENCY,
    &RATE,
    &REQUESTS,
    &WARMUP,
    &CONNECTIONS,
    &BODY_BYTES,
    &LAYOUT,
    &WORKERS,
    &ACCEPT,
    &FAULT,
];
