//! Rows in an SQLite file: the statements, and nothing else.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::StoreError;
use super::database::from_sqlite;
use super::rows::{Entry, EntryCounts, OldRecord, Pack, Ranked, ReadRows, Seen, Spot, WriteRows};

const PUT_ROW: &str = "INSERT INTO record (kind, row_id, sealed) VALUES (?1, ?2, ?3)
    ON CONFLICT (kind, row_id) DO UPDATE SET sealed = excluded.sealed";
const DELETE_ROW: &str = "DELETE FROM record WHERE kind = ?1 AND row_id = ?2";
const GET_ROW: &str = "SELECT sealed FROM record WHERE kind = ?1 AND row_id = ?2";
const LIST_ROWS: &str = "SELECT row_id, sealed FROM record WHERE kind = ?1";

const PACK_AT: &str = "SELECT pack, sealed FROM pack WHERE pack <= ?1 ORDER BY pack DESC LIMIT 1";
const PACKS_FROM: &str = "SELECT pack, sealed FROM pack WHERE pack >= ?1 ORDER BY pack LIMIT ?2";
const LAST_PACKS: &str = "SELECT pack, sealed FROM pack ORDER BY pack DESC";
const PUT_PACK: &str = "INSERT INTO pack (pack, sealed) VALUES (?1, ?2)
    ON CONFLICT (pack) DO UPDATE SET sealed = excluded.sealed";
const DELETE_PACK: &str = "DELETE FROM pack WHERE pack = ?1";

/// By hash, by place, by rank, and of tombstones.
const PUT_ENTRY: [&str; 4] = [
    "INSERT OR IGNORE INTO new_hash (hash, change) VALUES (?1, ?2)",
    "INSERT OR IGNORE INTO by_place (place, rank, change) VALUES (?1, ?2, ?3)",
    "INSERT OR IGNORE INTO by_rank (rank, change) VALUES (?1, ?2)",
    "INSERT OR IGNORE INTO gone (change) VALUES (?1)",
];
const DELETE_ENTRY: [&str; 4] = [
    "DELETE FROM new_hash WHERE hash = ?1 AND change = ?2",
    "DELETE FROM by_place WHERE place = ?1 AND rank = ?2 AND change = ?3",
    "DELETE FROM by_rank WHERE rank = ?1 AND change = ?2",
    "DELETE FROM gone WHERE change = ?1",
];

const DELETE_SORTED: &str = "DELETE FROM by_hash WHERE hash = ?1 AND change = ?2";
const SORT_IN: &str =
    "INSERT OR IGNORE INTO by_hash (hash, change) SELECT hash, change FROM new_hash ORDER BY hash, change;
    DELETE FROM new_hash";

const OF_HASH: &str = "SELECT change FROM by_hash WHERE hash = ?1 UNION SELECT change FROM new_hash WHERE hash = ?1
    ORDER BY change";
const IN_PLACE: &str = "SELECT rank, change FROM by_place
    WHERE place = ?1 AND rank <= ?2 AND (rank < ?2 OR change < ?3) ORDER BY rank DESC, change DESC LIMIT ?4";
const BY_RANK: &str = "SELECT rank, change FROM by_rank
    WHERE rank <= ?1 AND (rank < ?1 OR change < ?2) AND rank >= ?3 ORDER BY rank DESC, change DESC LIMIT ?4";
const GONE: &str = "SELECT change FROM gone WHERE change <= ?1 ORDER BY change LIMIT ?2";
const COUNT_ALL: &str = "SELECT count(*) FROM by_rank";
const COUNT: &str = "SELECT count(*) FROM by_rank WHERE rank >= ?1 AND change <= ?2";
const HAS_ENTRY: &str = "SELECT (EXISTS (SELECT 1 FROM by_hash WHERE hash = ?1 AND change = ?2)
    OR EXISTS (SELECT 1 FROM new_hash WHERE hash = ?1 AND change = ?2))
    AND (?3 IS NULL OR EXISTS (SELECT 1 FROM by_place WHERE place = ?3 AND rank = ?4 AND change = ?2))
    AND (?3 IS NULL OR EXISTS (SELECT 1 FROM by_rank WHERE rank = ?4 AND change = ?2))
    AND (?3 IS NOT NULL OR EXISTS (SELECT 1 FROM gone WHERE change = ?2))";
const COUNT_ENTRIES: &str =
    "SELECT (SELECT count(*) FROM by_hash) + (SELECT count(*) FROM new_hash), (SELECT count(*) FROM by_place),
    (SELECT count(*) FROM by_rank), (SELECT count(*) FROM gone)";
const OLD_LAST: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'sync_record'";
const OLD: &str = "SELECT change, row_id, sealed FROM sync_record WHERE change > ?1 ORDER BY change LIMIT ?2";

/// The statements on a connection, or on the transaction that is open on it.
pub(super) struct Sql<'c> {
    conn: &'c Connection,
    /// For the words of an error.
    path: &'c Path,
}

fn pack(row: &Row<'_>) -> rusqlite::Result<Pack> {
    Ok((number(row, 0)?, row.get(1)?))
}

fn ranked(row: &Row<'_>) -> rusqlite::Result<Ranked> {
    Ok((row.get(0)?, number(row, 1)?))
}

