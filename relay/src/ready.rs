//! `/readyz`: a whole link, a list, and mail, by the relay against itself, over real sockets through its own front door.
//!
//! What the devices say in it are opaque bytes: the relay links no code that could seal or open anything, so nothing is
//! paired here. Every call of a link is exercised, with the limits, the routing and the store that real devices meet.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes as BodyBytes};
use axum::extract::State as Shared;
use axum::http::{Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ed25519_dalek::{Signer, SigningKey};
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use pairlight_wire::device::{OPS_REISSUE, OpsCertificate, Role};
use pairlight_wire::envelope::{Envelope, EnvelopeKind};
use pairlight_wire::hash::sha256;
use pairlight_wire::id::{AccountId, DeviceId, SlotId};
use pairlight_wire::list::{DeviceList, Entry};
use pairlight_wire::relay::*;
use pairlight_wire::sign::{Signed, SigningContext, key_id};
use pairlight_wire::{Bytes, List, Wire};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::link::random;
use crate::server::State;
use crate::tls::connect_to_itself;

/// An answer is good for so long: probes of many machines cost one link.
const FRESH: Duration = Duration::from_secs(5);
/// A whole link takes no longer, or the relay is not ready.
const LONGEST: Duration = Duration::from_secs(5);
/// Longest answer to the probe, in bytes.
const ANSWER_BYTES: usize = 64 * 1024;
/// Header with which the probe is not counted. Its value never leaves the process but over loopback.
pub(crate) const PROBE: &str = "pairlight-probe";

/// The probe, and what it found last.
pub(crate) struct Probe {
    to: SocketAddr,
    secret: String,
    /// When the relay speaks TLS.
    tls: Option<TlsConnector>,
    account: Synthetic,
    last: Mutex<Option<(Instant, Result<Duration, String>)>>,
}

impl Probe {
    /// `listening` is where the relay listens; of all addresses it is reached by loopback.
    pub(crate) fn new(
        listening: SocketAddr,
        attestation_seed: &[u8; 32],
        secret: [u8; 16],
        tls: Option<TlsConnector>,
    ) -> Self {
        let ip = match listening.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        Self {
            to: SocketAddr::new(ip, listening.port()),
            secret: secret.iter().map(|b| format!("{b:02x}")).collect(),
            tls,
            account: Synthetic::new(attestation_seed),
            last: Mutex::default(),
        }
    }

    /// Whether a call is the probe's own.
    pub(crate) fn is_own(&self, header: &[u8]) -> bool {
        subtle::ConstantTimeEq::ct_eq(header, self.secret.as_bytes()).into()
    }
}

/// `GET /readyz`
pub(crate) async fn readyz(Shared(state): Shared<Arc<State>>) -> Response {
    if state.drain.is_begun() {
        return (StatusCode::SERVICE_UNAVAILABLE, "not ready: draining\n").into_response();
    }
    let mut last = state.probe.last.lock().await;
    let known = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH).map(|(_, found)| found.clone());
    let found = match known {
        Some(found) => found,
        None => {
            let began = Instant::now();
            let linked = timeout(LONGEST, link(&state.probe, &state.host)).await;
            let linked = linked.unwrap_or_else(|_| Err("the link took too long".into()));
            let found = linked.map(|()| began.elapsed());
            if let Err(reason) = &found {
                tracing::error!(reason, "not ready");
            }
            *last = Some((Instant::now(), found.clone()));
            found
        }
    };
    match found {
        Ok(took) => (StatusCode::OK, format!("ready: linked in {} ms\n", took.as_millis())).into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response(),
    }
}

/// An account of one device, the same as long as the attestation key is: its list is stored once.
struct Synthetic {
    root: SigningKey,
    device: SigningKey,
}

impl Synthetic {
    fn new(seed: &[u8; 32]) -> Self {
        let key = |label: &[u8]| SigningKey::from_bytes(&sha256(&[b"pairlight/v1/probe\0", label, seed]));
        Self { root: key(b"root"), device: key(b"device") }
    }

    fn id(&self) -> AccountId {
        AccountId::of(&self.root.verifying_key().to_bytes())
    }

    fn device_id(&self) -> DeviceId {
        DeviceId::of(&self.device.verifying_key().to_bytes())
    }

