//! Files: contents of attachments, sealed in the store in pieces, moved between two devices when one wants them.
//!
//! A file is named by the SHA-256 of its content. What a linked device adds goes to its primary device by itself, because
//! the others get everything from there; a linked device gets what it asks for. Whoever wants a file asks for the next
//! pieces until it has all of them, so a transfer goes on where it was whatever is killed when.

use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::file::{
    FILE_BYTES, FileHave, FileMessage, FileMissing, FilePiece, FilePieces, FileTell, FileWant, PIECE_BYTES,
    PIECES_AT_ONCE,
};
use pairlight_wire::hash::Sha256Stream;
use pairlight_wire::id::DeviceId;
use pairlight_wire::{List, Wire, record};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::turn::Turn;
use super::{Replica, SyncError, SyncEvent, SyncRole};
use super::{padded, peer};
use crate::crypto::aead::OneShotKey;
use crate::crypto::kdf::{KdfLabel, derive};
use crate::crypto::random;
use crate::store::{Batch, Store, Table};

/// Asked again after this time without an answer, ms.
const ASK_AGAIN_MS: u64 = 60_000;
/// What was begun and never finished is removed after this time, ms.
const DRAFT_MS: u64 = 24 * 3_600_000;

record! {
    /// What is known of a file.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(super) struct StoredFile [1] {
        /// Names its pieces in the store.
        pub(super) content: [u8; 16],
        /// Its length, bytes.
        pub(super) size: u64,
        /// Pieces that are here, from the first one on.
        pub(super) stored: u64,
        /// Somebody here waits for the rest.
        pub(super) wanted: bool,
        /// The other side said that it does not have it.
        pub(super) missing: bool,
        /// The primary device is to hear of it.
        pub(super) tell: bool,
        /// Who offered it.
        pub(super) source: Option<DeviceId>,
        /// When it was asked for last, or begun; ms since 1970.
        pub(super) at: u64,
    }
}

impl StoredFile {
    /// Whether all of it is here.
    fn is_here(&self) -> bool {
        self.stored >= pieces_of(self.size) && !self.wanted
    }

    fn unknown(size: u64, rng: &mut impl CryptoRng) -> Self {
        let content = random(rng);
        Self { content, size, stored: 0, wanted: false, missing: false, tell: false, source: None, at: 0 }
    }
}

/// A file on this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileInfo {
    /// SHA-256 of its content: its name.
    pub hash: [u8; 32],
    /// Its length, bytes.
    pub size: u64,
    /// How much of it is here, bytes.
    pub stored: u64,
    /// Whether it is on its way, or asked for.
    pub is_wanted: bool,
    /// The device that was asked does not have it (any more, or yet).
    pub is_missing: bool,
    /// On a linked device: the primary device has not said yet that it has it.
    pub is_owed: bool,
}

impl FileInfo {
    /// Whether all of it is here.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.stored == self.size && !self.is_wanted
    }

    fn of(hash: &[u8; 32], file: &StoredFile) -> Self {
        let stored = file.stored.saturating_mul(PIECE_BYTES as u64).min(file.size);
        let (is_wanted, is_missing, is_owed) = (file.wanted, file.missing, file.tell);
        Self { hash: *hash, size: file.size, stored, is_wanted, is_missing, is_owed }
    }
}

/// Pieces that another device waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOrder {
    /// Who.
    pub to: DeviceId,
    /// Of which file.
    pub hash: [u8; 32],
    /// From this piece on.
    pub first: u64,
    /// How many.
    pub count: u64,
}

/// A sealed piece for the relay.
pub struct SealedPiece {
    /// The blob to put it in.
    pub blob: [u8; 32],
    /// Its bytes.
    pub bytes: Vec<u8>,
    index: u64,
}

/// Takes a new file bit by bit. Dropped before [`FileWriter::finish`] it leaves nothing but a draft that is removed later.
pub struct FileWriter {
    content: [u8; 16],
    hash: Sha256Stream,
    waiting: Zeroizing<Vec<u8>>,
    pieces: u64,
    size: u64,
    began: u64,
}

fn too_large(size: u64) -> SyncError {
    let fits = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    SyncError::TooLarge { what: "content", len: fits(size), limit: fits(FILE_BYTES) }
}

fn pieces_of(size: u64) -> u64 {
    size.div_ceil(PIECE_BYTES as u64)
}