fn number(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(index)?.unsigned_abs())
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

    fn many<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let query = || self.conn.prepare_cached(sql)?.query_map(params, read)?.collect();
        self.sorted(query())
    }

    /// Adds an entry to the indexes, or takes it out.
    fn set_entry(&self, entry: &Entry, [hashes, places, ranks, gone]: [&str; 4]) -> Result<(), StoreError> {
        let change = column(entry.change);
        self.execute(hashes, [entry.hash, change])?;
        match entry.spot {
            Some(Spot { place, rank }) => {
                self.execute(places, [place, rank, change])?;
                self.execute(ranks, [rank, change])
            }
            None => self.execute(gone, [change]),
        }
        .map(drop)
    }

    fn changes(&self, sql: &str, params: impl Params) -> Result<Vec<u64>, StoreError> {
        self.many(sql, params, |row| number(row, 0))
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

    fn pack_at(&self, change: u64) -> Result<Option<Pack>, StoreError> {
        self.one(PACK_AT, [column(change)], pack)
    }

    fn packs_from(&self, number: u64, limit: usize) -> Result<Vec<Pack>, StoreError> {
        self.many(PACKS_FROM, params![column(number), rows(limit)], pack)
    }

    fn last_packs(&self, visit: &mut dyn FnMut(u64, &[u8]) -> bool) -> Result<(), StoreError> {
        let mut walk = || {
            let mut statement = self.conn.prepare_cached(LAST_PACKS)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                if !visit(number(row, 0)?, row.get_ref(1)?.as_blob()?) {
                    break;
                }
            }
            Ok(())
        };
        self.sorted(walk())
    }

    fn changes_of(&self, hash: i64) -> Result<Vec<u64>, StoreError> {
        self.changes(OF_HASH, [hash])
    }

    fn changes_in(&self, spot: Spot, change: u64, limit: usize) -> Result<Vec<Ranked>, StoreError> {
        self.many(IN_PLACE, params![spot.place, spot.rank, column(change), rows(limit)], ranked)
    }

    fn changes_by_rank(&self, rank: i64, change: u64, least: i64, limit: usize) -> Result<Vec<Ranked>, StoreError> {
        self.many(BY_RANK, params![rank, column(change), least, rows(limit)], ranked)
    }

    fn tombstones(&self, up_to: u64, limit: usize) -> Result<Vec<u64>, StoreError> {
        self.changes(GONE, params![column(up_to), rows(limit)])
    }

    fn count_records(&self, least: i64, up_to: u64) -> Result<u64, StoreError> {
        let found = match (least, up_to) {
            (i64::MIN, u64::MAX) => self.one(COUNT_ALL, [], |row| number(row, 0))?,
            _ => self.one(COUNT, params![least, column(up_to)], |row| number(row, 0))?,
        };
        Ok(found.unwrap_or(0))
    }

    fn has_entry(&self, entry: &Entry) -> Result<bool, StoreError> {
        let (place, rank) = (entry.spot.map(|spot| spot.place), entry.spot.map(|spot| spot.rank));
        let params = params![entry.hash, column(entry.change), place, rank];
        Ok(self.one(HAS_ENTRY, params, |row| row.get(0))?.unwrap_or(false))
    }

    fn count_entries(&self) -> Result<EntryCounts, StoreError> {
        let counts = |row: &Row<'_>| {
            let (hashes, places, ranks) = (number(row, 0)?, number(row, 1)?, number(row, 2)?);
            Ok(EntryCounts { hashes, places, ranks, gone: number(row, 3)? })
        };
        Ok(self.one(COUNT_ENTRIES, [], counts)?.unwrap_or_default())
    }

    fn old_last_change(&self) -> Result<u64, StoreError> {
        Ok(self.one(OLD_LAST, [], |row| number(row, 0))?.unwrap_or(0))
    }

    fn old_records(&self, change: u64, limit: usize) -> Result<Vec<OldRecord>, StoreError> {
        self.many(OLD, params![column(change), rows(limit)], |row| Ok((number(row, 0)?, row.get(1)?, row.get(2)?)))
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

    fn put_pack(&mut self, number: u64, sealed: Option<&[u8]>) -> Result<(), StoreError> {
        match sealed {
            Some(sealed) => self.execute(PUT_PACK, params![column(number), sealed]),
            None => self.execute(DELETE_PACK, [column(number)]),
        }
        .map(drop)
    }

    fn put_entry(&mut self, entry: &Entry) -> Result<(), StoreError> {
        self.set_entry(entry, PUT_ENTRY)
    }

    fn delete_entry(&mut self, entry: &Entry) -> Result<(), StoreError> {
        self.execute(DELETE_SORTED, [entry.hash, column(entry.change)])?;
        self.set_entry(entry, DELETE_ENTRY)
    }

    fn sort_in(&mut self) -> Result<(), StoreError> {
        self.sorted(self.conn.execute_batch(SORT_IN))
    }

    fn delete_entries(&mut self) -> Result<(), StoreError> {
        let all =
            "DELETE FROM by_hash; DELETE FROM new_hash; DELETE FROM by_place; DELETE FROM by_rank; DELETE FROM gone";
        self.sorted(self.conn.execute_batch(all))
    }

    fn delete_old(&mut self) -> Result<(), StoreError> {
        self.sorted(self.conn.execute_batch("DROP TABLE sync_record"))
    }

    fn delete_all(&mut self) -> Result<(), StoreError> {
        self.sorted(self.conn.execute_batch("DELETE FROM record; DELETE FROM pack"))?;
        self.delete_entries()
    }
}
