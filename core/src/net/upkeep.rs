//! What a live connection does without being asked: reports and leases, following lists, notices, new sessions, and the
//! end of a device whose reports do not add up.

use pairlight_wire::device::{CheckIn, Role, SCOPE_RECEIVE, SCOPE_SEND};
use pairlight_wire::envelope::{Envelope, EnvelopeKind};
use pairlight_wire::id::DeviceId;
use pairlight_wire::limits::GRANT_LISTS;
use pairlight_wire::list::RemovalReason;
use pairlight_wire::relay::{PostEnvelope, RenewLease, StreamRequest};
use pairlight_wire::sign::Signed;
use pairlight_wire::standing::{Discrepancy, LeaseGrant, Notice, NoticeKind};
use pairlight_wire::{Bytes, List, Wire};
use tokio::sync::oneshot;

use super::client::{Socket, send_frame};
use super::clock::system_rng;
use super::connection::{ConnectionEvent, Driver, Membership, Over, Unsent};
use super::error::NetError;
use super::publish::Publisher;
use crate::Timestamp;
use crate::devices::{
    Account, Action, Circumstances, Duty, LeaseTerms, ListFork, Observation, SessionCounts, Tenancy, Told, action,
};
use crate::session::{ResetIdentity, ResetStepped, Session};
use crate::store::{Batch, Store, StoreError};
use crate::trust::{Evidence, Policy};

/// A lease of a device whose grade the policy no longer grants, ms.
const SHORT_LEASE_MS: u64 = 24 * 3_600_000;
/// Bytes of lists that go along with a lease.
const GRANT_BYTES: usize = 40 * 1024;

/// What came of an envelope, everything that must survive stored already.
pub(super) enum Receipt {
    /// For the app.
    Message { kind: EnvelopeKind, body: Vec<u8> },
    /// It does not open.
    Unreadable,
    /// It opens, but the sender may not send.
    Withheld,
    /// A check-in, with what follows and the envelope that answers it.
    Reported { findings: Vec<(Observation, Action)>, fork: Option<ListFork>, answer: Option<Box<Envelope>> },
    /// A lease.
    Leased {
        tenancy: Box<Tenancy>,
        until: Timestamp,
        lease: Box<Signed>,
        fork: Option<ListFork>,
        removal: Option<RemovalReason>,
    },
    /// A notice.
    Noticed(Notice),
    /// Nothing that concerns anybody.
    Nothing,
}

/// Opens an envelope and does what it asks for, in one turn of the store.
pub(super) fn receive(
    store: &mut Store,
    envelope: &Envelope,
    policy: Option<&Policy>,
    now: Timestamp,
) -> Result<Receipt, StoreError> {
    let Some(mut session) = store.session(&envelope.from)? else { return Ok(Receipt::Unreadable) };
    let Ok(message) = session.open(envelope) else { return Ok(Receipt::Unreadable) };
    match (message.kind, policy) {
        (EnvelopeKind::CheckIn, Some(policy)) => {
            return on_check_in(store, session, &message.body, policy, now);
        }
        (EnvelopeKind::Lease, None) => {
            store.put_session(&session)?;
            return on_lease(store, &message.body, now);
        }
        _ => store.put_session(&session)?,
    }
    match message.kind {
        EnvelopeKind::Notice => Ok(Notice::decode(&message.body).map_or(Receipt::Nothing, Receipt::Noticed)),
        EnvelopeKind::CheckIn | EnvelopeKind::Lease | EnvelopeKind::Reset => Ok(Receipt::Nothing),
        EnvelopeKind::Application | EnvelopeKind::History | EnvelopeKind::Ephemeral => {
            let may_send = match policy {
                Some(_) => scope_of(store, &envelope.from)?.is_some_and(|scope| scope & SCOPE_SEND != 0),
                None => true,
            };
            Ok(match may_send {
                true => Receipt::Message { kind: message.kind, body: message.body },
                false => Receipt::Withheld,
            })
        }
    }
}

