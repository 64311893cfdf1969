//! Which part of the workspace may know which other: read from the `use` lines and the paths of its files.
//!
//! A part is a file or a folder; a folder's head (`mod.rs`) says what its files share, so that a file may always name what
//! stands in the heads above it. Beyond that no two files may know each other in a circle, and the lists below hold the layers.
//! Tests, and what is made up for them, may know everything.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// Each part of a crate, with all of the crate that it may know. A part knows those above it in its list and never one below.
type Layers<'a> = &'a [(&'a str, &'a [&'a str])];

/// The binary's parts; the core, a crate of its own, is `proxy`.
const BINARY: Layers<'_> = &[
    ("clock", &[]),
    ("console", &[]),
    ("outages", &["console"]),
    ("checks", &["outages"]),
    ("models", &[]),
    ("floor", &["models"]),
    ("manager", &["console", "models"]),
    ("commands", &["checks", "clock", "console", "floor", "manager", "models", "outages"]),
];

/// The harness's parts: report → analysis → record; trial → testbed, record; nothing points back.
const HARNESS: Layers<'_> = &[
    ("text", &[]),
    ("statistics", &[]),
    ("host", &[]),
    ("load", &["host", "text"]),
    ("plan", &["load", "statistics", "text"]),
    ("record", &["host", "load", "plan"]),
    ("testbed", &["host", "load", "plan"]),
    ("trial", &["host", "load", "plan", "record", "testbed", "text"]),
    ("probes", &["host", "load", "plan", "record", "testbed"]),
    ("analysis", &["host", "load", "plan", "probes", "record", "statistics", "text"]),
    ("report", &["analysis", "host", "load", "plan", "probes", "record", "statistics", "text"]),
];

/// A module's path within its crate; the root is empty.
type Module = Vec<String>;

/// The modules of one crate, and whom each knows.
struct Crate {
    knows: BTreeMap<Module, BTreeSet<Module>>,
}

/// The paths that a file names, outside of its tests.
#[derive(Default)]
struct Paths(Vec<Vec<String>>);

/// Whether these attributes say `#[cfg(test)]`.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

/// Every path of a `use` tree, and the name under which each is known from then on.
fn paths_of(tree: &syn::UseTree, before: &[String], found: &mut Vec<(Vec<String>, String)>) {
    let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
    match tree {
        syn::UseTree::Path(path) => paths_of(&path.tree, &with(&path.ident), found),
        syn::UseTree::Name(name) => found.push((with(&name.ident), name.ident.to_string())),
        syn::UseTree::Rename(name) => found.push((with(&name.ident), name.rename.to_string())),
        syn::UseTree::Glob(_) => found.push((before.to_vec(), "*".into())),
        syn::UseTree::Group(group) => group.items.iter().for_each(|tree| paths_of(tree, before, found)),
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut found = Vec::new();
        paths_of(&item.tree, &[], &mut found);
        self.0.extend(found.into_iter().map(|(path, _)| path));
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }
}

/// Every Rust file of `dir` and of the folders in it.
fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let all = paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    all.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The module that `file` holds.
fn module(source: &Path, file: &Path) -> Module {
    let path = file.strip_prefix(source).unwrap().with_extension("");
    let mut module: Module = path.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    module
}

impl Crate {
    /// Reads the crate whose files are in `source`.
    fn read(source: &Path) -> Crate {
        let mut parsed = BTreeMap::new();
        for file in files(source) {
            let name = file.file_name().unwrap().to_str().unwrap();
            if !["tests.rs", "fixtures.rs", "synthetic.rs", "coverage.rs"].contains(&name) {
                let text = fs::read_to_string(&file).unwrap();
                let syntax = syn::parse_file(&text).map_err(|error| format!("{file:?}: {error}")).unwrap();
                parsed.insert(module(source, &file), syntax);
            }
        }
        let modules: BTreeSet<Module> = parsed.keys().cloned().collect();
        let exports = parsed.iter().flat_map(|(module, file)| exports(module, file, &modules)).collect();
        let knows = parsed.iter().map(|(own, file)| {
            let mut paths = Paths::default();
            paths.visit_file(file);
            let named = paths.0.iter().filter_map(|path| resolve(own, path, &modules, &exports));
            (own.clone(), named.filter(|other| other != own && !own.starts_with(other)).collect())
        });
        Crate { knows: knows.collect() }
    }

    /// Modules that know each other, directly or by way of others.
    fn circles(&self) -> Vec<(String, String)> {
        let reach = |from: &Module| {
            let mut reached = BTreeSet::new();
            let mut open = vec![from];
            while let Some(next) = open.pop() {
                for other in self.knows.get(next).into_iter().flatten() {
                    if reached.insert(other) {
                        open.push(other);
                    }
                }
            }
            reached
        };
        let reached: BTreeMap<_, _> = self.knows.keys().map(|module| (module, reach(module))).collect();
        let knows_back =
            |one: &Module, other: &Module| reached.get(other).is_some_and(|reached| reached.contains(one));
        let pairs = self.knows.iter().flat_map(|(one, others)| others.iter().map(move |other| (one, other)));
        let back = pairs.filter(|(one, other)| knows_back(one, other));
        back.map(|(one, other)| (one.join("::"), other.join("::"))).collect()
    }

    /// What the parts know that `layers` does not let them.
    fn strays(&self, layers: Layers<'_>) -> Vec<String> {
        let mut wrong = Vec::new();
        for (module, others) in &self.knows {
            let Some((own, allowed)) =
                layers.iter().find(|(part, _)| module.first().is_some_and(|own| own == part))
            else {
                continue;
            };
            let parts: BTreeSet<&str> =
                others.iter().filter_map(|other| other.first()).map(String::as_str).collect();
            let stray = parts.into_iter().filter(|part| part != own && !allowed.contains(part));
            wrong.extend(stray.map(|part| format!("{} knows {part}", module.join("::"))));
        }
        wrong
    }
}

/// What a module lets others name as its own, and where it really is.
fn exports(own: &Module, file: &syn::File, modules: &BTreeSet<Module>) -> Vec<(Module, Module)> {
    let mut all = Vec::new();
    for item in &file.items {
        if let syn::Item::Use(item) = item
            && !matches!(item.vis, syn::Visibility::Inherited)
        {
            let mut found = Vec::new();
            paths_of(&item.tree, &[], &mut found);
            for (path, name) in found {
                if let Some(module) = resolve(own, &path, modules, &BTreeMap::new()) {
                    all.push(([own.clone(), vec![name]].concat(), module));
                }
            }
        }
    }
    all
}

/// The module that `path`, written in `own`, leads to; `None` where it leads out of the crate.
fn resolve(
    own: &Module,
    path: &[String],
    modules: &BTreeSet<Module>,
    exports: &BTreeMap<Module, Module>,
) -> Option<Module> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    let whole = match path.first()?.as_str() {
        "crate" => path[1..].to_vec(),
        "self" => [own, &path[1..]].concat(),
        "super" => [&own[..own.len().checked_sub(supers)?], &path[supers..]].concat(),
        first if modules.contains(&[own.clone(), vec![first.to_owned()]].concat()) => [own, path].concat(),
        _ => return None,
    };
    (1..=whole.len()).rev().find_map(|length| {
        let part = &whole[..length];
        exports.get(part).cloned().or_else(|| modules.get(part).cloned())
    })
}

