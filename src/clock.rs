//! The wall clock: tells the proxy the time once a second, so that responses without `Date` get one.
//!
//! Owns a thread that does nothing else. The same under every model, and no model's business: the core reads no clock, and
//! no exchange pays for one. The time is read anew each time, so that a clock that was set is followed within a second.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use roundtable::proxy::Proxy;

/// The thread calls nothing deep.
const STACK_BYTES: usize = 64 * 1024;

/// From now on `proxy` knows what time it is.
pub(crate) fn start(proxy: &Arc<Proxy>) -> io::Result<()> {
    proxy.tell_time(SystemTime::now());
    let proxy = Arc::clone(proxy);
    let run = move || {
        loop {
            thread::sleep(left_of_second(SystemTime::now()));
            proxy.tell_time(SystemTime::now());
        }
    };
    thread::Builder::new().name("clock".into()).stack_size(STACK_BYTES).spawn(run).map(drop)
}

/// From `now` to the next full second.
fn left_of_second(now: SystemTime) -> Duration {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(1) - Duration::from_nanos(since.subsec_nanos().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_told_when_a_second_begins() {
        let at = |nanos| SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos);
        for (nanos, left) in [(0, 1_000_000_000), (7_000_000_001, 999_999_999), (999_999_999, 1)] {
            assert_eq!(left_of_second(at(nanos)), Duration::from_nanos(left));
        }
        assert_eq!(left_of_second(SystemTime::UNIX_EPOCH - Duration::from_secs(5)), Duration::from_secs(1));
    }
}
