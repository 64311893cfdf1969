//! Who may use the manager: basic authentication (RFC 7617) against the users, or everybody of this machine.
//!
//! Rules: an unknown name costs as much as a known one with a wrong password, and all comparisons take constant time; at
//! most two passwords are hashed at a time, on threads of their own, others wait; credentials that were right are
//! remembered by a keyed SHA-256, so that a page view costs no bcrypt.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::htpasswd::Users;

/// Passwords that are hashed at the same time.
pub(super) const MOST_AT_ONCE: usize = 2;
/// Longest `Authorization` that is looked at, bytes.
const MOST_BYTES: usize = 1024;
/// Credentials that are remembered.
const REMEMBERED: usize = 64;

/// Lets in, or not.
#[derive(Debug)]
pub(super) struct Gate {
    guard: Option<Guard>,
}

#[derive(Debug)]
struct Guard {
    users: Users,
    /// Of each user's name.
    names: Vec<Fingerprint>,
    key: [u8; 32],
    decoys: RandomState,
    hashing: Arc<Semaphore>,
    /// Credentials that were right, with the user's index.
    verified: Mutex<VecDeque<(Fingerprint, u32)>>,
}

type Fingerprint = [u8; 32];

/// Nobody known: to be answered with 401.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stranger;

impl Gate {
    pub(super) fn new(users: Option<Users>) -> Gate {
        Gate { guard: users.map(Guard::new) }
    }

    /// Nobody is asked for a password.
    pub(super) fn is_open(&self) -> bool {
        self.guard.is_none()
    }

    /// The name of the user who sends `headers`; none where nobody is asked.
    pub(super) async fn admit(&self, headers: &HeaderMap) -> Result<Option<&str>, Stranger> {
        let Some(guard) = &self.guard else { return Ok(None) };
        let credentials = credentials(headers).ok_or(Stranger)?;
        let user = guard.admit(credentials).await.ok_or(Stranger)?;
        Ok(guard.users.all().get(user).map(|user| user.name.as_str()))
    }
}

impl Guard {
    fn new(users: Users) -> Guard {
        let key = rand::random();
        let names = users.all().iter().map(|user| fingerprint(&key, user.name.as_bytes())).collect();
        Guard {
            users,
            names,
            key,
            decoys: RandomState::new(),
            hashing: Arc::new(Semaphore::new(MOST_AT_ONCE)),
            verified: Mutex::default(),
        }
    }

    /// The user's index.
    async fn admit(&self, credentials: Vec<u8>) -> Option<usize> {
        let whole = fingerprint(&self.key, &credentials);
        if let Some(user) = self.recall(&whole) {
            return Some(user);
        }
        let (name, password) = split(&credentials)?;
        let own = fingerprint(&self.key, name);
        let known = find(&own, self.names.iter().zip(0..));
        // Always the same decoy for a name: of several costs in the file, a stranger has one like anybody else.
        let decoy = self.decoys.hash_one(name) as usize % self.users.all().len();
        let hash = self.users.all().get(known.unwrap_or(decoy))?.hash.clone();
        let password = password.to_vec();
        // The permit goes along: who hangs up meanwhile does not make room for a third.
        let permit = Arc::clone(&self.hashing).acquire_owned().await.ok()?;
        let hashed = spawn_blocking(move || {
            let _permit = permit;
            bcrypt::verify(password, &hash).unwrap_or(false)
        });
        let is_right = hashed.await.unwrap_or(false);
        let user = known.filter(|_| is_right)?;
        self.remember(whole, user);
        Some(user)
    }

    fn recall(&self, whole: &Fingerprint) -> Option<usize> {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        find(whole, verified.iter().map(|(fingerprint, user)| (fingerprint, *user)))
    }

    fn remember(&self, whole: Fingerprint, user: usize) {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(user) = u32::try_from(user) else { return };
        if verified.len() == REMEMBERED {
            verified.pop_front();
        }
        verified.push_back((whole, user));
    }
}

/// The number that stands beside `wanted`; looks at all of them, whichever it is.
fn find<'a>(wanted: &Fingerprint, all: impl Iterator<Item = (&'a Fingerprint, u32)>) -> Option<usize> {
    let mut found = u32::MAX;
    for (fingerprint, number) in all {
        found.conditional_assign(&number, fingerprint.ct_eq(wanted));
    }
    (found != u32::MAX).then_some(found as usize)
}

fn fingerprint(key: &[u8; 32], text: &[u8]) -> Fingerprint {
    Sha256::new().chain_update(key).chain_update(text).finalize().into()
}

