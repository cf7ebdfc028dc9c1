//! The JSON export of Telegram Desktop: `result.json` with one chat, or with the list of all.

use std::path::Path;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value;

use super::chat::{Chat, Said, instant, read_text};
use super::{Exit, Failure};

const UNKNOWN: &str = "entries that are not as Telegram writes them";

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
    list: Vec<Value>,
}

#[derive(Deserialize)]
struct ExportedChat {
    name: Option<String>,
    id: Option<i64>,
    #[serde(rename = "type")]
    kind: Option<String>,
    messages: Vec<Value>,
}

#[derive(Deserialize)]
struct ExportedMessage {
    id: i64,
    #[serde(rename = "type")]
    kind: String,
    action: Option<String>,
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
    let (text, encoding) = read_text(path)?;
    let mut chats = parse(&text, path.parent().unwrap_or(Path::new(".")), zone)?;
    for chat in &mut chats {
        chat.encoding = encoding;
    }
    Ok(chats)
}

pub(super) fn parse(text: &str, folder: &Path, zone: &TimeZone) -> Result<Vec<Chat>, Failure> {
    let export: Export = serde_json::from_str(text).map_err(|error| {
        let what = format!("this is not an export of Telegram Desktop: {error}");
        Failure::new(Exit::Error, what, "export the chat again as \"machine-readable JSON\"")
    })?;
    let own = export.personal_information.and_then(|person| person.user_id).map(|id| format!("user{id}"));
    let mut broken = 0;
    let chats = match (export.chats, export.chat) {
        (Some(chats), _) => {
            let count = chats.list.len();
            let chats: Vec<ExportedChat> =
                chats.list.into_iter().filter_map(|chat| serde_json::from_value(chat).ok()).collect();
            broken = count - chats.len();
            chats
        }
        (None, Some(chat)) => vec![chat],
        (None, None) => Vec::new(),
    };
    let mut chats: Vec<Chat> = chats.into_iter().map(|chat| convert(chat, folder, own.as_deref(), zone)).collect();
    match chats.first_mut() {
        None => return Err(Failure::new(Exit::Error, "there is no chat in this export", "give the result.json")),
        Some(chat) => (0..broken).for_each(|_| chat.skip(UNKNOWN)),
    }
    Ok(chats)
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
    let mut chat = Chat { source: "telegram", key: Some(key), title, folder: folder.to_owned(), ..Chat::default() };
    for message in exported.messages {
        let Ok(message) = serde_json::from_value::<ExportedMessage>(message) else {
            chat.skip(UNKNOWN);
            continue;
        };
        if message.kind != "message" {
            let is_call = message.action.as_deref().is_some_and(|action| action.ends_with("_call"));
            chat.skip(if is_call { "calls" } else { "notices of the app" });
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
        let (mut files, mut is_counted) = (Vec::new(), false);
        for file in [message.photo, message.file].into_iter().flatten() {
            // "(File not included. Change data exporting settings to download.)"
            let path = Path::new(&file);
            let inside = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
            if file.starts_with('(') || !inside {
                chat.skip("media that the export left out");
                is_counted = true;
            } else {
                files.push(folder.join(path));
            }
        }
        if text.is_empty() && files.is_empty() {
            if !is_counted {
                chat.skip("messages of a kind that is not known here");
            }
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
        assert_eq!((chat.title.as_str(), chat.key.as_deref()), ("Kim", Some("4711")));
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
        assert_eq!(chat.skipped, [("calls", 1), ("media that the export left out", 2)].into());
    }

    #[test]
    fn the_export_of_everything_knows_who_i_am() {
        let all = format!(
            r#"{{"personal_information": {{"user_id": 2}}, "chats": {{"about": "", "list": [{ONE}, {ONE}]}}}}"#
        );
        let chats = parse(&all, Path::new("/nowhere"), &TimeZone::UTC).unwrap();
        assert_eq!(chats.len(), 2);
        assert_eq!(chats[0].messages[0].sender, "me");
        let broken = ONE.replace("\"messages\": [", "\"messages\": [7, null, {\"id\": \"x\"}, ");
        let chats = parse(&broken, Path::new("/nowhere"), &TimeZone::UTC).unwrap();
        assert_eq!((chats[0].messages.len(), chats[0].skipped.get(UNKNOWN)), (4, Some(&3)));
        let broken = format!(r#"{{"chats": {{"list": [null, {ONE}]}}}}"#);
        let chats = parse(&broken, Path::new("/nowhere"), &TimeZone::UTC).unwrap();
        assert_eq!((chats.len(), chats[0].skipped.get(UNKNOWN)), (1, Some(&1)));
        assert!(parse("{}", Path::new("."), &TimeZone::UTC).is_err());
        assert!(parse("[1]", Path::new("."), &TimeZone::UTC).is_err());
    }
}
