//! The body that every backend serves: the same bytes for the same length, everywhere.
//!
//! Rules: each byte depends on its position, so that a dropped, repeated or shifted byte is seen by whoever
//! compares; a shorter body is a prefix of a longer one; text, so that `curl` can show it.

/// The largest body that is served: it is kept in memory once, whatever the number of connections.
pub const MAX_BODY_BYTES: usize = 1 << 30;

/// Length of a line, its line feed included.
const LINE_BYTES: usize = 64;
/// What a byte may be: six bits' worth of letters.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The first `len` bytes of the body.
pub fn body(len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len.next_multiple_of(8));
    for word in 0..len.div_ceil(8) as u64 {
        bytes.extend(split_mix(word).to_le_bytes().map(|byte| ALPHABET[usize::from(byte & 63)]));
    }
    bytes.truncate(len);
    bytes.iter_mut().skip(LINE_BYTES - 1).step_by(LINE_BYTES).for_each(|byte| *byte = b'\n');
    bytes
}

/// SplitMix64's output function (Steele, Lea and Flood, OOPSLA 2014): word `index` of its sequence from zero.
fn split_mix(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_the_length_asked_for() {
        for len in [0, 1, 7, 8, 9, 63, 64, 65, 1024, 100_003] {
            assert_eq!(body(len).len(), len);
        }
    }

    #[test]
    fn a_shorter_body_is_a_prefix_of_a_longer_one() {
        let long = body(5000);
        for len in [1, 63, 64, 1000] {
            assert_eq!(body(len), long[..len]);
        }
    }

    #[test]
    fn no_shift_of_the_body_is_the_body() {
        let whole = body(8192);
        for shift in 1..4096 {
            assert_ne!(whole[shift..shift + 64], whole[..64], "shifted by {shift}");
        }
    }

    #[test]
    fn a_dropped_or_repeated_byte_shows_before_the_end() {
        let whole = body(4096);
        for at in 0..4000 {
            let mut dropped = whole.clone();
            dropped.remove(at);
            assert_ne!(dropped[..4095], whole[..4095], "dropped {at}");
            let mut repeated = whole.clone();
            repeated.insert(at, whole[at]);
            assert_ne!(repeated[..4096], whole[..], "repeated {at}");
        }
    }
}
