//! The manager, through every model: who gets in, what is shown, what is changed, and that no backend hears of it.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::clients::page_in_browser;
use crate::options::refused;
use crate::support::{Client, DeadAddress, Response, Server, for_every_model, raw_backend, read_head};

const PATH: &str = "/balancer-manager";

fn users() -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "anna:{}", bcrypt::hash("open sesame", 4).unwrap()).unwrap();
    file
}

/// A balancer whose manager is for anna alone.
fn guarded(model: &str, backends: &[SocketAddr], users: &NamedTempFile) -> Server {
    let file = users.path().to_str().unwrap();
    Server::balancer(model, backends, &["--manager", PATH, "--manager-users", file])
}

fn login(credentials: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(credentials))
}

/// What comes of a request with these further fields and this form.
fn ask(balancer: &Server, line: &str, fields: &str, form: &str) -> Response {
    let mut client = Client::connect(balancer.address);
    client.send(request(line, fields, form));
    client.response()
}

fn request(line: &str, fields: &str, form: &str) -> String {
    let length = match form.len() {
        0 => String::new(),
        length => format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n"),
    };
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}{length}\r\n{form}")
}

fn body(response: &Response) -> String {
    String::from_utf8(response.body.clone()).unwrap()
}

fn status(balancer: &Server, fields: &str) -> Value {
    let response = ask(balancer, &format!("GET {PATH}/status.json"), fields, "");
    assert_eq!((response.status(), response.field("Content-Type")), ("200", Some("application/json")));
    serde_json::from_slice(&response.body).unwrap()
}

/// One figure of each backend.
fn figures(balancer: &Server, fields: &str, name: &str) -> Vec<u64> {
    let status = status(balancer, fields);
    let backends = status["groups"][0]["backends"].as_array().unwrap();
    backends.iter().map(|backend| backend[name].as_u64().unwrap()).collect()
}

