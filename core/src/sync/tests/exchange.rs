//! What the exchange must not lose: stretches that overlap, and a primary device that takes the place of another.

use pairlight_wire::sync::Exchange;
use pairlight_wire::{List, Wire};

use super::*;
use crate::session::OpenedMessage;
use crate::sync::peer;

/// Takes an exchange of device 1 at device 0, as if it had been opened.
fn take(world: &mut World, exchange: &Exchange) {
    let from = world.devices[1].id;
    let message = OpenedMessage { kind: EnvelopeKind::Records, seq: 0, body: exchange.encode() };
    world.turn(0, |replica, turn, rng| replica.take(turn, &from, &message, rng)).unwrap();
}

#[test]
fn a_stretch_that_overlaps_what_is_here_is_asked_for_again() {
    let mut world = World::new(21, Policy::DEVELOPMENT);
    world.link(Grade::Strong);
    world.write(1, vec![say(1, 1, "one"), say(2, 2, "two")]);
    world.settle();
    let laptop = world.devices[1].id;
    let replica = world.devices[0].replica;
    let state = peer::peer(world.devices[0].store(), &laptop).unwrap().unwrap();
    assert_eq!(state.received, 2);
    let stretch = |from, to| Exchange {
        log: state.log.unwrap(),
        from,
        to,
        seen_log: [0; 8],
        seen: 0,
        again: false,
        records: List::default(),
        dropped: List::default(),
    };
    take(&mut world, &stretch(0, 2));
    assert!(!replica.owes(world.devices[0].store()).unwrap(), "a repetition of what is here says nothing");
    // Its second half is new, and its first is not: it does not join on, and nobody would send it once more.
    take(&mut world, &stretch(1, 3));
    assert!(replica.owes(world.devices[0].store()).unwrap());
}

#[test]
fn what_was_sent_once_more_in_vain_still_confirms() {
    let mut world = World::new(24, Policy::DEVELOPMENT);
    world.link(Grade::Strong);
    world.write(0, vec![say(1, 1, "from the phone")]);
    world.write(1, vec![say(2, 2, "from the laptop")]);
    world.settle();
    world.write(0, vec![say(3, 3, "not confirmed yet")]);
    let laptop = world.devices[1].id;
    let state = peer::peer(world.devices[0].store(), &laptop).unwrap().unwrap();
    let last = world.devices[0].store().last_change().unwrap();
    assert!(state.acked < last && state.received > 0);
    // The phone had asked for all of it again while it was on its way, and the laptop has said all that it owes with it.
    let sent_again = Exchange {
        log: state.log.unwrap(),
        from: 0,
        to: state.received,
        seen_log: peer::own(world.devices[0].store()).unwrap().unwrap().log,
        seen: last,
        again: false,
        records: List::default(),
        dropped: List::default(),
    };
    take(&mut world, &sent_again);
    assert!(world.devices[0].replica.is_in_step(world.devices[0].store.as_ref().unwrap()).unwrap());
}

#[test]
fn who_asks_again_is_answered_also_when_there_is_nothing_to_send() {
    let mut world = World::new(25, Policy::DEVELOPMENT);
    world.link(Grade::Strong);
    world.write(1, vec![say(1, 1, "from the laptop")]);
    world.settle();
    let laptop = world.devices[1].id;
    let replica = world.devices[0].replica;
    let state = peer::peer(world.devices[0].store(), &laptop).unwrap().unwrap();
    assert!(state.received > 0 && !replica.owes(world.devices[0].store()).unwrap());
    let asks = Exchange {
        log: state.log.unwrap(),
        from: state.received,
        to: state.received,
        seen_log: peer::own(world.devices[0].store()).unwrap().unwrap().log,
        seen: world.devices[0].store().last_change().unwrap(),
        again: true,
        records: List::default(),
        dropped: List::default(),
    };
    take(&mut world, &asks);
    assert!(replica.owes(world.devices[0].store()).unwrap(), "the laptop dropped something, and what it said with it");
    world.settle();
    world.in_step();
    assert!(!replica.owes(world.devices[0].store()).unwrap(), "one answer is enough");
}

/// The phone is lost; the account was recovered on another one, which begins with nothing.
fn recover(world: &mut World) {
    let mut phone = Device::new(9, SyncRole::Primary(Policy::DEVELOPMENT));
    phone.clock = world.devices[1].clock;
    let id = phone.id;
    for device in &mut world.devices[1..] {
        let (a, b) = (RatchetAccount::generate().unwrap(), RatchetAccount::generate().unwrap());
        let keys = a.keys();
        let mut ratchet = a.start(&b.keys()).unwrap();
        let joined = b.join(&keys.identity, &ratchet.seal(b"hello").unwrap().bytes).unwrap();
        phone.store().put_session(&Session::new(id, device.id, ratchet)).unwrap();
        let own = device.id;
        device.store().put_session(&Session::new(own, id, joined.ratchet)).unwrap();
    }
    world.linked[0].device = id;
    world.devices[0] = phone;
}

