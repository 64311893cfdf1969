//! The access log: who connected and where each request was forwarded, or a line for each exchange.
//!
//! Owns the lines' forms and the thread that writes them. Rules: lines are written whole, to the file that is at the path
//! when the log is opened, or opened anew; no model ever waits for the log: lines that the writer
//! cannot keep up with are left out, and a line says how many; what a client sent cannot end a line or a quoted field, nor
//! reach a terminal as a control sequence: all but printable ASCII is escaped, as by Apache and nginx, or as JSON has it.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use crossbeam::channel::{Receiver, Sender, bounded};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use roundtable::proxy::{BackendId, CacheUse, ExchangeSummary, Observer};
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
    Exchange(Box<Entry>),
    /// All before it has been written.
    Flush(Sender<()>),
    /// What follows goes to the file that is at the path then.
    Reopen,
}

/// An exchange as it waits to be written.
#[derive(Debug, Clone)]
struct Entry {
    ended: Timestamp,
    client: SocketAddr,
    request_line: Vec<u8>,
    host: Vec<u8>,
    referer: Vec<u8>,
    user_agent: Vec<u8>,
    status: Option<u16>,
    body_bytes: u64,
    lasted: Duration,
    /// Index of the backend.
    backend: Option<usize>,
    whole: bool,
    cache: Option<CacheUse>,
}

/// The end of the log that models write to.
#[derive(Debug)]
pub(crate) struct AccessLog {
    format: LogFormat,
    events: Sender<Event>,
    left_out: Arc<AtomicU64>,
}

