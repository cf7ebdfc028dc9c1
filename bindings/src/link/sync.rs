//! A device that is online and keeps its conversations in step: history, live changes, messages (their files: `files.rs`).

use std::sync::Arc;

use pairlight_core::net::{SyncUpdate, SyncUpdates, system_rng, system_time};
use pairlight_core::store::Cursor;
use pairlight_core::sync::{HistoryPhase, HistoryProgress, HistoryStanding, messages};
use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::id::{parse_hex, to_hex};
use rand_core::Rng;

use super::devices::device_id;
use super::files::{Attachment, own_attachments};
use super::line::LineEvent;
use super::task::{Over, Owned, run};
use crate::contain::{contain, contain_async};
use crate::error::PairlightError;

/// A message of a conversation. Its texts come from other devices: show them as data.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Message {
    /// Hexadecimal digits.
    pub id: String,
    /// The conversation's id.
    pub conversation: String,
    /// Who wrote it, as it is shown.
    pub sender: String,
    /// What it says.
    pub text: String,
    /// When it was sent, ms since 1970.
    pub sent_ms: u64,
    /// When it was edited last, ms since 1970.
    pub edited_ms: Option<u64>,
    /// The id of the message that it answers.
    pub reply_to: Option<String>,
    /// Its files.
    pub attachments: Vec<Attachment>,
    /// Where a listing goes on after it.
    pub place: PageMark,
}

/// Where a listing stands: what comes next is older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct PageMark {
    /// Place in time.
    pub order: u64,
    /// Position in this device's log.
    pub change: u64,
}

/// A conversation in a list.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Conversation {
    /// Hexadecimal digits.
    pub id: String,
    /// What it is called.
    pub title: String,
    /// Its latest message.
    pub latest: Option<Message>,
    /// How far it was read, ms since 1970.
    pub read_up_to_ms: u64,
}

/// A record that changed here.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ChangedRecord {
    /// Its collection: `message`, `conversation`, `receipt`, `reaction`, `read-mark`.
    pub collection: String,
    /// Its id, hexadecimal digits.
    pub id: String,
    /// Its group, hexadecimal digits: the conversation of a message; null when it was deleted.
    pub group: Option<String>,
}

/// What a transfer of history is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum HistoryStage {
    /// The conversation list and the latest messages.
    FirstScreen,
    /// The last 30 days, or what the policy allows at once.
    Recent,
    /// Everything older.
    Rest,
    /// Nothing more will come.
    Complete,
}

/// How a transfer of history is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum HistoryState {
    /// Linked, and nothing has begun: the two are separate.
    Waiting,
    /// Under way, or as soon as both sides are online.
    Running,
    /// The policy holds back what follows.
    Held {
        /// Until then, ms since 1970; null = until somebody frees it.
        until_ms: Option<u64>,
    },
    /// Stopped by a person; can be begun again without a new link.
    Cancelled,
    /// Everything that was promised is stored.
    Done,
}

/// Progress of a transfer of history.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct History {
    /// The other device's id.
    pub device: String,
    /// How it is doing.
    pub state: HistoryState,
    /// What it is busy with.
    pub stage: HistoryStage,
    /// Records stored on the linked device.
    pub records: u64,
    /// Records that it will bring in all.
    pub total: u64,
    /// Sealed bytes that were transferred.
    pub bytes: u64,
}

/// What happens while a device is online.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum SyncEvent {
    /// These records changed here, by another device or by this one.
    Changed {
        /// Which.
        records: Vec<ChangedRecord>,
    },
    /// A signal of another device, such as "is typing"; worthless after its time.
    Signal {
        /// Sender's id.
        from: String,
        /// What it is.
        name: String,
        /// Its content.
        body: Vec<u8>,
    },
    /// The history moved on: ask `history`.
    HistoryMoved,
    /// Something changed about a file: ask `file`.
    FileMoved {
        /// Which, 64 hexadecimal digits.
        file: String,
    },
    /// Updates were too many to keep: read what is on the screen anew.
    Missed,
    /// The line itself.
    Line {
        /// What happened.
        event: LineEvent,
    },
}

