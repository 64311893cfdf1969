//! How a role's command is started: the program that plays every role, and what stands before it on the command line.
//!
//! A launcher is an argument template in which `{host}` is the host's name: nothing for this machine, `ip netns exec
//! {host}` for a network namespace, `ssh {host}` for another machine. Rule: a launched process keeps its standard input,
//! output and error, and ends when its input does: that is all that the rest of the testbed asks of it.

use std::path::PathBuf;
use std::process::Command;

/// What stands for the host in a template.
const HOST: &str = "{host}";

/// The program that plays every role.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    /// What comes before the role's name.
    args: Vec<String>,
}

impl Program {
    /// The running program itself: the same file even if a build replaces it during the run. By this process's number, since
    /// what a launcher starts would find itself at `/proc/self/exe`.
    pub fn running() -> Self {
        Program { path: format!("/proc/{}/exe", std::process::id()).into(), args: Vec::new() }
    }

    /// The program at `path`, as it is to be found on the hosts.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Program { path: path.into(), args: Vec::new() }
    }

    /// A shell script in place of the program, for tests: `$@` is the role.
    #[cfg(test)]
    pub(crate) fn script(script: &str) -> Self {
        let args = ["-c", script, "roundtable"].map(str::to_owned).to_vec();
        Program { path: "/bin/sh".into(), args }
    }
}

/// An argument template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Launcher {
    template: Vec<String>,
}

impl Launcher {
    /// Commands are started as they are, on this machine.
    pub fn local() -> Self {
        Launcher::default()
    }

    /// Commands are started behind the words of `template`.
    pub fn of(template: &[&str]) -> Self {
        Launcher { template: template.iter().map(|word| (*word).to_owned()).collect() }
    }

    /// `program` in the role that `role` says, on `host`.
    pub(crate) fn command(&self, host: &str, program: &Program, role: &[String]) -> Command {
        let before = self.template.iter().map(|word| word.replace(HOST, host));
        let path = program.path.to_string_lossy().into_owned();
        let mut words = before.chain(std::iter::once(path)).chain(program.args.iter().cloned());
        let mut command = Command::new(words.next().unwrap_or_default());
        if self.template.is_empty() && program.args.is_empty() {
            // For its own messages, and for whoever lists processes.
            std::os::unix::process::CommandExt::arg0(&mut command, "roundtable");
        }
        command.args(words).args(role);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> Vec<String> {
        let args = command.get_args().map(|word| word.to_string_lossy().into_owned());
        std::iter::once(command.get_program().to_string_lossy().into_owned()).chain(args).collect()
    }

    #[test]
    fn the_template_stands_before_the_program_with_the_hosts_name_in_it() {
        let role = ["load".to_owned(), "-n".to_owned(), "5".to_owned()];
        let of = |launcher: Launcher| words(&launcher.command("b", &Program::at("/opt/rt"), &role));
        assert_eq!(of(Launcher::local()), ["/opt/rt", "load", "-n", "5"]);
        let namespace = Launcher::of(&["ip", "netns", "exec", "{host}"]);
        assert_eq!(of(namespace), ["ip", "netns", "exec", "b", "/opt/rt", "load", "-n", "5"]);
        let remote = Launcher::of(&["ssh", "-oBatchMode=yes", "user@{host}"]);
        assert_eq!(of(remote)[..3], ["ssh", "-oBatchMode=yes", "user@b"]);
    }
}
