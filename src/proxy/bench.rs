//! Doors for the benchmarks and fuzz targets into concepts that are otherwise private. Not part of the interface.

use super::buf::{Buf, LARGE};
use super::chunk::{ChunkScanner, Output};
use super::config::Route;
use super::head::{self, Context};
use super::limits::Limits;
use super::route::Routes;

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

/// Scans one chunked body in place; the number of bytes to forward, or `None` when it is refused.
pub fn scan_chunked(body: &mut [u8]) -> Option<usize> {
    ChunkScanner::new(Output::Chunked).scan(body).ok().map(|scanned| scanned.kept)
}

/// A buffer as sessions use it.
pub fn large_buffer() -> Buf {
    Buf::with_capacity(LARGE)
}
