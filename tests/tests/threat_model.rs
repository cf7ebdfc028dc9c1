//! What docs/threat-model.md names as its evidence exists, in the file that it names. Reads sources; needs none of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The tests of each file, by the file's path from the root of the repository.
type Tests = BTreeMap<String, BTreeSet<String>>;

fn sources(folder: &Path, into: &mut Tests) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !matches!(name.as_str(), "target" | "node_modules" | "out") {
            sources(&path, into);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).unwrap();
            let short = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            into.insert(short, tests_of(&text).map(str::to_owned).collect());
        }
    }
}

/// Every function that is a test.
fn tests_of(text: &str) -> impl Iterator<Item = &str> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let words = line.trim_start().trim_start_matches("async ").strip_prefix("fn ");
        let Some(name) = words.map(|rest| rest.split(['(', '<']).next().unwrap_or_default()) else { continue };
        let attributes = lines[..at].iter().rev().take_while(|line| line.trim_start().starts_with('#'));
        if attributes.into_iter().any(|line| line.contains("#[test]") || line.contains("#[tokio::test")) {
            found.push(name);
        }
    }
    found.into_iter()
}

fn all_tests() -> Tests {
    let mut tests = Tests::new();
    for package in ["wire", "core", "relay", "tests", "scanner-cli", "lens", "bindings"] {
        sources(&root().join(package), &mut tests);
    }
    for file in ["web/tests/tests.mjs", "web/tests/key.mjs"] {
        let page = fs::read_to_string(root().join(file)).unwrap();
        let of_the_page = page.lines().filter_map(|line| line.strip_prefix("  async ")?.split_once('('));
        tests.insert(file.to_owned(), of_the_page.map(|(name, _)| name.to_owned()).collect());
    }
    tests
}

/// Whether a file, or some file in a folder, has this test; without a name, any.
fn has(tests: &Tests, place: &str, name: Option<&str>) -> bool {
    let place = place.trim_end_matches('/');
    let here = |file: &str| file.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    tests.iter().any(|(file, of)| here(file) && name.map_or(!of.is_empty(), |name| of.contains(name)))
}

/// The short names of files: each with the files and folders that stand beside it. What is named without a folder stands
/// in the first, or beside it when that is a file.
fn short_names(text: &str) -> BTreeMap<&str, Vec<String>> {
    let mut names = BTreeMap::new();
    let rows = text.lines().skip_while(|line| !line.starts_with("| short | file |")).skip(2);
    for row in rows.take_while(|line| line.starts_with('|')) {
        let (short, files) = row.trim_matches('|').split_once(" | ").unwrap();
        let mut places: Vec<String> = Vec::new();
        for file in quoted(files) {
            let folder = places.first().map(|first| match first.rsplit_once('/') {
                Some((folder, last)) if last.contains('.') => folder,
                _ => first.trim_end_matches('/'),
            });
            places.push(match folder {
                Some(folder) if !file.contains('/') => format!("{folder}/{file}"),
                _ => file.to_owned(),
            });
        }
        for short in short.split(',') {
            names.insert(short.trim(), places.clone());
        }
    }
    names
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn is_test_name(word: &str) -> bool {
    word.matches('_').count() >= 2 && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// The tests that a cell names, each with the places where it may stand: those of the short name before it, or the file
/// that follows it after "in". What is named next stands there too.
fn named_in<'a>(cell: &'a str, shorts: &BTreeMap<&str, Vec<String>>) -> Vec<(&'a str, Vec<String>)> {
    let pieces: Vec<&str> = cell.split('`').collect();
    let (mut named, mut places) = (Vec::new(), Vec::new());
    for (at, piece) in pieces.iter().enumerate() {
        if at % 2 == 0 {
            let word = piece.trim_end().rsplit([' ', '|', '(']).next().unwrap_or_default();
            if let Some(of_short) = shorts.get(word) {
                places = of_short.clone();
            }
        } else if is_test_name(piece) {
            if pieces.get(at + 1) == Some(&" in ") {
                places = vec![pieces[at + 2].to_owned()];
            }
            named.push((*piece, places.clone()));
        }
    }
    named
}

/// What is wrong with the rows "claim | shown by" of a document.
fn faults_of(text: &str, tests: &Tests, is_file: impl Fn(&str) -> bool) -> (usize, usize, Vec<String>) {
    let shorts = short_names(text);
    let (mut rows, mut count, mut faults, mut in_table) = (0, 0, Vec::new(), false);
    for (short, places) in &shorts {
        let gone = places.iter().filter(|place| !is_file(place));
        faults.extend(gone.map(|place| format!("{short}: no file {place}")));
        if !places.iter().any(|place| has(tests, place, None)) {
            faults.push(format!("{short}: no tests in {places:?}"));
        }
    }
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        if !line.starts_with('|') {
            in_table = false;
        } else if cells.last() == Some(&"shown by") {
            in_table = true;
        } else if in_table && !line.starts_with("|---") {
            rows += 1;
            let (claim, shown_by) = (cells[0], *cells.last().unwrap());
            let named = named_in(shown_by, &shorts);
            let files: Vec<_> = quoted(shown_by).into_iter().filter(|word| word.contains('/')).collect();
            count += named.len();
            for (name, places) in &named {
                if places.is_empty() {
                    faults.push(format!("no file is named for {name}: {claim}"));
                } else if !places.iter().any(|place| has(tests, place, Some(name))) {
                    faults.push(format!("no test {name} in {places:?}: {claim}"));
                }
            }
            faults.extend(files.iter().filter(|file| !is_file(file)).map(|file| format!("no file {file}: {claim}")));
            let answered = !named.is_empty() || !files.is_empty() || shown_by.starts_with("nothing can:");
            if !answered || shown_by.contains("not shown yet") {
                faults.push(format!("nothing is named: {claim}"));
            }
        }
    }
    (rows, count, faults)
}

