//! The rules of the house, kept by reading the sources: who may import whom, who may name a vendor, a platform or a
//! secret, and what every file begins with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The floor of each module of the agent. A module imports from its own floor and from those below.
const FLOORS: &[(&str, u8)] = &[
    ("clock", 1),
    ("secret", 1),
    ("service", 1),
    ("store", 1),
    ("telemetry", 1),
    ("vendors", 2),
    ("flows", 3),
    ("config", 3),
    ("runtime", 4),
    ("cli", 5),
];

/// The floor of each module of the control plane.
const PLANE_FLOORS: &[(&str, u8)] = &[
    ("alerts", 1),
    ("clock", 1),
    ("drain", 1),
    ("metrics", 1),
    ("secrets", 1),
    ("settings", 1),
    ("store", 1),
    ("accounts", 2),
    ("configurations", 2),
    ("ingress", 2),
    ("link", 2),
    ("notify", 2),
    ("wake", 2),
    ("api", 3),
    ("request", 3),
    ("server", 4),
    ("cli", 5),
    ("testing", 5),
];

/// Upward imports that are wanted, by file and what it names.
const UPWARD: &[(&str, &str)] = &[];

/// Source files beyond 600 lines, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[
    ("tests/src/freemarker/eval.rs", "one evaluator: the cases of one expression language"),
    ("tests/src/sim/epicor/payables.rs", "the invoice chain of the simulator, method by method"),
];

