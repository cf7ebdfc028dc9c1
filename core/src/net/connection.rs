//! The live connection of a device: logs in, delivers sealed messages both ways, follows the device list, and learns at
//! once when it was removed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use pairlight_wire::device::Role;
use pairlight_wire::envelope::{Envelope, EnvelopeKind};
use pairlight_wire::id::DeviceId;
use pairlight_wire::limits::CHAIN_LISTS;
use pairlight_wire::relay::{
    AckEnvelopes, AskBlobToken, BlobToken, Deliver, Login, PostEnvelope, PublishList, RefusalCode, Refused,
    StreamEvent, StreamRequest,
};
use pairlight_wire::{Bytes, Wire};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::blobs::Blobs;
use super::client::{Received, RelayClient, next_frame, send_frame};
use super::clock::{Clock, pause, system_rng};
use super::error::NetError;
pub(super) use super::event::ConnectionEvent;
use super::guard::SharedGuard;
use super::host::{Socket, Task, sleep, spawn};
pub(super) use super::membership::{Membership, Surroundings};
use super::records::{Confirming, sealed};
use super::shared::SharedStore;
use super::syncing::Syncing;
use super::turn::check_scope;
use super::upkeep::{DeviceNews, mark_shown};
use crate::Timestamp;
use crate::crypto::random;
use crate::devices::StoredNotice;
use crate::session::{ResetDesk, SessionError};
use crate::trust::Policy;

/// Pauses between tries to connect, in seconds.
const BACKOFF_S: [u64; 5] = [1, 2, 4, 8, 16];
/// The longest of them.
const LONGEST_BACKOFF_S: u64 = 30;

/// What a [`Connection`] and its [`Blobs`] ask of the task.
pub(super) enum Command {
    Send(Outgoing),
    /// Wants a token for blobs.
    BlobToken(WantsToken),
}

type WantsToken = oneshot::Sender<Result<BlobToken, NetError>>;

pub(super) struct Outgoing {
    to: DeviceId,
    kind: EnvelopeKind,
    body: Vec<u8>,
    done: oneshot::Sender<Result<(), NetError>>,
}

/// A live connection. Dropping it goes offline.
#[derive(Debug)]
pub struct Connection {
    commands: mpsc::Sender<Command>,
    blobs: Blobs,
    events: Mutex<mpsc::Receiver<Queued>>,
    store: SharedStore,
    /// Marks the notice that was taken last, after those before it.
    marking: std::sync::Mutex<Option<Task>>,
    task: Task,
}

impl Connection {
    pub(super) fn start(
        membership: Membership,
        client: RelayClient,
        store: SharedStore,
        surroundings: Surroundings,
        sync: Option<Arc<Syncing>>,
    ) -> Self {
        let (commands, inbox) = mpsc::channel(64);
        let (outbox, events) = mpsc::channel(64);
        // The relay takes a known reference for a repetition, also one of an earlier run of this program.
        let next_reference = u64::from_be_bytes(random(&mut system_rng())) >> 1;
        let Surroundings { clock, policy, platform, guard } = surroundings;
        let blobs = Blobs::new(client.clone(), commands.clone());
        let driver = Driver {
            membership,
            client,
            store: store.clone(),
            clock,
            policy,
            platform,
            guard,
            inbox,
            outbox,
            unsent: VecDeque::new(),
            tokens: TokensWanted::default(),
            next_reference,
            desk: ResetDesk::default(),
            reported: false,
            online_since: None,
            looked_for_missing: None,
            socket_nonce: None,
            queued: HashMap::new(),
            sync,
        };
        Self {
            commands,
            blobs,
            events: Mutex::new(events),
            store,
            marking: std::sync::Mutex::default(),
            task: spawn(driver.run()),
        }
    }