/// The scope that a linked device has at this primary device now; `None` when it is not listed.
fn scope_of(store: &Store, device: &DeviceId) -> Result<Option<u64>, StoreError> {
    let Some(account) = store.account()? else { return Ok(None) };
    let Some(entry) = account.list().entry(device) else { return Ok(None) };
    Ok(Some(if entry.role == Role::Primary { entry.scope } else { store.book(device)?.scope(entry.scope) }))
}

/// Whether this device may send an envelope of `kind` to `to` now; otherwise why not.
pub(super) fn check_scope(
    store: &Store,
    to: &DeviceId,
    kind: EnvelopeKind,
) -> Result<Result<(), NetError>, StoreError> {
    if !matches!(kind, EnvelopeKind::Application | EnvelopeKind::History | EnvelopeKind::Ephemeral) {
        return Ok(Ok(()));
    }
    if store.account()?.is_some() {
        let because = store.book(to)?.because;
        let may_receive = scope_of(store, to)?.is_some_and(|scope| scope & SCOPE_RECEIVE != 0);
        return Ok(if may_receive { Ok(()) } else { Err(NetError::OutOfScope(because)) });
    }
    let scope = store.linked_account()?.map_or(0, |account| account.scope());
    let because = store.tenancy()?.and_then(|tenancy| tenancy.because);
    Ok(if scope & SCOPE_SEND != 0 { Ok(()) } else { Err(NetError::OutOfScope(because)) })
}

fn on_check_in(
    store: &mut Store,
    mut session: Session,
    body: &[u8],
    policy: &Policy,
    now: Timestamp,
) -> Result<Receipt, StoreError> {
    let device = session.peer();
    let account = store.account()?;
    let entry = account.as_ref().and_then(|account| account.list().entry(&device).cloned());
    let (Some(account), Some(entry), Ok(signed)) = (account, entry, Signed::decode(body)) else {
        store.put_session(&session)?;
        return Ok(Receipt::Nothing);
    };
    // Only to find the list to compare with; what counts is read after the signature.
    let named = CheckIn::decode(signed.payload.as_slice()).map_or(0, |check_in| check_in.epoch);
    let epoch = account.list().list().epoch;
    let here = Circumstances { entry: &entry, epoch, hash_then: store.hash_of(named)?, sent: session.counts().sent };
    let mut book = store.book(&device)?;
    let verdict = book.assess(&signed, &here, now);
    let differs = verdict.findings.iter().any(|(_, follows)| *follows == Action::FreezeList);
    let fork = match (&verdict.check_in, here.hash_then) {
        (Some(check_in), Some(ours)) if differs => {
            Some(ListFork { epoch: named, ours, theirs: check_in.list_hash, at: now.unix_ms() })
        }
        _ => None,
    };
    let mut answer = None;
    if let Some(check_in) = verdict.check_in.as_ref().filter(|_| verdict.removal().is_none()) {
        let (_, grade, _) = Evidence::from_certificate(entry.evidence);
        let granted = grade.and_then(|grade| policy.grant(grade)).map_or(SHORT_LEASE_MS, |grant| grant.lease_ms);
        let lease_ms = granted.min(entry.not_after.saturating_sub(now.unix_ms()));
        let terms =
            LeaseTerms { ctr: check_in.ctr, checkin: signed.digest(), scope: book.scope(entry.scope), lease_ms };
        if let Ok(lease) = account.lease(device, &terms, now) {
            book.lease_until = now.plus_ms(lease_ms).unix_ms();
            let grant = LeaseGrant {
                lease,
                ops: account.ops_cert().clone(),
                standing: book.standing,
                because: book.because,
                lists: lists_after(store, check_in.epoch, epoch)?,
            };
            let sealed = session.seal(EnvelopeKind::Lease, &grant.encode(), &mut system_rng());
            answer = sealed.ok().map(Box::new);
        }
    }
    let told: Vec<_> =
        verdict.findings.iter().filter(|(_, follows)| tells(*follows)).map(|(seen, _)| seen.row()).collect();
    let mut batch = Batch::new();
    for row in told {
        batch.put_notice(&store.discrepancy_notice(&account, device, row, now));
    }
    batch.put_book(&book);
    store.put_session_with(&session, batch)?;
    if let Some(fork) = &fork {
        store.put_fork(fork)?;
    }
    Ok(Receipt::Reported { findings: verdict.findings, fork, answer })
}

