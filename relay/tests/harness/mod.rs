//! A relay on a free port, and clients that say exactly what a test wants them to say.
#![allow(dead_code, reason = "each test program uses its part")]
#![expect(unreachable_pub, reason = "a module of several test programs")]

pub mod program;

use std::sync::Once;
use std::time::Duration;

use ed25519_dalek::{Signer, SigningKey};
use futures_util::{SinkExt, StreamExt};
use pairlight_relay::{Relay, RelayConfig, RelayHandle};
use pairlight_wire::device::{Lease, OPS_LEASE, OPS_REISSUE, OPS_REMOVE, OpsCertificate, Role};
use pairlight_wire::envelope::{Envelope, EnvelopeKind};
use pairlight_wire::id::{AccountId, DeviceId, SlotId};
use pairlight_wire::list::{DeviceList, Entry, RemovalReason, Tombstone};
use pairlight_wire::relay::*;
use pairlight_wire::sign::{Signed, SigningContext, key_id};
use pairlight_wire::{Bytes, List, Wire};
use reqwest::Method;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longer than anything takes here.
pub const PATIENCE: Duration = Duration::from_secs(5);

pub async fn relay() -> RelayHandle {
    Relay::spawn(RelayConfig::default()).await.unwrap()
}

pub async fn relay_with(change: impl FnOnce(&mut RelayConfig)) -> RelayHandle {
    let mut config = RelayConfig::default();
    change(&mut config);
    Relay::spawn(config).await.unwrap()
}

/// Where a relay is: in this process, in another, behind a proxy.
pub trait At: Sync {
    fn url(&self) -> String;
    fn host(&self) -> &str;
}

impl At for RelayHandle {
    fn url(&self) -> String {
        RelayHandle::url(self)
    }
    fn host(&self) -> &str {
        RelayHandle::host(self)
    }
}

pub fn slot(number: u8) -> SlotId {
    SlotId([number; 16])
}

pub fn bytes<const MAX: usize>(content: impl Into<Vec<u8>>) -> Bytes<MAX> {
    Bytes::new(content.into()).unwrap()
}

// ---- HTTP ----

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    pub headers: reqwest::header::HeaderMap,
}

impl Answer {
    pub fn read<T: Wire>(&self) -> T {
        assert_eq!(self.status, 200, "{:?}", Refused::decode(&self.body));
        T::decode(&self.body).unwrap()
    }

    /// Code of the refusal; its status must fit.
    pub fn refusal(&self) -> RefusalCode {
        let refused = Refused::decode(&self.body).unwrap_or_else(|_| panic!("no refusal: {self:?}"));
        assert_eq!(refused.code.http_status(), self.status);
        refused.code
    }
}

pub fn client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub async fn call(
    relay: &dyn At,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Vec<u8>>,
) -> Answer {
    call_as(&client(), relay, method, path, headers, body).await
}

