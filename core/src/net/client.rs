//! The relay's calls, one method each (`pairlight_wire::relay` has the table).

use std::time::Duration;

use pairlight_wire::id::{AccountId, DeviceId, SlotId, to_hex};
use pairlight_wire::pairing::EndReason;
use pairlight_wire::relay::*;
use pairlight_wire::{Text, Wire};

use super::error::NetError;
use super::guard::Signer;
use super::host::{Http, Incoming, Method, REQUEST, Request, Response, Socket};
use crate::devices::RecoveryWords;
use pairlight_wire::sign::SigningContext;

/// Largest answer: a chain of lists.
const ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Which relay, and how to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayEndpoint {
    base: String,
    host: String,
    secure: bool,
    attestation_pk: [u8; 32],
}

impl RelayEndpoint {
    /// A relay at `url` (`https://host[:port]`, or `http://` on a trusted network) whose attestation key is pinned.
    ///
    /// # Errors
    /// [`NetError::BadAddress`].
    pub fn new(url: &str, attestation_pk: [u8; 32]) -> Result<Self, NetError> {
        let bad = || NetError::BadAddress(url.chars().filter(|c| !c.is_control()).take(100).collect());
        let url = url.trim_end_matches('/');
        let (secure, rest) = match url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(bad()),
        };
        let host = rest.split('/').next().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        // What follows the last colon outside brackets is a port.
        let port = host.rsplit_once(']').map_or(host, |(_, rest)| rest).rsplit_once(':').map(|(_, port)| port);
        let good_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
        if host.is_empty() || !host.chars().all(plain) || !good_port {
            return Err(bad());
        }
        Ok(Self { base: url.to_owned(), host: host.to_ascii_lowercase(), secure, attestation_pk })
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.base
    }

    /// The host that logins sign, taken from the address and not from the relay.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The pinned attestation key.
    #[must_use]
    pub fn attestation_pk(&self) -> [u8; 32] {
        self.attestation_pk
    }
}

/// Speaks with one relay. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RelayClient {
    http: Http,
    endpoint: RelayEndpoint,
}

/// Who logs in.
pub(super) struct Credentials<'a> {
    pub(super) account: AccountId,
    pub(super) device: DeviceId,
    pub(super) signer: Signer<'a>,
    pub(super) epoch: u64,
}

impl Credentials<'_> {
    pub(super) async fn sign(&self, nonce: [u8; 32], host: &str) -> Result<DeviceAuth, NetError> {
        let message = auth_message(&nonce, host, &self.device, self.epoch);
        let sig = self.signer.sign(SigningContext::RelayAuth, &message).await?;
        Ok(DeviceAuth { account: self.account, device: self.device, nonce, epoch: self.epoch, sig })
    }
}

impl RelayClient {
    /// A client; connects when it is used.
    ///
    /// # Errors
    /// [`NetError::Unreachable`] when TLS cannot be set up on this system.
    pub fn new(endpoint: RelayEndpoint) -> Result<Self, NetError> {
        Ok(Self { http: Http::new()?, endpoint })
    }

    /// Asks a relay for its attestation key: trust on first use, for tools. Apps pin the key instead.
    ///
    /// # Errors
    /// [`NetError`] when the relay cannot be reached or is no relay.
    pub async fn discover(url: &str) -> Result<RelayEndpoint, NetError> {
        let client = Self::new(RelayEndpoint::new(url, [0; 32])?)?;
        let info: RelayInfo = client.answer(client.request(Method::Get, "/v1/relay")).await?;
        // Logins sign the host of the address. A relay that goes by another name would refuse each of them.
        if info.host.as_str().to_ascii_lowercase() != client.endpoint.host {
            return Err(NetError::OtherHost(info.host.as_str().to_owned()));
        }
        RelayEndpoint::new(url, info.attestation_pk)
    }

    /// The relay.
    #[must_use]
    pub fn endpoint(&self) -> &RelayEndpoint {
        &self.endpoint
    }

    /// A request to a path of the relay.
    pub(super) fn request(&self, method: Method, path: &str) -> Request {
        Request::new(method, format!("{}{path}", self.endpoint.base))
    }

    pub(super) async fn call(&self, request: Request) -> Result<Response, NetError> {
        self.http.send(request).await
    }

    async fn bytes(&self, request: Request) -> Result<Vec<u8>, NetError> {
        let response = self.call(request).await?;
        if is_success(&response) { body(response).await } else { Err(refusal_of(response, false).await) }
    }

    async fn answer<T: Wire>(&self, request: Request) -> Result<T, NetError> {
        T::decode(&self.bytes(request).await?).map_err(|_| NetError::Protocol)
    }

    /// Claims a slot as a primary device, so that it counts for its account and not for everybody in its network.
    pub(super) async fn claim(&self, who: &Credentials<'_>, slot: SlotId) -> Result<ClaimAnswer, NetError> {
        let path = format!("/v1/link/{}/claim", slot.to_hex());
        self.answer(self.request(Method::Post, &path).header("authorization", self.proof(who).await?)).await
    }

    pub(super) async fn messages(&self, slot: SlotId, token: &[u8; 16], from: u64) -> Result<SlotMessages, NetError> {
        let path = format!("/v1/link/{}/msgs?from={from}", slot.to_hex());
        let patience = Duration::from_millis(pairlight_wire::limits::LONG_POLL_MS).saturating_add(REQUEST);
        self.answer(self.request(Method::Get, &path).header("authorization", bearer(token)).patience(patience)).await
    }

