//! One process on each host of a run that starts all others there, and the harness's end of the line to it.
//!
//! `frame` owns what is said, `serve` the agent's side; of the harness's side `link` owns launching and asking, `hearing` what
//! becomes of the frames that come, `remote` one child on a host. The harness alone decides what is started; an agent decides
//! nothing but when to end what it has started.

mod executable;
pub(crate) mod frame;
mod hearing;
pub(crate) mod link;
pub(crate) mod remote;
mod serve;

pub use executable::sha256_of_this_program;
pub use frame::Hello;
pub use link::{Link, LinkError};
pub use serve::{AgentError, serve};
