//! The text export of WhatsApp: `_chat.txt` of iPhones, `WhatsApp Chat with NAME.txt` of Android, with media files beside it.
//!
//! ```text
//! [12/03/2025, 21:15:03] Kim: text           iPhone; marks of direction in front of what the app wrote itself
//! 12/03/2025, 21:15 - Kim: text              Android
//! 3/12/25, 9:15 PM - Kim: text               the phone's language decides order, separators and clock
//! and this line goes on
//! 12/03/2025, 21:16 - Kim changed the subject     a notice of the app: no sender
//! ```

use std::path::Path;

use jiff::civil;
use jiff::tz::TimeZone;

use super::chat::{Chat, Said, instant, read_text};
use super::{DateOrder, Exit, Failure};

/// In front of what the app wrote itself.
const MARK: char = '\u{200e}';
/// Longest name of a sender; a colon further on belongs to a notice.
const NAME_CHARS: usize = 80;

const NOTICES: &str = "notices of the app";
const LEFT_OUT: &str = "media that the export left out";

/// Three numbers and a time of day, the order of the numbers not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    numbers: [u16; 3],
    separator: char,
    hour: i8,
    minute: i8,
    second: i8,
}

impl Stamp {
    /// Reads `12/03/2025, 21:15:03`, `3/12/25, 9:15 PM`, `2025-03-12 21:15`.
    fn parse(text: &str) -> Option<Self> {
        let text: String = text.chars().map(|c| if matches!(c, '\u{202f}' | '\u{a0}') { ' ' } else { c }).collect();
        let text = text.trim_matches(|c| matches!(c, MARK | '\u{200f}' | ' '));
        let end = text.find([',', ' '])?;
        let (date, time) = text.split_at_checked(end)?;
        let separator = date.chars().find(|c| !c.is_ascii_digit()).filter(|c| matches!(c, '/' | '.' | '-'))?;
        let mut numbers = date.trim_end_matches('.').split(separator).map(|number| number.parse::<u16>().ok());
        let numbers = [numbers.next()??, numbers.next()??, numbers.next()??];
        let time = time.trim_start_matches([',', ' ']);
        let (digits, half) = match time.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.') {
            Some(at) => time.split_at_checked(at)?,
            None => (time, ""),
        };
        let mut parts = digits.trim_end_matches('.').split([':', '.']).map(|part| part.parse::<i8>().ok());
        let (hour, minute) = (parts.next()??, parts.next()??);
        let second = parts.next().flatten().unwrap_or(0);
        let half: String = half.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
        let hour = match half.as_str() {
            "" => hour,
            "am" => hour % 12,
            "pm" => hour % 12 + 12,
            _ => return None,
        };
        let valid = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..61).contains(&second);
        valid.then_some(Self { numbers, separator, hour, minute, second: second.min(59) })
    }

    fn at(&self, order: DateOrder) -> Option<civil::DateTime> {
        let [a, b, c] = self.numbers;
        let (year, month, day) = match order {
            DateOrder::Dmy => (c, b, a),
            DateOrder::Mdy => (c, a, b),
            DateOrder::Ymd | DateOrder::Auto => (a, b, c),
        };
        let year = if year < 100 { year.checked_add(2000)? } else { year };
        let (year, month, day) = (i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
        civil::DateTime::new(year, month, day, self.hour, self.minute, self.second, 0).ok()
    }
}

/// A line that begins a message: its time, and what follows.
fn header(line: &str) -> Option<(Stamp, &str)> {
    let line = line.trim_start_matches([MARK, '\u{200f}', '\u{feff}']);
    if let Some(rest) = line.strip_prefix('[') {
        let (stamp, rest) = rest.split_once(']')?;
        return Some((Stamp::parse(stamp)?, rest.trim_start()));
    }
    let (stamp, rest) = line.split_once(" - ")?;
    Some((Stamp::parse(stamp)?, rest))
}

/// The order in which all dates make sense, and time runs forward.
fn order_of(stamps: &[Stamp]) -> Result<DateOrder, Failure> {
    let possible: Vec<DateOrder> = [DateOrder::Dmy, DateOrder::Mdy, DateOrder::Ymd]
        .into_iter()
        .filter(|order| {
            let year_first = *order == DateOrder::Ymd;
            stamps.iter().all(|stamp| (stamp.numbers[0] > 31) == year_first && stamp.at(*order).is_some())
        })
        .collect();
    let ambiguous = || {
        let what = "the dates of this export may be day/month/year or month/day/year";
        Failure::new(Exit::Usage, what, "say which with --date-order dmy or --date-order mdy")
    };
    match possible.as_slice() {
        [order] => Ok(*order),
        [] => Err(Failure::new(Exit::Error, "the dates of this export make no sense in any order", "check the file")),
        _ if stamps.iter().all(|stamp| stamp.separator == '.') => Ok(DateOrder::Dmy),
        orders => {
            // Messages stand in the order in which they were written.
            let backwards = |order: &DateOrder| {
                stamps.iter().zip(stamps.iter().skip(1)).filter(|(a, b)| a.at(*order) > b.at(*order)).count()
            };
            let mut ranked: Vec<_> = orders.iter().map(|order| (backwards(order), *order)).collect();
            ranked.sort_by_key(|(backwards, _)| *backwards);
            match ranked.as_slice() {
                [(best, order), (next, _), ..] if best < next => Ok(*order),
                _ => Err(ambiguous()),
            }
        }
    }
}

