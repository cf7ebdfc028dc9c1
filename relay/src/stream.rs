//! `/v1/stream`: a listed device logs in, posts envelopes, gets its mail and hears of new lists.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocket;
use pairlight_wire::Bytes;
use pairlight_wire::Wire;
use pairlight_wire::envelope::{Envelope, EnvelopeKind};
use pairlight_wire::id::AccountId;
use pairlight_wire::limits::ENVELOPE_BYTES;
use pairlight_wire::relay::{
    Accepted, AskBlobToken, BlobToken, Challenge, Deliver, LeaseExpiring, ListChanged, PostEnvelope, RefusalCode,
    StreamEvent, StreamRequest, Welcome,
};
use tokio::time::Instant;
use tracing::debug;

use crate::auth::{Account, check_device, check_lease, not_listed};
use crate::blob::token_end;
use crate::frames::{FRAME_ROOM, Frames, Leave};
use crate::link::{going_away, millis, random, short};
use crate::presence::{Arrival, Place};
use crate::refusal::{Refusal, refuse};
use crate::server::State;
use crate::store::{Deposit, Mailbox, MailboxLimits, NewMail};
use crate::turned_away::by_the_operator;

/// Longest frame of a device.
pub(crate) const STREAM_FRAME_BYTES: usize = ENVELOPE_BYTES + FRAME_ROOM;

/// Envelopes read from the store at a time.
const BATCH: usize = 4;

/// The socket of a device, from its start to its end.
pub(crate) async fn serve_socket(state: Arc<State>, country: String, socket: WebSocket) {
    let mut frames = Frames::new(socket, STREAM_FRAME_BYTES, state.limits.stall, state.limits.ping_every);
    let leave = match log_in(&state, country, &mut frames).await {
        Ok(mut session) => {
            let leave = session.run(&mut frames).await;
            let (account, device) = session.mailbox;
            state.presence.depart(&account, &device, session.place.number);
            leave
        }
        Err(leave) => leave,
    };
    if let Leave::Because(refusal) = leave {
        if !state.is_stopping() {
            refusal.log();
        }
        frames.leave(&StreamEvent::Refused(refusal.to_wire()), refusal.code).await;
    }
}

/// What the device still has to hear about its lease. Times in ms since 1970.
enum LeaseWatch {
    /// A primary device needs none.
    None,
    /// Will be warned at `warn_at`.
    Fresh { warn_at: u64, not_after: u64 },
    /// Was warned; leaves at `leave_at`.
    Warned { leave_at: u64 },
}

/// One logged-in device.
struct Session<'s> {
    state: &'s State,
    mailbox: Mailbox,
    place: Place,
    lease: LeaseWatch,
    /// Highest number delivered on this socket.
    delivered: u64,
}

async fn log_in<'s>(state: &'s State, country: String, frames: &mut Frames) -> Result<Session<'s>, Leave> {
    let nonce = random()?;
    frames.send(&StreamEvent::Challenge(Challenge { nonce })).await?;
    let login = tokio::select! {
        request = frames.next() => request?,
        () = tokio::time::sleep(state.limits.nonce_lifetime) => {
            return Err(refuse(RefusalCode::TimedOut, "the login did not come in time").into());
        }
        () = state.stopped() => return Err(going_away().into()),
    };
    let StreamRequest::Login(login) = login else {
        return Err(refuse(RefusalCode::Protocol, "the first frame is the login").into());
    };
    let (account, device) = (login.auth.account, login.auth.device);
    let known = load(state, account).await?;
    let entry = check_device(state, &known, &login.auth, &nonce)?;
    let lease_ends = check_lease(state, &known, entry, login.lease.as_ref())?;
    let at = (state.clock)();
    let arrival = Arrival { device, role: entry.role, nonce, previous: login.previous, country, at };
    let place = state.presence.arrive(Arc::new(known), arrival);
    let lease = LeaseWatch::until(lease_ends, state);
    let session = Session { state, mailbox: (account, device), place, lease, delivered: 0 };
    // A list that was published between the look above and the arrival was told to nobody here.
    match session.welcome(frames).await {
        Ok(()) => Ok(session),
        Err(leave) => {
            state.presence.depart(&account, &device, session.place.number);
            Err(leave)
        }
    }
}

async fn load(state: &State, account: AccountId) -> Result<Account, Refusal> {
    Account::open(state.store.head(account).await?.ok_or_else(not_listed)?)
}

