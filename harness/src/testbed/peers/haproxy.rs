//! HAProxy: one process, with an event loop in each of its threads.

use super::{BACKEND_S, CONNECT_S, Configured, IDLE_S, Peer, Setup, Turns, Workers};
use crate::plan::Family;

pub(super) const PEER: Peer = Peer {
    name: "haproxy",
    family: Family::Async,
    summary: "threads with an event loop each, in C; made for balancing, and keeps statistics of every connection",
    unit_of_work: "a task of one stream",
    workers: Workers::Count(1),
    turns: Turns::Equal,
    programs: &["haproxy"],
    version: "-v",
    configure,
};

fn configure(setup: &Setup<'_>) -> Configured {
    let Setup { listen, workers, backlog, .. } = setup;
    let connections = setup.connections();
    // It leaves a backend out after a failed check alone.
    let check = if setup.backends_fail { " check inter 1s fall 1 rise 1" } else { "" };
    let servers: String =
        (1..).zip(setup.backends).map(|(n, backend)| format!("  server b{n} {backend}{check}\n")).collect();
    let text = format!(
        "global
  nbthread {workers}
  maxconn {connections}
defaults
  mode http
  timeout connect {CONNECT_S}s
  timeout client {IDLE_S}s
  timeout server {BACKEND_S}s
  option http-keep-alive
  option redispatch 1
  http-reuse always
  option forwardfor
frontend clients
  bind {listen} backlog {backlog}
  default_backend backends
backend backends
  balance roundrobin
  http-request add-header Via \"1.1 haproxy\"
  http-response add-header Via \"1.1 haproxy\"
{servers}"
    );
    let args = ["-db", "-f", &setup.path("haproxy.cfg")].map(str::to_owned);
    Configured { files: vec![("haproxy.cfg", text)], args: args.into(), env: Vec::new() }
}