/// The file that a text names: `<attached: NAME>` on iPhones, `NAME (file attached)` on Android, in any language.
fn attached<'t>(text: &'t str, folder: &Path) -> Option<(&'t str, &'t str)> {
    let inner = text.trim_start_matches(MARK);
    if let Some((head, rest)) = inner.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        let (_, name) = head.split_once(": ")?;
        return Some((name, rest.trim_start()));
    }
    let first = inner.lines().next().unwrap_or_default();
    let (name, words) = first.rsplit_once(" (")?;
    let is_name = words.ends_with(')') && (folder.join(name).is_file() || looks_like_media(name));
    is_name.then(|| (name, inner.get(first.len()..).unwrap_or_default().trim_start()))
}

/// `IMG-20250312-WA0001.jpg` and its kin, which may be missing from the folder.
fn looks_like_media(name: &str) -> bool {
    let mut parts = name.split('-');
    let kind = parts.next().is_some_and(|kind| matches!(kind, "IMG" | "VID" | "AUD" | "PTT" | "STK" | "DOC"));
    kind && name.contains("-WA") && name.contains('.')
}

/// Reads an export.
pub(crate) fn read(path: &Path, order: DateOrder, zone: &TimeZone) -> Result<Chat, Failure> {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = path.parent().unwrap_or(Path::new("."));
    let named = stem.split_once(" with ").map(|(_, name)| name.to_owned());
    let of_folder =
        || folder.canonicalize().ok().and_then(|full| Some(full.file_name()?.to_string_lossy().into_owned()));
    let title = named.or_else(|| (stem == "_chat").then(of_folder).flatten()).unwrap_or(stem);
    let title = title.strip_prefix("WhatsApp Chat - ").unwrap_or(&title).to_owned();
    parse(&read_text(path)?, &title, folder, order, zone)
}

