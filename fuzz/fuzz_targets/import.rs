//! The readers of chat exports, which are part of the command: taken in here file by file, so that the fuzzer builds
//! nothing else of it. `scanner-cli/src/import/fuzzing.rs` says what they are given, and its test replays the corpus.
#![no_main]
#![allow(dead_code, reason = "the command uses more of these files")]

use std::path::{Path, PathBuf};

#[path = "../../scanner-cli/src/import/chat.rs"]
mod chat;
#[path = "../../scanner-cli/src/import/fuzzing.rs"]
mod fuzzing;
#[path = "../../scanner-cli/src/import/packed.rs"]
mod packed;
#[path = "../../scanner-cli/src/import/signal.rs"]
mod signal;
#[path = "../../scanner-cli/src/import/stamp.rs"]
mod stamp;
#[path = "../../scanner-cli/src/import/telegram.rs"]
mod telegram;
#[path = "../../scanner-cli/src/import/whatsapp.rs"]
mod whatsapp;

// What the readers expect beside them.

/// Order of the numbers of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DateOrder {
    Auto,
    Dmy,
    Mdy,
    Ymd,
}

/// Exit codes of the command.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Exit {
    Error,
    Usage,
    Interrupted,
}

/// Why an export is not read.
#[derive(Debug)]
pub(crate) struct Failure;

impl Failure {
    pub(crate) fn new(_exit: Exit, _what: impl Into<String>, _remedy: impl Into<String>) -> Self {
        Self
    }
}

/// Nobody interrupts.
#[derive(Default)]
pub(crate) struct Interrupt;

impl Interrupt {
    pub(crate) fn is_raised(&self) -> bool {
        false
    }
}

/// Nobody listens.
#[derive(Clone, Copy)]
pub(crate) struct Voice;

impl Voice {
    pub(crate) fn progress(self, _said: Option<std::fmt::Arguments<'_>>) {}
}

fn entries(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, Failure> {
    let mut found: Vec<_> =
        std::fs::read_dir(folder).map_err(|_| Failure)?.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(&wanted));
    found.sort();
    Ok(found)
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::import(data, Voice));
