//! A chunk of history: records, compressed, padded, sealed under a key of its own (docs/protocol.md, "History").

use pairlight_wire::sync::{ChunkRecords, SyncRecord};
use pairlight_wire::{List, Wire};

use super::{SyncError, padded};
use crate::crypto::aead::OneShotKey;
use crate::crypto::kdf::{KdfLabel, derive};
use crate::store::compression;

/// Most bytes of encoded records in one chunk, one more record not counted.
pub(super) const CHUNK_BYTES: usize = 512 * 1024;
/// Longest thing that a chunk may unpack to.
const UNPACKED_BYTES: usize = 4 * 1024 * 1024;

/// Names one chunk of one history.
pub(super) struct ChunkName<'a> {
    pub(super) history: &'a [u8; 16],
    pub(super) key: &'a [u8; 32],
    pub(super) index: u64,
    pub(super) total: u64,
}

impl ChunkName<'_> {
    fn index(&self) -> [u8; 4] {
        u32::try_from(self.index).unwrap_or(u32::MAX).to_be_bytes()
    }

    fn key(&self) -> OneShotKey {
        OneShotKey::new(*derive(self.history, self.key, KdfLabel::HistoryChunk, &self.index()))
    }

    fn aad(&self) -> Vec<u8> {
        let total = u32::try_from(self.total).unwrap_or(u32::MAX);
        [self.history.as_slice(), &self.index(), &total.to_be_bytes()].concat()
    }
}

/// Packs and seals.
pub(super) fn seal(name: &ChunkName<'_>, records: Vec<SyncRecord>) -> Result<Vec<u8>, SyncError> {
    let records = List::new(records).map_err(|_| SyncError::Damaged)?;
    let packed = compression::compress(&ChunkRecords { records }.encode()).ok_or(SyncError::Damaged)?;
    padded::seal(name.key(), &name.aad(), &packed)
}

/// Opens and unpacks.
///
/// # Errors
/// [`SyncError::Protocol`] for anything that was not sealed as this chunk.
pub(super) fn open(name: &ChunkName<'_>, sealed: &[u8]) -> Result<Vec<SyncRecord>, SyncError> {
    let packed = padded::open(name.key(), &name.aad(), sealed)?;
    let unpacked = compression::decompress(&packed, UNPACKED_BYTES).ok_or(SyncError::Protocol)?;
    let chunk = ChunkRecords::decode(&unpacked).map_err(|_| SyncError::Protocol)?;
    Ok(chunk.records.into_vec())
}

#[cfg(test)]
mod tests {
    use super::padded::PADDING;
    use super::*;
    use pairlight_wire::id::DeviceId;
    use pairlight_wire::{Bytes, Text};

    fn records(count: u64) -> Vec<SyncRecord> {
        let record = |n: u64| SyncRecord {
            collection: Text::truncated("message"),
            id: Bytes::new(n.to_be_bytes().to_vec()).unwrap(),
            clock: n,
            device: DeviceId([1; 16]),
            content: None,
        };
        (0..count).map(record).collect()
    }

    #[test]
    fn a_chunk_opens_under_its_own_name_only_and_is_padded() {
        let name = |index, total| ChunkName { history: &[1; 16], key: &[2; 32], index, total };
        let sealed = seal(&name(0, 9), records(100)).unwrap();
        assert_eq!((sealed.len() - 16) % PADDING, 0);
        assert_eq!(open(&name(0, 9), &sealed).unwrap(), records(100));
        assert!(open(&name(1, 9), &sealed).is_err());
        assert!(open(&name(0, 8), &sealed).is_err());
        assert!(open(&name(0, 9), &sealed[..sealed.len() - 1]).is_err());
        assert_eq!(seal(&name(0, 9), records(100)).unwrap(), sealed, "the same records give the same bytes");
    }
}
