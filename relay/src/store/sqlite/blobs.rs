//! Blobs, in the parts in which they came.

use rusqlite::{Connection, OptionalExtension};

use super::super::{BlobKey, BlobState, NewPart, PartStored, blob_room};
use super::lane::shrink;
use super::{column, number};

/// `room.bytes`: what the blobs of an account take when they are complete.
pub(super) const SCHEMA: &[&str] = &["
    CREATE TABLE blob (
        id INTEGER PRIMARY KEY, account BLOB NOT NULL, name BLOB NOT NULL,
        received INTEGER NOT NULL, total INTEGER NOT NULL, at INTEGER NOT NULL,
        UNIQUE (account, name)
    ) STRICT;
    CREATE INDEX blob_at ON blob (at);
    CREATE TABLE part (
        blob INTEGER NOT NULL, start INTEGER NOT NULL, bytes BLOB NOT NULL,
        UNIQUE (blob, start)
    ) STRICT;
    CREATE TABLE room (account BLOB PRIMARY KEY, bytes INTEGER NOT NULL) STRICT, WITHOUT ROWID;"];

fn find(db: &Connection, (account, name): BlobKey) -> rusqlite::Result<Option<(i64, BlobState)>> {
    let mut found = db.prepare_cached("SELECT id, received, total FROM blob WHERE account = ? AND name = ?")?;
    let found = found.query_row((account.as_bytes(), name.as_bytes()), |row| {
        Ok((row.get(0)?, BlobState { received: number(row.get(1)?), total: number(row.get(2)?) }))
    });
    found.optional()
}

pub(super) fn state(db: &Connection, blob: BlobKey) -> rusqlite::Result<Option<BlobState>> {
    Ok(find(db, blob)?.map(|(_, state)| state))
}

pub(super) fn add_part(db: &Connection, part: &NewPart, room: u64) -> rusqlite::Result<PartStored> {
    let found = find(db, part.blob)?;
    let known = found.map(|(_, state)| state);
    let received = part.offset.saturating_add(part.bytes.len() as u64);
    if part.offset != known.map_or(0, |known| known.received)
        || received > part.total
        || known.is_some_and(|known| known.total != part.total)
    {
        return Ok(PartStored::Elsewhere(known));
    }
    let (account, name) = part.blob;
    let blob = match found {
        Some((blob, _)) => blob,
        None => {
            let mut taken = db.prepare_cached("SELECT bytes FROM room WHERE account = ?")?;
            let taken: Option<i64> = taken.query_row([account.as_bytes()], |row| row.get(0)).optional()?;
            let takes = blob_room(part.total);
            if taken.map_or(0, number).saturating_add(takes) > room {
                return Ok(PartStored::Full);
            }
            db.prepare_cached(
                "INSERT INTO room (account, bytes) VALUES (?, ?)
                 ON CONFLICT (account) DO UPDATE SET bytes = bytes + excluded.bytes",
            )?
            .execute((account.as_bytes(), column(takes)))?;
            db.prepare_cached("INSERT INTO blob (account, name, received, total, at) VALUES (?, ?, 0, ?, ?)")?
                .execute((account.as_bytes(), name.as_bytes(), column(part.total), column(part.at)))?;
            db.last_insert_rowid()
        }
    };
    if !part.bytes.is_empty() {
        db.prepare_cached("INSERT INTO part (blob, start, bytes) VALUES (?, ?, ?)")?.execute((
            blob,
            column(part.offset),
            &part.bytes,
        ))?;
        db.prepare_cached("UPDATE blob SET received = ? WHERE id = ?")?.execute((column(received), blob))?;
    }
    Ok(PartStored::Stored(BlobState { received, total: part.total }))
}

pub(super) fn read(db: &Connection, blob: BlobKey, from: u64, most: usize) -> rusqlite::Result<Vec<u8>> {
    let Some((blob, _)) = find(db, blob)? else { return Ok(Vec::new()) };
    // The one part that holds the first byte; SQLite cuts it, so that no more is copied than is asked for.
    let mut part = db.prepare_cached(
        "SELECT substr(bytes, ?2 - start + 1, ?3) FROM part WHERE blob = ?1 AND start <= ?2 ORDER BY start DESC LIMIT 1",
    )?;
    let bytes = part.query_row((blob, column(from), column(most as u64)), |row| row.get(0)).optional()?;
    Ok(bytes.unwrap_or_default())
}

pub(super) fn drop_one(db: &Connection, blob: BlobKey) -> rusqlite::Result<()> {
    let Some((id, state)) = find(db, blob)? else { return Ok(()) };
    remove(db, id, blob.0.as_bytes(), state.total)
}

fn remove(db: &Connection, blob: i64, account: &[u8], total: u64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM part WHERE blob = ?")?.execute([blob])?;
    db.prepare_cached("DELETE FROM blob WHERE id = ?")?.execute([blob])?;
    db.prepare_cached("UPDATE room SET bytes = bytes - ? WHERE account = ?")?
        .execute((column(blob_room(total)), account))?;
    db.prepare_cached("DELETE FROM room WHERE account = ? AND bytes <= 0")?.execute([account])?;
    Ok(())
}

/// Drops at most `most` old blobs, and says whether there may be more.
pub(super) fn drop_some_before(db: &Connection, oldest: u64, most: usize) -> rusqlite::Result<bool> {
    let mut old = db.prepare_cached("SELECT id, account, total FROM blob WHERE at < ? ORDER BY at LIMIT ?")?;
    let old =
        old.query_map((column(oldest), column(most as u64)), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let old: Vec<(i64, Vec<u8>, i64)> = old.collect::<Result<_, _>>()?;
    for (blob, account, total) in &old {
        remove(db, *blob, account, number(*total))?;
    }
    if old.is_empty() {
        shrink(db, 4_096)?;
    }
    Ok(old.len() >= most)
}
