//! A server of a directory that a test makes, and a client that reads one answer at a time.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use roundtable_backends::{Config, Content, Server, ServiceTime, Stopper};
use tempfile::{TempDir, tempdir};

/// 1994-11-06 08:49:37, when every file of a test was modified.
pub(crate) const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// A server of `served`, a directory with nothing in it at first; a file `secret` lies beside it.
pub(crate) struct Site {
    dir: TempDir,
    address: SocketAddr,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Site {
    pub(crate) fn empty() -> Self {
        Site::delayed(Duration::ZERO)
    }

    pub(crate) fn delayed(delay: Duration) -> Self {
        let dir = tempdir().unwrap();
        let root = dir.path().join("served");
        fs::create_dir(&root).unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        let config = Config {
            name: Some("one".into()),
            content: Content::Files { root },
            delay: ServiceTime::Fixed(delay),
            ..Config::default()
        };
        let server = Server::bind("127.0.0.1:0", &config).unwrap();
        let (address, stopper) = (server.address(), server.stopper());
        let thread = Some(std::thread::spawn(move || server.run().unwrap()));
        Site { dir, address, stopper, thread }
    }

    /// With one file at `path`, modified long ago.
    pub(crate) fn with(path: &str, content: impl AsRef<[u8]>) -> Self {
        Site::empty().and(path, content)
    }

    /// With one file more.
    pub(crate) fn and(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
        self
    }

    /// Where `path` of the site is in the file system.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("served").join(path)
    }

    /// Where `name` beside the site is in the file system.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// The answer to a request for `target` with `fields`, on a connection of its own.
    pub(crate) fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(&request(method, target, fields)).unwrap();
        Answer::read(&mut stream, method)
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[])
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stopper.stop();
        self.thread.take().unwrap().join().unwrap();
    }
}

pub(crate) fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n");
    for (name, value) in fields {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.into_bytes()
}

pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// One answer, and not a byte of what follows it.
    pub(crate) fn read(stream: &mut TcpStream, method: &str) -> Self {
        let mut answer = Answer::read_head(stream);
        let bodiless = method == "HEAD" || [204, 304].contains(&answer.status);
        if !bodiless {
            answer.body = vec![0; answer.field("Content-Length").unwrap().parse().unwrap()];
            stream.read_exact(&mut answer.body).unwrap();
        }
        answer
    }

    /// The head of an answer, byte by byte.
    pub(crate) fn read_head(stream: &mut TcpStream) -> Self {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        Answer { head, status, body: Vec::new() }
    }

    /// The value of the one field `name`.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let value = values.next();
        assert_eq!(values.next(), None, "two {name} in {}", self.head);
        value
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
