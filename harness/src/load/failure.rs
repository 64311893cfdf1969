//! What can go wrong with one request, and how many it went wrong with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::verify::Mismatch;

/// Requests that failed, by what went wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failures {
    /// No connection.
    pub connect: u64,
    /// The stream was cut or reset before the response was whole.
    pub receive: u64,
    /// A body of another length than it should have, or bytes after it.
    pub length: u64,
    /// A body of the right length with wrong bytes.
    pub content: u64,
    /// Not an HTTP/1 response.
    pub malformed: u64,
    /// No whole response in time.
    pub timeout: u64,
}

impl Failures {
    /// Adds those of another load.
    pub(crate) fn add(&mut self, others: &Failures) {
        self.connect += others.connect;
        self.receive += others.receive;
        self.length += others.length;
        self.content += others.content;
        self.malformed += others.malformed;
        self.timeout += others.timeout;
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.connect + self.receive + self.length + self.content + self.malformed + self.timeout
    }
}

/// What went wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No connection.
    Connect,
    /// The stream was cut or reset before the response was whole.
    Receive,
    /// A body of another length than it should have, or bytes after it.
    Length,
    /// A body of the right length with wrong bytes.
    Content,
    /// Not an HTTP/1 response.
    Malformed,
    /// No whole response in time.
    Timeout,
}

impl From<Mismatch> for Failure {
    fn from(mismatch: Mismatch) -> Self {
        match mismatch {
            Mismatch::Length => Failure::Length,
            Mismatch::Content => Failure::Content,
        }
    }
}