/// Whether the person hears of an action by a notice. Of a removal the change of the list tells.
fn tells(follows: Action) -> bool {
    matches!(follows, Action::Notice | Action::Restrict | Action::Quarantine | Action::FreezeList)
}

fn lists_after(store: &Store, known: u64, newest: u64) -> Result<List<Signed, GRANT_LISTS>, StoreError> {
    let (mut lists, mut room) = (Vec::new(), GRANT_BYTES);
    for epoch in (known.saturating_add(1)..=newest).take(GRANT_LISTS) {
        let Some(signed) = store.list_of(epoch)? else { break };
        let Some(left) = room.checked_sub(signed.payload.as_slice().len()) else { break };
        room = left;
        lists.push(signed);
    }
    Ok(List::new(lists).unwrap_or_default())
}

fn on_lease(store: &mut Store, body: &[u8], now: Timestamp) -> Result<Receipt, StoreError> {
    let (Ok(grant), Some(mut account)) = (LeaseGrant::decode(body), store.linked_account()?) else {
        return Ok(Receipt::Nothing);
    };
    let mut tenancy = store.tenancy()?.unwrap_or_else(|| Tenancy::new(account.created()));
    // The lists first: the lease may name one that is not known yet.
    let chain = pairlight_wire::relay::ListChain {
        lists: List::new(grant.lists.as_slice().to_vec()).unwrap_or_default(),
        ops: Some(grant.ops.clone()),
    };
    let followed = store.follow(&chain, now)?;
    if followed.removal.is_none()
        && let Some(newer) = store.linked_account()?
    {
        account = newer;
    }
    let Ok(lease) = account.accept_lease(&grant.lease, &grant.ops, (tenancy.ctr, tenancy.digest)) else {
        return Ok(Receipt::Nothing);
    };
    tenancy.on_lease(grant.standing, grant.because, now);
    let ours = store.hash_of(lease.epoch)?;
    let differs = ours.filter(|ours| *ours != lease.list_hash);
    let gossip = differs.map(|ours| ListFork { epoch: lease.epoch, ours, theirs: lease.list_hash, at: now.unix_ms() });
    if let Some(fork) = &gossip {
        store.put_fork(fork)?;
    }
    let mut batch = Batch::new();
    batch.put_tenancy(&tenancy);
    if followed.removal.is_none() {
        store.put_linked_account_with(&account, batch)?;
    }
    Ok(Receipt::Leased {
        tenancy: Box::new(tenancy),
        until: Timestamp::from_unix_ms(lease.not_after),
        lease: Box::new(grant.lease),
        fork: followed.fork.or(gossip),
        removal: followed.removal,
    })
}

/// Makes the next check-in of a linked device and seals it for the primary device, stored before it is given out.
fn report(store: &mut Store, platform: [u8; 8], now: Timestamp) -> Result<Option<Envelope>, StoreError> {
    let Some(account) = store.linked_account()? else { return Ok(None) };
    let Some(primary) = account.primary() else { return Ok(None) };
    let Some(mut session) = store.session(&primary)? else { return Ok(None) };
    let mut tenancy = store.tenancy()?.unwrap_or_else(|| Tenancy::new(account.created()));
    let mut rng = system_rng();
    let counts: SessionCounts = session.counts();
    let Ok(signed) = tenancy.check_in(account.device_key(), account.list(), counts, platform, now, &mut rng) else {
        return Ok(None);
    };
    let Ok(envelope) = session.seal(EnvelopeKind::CheckIn, &signed.encode(), &mut rng) else { return Ok(None) };
    let mut batch = Batch::new();
    batch.put_tenancy(&tenancy);
    store.put_session_with(&session, batch)?;
    Ok(Some(envelope))
}

impl Driver {
    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn publisher(&self) -> Publisher {
        Publisher { store: self.store.clone(), client: self.client.clone(), clock: self.clock.clone() }
    }

