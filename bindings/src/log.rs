//! One log for the app: lines of this library, at a level that can change while it runs. No line holds a key, a code, a
//! digit or a content; tests/tests/log_redaction.rs and the test beside this crate hold all levels to that.

use std::fmt::Write;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::contain::contain;
use crate::error::PairlightError;

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, uniffi::Enum)]
pub enum LogLevel {
    /// A defect.
    Error,
    /// Something to know, such as a relay out of reach for long.
    Warn,
    /// Few lines about what goes as it should.
    Info,
    /// For whoever looks for a fault.
    Debug,
    /// Everything.
    Trace,
}

/// Where lines go: Logcat, os_log, a file. Called on threads of this library, one line at a time or several at once; it
/// must not block and must not call this library.
#[uniffi::export(with_foreign)]
pub trait LogSink: Send + Sync {
    /// One line. `place` is the part of the library that speaks.
    /// What it throws is lost: a log that fails must not end what it tells of.
    fn line(&self, level: LogLevel, place: String, text: String) -> Result<(), PairlightError>;
}

static LEVEL: AtomicU8 = AtomicU8::new(0);
static BEGUN: OnceLock<()> = OnceLock::new();

/// Sends lines of `level` and graver ones to `sink`. Once in the life of the process; a second call is refused.
#[uniffi::export]
pub fn start_logging(level: LogLevel, sink: Arc<dyn LogSink>) -> Result<(), PairlightError> {
    contain("start_logging", || {
        let twice = || PairlightError::misuse("the log is already on; change its level instead");
        BEGUN.set(()).map_err(|()| twice())?;
        LEVEL.store(level as u8, Ordering::Relaxed);
        tracing::subscriber::set_global_default(Lines(sink)).map_err(|_| twice())
    })
}

/// Changes how much is told, at once.
#[uniffi::export]
pub fn set_log_level(level: LogLevel) -> Result<(), PairlightError> {
    contain("set_log_level", || {
        LEVEL.store(level as u8, Ordering::Relaxed);
        Ok(())
    })
}

struct Lines(Arc<dyn LogSink>);

fn level_of(metadata: &Metadata<'_>) -> LogLevel {
    match *metadata.level() {
        tracing::Level::ERROR => LogLevel::Error,
        tracing::Level::WARN => LogLevel::Warn,
        tracing::Level::INFO => LogLevel::Info,
        tracing::Level::DEBUG => LogLevel::Debug,
        tracing::Level::TRACE => LogLevel::Trace,
    }
}

impl Subscriber for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        // Asked each time, because the level may change.
        match is_ours(metadata) {
            true => tracing::subscriber::Interest::sometimes(),
            false => tracing::subscriber::Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_ours(metadata) && level_of(metadata) as u8 <= LEVEL.load(Ordering::Relaxed)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let _ = self.0.line(level_of(event.metadata()), event.metadata().target().to_owned(), line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && metadata.target().starts_with("pairlight")
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let gap = if self.0.is_empty() { "" } else { " " };
        // Writing into a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{gap}{value:?}"),
            name => write!(self.0, "{gap}{name}={value:?}"),
        };
    }
}
