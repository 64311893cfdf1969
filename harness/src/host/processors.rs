//! Which processors a process may use (Linux: `sched_getaffinity`, `sched_setaffinity`).
//!
//! Owns the two calls; who gets which processors is the crew's decision.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::HostError;

/// The processors that this process may use, by number (Linux: `sched_getaffinity`); none where that cannot be told.
pub fn allowed_processors() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
    (0..CpuSet::count()).filter(|number| set.is_set(*number).unwrap_or(false)).collect()
}

/// Confines this process, from here on and with all threads that it starts later, to `processors`.
pub fn confine_to(processors: &[usize]) -> Result<(), HostError> {
    let mut set = CpuSet::new();
    processors
        .iter()
        .try_for_each(|number| set.set(*number))
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
        .map_err(|errno| HostError::Processors { processors: processors.to_vec(), reason: errno.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confined_thread_may_use_what_it_was_confined_to() {
        // The call acts on the calling thread, so that other tests keep their processors.
        std::thread::spawn(|| {
            let first = allowed_processors()[0];
            confine_to(&[first]).unwrap();
            assert_eq!(allowed_processors(), [first]);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_processor_that_is_not_there_is_refused() {
        assert!(confine_to(&[CpuSet::count() - 1]).is_err());
        assert!(confine_to(&[usize::MAX]).is_err());
    }
}
