//! What became of a request at the cache, as `Cache-Status` (RFC 9211) and the access log tell it.
//!
//! Owns the words. Rule: they are written where there is room for them, and nothing depends on them.

use super::storable::Unstorable;
use crate::proxy::buf::Buf;
use crate::proxy::head::decimal;
use crate::proxy::observer::CacheUse;

/// Why a request went to a backend (RFC 9211 section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forward {
    UriMiss,
    VaryMiss,
    Stale,
    Request,
    Method,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Answered from what is stored, with so many seconds of freshness left.
    Hit { left: i64 },
    /// The same after another request's fetch.
    Collapsed { left: i64 },
    /// Answered from what is stored, after a backend has said that it has not changed.
    Validated,
    /// Answered from what is stored, since no backend could give a better answer.
    InsteadOfError { left: i64 },
    /// A backend answers.
    Forwarded { why: Forward, waited: bool, stored: Result<(), Unstorable> },
}

impl Forward {
    fn token(self) -> &'static [u8] {
        match self {
            Forward::UriMiss => b"uri-miss",
            Forward::VaryMiss => b"vary-miss",
            Forward::Stale => b"stale",
            Forward::Request => b"request",
            Forward::Method => b"method",
        }
    }
}

impl Told {
    /// As the access log tells it.
    pub(crate) fn cache_use(self) -> CacheUse {
        match self {
            Told::Hit { left } | Told::Collapsed { left } if left <= 0 => CacheUse::Stale,
            Told::Hit { .. } | Told::Collapsed { .. } => CacheUse::Hit,
            Told::Validated => CacheUse::Validated,
            Told::InsteadOfError { .. } => CacheUse::Stale,
            Told::Forwarded { why: Forward::Method, .. } => CacheUse::Bypass,
            Told::Forwarded { .. } => CacheUse::Miss,
        }
    }

    /// Adds the field.
    pub(crate) fn write(self, out: &mut Buf) -> bool {
        let mut digits = [0; 20];
        let mut ttl = |left: i64| -> Vec<u8> {
            let sign = if left < 0 { "-" } else { "" };
            let number = decimal(left.unsigned_abs(), &mut digits);
            [b"; ttl=", sign.as_bytes(), number].concat()
        };
        const NAME: &[u8] = b"Cache-Status: roundtable";
        match self {
            Told::Hit { left } => out.push_all(&[NAME, b"; hit", &ttl(left), b"\r\n"]),
            Told::Collapsed { left } => {
                out.push_all(&[NAME, b"; fwd=uri-miss; collapsed", &ttl(left), b"\r\n"])
            }
            Told::Validated => out.push_all(&[NAME, b"; fwd=stale; fwd-status=304\r\n"]),
            Told::InsteadOfError { left } => {
                out.push_all(&[NAME, b"; fwd=stale", &ttl(left), b"; detail=stale-if-error\r\n"])
            }
            Told::Forwarded { why, waited, stored } => {
                let waited: &[u8] = if waited { b"; collapsed=?0" } else { b"" };
                let (stored, detail): (&[u8], &str) = match stored {
                    Ok(()) => (b"; stored", ""),
                    Err(reason) => (b"; detail=", reason.token()),
                };
                out.push_all(&[NAME, b"; fwd=", why.token(), waited, stored, detail.as_bytes(), b"\r\n"])
            }
        }
    }
}
