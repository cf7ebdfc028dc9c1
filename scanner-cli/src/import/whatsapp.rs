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

use jiff::tz::TimeZone;

use super::chat::{Chat, Said, read_text};
use super::stamp::{Form, Stamp, form_of, header, is_mark, order_of};
use super::{DateOrder, Exit, Failure};

/// Longest name of a sender; a colon further on belongs to a notice.
const NAME_CHARS: usize = 80;
/// Longest words about a call; a notice that speaks of calls is longer.
const CALL_CHARS: usize = 40;

/// Longest words about a file, with its name.
const HEAD_CHARS: usize = 300;

const NOTICES: &str = "notices of the app";
const LEFT_OUT: &str = "media that the export left out";
const DELETED: &str = "messages that were deleted";
const ODD_DATES: &str = "lines whose date does not fit the others of the export, as text of the message before";

/// How notices go on that have a colon further on: `You changed the group name: to X` is said by nobody.
const CHANGES: [&str; 24] = [
    "You changed ",
    "You created ",
    "You added ",
    "You removed ",
    "You turned ",
    "You're ",
    " changed the ",
    " changed this ",
    " changed their ",
    " created group",
    " turned on ",
    " turned off ",
    " hast den ",
    " hast die ",
    " hat den ",
    " hat die ",
    " a changé ",
    " avez changé ",
    " a modifié ",
    " avez modifié ",
    " cambió ",
    "Cambiaste ",
    " ha cambiato ",
    "Hai cambiato ",
];
/// Parts of words for a call.
const CALLS: [&str; 10] =
    ["call", "anruf", "appel", "llamada", "chiamata", "chamada", "звонок", "通話", "通话", "통화"];
/// Parts of words for what was left out.
const OMITTED: [&str; 10] =
    ["omitted", "weggelassen", "ausgeschlossen", "omis", "omitid", "omess", "oculto", "weggelaten", "опущен", "생략"];
/// Parts of words for what was deleted.
const GONE: [&str; 8] =
    ["was deleted", "you deleted", "gelöscht", "supprimé", "eliminaste", "se eliminó", "eliminato", "apagada"];

/// What the app wrote for a person, or about one.
enum Written {
    /// Of the person: a poll, a place, a call.
    Content,
    /// Of nobody, or nothing is left of it.
    Skipped(&'static str),
}

/// Tells what a text is that begins with a mark of direction: the app wrote it itself.
fn written(text: &str) -> Written {
    let low = text.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| low.contains(part));
    // Question and answers, each with a mark in front.
    let is_poll = text.lines().skip(1).filter(|line| line.starts_with(is_mark)).count() > 1;
    let is_place = ["https://maps.", "https://www.google.com/maps", "https://foursquare.com"]
        .iter()
        .any(|start| text.contains(start));
    let is_card = low.trim_end().ends_with(".vcf");
    let is_call = text.chars().count() <= CALL_CHARS && has(&CALLS) && !low.contains("encrypt");
    match () {
        () if is_poll || is_place || is_card => Written::Content,
        () if has(&OMITTED) => Written::Skipped(LEFT_OUT),
        () if has(&GONE) => Written::Skipped(DELETED),
        () if is_call => Written::Content,
        () => Written::Skipped(NOTICES),
    }
}

/// Splits off who said it; `None` for a notice.
fn sender(rest: &str) -> Option<(&str, &str)> {
    let first = rest.lines().next()?;
    let colon = first.match_indices(':').map(|(at, _)| at).find(|at| {
        let after = first.get(at + 1..).unwrap_or_default();
        after.is_empty() || after.starts_with(' ') || after.starts_with(is_mark)
    })?;
    let (name, text) = (rest.get(..colon)?, rest.get(colon + 1..)?);
    let name = name.trim_matches(|c: char| is_mark(c) || c == ' ' || c == '\u{a0}');
    let text = text.strip_prefix([' ', '\n']).unwrap_or(text);
    // `Kim changed the subject to "Trip: Rome"`
    let quotes = |quotes: &[char]| name.matches(quotes).count();
    let is_cut = quotes(&['"']) % 2 == 1 || quotes(&['“', '”', '„', '«', '»']) % 2 == 1;
    let is_change = CHANGES.iter().any(|change| match change.strip_prefix(' ') {
        Some(_) => name.contains(change),
        None => name.starts_with(change),
    });
    let is_name = !name.is_empty() && name.chars().count() <= NAME_CHARS && !is_cut && !is_change;
    is_name.then_some((name, text))
}

