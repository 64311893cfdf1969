//! Where requests go: from the text of a URL to an address and the bytes of a request.
//!
//! Owns the little of URLs that an HTTP/1.1 load needs, and the rule that a load stays on this machine unless
//! somebody says otherwise.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::config::LoadConfig;
use super::error::LoadError;

/// Digits of a number that tells requests from each other.
const DIGITS: usize = 16;
/// How long an address of several is given to accept a connection before the next one is tried.
const PROBE: Duration = Duration::from_secs(1);

/// One URL, ready to be requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) path: String,
    pub(crate) address: SocketAddr,
    pub(crate) request: Vec<u8>,
    fresh: Option<Fresh>,
}

/// The same request with a query that nobody has asked for before.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fresh {
    request: Vec<u8>,
    /// Where the digits stand that tell such requests from each other.
    at: usize,
}

impl Target {
    /// Reads and resolves `url`, and builds the request for it.
    pub(crate) fn new(url: &str, config: &LoadConfig) -> Result<Self, LoadError> {
        let Parts { host, port, path } = split(url)?;
        let address = resolve(url, &host, port, config.allow_remote)?;
        let plain = request(&host, port, &path, config)?;
        let fresh = match config.hit_ratio {
            None => None,
            Some(_) => {
                let begin = format!("{path}{}{}", if path.contains('?') { '&' } else { '?' }, never_asked());
                let request = request(&host, port, &format!("{begin}{:016x}", 0), config)?;
                Some(Fresh { at: config.method.len() + 1 + begin.len(), request })
            }
        };
        Ok(Target { url: url.to_owned(), host, port, path, address, request: plain, fresh })
    }

    /// Writes request `number` of those that nobody has sent before into `out`.
    pub(crate) fn write_fresh(&self, mut number: u64, out: &mut Vec<u8>) {
        out.clear();
        let Some(Fresh { request, at }) = &self.fresh else { return out.extend_from_slice(&self.request) };
        out.extend_from_slice(request);
        for digit in out[*at..*at + DIGITS].iter_mut().rev() {
            *digit = b"0123456789abcdef"[(number & 15) as usize];
            number >>= 4;
        }
    }
}

/// The beginning of a query that no other load has: of this process at this time.
fn never_asked() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("never-asked={:x}-{:x}-", now.as_nanos(), std::process::id())
}

#[derive(Debug, PartialEq, Eq)]
struct Parts {
    /// Without brackets.
    host: String,
    port: u16,
    /// With the query.
    path: String,
}

fn split(url: &str) -> Result<Parts, LoadError> {
    let broken = |reason| LoadError::Url { url: url.to_owned(), reason };
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(broken("it holds a space, a control or a non-ASCII character"));
    }
    let scheme = |name: &str| url.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name));
    if scheme("https://") {
        return Err(LoadError::Https { url: url.to_owned() });
    }
    if !scheme("http://") {
        return Err(broken("it does not begin with http://"));
    }
    let rest = &url["http://".len()..];
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(broken("it holds a user name, which is given with --auth"));
    }
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or(broken("its port is broken"))?)),
        None => match authority.rsplit_once(':') {
            Some((host, port)) if host.contains(':') && !authority.contains('[') => {
                let bracketed = match host.parse::<Ipv6Addr>() {
                    Ok(host) => format!("[{host}]:{port}"),
                    Err(_) => format!("[{authority}]:PORT"),
                };
                return Err(LoadError::NoBrackets { url: url.to_owned(), bracketed });
            }
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() || host.contains(['[', ']']) {
        return Err(broken("it has no host"));
    }
    let port = port.map_or(Some(80), |port| port.parse().ok().filter(|&port| port != 0));
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(Parts { host: host.to_owned(), port: port.ok_or(broken("its port is no port"))?, path })
}

fn resolve(url: &str, host: &str, port: u16, allow_remote: bool) -> Result<SocketAddr, LoadError> {
    let unresolvable = |reason| LoadError::Unresolvable { url: url.to_owned(), reason };
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(unresolvable)?.collect();
    let is_remote = |address: &&SocketAddr| !address.ip().to_canonical().is_loopback();
    if let Some(&address) = addresses.iter().find(is_remote)
        && !allow_remote
    {
        return Err(LoadError::Remote { url: url.to_owned(), address });
    }
    match addresses.as_slice() {
        [] => Err(unresolvable(io::Error::other("no address"))),
        [only] => Ok(*only),
        // `localhost` is two addresses on most machines, and most servers listen at one of them.
        [first, ..] => {
            let answers = |address: &&SocketAddr| TcpStream::connect_timeout(address, PROBE).is_ok();
            Ok(*addresses.iter().find(answers).unwrap_or(first))
        }
    }
}

