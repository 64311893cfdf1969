//! How a process comes to its host: the program that plays every role, and what stands before it on the command line.
//!
//! A launcher is an argument template in which `{host}` is the host's name: `ip netns exec {host}` for a network namespace,
//! `ssh {host}` for another machine. It starts one process a host, the agent, which starts all others by itself. Rule: a
//! launched process keeps its standard input, output and error, and ends when its input does: that is all that is asked of a
//! launcher.

use std::path::PathBuf;
use std::process::Command;

/// What stands for the host in a template.
const HOST: &str = "{host}";

/// The program that plays every role, on the host where this process runs.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    /// What comes before the role's name.
    args: Vec<String>,
}

impl Program {
    /// The running program itself: the same file even if a build replaces it during the run. By this process's number, since
    /// a child would find itself at `/proc/self/exe`.
    pub fn running() -> Self {
        Program { path: format!("/proc/{}/exe", std::process::id()).into(), args: Vec::new() }
    }

    /// It in the role that `role` says.
    pub(crate) fn command(&self, role: &[String]) -> Command {
        let mut command = Command::new(&self.path);
        if self.args.is_empty() {
            // For its own messages, and for whoever lists processes.
            std::os::unix::process::CommandExt::arg0(&mut command, "roundtable");
        }
        command.args(&self.args).args(role);
        command
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
    /// Commands are started behind the words of `template`; behind none, on this machine.
    pub fn of<S: AsRef<str>>(template: &[S]) -> Self {
        Launcher { template: template.iter().map(|word| word.as_ref().to_owned()).collect() }
    }

    /// The template's words.
    pub fn template(&self) -> &[String] {
        &self.template
    }

    /// `words`, the first of which is a program as it is to be found on `host`, started there.
    pub(crate) fn command(&self, host: &str, words: &[String]) -> Command {
        let before = self.template.iter().map(|word| word.replace(HOST, host));
        let mut words = before.chain(words.iter().cloned());
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
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
        let agent = ["/opt/rt".to_owned(), "agent".to_owned()];
        let of = |template: &[&str]| words(&Launcher::of(template).command("b", &agent));
        assert_eq!(of(&[]), ["/opt/rt", "agent"]);
        assert_eq!(of(&["ip", "netns", "exec", "{host}"]), ["ip", "netns", "exec", "b", "/opt/rt", "agent"]);
        assert_eq!(of(&["ssh", "-oBatchMode=yes", "user@{host}"])[..3], ["ssh", "-oBatchMode=yes", "user@b"]);
    }
}