/// Takes out the files that a text names, `<attached: NAME>` on iPhones with text around it, `NAME (file attached)` on
/// Android, in any language; gives them and what is left of the text.
fn attached(text: &str, folder: &Path) -> (Vec<String>, String) {
    let (mut names, mut left, mut rest) = (Vec::new(), String::new(), text);
    let is_here = |name: &str| folder.join(name).is_file();
    while let Some((before, after)) = rest.split_once('<') {
        let (marked, sofar) = (before.ends_with(is_mark), left.trim().is_empty() && before.trim().is_empty());
        let end = after.char_indices().take(HEAD_CHARS).find(|(_, c)| matches!(c, '>' | '\n')).map(|(end, _)| end);
        let named = end.and_then(|end| after.split_at_checked(end)).and_then(|(head, behind)| {
            let behind = behind.strip_prefix('>')?;
            let (_, name) = head.split_once([':', '：'])?;
            let name = file_name(name.trim_matches(|c: char| is_mark(c) || c.is_whitespace()))?;
            let is_file = marked || name.contains('.') && (sofar || is_here(name));
            is_file.then_some((name, behind))
        });
        match named {
            Some((name, behind)) => {
                names.push(name.to_owned());
                left.push_str(before.trim_end_matches(is_mark));
                let unmarked = behind.trim_start_matches(is_mark);
                rest = if unmarked.starts_with('<') { behind } else { unmarked };
            }
            None => {
                left.push_str(before);
                left.push('<');
                rest = after;
            }
        }
    }
    if !names.is_empty() {
        left.push_str(rest);
        let left = left.trim_matches(|c: char| is_mark(c) || c.is_whitespace());
        return (names, left.to_owned());
    }
    let inner = text.trim_start_matches(is_mark);
    let first = inner.lines().next().unwrap_or_default();
    if let Some((name, words)) = first.rsplit_once(" (")
        && words.trim_end_matches(is_mark).ends_with(')')
        && (file_name(name) == Some(name) && is_here(name) || looks_like_media(name))
    {
        let left = inner.get(first.len()..).unwrap_or_default().trim_start();
        return (file_name(name).map(str::to_owned).into_iter().collect(), left.to_owned());
    }
    (Vec::new(), text.to_owned())
}

/// The last part of a name: an export lies in one folder.
fn file_name(name: &str) -> Option<&str> {
    Path::new(name).file_name()?.to_str()
}

/// `IMG-20250312-WA0001.jpg` and its kin, which may be missing from the folder.
fn looks_like_media(name: &str) -> bool {
    let mut parts = name.split('-');
    let kind = parts.next().is_some_and(|kind| matches!(kind, "IMG" | "VID" | "AUD" | "PTT" | "STK" | "DOC"));
    kind && name.contains("-WA") && name.contains('.')
}

/// `<This message was edited>` at the end of a text.
fn edited(text: &str) -> Option<&str> {
    let end = text.trim_end_matches(is_mark).strip_suffix('>')?;
    let (before, mark) = end.rsplit_once('<')?;
    let is_it = before.ends_with(is_mark) && !mark.contains([':', '\n']);
    let before = before.trim_end_matches(is_mark).trim_end();
    (is_it && !before.is_empty()).then_some(before)
}

/// The conversation that a file or a folder is named after: `WhatsApp Chat with Kim`, `WhatsApp-Chat mit Kim`,
/// `Chat de WhatsApp con Kim`, `WhatsApp Chat - Kim`.
fn title_of(name: &str) -> Option<&str> {
    let (_, rest) = name.split_once("WhatsApp")?;
    let rest = rest.strip_prefix(" Chat").or_else(|| rest.strip_prefix("-Chat")).unwrap_or(rest).trim_start();
    let (_, title) = rest.split_once(' ')?;
    Some(title.trim()).filter(|title| !title.is_empty())
}

/// Reads an export.
pub(crate) fn read(path: &Path, order: DateOrder, zone: &TimeZone) -> Result<Chat, Failure> {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let of_folder =
        || folder.canonicalize().ok().and_then(|full| Some(full.file_name()?.to_string_lossy().into_owned()));
    let name = (stem == "_chat").then(of_folder).flatten().unwrap_or(stem);
    let (text, encoding) = read_text(path)?;
    let mut chat = parse(&text, title_of(&name).unwrap_or(&name), folder, order, zone)?;
    chat.encoding = encoding;
    Ok(chat)
}

