//! The inputs that the fuzz targets have kept, played again.

use std::path::Path;

use crate::cache_history;
use crate::splits;
use crate::world::World;

/// Plays every kept input of a target.
fn play(target: &str, judge: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut played = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let input = std::fs::read(entry.unwrap().path()).unwrap();
        judge(&input);
        played += 1;
    }
    assert!(played > 0, "no input is kept for {target}");
}

#[test]
fn kept_request_heads_are_judged_alike_wherever_they_are_cut() {
    play("request", splits::request_head);
}

#[test]
fn kept_answers_are_relayed_alike_however_they_are_split() {
    play("response", |input| {
        if let [question, answer @ ..] = input {
            splits::answer(*question, answer);
        }
    });
}

#[test]
fn kept_chunked_bodies_are_scanned_alike_however_they_are_split() {
    play("chunk", |input| {
        if let [first, second, body @ ..] = input {
            splits::chunked_body(body, &[usize::from(*first), usize::from(*second)]);
        }
    });
}

#[test]
fn kept_sessions_leave_nothing_wrong_on_either_side() {
    play("session", |input| splits::session(&World::decode(input)));
}

#[test]
fn kept_histories_of_a_cache_give_nobody_what_is_not_for_them() {
    play("cache", |input| {
        cache_history::play(input);
    });
}
