//! Another session in the place of the one before: what that one carried is lost, and comes all the same.

use super::*;
use crate::sync::go_on;

impl World {
    /// The primary device and `one` have another session; what the one before sealed is gone.
    fn renew(&mut self, one: usize) {
        self.mail.clear();
        let (a, b) = (RatchetAccount::generate().unwrap(), RatchetAccount::generate().unwrap());
        let keys = a.keys();
        let mut ratchet = a.start(&b.keys()).unwrap();
        let first = ratchet.seal(b"hello").unwrap();
        let joined = b.join(&keys.identity, &first.bytes).unwrap();
        let (primary, id) = (self.devices[0].id, self.devices[one].id);
        for (at, session) in [(0, Session::new(primary, id, ratchet)), (one, Session::new(id, primary, joined.ratchet))]
        {
            let (with, rng) = (session.peer(), &mut self.rng);
            let store = self.devices[at].store.as_mut().unwrap();
            store.put_session(&session).unwrap();
            go_on(store, &with, rng).unwrap();
        }
    }

    fn standings(&mut self, one: usize) -> (HistoryStanding, HistoryStanding) {
        let sent = self.devices[0].replica.sending(self.devices[0].store.as_ref().unwrap()).unwrap();
        let received = self.devices[one].replica.receiving(self.devices[one].store.as_ref().unwrap()).unwrap();
        (sent[0].standing, received.map_or(HistoryStanding::Waiting, |progress| progress.standing))
    }
}

#[test]
fn what_a_session_lost_comes_under_the_next_although_nobody_writes_or_connects() {
    let mut world = World::new(31, Policy::DEVELOPMENT);
    let one = world.link(Grade::Strong);
    world.write(0, vec![say(1, 10, "before")]);
    world.settle();
    for number in 2..6 {
        world.write(0, vec![say(number, u64::from(number), "of the phone")]);
        world.pump(0, false);
    }
    world.write(one, vec![say(9, 9, "of the laptop")]);
    world.pump(one, false);
    world.renew(one);
    world.run();
    assert_eq!((world.texts(0).len(), world.texts(one).len()), (6, 6));
    world.in_step();
}

#[test]
fn a_history_that_a_session_lost_a_part_of_comes_whole_under_the_next() {
    for steps in 1..8 {
        let mut world = World::new(32, Policy::DEVELOPMENT);
        world.write(0, talk(9_000, 200));
        let one = world.link(Grade::Strong);
        for _ in 0..steps {
            world.deliver(one, 0, false);
            world.pump(one, true);
            world.deliver(0, 0, false);
            world.pump(0, false);
            world.transfer();
        }
        world.renew(one);
        world.run();
        world.in_step();
        assert_eq!(world.standings(one), (HistoryStanding::Done, HistoryStanding::Done), "after {steps} steps");
    }
}

#[test]
fn that_a_history_is_complete_is_said_again_when_a_session_lost_it() {
    let mut world = World::new(33, Policy::DEVELOPMENT);
    world.write(0, talk(500, 20));
    let one = world.link(Grade::Strong);
    while world.standings(one).0 != HistoryStanding::Done {
        for at in [one, 0] {
            let id = world.devices[at].id;
            while world.mail.get(&id).is_some_and(|mail| !mail.is_empty()) {
                world.deliver(at, 0, false);
            }
            world.pump(at, false);
        }
        world.transfer();
    }
    assert_ne!(world.standings(one).1, HistoryStanding::Done, "the last word is still on its way");
    world.renew(one);
    world.run();
    assert_eq!(world.standings(one), (HistoryStanding::Done, HistoryStanding::Done));
    world.in_step();
}

/// Each word of a person is on its way when the session that carries it ends.
#[test]
fn what_was_decided_about_a_history_is_said_again_when_a_session_lost_it() {
    for (words, stands) in [("s", HistoryStanding::Cancelled), ("sa", HistoryStanding::Done)] {
        for at in [0, 1] {
            let mut world = World::new(34, Policy::DEVELOPMENT);
            world.write(0, talk(60, 200));
            let one = world.link(Grade::Strong);
            world.deliver(one, 0, false);
            for word in words.chars() {
                let device = world.devices[one].id;
                world
                    .turn(at, |replica, turn, rng| match word {
                        's' => replica.cancel(turn, &device, rng),
                        _ => replica.retry(turn, &device, rng),
                    })
                    .unwrap();
                world.pump(at, false);
                world.renew(one);
                world.run();
            }
            assert_eq!(world.standings(one), (stands, stands), "{words} by {at}");
        }
    }
}
