//! What each role is told on its command line: the only place that turns a condition into arguments.

use std::net::SocketAddr;
use std::time::Duration;

use super::topology::Share;
use crate::load::Part;
use crate::plan::{Accept, Arrivals, Competitor, Condition, Connections, Kind, backend_name};

/// How long a window or a warm-up may take, whatever its length…
const PATIENCE: Duration = Duration::from_secs(60);
/// …and for each of its requests: fifty a second is slower than anything worth measuring, also under a tracer.
const PATIENCE_A_REQUEST: Duration = Duration::from_millis(20);

/// How long an answer may be kept by a cache: longer than any trial.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// A part that a process of a trial plays.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role<'a> {
    /// An origin server, counted from 1.
    Backend(u32),
    /// A balancer before these backends.
    Balancer(&'a Competitor, &'a [SocketAddr]),
    /// A load generator, against one balancer or the backends themselves.
    Load(&'a [SocketAddr], Detail, Part),
}

/// What the load generator tells of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Sums and histograms.
    Summed,
    /// What became of each request as well, where one may take so many milliseconds.
    EachRequest {
        /// From when it is sent.
        timeout_ms: u64,
    },
}

/// How long the warm-up or the window of `condition` may take, each.
pub(crate) fn patience(condition: &Condition) -> Duration {
    // A rate may be slower than anything else worth measuring.
    let interval =
        condition.rate.map(|rate| Duration::from_secs(1) / u32::try_from(rate).unwrap_or(u32::MAX).max(1));
    let a_request = PATIENCE_A_REQUEST.max(2 * interval.unwrap_or_default());
    let requests = condition.requests.max(condition.warmup);
    PATIENCE + a_request.saturating_mul(u32::try_from(requests).unwrap_or(u32::MAX))
}

