//! Rows in an SQLite file: the statements, and nothing else.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::StoreError;
use super::database::from_sqlite;
use super::rows::{ReadRows, RecordRow, Seen, WriteRows};
use super::seal::ROW_ID_LEN;

const PUT_ROW: &str = "INSERT INTO record (kind, row_id, sealed) VALUES (?1, ?2, ?3)
    ON CONFLICT (kind, row_id) DO UPDATE SET sealed = excluded.sealed";
const DELETE_ROW: &str = "DELETE FROM record WHERE kind = ?1 AND row_id = ?2";
const GET_ROW: &str = "SELECT sealed FROM record WHERE kind = ?1 AND row_id = ?2";
const LIST_ROWS: &str = "SELECT row_id, sealed FROM record WHERE kind = ?1";

const GET: &str = "SELECT change, row_id, place, rank, sealed FROM sync_record WHERE row_id = ?1";
const AFTER: &str =
    "SELECT change, row_id, place, rank, sealed FROM sync_record WHERE change > ?1 ORDER BY change LIMIT ?2";
const IN_PLACE: &str = "SELECT change, row_id, place, rank, sealed FROM sync_record
    WHERE place = ?1 AND rank IS NOT NULL AND rank <= ?2 AND (rank < ?2 OR change < ?3)
    ORDER BY rank DESC, change DESC LIMIT ?4";
const BY_RANK: &str = "SELECT change, row_id, place, rank, sealed FROM sync_record
    WHERE rank IS NOT NULL AND rank <= ?1 AND (rank < ?1 OR change < ?2) AND rank >= ?3
    ORDER BY rank DESC, change DESC LIMIT ?4";
const GONE: &str = "SELECT change, row_id, place, rank, sealed FROM sync_record
    WHERE rank IS NULL AND change <= ?1 ORDER BY change LIMIT ?2";
// The number is given, not taken: a row that is refused would use one up, and the writer could not know the next.
const INSERT: &str = "INSERT INTO sync_record (row_id, place, rank, sealed, change) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (row_id) DO NOTHING";
const DELETE: &str = "DELETE FROM sync_record WHERE row_id = ?1";
const DELETE_CHANGE: &str = "DELETE FROM sync_record WHERE change = ?1";
const REPLACE: &str = "UPDATE sync_record SET row_id = ?2, place = ?3, rank = ?4, sealed = ?5 WHERE change = ?1";

/// The statements on a connection, or on the transaction that is open on it.
pub(super) struct Sql<'c> {
    conn: &'c Connection,
    /// For the words of an error.
    path: &'c Path,
}

fn record_row(row: &Row<'_>) -> rusqlite::Result<RecordRow> {
    let change: i64 = row.get(0)?;
    Ok(RecordRow {
        change: change.unsigned_abs(),
        row_id: row.get(1)?,
        place: row.get(2)?,
        rank: row.get(3)?,
        sealed: row.get(4)?,
    })
}

fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl<'c> Sql<'c> {
    pub(super) fn new(conn: &'c Connection, path: &'c Path) -> Self {
        Self { conn, path }
    }

    fn sorted<T>(&self, outcome: rusqlite::Result<T>) -> Result<T, StoreError> {
        outcome.map_err(|error| from_sqlite(&error, self.path))
    }

    fn execute(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        self.sorted(self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute(params)))
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let found = self.conn.prepare_cached(sql).and_then(|mut found| found.query_row(params, read).optional());
        self.sorted(found)
    }

    fn many(&self, sql: &str, params: impl Params) -> Result<Vec<RecordRow>, StoreError> {
        let query = || self.conn.prepare_cached(sql)?.query_map(params, record_row)?.collect();
        self.sorted(query())
    }
}

