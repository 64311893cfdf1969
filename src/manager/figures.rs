//! The figures of a balancer at one moment, as the page, the JSON and the metrics all show them.
//!
//! Owns their names, which are the JSON's: they are stable, and each says its unit. What is counted, and when, is the
//! core's business ([`Status`]). Fields may be added; none is renamed or changes its meaning.

use std::net::SocketAddr;

use roundtable::proxy::{CacheStatus, Condition, GroupStatus, MemberStatus, Mode, Policy, Status};
use serde::Serialize;

/// Everything there is to be seen.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figures {
    /// Of roundtable.
    pub(super) version: &'static str,
    /// Name of the concurrency model.
    pub(super) model: &'static str,
    /// Whole seconds since the balancer began.
    pub(super) uptime_s: u64,
    /// Exchanges in hand, the one that asks for these figures included.
    pub(super) in_flight: u64,
    /// No more connections are accepted.
    pub(super) draining: bool,
    pub(super) answers: Answers,
    pub(super) groups: Vec<GroupFigures>,
    /// Null where there is no cache.
    pub(super) cache: Option<CacheFigures>,
}

/// The cache. Counters are since the balancer began.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct CacheFigures {
    /// Bytes that it may take.
    pub(super) capacity_bytes: u64,
    /// Bytes that it takes.
    pub(super) bytes: u64,
    /// URLs of which something is stored.
    pub(super) entries: u64,
    /// Requests answered from what is stored while it was fresh, or was found to be good still.
    pub(super) hits: u64,
    /// Requests that went to a backend.
    pub(super) misses: u64,
    /// Requests answered from what is stored although it was stale.
    pub(super) stale: u64,
    /// Times that a backend has said that something stored is good still.
    pub(super) validations: u64,
    /// Responses that were stored.
    pub(super) stored: u64,
    /// Entries that went for want of room.
    pub(super) evictions: u64,
}

