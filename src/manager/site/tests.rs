use std::future::Future;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};

use http_body_util::Full;
use hyper::Request;
use hyper::body::Frame;
use hyper::header::{ALLOW, AUTHORIZATION, LOCATION, WWW_AUTHENTICATE};
use roundtable::proxy::{Config, Limits};

use super::super::{Settings, Users};
use super::*;

fn site(users: Option<&str>) -> Site {
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let config = Config::round_robin(vec![address(9001), address(9002)], "a".into(), Limits::default());
    let proxy = Arc::new(Proxy::new(config, Instant::now()).unwrap());
    let settings =
        Settings { path: "/m".into(), metrics_path: Some("/metrics".into()), users: None, model: "mio" };
    let users = users.map(|file| Users::parse(file.as_bytes()).unwrap());
    Site::new(proxy, Paths::of(&settings).unwrap(), Gate::new(users), "mio")
}

fn request(method: &str, path: &str, body: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "localhost:18000")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

/// What is answered without having to wait for anything.
fn answered(site: &Site, request: Request<Full<Bytes>>) -> (StatusCode, HeaderMap, String) {
    now(async {
        let (head, body) = answer(site, request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
    })
}

/// As a connection does it.
async fn answer<B: Body<Data = Bytes>>(site: &Site, request: Request<B>) -> Reply {
    let (head, body) = request.into_parts();
    match site.admit(&head).await {
        Ok(user) => site.answer(user, &head, body).await,
        Err(stranger) => Site::turn_away(stranger),
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("it waits"),
    }
}

fn form(site: &Site, rest: &str) -> String {
    format!("nonce={}&{rest}", site.nonce.as_str())
}

fn mode(site: &Site, index: usize) -> Mode {
    site.proxy.status(Instant::now()).groups[0].members[index].mode
}

#[test]
fn every_answer_is_fenced_in() {
    let site = site(None);
    for (method, path, status) in [
        ("GET", "/m", 200),
        ("GET", "/m/", 200),
        ("HEAD", "/m", 200),
        ("GET", "/m/status.json", 200),
        ("GET", "/metrics", 200),
        ("GET", "/m/nothing", 404),
        ("PUT", "/m", 405),
        ("POST", "/m", 403),
    ] {
        let (answer, headers, _) = answered(&site, request(method, path, ""));
        assert_eq!(answer, status, "{method} {path}");
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(headers[name], value, "{method} {path}");
        }
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}

#[test]
fn the_policy_names_the_style_and_script_of_the_page() {
    let (_, headers, body) = answered(&site(None), request("GET", "/m", ""));
    let between =
        |begin: &str, end: &str| body.split_once(begin).unwrap().1.split_once(end).unwrap().0.to_owned();
    assert_eq!(between("<style>", "</style>"), page::STYLE);
    assert_eq!(between("<script>", "</script>"), page::SCRIPT);
    assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
}

#[test]
fn other_methods_are_told_what_is_allowed() {
    let site = site(None);
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "PURGE"] {
        for (path, allowed) in
            [("/m", "GET, HEAD, POST"), ("/m/status.json", "GET, HEAD"), ("/metrics", "GET, HEAD")]
        {
            let (status, headers, _) = answered(&site, request(method, path, ""));
            assert_eq!(
                (status.as_u16(), headers[ALLOW].to_str().unwrap()),
                (405, allowed),
                "{method} {path}"
            );
        }
    }
    assert_eq!(answered(&site, request("POST", "/metrics", &form(&site, "backend=0&action=drain"))).0, 405);
}

#[test]
fn a_form_with_the_nonce_changes_a_backend_and_leads_back() {
    let site = site(None);
    for (action, outcome, path, back) in [
        ("drain", Mode::Draining, "/m", "./m"),
        ("disable", Mode::Disabled, "/m/", "./"),
        ("enable", Mode::Enabled, "/m?x=y", "./m"),
    ] {
        let order = form(&site, &format!("backend=1&action={action}"));
        let (status, headers, _) = answered(&site, request("POST", path, &order));
        assert_eq!((status.as_u16(), headers[LOCATION].to_str().unwrap()), (303, back), "{action}");
        assert_eq!((mode(&site, 0), mode(&site, 1)), (Mode::Enabled, outcome), "{action}");
    }
    let order = form(&site, "backend=0&action=weight&weight=12");
    assert_eq!(answered(&site, request("POST", "/m", &order)).0, 303);
    assert_eq!(site.proxy.status(Instant::now()).groups[0].members[0].weight, 12);
}

#[test]
fn a_form_with_the_nonce_empties_the_cache_and_leads_back() {
    let site = site(None);
    let (status, headers, _) = answered(&site, request("POST", "/m", &form(&site, "action=purge")));
    assert_eq!((status.as_u16(), headers[LOCATION].to_str().unwrap()), (303, "./m"));
    assert_eq!(answered(&site, request("POST", "/m", "action=purge")).0, 403);
}