    /// Posts a sealed envelope that nobody waits for.
    async fn post_sealed(&mut self, socket: &mut Socket, envelope: &Envelope) -> Result<(), Over> {
        let Ok(bytes) = Bytes::new(envelope.encode()) else { return Ok(()) };
        let post = PostEnvelope { to: envelope.to, reference: self.next_reference, envelope: bytes };
        self.next_reference = self.next_reference.saturating_add(1);
        let (done, _) = oneshot::channel();
        self.unsent.push_back(Unsent { post: post.clone(), done });
        send_frame(socket, &StreamRequest::Post(post)).await.map_err(|_| Over::Lost)
    }

    /// Runs `work` on the store; a failure of the store ends the connection.
    pub(super) async fn stored<T, W>(&self, work: W) -> Result<T, Over>
    where
        T: Send + 'static,
        W: FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    {
        self.store.run(work).await.map_err(|error| Over::End(ConnectionEvent::Failed(error)))
    }

    /// What is due by the clock. Without a socket only what needs none.
    pub(super) async fn upkeep(&mut self, mut socket: Option<&mut Socket>) -> Result<(), Over> {
        match self.membership {
            Membership::Linked(_) => loop {
                let Some(duty) = self.linked_duty().await? else { break };
                match (duty, socket.as_deref_mut()) {
                    (Duty::CheckIn, Some(socket)) => {
                        let (platform, now) = (self.platform, self.now());
                        let sealed = self.stored(move |store| report(store, platform, now)).await?;
                        self.reported = true;
                        match sealed {
                            Some(envelope) => self.post_sealed(socket, &envelope).await?,
                            // No session with the primary device: a new one first.
                            None => {
                                self.ask_for_session(socket).await?;
                                break;
                            }
                        }
                    }
                    (Duty::CheckIn, None) => {
                        self.warn_of_silence().await?;
                        break;
                    }
                    (Duty::Warn, _) => self.warn_of_silence().await?,
                    (Duty::Lock, _) => return Err(self.lock().await),
                    (Duty::Wipe, _) => return Err(self.erase(RemovalReason::Lapsed).await),
                }
            },
            Membership::Primary(_) => self.tell_others(socket).await?,
        }
        Ok(())
    }

    async fn linked_duty(&self) -> Result<Option<Duty>, Over> {
        let (now, reported) = (self.now(), self.reported);
        self.stored(move |store| {
            let Some(account) = store.linked_account()? else { return Ok(None) };
            let tenancy = store.tenancy()?.unwrap_or_else(|| Tenancy::new(account.created()));
            let duty = tenancy.duty(account.ends(), now);
            // At its start a device reports in any case.
            Ok(if duty.is_none() && !reported && !tenancy.locked { Some(Duty::CheckIn) } else { duty })
        })
        .await
    }

    async fn warn_of_silence(&mut self) -> Result<(), Over> {
        let now = self.now();
        let silent = self
            .stored(move |store| {
                let Some(account) = store.linked_account()? else { return Ok(None) };
                let mut tenancy = store.tenancy()?.unwrap_or_else(|| Tenancy::new(account.created()));
                // A report that waits for a socket must not hide that a warning is due.
                tenancy.made = now.unix_ms();
                if tenancy.duty(u64::MAX, now) != Some(Duty::Warn) {
                    return Ok(None);
                }
                let mut stored = store.tenancy()?.unwrap_or_else(|| Tenancy::new(account.created()));
                stored.warned = now.unix_ms();
                let mut batch = Batch::new();
                batch.put_tenancy(&stored);
                store.commit(&batch)?;
                Ok(Some(stored.silence_ms(now)))
            })
            .await?;
        match silent {
            Some(for_ms) => self.tell(ConnectionEvent::Silent { for_ms }).await,
            None => Ok(()),
        }
    }