    /// The next event; `None` after the last. Safe to cancel. A notice that was due here counts as shown from now on: one
    /// that nobody took is due again.
    pub async fn next_event(&self) -> Option<ConnectionEvent> {
        let Queued { event, due } = self.events.lock().await.recv().await?;
        if let Some((id, at)) = due {
            let store = self.store.clone();
            let mut marking = self.marking.lock().unwrap_or_else(PoisonError::into_inner);
            let before = marking.take();
            // By itself: whoever cancels the next call must not undo it.
            *marking = Some(spawn(async move {
                if let Some(before) = before {
                    before.await;
                }
                if let Err(error) = mark_shown(&store, id, at).await {
                    tracing::warn!(%error, "a notice that was shown will be shown again");
                }
            }));
        }
        Some(event)
    }

    /// Waits until the notices that were taken are marked as shown: for a program that ends now.
    pub async fn marked(&self) {
        let marking = self.marking.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(marking) = marking {
            marking.await;
        }
    }

    /// Goes offline now, as dropping it does, also while somebody waits for [`Connection::next_event`]: that gives what had
    /// come before, then `None`.
    pub fn end(&self) {
        self.task.abort();
    }

    /// The account's blobs at the relay.
    #[must_use]
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// Seals `body` for a device of the account and waits until the relay has stored it.
    ///
    /// # Errors
    /// [`NetError::UnknownDevice`] without a session with it; [`NetError::Ended`] when the connection ended first.
    pub async fn send(&self, to: DeviceId, kind: EnvelopeKind, body: &[u8]) -> Result<(), NetError> {
        let (done, answer) = oneshot::channel();
        let outgoing = Outgoing { to, kind, body: body.to_vec(), done };
        self.commands.send(Command::Send(outgoing)).await.map_err(|_| NetError::Ended)?;
        answer.await.map_err(|_| NetError::Ended)?
    }
}

/// The pieces that want a token for blobs; they share the next one.
#[derive(Default)]
struct TokensWanted {
    by: Vec<WantsToken>,
    /// Of the question that is on its way.
    reference: Option<u64>,
}

impl TokensWanted {
    fn answer(&mut self, token: &BlobToken) {
        self.reference = None;
        self.by.drain(..).for_each(|wants| drop(wants.send(Ok(token.clone()))));
    }

    /// Whether the refusal was theirs.
    fn refuse(&mut self, reference: u64, refused: &Refused) -> bool {
        if self.reference != Some(reference) {
            return false;
        }
        self.reference = None;
        let error = || NetError::Refused(Box::new(refused.clone()));
        self.by.drain(..).for_each(|wants| drop(wants.send(Err(error()))));
        true
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.end();
    }
}

/// An event that waits to be taken.
struct Queued {
    event: ConnectionEvent,
    /// Which notice of this device that was, and when it was due.
    due: Option<([u8; 8], Timestamp)>,
}

impl From<ConnectionEvent> for Queued {
    fn from(event: ConnectionEvent) -> Self {
        Self { event, due: None }
    }
}

/// Sealed, not yet accepted by the relay.
pub(super) struct Unsent {
    pub(super) post: PostEnvelope,
    pub(super) done: oneshot::Sender<Result<(), NetError>>,
}

/// The post that the relay speaks of.
fn take_unsent(unsent: &mut VecDeque<Unsent>, reference: u64) -> Option<Unsent> {
    let at = unsent.iter().position(|unsent| unsent.post.reference == reference)?;
    unsent.remove(at)
}

pub(super) struct Driver {
    pub(super) membership: Membership,
    pub(super) client: RelayClient,
    pub(super) store: SharedStore,
    pub(super) clock: Clock,
    pub(super) policy: Option<Policy>,
    pub(super) platform: [u8; 8],
    pub(super) guard: Option<SharedGuard>,
    inbox: mpsc::Receiver<Command>,
    outbox: mpsc::Sender<Queued>,
    pub(super) unsent: VecDeque<Unsent>,
    tokens: TokensWanted,
    pub(super) next_reference: u64,
    /// Sessions that are being made anew.
    pub(super) desk: ResetDesk,
    /// Whether this program has reported since its start.
    pub(super) reported: bool,
    /// Since when this socket has been open: what waited at the relay has come some time after.
    pub(super) online_since: Option<Timestamp>,
    /// When it was last looked for devices that never came.
    pub(super) looked_for_missing: Option<Timestamp>,
    /// Nonce of the socket before: never stored, so a copy of the profile does not have it.
    socket_nonce: Option<[u8; 32]>,
    /// Notices that were due at some time and were queued then, by id.
    pub(super) queued: HashMap<[u8; 8], Timestamp>,
    /// Set on a device that keeps records in step.
    pub(super) sync: Option<Arc<Syncing>>,
}