/// A device that is online. Closing it goes offline; what was written stays and goes out the next time.
#[derive(Debug, uniffi::Object)]
pub struct Sync {
    pub(crate) line: Arc<Owned<pairlight_core::net::Sync>>,
    over: Over,
}

impl Sync {
    pub(crate) fn new(sync: pairlight_core::net::Sync) -> Self {
        Self { line: Arc::new(Owned::new(sync)), over: Over::default() }
    }
}

/// An id of the conversation or message: hexadecimal digits, an even number of them.
fn id_bytes(id: &str) -> Result<Vec<u8>, PairlightError> {
    let pairs = id.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        parse_hex::<1>(pair).map(|[byte]| byte)
    });
    let bytes: Option<Vec<u8>> = pairs.collect();
    bytes.filter(|bytes| !bytes.is_empty()).ok_or_else(|| PairlightError::misuse("an id is hexadecimal digits"))
}

fn message_id(id: &str) -> Result<messages::Id, PairlightError> {
    parse_hex(id).ok_or_else(|| PairlightError::misuse("the id of a message that can be answered has 32 digits"))
}

/// A text that is too long is refused, never cut: nobody must send what they did not write.
fn whole(text: &str) -> Result<&str, PairlightError> {
    match text.len() {
        0..=messages::TEXT_BYTES => Ok(text),
        _ => Err(PairlightError::misuse("the text is longer than 32 KiB")),
    }
}

fn new_id() -> [u8; 16] {
    let mut id = [0; 16];
    system_rng().fill_bytes(&mut id);
    id
}

fn message(entry: messages::Entry<messages::Message>) -> Message {
    Message {
        id: to_hex(&entry.id),
        conversation: to_hex(&entry.group),
        sender: entry.value.sender.as_str().to_owned(),
        text: entry.value.text.as_str().to_owned(),
        sent_ms: entry.at,
        edited_ms: entry.value.edited,
        reply_to: entry.value.reply_to.as_ref().map(|id| to_hex(id)),
        attachments: entry.value.attachments.as_slice().iter().map(Attachment::from).collect(),
        place: PageMark { order: entry.cursor.order, change: entry.cursor.change },
    }
}

fn progress(progress: &HistoryProgress) -> History {
    History {
        device: progress.device.to_hex(),
        state: match progress.standing {
            HistoryStanding::Waiting => HistoryState::Waiting,
            HistoryStanding::Running => HistoryState::Running,
            HistoryStanding::Held(until) => {
                HistoryState::Held { until_ms: Some(until).filter(|until| *until != u64::MAX) }
            }
            HistoryStanding::Cancelled => HistoryState::Cancelled,
            HistoryStanding::Done => HistoryState::Done,
        },
        stage: match progress.phase {
            HistoryPhase::FirstScreen => HistoryStage::FirstScreen,
            HistoryPhase::Recent => HistoryStage::Recent,
            HistoryPhase::Rest => HistoryStage::Rest,
            HistoryPhase::Complete => HistoryStage::Complete,
        },
        records: progress.records,
        total: progress.total,
        bytes: progress.bytes,
    }
}

/// Whether the line ends with it.
fn is_last(event: &SyncEvent) -> bool {
    let SyncEvent::Line { event } = event else { return false };
    matches!(event, LineEvent::Removed { .. } | LineEvent::Refused | LineEvent::Failed { .. })
}

fn event(updates: SyncUpdates) -> SyncEvent {
    match updates {
        SyncUpdates::Update(SyncUpdate::Changed(records)) => SyncEvent::Changed {
            records: records
                .into_iter()
                .map(|record| ChangedRecord {
                    collection: record.collection,
                    id: to_hex(&record.id),
                    group: record.group.as_deref().map(to_hex),
                })
                .collect(),
        },
        SyncUpdates::Update(SyncUpdate::Signal { from, name, body }) => {
            SyncEvent::Signal { from: from.to_hex(), name, body }
        }
        SyncUpdates::Update(SyncUpdate::History) => SyncEvent::HistoryMoved,
        SyncUpdates::Update(SyncUpdate::Missed) => SyncEvent::Missed,
        SyncUpdates::Update(SyncUpdate::File(hash)) => SyncEvent::FileMoved { file: to_hex(&hash) },
        SyncUpdates::Line(event) => SyncEvent::Line { event: event.into() },
    }
}

