//! The life of a linked device over a real relay, real sockets and sealed stores, with a clock that a test moves: reports
//! and leases, what does not add up, the end, another root key, recovery.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pairlight_core::Timestamp;
use pairlight_core::crypto::aead::RecordKey;
use pairlight_core::crypto::kdf::{KdfLabel, derive};
use pairlight_core::crypto::sign::SigningKey;
use pairlight_core::devices::{Action, ListFork, RecoveryWords, Supervision, Tenancy};
use pairlight_core::net::{Connection, ConnectionEvent, LinkedDevice, NetError, Primary, SharedStore, SyncUpdates};
use pairlight_core::pairing::LinkedAccount;
use pairlight_core::store::{Batch, Table};
use pairlight_core::sync::messages;
use pairlight_core::trust::{EvidenceBit, Policy};
use pairlight_relay::{Place, PlaceLookup, RelayConfig};
use pairlight_tests::world::{Person, World, open_store, play, play_relink};
use pairlight_wire::device::{CheckIn, Report};
use pairlight_wire::envelope::{Envelope, EnvelopeKind, Header};
use pairlight_wire::id::DeviceId;
use pairlight_wire::list::RemovalReason;
use pairlight_wire::sign::SigningContext;
use pairlight_wire::standing::{Discrepancy, NoticeKind, Standing};
use pairlight_wire::{Bytes, Wire};

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Takes events until one that `wanted` accepts.
async fn until<T>(line: &Connection, what: &str, mut wanted: impl FnMut(&ConnectionEvent) -> Option<T>) -> T {
    let mut heard = Vec::new();
    let waiting = async {
        loop {
            let event = line.next_event().await.unwrap_or_else(|| panic!("ended before {what}: {heard:#?}"));
            if let Some(found) = wanted(&event) {
                return found;
            }
            heard.push(format!("{event:?}"));
        }
    };
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(found) => found,
        Err(_) => panic!("never: {what}"),
    }
}

async fn leased(line: &Connection) -> (u64, Standing, Option<Discrepancy>) {
    until(line, "a lease", |event| match event {
        ConnectionEvent::Leased { until, standing, because } => Some((until.unix_ms(), *standing, *because)),
        _ => None,
    })
    .await
}

async fn found(line: &Connection, wanted: Discrepancy) -> Action {
    until(line, "a discrepancy", |event| match event {
        ConnectionEvent::Discrepancy { row, follows, .. } if *row == wanted => Some(*follows),
        _ => None,
    })
    .await
}

async fn removed(line: &Connection) -> RemovalReason {
    until(line, "a removal", |event| match event {
        ConnectionEvent::Removed(reason) => Some(*reason),
        _ => None,
    })
    .await
}

async fn message(line: &Connection) -> Vec<u8> {
    until(line, "a message", |event| match event {
        ConnectionEvent::Message { body, .. } => Some(body.clone()),
        _ => None,
    })
    .await
}

/// A phone and one linked laptop.
struct Pair {
    world: World,
    phone: Primary,
    laptop: LinkedDevice,
    account: Box<LinkedAccount>,
}

impl Pair {
    async fn new(policy: Policy) -> Self {
        let world = World::start().await;
        let phone = world.primary("phone", policy).await.unwrap();
        let laptop = world.linked("laptop").await.unwrap();
        let account = play(&phone, &laptop, "laptop", Person::Agrees).await.linked.unwrap();
        Self { world, phone, laptop, account }
    }

    fn device(&self) -> DeviceId {
        self.account.device_id()
    }

    /// Both online, the first report answered.
    async fn online(&self) -> (Connection, Connection) {
        let phone = self.phone.connect().await.unwrap();
        let laptop = self.laptop.connect().await.unwrap();
        leased(&laptop).await;
        (phone, laptop)
    }

    /// The laptop's profile as files, put aside under another name.
    fn copy(&mut self, from: &str, to: &str) {
        for (ending, must) in [("db", true), ("db-wal", false), ("key", true)] {
            let path = |name: &str| self.world.folder.path().join(format!("{name}.{ending}"));
            let copied = std::fs::copy(path(from), path(to));
            assert!(copied.is_ok() || !must, "{copied:?}");
        }
    }

