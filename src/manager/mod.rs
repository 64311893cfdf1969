//! The manager of a running balancer: a page for a browser, the same as JSON, and metrics for Prometheus.
//!
//! Owns where these are reached and who may. The core neither renders pages nor hashes passwords: the manager is a backend
//! that lives in this process, a small HTTP server on a thread of its own, to which the core routes the manager's paths as
//! to any other. So every model serves it alike, and no event loop ever waits for a password. Rules: since
//! other programs of this machine can reach its port past the balancer, the manager checks everything itself; paths
//! are compared byte for byte; what changes anything is a POST with this process's nonce.

mod access;
mod figures;
mod htpasswd;
mod metrics;
mod order;
mod page;
mod paths;
mod reply;
mod server;
mod site;
mod slots;
mod tries;

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{bail, ensure};
use roundtable::proxy::{Config, Group, Member, Policy, Proxy, Route};
use socket2::{Domain, Protocol, Socket, Type};

use access::Gate;
pub(crate) use htpasswd::Users;
use paths::{Paths, is_at_or_below};
use site::Site;

use crate::models::BACKLOG;

/// Where the manager is unless the operator says otherwise.
pub(crate) const DEFAULT_PATH: &str = "/balancer-manager";

/// What the operator decides about the manager.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Path of the page; the JSON is at `status.json` below it.
    pub(crate) path: String,
    /// Path of the metrics, if not `metrics` below the page.
    pub(crate) metrics_path: Option<String>,
    /// Who may see and change anything; none is anybody, which [`check`] allows on a loopback address alone.
    pub(crate) users: Option<Users>,
    /// The concurrency model that serves.
    pub(crate) model: &'static str,
}

/// Refuses `settings` that cannot work, or must not for a balancer that listens at `listen`.
pub(crate) fn check(listen: SocketAddr, settings: &Settings) -> anyhow::Result<()> {
    Paths::of(settings)?;
    ensure!(
        settings.users.is_some() || listen.ip().to_canonical().is_loopback(),
        "the manager at {} would be open to everybody who reaches {listen}; give it users with --manager-users FILE \
         (made by `htpasswd -cB FILE NAME`), or listen at a loopback address",
        settings.path
    );
    Ok(())
}

/// A manager that has an address but does not serve yet.
#[derive(Debug)]
pub(crate) struct Manager {
    listener: TcpListener,
    address: SocketAddr,
    paths: Paths,
    users: Option<Users>,
    model: &'static str,
}

impl Manager {
    /// Takes a free port. `settings` are to have passed [`check`].
    pub(crate) fn bind(settings: Settings) -> io::Result<Manager> {
        let paths = Paths::of(&settings).map_err(io::Error::other)?;
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        socket.listen(BACKLOG as i32)?;
        let listener = TcpListener::from(socket);
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Manager { listener, address, paths, users: settings.users, model: settings.model })
    }

    /// Adds the manager to what a balancer serves: to be called when everything else is in `config`.
    pub(crate) fn add_to(&self, config: &mut Config) -> anyhow::Result<()> {
        for own in self.paths.roots() {
            if let Some(route) = config.routes.iter().find(|route| is_at_or_below(&route.prefix, own)) {
                bail!(
                    "the route {route} is within the manager's path {own}; choose another path for one of them"
                );
            }
        }
        // A route with a host goes before one without: the manager is none the less at every host.
        let hosts: BTreeSet<Option<String>> =
            config.routes.iter().map(|route| route.host.as_deref().map(str::to_ascii_lowercase)).collect();
        let group = config.groups.len();
        let route = |host: &Option<String>, prefix: &str| Route {
            host: host.clone(),
            prefix: prefix.to_owned(),
            group,
            keeps_prefix: true,
            maps_location: false,
            cache: None,
        };
        for prefix in self.paths.roots() {
            config.routes.extend(hosts.iter().map(|host| route(host, prefix)));
            if !hosts.contains(&None) {
                config.routes.push(route(&None, prefix));
            }
        }
        config.groups.push(Group {
            name: format!("manager at {}", self.paths.page()),
            policy: Policy::RoundRobin,
            members: vec![Member { name: "manager".to_owned(), ..Member::at(self.address) }],
            hidden: true,
        });
        Ok(())
    }

    /// Serves `proxy`'s status from a thread of its own, for as long as the process lives.
    pub(crate) fn serve(self, proxy: Arc<Proxy>) -> io::Result<()> {
        let site = Site::new(proxy, self.paths, Gate::new(self.users), self.model);
        server::start(self.listener, site)
    }
}

