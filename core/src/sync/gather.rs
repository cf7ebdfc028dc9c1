//! What a history consists of, read from the store: the first screen, then everything, newest first.

use pairlight_wire::Wire;
use pairlight_wire::sync::SyncRecord;

use super::SyncError;
use super::chunk::CHUNK_BYTES;
use super::messages::{CONVERSATION, MESSAGE};
use super::replica::RECORDS_ROOM;
use crate::store::{Cursor, Store};

/// Conversations and messages of each on the first screen.
const FIRST_CONVERSATIONS: usize = 20;
const FIRST_MESSAGES: usize = 50;
/// Most conversations in the list of the first screen.
const FIRST_LIST: usize = 1000;
/// Most bytes of phase 0.
const FIRST_BYTES: usize = 256 * 1024;
/// Records read at a time.
const STRIDE: usize = 512;

/// The conversation list, and the latest messages of the latest conversations, newest first.
pub(super) fn first_screen(store: &Store) -> Result<Vec<SyncRecord>, SyncError> {
    let list = store.records_in(CONVERSATION, &[], Cursor::NEWEST, FIRST_LIST)?;
    let mut latest = Vec::with_capacity(list.len());
    for conversation in &list {
        let id = conversation.record.id.as_slice();
        let newest = store.records_in(MESSAGE, id, Cursor::NEWEST, 1)?;
        latest.push((newest.first().map_or(0, |newest| newest.cursor().order), id.to_vec()));
    }
    latest.sort_unstable_by(|a, b| b.cmp(a));
    let mut records: Vec<SyncRecord> = list.into_iter().map(|logged| logged.record).collect();
    for (_, id) in latest.into_iter().take(FIRST_CONVERSATIONS) {
        let page = store.records_in(MESSAGE, &id, Cursor::NEWEST, FIRST_MESSAGES)?;
        records.extend(page.into_iter().map(|logged| logged.record));
    }
    let mut room = FIRST_BYTES;
    records.retain(|record| match room.checked_sub(record.encode().len()) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    });
    Ok(records)
}

/// Cut so that each part has room in one message.
pub(super) fn parts(records: Vec<SyncRecord>) -> Vec<Vec<SyncRecord>> {
    let (mut parts, mut room) = (vec![Vec::new()], RECORDS_ROOM);
    for record in records {
        let size = record.encode().len();
        if size > room {
            parts.push(Vec::new());
            room = RECORDS_ROOM;
        }
        room = room.saturating_sub(size);
        if let Some(part) = parts.last_mut() {
            part.push(record);
        }
    }
    parts
}

/// Records from a cursor on, up to the size of a chunk; and where the next begins.
pub(super) fn gather(
    store: &Store,
    from: Cursor,
    oldest: u64,
    snapshot: u64,
) -> Result<(Vec<SyncRecord>, Cursor, u64, u64), SyncError> {
    let (mut records, mut size, mut cursor) = (Vec::new(), 0_usize, from);
    let (mut newest, mut eldest) = (0, u64::MAX);
    loop {
        let page = store.records_by_order(cursor, oldest, STRIDE)?;
        if page.is_empty() {
            return Ok((records, cursor, newest, eldest));
        }
        for logged in page {
            cursor = logged.cursor();
            // What changed since goes by exchange.
            if logged.change > snapshot {
                continue;
            }
            (newest, eldest) = (newest.max(cursor.order), eldest.min(cursor.order));
            size = size.saturating_add(logged.record.encode().len());
            records.push(logged.record);
            if size >= CHUNK_BYTES {
                return Ok((records, cursor, newest, eldest));
            }
        }
    }
}
