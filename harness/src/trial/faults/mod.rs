//! Fault scenarios: what clients see while a backend dies, stalls or refuses, and after it has come back.
//!
//! A scenario ([`scenario`]) is played ([`play`]) with real processes ([`stage`]) while a load goes on at a fixed rate;
//! what became of each request is reduced to an observation ([`observe`], [`data`]), kept in the run's folder
//! ([`store`]) and shown by [`crate::analysis::faults`]. [`run`] is the loop over models and blocks. The load is an open
//! loop: a closed one would stop to ask while it waits, and hide what it should show.

pub mod data;
pub mod observe;
pub mod play;
pub mod run;
pub mod scenario;
pub mod stage;
pub mod store;

#[cfg(test)]
pub(crate) mod fixtures;