/// The folders of the crates' files.
fn sources() -> [PathBuf; 3] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    [root.join("src"), root.join("backends/src"), root.join("harness/src")]
}

#[test]
fn no_two_files_know_each_other_in_a_circle() {
    for source in sources() {
        let read = Crate::read(&source);
        assert!(read.knows.len() > 10, "only {} files were read in {source:?}", read.knows.len());
        assert_eq!(read.circles(), [], "{source:?}");
    }
}

#[test]
fn no_part_knows_one_that_is_built_on_it() {
    let [binary, _, harness] = sources();
    for (source, layers) in [(binary, BINARY), (harness, HARNESS)] {
        let strays = Crate::read(&source).strays(layers);
        assert!(strays.is_empty(), "{source:?}: {strays:#?}");
        for (place, (part, allowed)) in layers.iter().enumerate() {
            for other in *allowed {
                let above = layers[..place].iter().any(|(name, _)| name == other);
                assert!(above, "{part} may know {other}, which does not stand above it");
            }
        }
    }
}

#[test]
fn every_part_of_the_harness_and_of_the_binary_has_its_layer() {
    let [binary, _, harness] = sources();
    for (source, layers, others) in [(binary, BINARY, ["proxy", ""]), (harness, HARNESS, ["", ""])] {
        for module in Crate::read(&source).knows.into_keys() {
            let part = module.first().cloned().unwrap_or_default();
            let known = layers.iter().any(|(name, _)| *name == part) || others.contains(&part.as_str());
            assert!(known, "{part} of {source:?} stands in no list");
        }
    }
}

#[test]
fn the_core_knows_nothing_of_the_binary() {
    let [binary, ..] = sources();
    let core = Crate::read(&binary).strays(&[("proxy", &[])]);
    assert!(core.is_empty(), "{core:#?}");
}

#[test]
fn renderers_write_values_and_know_no_run() {
    let [.., harness] = sources();
    let read = Crate::read(&harness);
    let renderers =
        read.knows.iter().filter(|(module, _)| module.starts_with(&["report".into(), "render".into()]));
    let known: Vec<_> = renderers.flat_map(|(_, others)| others).filter_map(|other| other.first()).collect();
    assert!(known.len() > 3, "only {} are known", known.len());
    assert!(known.iter().all(|part| ["report", "text"].contains(&part.as_str())), "{known:?}");
}
