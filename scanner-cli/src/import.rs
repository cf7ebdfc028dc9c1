//! `pairlight import`: chat exports as people have them become conversations of this device.

mod chat;
#[cfg(test)]
mod fuzzing;
mod packed;
mod signal;
mod telegram;
mod whatsapp;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;
use pairlight_core::net::SharedStore;
use pairlight_core::sync::messages::{self, MESSAGE, Message};
use pairlight_core::sync::{Change, Replica};
use pairlight_wire::hash::sha256_16;
use serde_json::json;

use self::chat::{Chat, Said};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::link::block_on;
use crate::messages::files::{describe, message_of, take};
use crate::messages::{line, permitted, who, write_offline};
use crate::profile::ProfileArgs;
use crate::style::Voice;

const EXAMPLES: &str = "\
Examples:
  pairlight import \"WhatsApp Chat with Kim.txt\"       with the media files that lie beside it
  pairlight import \"WhatsApp Chat - Kim.zip\"         as the phone packs it
  pairlight import whatsapp-export/ --me Robin        a folder with _chat.txt; messages of Robin are mine
  pairlight import ~/Downloads/Telegram/result.json   of Telegram Desktop: one chat, or all of them
  pairlight import signal-chats/                      of signal-export: one folder for each chat";

/// Changes written at a time.
const BATCH: usize = 500;

/// Bring chat exports of WhatsApp, Telegram or Signal to this device, and so to all devices of the account
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    profile: ProfileArgs,
    /// The export: a file, its folder, or a zip archive of either
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Who of the senders you are
    #[arg(long, value_name = "NAME")]
    me: Option<String>,
    /// What the conversation is called; by default what the export says, or its file name
    #[arg(long, value_name = "NAME")]
    title: Option<String>,
    /// Order of day, month and year in a WhatsApp export; by default what its dates leave as possible
    #[arg(long, value_enum, default_value_t)]
    date_order: DateOrder,
    /// Time zone of the export, for example Europe/Berlin; by default that of this machine
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Only say what would be imported
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Order of the numbers of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum DateOrder {
    /// Found out from all dates of the file
    #[default]
    Auto,
    /// Day, month, year
    Dmy,
    /// Month, day, year
    Mdy,
    /// Year, month, day
    Ymd,
}

/// What was done, for the last line.
#[derive(Default)]
struct Count {
    conversations: u64,
    messages: u64,
    known: u64,
    files: u64,
    skipped: BTreeMap<&'static str, u64>,
}

pub(crate) fn run(args: &ImportArgs, voice: Voice) -> Result<Exit, Failure> {
    let zone = match &args.time_zone {
        None => TimeZone::system(),
        Some(name) => TimeZone::get(name).map_err(|error| {
            Failure::new(Exit::Usage, error.to_string(), "name it as in the time zone database, like Europe/Berlin")
        })?,
    };
    let interrupt = Interrupt::listen();
    let is_packed = args.path.is_file() && args.path.extension().is_some_and(|end| end.eq_ignore_ascii_case("zip"));
    let unpacked = if is_packed { Some(packed::unpack(&args.path, &interrupt, voice)?) } else { None };
    let path = unpacked.as_ref().map_or(args.path.as_path(), |unpacked| unpacked.path.as_path());
    let mut chats = read(path, args, &zone)?;
    if interrupt.is_raised() {
        return Err(Failure::new(Exit::Interrupted, "interrupted while reading", packed::AGAIN));
    }
    if let Some(title) = &args.title {
        let [chat] = chats.as_mut_slice() else {
            let what = format!("--title names one conversation, and this export has {}", chats.len());
            return Err(Failure::new(Exit::Usage, what, "import them one by one"));
        };
        chat.title.clone_from(title);
    }
    for said in chats.iter_mut().flat_map(|chat| &mut chat.messages) {
        if args.me.as_deref() == Some(said.sender.as_str()) {
            said.sender = "me".into();
        }
    }
    if args.dry_run {
        return dry(args, &chats);
    }
    let mut count = Count::default();
    let done = block_on(async {
        let store = args.profile.open_existing(args.profile.likely_role())?;
        permitted(&store).await?;
        let (_, replica) = who(&store).await?;
        let total: usize = chats.iter().map(|chat| chat.messages.len()).sum();
        for chat in &chats {
            import(chat, &store, replica, &mut count, total, &interrupt, voice).await?;
        }
        Ok(Exit::Done)
    });
    voice.progress(None);
    say(args, &count)?;
    done
}

