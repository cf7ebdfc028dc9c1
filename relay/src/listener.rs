//! Accepts connections, at most so many, and can end all of them: no task outlives the relay's handle.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};
use tracing::{debug, warn};

use crate::network::{Cidr, any_contains};
use crate::rate::Network;

/// Who may come in, and for how long without saying anything.
pub(crate) struct Door {
    /// Connections of one network.
    pub(crate) per_network: usize,
    /// Time without a byte after which a connection ends.
    pub(crate) idle: Duration,
    /// They are not counted: trusted proxies, and who is exempt.
    pub(crate) uncounted: Vec<Cidr>,
}

/// Connections by network; empty networks are not kept.
#[derive(Clone, Default)]
struct Guests(Arc<Mutex<HashMap<Network, usize>>>);

impl Guests {
    fn enter(&self, network: Network, most: usize) -> Option<Guest> {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inside.entry(network).or_default();
        if *count >= most.max(1) {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Guest { guests: self.clone(), network })
    }
}

/// One connection of a network; leaves when dropped.
struct Guest {
    guests: Guests,
    network: Network,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut inside = self.guests.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = inside.get_mut(&self.network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                inside.remove(&self.network);
            }
        }
    }
}

/// A listener that counts.
pub(crate) struct CountingListener {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    places: Arc<Semaphore>,
    cut: watch::Receiver<bool>,
    door: Door,
    guests: Guests,
}

impl CountingListener {
    /// `places` is the number of connections at a time; when `cut` turns true every connection fails at once.
    /// With `tls` the connections are encrypted.
    pub(crate) fn new(
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        places: Arc<Semaphore>,
        cut: watch::Receiver<bool>,
        door: Door,
    ) -> Self {
        Self { listener, tls, places, cut, door, guests: Guests::default() }
    }
}

impl Listener for CountingListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let Ok(place) = self.places.clone().acquire_owned().await else {
                // Closed only when the relay stops: then nobody is accepted any more.
                std::future::pending::<()>().await;
                continue;
            };
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let known = address.ip().to_canonical();
                    let guest = if any_contains(&self.door.uncounted, known) {
                        None
                    } else if let Some(guest) = self.guests.enter(Network::from(known), self.door.per_network) {
                        Some(guest)
                    } else {
                        debug!("a network has too many connections");
                        continue;
                    };
                    // Small frames must not wait for the acknowledgement of the one before.
                    let _ = stream.set_nodelay(true);
                    let presence = Presence { _place: place, _guest: guest };
                    let stream = match &self.tls {
                        None => Line::Plain(stream),
                        // The next one is not kept waiting for this one's handshake.
                        Some(tls) => Line::Handshake(Box::new(tls.accept(stream))),
                    };
                    return (Connection::new(stream, self.cut.clone(), self.door.idle, presence), address);
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// What a connection takes up while it lives.
struct Presence {
    _place: OwnedSemaphorePermit,
    _guest: Option<Guest>,
}

/// What bytes go through.
enum Line {
    Plain(TcpStream),
    Handshake(Box<Accept<TcpStream>>),
    Tls(Box<TlsStream<TcpStream>>),
    /// The handshake failed.
    Broken,
}

impl Line {
    /// Ready when bytes of the caller's can go through. A handshake that takes too long ends as any connection on which
    /// nothing moves.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Self::Handshake(accept) = self {
            let Poll::Ready(done) = Pin::new(accept.as_mut()).poll(cx) else { return Poll::Pending };
            match done {
                Ok(stream) => *self = Self::Tls(Box::new(stream)),
                Err(error) => {
                    debug!(%error, "no TLS");
                    *self = Self::Broken;
                }
            }
        }
        if matches!(self, Self::Broken) { aborted() } else { Poll::Ready(Ok(())) }
    }
}

/// Does to a line that is open what is done to either kind of stream.
macro_rules! through {
    ($line:expr, $cx:expr, $stream:ident => $does:expr) => {
        match $line.poll_open($cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => match &mut $line {
                Line::Plain(stream) => {
                    let $stream = Pin::new(stream);
                    $does
                }
                Line::Tls(stream) => {
                    let $stream = Pin::new(stream.as_mut());
                    $does
                }
                Line::Handshake(_) | Line::Broken => aborted(),
            },
        }
    };
}

/// A connection that ends when it is cut, or when it was idle for too long.
pub(crate) struct Connection {
    line: Line,
    /// `None` once it is cut.
    cut: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    idle: Duration,
    moved: Instant,
    alarm: Pin<Box<Sleep>>,
    _presence: Presence,
}

impl Connection {
    fn new(line: Line, mut cut: watch::Receiver<bool>, idle: Duration, presence: Presence) -> Self {
        let cut: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            // An error means that the handle is gone: cut as well.
            let _ = cut.wait_for(|cut| *cut).await;
        });
        let alarm = Box::pin(sleep(idle));
        Self { line, cut: Some(cut), idle, moved: Instant::now(), alarm, _presence: presence }
    }

    fn is_cut(&mut self, context: &mut Context<'_>) -> bool {
        if self.cut.as_mut().is_some_and(|cut| cut.as_mut().poll(context).is_ready()) {
            self.cut = None;
        }
        while self.cut.is_some() && self.alarm.as_mut().poll(context).is_ready() {
            match self.moved.checked_add(self.idle) {
                Some(due) if due > Instant::now() => self.alarm.as_mut().reset(due),
                _ => self.cut = None,
            }
        }
        self.cut.is_none()
    }

    /// Notes that bytes moved.
    fn note<T>(&mut self, moved: Poll<T>) -> Poll<T> {
        if moved.is_ready() {
            self.moved = Instant::now();
        }
        moved
    }
}

fn aborted<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_cut(cx) {
            return aborted();
        }
        let read = through!(self.line, cx, stream => stream.poll_read(cx, buffer));
        self.note(read)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_cut(cx) {
            return aborted();
        }
        let written = through!(self.line, cx, stream => stream.poll_write(cx, bytes));
        self.note(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        through!(self.line, cx, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        through!(self.line, cx, stream => stream.poll_shutdown(cx))
    }
}

/// The address of who connected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Connected<IncomingStream<'_, CountingListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, CountingListener>) -> Self {
        Self(*stream.remote_addr())
    }
}
