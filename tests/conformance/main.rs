//! One suite over real sockets, run against every model there is.
//!
//! Each test goes through the list that `roundtable models --json` prints, so a new model is tested by being listed.
//! Waits are bounded to keep a failing test from hanging; no time is asserted. All models go through a test at the same
//! time: most tests wait rather than compute. What is sent by a scripted client or a
//! scripted backend (`stage`) is sent whole and one byte per write.
//!
//! # Which test is whose
//!
//! | A client sends | `requests_refused::` or `bodies_refused::` unless said otherwise |
//! |---|---|
//! | Content-Length and Transfer-Encoding | `content_length_beside_transfer_encoding_is_400` |
//! | several Content-Lengths | `content_lengths_that_differ_are_400`, `requests_forwarded::equal_content_lengths_become_one` |
//! | an odd Content-Length | `a_content_length_that_is_no_decimal_number_is_400`, `requests_forwarded::a_content_length_with_leading_zeros…` |
//! | an odd Transfer-Encoding | `a_transfer_encoding_that_is_not_exactly_chunked_is_400_or_501`, `…_in_http_1_0_is_400` |
//! | broken chunks | `broken_chunk_framing_is_400` |
//! | chunk extensions | `requests_forwarded::chunk_extensions_are_taken_off`, `more_than_4_kib_of_chunk_extensions_are_400` |
//! | dangerous trailers | `requests_forwarded::trailers_that_could_change_framing_or_routing…` |
//! | no, two or an invalid Host | `a_missing_second_or_invalid_host_is_400` |
//! | an absolute target | `requests_forwarded::the_authority_of_an_absolute_target_replaces_host` |
//! | folded and malformed fields | `fields_that_are_no_fields_are_400` |
//! | control bytes, bare LF | `control_bytes_in_a_value_a_target_or_a_method_are_400`, `lines_that_end_in_a_bare_lf_are_400` |
//! | an empty line first | `requests_forwarded::one_empty_line_before_a_request_is_accepted` |
//! | an odd request line | `a_request_line_that_is_none_is_400` |
//! | too much | `what_is_over_a_limit_has_the_status_of_that_limit` |
//! | another protocol or version, noise | `other_protocols_and_noise_are_400_or_505_at_once`, `requests_forwarded::http_1_2_is_read_as_1_1` |
//! | an unknown method | `requests_forwarded::an_unknown_method_is_forwarded`, not idempotent: `retries::any_other_request_is_502…` |
//! | TRACE, CONNECT, `OPTIONS *` | `trace_and_connect_are_405_and_never_a_tunnel`, `requests_forwarded::options_of_the_server_itself…` |
//! | Expect | `requests_forwarded::a_client_that_expects_100_gets_it…`, `an_expectation_other_than_100_continue_is_417` |
//! | what browsers leave bare in a target | `requests_forwarded::what_browsers_leave_bare…`, the rest: `a_request_line_that_is_none_is_400` |
//! | Max-Forwards | `own_answers::options_that_may_be_forwarded_no_more…`, `requests_forwarded::max_forwards_of_options_counts_down…`, `a_max_forwards_of_options_that_is_not_one_number_is_400` |
//! | Proxy-Authorization | `requests_forwarded::credentials_for_a_proxy_end_here…` |
//! | what is answered here | `own_answers::a_connection_lasts…`, `own_answers::a_connection_ends…`, `own_answers::a_client_goes_on…`; in the log: `routing::a_refused_request_is_logged…` |
//! | hop-by-hop fields | `requests_forwarded::hop_by_hop_fields…`, `requests_forwarded::naming_host_or_framing_in_connection_strips_nothing` |
//! | pipelined requests, half-closes | `requests_forwarded::pipelined_requests…`, `requests_forwarded::a_client_that_half_closes…` |
//!
//! | A backend | `responses::` or `responses_broken::` unless said otherwise |
//! |---|---|
//! | breaks before any byte, fresh connection | `retries::an_idempotent_request_is_sent_once_more…`, `retries::it_is_sent_no_third_time`, `retries::any_other_request_is_502…` |
//! | the same, reused connection | `retries::a_reused_connection_that_breaks…`, `retries::a_post_on_a_reused_connection_that_breaks…` |
//! | answers half a head, noise, odd framing | `half_a_head_is_502`, `what_is_no_response_is_502`, `a_status_that_there_is_not_is_502`, `conflicting_or_invalid_framing_is_502` |
//! | sends less than promised | `a_body_shorter_than_promised_cuts_the_client_off`, `a_body_until_close_that_is_reset…` |
//! | sends more than promised | `more_than_was_promised_is_neither_forwarded…`; later: `surplus_that_comes_late…`; exactly that much: `what_keeps_its_promise…` |
//! | breaks a chunk | `a_broken_chunk_is_502_or_cut_when_the_head_has_gone_out` |
//! | sends interim responses, 101 | `interim_responses_are_forwarded_but_not_to_http_1_0`, `an_unasked_101_is_502` |
//! | ends its body by closing | `a_body_until_close_is_chunked_for_1_1_and_until_close_for_1_0` |
//! | sends hop-by-hop fields | `hop_by_hop_fields_of_a_response_end_here` |
//! | refuses an upload early | `uploads::an_early_answer_reaches_a_client_that_waits…`, `uploads::…_goes_on_sending`, `uploads::…_stops_reading…`, `uploads::…_hangs_up_reaches…`; interim ones: `uploads::an_interim_response_passes…` |
//! | sends no Date | `a_response_without_a_date_gets_the_time…`; own ones: every test of a refusal |
//! | sends a Location that a browser would take for another host | `routing::a_location_that_would_lead_a_browser_to_another_host…` |
//! | is silent | `a_backend_that_never_answers_is_504_and_one_that_stalls_in_the_body_is_cut` |
//! | (the retry rule) | `retries`, whole |
//!
//! | The system | |
//! |---|---|
//! | all backends down | `outages::with_all_backends_down…` |
//! | one refuses, returns, flaps, is killed | `outages::a_backend_that_refuses…`, `…_returns…`, `…_flaps…`, `outages::no_get_fails…`, `outages::one_request_an_interval…`; the operator is told: `outages::an_outage_has_one_line…` |
//! | connecting takes for ever | `outages::a_connect_timeout_is_paid_once…`, `outages::with_no_backend_that_connects_in_time…` |
//! | slow heads, bodies, idle clients | `patience::a_slow_head…`, `patience::a_head_that_stops…`, `patience::a_slow_body…`, `patience::an_idle_connection…`; a drip: `deadlines::an_upload_that_drips…`, `deadlines::a_response_head_that_drips…` |
//! | any timeout | `deadlines::a_client_that_stops_reading…`, `deadlines::a_backend_that_stops_reading…` |
//! | silent peers by the hundred | `deadlines::hundreds_of_silent_peers…` |
//! | slow readers | `patience::slow_readers_of_50_mb_cost_little_memory_and_get_every_byte` |
//! | more slow peers than workers | `patience::more_slow_clients_than_workers…`, `patience::slow_uploads…`, `patience::slow_backends…` |
//! | a client resets | `hostility::a_client_that_vanishes…`, `hostility::a_client_that_resets_while_its_backend_is_silent…` |
//! | no descriptor, no port | `exhaustion::want_of_…` |
//! | SIGUSR1, SIGHUP | `endings::on_sigusr1…`, `endings::sigusr1_without…`, `endings::sighup_finishes…`, `endings::sighup_is_ignored…` |
//! | SIGTERM | `endings::sigterm_finishes…`, `endings::what_is_not_finished_by_the_deadline…`, `endings::a_second_signal_ends_at_once` |
//! | connections over several workers | `spread::one_acceptor_gives_every_worker…`, `spread::with_a_listener_each…` |
//! | a panic | no peer can provoke one: `src/models/tests.rs` |
//! | crowds, a soak | `exhaustion::ten_thousand_clients…`, `exhaustion::a_soak_leaves…` (`cargo test --test conformance -- --ignored soak`) |
//! | a cache (`--cache`) | `cache::`; what is stored and who gets it: `tests/core/cache.rs` |
//! | the manager page | `manager::access::without_the_right_credentials…`, `manager::access::only_a_form_with_the_nonce…`, `manager::access::other_spellings_of_the_path…` |
//! | strangers at the manager | `manager::strangers::strangers_who_stall…`, `manager::strangers::a_stranger_is_answered…`, `manager::strangers::a_crowd_that_tries_passwords…`, `manager::strangers::the_same_wrong_password…` |

