//! `/v1/link`: the linked device on a WebSocket, the primary device over HTTP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::WebSocket;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pairlight_wire::Wire;
use pairlight_wire::id::{SlotId, parse_hex};
use pairlight_wire::limits::PAIRING_MESSAGE_BYTES;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::relay::{ClaimAnswer, LinkEvent, LinkRequest, OpenSlot, RefusalCode, SlotMessage, SlotOpened};
use tracing::debug;

use crate::account;
use crate::caller::Caller;
use crate::frames::{FRAME_ROOM, Frames, Leave};
use crate::rate::Claimant;
use crate::refusal::{Refusal, cbor, refuse};
use crate::server::{Request, State};
use crate::slot::{ClaimToken, LinkSeat};

/// Longest frame of a linked device.
pub(crate) const LINK_FRAME_BYTES: usize = PAIRING_MESSAGE_BYTES + FRAME_ROOM;

/// The socket of a linked device, from its start to its end.
pub(crate) async fn serve_socket(state: Arc<State>, caller: Caller, socket: WebSocket) {
    let limits = &state.limits;
    let mut frames = Frames::new(socket, LINK_FRAME_BYTES, limits.stall, limits.ping_every);
    let (seat, mut events) = state.slots.sit(!caller.is_probe);
    let mut links_ended = std::pin::pin!(state.links_ended(&seat));
    let leave = loop {
        let step = tokio::select! {
            biased;
            () = state.stopped() => Err(going_away().into()),
            refusal = &mut links_ended => Err(refusal.into()),
            Some(event) = events.recv() => frames.send(&event).await,
            request = frames.next::<LinkRequest>() => match request {
                Ok(request) => answer(&state, &caller, &seat, &mut frames, request).await,
                Err(leave) => Err(leave),
            },
        };
        if let Err(leave) = step {
            break leave;
        }
    };
    drop(events);
    state.slots.stand_up(&seat, Instant::now());
    if let Leave::Because(refusal) = leave {
        if !state.is_stopping() {
            refusal.log();
        }
        frames.leave(&LinkEvent::Refused(refusal.to_wire()), refusal.code).await;
    }
}

/// What every socket hears when the relay stops.
pub(crate) fn going_away() -> Refusal {
    refuse(RefusalCode::Unavailable, "the relay is stopping").after(Duration::from_secs(1))
}

/// Does one request of a linked device. What fails for one slot is answered and the socket lives on.
async fn answer(
    state: &State,
    caller: &Caller,
    seat: &LinkSeat,
    frames: &mut Frames,
    request: LinkRequest,
) -> Result<(), Leave> {
    let now = Instant::now();
    let (slot, done) = match request {
        LinkRequest::Open(open) => (open.slot, open_slot(state, caller, seat, open, now).map(Some)),
        LinkRequest::Send(send) => {
            (send.slot, state.slots.say_to_primary(seat, &send.slot, send.seq, send.body).map(|()| None))
        }
        LinkRequest::Cancel(cancel) => {
            (cancel.slot, state.slots.end_by_linked(seat, &cancel.slot, cancel.reason, now).map(|()| None))
        }
    };
    match done {
        Ok(Some(opened)) => frames.send(&LinkEvent::Opened(opened)).await,
        Ok(None) => Ok(()),
        Err(refusal) => {
            refusal.log();
            frames.send(&LinkEvent::Refused(refusal.about(slot).to_wire())).await
        }
    }
}

fn open_slot(
    state: &State,
    caller: &Caller,
    seat: &LinkSeat,
    open: OpenSlot,
    now: Instant,
) -> Result<SlotOpened, Refusal> {
    state.begins_nothing_while_draining()?;
    state.admit(&state.opens, caller)?;
    let slot = open.slot;
    let ttl_ms = millis(state.limits.slot_lifetime);
    let place = state.places.place(caller.address);
    let context = state.attestor.of_linked(&open, caller, &place, (state.clock)(), ttl_ms);
    state.slots.open(seat, open, context.clone(), now)?;
    debug!(slot = %short(slot.as_bytes()), "a slot is open");
    Ok(SlotOpened { slot, ttl_ms, context })
}