pub(super) fn parse(
    text: &str,
    title: &str,
    folder: &Path,
    order: DateOrder,
    zone: &TimeZone,
) -> Result<Chat, Failure> {
    let mut chat = Chat { source: "whatsapp", title: title.to_owned(), folder: folder.to_owned(), ..Chat::default() };
    let stamps: Vec<Stamp> = text.lines().filter_map(|line| Some(header(line)?.0)).collect();
    if stamps.is_empty() {
        let what = "there is no message in this file that looks like WhatsApp's";
        return Err(Failure::new(Exit::Error, what, "give the .txt file of \"Export chat\""));
    }
    let form = form_of(&stamps);
    let of_form = |stamp: &Stamp| form.is_none_or(|form: Form| stamp.form() == form);
    let order = match order {
        DateOrder::Auto => order_of(&stamps.into_iter().filter(of_form).collect::<Vec<_>>())?,
        order => order,
    };
    let mut found: Vec<(u64, String)> = Vec::new();
    for line in text.lines() {
        let began = header(line);
        let at = began.as_ref().filter(|(stamp, _)| of_form(stamp)).and_then(|(stamp, _)| stamp.at(order, zone));
        match (began, at, found.last_mut()) {
            (Some((_, rest)), Some(at), _) => found.push((at, rest.to_owned())),
            (began, _, Some((_, open))) => {
                if began.is_some() {
                    chat.keep(ODD_DATES);
                }
                open.push('\n');
                open.push_str(line);
            }
            (_, _, None) if line.trim().is_empty() => {}
            (_, _, None) => chat.skip("lines before the first message"),
        }
    }
    if found.is_empty() {
        let what = "no date of this export makes sense in this order";
        let remedy = "say which it is with --date-order dmy, --date-order mdy or --date-order ymd";
        return Err(Failure::new(Exit::Usage, what, remedy));
    }
    for (at, rest) in found {
        match sender(&rest) {
            Some((sender, text)) => said(&mut chat, at, sender, text),
            None => chat.skip(NOTICES),
        }
    }
    Ok(chat)
}