#[test]
fn a_new_primary_device_gets_what_came_from_the_one_before() {
    let mut world = World::new(22, Policy::DEVELOPMENT);
    world.link(Grade::Strong);
    world.write(0, vec![say(1, 1, "from the first phone"), say(2, 2, "also")]);
    world.write(1, vec![say(3, 3, "from the laptop")]);
    world.settle();
    world.in_step();

    recover(&mut world);
    world.settle();
    let texts: Vec<_> = world.texts(0).into_values().collect();
    assert_eq!(texts, ["from the first phone", "also", "from the laptop"]);
    assert!(world.devices[1].replica.is_in_step(world.devices[1].store.as_ref().unwrap()).unwrap());
}

#[test]
fn writing_the_same_again_can_be_told_from_a_change() {
    let mut world = World::new(23, Policy::DEVELOPMENT);
    world.write(0, vec![say(1, 1, "one")]);
    let store = world.devices[0].store();
    assert!(say(1, 1, "one").stands(store).unwrap());
    assert!(!say(1, 1, "other").stands(store).unwrap());
    assert!(!say(1, 2, "one").stands(store).unwrap(), "at another time");
    assert!(!say(2, 1, "one").stands(store).unwrap());
    let gone = messages::delete_message(&[1; 16]).unwrap();
    assert!(!gone.stands(store).unwrap());
}

#[test]
fn versions_of_a_clock_that_is_far_ahead_stand_nowhere_else_until_it_is_right_and_are_not_lost() {
    let mut world = World::new(25, Policy::DEVELOPMENT);
    let (one, two) = (world.link(Grade::Strong), world.link(Grade::Strong));
    world.write(0, vec![say(1, 1, "one"), say(2, 2, "two")]);
    world.settle();
    let right = world.devices[0].clock;
    // A wrong time zone, and more, is taken at once.
    world.devices[one].clock = right + 20 * 3_600_000;
    world.write(one, vec![say(2, 2, "two, edited in another time zone")]);
    world.settle();
    world.in_step();
    assert_eq!(world.texts(two)[&vec![2; 16]], "two, edited in another time zone");
    // Ten years ahead: an edit, a new message, a deletion.
    world.devices[one].clock = right + 10 * 365 * 86_400_000;
    world.write(one, vec![say(1, 1, "one, edited in the future"), say(3, 3, "three")]);
    world.write(one, vec![messages::delete_message(&[2; 16]).unwrap()]);
    for _ in 0..3 {
        world.settle();
    }
    let future = (right + 2 * 86_400_000) << 16;
    for at in [0, two] {
        assert_eq!(world.texts(at).len(), 2);
        let (records, _) = world.devices[at].store().records_after(0, usize::MAX >> 1).unwrap();
        assert!(records.iter().all(|logged| logged.record.clock < future), "device {at}");
    }
    let replica = world.devices[one].replica;
    assert!(!replica.is_in_step(world.devices[one].store()).unwrap(), "it knows that nobody has confirmed them");
    // Meanwhile the others go on, and what they write reaches it.
    world.write(two, vec![say(4, 4, "four")]);
    world.settle();
    assert_eq!(world.texts(one)[&vec![4; 16]], "four");
    // Its clock is set right. It writes once more.
    world.devices[one].clock = right + 60_000;
    world.write(one, vec![say(5, 5, "five")]);
    world.settle();
    world.settle();
    world.in_step();
    let texts: Vec<_> = world.texts(two).into_values().collect();
    assert_eq!(texts, ["one, edited in the future", "three", "four", "five"]);
    for at in 0..3 {
        let (records, _) = world.devices[at].store().records_after(0, usize::MAX >> 1).unwrap();
        assert!(records.iter().all(|logged| logged.record.clock < future), "device {at}");
        assert!(world.devices[at].replica.is_in_step(world.devices[at].store.as_ref().unwrap()).unwrap());
    }
    // And what anybody writes now stands everywhere.
    world.write(0, vec![say(1, 1, "one, edited last")]);
    world.settle();
    world.in_step();
    assert_eq!(world.texts(one)[&vec![1; 16]], "one, edited last");
}

const DAY: u64 = 86_400_000;

/// Everybody has the same, and knows it.
fn at_one(world: &mut World) {
    world.settle();
    world.settle();
    world.in_step();
    for device in &world.devices {
        let store = device.store.as_ref().unwrap();
        assert!(device.replica.is_in_step(store).unwrap(), "{:?}: {:?}", device.id, peer::peers(store));
    }
}

