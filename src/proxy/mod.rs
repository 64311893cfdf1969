//! One HTTP/1.1 load-balancing reverse proxy, without any I/O.
//!
//! [`Session`] is one client connection from its acceptance to its end; [`Proxy`] is what all sessions share. The
//! files below own one concept each.

mod body;
mod buf;
mod chunk;
mod error;
mod field;
mod head;
mod health;
mod limits;
mod rotation;
mod session;
mod shared;

#[doc(hidden)]
pub mod internals;

pub use buf::{Buf, LARGE, SMALL};
pub use error::{Blame, Error};
pub use limits::Limits;
pub use rotation::{BackendId, MOST_BACKENDS};
pub use session::{CloseReason, Done, Op, Peer, Session};
pub use shared::{Config, Proxy};
