//! A ready-made schema: conversations, messages, receipts, reactions, read marks, attachments.
//!
//! | collection | id | group | order | body |
//! |---|---|---|---|---|
//! | `conversation` | conversation | empty | when made | [`Conversation`] |
//! | `message` | message | conversation | when sent | [`Message`]; an edit is the same id again |
//! | `receipt` | message, participant | message | when | [`Receipt`] |
//! | `reaction` | message, participant | message | when | [`Reaction`] |
//! | `read-mark` | conversation | empty | up to when it was read | [`ReadMark`] |
//!
//! Times are ms since 1970. What another device wrote is hostile text: clean it before it reaches a screen.

use pairlight_wire::{List, Text, Wire, record};

use super::{Change, SyncError};
use crate::store::{Cursor, LoggedRecord, Store};

/// Collection of conversations.
pub const CONVERSATION: &str = "conversation";
/// Collection of messages.
pub const MESSAGE: &str = "message";
/// Collection of receipts.
pub const RECEIPT: &str = "receipt";
/// Collection of reactions.
pub const REACTION: &str = "reaction";
/// Collection of read marks.
pub const READ_MARK: &str = "read-mark";

/// Longest text of a message, bytes.
pub const TEXT_BYTES: usize = 32 * 1024;

/// An id of the application's choosing: 16 random bytes, or a hash.
pub type Id = [u8; 16];

record! {
    /// A conversation.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Conversation [1] {
        /// What it is called.
        pub title: Text<256>,
    }
}

record! {
    /// A file that belongs to a message. Its content is fetched when it is wanted.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Attachment [1] {
        /// File name.
        pub name: Text<256>,
        /// Media type.
        pub media_type: Text<128>,
        /// Length, bytes.
        pub size: u64,
        /// SHA-256 of the content.
        pub hash: [u8; 32],
    }
}

record! {
    /// A message.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Message [1] {
        /// Who wrote it, as it is shown.
        pub sender: Text<128>,
        /// What it says.
        pub text: Text<TEXT_BYTES>,
        /// The message that it answers.
        pub reply_to: Option<Id>,
        /// When it was edited last.
        pub edited: Option<u64>,
        /// Files.
        pub attachments: List<Attachment, 32>,
    }
}

record! {
    /// That somebody got or read a message.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Receipt [1] {
        /// Who.
        pub participant: Text<128>,
        /// Whether it was read, not only delivered.
        pub read: bool,
    }
}

record! {
    /// What somebody feels about a message.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Reaction [1] {
        /// Who.
        pub participant: Text<128>,
        /// The sign.
        pub sign: Text<32>,
    }
}

record! {
    /// How far a conversation was read.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ReadMark [1] {
        /// Messages up to this time.
        pub up_to: u64,
    }
}

/// A record of the schema with its id, group and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<T> {
    /// Its id.
    pub id: Vec<u8>,
    /// Its group: the conversation of a message.
    pub group: Vec<u8>,
    /// When, ms since 1970.
    pub at: u64,
    /// Where a listing goes on after it.
    pub cursor: Cursor,
    /// The content.
    pub value: T,
}

/// A conversation in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationInfo {
    /// Its id.
    pub id: Vec<u8>,
    /// What it is called.
    pub title: String,
    /// Its latest message.
    pub latest: Option<Entry<Message>>,
    /// How far it was read, ms since 1970.
    pub read_up_to: u64,
}

impl Message {
    /// A plain message.
    #[must_use]
    pub fn text(sender: &str, text: &str) -> Self {
        Self {
            sender: Text::truncated(sender),
            text: Text::truncated(text),
            reply_to: None,
            edited: None,
            attachments: List::default(),
        }
    }
}

/// Makes a conversation, or gives it another title.
///
/// # Errors
/// [`SyncError`] for an id or a time that is too large.
pub fn put_conversation(id: &[u8], title: &str, made: u64) -> Result<Change, SyncError> {
    Change::put(CONVERSATION, id, &[], made, &Conversation { title: Text::truncated(title) }.encode())
}

/// Writes a message, or edits it.
///
/// # Errors
/// [`SyncError`] for an id, a time or a content that is too large.
pub fn put_message(conversation: &[u8], id: &[u8], sent: u64, message: &Message) -> Result<Change, SyncError> {
    Change::put(MESSAGE, id, conversation, sent, &message.encode())
}