/// Why a socket's turn is over.
pub(super) enum Over {
    /// Try again.
    Lost,
    /// Tell the app, and stop.
    End(ConnectionEvent),
    /// The handle was dropped.
    Dropped,
}

impl Driver {
    async fn run(mut self) {
        let mut failures = 0usize;
        loop {
            // What must not wait for a relay: a lease that has ended locks the device also where there is none.
            let mut over = match self.upkeep(None).await {
                Err(over) => over,
                Ok(()) => match self.client.socket("/v1/stream").await {
                    Ok(socket) => self.serve(socket, &mut failures).await,
                    Err(_) => Over::Lost,
                },
            };
            if let Some(sync) = &self.sync {
                sync.go_offline();
            }
            if matches!(over, Over::Lost)
                && let Err(graver) = self.upkeep(None).await
            {
                over = graver;
            }
            match over {
                Over::Dropped => return,
                Over::End(event) => {
                    let _ = self.outbox.send(event.into()).await;
                    return;
                }
                Over::Lost => {
                    let seconds = BACKOFF_S.get(failures).copied().unwrap_or(LONGEST_BACKOFF_S);
                    failures = failures.saturating_add(1);
                    let retry_in = Duration::from_secs(seconds);
                    if self.outbox.send(ConnectionEvent::Offline { retry_in }.into()).await.is_err() {
                        return;
                    }
                    sleep(retry_in).await;
                }
            }
        }
    }

    /// Logs in and serves one socket until it is over.
    async fn serve(&mut self, mut socket: Socket, failures: &mut usize) -> Over {
        let challenge = match next_frame::<StreamEvent>(&mut socket).await {
            Received::Frame(StreamEvent::Challenge(challenge)) => challenge,
            Received::Frame(StreamEvent::Refused(refused)) => return self.on_refusal(Some(refused.code)).await,
            Received::Frame(_) => return Over::End(ConnectionEvent::Refused(RefusalCode::Protocol)),
            Received::Closed(code) => return self.on_refusal(code).await,
        };
        let who = self.membership.credentials(self.guard.as_ref());
        let auth = match who.sign(challenge.nonce, self.client.endpoint().host()).await {
            Ok(auth) => auth,
            Err(error) => return Over::End(ConnectionEvent::Failed(error)),
        };
        let lease = match &self.membership {
            Membership::Primary(_) => None,
            Membership::Linked(account) => Some(account.lease().clone()),
        };
        if send_frame(&mut socket, &StreamRequest::Login(Login { auth, lease, previous: self.socket_nonce }))
            .await
            .is_err()
        {
            return Over::Lost;
        }
        self.socket_nonce = Some(challenge.nonce);
        (self.online_since, self.looked_for_missing) = (None, None);
        let mut online = false;
        let mut confirming = Confirming::default();
        loop {
            if online && let Some(post) = self.sync.as_ref().and_then(|sync| sync.next_post()) {
                // It was queued when its turn was committed, which may be before that is durable.
                if let Err(error) = self.store.settled().await {
                    return Over::End(ConnectionEvent::Failed(error));
                }
                if send_frame(&mut socket, &StreamRequest::Post(post)).await.is_err() {
                    return Over::Lost;
                }
                continue;
            }
            let tick = pause(self.now(), None);
            tokio::select! {
                () = sealed(self.sync.as_deref()), if online => {}
                () = confirming.due() => {
                    match self.sync_confirm().await {
                        Ok(after) => confirming.confirmed(after),
                        Err(over) => return over,
                    }
                }
                () = sleep(tick), if online => {
                    if let Err(over) = self.upkeep(Some(&mut socket)).await {
                        return over;
                    }
                }
                frame = next_frame::<StreamEvent>(&mut socket) => {
                    let frame = match frame {
                        Received::Frame(frame) => frame,
                        Received::Closed(code) => return self.on_refusal(code).await,
                    };
                    if matches!(frame, StreamEvent::Welcome(_)) {
                        online = true;
                        *failures = 0;
                    }
                    if self.sync.is_some() {
                        confirming.hear(matches!(frame, StreamEvent::Deliver(_)));
                    }
                    if let Err(over) = self.on_frame(&mut socket, frame).await {
                        return over;
                    }
                }
                command = self.inbox.recv() => {
                    let done = match command {
                        None => return Over::Dropped,
                        Some(Command::Send(outgoing)) => self.post(&mut socket, outgoing, online).await,
                        Some(Command::BlobToken(wants)) => {
                            self.tokens.by.push(wants);
                            if online { self.ask_token(&mut socket).await } else { Ok(()) }
                        }
                    };
                    if let Err(over) = done {
                        return over;
                    }
                }
            }
        }
    }