    fn list(&self) -> Result<PublishList, String> {
        let root_pk = self.root.verifying_key().to_bytes();
        let digest = [0; 32];
        let entry = Entry {
            device: self.device_id(),
            device_pk: self.device.verifying_key().to_bytes(),
            role: Role::Primary,
            scope: 0,
            evidence: 0,
            created: 0,
            not_after: 0,
            cert_digest: digest,
            accept_sig: self.device.sign(&SigningContext::DeviceAccept.input(&digest)).to_bytes(),
            label_ct: Bytes::default(),
            hw_sig: None,
        };
        let list = DeviceList {
            account: self.id(),
            epoch: 1,
            prev: [0; 32],
            issued: 0,
            root_pk,
            entries: List::new(vec![entry]).map_err(|_| "no list")?,
            tombstones: List::default(),
            recovery: None,
            roots: List::default(),
            resets: List::default(),
        };
        let ops = OpsCertificate { account: self.id(), ops_pk: root_pk, not_after: u64::MAX, caps: OPS_REISSUE };
        let signed = |context: SigningContext, payload: Vec<u8>| {
            let sig = self.root.sign(&context.input(&payload)).to_bytes();
            Ok::<_, String>(Signed {
                kid: key_id(&root_pk),
                payload: Bytes::new(payload).map_err(|_| "too long")?,
                sig,
            })
        };
        Ok(PublishList {
            list: signed(SigningContext::DeviceList, list.encode())?,
            ops: signed(SigningContext::OpsCert, ops.encode())?,
        })
    }
}

/// A connection through the relay's own front door.
type Line = Box<dyn Both>;
type Socket = WebSocketStream<Line>;

trait Both: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Both for T {}

/// One link from the code to mail. The error says which step did not work.
async fn link(probe: &Probe, host: &str) -> Result<(), String> {
    let slot = SlotId(random().map_err(|_| "no randomness")?);
    let mut shower = probe.socket("/v1/link").await?;
    let offer_ct = Bytes::new(b"probe".to_vec()).map_err(|_| "no offer")?;
    send(&mut shower, &LinkRequest::Open(OpenSlot { slot, offer_ct })).await?;
    expect(&mut shower, "open a slot", |event| matches!(event, LinkEvent::Opened(_))).await?;
    let path = format!("/v1/link/{}", slot.to_hex());
    let claim = probe.call(Method::POST, &format!("{path}/claim"), None, Vec::new(), 200).await?;
    let claim = ClaimAnswer::decode(&claim).map_err(|error| format!("claim: {error}"))?;
    expect(&mut shower, "hear of the claim", |event| matches!(event, LinkEvent::Claimed(_))).await?;
    let token: String = claim.claim_token.iter().map(|b| format!("{b:02x}")).collect();
    let token = Some(token.as_str());
    let body = || Bytes::new(b"opaque".to_vec()).map_err(|_| "no message");
    let message = SlotMessage { seq: 0, body: body()? }.encode();
    probe.call(Method::POST, &format!("{path}/msgs"), token, message, 204).await?;
    expect(&mut shower, "get a message", |event| matches!(event, LinkEvent::Msg(_))).await?;
    send(&mut shower, &LinkRequest::Send(SlotSend { slot, seq: 0, body: body()? })).await?;
    let messages = probe.call(Method::GET, &format!("{path}/msgs?from=0&wait_ms=3000"), token, Vec::new(), 200).await?;
    if SlotMessages::decode(&messages).map_err(|error| format!("messages: {error}"))?.messages.as_slice().len() != 1 {
        return Err("the answer to a message did not come".into());
    }
    probe.call(Method::DELETE, &path, token, Vec::new(), 204).await?;
    expect(&mut shower, "hear of the end", |event| matches!(event, LinkEvent::Ended(_))).await?;

    let account = &probe.account;
    let path = format!("/v1/accounts/{}/list", account.id().to_hex());
    probe.call(Method::PUT, &path, None, account.list()?.encode(), 200).await?;
    mail(probe, host).await
}

