//! Starts and stops the relay; routes calls; what holds for every call stands in `guard`.

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::WebSocket;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, Extension, Request as HttpRequest, State as Shared, WebSocketUpgrade};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use pairlight_wire::Text;
use pairlight_wire::limits::{ENVELOPE_BYTES, PAIRING_MESSAGE_BYTES, SIGNED_PAYLOAD_BYTES};
use pairlight_wire::relay::{RefusalCode, RelayInfo};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

#[cfg(unix)]
use crate::admin::AdminSocket;
use crate::attest::Attestor;
use crate::auth::Nonces;
use crate::call_id::{self, CallId, CallIds};
use crate::caller::Caller;
use crate::config::{Clock, PlaceLookup, RelayConfig};
use crate::drain::Drain;
use crate::error::RelayError;
use crate::limits::Limits;
use crate::listener::{CountingListener, Door, Peer};
use crate::metrics::{self, Metrics};
use crate::network::{Cidr, any_contains};
use crate::page::Page;
use crate::presence::Presence;
use crate::rate::{Attempts, Claimant};
use crate::refusal::{Refusal, cbor, refuse};
use crate::slot::Slots;
use crate::store::{MemoryStore, Store};
use crate::tls::Tls;
use crate::turned_away::TurnedAway;
use crate::{account, blob, link, ready, stream};

/// How often due slots, nonces and counters are looked for.
const SWEEP_EVERY: Duration = Duration::from_millis(100);
/// How often old mail and blobs are looked for.
const MAIL_SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Sockets get this long to say goodbye before their connections are cut.
const GOODBYE: Duration = Duration::from_secs(2);

/// What all calls share.
pub(crate) struct State {
    pub(crate) limits: Limits,
    pub(crate) host: String,
    pub(crate) attestor: Attestor,
    pub(crate) places: Arc<dyn PlaceLookup>,
    pub(crate) clock: Clock,
    pub(crate) slots: Slots,
    pub(crate) opens: Attempts,
    pub(crate) claims: Attempts<Claimant>,
    pub(crate) publishes: Attempts,
    pub(crate) challenges: Attempts,
    pub(crate) nonces: Nonces,
    pub(crate) presence: Presence,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) tokens: blob::Tokens,
    pub(crate) metrics: Metrics,
    pub(crate) probe: ready::Probe,
    pub(crate) drain: Drain,
    pub(crate) turned_away: TurnedAway,
    pub(crate) began: Instant,
    /// For connections that may still come.
    free: Arc<Semaphore>,
    most: u32,
    call_ids: CallIds,
    stopping: watch::Receiver<bool>,
    allowed_origins: Vec<String>,
    page: Option<Page>,
    trusted_proxies: Vec<Cidr>,
    exempt: Vec<Cidr>,
}

impl State {
    /// Whether the operator exempts a caller from being counted.
    pub(crate) fn is_exempt(&self, caller: &Caller) -> bool {
        caller.is_probe || any_contains(&self.exempt, caller.address)
    }

    /// Counts an attempt of a caller.
    pub(crate) fn admit(&self, attempts: &Attempts, caller: &Caller) -> Result<(), Refusal> {
        if self.is_exempt(caller) { Ok(()) } else { attempts.count(caller.network(), Instant::now()) }
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        (self.most as usize).saturating_sub(self.free.available_permits())
    }

