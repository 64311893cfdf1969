//! Which errors are the command line's own.
//!
//! Rule: an error is one of usage, and the exit code 2, where the command or the configuration file must be written
//! otherwise whatever the machine, its files and its peers are like. All other errors are exit code 1.

use std::fmt;

/// An error of usage, with everything that there is to be said of it.
#[derive(Debug)]
pub(crate) struct Usage(anyhow::Error);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The causes too: they are not to be found through `source`, so that nobody tells them twice.
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for Usage {}

/// Makes the error of a result one of usage.
pub(crate) trait OfUsage<T> {
    /// The same result, whose error is one of usage.
    fn usage(self) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OfUsage<T> for Result<T, E> {
    fn usage(self) -> anyhow::Result<T> {
        self.map_err(|error| Usage(error.into()).into())
    }
}

/// Whether `error` is one of usage.
pub(crate) fn is_usage(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Usage>().is_some()
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn an_error_of_usage_is_known_under_every_context_and_says_all_of_it_once() {
        let refused: anyhow::Result<()> =
            Err(anyhow!("give 1 to 2")).context("--n 3 is out of bounds").usage();
        let error = refused.context("the file x cannot be used").unwrap_err();
        assert!(is_usage(&error) && !is_usage(&anyhow!("the disk is full")));
        assert_eq!(format!("{error:#}"), "the file x cannot be used: --n 3 is out of bounds: give 1 to 2");
    }
}
