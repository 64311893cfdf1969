//! One process on each host of a run that starts all others there, and the harness's end of the line to it.
//!
//! [`frame`] owns what is said, [`serve`] the agent's side, [`link`] the harness's. The harness alone decides what is started;
//! an agent decides nothing but when to end what it has started.

mod executable;
pub(crate) mod frame;
pub(crate) mod link;
mod serve;

pub use executable::sha256_of_this_program;
pub use frame::Hello;
pub use link::{Link, LinkError};
pub use serve::{AgentError, serve};
