//! The words that the rest of the core speaks in: which backend, what it may do, and how turns are shared out.
//!
//! Owns names and no state, and uses nothing else of the core, so that everything else can use it.

/// Most backends of one balancer: a request remembers those that it has tried in the bits of one word.
pub const MOST_BACKENDS: usize = 128;

/// Index of a backend in the order in which the operator named them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendId(pub(super) usize);

impl BackendId {
    /// Its place, from 0.
    pub fn index(self) -> usize {
        self.0
    }
}

/// What the operator lets a backend do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It has its turns.
    #[default]
    Enabled,
    /// It has no turn as long as another member of its group can serve; exchanges in hand are finished.
    Draining,
    /// It gets no request at all; exchanges in hand are finished.
    Disabled,
}

/// How requests are shared out among the members of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Turns in equal shares, or in the shares that the weights say.
    #[default]
    RoundRobin,
    /// To whom has the fewest exchanges in hand, for its weight; in turns among equals.
    LeastBusy,
}
