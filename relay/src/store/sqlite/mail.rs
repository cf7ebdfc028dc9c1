//! Mailboxes: numbered envelopes, and the references that tell a repetition.

use rusqlite::{Connection, OptionalExtension};

use super::super::{Deposit, Mailbox, MailboxLimits, NewMail, Numbered, REFERENCES_KEPT};
use super::lane::shrink;
use super::{column, number};

/// `mailbox.bytes` and `mailbox.letters` are the sums over its letters; `sender.posts` counts what a sender ever posted.
pub(super) const SCHEMA: &str = "
    CREATE TABLE mailbox (
        id INTEGER PRIMARY KEY, account BLOB NOT NULL, device BLOB NOT NULL,
        last INTEGER NOT NULL, bytes INTEGER NOT NULL, letters INTEGER NOT NULL,
        UNIQUE (account, device)
    ) STRICT;
    CREATE TABLE letter (
        mailbox INTEGER NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, envelope BLOB NOT NULL,
        UNIQUE (mailbox, number)
    ) STRICT;
    CREATE INDEX letter_at ON letter (at);
    CREATE TABLE sender (
        id INTEGER PRIMARY KEY, mailbox INTEGER NOT NULL, device BLOB NOT NULL, posts INTEGER NOT NULL,
        UNIQUE (mailbox, device)
    ) STRICT;
    CREATE TABLE seen (
        sender INTEGER NOT NULL, reference INTEGER NOT NULL, nth INTEGER NOT NULL,
        PRIMARY KEY (sender, reference)
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX seen_nth ON seen (sender, nth);";

struct Row {
    id: i64,
    last: i64,
    bytes: i64,
    letters: i64,
}

fn find(db: &Connection, (account, device): Mailbox) -> rusqlite::Result<Option<Row>> {
    let mut found =
        db.prepare_cached("SELECT id, last, bytes, letters FROM mailbox WHERE account = ? AND device = ?")?;
    let found = found.query_row((account.as_bytes(), device.as_bytes()), |row| {
        Ok(Row { id: row.get(0)?, last: row.get(1)?, bytes: row.get(2)?, letters: row.get(3)? })
    });
    found.optional()
}

pub(super) fn deposit(db: &Connection, mail: &NewMail, limits: MailboxLimits) -> rusqlite::Result<Deposit> {
    let size = column(mail.envelope.len() as u64);
    let found = find(db, mail.to)?;
    if let Some(mailbox) = &found {
        let mut repeated = db.prepare_cached(
            "SELECT 1 FROM sender JOIN seen ON seen.sender = sender.id
             WHERE sender.mailbox = ? AND sender.device = ? AND seen.reference = ?",
        )?;
        if repeated.exists((mailbox.id, mail.from.as_bytes(), mail.reference.cast_signed()))? {
            return Ok(Deposit::Repeated);
        }
    }
    let (bytes, letters) = found.as_ref().map_or((0, 0), |mailbox| (mailbox.bytes, mailbox.letters));
    if letters >= column(limits.messages as u64) || bytes.saturating_add(size) > column(limits.bytes as u64) {
        return Ok(Deposit::Full);
    }
    let (mailbox, last) = match found {
        Some(mailbox) => (mailbox.id, mailbox.last),
        None => {
            let (account, device) = mail.to;
            db.prepare_cached("INSERT INTO mailbox (account, device, last, bytes, letters) VALUES (?, ?, 0, 0, 0)")?
                .execute((account.as_bytes(), device.as_bytes()))?;
            (db.last_insert_rowid(), 0)
        }
    };
    let nth = last.saturating_add(1);
    db.prepare_cached("UPDATE mailbox SET last = ?, bytes = bytes + ?, letters = letters + 1 WHERE id = ?")?
        .execute((nth, size, mailbox))?;
    db.prepare_cached("INSERT INTO letter (mailbox, number, at, envelope) VALUES (?, ?, ?, ?)")?.execute((
        mailbox,
        nth,
        column(mail.at),
        &mail.envelope,
    ))?;
    remember(db, mailbox, mail)?;
    Ok(Deposit::Stored(number(nth)))
}

/// Notes the sender's reference and forgets one that is too old.
fn remember(db: &Connection, mailbox: i64, mail: &NewMail) -> rusqlite::Result<()> {
    let mut count = db.prepare_cached(
        "INSERT INTO sender (mailbox, device, posts) VALUES (?, ?, 1)
         ON CONFLICT (mailbox, device) DO UPDATE SET posts = posts + 1 RETURNING id, posts",
    )?;
    let (sender, posts): (i64, i64) =
        count.query_row((mailbox, mail.from.as_bytes()), |row| Ok((row.get(0)?, row.get(1)?)))?;
    db.prepare_cached("INSERT INTO seen (sender, reference, nth) VALUES (?, ?, ?)")?.execute((
        sender,
        mail.reference.cast_signed(),
        posts,
    ))?;
    db.prepare_cached("DELETE FROM seen WHERE sender = ? AND nth <= ?")?
        .execute((sender, posts.saturating_sub(column(REFERENCES_KEPT as u64))))?;
    Ok(())
}

pub(super) fn mail(db: &Connection, to: Mailbox, after: u64, most: usize) -> rusqlite::Result<Vec<Numbered>> {
    let Some(mailbox) = find(db, to)? else { return Ok(Vec::new()) };
    let mut letters = db.prepare_cached(
        "SELECT number, envelope FROM letter WHERE mailbox = ? AND number > ? ORDER BY number LIMIT ?",
    )?;
    let letters = letters
        .query_map((mailbox.id, column(after), column(most as u64)), |row| Ok((number(row.get(0)?), row.get(1)?)))?;
    letters.collect()
}

pub(super) fn acknowledge(db: &Connection, to: Mailbox, up_to: u64) -> rusqlite::Result<()> {
    let Some(mailbox) = find(db, to)? else { return Ok(()) };
    let up_to = column(up_to);
    let mut freed = db.prepare_cached(
        "SELECT count(*), coalesce(sum(length(envelope)), 0) FROM letter WHERE mailbox = ? AND number <= ?",
    )?;
    let (letters, bytes): (i64, i64) = freed.query_row((mailbox.id, up_to), |row| Ok((row.get(0)?, row.get(1)?)))?;
    if letters == 0 {
        return Ok(());
    }
    db.prepare_cached("DELETE FROM letter WHERE mailbox = ? AND number <= ?")?.execute((mailbox.id, up_to))?;
    give_back(db, mailbox.id, letters, bytes)
}

fn give_back(db: &Connection, mailbox: i64, letters: i64, bytes: i64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE mailbox SET bytes = bytes - ?, letters = letters - ? WHERE id = ?")?
        .execute((bytes, letters, mailbox))?;
    Ok(())
}

pub(super) fn drop_mailbox(db: &Connection, to: Mailbox) -> rusqlite::Result<()> {
    let Some(mailbox) = find(db, to)? else { return Ok(()) };
    for sql in [
        "DELETE FROM seen WHERE sender IN (SELECT id FROM sender WHERE mailbox = ?)",
        "DELETE FROM sender WHERE mailbox = ?",
        "DELETE FROM letter WHERE mailbox = ?",
        "DELETE FROM mailbox WHERE id = ?",
    ] {
        db.prepare_cached(sql)?.execute([mailbox.id])?;
    }
    Ok(())
}

/// Drops at most `most` old letters, and says whether there may be more.
pub(super) fn drop_some_before(db: &Connection, oldest: u64, most: usize) -> rusqlite::Result<bool> {
    let mut old =
        db.prepare_cached("SELECT rowid, mailbox, length(envelope) FROM letter WHERE at < ? ORDER BY at LIMIT ?")?;
    let old =
        old.query_map((column(oldest), column(most as u64)), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let old: Vec<(i64, i64, i64)> = old.collect::<Result<_, _>>()?;
    let mut delete = db.prepare_cached("DELETE FROM letter WHERE rowid = ?")?;
    for (letter, mailbox, bytes) in &old {
        delete.execute([letter])?;
        give_back(db, *mailbox, 1, *bytes)?;
    }
    if old.is_empty() {
        // Nothing to do: pages that acknowledgements freed go back to the disk.
        shrink(db, 256)?;
    }
    Ok(old.len() >= most)
}