#[uniffi::export]
impl Sync {
    /// The next event; null after the last. A device whose events are not taken stands still.
    pub async fn next_event(&self) -> Result<Option<SyncEvent>, PairlightError> {
        contain_async("Sync.next_event", async {
            let Some(event) = self.line.next_event().await.map(event) else { return self.over.end() };
            self.over.told(is_last(&event));
            Ok(Some(event))
        })
        .await
    }

    /// Goes offline now, also while somebody waits for `next_event`: that gives what had come before, then null.
    pub fn stop(&self) -> Result<(), PairlightError> {
        contain("Sync.stop", || {
            self.over.told(true);
            self.line.end();
            Ok(())
        })
    }

    /// The conversations, latest first.
    pub async fn conversations(&self) -> Result<Vec<Conversation>, PairlightError> {
        let sync = Arc::clone(&self.line);
        run("Sync.conversations", async move {
            let talks = sync.conversations().await?.into_iter();
            Ok(talks
                .map(|talk| Conversation {
                    id: to_hex(&talk.id),
                    title: talk.title,
                    latest: talk.latest.map(message),
                    read_up_to_ms: talk.read_up_to,
                })
                .collect())
        })
        .await
    }

    /// A page of messages older than `before` (null: the newest), newest first.
    pub async fn messages(
        &self,
        conversation: String,
        before: Option<PageMark>,
        limit: u32,
    ) -> Result<Vec<Message>, PairlightError> {
        let sync = Arc::clone(&self.line);
        run("Sync.messages", async move {
            let before = before.map_or(Cursor::NEWEST, |place| Cursor { order: place.order, change: place.change });
            let page = sync.messages(id_bytes(&conversation)?, before, limit as usize).await?;
            Ok(page.into_iter().map(message).collect())
        })
        .await
    }

    /// Messages that contain a text, newest first; on this device alone.
    pub async fn search(&self, text: String, limit: u32) -> Result<Vec<Message>, PairlightError> {
        let sync = Arc::clone(&self.line);
        run(
            "Sync.search",
            async move { Ok(sync.search(text, limit as usize).await?.into_iter().map(message).collect()) },
        )
        .await
    }

    /// Begins a conversation. Gives its id.
    pub async fn begin_conversation(&self, title: String) -> Result<String, PairlightError> {
        let sync = Arc::clone(&self.line);
        run("Sync.begin_conversation", async move {
            let id = new_id();
            sync.write(vec![messages::put_conversation(&id, &title, system_time().unix_ms())?]).await?;
            Ok(to_hex(&id))
        })
        .await
    }

    /// Writes a message; when this returns it is durable here, and goes to the other devices when both are online. Gives
    /// its id. `sender` is how the person calls themselves, `reply_to` the message that it answers, `attachments` files
    /// of this store, 32 at most.
    pub async fn send(
        &self,
        conversation: String,
        sender: String,
        text: String,
        reply_to: Option<String>,
        attachments: Vec<Attachment>,
    ) -> Result<String, PairlightError> {
        let sync = Arc::clone(&self.line);
        run("Sync.send", async move {
            let id = new_id();
            let mut message = messages::Message::text(&sender, whole(&text)?);
            message.reply_to = reply_to.as_deref().map(message_id).transpose()?;
            message.attachments = own_attachments(attachments)?;
            sync.write(vec![messages::put_message(&id_bytes(&conversation)?, &id, system_time().unix_ms(), &message)?])
                .await?;
            Ok(to_hex(&id))
        })
        .await
    }

    /// Gives a message another text on all devices; its time, its files and what it answers stay.
    pub async fn edit_message(&self, message: String, text: String) -> Result<(), PairlightError> {
        let sync = Arc::clone(&self.line);
        run("Sync.edit_message", async move {
            let record = sync.record(messages::MESSAGE, id_bytes(&message)?).await?;
            let known = record.as_ref().and_then(messages::read::<messages::Message>);
            let known = known.ok_or_else(|| PairlightError::misuse("there is no such message"))?;
            let mut edited = messages::Message::text(known.value.sender.as_str(), whole(&text)?);
            edited.edited = Some(system_time().unix_ms());
            edited.reply_to = known.value.reply_to;
            edited.attachments = known.value.attachments;
            Ok(sync.write(vec![messages::put_message(&known.group, &known.id, known.at, &edited)?]).await?)
        })
        .await
    }

