//! Facts about the table: what each product is told, in full.

use super::*;

fn configured(peer: &Peer, backends_fail: bool) -> String {
    let backends = [documentation(9001), documentation(9002)];
    let setup = Setup {
        listen: documentation(80),
        backends: &backends,
        workers: 2,
        concurrency: 100,
        backlog: 77,
        backends_fail,
        folder: Path::new("/folder"),
    };
    let configured = match peer.name {
        // Where its modules are is the machine's affair.
        "httpd-event" => httpd::with_modules_in("/modules", &setup),
        _ => (peer.configure)(&setup),
    };
    configured.to_string()
}

#[test]
fn each_product_is_told_what_the_condition_asks_for() {
    for peer in PEERS.iter().filter(|peer| !["httpd-worker", "httpd-prefork"].contains(&peer.name)) {
        insta::assert_snapshot!(peer.name, configured(peer, false));
    }
}

#[test]
fn httpds_other_ways_of_waiting_have_a_worker_for_each_connection() {
    let of = |name: &str| configured(find(name).unwrap(), false);
    assert!(of("httpd-worker").contains("ThreadsPerChild 116\n"), "{}", of("httpd-worker"));
    assert!(of("httpd-prefork").contains("StartServers 116\n"), "{}", of("httpd-prefork"));
    assert!(of("httpd-prefork").contains("mod_mpm_prefork.so"));
}

#[test]
fn where_backends_fail_those_products_look_after_them_that_would_not_by_themselves() {
    let of = |name: &str, fail| configured(find(name).unwrap(), fail);
    assert!(of("haproxy", true).contains(" check ") && !of("haproxy", false).contains(" check "));
    assert!(of("varnish", true).contains(".probe") && !of("varnish", false).contains(".probe"));
}

#[test]
fn a_list_of_peers_is_read_in_its_order_and_an_unknown_one_is_answered_with_all() {
    let labels =
        |list: &str| -> Vec<String> { parse(list).unwrap().iter().map(ToString::to_string).collect() };
    assert_eq!(labels("haproxy, floor,nginx,haproxy"), ["peer:haproxy", "floor", "peer:nginx"]);
    for list in ["apache", "nginx,", "mio", "nginx+10%", "peer:nginx"] {
        let error = parse(list).unwrap_err().to_string();
        assert!(
            error.contains("the peers are nginx, haproxy, ") && error.ends_with(&FLOORS.join(", ")),
            "{error}"
        );
    }
}

#[test]
fn workers_are_chosen_where_a_product_has_a_number_of_them() {
    let count = |name: &str, asked| find(name).unwrap().count(asked);
    assert_eq!((count("nginx", None), count("nginx", Some(3))), (Some(1), Some(3)));
    assert_eq!(count("httpd-prefork", Some(3)), None);
}

#[test]
fn turns_may_differ_by_one_and_by_more_where_workers_do_not_wait_for_each_other() {
    let of = |label: &str, requests| Turns::of(&Competitor::of(label)).tolerance(requests);
    assert_eq!([of("mio", 10_000), of("direct", 10_000), of("peer:nginx", 10_000)], [1, 1, 1]);
    assert_eq!([of("peer:httpd-prefork", 10_000), of("peer:varnish", 99)], [101, 1]);
}

#[test]
fn a_program_is_found_beside_the_folders_of_the_path() {
    let beside = |folder: &str| with_sbin(folder.into());
    assert_eq!(beside("/usr/bin"), ["/usr/bin", "/usr/sbin"].map(PathBuf::from));
    assert_eq!(beside("/opt/x"), [PathBuf::from("/opt/x")]);
}