fn piece_row(content: &[u8; 16], index: u64) -> Vec<u8> {
    [content.as_slice(), &index.to_be_bytes()].concat()
}

fn stored(store: &Store, id: &[u8]) -> Result<Option<StoredFile>, SyncError> {
    let row = store.get(Table::File, id)?;
    row.map(|bytes| StoredFile::decode(&bytes).map_err(|_| SyncError::Damaged)).transpose()
}

/// Writes what is known of a file, and notes it for whoever watches it when that is more than when it was asked for.
fn put(turn: &mut Turn<'_>, hash: &[u8; 32], file: &StoredFile) -> Result<(), SyncError> {
    let before = stored(turn.store, hash)?.map(|before| FileInfo::of(hash, &before));
    if before != Some(FileInfo::of(hash, file)) {
        turn.files.insert(*hash);
    }
    turn.batch.put(Table::File, hash, &file.encode());
    Ok(())
}

fn drop_pieces(batch: &mut Batch, file: &StoredFile) {
    for index in 0..file.stored {
        batch.delete(Table::FilePiece, &piece_row(&file.content, index));
    }
}

/// What is known of a file here; `None`: nothing.
///
/// # Errors
/// [`SyncError::Store`].
pub fn file(store: &Store, hash: &[u8; 32]) -> Result<Option<FileInfo>, SyncError> {
    Ok(stored(store, hash)?.map(|file| FileInfo::of(hash, &file)))
}

/// A piece of a file, 256 KiB or less; `None` behind its end, and where it is not here yet.
///
/// # Errors
/// [`SyncError::Store`].
pub fn file_piece(store: &Store, hash: &[u8; 32], index: u64) -> Result<Option<Zeroizing<Vec<u8>>>, SyncError> {
    let Some(file) = stored(store, hash)? else { return Ok(None) };
    Ok(store.get(Table::FilePiece, &piece_row(&file.content, index))?)
}

impl FileWriter {
    /// Begins a file at a time (ms since 1970), and removes what was begun a day ago and never finished.
    ///
    /// # Errors
    /// [`SyncError::Store`].
    pub fn begin(store: &mut Store, now: u64, rng: &mut impl CryptoRng) -> Result<Self, SyncError> {
        let mut batch = Batch::new();
        for row in store.list(Table::File)? {
            let row = row?;
            let Ok(file) = StoredFile::decode(&row.value) else { continue };
            if row.id.len() == 16 && file.at.saturating_add(DRAFT_MS) < now {
                drop_pieces(&mut batch, &file);
                batch.delete(Table::File, &row.id);
            }
        }
        store.commit(&batch)?;
        let waiting = Zeroizing::new(Vec::new());
        Ok(Self { content: random(rng), hash: Sha256Stream::default(), waiting, pieces: 0, size: 0, began: now })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`SyncError::TooLarge`], [`SyncError::Store`].
    pub fn write(&mut self, store: &mut Store, mut bytes: &[u8]) -> Result<(), SyncError> {
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.size > FILE_BYTES {
            return Err(too_large(self.size));
        }
        self.hash.update(bytes);
        while !bytes.is_empty() {
            let room = PIECE_BYTES.saturating_sub(self.waiting.len());
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.waiting.extend_from_slice(now);
            bytes = later;
            if self.waiting.len() >= PIECE_BYTES {
                self.store_piece(store)?;
            }
        }
        Ok(())
    }

    fn file(&self) -> StoredFile {
        StoredFile {
            content: self.content,
            size: self.size,
            stored: self.pieces,
            wanted: false,
            missing: false,
            tell: false,
            source: None,
            at: self.began,
        }
    }

    fn store_piece(&mut self, store: &mut Store) -> Result<(), SyncError> {
        let mut batch = Batch::new();
        batch.put(Table::FilePiece, &piece_row(&self.content, self.pieces), &self.waiting);
        self.pieces = self.pieces.saturating_add(1);
        batch.put(Table::File, &self.content, &self.file().encode());
        store.commit(&batch)?;
        self.waiting.clear();
        Ok(())
    }

