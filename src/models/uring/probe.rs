//! Whether this machine lets us have a ring, and if not, why not and what would help.
//!
//! Owns the messages. The probe makes a ring as the model needs it and drops it again: whatever stands in the way (an old
//! kernel, a sysctl, a container's filter, a limit) shows in the error of the call that it concerns.

use std::io;

use nix::errno::Errno;

use super::ring::Ring;
use crate::models::Unavailable;

const SYSCTL: &str = "/proc/sys/kernel/io_uring_disabled";

/// Tries to have a ring.
pub(crate) fn probe() -> Result<(), Unavailable> {
    Ring::new().map(drop).map_err(|error| {
        let disabled = std::fs::read_to_string(SYSCTL).unwrap_or_default();
        Unavailable::new(reason(&error, &release(), disabled.trim()))
    })
}

/// What the error of the attempt means on a kernel of this release, whose sysctl has this value (nothing where it has none).
fn reason(error: &io::Error, release: &str, disabled: &str) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSYS) => format!(
            "Linux {release} is built without io_uring, or a seccomp filter hides it; use a kernel with \
             CONFIG_IO_URING, and allow io_uring_setup, io_uring_enter and io_uring_register in the filter"
        ),
        Some(Errno::EPERM | Errno::EACCES) if matches!(disabled, "1" | "2") => format!(
            "the sysctl kernel.io_uring_disabled is {disabled}; set it with `sysctl -w kernel.io_uring_disabled=0`"
        ),
        Some(Errno::EPERM | Errno::EACCES) => "a seccomp filter or security policy forbids io_uring, as that of most \
                                               containers does; allow io_uring_setup, io_uring_enter and \
                                               io_uring_register, as `docker run --security-opt seccomp=unconfined` does"
            .to_owned(),
        Some(Errno::EINVAL) => {
            format!("Linux {release} has an io_uring that is too old; use Linux 6.1 or later")
        }
        Some(Errno::ENOMEM) => "the ring's memory is not to be had; raise the limit on locked memory, by `ulimit -l`, or \
                                the container's memory"
            .to_owned(),
        Some(Errno::EMFILE | Errno::ENFILE) => {
            "no descriptor is left for the ring; raise the limit on open files, by `ulimit -n`".to_owned()
        }
        _ => format!("Linux {release} gives no ring ({error}); use Linux 6.1 or later"),
    }
}

/// The kernel's release.
fn release() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    match release.trim() {
        "" => "(of unknown release)".to_owned(),
        release => release.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason_of(errno: Errno, disabled: &str) -> String {
        reason(&errno.into(), "5.15.0", disabled)
    }

    #[test]
    fn each_obstacle_has_its_own_remedy_in_one_line() {
        let told = [
            (reason_of(Errno::ENOSYS, ""), "CONFIG_IO_URING"),
            (reason_of(Errno::EPERM, "2"), "sysctl -w kernel.io_uring_disabled=0"),
            (reason_of(Errno::EPERM, "0"), "--security-opt seccomp=unconfined"),
            (reason_of(Errno::EPERM, ""), "--security-opt seccomp=unconfined"),
            (reason_of(Errno::EINVAL, "0"), "Linux 5.15.0 has an io_uring that is too old; use Linux 6.1"),
            (reason_of(Errno::ENOMEM, "0"), "`ulimit -l`"),
            (reason_of(Errno::EMFILE, "0"), "`ulimit -n`"),
            (reason_of(Errno::EIO, "0"), "use Linux 6.1"),
        ];
        for (reason, remedy) in told {
            assert!(reason.contains(remedy) && reason.lines().count() == 1, "{reason}");
        }
    }
}