/// Deletes a message everywhere.
///
/// # Errors
/// [`SyncError`] for an id that is too long.
pub fn delete_message(id: &[u8]) -> Result<Change, SyncError> {
    Change::delete(MESSAGE, id)
}

fn of_participant(message: &Id, participant: &str) -> Vec<u8> {
    let who = pairlight_wire::hash::sha256_16(&[participant.as_bytes()]);
    [message.as_slice(), &who].concat()
}

/// Writes a receipt.
///
/// # Errors
/// [`SyncError`] for a time that is too large.
pub fn put_receipt(message: &Id, participant: &str, read: bool, at: u64) -> Result<Change, SyncError> {
    let body = Receipt { participant: Text::truncated(participant), read }.encode();
    Change::put(RECEIPT, &of_participant(message, participant), message, at, &body)
}

/// Reacts to a message; an empty sign takes the reaction back.
///
/// # Errors
/// [`SyncError`] for a time that is too large.
pub fn put_reaction(message: &Id, participant: &str, sign: &str, at: u64) -> Result<Change, SyncError> {
    let id = of_participant(message, participant);
    if sign.is_empty() {
        return Change::delete(REACTION, &id);
    }
    let body = Reaction { participant: Text::truncated(participant), sign: Text::truncated(sign) }.encode();
    Change::put(REACTION, &id, message, at, &body)
}

/// Marks a conversation as read up to a time.
///
/// # Errors
/// [`SyncError`] for an id or a time that is too large.
pub fn put_read_mark(conversation: &[u8], up_to: u64) -> Result<Change, SyncError> {
    Change::put(READ_MARK, conversation, &[], up_to, &ReadMark { up_to }.encode())
}

/// Reads a record as one of the schema; `None` when it is deleted or something else.
#[must_use]
pub fn read<T: Wire>(logged: &LoggedRecord) -> Option<Entry<T>> {
    let content = logged.record.content.as_ref()?;
    Some(Entry {
        id: logged.record.id.as_slice().to_vec(),
        group: content.group.as_slice().to_vec(),
        at: content.order,
        cursor: logged.cursor(),
        value: T::decode(content.body.as_slice()).ok()?,
    })
}

/// The conversations, the one with the latest message first.
///
/// # Errors
/// [`SyncError::Store`].
pub fn conversations(store: &Store) -> Result<Vec<ConversationInfo>, SyncError> {
    let mut list = Vec::new();
    let mut cursor = Cursor::NEWEST;
    loop {
        let page = store.records_in(CONVERSATION, &[], cursor, 256)?;
        let Some(last) = page.last() else { break };
        cursor = last.cursor();
        for entry in page.iter().filter_map(read::<Conversation>) {
            let latest = store.records_in(MESSAGE, &entry.id, Cursor::NEWEST, 1)?;
            let mark = store.record(READ_MARK, &entry.id)?;
            list.push(ConversationInfo {
                title: entry.value.title.as_str().to_owned(),
                latest: latest.first().and_then(read::<Message>),
                read_up_to: mark.as_ref().and_then(read::<ReadMark>).map_or(0, |mark| mark.value.up_to),
                id: entry.id,
            });
        }
    }
    list.sort_by_key(|info| core::cmp::Reverse(info.latest.as_ref().map_or(0, |latest| latest.at)));
    Ok(list)
}

/// A page of messages of a conversation older than `before`, newest first.
///
/// # Errors
/// [`SyncError::Store`].
pub fn messages(
    store: &Store,
    conversation: &[u8],
    before: Cursor,
    limit: usize,
) -> Result<Vec<Entry<Message>>, SyncError> {
    Ok(store.records_in(MESSAGE, conversation, before, limit)?.iter().filter_map(read::<Message>).collect())
}

/// Messages that contain a text, newest first, whatever its case. Opens every message on the way: the store has no index
/// of words, because one would tell who holds the file which messages share a word.
///
/// # Errors
/// [`SyncError::Store`].
pub fn search(store: &Store, text: &str, limit: usize) -> Result<Vec<Entry<Message>>, SyncError> {
    let wanted = text.to_lowercase();
    let mut found = Vec::new();
    store.scan_records(|logged| {
        if logged.record.collection.as_str() == MESSAGE
            && let Some(entry) = read::<Message>(logged)
            && entry.value.text.as_str().to_lowercase().contains(&wanted)
        {
            found.push(entry);
        }
        found.len() < limit
    })?;
    Ok(found)
}
