//! "The relay cannot read your data" as a fact of the build: it links no code that could.
#![allow(missing_docs, reason = "tests")]

use std::process::Command;

const FORBIDDEN: [&str; 5] = ["hpke", "vodozemac", "rqrr", "aes-gcm", "pairlight-core"];

#[test]
fn the_relay_links_no_decryption_no_scanner_and_not_the_core() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut tree = Command::new(cargo);
    tree.args(["tree", "-p", "pairlight-relay", "-e", "normal", "--prefix", "none", "--format", "{p}"]);
    tree.args(["--locked", "--target", "all"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = tree.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = String::from_utf8(output.stdout).unwrap();
    let names: Vec<_> = output.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"pairlight-wire") && names.contains(&"axum"), "the tree is not the one that was meant");
    for forbidden in FORBIDDEN {
        assert!(!names.contains(&forbidden), "the relay depends on {forbidden}");
    }
}
