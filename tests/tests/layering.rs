//! The shape of the house, read from its own source: which floor may name which, where a dependency may be named, how
//! long a file may grow. Each rule is a function over text, and each is shown to bite on a planted violation below.

use std::fs;
use std::path::{Path, PathBuf};

/// The floors of `core/src`, in the order in which a frame travels; the first two are the ground.
/// A floor may name those before it and itself.
const FLOORS: [&str; 12] =
    ["time", "crypto", "frame", "scan", "payload", "trust", "devices", "session", "pairing", "store", "sync", "net"];

/// What only some files of `core/src` may name: a crate (`name::`, where a path begins) or an item. A place that ends
/// in `/` is a whole folder.
const HOMES: &[(&[&str], &[&str])] = &[
    // One file per primitive, so that replacing one, or reviewing its use, is reading one file.
    (&["aes_gcm::"], &["crypto/aead.rs"]),
    (&["aes::"], &["crypto/block.rs"]),
    (&["p256::"], &["crypto/es256.rs"]),
    (&["coset::"], &["trust/passkey/key.rs"]),
    (&["base64::"], &["trust/passkey/mod.rs"]),
    (&["ed25519_dalek::"], &["crypto/sign.rs"]),
    (&["bip39::"], &["devices/recovery.rs"]),
    (&["hpke::"], &["crypto/hpke.rs"]),
    (&["vodozemac::"], &["crypto/olm.rs"]),
    (&["hkdf::", "hmac::", "sha2::"], &["crypto/kdf.rs"]),
    (&["zstd::", "ruzstd::"], &["store/compression.rs"]),
    (&["argon2::"], &["store/passphrase.rs"]),
    (&["rqrr::"], &["scan/decode.rs"]),
    (&["qrcodegen::"], &["pairing/code.rs"]),
    // Everything but the store and the network is free of input and output.
    (&["rusqlite::"], &["store/database.rs", "store/migration.rs", "store/sql.rs"]),
    (&["std::fs", "fs::"], &["store/key_file.rs", "store/place.rs"]),
    (&["tokio::", "tokio_tungstenite::", "reqwest::", "rustls::", "futures_util::"], &["net/"]),
    (&["TcpStream"], &["net/host/native.rs"]),
    (&["UdpSocket"], &["net/lan.rs"]),
    (&["TcpListener", "UnixStream", "std::process", "std::env"], &[]),
    // Time and randomness are arguments; the topmost floor fetches them.
    (&["SysRng", "getrandom::"], &["net/clock.rs"]),
    (&["SystemTime", "Instant::now"], &["net/host/native.rs"]),
    (&["thread_rng", "OsRng"], &[]),
];

/// Longer than this a file is several.
const MOST_LINES: usize = 600;
/// Files that may be longer, each with its reason. One that no longer is must leave this list.
const LONGER: &[(&str, &str)] = &[];

