//! The concurrency models: one file each, and the table that lists them.
