//! The course's architectures as `examples/` has them, with ports of their own, under every model.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::clients::page_in_browser;
use crate::support::{Client, Server, binary, for_a_model_of_each_driver_in_turn, for_every_model};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The balancer of an example, its backends' ports replaced by those of `backends`.
fn balancer(example: &str, model: &str, backends: &HashMap<u16, Server>, folder: &Path) -> Server {
    let mut text = fs::read_to_string(examples().join(example).with_extension("toml")).unwrap();
    for (port, server) in backends {
        text = text.replace(&format!("127.0.0.1:{port}\""), &format!("{}\"", server.address));
    }
    text = text.replace("file = \"-\"", &format!("file = \"{model}.log\""));
    let path = folder.join(format!("{model}.toml"));
    fs::write(&path, text).unwrap();
    let mut command = binary();
    command.args(["balance", "--listen", "127.0.0.1:0", "--model", model, "--config"]).arg(path);
    Server::start(&mut command)
}

fn site(folder: &str) -> Server {
    let root = examples().join("site").join(folder);
    Server::backend(folder, &["--root", root.to_str().unwrap()])
}

#[test]
fn the_reverse_proxy_fetches_a_picture_and_a_document_whole() {
    let folder = tempfile::tempdir().unwrap();
    let backends: HashMap<u16, Server> =
        [(8888, site("default")), (8889, site("images")), (8890, site("pdf"))].into();
    for_every_model(|model| {
        let balancer = balancer("reverse-proxy", model, &backends, folder.path());
        for (path, file, kind, server) in [
            ("/", "default/index.html", "text/html; charset=utf-8", "default"),
            ("/images/throughput.jpg", "images/throughput.jpg", "image/jpeg", "images"),
            ("/pdf/document.pdf", "pdf/document.pdf", "application/pdf", "pdf"),
        ] {
            let response = Client::connect(balancer.address).get(path);
            assert_eq!(response.status(), "200", "{model} {path}");
            assert_eq!(response.field("Content-Type"), Some(kind), "{model} {path}");
            assert_eq!(response.field("X-Backend"), Some(server), "{model} {path}");
            let whole = fs::read(examples().join("site").join(file)).unwrap();
            assert!(response.body == whole, "{model} {path} did not arrive whole");
            let fetched = folder.path().join(format!("{model}-{server}"));
            let url = format!("http://{}{path}", balancer.address);
            match Command::new("curl").args(["-s", "--output"]).arg(&fetched).arg(url).status() {
                Ok(status) => {
                    assert!(status.success() && fs::read(&fetched).unwrap() == whole, "{model} {path}");
                }
                Err(_) => eprintln!("skipped: curl is not installed"),
            }
        }
        assert_eq!(Client::connect(balancer.address).get("/images/none").status(), "404", "{model}");
    });
}

/// A page that tells how it got the picture and the document.
const FETCHING_PAGE: &str = r#"<!doctype html><p id="told">not yet</p><script>
const told = document.getElementById("told");
const length = async path => (await (await fetch(path)).arrayBuffer()).byteLength;
const picture = new Image();
picture.onload = async () => {
    const lengths = [await length("/images/throughput.jpg"), await length("/pdf/document.pdf")];
    told.textContent = `picture ${picture.naturalWidth} wide, ${lengths[0]} and ${lengths[1]} bytes`;
};
picture.onerror = () => { told.textContent = "no picture"; };
picture.src = "/images/throughput.jpg";
</script>"#;

#[test]
fn a_browser_fetches_the_picture_and_the_document_whole() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("index.html"), FETCHING_PAGE).unwrap();
    let default = Server::backend("default", &["--root", folder.path().to_str().unwrap()]);
    let backends: HashMap<u16, Server> =
        [(8888, default), (8889, site("images")), (8890, site("pdf"))].into();
    let length = |file: &str| fs::metadata(examples().join("site").join(file)).unwrap().len();
    let lengths = [length("images/throughput.jpg"), length("pdf/document.pdf")];
    let told = format!("picture 760 wide, {} and {} bytes", lengths[0], lengths[1]);
    for_a_model_of_each_driver_in_turn(|model| {
        let balancer = balancer("reverse-proxy", model, &backends, folder.path());
        let url = format!("http://{}/", balancer.address);
        let Some(page) = page_in_browser(&url, &["--virtual-time-budget=10000"]) else { return };
        assert!(page.contains(&told), "{model}: {page}");
    });
}

#[test]
fn the_load_balancer_shows_five_servers_in_turn_in_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let backends: HashMap<u16, Server> = (9001..=9005).map(|port| (port, site("default"))).collect();
    for_every_model(|model| {
        let balancer = balancer("load-balancer", model, &backends, folder.path());
        for _ in 0..10 {
            assert_eq!(Client::connect(balancer.address).get("/").status(), "200", "{model}");
        }
        balancer.signal(nix::sys::signal::Signal::SIGTERM);
        assert_eq!(balancer.exit_code(), Some(0), "{model}");
        let log = fs::read_to_string(folder.path().join(format!("{model}.log"))).unwrap();
        let turns: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("forwarded to ")).collect();
        let expected: Vec<String> =
            (0..10).map(|turn| backends[&(9001 + turn % 5)].address.to_string()).collect();
        assert_eq!(turns, expected, "{model}");
        assert_eq!(log.lines().filter(|line| line.starts_with("connection from ")).count(), 10, "{model}");
    });
}

#[test]
fn a_virtual_host_has_servers_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let named = |name: &str| Server::backend(name, &[]);
    let backends: HashMap<u16, Server> =
        [(9001, named("default")), (9002, named("one")), (9003, named("two"))].into();
    for_every_model(|model| {
        let balancer = balancer("virtual-hosts", model, &backends, folder.path());
        let mut client = Client::connect(balancer.address);
        let mut ask = |host: &str| {
            client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            client.response().field("X-Backend").unwrap().to_owned()
        };
        let turns: Vec<String> = (0..6).map(|_| ask("localtesting.com")).collect();
        let of_one = turns.iter().filter(|name| *name == "one").count();
        let of_two = turns.iter().filter(|name| *name == "two").count();
        assert_eq!((of_one, of_two), (4, 2), "{model}: weights 2 and 1, and nobody busy");
        assert_eq!(ask("elsewhere.com"), "default", "{model}");
    });
}

#[test]
fn every_example_can_work() {
    let mut checked = 0;
    for entry in fs::read_dir(examples()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let output = binary().args(["balance", "--check", "--config"]).arg(&path).output().unwrap();
            assert!(output.status.success(), "{}", path.display());
            checked += 1;
        }
    }
    assert!(checked >= 3, "the examples are elsewhere: {checked} found");
}
