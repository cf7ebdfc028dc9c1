//! What the operator asks of a relay that runs, on a socket of the file system that only its user can open.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use pairlight_wire::id::{AccountId, DeviceId};
use serde::{Deserialize, Serialize};
use tokio::net::{UnixListener, UnixStream};

use crate::error::RelayError;
use crate::presence::Connected;
use crate::server::State;

/// What a relay is doing.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stats {
    pub(crate) version: String,
    pub(crate) host: String,
    pub(crate) up_s: u64,
    pub(crate) is_draining: bool,
    pub(crate) connections: usize,
    pub(crate) devices_connected: usize,
    pub(crate) links_under_way: usize,
    pub(crate) slots: usize,
    pub(crate) slot_bytes: usize,
    pub(crate) codes_shown: u64,
    pub(crate) codes_scanned: u64,
    pub(crate) devices_added: u64,
    pub(crate) envelopes_stored: u64,
    pub(crate) envelopes_delivered: u64,
    pub(crate) blob_bytes_stored: u64,
    pub(crate) turned_away: usize,
}

/// For how long a relay may take to end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DrainWithin {
    pub(crate) seconds: u64,
}

/// Who is to be turned away, for how long; 0 minutes let it in again.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TurnAway {
    pub(crate) account: String,
    pub(crate) device: Option<String>,
    pub(crate) minutes: u64,
}

/// How many sockets that ended.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) sockets: usize,
}

/// The socket's file; removed with it.
pub(crate) struct AdminSocket {
    path: PathBuf,
    listener: UnixListener,
}

impl AdminSocket {
    /// Makes the socket. One that a relay left behind makes room, one that answers does not.
    pub(crate) async fn open(path: &Path) -> Result<Self, RelayError> {
        let fault = |reason: String| RelayError::Admin { path: path.to_owned(), reason };
        if UnixStream::connect(path).await.is_ok() {
            return Err(fault("another relay answers there".into()));
        }
        match std::fs::symlink_metadata(path) {
            Ok(found) if std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) => {
                std::fs::remove_file(path).map_err(|error| fault(error.to_string()))?;
            }
            Ok(_) => return Err(fault("something else is there".into())),
            Err(_) => {}
        }
        let listener = UnixListener::bind(path).map_err(|error| fault(error.to_string()))?;
        let private = std::fs::set_permissions(path, PermissionsExt::from_mode(0o600));
        private.map_err(|error| fault(error.to_string()))?;
        Ok(Self { path: path.to_owned(), listener })
    }

    /// Answers until the relay ends.
    pub(crate) async fn serve(self, state: Arc<State>) {
        let service = router(state.clone());
        tokio::select! {
            _ = async { axum::serve(self.listener, service).await } => {}
            () = state.stopped() => {}
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/stats", get(stats))
        .route("/sessions", get(sessions))
        .route("/limits", get(|Shared(state): Shared<Arc<State>>| async move { format!("{:#?}\n", state.limits) }))
        .route("/drain", post(drain))
        .route("/turn-away", post(turn_away))
        .with_state(state)
}

async fn stats(Shared(state): Shared<Arc<State>>) -> Json<Stats> {
    let (slots, slot_bytes) = state.slots.load();
    let tally = state.slots.tally();
    let metrics = &state.metrics;
    Json(Stats {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: state.host.clone(),
        up_s: state.began.elapsed().as_secs(),
        is_draining: state.drain.is_begun(),
        connections: state.connections(),
        devices_connected: state.presence.devices(),
        links_under_way: state.slots.claimed(None),
        slots,
        slot_bytes,
        codes_shown: tally.shown,
        codes_scanned: tally.claimed,
        devices_added: metrics.devices_added.get(),
        envelopes_stored: metrics.envelopes_stored.get(),
        envelopes_delivered: metrics.envelopes_delivered.get(),
        blob_bytes_stored: metrics.blob_bytes_stored.get(),
        turned_away: state.turned_away.count(),
    })
}

async fn sessions(Shared(state): Shared<Arc<State>>) -> Json<Vec<Connected>> {
    Json(state.presence.connected((state.clock)()))
}

async fn drain(Shared(state): Shared<Arc<State>>, Json(within): Json<DrainWithin>) -> StatusCode {
    tracing::info!(seconds = within.seconds, "draining: nothing new begins");
    state.drain.begin(Duration::from_secs(within.seconds));
    StatusCode::ACCEPTED
}

async fn turn_away(
    Shared(state): Shared<Arc<State>>,
    Json(who): Json<TurnAway>,
) -> Result<Json<Ended>, (StatusCode, &'static str)> {
    let bad = (StatusCode::BAD_REQUEST, "account and device have 32 hexadecimal digits; `admin sessions` shows them\n");
    let account = AccountId::from_hex(&who.account).ok_or(bad)?;
    let device = who.device.map(|device| DeviceId::from_hex(&device).ok_or(bad)).transpose()?;
    state.turned_away.set(account, device, Duration::from_secs(who.minutes.saturating_mul(60)));
    let sockets = if who.minutes > 0 { state.presence.end(&account, device.as_ref()) } else { 0 };
    tracing::info!(sockets, minutes = who.minutes, "the operator turned somebody away, or let in again");
    Ok(Json(Ended { sockets }))
}
