//! The `pairlight` program for tests that run it from outside its own package.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Builds the `pairlight` program once per test process and gives its path. Cargo's own message names the file, so
/// target directories, profiles and cross builds need no guessing. `PAIRLIGHT_BIN` names a finished program instead.
///
/// # Panics
/// When it cannot be built; cargo's words are on standard error.
#[must_use]
pub fn pairlight_binary() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| std::env::var_os("PAIRLIGHT_BIN").map_or_else(build, PathBuf::from)).clone()
}

fn build() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["build", "--quiet", "--package", "pairlight-cli", "--bin", "pairlight", "--message-format", "json"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.stderr(Stdio::inherit()).output().expect("cargo can be started");
    assert!(output.status.success(), "pairlight-cli does not build");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "pairlight")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .expect("cargo names the program that it built")
}
