//! Where requests go, what backends are asked there, and what is told of it afterwards.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use roundtable::proxy::{
    BackendId, Change, Condition, Config, ExchangeSummary, Group, Limits, Member, Mode, Observer, Policy,
    Proxy, Route, Watcher,
};

use crate::world::{OK, Outcome, Script, Then, World};

/// The course's reverse proxy: pictures and documents have servers of their own, all else goes to the default one.
fn course() -> Config {
    let group = |name: &str, port| Group {
        name: name.into(),
        policy: Policy::RoundRobin,
        members: vec![Member {
            name: format!("localhost:{port}"),
            ..Member::at(([127, 0, 0, 1], port).into())
        }],
        hidden: false,
    };
    let route = |prefix: &str, group| Route {
        prefix: prefix.into(),
        keeps_prefix: false,
        maps_location: true,
        ..Route::everything(group)
    };
    let host = Route { host: Some("files.example".into()), ..Route::everything(2) };
    Config {
        groups: vec![group("default", 8888), group("images", 8889), group("pdf", 8890)],
        routes: vec![Route::everything(0), route("/images/", 1), route("/pdf/", 2), host],
        ..Config::round_robin(Vec::new(), "127.0.0.1:18000".into(), Limits::default())
    }
}

fn run(config: &Config, world: World) -> Outcome {
    world.run_rewriting(&Arc::new(Proxy::new(config.clone(), Instant::now()).unwrap()))
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: example\r\n\r\n")
}

#[test]
fn the_path_picks_the_backend_and_the_prefix_is_taken_off_once() {
    for (target, backend, asked) in [
        ("/", 0, "/"),
        ("/index.html", 0, "/index.html"),
        ("/images/pokijan.jpg", 1, "/pokijan.jpg"),
        ("/images/", 1, "/"),
        ("/images/?a=/images/", 1, "/?a=/images/"),
        ("/images/images/x", 1, "/images/x"),
        ("/images//x", 1, "//x"),
        ("/imagesque", 0, "/imagesque"),
        ("/pdf/a/b?c", 2, "/a/b?c"),
        ("http://example/images/x", 1, "/x"),
        ("http://example", 0, "/"),
        ("http://example?x", 0, "/?x"),
    ] {
        let outcome = run(&course(), World::new(get(target)));
        assert_eq!((outcome.status(), outcome.to_backends[0].0), ("200", backend), "{target}");
        let line = format!("GET {asked} HTTP/1.1\r\nHost: example\r\n");
        assert!(outcome.backend_text(0).starts_with(&line), "{target}: {}", outcome.backend_text(0));
    }
}

#[test]
fn the_host_picks_the_backend() {
    for host in ["files.example", "FILES.example:8080", "files.example."] {
        let outcome = run(&course(), World::new(format!("GET /images/ HTTP/1.1\r\nHost: {host}\r\n\r\n")));
        assert_eq!(outcome.to_backends[0].0, 2, "{host}");
        assert!(outcome.backend_text(0).starts_with("GET /images/ HTTP/1.1\r\n"), "the prefix stays");
    }
    let outcome = run(&course(), World::new("GET http://files.example/ HTTP/1.1\r\nHost: elsewhere\r\n\r\n"));
    assert_eq!(outcome.to_backends[0].0, 2, "an absolute target replaces the Host");
}

#[test]
fn a_directory_without_its_slash_is_redirected_so_that_relative_links_work() {
    for (target, location) in [("/images", "/images/"), ("/pdf?a=b", "/pdf/?a=b")] {
        let outcome = run(&course(), World::new(get(target)));
        assert_eq!((outcome.status(), outcome.saw_backends()), ("301", false), "{target}");
        let field = format!("\r\nLocation: {location}\r\n");
        assert!(outcome.client_text().contains(&field), "{}", outcome.client_text());
    }
}

