//! The access log: who connected and where each request was forwarded, or a line for each exchange.
//!
//! Owns the lines' forms and the thread that writes them. Rules: no model ever waits for the log: lines that the writer
//! cannot keep up with are left out, and a line says how many; what a client sent cannot end a line or a quoted field, nor
//! reach a terminal as a control sequence.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;
use crossbeam::channel::{Receiver, Sender, bounded};
use jiff::Zoned;
use roundtable::proxy::{Exchange, Observer};
use serde::{Deserialize, Serialize};

/// Lines that may wait to be written.
const WAITING: usize = 16 * 1024;

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// `connection from ADDR` and `forwarded to ADDR`, as they happen
    #[default]
    Turns,
    /// The Common Log Format, a line for each exchange
    Common,
    /// The Combined Log Format: the same with referer and user agent
    Combined,
    /// An object for each exchange
    Json,
}

#[derive(Debug)]
enum Event {
    Connection(SocketAddr),
    Forwarded(SocketAddr),
    Line(String),
}

/// The end of the log that models write to.
#[derive(Debug)]
pub(crate) struct AccessLog {
    format: LogFormat,
    /// The backends' names, by index.
    backends: Vec<String>,
    events: Sender<Event>,
    left_out: Arc<AtomicU64>,
}

impl AccessLog {
    /// Appends to the file at `path`; `-` is standard error, since standard output carries the ready line.
    pub(crate) fn open(path: &Path, format: LogFormat, backends: Vec<String>) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = if path == Path::new("-") {
            Box::new(io::stderr())
        } else {
            Box::new(OpenOptions::new().create(true).append(true).open(path)?)
        };
        let (events, waiting) = bounded(WAITING);
        let left_out = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&left_out);
        std::thread::Builder::new().name("access log".into()).spawn(move || {
            if let Err(error) = write_lines(&waiting, &counter, BufWriter::new(out)) {
                // `eprintln!` would panic when nobody reads it any more.
                drop(writeln!(io::stderr(), "roundtable: the access log ends here: {error}"));
            }
        })?;
        Ok(AccessLog { format, backends, events, left_out })
    }

    /// Whether it has a line for each exchange, and so has to be told of them.
    pub(crate) fn observes(&self) -> bool {
        self.format != LogFormat::Turns
    }

    pub(super) fn connection(&self, client: SocketAddr) {
        if self.format == LogFormat::Turns {
            self.send(Event::Connection(client));
        }
    }

    pub(super) fn forwarded(&self, backend: SocketAddr) {
        if self.format == LogFormat::Turns {
            self.send(Event::Forwarded(backend));
        }
    }

    fn send(&self, event: Event) {
        if self.events.try_send(event).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Observer for AccessLog {
    fn exchanged(&self, exchange: &Exchange<'_>) {
        let now = Zoned::now();
        let backend = exchange.backend.and_then(|backend| self.backends.get(backend.index()));
        let line = match self.format {
            LogFormat::Turns => return,
            LogFormat::Common => common(exchange, &now),
            LogFormat::Combined => combined(exchange, &now),
            LogFormat::Json => json(exchange, &now, backend.map(String::as_str)),
        };
        self.send(Event::Line(line));
    }
}

/// `host ident user [time] "request" status bytes`, as Apache's `%h %l %u %t "%r" %>s %b`.
fn common(exchange: &Exchange<'_>, now: &Zoned) -> String {
    let status = exchange.status.map_or("-".to_owned(), |status| status.to_string());
    let bytes = if exchange.body_bytes == 0 { "-".to_owned() } else { exchange.body_bytes.to_string() };
    format!(
        "{} - - [{}] \"{}\" {status} {bytes}",
        exchange.client.ip().to_canonical(),
        now.strftime("%d/%b/%Y:%H:%M:%S %z"),
        quoted(exchange.request_line)
    )
}

fn combined(exchange: &Exchange<'_>, now: &Zoned) -> String {
    let common = common(exchange, now);
    format!("{common} \"{}\" \"{}\"", quoted(exchange.referer), quoted(exchange.user_agent))
}

/// What stands between quotes: a dash for nothing, and escapes for whatever is neither printable ASCII nor itself.
fn quoted(bytes: &[u8]) -> String {
    if bytes.is_empty() { "-".to_owned() } else { bytes.escape_ascii().to_string().replace("\\'", "'") }
}

/// A line of the JSON log.
#[derive(Debug, Serialize)]
struct Line<'a> {
    time: String,
    client: SocketAddr,
    request: String,
    host: String,
    status: Option<u16>,
    body_bytes: u64,
    lasted_us: u64,
    backend: Option<&'a str>,
    /// The response went out whole.
    whole: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    referer: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    user_agent: String,
}

fn json(exchange: &Exchange<'_>, now: &Zoned, backend: Option<&str>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let line = Line {
        time: now.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
        client: exchange.client,
        request: text(exchange.request_line),
        host: text(exchange.host),
        status: exchange.status,
        body_bytes: exchange.body_bytes,
        lasted_us: u64::try_from(exchange.lasted.as_micros()).unwrap_or(u64::MAX),
        backend,
        whole: exchange.whole,
        referer: text(exchange.referer),
        user_agent: text(exchange.user_agent),
    };
    // Numbers and text alone: it cannot fail.
    serde_json::to_string(&line).unwrap_or_default()
}

fn write_lines(waiting: &Receiver<Event>, left_out: &AtomicU64, mut out: impl Write) -> io::Result<()> {
    while let Ok(first) = waiting.recv() {
        let mut next = Some(first);
        while let Some(event) = next {
            match event {
                Event::Connection(client) => writeln!(out, "connection from {client}")?,
                Event::Forwarded(backend) => writeln!(out, "forwarded to {backend}")?,
                Event::Line(line) => writeln!(out, "{line}")?,
            }
            next = waiting.try_recv().ok();
        }
        let missing = left_out.swap(0, Ordering::Relaxed);
        if missing > 0 {
            writeln!(out, "({missing} lines left out: the log could not keep up)")?;
        }
        out.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn exchange() -> Exchange<'static> {
        Exchange {
            client: ([192, 0, 2, 7], 4711).into(),
            request_line: b"GET /\"x\xff HTTP/1.1",
            host: b"a",
            referer: b"",
            user_agent: b"curl\\8'",
            status: Some(200),
            body_bytes: 12,
            backend: None,
            lasted: Duration::from_micros(1500),
            whole: true,
        }
    }

    fn noon() -> Zoned {
        "2026-11-20T12:00:00.5Z".parse::<jiff::Timestamp>().unwrap().to_zoned(jiff::tz::TimeZone::UTC)
    }

    #[test]
    fn the_common_and_combined_formats_are_those_of_apache() {
        let common_line = r#"192.0.2.7 - - [20/Nov/2026:12:00:00 +0000] "GET /\"x\xff HTTP/1.1" 200 12"#;
        assert_eq!(common(&exchange(), &noon()), common_line);
        assert_eq!(combined(&exchange(), &noon()), format!(r#"{common_line} "-" "curl\\8'""#));
        let cut = Exchange { status: None, body_bytes: 0, ..exchange() };
        assert!(common(&cut, &noon()).ends_with("\" - -"));
    }

    #[test]
    fn a_line_of_json_is_one_object() {
        let line = json(&exchange(), &noon(), Some("localhost:9001"));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["time"], "2026-11-20T12:00:00.500+00:00");
        assert_eq!((&value["status"], &value["lasted_us"]), (&200.into(), &1500.into()));
        assert_eq!(value["backend"], "localhost:9001");
        assert!(value.get("referer").is_none());
    }
}
