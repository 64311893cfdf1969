//! The list of factors: one entry for each field of a [`Condition`](crate::plan::Condition).

use roundtable_backends::ServiceTime;

use super::{Factor, Value, Values, value};
use crate::load::{LEAST_DURATION, MAX_DURATION, MAX_RATE};
use crate::plan::condition::{Accept, Arrivals, Connections, Layout};
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

/// How the requests of the open loop are spaced.
pub static ARRIVALS: Factor = Factor {
    name: "arrivals",
    title: "arrivals",
    heading: "arrivals",
    short_heading: "arrivals",
    unit: "",
    placeholder: "even|poisson",
    help: "With --rate: requests come evenly spaced (even), or as those of many independent users do (poisson) [default: even]",
    phrase: |n| n.to_string(),
    values: Values::Words(&[
        ("even", "evenly spaced where there is a rate"),
        ("poisson", "requests as of a Poisson process"),
    ]),
    get: |c| {
        Value::word(match c.arrivals {
            Arrivals::Even => "even",
            Arrivals::Poisson => "poisson",
        })
    },
    set: |c, value| {
        c.arrivals = match value {
            Value::Word(word) if word == "even" => Arrivals::Even,
            Value::Word(word) if word == "poisson" => Arrivals::Poisson,
            _ => return None,
        };
        Some(())
    },
};

/// When the timed window ends at the latest.
pub static DURATION: Factor = Factor {
    name: "duration",
    title: "longest window",
    heading: "longest window",
    short_heading: "longest\nwindow",
    unit: "at most",
    placeholder: "DURATION",
    help: "End the timed window of a trial after this time, however many requests are left, and its warm-up likewise \
           [default: none: each ends with its last request]",
    phrase: |n| format!("at most {n} ms"),
    values: Values::Time {
        least_ms: LEAST_DURATION.as_millis() as u64,
        most_ms: MAX_DURATION.as_millis() as u64,
        unset: (NONE, "windows as long as their requests take"),
    },
    get: |c| Value::word(&c.duration_ms.map_or(NONE.to_owned(), value::of_ms)),
    set: |c, given| {
        c.duration_ms = match given {
            Value::Word(word) if word == NONE => None,
            Value::Word(word) => Some(value::duration_ms(word)?),
            Value::Number(_) => return None,
        };
        Some(())
    },
};

/// How long a backend works on a request.
pub static DELAY: Factor = Factor {
    name: "delay",
    title: "service time",
    heading: "service time",
    short_heading: "service\ntime",
    unit: "service time",
    placeholder: "[exp:]DURATION",
    help: "How long each backend works on a request, as in 10ms, or exponentially distributed with a mean, as in exp:10ms \
           [default: none: backends answer at once]",
    phrase: |n| n.to_string(),
    values: Values::ServiceTime { none: (NONE, "backends that answer at once") },
    get: |c| Value::word(&if c.delay.mean().is_zero() { NONE.to_owned() } else { c.delay.to_string() }),
    set: |c, value| {
        c.delay = match value {
            Value::Word(word) if word == NONE => ServiceTime::default(),
            Value::Word(word) => word.parse().ok()?,
            Value::Number(_) => return None,
        };
        Some(())
    },
};

