//! What a live connection does without being asked: reports and leases, following lists, notices, new sessions, and the
//! end of a device whose reports do not add up.

use pairlight_wire::device::Role;
use pairlight_wire::envelope::{Envelope, EnvelopeKind};
use pairlight_wire::id::DeviceId;
use pairlight_wire::list::RemovalReason;
use pairlight_wire::relay::{PostEnvelope, RenewLease, StreamRequest};
use pairlight_wire::sign::{Signed, SigningContext};
use pairlight_wire::standing::{Discrepancy, NoticeKind, Standing};
use pairlight_wire::{Bytes, Wire};
use tokio::sync::oneshot;

use super::client::send_frame;
use super::clock::system_rng;
use super::connection::{ConnectionEvent, Driver, Membership, Over, Unsent};
use super::error::NetError;
use super::host::{Socket, sleep};
use super::publish::Publisher;
use super::records::receive_records;
use super::shared::SharedStore;
use super::turn::{NextReport, Receipt, put_told, receive, report, report_signed};
use crate::Timestamp;
use crate::devices::{Account, Action, Duty, Observation, Tenancy, Told, action};
use crate::session::{ResetIdentity, ResetStepped, Unsigned};
use crate::store::{Batch, Store, StoreError, Unreadable};

/// What waited at the relay has arrived this long after the socket was opened, ms.
const MAIL_ARRIVES_MS: u64 = 60_000;
/// How often it is looked for devices that never came.
const MISSING_LOOK_MS: u64 = 3_600_000;

/// How often a device reports while its lease gives it less than its certificate.
const FIRST_TIME_LOOK_MS: u64 = 900_000;

/// What the relay says of a device.
pub(super) enum DeviceNews {
    /// It was connected twice at once.
    Duplicate {
        /// How long ago.
        ago_ms: u64,
    },
    /// Where it is.
    Country(String),
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
                        let next = self.stored(move |store| report(store, platform, now)).await?;
                        self.reported = true;
                        match next {
                            NextReport::Sealed(envelope) => self.post_sealed(socket, &envelope).await?,
                            NextReport::Unsigned(draft) => {
                                let signed = self.sign(SigningContext::CheckIn, draft.check_in.encode()).await?;
                                let sealed = self.stored(move |store| report_signed(store, &draft, signed)).await?;
                                if let Some(envelope) = sealed {
                                    self.post_sealed(socket, &envelope).await?;
                                }
                            }
                            // No session with the primary device: a new one first.
                            NextReport::None => {
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
            Membership::Primary(_) => {
                let online = socket.is_some();
                self.tell_others(socket).await?;
                if online {
                    self.remove_who_never_came().await?;
                }
            }
        }
        Ok(())
    }

    /// Takes devices off the list that were linked here and never reported: a relay that says "published" and tells the
    /// other device nothing leaves such an entry, whose key nobody has any more.
    async fn remove_who_never_came(&mut self) -> Result<(), Over> {
        let now = self.now();
        if self.online_since.is_none_or(|since| now.ms_since(since) < MAIL_ARRIVES_MS)
            || self.looked_for_missing.is_some_and(|looked| now.ms_since(looked) < MISSING_LOOK_MS)
        {
            return Ok(());
        }
        self.looked_for_missing = Some(now);
        let missing = self.stored(move |store| {
            let Some(account) = store.account()? else { return Ok(Vec::new()) };
            let list = account.list();
            // Devices from before a recovery may have reported to the phone that is gone.
            let own = list.entry(&account.device_id()).map_or(u64::MAX, |entry| entry.created);
            let linked = list.list().entries.as_slice().iter();
            let linked = linked.filter(|entry| entry.role == Role::Linked && entry.created > own);
            let mut missing = Vec::new();
            for entry in linked {
                if store.book(&entry.device)?.never_came(Timestamp::from_unix_ms(entry.created), now) {
                    missing.push(entry.device);
                }
            }
            Ok(missing)
        });
        for device in missing.await? {
            self.remove(device, None, RemovalReason::Abandoned).await?;
        }
        Ok(())
    }

