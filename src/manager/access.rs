//! Who may use the manager: basic authentication (RFC 7617) against the users, or everybody of this machine.
//!
//! Rules: an unknown name costs as much as a known one with a wrong password, and all comparisons take constant time; at
//! most two passwords are hashed at a time, on threads of their own; how fast they can be tried is `tries`' business.
//! Credentials that were judged are remembered by a keyed SHA-256: those that were right wait for nobody, and sending the
//! same wrong ones again costs no bcrypt.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::htpasswd::Users;
use super::tries::{Fingerprint, Origin, PAUSE, Tries, Wait};

/// Passwords that are hashed at the same time.
pub(super) const MOST_AT_ONCE: usize = 2;
/// Longest `Authorization` that is looked at, bytes.
const MOST_BYTES: usize = 1024;
/// Right credentials that are remembered, and wrong ones: the latest.
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
    tries: Arc<Tries>,
    judged: Arc<Judged>,
}

/// Credentials that were judged.
#[derive(Debug, Default)]
struct Judged {
    /// With the user's index. Only right ones can push out a right one.
    right: Memory<u32>,
    wrong: Memory<()>,
}

/// The latest last.
#[derive(Debug)]
struct Memory<T>(Mutex<VecDeque<(Fingerprint, T)>>);

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Memory(Mutex::default())
    }
}

/// Who is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stranger {
    /// Nobody known: to be answered with 401.
    Unknown,
    /// Not judged, since newer ones came from the same address: to be answered with 429.
    Hasty,
}

impl Gate {
    pub(super) fn new(users: Option<Users>) -> Gate {
        Gate { guard: users.map(Guard::new) }
    }

    /// Nobody is asked for a password.
    pub(super) fn is_open(&self) -> bool {
        self.guard.is_none()
    }

    /// The name of the user at `client` who sends `headers`; none where nobody is asked.
    pub(super) async fn admit(
        &self,
        headers: &HeaderMap,
        client: Option<IpAddr>,
    ) -> Result<Option<&str>, Stranger> {
        let Some(guard) = &self.guard else { return Ok(None) };
        let credentials = credentials(headers).ok_or(Stranger::Unknown)?;
        let user = guard.admit(&credentials, Origin::of(client)).await?;
        Ok(guard.users.all().get(user as usize).map(|user| user.name.as_str()))
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
            tries: Arc::default(),
            judged: Arc::default(),
        }
    }

    /// The user's index.
    async fn admit(&self, credentials: &[u8], origin: Origin) -> Result<u32, Stranger> {
        let whole = fingerprint(&self.key, credentials);
        let (name, password) = split(credentials).ok_or(Stranger::Unknown)?;
        let turn = loop {
            if let Some(judged) = self.judged.find(&whole) {
                return judged;
            }
            match self.tries.turn(origin, whole).await {
                Wait::Turn(turn) => break turn,
                Wait::Judged => {}
                Wait::SentAway => return Err(Stranger::Hasty),
            }
        };
        let own = fingerprint(&self.key, name);
        let known = find(&own, self.names.iter().zip(0..));
        // Always the same decoy for a name: of several costs in the file, a stranger has one like anybody else.
        let users = self.users.all();
        let decoy = self.decoys.hash_one(name) as usize % users.len();
        let user = known.map_or(decoy, |known| known as usize);
        let hash = users.get(user).ok_or(Stranger::Unknown)?.hash.clone();
        let (password, hashing, judged) =
            (password.to_vec(), Arc::clone(&self.hashing), Arc::clone(&self.judged));
        let (mut told, verdict) = oneshot::channel();
        // A task of its own: who hangs up while a password is hashed makes no room for others, and has the pause too.
        tokio::spawn(async move {
            let permit = tokio::select! {
                permit = hashing.acquire_owned() => permit,
                () = told.closed() => return,
            };
            let hashed = spawn_blocking(move || {
                let _permit = permit;
                bcrypt::verify(password, &hash)
            });
            let outcome = match (hashed.await, known) {
                (Ok(Ok(true)), Some(user)) => Ok(user),
                (Ok(Ok(_)), _) => Err(Stranger::Unknown),
                // Nothing is known of them: the next time they are hashed again.
                (Ok(Err(_)) | Err(_), _) => return,
            };
            judged.add(whole, outcome);
            turn.is_judged();
            // Whoever asked may have hung up.
            let _ = told.send(outcome);
            if outcome.is_err() {
                sleep(PAUSE).await;
            }
            drop(turn);
        });
        verdict.await.unwrap_or(Err(Stranger::Unknown))
    }
}

impl Judged {
    /// What these credentials have been found to be.
    fn find(&self, whole: &Fingerprint) -> Option<Result<u32, Stranger>> {
        let right = self.right.find(whole).map(Ok);
        right.or_else(|| self.wrong.find(whole).map(|()| Err(Stranger::Unknown)))
    }

    fn add(&self, whole: Fingerprint, outcome: Result<u32, Stranger>) {
        match outcome {
            Ok(user) => self.right.add(whole, user),
            Err(_) => self.wrong.add(whole, ()),
        }
    }
}

impl<T: Copy> Memory<T> {
    fn find(&self, whole: &Fingerprint) -> Option<T> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = find(whole, all.iter().map(|(fingerprint, _)| fingerprint).zip(0..))?;
        all.get(place as usize).map(|(_, value)| *value)
    }

    fn add(&self, whole: Fingerprint, value: T) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == REMEMBERED {
            all.pop_front();
        }
        all.push_back((whole, value));
    }
}