pub async fn call_as(
    client: &reqwest::Client,
    relay: &dyn At,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Vec<u8>>,
) -> Answer {
    let mut request = client.request(method, format!("{}{path}", relay.url()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = body.into();
    if !body.is_empty() {
        request = request.header("content-type", "application/cbor").body(body);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store", "{path}");
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.bytes().await.unwrap().to_vec(),
    }
}

pub async fn claim(relay: &dyn At, slot: SlotId) -> Answer {
    call(relay, Method::POST, &format!("/v1/link/{}/claim", slot.to_hex()), &[], []).await
}

/// The primary device in a slot that it claimed.
pub struct Claimer<'r> {
    pub relay: &'r dyn At,
    pub slot: SlotId,
    pub token: [u8; 16],
}

impl<'r> Claimer<'r> {
    pub async fn claim(relay: &'r dyn At, slot: SlotId) -> Self {
        let answer: ClaimAnswer = claim(relay, slot).await.read();
        Self { relay, slot, token: answer.claim_token }
    }

    async fn call(&self, method: Method, tail: &str, body: Vec<u8>) -> Answer {
        let path = format!("/v1/link/{}{tail}", self.slot.to_hex());
        let token = format!("Bearer {}", hex::encode(self.token));
        call(self.relay, method, &path, &[("authorization", &token)], body).await
    }

    pub async fn send(&self, seq: u64, body: &[u8]) -> Answer {
        self.call(Method::POST, "/msgs", SlotMessage { seq, body: bytes(body) }.encode()).await
    }

    pub async fn poll(&self, from: u64, wait_ms: u64) -> Answer {
        self.call(Method::GET, &format!("/msgs?from={from}&wait_ms={wait_ms}"), Vec::new()).await
    }

    pub async fn end(&self, reason: u64) -> Answer {
        self.call(Method::DELETE, &format!("?reason={reason}"), Vec::new()).await
    }
}

// ---- WebSocket ----

pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

#[derive(Debug, PartialEq, Eq)]
pub enum Heard<T> {
    Frame(T),
    /// With its code; 0 when there is none.
    Closed(u16),
}

impl Socket {
    pub async fn open(relay: &dyn At, path: &str) -> Self {
        Self::open_with(relay, path, &[]).await.unwrap()
    }

    pub async fn open_with(
        relay: &dyn At,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, tungstenite::Error> {
        let url = relay.url().replacen("http", "ws", 1) + path;
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        Ok(Self(tokio_tungstenite::connect_async(request).await?.0))
    }

    pub async fn send(&mut self, message: &impl Wire) {
        self.send_raw(Message::Binary(message.encode().into())).await;
    }

    /// Whether it could be sent.
    pub async fn try_send(&mut self, message: &impl Wire) -> bool {
        self.0.send(Message::Binary(message.encode().into())).await.is_ok()
    }

    pub async fn send_raw(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    pub async fn hear<T: Wire>(&mut self) -> Heard<T> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("nothing was heard") {
                Some(Ok(Message::Binary(frame))) => return Heard::Frame(T::decode(&frame).unwrap()),
                Some(Ok(Message::Close(close))) => return Heard::Closed(close.map_or(0, |close| close.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Heard::Closed(0),
            }
        }
    }

    pub async fn frame<T: Wire + std::fmt::Debug>(&mut self) -> T {
        match self.hear().await {
            Heard::Frame(frame) => frame,
            Heard::Closed(code) => panic!("closed with {code}"),
        }
    }

    /// Nothing comes for a short while.
    pub async fn stays_quiet(&mut self) {
        if let Ok(heard) = timeout(Duration::from_millis(60), self.0.next()).await {
            panic!("heard {heard:?}");
        }
    }

    /// Answers pings for so long; nothing else comes.
    pub async fn stays_quiet_but_answers(&mut self, long: Duration) {
        let reading = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Ping(_))) => self.0.flush().await.unwrap(),
                    other => panic!("heard {other:?}"),
                }
            }
        };
        let _ = timeout(long, reading).await;
    }

    /// Reads until the answer to a ping (`None`) or the close: its code, 0 when there is none.
    pub async fn until_pong(&mut self, mut frame: impl FnMut(&[u8])) -> Option<u16> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("nothing was heard") {
                Some(Ok(Message::Binary(bytes))) => frame(&bytes),
                Some(Ok(Message::Pong(_))) => return None,
                Some(Ok(Message::Close(close))) => return Some(close.map_or(0, |close| close.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Some(0),
            }
        }
    }

    /// A refusal, then the close with its code.
    pub async fn is_sent_away(&mut self, code: RefusalCode, refused: impl Fn(&[u8]) -> Option<Refused>) {
        let frame = loop {
            match timeout(PATIENCE, self.0.next()).await.expect("nothing was heard") {
                Some(Ok(Message::Binary(frame))) => break frame,
                Some(Ok(Message::Ping(_))) => {}
                other => panic!("expected a refusal, heard {other:?}"),
            }
        };
        assert_eq!(refused(&frame).expect("a refusal").code, code);
        match timeout(PATIENCE, self.0.next()).await.expect("no close") {
            Some(Ok(Message::Close(Some(close)))) => assert_eq!(u16::from(close.code), code.close_code()),
            other => panic!("expected a close, heard {other:?}"),
        }
    }

    pub async fn close(mut self) {
        let _ = self.0.close(None).await;
    }
}

/// The linked device that shows codes.
pub struct Shower(pub Socket);

impl Shower {
    pub async fn open(relay: &dyn At) -> Self {
        Self(Socket::open(relay, "/v1/link").await)
    }

    pub async fn show(relay: &dyn At, slot: SlotId) -> Self {
        let mut shower = Self::open(relay).await;
        shower.opens(slot).await;
        shower
    }

    pub async fn opens(&mut self, slot: SlotId) -> SlotOpened {
        self.0.send(&LinkRequest::Open(OpenSlot { slot, offer_ct: bytes(*b"sealed offer") })).await;
        match self.0.frame().await {
            LinkEvent::Opened(opened) => opened,
            other => panic!("{other:?}"),
        }
    }

    pub async fn sends(&mut self, slot: SlotId, seq: u64, body: &[u8]) {
        self.0.send(&LinkRequest::Send(SlotSend { slot, seq, body: bytes(body) })).await;
    }

    pub async fn hears(&mut self) -> LinkEvent {
        self.0.frame().await
    }

    pub async fn hears_refusal(&mut self) -> RefusalCode {
        match self.hears().await {
            LinkEvent::Refused(refused) => refused.code,
            other => panic!("{other:?}"),
        }
    }