    /// The lease has ended: seals the store, drops its key, and waits for the day to erase it.
    async fn lock(&mut self) -> Over {
        let locked = self.store.run(|store| {
            let linked = store.linked_account()?.map_or(Timestamp::default(), |account| account.created());
            let mut tenancy = store.tenancy()?.unwrap_or_else(|| Tenancy::new(linked));
            tenancy.locked = true;
            tenancy.because = Some(Discrepancy::LeaseEnded);
            let mut batch = Batch::new();
            batch.put_tenancy(&tenancy);
            store.commit(&batch)?;
            store.lock();
            Ok(tenancy)
        });
        let tenancy = match locked.await {
            Ok(tenancy) => tenancy,
            Err(error) => return Over::End(ConnectionEvent::Failed(error)),
        };
        if self.tell(ConnectionEvent::Locked(Discrepancy::LeaseEnded)).await.is_err() {
            return Over::Dropped;
        }
        while tenancy.duty(u64::MAX, self.now()) != Some(Duty::Wipe) {
            tokio::time::sleep(super::clock::pause(self.now(), None)).await;
        }
        self.erase(RemovalReason::Lapsed).await
    }

    /// Erases keys and data; the reason is the last event.
    pub(super) async fn erase(&mut self, reason: RemovalReason) -> Over {
        Over::End(match self.store.run(|store| store.wipe()).await {
            Ok(()) => ConnectionEvent::Removed(reason),
            Err(error) => ConnectionEvent::Failed(error),
        })
    }

    /// Shows notices that are due here, and tells the other devices.
    async fn tell_others(&mut self, mut socket: Option<&mut Socket>) -> Result<(), Over> {
        let now = self.now();
        let notices = self.stored(|store| store.notices()).await?;
        for mut notice in notices {
            let mut changed = notice.take_due(now);
            if changed {
                self.tell(ConnectionEvent::Notice(notice.notice.clone())).await?;
            }
            if let Some(socket) = socket.as_deref_mut() {
                for other in notice.others.as_slice().to_vec() {
                    let body = notice.notice.encode();
                    notice.told(&other);
                    changed = true;
                    let kept = notice.clone();
                    let sealed = self.stored(move |store| {
                        let mut batch = Batch::new();
                        batch.put_notice(&kept);
                        let listed = store.account()?.is_some_and(|account| account.list().entry(&other).is_some());
                        let session = if listed { store.session(&other)? } else { None };
                        let Some(mut session) = session else {
                            store.commit(&batch)?;
                            return Ok(None);
                        };
                        let sealed = session.seal(EnvelopeKind::Notice, &body, &mut system_rng()).ok();
                        store.put_session_with(&session, batch)?;
                        Ok(sealed)
                    });
                    if let Some(envelope) = sealed.await? {
                        self.post_sealed(socket, &envelope).await?;
                    }
                }
            }
            if changed {
                self.stored(move |store| {
                    let mut batch = Batch::new();
                    batch.put_notice(&notice);
                    store.commit(&batch)
                })
                .await?;
            }
        }
        Ok(())
    }

    /// An envelope came.
    pub(super) async fn on_envelope(&mut self, socket: &mut Socket, envelope: Envelope) -> Result<(), Over> {
        let from = envelope.from;
        if envelope.kind == EnvelopeKind::Reset {
            return self.on_reset(socket, from, envelope.body_ct.as_slice()).await;
        }
        let (policy, now) = (self.policy, self.now());
        match self.stored(move |store| receive(store, &envelope, policy.as_ref(), now)).await? {
            Receipt::Message { kind, body } => {
                self.unreadable.remove(&from);
                self.tell(ConnectionEvent::Message { from, kind, body }).await
            }
            Receipt::Withheld => self.tell(ConnectionEvent::Withheld { from }).await,
            Receipt::Noticed(notice) => self.tell(ConnectionEvent::Notice(notice)).await,
            Receipt::Nothing => Ok(()),
            Receipt::Unreadable => {
                let (count, since) = self.unreadable.get(&from).copied().unwrap_or((0, now));
                let count = u64::saturating_add(count, 1);
                self.unreadable.insert(from, (count, since));
                self.tell(ConnectionEvent::Unreadable { from }).await?;
                let seen = Observation::Undecryptable { count, for_ms: now.ms_since(since) };
                if action(&seen) == Action::ResetSession {
                    self.unreadable.remove(&from);
                    self.ask(socket, from).await?;
                }
                Ok(())
            }
            Receipt::Reported { findings, fork, answer } => {
                self.unreadable.remove(&from);
                if let Some(answer) = answer {
                    self.post_sealed(socket, &answer).await?;
                }
                if let Some(fork) = fork {
                    self.tell(ConnectionEvent::Forked(fork)).await?;
                }
                self.pursue(from, findings).await
            }
            Receipt::Leased { tenancy, until, lease, fork, removal } => {
                self.unreadable.remove(&from);
                if let Some(reason) = removal {
                    return Err(self.erase(reason).await);
                }
                self.reload().await?;
                send_frame(socket, &StreamRequest::Renew(RenewLease { lease: *lease }))
                    .await
                    .map_err(|_| Over::Lost)?;
                if let Some(fork) = fork {
                    self.tell(ConnectionEvent::Forked(fork)).await?;
                }
                let event = ConnectionEvent::Leased { until, standing: tenancy.standing, because: tenancy.because };
                self.tell(event).await
            }
        }
    }

