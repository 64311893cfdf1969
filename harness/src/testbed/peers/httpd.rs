//! Apache httpd under its three ways of waiting: the multi-processing modules event, worker and prefork.
//!
//! One process does the work of `event` and `worker`, so that its threads share the turns and the connections to the backends.

use std::path::Path;

use super::{BACKEND_S, CONNECT_S, Configured, IDLE_S, Peer, Setup, Turns, Workers};
use crate::plan::Family;

const PROGRAMS: &[&str] = &["httpd", "apache2"];
/// Where systems keep its modules.
const MODULE_FOLDERS: [&str; 5] = [
    "/usr/lib/apache2/modules",
    "/usr/lib64/httpd/modules",
    "/usr/lib/httpd/modules",
    "/usr/local/apache2/modules",
    "/usr/libexec/apache2",
];
/// The modules of any of the three; some systems build some of them in.
const MODULES: [&str; 7] =
    ["unixd", "authz_core", "proxy", "proxy_http", "slotmem_shm", "proxy_balancer", "lbmethod_byrequests"];

pub(super) const EVENT: Peer = Peer {
    name: "httpd-event",
    family: Family::Threaded,
    summary: "Apache httpd, MPM event: a listener holds what waits for clients, worker threads take exchanges; adds \
              X-Forwarded-Host and X-Forwarded-Server",
    unit_of_work: "an exchange",
    workers: Workers::Count(25),
    turns: Turns::Equal,
    programs: PROGRAMS,
    version: "-v",
    configure: event,
};

pub(super) const WORKER: Peer = Peer {
    name: "httpd-worker",
    summary: "Apache httpd, MPM worker: a thread waits for each connection; adds X-Forwarded-Host and X-Forwarded-Server",
    unit_of_work: "a connection",
    workers: Workers::AsNeeded("a thread for each connection"),
    configure: worker,
    ..EVENT
};

pub(super) const PREFORK: Peer = Peer {
    name: "httpd-prefork",
    summary: "Apache httpd, MPM prefork: a process waits for each connection; adds X-Forwarded-Host and X-Forwarded-Server",
    unit_of_work: "a connection",
    workers: Workers::AsNeeded("a process for each connection"),
    turns: Turns::Nearly,
    configure: prefork,
    ..EVENT
};

fn event(setup: &Setup<'_>) -> Configured {
    // The factor lets each worker's share of waiting connections be as large as it may.
    let threads = one_process(setup.workers) + "AsyncRequestWorkerFactor 1000\n";
    configure(setup, "event", &threads, modules())
}

fn worker(setup: &Setup<'_>) -> Configured {
    configure(setup, "worker", &one_process(setup.one_for_each_connection()), modules())
}

fn prefork(setup: &Setup<'_>) -> Configured {
    let count = setup.one_for_each_connection();
    let processes = format!(
        "ServerLimit {count}\nStartServers {count}\nMinSpareServers {count}\nMaxSpareServers {count}\n\
         MaxRequestWorkers {count}\n"
    );
    configure(setup, "prefork", &processes, modules())
}

fn one_process(threads: u32) -> String {
    format!(
        "ServerLimit 1\nThreadLimit {threads}\nStartServers 1\nThreadsPerChild {threads}\nMaxRequestWorkers {threads}\n\
         MinSpareThreads 1\nMaxSpareThreads {threads}\n"
    )
}

fn modules() -> &'static Path {
    let [first, ..] = MODULE_FOLDERS;
    Path::new(MODULE_FOLDERS.into_iter().find(|folder| Path::new(folder).is_dir()).unwrap_or(first))
}

fn configure(setup: &Setup<'_>, mpm: &str, workers: &str, modules: &Path) -> Configured {
    let Setup { listen, backlog, .. } = setup;
    let folder = setup.folder.display();
    let mpm = format!("mpm_{mpm}");
    let load = |name: &str| {
        let file = modules.join(format!("mod_{name}.so"));
        let file = file.display();
        format!("<IfModule !{name}_module>\nLoadModule {name}_module {file}\n</IfModule>\n")
    };
    let modules: String = std::iter::once(mpm.as_str()).chain(MODULES).map(load).collect();
    let members: String = setup
        .backends
        .iter()
        .map(|backend| {
            format!(
                "BalancerMember http://{backend} retry=1 ttl={IDLE_S} connectiontimeout={CONNECT_S} timeout={BACKEND_S}\n"
            )
        })
        .collect();
    let text = format!(
        "ServerRoot {folder}
DefaultRuntimeDir {folder}
ServerName localhost
{modules}PidFile pid
ErrorLog error.log
LogLevel crit
Listen {listen}
ListenBacklog {backlog}
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout {IDLE_S}
{workers}ProxyPreserveHost On
ProxyVia On
<Proxy balancer://backends>
{members}ProxySet lbmethod=byrequests
</Proxy>
ProxyPass / balancer://backends/
"
    );
    let args = ["-D", "FOREGROUND", "-f", &setup.path("httpd.conf")].map(str::to_owned);
    Configured { files: vec![("httpd.conf", text)], args: args.into(), env: Vec::new() }
}

#[cfg(test)]
pub(super) fn with_modules_in(folder: &str, setup: &Setup<'_>) -> Configured {
    configure(setup, "event", &one_process(setup.workers), Path::new(folder))
}
