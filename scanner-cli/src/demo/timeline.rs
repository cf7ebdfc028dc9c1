//! The story: who did what, when. Printed as it happens and kept for the file.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;

use crate::exit::Failure;
use crate::style::printable;

/// Who acts in the stories.
pub(crate) const PHONE: &str = "phone";
pub(crate) const LAPTOP: &str = "laptop";
pub(crate) const THIEF: &str = "thief";

/// One step.
#[derive(Debug, Clone, Serialize)]
struct Step {
    /// Milliseconds since the start.
    at_ms: f64,
    /// Milliseconds since the step before.
    after_ms: f64,
    actor: &'static str,
    what: String,
}

#[derive(Debug)]
struct Inner {
    start: Instant,
    last: Instant,
    steps: Vec<Step>,
}

/// Collects steps; cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct Timeline(Arc<Mutex<Inner>>);

impl Timeline {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(Inner { start: now, last: now, steps: Vec::new() })))
    }

    /// A heading.
    pub(crate) fn act(&self, title: &str) -> Result<(), Failure> {
        self.say(&format!("\n{title}"))
    }

    /// One step: printed with its time and kept.
    pub(crate) fn step(&self, actor: &'static str, what: impl Into<String>) -> Result<(), Failure> {
        let what = printable(&what.into());
        let now = Instant::now();
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at_ms = (now - inner.start).as_secs_f64() * 1000.0;
        let after_ms = (now - inner.last).as_secs_f64() * 1000.0;
        inner.last = now;
        inner.steps.push(Step { at_ms, after_ms, actor, what: what.clone() });
        drop(inner);
        self.say(&format!("{:>8.3} s {after_ms:>+8.0} ms  {actor:<7} {what}", at_ms / 1000.0))
    }

    /// A line without a time.
    pub(crate) fn say(&self, line: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| Failure::from_stdout(&error))
    }

    /// Writes `timeline.json` into `folder`.
    pub(crate) fn write(&self, folder: &Path) -> std::io::Result<()> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let file = std::fs::File::create(folder.join("timeline.json"))?;
        serde_json::to_writer_pretty(&file, &inner.steps)?;
        (&file).write_all(b"\n")
    }
}
