//! What must be the same on both sides of the proxy, and what must not cross it.
//!
//! Owns the comparison of a message that came in with the one that went out, and of everything that a client sent and
//! got with everything that backends got and said. Reads both with `strict`. Rule: every complaint is a
//! panic that shows the bytes, so that the same checks serve tests, the simulation and the fuzz targets.

use std::collections::BTreeSet;

use roundtable::proxy::CloseReason;

use crate::grammar;
use crate::strict::{self, Asked, Fields, Framing, Message, Reading, Request, Response};
use crate::world::{AUTHORITY, CLIENT, Outcome};

/// Never forwarded (RFC 9110 section 7.6.1); `expect` is met by this proxy itself.
const ENDS_HERE: [&str; 7] =
    ["connection", "keep-alive", "proxy-authorization", "proxy-connection", "te", "upgrade", "expect"];
/// Written by rules of their own.
const REWRITTEN: [&str; 4] = ["host", "content-length", "transfer-encoding", "x-forwarded-for"];
/// The end of the `Via` that this proxy adds.
const OWN_VIA: &[u8] = b" roundtable";

/// Checks `forwarded` against what the client sent.
pub fn same_request(received: &Request, forwarded: &Request) -> Result<(), String> {
    let (start, sent) = (&received.start, &forwarded.start);
    equal("the method", &start.method, &sent.method)?;
    equal("the target", &start.target, &sent.target)?;
    let host = match (&start.authority, value(&received.fields, "host")) {
        (Some(authority), _) => authority.as_bytes(),
        (None, Some(host)) => host,
        (None, None) => AUTHORITY.as_bytes(),
    };
    equal("the host", &Some(host), &value(&forwarded.fields, "host"))?;
    equal("the framing", &received.framing, &forwarded.framing)?;
    let options = options(&received.fields);
    let chain = match value(&forwarded.fields, "x-forwarded-for") {
        Some(chain) if chain.ends_with(CLIENT.as_bytes()) => chain,
        other => return Err(format!("the client is not named: {other:?}")),
    };
    if options.iter().any(|option| option == "x-forwarded-for") {
        equal("the chain of clients", &CLIENT.as_bytes(), &chain)?;
    }
    let counts_down = start.method == "OPTIONS";
    if counts_down {
        let hops = |request: &Request| value(&request.fields, "max-forwards").map(grammar::text);
        let most = hops(received).map(|most| most.parse().unwrap_or(u64::MAX));
        if most == Some(0) {
            return Err("it was to be forwarded no more".into());
        }
        let one_fewer = most.map(|most| (most - 1).to_string());
        equal("the number of forwards", &one_fewer, &hops(forwarded))?;
    }
    let skipped = |name: &str| {
        ENDS_HERE.contains(&name) || REWRITTEN.contains(&name) || counts_down && name == "max-forwards"
    };
    same_fields(received, forwarded, skipped, &options)?;
    same_body(received, forwarded, &options)
}

/// Checks `forwarded` against what the backend said to a client that asked so, by a balancer that knows this `Date`, if any.
pub fn same_response(
    received: &Response,
    forwarded: &Response,
    asked: &Asked,
    date: Option<&str>,
) -> Result<(), String> {
    let code = received.start.code;
    equal("the status", &code, &forwarded.start.code)?;
    let is_1_1 = asked.minor > 0;
    let bodiless = asked.method == "HEAD" || code == 304;
    let framing = match received.framing {
        _ if code == 204 => Framing::UntilClose,
        Framing::Chunked if !is_1_1 => Framing::UntilClose,
        Framing::UntilClose if is_1_1 && !bodiless => Framing::Chunked,
        framing => framing,
    };
    equal("the framing", &framing, &forwarded.framing)?;
    let options = options(&received.fields);
    let is_date = |name: &str| name == "date" && !options.iter().any(|option| option == name);
    let is_dated = received.fields.iter().any(|(name, _)| is_date(name));
    if !is_dated {
        equal("the date", &date.map(str::as_bytes), &value(&forwarded.fields, "date"))?;
    }
    let skipped = |name: &str| {
        name != "expect" && ENDS_HERE.contains(&name)
            || REWRITTEN[1..3].contains(&name)
            || !is_dated && name == "date"
    };
    let own_connection = forwarded.fields.iter().filter(|(name, _)| name == "connection");
    for (_, value) in own_connection {
        if value != b"close" && value != b"keep-alive" {
            return Err(format!("a Connection that is not this proxy's: {value:?}"));
        }
    }
    same_fields(received, forwarded, skipped, &options)?;
    same_body(received, forwarded, &options)
}

