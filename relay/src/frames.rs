//! CBOR frames over a WebSocket: one message a binary frame, pings, a stated reason before every close.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::SinkExt;
use pairlight_wire::Wire;
use pairlight_wire::relay::RefusalCode;
use tokio::time::{Instant, timeout};

use crate::refusal::{Refusal, refuse};

/// Room for the rest of a frame around its longest byte string.
pub(crate) const FRAME_ROOM: usize = 256;

/// Why a socket ends.
pub(crate) enum Leave {
    /// The other side is gone; there is nobody to tell.
    Gone,
    /// The relay ends it and says why.
    Because(Refusal),
}

impl<E: Into<Refusal>> From<E> for Leave {
    fn from(refusal: E) -> Self {
        Self::Because(refusal.into())
    }
}

/// One socket that speaks CBOR.
pub(crate) struct Frames {
    socket: WebSocket,
    longest: usize,
    stall: Duration,
    ping_every: Duration,
    next_ping: Instant,
    silent_since: Instant,
}

impl Frames {
    /// `longest` is the longest frame of the other side in bytes.
    pub(crate) fn new(socket: WebSocket, longest: usize, stall: Duration, ping_every: Duration) -> Self {
        let now = Instant::now();
        let next_ping = now.checked_add(ping_every).unwrap_or(now);
        Self { socket, longest, stall, ping_every, next_ping, silent_since: now }
    }

    /// The next message. Answers and sends pings meanwhile; a socket that stays silent is left. Safe to cancel.
    pub(crate) async fn next<T: Wire>(&mut self) -> Result<T, Leave> {
        loop {
            let received = tokio::time::timeout_at(self.next_ping, self.socket.recv()).await;
            let Ok(received) = received else {
                let now = Instant::now();
                if now.saturating_duration_since(self.silent_since) > self.ping_every.saturating_mul(2) {
                    return Err(refuse(RefusalCode::TimedOut, "nothing was heard for too long").into());
                }
                self.next_ping = now.checked_add(self.ping_every).unwrap_or(now);
                self.push(Message::Ping(Vec::new().into())).await?;
                continue;
            };
            self.silent_since = Instant::now();
            match received {
                Some(Ok(Message::Binary(bytes))) if bytes.len() <= self.longest => return Ok(T::decode(&bytes)?),
                Some(Ok(Message::Binary(_))) => {
                    return Err(refuse(RefusalCode::TooLarge, "the frame is too large").into());
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Text(_))) => {
                    return Err(refuse(RefusalCode::Protocol, "frames are binary").into());
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Leave::Gone),
            }
        }
    }

    /// Sends one message; a caller that does not take it in time is gone.
    pub(crate) async fn send(&mut self, message: &impl Wire) -> Result<(), Leave> {
        self.push(Message::Binary(message.encode().into())).await
    }

    async fn push(&mut self, message: Message) -> Result<(), Leave> {
        match timeout(self.stall, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Leave::Gone),
        }
    }

    /// Says why, closes, and waits shortly until the other side has read it.
    pub(crate) async fn leave(mut self, refused: &impl Wire, code: RefusalCode) {
        let close = CloseFrame { code: code.close_code(), reason: "".into() };
        if self.send(refused).await.is_err() || self.push(Message::Close(Some(close))).await.is_err() {
            return;
        }
        // Without reading on, unread frames of the caller would turn the close into a reset that eats the reason.
        let drained = async { while let Some(Ok(_)) = self.socket.recv().await {} };
        let _ = timeout(Duration::from_secs(1), drained).await;
        let _ = timeout(Duration::from_millis(200), self.socket.close()).await;
    }
}