    /// Whether the relay stops.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until the relay stops.
    pub(crate) async fn stopped(&self) {
        let mut stopping = self.stopping.clone();
        // An error means that the handle is gone: stop as well.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }
}

/// The relay, before it runs.
pub struct Relay;

impl Relay {
    /// Listens and serves until the handle is shut down or dropped.
    ///
    /// # Errors
    /// [`RelayError`] when the address is taken, the host name is not usable, or there is no randomness.
    pub async fn spawn(config: RelayConfig) -> Result<RelayHandle, RelayError> {
        let listener = TcpListener::bind(config.listen).await;
        let listener = listener.map_err(|source| RelayError::Listen { address: config.listen, source })?;
        let address = listener.local_addr().map_err(|source| RelayError::Listen { address: config.listen, source })?;
        let metrics = match config.metrics_listen {
            None => None,
            Some(address) => {
                let listener = TcpListener::bind(address).await;
                Some(listener.map_err(|source| RelayError::Listen { address, source })?)
            }
        };
        let metrics_address = metrics.as_ref().and_then(|listener| listener.local_addr().ok());
        let host = config.host.unwrap_or_else(|| address.to_string());
        if host.is_empty() || host.len() > 255 {
            return Err(RelayError::Host);
        }
        let mut seed = [0; 32];
        match config.attestation_seed {
            Some(given) => seed = given,
            None => getrandom::fill(&mut seed).map_err(RelayError::Randomness)?,
        }
        let mut probe_secret = [0; 16];
        getrandom::fill(&mut probe_secret).map_err(RelayError::Randomness)?;
        let (stop, stopping) = watch::channel(false);
        let (cut, cutting) = watch::channel(false);
        let own_tls = config.tls.as_ref().map(Tls::connector_to_itself).transpose()?;
        let acceptor = config.tls.as_ref().map(Tls::acceptor).transpose()?;
        let limits = config.limits;
        let mut allowed_origins = config.allowed_origins;
        if config.page.is_some() {
            allowed_origins.extend(["https", "http"].map(|scheme| format!("{scheme}://{host}")));
        }
        // More permits than a semaphore can hand out at once would make the wait for all of them impossible.
        let most = u32::try_from(limits.connections).unwrap_or(u32::MAX).clamp(1, 1 << 20);
        let places = Arc::new(Semaphore::new(most as usize));
        #[cfg(unix)]
        let admin = match &config.admin_socket {
            Some(path) => Some(AdminSocket::open(path).await?),
            None => None,
        };
        let state = Arc::new(State {
            drain: Drain::default(),
            turned_away: TurnedAway::default(),
            began: Instant::now(),
            free: places.clone(),
            most,
            attestor: Attestor::new(&seed),
            tokens: blob::Tokens::new(&seed),
            metrics: Metrics::default(),
            probe: ready::Probe::new(address, &seed, probe_secret, own_tls),
            places: config.places,
            clock: config.clock,
            slots: Slots::new(limits.clone()),
            opens: Attempts::new(limits.opens.clone()),
            claims: Attempts::new(limits.claims.clone()),
            publishes: Attempts::new(limits.publishes.clone()),
            challenges: Attempts::new(limits.challenges.clone()),
            nonces: Nonces::new(limits.nonce_lifetime, limits.nonces),
            presence: Presence::default(),
            store: config.store.unwrap_or_else(|| Arc::new(MemoryStore::new(limits.store_bytes))),
            call_ids: CallIds::new(),
            stopping: stopping.clone(),
            allowed_origins,
            page: config.page,
            trusted_proxies: config.trusted_proxies,
            exempt: config.exempt,
            host: host.clone(),
            limits,
        });
        let door = Door {
            per_network: state.limits.connections_per_network,
            idle: state.limits.idle,
            uncounted: [state.trusted_proxies.as_slice(), &state.exempt].concat(),
        };
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let listener = CountingListener::new(listener, acceptor, places, cutting, door);
        let service = router(state.clone()).into_make_service_with_connect_info::<Peer>();
        let mut until = stopping.clone();
        let server = axum::serve(listener, service).with_graceful_shutdown(async move {
            let _ = until.wait_for(|stopping| *stopping).await;
        });
        let public_key = state.attestor.public_key();
        let mut tasks = vec![
            tokio::spawn(async move {
                let _ = server.await;
            }),
            tokio::spawn(sweep(state.clone())),
        ];
        let shared = state.clone();
        #[cfg(unix)]
        if let Some(admin) = admin {
            tasks.push(tokio::spawn(admin.serve(state.clone())));
        }
        if let Some(tls) = config.tls {
            let state = state.clone();
            tasks.push(tokio::spawn(async move {
                tokio::select! {
                    () = tls.follow() => {}
                    () = state.stopped() => {}
                }
            }));
        }
        if let Some(listener) = metrics {
            tasks.push(tokio::spawn(async move {
                let pages = axum::serve(listener, metrics::router(state.clone()));
                // Ends with the relay, without waiting for who keeps a connection open.
                tokio::select! {
                    _ = pages.into_future() => {}
                    () = state.stopped() => {}
                }
            }));
        }
        Ok(RelayHandle { state: shared, address, scheme, metrics_address, host, public_key, stop, cut, tasks })
    }
}

/// A running relay. Dropping it stops the relay too, without waiting for the goodbyes.
pub struct RelayHandle {
    state: Arc<State>,
    address: SocketAddr,
    scheme: &'static str,
    metrics_address: Option<SocketAddr>,
    host: String,
    public_key: [u8; 32],
    stop: watch::Sender<bool>,
    cut: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl RelayHandle {
    /// Where it listens, with the real port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where Prometheus may ask, with the real port.
    #[must_use]
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Base address for clients on this machine: `http://`, or `https://` with [`RelayConfig::tls`], and [`Self::local_addr`].
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Host name that logins must sign.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Ed25519 public key of the attestations. Apps pin it.
    #[must_use]
    pub fn attestation_pk(&self) -> [u8; 32] {
        self.public_key
    }

    /// Ends when the relay was drained, as the operator asked on [`RelayConfig::admin_socket`] or [`Self::drain`] did: all
    /// links and devices have left, or the time for it is over. Then call [`Self::shutdown`].
    pub async fn drained(&self) {
        self.state.drained().await;
    }

    /// Begins nothing new, completes the links under way, and lets devices leave one after the other, all of it within
    /// this time.
    pub fn drain(&self, within: Duration) {
        self.state.drain.begin(within);
    }

    /// Stops accepting, tells every socket, and waits until no task and no connection is left.
    pub async fn shutdown(mut self) {
        let _ = self.stop.send(true);
        let state = self.state.clone();
        if timeout(GOODBYE, state.free.acquire_many(state.most)).await.is_err() {
            let _ = self.cut.send(true);
        }
        for task in self.tasks.drain(..) {
            let _ = task.await;
        }
        let _ = state.free.acquire_many(state.most).await;
    }
}

impl Drop for RelayHandle {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        let _ = self.cut.send(true);
    }
}

/// Ends what is due, until the relay stops.
async fn sweep(state: Arc<State>) {
    let mut mail_due = Instant::now();
    loop {
        tokio::select! {
            () = state.stopped() => return,
            () = tokio::time::sleep(SWEEP_EVERY) => {}
        }
        let now = Instant::now();
        state.slots.sweep(now);
        if now >= mail_due {
            mail_due = now.checked_add(MAIL_SWEEP_EVERY).unwrap_or(now);
            state.nonces.sweep(now);
            state.claims.sweep(now);
            state.slots.sweep_wrong_codes(now);
            for attempts in [&state.opens, &state.publishes, &state.challenges] {
                attempts.sweep(now);
            }
            let oldest = (state.clock)().saturating_sub(link::millis(state.limits.mailbox_age));
            let oldest_blob = (state.clock)().saturating_sub(link::millis(state.limits.blob_age));
            let dropped = state.store.drop_mail_before(oldest).await;
            if let Err(error) = dropped.and(state.store.drop_blobs_before(oldest_blob).await) {
                tracing::warn!(%error, "cannot drop what is too old");
            }
            let (slots, bytes) = state.slots.load();
            tracing::debug!(slots, bytes, "slots in memory");
        }
    }
}

/// One HTTP call, checked and read.
pub(crate) struct Request {
    pub(crate) caller: Caller,
    /// The id in the path.
    pub(crate) name: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Bytes,
    query: String,
}

impl Request {
    /// Reads the body within its limit and in time.
    async fn read(state: &State, request: HttpRequest, longest: usize) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let caller = parts.extensions.get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| refuse(RefusalCode::Unavailable, "the call was not checked"))?;
        let kind = parts.headers.get(header::CONTENT_TYPE);
        if kind.is_some_and(|kind| kind != "application/cbor") {
            return Err(refuse(RefusalCode::Protocol, "bodies are application/cbor"));
        }
        let body = timeout(state.limits.stall, axum::body::to_bytes(body, longest)).await;
        let body = body.map_err(|_| refuse(RefusalCode::TimedOut, "the body did not come in time"))?;
        let body = body.map_err(|_| refuse(RefusalCode::TooLarge, "the body is too large"))?;
        let text = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        Ok(Self {
            caller,
            name: parts.uri.path().split('/').nth(3).unwrap_or_default().to_owned(),
            authorization: text(header::AUTHORIZATION).map(str::to_owned),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            body,
        })
    }

    /// A number of the query, if it is there.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let Some((_, value)) = pairs.find(|(key, _)| *key == name) else { return Ok(None) };
        let value = value.parse().map_err(|_| refuse(RefusalCode::Protocol, "a number in the address is no number"))?;
        Ok(Some(value))
    }
}

