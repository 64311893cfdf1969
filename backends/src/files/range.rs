//! Which part of a file a `Range` field asks for (RFC 9110 §14).
//!
//! Rules: one range of bytes is served as a part; of several ranges, of another unit and of what is malformed nothing
//! is taken, as §14.2 allows: the answer is the whole file.

use std::ops::Range;

/// What to send of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selection {
    Whole,
    /// A part of at least one byte: offsets from the beginning, the end excluded.
    Part(Range<u64>),
    /// The range begins beyond the end.
    Unsatisfiable,
}

/// What `field` selects of `size` bytes.
pub(super) fn select(field: &[u8], size: u64) -> Selection {
    let Some(equals) = field.iter().position(|&byte| byte == b'=') else { return Selection::Whole };
    if !field[..equals].eq_ignore_ascii_case(b"bytes") {
        return Selection::Whole;
    }
    let list = field[equals + 1..].split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    let mut ranges = list.filter(|range| !range.is_empty());
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Selection::Whole };
    let Some(dash) = range.iter().position(|&byte| byte == b'-') else { return Selection::Whole };
    match (number(&range[..dash]), number(&range[dash + 1..])) {
        (Number::Value(first), Number::Value(last)) if first > last => Selection::Whole,
        (Number::Value(first), _)
            if first >= size && !matches!(number(&range[dash + 1..]), Number::Invalid) =>
        {
            Selection::Unsatisfiable
        }
        (Number::Value(first), Number::Value(last)) => {
            Selection::Part(first..last.saturating_add(1).min(size))
        }
        (Number::Value(first), Number::Absent) => Selection::Part(first..size),
        (Number::Absent, Number::Value(0)) => Selection::Unsatisfiable,
        // No part of an empty file can be named in `Content-Range`.
        (Number::Absent, Number::Value(_)) if size == 0 => Selection::Whole,
        (Number::Absent, Number::Value(last)) => Selection::Part(size.saturating_sub(last)..size),
        _ => Selection::Whole,
    }
}

/// What stands at one side of a range's dash.
enum Number {
    Absent,
    /// Beyond a `u64`, which no file reaches, it is the largest.
    Value(u64),
    Invalid,
}

fn number(digits: &[u8]) -> Number {
    if digits.is_empty() {
        return Number::Absent;
    }
    if !digits.iter().all(u8::is_ascii_digit) {
        return Number::Invalid;
    }
    Number::Value(
        digits
            .iter()
            .fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of_ten(field: &str) -> Selection {
        select(field.as_bytes(), 10)
    }

    #[test]
    fn one_range_is_a_part() {
        for (field, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=2-5", 2..6),
            ("bytes=9-9", 9..10),
            ("bytes=0-9", 0..10),
            ("Bytes= 2-5", 2..6),
            ("bytes=,2-5 ,", 2..6),
        ] {
            assert_eq!(of_ten(field), Selection::Part(part), "{field}");
        }
    }

    #[test]
    fn a_range_ends_with_the_file() {
        for field in
            ["bytes=4-", "bytes=4-10", "bytes=4-99999999999999999999999", "bytes=4-18446744073709551615"]
        {
            assert_eq!(of_ten(field), Selection::Part(4..10), "{field}");
        }
    }

    #[test]
    fn a_suffix_is_counted_from_the_end() {
        assert_eq!(of_ten("bytes=-3"), Selection::Part(7..10));
        assert_eq!(of_ten("bytes=-10"), Selection::Part(0..10));
        assert_eq!(of_ten("bytes=-99999999999999999999999"), Selection::Part(0..10));
    }

    #[test]
    fn what_begins_beyond_the_end_is_unsatisfiable() {
        for field in ["bytes=10-", "bytes=10-20", "bytes=99999999999999999999999-", "bytes=-0"] {
            assert_eq!(of_ten(field), Selection::Unsatisfiable, "{field}");
        }
        assert_eq!(select(b"bytes=0-", 0), Selection::Unsatisfiable);
        assert_eq!(select(b"bytes=0-0", 0), Selection::Unsatisfiable);
    }

    #[test]
    fn an_empty_file_has_no_suffix() {
        assert_eq!(select(b"bytes=-5", 0), Selection::Whole);
    }

    #[test]
    fn several_ranges_other_units_and_nonsense_select_nothing() {
        for field in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5",
            "bytes=5-2",
            "bytes=0-1,3-4",
            "bytes=a-b",
            "bytes=1-b",
            "bytes=20-b",
            "bytes=+1-2",
            "bytes=1--2",
            "bytes=--1",
            "bytes=0x1-2",
            "bytes=1 - 2",
            "bytes 0-1",
            "lines=0-1",
            "bytes=0-1, bytes=0-1",
        ] {
            assert_eq!(of_ten(field), Selection::Whole, "{field:?}");
        }
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_and_never_beyond_the_end(
            field in "bytes=[0-9,-]{0,24}|.{0,24}",
            size in prop_oneof![0..30_u64, any::<u64>()],
        ) {
            if let Selection::Part(part) = select(field.as_bytes(), size) {
                prop_assert!(part.start < part.end && part.end <= size, "{part:?}");
            }
        }
    }
}
