//! Blobs of the account at the relay: uploads and downloads that go on where the line broke.
//!
//! What a blob holds must be sealed before it comes here; the relay sees its length and its random name.

use std::sync::Arc;
use std::time::Duration;

use pairlight_wire::id::{BlobId, to_hex};
use pairlight_wire::limits::BLOB_BYTES;
use pairlight_wire::relay::{BlobToken, RefusalCode};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::client::{RelayClient, is_success, refusal_of};
use super::connection::Command;
use super::error::NetError;
use super::host::{Method, Request, Response, sleep};

/// One transfer of at most 1 MiB; what was moved by then is not lost.
const TRANSFER: Duration = Duration::from_secs(60);
/// Tries in a row that move nothing, after which the relay counts as out of reach.
const TRIES: u32 = 4;
/// Pause after the first of them; each later one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);

/// How much of a blob the relay has, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobStatus {
    /// Stored, from the beginning on.
    pub received: u64,
    /// When it is complete.
    pub total: u64,
}

/// The blobs of the account of a [`super::Connection`]. Cheap to clone; works as long as the connection lives.
#[derive(Clone)]
pub struct Blobs {
    client: RelayClient,
    commands: mpsc::Sender<Command>,
    /// The header with the bearer token, until the relay says that it has ended.
    token: Arc<Mutex<Option<String>>>,
}

impl std::fmt::Debug for Blobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blobs").field("client", &self.client).finish_non_exhaustive()
    }
}

fn bearer(token: &BlobToken) -> String {
    format!("Bearer {}", to_hex(token.token.as_slice()))
}

/// Counts tries that move nothing and waits between them.
#[derive(Default)]
struct Patience {
    failures: u32,
    reached: u64,
}

impl Patience {
    /// After a broken line with `reached` bytes moved in all: waits, or gives the error up.
    async fn after(&mut self, error: NetError, reached: u64) -> Result<(), NetError> {
        let again = match &error {
            NetError::Unreachable(_) => true,
            _ => matches!(
                error.refusal(),
                Some(RefusalCode::TimedOut | RefusalCode::Unavailable | RefusalCode::RateLimited)
            ),
        };
        self.failures = if reached > self.reached { 0 } else { self.failures.saturating_add(1) };
        self.reached = reached;
        if !again || self.failures >= TRIES {
            return Err(error);
        }
        let asked = match &error {
            NetError::Refused(refused) => Duration::from_millis(refused.retry_after_ms),
            _ => Duration::ZERO,
        };
        let doubled = PAUSE.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        sleep(doubled.max(asked).min(TRANSFER)).await;
        Ok(())
    }
}

impl Blobs {
    pub(super) fn new(client: RelayClient, commands: mpsc::Sender<Command>) -> Self {
        Self { client, commands, token: Arc::default() }
    }

    /// Uploads a sealed blob of at most [`BLOB_BYTES`] under a fresh random name. Goes on where the line broke. Done when
    /// the relay has stored all of it.
    ///
    /// # Errors
    /// [`NetError::Refused`]: with `Overflow` the account has too much on its way. [`NetError::Unreachable`] after
    /// several tries that moved nothing; [`NetError::Ended`] when the connection ended.
    pub async fn put(&self, id: BlobId, bytes: &[u8]) -> Result<(), NetError> {
        self.put_from(id, bytes, 0).await
    }

    /// As [`Blobs::put`] for a blob that an earlier run of the program began: asks first how much is there.
    ///
    /// # Errors
    /// As there; [`NetError::Protocol`] when a blob of another length has that name.
    pub async fn resume_put(&self, id: BlobId, bytes: &[u8]) -> Result<(), NetError> {
        match self.status(id).await? {
            Some(known) if known.total != bytes.len() as u64 => Err(NetError::Protocol),
            Some(known) if known.received == known.total => Ok(()),
            known => self.put_from(id, bytes, known.map_or(0, |known| known.received)).await,
        }
    }

