//! Which devices are connected, and how they hear of things.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pairlight_wire::Text;
use pairlight_wire::device::Role;
use pairlight_wire::id::{AccountId, DeviceId};
use pairlight_wire::relay::{DeviceSeen, DuplicateSocket, StreamEvent};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc, watch};

use crate::auth::Account;

/// Notices that wait for a device; more are dropped, each can be missed without harm.
const NOTICES: usize = 64;
/// Envelopes among them, up to 64 KiB each: a device that does not read must not fill the memory.
const ENVELOPE_NOTICES: usize = 8;

/// Second sockets that no primary device has heard of yet, of all accounts; the oldest make room.
const KEPT: usize = 4096;
/// Of one device: two within a day are what a primary device acts on.
const KEPT_OF_DEVICE: usize = 2;
const DAY_MS: u64 = 86_400_000;

/// A device was connected twice while no primary device of its account was connected.
struct Missed {
    account: AccountId,
    device: DeviceId,
    /// ms since 1970.
    at: u64,
}

/// What primary devices are still to hear, oldest first. In memory: a relay that starts anew has forgotten it.
#[derive(Default)]
struct Missing(VecDeque<Missed>);

impl Missing {
    fn of<'a>(&'a self, account: &'a AccountId, device: &'a DeviceId) -> impl Iterator<Item = &'a Missed> {
        self.0.iter().filter(move |missed| missed.account == *account && missed.device == *device)
    }

    fn keep(&mut self, account: AccountId, device: DeviceId, at: u64) {
        // A pair within a day ends the device, and nothing that comes later may take its place.
        if self.of(&account, &device).count() >= KEPT_OF_DEVICE {
            return;
        }
        // More than a day apart they are no pair.
        let same = |missed: &Missed| missed.account == account && missed.device == device;
        self.0.retain(|missed| !same(missed) || at.saturating_sub(missed.at) < DAY_MS);
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Missed { account, device, at });
    }

    /// Takes what a primary device that comes now is told: pairs within a day, however old, since they end a device; and
    /// single ones of the last day.
    fn take(&mut self, account: &AccountId, now: u64) -> Vec<DuplicateSocket> {
        let told = |missed: &&Missed| {
            missed.account == *account
                && (now.saturating_sub(missed.at) < DAY_MS || self.of(account, &missed.device).count() > 1)
        };
        let told = self.0.iter().filter(told);
        let said = |missed: &Missed| DuplicateSocket { device: missed.device, ago_ms: now.saturating_sub(missed.at) };
        let devices = told.map(said).collect();
        self.0.retain(|missed| missed.account != *account);
        devices
    }
}

struct Chair {
    number: u64,
    role: Role,
    /// Nonce of its socket: a program that comes back names it.
    nonce: [u8; 32],
    country: String,
    notices: mpsc::Sender<StreamEvent>,
    mail: Arc<Notify>,
    end: Arc<Notify>,
    /// Since when, ms since 1970.
    since: u64,
}

/// A connected device, as the operator sees it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Connected {
    pub(crate) account: String,
    pub(crate) device: String,
    pub(crate) role: String,
    pub(crate) country: String,
    pub(crate) since_s: u64,
}

struct Room {
    account: watch::Sender<Arc<Account>>,
    chairs: HashMap<DeviceId, Chair>,
}

/// All connected devices.
#[derive(Default)]
pub(crate) struct Presence {
    rooms: Mutex<HashMap<AccountId, Room>>,
    missing: Mutex<Missing>,
    numbers: AtomicU64,
}

/// A device that takes its place.
pub(crate) struct Arrival {
    pub(crate) device: DeviceId,
    pub(crate) role: Role,
    /// Nonce of its socket.
    pub(crate) nonce: [u8; 32],
    /// Nonce of the socket that it says it had before.
    pub(crate) previous: Option<[u8; 32]>,
    /// Where it is, as far as the relay knows; `ZZ` unknown.
    pub(crate) country: String,
    /// When, ms since 1970.
    pub(crate) at: u64,
}

fn seen(device: DeviceId, country: &str) -> Option<StreamEvent> {
    let known = country != "ZZ";
    known.then(|| StreamEvent::Seen(DeviceSeen { device, country: Text::truncated(country) }))
}

/// The place of one connected device.
pub(crate) struct Place {
    pub(crate) number: u64,
    /// Small things to pass on. Closed when a newer socket of the device took the place.
    pub(crate) notices: mpsc::Receiver<StreamEvent>,
    /// Mail came.
    pub(crate) mail: Arc<Notify>,
    /// The operator ends it.
    pub(crate) end: Arc<Notify>,
    /// The newest list; changes are the news.
    pub(crate) account: watch::Receiver<Arc<Account>>,
}

impl Presence {
    fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, Room>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many devices are connected.
    pub(crate) fn devices(&self) -> usize {
        self.lock().values().map(|room| room.chairs.len()).fold(0, usize::saturating_add)
    }

    /// All of them, for the operator.
    pub(crate) fn connected(&self, now: u64) -> Vec<Connected> {
        let rooms = self.lock();
        let all = rooms
            .iter()
            .flat_map(|(account, room)| room.chairs.iter().map(move |(device, chair)| (account, device, chair)));
        let mut all: Vec<_> = all
            .map(|(account, device, chair)| Connected {
                account: account.to_hex(),
                device: device.to_hex(),
                role: format!("{:?}", chair.role).to_lowercase(),
                country: chair.country.clone(),
                since_s: now.saturating_sub(chair.since) / 1000,
            })
            .collect();
        all.sort_by(|a, b| (&a.account, &a.device).cmp(&(&b.account, &b.device)));
        all
    }

