//! `pairlight import`: chat exports as people have them become conversations of this device.

mod chat;
#[cfg(test)]
mod fuzzing;
mod packed;
mod signal;
mod stamp;
mod telegram;
mod whatsapp;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;
use serde_json::json;

use self::chat::{Chat, Place, Said, place};
use self::write::Writer;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::link::block_on;
use crate::messages::{line, permitted, who};
use crate::profile::ProfileArgs;
use crate::style::Voice;

const EXAMPLES: &str = "\
Examples:
  pairlight import \"WhatsApp Chat with Kim.txt\"       with the media files that lie beside it
  pairlight import \"WhatsApp Chat - Kim.zip\"         as the phone packs it
  pairlight import whatsapp-export/ --me Robin        a folder with _chat.txt; messages of Robin are mine
  pairlight import ~/Downloads/Telegram/result.json   of Telegram Desktop: one chat, or all of them
  pairlight import signal-chats/                      of signal-export: one folder for each chat";

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
    /// Order of day, month and year in a WhatsApp export; by default the one that its dates fit
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

/// Most files of a message.
const FILES: usize = 32;

/// What was done, for the last line.
#[derive(Default)]
struct Count {
    conversations: u64,
    messages: u64,
    known: u64,
    files: u64,
    skipped: BTreeMap<&'static str, u64>,
    kept: BTreeMap<&'static str, u64>,
    encodings: BTreeSet<&'static str>,
}

impl Count {
    /// Adds what the reader of a chat says.
    fn read(&mut self, chat: &Chat) {
        self.conversations += 1;
        for (why, skipped) in &chat.skipped {
            *self.skipped.entry(why).or_default() += skipped;
        }
        for (what, kept) in &chat.kept {
            *self.kept.entry(what).or_default() += kept;
        }
        self.encodings.extend(chat.encoding);
    }

    /// Adds what was written of a chat meanwhile.
    fn wrote(&mut self, other: Self) {
        self.messages += other.messages;
        self.known += other.known;
        self.files += other.files;
        for (why, skipped) in other.skipped {
            *self.skipped.entry(why).or_default() += skipped;
        }
    }
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
    if args.dry_run {
        return dry(args, &chats);
    }
    let mut count = Count::default();
    let done = block_on(async {
        let store = args.profile.open_existing(args.profile.likely_role())?;
        permitted(&store).await?;
        let (_, replica) = who(&store).await?;
        let total: usize = chats.iter().map(|chat| chat.messages.len()).sum();
        let writer = Writer { store: &store, replica, me: args.me.as_deref(), total, interrupt: &interrupt, voice };
        for chat in &chats {
            writer.import(chat, &mut count).await?;
        }
        Ok(Exit::Done)
    });
    voice.progress(None);
    // Of an import that failed before it wrote anything there is nothing to say but why.
    if done.is_ok() || count.messages + count.known > 0 {
        say(args, &count)?;
    }
    done
}

/// Reads whatever export lies there.
fn read(path: &Path, args: &ImportArgs, zone: &TimeZone) -> Result<Vec<Chat>, Failure> {
    let unknown = |what: String| {
        let remedy = "give the _chat.txt of a WhatsApp export, the result.json of Telegram Desktop, or the folder of signal-export";
        Failure::new(Exit::Usage, what, remedy)
    };
    // What lies in a folder was put there by somebody else; what was named, the user chose.
    let inside = |file: PathBuf| match place(path, &file) {
        Place::Here(_) => Ok(Some(file)),
        Place::Missing => Ok(None),
        Place::Elsewhere | Place::NoFile => {
            let what = format!("{} is no plain file of this folder", file.display());
            Err(Failure::new(Exit::Error, what, "a link out of the folder is not followed: give the file itself"))
        }
    };
    let all_inside = |files: Vec<PathBuf>| -> Result<Vec<PathBuf>, Failure> {
        files.into_iter().filter_map(|file| inside(file).transpose()).collect()
    };
    if path.is_dir() {
        let texts = entries(path, |name| name == "_chat.txt" || (name.contains("WhatsApp") && name.ends_with(".txt")))?;
        let texts = all_inside(texts)?;
        if !texts.is_empty() {
            return texts.iter().map(|text| whatsapp::read(text, args.date_order, zone)).collect();
        }
        if let Some(file) = inside(path.join("result.json"))? {
            return telegram::read(&file, zone);
        }
        let mut chats: Vec<PathBuf> =
            entries(path, |_| true)?.into_iter().map(|entry| entry.join("data.json")).collect();
        chats.push(path.join("data.json"));
        let chats = all_inside(chats)?;
        if chats.is_empty() {
            return Err(unknown(format!("there is no chat export in {}", path.display())));
        }
        return chats.iter().map(|file| signal::read(file, zone)).collect();
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

fn dry(args: &ImportArgs, chats: &[Chat]) -> Result<Exit, Failure> {
    let mut count = Count::default();
    for chat in chats {
        count.read(chat);
        for said in &chat.messages {
            count.messages += 1;
            count.files += found(chat, said, &mut count.skipped).0.len() as u64;
        }
    }
    say(args, &count)?;
    Ok(Exit::Done)
}

/// The files of a message that are there, and its text with the names of those that are not.
fn found(chat: &Chat, said: &Said, skipped: &mut BTreeMap<&'static str, u64>) -> (Vec<PathBuf>, String) {
    let (mut here, mut text) = (Vec::new(), said.text.clone());
    for path in &said.files {
        let why = match place(&chat.folder, path) {
            Place::Here(_) if here.len() == FILES => "files beyond the 32nd of a message",
            Place::Here(full) => {
                here.push(full);
                continue;
            }
            Place::Missing => "files that are not beside the export",
            Place::Elsewhere => "files outside of the export, to which a link leads",
            Place::NoFile => "folders, devices or pipes in place of a file",
        };
        *skipped.entry(why).or_default() += 1;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        text.push_str(if text.is_empty() { "" } else { "\n" });
        text.push_str(&format!("[missing: {name}]"));
    }
    (here, text)
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
            "kept": count.kept,
            "encodings": count.encodings,
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
    for (what, kept) in &count.kept {
        line(&format!("kept {kept}: {what}"))?;
    }
    for encoding in &count.encodings {
        line(&format!("the text was no UTF-8 and was read as {encoding}"))?;
    }
    Ok(())
}

/// The change of one message, for tests of the readers.
#[cfg(test)]
pub(crate) fn told(chat: &Chat) -> Vec<String> {
    chat.messages.iter().map(|said| format!("{} {}: {}", said.at, said.sender, said.text)).collect()
}
