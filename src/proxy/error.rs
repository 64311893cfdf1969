//! What can go wrong in an exchange, who is to blame, and the status that says so.
//!
//! Owns the mapping from fault to status and the text that the client reads; the response that it reads it in is `reply`'s.
//! Decides nothing about retries.

use thiserror::Error;

/// Who caused a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The client sent what it must not send, or was too slow.
    Client,
    /// A backend did not answer, or not in HTTP.
    Backend,
    /// This machine has run out of something.
    Host,
    /// The configuration asks for what cannot be.
    Operator,
}

/// A fault in an exchange or in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// A request that a strict reading of RFC 9112 refuses.
    #[error("{0}")]
    Malformed(&'static str),
    /// TRACE or CONNECT.
    #[error("this method is not supported by this proxy")]
    Method,
    /// A request was begun and not finished in time.
    #[error("the request did not arrive in time")]
    RequestTimeout,
    /// The body is over the limit.
    #[error("the request body is larger than this proxy takes")]
    BodyTooLarge,
    /// The request line is over the limit.
    #[error("the request line is longer than this proxy takes")]
    TargetTooLong,
    /// An expectation other than `100-continue`.
    #[error("the expectation is not one that can be met")]
    Expectation,
    /// The fields are too long or too many.
    #[error("the request head is larger than this proxy takes")]
    HeadTooLarge,
    /// A transfer coding other than `chunked`.
    #[error("the transfer coding is not one that this proxy knows")]
    Coding,
    /// A protocol version other than 1.x.
    #[error("the HTTP version is not one that this proxy speaks")]
    Version,
    /// The backend's answer was not HTTP, or it hung up.
    #[error("the backend's answer could not be used: {0}")]
    BadGateway(&'static str),
    /// No backend accepts connections.
    #[error("no backend accepts connections")]
    Unavailable,
    /// Every backend that could serve has as many exchanges in hand as it may have.
    #[error("all backends are busy")]
    Busy,
    /// No route leads anywhere for this host and path.
    #[error("no backend is responsible for this host and path")]
    NotRouted,
    /// No descriptor, port or memory left for a connection to a backend.
    #[error("this proxy is out of resources")]
    Exhausted,
    /// A client that wants nothing but what is stored, and nothing is.
    #[error("nothing that is stored answers this, and the request allows nothing else")]
    NotStored,
    /// No backend answered in time.
    #[error("the backend did not answer in time")]
    GatewayTimeout,
    /// The configuration cannot work.
    #[error("{0}")]
    Config(String),
}

impl Error {
    /// Who is to blame.
    pub fn blame(&self) -> Blame {
        match self {
            Error::Malformed(_)
            | Error::Method
            | Error::NotRouted
            | Error::NotStored
            | Error::RequestTimeout
            | Error::BodyTooLarge
            | Error::TargetTooLong
            | Error::Expectation
            | Error::HeadTooLarge
            | Error::Coding
            | Error::Version => Blame::Client,
            Error::BadGateway(_) | Error::Unavailable | Error::Busy | Error::GatewayTimeout => Blame::Backend,
            Error::Exhausted => Blame::Host,
            Error::Config(_) => Blame::Operator,
        }
    }

    /// Status code and reason phrase (RFC 9110 section 15, RFC 6585).
    pub fn status(&self) -> &'static str {
        match self {
            Error::Malformed(_) => "400 Bad Request",
            Error::NotRouted => "404 Not Found",
            Error::Method => "405 Method Not Allowed",
            Error::RequestTimeout => "408 Request Timeout",
            Error::BodyTooLarge => "413 Content Too Large",
            Error::TargetTooLong => "414 URI Too Long",
            Error::Expectation => "417 Expectation Failed",
            Error::HeadTooLarge => "431 Request Header Fields Too Large",
            Error::Config(_) => "500 Internal Server Error",
            Error::Coding => "501 Not Implemented",
            Error::BadGateway(_) => "502 Bad Gateway",
            Error::Unavailable | Error::Busy | Error::Exhausted => "503 Service Unavailable",
            Error::GatewayTimeout | Error::NotStored => "504 Gateway Timeout",
            Error::Version => "505 HTTP Version Not Supported",
        }
    }
}