/// Takes what somebody said.
fn said(chat: &mut Chat, at: u64, sender: &str, text: &str) {
    let (names, text) = attached(text, &chat.folder);
    let (text, edited) = match edited(&text) {
        Some(before) => (before, Some(at)),
        None => (text.as_str(), None),
    };
    let files: Vec<_> = names.iter().map(|name| chat.folder.join(name)).collect();
    if files.is_empty() && text.starts_with(is_mark) {
        if let Written::Skipped(why) = written(text.trim_start_matches(is_mark)) {
            return chat.skip(why);
        }
    } else if files.is_empty() && text.starts_with('<') && text.ends_with('>') && !text.contains('\n') {
        // "<Media omitted>" of Android, in any language.
        return chat.skip(LEFT_OUT);
    }
    // The marks of the app itself are not part of what was said.
    let text = match text.starts_with(is_mark) {
        true => text.replace(is_mark, ""),
        false => text.to_owned(),
    };
    chat.messages.push(Said { at, sender: sender.to_owned(), text, files, edited, ..Said::default() });
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
    fn one_odd_date_among_many_is_text_of_the_message_before() {
        for odd in [
            "31/02/2024, 10:00 - Bank: your statement",
            "00/00/0000, 00:00 - Kim: x",
            "[2024-01-05, 10:00:00] Bot: log",
            "12/31/23, 10:00 - Robin: from another phone",
            "5.6.2024, 10:00 - Robin: from another phone",
        ] {
            let mut text = String::new();
            for day in 1..=100 {
                text += &format!("{:02}/{:02}/2024, 09:{:02} - Kim: {day}\n", day % 28 + 1, day / 28 + 1, day % 60);
                if day == 40 {
                    text += odd;
                    text += "\n";
                }
            }
            let chat = read_as(&text, DateOrder::Auto).unwrap();
            assert_eq!(chat.messages.len(), 100, "{odd}");
            assert_eq!(chat.messages[39].text, format!("40\n{odd}"));
            assert_eq!(chat.kept, [(ODD_DATES, 1)].into(), "{odd}");
            let chat = read_as(&text, DateOrder::Dmy).unwrap();
            assert_eq!(chat.messages.len(), 100, "asked for, {odd}");
        }
        let refused = read_as("31/02/2024, 10:00 - Kim: a\n00/00/0000, 10:00 - Kim: b", DateOrder::Auto).unwrap_err();
        for order in ["dmy", "mdy", "ymd"] {
            assert!(refused.remedy().contains(order), "{}", refused.remedy());
        }
        assert!(read_as("13/02/2024, 10:00 - Kim: a", DateOrder::Mdy).unwrap_err().remedy().contains("dmy"));
    }

    #[test]
    fn a_file_is_found_with_text_and_marks_around_it() {
        for (text, left) in [
            ("the view \u{200e}<attached: a.jpg>", "the view"),
            ("\u{200e}<attached: a.jpg> the view", "the view"),
            ("\u{200e}\u{202a}<attached: a.jpg>\u{202c}\nthe view", "the view"),
            ("the \u{200f}\u{200e}<attached: a.jpg>\u{200e} view", "the  view"),
            ("look:\nthe view \u{200e}<pièce jointe\u{a0}: a.jpg>", "look:\nthe view"),
            ("the view \u{200e}<附件：a.jpg>", "the view"),
            ("\u{200e}a.jpg • \u{200e}2 pages \u{200e}<attached: a.jpg>", "a.jpg • \u{200e}2 pages"),
            ("<attached: a.jpg>", ""),
        ] {
            let chat = read_as(&format!("[12.03.25, 21:15:00] Kim: {text}"), DateOrder::Auto).unwrap();
            assert_eq!(chat.messages[0].files, [Path::new("/nowhere/a.jpg")], "{text}");
            assert_eq!(chat.messages[0].text, left, "{text}");
        }
        let text = "[12.03.25, 21:15:00] Kim: both \u{200e}<attached: a.jpg> \u{200e}<This message was edited>\n\
                    [12.03.25, 21:15:00] Kim: in <html: x.y> and 1 < 2";
        let chat = read_as(text, DateOrder::Auto).unwrap();
        assert_eq!((chat.messages[0].text.as_str(), chat.messages[0].edited), ("both", Some(AT)));
        assert_eq!((chat.messages[1].text.as_str(), chat.messages[1].files.len()), ("in <html: x.y> and 1 < 2", 0));
    }

    #[test]
    fn what_a_person_did_is_told_from_what_the_app_says() {
        let ios = |text: &str| format!("[12.03.25, 21:15:00] Kim: \u{200e}{text}");
        let android = |text: &str| format!("12.03.25, 21:15 - {text}");
        for (line, said) in [
            (
                ios("POLL:\nWhere?\n\u{200e}OPTION: here (1 vote)\n\u{200e}OPTION: there (0 votes)"),
                "POLL:\nWhere?\nOPTION: here (1 vote)\nOPTION: there (0 votes)",
            ),
            (ios("Location: https://maps.google.com/?q=50.5,11.25"), "Location: https://maps.google.com/?q=50.5,11.25"),
            (ios("Robin Doe.vcf"), "Robin Doe.vcf"),
            (ios("Missed voice call, \u{200e}tap to call back"), "Missed voice call, tap to call back"),
            (ios("Verpasster Sprachanruf"), "Verpasster Sprachanruf"),
        ] {
            let chat = read_as(&line, DateOrder::Auto).unwrap();
            assert_eq!(told(&chat), [format!("{AT} Kim: {said}")], "{line}");
            assert!(chat.skipped.is_empty(), "{line}");
        }
        for (line, why) in [
            (ios("Your security code with Kim changed. Tap to learn more."), NOTICES),
            (ios("This message was deleted."), DELETED),
            (ios("Contact card omitted"), LEFT_OUT),
            (android("You changed the group name: to Trip"), NOTICES),
            (android("Kim changed the group description: hello"), NOTICES),
            (android("Kim created group \"Trip: Rome\""), NOTICES),
            (android("Kim hat den Betreff zu „Trip: Rom“ geändert"), NOTICES),
        ] {
            let chat = read_as(&line, DateOrder::Auto).unwrap();
            assert_eq!((chat.messages.len(), chat.skipped), (0, [(why, 1)].into()), "{line}");
        }
        for name in ["Kim", "Robin \"Bob\" Doe", "\u{202a}+49\u{a0}170 1234567\u{202c}", "Your Sister"] {
            let chat = read_as(&android(&format!("{name}: hi: you")), DateOrder::Auto).unwrap();
            assert_eq!(chat.messages[0].sender, name.trim_matches(is_mark));
            assert_eq!(chat.messages[0].text, "hi: you");
        }
    }

    #[test]
    fn a_chat_is_called_after_the_person_in_any_language() {
        for name in [
            "WhatsApp Chat with Kim Doe",
            "WhatsApp-Chat mit Kim Doe",
            "Chat de WhatsApp con Kim Doe",
            "Discussion WhatsApp avec Kim Doe",
            "WhatsApp Chat - Kim Doe",
        ] {
            assert_eq!(title_of(name), Some("Kim Doe"), "{name}");
        }
        assert_eq!(title_of("holiday"), None);
    }

    #[test]
    fn a_file_name_of_an_export_cannot_lead_elsewhere() {
        let chat = read_as("[12.03.25, 21:15:00] Kim: \u{200e}<attached: ../../etc/passwd>", DateOrder::Auto).unwrap();
        assert_eq!(chat.messages[0].files, [Path::new("/nowhere/passwd")]);
    }
}