impl Role<'_> {
    /// As a message calls it.
    pub(crate) fn name(&self) -> String {
        match self {
            Role::Backend(number) => format!("backend {}", backend_name(*number)),
            Role::Balancer(competitor, _) => format!("the balancer ({competitor})"),
            Role::Load(_, _, part) if part.is_whole() => "the load generator".to_owned(),
            Role::Load(_, _, part) => format!("load generator {}", part.number()),
        }
    }

    /// Which processors it shares.
    pub(crate) fn share(&self) -> Share {
        match self {
            Role::Balancer(..) => Share::Balancer,
            Role::Backend(_) | Role::Load(..) => Share::Other,
        }
    }

    /// Its command line under `condition`, but for where it listens and on which processors it runs.
    pub(crate) fn args(&self, condition: &Condition) -> Vec<String> {
        let mut args = Vec::new();
        let mut word = |word: &dyn ToString| args.push(word.to_string());
        match *self {
            Role::Backend(number) => {
                word(&"backend");
                word(&"--name");
                word(&backend_name(number));
                word(&"--body-bytes");
                word(&condition.body_bytes);
                if condition.upload_bytes > 0 {
                    word(&"--upload-bytes");
                    word(&condition.upload_bytes);
                }
                if !condition.delay.mean().is_zero() {
                    word(&"--delay");
                    word(&condition.delay);
                }
                if let Some(backlog) = condition.backlog {
                    word(&"--backlog");
                    word(&backlog);
                }
                if let Some(at_a_time) = condition.at_a_time {
                    word(&"--at-a-time");
                    word(&at_a_time);
                }
                if condition.hit_ratio_percent.is_some() {
                    word(&"--max-age");
                    word(&FRESH.as_secs());
                }
            }
            Role::Balancer(competitor, backends) => {
                match competitor.kind {
                    Kind::Direct | Kind::Model => {
                        word(&"balance");
                        word(&"--model");
                        word(&competitor.name);
                    }
                    Kind::Peer => {
                        word(&"peer");
                        word(&competitor.name);
                        word(&"--concurrency");
                        word(&condition.concurrency);
                        if condition.fault.is_some() {
                            word(&"--backends-fail");
                        }
                    }
                    Kind::Floor => {
                        word(&"floor");
                        word(&competitor.name);
                        if condition.connections == Connections::Close {
                            word(&"--close");
                        }
                    }
                }
                for backend in backends {
                    word(&"--backend");
                    word(backend);
                }
                if competitor.slowdown_percent > 0 {
                    word(&"--handicap");
                    word(&competitor.slowdown_percent);
                }
                if let Some(workers) = condition.workers.filter(|_| competitor.kind != Kind::Floor) {
                    word(&"--workers");
                    word(&workers);
                }
                if let Some(backlog) = condition.backlog {
                    word(&"--backlog");
                    word(&backlog);
                }
                if let Some(mib) = condition.cache_mib.filter(|_| competitor.kind == Kind::Model) {
                    word(&"--cache");
                    word(&format_args!("{mib}MiB"));
                }
                // A product has its own way, and a floor one thread.
                if condition.accept == Accept::Reuseport && competitor.kind == Kind::Model {
                    word(&"--accept");
                    word(&"reuseport");
                }
            }
            Role::Load(targets, detail, part) => {
                word(&"load");
                // Each goes on in the turns where the one before it stops.
                let first = part.before(condition.requests).checked_rem(targets.len() as u64).unwrap_or(0);
                let (last, first) = targets.split_at(usize::try_from(first).unwrap_or(0));
                first.iter().chain(last).for_each(|target| word(&format_args!("http://{target}/")));
                for (option, value) in [
                    ("-n", part.share(condition.requests)),
                    ("-c", part.share(condition.concurrency.into())),
                    ("--warmup", part.share(condition.warmup)),
                    ("--expect-body-bytes", condition.body_bytes),
                ] {
                    word(&option);
                    word(&value);
                }
                if let Some(rate) = condition.rate {
                    word(&"--rate");
                    word(&rate);
                    if !part.is_whole() {
                        word(&"--part");
                        word(&part);
                    }
                }
                for surge in condition.fault.iter().flat_map(|faults| faults.script.surges()) {
                    word(&"--surge");
                    let until = surge.until_ms.map_or(String::new(), |until| format!("{until}ms"));
                    word(&format_args!("{}@{}ms-{until}", surge.times, surge.from_ms));
                }
                if condition.arrivals == Arrivals::Poisson {
                    word(&"--arrivals");
                    word(&"poisson");
                }
                if let Some(ms) = condition.duration_ms {
                    word(&"--duration");
                    word(&format_args!("{ms}ms"));
                }
                if condition.upload_bytes > 0 {
                    word(&"--upload-bytes");
                    word(&condition.upload_bytes);
                }
                if let Some(percent) = condition.hit_ratio_percent {
                    word(&"--hit-ratio");
                    word(&percent);
                }
                if condition.connections == Connections::Keepalive {
                    word(&"-k");
                }
                if let Detail::EachRequest { timeout_ms } = detail {
                    word(&"--timeout");
                    word(&format_args!("{timeout_ms}ms"));
                    word(&"--record");
                }
                if targets.iter().any(|target| !target.ip().to_canonical().is_loopback()) {
                    word(&"--allow-remote");
                }
                word(&"--json");
            }
        }
        word(&"--supervised");
        args
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Faults, factor};

    fn factor_fault() -> Option<Faults> {
        let mut condition = Condition::default();
        factor::FAULT.set(&mut condition, &factor::FAULT.parse("refuse@1s").unwrap()[0]).unwrap();
        condition.fault
    }

    fn line(role: &Role<'_>, condition: &Condition) -> String {
        role.args(condition).join(" ")
    }

    #[test]
    fn every_factor_is_on_the_command_line_of_the_roles_that_it_concerns() {
        let condition = Condition {
            backends: 2,
            concurrency: 5,
            connections: Connections::Keepalive,
            rate: Some(500),
            body_bytes: 16,
            workers: Some(3),
            accept: Accept::Reuseport,
            requests: 100,
            warmup: 10,
            ..Condition::default()
        };
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(line(&Role::Backend(2), &condition), "backend --name b2 --body-bytes 16 --supervised");
        let slowed = Competitor::of("mio+10%#2");
        assert_eq!(
            line(&Role::Balancer(&slowed, &[at(1), at(2)]), &condition),
            "balance --model mio --backend 127.0.0.1:1 --backend 127.0.0.1:2 --handicap 10 --workers 3 \
             --accept reuseport --supervised"
        );
        assert_eq!(
            line(&Role::Balancer(&Competitor::peer("nginx"), &[at(1)]), &condition),
            "peer nginx --concurrency 5 --backend 127.0.0.1:1 --workers 3 --supervised"
        );
        let failing = Condition { fault: factor_fault(), ..Condition::default() };
        assert_eq!(
            line(&Role::Balancer(&Competitor::peer("nginx"), &[at(1)]), &failing),
            "peer nginx --concurrency 10 --backends-fail --backend 127.0.0.1:1 --supervised"
        );
        let floor = Competitor::floor("floor");
        assert_eq!(
            line(&Role::Balancer(&floor, &[at(1)]), &condition),
            "floor floor --backend 127.0.0.1:1 --supervised"
        );
        let close = Condition { connections: Connections::Close, ..condition.clone() };
        assert_eq!(
            line(&Role::Balancer(&floor, &[at(1)]), &close),
            "floor floor --close --backend 127.0.0.1:1 --supervised"
        );
        assert_eq!(
            line(&Role::Load(&[at(7)], Detail::Summed, Part::WHOLE), &condition),
            "load http://127.0.0.1:7/ -n 100 -c 5 --warmup 10 --expect-body-bytes 16 --rate 500 -k --json --supervised"
        );
        let recording = Role::Load(&[at(7)], Detail::EachRequest { timeout_ms: 5000 }, Part::WHOLE);
        assert!(line(&recording, &condition).ends_with(" -k --timeout 5000ms --record --json --supervised"));
    }

    #[test]
    fn load_generators_share_a_load_and_go_on_with_its_turns() {
        let condition = Condition { requests: 101, concurrency: 5, warmup: 3, ..Condition::default() };
        let targets = [1, 2, 3].map(|port| SocketAddr::from(([10, 0, 0, 1], port)));
        let of = |number, condition: &Condition| {
            let part = Part::each(2).nth(number).unwrap();
            line(&Role::Load(&targets, Detail::Summed, part), condition)
        };
        let [one, two, three] = targets.map(|target| format!("http://{target}/"));
        assert_eq!(
            of(0, &condition),
            format!(
                "load {one} {two} {three} -n 51 -c 3 --warmup 2 --expect-body-bytes 1024 --allow-remote --json --supervised"
            )
        );
        assert_eq!(
            of(1, &condition),
            format!(
                "load {one} {two} {three} -n 50 -c 2 --warmup 1 --expect-body-bytes 1024 --allow-remote --json --supervised"
            )
        );
        let more = Condition { requests: 102, rate: Some(500), ..condition };
        assert!(
            of(1, &more).starts_with(&format!("load {one} {two} {three} -n 51 -c 2 ")),
            "{}",
            of(1, &more)
        );
        assert!(of(1, &more).contains(" --rate 500 --part 2/2 "), "{}", of(1, &more));
        let odd = Condition { requests: 100, ..more };
        assert!(of(1, &odd).starts_with(&format!("load {three} {one} {two} -n 50 ")), "{}", of(1, &odd));
    }

    #[test]
    fn a_cache_is_the_models_and_what_it_can_answer_is_said_to_client_and_backends() {
        let condition =
            Condition { hit_ratio_percent: Some(90), cache_mib: Some(64), ..Condition::default() };
        let at = SocketAddr::from(([127, 0, 0, 1], 1));
        assert!(line(&Role::Backend(1), &condition).contains(" --max-age 86400 "));
        assert!(
            line(&Role::Load(&[at], Detail::Summed, Part::WHOLE), &condition).contains(" --hit-ratio 90 ")
        );
        let balancer = |competitor: &Competitor| line(&Role::Balancer(competitor, &[at]), &condition);
        assert!(balancer(&Competitor::of("mio")).contains(" --cache 64MiB "));
        assert!(!balancer(&Competitor::floor("floor")).contains("cache"));
        let [backend, load] = [Role::Backend(1), Role::Load(&[at], Detail::Summed, Part::WHOLE)]
            .map(|role| line(&role, &Condition::default()));
        assert!(!backend.contains("max-age") && !load.contains("hit-ratio"));
    }

    #[test]
    fn a_slow_rate_is_waited_for_as_long_as_it_takes() {
        let of = |rate, requests| patience(&Condition { rate, requests, warmup: 0, ..Condition::default() });
        assert_eq!(of(None, 1000), PATIENCE + 1000 * PATIENCE_A_REQUEST);
        assert_eq!(of(Some(1), 30), PATIENCE + Duration::from_secs(60));
    }
}
