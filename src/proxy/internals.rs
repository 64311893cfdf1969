//! Doors for benchmarks, tests and fuzz targets into concepts that are otherwise private. Not part of the interface.

use super::buf::{Buf, LARGE};
use super::chunk::{ChunkScanner, Output};
use super::config::Route;
use super::error::Error;
use super::head::{self, Context, RequestHead};
use super::limits::Limits;
use super::route::Routes;
use super::shared::Proxy;

/// Reads request heads for a balancer with one route.
#[derive(Debug)]
pub struct RequestRewriter {
    routes: Routes,
    limits: Limits,
}

impl Default for RequestRewriter {
    fn default() -> Self {
        RequestRewriter { routes: Routes::new(&[Route::everything(0)]), limits: Limits::default() }
    }
}

impl RequestRewriter {
    /// Parses and rewrites one request head; the length written, or `None` when it is incomplete or refused.
    pub fn rewrite(&self, input: &mut [u8], out: &mut Buf) -> Option<usize> {
        out.clear();
        let context = Context { client: "127.0.0.1", authority: "localhost", routes: &self.routes };
        head::request(input, &self.limits, context, None, out).ok().flatten().map(|_| out.len())
    }
}

/// What a request's head comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It is not whole.
    Incomplete,
    /// With this answer.
    Refused(Error),
    /// Answered by the balancer itself.
    Answered {
        /// Bytes of the head that came in.
        length: usize,
    },
    /// As this head.
    Forwarded {
        /// What a backend gets.
        head: Vec<u8>,
        /// Bytes of the head that came in.
        length: usize,
    },
}

/// Judges the request head at the front of `input`, as from `client` to a balancer at `authority`.
pub fn judge_request(
    input: &[u8],
    limits: &Limits,
    client: &str,
    authority: &str,
    out: &mut Buf,
) -> Judgement {
    out.clear();
    let routes = Routes::new(&[Route::everything(0)]);
    let context = Context { client, authority, routes: &routes };
    match head::request(&mut input.to_vec(), limits, context, None, out) {
        Ok(None) => Judgement::Incomplete,
        Ok(Some(RequestHead { length, reply: Some(_), .. })) => Judgement::Answered { length },
        Ok(Some(RequestHead { length, .. })) => Judgement::Forwarded { head: out.window().to_vec(), length },
        Err(error) => Judgement::Refused(error),
    }
}

/// Scans one chunked body in place; the number of bytes to forward, or `None` when it is refused.
pub fn scan_chunked(body: &mut [u8]) -> Option<usize> {
    ChunkScanner::new(Output::Chunked).scan(body).ok().map(|scanned| scanned.kept)
}

/// What a scanner made of a chunked body that came in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunks {
    /// What is forwarded.
    pub kept: Vec<u8>,
    /// Bytes of the input that were dealt with.
    pub used: usize,
    /// The body's end was reached.
    pub is_done: bool,
}

/// Scans a chunked body in pieces of these sizes, over and over, as a session does: what was not used comes again.
/// `framed` keeps the coding; else the data alone is left.
pub fn scan_in_pieces(body: &[u8], pieces: &[usize], framed: bool) -> Result<Chunks, &'static str> {
    let mut scanner = ChunkScanner::new(if framed { Output::Chunked } else { Output::Data });
    let mut chunks = Chunks { kept: Vec::new(), used: 0, is_done: false };
    let mut sizes = pieces.iter().copied().cycle();
    let (mut rest, mut pending) = (body, Vec::new());
    while !rest.is_empty() && !scanner.is_done() {
        let (piece, behind) = rest.split_at(sizes.next().unwrap_or(usize::MAX).clamp(1, rest.len()));
        rest = behind;
        pending.extend_from_slice(piece);
        let scanned = scanner.scan(&mut pending)?;
        chunks.kept.extend_from_slice(&pending[..scanned.kept]);
        chunks.used += scanned.used;
        pending.drain(..scanned.used);
    }
    chunks.is_done = scanner.is_done();
    Ok(chunks)
}

/// A buffer as sessions use it.
pub fn large_buffer() -> Buf {
    Buf::with_capacity(LARGE)
}

/// Puts so many free buffers of each size into the pool. While sessions need no more, every one that is over leaves
/// as many as there were.
pub fn stock_buffers(proxy: &Proxy, each: usize) {
    proxy.pool.stock(each);
}

/// Free buffers in the pool: small and large ones.
pub fn free_buffers(proxy: &Proxy) -> (usize, usize) {
    proxy.pool.free()
}
