//! The JSON export of Telegram Desktop: `result.json` with one chat, or with the list of all.

use std::path::Path;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::chat::{Chat, Said, instant, read_text};
use super::{Exit, Failure};

#[derive(Deserialize)]
struct Export {
    personal_information: Option<Person>,
    chats: Option<Chats>,
    #[serde(flatten)]
    chat: Option<ExportedChat>,
}

#[derive(Deserialize)]
struct Person {
    user_id: Option<u64>,
}

#[derive(Deserialize)]
struct Chats {
    list: Vec<ExportedChat>,
}

#[derive(Deserialize)]
struct ExportedChat {
    name: Option<String>,
    id: Option<i64>,
    #[serde(rename = "type")]
    kind: Option<String>,
    messages: Vec<ExportedMessage>,
}

#[derive(Deserialize)]
struct ExportedMessage {
    id: i64,
    #[serde(rename = "type")]
    kind: String,
    date: Option<String>,
    date_unixtime: Option<String>,
    edited_unixtime: Option<String>,
    from: Option<String>,
    from_id: Option<String>,
    #[serde(default)]
    text: ExportedText,
    photo: Option<String>,
    file: Option<String>,
    sticker_emoji: Option<String>,
    reply_to_message_id: Option<i64>,
    location_information: Option<Location>,
    contact_information: Option<Contact>,
    poll: Option<Poll>,
    #[serde(default)]
    reactions: Vec<ExportedReaction>,
}

/// A text is one string, or pieces of which some have a format.
#[derive(Deserialize)]
#[serde(untagged)]
enum ExportedText {
    Plain(String),
    Pieces(Vec<Piece>),
}