pub(super) fn parse(
    text: &str,
    title: &str,
    folder: &Path,
    order: DateOrder,
    zone: &TimeZone,
) -> Result<Chat, Failure> {
    let mut chat = Chat { source: "whatsapp", key: title.to_owned(), title: title.to_owned(), ..Chat::default() };
    let mut found: Vec<(Stamp, String)> = Vec::new();
    for line in text.lines() {
        match (header(line), found.last_mut()) {
            (Some((stamp, rest)), _) => found.push((stamp, rest.to_owned())),
            (None, Some((_, open))) => {
                open.push('\n');
                open.push_str(line);
            }
            (None, None) if line.trim().is_empty() => {}
            (None, None) => chat.skip("lines before the first message"),
        }
    }
    if found.is_empty() {
        let what = "there is no message in this file that looks like WhatsApp's";
        return Err(Failure::new(Exit::Error, what, "give the .txt file of \"Export chat\""));
    }
    let stamps: Vec<Stamp> = found.iter().map(|(stamp, _)| *stamp).collect();
    let order = if order == DateOrder::Auto { order_of(&stamps)? } else { order };
    for (stamp, rest) in found {
        let Some(at) = stamp.at(order).and_then(|local| instant(local, zone)) else {
            chat.skip("messages whose date does not exist");
            continue;
        };
        let sender = rest.split_once(": ").or_else(|| rest.strip_suffix(':').map(|sender| (sender, "")));
        let Some((sender, text)) = sender.filter(|(sender, _)| sender.chars().count() <= NAME_CHARS) else {
            chat.skip(NOTICES);
            continue;
        };
        let (text, edited) = match text.rsplit_once(MARK) {
            Some((before, mark)) if mark.starts_with('<') && mark.ends_with('>') && !before.is_empty() => {
                // "<This message was edited>", or a file behind its caption.
                if mark.contains(": ") { (text, None) } else { (before.trim_end(), Some(at)) }
            }
            _ => (text, None),
        };
        let mut said = Said { at, sender: sender.trim_start_matches(MARK).to_owned(), edited, ..Said::default() };
        if let Some((name, rest)) = attached(text, folder) {
            said.files.push(folder.join(Path::new(name).file_name().unwrap_or_default()));
            said.text = rest.to_owned();
        } else if text.starts_with(MARK) {
            chat.skip(if text.contains("omitted") { LEFT_OUT } else { NOTICES });
            continue;
        } else if text.starts_with('<') && text.ends_with('>') && !text.contains('\n') {
            // "<Media omitted>" of Android, in any language.
            chat.skip(LEFT_OUT);
            continue;
        } else {
            said.text = text.to_owned();
        }
        chat.messages.push(said);
    }
    Ok(chat)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::told;

    fn read_as(text: &str, order: DateOrder) -> Result<Chat, Failure> {
        parse(text, "Kim", Path::new("/nowhere"), order, &TimeZone::UTC)
    }

    /// 12 March 2025, 21:15:00 UTC.
    const AT: u64 = 1_741_814_100_000;

    #[test]
    fn the_ways_in_which_phones_write_dates_are_read() {
        for (text, at) in [
            ("[12/03/2025, 21:15:00] Kim: hi\n[13/03/2025, 9:00:00] Kim: x", AT),
            ("[12.03.25, 21:15:00] Kim: hi", AT),
            ("\u{200e}[12.03.25, 21:15:00] Kim: hi", AT),
            ("[2025-03-12, 9:15:00\u{202f}PM] Kim: hi", AT),
            ("12/03/2025, 21:15 - Kim: hi\n25/03/2025, 21:15 - Kim: x", AT),
            ("3/12/25, 9:15 PM - Kim: hi\n3/25/25, 9:15 AM - Kim: x", AT),
            ("3/12/25, 9:15\u{202f}PM - Kim: hi\n3/25/25, 12:15 AM - Kim: x", AT),
            ("12.03.25, 21:15 - Kim: hi", AT),
            ("12-03-2025 21:15 - Kim: hi\n31-03-2025 21:15 - Kim: x", AT),
            ("2025/03/12, 21:15 - Kim: hi", AT),
            ("12/3/25, 9:15 p.m. - Kim: hi\n30/3/25, 9:15 a.m. - Kim: x", AT),
            ("\u{feff}12/03/2025, 21.15 - Kim: hi\n25/03/2025, 21.15 - Kim: x", AT),
        ] {
            let chat = read_as(text, DateOrder::Auto).unwrap();
            assert_eq!(told(&chat)[0], format!("{at} Kim: hi"), "{text}");
        }
    }

    #[test]
    fn an_order_that_no_date_decides_is_found_by_the_course_of_time_or_asked_for() {
        let chat =
            read_as("3/4/25, 21:15 - Kim: a\n3/5/25, 21:15 - Kim: b\n4/1/25, 21:15 - Kim: c", DateOrder::Auto).unwrap();
        assert!(told(&chat)[0].starts_with("1741122900000 "), "4 March: {:?}", told(&chat));
        let failure = read_as("03/04/2025, 21:15 - Kim: a", DateOrder::Auto).unwrap_err();
        assert!(failure.remedy().contains("--date-order"));
        let chat = read_as("03/04/2025, 21:15 - Kim: a", DateOrder::Dmy).unwrap();
        assert!(told(&chat)[0].starts_with("1743714900000 "), "3 April: {:?}", told(&chat));
        assert!(read_as("32/13/2025, 21:15 - Kim: a", DateOrder::Auto).is_err());
        assert!(read_as("hello\nworld", DateOrder::Auto).is_err());
    }

    #[test]
    fn lines_go_on_notices_are_counted_and_files_are_named_in_any_language() {
        let text = "[12.03.25, 21:15:00] Friends: \u{200e}Messages and calls are end-to-end encrypted.\n\
                    [12.03.25, 21:15:00] Kim: one\ntwo: three\n\n[12.03.25, 21:15:00] Kim: \u{200e}<attached: 00000012-PHOTO.jpg>\n\
                    [12.03.25, 21:15:00] Kim: \u{200e}image omitted\n\
                    [12.03.25, 21:15:00] Kim: changed \u{200e}<This message was edited>\n\
                    [12.03.25, 21:15:00] Robin: IMG-20250312-WA0001.jpg (Datei angehängt)\nlook\n\
                    [12.03.25, 21:15:00] Robin: <Medien ausgeschlossen>\n\
                    [12.03.25, 21:15:00] Robin was added\n";
        let chat = read_as(text, DateOrder::Auto).unwrap();
        let said: Vec<_> = chat.messages.iter().map(|said| (said.sender.as_str(), said.text.as_str())).collect();
        assert_eq!(said, [("Kim", "one\ntwo: three\n"), ("Kim", ""), ("Kim", "changed"), ("Robin", "look")]);
        assert_eq!(chat.messages[1].files, [Path::new("/nowhere/00000012-PHOTO.jpg")]);
        assert_eq!(chat.messages[2].edited, Some(AT));
        assert_eq!(chat.messages[3].files, [Path::new("/nowhere/IMG-20250312-WA0001.jpg")]);
        assert_eq!(chat.skipped.get(NOTICES), Some(&2));
        assert_eq!(chat.skipped.get(LEFT_OUT), Some(&2));
    }

    #[test]
    fn a_file_name_of_an_export_cannot_lead_elsewhere() {
        let chat = read_as("[12.03.25, 21:15:00] Kim: \u{200e}<attached: ../../etc/passwd>", DateOrder::Auto).unwrap();
        assert_eq!(chat.messages[0].files, [Path::new("/nowhere/passwd")]);
    }
}