    /// Deletes a message on all devices.
    pub async fn delete_message(&self, message: String) -> Result<(), PairlightError> {
        let sync = Arc::clone(&self.line);
        run("Sync.delete_message", async move {
            Ok(sync.write(vec![messages::delete_message(&id_bytes(&message)?)?]).await?)
        })
        .await
    }

    /// Marks a conversation as read up to a time, ms since 1970, on all devices.
    pub async fn mark_read(&self, conversation: String, up_to_ms: u64) -> Result<(), PairlightError> {
        let sync = Arc::clone(&self.line);
        run("Sync.mark_read", async move {
            Ok(sync.write(vec![messages::put_read_mark(&id_bytes(&conversation)?, up_to_ms)?]).await?)
        })
        .await
    }

    /// Tells the devices that are online something that is worthless after `life_ms`, such as "is typing".
    pub async fn signal(&self, name: String, life_ms: u64, body: Vec<u8>) -> Result<(), PairlightError> {
        let sync = Arc::clone(&self.line);
        run("Sync.signal", async move { Ok(sync.signal(&name, life_ms, &body).await?) }).await
    }

    /// Seals bytes of the app's own for a device of the account, and waits until the relay has stored them.
    pub async fn send_bytes(&self, to: String, body: Vec<u8>) -> Result<(), PairlightError> {
        let sync = Arc::clone(&self.line);
        run("Sync.send_bytes", async move {
            Ok(sync.connection().send(device_id(&to)?, EnvelopeKind::Application, &body).await?)
        })
        .await
    }

    /// How the transfers of history are doing: to each linked device, or to this one.
    pub async fn history(&self) -> Result<Vec<History>, PairlightError> {
        let sync = Arc::clone(&self.line);
        run("Sync.history", async move { Ok(sync.history().await?.iter().map(progress).collect()) }).await
    }

    /// Stops a transfer of history: to `device`, or to this one. What is stored stays.
    pub async fn cancel_history(&self, device: String) -> Result<(), PairlightError> {
        let sync = Arc::clone(&self.line);
        run("Sync.cancel_history", async move { Ok(sync.cancel_history(device_id(&device)?).await?) }).await
    }

    /// On a linked device: asks the device that holds the account for `count` messages of a conversation older than
    /// `before_ms`, which the transfer of history has not brought. They arrive as changes.
    pub async fn ask_older(&self, conversation: String, before_ms: u64, count: u32) -> Result<(), PairlightError> {
        let sync = Arc::clone(&self.line);
        run("Sync.ask_older", async move {
            let group = id_bytes(&conversation)?;
            Ok(sync.ask_older(messages::MESSAGE, group, before_ms, u64::from(count)).await?)
        })
        .await
    }

    /// Begins a transfer of history anew, without a new link.
    pub async fn retry_history(&self, device: String) -> Result<(), PairlightError> {
        let sync = Arc::clone(&self.line);
        run("Sync.retry_history", async move { Ok(sync.retry_history(device_id(&device)?).await?) }).await
    }

    /// The person proved presence, to free what the policy holds back of the history of `device`. The app answers for
    /// the proof.
    pub async fn presence_shown(&self, device: String) -> Result<(), PairlightError> {
        let sync = Arc::clone(&self.line);
        run("Sync.presence_shown", async move { Ok(sync.presence_shown(device_id(&device)?).await?) }).await
    }

    /// Whether every device has confirmed what was written here.
    pub async fn is_in_step(&self) -> Result<bool, PairlightError> {
        let sync = Arc::clone(&self.line);
        run("Sync.is_in_step", async move { Ok(sync.is_in_step().await?) }).await
    }

    /// After `Storage` said that a record is damaged: deletes such records and asks the other devices for everything
    /// again. Gives how many were lost here.
    pub async fn repair(&self) -> Result<u64, PairlightError> {
        let sync = Arc::clone(&self.line);
        run("Sync.repair", async move { Ok(sync.repair().await?) }).await
    }
}