#[cfg(test)]
mod tests {
    use roundtable::proxy::Limits;

    use super::*;

    fn settings(path: &str, metrics_path: Option<&str>, users: Option<&str>) -> Settings {
        Settings {
            path: path.to_owned(),
            metrics_path: metrics_path.map(str::to_owned),
            users: users.map(|file| Users::parse(file.as_bytes()).unwrap()),
            model: "mio",
        }
    }

    fn config() -> Config {
        Config::round_robin(vec![([127, 0, 0, 1], 1).into()], "a".into(), Limits::default())
    }

    #[test]
    fn without_users_only_loopback_addresses_may_be_listened_at() {
        let users = format!("anna:{}\n", bcrypt::hash("x", 4).unwrap());
        for (listen, loopback) in [
            ("127.0.0.1:80", true),
            ("127.9.9.9:80", true),
            ("[::1]:80", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("0.0.0.0:80", false),
            ("[::]:80", false),
            ("192.0.2.1:80", false),
        ] {
            let listen: SocketAddr = listen.parse().unwrap();
            check(listen, &settings(DEFAULT_PATH, None, Some(&users))).unwrap();
            let open = check(listen, &settings(DEFAULT_PATH, None, None));
            assert_eq!(open.is_ok(), loopback, "{listen}");
            if let Err(error) = open {
                assert!(error.to_string().contains("--manager-users"), "{error}");
            }
        }
    }

    #[test]
    fn the_manager_is_a_hidden_group_at_every_host() {
        let manager = Manager::bind(settings("/m", Some("/metrics"), None)).unwrap();
        let mut config = config();
        config.routes.push(Route { host: Some("A.example".into()), ..Route::everything(0) });
        manager.add_to(&mut config).unwrap();
        config.validate().unwrap();
        let routes: Vec<String> = config.routes[2..].iter().map(Route::to_string).collect();
        assert_eq!(routes, ["/m", "a.example/m", "/metrics", "a.example/metrics"]);
        assert!(config.routes[2..].iter().all(|route| route.group == 1 && route.keeps_prefix));
        assert!(config.groups[1].hidden && config.groups[1].members[0].address == manager.address);
    }

    #[test]
    fn without_any_route_for_all_hosts_the_manager_has_one() {
        let manager = Manager::bind(settings("/m", None, None)).unwrap();
        let mut config = config();
        config.routes[0].host = Some("a".into());
        manager.add_to(&mut config).unwrap();
        let routes: Vec<String> = config.routes[1..].iter().map(Route::to_string).collect();
        assert_eq!(routes, ["a/m", "/m"]);
    }

    #[test]
    fn a_route_within_the_managers_path_is_refused() {
        let manager = Manager::bind(settings("/m", Some("/metrics"), None)).unwrap();
        for (prefix, fits) in [
            ("/m", false),
            ("/m/", false),
            ("/m/x", false),
            ("/metrics/x", false),
            ("/mm", true),
            ("/x/m", true),
        ] {
            let mut config = config();
            config.routes.push(Route { prefix: prefix.into(), ..Route::everything(0) });
            assert_eq!(manager.add_to(&mut config).is_ok(), fits, "{prefix}");
        }
    }
}
