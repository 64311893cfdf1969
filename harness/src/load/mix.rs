//! Which requests a cache between here and the servers may have been asked before.
//!
//! Owns the pattern. Requests that repeat ask for a URL as it is; the others ask for it with a query that nobody has asked for
//! before, not in the warm-up and not by another load. Rules: which is which depends on a request's number alone, so that every
//! row is asked the same; of each hundred in a row exactly the share repeats, and the first one does, so that what repeats is
//! stored early; the two kinds are mixed, so that neither falls upon one connection of two.

/// All requests, percent.
pub(crate) const ALL: u32 = 100;
/// Steps through a hundred and meets each number once: no divisor in common with it.
const STEP: u64 = 37;

/// Whether request `index` is one of the `percent` that repeat.
pub(crate) fn repeats(index: u64, percent: u32) -> bool {
    (index % u64::from(ALL)) * STEP % u64::from(ALL) < u64::from(percent)
}

/// How many of the first `requests` repeat.
pub(crate) fn repeated(requests: u64, percent: u32) -> u64 {
    let hundreds = requests / u64::from(ALL);
    let rest = (0..requests % u64::from(ALL)).filter(|index| repeats(*index, percent)).count();
    hundreds * u64::from(percent.min(ALL)) + rest as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_hundred_exactly_the_share_repeats_and_the_first_one_does() {
        for percent in 0..=ALL {
            for from in [0, 1, 37, 1_000_000] {
                let count = (from..from + 100).filter(|index| repeats(*index, percent)).count();
                assert_eq!(count, percent as usize, "{percent} % from {from}");
            }
            assert_eq!(repeats(0, percent), percent > 0);
            let counted = (0..1234).filter(|index| repeats(*index, percent)).count();
            assert_eq!(repeated(1234, percent), counted as u64, "{percent} %");
        }
    }

    #[test]
    fn at_a_half_the_kinds_neither_alternate_nor_stand_in_a_row() {
        let halves: Vec<bool> = (0..100).map(|index| repeats(index, 50)).collect();
        let changes = halves.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!((20..90).contains(&changes), "{changes} changes");
    }
}
