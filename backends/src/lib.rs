//! The origin servers that the balancers stand in front of.
//!
//! In scope: a small HTTP/1.1 server that is fast enough never to be the bottleneck by accident, with a body whose
//! content can be verified. Out of scope: proxying, measuring. Its parser is its own, so that it shares no bug with
//! the balancer's.