#[test]
fn what_is_written_over_a_version_of_a_primary_device_that_was_a_year_ahead_stands_everywhere() {
    let mut world = World::new(31, Policy::DEVELOPMENT);
    let (one, two) = (world.link(Grade::Strong), world.link(Grade::Strong));
    let right = world.devices[0].clock;
    world.devices[0].clock = right + 365 * DAY;
    world.write(0, vec![say(1, 1, "from the future"), say(2, 2, "also")]);
    world.settle();
    world.devices[0].clock = right + 60_000;
    // Offline: nothing of what the edit is written over is left on the laptop.
    world.cut[one] = true;
    world.write(one, vec![say(1, 1, "edited offline"), say(2, 2, "edited offline"), say(3, 3, "new")]);
    at_one(&mut world);
    let texts: Vec<_> = world.texts(two).into_values().collect();
    assert_eq!(texts, ["edited offline", "edited offline", "new"]);
    // And live, from each side in turn.
    for (round, at) in [one, two, 0, one].into_iter().enumerate() {
        let text = format!("live {round}");
        let change = vec![say(1, 1, &text), messages::delete_message(&[2; 16]).unwrap()];
        world.turn(at, |replica, turn, rng| replica.write_and_send(turn, change, rng)).unwrap();
        at_one(&mut world);
        assert_eq!(world.texts(two)[&vec![1; 16]], text);
    }
}

#[test]
fn what_is_given_a_new_time_wins_over_what_it_was_written_over() {
    let mut world = World::new(32, Policy::DEVELOPMENT);
    let (one, two) = (world.link(Grade::Strong), world.link(Grade::Strong));
    let right = world.devices[0].clock;
    world.devices[0].clock = right + 365 * DAY;
    world.write(0, vec![say(1, 1, "a year ahead")]);
    world.settle();
    world.devices[0].clock = right;
    world.devices[one].clock = right + 3650 * DAY;
    world.write(one, vec![say(1, 1, "ten years ahead")]);
    world.settle();
    assert_eq!(world.texts(two)[&vec![1; 16]], "a year ahead");
    world.devices[one].clock = right;
    at_one(&mut world);
    assert_eq!(world.texts(two)[&vec![1; 16]], "ten years ahead");
    world.write(two, vec![say(1, 1, "last")]);
    at_one(&mut world);
    assert_eq!(world.texts(one)[&vec![1; 16]], "last");
}

#[test]
fn a_clock_that_is_set_right_on_a_standing_line_is_enough() {
    let mut world = World::new(33, Policy::DEVELOPMENT);
    let one = world.link(Grade::Strong);
    world.settle();
    let right = world.devices[0].clock;
    world.devices[one].clock = right + 3650 * DAY;
    world.write(one, vec![say(1, 1, "ahead")]);
    world.pump(one, false);
    world.deliver(0, 0, false);
    assert!(world.texts(0).is_empty());
    world.devices[one].clock = right;
    // What the line does now and then, without a new connection and with nothing to confirm.
    world.pump(one, false);
    world.deliver(0, 0, false);
    assert_eq!(world.texts(0)[&vec![1; 16]], "ahead");
    at_one(&mut world);
}

#[test]
fn a_version_that_the_primary_device_had_taken_all_the_same_comes_back() {
    let mut world = World::new(34, Policy::DEVELOPMENT);
    let (one, two) = (world.link(Grade::Strong), world.link(Grade::Strong));
    world.settle();
    world.write(0, vec![say(9, 9, "from the phone")]);
    world.settle();
    for device in &mut world.devices {
        device.clock += 3_600_000;
    }
    world.write(one, vec![say(1, 1, "at the right time")]);
    world.pump(one, false);
    world.deliver(0, 0, false);
    assert_eq!(world.texts(0)[&vec![1; 16]], "at the right time");
    // Before that is confirmed the laptop's battery is empty, and with it its clock.
    world.devices[one].clock -= 3 * DAY;
    world.pump(one, false);
    let (records, _) = world.devices[one].store().records_after(0, 9).unwrap();
    assert_eq!(records.last().unwrap().record.clock >> 16, (world.devices[0].clock - 3_600_000), "it has a new time");
    at_one(&mut world);
    world.write(one, vec![say(1, 1, "edited")]);
    at_one(&mut world);
    assert_eq!(world.texts(two)[&vec![1; 16]], "edited");
}