/// Fields in their order, without those that `skipped` names, those in `options`, and this proxy's own `Via`.
fn same_fields<S>(
    received: &Message<S>,
    forwarded: &Message<S>,
    skipped: impl Fn(&str) -> bool,
    options: &[String],
) -> Result<(), String> {
    let crosses = |name: &str| !skipped(name) && !options.iter().any(|option| option == name);
    let expected: Vec<_> = received.fields.iter().filter(|(name, _)| crosses(name)).collect();
    let last_via = forwarded.fields.iter().rposition(|(name, _)| name == "via");
    let Some(last_via) = last_via.filter(|at| forwarded.fields[*at].1.ends_with(OWN_VIA)) else {
        return Err("this proxy's Via is missing".into());
    };
    for (name, _) in &forwarded.fields {
        let own = REWRITTEN.contains(&name.as_str()) || name == "connection";
        if ENDS_HERE.contains(&name.as_str()) && skipped(name) && !own {
            return Err(format!("{name} crossed the proxy"));
        }
    }
    let seen: Vec<_> = (forwarded.fields.iter().enumerate())
        .filter(|(at, (name, _))| *at != last_via && !skipped(name))
        .map(|(_, field)| field)
        .collect();
    equal("the fields", &expected, &seen)
}

fn same_body<S>(received: &Message<S>, forwarded: &Message<S>, options: &[String]) -> Result<(), String> {
    let (there, here) = (&received.body, &forwarded.body);
    if let Some(fault) = here.fault {
        return Err(format!("the body that was sent is broken: {fault}"));
    }
    if !there.data.starts_with(&here.data) {
        return Err("the body's bytes are others".into());
    }
    let ends_with_connection = received.framing == Framing::UntilClose;
    if here.is_whole && !(there.is_whole || ends_with_connection) {
        return Err("half a body was passed off as whole".into());
    }
    if here.is_whole && here.data.len() < there.data.len() {
        return Err("a body was cut and passed off as whole".into());
    }
    let mut originals = there.trailers.iter();
    for trailer in &here.trailers {
        let name = trailer.0.as_str();
        let known = ENDS_HERE.contains(&name) || REWRITTEN.contains(&name) || name == "via";
        if known || options.iter().any(|option| option == name) || !originals.any(|other| other == trailer) {
            return Err(format!("a trailer field crossed that must not: {name}"));
        }
    }
    Ok(())
}

/// Checks everything that left the proxy against everything that came in, whatever the peers did.
pub fn judge(outcome: &Outcome) {
    if let Err(complaint) = judge_session(outcome) {
        panic!(
            "{complaint}\nclient sent: {:?}\nclient got: {:?}\nbackends got: {:?}\nbackends said: {:?}\nend: {:?}",
            String::from_utf8_lossy(&outcome.from_client),
            outcome.client_text(),
            (0..outcome.to_backends.len()).map(|at| outcome.backend_text(at)).collect::<Vec<_>>(),
            outcome.from_backends.iter().map(|said| String::from_utf8_lossy(said)).collect::<Vec<_>>(),
            outcome.reason,
        );
    }
}

fn judge_session(outcome: &Outcome) -> Result<(), String> {
    let (received, rest) = requests(&outcome.from_client);
    let mut exchanges = Vec::new();
    for ((_, sent), said) in outcome.to_backends.iter().zip(&outcome.from_backends) {
        judge_connection(&received, sent, said, &mut exchanges)?;
    }
    let once = |index: &usize| !is_idempotent(&received[*index].start.method);
    for index in (0..received.len()).filter(once) {
        let sent: Vec<_> = (exchanges.iter())
            .filter(|exchange| exchange.of.contains(&index) && exchange.of.iter().all(once))
            .collect();
        let asked: BTreeSet<_> = sent.iter().flat_map(|exchange| &exchange.of).collect();
        if sent.len() > asked.len() {
            return Err(format!("a {} was sent again", received[index].start.method));
        }
    }
    judge_client(&received, rest, &exchanges, outcome)
}

/// What a client got, as far as a strict reader understands it, and the rest. A body is the same
/// in chunks of any size.
pub fn responses(outcome: &Outcome) -> (Vec<Response>, &[u8]) {
    let (asked, rest) = requests(&outcome.from_client);
    let mut left = outcome.to_client.as_slice();
    let (mut responses, mut index) = (Vec::new(), 0);
    loop {
        let to_head = asked
            .get(index)
            .map_or(strict::asks_for_head(rest), |request: &Request| request.start.method == "HEAD");
        let Ok(Some(mut response)) = strict::response(left, to_head, Reading::Sent) else {
            return (responses, left);
        };
        left = &left[response.length..];
        index += usize::from(response.start.code >= 200);
        (response.length, response.body.length) = (0, 0);
        responses.push(response);
    }
}

