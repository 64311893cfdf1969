//! Untimed passes beside the trials: what noise cannot touch, and what other tools say.

pub mod cross_check;
pub mod system_calls;
