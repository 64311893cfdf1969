//! The balancer's own responses: what it answers for itself, and refusals.
//!
//! Owns their form. Why something is refused, and with which status, stands in `error`; which request is answered here is
//! decided in `head`, and whether its connection lasts in `session`.

use super::date::Date;
use super::error::Error;

/// The methods that this proxy takes.
const ALLOW: &str = "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n";

/// A response of the balancer's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// OPTIONS that may be forwarded no more: this proxy is the final recipient (RFC 9110 sections 7.6.2 and 9.3.7).
    Options,
    /// A directory's name without the slash at its end, where a route begins. Links in what would be answered are relative
    /// to the target, so the client has to know.
    MissingSlash {
        /// The target with the slash.
        target: String,
        /// A browser may make a GET of any other request behind a 301, but not behind a 308 (RFC 9110 section 15.4.9).
        keeps_method: bool,
    },
    /// It cannot be done.
    Refusal(Error),
}

/// What becomes of the client's connection behind a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connection {
    /// It ends.
    Closes,
    /// It lasts, as one of HTTP/1.1 does unless told otherwise.
    Lasts,
    /// It lasts, which a client of HTTP/1.0 has to be told.
    LastsFor1_0,
}

impl Reply {
    /// Status code and reason phrase (RFC 9110 section 15, RFC 6585).
    pub(crate) fn status(&self) -> &'static str {
        match self {
            Reply::Options => "200 OK",
            Reply::MissingSlash { keeps_method: false, .. } => "301 Moved Permanently",
            Reply::MissingSlash { keeps_method: true, .. } => "308 Permanent Redirect",
            Reply::Refusal(error) => error.status(),
        }
    }

    /// The status as a number.
    pub(crate) fn code(&self) -> u16 {
        self.status().get(..3).and_then(|digits| digits.parse().ok()).unwrap_or(500)
    }

    /// Whether the request was understood to its end, so that another one can follow on the connection. nginx draws the same
    /// line: its connections outlast 404, 502, 503 and 504, and end behind 400, 413 or 501.
    pub(crate) fn leaves_connection(&self) -> bool {
        match self {
            Reply::Options | Reply::MissingSlash { .. } => true,
            Reply::Refusal(error) => matches!(
                error,
                Error::NotRouted
                    | Error::BadGateway(_)
                    | Error::Unavailable
                    | Error::Busy
                    | Error::Exhausted
                    | Error::GatewayTimeout
                    | Error::NotStored
            ),
        }
    }

    /// The whole response. `is_head` leaves the body out.
    pub(crate) fn response(&self, is_head: bool, connection: Connection, date: &Date) -> String {
        let status = self.status();
        let body = match self {
            Reply::Options => String::new(),
            Reply::MissingSlash { .. } => {
                format!("{status}: there is a slash missing at the end of the path\n")
            }
            Reply::Refusal(error) => format!("{status}: {error}\n"),
        };
        let kind = if body.is_empty() { "" } else { "Content-Type: text/plain; charset=utf-8\r\n" };
        let field = match self {
            Reply::Options | Reply::Refusal(Error::Method) => ALLOW.to_owned(),
            Reply::MissingSlash { target, .. } => format!("Location: {target}\r\n"),
            Reply::Refusal(_) => String::new(),
        };
        let date = date.field();
        let connection = match connection {
            Connection::Closes => "Connection: close\r\n",
            Connection::Lasts => "",
            Connection::LastsFor1_0 => "Connection: keep-alive\r\n",
        };
        format!(
            "HTTP/1.1 {status}\r\n{}{kind}Content-Length: {}\r\n{field}{connection}\r\n{}",
            date.as_str(),
            body.len(),
            if is_head { "" } else { &body },
        )
    }
}