/// Whether a strict reader accepts all that a client sent, to its end.
pub fn is_sound(client: &[u8]) -> bool {
    let (received, rest) = requests(client);
    rest.is_empty() && received.iter().all(|request| request.body.is_whole && request.body.fault.is_none())
}

/// The status of the final response that `said` begins with, if a strict reader finds nothing wrong with it and no limit of
/// this proxy's is near.
pub fn acceptable_answer(said: &[u8], to_head: bool, closes: bool) -> Option<u16> {
    let is_modest = said.len() < 8000 && said.split(|byte| *byte == b'\n').count() < 100;
    let mut left = said;
    for _ in 0..16 {
        let response = strict::response(left, to_head, Reading::Received).ok().flatten()?;
        let code = response.start.code;
        // No backend says HTTP/1.2; one that does gets no understanding.
        let is_known = left.starts_with(b"HTTP/1.0 ") || left.starts_with(b"HTTP/1.1 ");
        if code == 101 || !is_known || !is_modest || response.body.fault.is_some() {
            return None;
        }
        if code >= 200 {
            let ends = response.body.is_whole || (response.framing == Framing::UntilClose && closes);
            return ends.then_some(code);
        }
        left = &left[response.length..];
    }
    None
}

/// One of the client's requests as a backend got it.
struct Forwarding {
    /// Which ones it can be: some look alike to a backend, all the more if it gets the beginning of a head only.
    of: Vec<usize>,
    response: Option<Response>,
}

/// The requests in all that a client sent, and what stands behind the last one that a strict reader accepts.
fn requests(mut client: &[u8]) -> (Vec<Request>, &[u8]) {
    let mut received = Vec::new();
    while let Ok(Some(request)) = strict::request(client, Reading::Received) {
        client = &client[request.length..];
        let goes_on = request.body.is_whole;
        received.push(request);
        if !goes_on {
            break;
        }
    }
    (received, client)
}

/// What one backend was sent and said on one connection, as exchanges of the client's requests.
fn judge_connection(
    received: &[Request],
    mut sent: &[u8],
    mut said: &[u8],
    exchanges: &mut Vec<Forwarding>,
) -> Result<(), String> {
    let mut from = 0;
    while !sent.is_empty() {
        let read = strict::request(sent, Reading::Sent);
        let Some(forwarded) = read.map_err(|fault| format!("a backend got what is no request: {fault}"))?
        else {
            let of: Vec<_> = (from..received.len())
                .filter(|index| {
                    let Asked { method, target, .. } = &received[*index].start;
                    let line = format!("{method} {target} HTTP/1.1\r\n");
                    line.as_bytes().starts_with(&sent[..sent.len().min(line.len())])
                })
                .collect();
            // It may have answered before it could know the method.
            let to_head = sent.starts_with(b"HEAD ")
                || (!of.is_empty() && of.iter().all(|index| received[*index].start.method == "HEAD"));
            exchanges.push(Forwarding { of, response: final_response(&mut said, to_head) });
            return Ok(());
        };
        let complaints: Vec<_> =
            received[from..].iter().map(|request| same_request(request, &forwarded)).collect();
        let of: Vec<_> = (complaints.iter().enumerate())
            .filter_map(|(at, complaint)| complaint.is_ok().then_some(from + at))
            .collect();
        let Some(first) = of.first() else {
            return Err(format!("a backend got a request that nobody sent: {complaints:?}"));
        };
        from = first + 1;
        let response = final_response(&mut said, forwarded.start.method == "HEAD");
        exchanges.push(Forwarding { of, response });
        sent = &sent[forwarded.length..];
    }
    Ok(())
}

/// The next final response in what a backend said.
fn final_response(said: &mut &[u8], to_head: bool) -> Option<Response> {
    loop {
        let response = strict::response(said, to_head, Reading::Received).ok().flatten()?;
        *said = &said[response.length..];
        if response.start.code >= 200 {
            return Some(response);
        }
    }
}