/// `POST /v1/link/{slot}/claim`
pub(crate) async fn claim(state: Arc<State>, request: Request) -> Result<Response, Refusal> {
    let slot = slot_id(&request)?;
    let by = match account::claimant(&state, &request).await? {
        Some(account) => Claimant::Account(account),
        None => Claimant::Network(request.caller.network()),
    };
    if !state.is_exempt(&request.caller) {
        state.claims.count(by, Instant::now())?;
    }
    let token: ClaimToken = random()?;
    let claim = state.slots.claim(&slot, token, by, Instant::now())?;
    let place = state.places.place(request.caller.address);
    debug!(slot = %short(slot.as_bytes()), "a slot is claimed");
    let answer = ClaimAnswer {
        offer_ct: claim.offer_ct,
        context: claim.context,
        own_context: state.attestor.of_primary(slot, request.caller.address, &place),
        claim_token: token,
        ttl_ms: millis(claim.ttl),
    };
    Ok(cbor(StatusCode::OK, &answer))
}

/// `GET /v1/link/{slot}/msgs?from=n&wait_ms=n`
pub(crate) async fn read(state: Arc<State>, request: Request) -> Result<Response, Refusal> {
    let slot = slot_id(&request)?;
    let token = claim_token(&request)?;
    let from = request.number("from")?.unwrap_or(0);
    let longest = state.limits.long_poll;
    let wait = request.number("wait_ms")?.map_or(longest, |ms| Duration::from_millis(ms).min(longest));
    let deadline = tokio::time::sleep(wait);
    tokio::pin!(deadline);
    let mut patient = true;
    loop {
        // The change is awaited before the slot is looked at: one that comes in between is not missed.
        let changed = state.slots.changed(&slot)?;
        let changed = changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if let Some(messages) = state.slots.read(&slot, &token, from, patient)? {
            return Ok(cbor(StatusCode::OK, &messages));
        }
        tokio::select! {
            () = changed => {}
            () = &mut deadline => patient = false,
            () = state.stopped() => return Err(going_away()),
        }
    }
}

/// `POST /v1/link/{slot}/msgs`
pub(crate) async fn write(state: Arc<State>, request: Request) -> Result<Response, Refusal> {
    let slot = slot_id(&request)?;
    let token = claim_token(&request)?;
    let message = SlotMessage::decode(&request.body)?;
    state.slots.say_to_linked(&slot, &token, message, Instant::now())?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /v1/link/{slot}?reason=n`
pub(crate) async fn end(state: Arc<State>, request: Request) -> Result<Response, Refusal> {
    let slot = slot_id(&request)?;
    let token = claim_token(&request)?;
    let reason = request.number("reason")?.map_or(Some(EndReason::Cancelled), EndReason::from_code);
    let reason = reason.ok_or_else(|| refuse(RefusalCode::Protocol, "this is not a reason to end"))?;
    state.slots.end_by_primary(&slot, &token, reason, Instant::now())?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn slot_id(request: &Request) -> Result<SlotId, Refusal> {
    SlotId::from_hex(&request.name).ok_or_else(|| refuse(RefusalCode::Protocol, "a slot has 32 hexadecimal digits"))
}

fn claim_token(request: &Request) -> Result<ClaimToken, Refusal> {
    let token = request.authorization.as_deref().and_then(|text| text.strip_prefix("Bearer ")).and_then(parse_hex);
    token.ok_or_else(|| refuse(RefusalCode::NotAllowed, "this call needs the token of the claim"))
}

/// Fresh random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|_| refuse(RefusalCode::Unavailable, "the relay has no randomness"))?;
    Ok(bytes)
}

/// The first four bytes of an id, for the log.
pub(crate) fn short(id: &[u8; 16]) -> String {
    id.iter().take(4).map(|b| format!("{b:02x}")).collect()
}

pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
