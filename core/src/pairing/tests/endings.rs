//! What a phone's machine keeps when its pairing is over: nothing of it, however and whenever it ended.

use std::cell::Cell;
use std::rc::Rc;

use pairlight_wire::pairing::EndReason;

use super::evidence::{self, ORIGIN};
use super::harness::{At, End, Moment, Plan, World};
use crate::pairing::PrimaryState;
use crate::trust::RadioOrder;

/// A pairing in which the phone reaches `state`: with a page, which it asks for a passkey, or with a program to which it says
/// something on the air. Either may bring a word over a cable, and does not.
fn world(state: PrimaryState) -> World {
    if state != PrimaryState::AwaitingEvidence {
        return evidence::radio_world();
    }
    let mut world = evidence::page();
    world.app = evidence::browser_on(ORIGIN);
    world
}

/// How a pairing ends while it is under way.
type Ending = (&'static str, fn(&mut World));

const ENDS: [Ending; 6] = [
    ("the screen is closed", |world| world.tell_primary(|primary, now| primary.cancel(now))),
    ("the person declines", |world| world.tell_primary(|primary, now| primary.decline(now))),
    ("the other side ends it", |world| {
        world.tell_primary(|primary, now| primary.handle_ended(EndReason::Cancelled, now));
    }),
    ("the network is gone", |world| world.tell_primary(|primary, now| primary.handle_unreachable(now))),
    ("the disk is full", |world| world.tell_primary(|primary, now| primary.handle_storage_failed(now))),
    ("a message is no message", |world| {
        world.tell_primary(|primary, now| {
            let next = primary.next_message();
            primary.handle_message(next + 1, b"x", now);
        });
    }),
];

#[test]
fn a_phone_holds_no_secret_of_a_pairing_that_is_over_whenever_and_however_it_ended() {
    use PrimaryState as P;
    let mut runs = 0;
    for state in [P::Review, P::AwaitingKey, P::ShowingCheckCode, P::AwaitingEvidence, P::AwaitingAcceptance] {
        for (how, end) in ENDS {
            let mut world = world(state);
            let reached = Rc::new(Cell::new(false));
            let seen = Rc::clone(&reached);
            let act = move |world: &mut World| {
                seen.set(true);
                assert!(world.primary.as_ref().unwrap().holds_secrets(), "{state:?}: nothing to forget");
                end(world);
                let primary = world.primary.as_ref().unwrap();
                assert!(matches!(primary.state(), P::Failed(_)), "{state:?}, {how}: {:?}", primary.state());
                assert!(!primary.holds_secrets(), "{state:?}, {how}");
            };
            world.plan = Some(Plan { at: At::Primary(state), moment: Moment::Idle, act: Box::new(act) });
            world.scan();
            world.run();
            assert!(reached.get(), "{state:?} was never reached");
            assert_eq!(world.on_air, RadioOrder::Stop, "{state:?}, {how}: still on the air");
            world.assert_nothing_half_linked();
            runs += 1;
        }
    }
    // And after the end that everybody wants.
    let mut world = world(P::Linked);
    world.scan();
    world.run();
    assert_eq!(world.ends(), (End::Linked, End::Linked));
    assert!(world.adverts == 1 && world.on_air == RadioOrder::Stop);
    assert!(!world.primary.as_ref().unwrap().holds_secrets());
    println!("ends of a phone: {runs}, none left a secret");
}
