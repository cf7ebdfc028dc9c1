//! What one device makes of records, history and signals of another, once the envelope was opened.

use std::cell::RefCell;

use pairlight_core::Timestamp;
use pairlight_core::crypto::olm::RatchetAccount;
use pairlight_core::session::{OpenedMessage, Session};
use pairlight_core::store::{KeyWrap, KeyWrapError, Store};
use pairlight_core::sync::{Change, Listed, Opened, Replica, SyncRole, Turn};
use pairlight_core::trust::{Grade, Policy};
use pairlight_wire::Wire;
use pairlight_wire::device::Preset;
use pairlight_wire::envelope::{Envelope, EnvelopeKind};
use pairlight_wire::id::DeviceId;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
const PHONE: DeviceId = DeviceId([1; 16]);
const LAPTOP: DeviceId = DeviceId([2; 16]);
const KINDS: [EnvelopeKind; 3] = [EnvelopeKind::Records, EnvelopeKind::History, EnvelopeKind::Ephemeral];

/// The stores here guard nothing.
struct NoWrap;

impl KeyWrap for NoWrap {
    fn wrap(&self, dek: &[u8; 32]) -> Result<Vec<u8>, KeyWrapError> {
        Ok(dek.to_vec())
    }
    fn unwrap_key(&self, wrapped: &[u8]) -> Result<zeroize::Zeroizing<[u8; 32]>, KeyWrapError> {
        wrapped.try_into().map(zeroize::Zeroizing::new).map_err(|_| KeyWrapError::WrongKey)
    }
}

struct Device {
    replica: Replica,
    store: Store,
    peer: DeviceId,
    _folder: TempDir,
}

/// A phone with a few records and a laptop that is being given its history, and what the two said so far.
struct Pair {
    devices: [Device; 2],
    said: Vec<(usize, EnvelopeKind, Vec<u8>)>,
}

fn device(own: DeviceId, peer: DeviceId, role: SyncRole, seed: u8) -> Option<Device> {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).ok()?;
    let rng = Box::new(ChaCha20Rng::from_seed([seed; 32]));
    let store = Store::open(&folder.path().join("store.db"), &NoWrap, rng).ok()?;
    Some(Device { replica: Replica::new(own, role), store, peer, _folder: folder })
}

impl Pair {
    fn new() -> Option<Self> {
        let mut rng = ChaCha20Rng::from_seed([9; 32]);
        let (one, two) = (RatchetAccount::generate().ok()?, RatchetAccount::generate().ok()?);
        let keys = one.keys();
        let mut ratchet = one.start(&two.keys()).ok()?;
        let first = ratchet.seal(b"hello").ok()?;
        let joined = two.join(&keys.identity, &first.bytes).ok()?;
        let mut phone = device(PHONE, LAPTOP, SyncRole::Primary(Policy::DEVELOPMENT), 1)?;
        let mut laptop = device(LAPTOP, PHONE, SyncRole::Linked, 2)?;
        phone.store.put_session(&Session::new(PHONE, LAPTOP, ratchet)).ok()?;
        laptop.store.put_session(&Session::new(LAPTOP, PHONE, joined.ratchet)).ok()?;
        let mut turn = Turn::begin(&mut phone.store, NOW, &mut rng).ok()?;
        for number in 0..12u8 {
            let order = NOW.unix_ms() - u64::from(number) * 86_400_000 * 5;
            let change = Change::put("message", &[number], b"room", order, &[number; 40]).ok()?;
            phone.replica.write(&mut turn, [change]).ok()?;
        }
        turn.commit().ok()?;
        let listed = |device, primary| Listed {
            device,
            primary,
            grade: Some(Grade::Strong),
            preset: Preset::Custom,
            linked: NOW.unix_ms(),
        };
        let list = [listed(PHONE, true), listed(LAPTOP, false)];
        let mut pair = Self { devices: [phone, laptop], said: Vec::new() };
        for device in &mut pair.devices {
            device.replica.follow(&mut device.store, &list, &mut rng).ok()?;
        }
        for round in 0..4 {
            pair.talk(round % 2, &mut rng)?;
        }
        Some(pair)
    }

    /// One device says what it has to say, the other takes it.
    fn talk(&mut self, at: usize, rng: &mut ChaCha20Rng) -> Option<()> {
        let [phone, laptop] = &mut self.devices;
        let (from, to) = if at == 0 { (phone, laptop) } else { (laptop, phone) };
        let mut turn = Turn::begin(&mut from.store, NOW, rng).ok()?;
        from.replica.pump_history(&mut turn, rng).ok()?;
        from.replica.send(&mut turn, true, rng).ok()?;
        for post in turn.commit().ok()?.posts {
            let envelope = Envelope::decode(&post.envelope).ok()?;
            let mut turn = Turn::begin(&mut to.store, NOW, rng).ok()?;
            let Opened::Message(message) = turn.open(&envelope).ok()? else { return None };
            self.said.push((1 - at, message.kind, message.body.clone()));
            to.replica.take(&mut turn, &from.own(), &message, rng).ok()?;
            turn.commit().ok()?;
        }
        Some(())
    }
}

impl Device {
    fn own(&self) -> DeviceId {
        if self.peer == PHONE { LAPTOP } else { PHONE }
    }
}

thread_local! {
    static PAIR: RefCell<Option<Pair>> = RefCell::new(Pair::new());
}

/// What the two devices said when they were made, as inputs of the target: the fuzzer starts from these.
#[must_use]
pub fn sync_seeds() -> Vec<Vec<u8>> {
    PAIR.with_borrow(|pair| {
        let said = pair.as_ref().map(|pair| pair.said.clone()).unwrap_or_default();
        let kind = |kind| KINDS.iter().position(|known| *known == kind).unwrap_or(0);
        let bytes = said.into_iter().map(|(at, of, body)| [&[at as u8 + 2 * kind(of) as u8], body.as_slice()].concat());
        bytes.collect()
    })
}

/// Target: a message of the other device that was opened. The first byte chooses who takes it (bit 0) and its kind. The
/// store is as it was after each, because the turn is not committed.
pub fn sync(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let mut rng = ChaCha20Rng::from_seed([4; 32]);
    PAIR.with_borrow_mut(|pair| {
        let Some(pair) = pair else { panic!("the two devices could not be made") };
        let kind = KINDS[usize::from(choice >> 1) % KINDS.len()];
        let Device { replica, store, peer, .. } = &mut pair.devices[usize::from(choice & 1)];
        let before = store.last_change().ok();
        let Ok(mut turn) = Turn::begin(store, NOW, &mut rng) else { panic!("no turn") };
        let message = OpenedMessage { kind, seq: 9, body: body.to_vec() };
        let taken = replica.take(&mut turn, peer, &message, &mut rng);
        // Twice in one turn does no harm either.
        if taken.is_ok() {
            let _ = replica.take(&mut turn, peer, &message, &mut rng);
            let _ = replica.send(&mut turn, true, &mut rng);
        }
        drop(turn);
        assert_eq!(store.last_change().ok(), before, "a turn that was dropped changed the store");
    });
}
