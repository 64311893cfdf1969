//! The data that a run leaves behind: `environment.json` and the lines of `trials.jsonl`.
//!
//! Owns the shapes and their schema number, nothing that computes on them and no file access. Rules: an
//! integer carries its unit in its name; an outcome is a measured sample or the reasons why there is none,
//! never a number beside an error; a change of meaning raises [`SCHEMA`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::load::OpenLoop;

/// Version of the shapes in this file. Files of another version are refused, not guessed at.
pub const SCHEMA: u32 = 1;

/// The name of the row that is measured without any balancer: the ceiling.
pub const DIRECT: &str = "direct";

/// Whether a client connection carries one request (as `ab`) or many (as `ab -k`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Connections {
    /// One request a connection.
    Close,
    /// Persistent connections.
    Keepalive,
}

/// Whether a model waits in threads or in an event loop; `None` is the direct row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// A thread waits for each connection (or each one in hand).
    Threaded,
    /// An event loop waits for all of them.
    Async,
    /// No balancer at all.
    None,
}

/// One condition of the experiment: what is varied between trials.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// A row's label (see [`Row`](crate::row::Row)): a model's name in most cases, or [`DIRECT`].
    pub model: String,
    /// Number of backend servers.
    pub backends: u32,
    /// Number of requests outstanding at any time (closed loop), or at most (open loop).
    pub concurrency: u32,
}

/// One fresh balancer process serving one cell once: one line of `trials.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// Block (0-based): each block holds every cell once.
    pub block: u32,
    /// Place within the block (0-based): first attempts in their random order, repeats after them.
    pub position: u32,
    /// 1 for the first try; higher when an invalid trial was run again.
    pub attempt: u32,
    /// What was measured.
    pub cell: Cell,
    /// Start of the timed window, milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
    /// Wall-clock time of the whole trial, milliseconds: starting, warming up, measuring, ending.
    #[serde(default)]
    pub took_ms: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// Never a number beside an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every validity gate was passed.
    Measured(Box<Sample>),
    /// At least one was not: shown, never ranked.
    Invalid {
        /// Each gate that failed, in words, with the counts behind it.
        reasons: Vec<String>,
    },
}

/// What a valid trial measured, over its timed window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Requests sent and answered correctly in the window.
    pub completed: u64,
    /// Answers that were not 2xx. Zero in every valid trial; kept because the published tables have the column.
    pub non_2xx: u64,
    /// Length of the window, nanoseconds.
    pub elapsed_ns: u64,
    /// Bytes received by the client: heads and bodies.
    pub received_bytes: u64,
    /// Response times in nanoseconds, from when each request was sent: an HdrHistogram, V2 serialisation, base64. It
    /// leaves out the wait that a closed loop itself avoids (coordinated omission); an open loop's is in `open_loop`.
    pub latency_ns_hdr: String,
    /// At a fixed rate: how it was kept, and the times from when each request was due. Absent in the closed loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_loop: Option<OpenLoop>,
    /// Responses by the backend that named itself in them.
    pub per_backend: BTreeMap<String, u64>,
    /// What the load generator used.
    pub client: Usage,
    /// What the balancer used; absent in the direct row.
    pub balancer: Option<Usage>,
    /// What the backends used, summed (threads and peak memory too).
    pub backends: Usage,
    /// What the machine did meanwhile.
    pub host: HostWindow,
}

/// What one role used between the start and the end of the timed window (Linux: `getrusage` and
/// `/proc/self/status`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time in user mode, nanoseconds.
    pub user_ns: u64,
    /// CPU time in the kernel, nanoseconds.
    pub system_ns: u64,
    /// Context switches because the process waited.
    pub voluntary_switches: u64,
    /// Context switches because its time was up.
    pub involuntary_switches: u64,
    /// Threads alive at the end of the window.
    pub threads: u64,
    /// Peak resident memory since the process began, bytes.
    pub peak_rss_bytes: u64,
}

impl Usage {
    /// User and system time together, nanoseconds.
    pub fn cpu_ns(&self) -> u64 {
        self.user_ns + self.system_ns
    }
}

/// What the machine did during the timed window, read from `/proc`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostWindow {
    /// CPU time that the hypervisor gave to others, all processors together, nanoseconds.
    pub steal_ns: u64,
    /// CPU time spent idle, all processors together, nanoseconds.
    pub idle_ns: u64,
    /// Increase of the kernel's `ListenOverflows`: connections that met a full accept queue.
    pub listen_overflows: u64,
    /// Increase of `TCPTimeouts`: retransmission timers that fired.
    pub tcp_timeouts: u64,
    /// Sockets in TIME_WAIT when the window began.
    pub time_wait_at_start: u64,
}

