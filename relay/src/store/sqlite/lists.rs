//! Signed lists and the certificates of ops keys.

use pairlight_wire::Wire;
use pairlight_wire::id::AccountId;
use pairlight_wire::sign::Signed;
use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension, Row};

use super::super::{Head, NewList, OPS_KEPT, StoredList};
use super::column;

pub(super) const SCHEMA: &str = "
    CREATE TABLE list (
        account BLOB NOT NULL, epoch INTEGER NOT NULL, list BLOB NOT NULL, ops BLOB NOT NULL,
        UNIQUE (account, epoch)
    ) STRICT;
    -- The newest has the highest nth.
    CREATE TABLE ops (
        account BLOB NOT NULL, nth INTEGER NOT NULL, certificate BLOB NOT NULL,
        UNIQUE (account, nth)
    ) STRICT;
    -- The recovery key that the newest list of an account names; of two accounts, the first that named it.
    CREATE TABLE recovery (key BLOB PRIMARY KEY, account BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX recovery_account ON recovery (account);";

fn signed(row: &Row<'_>, at: usize) -> rusqlite::Result<Signed> {
    let bytes = row.get_ref(at)?.as_blob()?;
    Signed::decode(bytes).map_err(|error| Error::FromSqlConversionFailure(at, Type::Blob, error.into()))
}

pub(super) fn head(db: &Connection, account: AccountId) -> rusqlite::Result<Option<Head>> {
    let mut newest = db.prepare_cached("SELECT list, ops FROM list WHERE account = ? ORDER BY epoch DESC LIMIT 1")?;
    let newest =
        newest.query_row([account.as_bytes()], |row| Ok(StoredList { list: signed(row, 0)?, ops: signed(row, 1)? }));
    let Some(newest) = newest.optional()? else { return Ok(None) };
    let mut ops = db.prepare_cached("SELECT certificate FROM ops WHERE account = ? ORDER BY nth DESC")?;
    let ops = ops.query_map([account.as_bytes()], |row| signed(row, 0))?.collect::<Result<_, _>>()?;
    Ok(Some(Head { newest, ops }))
}

pub(super) fn lists(db: &Connection, account: AccountId, from: u64, most: usize) -> rusqlite::Result<Vec<Signed>> {
    let mut found =
        db.prepare_cached("SELECT list FROM list WHERE account = ? AND epoch >= ? ORDER BY epoch LIMIT ?")?;
    let found = found.query_map((account.as_bytes(), column(from), column(most as u64)), |row| signed(row, 0))?;
    found.collect()
}

pub(super) fn append(db: &Connection, new: &NewList) -> rusqlite::Result<bool> {
    let account = new.account.as_bytes();
    let mut newest = db.prepare_cached("SELECT max(epoch) FROM list WHERE account = ?")?;
    let newest: Option<i64> = newest.query_row([account], |row| row.get(0))?;
    if newest != new.after.map(column) {
        return Ok(false);
    }
    let mut insert = db.prepare_cached("INSERT INTO list (account, epoch, list, ops) VALUES (?, ?, ?, ?)")?;
    insert.execute((account, column(new.epoch), new.stored.list.encode(), new.stored.ops.encode()))?;
    db.prepare_cached("DELETE FROM list WHERE account = ? AND epoch <= ?")?
        .execute((account, column(new.epoch.saturating_sub(new.kept))))?;
    if new.renews_ops {
        renew_ops(db, account, &new.stored.ops.encode())?;
    }
    db.prepare_cached("DELETE FROM recovery WHERE account = ? AND key IS NOT ?")?.execute((account, new.recovery))?;
    if let Some(key) = new.recovery {
        db.prepare_cached("INSERT INTO recovery (key, account) VALUES (?, ?) ON CONFLICT DO NOTHING")?
            .execute((key, account))?;
    }
    Ok(true)
}

pub(super) fn with_recovery(db: &Connection, key: &[u8; 32]) -> rusqlite::Result<Option<AccountId>> {
    let mut account = db.prepare_cached("SELECT account FROM recovery WHERE key = ?")?;
    account.query_row([key], |row| row.get(0).map(AccountId)).optional()
}

fn renew_ops(db: &Connection, account: &[u8; 16], certificate: &[u8]) -> rusqlite::Result<()> {
    let mut current =
        db.prepare_cached("SELECT nth, certificate FROM ops WHERE account = ? ORDER BY nth DESC LIMIT 1")?;
    let current =
        current.query_row([account], |row| Ok((row.get::<_, i64>(0)?, row.get_ref(1)?.as_blob()? == certificate)));
    let nth = match current.optional()? {
        Some((_, true)) => return Ok(()),
        Some((nth, false)) => nth.saturating_add(1),
        None => 1,
    };
    db.prepare_cached("DELETE FROM ops WHERE account = ? AND certificate = ?")?.execute((account, certificate))?;
    db.prepare_cached("INSERT INTO ops (account, nth, certificate) VALUES (?, ?, ?)")?.execute((
        account,
        nth,
        certificate,
    ))?;
    let keep = column(OPS_KEPT as u64);
    let mut oldest = db.prepare_cached(
        "DELETE FROM ops WHERE account = ?1 AND nth NOT IN
             (SELECT nth FROM ops WHERE account = ?1 ORDER BY nth DESC LIMIT ?2)",
    )?;
    oldest.execute((account, keep))?;
    Ok(())
}
