//! What belongs to one exchange: the request in hand and all that becomes of it.
//!
//! Owns the state that lives as long as an exchange. Rule: nothing in it outlives the exchange. The whole value is replaced
//! when the next request begins, and each part when what it is about begins anew ([`Attempts`] with a turn,
//! [`Connection`] with a connection attempt), so that nothing has to be reset one by one.

use std::time::Duration;

use super::accounts::Account;
use super::cached::Caching;
use crate::proxy::body::{Body, Framing};
use crate::proxy::chunk::Output;
use crate::proxy::head::{Request, Response};
use crate::proxy::rotation::Tried;
use crate::proxy::vocabulary::BackendId;

/// One exchange. Before a head is whole it is [`Exchange::none`].
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) asked: Request,
    /// The request's body, as far as it is still to come from the client.
    pub(super) upload: Body,
    /// The inbox's window is body that the outbox had no room for.
    pub(super) streaming: bool,
    /// Some of the body has passed through the inbox and is not kept.
    pub(super) streamed: bool,
    pub(super) attempts: Attempts,
    pub(super) connection: Connection,
    /// Length of the answer when its head was last parsed in vain.
    pub(super) parsed: usize,
    /// Interim responses so far.
    pub(super) interims: u32,
    /// The whole request had been sent when the final answer's head was there.
    pub(super) request_is_sent: bool,
    pub(super) response: Response,
    /// The response's body, as far as it is still to come from the backend.
    pub(super) download: Body,
    /// The last read of the response's body has filled its buffer.
    pub(super) fills_buffer: bool,
    /// The response's body is given a chunked coding here.
    pub(super) encodes: bool,
    /// How long the client may be waited for in the body that is passing.
    pub(super) client_patience: Duration,
    /// How long the backend may be waited for in the body that is passing.
    pub(super) backend_patience: Duration,
    /// It is counted in [`Proxy::in_flight`](crate::proxy::Proxy::in_flight).
    pub(super) is_counted: bool,
    pub(super) account: Account,
    /// Where the request may have to do with a cache.
    pub(super) caching: Option<Box<Caching>>,
}

/// What has been tried since the request took its turn.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) tried: Tried,
    /// The request was sent a second time after a fresh connection broke.
    pub(super) retried: bool,
    /// A connection attempt timed out.
    pub(super) timed_out: bool,
}

/// The connection to a backend that is in hand, or being made.
#[derive(Debug, Default)]
pub(super) struct Connection {
    pub(super) backend: BackendId,
    /// A slot of `backend` is taken.
    pub(super) holds_slot: bool,
    pub(super) is_open: bool,
    pub(super) is_reused: bool,
    /// It has accepted a byte of the request.
    pub(super) has_sent: bool,
}

impl Connection {
    /// One that is about to be made to `backend`, of which a slot is taken.
    pub(super) fn to(backend: BackendId) -> Self {
        Connection { backend, holds_slot: true, ..Connection::default() }
    }
}

impl Exchange {
    /// No request is in hand.
    pub(super) fn none() -> Self {
        let empty = || Body::new(Framing::Empty, Output::Chunked);
        Exchange {
            asked: Request::NONE,
            upload: empty(),
            streaming: false,
            streamed: false,
            attempts: Attempts::default(),
            connection: Connection::default(),
            parsed: 0,
            interims: 0,
            request_is_sent: false,
            response: Response::NONE,
            download: empty(),
            fills_buffer: false,
            encodes: false,
            client_patience: Duration::ZERO,
            backend_patience: Duration::ZERO,
            is_counted: false,
            account: Account::default(),
            caching: None,
        }
    }

    /// One that begins with this request, whose body may pause for so long.
    pub(super) fn begin(asked: Request, body_timeout: Duration) -> Self {
        // Trailer fields that Connection names would have to end here: none goes on when it names any.
        let output = if asked.names_fields { Output::ChunkedWithoutTrailer } else { Output::Chunked };
        Exchange {
            upload: Body::new(asked.framing, output),
            asked,
            client_patience: body_timeout,
            is_counted: true,
            ..Exchange::none()
        }
    }
}
