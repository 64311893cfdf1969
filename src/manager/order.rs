//! What an operator orders on the page: a form's fields, checked.
//!
//! Rules: nothing is done without this process's nonce, which only who may see the page knows; no field may be there
//! twice, so that nothing has two readings.

use std::fmt;

use roundtable::proxy::{Change, Mode};
use subtle::ConstantTimeEq;

/// What proves that a form is from this process's page.
pub(super) struct Nonce(String);

impl Nonce {
    pub(super) fn new() -> Nonce {
        let random: [u8; 16] = rand::random();
        Nonce(random.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn is(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce")
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// A change of one backend.
    Change {
        /// Its index.
        backend: usize,
        change: Change,
    },
    /// The cache is emptied.
    Purge,
}

/// Why an order is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The nonce is missing or another one.
    Nonce,
    /// A field is missing, there twice, unknown, or means nothing; what to send instead.
    Form(&'static str),
}

impl Order {
    /// Reads a form (`application/x-www-form-urlencoded`).
    pub(super) fn read(body: &[u8], nonce: &Nonce) -> Result<Order, Refused> {
        let [mut given, mut backend, mut action, mut weight] = [None, None, None, None];
        let mut is_twice = false;
        for (name, value) in form_urlencoded::parse(body) {
            let field = match &*name {
                "nonce" => &mut given,
                "backend" => &mut backend,
                "action" => &mut action,
                "weight" => &mut weight,
                _ => continue,
            };
            is_twice |= field.replace(value).is_some();
        }
        if is_twice || !given.is_some_and(|given| nonce.is(&given)) {
            return Err(Refused::Nonce);
        }
        if action.as_deref() == Some("purge") {
            return Ok(Order::Purge);
        }
        let backend = backend.and_then(|index| index.parse().ok());
        let backend = backend.ok_or(Refused::Form("send the backend's index as 'backend'"))?;
        let change = match action.as_deref() {
            Some("enable") => Change::Mode(Mode::Enabled),
            Some("drain") => Change::Mode(Mode::Draining),
            Some("disable") => Change::Mode(Mode::Disabled),
            Some("weight") => {
                let weight = weight.and_then(|weight| weight.trim().parse().ok());
                Change::Weight(weight.ok_or(Refused::Form("send a whole number as 'weight'"))?)
            }
            _ => return Err(Refused::Form("send enable, drain, disable or weight as 'action'")),
        };
        Ok(Order::Change { backend, change })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: &str) -> Result<Order, Refused> {
        let nonce = Nonce("0123abcd".to_owned());
        Order::read(form.as_bytes(), &nonce)
    }

    #[test]
    fn each_action_is_read() {
        for (form, change) in [
            ("action=enable", Change::Mode(Mode::Enabled)),
            ("action=drain", Change::Mode(Mode::Draining)),
            ("action=disable", Change::Mode(Mode::Disabled)),
            ("action=weight&weight=7", Change::Weight(7)),
            ("weight=+12+&other=x&action=w%65ight", Change::Weight(12)),
        ] {
            assert_eq!(
                read(&format!("nonce=0123abcd&backend=3&{form}")),
                Ok(Order::Change { backend: 3, change }),
                "{form}"
            );
        }
    }

    #[test]
    fn the_cache_is_emptied_as_a_whole() {
        assert_eq!(read("nonce=0123abcd&action=purge"), Ok(Order::Purge));
        assert_eq!(read("action=purge"), Err(Refused::Nonce));
    }

    #[test]
    fn without_the_nonce_nothing_is_ordered() {
        for nonce in [
            "",
            "nonce=",
            "nonce=0123abc",
            "nonce=0123abcde",
            "nonce=0123ABCD",
            "nonce=0123abce",
            "NONCE=0123abcd",
        ] {
            assert_eq!(read(&format!("{nonce}&backend=0&action=drain")), Err(Refused::Nonce), "{nonce}");
        }
        assert_eq!(read("nonce=0123abcd&nonce=0123abcd&backend=0&action=drain"), Err(Refused::Nonce));
        assert_eq!(read("nonce=0123abcd&backend=0&backend=1&action=drain"), Err(Refused::Nonce));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for form in [
            "",
            "backend=0",
            "action=drain",
            "backend=-1&action=drain",
            "backend=x&action=drain",
            "backend=99999999999999999999999&action=drain",
            "backend=0&action=explode",
            "backend=0&action=weight",
            "backend=0&action=weight&weight=",
            "backend=0&action=weight&weight=1.5",
            "backend=0&action=weight&weight=-1",
            "backend=0&action=weight&weight=4294967296",
        ] {
            let outcome = read(&format!("nonce=0123abcd&{form}"));
            assert!(matches!(outcome, Err(Refused::Form(_))), "{form}: {outcome:?}");
        }
        assert_eq!(Order::read(b"\xff\xfe%zz=&&&=", &Nonce::new()), Err(Refused::Nonce));
    }

    #[test]
    fn nonces_differ_and_are_not_printed() {
        let (one, other) = (Nonce::new(), Nonce::new());
        assert!(one.as_str().len() == 32 && one.as_str() != other.as_str());
        assert!(!format!("{one:?}").contains(one.as_str()));
    }
}
