//! `/v1/blobs/{blob}`: large sealed things on their way between the devices of one account. Uploads go on where they
//! stopped, downloads may start anywhere; nothing is kept for long.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::State as Shared;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use hmac::{Hmac, KeyInit, Mac};
use pairlight_wire::Bytes;
use pairlight_wire::hash::sha256;
use pairlight_wire::id::{AccountId, BlobId, DeviceId};
use pairlight_wire::limits::{BLOB_BYTES, BLOB_TOKEN_BYTES};
use pairlight_wire::relay::RefusalCode;
use sha2::Sha256;
use tokio::time::timeout;
use tracing::debug;

use crate::auth::{Account, not_listed};
use crate::link::millis;
use crate::refusal::{Refusal, refuse};
use crate::server::State;
use crate::store::{BlobKey, BlobState, NewPart, PartStored};

/// Bytes that are stored, or read, at a time: what one transfer takes of the memory.
const PART_BYTES: usize = 64 * 1024;
/// How much of the blob the relay has.
pub(crate) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// Length of the whole blob.
pub(crate) const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");

/// Makes and checks tokens. They say in themselves who may do what until when, so that no relay must remember them:
/// `account (16) || device (16) || until (8, ms since 1970) || MAC (16)`.
pub(crate) struct Tokens {
    key: [u8; 32],
}

const MAC_BYTES: usize = 16;
const CLAIM_BYTES: usize = 40;

impl Tokens {
    /// Relays with one attestation key take each other's tokens.
    pub(crate) fn new(attestation_seed: &[u8; 32]) -> Self {
        Self { key: sha256(&[b"pairlight/v1/blob-token\0", attestation_seed]) }
    }

    fn mac(&self, claim: &[u8]) -> Option<Hmac<Sha256>> {
        // A key of any length is taken; the error cannot come.
        let mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        Some(mac.chain_update(claim))
    }

    pub(crate) fn mint(&self, account: AccountId, device: DeviceId, until: u64) -> Bytes<BLOB_TOKEN_BYTES> {
        let mut token = [account.as_bytes().as_slice(), device.as_bytes(), &until.to_be_bytes()].concat();
        if let Some(mac) = self.mac(&token) {
            token.extend(mac.finalize().into_bytes().into_iter().take(MAC_BYTES));
        }
        Bytes::new(token).unwrap_or_default()
    }

    /// Account and device, when the token is ours and its time has not come.
    fn open(&self, token: &[u8], now: u64) -> Option<(AccountId, DeviceId)> {
        let (claim, tag) = token.split_at_checked(CLAIM_BYTES)?;
        if tag.len() != MAC_BYTES {
            return None;
        }
        self.mac(claim)?.verify_truncated_left(tag).ok()?;
        let (account, rest) = claim.split_first_chunk::<16>()?;
        let (device, until) = rest.split_first_chunk::<16>()?;
        let until = u64::from_be_bytes(until.try_into().ok()?);
        (now < until).then_some((AccountId(*account), DeviceId(*device)))
    }
}

/// The blob of a call, after its token and its device were checked.
async fn find(state: &State, uri: &Uri, headers: &HeaderMap) -> Result<BlobKey, Refusal> {
    let blob = uri.path().split('/').nth(3).and_then(BlobId::from_hex);
    let blob = blob.ok_or_else(|| refuse(RefusalCode::Protocol, "a blob has 64 hexadecimal digits"))?;
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.and_then(|text| text.strip_prefix("Bearer ")).and_then(crate::account::hex_bytes);
    let known = token.and_then(|token| state.tokens.open(&token, (state.clock)()));
    let (account, device) =
        known.ok_or_else(|| refuse(RefusalCode::NotAllowed, "the token for blobs is not valid; ask for a new one"))?;
    // A device that was removed a moment ago must not read on until its token ends.
    let head = state.store.head(account).await?.ok_or_else(not_listed)?;
    if Account::open(head)?.list.entry(&device).is_none() {
        return Err(refuse(RefusalCode::Removed, "this device was removed from the account"));
    }
    Ok((account, blob))
}

fn unknown() -> Refusal {
    refuse(RefusalCode::NotFound, "there is no such blob; it may have been dropped")
}

/// A number in a header.
fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Refusal> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(|text| text.parse().ok());
    parsed.map(Some).ok_or_else(|| refuse(RefusalCode::Protocol, "a number in a header is no number"))
}

fn describe(mut response: Response, state: BlobState) -> Response {
    let headers = response.headers_mut();
    headers.insert(UPLOAD_OFFSET, HeaderValue::from(state.received));
    headers.insert(UPLOAD_LENGTH, HeaderValue::from(state.total));
    response
}