#[test]
fn where_no_route_leads_is_404_and_no_backend_is_asked() {
    let mut config = course();
    config.routes.remove(0);
    for target in ["/", "/imagesque", "//images/"] {
        let outcome = run(&config, World::new(get(target)));
        assert_eq!((outcome.status(), outcome.saw_backends()), ("404", false), "{target}");
    }
}

#[test]
fn a_missing_slash_keeps_the_method_of_all_but_get_and_head() {
    for (method, status) in [
        ("GET", "301"),
        ("HEAD", "301"),
        ("POST", "308"),
        ("DELETE", "308"),
        ("BREW", "308"),
        ("OPTIONS", "308"),
    ] {
        let outcome = run(&course(), World::new(format!("{method} /pdf HTTP/1.1\r\nHost: a\r\n\r\n")));
        assert_eq!(outcome.status(), status, "{method}");
        assert!(outcome.client_text().contains("\r\nLocation: /pdf/\r\n"), "{method}");
    }
}

#[test]
fn an_answer_of_the_balancer_s_own_leaves_the_connection_open_where_no_body_is_left() {
    let mut config = course();
    config.routes.remove(0);
    for (request, is_kept) in [
        ("GET /pdf HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("HEAD /pdf HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("POST /pdf HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", true),
        ("GET /pdf HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
        ("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
        ("GET /nowhere HTTP/1.0\r\n\r\n", false),
        ("POST /pdf HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", false),
        (
            "POST /pdf HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            false,
        ),
    ] {
        for pieces in [vec![], vec![1]] {
            let world = World::new(format!("{request}{}", get("/pdf/x"))).pieces(&pieces);
            let outcome = run(&config, world);
            let text = outcome.client_text();
            assert!(matches!(outcome.status(), "301" | "308" | "404"), "{request:?}: {text}");
            assert_eq!(outcome.saw_backends(), is_kept, "{request:?}: {text}");
            assert_eq!(text.contains("\r\nConnection: close\r\n"), !is_kept, "{request:?}: {text}");
            assert_eq!(text.contains("\r\nConnection: keep-alive\r\n"), request.contains("1.0") && is_kept);
            assert_eq!(outcome.half_closed, !is_kept, "{request:?}");
            assert!(!text.contains("100 Continue"), "{text}");
        }
    }
    let proxy = Arc::new(Proxy::new(config, Instant::now()).unwrap());
    proxy.drain();
    let drained = World::new(get("/pdf").repeat(2)).run_rewriting(&proxy);
    assert_eq!(drained.client_text().matches("HTTP/1.1 301").count(), 1);
}

#[test]
fn locations_are_mapped_back_to_where_the_client_sees_them() {
    for (location, told) in [
        ("/x", "/images/x"),
        ("http://localhost:8889/x", "/images/x"),
        ("http://127.0.0.1:8889/x", "/images/x"),
        ("http://example/x", "/images/x"),
        ("https://elsewhere/x", "https://elsewhere/x"),
        ("x", "x"),
    ] {
        let response = format!(
            "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {location}\r\ncontent-location: {location}\r\n\r\n"
        );
        let outcome = run(&course(), World::new(get("/images/a")).backend(Script::says(&response)));
        let text = outcome.client_text();
        assert!(text.contains(&format!("\r\nLocation: {told}\r\n")), "{location}: {text}");
        assert!(text.contains(&format!("\r\ncontent-location: {told}\r\n")), "{location}: {text}");
        let plain = run(&course(), World::new(get("/a")).backend(Script::says(&response))).client_text();
        assert!(plain.contains(&format!("\r\nLocation: {location}\r\n")), "a route without mapping: {plain}");
    }
}

#[test]
fn a_full_backend_is_passed_over_and_with_all_full_the_answer_is_503() {
    let member = |most| Member { most_connections: Some(most), ..Member::at(([127, 0, 0, 1], 1).into()) };
    let mut config = Config::round_robin(Vec::new(), "a".into(), Limits::default());
    config.groups[0].members = vec![member(1), member(1)];
    let proxy = Arc::new(Proxy::new(config, Instant::now()).unwrap());
    let outcome = World::new(get("/").repeat(3)).run_with(&proxy);
    assert_eq!(outcome.client_text().matches("HTTP/1.1 200").count(), 3, "one after the other there is room");
    // Sessions that have sent their request and wait for the answer.
    let waiting: Vec<_> = (0..2).map(|_| crate::world::session_that_waits_for_an_answer(&proxy)).collect();
    let refused = World::new(get("/"));
    let outcome = refused.serve(&proxy);
    assert_eq!((outcome.status(), outcome.saw_backends()), ("503", false));
    drop(waiting);
    assert_eq!(World::new(get("/")).run_with(&proxy).status(), "200");
}

#[test]
fn an_operator_sees_what_has_passed() {
    let proxy = crate::world::proxy(2, Limits::default());
    let world =
        World::new(get("/").repeat(2)).backend(Script::refuses(ErrorKind::ConnectionRefused)).backend(
            Script::says(OK)
                .and_then_says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
                .then(Then::Close),
        );
    assert_eq!(world.run_with(&proxy).status(), "200");
    let status = proxy.status(Instant::now());
    let [first, second] = status.groups[0].members.as_slice() else { panic!("two members") };
    assert_eq!((first.turns, first.refusals, first.errors, first.bytes_to), (1, 1, 0, 0));
    assert!(matches!(first.health, Condition::LeftOut(left) if !left.is_zero()), "{:?}", first.health);
    assert_eq!((second.turns, second.refusals, second.errors, second.health), (2, 0, 1, Condition::Up));
    assert_eq!(second.bytes_from, OK.len() as u64 + 40);
    assert_eq!(status.answers, [0, 0, 2, 0, 0, 0]);
    proxy.change(1, Change::Mode(Mode::Disabled)).unwrap();
    proxy.change(0, Change::Mode(Mode::Disabled)).unwrap();
    assert_eq!(World::new(get("/")).run_with(&proxy).status(), "503");
}

#[derive(Debug, Default)]
struct Book(Mutex<Vec<String>>);

impl Observer for Book {
    fn exchanged(&self, exchange: &ExchangeSummary<'_>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.0.lock().unwrap().push(format!(
            "{} | {} | {} | {} | {} | {:?} {} | {:?} | {}",
            exchange.client,
            text(exchange.request_line),
            text(exchange.host),
            text(exchange.referer),
            text(exchange.user_agent),
            exchange.status,
            exchange.body_bytes,
            exchange.backend.map(BackendId::index),
            exchange.whole,
        ));
    }
}

#[test]
fn an_observer_is_told_of_every_exchange_once() {
    let told = |config: Config, world: World| {
        let book = Arc::new(Book::default());
        let observer = Some(Arc::clone(&book) as Arc<dyn Observer>);
        run(&Config { observer, ..config }, world);
        book.0.lock().unwrap().clone()
    };
    let whole = "GET /images/x HTTP/1.1\r\nHost: a\r\nReferer: r\r\nUser-Agent: u\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n";
    assert_eq!(
        told(course(), World::new(whole)),
        [
            "192.0.2.7:4711 | GET /images/x HTTP/1.1 | a | r | u | Some(200) 2 | Some(1) | true",
            "192.0.2.7:4711 | GET / HTTP/1.1 | b |  |  | Some(200) 2 | Some(0) | true",
        ]
    );
    let no_host = "GET / HTTP/1.1\r\n\r\n";
    assert_eq!(
        told(course(), World::new(no_host)),
        ["192.0.2.7:4711 | GET / HTTP/1.1 |  |  |  | Some(400) 62 | None | true"]
    );
    let endless = format!("GET /{}", "x".repeat(9000));
    for (refused, noted) in [
        ("noise\r\n\r\n", "noise"),
        ("\r\nGET / HTTP/9.9\r\nHost: a\r\n\r\n", "GET / HTTP/9.9"),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a b HTTP/1.1"),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1"),
        ("\x16\x03\x01\x02", "\x16\x03\x01\x02"),
        ("\n", ""),
        (endless.as_str(), &endless[..8000]),
    ] {
        let [line] = told(course(), World::new(refused)).try_into().unwrap();
        assert!(
            line.starts_with(&format!("192.0.2.7:4711 | {noted} |  |  |  | Some(4"))
                || line.contains("Some(505)"),
            "{line}"
        );
        assert!(line.contains(&format!("| {noted} |")), "{line}");
    }
    let unfinished = told(course(), World::new(format!("{whole}GET /late HT")).client_waits());
    assert_eq!(unfinished.len(), 3);
    assert!(unfinished[2].contains("| GET /late HT |  |  |  | Some(408)"), "{}", unfinished[2]);
    let cut = Script::says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab").then(Then::Close);
    assert_eq!(
        told(course(), World::new(get("/")).backend(cut)),
        ["192.0.2.7:4711 | GET / HTTP/1.1 | example |  |  | Some(200) 2 | Some(0) | false"]
    );
    assert_eq!(told(course(), World::new("")).len(), 0, "nothing was asked");
}

