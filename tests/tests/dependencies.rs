//! What is linked into what, read from the locked dependency tree of the system this runs on. "The relay cannot read
//! your data" and "the scanner cannot reach the network" are facts of the build.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Code that decrypts, or that looks at pictures.
const READS_CONTENT: [&str; 5] = ["hpke", "vodozemac", "rqrr", "aes-gcm", "pairlight-core"];
/// Code that opens sockets, or speaks what is spoken over them.
const REACHES_THE_NETWORK: [&str; 9] =
    ["tokio", "reqwest", "tokio-tungstenite", "tungstenite", "hyper", "socket2", "mio", "rustls", "ring"];
/// Two versions would be two places to mend, or two kinds of key that look alike.
const ONE_OF_EACH: [&str; 11] = [
    "aes",
    "aes-gcm",
    "argon2",
    "curve25519-dalek",
    "ed25519-dalek",
    "hkdf",
    "hpke",
    "p256",
    "rand_core",
    "sha2",
    "x25519-dalek",
];
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Crate names with their versions.
type Tree = BTreeMap<String, BTreeSet<String>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The lines of `cargo tree` with these arguments, without indents.
fn cargo_tree(arguments: &[&str]) -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = Command::new(cargo)
        .current_dir(root())
        .args(["tree", "--locked", "--prefix", "none", "--no-dedupe"])
        .args(arguments)
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "cargo tree {arguments:?}\n{}", String::from_utf8_lossy(&tree.stderr));
    String::from_utf8(tree.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// What is compiled for a package's library and programs, build scripts included.
fn tree_of(package: &str, features: &[&str]) -> Tree {
    let mut tree = Tree::new();
    for line in cargo_tree(&[&["-p", package, "-e", "normal,build"], features].concat()) {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            tree.entry(name.to_owned()).or_default().insert(version.to_owned());
        }
    }
    assert!(tree.contains_key(package) && tree.len() > 5, "this is no tree: {tree:?}");
    tree
}

fn found<'a>(tree: &Tree, names: &[&'a str]) -> Vec<&'a str> {
    names.iter().copied().filter(|name| tree.contains_key(*name)).collect()
}

const NONE: [&str; 0] = [];

#[test]
fn the_relay_links_nothing_that_could_read_what_it_carries() {
    let tree = tree_of("pairlight-relay", &[]);
    assert_eq!(found(&tree, &READS_CONTENT), NONE);
    // The names are spelled as the crates are: all of them are in the core's tree.
    assert_eq!(found(&tree_of("pairlight-core", &[]), &READS_CONTENT), READS_CONTENT);
}

#[test]
fn the_scan_floor_links_neither_network_nor_database() {
    let tree = tree_of("pairlight-core", &["--no-default-features", "--features", "scan"]);
    assert_eq!(found(&tree, &REACHES_THE_NETWORK), NONE);
    assert_eq!(found(&tree, &["rusqlite", "libsqlite3-sys"]), NONE);
    assert_eq!(found(&tree, &["rqrr"]), ["rqrr"]);
    assert_eq!(found(&tree_of("pairlight-core", &[]), &REACHES_THE_NETWORK), REACHES_THE_NETWORK);
}

#[test]
fn the_store_floor_links_no_network() {
    let tree = tree_of("pairlight-core", &["--no-default-features", "--features", "store"]);
    assert_eq!(found(&tree, &REACHES_THE_NETWORK), NONE);
    assert_eq!(found(&tree, &["rusqlite", "rqrr"]), ["rusqlite"]);
}

#[test]
fn the_bare_core_links_no_outside_world() {
    let tree = tree_of("pairlight-core", &["--no-default-features"]);
    assert_eq!(found(&tree, &REACHES_THE_NETWORK), NONE);
    assert_eq!(found(&tree, &["rqrr", "rusqlite", "argon2"]), NONE);
}

#[test]
fn there_is_one_version_of_each_cryptographic_crate() {
    let tree = tree_of("pairlight-core", &[]);
    assert_eq!(found(&tree, &ONE_OF_EACH), ONE_OF_EACH);
    let several: Vec<_> = tree.iter().filter(|(n, v)| ONE_OF_EACH.contains(&n.as_str()) && v.len() > 1).collect();
    assert!(several.is_empty(), "{several:?}");
    let rand_core = &tree["rand_core"];
    assert!(rand_core.iter().all(|version| version.starts_with("v0.10.")), "{rand_core:?}");
}

#[test]
fn every_dependency_comes_from_the_public_registry_with_a_checksum() {
    let mut sources = 0;
    for package in read("Cargo.lock").split("[[package]]").skip(1) {
        let name = package.lines().find(|line| line.starts_with("name = ")).unwrap();
        if let Some(source) = package.lines().find_map(|line| line.strip_prefix("source = ")) {
            assert_eq!(source.trim_matches('"'), CRATES_IO, "{name}");
            assert!(package.contains("\nchecksum = \""), "{name}");
            sources += 1;
        } else {
            assert!(name.starts_with("name = \"pairlight-"), "{name}");
        }
    }
    assert!(sources > 100, "only {sources} dependencies were read");
}

#[test]
fn every_licence_is_one_that_deny_toml_allows() {
    let rules = read("deny.toml");
    let allowed = rules.split("\nallow = [").nth(1).unwrap().split(']').next().unwrap();
    let allowed: Vec<&str> = allowed.split('"').skip(1).step_by(2).collect();
    assert!(allowed.contains(&"MIT") && !allowed.iter().any(|id| id.contains("GPL")), "{allowed:?}");

    let lines = cargo_tree(&["--workspace", "-e", "normal,build,dev", "--format", "{l}|{p}"]);
    let packages: BTreeSet<_> = lines.iter().filter(|line| line.contains('|')).collect();
    assert!(packages.len() > 100, "only {} packages were read", packages.len());
    let refused: Vec<_> = packages.iter().filter(|p| !is_allowed(p.split('|').next().unwrap(), &allowed)).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

/// Whether a licence expression (SPDX; also with the old `/` for "or") can be met by the `allowed` licences alone.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "_WITH_");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = any_of(&words, &mut at, allowed);
    met == Some(true) && at == words.len()
}

/// `a OR b OR ..`; nothing when this is no expression.
fn any_of(words: &[&str], at: &mut usize, allowed: &[&str]) -> Option<bool> {
    let mut met = all_of(words, at, allowed)?;
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all_of(words, at, allowed)?;
    }
    Some(met)
}

/// `a AND b AND ..`, where each may be an expression in brackets.
fn all_of(words: &[&str], at: &mut usize, allowed: &[&str]) -> Option<bool> {
    let mut met = true;
    loop {
        let word = *words.get(*at)?;
        *at += 1;
        if word == "(" {
            met &= any_of(words, at, allowed)?;
            *at += 1;
        } else {
            met &= allowed.contains(&word.replace("_WITH_", " WITH ").as_str());
        }
        if words.get(*at) != Some(&"AND") {
            return Some(met);
        }
        *at += 1;
    }
}

#[test]
fn licence_expressions_are_read_as_they_are_meant() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"];
    for good in ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "(MIT OR GPL-3.0) AND ISC", "Apache-2.0 WITH LLVM-exception"] {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "Apache-2.0", "MIT OR", "MIT MIT"] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}