/// Requests that a backend works on at a time.
pub static AT_A_TIME: Factor = Factor {
    name: "at-a-time",
    title: "requests at a time",
    heading: "requests at a time",
    short_heading: "at a\ntime",
    unit: "",
    placeholder: "N",
    help: "With --delay: how many requests each backend works on at a time, while the others wait in the order in which they \
           came [default: unlimited]",
    phrase: |n| format!("{n} at a time"),
    values: Values::Whole {
        least: 1,
        most: 100_000,
        unset: Some(("unlimited", "as many as come at a time")),
    },
    get: |c| c.at_a_time.map_or(Value::word("unlimited"), Value::from),
    set: |c, value| {
        c.at_a_time = match value {
            Value::Number(_) => Some(value.whole()?),
            Value::Word(_) => None,
        };
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

/// Length of each request body.
pub static UPLOAD_BYTES: Factor = Factor {
    name: "upload-bytes",
    title: "bytes an upload",
    heading: "upload, bytes",
    short_heading: "upload\nbytes",
    unit: "",
    placeholder: "N",
    help: "Length of each request body, bytes; backends verify each byte of it [default: 0: requests are GETs without a body]",
    phrase: |n| format!("uploads of {n} bytes"),
    values: Values::Whole { least: 0, most: 64 << 20, unset: None },
    get: |c| Value::Number(c.upload_bytes),
    set: |c, value| value.number().map(|bytes| c.upload_bytes = bytes),
};

/// How many of the requests ask for what was asked for before.
pub static HIT_RATIO: Factor = Factor {
    name: "hit-ratio",
    title: "hit ratio",
    heading: "hit ratio, %",
    short_heading: "hit\nratio, %",
    unit: "%",
    placeholder: "PERCENT",
    help: "Let backends say that answers may be stored, and so many percent of the requests ask for what was asked for before, the \
           others for what never was: the share that a cache can answer, as in 0,50,90,100 [default: none: all requests ask for the \
           same, which no cache keeps]",
    phrase: |n| format!("a hit ratio of {n} %"),
    values: Values::Whole {
        least: 0,
        most: 100,
        unset: Some((NONE, "all requests ask for the same, which no cache keeps")),
    },
    get: |c| c.hit_ratio_percent.map_or(Value::word(NONE), Value::from),
    set: |c, value| {
        c.hit_ratio_percent = match value {
            Value::Number(_) => Some(value.whole()?),
            Value::Word(_) => None,
        };
        Some(())
    },
};

/// Memory of the models' cache.
pub static CACHE: Factor = Factor {
    name: "cache",
    title: "cache",
    heading: "cache",
    short_heading: "cache",
    unit: "a cache of",
    placeholder: "SIZE",
    help: "Let each model keep so much of what backends answer in memory, and answer from there, as in 64MiB; backends are then asked \
           for the rest alone, which --hit-ratio says how much of; the direct row has no cache, and products and floors are not \
           measured with one [default: none]",
    phrase: |n| n.to_string(),
    values: Values::Memory { least_mib: 1, most_mib: 1 << 20, none: (NONE, "no cache") },
    get: |c| Value::word(&c.cache_mib.map_or(NONE.to_owned(), value::of_mib)),
    set: |c, given| {
        c.cache_mib = match given {
            Value::Word(word) if word == NONE => None,
            Value::Word(word) => Some(value::memory_mib(word)?),
            Value::Number(_) => return None,
        };
        Some(())
    },
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

/// Connections that may wait to be accepted.
pub static BACKLOG: Factor = Factor {
    name: "backlog",
    title: "backlog",
    heading: "backlog",
    short_heading: "backlog",
    unit: "",
    placeholder: "N",
    help: "How many connections may wait to be accepted, at the balancer and at each backend; a full queue makes clients wait for \
           a second or more, and is then no fault of a trial [default: 1024]",
    phrase: |n| format!("backlog {n}"),
    values: Values::Whole { least: 1, most: 65_535, unset: Some((DEFAULT, "backlogs that nobody fills")) },
    get: |c| c.backlog.map_or(Value::word(DEFAULT), Value::from),
    set: |c, value| {
        c.backlog = match value {
            Value::Number(_) => Some(value.whole()?),
            Value::Word(_) => None,
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
           backend instead of the last; surge=3@2s,calm@4s triples the rate meanwhile; three times with 3 backends at 500 requests per second, unless --blocks, --backends \
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
pub static FACTORS: [&Factor; 19] = [
    &BACKENDS,
    &CONCURRENCY,
    &RATE,
    &ARRIVALS,
    &REQUESTS,
    &DURATION,
    &WARMUP,
    &CONNECTIONS,
    &BODY_BYTES,
    &UPLOAD_BYTES,
    &DELAY,
    &AT_A_TIME,
    &HIT_RATIO,
    &CACHE,
    &LAYOUT,
    &WORKERS,
    &ACCEPT,
    &BACKLOG,
    &FAULT,
];
