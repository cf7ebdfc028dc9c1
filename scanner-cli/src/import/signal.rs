//! The JSON of the signal-export program: a folder for each chat, with `data.json` (one message a line) and its media.

use std::path::{Component, Path};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::chat::{Chat, Said, instant, read_text};
use super::{Exit, Failure};

#[derive(Deserialize)]
struct Line {
    date: String,
    sender: String,
    body: Option<String>,
    quote: Option<String>,
    sticker: Option<Sticker>,
    reactions: Option<Vec<(String, String)>>,
    attachments: Option<Vec<Attached>>,
    deleted: Option<bool>,
    call: Option<bool>,
}

#[derive(Deserialize)]
struct Sticker {
    emoji: Option<String>,
}

#[derive(Deserialize)]
struct Attached {
    path: String,
}

/// Reads the `data.json` of one chat.
pub(crate) fn read(path: &Path, zone: &TimeZone) -> Result<Chat, Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let full = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let title = full.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_else(|| "Signal".into());
    let (text, encoding) = read_text(path)?;
    let mut chat = parse(&text, &title, folder, zone)?;
    chat.encoding = encoding;
    Ok(chat)
}

pub(super) fn parse(text: &str, title: &str, folder: &Path, zone: &TimeZone) -> Result<Chat, Failure> {
    let mut chat = Chat { source: "signal", title: title.to_owned(), folder: folder.to_owned(), ..Chat::default() };
    let (mut understood, mut first_error) = (false, None);
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let said: Line = match serde_json::from_str(line) {
            Ok(said) => said,
            Err(error) => {
                chat.skip("lines that are no message of signal-export");
                first_error = first_error.or_else(|| Some((number + 1, error)));
                continue;
            }
        };
        understood = true;
        let is_call = said.call == Some(true);
        if said.deleted == Some(true) || is_call {
            chat.skip(if is_call { "calls" } else { "messages that were deleted" });
            continue;
        }
        let at = said.date.parse::<Timestamp>().ok().and_then(|at| u64::try_from(at.as_millisecond()).ok());
        let at = at.or_else(|| instant(said.date.parse::<DateTime>().ok()?, zone));
        let Some(at) = at else {
            chat.skip("messages whose date does not exist");
            continue;
        };
        let mut text = said.quote.unwrap_or_default();
        text.push_str(&said.body.unwrap_or_default());
        if let Some(emoji) = said.sticker.and_then(|sticker| sticker.emoji) {
            text.push_str(&emoji);
        }
        let mut files = Vec::new();
        let mut is_counted = false;
        for attached in said.attachments.unwrap_or_default() {
            let path = Path::new(&attached.path);
            if path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
                files.push(folder.join(path));
            } else {
                chat.skip("files whose name leads elsewhere");
                is_counted = true;
            }
        }
        if text.is_empty() && files.is_empty() {
            if !is_counted {
                chat.skip("messages of a kind that is not known here");
            }
            continue;
        }
        let reactions = said.reactions.unwrap_or_default();
        chat.messages.push(Said { at, sender: said.sender, text, files, reactions, ..Said::default() });
    }
    match first_error.filter(|_| !understood) {
        None => Ok(chat),
        Some((number, error)) => {
            let what = format!("line {number} is not a message of signal-export, and no other is: {error}");
            Err(Failure::new(Exit::Error, what, "export the chats again with the signal-export program"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::told;

    #[test]
    fn lines_are_messages_and_dates_may_have_a_zone() {
        let text = r#"{"date": "2025-03-12T21:15:00", "sender": "Me", "body": "hi", "quote": "", "sticker": null, "reactions": [["Kim", "x"]], "attachments": []}
{"date": "2025-03-12T22:15:00.250000+01:00", "sender": "Kim", "body": "", "quote": "", "sticker": {"id": "1", "packId": "p", "packKey": "k", "emoji": "y"}, "reactions": [], "attachments": [{"name": "a.png", "path": "media/a.png"}, {"name": "b", "path": "../b"}]}

{"date": "2025-03-12T22:15:00+01:00", "sender": "Kim", "body": "gone", "deleted": true}"#;
        let chat = parse(text, "Kim", Path::new("/nowhere"), &TimeZone::UTC).unwrap();
        assert_eq!(told(&chat), ["1741814100000 Me: hi", "1741814100250 Kim: y"]);
        assert_eq!(chat.messages[0].reactions, [("Kim".to_owned(), "x".to_owned())]);
        assert_eq!(chat.messages[1].files, [Path::new("/nowhere/media/a.png")]);
        assert_eq!(chat.skipped.len(), 2);
        let some = "{\"date\": \"2025\n[1]\n{\"date\": \"2025-03-12T21:15:00\", \"sender\": \"Kim\", \"body\": null}\n\
                    {\"date\": \"2025-03-12T21:15:00\", \"sender\": \"Kim\", \"body\": \"hi\", \"quote\": null, \"reactions\": null}";
        let chat = parse(some, "Kim", Path::new("/nowhere"), &TimeZone::UTC).unwrap();
        assert_eq!(told(&chat), ["1741814100000 Kim: hi"]);
        assert_eq!(chat.skipped.get("lines that are no message of signal-export"), Some(&2));
        assert_eq!(chat.skipped.get("messages of a kind that is not known here"), Some(&1));
        assert!(parse("[]", "Kim", Path::new("/nowhere"), &TimeZone::UTC).unwrap_err().what().contains("line 1"));
    }
}