/// `PUT /v1/blobs/{blob}`. What came before the caller went away is kept; [`status`] says how much that is.
pub(crate) async fn put(
    Shared(state): Shared<Arc<State>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let blob = find(&state, &uri, &headers).await?;
    let offset = number(&headers, &UPLOAD_OFFSET)?.unwrap_or(0);
    let total = number(&headers, &UPLOAD_LENGTH)?;
    let total = total.ok_or_else(|| refuse(RefusalCode::Protocol, "an upload states its Upload-Length"))?;
    if total > BLOB_BYTES as u64 {
        return Err(refuse(RefusalCode::TooLarge, "a blob has at most 1 MiB"));
    }
    let mut upload = Upload { state, blob, offset, total, waiting: Vec::new() };
    // Begun before the body is read: who may not upload need not send.
    if upload.flush().await?.is_none() {
        return upload.elsewhere().await;
    }
    debug!(offset, total, "an upload");
    // In a task of its own: when the caller goes away this call is dropped, and what has come must still be stored.
    let reading = tokio::spawn(async move {
        let known = upload.read(body.into_data_stream()).await?;
        match known {
            Some(known) if known.received == known.total => Ok(describe(StatusCode::CREATED.into_response(), known)),
            Some(known) => Ok(describe(StatusCode::ACCEPTED.into_response(), known)),
            None => upload.elsewhere().await,
        }
    });
    reading.await.map_err(|_| refuse(RefusalCode::Unavailable, "the relay is stopping"))?
}

/// One upload under way.
struct Upload {
    state: Arc<State>,
    blob: BlobKey,
    offset: u64,
    total: u64,
    waiting: Vec<u8>,
}

impl Upload {
    /// Reads the body to its end, stores it part by part. `None`: somebody else wrote to the same blob.
    async fn read(&mut self, mut body: BodyDataStream) -> Result<Option<BlobState>, Refusal> {
        loop {
            let next = timeout(self.state.limits.stall, body.next()).await;
            let chunk = match next {
                Ok(Some(Ok(chunk))) => chunk,
                Ok(None) => return self.flush().await,
                // Gone or too slow: what is here is worth keeping.
                Ok(Some(Err(_))) => {
                    self.flush().await?;
                    return Err(refuse(RefusalCode::TimedOut, "the upload was cut"));
                }
                Err(_) => {
                    self.flush().await?;
                    return Err(refuse(RefusalCode::TimedOut, "the body did not come in time"));
                }
            };
            let reached = self.offset.saturating_add(self.waiting.len() as u64).saturating_add(chunk.len() as u64);
            if reached > self.total {
                return Err(refuse(RefusalCode::TooLarge, "the body is longer than its Upload-Length"));
            }
            self.waiting.extend_from_slice(&chunk);
            if self.waiting.len() >= PART_BYTES && self.flush().await?.is_none() {
                return Ok(None);
            }
        }
    }

    async fn flush(&mut self) -> Result<Option<BlobState>, Refusal> {
        let bytes = std::mem::take(&mut self.waiting);
        let at = (self.state.clock)();
        let next = self.offset.saturating_add(bytes.len() as u64);
        let part = NewPart { blob: self.blob, offset: self.offset, total: self.total, bytes, at };
        match self.state.store.add_part(part, self.state.limits.blob_room).await? {
            PartStored::Stored(known) => {
                self.state.metrics.blob_bytes_stored.add(next.saturating_sub(self.offset));
                self.offset = next;
                Ok(Some(known))
            }
            PartStored::Elsewhere(_) => Ok(None),
            PartStored::Full => {
                let words = "the account has too much on its way; delete blobs that were fetched";
                Err(refuse(RefusalCode::Overflow, words))
            }
        }
    }

    async fn elsewhere(&self) -> Result<Response, Refusal> {
        let words = "the upload does not go on from there; ask how much is stored";
        let refusal = refuse(RefusalCode::Conflict, words).into_response();
        let known = self.state.store.blob(self.blob).await?;
        Ok(known.map_or_else(|| unknown().into_response(), |known| describe(refusal, known)))
    }
}

/// `HEAD /v1/blobs/{blob}`
pub(crate) async fn status(
    Shared(state): Shared<Arc<State>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let blob = find(&state, &uri, &headers).await?;
    let known = state.store.blob(blob).await?.ok_or_else(unknown)?;
    Ok(describe(StatusCode::OK.into_response(), known))
}

