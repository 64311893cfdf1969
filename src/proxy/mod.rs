//! One HTTP/1.1 load-balancing reverse proxy, without any I/O.
//!
//! [`Session`] is one client connection from its acceptance to its end; [`Proxy`] is what all sessions share. The
//! files below own one concept each.

mod backend;
mod body;
mod buf;
mod cache;
mod chunk;
mod config;
mod date;
mod error;
mod field;
mod head;
mod health;
mod limits;
mod location;
mod observer;
mod reply;
mod rotation;
mod route;
mod session;
mod shared;
mod status;
mod surplus;
mod vocabulary;

#[doc(hidden)]
pub mod internals;

pub use buf::{Buf, LARGE, LONG, SMALL};
pub use config::{
    CacheRules, CacheSize, Config, Group, Heuristics, MOST_PREFIX, MOST_TURNS, MOST_WEIGHT, Member, Route,
};
pub use error::{Blame, Error};
pub use health::Watcher;
pub use limits::Limits;
pub use observer::{CacheUse, ExchangeSummary, Observer};
pub use session::{CloseReason, Done, Op, Peer, Session};
pub use shared::Proxy;
pub use status::{CacheStatus, Change, Condition, GroupStatus, MemberStatus, Status};
pub use vocabulary::{BackendId, MOST_BACKENDS, Mode, Policy};