    async fn on_frame(&mut self, socket: &mut Socket, frame: StreamEvent) -> Result<(), Over> {
        match frame {
            StreamEvent::Welcome(welcome) => {
                self.online_since = Some(self.now());
                self.tell(ConnectionEvent::Online).await?;
                let known = self.membership.list().list().epoch;
                if welcome.epoch > known {
                    self.follow_list().await?;
                } else if welcome.epoch < known {
                    self.tell(ConnectionEvent::RolledBack { known, offered: welcome.epoch }).await?;
                }
                for unsent in &self.unsent {
                    send_frame(socket, &StreamRequest::Post(unsent.post.clone())).await.map_err(|_| Over::Lost)?;
                }
                // A question on the socket before got no answer.
                self.tokens.reference = None;
                self.ask_token(socket).await?;
                self.remove_condemned().await?;
                self.upkeep(Some(socket)).await?;
                self.sync_online().await
            }
            StreamEvent::Deliver(deliver) => self.on_deliver(socket, deliver).await,
            StreamEvent::Accepted(accepted) => {
                if self.sync.as_ref().is_some_and(|sync| sync.settled(accepted.reference)) {
                    return Ok(());
                }
                if let Some(unsent) = take_unsent(&mut self.unsent, accepted.reference) {
                    let _ = unsent.done.send(Ok(()));
                }
                Ok(())
            }
            StreamEvent::BlobToken(token) => {
                self.tokens.answer(&token);
                Ok(())
            }
            StreamEvent::ListChanged(_) => {
                self.follow_list().await?;
                self.ask_for_session(socket).await?;
                self.upkeep(Some(socket)).await
            }
            StreamEvent::LeaseExpiring(_) => {
                self.reported = false;
                self.upkeep(Some(socket)).await
            }
            StreamEvent::Duplicate(duplicate) => {
                self.on_device_news(duplicate.device, DeviceNews::Duplicate { ago_ms: duplicate.ago_ms }).await
            }
            StreamEvent::Seen(seen) => {
                let country = seen.country.as_str().to_owned();
                self.on_device_news(seen.device, DeviceNews::Country(country)).await
            }
            StreamEvent::Refused(refused) => match (refused.reference, refused.code) {
                (Some(reference), _) if self.tokens.refuse(reference, &refused) => Ok(()),
                // The relay cannot store now: the post waits for the next socket.
                (Some(_), RefusalCode::Unavailable) => Err(Over::Lost),
                (Some(reference), code) => {
                    if self.sync.as_ref().is_some_and(|sync| sync.refused(reference, code)) {
                        return Ok(());
                    }
                    if let Some(unsent) = take_unsent(&mut self.unsent, reference) {
                        let _ = unsent.done.send(Err(NetError::Refused(Box::new(refused))));
                    }
                    Ok(())
                }
                // Our own mailbox is full: the acknowledgements that are on their way empty it.
                (None, RefusalCode::Overflow) => Ok(()),
                (None, code) => Err(self.on_refusal(Some(code)).await),
            },
            StreamEvent::Challenge(_) => Ok(()),
        }
    }

