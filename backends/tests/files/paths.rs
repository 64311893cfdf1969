//! No way out of the directory, and nothing that is waited for.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::{Answer, Site, request};

/// Raw requests, as no browser sends them.
fn status(site: &Site, target: &str) -> u16 {
    let answer = site.get(target);
    assert!(
        !answer.text().contains("secret") && !answer.text().contains("root:"),
        "{target}: {}",
        answer.text()
    );
    answer.status
}

#[test]
fn no_path_leads_out() {
    let site = Site::with("a/b.txt", "12345");
    for target in [
        "/../secret",
        "/..",
        "/a/../../secret",
        "/a/../a/b.txt",
        "/./a/b.txt",
        "/%2e%2e/secret",
        "/%2E%2e/secret",
        "/.%2e/secret",
        "/..%2fsecret",
        "/%2e%2e%2fsecret",
        "/a%2f..%2f..%2fsecret",
        "/..%5csecret",
        "/..\\secret",
        "/a\\..\\..\\secret",
        "/a%5c..%5c..%5csecret",
        "/%252e%252e/secret",
        "/%252e%252e%252fsecret",
        "//etc/passwd",
        "///etc/passwd",
        "/%2fetc/passwd",
        "/%2fetc%2fpasswd",
        "/etc/passwd",
        "/a/..;/..;/secret",
        "/%c0%ae%c0%ae/secret",
        "/%c0%ae%c0%ae%c0%afsecret",
        "/.../secret",
        "/..%00/secret",
        "http://a/../secret",
        "http://a/%2e%2e/secret",
        "/file:///etc/passwd",
        "/C:/secret",
    ] {
        let expected = if target.contains("%00") { 400 } else { 404 };
        assert_eq!(status(&site, target), expected, "{target}");
    }
    assert_eq!(site.get("/a/b.txt").text(), "12345");
}

#[test]
fn what_is_malformed_is_400_and_the_connection_goes_on() {
    let site = Site::with("a.txt", "12345");
    let mut stream = site.connect();
    for target in ["/%", "/%4", "/%zz", "/a.txt%00", "/a.txt%00.jpg", "/a#b", "*", "http:///a.txt", "httpx"] {
        stream.write_all(&request("GET", target, &[])).unwrap();
        assert_eq!(Answer::read(&mut stream, "GET").status, 400, "{target}");
    }
    stream.write_all(&request("GET", "/a.txt", &[])).unwrap();
    assert_eq!(Answer::read(&mut stream, "GET").text(), "12345");
}

#[test]
fn no_link_leads_out() {
    let site = Site::with("a/b.txt", "12345");
    symlink("../secret", site.path("relative.txt")).unwrap();
    symlink(site.beside("secret"), site.path("absolute.txt")).unwrap();
    symlink("..", site.path("up")).unwrap();
    symlink("/etc", site.path("etc")).unwrap();
    symlink("../../secret", site.path("a/index.html")).unwrap();
    for target in
        ["/relative.txt", "/absolute.txt", "/up", "/up/", "/up/secret", "/etc/passwd", "/etc/", "/a/"]
    {
        assert_eq!(status(&site, target), 403, "{target}");
    }
    let listing = site.get("/");
    for name in ["relative", "absolute", "up", "etc"] {
        assert!(!listing.text().contains(name), "{}", listing.text());
    }
}

#[test]
fn a_link_within_is_followed() {
    let site = Site::with("a/b.txt", "12345");
    symlink("a/b.txt", site.path("link.txt")).unwrap();
    symlink("a", site.path("other")).unwrap();
    symlink("../a/b.txt", site.path("a/around.txt")).unwrap();
    for target in ["/link.txt", "/other/b.txt", "/a/around.txt"] {
        assert_eq!(site.get(target).text(), "12345", "{target}");
    }
    assert_eq!(site.get("/other").field("Location"), Some("./other/"));
    assert!(site.get("/").text().contains("link.txt"));
}

#[test]
fn a_link_that_is_made_meanwhile_leads_nowhere_else() {
    let site = Site::with("flip/secret", "public").and("spare/secret", "public");
    let (flip, spare) = (site.path("flip"), site.path("spare"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                fs::remove_dir_all(&flip).unwrap();
                symlink("..", &flip).unwrap();
                fs::remove_file(&flip).unwrap();
                fs::create_dir(&flip).unwrap();
                fs::copy(spare.join("secret"), flip.join("secret")).unwrap();
            }
        });
        let mut stream = site.connect();
        for _ in 0..2000 {
            stream.write_all(&request("GET", "/flip/secret", &[])).unwrap();
            let answer = Answer::read(&mut stream, "GET");
            match answer.status {
                // Empty when it was met between its making and its filling.
                200 => assert!(["public", ""].contains(&answer.text()), "{}", answer.text()),
                403 | 404 => {}
                _ => panic!("{}", answer.head),
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn hidden_files_are_not_there() {
    let site = Site::with(".git/config", "secret").and(".htpasswd", "secret").and("a/.env", "secret");
    for target in ["/.git/config", "/.git/", "/.git", "/.htpasswd", "/%2ehtpasswd", "/a/.env"] {
        assert_eq!(status(&site, target), 404, "{target}");
    }
    assert!(site.get("/a/").text().contains("There are no files here."));
}

#[test]
fn special_files_are_not_there_and_hold_nobody_up() {
    let site = Site::with("a.txt", "12345");
    mkfifo(&site.path("fifo"), Mode::S_IRWXU).unwrap();
    mkfifo(&site.path("index.html"), Mode::S_IRWXU).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(site.path("socket")).unwrap();
    for target in ["/fifo", "/socket", "/fifo/"] {
        assert_eq!(status(&site, target), 404, "{target}");
    }
    let listing = site.get("/");
    assert!(listing.text().contains("a.txt") && !listing.text().contains("fifo"), "{}", listing.text());
}

#[test]
fn a_name_too_long_is_missing() {
    let site = Site::empty();
    for target in [format!("/{}", "x".repeat(256)), format!("/{}", "x/".repeat(5000)), "/%41".repeat(2000)] {
        assert_eq!(status(&site, &target), 404, "{} bytes", target.len());
    }
}

#[test]
fn names_of_every_kind_are_listed_as_links_that_lead_to_them() {
    let names = ["a b", "a%20b", "<i>&amp;\"'", "100%", "q?x", "h#x", "é", "back\\slash", "a:b", "+", "~"];
    let site = names.iter().fold(Site::empty(), |site, name| site.and(name, name));
    let listing = site.get("/");
    let links: Vec<_> = listing.text().split("href=\"./").skip(1).collect();
    assert_eq!(links.len(), names.len(), "{}", listing.text());
    let mut met: Vec<_> = links
        .iter()
        .map(|link| site.get(&format!("/{}", link.split('"').next().unwrap())).text().to_owned())
        .collect();
    met.sort_unstable();
    let mut expected = names;
    expected.sort_unstable();
    assert_eq!(met, expected);
}
