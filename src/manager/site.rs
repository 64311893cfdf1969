//! What is answered to a request: who may, what is there, and what a form changes.
//!
//! Rules: who is not let in learns nothing, not even what exists, and no byte of what they send along is read; GET and
//! HEAD change nothing.

use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Instant;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode};
use roundtable::proxy::{Change, Mode, Proxy};

use super::access::{Gate, Stranger};
use super::figures::Figures;
use super::metrics;
use super::order::{Nonce, Order, Refused};
use super::page::{self, Page};
use super::paths::{Paths, Place};
use super::reply::{HTML, JSON, Reply, not_allowed, refusal, reply, see_other, too_many_tries, unauthorized};
use crate::console::tell;

/// Longest form, bytes.
const MOST_FORM: usize = 4096;

/// One balancer's manager.
#[derive(Debug)]
pub(super) struct Site {
    proxy: Arc<Proxy>,
    paths: Paths,
    gate: Gate,
    nonce: Nonce,
    model: &'static str,
}

impl Site {
    pub(super) fn new(proxy: Arc<Proxy>, paths: Paths, gate: Gate, model: &'static str) -> Site {
        Site { proxy, paths, gate, nonce: Nonce::new(), model }
    }

    /// The name of the user who sends a request with this head, where anybody is asked for one.
    pub(super) async fn admit(&self, head: &Parts) -> Result<Option<&str>, Stranger> {
        self.gate.admit(&head.headers, client(&head.headers)).await
    }

    /// What somebody is told who was not let in.
    pub(super) fn turn_away(stranger: Stranger) -> Reply {
        match stranger {
            Stranger::Unknown => unauthorized(),
            Stranger::Hasty => too_many_tries(),
        }
    }

    /// Answers somebody who was let in. Of the body only a form is read.
    pub(super) async fn answer<B: Body<Data = Bytes>>(
        &self,
        user: Option<&str>,
        head: &Parts,
        body: B,
    ) -> Reply {
        if self.gate.is_open() && !is_asked_as_this_machine(&head.headers) {
            return refusal(
                StatusCode::FORBIDDEN,
                "Without users this manager is for this machine alone: open it at localhost or 127.0.0.1, or start the \
                 balancer with --manager-users FILE.",
            );
        }
        let Some(place) = self.paths.find(head.uri.path()) else {
            return refusal(StatusCode::NOT_FOUND, "The manager has no such page.");
        };
        match (place, &head.method) {
            (Place::Page, &Method::POST) => self.change(user, head, pin!(body)).await,
            (Place::Page, &Method::GET | &Method::HEAD) => self.page(user, head.uri.path()),
            (Place::Json, &Method::GET | &Method::HEAD) => match self.figures().json() {
                Ok(text) => reply(StatusCode::OK, JSON, text),
                Err(_) => {
                    refusal(StatusCode::INTERNAL_SERVER_ERROR, "The figures cannot be written as JSON.")
                }
            },
            (Place::Metrics, &Method::GET | &Method::HEAD) => {
                reply(StatusCode::OK, metrics::CONTENT_TYPE, metrics::text(&self.figures()))
            }
            (Place::Page, _) => not_allowed("GET, HEAD, POST"),
            (Place::Json | Place::Metrics, _) => not_allowed("GET, HEAD"),
        }
    }

    fn figures(&self) -> Figures {
        Figures::of(self.proxy.status(Instant::now()), self.model)
    }

    fn page(&self, user: Option<&str>, path: &str) -> Reply {
        let figures = self.figures();
        let page = Page {
            figures: &figures,
            user,
            nonce: self.nonce.as_str(),
            json: &self.paths.json_from(path),
            style: page::STYLE,
            script: page::SCRIPT,
        };
        match page.text() {
            Ok(text) => reply(StatusCode::OK, HTML, text),
            Err(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "The page cannot be written."),
        }
    }

    async fn change<B: Body<Data = Bytes>>(
        &self,
        user: Option<&str>,
        head: &Parts,
        mut body: Pin<&mut B>,
    ) -> Reply {
        if !is_form(&head.headers) {
            return refusal(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Send a form: Content-Type application/x-www-form-urlencoded.",
            );
        }
        let mut form = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return refusal(StatusCode::BAD_REQUEST, "The form broke off: send it again.");
            };
            let Ok(data) = frame.into_data() else { continue };
            if form.len() + data.len() > MOST_FORM {
                return refusal(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "The form is larger than 4 KiB: send that of the page.",
                );
            }
            form.extend_from_slice(&data);
        }
        let order = match Order::read(&form, &self.nonce) {
            Ok(order) => order,
            Err(Refused::Nonce) => {
                return refusal(
                    StatusCode::FORBIDDEN,
                    "The form is not from this balancer's page, or from before a restart: load the page again.",
                );
            }
            Err(Refused::Form(remedy)) => {
                return refusal(StatusCode::BAD_REQUEST, &format!("The form means nothing: {remedy}."));
            }
        };
        let told = match order {
            Order::Change { backend, change } => match self.proxy.change(backend, change) {
                Ok(()) => self.changed(backend, change),
                Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
            },
            Order::Purge => format!("the cache of {} entries is emptied", self.proxy.purge_cache()),
        };
        let by = user.map(|user| format!(" by {}", user.escape_debug())).unwrap_or_default();
        let from = client(&head.headers).map(|client| format!(" from {client}")).unwrap_or_default();
        tell(format_args!("roundtable: {told}{by}{from}"));
        see_other(&self.paths.page_from(head.uri.path()))
    }

    /// What was changed, for a line on standard error that says by whom.
    fn changed(&self, backend: usize, change: Change) -> String {
        let status = self.proxy.status(Instant::now());
        let mut members = status.groups.iter().flat_map(|group| &group.members);
        let name = members.find(|member| member.id.index() == backend).map_or("?", |member| &member.name);
        let what = match change {
            Change::Mode(Mode::Enabled) => "is enabled".to_owned(),
            Change::Mode(Mode::Draining) => "is drained".to_owned(),
            Change::Mode(Mode::Disabled) => "is disabled".to_owned(),
            Change::Weight(weight) => format!("has weight {weight}"),
        };
        format!("backend {} {what}", name.escape_debug())
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Whether Host names this machine's loopback. A web page from elsewhere can have its own name resolve to 127.0.0.1 (DNS
/// rebinding) and would then read the nonce as its own; it cannot change the name that its requests carry.
fn is_asked_as_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// The address that the balancer has put behind all others: the true client's, where the request came through it.
fn client(headers: &HeaderMap) -> Option<IpAddr> {
    let value = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
