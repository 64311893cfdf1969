//! The limits and timeouts of an exchange, with their defaults.
//!
//! Owns the numbers and their mutual constraints; enforcing them is the session's business.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::buf::LARGE;
use super::error::Error;

/// Most fields that a head may have, whatever the configuration says.
pub(crate) const MOST_FIELDS: usize = 128;
/// Room in a large buffer that is kept for the fields that the proxy adds.
pub(crate) const ADDED: usize = 1024;

/// What one exchange may take. The same for every model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest request line, bytes. Default 8000, the least that RFC 9112 section 3 recommends.
    pub request_line_bytes: usize,
    /// Longest head (request line and all fields, or status line and all fields), bytes. Default 12288.
    pub head_bytes: usize,
    /// Most fields in a head. Default 100.
    pub fields: usize,
    /// Longest request body, bytes. Default 1 GiB.
    pub body_bytes: u64,
    /// From the first byte of a request (or the connection's start) to the end of its head. Default 10 s.
    pub header_timeout: Duration,
    /// Longest pause in a request body. Default 30 s.
    pub body_timeout: Duration,
    /// How long a persistent client connection may be idle. Default 60 s.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of what is being sent to it. Default 30 s.
    pub write_timeout: Duration,
    /// Least bytes per second that a client must send of a request body, or take of a response body, while it is waited
    /// for: the time that it takes longer is taken off its timeout. 0: none. Default 500, as Apache httpd's
    /// `RequestReadTimeout` has it.
    pub client_rate: u64,
    /// How long a connection attempt to a backend may take. Default 2 s.
    pub connect_timeout: Duration,
    /// How long a backend may take for the whole head of an answer, and for nothing at all in the middle of a body.
    /// Default 30 s.
    pub backend_timeout: Duration,
    /// The same rate for backends. Default 0, none: a stream of events is an answer that trickles.
    pub backend_rate: u64,
    /// How long a backend is left out after a failed connection attempt. Default 1 s.
    pub retry_interval: Duration,
    /// How long a refused client's remaining bytes are read and discarded before the connection is closed. Default 1 s.
    pub linger_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            request_line_bytes: 8000,
            head_bytes: 12 * 1024,
            fields: 100,
            body_bytes: 1 << 30,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            client_rate: 500,
            connect_timeout: Duration::from_secs(2),
            backend_timeout: Duration::from_secs(30),
            backend_rate: 0,
            retry_interval: Duration::from_secs(1),
            linger_timeout: Duration::from_secs(1),
        }
    }
}

impl Limits {
    /// How long a head may be allowed to be, bytes.
    pub const HEAD_BYTES: RangeInclusive<usize> = 256..=LARGE - 2 * ADDED;
    /// How long a request line may be allowed to be, bytes; never longer than a head.
    pub const REQUEST_LINE_BYTES: RangeInclusive<usize> = 16..=LARGE - 2 * ADDED;
    /// How many fields may be allowed.
    pub const FIELDS: RangeInclusive<usize> = 1..=MOST_FIELDS;
    /// How short any timeout may be: nobody can do anything in less.
    pub const SHORTEST: Duration = Duration::from_millis(1);
    /// How long any timeout may be.
    pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

    /// Refuses limits that contradict each other or the buffers.
    pub fn validate(&self) -> Result<(), Error> {
        if !Self::HEAD_BYTES.contains(&self.head_bytes) {
            let (least, most) = Self::HEAD_BYTES.into_inner();
            return Err(Error::Config(format!("the head limit must be between {least} and {most} bytes")));
        }
        if self.request_line_bytes > self.head_bytes
            || self.request_line_bytes < *Self::REQUEST_LINE_BYTES.start()
        {
            return Err(Error::Config(
                "the request line limit must be between 16 bytes and the head limit".to_owned(),
            ));
        }
        if !Self::FIELDS.contains(&self.fields) {
            return Err(Error::Config(format!("the field limit must be between 1 and {MOST_FIELDS}")));
        }
        let timeouts = [
            ("header", self.header_timeout),
            ("body", self.body_timeout),
            ("idle", self.idle_timeout),
            ("write", self.write_timeout),
            ("connect", self.connect_timeout),
            ("backend", self.backend_timeout),
            ("linger", self.linger_timeout),
        ];
        for (name, timeout) in timeouts {
            if timeout < Self::SHORTEST || timeout > Self::LONGEST {
                return Err(Error::Config(format!(
                    "the {name} timeout must be at least 1ms and at most a day"
                )));
            }
        }
        if self.retry_interval > Self::LONGEST {
            return Err(Error::Config("the retry interval must be at most a day".to_owned()));
        }
        Ok(())
    }
}
