//! What one envelope, or one report, does to the store: everything that must be true together, in one turn.

use pairlight_wire::device::{CheckIn, Report, Role, SCOPE_ALL, SCOPE_RECEIVE, SCOPE_SEND};
use pairlight_wire::envelope::{Envelope, EnvelopeKind, Header};
use pairlight_wire::id::{AccountId, DeviceId};
use pairlight_wire::limits::GRANT_LISTS;
use pairlight_wire::list::{Entry, RemovalReason};
use pairlight_wire::sign::{Signed, SigningContext};
use pairlight_wire::standing::{LeaseGrant, Notice};
use pairlight_wire::{Bytes, List, Wire};

use super::clock::system_rng;
use super::error::NetError;
use crate::Timestamp;
use crate::crypto::aead::RecordKey;
use crate::crypto::kdf::{KdfLabel, derive};
use crate::devices::{
    Account, Action, Circumstances, LabelKey, LeaseTerms, ListFork, Observation, SessionCounts, Supervision, Tenancy,
};
use crate::pairing::LinkedAccount;
use crate::session::{Session, SessionError};
use crate::store::{Batch, Store, StoreError, Unreadable};
use crate::trust::Policy;

/// A lease of a device whose grade the policy no longer grants, ms.
const SHORT_LEASE_MS: u64 = 24 * 3_600_000;
/// Bytes of lists that go along with a lease.
const GRANT_BYTES: usize = 40 * 1024;

/// What came of an envelope, everything that must survive stored already.
pub(super) enum Receipt {
    /// For the app.
    Message { kind: EnvelopeKind, body: Vec<u8> },
    /// It does not open; with those before it.
    Unreadable(Unreadable),
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
    let from = envelope.from;
    if envelope.kind == EnvelopeKind::CheckIn {
        return match policy {
            Some(policy) => on_report(store, envelope, policy, now),
            None => Ok(Receipt::Nothing),
        };
    }
    let opened = store.session(&from)?.map(|mut session| (session.open(envelope), session));
    let (message, session) = match opened {
        Some((Ok(message), session)) => (message, session),
        Some((Err(SessionError::Repeated), _)) => return Ok(Receipt::Nothing),
        Some((Err(_), _)) | None => return Ok(Receipt::Unreadable(store.count_unreadable(&from, now)?)),
    };
    store.forget_unreadable(&from)?;
    match (message.kind, policy) {
        (EnvelopeKind::Lease, None) => {
            store.put_session(&session)?;
            return on_lease(store, &message.body, now);
        }
        _ => store.put_session(&session)?,
    }
    match message.kind {
        EnvelopeKind::Notice => Ok(Notice::decode(&message.body).map_or(Receipt::Nothing, Receipt::Noticed)),
        // Records without a synchronisation on this connection are asked for again by the next one that has one.
        EnvelopeKind::CheckIn
        | EnvelopeKind::Lease
        | EnvelopeKind::Reset
        | EnvelopeKind::Records
        | EnvelopeKind::File => Ok(Receipt::Nothing),
        EnvelopeKind::Application | EnvelopeKind::History | EnvelopeKind::Ephemeral => {
            let may_send = scope_here(store, &from, policy, now)? & SCOPE_SEND != 0;
            Ok(match may_send {
                true => Receipt::Message { kind: message.kind, body: message.body },
                false => Receipt::Withheld,
            })
        }
    }
}

/// The scope of a linked device now: what its standing leaves of its certificate, and in its first time less.
fn scope_of(entry: &Entry, book: &Supervision, policy: Option<&Policy>, now: Timestamp) -> u64 {
    let since_linked = now.ms_since(Timestamp::from_unix_ms(entry.created));
    let grant = policy.and_then(|policy| policy.kept(entry.evidence));
    book.scope(entry.scope) & grant.map_or(entry.scope, |grant| grant.scope_in_time(since_linked))
}

/// The scope that a device has at this primary device now; `None` when it is not listed.
fn scope_in(
    account: &Account,
    store: &Store,
    device: &DeviceId,
    policy: Option<&Policy>,
    now: Timestamp,
) -> Result<Option<u64>, StoreError> {
    let Some(entry) = account.list().entry(device) else { return Ok(None) };
    Ok(Some(match entry.role {
        Role::Primary => entry.scope,
        Role::Linked => scope_of(entry, &store.book(device)?, policy, now),
    }))
}

/// What another device may do towards this one now: a linked device towards its primary one only what its scope says.
pub(super) fn scope_here(
    store: &Store,
    from: &DeviceId,
    policy: Option<&Policy>,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let Some(account) = store.account()? else { return Ok(SCOPE_ALL) };
    Ok(scope_in(&account, store, from, policy, now)?.unwrap_or(0))
}