    pub async fn is_sent_away(&mut self, code: RefusalCode) {
        let read = |frame: &[u8]| match LinkEvent::decode(frame) {
            Ok(LinkEvent::Refused(refused)) => Some(refused),
            _ => None,
        };
        self.0.is_sent_away(code, read).await;
    }
}

// ---- accounts ----

pub fn sign(key: &SigningKey, context: SigningContext, payload: Vec<u8>) -> Signed {
    let sig = key.sign(&context.input(&payload)).to_bytes();
    Signed { kid: key_id(&key.verifying_key().to_bytes()), payload: bytes(payload), sig }
}

pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_millis() as u64
}

/// A device of an account.
#[derive(Clone)]
pub struct Device {
    pub key: SigningKey,
    pub role: Role,
    /// When its certificate ends.
    pub not_after: u64,
}

impl Device {
    pub fn new(number: u8, role: Role) -> Self {
        Self { key: SigningKey::from_bytes(&[number; 32]), role, not_after: u64::MAX }
    }

    pub fn id(&self) -> DeviceId {
        DeviceId::of(&self.key.verifying_key().to_bytes())
    }

    fn entry(&self) -> Entry {
        let cert_digest = [self.key.to_bytes()[0]; 32];
        let accept = self.key.sign(&SigningContext::DeviceAccept.input(&cert_digest));
        Entry {
            device: self.id(),
            device_pk: self.key.verifying_key().to_bytes(),
            role: self.role,
            scope: 15,
            evidence: 0,
            created: 0,
            not_after: self.not_after,
            cert_digest,
            accept_sig: accept.to_bytes(),
            label_ct: bytes(*b"label"),
            hw_sig: None,
        }
    }

    pub fn auth(&self, account: AccountId, nonce: [u8; 32], host: &str, epoch: u64) -> DeviceAuth {
        let message = auth_message(&nonce, host, &self.id(), epoch);
        let sig = self.key.sign(&SigningContext::RelayAuth.input(&message)).to_bytes();
        DeviceAuth { account, device: self.id(), nonce, epoch, sig }
    }
}

/// An account with its root and ops keys.
#[derive(Clone)]
pub struct Account {
    pub root: SigningKey,
    pub ops: SigningKey,
    pub phone: Device,
    pub laptop: Device,
}

impl Account {
    pub fn new(number: u8) -> Self {
        Self {
            root: SigningKey::from_bytes(&[number; 32]),
            ops: SigningKey::from_bytes(&[number + 1; 32]),
            phone: Device::new(number + 2, Role::Primary),
            laptop: Device::new(number + 3, Role::Linked),
        }
    }

    pub fn id(&self) -> AccountId {
        AccountId::of(&self.root.verifying_key().to_bytes())
    }

    pub fn ops_cert(&self) -> Signed {
        self.ops_cert_until(now() + 90 * 86_400_000)
    }

    pub fn ops_cert_until(&self, not_after: u64) -> Signed {
        let caps = OPS_LEASE | OPS_REMOVE | OPS_REISSUE;
        let ops_pk = self.ops.verifying_key().to_bytes();
        let ops = OpsCertificate { account: self.id(), ops_pk, not_after, caps };
        sign(&self.root, SigningContext::OpsCert, ops.encode())
    }

    pub fn list(&self, after: Option<&Signed>, devices: &[&Device], removed: &[&Device], by: &SigningKey) -> Signed {
        let before = after.map(|signed| DeviceList::decode(signed.payload.as_slice()).unwrap());
        let mut entries: Vec<_> = devices.iter().map(|device| device.entry()).collect();
        entries.sort_by_key(|entry| entry.device);
        let tombstone = |device: &&Device| Tombstone { device: device.id(), reason: RemovalReason::Revoked, at: 1 };
        let mut tombstones: Vec<_> = removed.iter().map(tombstone).collect();
        tombstones.sort_by_key(|tombstone| tombstone.device);
        let list = DeviceList {
            account: self.id(),
            epoch: before.map_or(0, |list| list.epoch) + 1,
            prev: after.map_or([0; 32], |signed| pairlight_wire::hash::sha256(&[signed.payload.as_slice()])),
            issued: now(),
            root_pk: self.root.verifying_key().to_bytes(),
            entries: List::new(entries).unwrap(),
            tombstones: List::new(tombstones).unwrap(),
            recovery: None,
            roots: List::default(),
            resets: List::default(),
        };
        sign(by, SigningContext::DeviceList, list.encode())
    }

    /// Phone and laptop, signed by the root.
    pub fn first_list(&self) -> Signed {
        self.list(None, &[&self.phone, &self.laptop], &[], &self.root)
    }

    pub async fn put(&self, relay: &dyn At, list: &Signed) -> Answer {
        self.put_with(relay, list, &self.ops_cert()).await
    }

