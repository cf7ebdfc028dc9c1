//! Files of messages: taken in pieces, named by the hash of their content, fetched when somebody wants them.

use std::sync::Arc;

use pairlight_core::net::FileDraft;
use pairlight_core::sync::{self, messages};
use pairlight_wire::id::{parse_hex, to_hex};
use pairlight_wire::{List, Text};
use tokio::sync::Mutex;

use super::sync::Sync;
use super::task::run;
use crate::error::PairlightError;

/// A file that belongs to a message. Name and type are another device's words: show them as data, never use them as a path.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Attachment {
    /// SHA-256 of the content, 64 hexadecimal digits: what the file is called here.
    pub file: String,
    /// File name.
    pub name: String,
    /// Media type, such as `image/jpeg`.
    pub media_type: String,
    /// Length, bytes.
    pub size: u64,
}

/// How much of a file is on this device.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct FileState {
    /// Which, 64 hexadecimal digits.
    pub file: String,
    /// Its length, bytes.
    pub size: u64,
    /// Bytes that are here.
    pub stored: u64,
    /// Whether all of it is here.
    pub is_complete: bool,
    /// Whether it is on its way, or asked for; goes on after a restart.
    pub is_wanted: bool,
    /// The device that was asked does not have it, or not yet. `want_file` asks again.
    pub is_missing: bool,
    /// On a linked device: the device that holds the account has not confirmed yet that it has it.
    pub is_owed: bool,
}

impl From<&messages::Attachment> for Attachment {
    fn from(attachment: &messages::Attachment) -> Self {
        Self {
            file: to_hex(&attachment.hash),
            name: attachment.name.as_str().to_owned(),
            media_type: attachment.media_type.as_str().to_owned(),
            size: attachment.size,
        }
    }
}

pub(crate) fn own_attachments(given: Vec<Attachment>) -> Result<List<messages::Attachment, 32>, PairlightError> {
    let mut attachments = Vec::with_capacity(given.len());
    for Attachment { file, name, media_type, size } in given {
        let (name, media_type) = (Text::truncated(&name), Text::truncated(&media_type));
        attachments.push(messages::Attachment { name, media_type, size, hash: hash_of(&file)? });
    }
    List::new(attachments).map_err(|_| PairlightError::misuse("a message has 32 files at most"))
}

fn hash_of(file: &str) -> Result<[u8; 32], PairlightError> {
    parse_hex(file).ok_or_else(|| PairlightError::misuse("a file is named by 64 hexadecimal digits"))
}

impl From<sync::FileInfo> for FileState {
    fn from(info: sync::FileInfo) -> Self {
        Self {
            file: to_hex(&info.hash),
            size: info.size,
            stored: info.stored,
            is_complete: info.is_complete(),
            is_wanted: info.is_wanted,
            is_missing: info.is_missing,
            is_owed: info.is_owed,
        }
    }
}

/// A file that is being taken into the store. Closed before `finish`, it leaves nothing.
#[derive(Debug, uniffi::Object)]
pub struct NewFile(Arc<Mutex<Option<FileDraft>>>);

#[uniffi::export]
impl NewFile {
    /// Takes the next bytes; 256 KiB at a time cost least. One call after the other: what is written at once has no order.
    /// After a failure, or a call that was not waited for, the file is of no use.
    pub async fn write(&self, bytes: Vec<u8>) -> Result<(), PairlightError> {
        let draft = Arc::clone(&self.0);
        run("NewFile.write", async move {
            let mut draft = draft.lock().await;
            Ok(draft.as_mut().ok_or(PairlightError::Ended)?.write(bytes).await?)
        })
        .await
    }

    /// Ends the file. When this returns it is durable here and can be given to `send`: as a file called `name`.
    pub async fn finish(&self, name: String, media_type: String) -> Result<Attachment, PairlightError> {
        let draft = Arc::clone(&self.0);
        run("NewFile.finish", async move {
            let draft = draft.lock().await.take().ok_or(PairlightError::Ended)?;
            let info = draft.finish().await?;
            Ok(Attachment { file: to_hex(&info.hash), name, media_type, size: info.size })
        })
        .await
    }
}

#[uniffi::export]
impl Sync {
    /// Begins a file: the content of an attachment, 4 GiB at most.
    pub async fn begin_file(&self) -> Result<NewFile, PairlightError> {
        let sync = Arc::clone(&self.line);
        run("Sync.begin_file", async move { Ok(NewFile(Arc::new(Mutex::new(Some(sync.begin_file().await?))))) }).await
    }

    /// How much of a file is here; null when nothing is known of it.
    pub async fn file(&self, file: String) -> Result<Option<FileState>, PairlightError> {
        let sync = Arc::clone(&self.line);
        run("Sync.file", async move { Ok(sync.file(hash_of(&file)?).await?.map(FileState::from)) }).await
    }

    /// Wants a file that a message names: it comes from another device, in pieces, each of which is a `FileMoved`.
    pub async fn want_file(&self, file: String, size: u64) -> Result<FileState, PairlightError> {
        let sync = Arc::clone(&self.line);
        run("Sync.want_file", async move { Ok(sync.want_file(hash_of(&file)?, size).await?.into()) }).await
    }

    /// A piece of a file, 256 KiB or less, counted from 0; null behind its end, and where it is not here yet.
    pub async fn file_piece(&self, file: String, index: u64) -> Result<Option<Vec<u8>>, PairlightError> {
        let sync = Arc::clone(&self.line);
        run(
            "Sync.file_piece",
            async move { Ok(sync.file_piece(hash_of(&file)?, index).await?.map(|piece| piece.to_vec())) },
        )
        .await
    }
}
