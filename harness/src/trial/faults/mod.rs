//! Trials with faults: what clients see while a backend dies, stalls or refuses, and after it has come back.
//!
//! A fault script is part of a condition ([`crate::plan::fault`]). It is carried out (`script`) with real processes
//! (`processes`) while a load goes on at a fixed rate; what became of each request is reduced to an observation
//! ([`observe`]), which is part of the trial's sample. The load is an open loop: a closed one would stop to ask while it
//! waits, and hide what it should show.

pub mod observe;
mod processes;
mod script;

#[cfg(test)]
pub(crate) mod fixtures;

pub(crate) use processes::{FaultTrialError, serve};