#[derive(Debug, Default)]
struct Outages(Mutex<Vec<String>>);

impl Watcher for Outages {
    fn left_out(&self, backend: BackendId, error: &io::Error) {
        self.0.lock().unwrap().push(format!("{} is left out: {:?}", backend.index(), error.kind()));
    }

    fn returned(&self, backend: BackendId) {
        self.0.lock().unwrap().push(format!("{} is back", backend.index()));
    }
}

#[test]
fn a_watcher_is_told_once_when_a_backend_is_left_out_and_once_when_it_is_back() {
    let outages = Arc::new(Outages::default());
    let addresses = vec![([127, 0, 0, 1], 1).into()];
    let config = Config {
        watcher: Some(Arc::clone(&outages) as Arc<dyn Watcher>),
        ..Config::round_robin(addresses, "a".into(), Limits::default())
    };
    let proxy = Arc::new(Proxy::new(config, Instant::now()).unwrap());
    let ask = |script| World::new(get("/")).backend(script).run_with(&proxy).status().to_owned();
    let told = || std::mem::take(&mut *outages.0.lock().unwrap());
    assert_eq!((ask(Script::always_ok()).as_str(), told()), ("200", vec![]));
    let refuses = || Script::refuses(ErrorKind::ConnectionRefused);
    assert_eq!(
        (ask(refuses()).as_str(), told()),
        ("503", vec!["0 is left out: ConnectionRefused".to_owned()])
    );
    assert_eq!((ask(refuses()).as_str(), told()), ("503", vec![]));
    assert_eq!((ask(Script::always_ok()).as_str(), told()), ("200", vec!["0 is back".to_owned()]));
    assert_eq!((ask(Script::always_ok()).as_str(), told()), ("200", vec![]));
}

#[test]
fn the_balancers_own_pages_have_a_request_when_its_head_is_whole() {
    let head = "POST /images/x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n";
    let denied = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
    for (hidden, status) in [(true, "401"), (false, "408")] {
        let mut config = course();
        config.groups[1].hidden = hidden;
        let world = World::new(head.to_owned() + "ab").client_waits();
        let outcome = run(&config, world.backend(Script::says("").says_at(1, denied)));
        assert_eq!((outcome.status(), outcome.saw_backends()), (status, hidden));
        if hidden {
            assert!(outcome.backend_text(0).ends_with("\r\n\r\nab"), "{}", outcome.backend_text(0));
        }
        let whole = run(&config, World::new(head.to_owned() + "abcdefghi"));
        assert_eq!(whole.status(), "200");
        assert!(whole.backend_text(0).ends_with("\r\n\r\nabcdefghi"), "{}", whole.backend_text(0));
    }
}
