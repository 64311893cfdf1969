//! The limit on open files, which the children inherit.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::host::HostError;

/// Raises the soft limit to `needed` where it is lower. Told when it was raised: from what.
pub fn ensure_descriptors(needed: u64) -> Result<Option<u64>, HostError> {
    let limit = |errno: nix::errno::Errno| HostError::Limit(errno.into());
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(limit)?;
    match shortfall(needed, soft, hard)? {
        None => Ok(None),
        Some(raised) => {
            setrlimit(Resource::RLIMIT_NOFILE, raised, hard).map_err(limit)?;
            Ok(Some(soft))
        }
    }
}

pub(super) fn soft() -> io::Result<u64> {
    Ok(getrlimit(Resource::RLIMIT_NOFILE)?.0)
}

/// The soft limit to be set, if any.
fn shortfall(needed: u64, soft: u64, hard: u64) -> Result<Option<u64>, HostError> {
    if needed <= soft {
        Ok(None)
    } else if needed <= hard {
        Ok(Some(needed))
    } else {
        Err(HostError::DescriptorLimit { needed, hard })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_only_when_it_must_and_can() {
        assert_eq!(shortfall(100, 1024, 4096).unwrap(), None);
        assert_eq!(shortfall(1024, 1024, 4096).unwrap(), None);
        assert_eq!(shortfall(2000, 1024, 4096).unwrap(), Some(2000));
        let error = shortfall(4097, 1024, 4096).unwrap_err();
        assert!(matches!(error, HostError::DescriptorLimit { needed: 4097, hard: 4096 }));
        assert!(error.to_string().contains("lower --concurrency"), "{error}");
    }

    #[test]
    fn what_is_allowed_already_is_left_alone() {
        let before = soft().unwrap();
        assert_eq!(ensure_descriptors(1).unwrap(), None);
        assert_eq!(soft().unwrap(), before);
    }
}