fn request(host: &str, port: u16, path: &str, config: &LoadConfig) -> Result<Vec<u8>, LoadError> {
    let method = &config.method;
    if !is_token(method) || method == "CONNECT" {
        return Err(LoadError::Method { method: method.clone() });
    }
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let host = if port == 80 { host } else { format!("{host}:{port}") };
    let agent = concat!("roundtable-load/", env!("CARGO_PKG_VERSION")).to_owned();
    let mut fields = vec![("Host", host), ("User-Agent", agent), ("Accept", "*/*".to_owned())];
    if let Some(auth) = &config.auth {
        fields.push(("Authorization", basic(auth)?));
    }
    for field in &config.fields {
        let (name, value) = split_field(field)?;
        if config.auth.is_some() && name.eq_ignore_ascii_case("authorization") {
            let reason = "the credentials (--auth) are sent in it already";
            return Err(LoadError::Field { field: field.clone(), reason });
        }
        fields.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        fields.push((name, value.to_owned()));
    }
    let data = config.data.as_deref();
    if data.is_some() && method == "TRACE" {
        return Err(LoadError::Data { reason: "TRACE has none" });
    }
    let may_lack_a_length = matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "DELETE");
    if data.is_some() || !may_lack_a_length {
        fields.push(("Content-Length", data.map_or(0, <[u8]>::len).to_string()));
    }
    if !config.keep_alive {
        fields.push(("Connection", "close".to_owned()));
    }
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut request = format!("{method} {path} HTTP/1.1\r\n{lines}\r\n").into_bytes();
    request.extend_from_slice(data.unwrap_or_default());
    Ok(request)
}

/// The field value that carries `credentials` (RFC 7617).
fn basic(credentials: &str) -> Result<String, LoadError> {
    if !credentials.contains(':') {
        return Err(LoadError::Auth { reason: "they have no colon" });
    }
    if credentials.contains(char::is_control) {
        return Err(LoadError::Auth { reason: "they hold a control character" });
    }
    Ok(format!("Basic {}", STANDARD.encode(credentials)))
}

fn split_field(field: &str) -> Result<(&str, &str), LoadError> {
    let broken = |reason| LoadError::Field { field: field.to_owned(), reason };
    let (name, value) = field.split_once(':').ok_or_else(|| broken("it has no colon"))?;
    let value = value.trim();
    if !is_token(name) {
        return Err(broken("its name is no token"));
    }
    if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return Err(broken("its value holds a control character"));
    }
    let own = ["connection", "content-length", "transfer-encoding", "expect", "upgrade"];
    if own.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return Err(broken("the load generator decides on framing and connections itself"));
    }
    Ok((name, value))
}