fn router(state: Arc<State>) -> Router {
    let claim = post(call(0, link::claim));
    let messages = get(call(0, link::read)).post(call(PAIRING_MESSAGE_BYTES + 64, link::write));
    let list = get(call(0, account::chain)).put(call(2 * SIGNED_PAYLOAD_BYTES + 1024, account::publish));
    Router::new()
        .route("/v1/link", any(link_socket))
        .route("/v1/link/{slot}", delete(call(0, link::end)))
        .route("/v1/link/{slot}/claim", claim)
        .route("/v1/link/{slot}/msgs", messages)
        .route("/v1/challenge", post(call(0, account::challenge)))
        .route("/v1/accounts/{account}/list", list)
        .route("/v1/recovery", post(call(512, account::recovery)))
        .route("/v1/stream", any(stream_socket))
        .route("/v1/blobs/{blob}", get(blob::get).head(blob::status).put(blob::put).delete(blob::delete))
        .route("/v1/relay", get(call(0, info)))
        .route("/readyz", get(ready::readyz))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(page)
        .method_not_allowed_fallback(|| async { refuse(RefusalCode::Protocol, "not with this method") })
        .layer(from_fn_with_state(state.clone(), guard))
        .with_state(state)
}

/// Makes an axum handler of a call that takes a body of at most `longest` bytes.
fn call<F, Done>(longest: usize, function: F) -> impl Fn(Shared<Arc<State>>, HttpRequest) -> Answer + Clone
where
    F: Fn(Arc<State>, Request) -> Done + Clone + Send + Sync + 'static,
    Done: Future<Output = Result<Response, Refusal>> + Send,
{
    move |Shared(state), request| {
        let function = function.clone();
        Box::pin(async move {
            let request = Request::read(&state, request, longest).await?;
            function(state, request).await
        })
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response, Refusal>> + Send>>;

/// What holds for every call: it has a name, the page must be allowed, and nobody keeps an answer.
async fn guard(
    Shared(state): Shared<Arc<State>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: HttpRequest,
    next: Next,
) -> Response {
    let id = state.call_ids.next();
    let mut response = id.around(guarded(&state, peer, request, next)).await;
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(call_id::HEADER, id);
    }
    response
}

async fn guarded(state: &State, peer: SocketAddr, mut request: HttpRequest, next: Next) -> Response {
    let began = Instant::now();
    let waits = request.method() == Method::GET && request.uri().path().starts_with("/v1/link/");
    let waits = waits || request.uri().path() == "/readyz";
    let read = Caller::read(peer.ip(), request.headers(), &state.allowed_origins, &state.trusted_proxies);
    let (mut response, origin) = match read {
        Err(refusal) => (refusal.into_response(), None),
        Ok(mut caller) => {
            let probe = request.headers().get(ready::PROBE);
            caller.is_probe = probe.is_some_and(|secret| state.probe.is_own(secret.as_bytes()));
            let origin = caller.origin.clone();
            let response = if origin.is_some() && request.method() == Method::OPTIONS {
                preflight()
            } else {
                request.extensions_mut().insert(caller);
                next.run(request).await
            };
            (response, origin)
        }
    };
    state.metrics.answered(response.status().as_u16(), (!waits).then(|| began.elapsed()));
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(origin) = origin.and_then(|origin| HeaderValue::from_str(&origin).ok()) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        let exposed = "retry-after, pairlight-epoch, pairlight-request, upload-length, upload-offset, content-range";
        let exposed = HeaderValue::from_static(exposed);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    response
}

/// What a browser asks before a page of an allowed origin calls.
fn preflight() -> Response {
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST, PUT, DELETE"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, range, upload-length, upload-offset"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, allowed).into_response()
}

