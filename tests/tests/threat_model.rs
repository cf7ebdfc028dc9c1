//! What docs/threat-model.md names as its evidence exists. Reads sources; needs none of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn sources(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !matches!(name.as_str(), "target" | "node_modules" | "out") {
            sources(&path, into);
        } else if name.ends_with(".rs") {
            into.push(fs::read_to_string(&path).unwrap());
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

fn all_tests() -> BTreeSet<String> {
    let mut texts = Vec::new();
    for package in ["wire", "core", "relay", "tests", "scanner-cli", "lens", "bindings"] {
        sources(&root().join(package), &mut texts);
    }
    let page = fs::read_to_string(root().join("web/tests/tests.mjs")).unwrap();
    let of_the_page = page.lines().filter_map(|line| line.strip_prefix("  async ")?.split_once('('));
    let of_the_page = of_the_page.map(|(name, _)| name.to_owned());
    texts.iter().flat_map(|text| tests_of(text)).map(str::to_owned).chain(of_the_page).collect()
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

/// What is wrong with the rows "claim | shown by" of a document.
fn faults_of(text: &str, tests: &BTreeSet<String>, is_file: impl Fn(&str) -> bool) -> (usize, usize, Vec<String>) {
    let (mut rows, mut named, mut faults, mut in_table) = (0, 0, Vec::new(), false);
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        if !line.starts_with('|') {
            in_table = false;
        } else if cells.last() == Some(&"shown by") {
            in_table = true;
        } else if in_table && !line.starts_with("|---") {
            rows += 1;
            let (claim, shown_by) = (cells[0], *cells.last().unwrap());
            let names: Vec<_> = quoted(shown_by).into_iter().filter(|word| is_test_name(word)).collect();
            let files: Vec<_> = quoted(shown_by).into_iter().filter(|word| word.contains('/')).collect();
            named += names.len();
            faults.extend(
                names.iter().filter(|name| !tests.contains(**name)).map(|name| format!("no test {name}: {claim}")),
            );
            faults.extend(files.iter().filter(|file| !is_file(file)).map(|file| format!("no file {file}: {claim}")));
            let answered = !names.is_empty() || !files.is_empty() || shown_by.starts_with("nothing can:");
            if !answered || shown_by.contains("not shown yet") {
                faults.push(format!("nothing is named: {claim}"));
            }
        }
    }
    (rows, named, faults)
}

#[test]
fn every_claim_of_the_threat_model_names_a_test_that_exists_or_says_that_nothing_can_show_it() {
    let tests = all_tests();
    let text = document("threat-model.md");
    let (rows, named, faults) = faults_of(&text, &tests, |file| root().join(file).exists());
    println!("{rows} claims, {named} tests named, {} tests in the repository", tests.len());
    assert!(rows > 60, "{rows}");
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn a_claim_without_a_test_or_with_one_that_is_gone_is_found() {
    let tests = BTreeSet::from(["a_test_that_is_there".to_owned()]);
    let table = |row: &str| format!("| claim | shown by |\n|---|---|\n{row}\n");
    let faults = |row: &str| faults_of(&table(row), &tests, |file| file == "core/src/lib.rs").2.len();
    assert_eq!(faults("| one | here `a_test_that_is_there` |"), 0);
    assert_eq!(faults("| one | `core/src/lib.rs` |"), 0);
    assert_eq!(faults("| one | nothing can: a person decides |"), 0);
    assert_eq!(faults("| one | here `a_test_that_is_gone` |"), 1);
    assert_eq!(faults("| one | `core/src/gone.rs` |"), 1);
    assert_eq!(faults("| one | not shown yet (but `a_test_that_is_there` comes near) |"), 1);
    assert_eq!(faults("| one | the code is right |"), 1);
}