    /// Ends the file; from here on it is one. One that is here already stays as it is.
    ///
    /// # Errors
    /// [`SyncError::Store`].
    pub fn finish(mut self, store: &mut Store) -> Result<FileInfo, SyncError> {
        if !self.waiting.is_empty() {
            self.store_piece(store)?;
        }
        let (draft, mut batch) = (self.file(), Batch::new());
        let hash = self.hash.finish();
        batch.delete(Table::File, &self.content);
        let known = stored(store, &hash)?;
        let file = match known {
            Some(known) if known.is_here() => {
                drop_pieces(&mut batch, &draft);
                known
            }
            known => {
                if let Some(known) = known {
                    drop_pieces(&mut batch, &known);
                }
                // The primary device asks for what it does not have yet.
                let file = StoredFile { tell: true, ..draft };
                batch.put(Table::File, &hash, &file.encode());
                file
            }
        };
        store.commit(&batch)?;
        Ok(FileInfo::of(&hash, &file))
    }
}

fn piece_key(hash: &[u8; 32], key: &[u8; 32], index: u64) -> OneShotKey {
    OneShotKey::new(*derive(hash, key, KdfLabel::FilePiece, &index.to_be_bytes()))
}

fn piece_aad(hash: &[u8; 32], index: u64) -> Vec<u8> {
    [hash.as_slice(), &index.to_be_bytes()].concat()
}

impl Replica {
    /// A file was added: whoever watches it here, and from a linked device its primary device, is to hear of it.
    ///
    /// # Errors
    /// [`SyncError::Store`].
    pub fn tell_file(&self, turn: &mut Turn<'_>, hash: &[u8; 32], rng: &mut impl CryptoRng) -> Result<(), SyncError> {
        turn.files.insert(*hash);
        match stored(turn.store, hash)?.filter(|file| file.tell) {
            Some(mut file) => self.tell(turn, hash, &mut file, rng),
            None => Ok(()),
        }
    }

    fn tell(
        &self,
        turn: &mut Turn<'_>,
        hash: &[u8; 32],
        file: &mut StoredFile,
        rng: &mut impl CryptoRng,
    ) -> Result<(), SyncError> {
        match self.role {
            SyncRole::Primary(_) => file.tell = false,
            SyncRole::Linked => {
                file.at = turn.now.unix_ms();
                for (primary, _) in peer::peers(turn.store)? {
                    post(turn, &primary, FileMessage::Tell(FileTell { hash: *hash, size: file.size }), rng)?;
                }
            }
        }
        put(turn, hash, file)
    }

