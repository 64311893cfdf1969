//! How one load is divided between several generators that begin together.
//!
//! Owns the shares. Rule: the parts together are the load that one generator would drive, request by request: counts are divided
//! with the remainder to the first, and of the schedule of an open loop in N parts each has every Nth
//! request.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// More parts than this drive no load: several hosts with several threads each are far fewer.
const MOST: u64 = 65_536;

/// Which part of a load a generator drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    number: u64,
    of: u64,
}

/// What is no part.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no part of a load; write which of how many, at most 65536, as in 1/2")]
pub struct NoPart(String);

impl Part {
    /// All of it.
    pub const WHOLE: Part = Part { number: 0, of: 1 };

    /// Each of `of` parts; the whole where that is none.
    pub fn each(of: u64) -> impl Iterator<Item = Part> {
        let of = of.max(1);
        (0..of).map(move |number| Part { number, of })
    }

    /// Counted from 1.
    pub fn number(self) -> u64 {
        self.number + 1
    }

    /// Whether there is no other.
    pub fn is_whole(self) -> bool {
        self.of == 1
    }

    /// Its share of so many.
    pub fn share(self, whole: u64) -> u64 {
        whole / self.of + u64::from(self.number < whole % self.of)
    }

    /// The shares of those before it.
    pub fn before(self, whole: u64) -> u64 {
        self.number * (whole / self.of) + self.number.min(whole % self.of)
    }

    /// Where its request of that number stands in the whole.
    pub(crate) fn place(self, index: u64) -> u64 {
        index.saturating_mul(self.of).saturating_add(self.number)
    }

    /// This part of another part, as a part of the whole.
    pub(crate) fn within(self, outer: Part) -> Part {
        Part { number: self.number * outer.of + outer.number, of: self.of * outer.of }
    }

    /// How many parts there are.
    pub(crate) fn of(self) -> u64 {
        self.of
    }

    /// How many of the first so many of the whole are its own.
    pub(crate) fn own(self, whole: u64) -> u64 {
        whole.saturating_sub(self.number).div_ceil(self.of)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number(), self.of)
    }
}

impl FromStr for Part {
    type Err = NoPart;

    fn from_str(text: &str) -> Result<Self, NoPart> {
        let of = || {
            let (number, of) = text.split_once('/')?;
            let (number, of): (u64, u64) = (number.parse().ok()?, of.parse().ok()?);
            (of <= MOST && (1..=of).contains(&number)).then(|| Part { number: number - 1, of })
        };
        of().ok_or_else(|| NoPart(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_remainders_go_to_the_first() {
        for (whole, of) in [(0, 3), (1, 3), (10, 3), (11, 3), (12, 3), (7, 1), (5, 64)] {
            let shares: Vec<u64> = Part::each(of).map(|part| part.share(whole)).collect();
            assert_eq!(shares.iter().sum::<u64>(), whole);
            assert!(shares.is_sorted_by(|a, b| a >= b) && shares[0] - shares[shares.len() - 1] <= 1);
            let before: Vec<u64> = Part::each(of).map(|part| part.before(whole)).collect();
            assert_eq!(before[0], 0);
            assert!(before.iter().zip(&shares).zip(&before[1..]).all(|((a, b), next)| a + b == *next));
            assert_eq!(Part::each(of).map(|part| part.own(whole)).collect::<Vec<_>>(), shares);
        }
    }

    #[test]
    fn the_parts_of_parts_are_parts_of_the_whole() {
        let of_each = |outer| Part::each(3).map(move |part| part.within(outer));
        let mut places: Vec<u64> = Part::each(2)
            .flat_map(of_each)
            .flat_map(|part| (0..5).map(move |index| part.place(index)))
            .collect();
        places.sort_unstable();
        assert_eq!(places, (0..30).collect::<Vec<_>>());
    }

    #[test]
    fn a_part_is_written_as_which_of_how_many() {
        let second: Part = "2/3".parse().unwrap();
        assert_eq!((second.to_string().as_str(), second.place(4)), ("2/3", 13));
        for text in
            ["", "1", "0/2", "3/2", "a/b", "1/0", "1/65537", "18446744073709551615/18446744073709551615"]
        {
            assert!(text.parse::<Part>().unwrap_err().to_string().ends_with("as in 1/2"), "{text}");
        }
    }
}