fn removed() -> Refusal {
    refuse(RefusalCode::Removed, "this device was removed from the account")
}

impl Session<'_> {
    async fn welcome(&self, frames: &mut Frames) -> Result<(), Leave> {
        let (account, device) = self.mailbox;
        let newest = Arc::new(load(self.state, account).await?);
        if newest.list.entry(&device).is_none() {
            return Err(removed().into());
        }
        let epoch = newest.list.list().epoch;
        self.state.presence.publish(newest);
        debug!(device = %short(device.as_bytes()), epoch, "a device is connected");
        frames.send(&StreamEvent::Welcome(Welcome { epoch })).await?;
        self.place.mail.notify_one();
        Ok(())
    }

    /// Serves the device until one side leaves.
    async fn run(&mut self, frames: &mut Frames) -> Leave {
        let state = self.state;
        let mut dismissed = std::pin::pin!(state.dismissed());
        loop {
            let step = tokio::select! {
                step = self.step(frames) => step,
                refusal = &mut dismissed => Err(refusal.into()),
            };
            if let Err(leave) = step {
                return leave;
            }
        }
    }

    async fn step(&mut self, frames: &mut Frames) -> Result<(), Leave> {
        let state = self.state;
        let lease = self.next_lease_event();
        tokio::select! {
            () = state.stopped() => Err(going_away().into()),
            () = self.place.end.notified() => Err(by_the_operator().into()),
            notice = self.place.notices.recv() => match notice {
                Some(event) => frames.send(&event).await,
                None => Err(refuse(RefusalCode::Duplicate, "this device logged in again elsewhere").into()),
            },
            changed = self.place.account.changed() => {
                // The sender lives as long as this device has its place; gone means that the place is.
                changed.map_err(|_| refuse(RefusalCode::Duplicate, "this device logged in again elsewhere"))?;
                let epoch = self.listed()?.list.list().epoch;
                frames.send(&StreamEvent::ListChanged(ListChanged { epoch })).await
            }
            () = self.place.mail.notified() => self.deliver(frames).await,
            () = tokio::time::sleep_until(lease) => self.lease_event(frames).await,
            request = frames.next() => match request? {
                StreamRequest::Post(post) => self.post(frames, post).await,
                StreamRequest::Ack(ack) => {
                    // Never beyond what was delivered here: a wrong number must not drop unseen mail.
                    state.store.acknowledge(self.mailbox, ack.up_to.min(self.delivered)).await?;
                    Ok(())
                }
                StreamRequest::BlobToken(ask) => self.give_token(frames, ask).await,
                StreamRequest::Renew(renew) => {
                    let known = self.place.account.borrow().clone();
                    let entry = known.list.entry(&self.mailbox.1).ok_or_else(removed)?;
                    self.lease = LeaseWatch::until(check_lease(state, &known, entry, Some(&renew.lease))?, state);
                    Ok(())
                }
                StreamRequest::Login(_) => Err(refuse(RefusalCode::Protocol, "a socket logs in once").into()),
            },
        }
    }

    /// The newest list, as long as this device is on it.
    fn listed(&mut self) -> Result<Arc<Account>, Refusal> {
        let account = self.place.account.borrow_and_update().clone();
        if account.list.entry(&self.mailbox.1).is_some() { Ok(account) } else { Err(removed()) }
    }

    /// Stores or passes on an envelope. What fails for one envelope is answered and the socket lives on.
    async fn post(&mut self, frames: &mut Frames, post: PostEnvelope) -> Result<(), Leave> {
        let reference = post.reference;
        match self.accept(post).await {
            Ok(()) => frames.send(&StreamEvent::Accepted(Accepted { reference })).await,
            Err(refusal) if refusal.code == RefusalCode::Removed => Err(refusal.into()),
            Err(refusal) => {
                refusal.log();
                frames.send(&StreamEvent::Refused(refusal.of_post(reference).to_wire())).await
            }
        }
    }

    async fn accept(&self, post: PostEnvelope) -> Result<(), Refusal> {
        let (account, device) = self.mailbox;
        let envelope = Envelope::decode(post.envelope.as_slice())?;
        if envelope.from != device || envelope.to != post.to {
            return Err(refuse(RefusalCode::Protocol, "sender and recipient are not those of the envelope"));
        }
        // Looked at without marking it as seen: the notice of the change is still due.
        let known = self.place.account.borrow().clone();
        if known.list.entry(&device).is_none() {
            return Err(removed());
        }
        if known.list.entry(&post.to).is_none() {
            return Err(refuse(RefusalCode::NotFound, "the recipient is not a device of this account"));
        }
        if envelope.kind == EnvelopeKind::Ephemeral {
            let deliver = StreamEvent::Deliver(Deliver { number: 0, envelope: post.envelope });
            self.state.presence.notice(&account, &post.to, deliver);
            self.state.metrics.envelopes_passed_on.add(1);
            return Ok(());
        }
        let limits = &self.state.limits;
        let limits = MailboxLimits { bytes: limits.mailbox_bytes, messages: limits.mailbox_messages };
        let mail = NewMail {
            to: (account, post.to),
            from: device,
            reference: post.reference,
            envelope: post.envelope.into_vec(),
            at: (self.state.clock)(),
        };
        match self.state.store.deposit(mail, limits).await? {
            Deposit::Stored(_) => {
                self.state.metrics.envelopes_stored.add(1);
                self.state.presence.mail(&account, &post.to);
                Ok(())
            }
            Deposit::Repeated => {
                self.state.metrics.envelopes_repeated.add(1);
                Ok(())
            }
            Deposit::Full => {
                self.state.metrics.envelopes_refused.add(1);
                let words = "your mailbox is full; acknowledge what you stored";
                let full = refuse(RefusalCode::Overflow, words).to_wire();
                self.state.presence.notice(&account, &post.to, StreamEvent::Refused(full));
                Err(refuse(RefusalCode::Overflow, "the mailbox of the recipient is full"))
            }
        }
    }

    /// Gives a token for blobs. While it is good, every use looks at the list again.
    async fn give_token(&mut self, frames: &mut Frames, ask: AskBlobToken) -> Result<(), Leave> {
        let (account, device) = self.mailbox;
        let listed = self.place.account.borrow().list.entry(&device).is_some();
        if !listed {
            return Err(removed().into());
        }
        let lifetime = self.state.limits.blob_token_lifetime;
        let token = self.state.tokens.mint(account, device, token_end((self.state.clock)(), lifetime));
        let token = BlobToken { reference: ask.reference, token, ttl_ms: millis(lifetime) };
        frames.send(&StreamEvent::BlobToken(token)).await
    }

    /// Sends what was not sent on this socket yet, a batch at a time so that other events get their turn.
    async fn deliver(&mut self, frames: &mut Frames) -> Result<(), Leave> {
        let mail = self.state.store.mail(self.mailbox, self.delivered, BATCH).await?;
        if mail.len() >= BATCH {
            self.place.mail.notify_one();
        }
        for (number, envelope) in mail {
            let envelope = Bytes::new(envelope);
            let envelope = envelope.map_err(|_| refuse(RefusalCode::Unavailable, "the mailbox cannot be read"))?;
            frames.send(&StreamEvent::Deliver(Deliver { number, envelope })).await?;
            self.delivered = number;
            self.state.metrics.envelopes_delivered.add(1);
        }
        Ok(())
    }

    /// When the device is warned, or its permission ends; looked at again after a day at most.
    fn next_lease_event(&self) -> Instant {
        let day = Duration::from_secs(86_400);
        let wait = self.lease.due().map_or(day, |due| Duration::from_millis(due.saturating_sub((self.state.clock)())));
        Instant::now().checked_add(wait.min(day)).unwrap_or_else(Instant::now)
    }

    async fn lease_event(&mut self, frames: &mut Frames) -> Result<(), Leave> {
        if self.lease.due().is_none_or(|due| due > (self.state.clock)()) {
            return Ok(());
        }
        match self.lease {
            LeaseWatch::None => Ok(()),
            LeaseWatch::Fresh { not_after, .. } => {
                let leave_at = not_after.saturating_add(millis(self.state.limits.lease_grace));
                self.lease = LeaseWatch::Warned { leave_at };
                frames.send(&StreamEvent::LeaseExpiring(LeaseExpiring { not_after })).await
            }
            LeaseWatch::Warned { .. } => Err(refuse(RefusalCode::LeaseExpired, "the lease has lapsed").into()),
        }
    }
}

impl LeaseWatch {
    fn until(not_after: Option<u64>, state: &State) -> Self {
        not_after.map_or(Self::None, |not_after| Self::Fresh {
            warn_at: not_after.saturating_sub(millis(state.limits.lease_notice)),
            not_after,
        })
    }

    fn due(&self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Fresh { warn_at, .. } => Some(*warn_at),
            Self::Warned { leave_at } => Some(*leave_at),
        }
    }
}
