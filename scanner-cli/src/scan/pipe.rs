//! Standard input that may be silent: whoever writes to it need neither write nor end.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Instant;

use super::PATIENCE;
use crate::interrupt::Interrupt;

/// Bytes that are read at a time.
const PIECE: usize = 1 << 16;
/// Pieces that wait until they are taken.
const WAITING: usize = 2;

/// Reads standard input until a deadline or Ctrl-C, and then fails with [`io::ErrorKind::TimedOut`] or
/// [`io::ErrorKind::ConnectionAborted`].
pub(super) struct PatientInput {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: io::Cursor<Vec<u8>>,
    deadline: Option<Instant>,
    interrupt: Interrupt,
}

impl PatientInput {
    /// Begins to read, on a thread that lives as long as the process: nothing can wake it.
    pub(super) fn new(deadline: Option<Instant>, interrupt: Interrupt) -> io::Result<Self> {
        let (to, pieces) = sync_channel(WAITING);
        std::thread::Builder::new().name("pairlight-input".into()).spawn(move || {
            let mut input = io::stdin().lock();
            loop {
                let mut piece = vec![0; PIECE];
                let read = match input.read(&mut piece) {
                    Ok(0) => return,
                    Ok(count) => {
                        piece.truncate(count);
                        Ok(piece)
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let is_over = read.is_err();
                if to.send(read).is_err() || is_over {
                    return;
                }
            }
        })?;
        Ok(Self { pieces, piece: io::Cursor::default(), deadline, interrupt })
    }
}

impl Read for PatientInput {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.piece.read(to)?;
            if count > 0 || to.is_empty() {
                return Ok(count);
            }
            match self.pieces.recv_timeout(PATIENCE) {
                Ok(piece) => self.piece = io::Cursor::new(piece?),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
                Err(RecvTimeoutError::Timeout) if self.interrupt.is_raised() => {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                Err(RecvTimeoutError::Timeout) if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}
