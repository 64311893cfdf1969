//! Varnish: a cache, told to pass everything on; worker threads of a pool, one for each request in hand.

use super::{BACKEND_S, CONNECT_S, Configured, IDLE_S, Peer, Setup, Turns, Workers};
use crate::plan::Family;

pub(super) const PEER: Peer = Peer {
    name: "varnish",
    family: Family::Threaded,
    summary: "a cache that is told to pass every request on: a worker thread for each request in hand, waiting connections in \
              epoll; writes its log to shared memory whatever it is told, adds Age and X-Varnish, and compiles its \
              configuration before each trial",
    unit_of_work: "a request",
    workers: Workers::AsNeeded("a thread for each request in hand"),
    turns: Turns::Nearly,
    programs: &["varnishd"],
    version: "-V",
    configure,
};

fn configure(setup: &Setup<'_>) -> Configured {
    let probe = if setup.backends_fail {
        "    .probe = { .url = \"/\"; .interval = 1s; .timeout = 1s; .window = 1; .threshold = 1; .initial = 1; }\n"
    } else {
        ""
    };
    let backends: String = (1..)
        .zip(setup.backends)
        .map(|(n, backend)| {
            format!(
                "backend b{n} {{\n    .host = \"{}\";\n    .port = \"{}\";\n    .connect_timeout = {CONNECT_S}s;\n    \
                 .first_byte_timeout = {BACKEND_S}s;\n{probe}}}\n",
                backend.ip(),
                backend.port()
            )
        })
        .collect();
    let turns: String =
        (1..=setup.backends.len()).map(|n| format!("    backends.add_backend(b{n});\n")).collect();
    let text = format!(
        "vcl 4.1;
import directors;
{backends}sub vcl_init {{
    new backends = directors.round_robin();
{turns}}}
sub vcl_recv {{
    set req.backend_hint = backends.backend();
    return (pass);
}}
"
    );
    let threads = format!("thread_pool_min={}", setup.one_for_each_connection());
    let (backlog, idle) = (format!("listen_depth={}", setup.backlog), format!("timeout_idle={IDLE_S}"));
    let (work, vcl, listen) = (setup.path("work"), setup.path("default.vcl"), setup.listen.to_string());
    let args = [
        "-F",
        "-n",
        &work,
        "-f",
        &vcl,
        "-a",
        &listen,
        "-T",
        "none",
        "-j",
        "none",
        "-s",
        "malloc,16m",
        "-p",
        &backlog,
        "-p",
        &idle,
        "-p",
        "thread_pools=1",
        "-p",
        &threads,
    ];
    Configured { files: vec![("default.vcl", text)], args: args.map(str::to_owned).into(), env: Vec::new() }
}