#[test]
fn what_is_no_order_changes_nothing() {
    let site = site(None);
    let right = form(&site, "backend=0&action=drain");
    for (body, status) in [
        (String::new(), 403),
        ("nonce=&backend=0&action=drain".to_owned(), 403),
        (format!("nonce={}&backend=0&action=drain", "0".repeat(32)), 403),
        ("backend=0&action=drain".to_owned(), 403),
        (form(&site, "backend=2&action=drain"), 400),
        (form(&site, "backend=0&action=explode"), 400),
        (form(&site, "backend=0&action=weight&weight=0"), 400),
        (form(&site, "backend=0&action=weight&weight=1001"), 400),
        (format!("{right}&x={}", "x".repeat(4096)), 413),
    ] {
        assert_eq!(answered(&site, request("POST", "/m", &body)).0, status, "{body}");
    }
    let mut json = request("POST", "/m", &right);
    json.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap());
    assert_eq!(answered(&site, json).0, 415);
    assert_eq!(answered(&site, request("GET", &format!("/m?{right}"), &right)).0, 200);
    assert_eq!((mode(&site, 0), mode(&site, 1)), (Mode::Enabled, Mode::Enabled));
}

/// A body of unknown length.
fn pieces(pieces: Vec<Result<Frame<Bytes>, &'static str>>) -> impl Body<Data = Bytes, Error = &'static str> {
    struct Pieces(std::vec::IntoIter<Result<Frame<Bytes>, &'static str>>);
    impl Body for Pieces {
        type Data = Bytes;
        type Error = &'static str;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            Poll::Ready(self.0.next())
        }
    }
    Pieces(pieces.into_iter())
}

#[test]
fn a_form_of_unknown_length_is_bounded_and_may_break_off() {
    let site = site(None);
    let piece = |text: String| Ok(Frame::data(Bytes::from(text)));
    let endless = (0..50).map(|_| piece("x".repeat(1000))).collect();
    let broken = vec![piece(form(&site, "backend=0&action=drain")), Err("reset")];
    for (body, status) in [(endless, 413), (broken, 400)] {
        let request = request("POST", "/m", "").map(|_| pieces(body));
        assert_eq!(now(answer(&site, request)).status(), status);
    }
    assert_eq!(mode(&site, 0), Mode::Enabled);
}

#[test]
fn without_users_only_names_of_this_machine_are_answered() {
    let site = site(None);
    for (host, status) in [
        ("localhost", 200),
        ("LOCALHOST:18000", 200),
        ("localhost.:1", 200),
        ("a.localhost", 200),
        ("127.0.0.1:18000", 200),
        ("127.1.2.3", 200),
        ("[::1]", 200),
        ("[::1]:18000", 200),
        ("evil.example", 403),
        ("evil.example:18000", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("notlocalhost", 403),
        ("192.0.2.1", 403),
        ("[2001:db8::1]:80", 403),
        ("", 403),
        (":", 403),
    ] {
        let mut request = request("GET", "/m", "");
        request.headers_mut().insert(HOST, host.parse().unwrap());
        assert_eq!(answered(&site, request).0, status, "{host}");
    }
    let mut nameless = request("GET", "/m", "");
    nameless.headers_mut().remove(HOST);
    assert_eq!(answered(&site, nameless).0, 403);
}

#[test]
fn a_stranger_learns_nothing() {
    let site = site(Some(&format!("anna:{}", bcrypt::hash("x", 4).unwrap())));
    let order = form(&site, "backend=0&action=drain");
    for (method, path) in
        [("GET", "/m"), ("GET", "/metrics"), ("GET", "/m/x"), ("DELETE", "/m"), ("POST", "/m")]
    {
        let mut request = request(method, path, &order);
        request.headers_mut().insert(AUTHORIZATION, "Basic x".parse().unwrap());
        let (status, headers, body) = answered(&site, request);
        assert_eq!(status, 401, "{method} {path}");
        assert_eq!(headers[WWW_AUTHENTICATE], r#"Basic realm="roundtable", charset="UTF-8""#);
        assert!(!body.contains("9001"), "{body}");
    }
    assert_eq!(mode(&site, 0), Mode::Enabled);
}

#[test]
fn the_client_is_the_last_one_that_was_added() {
    for (values, address) in [
        (&["203.0.113.9"][..], Some("203.0.113.9")),
        (&["forged, 203.0.113.9"], Some("203.0.113.9")),
        (&["forged", "10.0.0.1, 2001:db8::1"], Some("2001:db8::1")),
        (&["203.0.113.9, forged"], None),
        (&[], None),
    ] {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        assert_eq!(client(&headers), address.map(|address| address.parse().unwrap()), "{values:?}");
    }
}
