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

#[test]
fn a_new_primary_device_gets_what_came_from_the_one_before() {
    let mut world = World::new(22, Policy::DEVELOPMENT);
    world.link(Grade::Strong);
    world.write(0, vec![say(1, 1, "from the first phone"), say(2, 2, "also")]);
    world.write(1, vec![say(3, 3, "from the laptop")]);
    world.settle();
    world.in_step();

    // The phone is lost; the account was recovered on another one, which begins with nothing.
    let mut phone = Device::new(9, SyncRole::Primary(Policy::DEVELOPMENT));
    let (a, b) = (RatchetAccount::generate().unwrap(), RatchetAccount::generate().unwrap());
    let keys = a.keys();
    let mut ratchet = a.start(&b.keys()).unwrap();
    let joined = b.join(&keys.identity, &ratchet.seal(b"hello").unwrap().bytes).unwrap();
    let laptop = world.devices[1].id;
    let id = phone.id;
    phone.store().put_session(&Session::new(id, laptop, ratchet)).unwrap();
    world.devices[1].store().put_session(&Session::new(laptop, id, joined.ratchet)).unwrap();
    world.linked[0].device = id;
    world.devices[0] = phone;
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
