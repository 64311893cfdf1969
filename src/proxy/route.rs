//! Which group a request goes to, by its host and the beginning of its path.
//!
//! Owns the choice and how a prefix is taken off. Rules: a route that names the request's host goes before one that names
//! none, then the longest prefix decides; a prefix ends at a segment border; path and prefix are compared as
//! they were sent, byte for byte, so that nothing has two readings: `%2f`, `//` and `..` are the backend's business.

use super::config::{CacheRules, Route};
use super::field::{begins_with, host_name};

/// Index of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RouteId(usize);

impl RouteId {
    /// Where nothing was asked yet.
    pub(crate) const NONE: RouteId = RouteId(0);

    pub(crate) fn index(self) -> usize {
        self.0
    }
}

/// The routes in the order in which they are asked.
#[derive(Debug)]
pub(crate) struct Routes {
    routes: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    host: Option<Box<[u8]>>,
    /// Without a slash at its end.
    prefix: Box<[u8]>,
    /// The prefix was written with a slash at its end: it names a directory.
    is_directory: bool,
    group: usize,
    keeps_prefix: bool,
    maps_location: bool,
    cache: Option<CacheRules>,
}

impl Routes {
    pub(crate) fn new(routes: &[Route]) -> Self {
        let mut routes: Vec<Entry> = routes
            .iter()
            .map(|route| Entry {
                host: route.host.as_deref().map(|host| host.as_bytes().into()),
                prefix: route.border().as_bytes().into(),
                is_directory: route.prefix.ends_with('/'),
                group: route.group,
                keeps_prefix: route.keeps_prefix,
                maps_location: route.maps_location,
                cache: route.cache.clone(),
            })
            .collect();
        routes.sort_by_key(|route| (route.host.is_none(), usize::MAX - route.prefix.len()));
        Routes { routes }
    }

    /// The route of a request for `path` (query included) at `authority`.
    pub(crate) fn find(&self, authority: &[u8], path: &[u8]) -> Option<RouteId> {
        let host = host_name(authority);
        let takes = |route: &Entry| {
            route.host.as_ref().is_none_or(|own| own.eq_ignore_ascii_case(host))
                && begins_with(path, &route.prefix)
        };
        self.routes.iter().position(takes).map(RouteId)
    }

    pub(crate) fn group(&self, route: RouteId) -> usize {
        self.routes[route.0].group
    }

    /// `path` with the slash that is missing at its end, where it names the directory that `route` begins with. A browser
    /// stays on this host: it begins with a prefix of the configuration.
    pub(crate) fn with_slash(&self, route: RouteId, path: &[u8]) -> Option<String> {
        let route = &self.routes[route.0];
        let rest = path.strip_prefix(&*route.prefix)?;
        let is_bare =
            route.is_directory && !route.prefix.is_empty() && matches!(rest.first(), None | Some(b'?'));
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        is_bare.then(|| text(&route.prefix) + "/" + &text(rest))
    }

    /// What is taken off the path.
    pub(crate) fn taken_off(&self, route: RouteId) -> &[u8] {
        let route = &self.routes[route.0];
        if route.keeps_prefix { b"" } else { &route.prefix }
    }

    /// What is to be cached of it, and how; none is nothing.
    pub(crate) fn cache_rules(&self, route: RouteId) -> Option<&CacheRules> {
        self.routes[route.0].cache.as_ref()
    }

    pub(crate) fn maps_location(&self, route: RouteId) -> bool {
        self.routes[route.0].maps_location
    }

    /// Whether any route maps `Location`.
    pub(crate) fn map_locations(&self) -> bool {
        self.routes.iter().any(|route| route.maps_location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(list: &[(&str, &str)]) -> Routes {
        let route = |(group, (host, prefix)): (usize, &(&str, &str))| Route {
            host: Some(*host).filter(|host| !host.is_empty()).map(str::to_owned),
            prefix: (*prefix).to_owned(),
            keeps_prefix: false,
            ..Route::everything(group)
        };
        Routes::new(&list.iter().enumerate().map(route).collect::<Vec<_>>())
    }

    fn found(routes: &Routes, authority: &str, path: &str) -> Option<usize> {
        routes.find(authority.as_bytes(), path.as_bytes()).map(|route| routes.group(route))
    }

    #[test]
    fn the_longest_prefix_decides_on_a_segment_border() {
        let routes = routes(&[("", "/"), ("", "/images/"), ("", "/images/big")]);
        for (path, group) in [
            ("/", 0),
            ("/images", 1),
            ("/images/", 1),
            ("/images?x=/images/big", 1),
            ("/images/a.jpg", 1),
            ("/images/big/a.jpg", 2),
            ("/images/bigger", 1),
            ("/imagesque", 0),
            ("/Images/", 0),
            ("//images/", 0),
            ("/%69mages/", 0),
            ("/x/../images/", 0),
            ("*", 0),
        ] {
            assert_eq!(found(&routes, "a", path), Some(group), "{path}");
        }
    }

    #[test]
    fn a_host_goes_before_none_whatever_the_prefixes() {
        let routes =
            routes(&[("", "/deep/path"), ("a.example", "/"), ("b.example", "/only"), ("[::1]", "/")]);
        for (authority, path, group) in [
            ("a.example", "/deep/path", Some(1)),
            ("A.Example:8080", "/", Some(1)),
            ("a.example.", "/", Some(1)),
            ("[::1]:80", "/", Some(3)),
            ("b.example", "/only/this", Some(2)),
            ("b.example", "/deep/path", Some(0)),
            ("b.example", "/", None),
            ("x.a.example", "/", None),
            ("", "/deep/path/", Some(0)),
        ] {
            assert_eq!(found(&routes, authority, path), group, "{authority}{path}");
        }
    }

    #[test]
    fn a_directory_that_a_route_begins_with_needs_its_slash() {
        let routes = routes(&[("", "/"), ("", "/images/"), ("", "/pdf")]);
        for (path, with_slash) in [
            ("/images", Some("/images/")),
            ("/images?x=/", Some("/images/?x=/")),
            ("/images/", None),
            ("/pdf", None),
            ("/", None),
            ("?x", None),
        ] {
            let route = routes.find(b"a", path.as_bytes()).unwrap();
            assert_eq!(routes.with_slash(route, path.as_bytes()).as_deref(), with_slash, "{path}");
        }
    }

    #[test]
    fn a_kept_prefix_is_not_taken_off() {
        let mut list = vec![Route { prefix: "/a/".into(), keeps_prefix: false, ..Route::everything(0) }];
        let id = RouteId(0);
        assert_eq!(Routes::new(&list).taken_off(id), b"/a");
        list[0].keeps_prefix = true;
        assert_eq!(Routes::new(&list).taken_off(id), b"");
    }
}
