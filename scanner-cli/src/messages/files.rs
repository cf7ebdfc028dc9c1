//! Files of messages: attach one, list them, fetch one when it is wanted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pairlight_core::net::{SharedStore, Sync, SyncUpdates, add_file};
use pairlight_core::store::Cursor;
use pairlight_core::sync::messages::{self, Attachment, Entry, Message};
use pairlight_core::sync::{self, FileInfo};
use pairlight_wire::file::PIECE_BYTES;
use pairlight_wire::hash::Sha256Stream;
use pairlight_wire::{List, Text};
use serde_json::json;

use super::{Format, Own, compose, conversations, line, news, online, send, who, write_offline};
use pairlight_wire::id::to_hex;

use crate::exit::{Exit, Failure};
use crate::messages::MessagesArgs;
use crate::style::{Voice, printable};

/// A fetch that brings nothing for this long is given up; it goes on the next time.
const SILENCE: Duration = Duration::from_secs(90);

/// What the end of a file's name says about its content.
pub(crate) fn media_type(path: &Path) -> &'static str {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
    match end.as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "mp4" | "m4v" => "video/mp4",
        "mov" => "video/quicktime",
        "webm" => "video/webm",
        "3gp" => "video/3gpp",
        "mp3" => "audio/mpeg",
        "m4a" => "audio/mp4",
        "opus" | "ogg" | "oga" => "audio/ogg",
        "aac" => "audio/aac",
        "wav" => "audio/wav",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "vcf" => "text/vcard",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

/// Takes a file into the store and describes it.
pub(crate) async fn take(store: &SharedStore, path: &Path) -> Result<Attachment, Failure> {
    let info = add_file(store, open(path)?).await?;
    Ok(attachment(path, info.size, info.hash))
}

/// Describes a file as [`take`] does, without taking it.
pub(crate) fn describe(path: &Path) -> Result<Attachment, Failure> {
    let (mut content, mut hash, mut size) = (open(path)?, Sha256Stream::default(), 0);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = content.read(&mut piece).map_err(|error| cannot_read(path, &error))?;
        if read == 0 {
            return Ok(attachment(path, size, hash.finish()));
        }
        hash.update(&piece[..read]);
        size += read as u64;
    }
}

fn cannot_read(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    let what = format!("cannot read {}: {error}", path.display());
    Failure::new(Exit::Error, what, "check the file and its permissions")
}

fn open(path: &Path) -> Result<File, Failure> {
    let content = File::open(path).map_err(|error| cannot_read(path, &error))?;
    match content.metadata().is_ok_and(|about| about.is_file()) {
        true => Ok(content),
        false => Err(cannot_read(path, &"it is not a file")),
    }
}

fn attachment(path: &Path, size: u64, hash: [u8; 32]) -> Attachment {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Attachment { name: Text::truncated(&name), media_type: Text::truncated(media_type(path)), size, hash }
}

/// `pairlight messages attach`
pub(super) async fn attach(
    args: &MessagesArgs,
    store: SharedStore,
    conversation: &str,
    paths: &[PathBuf],
    text: &str,
    voice: Voice,
) -> Result<Exit, Failure> {
    let (own, replica) = who(&store).await?;
    let mut attachments = Vec::new();
    for path in paths {
        attachments.push(take(&store, path).await?);
    }
    let hashes: Vec<_> = attachments.iter().map(|attachment| attachment.hash).collect();
    let message = message_of("me", text, attachments)?;
    let changes = compose(&conversations(&store).await?, conversation, &message)?;
    write_offline(&store, replica, changes).await?;
    match own {
        Own::Primary => send(args, own, store, voice).await,
        Own::Linked => deliver(args, own, store, &hashes, voice).await,
    }
}

async fn info(store: &SharedStore, hash: [u8; 32]) -> Result<Option<FileInfo>, Failure> {
    let info = store.run(move |store| Ok(sync::file(store, &hash))).await?;
    Ok(info?)
}