//!
//! # Representatives
//!
//! Some tests load the whole machine, and find what a driver decides. They go through one model of each driver, one after the
//! other; `ROUNDTABLE_CONFORMANCE=full cargo test --test conformance` goes through every model.
//!
//! | Representatives only | what the driver decides |
//! |---|---|
//! | `clients::curl_gets_a_whole_body`, `clients::ab_sees_no_failed_request…`, `clients::wrk_sees_no_error` | which bytes real clients get |
//! | `clients::a_browser_shows_the_page`, `examples::a_browser_fetches_the_picture…`, `manager::figures::a_browser_shows_the_same_page…` | which bytes a browser gets |
//! | `exhaustion::ten_thousand_clients…` | what a connection leaves behind, by the thousand; by the hundred, in every model: `endings::clients_that_come_and_go…` |
//! | `patience::slow_readers_of_50_mb…` | what a slow reader costs; in every model: `patience::a_slow_reader_of_a_long_body…` |

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]
#![allow(unreachable_pub, reason = "nothing outside a test binary reaches anything in it")]

mod bodies_refused;
mod cache;
mod clients;
mod deadlines;
mod endings;
mod examples;
mod exchanges;
mod exhaustion;
mod failures;
mod hostility;
mod manager;
mod options;
mod outages;
mod own_answers;
mod patience;
mod requests_forwarded;
mod requests_refused;
mod responses;
mod responses_broken;
mod retries;
mod routing;
mod spread;
mod stage;
mod support;
mod uploads;