    async fn on_deliver(&mut self, socket: &mut Socket, deliver: Deliver) -> Result<(), Over> {
        if let Ok(envelope) = Envelope::decode(deliver.envelope.as_slice()) {
            self.on_envelope(socket, envelope).await?;
        }
        let ack = StreamRequest::Ack(AckEnvelopes { up_to: deliver.number });
        send_frame(socket, &ack).await.map_err(|_| Over::Lost)
    }

    /// Asks for a token, unless nobody wants one or a question is on its way.
    async fn ask_token(&mut self, socket: &mut Socket) -> Result<(), Over> {
        if self.tokens.by.is_empty() || self.tokens.reference.is_some() {
            return Ok(());
        }
        let reference = self.next_reference;
        self.next_reference = self.next_reference.saturating_add(1);
        self.tokens.reference = Some(reference);
        let ask = StreamRequest::BlobToken(AskBlobToken { reference });
        send_frame(socket, &ask).await.map_err(|_| Over::Lost)
    }

    async fn post(&mut self, socket: &mut Socket, outgoing: Outgoing, online: bool) -> Result<(), Over> {
        let Outgoing { to, kind, body, done } = outgoing;
        let (policy, now) = (self.policy, self.now());
        let sealed = self.store.run(move |store| {
            let Some(mut session) = store.session(&to)? else { return Ok(Err(NetError::UnknownDevice)) };
            if let Err(error) = check_scope(store, &to, kind, policy.as_ref(), now)? {
                return Ok(Err(error));
            }
            match session.seal(kind, &body, &mut system_rng()) {
                Err(error) => Ok(Err(error.into())),
                Ok(envelope) => {
                    store.put_session(&session)?;
                    Ok(Ok(envelope))
                }
            }
        });
        let envelope = match sealed.await.and_then(|sealed| sealed) {
            Ok(envelope) => envelope,
            Err(error) => {
                let _ = done.send(Err(error));
                return Ok(());
            }
        };
        let Ok(bytes) = Bytes::new(envelope.encode()) else {
            let _ = done.send(Err(SessionError::TooLarge(envelope.body_ct.as_slice().len()).into()));
            return Ok(());
        };
        let post = PostEnvelope { to, reference: self.next_reference, envelope: bytes };
        self.next_reference = self.next_reference.saturating_add(1);
        self.unsent.push_back(Unsent { post: post.clone(), done });
        if online {
            send_frame(socket, &StreamRequest::Post(post)).await.map_err(|_| Over::Lost)?;
        }
        Ok(())
    }

    /// Fetches and follows the lists that are not known yet, as many answers as it takes.
    async fn follow_list(&mut self) -> Result<(), Over> {
        loop {
            let who = self.membership.credentials(self.guard.as_ref());
            let known = who.epoch;
            let chain = match self.client.chain(&who, known.saturating_add(1)).await {
                Ok(chain) => chain,
                Err(NetError::Refused(refused)) => return Err(Over::End(ConnectionEvent::Refused(refused.code))),
                Err(error @ NetError::KeyGuard(_)) => return Err(Over::End(ConnectionEvent::Failed(error))),
                Err(_) => return Err(Over::Lost),
            };
            let more = chain.lists.as_slice().len() >= CHAIN_LISTS;
            let now = self.now();
            let followed = self.stored(move |store| store.follow(&chain, now)).await?;
            if let Some(reason) = followed.removal {
                return Err(self.erase(reason).await);
            }
            self.reload().await?;
            if let Some(fork) = followed.fork {
                self.tell(ConnectionEvent::Forked(fork)).await?;
            }
            if followed.refused {
                // The account never signed it: nothing of it is believed.
                return Err(Over::End(ConnectionEvent::Failed(NetError::NotAuthentic)));
            }
            if followed.epoch > known {
                self.sync_follow().await?;
                self.tell(ConnectionEvent::ListChanged { epoch: followed.epoch }).await?;
            }
            if !more || followed.epoch <= known {
                return Ok(());
            }
        }
    }