/// Reads whatever export lies there.
fn read(path: &Path, args: &ImportArgs, zone: &TimeZone) -> Result<Vec<Chat>, Failure> {
    let unknown = |what: String| {
        let remedy = "give the _chat.txt of a WhatsApp export, the result.json of Telegram Desktop, or the folder of signal-export";
        Failure::new(Exit::Usage, what, remedy)
    };
    if path.is_dir() {
        let texts =
            entries(path, |name| name == "_chat.txt" || (name.starts_with("WhatsApp") && name.ends_with(".txt")))?;
        if let Some(text) = texts.first() {
            return Ok(vec![whatsapp::read(text, args.date_order, zone)?]);
        }
        if path.join("result.json").is_file() {
            return telegram::read(&path.join("result.json"), zone);
        }
        let mut chats: Vec<PathBuf> =
            entries(path, |_| true)?.into_iter().map(|entry| entry.join("data.json")).collect();
        chats.push(path.join("data.json"));
        let found: Result<Vec<_>, _> =
            chats.iter().filter(|file| file.is_file()).map(|file| signal::read(file, zone)).collect();
        let found = found?;
        return match found.is_empty() {
            true => Err(unknown(format!("there is no chat export in {}", path.display()))),
            false => Ok(found),
        };
    }
    match path.extension().and_then(|end| end.to_str()) {
        Some("txt") => Ok(vec![whatsapp::read(path, args.date_order, zone)?]),
        Some("json") if path.file_name().is_some_and(|name| name == "data.json") => Ok(vec![signal::read(path, zone)?]),
        Some("json") => telegram::read(path, zone),
        _ if !path.exists() => {
            Err(Failure::new(Exit::Error, format!("there is no {}", path.display()), "check the name"))
        }
        _ => Err(unknown(format!("{} is no chat export that is known here", path.display()))),
    }
}

