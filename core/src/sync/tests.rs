//! Devices with real stores and real ratchets, and between them a network that loses, repeats, reorders and cuts, while
//! devices die between any two turns. In the end all hold what a plain map holds.

mod decisions;
mod exchange;
mod renewal;

use std::collections::{BTreeMap, VecDeque};

use pairlight_wire::Wire;
use pairlight_wire::envelope::{Envelope, EnvelopeKind};
use pairlight_wire::id::DeviceId;
use pairlight_wire::sync::SyncRecord;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tempfile::TempDir;

use super::messages::{self, Message};
use super::*;
use crate::Timestamp;
use crate::crypto::olm::RatchetAccount;
use crate::session::Session;
use crate::store::{Batch, Cursor, KeyFile, Store, Table};
use crate::trust::{Grade, Policy};
use pairlight_wire::device::Preset;

fn memory_disk() -> TempDir {
    // Nothing here is about the disk: where there is memory that looks like one, it is faster.
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

struct Device {
    id: DeviceId,
    replica: Replica,
    store: Option<Store>,
    clock: u64,
    folder: TempDir,
    events: Vec<SyncEvent>,
}

impl Device {
    fn new(number: u8, role: SyncRole) -> Self {
        let folder = memory_disk();
        let id = DeviceId([number; 16]);
        let mut device = Self {
            id,
            replica: Replica::new(id, role),
            store: None,
            clock: 1_800_000_000_000,
            folder,
            events: Vec::new(),
        };
        device.start();
        device
    }

    fn start(&mut self) {
        self.store = None;
        let rng = || Box::new(rand_core::UnwrapErr(getrandom::SysRng));
        let key = KeyFile::open_or_create(&self.folder.path().join("key"), rng()).unwrap();
        self.store = Some(Store::open(&self.folder.path().join("store.db"), &key, rng()).unwrap());
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    fn progress(&self) -> Vec<HistoryProgress> {
        let store = self.store.as_ref().unwrap();
        match self.replica.role() {
            SyncRole::Primary(_) => self.replica.sending(store).unwrap(),
            SyncRole::Linked => self.replica.receiving(store).unwrap().into_iter().collect(),
        }
    }

    /// Every record, tombstones included.
    fn all(&mut self) -> Vec<Vec<u8>> {
        let (records, _) = self.store().records_after(0, usize::MAX >> 1).unwrap();
        let mut all: Vec<_> = records.iter().map(|logged| logged.record.encode()).collect();
        all.sort();
        all
    }

    /// Every record that is not deleted. When a tombstone may go, each device hears by itself.
    fn live(&mut self) -> Vec<Vec<u8>> {
        let (records, _) = self.store().records_after(0, usize::MAX >> 1).unwrap();
        let live = records.iter().filter(|logged| logged.record.content.is_some());
        let mut all: Vec<_> = live.map(|logged| logged.record.encode()).collect();
        all.sort();
        all
    }
}

/// One primary device and several linked ones, and the relay's mailboxes.
struct World {
    rng: ChaCha20Rng,
    devices: Vec<Device>,
    mail: BTreeMap<DeviceId, VecDeque<Post>>,
    cut: Vec<bool>,
    linked: Vec<Listed>,
    policy: Policy,
    blobs: BTreeMap<[u8; 32], Vec<u8>>,
}

impl World {
    fn new(seed: u64, policy: Policy) -> Self {
        let primary = Device::new(0, SyncRole::Primary(policy));
        let listed =
            Listed { device: primary.id, primary: true, grade: Some(Grade::Strong), preset: Preset::Custom, linked: 0 };
        Self {
            rng: ChaCha20Rng::seed_from_u64(seed),
            devices: vec![primary],
            mail: BTreeMap::new(),
            cut: vec![false],
            linked: vec![listed],
            policy,
            blobs: BTreeMap::new(),
        }
    }

    fn link(&mut self, grade: Grade) -> usize {
        let number = u8::try_from(self.devices.len()).unwrap();
        let mut device = Device::new(number, SyncRole::Linked);
        let (a, b) = (RatchetAccount::generate().unwrap(), RatchetAccount::generate().unwrap());
        let keys = a.keys();
        let mut ratchet = a.start(&b.keys()).unwrap();
        let first = ratchet.seal(b"hello").unwrap();
        let joined = b.join(&keys.identity, &first.bytes).unwrap();
        let primary = self.devices[0].id;
        self.devices[0].store().put_session(&Session::new(primary, device.id, ratchet)).unwrap();
        let id = device.id;
        device.store().put_session(&Session::new(id, primary, joined.ratchet)).unwrap();
        let linked = self.devices[0].clock;
        self.linked.push(Listed {
            device: device.id,
            primary: false,
            grade: Some(grade),
            preset: Preset::Custom,
            linked,
        });
        self.devices.push(device);
        self.cut.push(false);
        for at in 0..self.devices.len() {
            self.connect(at);
        }
        self.devices.len() - 1
    }

    fn turn<T>(
        &mut self,
        at: usize,
        work: impl FnOnce(&Replica, &mut Turn<'_>, &mut ChaCha20Rng) -> Result<T, SyncError>,
    ) -> Result<T, SyncError> {
        let device = &mut self.devices[at];
        let now = Timestamp::from_unix_ms(device.clock);
        let before = device.progress();
        let mut turn = Turn::begin(device.store.as_mut().unwrap(), now, &mut self.rng)?;
        let outcome = work(&device.replica, &mut turn, &mut self.rng)?;
        let done = turn.commit()?;
        assert!(done.history || before == device.progress(), "a transfer moved, and nobody was told");
        for post in done.posts {
            self.post(at, post);
        }
        Ok(outcome)
    }

    /// The relay takes a post of a sender once, and the sender forgets it, unless the line is cut.
    fn post(&mut self, at: usize, post: Post) {
        if self.cut[at] {
            return;
        }
        let (to, reference) = (post.to, post.reference);
        let mailbox = self.mail.entry(post.to).or_default();
        let name = |post: &Post| (Envelope::decode(&post.envelope).unwrap().from, post.reference);
        if !mailbox.iter().any(|known| name(known) == name(&post)) {
            mailbox.push_back(post);
        }
        let device = &mut self.devices[at];
        let now = Timestamp::from_unix_ms(device.clock);
        let mut turn = Turn::begin(device.store.as_mut().unwrap(), now, &mut self.rng).unwrap();
        turn.accepted(&[(to, reference)]);
        turn.commit().unwrap();
    }

    fn write(&mut self, at: usize, changes: Vec<Change>) {
        self.turn(at, |replica, turn, _| replica.write(turn, changes)).unwrap();
    }

    fn pump(&mut self, at: usize, confirm: bool) {
        if self.cut[at] {
            return;
        }
        loop {
            let more = self.turn(at, |replica, turn, rng| {
                replica.pump_history(turn, rng)?;
                replica.send(turn, confirm, rng)
            });
            if !more.unwrap() {
                break;
            }
        }
    }

    fn connect(&mut self, at: usize) {
        self.cut[at] = false;
        let listed = self.linked.clone();
        let replica = self.devices[at].replica;
        replica.follow(self.devices[at].store.as_mut().unwrap(), &listed, &mut self.rng).unwrap();
        for post in replica.unconfirmed(self.devices[at].store()).unwrap() {
            self.post(at, post);
        }
        self.pump(at, true);
    }

    /// Delivers what lies at `place` of the mailbox.
    fn deliver(&mut self, at: usize, place: usize, keep: bool) {
        let id = self.devices[at].id;
        let Some(mailbox) = self.mail.get_mut(&id) else { return };
        let post = if keep { mailbox.get(place).cloned() } else { mailbox.remove(place) };
        let Some(post) = post else { return };
        let envelope = Envelope::decode(&post.envelope).unwrap();
        let taken = self.turn(at, |replica, turn, rng| {
            let Opened::Message(message) = turn.open(&envelope)? else { return Ok(None) };
            replica.take(turn, &envelope.from, &message, rng)
        });
        if let Some(event) = taken.unwrap() {
            self.devices[at].events.push(event);
        }
    }

    fn transfer(&mut self) {
        for at in 0..self.devices.len() {
            if self.cut[at] {
                continue;
            }
            let replica = self.devices[at].replica;
            let now = self.devices[at].clock;
            let upload = replica.next_upload(self.devices[at].store.as_mut().unwrap(), now, &mut self.rng).unwrap();
            if let Some(upload) = upload {
                self.blobs.insert(upload.chunk.blob, upload.bytes.clone());
                self.turn(at, |replica, turn, rng| replica.uploaded(turn, &upload, rng)).unwrap();
            }
            for chunk in replica.next_fetches(self.devices[at].store(), 1).unwrap() {
                let bytes = self.blobs.get(&chunk.blob).cloned();
                self.turn(at, |replica, turn, rng| replica.fetched(turn, &chunk, bytes.as_deref(), rng)).unwrap();
            }
        }
    }

    /// Everything arrives until nothing moves any more.
    fn settle(&mut self) {
        for at in 0..self.devices.len() {
            self.connect(at);
        }
        self.run();
    }

    /// The same without a new connection of anybody.
    fn run(&mut self) {
        for round in 0..2000 {
            let mut still = true;
            for at in 0..self.devices.len() {
                let id = self.devices[at].id;
                while self.mail.get(&id).is_some_and(|mail| !mail.is_empty()) {
                    still = false;
                    self.deliver(at, 0, false);
                }
                let owes = self.devices[at].replica;
                let owes = owes.owes(self.devices[at].store()).unwrap();
                self.pump(at, owes);
            }
            let replica = self.devices[0].replica;
            replica.drop_passed(self.devices[0].store()).unwrap();
            let before = self.blobs.len();
            self.transfer();
            still &= self.blobs.len() == before && self.mail.values().all(VecDeque::is_empty);
            if still {
                return;
            }
            assert!(round < 1999, "the devices talk for ever");
        }
    }

    fn in_step(&mut self) {
        let first = self.devices[0].live();
        for at in 1..self.devices.len() {
            assert_eq!(self.devices[at].live().len(), first.len(), "device {at}");
            assert!(self.devices[at].live() == first, "device {at} holds other records");
        }
    }

    fn texts(&mut self, at: usize) -> BTreeMap<Vec<u8>, String> {
        let (records, _) = self.devices[at].store().records_after(0, usize::MAX >> 1).unwrap();
        let entries = records.iter().filter_map(messages::read::<Message>);
        entries.map(|entry| (entry.id, entry.value.text.as_str().to_owned())).collect()
    }
}

fn say(id: u8, at: u64, text: &str) -> Change {
    messages::put_message(b"talk", &[id; 16], at, &Message::text("kim", text)).unwrap()
}

#[test]
fn a_write_reaches_every_device_and_an_edit_and_a_delete_too() {
    let mut world = World::new(1, Policy::DEVELOPMENT);
    let (one, two) = (world.link(Grade::Strong), world.link(Grade::Strong));
    world.settle();
    world.write(one, vec![say(1, 5, "hello"), say(2, 6, "gone soon")]);
    world.settle();
    assert_eq!(world.texts(two).len(), 2);
    world.write(two, vec![say(1, 5, "hello, edited"), messages::delete_message(&[2; 16]).unwrap()]);
    world.settle();
    for at in 0..3 {
        assert_eq!(world.texts(at), BTreeMap::from([(vec![1; 16], "hello, edited".to_owned())]), "device {at}");
    }
    world.in_step();
}

#[test]
fn writing_and_sealing_in_one_turn_numbers_the_log_as_two_turns_do() {
    let mut world = World::new(12, Policy::DEVELOPMENT);
    let (one, two) = (world.link(Grade::Strong), world.link(Grade::Strong));
    world.settle();
    for round in 0..4_u64 {
        let changes = vec![say(1, 5, &format!("a {round}")), say(2, 6, "b"), say(1, 5, &format!("c {round}"))];
        for at in [0, one] {
            world.turn(at, |replica, turn, rng| replica.write_and_send(turn, changes.clone(), rng)).unwrap();
            let device = &mut world.devices[at];
            let scanned = peer::peers(device.store()).unwrap()[0].1.scanned;
            assert_eq!(scanned, device.store().last_change().unwrap());
        }
        if round == 2 {
            let away = world.devices[two].id;
            world.mail.remove(&away);
        }
        world.settle();
        world.in_step();
        assert_eq!(world.texts(two)[&vec![1; 16]], format!("c {round}"));
    }
}

#[test]
fn what_came_from_a_device_is_not_sent_back_to_it() {
    let mut world = World::new(2, Policy::DEVELOPMENT);
    let one = world.link(Grade::Strong);
    world.settle();
    world.write(one, vec![say(1, 5, "hello")]);
    world.pump(one, false);
    let primary = world.devices[0].id;
    assert_eq!(world.mail[&primary].len(), 1, "one write is one envelope");
    world.deliver(0, 0, false);
    world.pump(0, false);
    let linked = world.devices[one].id;
    assert!(world.mail[&linked].is_empty(), "an echo");
}

#[test]
fn a_tombstone_stays_until_every_device_has_it_and_then_goes_everywhere() {
    let mut world = World::new(3, Policy::DEVELOPMENT);
    let (one, two) = (world.link(Grade::Strong), world.link(Grade::Strong));
    world.write(0, vec![say(1, 5, "hello")]);
    world.settle();
    world.cut[two] = true;
    world.write(0, vec![messages::delete_message(&[1; 16]).unwrap()]);
    world.pump(0, false);
    let away = world.devices[two].id;
    let kept = world.mail.remove(&away).unwrap();
    for _ in 0..3 {
        world.deliver(one, 0, false);
        world.pump(one, true);
        world.deliver(0, 0, false);
        let replica = world.devices[0].replica;
        replica.drop_passed(world.devices[0].store.as_mut().unwrap()).unwrap();
    }
    assert_eq!(world.devices[0].all().len(), 1, "the device that is away has not passed it");
    world.mail.insert(away, kept);
    world.settle();
    for _ in 0..2 {
        // The primary names what everybody has, then drops it.
        world.pump(0, true);
        let replica = world.devices[0].replica;
        replica.drop_passed(world.devices[0].store.as_mut().unwrap()).unwrap();
        for at in [one, two] {
            while world.mail.get(&world.devices[at].id).is_some_and(|mail| !mail.is_empty()) {
                world.deliver(at, 0, false);
            }
        }
    }
    for at in 0..3 {
        assert!(world.devices[at].all().is_empty(), "device {at}");
    }
}

#[test]
fn a_late_signal_is_dropped_and_none_is_stored() {
    let mut world = World::new(4, Policy::DEVELOPMENT);
    let one = world.link(Grade::Strong);
    world.settle();
    world.devices[one].events.clear();
    for late in [false, true] {
        world.turn(0, |replica, turn, rng| replica.signal(turn, "typing", 3000, b"kim", rng)).unwrap();
        world.devices[one].clock += if late { 3001 } else { 0 };
        world.deliver(one, 0, false);
    }
    let typing = SyncEvent::Signal { from: world.devices[0].id, name: "typing".into(), body: b"kim".to_vec() };
    assert_eq!(world.devices[one].events, [typing]);
    assert!(world.devices[0].replica.unconfirmed(world.devices[0].store.as_ref().unwrap()).unwrap().is_empty());
}

fn talk(count: u64, text_bytes: usize) -> Vec<Change> {
    let mut changes = vec![messages::put_conversation(b"talk", "Talk", 1).unwrap()];
    for n in 0..count {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.to_be_bytes());
        // Text that packs badly, so that there are several chunks.
        let text: String = (0..text_bytes as u64)
            .map(|k| char::from(b'a' + u8::try_from((n * 31 + k * k * 7 + (n * k) % 11) % 26).unwrap()))
            .collect();
        changes.push(messages::put_message(b"talk", &id, 1_000 + n, &Message::text("kim", &text)).unwrap());
    }
    changes
}

#[test]
fn a_history_comes_whole_with_writes_edits_and_losses_during_it() {
    let mut world = World::new(5, Policy::DEVELOPMENT);
    world.write(0, talk(9_000, 200));
    let one = world.link(Grade::Strong);
    let mut lost = 0;
    for step in 0..60_u8 {
        while world.mail.get(&world.devices[one].id).is_some_and(|mail| !mail.is_empty()) {
            world.deliver(one, 0, false);
        }
        if step == 3 {
            // Edits of records that are still to come, a delete, and a new one.
            let mut id = [0; 16];
            let edit = messages::put_message(b"talk", &id, 1_000, &Message::text("kim", "edited")).unwrap();
            id[..8].copy_from_slice(&1_u64.to_be_bytes());
            world.write(0, vec![edit, messages::delete_message(&id).unwrap(), say(200, 99_999, "new")]);
        }
        if step == 4 || step == 6 {
            // Blobs are lost at the relay.
            lost += world.blobs.len();
            world.blobs.clear();
        }
        if step == 5 {
            world.devices[0].start();
            world.devices[one].start();
        }
        world.pump(one, false);
        while world.mail.get(&world.devices[0].id).is_some_and(|mail| !mail.is_empty()) {
            world.deliver(0, 0, false);
        }
        world.pump(0, false);
        world.transfer();
    }
    world.settle();
    assert!(lost > 0);
    world.in_step();
    let progress = world.devices[one].replica.receiving(world.devices[one].store.as_ref().unwrap()).unwrap().unwrap();
    assert_eq!((progress.standing, progress.phase), (HistoryStanding::Done, HistoryPhase::Complete), "{progress:?}");
    let sent = world.devices[0].replica.sending(world.devices[0].store.as_ref().unwrap()).unwrap();
    assert_eq!(sent[0].standing, HistoryStanding::Done, "{sent:?}");
    let texts = world.texts(one);
    assert_eq!(texts[&vec![0; 16]], "edited");
}

#[test]
fn the_policy_holds_back_the_rest_until_its_time() {
    let mut world = World::new(6, Policy::BALANCED);
    let now = world.devices[0].clock;
    let old = messages::put_message(b"talk", &[1; 16], now - 90 * 86_400_000, &Message::text("kim", "old")).unwrap();
    let conversation = messages::put_conversation(b"talk", "Talk", 1).unwrap();
    let mut changes = vec![conversation, old];
    for n in 0..60_u8 {
        changes.push(say(n + 2, now - 1000 + u64::from(n), "fresh"));
    }
    world.write(0, changes);
    let one = world.link(Grade::Weak);
    world.settle();
    assert!(!world.texts(one).contains_key(&vec![1; 16]), "older than what is allowed at once");
    assert_eq!(world.texts(one).len(), 60);
    let receiving = |world: &World| {
        let device = &world.devices[one];
        device.replica.receiving(device.store.as_ref().unwrap()).unwrap().unwrap()
    };
    let until = now + 12 * 3_600_000;
    assert_eq!(receiving(&world).standing, HistoryStanding::Held(until));
    for device in &mut world.devices {
        device.clock = until + 1;
    }
    world.settle();
    assert_eq!(receiving(&world).standing, HistoryStanding::Done);
    assert_eq!(world.texts(one).len(), 61);
    assert_eq!(world.policy, Policy::BALANCED);
}

#[test]
fn a_proof_of_presence_frees_what_the_policy_holds_back() {
    let mut world = World::new(13, Policy::BALANCED);
    let now = world.devices[0].clock;
    let old = messages::put_message(b"talk", &[1; 16], now - 90 * 86_400_000, &Message::text("kim", "old")).unwrap();
    world.write(0, vec![old]);
    let one = world.link(Grade::Weak);
    world.settle();
    assert!(world.texts(one).is_empty());
    let device = world.devices[one].id;
    world.turn(0, |replica, turn, _| replica.presence_shown(turn, &device)).unwrap();
    world.settle();
    assert_eq!(world.texts(one).len(), 1);
}

#[test]
fn a_history_is_cancelled_and_begun_again_without_a_new_link() {
    let mut world = World::new(7, Policy::DEVELOPMENT);
    world.write(0, talk(4_000, 200));
    let one = world.link(Grade::Strong);
    world.deliver(one, 0, false);
    world.turn(one, |replica, turn, rng| replica.cancel_history(turn, rng)).unwrap();
    world.settle();
    let few = world.devices[one].all().len();
    assert!(few < 4_001, "{few}");
    world.turn(one, |replica, turn, rng| replica.retry_history(turn, rng)).unwrap();
    world.settle();
    world.in_step();
}

#[test]
fn damaged_records_are_found_and_come_back_from_the_other_device() {
    let mut world = World::new(8, Policy::DEVELOPMENT);
    world.write(0, (1..50).map(|n| say(n, u64::from(n), "text")).collect());
    let one = world.link(Grade::Strong);
    world.settle();
    for hurt in [one, 0] {
        let path = world.devices[hurt].folder.path().join("store.db");
        world.devices[hurt].store = None;
        let raw = rusqlite::Connection::open(path).unwrap();
        raw.execute("UPDATE pack SET sealed = zeroblob(60) WHERE pack = (SELECT max(pack) FROM pack)", []).unwrap();
        drop(raw);
        world.devices[hurt].start();
        assert!(world.devices[hurt].store().integrity_check().is_err());
        let replica = world.devices[hurt].replica;
        assert!(replica.repair(world.devices[hurt].store()).unwrap() > 0);
        world.devices[hurt].store().integrity_check().unwrap();
        assert!(replica.owes(world.devices[hurt].store()).unwrap(), "all is asked for once more");
        world.settle();
        world.in_step();
        assert_eq!(world.texts(hurt).len(), 49);
        assert_eq!(replica.repair(world.devices[hurt].store()).unwrap(), 0);
        assert!(!replica.owes(world.devices[hurt].store()).unwrap(), "a sound store asks for nothing");
    }
}

#[test]
fn search_finds_text_whatever_its_case_and_pages_go_on_where_they_ended() {
    let mut world = World::new(9, Policy::DEVELOPMENT);
    world.write(0, (1..100).map(|n| say(n, u64::from(n / 3), &format!("Message {n} Grüße"))).collect());
    let store = world.devices[0].store();
    assert_eq!(messages::search(store, "grÜSSE", 10).unwrap().len(), 0);
    assert_eq!(messages::search(store, "GRÜßE", 10).unwrap().len(), 10);
    assert_eq!(messages::search(store, "message 42", 10).unwrap().len(), 1);
    let (mut seen, mut cursor) = (Vec::new(), Cursor::NEWEST);
    loop {
        let page = messages::messages(store, b"talk", cursor, 7).unwrap();
        let Some(last) = page.last() else { break };
        cursor = last.cursor;
        seen.extend(page.into_iter().map(|entry| (entry.at, entry.id)));
    }
    assert_eq!(seen.len(), 99);
    assert!(seen.is_sorted_by(|a, b| a.0 >= b.0));
}

#[test]
fn a_new_data_key_keeps_every_record_and_its_order() {
    let mut world = World::new(10, Policy::DEVELOPMENT);
    world.write(0, (1..100).map(|n| say(n, u64::from(n), "text")).collect());
    let before = messages::messages(world.devices[0].store(), b"talk", Cursor::NEWEST, 1000).unwrap();
    let folder = world.devices[0].folder.path().to_owned();
    let rng = || Box::new(rand_core::UnwrapErr(getrandom::SysRng));
    let key = KeyFile::create(&folder.join("key2"), rng()).unwrap();
    world.devices[0].store().rekey(&key).unwrap();
    world.devices[0].store = None;
    world.devices[0].store = Some(Store::open(&folder.join("store.db"), &key, rng()).unwrap());
    assert_eq!(messages::messages(world.devices[0].store(), b"talk", Cursor::NEWEST, 1000).unwrap(), before);
    world.devices[0].store().integrity_check().unwrap();
}

/// A plain map that takes every write at once.
#[derive(Default)]
struct Oracle(BTreeMap<Vec<u8>, SyncRecord>);

impl Oracle {
    fn take(&mut self, record: SyncRecord) {
        let key = [record.collection.as_str().as_bytes(), record.id.as_slice()].concat();
        if self.0.get(&key).is_none_or(|known| record.supersedes(known)) {
            self.0.insert(key, record);
        }
    }
}

#[test]
fn random_faults_lose_and_invent_nothing() {
    for seed in 0..3_u64 {
        let mut world = World::new(100 + seed, Policy::DEVELOPMENT);
        for _ in 0..3 {
            world.link(Grade::Strong);
        }
        let mut oracle = Oracle::default();
        let mut written = 0_u64;
        for step in 0..300_u64 {
            let at = (world.rng.next_u32() % 4) as usize;
            match world.rng.next_u32() % 16 {
                0..=4 => {
                    let id = u8::try_from(world.rng.next_u32() % 20).unwrap();
                    let change = if world.rng.next_u32().is_multiple_of(5) {
                        messages::delete_message(&[id; 16]).unwrap()
                    } else {
                        written += 1;
                        say(id, 1_000 + u64::from(id), &format!("text {step}"))
                    };
                    world.write(at, vec![change.clone()]);
                    let collection = change.collection.as_str().to_owned();
                    let now = world.devices[at].store().record(&collection, change.id.as_slice()).unwrap().unwrap();
                    oracle.take(now.record);
                    world.pump(at, false);
                }
                5..=9 => world.deliver(at, 0, false),
                // Repeated, out of order, lost.
                10 => world.deliver(at, 0, true),
                11 => world.deliver(at, 1, false),
                12 => {
                    let id = world.devices[at].id;
                    if let Some(mail) = world.mail.get_mut(&id) {
                        drop(mail.pop_back());
                    }
                }
                // Cut off, back, killed, with another clock.
                13 => world.cut[at] = true,
                14 => world.connect(at),
                _ => {
                    world.devices[at].start();
                    let jump = u64::from(world.rng.next_u32() % 100_000);
                    world.devices[at].clock = 1_800_000_000_000 + jump;
                    world.connect(at);
                }
            }
        }
        // Two rounds: what was lost on the way is asked for again.
        world.settle();
        world.settle();
        world.in_step();
        let live = oracle.0.values().filter(|record| record.content.is_some());
        let mut expected: Vec<_> = live.map(Wire::encode).collect();
        expected.sort();
        assert!(written > 30);
        assert!(world.devices[0].live() == expected, "seed {seed}: not what was written");
    }
}

fn arbitrary_record() -> impl Strategy<Value = SyncRecord> {
    (0..4_u8, 0..6_u64, 0..3_u8, prop::option::of(0..3_u8)).prop_map(|(id, clock, device, body)| {
        let change = match body {
            Some(body) => Change::put("c", &[id], b"g", 7, &[body]).unwrap(),
            None => Change::delete("c", &[id]).unwrap(),
        };
        change.at(clock, DeviceId([device; 16]))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_order_with_repetitions_in_any_batches_gives_the_same_state(
        records in prop::collection::vec(arbitrary_record(), 1..24),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..48),
        cuts in prop::collection::vec(1..6_usize, 1..6),
    ) {
        let mut oracle = Oracle::default();
        records.iter().cloned().for_each(|record| oracle.take(record));
        let mut device = Device::new(0, SyncRole::Linked);
        let shuffled: Vec<_> = order.iter().map(|at| at.get(&records).clone()).chain(records.iter().rev().cloned()).collect();
        let (mut rest, mut cut) = (shuffled.as_slice(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at((*cut.next().unwrap()).min(rest.len()));
            let mut batch = Batch::new();
            for record in now {
                batch.merge(1, record.clone());
            }
            device.store().commit(&batch).unwrap();
            rest = later;
        }
        let mut expected: Vec<_> = oracle.0.values().map(Wire::encode).collect();
        expected.sort();
        prop_assert_eq!(device.all(), expected);
    }
}

#[test]
fn an_envelope_that_waits_survives_a_kill_and_goes_once() {
    let mut world = World::new(11, Policy::DEVELOPMENT);
    let one = world.link(Grade::Strong);
    world.settle();
    world.cut[one] = true;
    world.write(one, vec![say(1, 5, "offline")]);
    world.devices[one].start();
    world.connect(one);
    let primary = world.devices[0].id;
    let posts = world.mail[&primary].clone();
    // Killed before the relay's answer was stored: the same envelope under the same number.
    let row = [posts[0].reference.to_be_bytes().as_slice(), posts[0].to.as_bytes()].concat();
    world.devices[one].store().put(Table::Outgoing, &row, &posts[0].envelope).unwrap();
    world.devices[one].start();
    world.connect(one);
    assert_eq!(world.mail[&primary][0], posts[0]);
    assert_eq!(world.mail[&primary].iter().filter(|post| post.reference == posts[0].reference).count(), 1);
    // And where the relay repeats it, it is applied once.
    let kinds: Vec<_> =
        world.mail[&primary].iter().map(|post| Envelope::decode(&post.envelope).unwrap().kind).collect();
    assert!(kinds.iter().all(|kind| *kind == EnvelopeKind::Records));
    world.deliver(0, 0, true);
    let once = world.devices[0].store().last_change().unwrap();
    world.deliver(0, 0, false);
    assert_eq!(world.devices[0].store().last_change().unwrap(), once);
    world.settle();
    world.in_step();
}