/// A file of the page, for what is no call.
async fn page(Shared(state): Shared<Arc<State>>, request: HttpRequest) -> Response {
    let page = state.page.as_ref();
    let answer = page.and_then(|page| page.answer(request.method(), request.uri().path(), &state.host));
    answer.unwrap_or_else(|| refuse(RefusalCode::NotFound, "there is no such call").into_response())
}

async fn info(state: Arc<State>, _request: Request) -> Result<Response, Refusal> {
    let info = RelayInfo { host: Text::truncated(&state.host), attestation_pk: state.attestor.public_key() };
    Ok(cbor(StatusCode::OK, &info))
}

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

async fn link_socket(
    Shared(state): Shared<Arc<State>>,
    Extension(caller): Extension<Caller>,
    upgrade: Upgrade,
) -> Result<Response, Refusal> {
    let upgrade = prepare(&state, &caller, upgrade, link::LINK_FRAME_BYTES)?;
    Ok(upgrade.on_upgrade(named(move |socket| link::serve_socket(state, caller, socket))))
}

async fn stream_socket(
    Shared(state): Shared<Arc<State>>,
    Extension(caller): Extension<Caller>,
    upgrade: Upgrade,
) -> Result<Response, Refusal> {
    let country = state.places.place(caller.address).country;
    let upgrade = prepare(&state, &caller, upgrade, stream::STREAM_FRAME_BYTES)?;
    const { assert!(stream::STREAM_FRAME_BYTES > ENVELOPE_BYTES) };
    Ok(upgrade.on_upgrade(named(move |socket| stream::serve_socket(state, country, socket))))
}

/// What is done on a socket is done under the name of the call that opened it.
fn named<F: Future<Output = ()> + Send + 'static>(
    serve: impl FnOnce(WebSocket) -> F + Send + 'static,
) -> impl FnOnce(WebSocket) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + 'static {
    let id = CallId::current();
    move |socket| match id {
        Some(id) => Box::pin(id.around(serve(socket))),
        None => Box::pin(serve(socket)),
    }
}

/// Frames a little over the limit get a reason; far above, the socket just ends, so that nobody fills memory.
fn prepare(state: &State, caller: &Caller, upgrade: Upgrade, longest: usize) -> Result<WebSocketUpgrade, Refusal> {
    let upgrade = upgrade.map_err(|_| refuse(RefusalCode::Protocol, "this is a WebSocket"))?;
    if caller.fetch_mode.as_deref().is_some_and(|mode| mode != "websocket") {
        return Err(refuse(RefusalCode::NotAllowed, "only a WebSocket of a page may come here"));
    }
    state.admit(&state.challenges, caller)?;
    let hard = longest.saturating_mul(2);
    Ok(upgrade.max_message_size(hard).max_frame_size(hard))
}