/// What may stand nowhere in the code, in two halves so that this file may hold them.
const UNFINISHED: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!("), concat!("unimple", "mented!(")];
/// Folders of one person's or one machine's disk.
const SOMEBODYS_DISK: [&str; 4] =
    [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The files under `folder` (relative to the root) that `wanted` accepts, as path from the root and text.
fn files(folder: &str, wanted: fn(&Path) -> bool) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if ["target", "node_modules", "demo-out", ".git"].contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if wanted(&path) {
                let from_root = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
                found.push((from_root, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "rs")
}

fn is_code(path: &Path) -> bool {
    path.extension()
        .is_none_or(|e| ["rs", "toml", "sh", "c", "h", "kt", "swift", "ts", "js", "py"].iter().any(|c| e == *c))
        && !path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("LICENSE"))
        && fs::read(path).is_ok_and(|bytes| std::str::from_utf8(&bytes).is_ok())
}

/// Whether the whole file is compiled for tests alone.
fn is_test_file(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

/// The lines of a formatted file, `None` for those of items under `#[cfg(test)]`.
fn without_tests(source: &str) -> Vec<Option<&str>> {
    let mut test_item: Option<usize> = None;
    let lines = source.lines().map(|line| {
        let indent = line.len() - line.trim_start().len();
        let Some(outer) = test_item else {
            if line.trim_start().starts_with("#[cfg(test)]") {
                test_item = Some(indent);
                return None;
            }
            return Some(line);
        };
        // rustfmt puts the end of an item at the indent of its beginning.
        let ends = line.ends_with(';') || line.ends_with('}') || line.ends_with(',');
        if indent == outer && ends {
            test_item = None;
        }
        None
    });
    lines.collect()
}

/// The code that ships: no tests and no comment lines, but the same line numbers.
fn shipped(source: &str) -> String {
    let code = |line: Option<&str>| line.filter(|line| !line.trim_start().starts_with("//")).unwrap_or("").to_owned();
    without_tests(source).into_iter().map(code).collect::<Vec<_>>().join("\n")
}

/// The numbers of the lines where `name` stands as a whole word; a crate (`name::`) only where a path begins.
fn lines_naming(code: &str, name: &str) -> Vec<usize> {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    let hits = code.match_indices(name).filter(|&(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + name.len()..].chars().next();
        let inside_a_path = name.ends_with("::") && before == Some(':');
        let longer_word = before.is_some_and(in_word) || (!name.ends_with("::") && after.is_some_and(in_word));
        !inside_a_path && !longer_word
    });
    hits.map(|(at, _)| line_of(code, at)).collect()
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// What paths that begin with `start` (`crate::`) name first, with line numbers: `crate::{a::X, b}` names `a` and `b`.
fn names_after(start: &str, code: &str) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(start) {
        let rest = &code[at + start.len()..];
        let group = rest.strip_prefix('{');
        let (mut depth, mut word) = (0_i32, String::new());
        for c in group.unwrap_or(rest).chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            let ends = depth < 0 || !(group.is_some() || c.is_alphanumeric() || c == '_');
            if ends || (c == ',' && depth == 0) {
                names.push((line_of(code, at), first_word(&word)));
                word.clear();
            } else {
                word.push(c);
            }
            if ends {
                break;
            }
        }
    }
    names
}

fn first_word(path: &str) -> String {
    path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// What is wrong with the references of one file of `core/src` (`path` from there).
fn faults_of_layering(path: &str, source: &str) -> Vec<String> {
    let floor = path.split('/').next().unwrap().trim_end_matches(".rs");
    let Some(own) = FLOORS.iter().position(|f| *f == floor) else {
        return vec![format!("{path}: {floor} is a new floor; give it its place in FLOORS")];
    };
    let code = shipped(source);
    let from_root = names_after("crate::", &code);
    let mut faults = Vec::new();
    for (line, name) in from_root.iter().chain(&names_after("super::", &code)) {
        if FLOORS.iter().skip(own + 1).any(|later| later == name) {
            faults.push(format!("{path}:{line}: {floor} names {name}, a later floor"));
        }
    }
    // A short name of the crate's root would hide the floor that it comes from. Only the ground has one.
    for (line, name) in from_root.iter().filter(|(_, name)| name.starts_with(char::is_uppercase)) {
        if name != "Timestamp" {
            faults.push(format!("{path}:{line}: crate::{name} does not say which floor it comes from"));
        }
    }
    faults
}

/// What one file of `core/src` names that has its home elsewhere.
fn faults_of_homes(path: &str, source: &str) -> Vec<String> {
    let code = shipped(source);
    let mut faults = Vec::new();
    for (names, homes) in HOMES {
        if homes.iter().any(|home| path == *home || (home.ends_with('/') && path.starts_with(home))) {
            continue;
        }
        for name in *names {
            for line in lines_naming(&code, name) {
                faults.push(format!("{path}:{line}: {name} may be named only in {homes:?}"));
            }
        }
    }
    faults
}

fn faults_of_length(path: &str, source: &str, longer: &[(&str, &str)]) -> Option<String> {
    let lines = without_tests(source).iter().filter(|line| line.is_some()).count();
    let excused = longer.iter().any(|(file, _)| *file == path);
    match (lines > MOST_LINES, excused) {
        (true, false) => Some(format!("{path}: {lines} lines without tests; {MOST_LINES} is the most")),
        (false, true) => Some(format!("{path}: {lines} lines; it needs its place in LONGER no more")),
        _ => None,
    }
}

fn faults_of_finish(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let unfinished = UNFINISHED.iter().copied().filter(|word| line.contains(*word));
        let disk = SOMEBODYS_DISK.iter().copied().filter(|folder| {
            // Part of a longer path or of a URL it is nobody's disk.
            let starts = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-/})$".contains(c));
            line.match_indices(*folder).any(|(at, _)| starts(at))
        });
        faults.extend(unfinished.chain(disk).map(|what| format!("{path}:{}: {what}", number + 1)));
    }
    faults
}

