//! What is printed of conversations, messages and the history.

use std::io::Write;

use pairlight_core::sync::messages::{ConversationInfo, Entry, Message};
use pairlight_core::sync::{HistoryPhase, HistoryProgress, HistoryStanding};
use serde_json::json;

use super::Format;
use pairlight_wire::id::to_hex;

use crate::exit::{Exit, Failure};
use crate::style::{Voice, printable};

/// What a transfer is doing, in words.
pub(crate) fn progress_words(progress: &HistoryProgress) -> String {
    let phase = match progress.phase {
        HistoryPhase::FirstScreen => "first screen",
        HistoryPhase::Recent => "recent messages",
        HistoryPhase::Rest => "older messages",
        HistoryPhase::Complete => "complete",
    };
    let standing = match progress.standing {
        HistoryStanding::Waiting => "waiting".to_owned(),
        HistoryStanding::Running => phase.to_owned(),
        HistoryStanding::Held(u64::MAX) => "held back by the policy".to_owned(),
        HistoryStanding::Held(until) => format!("held back by the policy until {} UTC", clock(until)),
        HistoryStanding::Cancelled => "cancelled".to_owned(),
        HistoryStanding::Done => "complete".to_owned(),
    };
    format!("history: {standing}, {} of {} records, {} bytes", progress.records, progress.total, progress.bytes)
}

pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| Failure::from_stdout(&error))
}

pub(super) fn say_progress(progress: &HistoryProgress, format: Format) -> Result<(), Failure> {
    match format {
        Format::Text => line(&progress_words(progress)),
        Format::Ndjson => line(
            &json!({
                "schema": 1,
                "event": "history",
                "device": progress.device.to_hex(),
                "standing": match progress.standing {
                    HistoryStanding::Waiting => "waiting",
                    HistoryStanding::Running => "running",
                    HistoryStanding::Held(_) => "held",
                    HistoryStanding::Cancelled => "cancelled",
                    HistoryStanding::Done => "done",
                },
                // Null where nothing is held back, or no time is set.
                "held_until_ms": match progress.standing {
                    HistoryStanding::Held(until) if until != u64::MAX => Some(until),
                    _ => None,
                },
                "phase": format!("{:?}", progress.phase),
                "records": progress.records,
                "total": progress.total,
                "bytes": progress.bytes,
            })
            .to_string(),
        ),
    }
}

pub(super) fn print(message: &Entry<Message>, title: &str, format: Format) -> Result<(), Failure> {
    let (sender, text) = (message.value.sender.as_str(), message.value.text.as_str());
    match format {
        Format::Text => {
            let names = message.value.attachments.as_slice().iter().map(|file| printable(file.name.as_str()));
            let files: String = names.map(|name| format!(" [{name}]")).collect();
            let (title, sender, text) = (printable(title), printable(sender), printable(text));
            line(&format!("{}  {title}  {sender}: {text}{files}", clock(message.at)))
        }
        Format::Ndjson => line(
            &json!({
                "schema": 1,
                "event": "message",
                "id": to_hex(&message.id),
                "conversation": to_hex(&message.group),
                "title": title,
                "sent_ms": message.at,
                "sender": sender,
                "text": text,
                // Null for one that was never edited.
                "edited_ms": message.value.edited,
                "files": message.value.attachments.as_slice().iter().map(|file| json!({
                    "hash": to_hex(&file.hash),
                    "name": file.name.as_str(),
                    "media_type": file.media_type.as_str(),
                    "size": file.size,
                })).collect::<Vec<_>>(),
            })
            .to_string(),
        ),
    }
}

/// A message that is gone everywhere.
pub(super) fn print_deleted(id: &[u8], format: Format) -> Result<(), Failure> {
    match format {
        Format::Text => line(&format!("{:16}  a message was deleted", "")),
        Format::Ndjson => line(&json!({ "schema": 1, "event": "deleted", "id": to_hex(id) }).to_string()),
    }
}

/// This terminal was too slow for what came.
pub(super) fn say_missed(format: Format, voice: Voice) -> Result<(), Failure> {
    match format {
        Format::Text => voice.warn("too much came at once to be printed; `pairlight messages show` has all of it"),
        Format::Ndjson => line(&json!({ "schema": 1, "event": "missed" }).to_string())?,
    }
    Ok(())
}

/// Date and time in UTC.
pub(crate) fn clock(ms: u64) -> String {
    let at = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| "?".into(), |at| at.strftime("%Y-%m-%d %H:%M").to_string())
}

pub(super) fn list(all: &[ConversationInfo], format: Format) -> Result<Exit, Failure> {
    for talk in all {
        let latest = talk.latest.as_ref();
        let text = latest.map_or("", |latest| latest.value.text.as_str());
        match format {
            Format::Text => {
                let when = latest.map_or_else(|| " ".repeat(16), |latest| clock(latest.at));
                let text: String = text.chars().take(60).collect();
                let id = to_hex(&talk.id);
                line(&format!(
                    "{}  {when}  {:<24}  {}",
                    &id[..id.len().min(8)],
                    printable(&talk.title),
                    printable(&text)
                ))?;
            }
            Format::Ndjson => line(
                &json!({
                    "schema": 1,
                    "event": "conversation",
                    "id": to_hex(&talk.id),
                    "title": talk.title,
                    "latest_ms": latest.map(|latest| latest.at),
                    "latest": latest.map(|latest| latest.value.text.as_str()),
                    "read_up_to_ms": talk.read_up_to,
                })
                .to_string(),
            )?,
        }
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(clock(0), "1970-01-01 00:00");
        assert_eq!(clock(951_782_400_000), "2000-02-29 00:00");
        assert_eq!(clock(1_800_000_000_000), "2027-01-15 08:00");
    }
}
