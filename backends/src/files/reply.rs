//! A response before its way: status, fields, body.
//!
//! Owns the form of a head. Rules: every response names its server and tells the time; what goes wrong is said
//! in one line of text; a response to HEAD has the fields of the one to GET.

use std::fmt::Display;
use std::fs::File;
use std::ops::Range;
use std::time::SystemTime;

use crate::files::date::http_date;
use crate::files::transfer::Transfer;
use crate::request::Request;
use crate::response::Afterwards;

/// A response before its way.
#[derive(Debug)]
pub(super) struct Reply {
    status: &'static str,
    /// Lines, each with its line end.
    fields: String,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// The status allows none.
    None,
    Text(String),
    Part(File, Range<u64>),
}

impl Reply {
    /// A status that has no body by itself.
    pub(super) fn bare(status: &'static str) -> Self {
        Reply { status, fields: String::new(), body: Body::None }
    }

    /// A status that is told in a line of text.
    pub(super) fn told(status: &'static str) -> Self {
        let body = Body::Text(format!("{status}\n"));
        Reply { status, fields: String::new(), body }.with("Content-Type", "text/plain; charset=utf-8")
    }

    /// A page.
    pub(super) fn page(html: String) -> Self {
        Reply { status: "200 OK", fields: String::new(), body: Body::Text(html) }
            .with("Content-Type", "text/html; charset=utf-8")
    }

    /// A part of a file, or all of it.
    pub(super) fn part(status: &'static str, file: File, part: Range<u64>) -> Self {
        Reply { status, fields: String::new(), body: Body::Part(file, part) }
    }

    /// With one more field.
    pub(super) fn with(mut self, name: &str, value: impl Display) -> Self {
        self.fields.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// The response to `request` from the server `name`, ready to leave.
    pub(super) fn transfer(mut self, name: &str, request: Request, now: SystemTime) -> Transfer {
        if let Some(date) = http_date(now) {
            self = self.with("Date", date);
        }
        let length = match &self.body {
            Body::None => None,
            Body::Text(text) => Some(text.len() as u64),
            Body::Part(_, part) => Some(part.end - part.start),
        };
        if let Some(length) = length {
            self = self.with("Content-Length", length);
        }
        let (connection, afterwards) = match (request.persistent, request.old) {
            (true, false) => ("", Afterwards::Read),
            (true, true) => ("Connection: keep-alive\r\n", Afterwards::Read),
            (false, _) => ("Connection: close\r\n", Afterwards::Close),
        };
        let Reply { status, fields, body } = self;
        let mut head = format!(
            "HTTP/1.1 {status}\r\nServer: roundtable-backend/{version}\r\nX-Backend: {name}\r\n\
             {fields}{connection}\r\n",
            version = env!("CARGO_PKG_VERSION"),
        )
        .into_bytes();
        match body {
            Body::Part(file, part) if !request.head_only => Transfer::of_file(head, file, part, afterwards),
            Body::Text(text) if !request.head_only => {
                head.extend_from_slice(text.as_bytes());
                Transfer::of_bytes(head, afterwards)
            }
            _ => Transfer::of_bytes(head, afterwards),
        }
    }
}