/// `environment.json`: where, with what and how a run was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// When the run began, RFC 3339, UTC.
    pub created: String,
    /// The command line that began it.
    pub command_line: Vec<String>,
    /// What was run.
    pub plan: Plan,
    /// Each model as `roundtable models` prints it.
    pub models: Vec<ModelInfo>,
    /// The binary.
    pub build: Build,
    /// The machine.
    pub host: Host,
    /// What a reader must know besides, for instance that the run was resumed with another build.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The grid and how often it is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Rows, in the order of the tables; holds [`DIRECT`].
    pub models: Vec<String>,
    /// Backend counts.
    pub backends: Vec<u32>,
    /// Concurrencies.
    pub concurrency: Vec<u32>,
    /// Requests in the timed window of one trial.
    pub requests: u64,
    /// Requests sent and discarded before it, to set up connections and pools.
    pub warmup: u64,
    /// Client connections.
    pub connections: Connections,
    /// Length of each response body, bytes.
    pub body_bytes: u64,
    /// Seed of the blocks' orders.
    pub seed: u64,
    /// When to stop.
    pub length: Length,
    /// Requests per second of the open loop; `None`: closed loop.
    #[serde(default)]
    pub rate: Option<u64>,
    /// Which processors the roles may use.
    #[serde(default)]
    pub layout: Layout,
    /// Worker threads of the models that have a fixed number of them; `None`: each model's default.
    #[serde(default)]
    pub workers: Option<u32>,
    /// A trial during which the hypervisor took more than this share of the processors' time is invalid, percent.
    #[serde(default = "no_steal_limit")]
    pub steal_limit_percent: u32,
    /// Blocks are added, to the conditions that need them, until each ratio's 95 % interval is no wider than this on
    /// either side, percent; `None`: every block holds every cell.
    #[serde(default)]
    pub precision_percent: Option<u32>,
}

/// Runs of before there was a limit had none.
fn no_steal_limit() -> u32 {
    100
}

/// Which processors the roles may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Every role may use all of them; the kernel decides, and moves processes about.
    #[default]
    Shared,
    /// The balancer has one to itself, client and backends have the others: less noise, but a model that would use
    /// several cannot.
    Pinned,
}

/// When a run has enough blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// After this many blocks.
    Blocks(u32),
    /// As many whole blocks as fit, at least `minimum_blocks`.
    Budget {
        /// Wall-clock budget, milliseconds.
        budget_ms: u64,
        /// Blocks that are run even when the budget is too short.
        minimum_blocks: u32,
    },
}

/// One model, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Its name on the command line.
    pub name: String,
    /// Threaded or async.
    pub family: Family,
    /// One line.
    pub summary: String,
    /// What one schedulable piece of work is.
    pub unit_of_work: String,
    /// Fairness manifest: everything that could differ, with its value.
    pub manifest: BTreeMap<String, String>,
}

/// The binary that measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Version of roundtable.
    pub version: String,
    /// Git commit, or `unknown` outside a checkout.
    pub commit: String,
    /// Whether the checkout had uncommitted changes.
    pub dirty: bool,
    /// `rustc --version`.
    pub rustc: String,
    /// Cargo profile: `release` or `debug`.
    pub profile: String,
    /// Target triple.
    pub target: String,
    /// Versions of the crates that a model rests on.
    pub crates: BTreeMap<String, String>,
}

/// The machine that was measured on (Linux: `/proc`, `/sys`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Kernel release.
    pub kernel: String,
    /// Processor model.
    pub cpu: String,
    /// Processors that this process may use.
    pub processors: u32,
    /// Hypervisor, or `none`, as far as can be told.
    pub hypervisor: String,
    /// Physical memory, bytes.
    pub memory_bytes: u64,
    /// One-minute load average when the run began.
    pub load_average: f64,
    /// Descriptor limit of the children.
    pub descriptor_limit: u64,
    /// Kernel settings that bear on the result.
    pub sysctls: BTreeMap<String, String>,
}

/// A run as it was read back from its folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The folder's name.
    pub name: String,
    /// `environment.json`.
    pub environment: Environment,
    /// `trials.jsonl`, in the order in which the trials ended.
    pub trials: Vec<Trial>,
}