/// Whether this device may send an envelope of `kind` to `to` now; otherwise why not.
pub(super) fn check_scope(
    store: &Store,
    to: &DeviceId,
    kind: EnvelopeKind,
    policy: Option<&Policy>,
    now: Timestamp,
) -> Result<Result<(), NetError>, StoreError> {
    if !matches!(kind, EnvelopeKind::Application | EnvelopeKind::History | EnvelopeKind::Ephemeral) {
        return Ok(Ok(()));
    }
    if let Some(account) = store.account()? {
        let because = store.book(to)?.because;
        let may_receive = scope_in(&account, store, to, policy, now)?.is_some_and(|scope| scope & SCOPE_RECEIVE != 0);
        return Ok(if may_receive { Ok(()) } else { Err(NetError::OutOfScope(because)) });
    }
    let scope = store.linked_account()?.map_or(0, |account| account.scope());
    let because = store.tenancy()?.and_then(|tenancy| tenancy.because);
    Ok(if scope & SCOPE_SEND != 0 { Ok(()) } else { Err(NetError::OutOfScope(because)) })
}

/// The key of the account under which reports travel (docs/protocol.md 12.1).
fn report_key(account: &AccountId, label_key: &LabelKey) -> RecordKey {
    RecordKey::new(*derive(account.as_bytes(), label_key, KdfLabel::Report, &[]))
}

fn report_header(from: DeviceId, to: DeviceId) -> Vec<u8> {
    Header { kind: EnvelopeKind::CheckIn, from, to, seq: 0 }.encode()
}

/// Judges the report of a linked device. It does not need the session: of two copies of a profile only one can have the
/// ratchet that goes on, and the other one must be heard all the same.
fn on_report(store: &mut Store, envelope: &Envelope, policy: &Policy, now: Timestamp) -> Result<Receipt, StoreError> {
    let device = envelope.from;
    let Some(account) = store.account()? else { return Ok(Receipt::Nothing) };
    let Some(entry) = account.list().entry(&device).cloned() else { return Ok(Receipt::Nothing) };
    let key = report_key(&account.id(), account.label_key());
    let is_bare = envelope.olm_ct.as_slice().is_empty() && envelope.olm_type == 0;
    let opened = key.open(&envelope.header(), envelope.body_ct.as_slice());
    let is_ours = is_bare && envelope.header() == report_header(device, account.device_id());
    let Some(report) = opened.ok().filter(|_| is_ours).and_then(|body| Report::decode(&body).ok()) else {
        // Another session would heal nothing: it is not sealed by one.
        return Ok(Receipt::Nothing);
    };
    let signed = report.check_in;
    let mut book = store.book(&device)?;
    let mut heard = store.heard_reports(&device)?;
    // Only to find what to compare with; what counts is read after the signature.
    let claimed = CheckIn::decode(signed.payload.as_slice()).ok();
    let digest = signed.digest();
    let is_old = claimed.as_ref().is_some_and(|claimed| claimed.ctr <= book.ctr && heard.explain(claimed.ctr, &digest));
    if digest != book.digest && is_old && signed.open(&entry.device_pk, SigningContext::CheckIn).is_ok() {
        // Whoever carries it brings an old one again, or late.
        return Ok(Receipt::Nothing);
    }
    let named = claimed.map_or(0, |claimed| claimed.epoch);
    let epoch = account.list().list().epoch;
    let mut session = store.session(&device)?;
    let present = session.as_ref().filter(|session| session.name() == report.session);
    let sent = present.map(|session| session.counts().sent);
    let here = Circumstances { entry: &entry, epoch, hash_then: store.hash_of(named)?, sent };
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
        let granted = policy.grant_of(entry.evidence).map_or(SHORT_LEASE_MS, |grant| grant.lease_ms);
        let lease_ms = granted.min(entry.not_after.saturating_sub(now.unix_ms()));
        let scope = scope_of(&entry, &book, Some(policy), now);
        let terms = LeaseTerms { ctr: check_in.ctr, checkin: signed.digest(), scope, lease_ms };
        if let Ok(lease) = account.lease(device, &terms, now) {
            book.lease_until = now.plus_ms(lease_ms).unix_ms();
            let grant = LeaseGrant {
                lease,
                ops: account.ops_cert().clone(),
                standing: book.standing,
                because: book.because,
                lists: lists_after(store, check_in.epoch, epoch)?,
            };
            // Without a session there is no way to answer; the device reports again once there is one.
            let seal = |session: &mut Session| session.seal(EnvelopeKind::Lease, &grant.encode(), &mut system_rng());
            answer = session.as_mut().and_then(|session| seal(session).ok()).map(Box::new);
        }
    }
    let mut batch = Batch::new();
    if let Some(check_in) = verdict.check_in.as_ref().filter(|_| book.digest == digest) {
        if let Some(before) = check_in.ctr.checked_sub(1).filter(|before| *before > 0) {
            heard.add(before, &check_in.prev);
        }
        heard.add(check_in.ctr, &digest);
        batch.put_heard(&heard);
    }
    put_told(&mut batch, store, &account, device, &verdict.findings, now);
    batch.put_book(&book);
    match &session {
        Some(session) => store.put_session_with(session, batch)?,
        None => store.commit(&batch)?,
    }
    if let Some(fork) = &fork {
        store.put_fork(fork)?;
    }
    Ok(Receipt::Reported { findings: verdict.findings, fork, answer })
}

