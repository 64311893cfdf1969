//! Caddy: goroutines, which Go's runtime runs on its threads and lets wait in epoll.

use super::{BACKEND_S, CONNECT_S, Configured, IDLE_S, Peer, Setup, Turns, Workers};
use crate::plan::Family;

pub(super) const PEER: Peer = Peer {
    name: "caddy",
    family: Family::Async,
    summary: "goroutines over Go's runtime, with a garbage collector; cannot be told a backlog (Go takes the system's \
              largest), adds X-Forwarded-Proto, X-Forwarded-Host and a second Server",
    unit_of_work: "a goroutine until it waits",
    workers: Workers::Count(1),
    turns: Turns::Equal,
    programs: &["caddy"],
    version: "version",
    configure,
};

fn configure(setup: &Setup<'_>) -> Configured {
    let (address, port) = (setup.listen.ip(), setup.listen.port());
    let backends: String = setup.backends.iter().map(|backend| format!(" {backend}")).collect();
    let kept = setup.kept();
    let text = format!(
        "{{
	admin off
	auto_https off
	log {{
		output discard
	}}
	servers {{
		protocols h1
		timeouts {{
			idle {IDLE_S}s
		}}
	}}
}}

http://:{port} {{
	bind {address}
	reverse_proxy{backends} {{
		lb_policy round_robin
		lb_try_duration {CONNECT_S}s
		fail_duration 1s
		header_up Via \"1.1 caddy\"
		header_down Via \"1.1 caddy\"
		transport http {{
			versions 1.1
			compression off
			dial_timeout {CONNECT_S}s
			response_header_timeout {BACKEND_S}s
			keepalive {IDLE_S}s
			keepalive_idle_conns_per_host {kept}
		}}
	}}
}}
"
    );
    let args = ["run", "--adapter", "caddyfile", "--config", &setup.path("Caddyfile")].map(str::to_owned);
    // Threads that run goroutines at the same time.
    let env = vec![("GOMAXPROCS", setup.workers.to_string())];
    Configured { files: vec![("Caddyfile", text)], args: args.into(), env }
}
