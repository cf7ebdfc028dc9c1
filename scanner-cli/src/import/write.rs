//! Writing what an export says: the same records each time it is read, however it came.

use std::collections::BTreeMap;

use pairlight_core::net::SharedStore;
use pairlight_core::sync::messages::{self, MESSAGE, Message};
use pairlight_core::sync::{Change, Replica, SyncError};
use pairlight_wire::hash::sha256_16;

use super::chat::{Chat, Said};
use super::{Count, Exit, Failure, Interrupt, Voice, found};
use crate::messages::files::{describe, message_of, take};
use crate::messages::write_offline;

/// Messages written at a time.
const BATCH: usize = 500;
/// Messages by which a conversation is known again.
const SAMPLE: usize = 16;

type Id = [u8; 16];

/// Where conversations are written to, and on whose behalf.
pub(super) struct Writer<'w> {
    pub(super) store: &'w SharedStore,
    pub(super) replica: Replica,
    /// Which of the senders is the user.
    pub(super) me: Option<&'w str>,
    /// Messages of all chats.
    pub(super) total: usize,
    pub(super) interrupt: &'w Interrupt,
    pub(super) voice: Voice,
}

impl Writer<'_> {
    /// Writes a chat; `count` says what was written also when this fails.
    pub(super) async fn import(&self, chat: &Chat, count: &mut Count) -> Result<(), Failure> {
        count.read(chat);
        let talk = self.talk_of(chat).await?;
        let began = chat.messages.first().map_or(0, |said| said.at);
        let title = messages::put_conversation(&talk, &chat.title, began)?;
        // Whoever gave it another title meanwhile keeps that.
        let is_known = self.are_known(messages::CONVERSATION, vec![talk]).await?;
        let mut title = is_known.iter().all(|known| !known).then_some(title);
        let (mut seen, mut natives) = (BTreeMap::new(), BTreeMap::new());
        for batch in chat.messages.chunks(BATCH) {
            let (batch, changes) = self.batch(chat, &talk, batch, &mut seen, &mut natives).await?;
            let is_over = self.interrupt.is_raised();
            write_offline(self.store, self.replica, title.take().into_iter().chain(changes).collect()).await?;
            count.wrote(batch);
            if is_over {
                let what = format!("interrupted after {} messages", count.messages + count.known);
                return Err(Failure::new(Exit::Interrupted, what, "import again: what is here already is not doubled"));
            }
            let done = count.messages + count.known;
            self.voice.progress(Some(format_args!("{done} of {} messages", self.total)));
        }
        write_offline(self.store, self.replica, title.into_iter().collect()).await
    }

    /// What is to be written of some messages, in their order.
    async fn batch(
        &self,
        chat: &Chat,
        talk: &Id,
        batch: &[Said],
        seen: &mut BTreeMap<Id, u64>,
        natives: &mut BTreeMap<String, Id>,
    ) -> Result<(Count, Vec<Change>), Failure> {
        let mut count = Count::default();
        let ids: Vec<Id> = batch.iter().map(|said| said.id(talk, seen)).collect();
        for (said, id) in batch.iter().zip(&ids) {
            natives.extend(said.native.clone().map(|native| (native, *id)));
        }
        // Files are taken once: whether theirs is here must be known before.
        let with_files = batch.iter().zip(&ids).filter(|(said, _)| !said.files.is_empty()).map(|(_, id)| *id).collect();
        let mut are_known = self.are_known(MESSAGE, with_files).await?.into_iter();
        // Each change, whether it is a message, and files that came only now.
        let mut all: Vec<(Change, bool, Vec<_>)> = Vec::new();
        for (said, id) in batch.iter().zip(&ids) {
            if self.interrupt.is_raised() {
                break;
            }
            let (files, text) = found(chat, said, &mut count.skipped);
            let is_known = !said.files.is_empty() && are_known.next() == Some(true);
            let mut attachments = Vec::new();
            for path in &files {
                attachments.push(if is_known { describe(path)? } else { take(self.store, path).await? });
                count.files += u64::from(!is_known);
            }
            // They may be missing in the export that came first.
            let mut late = if is_known { files } else { Vec::new() };
            let sender = if self.me == Some(said.sender.as_str()) { "me" } else { &said.sender };
            for (index, part) in parts(&text, messages::TEXT_BYTES).into_iter().enumerate() {
                let id = if index == 0 { *id } else { id_of(&[id, &index.to_be_bytes()]) };
                let message = Message {
                    edited: said.edited,
                    reply_to: said.reply_to.as_ref().and_then(|native| natives.get(native).copied()),
                    ..message_of(sender, part, std::mem::take(&mut attachments))?
                };
                all.push((messages::put_message(talk, &id, said.at, &message)?, true, std::mem::take(&mut late)));
            }
            for (who, sign) in &said.reactions {
                let who = if self.me == Some(who.as_str()) { "me" } else { who };
                all.push((messages::put_reaction(id, who, sign, said.at)?, false, Vec::new()));
            }
        }
        let mut changes = Vec::new();
        let stand = self.stand(all.iter().map(|(change, ..)| change.clone()).collect()).await?;
        for ((change, is_message, late), stands) in all.into_iter().zip(stand) {
            count.known += u64::from(is_message && stands);
            count.messages += u64::from(is_message && !stands);
            if !stands {
                for path in &late {
                    take(self.store, path).await?;
                    count.files += 1;
                }
                changes.push(change);
            }
        }
        Ok((count, changes))
    }

    /// The conversation that a chat is. One without an id of its own has that of its first message, because files and folders are
    /// renamed; one whose beginning the export has cut off is known again by other messages.
    async fn talk_of(&self, chat: &Chat) -> Result<Id, Failure> {
        let source = chat.source.as_bytes();
        if let Some(key) = &chat.key {
            return Ok(id_of(&[source, key.as_bytes()]));
        }
        let Some(first) = chat.messages.first() else { return Ok(id_of(&[source, chat.title.as_bytes()])) };
        let talk = id_of(&[source, &first.at.to_be_bytes(), first.sender.as_bytes(), first.text.as_bytes()]);
        if self.are_known(messages::CONVERSATION, vec![talk]).await? == [true] {
            return Ok(talk);
        }
        let step = chat.messages.len().div_ceil(SAMPLE);
        let plain: Vec<_> = chat.messages.iter().step_by(step).map(Said::plain).collect();
        let found = self.store.run(move |store| {
            let find = || {
                for known in messages::conversations(store)? {
                    let Ok(talk) = Id::try_from(known.id.as_slice()) else { continue };
                    let mut hits = 0;
                    for plain in &plain {
                        hits += usize::from(store.record(MESSAGE, &id_of_plain(&talk, plain, 1))?.is_some());
                    }
                    if hits * 2 > plain.len() {
                        return Ok(Some(talk));
                    }
                }
                Ok::<_, SyncError>(None)
            };
            Ok(find())
        });
        Ok(found.await??.unwrap_or(talk))
    }

    /// Whether records are here, whatever they say.
    async fn are_known(&self, collection: &'static str, ids: Vec<Id>) -> Result<Vec<bool>, Failure> {
        let known = self.store.run(move |store| {
            let is_known =
                |id: &Id| Ok(store.record(collection, id)?.is_some_and(|logged| logged.record.content.is_some()));
            ids.iter().map(is_known).collect()
        });
        Ok(known.await?)
    }

    /// Whether writing would change nothing.
    async fn stand(&self, changes: Vec<Change>) -> Result<Vec<bool>, Failure> {
        let stand = self.store.run(move |store| {
            Ok(changes.iter().map(|change| change.stands(store)).collect::<Result<Vec<_>, SyncError>>())
        });
        Ok(stand.await??)
    }
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

/// What tells a message without an id in its export from others, as the export has it.
type Plain = (u64, String, String);

/// The id of the nth message that says the same.
fn id_of_plain(talk: &Id, (at, sender, text): &Plain, nth: u64) -> Id {
    let plain = id_of(&[talk, &at.to_be_bytes(), sender.as_bytes(), text.as_bytes()]);
    id_of(&[&plain, &nth.to_be_bytes()])
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

impl Said {
    fn plain(&self) -> Plain {
        (self.at, self.sender.clone(), self.text.clone())
    }

    /// Its id: the same each time the same export is read.
    fn id(&self, talk: &Id, seen: &mut BTreeMap<Id, u64>) -> Id {
        if let Some(native) = &self.native {
            return id_of(&[talk, b"native", native.as_bytes()]);
        }
        let plain = id_of(&[talk, &self.at.to_be_bytes(), self.sender.as_bytes(), self.text.as_bytes()]);
        let nth = seen.entry(plain).or_default();
        *nth += 1;
        id_of(&[&plain, &nth.to_be_bytes()])
    }
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