    async fn reopen_laptop(self, name: &str) -> (World, Primary, LinkedDevice, DeviceId) {
        let device = self.device();
        let Self { world, phone, laptop, .. } = self;
        drop(laptop);
        let laptop = world.linked(name).await.unwrap();
        (world, phone, laptop, device)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_renews_itself_for_as_long_as_the_primary_device_answers() {
    let pair = Pair::new(Policy::BALANCED).await;
    let (phone, laptop) = pair.online().await;
    let mut ends = pair.laptop.standing().await.unwrap().unwrap().ends;
    // Three months in steps of 20 days: without renewal the first lease, of at most 30 days, would have ended long ago.
    for _ in 0..4 {
        pair.world.time.pass(20 * DAY_MS);
        let (until, standing, _) = leased(&laptop).await;
        assert!(until > ends.unix_ms() && standing == Standing::Active);
        ends = pair.laptop.standing().await.unwrap().unwrap().ends;
    }
    let device = pair.phone.devices().await.unwrap().into_iter().find(|device| device.id == pair.device()).unwrap();
    assert_eq!((device.standing, device.is_locked), (Standing::Active, false));
    assert!(device.last_check_in.is_some() && device.lease_until == Some(ends));
    // The relay took the renewed lease too: the line still carries messages.
    laptop.send(pair.account.primary().unwrap(), EnvelopeKind::Application, b"still here").await.unwrap();
    assert_eq!(message(&phone).await, b"still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_primary_device_a_laptop_is_warned_locked_and_erased() {
    let pair = Pair::new(Policy::BALANCED).await;
    let (phone, laptop) = pair.online().await;
    drop(phone);
    pair.world.time.pass(10 * DAY_MS);
    let silent = until(&laptop, "a warning", |event| match event {
        ConnectionEvent::Silent { for_ms } => Some(*for_ms),
        _ => None,
    })
    .await;
    assert!((10 * DAY_MS..11 * DAY_MS).contains(&silent));
    let ends = pair.laptop.standing().await.unwrap().unwrap().ends.unix_ms();
    let now = (pair.world.time.clock())().unix_ms();
    pair.world.time.pass(ends + DAY_MS - now + 1);
    let locked = until(&laptop, "the lock", |event| match event {
        ConnectionEvent::Locked(row) => Some(*row),
        _ => None,
    })
    .await;
    assert_eq!(locked, Discrepancy::LeaseEnded);
    assert!(matches!(pair.laptop.account().await, Err(NetError::Store(_))), "the key is dropped");
    drop(laptop);
    let (world, phone, laptop, device) = pair.reopen_laptop("laptop").await;
    let standing = laptop.standing().await.unwrap().unwrap();
    assert!(standing.locked && standing.because == Some(Discrepancy::LeaseEnded));
    assert!(matches!(laptop.connect().await, Err(NetError::Locked)));
    let shown = phone.devices().await.unwrap().into_iter().find(|shown| shown.id == device).unwrap();
    assert!(shown.is_locked, "the phone shows the same");
    world.time.pass(80 * DAY_MS);
    drop(laptop);
    let laptop = world.linked("laptop").await.unwrap();
    assert!(laptop.account().await.unwrap().is_none(), "erased after 90 days");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_laptop_links_again_and_goes_on() {
    let pair = Pair::new(Policy::BALANCED).await;
    let talk = || vec![messages::put_conversation(b"talk", "Kim", 1).unwrap()];
    let line = pair.laptop.sync().await.unwrap();
    line.write(talk()).await.unwrap();
    drop(line);
    pair.world.time.pass(40 * DAY_MS);
    let root = pair.account.list().list().root_pk;
    let (world, phone, laptop, device) = pair.reopen_laptop("laptop").await;
    assert!(laptop.standing().await.unwrap().unwrap().locked);
    assert!(matches!(laptop.sync().await, Err(NetError::Locked)), "its records are closed");
    let account = play_relink(&phone, &laptop, "laptop").await.linked.unwrap();
    assert_eq!((account.device_id(), account.list().list().root_pk), (device, root), "the same device of the account");
    let entry = account.list().entry(&device).unwrap();
    assert!(pairlight_core::trust::Evidence::from_certificate(entry.evidence).0.has(EvidenceBit::KnownDevice));
    let listed: Vec<_> = phone.devices().await.unwrap().into_iter().filter(|listed| !listed.is_this).collect();
    assert_eq!(listed.iter().map(|listed| listed.id).collect::<Vec<_>>(), [device], "and no second one");
    assert!(!laptop.standing().await.unwrap().unwrap().locked);
    let _phone_line = phone.connect().await.unwrap();
    leased(&laptop.connect().await.unwrap()).await;
    let line = laptop.sync().await.unwrap();
    let kept = line.conversations().await.unwrap();
    assert_eq!(kept.iter().map(|talk| talk.title.as_str()).collect::<Vec<_>>(), ["Kim"], "with what it had");
    world.relay.shutdown().await;
}

/// Copies the laptop's profile, and lets the two copies report in turn. Gives what the second reporter hears.
async fn two_copies(phone_is_there: bool) {
    let (mut pair, _, laptop_store) = pair_with_stores().await;
    let device = pair.device();
    drop(pair.online().await);
    let reports = async || laptop_store.run(|store| store.tenancy()).await.unwrap().unwrap().ctr;
    let before = reports().await;
    pair.copy("laptop", "copy");
    let copy = pair.world.linked("copy").await.unwrap();
    let phone = if phone_is_there { Some(pair.phone.connect().await.unwrap()) } else { None };
    let primary = pair.account.primary().unwrap();
    let line = pair.laptop.connect().await.unwrap();
    if phone_is_there {
        leased(&line).await;
        // The original goes on, and its ratchet with it: nothing that the copy seals can be opened any more.
        for text in [b"one", b"two"] {
            line.send(primary, EnvelopeKind::Application, text).await.unwrap();
        }
    } else {
        while reports().await == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // The relay has what went before a message that it accepts.
        line.send(primary, EnvelopeKind::Application, b"after the report").await.unwrap();
    }
    drop(line);
    let copied = copy.connect().await.unwrap();
    let phone = match phone {
        Some(phone) => phone,
        None => pair.phone.connect().await.unwrap(),
    };
    assert_eq!(found(&phone, Discrepancy::CounterRepeated).await, Action::Quarantine);
    let shown = pair.phone.devices().await.unwrap().into_iter().find(|shown| shown.id == device).unwrap();
    assert_eq!((shown.standing, shown.because), (Standing::Quarantined, Some(Discrepancy::CounterRepeated)));
    drop(copied);
    // What either of them says from now on is not heard.
    let line = pair.laptop.connect().await.unwrap();
    // The answer to its own report, from before the copy's, may still have waited for it.
    let because = loop {
        let (_, standing, because) = leased(&line).await;
        if standing == Standing::Quarantined {
            break because;
        }
    };
    assert_eq!(because, Some(Discrepancy::CounterRepeated));
    let refused = line.send(primary, EnvelopeKind::Application, b"psst").await;
    assert!(matches!(refused, Err(NetError::OutOfScope(Some(Discrepancy::CounterRepeated)))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_copies_of_a_profile_end_each_other_with_the_second_report() {
    two_copies(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_copies_that_reported_while_the_phone_was_away_are_found_when_it_is_back() {
    two_copies(false).await;
}

/// A policy of the app's own: for the first hour a device of whatever grade may only receive.
fn receive_first() -> Policy {
    let grant = Policy::BALANCED.medium.map(|grant| pairlight_core::trust::Grant {
        first: Some((pairlight_wire::device::SCOPE_RECEIVE, HOUR_MS)),
        ..grant
    });
    Policy {
        preset: pairlight_wire::device::Preset::Custom,
        weak: grant,
        medium: grant,
        strong: grant,
        ..Policy::BALANCED
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_hour_of_little_scope_does_not_end_with_the_first_report() {
    let pair = Pair::new(receive_first()).await;
    let primary = pair.account.primary().unwrap();
    let (phone, line) = pair.online().await;
    drop(line);
    let line = pair.laptop.connect().await.unwrap();
    leased(&line).await;
    let refused = line.send(primary, EnvelopeKind::Application, b"too early").await;
    assert!(matches!(refused, Err(NetError::OutOfScope(None))), "{refused:?}");
    phone.send(pair.device(), EnvelopeKind::Application, b"you may hear").await.unwrap();
    assert_eq!(message(&line).await, b"you may hear");
    pair.world.time.pass(HOUR_MS);
    drop(line);
    let line = pair.laptop.connect().await.unwrap();
    leased(&line).await;
    line.send(primary, EnvelopeKind::Application, b"now").await.unwrap();
    assert_eq!(message(&phone).await, b"now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_with_a_wider_policy_gives_an_old_link_no_longer_lease() {
    let pair = Pair::new(Policy::STRICT).await;
    let Pair { world, phone, laptop, account } = pair;
    drop(phone);
    let phone = world.primary("phone", Policy::BALANCED).await.unwrap();
    let _line = phone.connect().await.unwrap();
    let (until, ..) = leased(&laptop.connect().await.unwrap()).await;
    let (_, grade, preset) =
        pairlight_core::trust::Evidence::from_certificate(account.list().entry(&account.device_id()).unwrap().evidence);
    assert_eq!(preset, Some(pairlight_wire::device::Preset::Strict));
    let given = Policy::STRICT.grant(grade.unwrap()).unwrap().lease_ms;
    let wider = Policy::BALANCED.grant(grade.unwrap()).unwrap().lease_ms;
    assert!(given < wider, "the test means something");
    let now = (world.time.clock())().unix_ms();
    assert!(until <= now + given, "{} h", (until - now) / HOUR_MS);
}

/// A pair whose laptop has reported `reports` times and is offline, with the bent book.
async fn bent(
    reports: u32,
    bend: impl FnOnce(&mut Tenancy) + Send + 'static,
) -> (World, Primary, LinkedDevice, DeviceId) {
    let pair = Pair::new(Policy::BALANCED).await;
    let phone = pair.phone.connect().await.unwrap();
    for _ in 0..reports {
        leased(&pair.laptop.connect().await.unwrap()).await;
    }
    drop(phone);
    let device = pair.device();
    let Pair { world, phone, laptop, .. } = pair;
    let path = world.folder.path().join("laptop.db");
    assert!(path.exists());
    drop(laptop);
    // The connection's task lets the store go a moment after its handle.
    for _ in 0..100 {
        let key = world.folder.path().join("laptop.key");
        let key = pairlight_core::store::KeyFile::open_or_create(&key, pairlight_tests::world::boxed_rng()).unwrap();
        if pairlight_core::store::Store::open(&path, &key, pairlight_tests::world::boxed_rng()).is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let laptop = {
        let store = open_store(world.folder.path(), "laptop");
        store
            .run(|store| {
                let mut tenancy = store.tenancy()?.expect("it reported before");
                bend(&mut tenancy);
                let mut batch = Batch::new();
                batch.put_tenancy(&tenancy);
                store.commit(&batch)
            })
            .await
            .unwrap();
        drop(store);
        world.linked("laptop").await.unwrap()
    };
    (world, phone, laptop, device)
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_counter_that_did_not_grow_quarantines_and_both_sides_say_why() {
    let (_world, phone, laptop, device) = bent(3, |tenancy| tenancy.ctr = 1).await;
    let phone_line = phone.connect().await.unwrap();
    let line = laptop.connect().await.unwrap();
    assert_eq!(found(&phone_line, Discrepancy::CounterRepeated).await, Action::Quarantine);
    let (_, standing, because) = leased(&line).await;
    assert_eq!((standing, because), (Standing::Quarantined, Some(Discrepancy::CounterRepeated)));
    let shown = phone.devices().await.unwrap().into_iter().find(|shown| shown.id == device).unwrap();
    assert_eq!((shown.standing, shown.because), (Standing::Quarantined, Some(Discrepancy::CounterRepeated)));
    let to = laptop.account().await.unwrap().unwrap().primary().unwrap();
    let refused = line.send(to, EnvelopeKind::Application, b"psst").await;
    assert!(matches!(refused, Err(NetError::OutOfScope(Some(Discrepancy::CounterRepeated)))), "{refused:?}");
    assert!(matches!(phone_line.send(device, EnvelopeKind::Application, b"no").await, Err(NetError::OutOfScope(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_a_forked_chain_of_reports_removes_the_device_and_it_erases_itself() {
    let (_world, phone, laptop, _) = bent(2, |tenancy| tenancy.digest = [0xee; 32]).await;
    let phone_line = phone.connect().await.unwrap();
    let line = laptop.connect().await.unwrap();
    assert_eq!(found(&phone_line, Discrepancy::CopyForked).await, Action::Revoke(RemovalReason::Cloned));
    assert_eq!(removed(&line).await, RemovalReason::Cloned);
    assert!(laptop.account().await.unwrap().is_none(), "nothing is left on the laptop");
    let gone = phone.removed().await.unwrap();
    assert_eq!((gone.len(), gone[0].reason), (1, RemovalReason::Cloned), "the same reason on both sides");
}

#[tokio::test(flavor = "multi_thread")]
async fn d5_another_platform_may_only_receive_until_the_person_confirms_it() {
    let pair = Pair::new(Policy::BALANCED).await;
    let (phone, laptop) = pair.online().await;
    drop(laptop);
    let moved = pair.laptop.clone().with_platform([0x77; 8]);
    let line = moved.connect().await.unwrap();
    assert_eq!(found(&phone, Discrepancy::PlatformChanged).await, Action::Restrict);
    let (_, standing, because) = leased(&line).await;
    assert_eq!((standing, because), (Standing::Restricted, Some(Discrepancy::PlatformChanged)));
    let to = pair.account.primary().unwrap();
    let refused = line.send(to, EnvelopeKind::Application, b"no").await;
    assert!(matches!(refused, Err(NetError::OutOfScope(Some(Discrepancy::PlatformChanged)))), "{refused:?}");
    phone.send(pair.device(), EnvelopeKind::Application, b"you may hear").await.unwrap();
    assert_eq!(message(&line).await, b"you may hear");
    pair.phone.confirm(pair.device()).await.unwrap();
    drop(line);
    let line = moved.connect().await.unwrap();
    assert_eq!(leased(&line).await.1, Standing::Active);
    line.send(to, EnvelopeKind::Application, b"yes").await.unwrap();
    assert_eq!(message(&phone).await, b"yes");
}

#[tokio::test(flavor = "multi_thread")]
async fn d10_two_sockets_twice_in_a_day_remove_the_device_and_a_change_of_network_does_not() {
    let pair = Pair::new(Policy::BALANCED).await;
    let (phone, first) = pair.online().await;
    let _second = pair.laptop.connect().await.unwrap();
    assert_eq!(found(&phone, Discrepancy::TwoSockets).await, Action::Notice);
    let third = pair.laptop.connect().await.unwrap();
    assert_eq!(found(&phone, Discrepancy::TwoSockets).await, Action::Revoke(RemovalReason::Cloned));
    assert_eq!(removed(&third).await, RemovalReason::Cloned);
    drop(first);
}

/// The phone's half of the session with a device becomes one of which the device knows nothing.
async fn break_session(store: &SharedStore, own: DeviceId, device: DeviceId) {
    use pairlight_core::crypto::olm::RatchetAccount;
    let (a, b) = (RatchetAccount::generate().unwrap(), RatchetAccount::generate().unwrap());
    let ratchet = a.start(&b.keys()).unwrap();
    store
        .run(move |store| store.put_session(&pairlight_core::session::Session::new(own, device, ratchet)))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn d8_a_session_that_broke_is_made_anew_noted_in_the_list_and_the_third_time_quarantines() {
    let (pair, phone_store, _) = pair_with_stores().await;
    let (phone, line) = pair.online().await;
    let (primary, device) = (pair.account.primary().unwrap(), pair.device());
    for time in 1..=3_usize {
        break_session(&phone_store, primary, device).await;
        for number in 0..6u8 {
            line.send(primary, EnvelopeKind::Application, &[number]).await.unwrap();
        }
        let follows = found(&phone, Discrepancy::Undecryptable).await;
        assert_eq!(follows, if time < 3 { Action::Notice } else { Action::Quarantine }, "time {time}");
        until(&line, "a new session", |event| matches!(event, ConnectionEvent::SessionReset { .. }).then_some(()))
            .await;
        let account = phone_store.run(|store| store.account()).await.unwrap().unwrap();
        let noted = account.list().list().resets.as_slice().iter().filter(|mark| mark.device == device).count();
        // The list is published before the finding is told.
        assert_eq!(noted, time, "resets on the list");
        if time < 3 {
            line.send(primary, EnvelopeKind::Application, b"heard again").await.unwrap();
            assert_eq!(message(&phone).await, b"heard again");
        }
    }
    let shown = pair.phone.devices().await.unwrap().into_iter().find(|shown| shown.id == device).unwrap();
    assert_eq!((shown.standing, shown.because), (Standing::Quarantined, Some(Discrepancy::Undecryptable)));
    let notices = phone_store.run(|store| store.notices()).await.unwrap();
    let told = notices.iter().filter(|stored| stored.notice.kind == NoticeKind::Discrepancy).count();
    assert_eq!(told, 3, "each of them is told of");
}

#[tokio::test(flavor = "multi_thread")]
async fn d8_a_laptop_that_cannot_read_its_phone_asks_for_a_new_session_and_the_phone_notes_it() {
    let (pair, phone_store, laptop_store) = pair_with_stores().await;
    let (phone, line) = pair.online().await;
    let (primary, device) = (pair.account.primary().unwrap(), pair.device());
    break_session(&laptop_store, device, primary).await;
    for number in 0..6u8 {
        phone.send(device, EnvelopeKind::Application, &[number]).await.unwrap();
    }
    let mut unreadable = 0;
    until(&line, "a new session", |event| {
        unreadable += u32::from(matches!(event, ConnectionEvent::Unreadable { from } if *from == primary));
        assert!(!matches!(event, ConnectionEvent::Message { .. }), "it can read nothing");
        matches!(event, ConnectionEvent::SessionReset { peer } if *peer == primary).then_some(())
    })
    .await;
    assert!(unreadable > 5, "not before the sixth: {unreadable}");
    // The phone, which could read everything, notes it in the list and tells the person.
    assert_eq!(found(&phone, Discrepancy::Undecryptable).await, Action::Notice);
    let account = phone_store.run(|store| store.account()).await.unwrap().unwrap();
    assert_eq!(account.list().list().resets.as_slice().iter().filter(|mark| mark.device == device).count(), 1);
    phone.send(device, EnvelopeKind::Application, b"read again").await.unwrap();
    assert_eq!(message(&line).await, b"read again");
    line.send(primary, EnvelopeKind::Application, b"and heard").await.unwrap();
    assert_eq!(message(&phone).await, b"and heard");
}

/// Reports that this device sends and another key signed: as from a program that lost the key, or a profile that was put
/// together by somebody else.
fn forged_reports(of: &LinkedAccount, count: u8) -> Vec<Envelope> {
    let (device, primary) = (of.device_id(), of.primary().unwrap());
    let key = derive::<32>(of.id().as_bytes(), of.label_key(), KdfLabel::Report, &[]);
    let key = RecordKey::new(*key);
    let signer = SigningKey::from_seed(&[0x66; 32]);
    let list = of.list();
    let forged = |number: u8| {
        let check_in = CheckIn {
            device,
            ctr: 100 + u64::from(number),
            prev: [0; 32],
            epoch: list.list().epoch,
            list_hash: *list.hash(),
            rx_hw: 0,
            tx_hw: 0,
            platform: [0; 8],
            time: 1,
            nonce: [number; 16],
        };
        let check_in = signer.sign_payload(SigningContext::CheckIn, check_in.encode()).unwrap();
        let report = Report { session: [0; 8], check_in }.encode();
        let header = Header { kind: EnvelopeKind::CheckIn, from: device, to: primary, seq: 0 };
        let sealed = key.seal(&mut pairlight_tests::world::boxed_rng(), &header.encode(), &report).unwrap();
        let body_ct = Bytes::new(sealed).unwrap();
        let (kind, from, to) = (header.kind, header.from, header.to);
        Envelope { kind, from, to, seq: 0, olm_type: 0, olm_ct: Bytes::default(), body_ct }
    };
    (0..count).map(forged).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn d7_reports_that_another_key_signed_quarantine_and_a_new_link_ends_it() {
    let (pair, _, laptop_store) = pair_with_stores().await;
    let (primary, device) = (pair.account.primary().unwrap(), pair.device());
    let (phone, laptop) = pair.online().await;
    drop(laptop);
    // What waits in its store goes out before anything else, over its own line: the relay takes it from nobody else.
    for (number, forged) in (1_000_000_u64..).zip(forged_reports(&pair.account, 5)) {
        let row = [number.to_be_bytes().as_slice(), primary.as_bytes()].concat();
        laptop_store.run(move |store| store.put(Table::Outgoing, &row, &forged.encode())).await.unwrap();
    }
    let line = pair.laptop.sync().await.unwrap();
    let mut follows = Vec::new();
    for _ in 0..5 {
        follows.push(found(&phone, Discrepancy::BadSignatures).await);
    }
    assert_eq!(follows, [Action::Count, Action::Count, Action::Count, Action::Count, Action::Quarantine]);
    let shown = async || pair.phone.devices().await.unwrap().into_iter().find(|shown| shown.id == device).unwrap();
    let quarantined = (Standing::Quarantined, Some(Discrepancy::BadSignatures));
    assert_eq!((shown().await.standing, shown().await.because), quarantined);
    // Nothing that the device says is taken now, and the answer to its next report tells it so.
    drop(line);
    let laptop = pair.laptop.connect().await.unwrap();
    // The answer to an honest report from before may still have waited for it.
    while (leased(&laptop).await.1, Some(Discrepancy::BadSignatures)) != quarantined {}
    let refused = laptop.send(primary, EnvelopeKind::Application, b"psst").await;
    assert!(matches!(refused, Err(NetError::OutOfScope(Some(Discrepancy::BadSignatures)))), "{refused:?}");
    drop(laptop);
    // The person links it again: in its own place, and everything is as it was.
    let again = play_relink(&pair.phone, &pair.laptop, "laptop").await.linked.unwrap();
    assert_eq!(again.device_id(), device);
    assert_eq!((shown().await.standing, shown().await.because), (Standing::Active, None));
    let laptop = pair.laptop.connect().await.unwrap();
    assert_eq!(leased(&laptop).await.1, Standing::Active);
    laptop.send(primary, EnvelopeKind::Application, b"heard again").await.unwrap();
    assert_eq!(message(&phone).await, b"heard again");
}

#[tokio::test(flavor = "multi_thread")]
async fn d8_what_a_broken_session_lost_comes_by_itself_when_there_is_a_new_one() {
    let (pair, phone_store, _) = pair_with_stores().await;
    let (phone, laptop) = (pair.phone.sync().await.unwrap(), pair.laptop.sync().await.unwrap());
    let talk = |number: u8| messages::put_conversation(&[number], "Kim", u64::from(number)).unwrap();
    // Takes what happens on both lines until the laptop has so many conversations.
    let serve = async |count: usize| {
        let (mut heard, mut resets) = (Vec::new(), 0);
        let wait = async {
            while laptop.conversations().await.unwrap().len() < count || !phone.is_in_step().await.unwrap() {
                let event = tokio::select! {
                    event = phone.next_event() => event.expect("the phone's line lives"),
                    event = laptop.next_event() => event.expect("the laptop's line lives"),
                    () = tokio::time::sleep(Duration::from_millis(50)) => continue,
                };
                resets += usize::from(matches!(event, SyncUpdates::Line(ConnectionEvent::SessionReset { .. })));
                heard.push(event);
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| panic!("never {count} conversations: {heard:#?}"));
        resets
    };
    // Everything said and acknowledged: nobody owes a word that would come after the session broke.
    for line in [&phone, &laptop] {
        line.write(vec![talk(0)]).await.unwrap();
        assert_eq!(serve(1).await, 0);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    serve(1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    serve(1).await;
    break_session(&phone_store, pair.account.primary().unwrap(), pair.device()).await;
    for number in 1..=7 {
        phone.write(vec![talk(number)]).await.unwrap();
    }
    assert!(serve(8).await > 0, "the session was made anew, and nobody wrote since");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_open_is_counted_over_a_restart() {
    let pair = Pair::new(Policy::BALANCED).await;
    let (device, start) = (pair.device(), Timestamp::from_unix_ms(1_800_000_000_000));
    let Pair { world, phone, .. } = pair;
    drop(phone);
    let count = async |from: DeviceId, now: Timestamp| {
        // Each time another start of the program.
        let store = open_store(world.folder.path(), "phone");
        store.run(move |store| store.count_unreadable(&from, now)).await.unwrap()
    };
    for number in 1..=6 {
        let counted = count(device, start.plus_ms(number)).await;
        assert_eq!((counted.count, counted.since), (number, start.plus_ms(1).unix_ms()), "since the first of them");
    }
    assert_eq!(count(DeviceId([9; 16]), start).await.count, 0, "nothing is counted of who is not on the list");
    let store = open_store(world.folder.path(), "phone");
    store.run(move |store| store.forget_unreadable(&device)).await.unwrap();
    drop(store);
    assert_eq!(count(device, start).await.count, 1, "after one that opens it starts again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_linked_and_never_came_is_taken_off_the_list() {
    let pair = Pair::new(Policy::BALANCED).await;
    let line = pair.phone.connect().await.unwrap();
    until(&line, "the relay", |event| matches!(event, ConnectionEvent::Online).then_some(())).await;
    pair.world.time.pass(71 * HOUR_MS);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(pair.phone.devices().await.unwrap().len(), 2, "three days are not over");
    pair.world.time.pass(HOUR_MS + 1);
    // The device itself hears of it, signed, at its next contact, and erases itself.
    let gone = async {
        while pair.phone.devices().await.unwrap().len() > 1 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("taken off the list");
    let late = pair.laptop.connect().await.unwrap();
    assert_eq!(removed(&late).await, RemovalReason::Abandoned);

    // One that came once may stay away for as long as its lease lasts.
    let pair = Pair::new(Policy::BALANCED).await;
    let (line, laptop) = pair.online().await;
    drop(laptop);
    pair.world.time.pass(20 * DAY_MS);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(pair.phone.devices().await.unwrap().len(), 2);
    drop(line);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_effective_within_seconds_and_all_go_with_one_list() {
    let world = World::start().await;
    let phone = world.primary("phone", Policy::DEVELOPMENT).await.unwrap();
    let mut lines = Vec::new();
    for name in ["laptop", "tablet", "terminal"] {
        let device = world.linked(name).await.unwrap();
        let account = play(&phone, &device, name, Person::Agrees).await.linked.unwrap();
        lines.push((device.clone(), device.connect().await.unwrap(), account.device_id()));
    }
    for (_, line, _) in &lines {
        until(line, "online", |event| matches!(event, ConnectionEvent::Online).then_some(())).await;
    }
    let (device, line, id) = lines.remove(0);
    let began = Instant::now();
    phone.revoke(id, RemovalReason::Revoked).await.unwrap();
    assert_eq!(removed(&line).await, RemovalReason::Revoked);
    let took = began.elapsed();
    println!("revocation of a connected device, loopback: {took:?}");
    // The limit is the point: what takes longer is not "at once" for whoever has the device in his hands.
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(device.account().await.unwrap().is_none());
    // Somebody who is away hears it at the next contact.
    let (away, line, _) = lines.pop().unwrap();
    drop(line);
    phone.revoke_all().await.unwrap();
    assert_eq!(removed(&lines[0].1).await, RemovalReason::RemovedAll);
    assert_eq!(removed(&away.connect().await.unwrap()).await, RemovalReason::RemovedAll);
    let reasons: Vec<_> = phone.removed().await.unwrap().into_iter().map(|gone| gone.reason).collect();
    assert_eq!(reasons.iter().filter(|reason| **reason == RemovalReason::RemovedAll).count(), 2);
    assert_eq!(phone.devices().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_devices_hear_of_a_link_at_once_and_the_phone_again_later_also_after_a_restart() {
    let world = World::start().await;
    let phone = world.primary("phone", Policy::BALANCED).await.unwrap();
    let laptop = world.linked("laptop").await.unwrap();
    play(&phone, &laptop, "laptop", Person::Agrees).await.linked.unwrap();
    let phone_line = phone.connect().await.unwrap();
    let line = laptop.connect().await.unwrap();
    leased(&line).await;
    let tablet = world.linked("tablet").await.unwrap();
    let linked = play(&phone, &tablet, "tablet", Person::Agrees).await.linked.unwrap();
    let told = until(&line, "a notice", |event| match event {
        ConnectionEvent::Notice(notice) => Some((notice.kind, notice.device)),
        _ => None,
    })
    .await;
    assert_eq!(told, (NoticeKind::Linked, linked.device_id()));
    drop((phone_line, phone));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let phone = world.primary("phone", Policy::BALANCED).await.unwrap();
    assert!(phone.due_notices().await.unwrap().is_empty(), "not within the first hour");
    world.time.pass(3 * HOUR_MS);
    let due: Vec<_> = phone.due_notices().await.unwrap().into_iter().map(|notice| notice.device).collect();
    assert!(due.contains(&linked.device_id()), "{due:?}");
    assert!(phone.due_notices().await.unwrap().is_empty(), "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_root_key_takes_over_and_linked_devices_follow() {
    let pair = Pair::new(Policy::BALANCED).await;
    let (phone, laptop) = pair.online().await;
    let account = pair.phone.account_id().await.unwrap();
    let words = pair.phone.create_recovery().await.unwrap();
    pair.phone.rotate_root().await.unwrap();
    assert_eq!(pair.phone.account_id().await.unwrap(), account, "the account keeps its name");
    for _ in 0..2 {
        until(&laptop, "the lists", |event| matches!(event, ConnectionEvent::ListChanged { .. }).then_some(())).await;
    }
    // Also across a restart the laptop believes its account, and gets leases under the new key.
    drop(laptop);
    let laptop = pair.laptop.connect().await.unwrap();
    assert_eq!(leased(&laptop).await.1, Standing::Active);
    phone.send(pair.device(), EnvelopeKind::Application, b"under the new key").await.unwrap();
    assert_eq!(message(&laptop).await, b"under the new key");
    // The next link, and a removal by the new ops key, work as before; so do the words.
    let tablet = pair.world.linked("tablet").await.unwrap();
    let linked = play(&pair.phone, &tablet, "tablet", Person::Agrees).await.linked.unwrap();
    pair.phone.revoke(linked.device_id(), RemovalReason::Revoked).await.unwrap();
    let store = open_store(pair.world.folder.path(), "new-phone");
    let recovered =
        Primary::recover_at(store, pair.world.client.clone(), Policy::BALANCED, "new", &words, pair.world.time.clock());
    recovered.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_bring_the_account_to_a_new_phone_and_end_the_lost_one() {
    let pair = Pair::new(Policy::BALANCED).await;
    let (lost, laptop) = pair.online().await;
    let account = pair.phone.account_id().await.unwrap();
    let words = pair.phone.create_recovery().await.unwrap();
    let text = words.to_text().unwrap();
    let typed = RecoveryWords::parse(&text).unwrap();
    let store = open_store(pair.world.folder.path(), "new-phone");
    let clock = pair.world.time.clock();
    let client = pair.world.client.clone();
    let wrong = RecoveryWords::parse(&format!("{} art", "abandon ".repeat(23).trim())).unwrap();
    let refused =
        Primary::recover_at(store.clone(), client.clone(), Policy::BALANCED, "x", &wrong, clock.clone()).await;
    assert!(refused.is_err(), "words of nobody");
    let (found, fresh) =
        Primary::recover_at(store, client, Policy::BALANCED, "new phone", &typed, clock.clone()).await.unwrap();
    assert_eq!(found.account_id().await.unwrap(), account);
    assert_eq!(removed(&lost).await, RemovalReason::Recovered, "the lost phone erases itself and says why");
    let names: Vec<_> = found.devices().await.unwrap().into_iter().map(|device| device.name.unwrap()).collect();
    assert_eq!(names, ["laptop", "new phone"]);
    // The laptop makes a session with the new phone by itself, and goes on.
    let new_line = found.connect().await.unwrap();
    assert_eq!(leased(&laptop).await.1, Standing::Active);
    let to = pair.laptop.account().await.unwrap().unwrap().primary().unwrap();
    laptop.send(to, EnvelopeKind::Application, b"hello new phone").await.unwrap();
    assert_eq!(message(&new_line).await, b"hello new phone");
    // The typed words are spent, the fresh ones are not.
    let store = open_store(pair.world.folder.path(), "third-phone");
    let client = pair.world.client.clone();
    let spent = Primary::recover_at(store.clone(), client.clone(), Policy::BALANCED, "x", &typed, clock.clone()).await;
    assert!(spent.is_err());
    Primary::recover_at(store, client, Policy::BALANCED, "third", &fresh, clock).await.unwrap();
}

/// Changes the store of the primary device under its open facade.
async fn bend_phone(pair: &Pair, store: &SharedStore, bend: impl FnOnce(&mut Supervision) + Send + 'static) {
    let device = pair.device();
    store
        .run(move |store| {
            let mut book = store.book(&device)?;
            bend(&mut book);
            let mut batch = Batch::new();
            batch.put_book(&book);
            store.commit(&batch)
        })
        .await
        .unwrap();
}

/// As [`Pair::new`], with handles on both stores.
async fn pair_with_stores() -> (Pair, SharedStore, SharedStore) {
    let world = World::start().await;
    let phone_store = open_store(world.folder.path(), "phone");
    let laptop_store = open_store(world.folder.path(), "laptop");
    let (client, clock) = (world.client.clone(), world.time.clock());
    let phone = Primary::open_at(phone_store.clone(), client.clone(), Policy::BALANCED, "phone", clock.clone());
    let phone = phone.await.unwrap();
    let laptop = LinkedDevice::open_at(laptop_store.clone(), client, clock).await.unwrap();
    let account = play(&phone, &laptop, "laptop", Person::Agrees).await.linked.unwrap();
    (Pair { world, phone, laptop, account }, phone_store, laptop_store)
}

fn list_row(epoch: u64) -> Vec<u8> {
    [b"list/".as_slice(), &epoch.to_be_bytes()].concat()
}

/// Makes a store remember another list of an epoch than the account published.
async fn remember_another_list(store: &SharedStore, epoch: u64) {
    store
        .run(move |store| {
            let mut signed = store.list_of(epoch)?.expect("the list is remembered");
            let mut payload = signed.payload.as_slice().to_vec();
            payload.push(0);
            signed.payload = pairlight_wire::Bytes::new(payload).unwrap();
            store.put(Table::DeviceList, &list_row(epoch), &pairlight_wire::Wire::encode(&signed))
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_another_list_of_the_same_epoch_freezes_alerts_and_the_devices_go_on_talking() {
    for at_phone in [true, false] {
        let (pair, phone_store, laptop_store) = pair_with_stores().await;
        let epoch = pair.laptop.account().await.unwrap().unwrap().list().list().epoch;
        remember_another_list(if at_phone { &phone_store } else { &laptop_store }, epoch).await;
        let phone = pair.phone.connect().await.unwrap();
        let laptop = pair.laptop.connect().await.unwrap();
        let fork = until(if at_phone { &phone } else { &laptop }, "the fork", |event| match event {
            ConnectionEvent::Forked(fork) => Some(*fork),
            _ => None,
        })
        .await;
        assert!(fork.epoch == epoch && fork.ours != fork.theirs);
        let kept = if at_phone {
            pair.phone.fork().await.unwrap()
        } else {
            pair.laptop.standing().await.unwrap().unwrap().fork
        };
        assert_eq!(kept, Some(fork), "the list stays frozen");
        laptop.send(pair.account.primary().unwrap(), EnvelopeKind::Application, b"still talking").await.unwrap();
        assert_eq!(message(&phone).await, b"still talking");
        if !at_phone {
            pair.phone.rename(pair.device(), "renamed").await.unwrap();
            until(&phone, "the new list", |event| matches!(event, ConnectionEvent::ListChanged { .. }).then_some(()))
                .await;
            laptop.send(pair.account.primary().unwrap(), EnvelopeKind::Application, b"and again").await.unwrap();
            assert_eq!(message(&phone).await, b"and again");
            assert_eq!(pair.laptop.account().await.unwrap().unwrap().list().list().epoch, epoch, "no list is taken");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_forks_the_list_or_rolls_it_back_is_found_out() {
    let (pair, phone_store, laptop_store) = pair_with_stores().await;
    let epoch = pair.laptop.account().await.unwrap().unwrap().list().list().epoch;
    // A second relay, and what the phone's account was when it left the first.
    let other = World::start().await;
    let before = phone_store.run(|store| store.account()).await.unwrap().unwrap();
    let double = open_store(other.folder.path(), "phone");
    double.run(move |store| store.put_account(&before)).await.unwrap();
    let double =
        Primary::open_at(double, other.client.clone(), Policy::BALANCED, "phone", other.time.clock()).await.unwrap();
    double.register().await.unwrap();
    let laptop_line = pair.laptop.connect().await.unwrap();
    until(&laptop_line, "online", |event| matches!(event, ConnectionEvent::Online).then_some(())).await;
    pair.phone.rename(pair.device(), "the real list").await.unwrap();
    until(&laptop_line, "the list", |event| matches!(event, ConnectionEvent::ListChanged { .. }).then_some(())).await;
    drop(laptop_line);
    let elsewhere = LinkedDevice::open_at(laptop_store, other.client.clone(), other.time.clock()).await.unwrap();
    let line = elsewhere.connect().await.unwrap();
    let (known, offered) = until(&line, "the rollback", |event| match event {
        ConnectionEvent::RolledBack { known, offered } => Some((*known, *offered)),
        _ => None,
    })
    .await;
    assert_eq!((known, offered), (epoch + 1, epoch));
    drop(line);
    for name in ["another list", "and one more"] {
        double.rename(pair.device(), name).await.unwrap();
    }
    let line = elsewhere.connect().await.unwrap();
    let fork = until(&line, "the fork", |event| match event {
        ConnectionEvent::Forked(fork) => Some(*fork),
        ConnectionEvent::ListChanged { .. } => panic!("the other list was believed"),
        _ => None,
    })
    .await;
    assert_eq!(fork.epoch, epoch + 1);
    // The person decides; at the true relay everything goes on.
    elsewhere.keep_own_list().await.unwrap();
    let phone = pair.phone.connect().await.unwrap();
    let line = pair.laptop.connect().await.unwrap();
    leased(&line).await;
    drop(phone);
}

#[tokio::test(flavor = "multi_thread")]
async fn d4_a_device_that_stays_behind_gets_the_chain_and_then_is_quarantined() {
    let (pair, _phone_store, laptop_store) = pair_with_stores().await;
    // A device that takes no lists any more.
    let fork = ListFork { epoch: 1, ours: [1; 32], theirs: [2; 32], at: 0 };
    laptop_store.run(move |store| store.put_fork(&fork)).await.unwrap();
    for name in ["one", "two"] {
        pair.phone.rename(pair.device(), name).await.unwrap();
    }
    let phone = pair.phone.connect().await.unwrap();
    let mut follows = Vec::new();
    let laptop = pair.laptop.connect().await.unwrap();
    leased(&laptop).await;
    for _ in 0..2 {
        pair.world.time.pass(49 * HOUR_MS);
        follows.push(found(&phone, Discrepancy::ListStale).await);
    }
    assert_eq!(follows, [Action::SendChain, Action::Quarantine]);
    let (standing, because) = loop {
        let (_, standing, because) = leased(&laptop).await;
        if standing != Standing::Active {
            break (standing, because);
        }
    };
    assert_eq!((standing, because), (Standing::Quarantined, Some(Discrepancy::ListStale)));
}

#[tokio::test(flavor = "multi_thread")]
async fn d6_counters_that_cannot_be_remove_the_device() {
    let (pair, phone_store, _) = pair_with_stores().await;
    bend_phone(&pair, &phone_store, |book| book.tx_hw = 1_000).await;
    let phone = pair.phone.connect().await.unwrap();
    let laptop = pair.laptop.connect().await.unwrap();
    let follows = found(&phone, Discrepancy::CountersImpossible).await;
    assert_eq!(follows, Action::Revoke(RemovalReason::Discrepancy));
    assert_eq!(removed(&laptop).await, RemovalReason::Discrepancy);
    assert_eq!(pair.phone.removed().await.unwrap()[0].reason, RemovalReason::Discrepancy);
}

/// Says that every caller is in one country, then in another.
#[derive(Clone, Default)]
struct Travelling(Arc<AtomicBool>);

impl PlaceLookup for Travelling {
    fn place(&self, _address: std::net::IpAddr) -> Place {
        let country = if self.0.load(Ordering::SeqCst) { "PT" } else { "NL" };
        Place { country: country.into(), ..Place::unknown() }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d11_another_country_is_noticed() {
    let places = Travelling::default();
    let config = RelayConfig { places: Arc::new(places.clone()), ..RelayConfig::default() };
    let world = World::start_with(config).await;
    let phone = world.primary("phone", Policy::BALANCED).await.unwrap();
    let laptop = world.linked("laptop").await.unwrap();
    let account = play(&phone, &laptop, "laptop", Person::Agrees).await.linked.unwrap();
    let pair = Pair { world, phone, laptop, account };
    let (phone, laptop) = pair.online().await;
    drop(laptop);
    places.0.store(true, Ordering::SeqCst);
    let laptop = pair.laptop.connect().await.unwrap();
    assert_eq!(found(&phone, Discrepancy::CountryChanged).await, Action::Notice);
    drop(laptop);
}