/// What lies in a folder and has a name that is wanted, by name.
fn entries(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, Failure> {
    let cannot = |error: std::io::Error| {
        Failure::new(Exit::Error, format!("cannot read {}: {error}", folder.display()), "check its permissions")
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(&wanted) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// A name for what was imported once, so that a second time changes nothing.
fn id_of(parts: &[&[u8]]) -> [u8; 16] {
    let lengths: Vec<[u8; 8]> = parts.iter().map(|part| (part.len() as u64).to_be_bytes()).collect();
    let mut all: Vec<&[u8]> = vec![b"pairlight import"];
    for (part, length) in parts.iter().zip(&lengths) {
        all.extend([length.as_slice(), part]);
    }
    sha256_16(&all)
}

async fn import(
    chat: &Chat,
    store: &SharedStore,
    replica: Replica,
    count: &mut Count,
    total: usize,
    interrupt: &Interrupt,
    voice: Voice,
) -> Result<(), Failure> {
    let talk = id_of(&[chat.source.as_bytes(), chat.key.as_bytes()]);
    for (why, skipped) in &chat.skipped {
        *count.skipped.entry(why).or_default() += skipped;
    }
    let began = chat.messages.first().map_or(0, |said| said.at);
    let title = messages::put_conversation(&talk, &chat.title, began)?;
    let mut changes = Vec::new();
    // Whoever gave it another title meanwhile keeps that.
    if !is_known(store, messages::CONVERSATION, talk).await? {
        changes.push(title);
    }
    count.conversations += 1;
    let (mut seen, mut ids) = (BTreeMap::<[u8; 16], u64>::new(), BTreeMap::new());
    for said in &chat.messages {
        if interrupt.is_raised() {
            write_offline(store, replica, std::mem::take(&mut changes)).await?;
            let what = format!("interrupted after {} messages", count.messages);
            return Err(Failure::new(Exit::Interrupted, what, "import again: what is here already is not doubled"));
        }
        let id = said.id(&talk, &mut seen);
        if let Some(native) = &said.native {
            ids.insert(native.clone(), id);
        }
        let mut attachments = Vec::new();
        let is_known = is_known(store, MESSAGE, id).await?;
        for path in &said.files {
            if path.is_file() {
                attachments.push(if is_known { describe(path)? } else { take(store, path).await? });
                count.files += u64::from(!is_known);
            } else {
                *count.skipped.entry("files that are not beside the export").or_default() += 1;
            }
        }
        for (index, part) in parts(&said.text, messages::TEXT_BYTES).into_iter().enumerate() {
            let id = if index == 0 { id } else { id_of(&[&id, &index.to_be_bytes()]) };
            let files = if index == 0 { std::mem::take(&mut attachments) } else { Vec::new() };
            let message = Message {
                edited: said.edited,
                reply_to: said.reply_to.as_ref().and_then(|native| ids.get(native).copied()),
                ..message_of(&said.sender, part, files)?
            };
            let change = messages::put_message(&talk, &id, said.at, &message)?;
            if stands(store, &change).await? {
                count.known += 1;
            } else {
                // The export may have come without its files the first time.
                if is_known && index == 0 {
                    for path in said.files.iter().filter(|path| path.is_file()) {
                        take(store, path).await?;
                        count.files += 1;
                    }
                }
                changes.push(change);
                count.messages += 1;
            }
        }
        for (who, sign) in &said.reactions {
            let change = messages::put_reaction(&id, who, sign, said.at)?;
            if !stands(store, &change).await? {
                changes.push(change);
            }
        }
        if changes.len() >= BATCH {
            write_offline(store, replica, std::mem::take(&mut changes)).await?;
            voice.progress(Some(format_args!("{} of {total} messages", count.messages + count.known)));
        }
    }
    write_offline(store, replica, changes).await
}

/// Whether a record is here, whatever it says.
async fn is_known(store: &SharedStore, collection: &'static str, id: [u8; 16]) -> Result<bool, Failure> {
    let known = store.run(move |store| store.record(collection, &id)).await?;
    Ok(known.is_some_and(|logged| logged.record.content.is_some()))
}

/// Whether writing would change nothing.
async fn stands(store: &SharedStore, change: &Change) -> Result<bool, Failure> {
    let change = change.clone();
    Ok(store.run(move |store| Ok(change.stands(store))).await??)
}

/// A text in parts of at most `most` bytes, cut between characters; an empty text is one part.
fn parts(text: &str, most: usize) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while rest.len() > most {
        let mut end = most;
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (part, later) = rest.split_at(end);
        parts.push(part);
        rest = later;
    }
    parts.push(rest);
    parts
}

fn dry(args: &ImportArgs, chats: &[Chat]) -> Result<Exit, Failure> {
    let mut count = Count::default();
    for chat in chats {
        count.conversations += 1;
        count.messages += chat.messages.len() as u64;
        count.files += chat.messages.iter().flat_map(|said| &said.files).filter(|file| file.is_file()).count() as u64;
        for (why, skipped) in &chat.skipped {
            *count.skipped.entry(why).or_default() += skipped;
        }
        let lost = chat.messages.iter().flat_map(|said| &said.files).filter(|file| !file.is_file()).count() as u64;
        if lost != 0 {
            *count.skipped.entry("files that are not beside the export").or_default() += lost;
        }
    }
    say(args, &count)?;
    Ok(Exit::Done)
}

fn say(args: &ImportArgs, count: &Count) -> Result<(), Failure> {
    if args.json {
        let result = json!({
            "schema": 1,
            "dry_run": args.dry_run,
            "conversations": count.conversations,
            "messages": count.messages,
            "known": count.known,
            "files": count.files,
            "skipped": count.skipped,
        });
        return line(&result.to_string());
    }
    let verb = if args.dry_run { "would import" } else { "imported" };
    line(&format!(
        "{verb} {} messages and {} files in {} conversations; {} messages were here already",
        count.messages, count.files, count.conversations, count.known
    ))?;
    for (why, skipped) in &count.skipped {
        line(&format!("skipped {skipped}: {why}"))?;
    }
    Ok(())
}

impl Said {
    /// Its id: the same each time the same export is read.
    fn id(&self, talk: &[u8; 16], seen: &mut BTreeMap<[u8; 16], u64>) -> [u8; 16] {
        if let Some(native) = &self.native {
            return id_of(&[talk, b"native", native.as_bytes()]);
        }
        let plain = id_of(&[talk, &self.at.to_be_bytes(), self.sender.as_bytes(), self.text.as_bytes()]);
        let nth = seen.entry(plain).or_default();
        *nth += 1;
        id_of(&[&plain, &nth.to_be_bytes()])
    }
}

/// The change of one message, for tests of the readers.
#[cfg(test)]
pub(crate) fn told(chat: &Chat) -> Vec<String> {
    chat.messages.iter().map(|said| format!("{} {}: {}", said.at, said.sender, said.text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters_and_nothing_is_lost() {
        let text = "ä".repeat(1000) + "x";
        let cut = parts(&text, 101);
        assert!(cut.iter().all(|part| part.len() <= 101 && !part.is_empty()));
        assert_eq!(cut.concat(), text);
        assert_eq!(parts("", 5), [""]);
    }
}
