//! A response of the manager, with the fields that keep a browser from doing anything unwanted with it.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};
use sha2::{Digest, Sha256};

use super::page;

pub(super) type Reply = Response<Full<Bytes>>;

pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const JSON: &str = "application/json";

/// Only the style and the script of our own pages work, and these may only fetch from and send to the manager's host.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let digest = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        digest(page::STYLE),
        digest(page::SCRIPT)
    );
    HeaderValue::from_str(&policy).ok()
});

/// A response with `body`.
pub(super) fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    let fields = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fields {
        reply.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if let Some(policy) = &*POLICY {
        reply.headers_mut().insert(CONTENT_SECURITY_POLICY, policy.clone());
    }
    reply
}

/// A page that says why not, and what to do instead.
pub(super) fn refusal(status: StatusCode, message: &str) -> Reply {
    reply(status, HTML, page::refusal(status, message))
}

/// To be asked for a name and a password.
pub(super) fn unauthorized() -> Reply {
    let reply =
        refusal(StatusCode::UNAUTHORIZED, "Give the name and the password of a user of this manager.");
    with(reply, WWW_AUTHENTICATE, r#"Basic realm="roundtable", charset="UTF-8""#)
}

/// To be tried again a little later.
pub(super) fn too_many_tries() -> Reply {
    let reply = refusal(
        StatusCode::TOO_MANY_REQUESTS,
        "Too many passwords are being tried from your address: try again in a moment.",
    );
    with(reply, RETRY_AFTER, "1")
}

/// Only the `allowed` methods are.
pub(super) fn not_allowed(allowed: &'static str) -> Reply {
    let message = format!("Only {allowed} can be done here.");
    with(refusal(StatusCode::METHOD_NOT_ALLOWED, &message), ALLOW, allowed)
}

/// To be seen at `reference` now.
pub(super) fn see_other(reference: &str) -> Reply {
    let reply = reply(StatusCode::SEE_OTHER, HTML, "");
    with(reply, LOCATION, reference)
}

fn with(mut reply: Reply, name: HeaderName, value: &str) -> Reply {
    // Paths are of plain characters, everything else is fixed: this does not fail.
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
    reply
}