#[test]
fn every_claim_of_the_threat_model_names_a_test_that_exists_or_says_that_nothing_can_show_it() {
    let tests = all_tests();
    let text = document("threat-model.md");
    let (rows, named, faults) = faults_of(&text, &tests, |file| root().join(file).exists());
    let all: usize = tests.values().map(BTreeSet::len).sum();
    println!("{rows} claims, {named} tests named, {all} tests in the repository");
    assert!(rows > 60, "{rows}");
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn a_claim_without_a_test_or_with_one_that_is_gone_or_elsewhere_is_found() {
    let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let tests = Tests::from([
        ("core/src/lib.rs".to_owned(), of(&["a_test_that_is_there", "another_test_of_it"])),
        ("relay/tests/all.rs".to_owned(), of(&["a_test_of_relays"])),
        ("relay/src/lib.rs".to_owned(), of(&[])),
        ("relay/tests_of_old/all.rs".to_owned(), of(&["an_old_test"])),
    ]);
    let faults_with = |shorts: &str, row: &str| {
        let text = format!("| short | file |\n|---|---|\n{shorts}\n\n| claim | shown by |\n|---|---|\n{row}\n");
        let is_file = |file: &str| has(&tests, file, None) || tests.contains_key(file);
        faults_of(&text, &tests, is_file).2.len()
    };
    let faults =
        |row: &str| faults_with("| here | `core/src/lib.rs` |\n| relay, post | `relay/tests/` and so on |", row);
    assert_eq!(faults("| one | here `a_test_that_is_there`, `another_test_of_it`; relay `a_test_of_relays` |"), 0);
    assert_eq!(faults("| one | so it is: `a_test_that_is_there` in `core/src/lib.rs`, `another_test_of_it` |"), 0);
    assert_eq!(faults("| one | (not there); post `a_test_of_relays` |"), 0);
    assert_eq!(faults("| one | `core/src/lib.rs` |"), 0);
    assert_eq!(faults("| one | nothing can: a person decides |"), 0);
    assert_eq!(faults("| one | here `a_test_that_is_gone` |"), 1);
    assert_eq!(faults("| one | here `a_test_of_relays` |"), 1, "it is elsewhere");
    assert_eq!(faults("| one | relay `a_test_of_relays`, `a_test_that_is_there` |"), 1);
    assert_eq!(faults("| one | relay `an_old_test` |"), 1, "a folder whose name only begins so");
    assert_eq!(faults("| one | `a_test_that_is_there` in `relay/tests/all.rs` |"), 1);
    assert_eq!(faults("| one | `a_test_that_is_there` |"), 1, "no file is named");
    assert_eq!(faults("| one | `core/src/gone.rs` |"), 1);
    assert_eq!(faults("| one | not shown yet (but here `a_test_that_is_there` comes near) |"), 1);
    assert_eq!(faults("| one | the code is right |"), 1);
    let good = "| one | here `a_test_that_is_there` |";
    assert_eq!(faults_with("| here | `core/src/lib.rs`, `gone.rs` |", good), 1, "beside it there is no such file");
    assert_eq!(faults_with("| here | `core/src/lib.rs` |\n| empty | `relay/src/lib.rs` |", good), 1, "no tests in it");
}