/// Logs in, posts an envelope to itself, gets it and acknowledges it.
async fn mail(probe: &Probe, host: &str) -> Result<(), String> {
    let account = &probe.account;
    let (id, device) = (account.id(), account.device_id());
    let mut stream = probe.socket("/v1/stream").await?;
    let StreamEvent::Challenge(Challenge { nonce }) = receive(&mut stream, "get a challenge").await? else {
        return Err("the stream does not begin with a challenge".into());
    };
    let message = auth_message(&nonce, host, &device, 1);
    let sig = account.device.sign(&SigningContext::RelayAuth.input(&message)).to_bytes();
    let auth = DeviceAuth { account: id, device, nonce, epoch: 1, sig };
    send(&mut stream, &StreamRequest::Login(Login { auth, lease: None, previous: None })).await?;
    expect(&mut stream, "log in", |event| matches!(event, StreamEvent::Welcome(_))).await?;
    let reference = u64::from_be_bytes(random().map_err(|_| "no randomness")?);
    let (olm_ct, body_ct) = (Bytes::default(), Bytes::default());
    let kind = EnvelopeKind::Application;
    let envelope = Envelope { kind, from: device, to: device, seq: 0, olm_type: 1, olm_ct, body_ct };
    let envelope = Bytes::new(envelope.encode()).map_err(|_| "no envelope")?;
    send(&mut stream, &StreamRequest::Post(PostEnvelope { to: device, reference, envelope })).await?;
    // What a probe before did not acknowledge comes too; answer and mail may come in either order.
    let (mut accepted, mut delivered) = (false, 0);
    while !accepted || delivered == 0 {
        match receive(&mut stream, "post and get mail").await? {
            StreamEvent::Accepted(answer) if answer.reference == reference => accepted = true,
            StreamEvent::Deliver(deliver) => delivered = deliver.number,
            StreamEvent::Refused(refused) => return Err(format!("mail: {}", refused.words.as_str())),
            _ => {}
        }
    }
    send(&mut stream, &StreamRequest::Ack(AckEnvelopes { up_to: delivered })).await?;
    let _ = stream.close(None).await;
    Ok(())
}

impl Probe {
    async fn line(&self) -> std::io::Result<Line> {
        let stream = TcpStream::connect(self.to).await?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some(connector) => Ok(Box::new(connect_to_itself(connector, stream).await?)),
        }
    }

    async fn socket(&self, path: &str) -> Result<Socket, String> {
        let fault = |error: &dyn std::fmt::Display| format!("{path}: {error}");
        let mut request = format!("ws://{}{path}", self.to).into_client_request().map_err(|error| fault(&error))?;
        let secret = self.secret.parse().map_err(|_| "no header")?;
        request.headers_mut().insert(PROBE, secret);
        let stream = self.line().await.map_err(|error| fault(&error))?;
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.map_err(|error| fault(&error))?;
        Ok(socket)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Vec<u8>,
        expected: u16,
    ) -> Result<Vec<u8>, String> {
        let step = path.rsplit('/').next().unwrap_or_default().split('?').next().unwrap_or_default();
        let fault = |error: &dyn std::fmt::Display| format!("{method} {step}: {error}");
        let mut request = Request::builder().method(method.clone()).uri(path).header(header::HOST, self.to.to_string());
        request = request.header(PROBE, &self.secret).header(header::CONNECTION, "close");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Body::from(BodyBytes::from(body))).map_err(|error| fault(&error))?;
        let stream = self.line().await.map_err(|error| fault(&error))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| fault(&error))?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(|error| fault(&error))?;
        let status = response.status();
        let answer = axum::body::to_bytes(Body::new(response.into_body()), ANSWER_BYTES).await;
        connection.abort();
        let answer = answer.map_err(|error| fault(&error))?;
        if status.as_u16() == expected {
            return Ok(answer.to_vec());
        }
        let words =
            Refused::decode(&answer).map_or_else(|_| status.to_string(), |refused| refused.words.as_str().into());
        Err(fault(&words))
    }
}

async fn send(socket: &mut Socket, message: &impl Wire) -> Result<(), String> {
    socket.send(Message::Binary(message.encode().into())).await.map_err(|error| error.to_string())
}

async fn receive<T: Wire>(socket: &mut Socket, step: &str) -> Result<T, String> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Binary(bytes))) => return T::decode(&bytes).map_err(|error| format!("{step}: {error}")),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            _ => return Err(format!("{step}: the socket closed")),
        }
    }
}

async fn expect<T: Wire>(socket: &mut Socket, step: &str, right: impl Fn(&T) -> bool) -> Result<(), String> {
    let event = receive(socket, step).await?;
    if right(&event) { Ok(()) } else { Err(format!("{step}: another event came")) }
}