    pub async fn put_with(&self, relay: &dyn At, list: &Signed, ops: &Signed) -> Answer {
        let body = PublishList { list: list.clone(), ops: ops.clone() }.encode();
        call(relay, Method::PUT, &format!("/v1/accounts/{}/list", self.id().to_hex()), &[], body).await
    }

    pub async fn chain(&self, relay: &dyn At, device: &Device, from: u64) -> Answer {
        let nonce = call(relay, Method::POST, "/v1/challenge", &[], []).await.read::<Challenge>().nonce;
        self.chain_as(relay, device.auth(self.id(), nonce, relay.host(), 1), from).await
    }

    pub async fn chain_as(&self, relay: &dyn At, auth: DeviceAuth, from: u64) -> Answer {
        let path = format!("/v1/accounts/{}/list?from={from}", self.id().to_hex());
        let auth = format!("Pairlight {}", hex::encode(auth.encode()));
        call(relay, Method::GET, &path, &[("authorization", &auth)], []).await
    }

    pub fn lease(&self, device: &Device, not_after: u64) -> Signed {
        let lease = Lease {
            account: self.id(),
            device: device.id(),
            ctr: 0,
            checkin: [0; 32],
            epoch: 1,
            list_hash: [0; 32],
            not_before: 0,
            not_after,
            scope: 15,
        };
        sign(&self.ops, SigningContext::Lease, lease.encode())
    }

    /// Logs in and is welcome.
    pub async fn connect(&self, relay: &dyn At, device: &Device) -> Stream {
        let lease = (device.role == Role::Linked).then(|| self.lease(device, now() + 30 * 86_400_000));
        let mut stream = Stream::open(relay).await;
        let auth = device.auth(self.id(), stream.nonce, relay.host(), 1);
        stream.socket.send(&StreamRequest::Login(Login { auth, lease, previous: None })).await;
        let event = stream.hears().await;
        assert!(matches!(event, StreamEvent::Welcome(_)), "{event:?}");
        stream
    }
}

/// A device on `/v1/stream`.
pub struct Stream {
    pub socket: Socket,
    pub nonce: [u8; 32],
}

impl Stream {
    pub async fn open(relay: &dyn At) -> Self {
        let mut socket = Socket::open(relay, "/v1/stream").await;
        match socket.frame().await {
            StreamEvent::Challenge(challenge) => Self { socket, nonce: challenge.nonce },
            other => panic!("{other:?}"),
        }
    }

    pub async fn hears(&mut self) -> StreamEvent {
        self.socket.frame().await
    }

    pub async fn hears_refusal(&mut self) -> RefusalCode {
        match self.hears().await {
            StreamEvent::Refused(refused) => refused.code,
            other => panic!("{other:?}"),
        }
    }

    pub async fn posts(&mut self, from: &Device, to: &Device, reference: u64, body: &[u8]) {
        let envelope = envelope(EnvelopeKind::Application, from, to, reference, body);
        self.socket.send(&StreamRequest::Post(PostEnvelope { to: to.id(), reference, envelope })).await;
    }

    /// A token for blobs, ready for a header.
    pub async fn blob_token(&mut self) -> String {
        self.socket.send(&StreamRequest::BlobToken(AskBlobToken { reference: 5 })).await;
        loop {
            match self.hears().await {
                StreamEvent::BlobToken(token) => {
                    assert_eq!(token.reference, 5);
                    return format!("Bearer {}", hex::encode(token.token.as_slice()));
                }
                // Mail that waits comes first.
                StreamEvent::Deliver(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub async fn acks(&mut self, up_to: u64) {
        self.socket.send(&StreamRequest::Ack(AckEnvelopes { up_to })).await;
    }

    /// The next envelope: its number and its body.
    pub async fn gets(&mut self) -> (u64, Vec<u8>) {
        match self.hears().await {
            StreamEvent::Deliver(deliver) => {
                let envelope = Envelope::decode(deliver.envelope.as_slice()).unwrap();
                (deliver.number, envelope.body_ct.into_vec())
            }
            other => panic!("{other:?}"),
        }
    }

    pub async fn is_sent_away(&mut self, code: RefusalCode) {
        let read = |frame: &[u8]| match StreamEvent::decode(frame) {
            Ok(StreamEvent::Refused(refused)) => Some(refused),
            _ => None,
        };
        self.socket.is_sent_away(code, read).await;
    }
}

pub fn envelope<const MAX: usize>(kind: EnvelopeKind, from: &Device, to: &Device, seq: u64, body: &[u8]) -> Bytes<MAX> {
    let envelope =
        Envelope { kind, from: from.id(), to: to.id(), seq, olm_type: 1, olm_ct: bytes(*b"olm"), body_ct: bytes(body) };
    bytes(envelope.encode())
}