/// Whether the person hears of an action by a notice. Of a removal the change of the list tells.
fn tells(follows: Action) -> bool {
    matches!(follows, Action::Notice | Action::Restrict | Action::Quarantine | Action::FreezeList)
}

/// Adds a notice of each finding of which the person hears by one.
pub(super) fn put_told(
    batch: &mut Batch,
    store: &mut Store,
    account: &Account,
    device: DeviceId,
    findings: &[(Observation, Action)],
    now: Timestamp,
) {
    for (seen, _) in findings.iter().filter(|(_, follows)| tells(*follows)) {
        batch.put_notice(&store.discrepancy_notice(account, device, seen.row(), now));
    }
}

pub(super) fn lists_after(store: &Store, known: u64, newest: u64) -> Result<List<Signed, GRANT_LISTS>, StoreError> {
    let (mut lists, mut room) = (Vec::new(), GRANT_BYTES);
    for epoch in (known.saturating_add(1)..=newest).take(GRANT_LISTS) {
        let Some(signed) = store.list_of(epoch)? else { break };
        let Some(left) = room.checked_sub(signed.payload.as_slice().len()) else { break };
        room = left;
        lists.push(signed);
    }
    Ok(List::new(lists).unwrap_or_default())
}

pub(super) fn on_lease(store: &mut Store, body: &[u8], now: Timestamp) -> Result<Receipt, StoreError> {
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

/// A check-in that the guard of the device's key has not signed yet.
pub(super) struct ReportDraft {
    pub(super) check_in: CheckIn,
    session: [u8; 8],
}

/// The next report of a linked device.
pub(super) enum NextReport {
    /// Stored and sealed.
    Sealed(Box<Envelope>),
    /// To be signed first; [`report_signed`] goes on.
    Unsigned(Box<ReportDraft>),
    /// There is no session with the primary device.
    None,
}

impl NextReport {
    fn of(sealed: Option<Envelope>) -> Self {
        sealed.map_or(Self::None, |envelope| Self::Sealed(Box::new(envelope)))
    }
}

/// Makes the next check-in of a linked device and seals it for the primary device, stored before it is given out.
pub(super) fn report(store: &mut Store, platform: [u8; 8], now: Timestamp) -> Result<NextReport, StoreError> {
    let Some(account) = store.linked_account()? else { return Ok(NextReport::None) };
    let Some(session) = account.primary().map(|primary| store.session(&primary)).transpose()?.flatten() else {
        return Ok(NextReport::None);
    };
    let mut tenancy = store.tenancy()?.unwrap_or_else(|| Tenancy::new(account.created()));
    let (counts, session): (SessionCounts, _) = (session.counts(), session.name());
    let (list, mut rng) = (account.list(), system_rng());
    let Some(key) = account.device_key().own() else {
        let draft = tenancy.draft(&account.device_key().public(), list, counts, platform, now, &mut rng);
        let draft = draft.map(|check_in| Box::new(ReportDraft { check_in, session }));
        return Ok(draft.map_or(NextReport::None, NextReport::Unsigned));
    };
    let Ok(signed) = tenancy.check_in(key, list, counts, platform, now, &mut rng) else {
        return Ok(NextReport::None);
    };
    Ok(NextReport::of(keep_report(store, &account, &tenancy, session, signed)?))
}

/// Goes on with a report whose check-in was signed; `None` when another one was made meanwhile.
pub(super) fn report_signed(
    store: &mut Store,
    draft: &ReportDraft,
    signed: Signed,
) -> Result<Option<Envelope>, StoreError> {
    let Some(account) = store.linked_account()? else { return Ok(None) };
    let mut tenancy = store.tenancy()?.unwrap_or_else(|| Tenancy::new(account.created()));
    if !tenancy.is_next(&draft.check_in) || account.device_id() != draft.check_in.device {
        return Ok(None);
    }
    tenancy.signed(&draft.check_in, &signed);
    keep_report(store, &account, &tenancy, draft.session, signed)
}

fn keep_report(
    store: &mut Store,
    account: &LinkedAccount,
    tenancy: &Tenancy,
    session: [u8; 8],
    signed: Signed,
) -> Result<Option<Envelope>, StoreError> {
    let mut batch = Batch::new();
    batch.put_tenancy(tenancy);
    store.commit(&batch)?;
    Ok(account.primary().and_then(|primary| seal_report(account, &primary, session, signed)))
}

/// Seals a signed check-in for the primary device (docs/protocol.md 12.1).
fn seal_report(account: &LinkedAccount, to: &DeviceId, session: [u8; 8], check_in: Signed) -> Option<Envelope> {
    let (kind, from, to) = (EnvelopeKind::CheckIn, account.device_id(), *to);
    let report = Report { session, check_in }.encode();
    let key = report_key(&account.id(), account.label_key());
    let sealed = key.seal(&mut system_rng(), &report_header(from, to), &report).ok()?;
    let body_ct = Bytes::new(sealed).ok()?;
    Some(Envelope { kind, from, to, seq: 0, olm_type: 0, olm_ct: Bytes::default(), body_ct })
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