    pub(super) async fn send(&self, slot: SlotId, token: &[u8; 16], message: &SlotMessage) -> Result<(), NetError> {
        let path = format!("/v1/link/{}/msgs", slot.to_hex());
        let request = self.request(Method::Post, &path).header("authorization", bearer(token)).body(message.encode());
        self.bytes(request).await.map(|_| ())
    }

    pub(super) async fn end(&self, slot: SlotId, token: &[u8; 16], reason: EndReason) -> Result<(), NetError> {
        let path = format!("/v1/link/{}?reason={}", slot.to_hex(), reason.code());
        self.bytes(self.request(Method::Delete, &path).header("authorization", bearer(token))).await.map(|_| ())
    }

    pub(super) async fn publish(&self, account: AccountId, publish: &PublishList) -> Result<(), NetError> {
        let path = format!("/v1/accounts/{}/list", account.to_hex());
        self.bytes(self.request(Method::Put, &path).body(publish.encode())).await.map(|_| ())
    }

    /// The lists of an account from an epoch on, as one of its devices.
    pub(super) async fn chain(&self, who: &Credentials<'_>, from: u64) -> Result<ListChain, NetError> {
        let path = format!("/v1/accounts/{}/list?from={from}", who.account.to_hex());
        self.answer(self.request(Method::Get, &path).header("authorization", self.proof(who).await?)).await
    }

    /// A login for one call, as its header.
    async fn proof(&self, who: &Credentials<'_>) -> Result<String, NetError> {
        let challenge: Challenge = self.answer(self.request(Method::Post, "/v1/challenge")).await?;
        let auth = who.sign(challenge.nonce, &self.endpoint.host).await?.encode();
        Ok(format!("Pairlight {}", to_hex(&auth)))
    }

    /// The newest list of the account that the words recover.
    pub(super) async fn recovery(&self, words: &RecoveryWords) -> Result<ListChain, NetError> {
        let challenge: Challenge = self.answer(self.request(Method::Post, "/v1/challenge")).await?;
        let claim = words.claim(challenge.nonce, &self.endpoint.host);
        self.answer(self.request(Method::Post, "/v1/recovery").body(claim.encode())).await
    }

    pub(super) async fn socket(&self, path: &str) -> Result<Socket, NetError> {
        let scheme = if self.endpoint.secure { "wss" } else { "ws" };
        let rest = self.endpoint.base.split_once("://").map_or("", |(_, rest)| rest);
        self.http.socket(format!("{scheme}://{rest}{path}")).await
    }
}

pub(super) fn is_success(response: &Response) -> bool {
    matches!(response.status(), 200..300)
}

async fn body(mut response: Response) -> Result<Vec<u8>, NetError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES {
            return Err(NetError::Protocol);
        }
    }
    Ok(body)
}

/// What an answer that is no success says. `silent`: it has no body, as after a `HEAD`.
pub(super) async fn refusal_of(response: Response, silent: bool) -> NetError {
    let status = response.status();
    if silent {
        return silent_refusal(status);
    }
    let body = match body(response).await {
        Ok(body) => body,
        Err(error) => return error,
    };
    match Refused::decode(&body) {
        Ok(refused) => NetError::Refused(Box::new(refused)),
        Err(_) if status >= 500 => NetError::Unreachable(status.to_string()),
        Err(_) => NetError::Protocol,
    }
}

/// A refusal of which only the status is known.
fn silent_refusal(status: u16) -> NetError {
    let code = match status {
        401 => RefusalCode::Removed,
        403 => RefusalCode::NotAllowed,
        404 => RefusalCode::NotFound,
        429 => RefusalCode::RateLimited,
        500.. => return NetError::Unreachable(status.to_string()),
        _ => return NetError::Protocol,
    };
    let words = Text::truncated("the relay gives no more than a status");
    NetError::Refused(Box::new(Refused { code, retry_after_ms: 0, words, slot: None, reference: None }))
}

fn bearer(token: &[u8; 16]) -> String {
    format!("Bearer {}", to_hex(token))
}

/// Sends one record as a binary frame.
pub(super) async fn send_frame(socket: &mut Socket, frame: &impl Wire) -> Result<(), NetError> {
    socket.send(frame.encode()).await
}

/// What a socket delivers next.
pub(super) enum Received<T> {
    /// A record.
    Frame(T),
    /// The socket is closed; with the code of the protocol when the relay gave one.
    Closed(Option<RefusalCode>),
}

/// The next record of a socket. Pings are answered on the way; anything else closes it. Safe to cancel.
pub(super) async fn next_frame<T: Wire>(socket: &mut Socket) -> Received<T> {
    match socket.next().await {
        Incoming::Binary(bytes) => match T::decode(&bytes) {
            Ok(frame) => Received::Frame(frame),
            Err(_) => Received::Closed(Some(RefusalCode::Protocol)),
        },
        Incoming::Closed(code) => Received::Closed(code.and_then(RefusalCode::from_close_code)),
        Incoming::Foreign => Received::Closed(Some(RefusalCode::Protocol)),
    }
}
