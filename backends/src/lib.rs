//! The origin servers that the balancers stand in front of.
//!
//! In scope: a small HTTP/1.1 server that is fast enough never to be the bottleneck by accident, with a body whose
//! content can be verified; the same server with the files of a directory, for browsers and demonstrations. Out of
//! scope: proxying, measuring. Its parser is its own, so that it shares no bug with the balancer's.
//!
//! ```no_run
//! use roundtable_backends::{Config, Server};
//!
//! let server = Server::bind("127.0.0.1:9001", &Config::default())?;
//! println!("http://{}/", server.address());
//! server.run()?;
//! # Ok::<(), roundtable_backends::BackendError>(())
//! ```

mod body;
mod connection;
mod deadlines;
mod error;
mod files;
mod request;
mod response;
mod server;
mod service;
mod steering;

pub use body::{MAX_BODY_BYTES, body};
pub use error::BackendError;
pub use request::MAX_HEAD_BYTES;
pub use server::{BACKLOG, Config, Content, Server, Stopper};
pub use service::{MAX_DELAY, NoServiceTime, ServiceTime};
pub use steering::Steering;