impl ReadRows for Sql<'_> {
    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.one("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
    }

    fn row(&self, kind: i64, row_id: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.one(GET_ROW, params![kind, row_id], |row| row.get(0))
    }

    fn walk(&self, kind: i64, visit: &mut dyn FnMut(Seen<'_>)) -> Result<(), StoreError> {
        let mut walk = || {
            let mut statement = self.conn.prepare_cached(LIST_ROWS)?;
            let mut rows = statement.query([kind])?;
            while let Some(row) = rows.next()? {
                let (row_id, sealed) = (row.get_ref(0)?, row.get_ref(1)?);
                visit(row_id.as_blob().ok().zip(sealed.as_blob().ok()));
            }
            Ok(())
        };
        self.sorted(walk())
    }

    fn row_ids(&self, kind: i64) -> Result<Vec<Vec<u8>>, StoreError> {
        let query = || {
            let mut statement = self.conn.prepare_cached("SELECT row_id FROM record WHERE kind = ?1")?;
            statement.query_map([kind], |row| row.get(0))?.collect()
        };
        self.sorted(query())
    }

    fn count_rows(&self) -> Result<i64, StoreError> {
        Ok(self.one("SELECT count(*) FROM record", [], |row| row.get(0))?.unwrap_or(0))
    }

    fn record(&self, row_id: &[u8; ROW_ID_LEN]) -> Result<Option<RecordRow>, StoreError> {
        self.one(GET, [row_id], record_row)
    }

    fn records_after(&self, change: u64, limit: usize) -> Result<Vec<RecordRow>, StoreError> {
        self.many(AFTER, params![column(change), rows(limit)])
    }

    fn records_in(&self, place: i64, rank: i64, change: u64, limit: usize) -> Result<Vec<RecordRow>, StoreError> {
        self.many(IN_PLACE, params![place, rank, column(change), rows(limit)])
    }

    fn records_by_rank(&self, rank: i64, change: u64, least: i64, limit: usize) -> Result<Vec<RecordRow>, StoreError> {
        self.many(BY_RANK, params![rank, column(change), least, rows(limit)])
    }

    fn tombstones(&self, up_to: u64, limit: usize) -> Result<Vec<RecordRow>, StoreError> {
        self.many(GONE, params![column(up_to), rows(limit)])
    }

    fn last_change(&self) -> Result<u64, StoreError> {
        let last = "SELECT seq FROM sqlite_sequence WHERE name = 'sync_record'";
        Ok(self.one(last, [], |row| row.get::<_, i64>(0))?.unwrap_or(0).unsigned_abs())
    }

    fn count_records(&self, least: i64, up_to: u64) -> Result<u64, StoreError> {
        let count = "SELECT count(*) FROM sync_record WHERE rank IS NOT NULL AND rank >= ?1 AND change <= ?2";
        let found = self.one(count, params![least, column(up_to)], |row| row.get::<_, i64>(0))?;
        Ok(found.unwrap_or(0).unsigned_abs())
    }
}

impl WriteRows for Sql<'_> {
    fn put_meta(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)", params![name, value]).map(drop)
    }

    fn put_row(&mut self, kind: i64, row_id: &[u8], sealed: Option<&[u8]>) -> Result<(), StoreError> {
        match sealed {
            Some(sealed) => self.execute(PUT_ROW, params![kind, row_id, sealed]),
            None => self.execute(DELETE_ROW, params![kind, row_id]),
        }
        .map(drop)
    }

    fn insert_record(&mut self, row: &RecordRow) -> Result<bool, StoreError> {
        let params = params![row.row_id, row.place, row.rank, row.sealed, column(row.change)];
        Ok(self.execute(INSERT, params)? == 1)
    }

    fn replace_record(&mut self, row: &RecordRow) -> Result<(), StoreError> {
        let params = params![column(row.change), row.row_id, row.place, row.rank, row.sealed];
        self.execute(REPLACE, params).map(drop)
    }

    fn delete_record(&mut self, row_id: &[u8; ROW_ID_LEN]) -> Result<(), StoreError> {
        self.execute(DELETE, [row_id]).map(drop)
    }

    fn delete_change(&mut self, change: u64) -> Result<(), StoreError> {
        self.execute(DELETE_CHANGE, [column(change)]).map(drop)
    }

    fn delete_all(&mut self) -> Result<(), StoreError> {
        self.sorted(self.conn.execute_batch("DELETE FROM record; DELETE FROM sync_record"))
    }

    fn reindex(&mut self) -> Result<(), StoreError> {
        self.sorted(self.conn.execute_batch("REINDEX"))
    }
}
