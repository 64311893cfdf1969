//! Who gets in, by which spelling of the path, with which form; and that no backend hears of it.

use std::io::Write;
use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tempfile::NamedTempFile;

use super::{PATH, ask, body, echo, guarded, login, nonce, order, request, status, status_mode, users};
use crate::options::refused;
use crate::support::{Client, Server, binary, for_every_model};

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
    let users = users();
    let (file, anna) = (users.path().to_str().unwrap().to_owned(), login("anna:open sesame"));
    for_every_model(|model| {
        let (backend, asked) = echo();
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
    let mut command = binary();
    command.args(["balance", "--model", "mio", "--listen", "0.0.0.0:0", "--backend", "127.0.0.1:1"]);
    let mut balancer = Server::start(command.args(["--manager", "--manager-users", file]));
    balancer.address = ([127, 0, 0, 1], balancer.address.port()).into();
    assert_eq!(ask(&balancer, &format!("GET {PATH}"), "", "").status(), "401");
    assert_eq!(ask(&balancer, &format!("GET {PATH}"), &login("anna:open sesame"), "").status(), "200");
}