#[test]
fn a_write_stands_and_leaves_also_when_the_clock_is_behind_what_it_is_written_over() {
    let mut world = World::new(35, Policy::DEVELOPMENT);
    let one = world.link(Grade::Strong);
    let right = world.devices[0].clock;
    world.devices[0].clock = right + 365 * DAY;
    world.write(0, vec![say(1, 1, "ahead")]);
    world.settle();
    world.devices[0].clock = right;
    // As a version before this one left it.
    let own = peer::own(world.devices[one].store()).unwrap().unwrap();
    let mut batch = Batch::new();
    peer::put_own(&mut batch, &peer::OwnState { clock: right << 16, ..own });
    world.devices[one].store().commit(&batch).unwrap();
    for text in ["first", "second"] {
        let change = vec![say(1, 1, text)];
        world.turn(one, |replica, turn, rng| replica.write_and_send(turn, change, rng)).unwrap();
    }
    at_one(&mut world);
    assert_eq!(world.texts(0)[&vec![1; 16]], "second");
}

#[test]
fn a_new_primary_device_takes_what_others_wrote_far_ahead_for_one_that_was_lost() {
    // Both laptops come at once, or one before the other.
    for early in [None, Some(1), Some(2)] {
        let mut world = World::new(36, Policy::DEVELOPMENT);
        let (one, two) = (world.link(Grade::Strong), world.link(Grade::Strong));
        let right = world.devices[0].clock;
        // A household without a clock.
        for device in &mut world.devices {
            device.clock = right + 365 * DAY;
        }
        world.write(0, vec![say(1, 1, "the phone's"), say(2, 2, "the phone's")]);
        world.settle();
        world.write(one, vec![say(1, 1, "over the phone's"), say(3, 3, "the laptop's")]);
        world.settle();
        world.write(0, vec![say(2, 2, "the phone's, later")]);
        at_one(&mut world);
        for device in &mut world.devices {
            device.clock = right;
        }
        let all = world.texts(two);
        recover(&mut world);
        for at in early.into_iter().chain([0]).cycle().take(9) {
            world.connect(at);
            for at in early.into_iter().chain([0]) {
                let id = world.devices[at].id;
                while world.mail.get(&id).is_some_and(|mail| !mail.is_empty()) {
                    world.deliver(at, 0, false);
                }
            }
        }
        assert_eq!(world.texts(0).len(), if early.is_some() { all.len() } else { 0 }, "{early:?}");
        at_one(&mut world);
        assert_eq!(world.texts(0), all, "{early:?}");
        for (at, text) in [(one, "by one"), (two, "by two"), (0, "by the phone")] {
            world.write(at, vec![say(1, 1, text), say(2, 2, text), say(3, 3, text)]);
            at_one(&mut world);
            assert!(world.texts(two).values().all(|said| said == text), "{early:?}, {text}");
        }
    }
}

#[test]
fn who_asks_for_everything_again_gets_no_more_than_the_policy_gives() {
    let mut world = World::new(31, Policy::BALANCED);
    let now = world.devices[0].clock;
    let old = messages::put_message(b"talk", &[1; 16], now - 90 * 86_400_000, &Message::text("kim", "old")).unwrap();
    world.write(0, vec![old, say(2, now - 1000, "fresh")]);
    let one = world.link(Grade::Weak);
    world.settle();
    world.write(0, vec![say(3, now, "live")]);
    world.settle();
    let holds = |world: &mut World, texts: &[&str]| {
        assert_eq!(world.texts(one).into_values().collect::<Vec<_>>(), texts);
    };
    holds(&mut world, &["fresh", "live"]);
    // It says that it has nothing. Its history begins anew, under the same policy, and what was given before comes again.
    let phone = world.devices[0].id;
    let state = peer::peer(world.devices[one].store(), &phone).unwrap().unwrap();
    let mut batch = crate::store::Batch::new();
    let lost = peer::PeerState { received: 0, told: 0, again: true, ..state };
    peer::put_peer(&mut batch, &phone, &lost);
    world.devices[one].store().commit(&batch).unwrap();
    world.settle();
    holds(&mut world, &["fresh", "live"]);
    world.write(0, vec![say(4, now + 1, "live too")]);
    world.write(one, vec![say(5, now + 2, "from the laptop")]);
    world.settle();
    holds(&mut world, &["fresh", "live", "live too", "from the laptop"]);
    assert_eq!(world.texts(0).len(), 5);
    let replica = world.devices[one].replica;
    assert!(!replica.owes(world.devices[one].store()).unwrap(), "it asks for ever");
    // When the time has come it gets all of it.
    for device in &mut world.devices {
        device.clock = now + 12 * 3_600_000 + 1;
    }
    world.settle();
    holds(&mut world, &["old", "fresh", "live", "live too", "from the laptop"]);
    world.in_step();
    // From then on what it misses comes again at once.
    let mut batch = crate::store::Batch::new();
    let state = peer::peer(world.devices[one].store(), &phone).unwrap().unwrap();
    peer::put_peer(&mut batch, &phone, &peer::PeerState { received: 0, told: 0, again: true, ..state });
    world.devices[one].store().commit(&batch).unwrap();
    world.settle();
    world.in_step();
}
