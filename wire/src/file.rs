//! Contents of attachments: asked for when they are wanted, in pieces that wait sealed at the relay. All of it travels as the
//! body of sealed envelopes of kind 8.
//!
//! ```text
//! holder --- FileTell ----> the other side     "I have this"
//! asker  --- FileWant ----> holder             some pieces, when they are wanted
//! holder --- FilePieces --> asker              where they lie, and their key; or FileMissing
//! asker  --- FileHave ----> holder             all of it is here, and its hash is right
//! ```

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::codec::{List, choice, record};

/// Bytes of a piece; the last one of a file may be shorter.
pub const PIECE_BYTES: usize = 256 * 1024;
/// Most pieces in one answer.
pub const PIECES_AT_ONCE: usize = 8;
/// Longest file, in bytes.
pub const FILE_BYTES: u64 = 4 << 30;

record! {
    /// The sender holds this file.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct FileTell [1] {
        /// SHA-256 of the content: its name.
        pub hash: [u8; 32],
        /// Its length, bytes.
        pub size: u64,
    }
}
record! {
    /// The sender wants pieces of a file.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct FileWant [2] {
        /// The file.
        pub hash: [u8; 32],
        /// The first piece that it does not have.
        pub first: u64,
        /// How many, at most [`PIECES_AT_ONCE`].
        pub count: u64,
    }
}
record! {
    /// A piece that waits at the relay.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct FilePiece [] {
        /// 0, 1, 2 ... in the file.
        pub index: u64,
        /// The blob.
        pub blob: [u8; 32],
    }
}
record! {
    /// Pieces that wait at the relay. Holds the key of these pieces: zeroized on drop, redacted in `Debug`.
    #[derive(Clone, PartialEq, Eq)]
    pub struct FilePieces [3] {
        /// The file.
        pub hash: [u8; 32],
        /// From which the keys of these pieces are derived; fresh for each answer.
        pub key: [u8; 32],
        /// The pieces, in order.
        pub pieces: List<FilePiece, PIECES_AT_ONCE>,
    }
}
record! {
    /// The sender does not have the file, or not all of it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct FileMissing [4] {
        /// The file.
        pub hash: [u8; 32],
    }
}
record! {
    /// The sender has all of the file.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct FileHave [5] {
        /// The file.
        pub hash: [u8; 32],
    }
}
choice! {
    /// Bodies of envelopes of kind 8.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum FileMessage {
        /// The sender has it.
        Tell(FileTell) = 1,
        /// The sender wants it.
        Want(FileWant) = 2,
        /// Where it is.
        Pieces(FilePieces) = 3,
        /// It is not here.
        Missing(FileMissing) = 4,
        /// It arrived.
        Have(FileHave) = 5,
    }
}

impl ZeroizeOnDrop for FilePieces {}

impl Drop for FilePieces {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl core::fmt::Debug for FilePieces {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "FilePieces({} pieces)", self.pieces.as_slice().len())
    }
}