fn judge_client(
    received: &[Request],
    rest: &[u8],
    exchanges: &[Forwarding],
    outcome: &Outcome,
) -> Result<(), String> {
    let mut left = outcome.to_client.as_slice();
    let was_cut =
        matches!(outcome.reason, CloseReason::Truncated | CloseReason::Aborted | CloseReason::ClientGone);
    let mut index = 0;
    while !left.is_empty() {
        let asked = received.get(index).map(|request| &request.start);
        let to_head = asked.map_or(strict::asks_for_head(rest), |a| a.method == "HEAD");
        let read = strict::response(left, to_head, Reading::Sent)
            .map_err(|fault| format!("the client got what is no response: {fault}"))?;
        let Some(forwarded) = read else {
            return if was_cut { Ok(()) } else { Err("a response ends in its head".into()) };
        };
        left = &left[forwarded.length..];
        if forwarded.start.code < 200 {
            match asked {
                Some(asked) if asked.minor > 0 => continue,
                _ => return Err("a client got an interim response that does not know them".into()),
            }
        }
        let is_own = !forwarded.fields.iter().any(|(name, value)| name == "via" && value.ends_with(OWN_VIA));
        if is_own {
            judge_own(&forwarded, received.get(index), outcome)?;
            if value(&forwarded.fields, "connection") == Some(b"close") {
                let is_last = left.is_empty() && (forwarded.body.is_whole || was_cut);
                return if is_last { Ok(()) } else { Err("a refusal is not the last word".into()) };
            }
            if !forwarded.body.is_whole && !was_cut {
                return Err("half an answer of the balancer's own".into());
            }
            index += 1;
            continue;
        }
        let Some(asked) = received.get(index) else { return Err("a response to what nobody asked".into()) };
        let own = exchanges.iter().filter(|exchange| exchange.of.contains(&index));
        let answers = own.filter_map(|exchange| exchange.response.as_ref());
        judge_response(&forwarded, &asked.start, answers, outcome)?;
        let is_whole = forwarded.body.is_whole
            || (forwarded.framing == Framing::UntilClose && outcome.reason != CloseReason::Truncated);
        if !is_whole && !was_cut {
            return Err("a response broke off and the connection ended well".into());
        }
        index += 1;
    }
    Ok(())
}

/// Checks a response of the balancer's own: which it may be, and that its connection lasts only where the whole request is
/// known and was read.
fn judge_own(own: &Response, asked: Option<&Request>, outcome: &Outcome) -> Result<(), String> {
    let code = own.start.code;
    equal("the date", &outcome.date.as_deref().map(str::as_bytes), &value(&own.fields, "date"))?;
    let is_last_hop = asked.is_some_and(|asked| {
        let hops = value(&asked.fields, "max-forwards").map(grammar::text);
        asked.start.method == "OPTIONS" && hops.is_some_and(|hops| hops.parse() == Ok(0u64))
    });
    if (code == 200) != is_last_hop || (code != 200 && code < 400) {
        return Err(format!("{code} is no answer to {asked:?}"));
    }
    if value(&own.fields, "connection") == Some(b"close") {
        return Ok(());
    }
    let Some(asked) = asked else { return Err(format!("the connection lasts behind a {code} to nobody")) };
    let is_persistent = asked.start.minor > 0 || value(&own.fields, "connection") == Some(b"keep-alive");
    let is_clear = matches!(code, 200 | 404 | 502..=504) && asked.body.is_whole && is_persistent;
    if is_clear { Ok(()) } else { Err(format!("the connection lasts behind a {code} to {asked:?}")) }
}

/// Checks that the response is one of those that backends gave to this request.
fn judge_response<'a>(
    forwarded: &Response,
    asked: &Asked,
    received: impl Iterator<Item = &'a Response>,
    outcome: &Outcome,
) -> Result<(), String> {
    let mut complaints = Vec::new();
    for response in received {
        match same_response(response, forwarded, asked, outcome.date.as_deref()) {
            Ok(()) => {
                let ends_with_connection = forwarded.framing == Framing::UntilClose;
                let cut = forwarded.body.data.len() < response.body.data.len()
                    || (response.framing != Framing::UntilClose && !response.body.is_whole);
                let told = matches!(outcome.reason, CloseReason::Aborted | CloseReason::ClientGone);
                if !ends_with_connection || !cut || told {
                    return Ok(());
                }
                complaints.push("a body until close was cut, and the client cannot tell".to_owned());
            }
            Err(complaint) => complaints.push(complaint),
        }
    }
    Err(format!("the client got a response that no backend gave: {complaints:?}"))
}

/// RFC 9110 section 9.2.2.
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE")
}

/// The one value of a field; none if there are several.
pub fn value<'a>(fields: &'a Fields, wanted: &str) -> Option<&'a [u8]> {
    let mut values = fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_slice());
    values.next().filter(|_| values.next().is_none())
}

/// The fields that Connection names, without those that it has no power over.
fn options(fields: &Fields) -> Vec<String> {
    (fields.iter().filter(|(name, _)| name == "connection"))
        .flat_map(|(_, value)| value.split(|byte| *byte == b','))
        .map(|option| String::from_utf8_lossy(grammar::trim(option)).to_ascii_lowercase())
        .filter(|option| !matches!(option.as_str(), "host" | "content-length" | "transfer-encoding" | ""))
        .collect()
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, received: &T, forwarded: &T) -> Result<(), String> {
    if received == forwarded {
        Ok(())
    } else {
        Err(format!("{what} changed from {received:?} to {forwarded:?}"))
    }
}
