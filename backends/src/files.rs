//! A directory as a web site: which file a request is about, and what is answered.
//!
//! Owns the rules of RFC 9110 for GET, HEAD and OPTIONS of files; reading requests and keeping connections is as for the
//! verifiable body. Rules: a file is read on the event loop's thread, in pieces between which others have their turn: a
//! disk that answers late keeps everybody waiting, which is the price of one thread; nothing is cached but by the kernel.
//! No name that begins with a dot is served or listed, unless a link of another name leads to it.

mod conditional;
mod date;
mod listing;
mod path;
mod range;
mod reply;
mod root;
mod transfer;

use std::path::Path;
use std::time::SystemTime;

use crate::error::BackendError;
use crate::files::conditional::{Validators, Verdict};
use crate::files::path::Target;
use crate::files::range::{Selection, select};
use crate::files::reply::Reply;
use crate::files::root::{Found, Opened, Root, Unserved};
use crate::request::{Kept, Method, Request};

pub(crate) use crate::files::transfer::{Progress, Transfer};

/// What can be done with files, as `Allow` says it.
const METHODS: &str = "GET, HEAD, OPTIONS";
/// What is served where a directory is asked for.
const INDEX: &str = "index.html";

/// A directory that is served.
#[derive(Debug)]
pub(crate) struct Site {
    root: Root,
    /// The server's, for `X-Backend`.
    name: String,
}

impl Site {
    /// The directory at `path`, served by the server `name`.
    pub(crate) fn open(path: &Path, name: &str) -> Result<Self, BackendError> {
        let root = Root::open(path).map_err(|reason| BackendError::Root { path: path.to_owned(), reason })?;
        Ok(Site { root, name: name.to_owned() })
    }

    /// The answer to `request`, whose head asked for `asked`.
    pub(crate) fn answer(&self, request: Request, asked: &Kept, now: SystemTime) -> Transfer {
        self.reply(asked, now).unwrap_or_else(Reply::from).transfer(&self.name, request, now)
    }

    fn reply(&self, asked: &Kept, now: SystemTime) -> Result<Reply, Unserved> {
        match asked.method {
            Method::Get | Method::Head => {}
            Method::Options => return Ok(Reply::bare("204 No Content").with("Allow", METHODS)),
            Method::Other => return Ok(Reply::told("405 Method Not Allowed").with("Allow", METHODS)),
        }
        let target = Target::parse(&asked.target)?;
        match self.root.find(&target.path)? {
            Found::File(_) if target.of_directory => Err(Unserved::Missing),
            Found::File(opened) => Ok(file(opened, &target.path, asked, now)),
            Found::Directory if !target.of_directory => {
                let location = target.location_of_directory();
                Ok(Reply::told("301 Moved Permanently").with("Location", location))
            }
            Found::Directory => {
                let index = target.path.join(INDEX);
                match self.root.find(&index) {
                    Ok(Found::File(opened)) => Ok(file(opened, &index, asked, now)),
                    Ok(Found::Directory) | Err(Unserved::Missing) => self.listing(&target),
                    Err(unserved) => Err(unserved),
                }
            }
        }
    }

    fn listing(&self, target: &Target) -> Result<Reply, Unserved> {
        let entries = self.root.entries(&target.path)?;
        let page = listing::page(target, &entries, &self.name).map_err(|_| Unserved::Failed)?;
        Ok(Reply::page(page))
    }
}

/// The answer that is `opened`, a part of it, or that the client has it already.
fn file(opened: Opened, path: &Path, asked: &Kept, now: SystemTime) -> Reply {
    let size = opened.size;
    let validators = Validators::new(opened.seconds, opened.nanoseconds, size, now);
    let with_validators = |reply: Reply| {
        let reply = reply.with("ETag", validators.etag());
        match validators.last_modified() {
            Some(date) => reply.with("Last-Modified", date),
            None => reply,
        }
    };
    match validators.evaluate(asked) {
        Verdict::NotModified => return with_validators(Reply::bare("304 Not Modified")),
        Verdict::PreconditionFailed => return Reply::told("412 Precondition Failed"),
        Verdict::Proceed => {}
    }
    let allowed = asked.if_range.as_ref().is_none_or(|if_range| validators.allow_part(if_range));
    let selection = match &asked.range {
        // A range is defined for GET alone (§14.2).
        Some(range) if allowed && asked.method == Method::Get => select(range, size),
        _ => Selection::Whole,
    };
    let reply = match selection {
        Selection::Unsatisfiable => {
            let range = format!("bytes */{size}");
            return Reply::told("416 Range Not Satisfiable").with("Content-Range", range);
        }
        Selection::Whole => Reply::part("200 OK", opened.file, 0..size),
        Selection::Part(part) => {
            let range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            Reply::part("206 Partial Content", opened.file, part).with("Content-Range", range)
        }
    };
    with_validators(reply).with("Accept-Ranges", "bytes").with("Content-Type", content_type(path))
}

/// The media type that `path`'s extension stands for; text is taken as UTF-8.
fn content_type(path: &Path) -> String {
    let guess = mime_guess::from_path(path).first_or_octet_stream();
    if guess.type_() == mime_guess::mime::TEXT && guess.get_param(mime_guess::mime::CHARSET).is_none() {
        format!("{guess}; charset=utf-8")
    } else {
        guess.to_string()
    }
}

impl From<Unserved> for Reply {
    fn from(unserved: Unserved) -> Self {
        Reply::told(match unserved {
            Unserved::Malformed => "400 Bad Request",
            Unserved::Missing => "404 Not Found",
            Unserved::Forbidden => "403 Forbidden",
            Unserved::Busy => "503 Service Unavailable",
            Unserved::Failed => "500 Internal Server Error",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_goes_by_the_extension_and_text_has_its_charset() {
        for (path, expected) in [
            ("a.html", "text/html; charset=utf-8"),
            ("a.TXT", "text/plain; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("pokijan.jpg", "image/jpeg"),
            ("a.png", "image/png"),
            ("a.svg", "image/svg+xml"),
            ("a.pdf", "application/pdf"),
            ("a.json", "application/json"),
            ("a", "application/octet-stream"),
            ("a.nonsense", "application/octet-stream"),
        ] {
            assert_eq!(content_type(Path::new(path)), expected, "{path}");
        }
    }
}
