//! The hosts of a run on several machines: a TOML file in, the checked [`Hosts`] or the line of the first mistake out.
//!
//! Owns the grammar; what runs where is [`super::topology`]'s, how it gets there [`super::launcher`]'s.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

use super::launcher::Launcher;
use super::topology::{Host, Topology};

/// Hosts of one role, at most.
const MOST_OF_A_ROLE: usize = 64;

/// Where a run's roles are played, and how they get there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts {
    /// How an agent is started on a host.
    pub launcher: Launcher,
    /// The program's path on the hosts; `None`: where it is on this machine.
    pub program: Option<String>,
    /// Who plays what.
    pub topology: Topology,
}

/// A hosts file that cannot be used.
#[derive(Debug, Error)]
pub enum HostsError {
    /// It cannot be read.
    #[error("cannot read the hosts file {path} ({reason}); name one that can be read")]
    Unreadable {
        /// Its path.
        path: String,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// Something in it makes no sense.
    #[error("{file}, line {line}: {reason}")]
    Mistake {
        /// Its path.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong and what to write instead.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    launch: Vec<String>,
    program: Option<Spanned<String>>,
    host: Spanned<BTreeMap<Spanned<String>, HostTable>>,
    roles: Spanned<Roles>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostTable {
    address: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Roles {
    load: Spanned<Vec<Spanned<String>>>,
    balancer: Spanned<String>,
    backends: Spanned<Vec<Spanned<String>>>,
}

/// The hosts in the file at `path`.
///
/// # Errors
/// Whatever is wrong with it.
pub fn read(path: &Path) -> Result<Hosts, HostsError> {
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&file, &text),
        Err(reason) => Err(HostsError::Unreadable { path: file, reason }),
    }
}

/// The hosts in `text`, which is told as `file` where there is a mistake in it.
///
/// # Errors
/// [`HostsError::Mistake`].
pub fn parse(file: &str, text: &str) -> Result<Hosts, HostsError> {
    let mistake = |start: usize, reason: String| {
        let before = text.as_bytes().iter().take(start);
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        HostsError::Mistake { file: file.to_owned(), line, reason }
    };
    let File { launch, program, host, roles } = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let reason = error.message().trim_end().replace('\n', " ");
        mistake(start, format!("{reason}; examples/several-machines has whole files"))
    })?;
    if let Some(program) = program.as_ref().filter(|program| program.get_ref().trim().is_empty()) {
        let reason = "the program has no name; give its path on the hosts, or leave it out".to_owned();
        return Err(mistake(program.span().start, reason));
    }
    let mut hosts = BTreeMap::new();
    for (name, table) in host.get_ref() {
        let is_plain = |c: char| c.is_ascii_graphic();
        if name.get_ref().starts_with('-')
            || name.get_ref().is_empty()
            || !name.get_ref().chars().all(is_plain)
        {
            let reason = "the name stands in a command line: write it without blanks, in ASCII, and with no hyphen at its beginning, \
                          as in [host.a]";
            return Err(mistake(name.span().start, reason.to_owned()));
        }
        let address = table.address.get_ref().parse::<IpAddr>().ok();
        let address = address.filter(|address| !address.is_unspecified()).ok_or_else(|| {
            let reason =
                "is no IP address at which others reach the host; write it as in address = \"10.0.0.1\"";
            mistake(table.address.span().start, format!("{:?} {reason}", table.address.get_ref()))
        })?;
        hosts.insert(name.get_ref().as_str(), Host { name: name.get_ref().clone(), address });
    }
    let find = |name: &Spanned<String>| {
        hosts.get(name.get_ref().as_str()).cloned().ok_or_else(|| {
            let known = hosts.keys().copied().collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "none".to_owned() } else { known };
            let name_of = name.get_ref();
            let reason = format!("there is no host {name_of:?}; the hosts are {known}: add a [host.{name_of}], or name one of them");
            mistake(name.span().start, reason)
        })
    };
    let list = |of: &Spanned<Vec<Spanned<String>>>, what: &str| {
        if !(1..=MOST_OF_A_ROLE).contains(&of.get_ref().len()) {
            let reason = format!("{what} needs 1 to {MOST_OF_A_ROLE} hosts, as in {what} = [\"a\"]");
            return Err(mistake(of.span().start, reason));
        }
        of.get_ref().iter().map(find).collect::<Result<Vec<_>, _>>()
    };
    let roles = roles.get_ref();
    let topology = Topology {
        load: list(&roles.load, "load")?,
        balancer: find(&roles.balancer)?,
        backends: list(&roles.backends, "backends")?,
    };
    let program = program.map(Spanned::into_inner);
    Ok(Hosts { launcher: Launcher::of(&launch), program, topology })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