/// Stays online until the primary device has the files.
async fn deliver(
    args: &MessagesArgs,
    own: Own,
    store: SharedStore,
    hashes: &[[u8; 32]],
    voice: Voice,
) -> Result<Exit, Failure> {
    let later = "written; the rest goes out when this profile is online the next time";
    let line = match online(args, own, store.clone(), Format::Text, voice).await {
        Ok(line) => line,
        Err(failure) => {
            voice.note(format_args!("{} ({later})", failure.what()));
            return Ok(Exit::Done);
        }
    };
    let began = Instant::now();
    loop {
        let mut owed = false;
        for hash in hashes {
            owed |= info(&store, *hash).await?.is_some_and(|info| info.is_owed);
        }
        let over = !owed && line.is_in_step().await?;
        if !over && began.elapsed() > SILENCE {
            voice.note(later);
        }
        if over || began.elapsed() > SILENCE {
            news::tell_rest(&line, Format::Text, voice.hushed()).await?;
            return Ok(Exit::Done);
        }
        step(&line, voice).await?;
    }
}

/// Waits for the next event, or a moment.
async fn step(line: &Sync, voice: Voice) -> Result<(), Failure> {
    tokio::select! {
        event = line.next_event() => match event {
            Some(SyncUpdates::Line(event)) => news::tell(event, Format::Text, voice.hushed()),
            Some(SyncUpdates::Update(_)) => Ok(()),
            None => Err(Failure::new(Exit::Error, "the line ended", "start again")),
        },
        () = tokio::time::sleep(Duration::from_millis(100)) => Ok(()),
    }
}

/// All files that messages here name, newest message first.
async fn named(store: &SharedStore) -> Result<Vec<(Entry<Message>, Attachment)>, Failure> {
    let found = store.run(|store| {
        let all = || {
            let mut found = Vec::new();
            for talk in messages::conversations(store)? {
                let mut cursor = Cursor::NEWEST;
                loop {
                    let page = messages::messages(store, &talk.id, cursor, 256)?;
                    let Some(last) = page.last() else { break };
                    cursor = last.cursor;
                    for entry in page.iter().filter(|entry| !entry.value.attachments.as_slice().is_empty()) {
                        let files = entry.value.attachments.as_slice();
                        found.extend(files.iter().map(|file| (entry.clone(), file.clone())));
                    }
                }
            }
            Ok::<_, sync::SyncError>(found)
        };
        Ok(all())
    });
    let mut found = found.await??;
    found.sort_by_key(|(entry, _)| core::cmp::Reverse(entry.at));
    Ok(found)
}

/// `pairlight messages files`
pub(super) async fn list(store: &SharedStore, format: Format) -> Result<Exit, Failure> {
    for (entry, file) in named(store).await? {
        let here = info(store, file.hash).await?;
        let state = match here {
            Some(info) if info.is_complete() => "here".to_owned(),
            Some(info) => format!("{} of {} bytes here", info.stored, file.size),
            None => "not here".to_owned(),
        };
        let name = printable(file.name.as_str());
        match format {
            Format::Text => {
                let hash = to_hex(&file.hash);
                let short = hash.get(..12).unwrap_or_default();
                line(&format!("{short}  {}  {:>11}  {state:<8}  {name}", super::clock(entry.at), file.size))?;
            }
            Format::Ndjson => line(
                &json!({
                    "schema": 1,
                    "event": "file",
                    "hash": to_hex(&file.hash),
                    "name": file.name.as_str(),
                    "media_type": file.media_type.as_str(),
                    "size": file.size,
                    "stored": here.map_or(0, |info| info.stored),
                    "complete": here.is_some_and(|info| info.is_complete()),
                    "message": to_hex(&entry.id),
                    "sent_ms": entry.at,
                })
                .to_string(),
            )?,
        }
    }
    Ok(Exit::Done)
}

/// The one file whose hash begins so.
async fn find(store: &SharedStore, wanted: &str) -> Result<Attachment, Failure> {
    let wanted = wanted.to_ascii_lowercase();
    let all = named(store).await?.into_iter().map(|(_, file)| (file.hash, file));
    let all: BTreeMap<[u8; 32], Attachment> = all.filter(|(hash, _)| to_hex(hash).starts_with(&wanted)).collect();
    let mut found = all.into_values();
    match (found.next(), found.next()) {
        (Some(file), None) => Ok(file),
        (None, _) => {
            let what = format!("no message has a file whose hash begins with {wanted}");
            Err(Failure::new(Exit::Usage, what, "`pairlight messages files` lists them"))
        }
        (Some(_), Some(_)) => {
            Err(Failure::new(Exit::Usage, format!("several files begin with {wanted}"), "give more digits of the hash"))
        }
    }
}

