//! Where a trial runs: the processes of every role, and the wire to them.

pub mod control;
pub mod process;
pub mod stand;
pub mod tool;
