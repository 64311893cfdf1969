//! The version of what is stored.

/// Version of the stored shapes. Files of a later version are refused, not guessed at.
pub const SCHEMA: u32 = 2;