/// The number that stands beside `wanted`; looks at all of them, whichever it is.
fn find<'a>(wanted: &Fingerprint, all: impl Iterator<Item = (&'a Fingerprint, u32)>) -> Option<u32> {
    let mut found = u32::MAX;
    for (fingerprint, number) in all {
        found.conditional_assign(&number, fingerprint.ct_eq(wanted));
    }
    (found != u32::MAX).then_some(found)
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
    use std::pin::{Pin, pin};
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

    /// `None` while it waits for its password to be hashed.
    fn at_once<'a>(
        gate: &'a Gate,
        headers: &HeaderMap,
        client: u8,
    ) -> Option<Result<Option<&'a str>, Stranger>> {
        let client = Some([192, 0, 2, client].into());
        match pin!(gate.admit(headers, client)).as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    fn polled<F: Future>(one: &mut Pin<Box<F>>) -> Poll<F::Output> {
        one.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn right_credentials_are_let_in_by_name() {
        let gate = gate();
        assert!(!gate.is_open());
        assert_eq!(gate.admit(&basic("anna:open sesame"), None).await, Ok(Some("anna")));
        assert_eq!(gate.admit(&basic("büro:pass:wört"), None).await, Ok(Some("büro")));
        let lower_case = format!("bAsIc   {}", STANDARD.encode("anna:open sesame"));
        assert_eq!(gate.admit(&headers(&[lower_case]), None).await, Ok(Some("anna")));
    }

    #[tokio::test]
    async fn everything_else_is_a_stranger() {
        let gate = gate();
        let right = format!("Basic {}", STANDARD.encode("anna:open sesame"));
        assert_eq!(gate.admit(&HeaderMap::new(), None).await, Err(Stranger::Unknown));
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
            assert_eq!(
                gate.admit(&headers(&[value.to_owned()]), None).await,
                Err(Stranger::Unknown),
                "{value}"
            );
        }
        for (client, credentials) in (0..).zip([
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
        ]) {
            let client = Some([192, 0, 2, client].into());
            assert_eq!(
                gate.admit(&basic(credentials), client).await,
                Err(Stranger::Unknown),
                "{credentials}"
            );
        }
        let twice = [right.clone(), right];
        assert_eq!(gate.admit(&headers(&twice), None).await, Err(Stranger::Unknown));
    }

    #[tokio::test]
    async fn what_was_judged_is_not_hashed_again_and_everything_else_is() {
        let gate = gate();
        let guard = gate.guard.as_ref().unwrap();
        assert!(gate.admit(&basic("anna:open sesame"), None).await.is_ok());
        assert!(gate.admit(&basic("anna:wrong"), None).await.is_err());
        let all = guard.hashing.try_acquire_many(MOST_AT_ONCE as u32).unwrap();
        assert_eq!(at_once(&gate, &basic("anna:open sesame"), 1), Some(Ok(Some("anna"))));
        assert_eq!(at_once(&gate, &basic("anna:wrong"), 1), Some(Err(Stranger::Unknown)));
        for (client, credentials) in (2..).zip(["anna:wronger", "nobody:open sesame", "büro:pass:wört"]) {
            assert_eq!(at_once(&gate, &basic(credentials), client), None, "{credentials} was not hashed");
        }
        drop(all);
        assert_eq!(gate.admit(&basic("büro:pass:wört"), None).await, Ok(Some("büro")));
    }

    #[tokio::test]
    async fn a_crowd_of_wrong_passwords_does_not_keep_the_right_one_out() {
        let gate = &gate();
        let mut crowd: Vec<_> = (0..100)
            .map(|number| {
                let headers = basic(&format!("anna:wrong {number}"));
                Box::pin(async move { gate.admit(&headers, None).await })
            })
            .collect();
        assert!(crowd.iter_mut().all(|one| polled(one).is_pending()));
        assert_eq!(gate.admit(&basic("anna:open sesame"), None).await, Ok(Some("anna")));
        let mut tally = [0; 3];
        for one in &mut crowd {
            tally[match polled(one) {
                Poll::Ready(Err(Stranger::Unknown)) => 0,
                Poll::Ready(Err(Stranger::Hasty)) => 1,
                Poll::Pending => 2,
                Poll::Ready(Ok(_)) => panic!("a wrong password was right"),
            }] += 1;
        }
        assert_eq!(tally[0], 1, "{tally:?}: only the first one has had its turn");
        assert!(tally[2] <= 8, "{tally:?}: few wait");
    }

    #[tokio::test]
    async fn wrong_passwords_of_one_address_can_be_tried_twice_a_second() {
        let gate = gate();
        let start = std::time::Instant::now();
        for number in 0..3 {
            let wrong = basic(&format!("anna:wrong {number}"));
            assert_eq!(gate.admit(&wrong, None).await, Err(Stranger::Unknown));
        }
        assert!(start.elapsed() >= PAUSE * 2);
        let elsewhere = Some([192, 0, 2, 1].into());
        assert_eq!(gate.admit(&basic("anna:open sesame"), elsewhere).await, Ok(Some("anna")));
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let memory = Memory::default();
        for number in 0..200u8 {
            memory.add([number; 32], number);
        }
        assert_eq!(memory.0.lock().unwrap().len(), REMEMBERED);
        assert_eq!((memory.find(&[199; 32]), memory.find(&[0; 32])), (Some(199), None));
    }

    #[tokio::test]
    async fn without_users_nobody_is_asked() {
        let gate = Gate::new(None);
        assert!(gate.is_open());
        assert_eq!(gate.admit(&HeaderMap::new(), None).await, Ok(None));
    }
}