launch = ["ssh", "-oBatchMode=yes", "{host}"]
program = "/opt/roundtable"
[host.a]
address = "10.0.0.1"
[host."b.example"]
address = "2001:db8::2"
[roles]
load = ["a", "a"]
balancer = "b.example"
backends = ["a", "b.example"]
"#;

    #[test]
    fn a_file_says_what_is_launched_where() {
        let hosts = parse("h.toml", WHOLE).unwrap();
        assert_eq!(hosts.launcher.template(), ["ssh", "-oBatchMode=yes", "{host}"]);
        assert_eq!(hosts.program.as_deref(), Some("/opt/roundtable"));
        let names = |hosts: &[Host]| hosts.iter().map(|host| host.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&hosts.topology.load), ["a", "a"]);
        assert_eq!(hosts.topology.balancer.address.to_string(), "2001:db8::2");
        assert_eq!(names(&hosts.topology.backends), ["a", "b.example"]);
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_what_to_write_instead() {
        for (from, to, line, told) in [
            ("[roles]", "[rolls]", 8, "unknown field `rolls`"),
            ("balancer =", "balancers =", 10, "unknown field `balancers`"),
            ("program =", "programme =", 3, "unknown field `programme`"),
            ("address = \"10.0.0.1\"", "port = 1", 5, "unknown field `port`"),
            ("launch = [\"ssh\", \"-oBatchMode=yes\", \"{host}\"]\n", "", 1, "missing field `launch`"),
            ("10.0.0.1", "a.example", 5, "as in address = \"10.0.0.1\""),
            ("10.0.0.1", "0.0.0.0", 5, "as in address = \"10.0.0.1\""),
            ("[\"a\", \"a\"]", "[]", 9, "load needs 1 to 64 hosts, as in load = [\"a\"]"),
            ("load = [\"a\", \"a\"]\n", "", 8, "missing field `load`"),
            (
                "balancer = \"b.example\"",
                "balancer = \"c\"",
                10,
                "the hosts are a, b.example: add a [host.c]",
            ),
            ("[\"a\", \"b.example\"]", "[\"a\", \"d\"]", 11, "there is no host \"d\""),
            ("[host.a]", "[host.-a]", 4, "no hyphen at its beginning"),
            ("/opt/roundtable", " ", 3, "give its path on the hosts"),
            ("balancer = \"b.example\"", "balancer = 1", 10, "invalid type"),
        ] {
            let text = WHOLE.replacen(from, to, 1);
            let error = parse("h.toml", &text).unwrap_err();
            let HostsError::Mistake { line: at, reason, .. } = &error else { panic!("{error}") };
            assert!(*at == line && reason.contains(told), "{text}: {error}");
            assert!(
                error.to_string().starts_with("h.toml, line ") && !error.to_string().contains('\n'),
                "{error}"
            );
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_told_by_its_path() {
        let told = read(Path::new("no/such.toml")).unwrap_err().to_string();
        assert!(told.starts_with("cannot read the hosts file no/such.toml"), "{told}");
    }
}