/// Profiles of a manifest that do not say `panic = "unwind"`, and any that must be there and is not.
fn faults_of_profiles(manifest: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for wanted in ["release", "dev"] {
        if !manifest.contains(&format!("[profile.{wanted}]\n")) {
            faults.push(format!("there is no [profile.{wanted}]"));
        }
    }
    for section in manifest.split("\n[").filter(|s| s.starts_with("profile.") && s.contains(']')) {
        let (name, body) = section.split_once(']').unwrap();
        if name.matches('.').count() == 1 && !body.lines().any(|line| line == "panic = \"unwind\"") {
            faults.push(format!("[{name}] does not keep unwinding"));
        }
    }
    faults
}

fn members() -> Vec<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let list = manifest.split("members = [").nth(1).unwrap().split(']').next().unwrap();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn core_sources() -> Vec<(String, String)> {
    let sources = files("core/src", is_rust).into_iter().filter(|(path, _)| !is_test_file(path));
    sources.map(|(path, text)| (path.strip_prefix("core/src/").unwrap().to_owned(), text)).collect()
}

#[test]
fn no_floor_names_a_later_one() {
    let sources = core_sources();
    assert!(sources.len() > 30, "only {} files were read", sources.len());
    let inner = sources.iter().filter(|(path, _)| path != "lib.rs");
    assert_none(&inner.flat_map(|(path, text)| faults_of_layering(path, text)).collect::<Vec<_>>());
}

#[test]
fn each_dependency_is_named_only_at_home() {
    let sources = core_sources();
    assert_none(&sources.iter().flat_map(|(path, text)| faults_of_homes(path, text)).collect::<Vec<_>>());
    for home in HOMES.iter().flat_map(|(_, homes)| *homes).filter(|home| home.ends_with(".rs")) {
        assert!(sources.iter().any(|(path, _)| path == home), "{home} is gone; move its rule along");
    }
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let mut faults = Vec::new();
    for (file, _) in LONGER.iter().filter(|(file, _)| !root().join(file).is_file()) {
        faults.push(format!("{file} is gone; it needs its place in LONGER no more"));
    }
    for member in members().iter().filter(|member| *member != "tests") {
        let sources = files(&format!("{member}/src"), is_rust);
        let sources = sources.iter().filter(|(path, _)| !is_test_file(path));
        faults.extend(sources.filter_map(|(path, text)| faults_of_length(path, text, LONGER)));
    }
    assert_none(&faults);
}

#[test]
fn every_package_lives_under_the_workspace_lints() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("\nmissing_docs = \"deny\"\n") && manifest.contains("\nunsafe_code = \"deny\"\n"));
    assert!(members().len() >= 7, "{:?}", members());
    for member in members() {
        let own = fs::read_to_string(root().join(&member).join("Cargo.toml")).unwrap();
        assert!(own.contains("[lints]\nworkspace = true\n"), "{member} does not inherit the lints");
    }
    for strict in ["wire", "core"] {
        let tour = fs::read_to_string(root().join(strict).join("src/lib.rs")).unwrap();
        for lint in ["unwrap_used", "expect_used", "panic", "indexing_slicing", "arithmetic_side_effects"] {
            assert!(tour.contains(&format!("clippy::{lint}")), "{strict} does not deny clippy::{lint}");
        }
    }
}

#[test]
fn a_panic_unwinds_in_every_profile() {
    assert_none(&faults_of_profiles(&fs::read_to_string(root().join("Cargo.toml")).unwrap()));
}

#[test]
fn nothing_is_left_unfinished_and_no_path_belongs_to_one_machine() {
    let code = files("", is_code);
    assert!(code.iter().any(|(path, _)| path == "Makefile") && code.iter().any(|(path, _)| path == "wire/src/lib.rs"));
    assert_none(&code.iter().flat_map(|(path, text)| faults_of_finish(path, text)).collect::<Vec<_>>());
}

mod the_rules_bite {
    use super::*;