    async fn linked_duty(&self) -> Result<Option<Duty>, Over> {
        let (now, reported) = (self.now(), self.reported);
        self.stored(move |store| {
            let Some(account) = store.linked_account()? else { return Ok(None) };
            let tenancy = store.tenancy()?.unwrap_or_else(|| Tenancy::new(account.created()));
            let duty = tenancy.duty(account.ends(), now);
            // In its first time it may do less than its certificate says, and asks soon whether that is over.
            let granted = account.list().entry(&account.device_id()).map_or(0, |entry| entry.scope);
            let is_first_time = tenancy.standing == Standing::Active && account.scope() != granted;
            let since_report = now.ms_since(Timestamp::from_unix_ms(tenancy.made));
            let asks = is_first_time && since_report >= FIRST_TIME_LOOK_MS;
            // At its start a device reports in any case.
            Ok(if duty.is_none() && (asks || !reported) && !tenancy.locked { Some(Duty::CheckIn) } else { duty })
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
            sleep(super::clock::pause(self.now(), None)).await;
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

    /// Hands out notices that are due here, and tells the other devices. What was queued is not queued again while it waits:
    /// it is marked as shown when it is taken.
    async fn tell_others(&mut self, mut socket: Option<&mut Socket>) -> Result<(), Over> {
        let now = self.now();
        let notices = self.stored(|store| store.notices()).await?;
        self.queued.retain(|id, _| notices.iter().any(|notice| notice.id == *id));
        for notice in notices {
            let waits = self.queued.get(&notice.id).is_some_and(|at| notice.is_due(*at));
            if !waits && notice.is_due(now) {
                self.tell_due(&notice, now).await?;
            }
            let Some(socket) = socket.as_deref_mut() else { continue };
            for other in notice.others.as_slice().to_vec() {
                let (id, body) = (notice.id, notice.notice.encode());
                let sealed = self.stored(move |store| {
                    // As it is now: it may have been shown meanwhile.
                    let Some(mut kept) = store.notice(&id)? else { return Ok(None) };
                    kept.told(&other);
                    let mut batch = Batch::new();
                    batch.put_notice(&kept);
                    let listed = store.account()?.is_some_and(|account| account.list().entry(&other).is_some());
                    match store.session(&other)? {
                        Some(mut session) if listed => {
                            let sealed = session.seal(EnvelopeKind::Notice, &body, &mut system_rng()).ok();
                            store.put_session_with(&session, batch)?;
                            Ok(sealed)
                        }
                        // It waits for a session: a recovered phone has none yet with those who must hear of it.
                        None if listed => Ok(None),
                        _ => {
                            store.commit(&batch)?;
                            Ok(None)
                        }
                    }
                });
                if let Some(envelope) = sealed.await? {
                    self.post_sealed(socket, &envelope).await?;
                }
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
        let of_records = matches!(
            envelope.kind,
            EnvelopeKind::Records | EnvelopeKind::History | EnvelopeKind::Ephemeral | EnvelopeKind::File
        );
        let sync = self.sync.clone().filter(|_| of_records);
        let received = self.stored(move |store| match sync {
            Some(sync) => receive_records(&sync, store, &envelope, &from, policy.as_ref(), now),
            None => receive(store, &envelope, policy.as_ref(), now).map(Ok),
        });
        match received.await?.map_err(|error| Over::End(ConnectionEvent::Failed(error.into())))? {
            Receipt::Message { kind, body } => self.tell(ConnectionEvent::Message { from, kind, body }).await,
            Receipt::Withheld => self.tell(ConnectionEvent::Withheld { from }).await,
            Receipt::Noticed(notice) => self.tell(ConnectionEvent::Notice(notice)).await,
            Receipt::Nothing => Ok(()),
            Receipt::Unreadable(Unreadable { count, since }) => {
                self.tell(ConnectionEvent::Unreadable { from }).await?;
                let for_ms = now.ms_since(Timestamp::from_unix_ms(since));
                if action(&Observation::Undecryptable { count, for_ms }) == Action::ResetSession {
                    self.stored(move |store| store.forget_unreadable(&from)).await?;
                    self.ask(socket, from).await?;
                }
                Ok(())
            }
            Receipt::Reported { findings, fork, answer } => {
                if let Some(answer) = answer {
                    self.post_sealed(socket, &answer).await?;
                }
                if let Some(fork) = fork {
                    self.tell(ConnectionEvent::Forked(fork)).await?;
                }
                self.pursue(from, findings).await
            }
            Receipt::Leased { tenancy, until, lease, fork, removal } => {
                if let Some(reason) = removal {
                    return Err(self.erase(reason).await);
                }
                let could_send = self.membership.may_send();
                self.reload().await?;
                if !could_send && self.membership.may_send() {
                    // What was written meanwhile was not heard: the primary device asks for it when it hears from us.
                    self.sync_speak().await?;
                }
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
                self.remove(device, Some(row), reason).await?;
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
            self.remove(device, Some(row), reason).await?;
        }
        Ok(())
    }

    async fn remove(&mut self, device: DeviceId, row: Option<Discrepancy>, reason: RemovalReason) -> Result<(), Over> {
        let told = Told { kind: NoticeKind::Removed, device, discrepancy: row };
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
    pub(super) async fn on_device_news(&mut self, device: DeviceId, news: DeviceNews) -> Result<(), Over> {
        let now = self.now();
        let findings = self
            .stored(move |store| {
                let Some(account) = store.account()? else { return Ok(Vec::new()) };
                let linked = account.list().entry(&device).is_some_and(|entry| entry.role == Role::Linked);
                if !linked {
                    return Ok(Vec::new());
                }
                let mut book = store.book(&device)?;
                let findings = match news {
                    DeviceNews::Country(country) => book.on_country(&country),
                    DeviceNews::Duplicate { ago_ms } => book.on_two_sockets(ago_ms, now),
                };
                let mut batch = Batch::new();
                batch.put_book(&book);
                put_told(&mut batch, store, &account, device, &findings, now);
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
            Some(unsigned) => {
                let signed = self.sign_reset(unsigned).await?;
                self.post_reset(socket, peer, &signed).await
            }
            None => Ok(()),
        }
    }

    /// Signs as this device.
    async fn sign(&self, context: SigningContext, payload: Vec<u8>) -> Result<Signed, Over> {
        let signer = self.membership.credentials(self.guard.as_ref()).signer;
        let signed = signer.sign_payload(context, payload).await;
        signed.map_err(|error| Over::End(ConnectionEvent::Failed(error)))
    }

    async fn sign_reset(&mut self, unsigned: Unsigned) -> Result<Signed, Over> {
        let signed = self.sign(SigningContext::SessionReset, unsigned.payload().to_vec()).await?;
        self.desk.signed(unsigned, &signed);
        Ok(signed)
    }

    async fn post_reset(&mut self, socket: &mut Socket, to: DeviceId, signed: &Signed) -> Result<(), Over> {
        let from = self.membership.device();
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
            Some(ResetStepped::Reply(reply)) => {
                let reply = self.sign_reset(reply).await?;
                self.post_reset(socket, from, &reply).await
            }
            Some(ResetStepped::Done(session, last)) => {
                let last = match last {
                    Some(last) => Some(self.sign_reset(last).await?),
                    None => None,
                };
                let primary = matches!(self.membership, Membership::Primary(_));
                let findings = self
                    .stored(move |store| {
                        let known = store.session(&from)?.is_some();
                        let mut batch = Batch::new();
                        let mut findings = Vec::new();
                        if primary {
                            let mut book = store.book(&from)?;
                            // The first session of a recovered phone replaces none.
                            if known {
                                findings = book.on_reset(now);
                            }
                            book.tx_hw = 0;
                            batch.put_book(&book);
                            if let Some(account) = store.account()? {
                                put_told(&mut batch, store, &account, from, &findings, now);
                            }
                        }
                        store.put_new_session(&session, batch)?;
                        Ok(findings)
                    })
                    .await?;
                if let Some(last) = last {
                    self.post_reset(socket, from, &last).await?;
                }
                // What the session before carried may be lost: both say where they stand.
                self.sync_anew(from).await?;
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

/// Marks a notice as shown on this device, as far as it was due at `at`. As it is now: others may have been told of it
/// meanwhile.
pub(super) async fn mark_shown(store: &SharedStore, id: [u8; 8], at: Timestamp) -> Result<(), NetError> {
    store
        .run(move |store| {
            let mut batch = Batch::new();
            if let Some(mut notice) = store.notice(&id)? {
                notice.take_due(at);
                batch.put_notice(&notice);
            }
            store.commit(&batch)
        })
        .await
}

fn identity(membership: &Membership) -> Option<ResetIdentity<'_>> {
    Some(match membership {
        Membership::Primary(account) => {
            ResetIdentity { account: account.id(), own: account.device_id(), label_key: account.label_key() }
        }
        Membership::Linked(account) => {
            ResetIdentity { account: account.id(), own: account.device_id(), label_key: account.label_key() }
        }
    })
}