/// Final responses to clients so far, the balancer's own and the manager's included, by the first digit of their status.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Answers {
    #[serde(rename = "2xx")]
    pub(super) success: u64,
    #[serde(rename = "3xx")]
    pub(super) redirection: u64,
    #[serde(rename = "4xx")]
    pub(super) client_error: u64,
    #[serde(rename = "5xx")]
    pub(super) server_error: u64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct GroupFigures {
    pub(super) name: String,
    pub(super) policy: PolicyName,
    /// In the order of their turns.
    pub(super) backends: Vec<BackendFigures>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PolicyName {
    RoundRobin,
    LeastBusy,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct BackendFigures {
    /// Names it when it is to be changed.
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) address: SocketAddr,
    /// What the operator lets it do.
    pub(super) mode: ModeName,
    /// What is known of it.
    pub(super) health: Health,
    /// For how long it is left out yet: 0 when the next request may try it, null when it is not left out.
    pub(super) left_out_ms: Option<u64>,
    /// Its share of the turns, relative to the others'.
    pub(super) weight: u32,
    /// Exchanges in hand.
    pub(super) in_use: u32,
    /// The bound on these; null is none.
    pub(super) most_connections: Option<u32>,
    /// Requests that went there, each attempt counted.
    pub(super) turns: u64,
    /// Connection attempts that failed.
    pub(super) refusals: u64,
    /// Exchanges that ended without a whole answer, for its fault.
    pub(super) errors: u64,
    /// Bytes written to it.
    pub(super) bytes_to: u64,
    /// Bytes read from it.
    pub(super) bytes_from: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ModeName {
    Enabled,
    Draining,
    Disabled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Health {
    Up,
    LeftOut,
    CheckFailed,
}

impl Figures {
    pub(super) fn of(status: Status, model: &'static str) -> Figures {
        let [_, _, success, redirection, client_error, server_error] = status.answers;
        Figures {
            version: env!("CARGO_PKG_VERSION"),
            model,
            uptime_s: status.uptime.as_secs(),
            in_flight: status.in_flight as u64,
            draining: status.draining,
            answers: Answers { success, redirection, client_error, server_error },
            groups: status.groups.into_iter().map(GroupFigures::of).collect(),
            cache: status.cache.as_ref().map(CacheFigures::of),
        }
    }

    /// As a JSON document.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }
}

impl CacheFigures {
    fn of(cache: &CacheStatus) -> CacheFigures {
        CacheFigures {
            capacity_bytes: cache.capacity as u64,
            bytes: cache.bytes as u64,
            entries: cache.entries as u64,
            hits: cache.hits,
            misses: cache.misses,
            stale: cache.stale,
            validations: cache.validations,
            stored: cache.stored,
            evictions: cache.evictions,
        }
    }
}

impl GroupFigures {
    fn of(group: GroupStatus) -> GroupFigures {
        let policy = match group.policy {
            Policy::RoundRobin => PolicyName::RoundRobin,
            Policy::LeastBusy => PolicyName::LeastBusy,
        };
        let backends = group.members.into_iter().map(BackendFigures::of).collect();
        GroupFigures { name: group.name, policy, backends }
    }
}

impl BackendFigures {
    fn of(member: MemberStatus) -> BackendFigures {
        let mode = match member.mode {
            Mode::Enabled => ModeName::Enabled,
            Mode::Draining => ModeName::Draining,
            Mode::Disabled => ModeName::Disabled,
        };
        let (health, left_out_ms) = match member.health {
            Condition::Up => (Health::Up, None),
            Condition::LeftOut(rest) => {
                (Health::LeftOut, Some(u64::try_from(rest.as_millis()).unwrap_or(u64::MAX)))
            }
            Condition::CheckFailed => (Health::CheckFailed, None),
        };
        BackendFigures {
            index: member.id.index(),
            name: member.name,
            address: member.address,
            mode,
            health,
            left_out_ms,
            weight: member.weight,
            in_use: member.in_use,
            most_connections: member.most_connections,
            turns: member.turns,
            refusals: member.refusals,
            errors: member.errors,
            bytes_to: member.bytes_to,
            bytes_from: member.bytes_from,
        }
    }
}

/// Figures of every kind, with names that must be escaped.
#[cfg(test)]
pub(super) fn sample() -> Figures {
    let backend = |index: usize, name: &str| BackendFigures {
        index,
        name: name.to_owned(),
        address: ([127, 0, 0, 1], 9001 + index as u16).into(),
        mode: ModeName::Enabled,
        health: Health::Up,
        left_out_ms: None,
        weight: 1,
        in_use: 0,
        most_connections: None,
        turns: 1_234_567,
        refusals: 0,
        errors: 2,
        bytes_to: 999,
        bytes_from: 1_234_567_890,
    };
    let evil = r#"<script>alert("1")</script>&'\"#.to_owned() + "\n";
    Figures {
        version: "0.0.0",
        model: "mio",
        uptime_s: 3_723,
        in_flight: 1,
        draining: false,
        cache: Some(CacheFigures {
            capacity_bytes: 67_108_864,
            bytes: 1_500_000,
            entries: 1_234,
            hits: 5_678,
            misses: 90,
            stale: 1,
            validations: 2,
            stored: 80,
            evictions: 3,
        }),
        answers: Answers { success: 12_345, redirection: 0, client_error: 7, server_error: 1 },
        groups: vec![
            GroupFigures {
                name: "default".into(),
                policy: PolicyName::RoundRobin,
                backends: vec![
                    backend(0, "127.0.0.1:9001"),
                    BackendFigures {
                        health: Health::LeftOut,
                        left_out_ms: Some(2_100),
                        refusals: 3,
                        ..backend(1, "127.0.0.1:9001")
                    },
                    BackendFigures { health: Health::LeftOut, left_out_ms: Some(0), ..backend(2, "two") },
                ],
            },
            GroupFigures {
                name: evil.clone(),
                policy: PolicyName::LeastBusy,
                backends: vec![
                    BackendFigures { health: Health::CheckFailed, ..backend(3, &evil) },
                    BackendFigures {
                        mode: ModeName::Draining,
                        in_use: 3,
                        most_connections: Some(8),
                        weight: 5,
                        ..backend(4, "four")
                    },
                    BackendFigures {
                        mode: ModeName::Disabled,
                        health: Health::CheckFailed,
                        ..backend(5, "five")
                    },
                ],
            },
        ],
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use roundtable::proxy::{Change, Config, Limits, Proxy};

    use super::*;

    #[test]
    fn the_json_names_units_and_stays_as_it_is() {
        insta::assert_snapshot!(sample().json().unwrap());
    }

    #[test]
    fn figures_are_those_of_the_proxy() {
        let begin = Instant::now();
        let backends = vec![([127, 0, 0, 1], 9001).into(), ([127, 0, 0, 1], 9002).into()];
        let proxy = Proxy::new(Config::round_robin(backends, "a".into(), Limits::default()), begin).unwrap();
        proxy.change(1, Change::Mode(Mode::Draining)).unwrap();
        proxy.change(1, Change::Weight(3)).unwrap();
        let figures = Figures::of(proxy.status(begin + Duration::from_millis(61_900)), "tokio");
        assert_eq!((figures.model, figures.uptime_s, figures.in_flight), ("tokio", 61, 0));
        let [first, second] = &figures.groups[0].backends[..] else { panic!("{figures:?}") };
        assert_eq!((first.mode, first.health, first.weight), (ModeName::Enabled, Health::Up, 1));
        assert_eq!((second.index, second.mode, second.weight), (1, ModeName::Draining, 3));
        assert_eq!(second.address, ([127, 0, 0, 1], 9002).into());
    }
}