/// `GET /v1/blobs/{blob}`, whole or a range.
pub(crate) async fn get(Shared(state): Shared<Arc<State>>, uri: Uri, headers: HeaderMap) -> Result<Response, Refusal> {
    let blob = find(&state, &uri, &headers).await?;
    let known = state.store.blob(blob).await?.ok_or_else(unknown)?;
    if known.received < known.total {
        return Err(refuse(RefusalCode::NotFound, "the blob is not complete yet"));
    }
    let range = headers.get(header::RANGE).map(|value| range(value, known.total));
    let (from, to) = match range {
        None => (0, known.total),
        Some(range) => range.ok_or_else(|| refuse(RefusalCode::Protocol, "the range is not one within the blob"))?,
    };
    let length = to.saturating_sub(from);
    let mut response = Body::from_stream(parts(state, blob, from, to)).into_response();
    if headers.contains_key(header::RANGE) {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let last = to.saturating_sub(1);
        if let Ok(described) = HeaderValue::from_str(&format!("bytes {from}-{last}/{}", known.total)) {
            response.headers_mut().insert(header::CONTENT_RANGE, described);
        }
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    Ok(describe(response, known))
}

/// The bytes of a blob, read as the caller takes them. A caller that does not take them is cut by the listener.
fn parts(
    state: Arc<State>,
    blob: BlobKey,
    from: u64,
    to: u64,
) -> impl futures_util::Stream<Item = Result<Vec<u8>, std::io::Error>> {
    futures_util::stream::try_unfold(from, move |from| {
        let state = state.clone();
        async move {
            let left = usize::try_from(to.saturating_sub(from)).unwrap_or(PART_BYTES).min(PART_BYTES);
            if left == 0 {
                return Ok(None);
            }
            let bytes = state.store.read_blob(blob, from, left).await.map_err(std::io::Error::other)?;
            if bytes.is_empty() {
                // Dropped meanwhile: the length that was promised is not reached, so the caller notices.
                return Err(std::io::Error::other("the blob is gone"));
            }
            state.metrics.blob_bytes_read.add(bytes.len() as u64);
            let next = from.saturating_add(bytes.len() as u64);
            Ok(Some((bytes, next)))
        }
    })
}

/// First byte and the one behind the last of a `Range` of one part.
fn range(value: &HeaderValue, total: u64) -> Option<(u64, u64)> {
    let (first, last) = value.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    let (from, to) = match (first, last) {
        ("", last) => (total.checked_sub(last.parse::<u64>().ok()?.min(total))?, total),
        (first, "") => (first.parse().ok()?, total),
        (first, last) => (first.parse().ok()?, last.parse::<u64>().ok()?.checked_add(1)?.min(total)),
    };
    (from < to).then_some((from, to))
}

/// `DELETE /v1/blobs/{blob}`
pub(crate) async fn delete(
    Shared(state): Shared<Arc<State>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let blob = find(&state, &uri, &headers).await?;
    state.store.drop_blob(blob).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// When a token that is made now ends, ms since 1970.
pub(crate) fn token_end(now: u64, lifetime: Duration) -> u64 {
    now.saturating_add(millis(lifetime))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_until_its_time_for_the_relays_of_one_key() {
        let (account, device) = (AccountId([1; 16]), DeviceId([2; 16]));
        let tokens = Tokens::new(&[7; 32]);
        let token = tokens.mint(account, device, 100).into_vec();
        assert_eq!(Tokens::new(&[7; 32]).open(&token, 99), Some((account, device)));
        assert_eq!(tokens.open(&token, 100), None, "ended");
        assert_eq!(Tokens::new(&[8; 32]).open(&token, 99), None, "another relay");
        for at in 0..token.len() {
            let mut other = token.clone();
            other[at] ^= 1;
            assert_eq!(tokens.open(&other, 99), None, "byte {at}");
            assert_eq!(tokens.open(&token[..at], 99), None, "cut at {at}");
        }
        assert_eq!(tokens.open(&[token.as_slice(), &[0]].concat(), 99), None, "longer");
    }

    #[test]
    fn a_range_is_one_part_within_the_blob() {
        for (text, expected) in [
            ("bytes=0-0", Some((0, 1))),
            ("bytes=2-", Some((2, 10))),
            ("bytes=-3", Some((7, 10))),
            ("bytes=-30", Some((0, 10))),
            ("bytes=4-99", Some((4, 10))),
            ("bytes=10-", None),
            ("bytes=5-4", None),
            ("bytes=-0", None),
            ("bytes=0-18446744073709551615", None),
            ("bytes=0-1,3-4", None),
            ("items=0-1", None),
            ("bytes=a-b", None),
        ] {
            assert_eq!(range(&HeaderValue::from_static(text), 10), expected, "{text}");
        }
        assert_eq!(range(&HeaderValue::from_static("bytes=0-0"), 0), None);
    }
}