struct Source {
    /// Below the root, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// The lines with their numbers, without comments and without what follows `#[cfg(test)] mod tests {`.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        let lines = self.text[..end].lines().enumerate();
        lines.map(|(index, line)| (index + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The crate of the simulators is called `tests` itself; what counts is below its name.
    fn is_test(&self) -> bool {
        self.path.split('/').skip(1).any(|part| part == "tests" || part == "tests.rs")
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources(below: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
                let path = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
                found.push(Source { path, text });
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {below}");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn agent() -> Vec<Source> {
    sources("agent/src")
}

fn everything() -> Vec<Source> {
    ["agent", "proto", "control-plane", "tests"].into_iter().flat_map(sources).collect()
}

#[track_caller]
fn assert_none(rule: &str, broken: Vec<String>) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

/// What a line names below `crate::`, each as written up to the second part.
fn named(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for rest in line.split("crate::").skip(1) {
        let list = match rest.strip_prefix('{') {
            Some(inner) => inner.split('}').next().unwrap_or_default().split(',').collect(),
            None => vec![rest],
        };
        for item in list {
            let path: String = item
                .trim()
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
                .collect();
            let parts: Vec<&str> = path.split("::").filter(|part| !part.is_empty()).take(2).collect();
            names.push(parts.join("::"));
        }
    }
    names
}

#[test]
fn a_floor_imports_the_floors_below_it_and_nothing_above() {
    upward("agent/src/", agent(), FLOORS);
    let plane = sources("control-plane/src").into_iter().filter(|source| !source.is_test());
    upward("control-plane/src/", plane.collect(), PLANE_FLOORS);
}

fn upward(below: &str, sources: Vec<Source>, floors: &[(&str, u8)]) {
    let floors: BTreeMap<&str, u8> = floors.iter().copied().collect();
    let mut broken = Vec::new();
    for source in sources {
        let inner = source.path.strip_prefix(below).unwrap();
        let module = inner.split('/').next().unwrap().trim_end_matches(".rs");
        if matches!(module, "lib" | "main") {
            continue;
        }
        let Some(own) = floors.get(module) else {
            broken.push(format!("{}: `{module}` has no floor: give it one in FLOORS", source.path));
            continue;
        };
        for (number, line) in source.code() {
            for name in named(line) {
                let first = name.split("::").next().unwrap_or_default();
                let wanted = UPWARD.contains(&(inner, name.as_str()));
                if floors.get(first).is_some_and(|floor| floor > own) && !wanted {
                    broken.push(format!("{}:{number}: floor {own} names {name}", source.path));
                }
            }
        }
    }
    assert_none("a floor imports the floors below it and nothing above", broken);
}

fn vendor_folders() -> Vec<String> {
    let folder = root().join("agent/src/vendors");
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| name != "http" && name != "webhook")
        .collect();
    names.sort();
    assert!(names.len() >= 2);
    names
}

#[test]
fn only_the_registry_names_vendors() {
    let mut broken = Vec::new();
    for source in agent().into_iter().filter(|source| !source.is_test()) {
        for vendor in vendor_folders() {
            let own = format!("agent/src/vendors/{vendor}/");
            let registry = source.path == "agent/src/vendors/registry.rs";
            // `pub mod` lines are what makes the folders a part of the crate.
            let declares = |line: &str| {
                source.path == "agent/src/vendors/mod.rs" && line == format!("pub mod {vendor};")
            };
            if source.path.starts_with(&own) || registry {
                continue;
            }
            for (number, line) in source.code() {
                let names =
                    line.contains(&format!("vendors::{vendor}")) || line.contains(&format!("{vendor}::"));
                if names && !declares(line) {
                    broken.push(format!("{}:{number}: {}", source.path, line.trim()));
                }
            }
        }
    }
    assert_none("only vendors/registry.rs names a vendor's folder", broken);
}

#[test]
fn flows_and_actors_know_no_vendor_by_name() {
    let mut broken = Vec::new();
    let of_interest =
        |path: &str| path.starts_with("agent/src/flows/") || path.starts_with("agent/src/runtime/");
    for source in agent().into_iter().filter(|source| of_interest(&source.path) && !source.is_test()) {
        for (number, line) in source.code() {
            let lower = line.to_ascii_lowercase();
            if vendor_folders().iter().any(|vendor| lower.contains(vendor.as_str())) {
                broken.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none("flows and actors see traits, no vendor", broken);
}

#[test]
fn only_the_service_knows_the_platform() {
    let words = ["cfg(unix", "cfg(windows", "cfg(not(unix", "cfg(not(windows", "target_os", "target_family"];
    let mut broken = Vec::new();
    for source in agent().into_iter().filter(|source| !source.path.starts_with("agent/src/service/")) {
        for (number, line) in source.code() {
            if words.iter().any(|word| line.contains(word)) && !source.is_test() {
                broken.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none("what differs by platform stands in agent/src/service", broken);
}

#[test]
fn secrets_are_spelled_out_by_the_gate_the_store_and_the_check_of_webhooks_only() {
    let allowed = [
        "agent/src/vendors/http/",
        "agent/src/vendors/webhook/mod.rs",
        "agent/src/store/",
        "agent/src/secret.rs",
    ];
    let mut broken = Vec::new();
    for source in agent().into_iter().filter(|source| !source.is_test()) {
        if allowed.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for (number, line) in source.code() {
            if line.contains(".expose()") {
                broken.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none("`.expose()` belongs to the gate, the store and the check of webhooks", broken);
}

#[test]
fn there_is_one_file_with_unsafe_code() {
    let word = ["un", "safe"].concat();
    let marks =
        [format!("{word} {{"), format!("{word} fn"), format!("{word} impl"), format!("{word} extern")];
    let mut files: Vec<String> = everything()
        .into_iter()
        .filter(|source| source.code().any(|(_, line)| marks.iter().any(|mark| line.contains(mark.as_str()))))
        .map(|source| source.path)
        .collect();
    files.dedup();
    assert_eq!(files, ["agent/src/store/engine.rs"]);
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = |source: &Source| !source.text.starts_with("//!");
    let broken = everything().into_iter().filter(silent).map(|source| source.path).collect();
    assert_none("every file begins with `//!`", broken);
}

#[test]
fn simulators_share_no_types_with_the_agent() {
    let manifest = fs::read_to_string(root().join("tests/Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let shared = ["purser", "purser-proto", "spend"];
    let named = |line: &&str| {
        let name: String =
            line.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
        shared.contains(&name.as_str())
    };
    assert_eq!(dependencies.lines().filter(named).collect::<Vec<_>>(), Vec::<&str>::new());
    let mut broken = Vec::new();
    // The harness is no simulator: its own tests read the configuration that it writes with the agent's reader.
    for source in
        sources("tests/src").into_iter().filter(|source| !source.path.starts_with("tests/src/harness/"))
    {
        for (number, line) in source.code() {
            if ["purser::", "purser_proto::", "spend::"].iter().any(|path| mentions(line, path)) {
                broken.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none("simulators are written from the fact sheets, not from the agent", broken);
}

/// Whether a path stands in a line as a word of its own.
fn mentions(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
    })
}

#[test]
fn files_stay_short_enough_to_read() {
    let long: Vec<(String, usize)> = everything()
        .into_iter()
        .filter(|source| source.path.contains("/src/") && !source.is_test())
        .map(|source| (source.path.clone(), source.text.lines().count()))
        .filter(|(_, lines)| *lines > 600)
        .collect();
    let unknown = long.iter().filter(|(path, _)| !LONG_FILES.iter().any(|(known, _)| known == path));
    assert_none("over 600 lines", unknown.map(|(path, lines)| format!("{path}: {lines}")).collect());
    let mended = LONG_FILES.iter().filter(|(known, _)| !long.iter().any(|(path, _)| path == known));
    assert_none(
        "no longer over 600 lines: strike it out",
        mended.map(|(path, _)| (*path).to_owned()).collect(),
    );
}

/// The vendors' fact sheets number what a client must survive and a simulator must imitate. Tests name the numbers they
/// cover in their doc comment, `Sheet item: Epicor 12` or `Sheet items: Expensify 4, 5`.
#[test]
fn every_numbered_item_of_the_vendor_sheets_is_named_by_a_test() {
    for (vendor, items) in [("Acumatica", 25), ("Brex", 26), ("Epicor", 25), ("Expensify", 27)] {
        let named =
            everything().iter().flat_map(|source| items_of(vendor, &source.text)).collect::<BTreeSet<_>>();
        let missing: Vec<u32> = (1..=items).filter(|item| !named.contains(item)).collect();
        assert!(missing.is_empty(), "no test names {vendor} {missing:?}");
    }
}

/// The items of one vendor that a file's doc comments name; `4-6` counts as 4, 5 and 6.
fn items_of(vendor: &str, text: &str) -> Vec<u32> {
    let mut items = Vec::new();
    for (_, line) in text.lines().filter_map(|line| line.split_once("/// Sheet item")) {
        let mut ours = false;
        for word in line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
            let (from, to) = word.split_once('-').unwrap_or((word, word));
            match (from.parse::<u32>(), to.parse::<u32>()) {
                (Ok(from), Ok(to)) if ours => items.extend(from..=to),
                (Ok(_), _) | (_, Ok(_)) => {}
                _ if word.is_empty() || word == "s" => {}
                _ => ours = word == vendor,
            }
        }
    }
    items
}

#[test]
fn these_rules_see_what_they_look_for() {
    assert_eq!(named("use crate::vendors::http::Gate;"), ["vendors::http"]);
    assert_eq!(named("use crate::{clock::Clock, flows};"), ["clock::Clock", "flows"]);
    assert_eq!(named("fn f(x: crate::store::Store, y: crate::cli::Out)"), ["store::Store", "cli::Out"]);
    assert!(mentions("use spend::money::Money;", "spend::") && !mentions("use my_spend::x", "spend::"));
    let text = "//! x\nlet a = 1;\n// crate::cli\n#[cfg(test)]\nmod tests {\n use crate::cli; }".to_owned();
    let source = Source { path: "agent/src/a.rs".to_owned(), text };
    assert_eq!(source.code().collect::<Vec<_>>(), [(2, "let a = 1;")]);
}
