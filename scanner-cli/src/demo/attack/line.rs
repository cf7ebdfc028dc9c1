//! Somebody on the line between the devices and the relay, and a page that passes on what it is told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::stage::{soon, surprise};
use crate::exit::Failure;

/// What is done with what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Between {
    /// It is copied.
    Records,
    /// A laptop's way to the relay leads through a proxy, which says that the laptop is at [`FAR`].
    Elsewhere,
    /// The place in the relay's statement is changed on its way to the phone.
    LiesToPhone,
    /// The place in the relay's statement is changed on its way to the laptop.
    LiesToLaptop,
}

/// Where a laptop elsewhere is: an address for documentation (RFC 5737).
pub(super) const FAR: &str = "203.0.113.7";

/// How a laptop's request for a code begins.
const OPENS_A_CODE: &[u8] = b"GET /v1/link ";
/// "ZZ", the country that is not known, as it stands in a statement; and one that is made up.
const UNKNOWN: &[u8] = &[0x62, b'Z', b'Z'];
const MADE_UP: [u8; 3] = [0x62, b'N', b'Z'];

/// The line, with the address under which the relay behind it is known.
pub(super) struct Line {
    listener: TcpListener,
    pub(super) host: String,
    between: Between,
    seen: Seen,
}

/// What became of what passed.
#[derive(Clone, Default)]
pub(super) struct Seen {
    heard: Arc<Mutex<Vec<u8>>>,
    altered: Arc<AtomicUsize>,
}

impl Seen {
    pub(super) fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn altered(&self) -> usize {
        self.altered.load(Ordering::SeqCst)
    }
}

fn failed(error: std::io::Error) -> Failure {
    surprise(error.to_string())
}

impl Line {
    pub(super) async fn listen(between: Between) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let host = listener.local_addr().map_err(failed)?.to_string();
        Ok(Self { listener, host, between, seen: Seen::default() })
    }

    /// Passes on to the relay at `url` from now on.
    pub(super) fn lead_to(self, url: &str) -> Seen {
        let relay = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let seen = self.seen.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = self.listener.accept().await {
                let Ok(far) = TcpStream::connect(&relay).await else { return };
                tokio::spawn(pass_on(near, far, self.between, self.seen.clone()));
            }
        });
        seen
    }
}

async fn pass_on(near: TcpStream, far: TcpStream, between: Between, seen: Seen) {
    let ((mut near_in, near_out), (far_in, mut far_out)) = (near.into_split(), far.into_split());
    let Some(mut first) = next(&mut near_in).await else { return };
    let laptop = first.starts_with(OPENS_A_CODE);
    let header = match between {
        Between::Elsewhere if laptop => format!("X-Forwarded-For: {FAR}\r\n"),
        _ => String::new(),
    };
    if let Some(line) = first.windows(2).position(|ending| ending == b"\r\n") {
        first.splice(line + 2..line + 2, header.into_bytes());
    }
    let lies = match between {
        Between::LiesToPhone => !laptop,
        Between::LiesToLaptop => laptop,
        _ => false,
    };
    seen.heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&first);
    if far_out.write_all(&first).await.is_ok() {
        tokio::spawn(copy(near_in, far_out, seen.clone(), false));
        copy(far_in, near_out, seen, lies).await;
    }
}

async fn next(from: &mut (impl AsyncReadExt + Unpin)) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 16 * 1024];
    let read = from.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
    buffer.truncate(read);
    Some(buffer)
}

async fn copy(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, seen: Seen, lies: bool) {
    while let Some(mut bytes) = next(&mut from).await {
        // The head of a socket's answer is no statement.
        let lies = lies && !bytes.starts_with(b"HTTP/1.1 101");
        while let Some(at) = bytes.windows(3).position(|window| lies && window == UNKNOWN) {
            bytes.splice(at..at + 3, MADE_UP);
            seen.altered.fetch_add(1, Ordering::SeqCst);
        }
        seen.heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&bytes);
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// A web page on a port of this machine: it shows the code that the attacker gives it, and gives the attacker the digits
/// that are typed into it.
pub(super) struct RelayPage {
    address: SocketAddr,
    typed: mpsc::UnboundedReceiver<String>,
}

impl RelayPage {
    pub(super) async fn serve(code: String) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (tell, typed) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut browser, _)) = listener.accept().await {
                let Some(request) = next(&mut browser).await else { continue };
                let request = String::from_utf8_lossy(&request).into_owned();
                let body = match request.split_once("\r\n\r\n") {
                    Some((head, digits)) if head.starts_with("POST /digits ") => {
                        let _ = tell.send(digits.to_owned());
                        ""
                    }
                    _ => &code,
                };
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = browser.write_all(format!("{head}{body}").as_bytes()).await;
                let _ = browser.shutdown().await;
            }
        });
        Ok(Self { address, typed })
    }

    async fn browse(&self, request: &str) -> Result<String, Failure> {
        let mut browser = TcpStream::connect(self.address).await.map_err(failed)?;
        browser.write_all(request.as_bytes()).await.map_err(failed)?;
        let mut answer = String::new();
        browser.read_to_string(&mut answer).await.map_err(failed)?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or_else(|| surprise("the page does not answer"))?;
        Ok(body.to_owned())
    }

    /// What the victim's browser shows.
    pub(super) async fn code(&self) -> Result<String, Failure> {
        self.browse("GET / HTTP/1.1\r\nHost: page.example\r\n\r\n").await
    }

    /// The victim types the digits into the page; gives what the attacker gets.
    pub(super) async fn pass_on(&mut self, digits: &str) -> Result<String, Failure> {
        let length = digits.len();
        self.browse(&format!(
            "POST /digits HTTP/1.1\r\nHost: page.example\r\nContent-Length: {length}\r\n\r\n{digits}"
        ))
        .await?;
        soon(self.typed.recv()).await
    }
}

/// Asks a relay for the socket on which codes are made, as a browser does for a page of `origin`, and as a program does
/// without one. Gives the status of the answer.
pub(super) async fn ask_for_codes(url: &str, origin: Option<&str>) -> Result<String, Failure> {
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let mut caller = TcpStream::connect(host).await.map_err(failed)?;
    let origin = origin.map_or_else(String::new, |origin| format!("Origin: {origin}\r\n"));
    let request = format!(
        "GET /v1/link HTTP/1.1\r\nHost: {host}\r\n{origin}Connection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    caller.write_all(request.as_bytes()).await.map_err(failed)?;
    let answer = next(&mut caller).await.ok_or_else(|| surprise("the relay does not answer"))?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    Ok(answer.split_whitespace().nth(1).unwrap_or_default().to_owned())
}
