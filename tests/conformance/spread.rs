//! How connections spread over the workers of the models whose workers share nothing, by who accepts.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::Signal;

use crate::support::{Client, Server, for_every_model};

const WORKERS: usize = 2;

/// How many of these connections each worker had, as the balancer says when it ends; `None` where it says nothing of it.
fn counts(
    model: &str,
    backend: &Server,
    accept: &str,
    connections: usize,
    folder: &Path,
) -> Option<Vec<usize>> {
    let said = folder.join(format!("{model}-{accept}"));
    let script = format!("exec \"$@\" 2>{}", said.display());
    let options = ["--workers", &WORKERS.to_string(), "--accept", accept];
    let balancer = Server::balancer_in(&script, model, &[backend.address], &options);
    for _ in 0..connections {
        assert_eq!(Client::connect(balancer.address).get("/").status(), "200", "{model}");
    }
    balancer.signal(Signal::SIGTERM);
    assert_eq!(balancer.exit_code(), Some(0), "{model}");
    let said = std::fs::read_to_string(said).unwrap();
    let counts = said.lines().find_map(|line| line.strip_prefix("roundtable: connections by worker: "))?;
    Some(counts.split(", ").map(|count| count.parse().unwrap()).collect())
}

/// The same for every model that says anything; there are some.
fn for_every_model_that_counts(accept: &str, connections: usize, test: impl Fn(&str, Vec<usize>) + Sync) {
    let backend = Server::backend("a", &[]);
    let folder = tempfile::tempdir().unwrap();
    let seen = AtomicUsize::new(0);
    for_every_model(|model| {
        if let Some(counts) = counts(model, &backend, accept, connections, folder.path()) {
            test(model, counts);
            seen.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert!(seen.into_inner() >= 2, "no model has said how its connections spread");
}

#[test]
fn one_acceptor_gives_every_worker_as_many_connections() {
    for_every_model_that_counts("single", 20, |model, counts| assert_eq!(counts, [10; WORKERS], "{model}"));
}

#[test]
fn with_a_listener_each_every_worker_gets_connections_as_chance_has_it() {
    for_every_model_that_counts("reuseport", 100, |model, counts| {
        assert_eq!((counts.len(), counts.iter().sum()), (WORKERS, 100), "{model}: {counts:?}");
        // That one of them gets none of a hundred is as likely as never throwing heads.
        assert!(counts.iter().all(|count| *count > 0), "{model}: {counts:?}");
    });
}