    /// The relay does not let this device in, or throws it out.
    async fn on_refusal(&mut self, code: Option<RefusalCode>) -> Over {
        match code {
            // The relay's word alone erases nothing: the signed list must say so.
            Some(RefusalCode::Removed) => match self.follow_list().await {
                Err(over @ Over::End(_)) => over,
                _ => Over::End(ConnectionEvent::Refused(RefusalCode::Removed)),
            },
            Some(RefusalCode::LeaseExpired) => match self.upkeep(None).await {
                Err(over) => over,
                Ok(()) => Over::End(ConnectionEvent::Refused(RefusalCode::LeaseExpired)),
            },
            // A relay that lost its store learns the account again from its primary device.
            Some(RefusalCode::NotFound | RefusalCode::NotAllowed) if self.membership.role() == Role::Primary => {
                let Membership::Primary(account) = &self.membership else { return Over::Lost };
                let publish = PublishList { list: account.list().signed().clone(), ops: account.ops_cert().clone() };
                match self.client.publish(account.id(), &publish).await {
                    Ok(()) | Err(NetError::Unreachable(_)) => Over::Lost,
                    Err(error) => Over::End(ConnectionEvent::Failed(error)),
                }
            }
            None
            | Some(
                RefusalCode::TimedOut | RefusalCode::RateLimited | RefusalCode::Unavailable | RefusalCode::NotFound,
            ) => Over::Lost,
            Some(code) => Over::End(ConnectionEvent::Refused(code)),
        }
    }

    pub(super) async fn tell(&self, event: ConnectionEvent) -> Result<(), Over> {
        self.outbox.send(event.into()).await.map_err(|_| Over::Dropped)
    }

    /// Queues a notice that is due here at `at`.
    pub(super) async fn tell_due(&mut self, notice: &StoredNotice, at: Timestamp) -> Result<(), Over> {
        self.queued.insert(notice.id, at);
        let event = ConnectionEvent::Notice(notice.notice.clone());
        self.outbox.send(Queued { event, due: Some((notice.id, at)) }).await.map_err(|_| Over::Dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::primary::tests::phone_with_notices;

    /// Waits for what another task does.
    async fn soon<F: Future<Output = bool>>(mut done: impl FnMut() -> F) {
        for _ in 0..20_000 {
            if done().await {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
        panic!("it never happens");
    }

    #[tokio::test]
    async fn a_notice_counts_as_shown_when_it_was_taken_and_not_when_it_was_queued() {
        let device = DeviceId([1; 16]);
        let (phone, store, _folder) = phone_with_notices(&[device]).await;
        let is_due = || async {
            let notices = store.run(|store| store.notices()).await.unwrap();
            notices[0].is_due(crate::net::system_time())
        };

        let line = phone.connect().await.unwrap();
        soon(|| async { !line.events.lock().await.is_empty() }).await;
        drop(line);
        assert!(is_due().await, "nobody took it");
        let line = phone.connect().await.unwrap();
        // Long enough in the queue that the driver looked for due notices again.
        soon(|| async { line.events.lock().await.len() > 1 }).await;
        assert!(is_due().await);
        assert!(matches!(line.next_event().await, Some(ConnectionEvent::Notice(told)) if told.device == device));
        assert!(matches!(line.next_event().await, Some(ConnectionEvent::Offline { .. })), "it is queued once");
        line.marked().await;
        assert!(!is_due().await, "it was shown");
    }

    #[test]
    fn a_refused_post_is_the_one_that_the_relay_names_not_the_oldest() {
        let mut answers = Vec::new();
        let mut unsent: VecDeque<_> = [70, 71, 72]
            .into_iter()
            .map(|reference| {
                let (done, answer) = oneshot::channel();
                answers.push(answer);
                let envelope = Bytes::new(vec![0]).unwrap();
                Unsent { post: PostEnvelope { to: DeviceId([1; 16]), reference, envelope }, done }
            })
            .collect();
        let refused = take_unsent(&mut unsent, 71).unwrap();
        refused.done.send(Err(NetError::Ended)).unwrap();
        assert!(matches!(answers[1].try_recv(), Ok(Err(NetError::Ended))));
        assert!(answers[0].try_recv().is_err(), "the one before still waits");
        assert!(take_unsent(&mut unsent, 71).is_none(), "told twice");
        let left: Vec<_> = unsent.iter().map(|unsent| unsent.post.reference).collect();
        assert_eq!(left, [70, 72], "in order for the next socket");
    }
}
