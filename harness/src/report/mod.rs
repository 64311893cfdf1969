//! The report.
pub mod summary;
#[cfg(test)]
pub(crate) mod synthetic;