impl AccessLog {
    /// Appends to the file at `path`; `-` is standard error, since standard output carries the ready line.
    pub(crate) fn open(path: &Path, format: LogFormat, backends: Vec<String>) -> io::Result<Self> {
        let (path, out) = (path.to_owned(), open_output(path)?);
        let (events, waiting) = bounded(WAITING);
        let left_out = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&left_out);
        std::thread::Builder::new().name("access log".into()).spawn(move || {
            let writer = Writer { format, backends, zone: TimeZone::system(), path, out };
            if let Err(error) = writer.write(&waiting, &counter) {
                // `eprintln!` would panic when nobody reads it any more.
                drop(writeln!(io::stderr(), "roundtable: the access log ends here: {error}"));
            }
        })?;
        Ok(AccessLog { format, events, left_out })
    }

    /// Fails as [`open`](Self::open) would, and leaves no file behind that was not there.
    pub(crate) fn check(path: &Path) -> io::Result<()> {
        let was_there = path == Path::new("-") || path.exists();
        open_output(path)?;
        if was_there { Ok(()) } else { std::fs::remove_file(path) }
    }

    /// Opens the file anew: what was told so far is written to the one in hand, what is told from now on to the one that is
    /// at the path. Fails when the log is not written any more, or has not taken this up within `patience`.
    pub(crate) fn reopen(&self, patience: Duration) -> io::Result<()> {
        self.events.send_timeout(Event::Reopen, patience).map_err(|error| {
            io::Error::from(if error.is_timeout() {
                io::ErrorKind::TimedOut
            } else {
                io::ErrorKind::BrokenPipe
            })
        })
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

    /// Waits until what was told so far is written, for at most `patience`: for the end of the process.
    pub(crate) fn flush(&self, patience: Duration) {
        let (written, told) = bounded(1);
        if self.events.send_timeout(Event::Flush(written), patience).is_ok() {
            // Nothing more can be done when it does not come in time.
            let _ = told.recv_timeout(patience);
        }
    }

    fn send(&self, event: Event) {
        if self.events.try_send(event).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Observer for AccessLog {
    fn exchanged(&self, exchange: &ExchangeSummary<'_>) {
        self.send(Event::Exchange(Box::new(Entry {
            ended: Timestamp::now(),
            client: exchange.client,
            request_line: exchange.request_line.to_vec(),
            host: exchange.host.to_vec(),
            referer: exchange.referer.to_vec(),
            user_agent: exchange.user_agent.to_vec(),
            status: exchange.status,
            body_bytes: exchange.body_bytes,
            lasted: exchange.lasted,
            backend: exchange.backend.map(BackendId::index),
            whole: exchange.whole,
            cache: exchange.cache,
        })));
    }
}

type Output = BufWriter<Box<dyn Write + Send>>;

/// What is written at `path`; `-` is standard error.
fn open_output(path: &Path) -> io::Result<Output> {
    let out: Box<dyn Write + Send> = if path == Path::new("-") {
        Box::new(io::stderr())
    } else {
        Box::new(OpenOptions::new().create(true).append(true).open(path)?)
    };
    Ok(BufWriter::new(out))
}

/// The other end.
struct Writer {
    format: LogFormat,
    /// The backends' names, by index.
    backends: Vec<String>,
    zone: TimeZone,
    path: PathBuf,
    out: Output,
}

impl Writer {
    fn write(mut self, waiting: &Receiver<Event>, left_out: &AtomicU64) -> io::Result<()> {
        while let Ok(first) = waiting.recv() {
            let mut next = Some(first);
            while let Some(event) = next {
                match event {
                    Event::Connection(client) => writeln!(self.out, "connection from {client}")?,
                    Event::Forwarded(backend) => writeln!(self.out, "forwarded to {backend}")?,
                    Event::Flush(written) => {
                        self.out.flush()?;
                        // Whoever asked may have lost patience.
                        let _ = written.send(());
                    }
                    Event::Reopen => self.reopen()?,
                    Event::Exchange(entry) => {
                        let line = self.line(&entry);
                        writeln!(self.out, "{line}")?;
                    }
                }
                next = waiting.try_recv().ok();
            }
            let missing = left_out.swap(0, Ordering::Relaxed);
            if missing > 0 {
                writeln!(self.out, "({missing} lines left out: the log could not keep up)")?;
            }
            self.out.flush()?;
        }
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.out.flush()?;
        match open_output(&self.path) {
            Ok(out) => self.out = out,
            Err(error) => drop(writeln!(
                io::stderr(),
                "roundtable: cannot open the access log {} anew ({error}), the old file is written on; make the path \
                 writable, then send SIGUSR1 again",
                self.path.display()
            )),
        }
        Ok(())
    }

    fn line(&self, entry: &Entry) -> String {
        let ended = entry.ended.to_zoned(self.zone.clone());
        match self.format {
            LogFormat::Turns | LogFormat::Common => common(entry, &ended),
            LogFormat::Combined => combined(entry, &ended),
            LogFormat::Json => {
                let backend = entry.backend.and_then(|index| self.backends.get(index));
                json(entry, &ended, backend.map(String::as_str))
            }
        }
    }
}

/// `host ident user [time] "request" status bytes`, as Apache's `%h %l %u %t "%r" %>s %b`.
fn common(entry: &Entry, ended: &Zoned) -> String {
    let status = entry.status.map_or("-".to_owned(), |status| status.to_string());
    let bytes = if entry.body_bytes == 0 { "-".to_owned() } else { entry.body_bytes.to_string() };
    format!(
        "{} - - [{}] \"{}\" {status} {bytes}",
        entry.client.ip().to_canonical(),
        ended.strftime("%d/%b/%Y:%H:%M:%S %z"),
        quoted(&entry.request_line)
    )
}

fn combined(entry: &Entry, ended: &Zoned) -> String {
    let common = common(entry, ended);
    format!("{common} \"{}\" \"{}\"", quoted(&entry.referer), quoted(&entry.user_agent))
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
    /// What the cache had to do with it, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    referer: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    user_agent: String,
}

fn json(entry: &Entry, ended: &Zoned, backend: Option<&str>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let line = Line {
        time: ended.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
        client: entry.client,
        request: text(&entry.request_line),
        host: text(&entry.host),
        status: entry.status,
        body_bytes: entry.body_bytes,
        lasted_us: u64::try_from(entry.lasted.as_micros()).unwrap_or(u64::MAX),
        backend,
        whole: entry.whole,
        cache: entry.cache.map(cache_word),
        referer: text(&entry.referer),
        user_agent: text(&entry.user_agent),
    };
    // Numbers and text alone: it cannot fail.
    ascii(&serde_json::to_string(&line).unwrap_or_default())
}

/// As other caches' logs have it.
fn cache_word(used: CacheUse) -> &'static str {
    match used {
        CacheUse::Hit => "HIT",
        CacheUse::Stale => "STALE",
        CacheUse::Validated => "REVALIDATED",
        CacheUse::Miss => "MISS",
        CacheUse::Bypass => "BYPASS",
    }
}

/// The same JSON in printable ASCII. It has other characters in its strings alone, where each can be escaped; some of them
/// are control characters to a terminal, or turn the direction of what follows.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if matches!(character, ' '..='~') {
            text.push(character);
        } else {
            let mut units = [0; 2];
            let escapes = character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}"));
            text.extend(escapes);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            ended: noon().timestamp(),
            client: ([192, 0, 2, 7], 4711).into(),
            request_line: b"GET /\"x\xff HTTP/1.1".to_vec(),
            host: b"a".to_vec(),
            referer: Vec::new(),
            user_agent: b"curl\\8'".to_vec(),
            status: Some(200),
            body_bytes: 12,
            backend: None,
            lasted: Duration::from_micros(1500),
            whole: true,
            cache: None,
        }
    }

    fn noon() -> Zoned {
        "2026-11-20T12:00:00.5Z".parse::<jiff::Timestamp>().unwrap().to_zoned(jiff::tz::TimeZone::UTC)
    }

    #[test]
    fn the_common_and_combined_formats_are_those_of_apache() {
        let common_line = r#"192.0.2.7 - - [20/Nov/2026:12:00:00 +0000] "GET /\"x\xff HTTP/1.1" 200 12"#;
        assert_eq!(common(&entry(), &noon()), common_line);
        assert_eq!(combined(&entry(), &noon()), format!(r#"{common_line} "-" "curl\\8'""#));
        let cut = Entry { status: None, body_bytes: 0, ..entry() };
        assert!(common(&cut, &noon()).ends_with("\" - -"));
    }

    #[test]
    fn a_line_of_json_is_one_object() {
        let line = json(&entry(), &noon(), Some("localhost:9001"));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["time"], "2026-11-20T12:00:00.500+00:00");
        assert_eq!((&value["status"], &value["lasted_us"]), (&200.into(), &1500.into()));
        assert_eq!(value["backend"], "localhost:9001");
        assert!(value.get("referer").is_none() && value.get("cache").is_none());
        let stale = Entry { cache: Some(CacheUse::Stale), ..entry() };
        let value: serde_json::Value = serde_json::from_str(&json(&stale, &noon(), None)).unwrap();
        assert_eq!(value["cache"], "STALE");
    }

    #[test]
    fn nothing_that_a_client_sends_leaves_its_line_or_its_string() {
        let hostile = "a\"\\\x1b[2J\x7f\u{9b}31m\u{202e}\u{1f600}\r\nb";
        let told = Entry {
            request_line: hostile.as_bytes().to_vec(),
            host: b"\xff\n\"".to_vec(),
            referer: hostile.as_bytes().to_vec(),
            user_agent: b"\0".to_vec(),
            ..entry()
        };
        let lines = [common(&told, &noon()), combined(&told, &noon()), json(&told, &noon(), None)];
        for line in &lines {
            assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line}");
        }
        let quotes = |line: &str| line.replace("\\\\", "").replace("\\\"", "").matches('"').count();
        assert_eq!((quotes(&lines[0]), quotes(&lines[1])), (2, 6));
        let value: serde_json::Value = serde_json::from_str(&lines[2]).unwrap();
        assert_eq!((&value["request"], &value["host"]), (&hostile.into(), &"\u{fffd}\n\"".into()));
    }
}