fn is_token(name: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_tchar)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(host: &str, port: u16, path: &str) -> Parts {
        Parts { host: host.into(), port, path: path.into() }
    }

    #[test]
    fn a_url_is_split_into_host_port_and_path() {
        assert_eq!(split("http://a").unwrap(), parts("a", 80, "/"));
        assert_eq!(split("HTTP://a:81/x?y=1#z").unwrap(), parts("a", 81, "/x?y=1"));
        assert_eq!(split("http://a?y").unwrap(), parts("a", 80, "/?y"));
        assert_eq!(split("http://[::1]:9001/").unwrap(), parts("::1", 9001, "/"));
        assert_eq!(split("http://[::1]").unwrap(), parts("::1", 80, "/"));
    }

    #[test]
    fn what_is_no_http_url_is_refused() {
        for url in [
            "",
            "a:80",
            "ftp://a/",
            "http://",
            "http:///x",
            "http://:80/",
            "http://a:0/",
            "http://a:99999/",
            "http://a:x/",
            "http://u@a/",
            "http://a/ b",
            "http://a/\r\nX: y",
            "http://[::1",
            "http://[::1]x/",
        ] {
            assert!(matches!(split(url), Err(LoadError::Url { .. })), "{url:?}");
        }
        assert!(matches!(split("https://a/"), Err(LoadError::Https { .. })));
        let error = split("http://::1:9101/x").unwrap_err();
        assert!(matches!(error, LoadError::NoBrackets { .. }));
        assert!(error.to_string().ends_with("write [::1]:9101"), "{error}");
    }

    #[test]
    fn a_target_beyond_this_machine_needs_consent() {
        let mut config = LoadConfig::default();
        let refused = Target::new("http://192.0.2.1/", &config);
        assert!(matches!(refused, Err(LoadError::Remote { .. })));
        config.allow_remote = true;
        assert_eq!(Target::new("http://192.0.2.1/", &config).unwrap().address.port(), 80);
        config.allow_remote = false;
        for url in ["http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost:1/"] {
            assert!(Target::new(url, &config).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_request_says_what_it_must_and_what_it_was_asked_to() {
        let mut config = LoadConfig { keep_alive: true, ..LoadConfig::default() };
        let text = |config: &LoadConfig| {
            String::from_utf8(Target::new("http://127.0.0.1:81/x", config).unwrap().request).unwrap()
        };
        let agent = concat!("User-Agent: roundtable-load/", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            text(&config),
            format!("GET /x HTTP/1.1\r\nHost: 127.0.0.1:81\r\n{agent}\r\nAccept: */*\r\n\r\n")
        );
        config.keep_alive = false;
        config.method = "POST".into();
        config.fields = vec!["host: other".into(), "X-Y:  z".into()];
        assert_eq!(
            text(&config),
            format!(
                "POST /x HTTP/1.1\r\n{agent}\r\nAccept: */*\r\nhost: other\r\nX-Y: z\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
        );
    }

    #[test]
    fn a_request_that_nobody_has_sent_differs_in_its_query_alone_and_from_every_other() {
        for (url, joint) in [
            ("http://127.0.0.1/x", "GET /x?never-asked="),
            ("http://127.0.0.1/x?y=1", "GET /x?y=1&never-asked="),
        ] {
            let config = LoadConfig { hit_ratio: Some(50), ..LoadConfig::default() };
            let target = Target::new(url, &config).unwrap();
            let of = |number| {
                let mut out = b"what was there before".to_vec();
                target.write_fresh(number, &mut out);
                String::from_utf8(out).unwrap()
            };
            assert!(
                of(0x1f).starts_with(joint) && of(0x1f).contains("-000000000000001f HTTP/1.1\r\n"),
                "{}",
                of(0x1f)
            );
            assert!(of(1) != of(2) && of(u64::MAX).contains("-ffffffffffffffff HTTP/1.1"));
            let rest = |request: &str| request.split_once("\r\n").unwrap().1.to_owned();
            let plain = String::from_utf8(target.request.clone()).unwrap();
            assert_eq!(rest(&of(7)), rest(&plain));
            assert!(!plain.contains("never-asked"));
        }
    }

    #[test]
    fn a_body_is_sent_with_its_length_whatever_the_method() {
        for method in ["POST", "GET", "DELETE"] {
            let data = Some(b"a=1\r\n\0".to_vec());
            let config = LoadConfig { method: method.into(), data, ..LoadConfig::default() };
            let request = Target::new("http://127.0.0.1/", &config).unwrap().request;
            let head = request.strip_suffix(b"\r\n\r\na=1\r\n\0").unwrap();
            let lengths = |line: &&[u8]| line.starts_with(b"Content-Length:");
            let lines: Vec<_> = head.split(|&byte| byte == b'\n').filter(lengths).collect();
            assert_eq!(lines, [b"Content-Length: 6\r"], "{method}");
        }
        let trace = LoadConfig { method: "TRACE".into(), data: Some(Vec::new()), ..LoadConfig::default() };
        assert!(matches!(Target::new("http://127.0.0.1/", &trace), Err(LoadError::Data { .. })));
    }

    #[test]
    fn credentials_are_sent_as_basic_authentication_and_once() {
        // The example of RFC 7617.
        let mut config = LoadConfig { auth: Some("Aladdin:open sesame".into()), ..LoadConfig::default() };
        let request = Target::new("http://127.0.0.1/", &config).unwrap().request;
        let request = String::from_utf8(request).unwrap();
        assert!(request.contains("\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"), "{request}");
        config.fields = vec!["authorization: Bearer x".into()];
        assert!(matches!(Target::new("http://127.0.0.1/", &config), Err(LoadError::Field { .. })));
        for broken in ["user", "", "user:pass\r\nX: y"] {
            let config = LoadConfig { auth: Some(broken.into()), ..LoadConfig::default() };
            let refused = Target::new("http://127.0.0.1/", &config);
            assert!(matches!(refused, Err(LoadError::Auth { .. })), "{broken:?}");
        }
    }

    #[test]
    fn fields_and_methods_that_would_break_the_framing_are_refused() {
        for field in ["x", "a b: c", ": c", "X: a\r\nY: b", "Content-Length: 5", "connection: close"] {
            let config = LoadConfig { fields: vec![field.into()], ..LoadConfig::default() };
            let refused = Target::new("http://127.0.0.1/", &config);
            assert!(matches!(refused, Err(LoadError::Field { .. })), "{field:?}");
        }
        for method in ["", "G T", "CONNECT", "GET\r\n"] {
            let config = LoadConfig { method: method.into(), ..LoadConfig::default() };
            let refused = Target::new("http://127.0.0.1/", &config);
            assert!(matches!(refused, Err(LoadError::Method { .. })), "{method:?}");
        }
    }
}