impl Default for ExportedText {
    fn default() -> Self {
        Self::Plain(String::new())
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Piece {
    Plain(String),
    Formatted { text: String },
}

#[derive(Deserialize)]
struct Location {
    latitude: f64,
    longitude: f64,
}

#[derive(Deserialize)]
struct Contact {
    first_name: Option<String>,
    last_name: Option<String>,
    phone_number: Option<String>,
}

#[derive(Deserialize)]
struct Poll {
    question: String,
    #[serde(default)]
    answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    text: String,
}

#[derive(Deserialize)]
struct ExportedReaction {
    emoji: Option<String>,
    #[serde(default)]
    recent: Vec<Reactor>,
}

#[derive(Deserialize)]
struct Reactor {
    from: Option<String>,
}

impl ExportedText {
    fn into_text(self) -> String {
        match self {
            Self::Plain(text) => text,
            Self::Pieces(pieces) => pieces
                .into_iter()
                .map(|piece| match piece {
                    Piece::Plain(text) | Piece::Formatted { text } => text,
                })
                .collect(),
        }
    }
}

/// Reads an export.
pub(crate) fn read(path: &Path, zone: &TimeZone) -> Result<Vec<Chat>, Failure> {
    parse(&read_text(path)?, path.parent().unwrap_or(Path::new(".")), zone)
}

pub(super) fn parse(text: &str, folder: &Path, zone: &TimeZone) -> Result<Vec<Chat>, Failure> {
    let export: Export = serde_json::from_str(text).map_err(|error| {
        let what = format!("this is not an export of Telegram Desktop: {error}");
        Failure::new(Exit::Error, what, "export the chat again as \"machine-readable JSON\"")
    })?;
    let own = export.personal_information.and_then(|person| person.user_id).map(|id| format!("user{id}"));
    let chats = match (export.chats, export.chat) {
        (Some(chats), _) => chats.list,
        (None, Some(chat)) => vec![chat],
        (None, None) => {
            return Err(Failure::new(Exit::Error, "there is no chat in this export", "give the result.json"));
        }
    };
    Ok(chats.into_iter().map(|chat| convert(chat, folder, own.as_deref(), zone)).collect())
}

fn seconds(text: &str) -> Option<u64> {
    text.parse::<u64>().ok()?.checked_mul(1000)
}

fn convert(exported: ExportedChat, folder: &Path, own: Option<&str>, zone: &TimeZone) -> Chat {
    let title = exported.name.unwrap_or_else(|| match exported.kind.as_deref() {
        Some("saved_messages") => "Saved messages".into(),
        _ => "Deleted account".into(),
    });
    let key = exported.id.map_or_else(|| title.clone(), |id| id.to_string());
    let mut chat = Chat { source: "telegram", key, title, ..Chat::default() };
    for message in exported.messages {
        if message.kind != "message" {
            chat.skip("notices of the app");
            continue;
        }
        let local = || instant(message.date.as_deref()?.parse::<DateTime>().ok()?, zone);
        let Some(at) = message.date_unixtime.as_deref().and_then(seconds).or_else(local) else {
            chat.skip("messages without a date");
            continue;
        };
        let mine = own.is_some() && message.from_id.as_deref() == own;
        let sender = if mine { "me".to_owned() } else { message.from.unwrap_or_else(|| "Deleted account".into()) };
        let mut text = message.text.into_text();
        let extra = [
            message.sticker_emoji,
            message.location_information.map(|at| format!("geo:{},{}", at.latitude, at.longitude)),
            message.contact_information.map(|contact| {
                let parts = [contact.first_name, contact.last_name, contact.phone_number];
                parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
            }),
            message.poll.map(|poll| {
                let answers: String = poll.answers.iter().map(|answer| format!("\n- {}", answer.text)).collect();
                format!("{}{answers}", poll.question)
            }),
        ];
        for extra in extra.into_iter().flatten() {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&extra);
        }
        let mut files = Vec::new();
        for file in [message.photo, message.file].into_iter().flatten() {
            // "(File not included. Change data exporting settings to download.)"
            let path = Path::new(&file);
            let inside = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
            if file.starts_with('(') || !inside {
                chat.skip("media that the export left out");
            } else {
                files.push(folder.join(path));
            }
        }
        if text.is_empty() && files.is_empty() {
            chat.skip("messages of a kind that is not known here");
            continue;
        }
        let mut reactions = Vec::new();
        for reaction in message.reactions {
            let Some(sign) = reaction.emoji else { continue };
            let names = reaction.recent.into_iter().filter_map(|reactor| reactor.from);
            reactions.extend(names.map(|who| (who, sign.clone())));
        }
        chat.messages.push(Said {
            at,
            sender,
            text,
            files,
            edited: message.edited_unixtime.as_deref().and_then(seconds),
            reactions,
            native: Some(message.id.to_string()),
            reply_to: message.reply_to_message_id.map(|id| id.to_string()),
        });
    }
    chat
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::told;

    const ONE: &str = r#"{"name": "Kim", "type": "personal_chat", "id": 4711, "messages": [
        {"id": 1, "type": "service", "date": "2025-03-12T21:15:00", "action": "phone_call", "text": ""},
        {"id": 2, "type": "message", "date": "2025-03-12T21:15:00", "date_unixtime": "1741814100", "from": "Kim",
         "from_id": "user2", "text": ["see ", {"type": "bold", "text": "this"}, "!"], "text_entities": [],
         "reactions": [{"type": "emoji", "count": 1, "emoji": "\u2764", "recent": [{"from": "Robin", "date": "x"}]}]},
        {"id": 3, "type": "message", "date": "2025-03-12T21:15:00", "from": null, "text": "",
         "photo": "photos/photo_1.jpg", "reply_to_message_id": 2, "edited_unixtime": "1741814200"},
        {"id": 4, "type": "message", "date_unixtime": "1741814100", "from": "Kim", "text": "",
         "file": "(File not included. Change data exporting settings to download.)"},
        {"id": 5, "type": "message", "date_unixtime": "1741814100", "from": "Kim", "text": "x", "file": "../../secret"},
        {"id": 6, "type": "message", "date_unixtime": "1741814100", "from": "Kim", "text": "",
         "location_information": {"latitude": 50.5, "longitude": 11.25}}]}"#;

    #[test]
    fn one_chat_is_read_with_formats_files_answers_and_reactions() {
        let chats = parse(ONE, Path::new("/nowhere"), &TimeZone::UTC).unwrap();
        let [chat] = chats.as_slice() else { panic!("{chats:?}") };
        assert_eq!((chat.title.as_str(), chat.key.as_str()), ("Kim", "4711"));
        assert_eq!(
            told(chat),
            [
                "1741814100000 Kim: see this!",
                "1741814100000 Deleted account: ",
                "1741814100000 Kim: x",
                "1741814100000 Kim: geo:50.5,11.25"
            ]
        );
        assert_eq!(chat.messages[0].reactions, [("Robin".to_owned(), "\u{2764}".to_owned())]);
        assert_eq!(chat.messages[1].files, [Path::new("/nowhere/photos/photo_1.jpg")]);
        assert_eq!(
            (chat.messages[1].edited, chat.messages[1].reply_to.as_deref()),
            (Some(1_741_814_200_000), Some("2"))
        );
        assert!(chat.messages[2].files.is_empty(), "a path that leads elsewhere is left out");
        let skipped: Vec<_> = chat.skipped.values().collect();
        assert_eq!(skipped, [&2, &1, &1].into_iter().collect::<Vec<_>>(), "{:?}", chat.skipped);
    }

    #[test]
    fn the_export_of_everything_knows_who_i_am() {
        let all = format!(
            r#"{{"personal_information": {{"user_id": 2}}, "chats": {{"about": "", "list": [{ONE}, {ONE}]}}}}"#
        );
        let chats = parse(&all, Path::new("/nowhere"), &TimeZone::UTC).unwrap();
        assert_eq!(chats.len(), 2);
        assert_eq!(chats[0].messages[0].sender, "me");
        assert!(parse("{}", Path::new("."), &TimeZone::UTC).is_err());
        assert!(parse("[1]", Path::new("."), &TimeZone::UTC).is_err());
    }
}