    /// Wants a file that is not here, or not all of it.
    ///
    /// # Errors
    /// [`SyncError::TooLarge`], [`SyncError::Store`].
    pub fn want_file(
        &self,
        turn: &mut Turn<'_>,
        hash: &[u8; 32],
        size: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<FileInfo, SyncError> {
        if size > FILE_BYTES {
            return Err(too_large(size));
        }
        let known = stored(turn.store, hash)?;
        if let Some(known) = known.as_ref().filter(|known| known.is_here()) {
            return Ok(FileInfo::of(hash, known));
        }
        let mut file = known.unwrap_or_else(|| StoredFile::unknown(size, rng));
        self.begin_to_want(turn, hash, &mut file, rng)?;
        Ok(FileInfo::of(hash, &file))
    }

    fn begin_to_want(
        &self,
        turn: &mut Turn<'_>,
        hash: &[u8; 32],
        file: &mut StoredFile,
        rng: &mut impl CryptoRng,
    ) -> Result<(), SyncError> {
        // Of an empty file nothing is left to ask for.
        file.wanted = file.size != 0;
        file.missing = false;
        if file.wanted {
            self.ask(turn, hash, file, rng)?;
        }
        put(turn, hash, file)
    }

    /// Asks for the next pieces: a linked device its primary, a primary device who offered it, or else everybody.
    fn ask(
        &self,
        turn: &mut Turn<'_>,
        hash: &[u8; 32],
        file: &mut StoredFile,
        rng: &mut impl CryptoRng,
    ) -> Result<(), SyncError> {
        file.at = turn.now.unix_ms();
        let left = pieces_of(file.size).saturating_sub(file.stored);
        let want = FileWant { hash: *hash, first: file.stored, count: left.min(PIECES_AT_ONCE as u64) };
        for device in self.holders(turn, file)? {
            post(turn, &device, FileMessage::Want(want.clone()), rng)?;
        }
        Ok(())
    }

    fn holders(&self, turn: &Turn<'_>, file: &StoredFile) -> Result<Vec<DeviceId>, SyncError> {
        let peers = peer::peers(turn.store)?;
        Ok(match file.source.filter(|source| peers.iter().any(|(device, _)| device == source)) {
            Some(source) => vec![source],
            None => peers.into_iter().map(|(device, _)| device).collect(),
        })
    }

    /// Takes a message about a file.
    pub(super) fn take_file(
        &self,
        turn: &mut Turn<'_>,
        from: &DeviceId,
        body: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Option<SyncEvent>, SyncError> {
        match FileMessage::decode(body).map_err(|_| SyncError::Protocol)? {
            FileMessage::Tell(FileTell { hash, size }) => self.on_tell(turn, from, &hash, size, rng),
            FileMessage::Want(FileWant { hash, first, count }) => {
                let known = stored(turn.store, &hash)?.filter(|file| first < file.stored);
                if known.is_none() {
                    post(turn, from, FileMessage::Missing(FileMissing { hash }), rng)?;
                    return Ok(None);
                }
                if !turn.reaches(from)? {
                    return Ok(None);
                }
                let count = count.min(PIECES_AT_ONCE as u64);
                Ok(Some(SyncEvent::FileOrdered(FileOrder { to: *from, hash, first, count })))
            }
            FileMessage::Pieces(pieces) => {
                let wanted = stored(turn.store, &pieces.hash)?.is_some_and(|file| file.wanted);
                Ok(wanted.then_some(SyncEvent::FileArrived(pieces)))
            }
            FileMessage::Missing(FileMissing { hash }) => {
                let Some(file) = stored(turn.store, &hash)?.filter(|file| file.wanted) else { return Ok(None) };
                let file = StoredFile { missing: true, source: None, ..file };
                put(turn, &hash, &file)?;
                Ok(None)
            }
            FileMessage::Have(FileHave { hash }) => {
                if let Some(file) = stored(turn.store, &hash)? {
                    put(turn, &hash, &StoredFile { tell: false, ..file })?;
                }
                Ok(None)
            }
        }
    }

    fn on_tell(
        &self,
        turn: &mut Turn<'_>,
        from: &DeviceId,
        hash: &[u8; 32],
        size: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<SyncEvent>, SyncError> {
        let known = stored(turn.store, hash)?;
        let is_primary = matches!(self.role, SyncRole::Primary(_));
        match known {
            Some(file) if file.is_here() => {
                post(turn, from, FileMessage::Have(FileHave { hash: *hash }), rng)?;
            }
            None if !is_primary || size > FILE_BYTES => {}
            // A linked device takes only what somebody asked for.
            Some(file) if !is_primary && !file.wanted => {}
            known => {
                let mut file = known.unwrap_or_else(|| StoredFile::unknown(size, rng));
                file.source = Some(*from);
                self.begin_to_want(turn, hash, &mut file, rng)?;
            }
        }
        Ok(None)
    }

    /// Says again what has no answer: on a new connection (`all`), and for what was asked for some time ago.
    ///
    /// # Errors
    /// [`SyncError::Store`].
    pub fn pursue_files(&self, turn: &mut Turn<'_>, all: bool, rng: &mut impl CryptoRng) -> Result<(), SyncError> {
        for row in turn.store.list(Table::File)? {
            let row = row?;
            let Ok(hash) = <[u8; 32]>::try_from(row.id.as_slice()) else { continue };
            let mut file = StoredFile::decode(&row.value).map_err(|_| SyncError::Damaged)?;
            let due = all || file.at.saturating_add(ASK_AGAIN_MS) < turn.now.unix_ms();
            if !due {
                continue;
            }
            if file.tell {
                self.tell(turn, &hash, &mut file, rng)?;
            }
            if file.wanted {
                self.ask(turn, &hash, &mut file, rng)?;
                put(turn, &hash, &file)?;
            }
        }
        Ok(())
    }

    /// Seals the pieces of an order for the relay, under a fresh key.
    ///
    /// # Errors
    /// [`SyncError::Store`].
    pub fn seal_pieces(
        &self,
        store: &Store,
        order: &FileOrder,
        rng: &mut impl CryptoRng,
    ) -> Result<([u8; 32], Vec<SealedPiece>), SyncError> {
        let (key, mut sealed) = (random(rng), Vec::new());
        for index in order.first..order.first.saturating_add(order.count) {
            let Some(piece) = file_piece(store, &order.hash, index)? else { break };
            let bytes = padded::seal(piece_key(&order.hash, &key, index), &piece_aad(&order.hash, index), &piece)?;
            sealed.push(SealedPiece { blob: random(rng), bytes, index });
        }
        Ok((key, sealed))
    }

    /// The pieces of an order are at the relay.
    ///
    /// # Errors
    /// [`SyncError::Store`].
    pub fn pieces_left(
        &self,
        turn: &mut Turn<'_>,
        order: &FileOrder,
        key: [u8; 32],
        pieces: &[SealedPiece],
        rng: &mut impl CryptoRng,
    ) -> Result<(), SyncError> {
        let pieces = pieces.iter().map(|piece| FilePiece { index: piece.index, blob: piece.blob }).collect();
        let pieces = List::new(pieces).map_err(|_| SyncError::Damaged)?;
        post(turn, &order.to, FileMessage::Pieces(FilePieces { hash: order.hash, key, pieces }), rng)
    }

    /// Stores a piece that came; `None`: the relay does not have it. One that was not asked for next changes nothing. The
    /// last one is the end: the content is what its name says, or all of it is fetched anew.
    ///
    /// # Errors
    /// [`SyncError::Protocol`] for a piece that does not open, or a content with another hash.
    pub fn piece_fetched(
        &self,
        turn: &mut Turn<'_>,
        pieces: &FilePieces,
        piece: &FilePiece,
        sealed: Option<&[u8]>,
        rng: &mut impl CryptoRng,
    ) -> Result<(), SyncError> {
        let hash = &pieces.hash;
        let Some(mut file) = stored(turn.store, hash)? else { return Ok(()) };
        let (count, Some(sealed)) = (pieces_of(file.size), sealed) else { return Ok(()) };
        if !file.wanted || piece.index != file.stored || file.stored >= count {
            return Ok(());
        }
        let plain = padded::open(piece_key(hash, &pieces.key, piece.index), &piece_aad(hash, piece.index), sealed)?;
        let before = piece.index.saturating_mul(PIECE_BYTES as u64);
        let expected = file.size.saturating_sub(before).min(PIECE_BYTES as u64);
        if plain.len() as u64 != expected {
            return Err(SyncError::Protocol);
        }
        turn.batch.put(Table::FilePiece, &piece_row(&file.content, piece.index), &plain);
        file.stored = file.stored.saturating_add(1);
        // It moves: no reason to ask again.
        file.at = turn.now.unix_ms();
        if file.stored == count && !self.is_whole(turn, hash, &file, &plain)? {
            // Not what its name says: nothing of it stays.
            drop_pieces(&mut turn.batch, &file);
            (file.stored, file.missing) = (0, true);
        } else if file.stored == count {
            (file.wanted, file.missing) = (false, false);
            for (device, _) in peer::peers(turn.store)? {
                let message = match file.source == Some(device) {
                    true => FileMessage::Have(FileHave { hash: *hash }),
                    false => FileMessage::Tell(FileTell { hash: *hash, size: file.size }),
                };
                if matches!(self.role, SyncRole::Primary(_)) {
                    post(turn, &device, message, rng)?;
                }
            }
        } else if pieces.pieces.as_slice().last().is_some_and(|last| last.index == piece.index) {
            self.ask(turn, hash, &mut file, rng)?;
        }
        put(turn, hash, &file)
    }

    /// Whether the pieces, the last of which is not stored yet, have the hash that names the file.
    fn is_whole(&self, turn: &Turn<'_>, hash: &[u8; 32], file: &StoredFile, last: &[u8]) -> Result<bool, SyncError> {
        let mut stream = Sha256Stream::default();
        for index in 0..file.stored.saturating_sub(1) {
            let piece = turn.store.get(Table::FilePiece, &piece_row(&file.content, index))?;
            stream.update(&piece.ok_or(SyncError::Damaged)?);
        }
        stream.update(last);
        Ok(stream.finish() == *hash)
    }
}

fn post(turn: &mut Turn<'_>, to: &DeviceId, message: FileMessage, rng: &mut impl CryptoRng) -> Result<(), SyncError> {
    turn.post(to, EnvelopeKind::File, &Zeroizing::new(message.encode()), rng)
}