/// The nonce of the page's forms.
fn nonce(balancer: &Server, fields: &str) -> String {
    let page = body(&ask(balancer, &format!("GET {PATH}"), fields, ""));
    let (_, rest) = page.split_once(r#"name="nonce" value=""#).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// Orders something on the page, which must work.
fn order(balancer: &Server, fields: &str, form: &str) {
    let form = format!("nonce={}&{form}", nonce(balancer, fields));
    let response = ask(balancer, &format!("POST {PATH}"), fields, &form);
    assert_eq!(
        (response.status(), response.field("Location")),
        ("303", Some("./balancer-manager")),
        "{form}"
    );
}

/// Which backend answered how often, of so many requests.
fn shares(balancer: &Server, requests: usize, names: &[&str]) -> Vec<usize> {
    let mut shares = vec![0; names.len()];
    for _ in 0..requests {
        let response = Client::connect(balancer.address).get("/");
        let name = response.field("X-Backend").unwrap();
        shares[names.iter().position(|known| *known == name).unwrap()] += 1;
    }
    shares
}

/// A backend that answers with the target that it was asked for, and a count of its requests.
fn echo() -> (SocketAddr, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let address = raw_backend(move |mut stream| {
        loop {
            let head = read_head(&mut stream);
            let Some(target) = head.split(' ').nth(1) else { return };
            counter.fetch_add(1, Ordering::SeqCst);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len());
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    (address, asked)
}

#[test]
fn without_the_right_credentials_everything_is_401_and_no_backend_hears_of_it() {
    let (backend, asked) = echo();
    let users = users();
    let right = STANDARD.encode("anna:open sesame");
    let fields = [
        String::new(),
        login("anna:wrong"),
        login("anna:"),
        login("nobody:open sesame"),
        login("anna"),
        login(""),
        "Authorization: Basic !!!\r\n".to_owned(),
        format!("Authorization: Basic {}\r\n", &right[..right.len() - 1]),
        format!("Authorization: Bearer {right}\r\n"),
        format!("Authorization: Basic {}\r\n", "A".repeat(7000)),
        format!("Authorization: Basic {right}\r\nAuthorization: Basic {right}\r\n"),
    ];
    for_every_model(|model| {
        let balancer = guarded(model, &[backend], &users);
        for fields in &fields {
            for line in ["GET {}", "GET {}/", "GET {}/status.json", "GET {}/metrics", "GET {}/x", "DELETE {}"]
            {
                let response = ask(&balancer, &line.replace("{}", PATH), fields, "");
                assert_eq!(response.status(), "401", "{model}: {line} {fields}");
                let challenge = r#"Basic realm="roundtable", charset="UTF-8""#;
                assert_eq!(response.field("Www-Authenticate"), Some(challenge), "{model}");
                assert!(!body(&response).contains(&backend.to_string()), "{model}");
            }
            let form = format!("backend=0&action=disable&{}", "x".repeat(100_000));
            assert_eq!(
                ask(&balancer, &format!("POST {PATH}"), fields, &form).status(),
                "401",
                "{model}: {fields}"
            );
        }
        assert_eq!(
            status(&balancer, &login("anna:open sesame"))["groups"][0]["backends"][0]["mode"],
            "enabled"
        );
    });
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[test]
fn page_json_and_metrics_show_what_has_passed() {
    let backends = ["a", "b"].map(|name| Server::backend(name, &[]));
    let addresses = backends.each_ref().map(|backend| backend.address);
    let users = users();
    let anna = login("anna:open sesame");
    for_every_model(|model| {
        let balancer = guarded(model, &addresses, &users);
        assert_eq!(shares(&balancer, 10, &["a", "b"]), [5, 5], "{model}");
        let status = status(&balancer, &anna);
        assert_eq!((status["model"].as_str(), status["answers"]["2xx"].as_u64()), (Some(model), Some(10)));
        let backend = &status["groups"][0]["backends"][1];
        assert_eq!(backend["address"], addresses[1].to_string(), "{model}");
        assert_eq!((backend["turns"].as_u64(), backend["health"].as_str()), (Some(5), Some("up")), "{model}");
        assert!(backend["bytes_from"].as_u64() > Some(5 * 1024), "{model}: {backend}");
        let metrics = ask(&balancer, &format!("GET {PATH}/metrics"), &anna, "");
        assert_eq!(metrics.field("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        let line =
            format!("\nroundtable_backend_turns_total{{group=\"default\",backend=\"{}\"}} 5\n", addresses[0]);
        assert!(body(&metrics).contains(&line), "{model}: {}", body(&metrics));
        for path in [PATH.to_owned(), format!("{PATH}/"), format!("{PATH}?x=y")] {
            let page = ask(&balancer, &format!("GET {path}"), &anna, "");
            assert_eq!(
                (page.status(), page.field("Cache-Control")),
                ("200", Some("no-store")),
                "{model}: {path}"
            );
            let text = body(&page);
            for shown in [&addresses[0].to_string(), &addresses[1].to_string(), model, "anna", ">5</td>"] {
                assert!(text.contains(shown), "{model}: {shown} is not in {text}");
            }
        }
        assert_eq!(
            figures(&balancer, &anna, "turns"),
            [5, 5],
            "{model}: the manager's requests are no turns"
        );
    });
}

#[test]
fn a_backend_that_is_drained_or_disabled_gets_no_turn_until_it_is_enabled() {
    let names = ["a", "b", "c"];
    let backends = names.map(|name| Server::backend(name, &[]));
    let addresses = backends.each_ref().map(|backend| backend.address);
    let users = users();
    let anna = login("anna:open sesame");
    for_every_model(|model| {
        let balancer = guarded(model, &addresses, &users);
        order(&balancer, &anna, "backend=0&action=drain");
        order(&balancer, &anna, "backend=2&action=disable");
        assert_eq!(shares(&balancer, 6, &names), [0, 6, 0], "{model}");
        order(&balancer, &anna, "backend=1&action=disable");
        assert_eq!(
            shares(&balancer, 6, &names),
            [6, 0, 0],
            "{model}: the drained one serves when nobody else can"
        );
        order(&balancer, &anna, "backend=0&action=disable");
        assert_eq!(Client::connect(balancer.address).get("/").status(), "503", "{model}");
        for backend in 0..3 {
            order(&balancer, &anna, &format!("backend={backend}&action=enable"));
        }
        assert_eq!(shares(&balancer, 6, &names), [2, 2, 2], "{model}");
    });
}

#[test]
fn a_weight_changes_the_shares() {
    let names = ["a", "b"];
    let backends = names.map(|name| Server::backend(name, &[]));
    let addresses = backends.each_ref().map(|backend| backend.address);
    let users = users();
    let anna = login("anna:open sesame");
    for_every_model(|model| {
        let balancer = guarded(model, &addresses, &users);
        order(&balancer, &anna, "backend=1&action=weight&weight=3");
        assert_eq!(figures(&balancer, &anna, "weight"), [1, 3], "{model}");
        assert_eq!(shares(&balancer, 8, &names), [2, 6], "{model}");
    });
}

#[test]
fn only_a_form_with_the_nonce_changes_anything() {
    let (backend, asked) = echo();
    let users = users();
    let anna = login("anna:open sesame");
    for_every_model(|model| {
        let balancer = guarded(model, &[backend], &users);
        let nonce = nonce(&balancer, &anna);
        let right = format!("nonce={nonce}&backend=0&action=disable");
        for (line, form, status) in [
            ("POST {}", "backend=0&action=disable".to_owned(), "403"),
            ("POST {}", format!("nonce={}&backend=0&action=disable", "0".repeat(32)), "403"),
            ("POST {}", format!("nonce={nonce}&backend=1&action=disable"), "400"),
            ("POST {}", format!("nonce={nonce}&backend=0&action=weight&weight=0"), "400"),
            ("POST {}", format!("nonce={nonce}&backend=0&action=format"), "400"),
            ("POST {}", format!("{right}&x={}", "x".repeat(5000)), "413"),
            ("POST {}", format!("{right}&x={}", "x".repeat(100_000)), "413"),
            ("POST {}/status.json", right.clone(), "405"),
            ("POST {}/metrics", right.clone(), "405"),
            ("PUT {}", right.clone(), "405"),
            ("DELETE {}", right.clone(), "405"),
            ("POST {}/x", right.clone(), "404"),
            (&format!("GET {{}}?{right}"), String::new(), "200"),
        ] {
            let response = ask(&balancer, &line.replace("{}", PATH), &anna, &form);
            assert_eq!(response.status(), status, "{model}: {line} {form:.99}");
        }
        let put = ask(&balancer, &format!("PUT {PATH}"), &anna, "");
        assert_eq!(put.field("Allow"), Some("GET, HEAD, POST"), "{model}");
        assert_eq!(status_mode(&balancer, &anna), "enabled", "{model}");
        // The same form byte by byte, as it should be.
        let mut client = Client::connect(balancer.address);
        client.drip(request(&format!("POST {PATH}/"), &anna, &right));
        let response = client.response();
        assert_eq!((response.status(), response.field("Location")), ("303", Some("./")), "{model}");
        assert_eq!(status_mode(&balancer, &anna), "disabled", "{model}");
    });
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

fn status_mode(balancer: &Server, fields: &str) -> String {
    status(balancer, fields)["groups"][0]["backends"][0]["mode"].as_str().unwrap().to_owned()
}

#[test]
fn other_spellings_of_the_path_go_where_everything_else_goes() {
    let (backend, _) = echo();
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend], &["--manager", PATH]);
        for target in [
            "//balancer-manager",
            "/%62alancer-manager",
            "/balancer%2dmanager",
            "/balancer-manager%2f",
            "/balancer-manager%2fstatus.json",
            "/balancer-manager;x",
            "/x/../balancer-manager",
            "/./balancer-manager",
            "/x%2f..%2fbalancer-manager",
            "/Balancer-Manager",
            "/balancer-managers",
            "/balancer-manager.html",
            "/?/balancer-manager",
        ] {
            let response = ask(&balancer, &format!("GET {target}"), "", "");
            assert_eq!((response.status(), body(&response).as_str()), ("200", target), "{model}");
        }
        for below in ["/", "/x", "/../x", "/../../", "/status.json/", "/status%2ejson", "/%2e%2e/"] {
            let response = ask(&balancer, &format!("GET {PATH}/{below}"), "", "");
            assert_eq!(response.status(), "404", "{model}: {below}");
        }
        // The usual spelling, in absolute form and from HTTP/1.0.
        let absolute = format!("GET http://localhost{PATH}");
        assert_eq!(ask(&balancer, &absolute, "", "").status(), "200", "{model}");
        let mut old = Client::connect(balancer.address);
        old.send(format!("GET {PATH} HTTP/1.0\r\n\r\n"));
        assert!(old.rest().starts_with(b"HTTP/1.1 200 OK\r\n"), "{model}");
    });
}

#[test]
fn the_manager_is_itself_at_every_host_and_behind_every_route() {
    let (backend, asked) = echo();
    let users = users();
    let (file, anna) = (users.path().to_str().unwrap().to_owned(), login("anna:open sesame"));
    for_every_model(|model| {
        let (own, rooted) = (format!("own.example/={backend}"), format!("/app/={backend}"));
        let options = [
            "--route",
            &own,
            "--route",
            &rooted,
            "--manager=/a/b",
            "--manager-metrics",
            "/metrics",
            "--manager-users",
            &file,
        ];
        let balancer = Server::balancer(model, &[backend], &options);
        let before = asked.load(Ordering::SeqCst);
        for host in ["own.example", "OWN.EXAMPLE.:80", "other.example", "127.0.0.1"] {
            for path in ["/a/b", "/a/b/", "/a/b/status.json", "/metrics"] {
                for (fields, status) in [("", "401"), (anna.as_str(), "200")] {
                    let mut client = Client::connect(balancer.address);
                    client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
                    assert_eq!(client.response().status(), status, "{model}: {host}{path}");
                }
            }
            let mut client = Client::connect(balancer.address);
            client.send(format!("GET /a/b/metrics HTTP/1.1\r\nHost: {host}\r\n{anna}\r\n"));
            assert_eq!(client.response().status(), "404", "{model}");
        }
        assert_eq!(asked.load(Ordering::SeqCst), before, "{model}");
        assert_eq!(body(&ask(&balancer, "GET /a", "", "")), "/a", "{model}");
    });
}

#[test]
fn a_manager_without_users_is_open_to_names_of_this_machine_alone() {
    let (backend, asked) = echo();
    for_every_model(|model| {
        let balancer = Server::balancer(model, &[backend], &["--manager"]);
        for (host, status) in [("localhost:1", "200"), ("127.0.0.1", "200"), ("evil.example", "403")] {
            let mut client = Client::connect(balancer.address);
            client.send(format!("GET {PATH} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            let response = client.response();
            assert_eq!(response.status(), status, "{model}: {host}");
            assert!(body(&response).contains("--manager-users"), "{model}: {host}");
        }
        order(&balancer, "", "backend=0&action=drain");
        assert_eq!(status_mode(&balancer, ""), "draining", "{model}");
    });
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[test]
fn a_left_out_backend_is_shown_as_such() {
    let (backend, _) = echo();
    for_every_model(|model| {
        let dead = DeadAddress::new();
        let options = ["--manager", PATH, "--retry-interval", "1h"];
        let balancer = Server::balancer(model, &[dead.address, backend], &options);
        assert_eq!(Client::connect(balancer.address).get("/").status(), "200", "{model}");
        let status = status(&balancer, "");
        let first = &status["groups"][0]["backends"][0];
        assert_eq!(
            (first["health"].as_str(), first["refusals"].as_u64()),
            (Some("left_out"), Some(1)),
            "{model}"
        );
        let hour_ms = Duration::from_secs(3600).as_millis() as u64;
        assert!(
            first["left_out_ms"].as_u64().is_some_and(|rest| 0 < rest && rest <= hour_ms),
            "{model}: {first}"
        );
        assert!(body(&ask(&balancer, &format!("GET {PATH}"), "", "")).contains("left out for "), "{model}");
    });
}

#[test]
fn a_manager_that_cannot_work_is_refused_with_one_message() {
    let file = |text: &str| {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    };
    let (empty, plain) = (file(""), file("# users\nanna:open sesame\n"));
    let name = |file: &NamedTempFile| file.path().to_str().unwrap().to_owned();
    let usual = ["--model", "mio", "--backend", "127.0.0.1:1"];
    let here = ["--listen", "127.0.0.1:0"];
    for (options, hint) in [
        (&["--listen", "0.0.0.0:0", "--manager"][..], "--manager-users FILE"),
        (&["--listen", "[::]:0", "--manager"], "--manager-users FILE"),
        (&[here[0], here[1], "--manager", "x"], "write one such as /balancer-manager"),
        (&[here[0], here[1], "--manager", "/a/../b"], "write one such as /balancer-manager"),
        (&[here[0], here[1], "--manager=/m", "--manager-metrics", "/m"], "choose another path"),
        (&[here[0], here[1], "--manager=/m", "--route", "/m/x=127.0.0.1:2"], "choose another path"),
        (&[here[0], here[1], "--manager", "--manager-users", "/nowhere/at/all"], "htpasswd -cB"),
        (&[here[0], here[1], "--manager", "--manager-users", &name(&empty)], "there is no user in it"),
        (
            &[here[0], here[1], "--manager", "--manager-users", &name(&plain)],
            "line 2: the password is not hashed by bcrypt",
        ),
    ] {
        let said = refused(&[&usual[..], options].concat());
        assert!(said.contains(hint) && said.lines().count() == 1, "{options:?}: {said}");
    }
    let said = refused(&[&usual[..], &["--manager-metrics", "/m"]].concat());
    assert!(said.contains("--manager"), "{said}");
}

#[test]
fn with_users_the_manager_is_at_any_address() {
    let users = users();
    let file = users.path().to_str().unwrap();
    let mut command = crate::support::binary();
    command.args(["balance", "--model", "mio", "--listen", "0.0.0.0:0", "--backend", "127.0.0.1:1"]);
    let mut balancer = Server::start(command.args(["--manager", "--manager-users", file]));
    balancer.address = ([127, 0, 0, 1], balancer.address.port()).into();
    assert_eq!(ask(&balancer, &format!("GET {PATH}"), "", "").status(), "401");
    assert_eq!(ask(&balancer, &format!("GET {PATH}"), &login("anna:open sesame"), "").status(), "200");
}

#[test]
fn a_browser_shows_the_same_page_with_and_without_its_script() {
    let names = ["a", "b", "c"];
    let backends = names.map(|name| Server::backend(name, &[]));
    let users = users();
    let file = users.path().to_str().unwrap().to_owned();
    let anna = login("anna:open sesame");
    for_every_model(|model| {
        let dead = DeadAddress::new();
        let mut addresses = backends.each_ref().map(|backend| backend.address).to_vec();
        addresses.push(dead.address);
        let options = ["--manager", PATH, "--manager-users", &file, "--retry-interval", "86399s"];
        let balancer = Server::balancer(model, &addresses, &options);
        shares(&balancer, 30, &names);
        order(&balancer, &anna, "backend=1&action=drain");
        order(&balancer, &anna, "backend=2&action=disable");
        order(&balancer, &anna, "backend=0&action=weight&weight=12");
        let url = format!("http://anna:open%20sesame@{}{PATH}", balancer.address);
        // The tables, but for how many minutes a backend is left out yet.
        let tables = |page: &str| {
            let (_, tables) =
                page.split_once("<table").unwrap_or_else(|| panic!("{model}: no table in {page}"));
            let (before, rest) = tables.split_once("left out for 23 h ").unwrap();
            let (minutes, after) = rest.split_once(" min<").unwrap();
            assert!(minutes.parse::<u64>().is_ok(), "{model}: {minutes}");
            format!("{before}{}", after.split_once("</main>").unwrap().0)
        };
        // A browser whose scripts are switched off dumps no document: this one runs none, by policy.
        let page = body(&ask(&balancer, &format!("GET {PATH}"), &anna, ""));
        let scriptless = raw_backend(move |mut stream| {
            read_head(&mut stream);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n\
                 Content-Security-Policy: script-src 'none'\r\nContent-Length: {}\r\n\r\n{page}",
                page.len()
            );
        });
        let Some(plain) = page_in_browser(&format!("http://{scriptless}/"), &[]) else { return };
        let Some(scripted) = page_in_browser(&url, &["--virtual-time-budget=5000"]) else { return };
        assert!(plain.contains("Load the page again to see newer figures."), "{model}: {plain}");
        assert!(scripted.contains("These figures are refreshed every 2 seconds."), "{model}: {scripted}");
        assert_eq!(tables(&plain), tables(&scripted), "{model}: page and script write figures differently");
        for shown in [">draining<", ">disabled<", ">up<", "value=\"12\"", " kB<"] {
            assert!(plain.contains(shown), "{model}: {shown} is not in {plain}");
        }
    });
}
