//! Orders to a running server, from another thread: the faults that a trial of its clients needs.
//!
//! Owns the way of an order to the event loop and back; what an order does is the server's. Rule: an order has been
//! carried out when the call that gave it returns.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use mio::Waker;

/// What a server is to do from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Stop listening, and end every connection: an idle one at once, the others with the response in hand.
    Refuse,
    /// Listen again, at the same address.
    Accept,
    /// Let each request take so much longer than it would.
    Delay(Duration),
}

/// An order on its way; its sender is told by the channel's end.
pub(crate) type Given = (Order, Sender<()>);

/// Changes how a server behaves while it runs.
#[derive(Debug, Clone)]
pub struct Steering {
    orders: Sender<Given>,
    waker: Arc<Waker>,
}

impl Steering {
    /// A steering, and where its orders arrive.
    pub(crate) fn new(waker: Arc<Waker>) -> (Self, Receiver<Given>) {
        let (orders, arriving) = channel();
        (Steering { orders, waker }, arriving)
    }

    /// Has connections refused from now on: nobody listens any more, an idle connection is closed, and one with a
    /// request in hand is closed after its response.
    pub fn refuse(&self) {
        self.give(Order::Refuse);
    }

    /// Has connections accepted again, at the same address. [`Server::run`](crate::Server::run) ends with an error when
    /// another has taken it.
    pub fn accept(&self) {
        self.give(Order::Accept);
    }

    /// Lets each request that is begun from now on take `delay` longer than it would, at most
    /// [`MAX_DELAY`](crate::MAX_DELAY).
    pub fn delay(&self, delay: Duration) {
        self.give(Order::Delay(delay));
    }

    /// Waits until the order was carried out, or the server has ended.
    fn give(&self, order: Order) {
        let (done, is_done) = channel();
        // A server that has ended has nobody to order.
        if self.orders.send((order, done)).is_ok() && self.waker.wake().is_ok() {
            let _ = is_done.recv();
        }
    }
}
