//! Addresses as they are written on the command line and in files: `HOST:PORT` or `[V6]:PORT`.
//!
//! Rule: an IPv6 address stands in brackets. Without them nobody can tell its last group from a port.

use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};

use anyhow::{Context, bail, ensure};

use super::usage::OfUsage;

/// The first address of `name`.
pub(super) fn resolve(name: &str) -> anyhow::Result<SocketAddr> {
    check(name).usage()?;
    name.to_socket_addrs()
        .with_context(|| format!("cannot find the host of '{name}'; check its spelling, or give an address"))?
        .next()
        .with_context(|| format!("the host of '{name}' has no address; give one, such as 127.0.0.1:9001"))
}

/// Refuses what is no address, whatever names there are.
pub(super) fn check(name: &str) -> anyhow::Result<()> {
    const REMEDY: &str = "write HOST:PORT, such as 127.0.0.1:9001 or [::1]:9001";
    let Some((host, port)) = name.rsplit_once(':') else { bail!("'{name}' has no port; {REMEDY}") };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Some(bare) = bare {
        // A zone is the system's to know.
        let address = bare.split('%').next().unwrap_or_default();
        ensure!(address.parse::<Ipv6Addr>().is_ok(), "'{bare}' in '{name}' is no IPv6 address; {REMEDY}");
    } else if host.contains(':') {
        let whole = name.parse::<Ipv6Addr>().is_ok();
        ensure!(
            host.parse::<Ipv6Addr>().is_err(),
            "'{name}' has an IPv6 address without brackets; write [{host}]:{port}"
        );
        ensure!(!whole, "'{name}' is an IPv6 address without a port; write [{name}]:PORT");
    }
    let is_host = bare.is_some() || !(host.is_empty() || host.contains([':', '/', '[', ']']));
    ensure!(is_host, "'{name}' names no host; {REMEDY}");
    ensure!(port.parse::<u16>().is_ok(), "'{port}' in '{name}' is no port, 0 to 65535; {REMEDY}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_a_port_and_brackets_where_it_has_colons() {
        for name in ["127.0.0.1:0", "localhost:9101", "[::1]:9101", "[fe80::1%lo]:80"] {
            check(name).unwrap();
        }
        for (name, told) in [
            ("::1:9101", "write [::1]:9101"),
            ("fe80::1:80", "write [fe80::1]:80"),
            (":::80", "write [::]:80"),
            ("1:2:3:4:5:6:7:8", "write [1:2:3:4:5:6:7:8]:PORT"),
            ("a:b:1", "names no host"),
            (":80", "names no host"),
            ("http://a:80", "names no host"),
            ("[x]:80", "is no IPv6 address"),
            ("127.0.0.1", "has no port"),
            ("127.0.0.1:x", "is no port"),
            ("127.0.0.1:65536", "is no port"),
            ("127.0.0.1:-1", "is no port"),
            ("", "has no port"),
        ] {
            let error = check(name).unwrap_err().to_string();
            assert!(error.contains(told), "{name}: {error}");
        }
        assert_eq!(resolve("[::1]:9101").unwrap().to_string(), "[::1]:9101");
    }
}
