//! The balancer's core: no I/O, no clock, no threads.
pub mod proxy;