    /// Ends the sockets of an account, or of one device; gives how many.
    pub(crate) fn end(&self, account: &AccountId, device: Option<&DeviceId>) -> usize {
        let rooms = self.lock();
        let chairs = rooms.get(account).into_iter().flat_map(|room| &room.chairs);
        let meant = chairs.filter(|(id, _)| device.is_none_or(|device| device == *id));
        meant.map(|(_, chair)| chair.end.notify_one()).count()
    }

    /// Takes the place of a device. An older socket loses it; the primary devices hear of that, or the next one that comes.
    pub(crate) fn arrive(&self, account: Arc<Account>, arrival: Arrival) -> Place {
        let Arrival { device, role, nonce, previous, country, at } = arrival;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (notices, receiver) = mpsc::channel(NOTICES);
        let (mail, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let id = account.list.list().account;
        let mut rooms = self.lock();
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let room = rooms
            .entry(id)
            .or_insert_with(|| Room { account: watch::channel(account.clone()).0, chairs: HashMap::new() });
        room.offer(account);
        let mut news: Vec<_> = seen(device, &country).into_iter().collect();
        if role == Role::Primary {
            let others = room.chairs.iter().filter_map(|(device, chair)| seen(*device, &chair.country));
            let missed = missing.take(&id, at).into_iter();
            let missed = missed.map(StreamEvent::Duplicate);
            missed.chain(others).for_each(|event| drop(notices.try_send(event)));
            news.clear();
        }
        let chair = Chair { number, role, nonce, country, notices, mail: mail.clone(), end: end.clone(), since: at };
        let older = room.chairs.insert(device, chair);
        // The same running program on a new network is no second one.
        if older.is_some_and(|older| previous != Some(older.nonce)) {
            news.push(StreamEvent::Duplicate(DuplicateSocket { device, ago_ms: 0 }));
            if !room.chairs.values().any(|chair| chair.role == Role::Primary) {
                missing.keep(id, device, at);
            }
        }
        for event in news {
            let primaries = room.chairs.values().filter(|chair| chair.role == Role::Primary);
            primaries.for_each(|chair| drop(chair.notices.try_send(event.clone())));
        }
        Place { number, notices: receiver, mail, end, account: room.account.subscribe() }
    }

    /// Gives the place back, unless a newer socket has it.
    pub(crate) fn depart(&self, account: &AccountId, device: &DeviceId, number: u64) {
        let mut rooms = self.lock();
        let Some(room) = rooms.get_mut(account) else { return };
        if room.chairs.get(device).is_some_and(|chair| chair.number == number) {
            room.chairs.remove(device);
        }
        if room.chairs.is_empty() {
            rooms.remove(account);
        }
    }

    /// Tells all connected devices of an account about its new list.
    pub(crate) fn publish(&self, account: Arc<Account>) {
        if let Some(room) = self.lock().get(&account.list.list().account) {
            room.offer(account);
        }
    }

    /// Wakes a device, if it is connected, because mail came.
    pub(crate) fn mail(&self, account: &AccountId, device: &DeviceId) {
        let rooms = self.lock();
        if let Some(chair) = rooms.get(account).and_then(|room| room.chairs.get(device)) {
            chair.mail.notify_one();
        }
    }

    /// Passes something on to a device, if it is connected and reads.
    pub(crate) fn notice(&self, account: &AccountId, device: &DeviceId, event: StreamEvent) {
        let rooms = self.lock();
        if let Some(chair) = rooms.get(account).and_then(|room| room.chairs.get(device)) {
            let room =
                if matches!(event, StreamEvent::Deliver(_)) { NOTICES.saturating_sub(ENVELOPE_NOTICES) } else { 0 };
            if chair.notices.capacity() > room {
                let _ = chair.notices.try_send(event);
            }
        }
    }
}

impl Room {
    /// Takes the list unless a newer one is known: two publications may arrive here in either order.
    fn offer(&self, account: Arc<Account>) {
        self.account.send_if_modified(|known| {
            let newer = account.list.list().epoch > known.list.list().epoch;
            if newer {
                *known = account;
            }
            newer
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_sockets_wait_for_the_phone_in_bounded_room_and_old_single_ones_make_no_pair() {
        let (account, other) = (AccountId([1; 16]), AccountId([2; 16]));
        let device = |number: u8| DeviceId([number; 16]);
        let mut missing = Missing::default();
        for (number, hour) in [(1, 0), (1, 5), (1, 6), (2, 0), (3, 0), (3, 30), (4, 70), (5, 0), (5, 5), (5, 30)] {
            missing.keep(account, device(number), hour * 3_600_000);
        }
        missing.keep(other, device(9), 0);
        // Three days later: a pair, however old; nothing of single ones but of the last day.
        let told = missing.take(&account, 72 * 3_600_000);
        let hours: Vec<_> = told.iter().map(|one| (one.device, one.ago_ms / 3_600_000)).collect();
        let expected = [(1, 72), (1, 67), (4, 2), (5, 72), (5, 67)].map(|(number, ago)| (device(number), ago));
        assert_eq!(hours, expected, "nor does a third meeting undo a pair");
        assert!(missing.take(&account, 72 * 3_600_000).is_empty(), "told once");
        assert_eq!(
            missing.take(&other, 1),
            [DuplicateSocket { device: device(9), ago_ms: 1 }],
            "others are not touched"
        );
        for number in 0..=KEPT {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&(number as u64).to_be_bytes());
            missing.keep(account, DeviceId(id), 0);
        }
        let told = missing.take(&account, 0);
        assert_eq!(told.len(), KEPT);
        assert_ne!(told[0].device, DeviceId([0; 16]), "the oldest made room");
    }
}