/// `name:password` of the only Authorization.
fn credentials(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (all.next()?.as_bytes(), all.next()) else { return None };
    let (scheme, encoded) = value.split_at_checked(6).filter(|_| value.len() <= MOST_BYTES)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim_ascii()).ok()?;
    // Control characters are forbidden (RFC 7617 section 2), and bcrypt takes NUL for the end.
    (!decoded.iter().any(u8::is_ascii_control)).then_some(decoded)
}

fn split(credentials: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = credentials.iter().position(|byte| *byte == b':')?;
    Some((&credentials[..colon], &credentials[colon + 1..]))
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use hyper::header::HeaderValue;

    use super::*;

    fn gate() -> Gate {
        let hash = |password| bcrypt::hash(password, 4).unwrap();
        let file = format!("anna:{}\nbüro:{}\n", hash("open sesame"), hash("pass:wört"));
        Gate::new(Some(Users::parse(file.as_bytes()).unwrap()))
    }

    fn basic(credentials: &str) -> HeaderMap {
        headers(&[format!("Basic {}", STANDARD.encode(credentials))])
    }

    fn headers(values: &[String]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    /// `None` while it waits for its turn to hash.
    fn at_once<'a>(gate: &'a Gate, headers: &HeaderMap) -> Option<Result<Option<&'a str>, Stranger>> {
        match pin!(gate.admit(headers)).as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn right_credentials_are_let_in_by_name() {
        let gate = gate();
        assert!(!gate.is_open());
        assert_eq!(gate.admit(&basic("anna:open sesame")).await, Ok(Some("anna")));
        assert_eq!(gate.admit(&basic("büro:pass:wört")).await, Ok(Some("büro")));
        let lower_case = format!("bAsIc   {}", STANDARD.encode("anna:open sesame"));
        assert_eq!(gate.admit(&headers(&[lower_case])).await, Ok(Some("anna")));
    }

    #[tokio::test]
    async fn everything_else_is_a_stranger() {
        let gate = gate();
        let right = format!("Basic {}", STANDARD.encode("anna:open sesame"));
        assert_eq!(gate.admit(&HeaderMap::new()).await, Err(Stranger));
        for value in [
            "",
            "Basic",
            "Basic ",
            "Basic !!!!",
            "Basic YW5uYTpvcGVuIHNlc2FtZQ",
            "Bearer YW5uYTpvcGVuIHNlc2FtZQ==",
            "YW5uYTpvcGVuIHNlc2FtZQ==",
            &right.replace("Basic ", "Basic"),
            &format!("{right}{}", "A".repeat(8000)),
            &format!("Basic {}", STANDARD.encode(format!("anna:{}", "x".repeat(7000)))),
        ] {
            assert_eq!(gate.admit(&headers(&[value.to_owned()])).await, Err(Stranger), "{value}");
        }
        for credentials in [
            "",
            ":",
            "anna",
            "anna:",
            "anna:wrong",
            "anna:open sesam",
            "Anna:open sesame",
            "anna :open sesame",
            ":open sesame",
            "nobody:open sesame",
            "büro:open sesame",
            "anna:open sesame\0open sesame",
            "anna:open sesame\n",
        ] {
            assert_eq!(gate.admit(&basic(credentials)).await, Err(Stranger), "{credentials}");
        }
        let twice = [right.clone(), right];
        assert_eq!(gate.admit(&headers(&twice)).await, Err(Stranger));
    }

    #[tokio::test]
    async fn only_what_was_right_is_remembered_and_everything_else_is_hashed() {
        let gate = gate();
        let guard = gate.guard.as_ref().unwrap();
        assert!(gate.admit(&basic("anna:open sesame")).await.is_ok());
        assert!(gate.admit(&basic("anna:wrong")).await.is_err());
        let all = guard.hashing.try_acquire_many(MOST_AT_ONCE as u32).unwrap();
        assert_eq!(at_once(&gate, &basic("anna:open sesame")), Some(Ok(Some("anna"))));
        for credentials in ["anna:wrong", "nobody:open sesame", "büro:pass:wört"] {
            assert_eq!(at_once(&gate, &basic(credentials)), None, "{credentials} was not hashed");
        }
        drop(all);
        assert_eq!(gate.admit(&basic("büro:pass:wört")).await, Ok(Some("büro")));
        assert_eq!(guard.verified.lock().unwrap().len(), 2);
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let gate = gate();
        let guard = gate.guard.as_ref().unwrap();
        for number in 0..200u8 {
            guard.remember([number; 32], 1);
        }
        assert_eq!(guard.verified.lock().unwrap().len(), REMEMBERED);
        assert_eq!((guard.recall(&[199; 32]), guard.recall(&[0; 32])), (Some(1), None));
    }

    #[tokio::test]
    async fn without_users_nobody_is_asked() {
        let gate = Gate::new(None);
        assert!(gate.is_open());
        assert_eq!(gate.admit(&HeaderMap::new()).await, Ok(None));
    }
}
