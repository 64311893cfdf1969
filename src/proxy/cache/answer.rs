//! A stored response as an answer: whole, as a part of it, or as the word that the client has it already.
//!
//! Owns the head of such an answer (RFC 9111 section 4, RFC 9110 sections 14 and 15.4.5). What of the body has room
//! behind it goes in the same write, the rest from the object itself. Rules: one range is answered, several are
//! answered with the whole; a range that is none is ignored.

use std::ops::Range;
use std::sync::Arc;

use super::asked::Asked;
use super::fields;
use super::object::Object;
use super::status::Told;
use super::validation::{is_known, may_cut};
use crate::proxy::buf::Buf;
use crate::proxy::head::decimal;

/// What of an object's body an answer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) status: u16,
    pub(crate) body: Range<usize>,
}

impl Part {
    fn of(asked: &Asked, object: &Object) -> Part {
        let length = object.body.len();
        let whole = Part { status: object.status, body: 0..length };
        if object.status != 200 || !asked.is_conditional {
            return whole;
        }
        if is_known(asked, object) {
            return Part { status: 304, body: 0..0 };
        }
        match asked.value("range").filter(|_| may_cut(asked, object)).and_then(|range| bounds(range, length))
        {
            Some(Ok(body)) => Part { status: 206, body },
            Some(Err(())) => Part { status: 416, body: 0..0 },
            None => whole,
        }
    }
}

/// The bounds of a range in `length` bytes (RFC 9110 section 14.1.2); `None` where it is no single range, `Err` where none of it is
/// there.
fn bounds(range: &[u8], length: usize) -> Option<Result<Range<usize>, ()>> {
    let unit = range.get(..6)?;
    let (first, last) = (unit.eq_ignore_ascii_case(b"bytes=")).then(|| split(&range[6..]))??;
    let number = |text: &[u8]| -> Option<usize> {
        let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        let add = |sum: usize, digit: &u8| sum.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
        digits.then(|| text.iter().fold(0, add))
    };
    let (from, to) = match (first, last) {
        (b"", last) => (length.saturating_sub(number(last)?), length),
        (first, b"") => (number(first)?, length),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            (first, last.saturating_add(1).min(length))
        }
    };
    Some(if from < to { Ok(from..to) } else { Err(()) })
}

fn split(range: &[u8]) -> Option<(&[u8], &[u8])> {
    let range = range.trim_ascii();
    let dash = memchr::memchr(b'-', range)?;
    Some((&range[..dash], &range[dash + 1..]))
}

/// Writes the head of the answer that `object` is to `asked`. `connection` is the field about the connection, if one is needed. An
/// object's head is short enough for this to fit.
pub(crate) fn write(
    asked: &Asked,
    object: &Object,
    age: u64,
    told: Told,
    connection: &[u8],
    out: &mut Buf,
) -> Part {
    let part = Part::of(asked, object);
    let line = match part.status {
        206 => b"HTTP/1.1 206 Partial Content".as_slice(),
        304 => b"HTTP/1.1 304 Not Modified",
        416 => b"HTTP/1.1 416 Range Not Satisfiable",
        _ => b"",
    };
    let mut fits = true;
    if line.is_empty() {
        fits &= out.push(&object.head);
    } else {
        fits &= out.push_all(&[line, b"\r\n"]);
        for (name, value) in fields(&object.head) {
            let of_content = name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
                && !name.eq_ignore_ascii_case(b"content-location");
            if part.status == 206 || !of_content {
                fits &= out.push_all(&[name, b": ", value, b"\r\n"]);
            }
        }
    }
    let [mut a, mut b, mut c, mut d] = [[0; 20]; 4];
    fits &= out.push_all(&[b"Age: ", decimal(age, &mut a), b"\r\n"]);
    let total = decimal(object.body.len() as u64, &mut b);
    match part.status {
        206 => {
            let (from, to) = (part.body.start as u64, part.body.end as u64 - 1);
            fits &= out.push_all(&[
                b"Content-Range: bytes ",
                decimal(from, &mut c),
                b"-",
                decimal(to, &mut d),
                b"/",
                total,
                b"\r\n",
            ]);
        }
        416 => fits &= out.push_all(&[b"Content-Range: bytes */", total, b"\r\n"]),
        _ => {}
    }
    if !matches!(part.status, 204 | 304) {
        fits &= out.push_all(&[b"Content-Length: ", decimal(part.body.len() as u64, &mut a), b"\r\n"]);
    }
    let _ = told.write(out);
    fits &= out.push_all(&[connection, b"\r\n"]);
    debug_assert!(fits, "a stored head leaves room for what is added");
    part
}

impl Object {
    /// The body.
    pub(crate) fn body(&self) -> Arc<Vec<u8>> {
        Arc::clone(&self.body)
    }

    /// A piece of it.
    pub(crate) fn piece(&self, range: Range<usize>) -> &[u8] {
        self.body.get(range).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_cut_and_what_is_none_is_ignored() {
        for (range, expected) in [
            ("bytes=0-4", Some(Ok(0..5))),
            ("Bytes=5-", Some(Ok(5..10))),
            ("bytes=-3", Some(Ok(7..10))),
            ("bytes=-30", Some(Ok(0..10))),
            ("bytes=8-99999999999999999999999", Some(Ok(8..10))),
            ("bytes=10-", Some(Err(()))),
            ("bytes=-0", Some(Err(()))),
            ("bytes=4-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=", None),
            ("bytes=-", None),
            ("bytes=a-b", None),
            ("lines=0-1", None),
            ("", None),
        ] {
            assert_eq!(bounds(range.as_bytes(), 10), expected, "{range}");
        }
    }
}