/// `pairlight messages save`: fetches a file if it is not here yet, and writes it out.
pub(super) async fn save(
    args: &MessagesArgs,
    store: SharedStore,
    wanted: &str,
    out: Option<&Path>,
    force: bool,
    voice: Voice,
) -> Result<Exit, Failure> {
    let file = find(&store, wanted).await?;
    let target = match out {
        Some(out) => out.to_owned(),
        None => safe_name(file.name.as_str()),
    };
    if target.exists() && !force {
        let what = format!("{} exists", target.display());
        return Err(Failure::new(Exit::Error, what, "name another file with --out, or add --force"));
    }
    if !info(&store, file.hash).await?.is_some_and(|info| info.is_complete()) {
        fetch(args, &store, &file, voice).await?;
    }
    write_out(&store, &file, &target).await?;
    line(&target.display().to_string())?;
    Ok(Exit::Done)
}

/// The last part of a name that another device chose: it must not lead out of this folder, nor hide in it.
fn safe_name(name: &str) -> PathBuf {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).collect();
    let clean = clean.trim_start_matches('.').trim();
    PathBuf::from(if clean.is_empty() { "file" } else { clean })
}

async fn fetch(args: &MessagesArgs, store: &SharedStore, file: &Attachment, voice: Voice) -> Result<(), Failure> {
    let (own, _) = who(store).await?;
    let line = online(args, own, store.clone(), Format::Text, voice).await?;
    line.want_file(file.hash, file.size).await?;
    let (mut moved, mut stored) = (Instant::now(), 0);
    loop {
        let known = line.file(file.hash).await?;
        let Some(known) = known else { return Err(Failure::new(Exit::Error, "the file was dropped", "try again")) };
        if known.is_complete() {
            voice.progress(None);
            return news::tell_rest(&line, Format::Text, voice.hushed()).await;
        }
        if known.is_missing {
            let what = "the other device does not have this file (yet)";
            return Err(Failure::new(Exit::Error, what, "try again when the device that attached it was online"));
        }
        if known.stored != stored {
            (moved, stored) = (Instant::now(), known.stored);
            voice.progress(Some(format_args!("{stored} of {} bytes", file.size)));
        }
        if moved.elapsed() > SILENCE {
            let what = "the other device does not answer";
            return Err(Failure::new(Exit::TimedOut, what, "try again when it is online; what came is kept"));
        }
        step(&line, voice).await?;
    }
}

/// Writes beside the target first, so that a file that is there is whole.
async fn write_out(store: &SharedStore, file: &Attachment, target: &Path) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| {
        let what = format!("cannot write {}: {error}", target.display());
        Failure::new(Exit::Error, what, "make room there, or name another file with --out")
    };
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut out = tempfile::NamedTempFile::new_in(folder).map_err(cannot)?;
    let hash = file.hash;
    for index in 0.. {
        let piece = store.run(move |store| Ok(sync::file_piece(store, &hash, index))).await?;
        let Some(piece) = piece? else { break };
        out.write_all(&piece).map_err(cannot)?;
    }
    out.persist(target).map_err(|error| cannot(error.error))?;
    Ok(())
}

/// A message with files.
pub(crate) fn message_of(sender: &str, text: &str, attachments: Vec<Attachment>) -> Result<Message, Failure> {
    let attachments = List::new(attachments)
        .map_err(|_| Failure::new(Exit::Usage, "a message has at most 32 files", "send them in several messages"))?;
    Ok(Message { attachments, ..Message::text(sender, text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_elsewhere_stays_in_the_folder() {
        for (name, safe) in [
            ("photo.jpg", "photo.jpg"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Windows\\x.exe", "x.exe"),
            (".bashrc", "bashrc"),
            ("a\u{1b}[2Jb", "a[2Jb"),
            ("..", "file"),
            ("", "file"),
        ] {
            assert_eq!(safe_name(name), Path::new(safe), "{name}");
        }
    }
}