    /// Tells the app what was found about a device, and takes it off the list when that is what follows.
    pub(super) async fn pursue(&mut self, device: DeviceId, findings: Vec<(Observation, Action)>) -> Result<(), Over> {
        for (seen, follows) in findings {
            let row = seen.row();
            self.tell(ConnectionEvent::Discrepancy { device, row, follows }).await?;
            if let Action::Revoke(reason) = follows {
                self.remove(device, row, reason).await?;
            }
        }
        Ok(())
    }

    /// Removes devices that must go and could not be taken off the list when that was found.
    pub(super) async fn remove_condemned(&mut self) -> Result<(), Over> {
        if matches!(self.membership, Membership::Linked(_)) {
            return Ok(());
        }
        let linked: Vec<_> =
            self.membership.list().list().entries.as_slice().iter().map(|entry| entry.device).collect();
        let condemned = self
            .stored(move |store| {
                let mut condemned = Vec::new();
                for device in linked {
                    let book = store.book(&device)?;
                    if let (Some(reason), Some(row)) = (book.pending_removal(), book.because) {
                        condemned.push((device, row, reason));
                    }
                }
                Ok(condemned)
            })
            .await?;
        for (device, row, reason) in condemned {
            self.remove(device, row, reason).await?;
        }
        Ok(())
    }

    async fn remove(&mut self, device: DeviceId, row: Discrepancy, reason: RemovalReason) -> Result<(), Over> {
        let told = Told { kind: NoticeKind::Removed, device, discrepancy: Some(row) };
        let publisher = self.publisher();
        let removed = publisher.change(vec![told], |account, now| account.list_without(&device, reason, now)).await;
        match removed {
            Ok(_) | Err(NetError::UnknownDevice) => self.reload().await,
            // Out of reach: it stays quarantined here, and goes with the next connection.
            Err(error) => {
                tracing::warn!(%error, "a device that must go cannot be taken off the list yet");
                Ok(())
            }
        }
    }

    /// The relay says something about a device of the account.
    pub(super) async fn on_device_news(&mut self, device: DeviceId, country: Option<String>) -> Result<(), Over> {
        let now = self.now();
        let findings = self
            .stored(move |store| {
                let Some(account) = store.account()? else { return Ok(Vec::new()) };
                let linked = account.list().entry(&device).is_some_and(|entry| entry.role == Role::Linked);
                if !linked {
                    return Ok(Vec::new());
                }
                let mut book = store.book(&device)?;
                let findings = match country {
                    Some(country) => book.on_country(&country),
                    None => book.on_two_sockets(now),
                };
                let mut batch = Batch::new();
                batch.put_book(&book);
                for (seen, follows) in &findings {
                    if tells(*follows) {
                        batch.put_notice(&store.discrepancy_notice(&account, device, seen.row(), now));
                    }
                }
                store.commit(&batch)?;
                Ok(findings)
            })
            .await?;
        self.pursue(device, findings).await
    }

    // ---- new sessions

    /// A linked device without a session with its primary device asks for one: that device is new after a recovery.
    pub(super) async fn ask_for_session(&mut self, socket: &mut Socket) -> Result<(), Over> {
        let primary = match &self.membership {
            Membership::Linked(account) => account.primary(),
            Membership::Primary(_) => None,
        };
        let Some(primary) = primary else { return Ok(()) };
        if self.stored(move |store| Ok(store.session(&primary)?.is_some())).await? {
            return Ok(());
        }
        self.ask(socket, primary).await
    }