    #[test]
    fn on_a_later_floor_however_it_is_named() {
        for source in [
            "use crate::pairing::Offer;",
            "use crate::{crypto::Key, pairing::Offer};",
            "use crate::{\n    crypto::{self, Key},\n    pairing,\n};",
            "fn f(x: super::pairing::Offer) {}",
            "fn f(x: super::super::pairing::Offer) {}",
            "#[cfg(test)]\nmod tests;\nuse crate::pairing::Offer;",
            "#[cfg(test)]\nmod tests {\n    use crate::net::X;\n}\nuse crate::pairing::Offer;",
        ] {
            let faults = faults_of_layering("scan/mod.rs", source);
            assert_eq!(faults.len(), 1, "{source}: {faults:?}");
            assert!(faults[0].ends_with("scan names pairing, a later floor"), "{faults:?}");
        }
        for source in ["use crate::Offer;", "use crate::{Offer, Timestamp};"] {
            assert_eq!(faults_of_layering("scan/mod.rs", source).len(), 1, "{source}");
        }
        assert_eq!(faults_of_layering("cloud/mod.rs", "").len(), 1);
    }

    #[test]
    fn and_not_on_an_earlier_one_or_on_words_or_tests() {
        for source in [
            "use crate::crypto::Key;\nuse crate::Timestamp;\nuse super::decode;",
            "use crate::{crypto::{self, pairing}, frame};",
            "//! Then comes [`crate::pairing`].\n/// See crate::net.",
            "#[cfg(test)]\nmod tests {\n    use crate::net::X;\n}",
            "    #[cfg(test)]\n    fn f(x: crate::net::X) {\n        g();\n    }",
        ] {
            assert_eq!(faults_of_layering("scan/mod.rs", source), Vec::<String>::new(), "{source}");
        }
    }

    #[test]
    fn on_a_dependency_away_from_home() {
        for source in [
            "use tokio::time;",
            "let corner = rqrr::Point { x, y };",
            "use std::fs;",
            "use std::{fs::File, io};",
            "let now = std::time::SystemTime::now();",
            "let now = Instant::now();",
            "use hpke::{Kem, OpModeS};",
            "struct S(aes_gcm::Aes256Gcm);",
            "fn f(rng: getrandom::SysRng) {}",
        ] {
            assert!(!faults_of_homes("trust/policy.rs", source).is_empty(), "{source}");
        }
        assert_eq!(faults_of_homes("net/relay.rs", "use tokio::time;"), Vec::<String>::new());
        assert_eq!(faults_of_homes("crypto/hpke.rs", "use hpke::Kem;"), Vec::<String>::new());
        let innocent = "//! tokio::\nuse crate::crypto::hpke::Label;\nlet argon2 = my_tokio::SystemTimeless;";
        assert_eq!(faults_of_homes("pairing/code.rs", innocent), Vec::<String>::new());
    }

    #[test]
    fn on_a_long_file_and_on_an_excuse_that_is_not_needed() {
        let long = "x\n".repeat(MOST_LINES + 1);
        let tested = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(MOST_LINES), "    y\n".repeat(50));
        let longer = [("a.rs", "because")];
        assert!(faults_of_length("b.rs", &long, &longer).is_some());
        assert!(faults_of_length("a.rs", &long, &longer).is_none());
        assert!(faults_of_length("b.rs", &tested, &longer).is_none());
        assert!(faults_of_length("a.rs", &tested, &longer).is_some());
    }

    #[test]
    fn on_unfinished_code_and_on_somebodys_disk() {
        for (word, folder) in UNFINISHED.iter().zip(SOMEBODYS_DISK) {
            assert_eq!(faults_of_finish("a.rs", &format!("// {word} later)")).len(), 1, "{word}");
            assert_eq!(faults_of_finish("a.rs", &format!("open(\"{folder}x\")")).len(), 1, "{folder}");
            assert_eq!(faults_of_finish("a.rs", &format!("https://example.org{folder}x")).len(), 0, "{folder}");
        }
    }

    #[test]
    fn on_a_profile_that_aborts_or_says_nothing() {
        let good = "[workspace]\n\n[profile.release]\npanic = \"unwind\"\n\n[profile.dev]\npanic = \"unwind\"\n\
                    [profile.dev.package.rqrr]\nopt-level = 3\n";
        assert_eq!(faults_of_profiles(good), Vec::<String>::new());
        assert_eq!(faults_of_profiles(&good.replacen("unwind", "abort", 1)).len(), 1);
        assert_eq!(faults_of_profiles(&format!("{good}[profile.small]\nopt-level = \"z\"\n")).len(), 1);
        assert_eq!(faults_of_profiles("[workspace]\n").len(), 2);
    }
}
