//! What every export comes down to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{Exit, Failure};

/// A conversation of an export.
#[derive(Debug, Default)]
pub(crate) struct Chat {
    /// Which program it is from.
    pub(crate) source: &'static str,
    /// What names it there.
    pub(crate) key: String,
    /// What it is called.
    pub(crate) title: String,
    /// Its messages, in the order of the export.
    pub(crate) messages: Vec<Said>,
    /// How much was left out, by why.
    pub(crate) skipped: BTreeMap<&'static str, u64>,
}

/// A message of an export.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// When, ms since 1970.
    pub(crate) at: u64,
    /// Who.
    pub(crate) sender: String,
    /// What.
    pub(crate) text: String,
    /// Files that came with it; they may be missing.
    pub(crate) files: Vec<PathBuf>,
    /// When it was edited, ms since 1970.
    pub(crate) edited: Option<u64>,
    /// Who felt what.
    pub(crate) reactions: Vec<(String, String)>,
    /// Its id in the export.
    pub(crate) native: Option<String>,
    /// The id of the message that it answers.
    pub(crate) reply_to: Option<String>,
}

impl Chat {
    /// Counts something that is left out.
    pub(crate) fn skip(&mut self, why: &'static str) {
        *self.skipped.entry(why).or_default() += 1;
    }
}

/// A local date and time as ms since 1970; one in the hour that is skipped in spring is taken as an hour later, one in the hour
/// that comes twice in autumn as the first.
pub(crate) fn instant(local: DateTime, zone: &TimeZone) -> Option<u64> {
    let zoned = local.to_zoned_datetime(zone.clone()).ok()?;
    u64::try_from(zoned.timestamp().as_millisecond()).ok()
}

/// Reads a whole text file. What is no UTF-8 in it becomes replacement characters.
pub(crate) fn read_text(path: &std::path::Path) -> Result<String, Failure> {
    let bytes = std::fs::read(path).map_err(|error| {
        Failure::new(
            Exit::Error,
            format!("cannot read {}: {error}", path.display()),
            "check the file and its permissions",
        )
    })?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}