    /// Asks a device for a new session.
    pub(super) async fn ask(&mut self, socket: &mut Socket, peer: DeviceId) -> Result<(), Over> {
        let now = self.now();
        let asked =
            identity(&self.membership).and_then(|who| self.desk.ask(&who, peer, now, &mut system_rng()).ok().flatten());
        match asked {
            Some(signed) => self.post_reset(socket, peer, &signed).await,
            None => Ok(()),
        }
    }

    async fn post_reset(&mut self, socket: &mut Socket, to: DeviceId, signed: &Signed) -> Result<(), Over> {
        let from = self.membership.credentials().device;
        let Ok(body_ct) = Bytes::new(signed.encode()) else { return Ok(()) };
        let envelope =
            Envelope { kind: EnvelopeKind::Reset, from, to, seq: 0, olm_type: 0, olm_ct: Bytes::default(), body_ct };
        self.post_sealed(socket, &envelope).await
    }

    async fn on_reset(&mut self, socket: &mut Socket, from: DeviceId, body: &[u8]) -> Result<(), Over> {
        let now = self.now();
        let Ok(signed) = Signed::decode(body) else { return Ok(()) };
        let Some(peer_pk) = self.membership.list().entry(&from).map(|entry| entry.device_pk) else { return Ok(()) };
        let stepped = identity(&self.membership)
            .and_then(|who| self.desk.handle(&who, from, &peer_pk, &signed, now, &mut system_rng()).ok());
        match stepped {
            None => self.tell(ConnectionEvent::Unreadable { from }).await,
            Some(ResetStepped::Nothing) => Ok(()),
            Some(ResetStepped::Reply(reply)) => self.post_reset(socket, from, &reply).await,
            Some(ResetStepped::Done(session, last)) => {
                let primary = matches!(self.membership, Membership::Primary(_));
                let findings = self
                    .stored(move |store| {
                        let known = store.session(&from)?.is_some();
                        let mut batch = Batch::new();
                        let mut findings = Vec::new();
                        if primary {
                            let mut book = store.book(&from)?;
                            // The first session of a recovered phone replaces none.
                            findings = if known { book.on_reset(now) } else { Vec::new() };
                            book.tx_hw = 0;
                            batch.put_book(&book);
                        }
                        store.put_session_with(&session, batch)?;
                        Ok(findings)
                    })
                    .await?;
                self.unreadable.remove(&from);
                if let Some(last) = last {
                    self.post_reset(socket, from, &last).await?;
                }
                self.tell(ConnectionEvent::SessionReset { peer: from }).await?;
                if primary && !findings.is_empty() {
                    let noted =
                        self.publisher().change(vec![], |account, now| account.list_with_reset(&from, now)).await;
                    if let Err(error) = noted {
                        tracing::warn!(%error, "a reset cannot be noted in the list");
                    }
                    self.reload().await?;
                }
                self.pursue(from, findings).await?;
                // The device on the other end of a fresh session may have waited for its lease.
                self.reported = false;
                self.upkeep(Some(socket)).await
            }
        }
    }

    /// Takes the membership from the store, which other handles change too.
    pub(super) async fn reload(&mut self) -> Result<(), Over> {
        let primary = matches!(self.membership, Membership::Primary(_));
        let loaded = self
            .stored(move |store| {
                Ok(if primary {
                    store.account()?.map(|account: Account| Membership::Primary(Box::new(account)))
                } else {
                    store.linked_account()?.map(|account| Membership::Linked(Box::new(account)))
                })
            })
            .await?;
        if let Some(loaded) = loaded {
            self.membership = loaded;
        }
        Ok(())
    }
}

fn identity(membership: &Membership) -> Option<ResetIdentity<'_>> {
    Some(match membership {
        Membership::Primary(account) => ResetIdentity {
            account: account.id(),
            own: account.device_id(),
            key: account.device_key(),
            label_key: account.label_key(),
        },
        Membership::Linked(account) => ResetIdentity {
            account: account.id(),
            own: account.device_id(),
            key: account.device_key(),
            label_key: account.label_key(),
        },
    })
}