/// The sources of all files in `folder` and in the folders below it.
fn sources(folder: &std::path::Path) -> String {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths
        .map(|path| if path.is_dir() { sources(&path) } else { std::fs::read_to_string(path).unwrap() })
        .collect()
}

/// Whether a test has this name, in which an ellipsis stands for any part.
fn is_test(sources: &str, name: &str) -> bool {
    let parts: Vec<&str> = name.rsplit("::").next().unwrap().split('…').collect();
    let names = sources
        .split("#[test]\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("fn ")?.1.split_once('('))
        .map(|(name, _)| name);
    names.into_iter().any(|test| {
        test.starts_with(parts[0])
            && test.ends_with(parts[parts.len() - 1])
            && parts.iter().all(|part| test.contains(part))
    })
}

fn in_backquotes(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The names that the tables above give in backquotes; an ellipsis stands for any part of a name.
#[test]
fn the_tables_of_this_file_name_tests_that_exist() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let sources = sources(&here);
    let is_name = |word: &&str| word.contains('_') && !word.contains([' ', '/', '-']);
    let text = std::fs::read_to_string(here.join("main.rs")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("//! |"));
    let names: Vec<&str> = rows.flat_map(in_backquotes).filter(is_name).collect();
    assert!(names.len() > 60, "the tables are not read: {names:?}");
    for name in names {
        assert!(is_test(&sources, name), "no test is named {name}");
    }
}

#[test]
fn the_guide_to_adding_a_model_names_tests_that_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = std::fs::read_to_string(root.join("src/models/README.md")).unwrap();
    let sources = sources(&root.join("tests/conformance")) + &sources(&root.join("src/models"));
    let rules =
        guide.split_once("## What `serve` has to do").unwrap().1.split_once("## The header").unwrap().0;
    let mut tests = 0;
    // A rule is one line when what is indented belongs to the line before it; its tests stand behind the dash.
    for (_, names) in rules.replace("\n   ", " ").lines().filter_map(|rule| rule.rsplit_once(" — ")) {
        for name in in_backquotes(names) {
            let (module, test) = name.rsplit_once("::").unwrap_or(("", name));
            let module = root.join("tests/conformance").join(format!("{module}.rs"));
            if test.is_empty() {
                assert!(module.exists(), "there is no {}", module.display());
            } else {
                assert!(is_test(&sources, test), "no test is named {name}");
            }
            tests += 1;
        }
    }
    assert!(tests > 15, "the guide is not read");
}
