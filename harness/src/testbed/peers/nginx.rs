//! nginx: worker processes, each with one event loop.

use super::{BACKEND_S, CONNECT_S, Configured, IDLE_S, Peer, Setup, Turns, Workers};
use crate::plan::Family;

pub(super) const PEER: Peer = Peer {
    name: "nginx",
    family: Family::Async,
    summary: "worker processes with an event loop each, in C; has filters, caches and TLS that are asked about and not used",
    unit_of_work: "an event of one connection",
    workers: Workers::Count(1),
    turns: Turns::Equal,
    programs: &["nginx"],
    version: "-v",
    configure,
};

fn configure(setup: &Setup<'_>) -> Configured {
    let Setup { listen, workers, backlog, .. } = setup;
    let (connections, kept) = (setup.connections(), setup.kept());
    let servers: String = setup
        .backends
        .iter()
        .map(|backend| format!("        server {backend} max_fails=1 fail_timeout=1s;\n"))
        .collect();
    // `zone`: the workers share the turns. `proxy_max_temp_file_size 0`: no file for a large body.
    let text = format!(
        "daemon off;
worker_processes {workers};
pid pid;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout {IDLE_S}s;
    tcp_nodelay on;
    client_max_body_size 0;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream backends {{
        zone backends 256k;
{servers}        keepalive {kept};
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen} backlog={backlog};
        location / {{
            proxy_pass http://backends;
            proxy_http_version 1.1;
            proxy_connect_timeout {CONNECT_S}s;
            proxy_read_timeout {BACKEND_S}s;
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
            proxy_set_header Connection \"\";
            proxy_set_header Host $http_host;
            proxy_set_header Via \"1.1 nginx\";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            add_header Via \"1.1 nginx\" always;
        }}
    }}
}}
"
    );
    let folder = setup.folder.display().to_string();
    let args = ["-p", &folder, "-e", "stderr", "-c", &setup.path("nginx.conf")].map(str::to_owned);
    Configured { files: vec![("nginx.conf", text)], args: args.into(), env: Vec::new() }
}