    async fn put_from(&self, id: BlobId, bytes: &[u8], mut offset: u64) -> Result<(), NetError> {
        let total = bytes.len() as u64;
        let mut patience = Patience::default();
        loop {
            let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).ok_or(NetError::Protocol)?;
            let make = |request: Request| {
                let request = request.header("upload-offset", offset).header("upload-length", total);
                request.header("content-type", "application/octet-stream").body(rest.to_vec())
            };
            let error = match self.call(Method::Put, id, make).await {
                Ok(response) if status_of(&response)?.received >= total => return Ok(()),
                Ok(_) => NetError::Protocol,
                Err(error) => error,
            };
            if error.refusal() != Some(RefusalCode::Conflict) {
                patience.after(error, offset).await?;
            }
            // Both after a broken line and after a refusal because more is there than we know.
            match self.status(id).await {
                Ok(Some(known)) if known.total != total => return Err(NetError::Protocol),
                Ok(Some(known)) if known.received >= total => return Ok(()),
                Ok(Some(known)) => offset = known.received,
                Ok(None) => offset = 0,
                Err(error) => patience.after(error, offset).await?,
            }
        }
    }

    /// Downloads a blob; `None` when the relay does not have it, or not all of it yet.
    ///
    /// # Errors
    /// As for [`Blobs::put`].
    pub async fn get(&self, id: BlobId) -> Result<Option<Vec<u8>>, NetError> {
        let mut bytes = Vec::new();
        Ok(self.get_rest(id, &mut bytes).await?.then_some(bytes))
    }

    /// Downloads what follows after `bytes`, the beginning of the same blob that was fetched before, and appends it:
    /// all that came stays there, also after an error. `false` when the relay does not have the blob (any more).
    ///
    /// # Errors
    /// As for [`Blobs::put`].
    pub async fn get_rest(&self, id: BlobId, bytes: &mut Vec<u8>) -> Result<bool, NetError> {
        let mut patience = Patience::default();
        loop {
            let Some(known) = self.status(id).await? else { return Ok(false) };
            if known.received < known.total {
                return Ok(false);
            }
            let have = bytes.len() as u64;
            if have >= known.total {
                return if have == known.total { Ok(true) } else { Err(NetError::Protocol) };
            }
            match self.get_range(id, have, known.total, bytes).await {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) => patience.after(error, bytes.len() as u64).await?,
            }
        }
    }

    /// Appends the bytes `from..to` of a blob. What came before an error is appended too.
    ///
    /// # Errors
    /// [`NetError`]; nothing is tried again here.
    pub async fn get_range(&self, id: BlobId, from: u64, to: u64, bytes: &mut Vec<u8>) -> Result<bool, NetError> {
        let last = to.saturating_sub(1);
        let make = |request: Request| request.header("range", format!("bytes={from}-{last}"));
        let mut response = match self.call(Method::Get, id, make).await {
            Ok(response) if response.status() == 206 => response,
            Ok(_) => return Err(NetError::Protocol),
            Err(error) if error.refusal() == Some(RefusalCode::NotFound) => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut left = usize::try_from(to.saturating_sub(from)).unwrap_or(BLOB_BYTES).min(BLOB_BYTES);
        while left > 0 {
            let Some(chunk) = response.chunk().await? else {
                return Err(NetError::Unreachable("the download broke".into()));
            };
            left = left.checked_sub(chunk.len()).ok_or(NetError::Protocol)?;
            bytes.extend_from_slice(&chunk);
        }
        Ok(true)
    }

    /// How much of a blob the relay has; `None`: nothing.
    ///
    /// # Errors
    /// [`NetError`].
    pub async fn status(&self, id: BlobId) -> Result<Option<BlobStatus>, NetError> {
        match self.call(Method::Head, id, |request| request).await {
            Ok(response) => status_of(&response).map(Some),
            Err(error) if error.refusal() == Some(RefusalCode::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Drops a blob. One that is not there is dropped already.
    ///
    /// # Errors
    /// [`NetError`].
    pub async fn delete(&self, id: BlobId) -> Result<(), NetError> {
        self.call(Method::Delete, id, |request| request).await.map(drop)
    }

    /// One call with a token; a token that ended meanwhile is replaced once.
    async fn call(&self, method: Method, id: BlobId, make: impl Fn(Request) -> Request) -> Result<Response, NetError> {
        let mut renewed = false;
        loop {
            let token = self.token(renewed).await?;
            let request = self.client.request(method, &format!("/v1/blobs/{}", id.to_hex()));
            let request = make(request.patience(TRANSFER).header("authorization", token));
            let response = self.client.call(request).await?;
            if is_success(&response) {
                return Ok(response);
            }
            let error = refusal_of(response, method == Method::Head).await;
            if renewed || error.refusal() != Some(RefusalCode::NotAllowed) {
                return Err(error);
            }
            renewed = true;
        }
    }

    async fn token(&self, fresh: bool) -> Result<String, NetError> {
        let mut known = self.token.lock().await;
        if let Some(header) = known.as_ref().filter(|_| !fresh) {
            return Ok(header.clone());
        }
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::BlobToken(reply)).await.map_err(|_| NetError::Ended)?;
        let header = bearer(&answer.await.map_err(|_| NetError::Ended)??);
        *known = Some(header.clone());
        Ok(header)
    }
}

fn status_of(response: &Response) -> Result<BlobStatus, NetError> {
    let number = |name| response.header(name)?.parse().ok();
    match (number("upload-offset"), number("upload-length")) {
        (Some(received), Some(total)) => Ok(BlobStatus { received, total }),
        _ => Err(NetError::Protocol),
    }
}

/// Blobs that hold a bearer token, for the test of what they print.
#[cfg(test)]
pub(crate) fn holding(token: &BlobToken) -> Blobs {
    let endpoint = super::client::RelayEndpoint::new("http://relay.test:1", [7; 32]).unwrap();
    let mut blobs = Blobs::new(RelayClient::new(endpoint).unwrap(), mpsc::channel(1).0);
    blobs.token = Arc::new(Mutex::new(Some(bearer(token))));
    blobs
}
