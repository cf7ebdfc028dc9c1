//! The format of the file and how an older one becomes the present one.

use rusqlite::{Connection, Transaction};

/// Marks the file as ours (`PRAGMA application_id`, "PLnk"). Registered nowhere; `file(1)` shows it.
pub(super) const APPLICATION_ID: i64 = 0x504c_6e6b;

/// Step `n` leads from format `n` to format `n + 1`. A step that was released is never changed; a new format is a new step at the end.
pub(super) const MIGRATIONS: &[&str] = &[
    // 1: `kind` is the table's number. The row id is a keyed hash, so the clustered order tells nothing.
    "CREATE TABLE meta (
         name TEXT NOT NULL PRIMARY KEY,
         value BLOB NOT NULL
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE record (
         kind INTEGER NOT NULL,
         row_id BLOB NOT NULL CHECK (length(row_id) = 16),
         sealed BLOB NOT NULL,
         PRIMARY KEY (kind, row_id)
     ) STRICT, WITHOUT ROWID;",
    // 2: records that are kept in step. `change` counts what this device learned, in that order, and is never used twice;
    // `place` is a keyed hash of collection and group, `rank` the record's order plus a secret: both NULL for a tombstone.
    "CREATE TABLE sync_record (
         change INTEGER PRIMARY KEY AUTOINCREMENT,
         row_id BLOB NOT NULL UNIQUE CHECK (length(row_id) = 16),
         place INTEGER,
         rank INTEGER,
         sealed BLOB NOT NULL
     ) STRICT;
     CREATE INDEX sync_place ON sync_record (place, rank) WHERE rank IS NOT NULL;
     CREATE INDEX sync_rank ON sync_record (rank) WHERE rank IS NOT NULL;
     CREATE INDEX sync_gone ON sync_record (change) WHERE rank IS NULL;",
    // 3: records lie in packs, many sealed as one. A pack has the number of the position of the log at which it begins, and
    // reaches to where the next begins. The indexes give positions. What was in `sync_record` is moved by whoever has the
    // key, in the same transaction.
    "CREATE TABLE pack (pack INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
     CREATE TABLE by_hash (
         hash INTEGER NOT NULL, change INTEGER NOT NULL, PRIMARY KEY (hash, change)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE by_place (
         place INTEGER NOT NULL, rank INTEGER NOT NULL, change INTEGER NOT NULL, PRIMARY KEY (place, rank, change)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE by_rank (
         rank INTEGER NOT NULL, change INTEGER NOT NULL, PRIMARY KEY (rank, change)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE gone (change INTEGER PRIMARY KEY) STRICT;
     DROP INDEX sync_place; DROP INDEX sync_rank; DROP INDEX sync_gone;",
    // 4: hashes are in no order, so each new one changes a page of its own. They are gathered here first, and sorted into
    // `by_hash` when there are many.
    "CREATE TABLE new_hash (
         hash INTEGER NOT NULL, change INTEGER NOT NULL, PRIMARY KEY (hash, change)
     ) STRICT, WITHOUT ROWID;",
];

/// The first format with packs: an older one keeps each record in a row of its own.
pub(super) const PACKS: i64 = 3;

/// What a file turned out to be before anything in it was changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// No table in it: new, or its creation was cut off.
    Empty,
    /// Ours, of this format number (1 or more).
    Ours(i64),
    /// Somebody else's.
    Foreign,
}

/// Reads what the file says about itself.
pub(super) fn format_of(conn: &Connection) -> rusqlite::Result<Format> {
    let number = |pragma: &str| conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (application, version) {
        (0, 0) if tables == 0 => Format::Empty,
        (APPLICATION_ID, 1..) => Format::Ours(version),
        _ => Format::Foreign,
    })
}

/// Newest format that this program reads and writes.
pub(super) const SUPPORTED: i64 = {
    assert!(MIGRATIONS.len() < 1 << 16, "a format number is small");
    MIGRATIONS.len() as i64
};

/// Brings the file from format `found` to the newest of `steps`, inside the caller's transaction. Does nothing when it is there or ahead.
pub(super) fn migrate(tx: &Transaction<'_>, found: i64, steps: &[&str]) -> rusqlite::Result<()> {
    for (number, step) in (1_i64..).zip(steps) {
        if number > found {
            tx.execute_batch(step)?;
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.pragma_update(None, "user_version", number)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[&str] =
        &["CREATE TABLE a (x INTEGER) STRICT;", "ALTER TABLE a ADD COLUMN y INTEGER NOT NULL DEFAULT 5;"];

    fn run(conn: &mut Connection, found: i64, steps: &[&str]) -> rusqlite::Result<()> {
        let tx = conn.transaction()?;
        migrate(&tx, found, steps)?;
        tx.commit()
    }

    #[test]
    fn an_older_format_is_brought_up_and_keeps_its_rows() {
        let mut conn = Connection::open_in_memory().unwrap();
        assert_eq!(format_of(&conn).unwrap(), Format::Empty);
        run(&mut conn, 0, &STEPS[..1]).unwrap();
        assert_eq!(format_of(&conn).unwrap(), Format::Ours(1));
        conn.execute("INSERT INTO a VALUES (3)", []).unwrap();
        run(&mut conn, 1, STEPS).unwrap();
        assert_eq!(format_of(&conn).unwrap(), Format::Ours(2));
        let row: (i64, i64) = conn.query_row("SELECT x, y FROM a", [], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
        assert_eq!(row, (3, 5));
        run(&mut conn, 2, STEPS).unwrap();
    }

    #[test]
    fn a_failing_step_leaves_the_older_format_untouched() {
        let mut conn = Connection::open_in_memory().unwrap();
        run(&mut conn, 0, &STEPS[..1]).unwrap();
        let broken = [STEPS[0], STEPS[1], "CREATE TABLE a (again INTEGER);"];
        run(&mut conn, 1, &broken).unwrap_err();
        assert_eq!(format_of(&conn).unwrap(), Format::Ours(1));
        conn.execute("INSERT INTO a VALUES (3)", []).unwrap();
    }
}
