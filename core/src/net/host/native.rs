//! Where there are threads and sockets: tokio, tungstenite, reqwest, rustls.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use super::super::error::NetError;
use super::{Elapsed, FRAME_BYTES, Incoming, Method, REQUEST, Request};

/// A timer.
pub(in crate::net) type Sleep = tokio::time::Sleep;

/// Waits.
pub(in crate::net) fn sleep(pause: Duration) -> Sleep {
    tokio::time::sleep(pause)
}

/// Waits for `work`, but no longer.
pub(in crate::net) async fn timeout<T>(patience: Duration, work: impl Future<Output = T>) -> Result<T, Elapsed> {
    tokio::time::timeout(patience, work).await.map_err(|_| Elapsed)
}

/// Milliseconds since 1970 by the system's clock.
pub(in crate::net) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Time since this call, by a clock that does not jump; for round trips.
pub(in crate::net) fn stopwatch() -> impl Fn() -> Duration {
    let began = Instant::now();
    move || began.elapsed()
}

/// A task that runs beside the others. Its result is `None` when it was aborted.
#[derive(Debug)]
pub(in crate::net) struct Task<T = ()>(JoinHandle<T>);

/// Begins a task.
pub(in crate::net) fn spawn<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Task<T> {
    Task(tokio::spawn(work))
}

impl<T> Task<T> {
    pub(in crate::net) fn abort(&self) {
        self.0.abort();
    }
}

impl<T> Future for Task<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0).poll(cx).map(Result::ok)
    }
}

fn unreachable(error: &dyn std::error::Error) -> NetError {
    // The innermost cause says what happened; the outer ones repeat the address, which may hold a slot id.
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    NetError::Unreachable(cause.to_string())
}

/// Calls over HTTP, and the TLS that they and sockets use. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::net) struct Http {
    http: reqwest::Client,
    tls: Arc<rustls::ClientConfig>,
}

impl Http {
    /// # Errors
    /// [`NetError::Unreachable`] when TLS cannot be set up on this system.
    pub(in crate::net) fn new() -> Result<Self, NetError> {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unreachable(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .timeout(REQUEST)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| unreachable(&error))?;
        Ok(Self { http, tls: Arc::new(tls) })
    }

    /// # Errors
    /// [`NetError::Unreachable`].
    pub(in crate::net) async fn send(&self, request: Request) -> Result<Response, NetError> {
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Head => reqwest::Method::HEAD,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut call = self.http.request(method, request.url).timeout(request.patience);
        for (name, value) in request.headers {
            call = call.header(name, value);
        }
        if !request.body.is_empty() {
            call = call.body(request.body);
        }
        Ok(Response(call.send().await.map_err(|error| unreachable(&error))?))
    }

    /// Opens a socket at an address that begins with `ws://` or `wss://`.
    ///
    /// # Errors
    /// [`NetError::Unreachable`].
    pub(in crate::net) async fn socket(&self, url: String) -> Result<Socket, NetError> {
        let limits = WebSocketConfig::default().max_message_size(Some(FRAME_BYTES)).max_frame_size(Some(FRAME_BYTES));
        let secure = url.starts_with("wss:");
        let connector = if secure { Connector::Rustls(Arc::clone(&self.tls)) } else { Connector::Plain };
        let connecting = connect_async_tls_with_config(url, Some(limits), true, Some(connector));
        let connected = timeout(REQUEST, connecting).await;
        let (socket, _) = connected.map_err(|error| unreachable(&error))?.map_err(|error| unreachable(&error))?;
        Ok(Socket(socket))
    }
}

/// The answer to a call.
#[derive(Debug)]
pub(in crate::net) struct Response(reqwest::Response);

impl Response {
    pub(in crate::net) fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    pub(in crate::net) fn header(&self, name: &str) -> Option<String> {
        Some(self.0.headers().get(name)?.to_str().ok()?.to_owned())
    }

    /// The next part of the body; `None` at its end.
    ///
    /// # Errors
    /// [`NetError::Unreachable`] when the line broke.
    pub(in crate::net) async fn chunk(&mut self) -> Result<Option<Vec<u8>>, NetError> {
        let chunk = self.0.chunk().await.map_err(|error| unreachable(&error))?;
        Ok(chunk.map(Vec::from))
    }
}

/// A WebSocket.
#[derive(Debug)]
pub(in crate::net) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// The own address of the socket.
    pub(in crate::net) fn local_ip(&self) -> Option<IpAddr> {
        let tcp = match self.0.get_ref() {
            MaybeTlsStream::Plain(tcp) => tcp,
            MaybeTlsStream::Rustls(tls) => tls.get_ref().0,
            _ => return None,
        };
        tcp.local_addr().ok().map(|local| local.ip())
    }

    /// # Errors
    /// [`NetError::Unreachable`].
    pub(in crate::net) async fn send(&mut self, frame: Vec<u8>) -> Result<(), NetError> {
        match timeout(REQUEST, self.0.send(Message::binary(frame))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(unreachable(&error)),
            Err(elapsed) => Err(unreachable(&elapsed)),
        }
    }

    /// What comes next. Pings are answered on the way. Safe to cancel.
    pub(in crate::net) async fn next(&mut self) -> Incoming {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Binary(bytes))) => return Incoming::Binary(bytes.into()),
                Some(Ok(Message::Close(frame))) => return Incoming::Closed(frame.map(|frame| frame.code.into())),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(_)) => return Incoming::Foreign,
                Some(Err(_)) | None => return Incoming::Closed(None),
            }
        }
    }

    /// Says goodbye, so that the last frame arrives; whoever does not answer is not waited for.
    pub(in crate::net) async fn close(mut self) {
        let _ = timeout(Duration::from_secs(1), self.0.close(None)).await;
    }
}
