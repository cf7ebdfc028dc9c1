//! What every export comes down to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{Exit, Failure};

/// A conversation of an export.
#[derive(Debug, Default)]
pub(crate) struct Chat {
    /// Which program it is from.
    pub(crate) source: &'static str,
    /// What names it there, if it has a name that no other one has.
    pub(crate) key: Option<String>,
    /// What it is called.
    pub(crate) title: String,
    /// Where its files lie; none is taken from elsewhere.
    pub(crate) folder: PathBuf,
    /// How the text was encoded, if not in UTF-8.
    pub(crate) encoding: Option<&'static str>,
    /// Its messages, in the order of the export.
    pub(crate) messages: Vec<Said>,
    /// How much was left out, by why.
    pub(crate) skipped: BTreeMap<&'static str, u64>,
    /// What was taken in a way that may not be meant, by which.
    pub(crate) kept: BTreeMap<&'static str, u64>,
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
    /// Counts something that is taken, but may have been meant otherwise.
    pub(crate) fn keep(&mut self, what: &'static str) {
        *self.kept.entry(what).or_default() += 1;
    }

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

/// What lies where an export names a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A plain file, here.
    Here(PathBuf),
    /// Nothing.
    Missing,
    /// A file outside of the folder, to which a link leads: whoever made the export must not choose what is taken of this machine.
    Elsewhere,
    /// A folder, a device, a pipe.
    NoFile,
}

/// Looks where a name of an export leads, without opening anything.
pub(crate) fn place(folder: &Path, path: &Path) -> Place {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let (Ok(root), Ok(full)) = (folder.canonicalize(), path.canonicalize()) else { return Place::Missing };
    match std::fs::metadata(&full) {
        _ if !full.starts_with(&root) => Place::Elsewhere,
        Ok(about) if about.is_file() => Place::Here(full),
        _ => Place::NoFile,
    }
}

/// Reads a whole text file, and says how it is encoded if not in UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<(String, Option<&'static str>), Failure> {
    let cannot = |error: &dyn std::fmt::Display| {
        let what = format!("cannot read {}: {error}", path.display());
        Failure::new(Exit::Error, what, "check the file and its permissions")
    };
    // A pipe would be waited for.
    if !std::fs::metadata(path).map_err(|error| cannot(&error))?.is_file() {
        return Err(cannot(&"it is not a file"));
    }
    Ok(decode(std::fs::read(path).map_err(|error| cannot(&error))?))
}

/// Bytes as text. What is neither UTF-16 nor UTF-8 is taken as Windows-1252, in which every byte means something, unless most of
/// what is not ASCII is UTF-8: then it is that, damaged.
fn decode(bytes: Vec<u8>) -> (String, Option<&'static str>) {
    if let Some(encoding) = utf_16(&bytes) {
        let (text, _) = encoding.decode_with_bom_removal(&bytes);
        return (text.into_owned(), Some(encoding.name()));
    }
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return (text.trim_start_matches('\u{feff}').to_owned(), None),
        Err(error) => error.into_bytes(),
    };
    let (mut good, mut bad) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    match good > bad {
        true => (String::from_utf8_lossy(&bytes).into_owned(), Some("UTF-8, damaged")),
        false => (WINDOWS_1252.decode_without_bom_handling(&bytes).0.into_owned(), Some("Windows-1252")),
    }
}

/// Which UTF-16 it is: by its mark, or because every other byte of what begins it is zero.
fn utf_16(bytes: &[u8]) -> Option<&'static Encoding> {
    match bytes {
        [0xff, 0xfe, ..] => return Some(UTF_16LE),
        [0xfe, 0xff, ..] => return Some(UTF_16BE),
        _ => {}
    }
    let begin = bytes.get(..bytes.len().min(64)).unwrap_or_default();
    let zeros = |odd: usize| begin.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    match (zeros(0), zeros(1)) {
        (0, most) if most * 4 > begin.len() && most > 3 => Some(UTF_16LE),
        (most, 0) if most * 4 > begin.len() && most > 3 => Some(UTF_16BE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf_16_bytes(text: &str, little: bool) -> Vec<u8> {
        text.encode_utf16().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
    }

    #[test]
    fn texts_are_read_in_the_encodings_that_they_come_in() {
        let text = "12/03/2025, 21:15 - Zoë: schön 🎉";
        for (bytes, encoding) in [
            (text.as_bytes().to_vec(), None),
            (format!("\u{feff}{text}").into_bytes(), None),
            (utf_16_bytes(&format!("\u{feff}{text}"), true), Some("UTF-16LE")),
            (utf_16_bytes(&format!("\u{feff}{text}"), false), Some("UTF-16BE")),
            (utf_16_bytes(text, true), Some("UTF-16LE")),
            (utf_16_bytes(text, false), Some("UTF-16BE")),
        ] {
            assert_eq!(decode(bytes), (text.to_owned(), encoding));
        }
        assert_eq!(decode(b"Zo\xeb: sch\xf6n \x80".to_vec()), ("Zoë: schön €".to_owned(), Some("Windows-1252")));
        let (text, encoding) = decode([text.as_bytes(), b" \xf0\x9f"].concat());
        assert!(text.starts_with("12/03/2025, 21:15 - Zoë: schön 🎉 \u{fffd}"), "{text}");
        assert_eq!(encoding, Some("UTF-8, damaged"));
        assert_eq!(decode(Vec::new()), (String::new(), None));
    }

    #[cfg(unix)]
    #[test]
    fn what_a_name_leads_to_is_looked_at_and_not_opened() {
        let (outside, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |name: &str| folder.path().join(name);
        let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, at(name)).unwrap();
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        std::fs::write(at("a.jpg"), "a").unwrap();
        link(&outside.path().join("secret"), "b.jpg");
        link(outside.path(), "photos");
        link(Path::new("a.jpg"), "c.jpg");
        link(Path::new("nothing"), "d.jpg");
        link(Path::new("/dev/zero"), "e.jpg");
        assert!(std::process::Command::new("mkfifo").arg(at("f.jpg")).status().unwrap().success());
        let here = Place::Here(at("a.jpg").canonicalize().unwrap());
        for (name, found) in [
            ("a.jpg", here),
            ("b.jpg", Place::Elsewhere),
            ("photos/secret", Place::Elsewhere),
            ("../secret", Place::Missing),
            ("..", Place::Elsewhere),
            ("c.jpg", Place::Here(at("a.jpg").canonicalize().unwrap())),
            ("d.jpg", Place::Missing),
            ("e.jpg", Place::Elsewhere),
            ("f.jpg", Place::NoFile),
            (".", Place::NoFile),
        ] {
            assert_eq!(place(folder.path(), &at(name)), found, "{name}");
        }
        assert!(read_text(&at("f.jpg")).is_err());
    }
}
