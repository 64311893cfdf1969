//! What is shown, in every form and in a browser, and what an operator changes.

use std::io::Write;
use std::time::Duration;

use super::{PATH, ask, body, echo, figures, guarded, login, order, shares, status, users};
use crate::clients::page_in_browser;
use crate::support::{
    Client, DeadAddress, Server, for_a_model_of_each_driver_in_turn, for_every_model, raw_backend, read_head,
};

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
fn a_browser_shows_the_same_page_with_and_without_its_script() {
    let names = ["a", "b", "c"];
    let backends = names.map(|name| Server::backend(name, &[]));
    let users = users();
    let file = users.path().to_str().unwrap().to_owned();
    let anna = login("anna:open sesame");
    for_a_model_of_each_driver_in_turn(|model| {
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
