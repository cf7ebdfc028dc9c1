//! A linked device whose key the platform guards: the machine has a public key and asks for signatures.

use std::cell::RefCell;
use std::rc::Rc;

use pairlight_wire::offer::ClientKind;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::sign::SigningContext;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::evidence::{again, returning};
use super::harness::{End, Guard, START, World};
use crate::crypto::sign::{DeviceKey, SigningKey};
use crate::pairing::*;
use crate::trust::{Evidence, EvidenceBit, Policy};

/// What the guard has and the machine never sees.
pub(super) fn key() -> SigningKey {
    SigningKey::from_seed(&[44; 32])
}

/// The right signature.
pub(super) fn signature(order: &SignOrder) -> [u8; 64] {
    assert_eq!(order.public, key().public());
    key().sign(order.context, &order.message)
}

/// A world whose linked device has its key guarded, by a guard that signs at once.
pub(super) fn guarded_world() -> World {
    let mut world = World::new();
    let description = DeviceDescription {
        name: "Kim's laptop".into(),
        os: "Linux".into(),
        app: "Chromium".into(),
        kind: ClientKind::Web,
    };
    let rng = ChaCha20Rng::from_seed([7; 32]);
    world.linked = LinkedMachine::guarded(key().public(), description, 0, START, rng);
    world.guard = Box::new(|order| Some(Some(signature(order))));
    world
}

/// A world in which a device whose key is guarded comes back after its lease.
fn returning_world() -> World {
    let mut before = guarded_world();
    before.scan();
    before.run();
    let account = before.disk.linked.clone().unwrap();
    let mut world = again(&before, returning(&account));
    world.policy = Policy::STRONG_ONLY;
    world.setup.lapsed = vec![account.device_id()];
    world.guard = Box::new(|order| Some(Some(signature(order))));
    world
}

/// Takes note of what is to be signed before `guard` hears of it.
fn noting(world: &mut World, mut guard: Guard) -> Rc<RefCell<Vec<SigningContext>>> {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&asked);
    world.guard = Box::new(move |order| {
        noted.borrow_mut().push(order.context);
        guard(order)
    });
    asked
}

type Answer = fn(&SignOrder) -> Option<[u8; 64]>;

/// Both kinds of link with a guarded key, and what is signed in each, in order.
fn links() -> [(World, &'static [SigningContext]); 2] {
    [
        (guarded_world(), &[SigningContext::DeviceAccept]),
        (returning_world(), &[SigningContext::KnownDevice, SigningContext::DeviceAccept]),
    ]
}

/// Whatever happened, both have the link, or neither. A device that comes back stays on the list as it was.
fn is_whole(world: &mut World) {
    let comes_back = world.setup.lapsed.len() == 1;
    if !comes_back || world.ends() == (End::Linked, End::Linked) {
        return world.assert_nothing_half_linked();
    }
    assert!(world.disk.linked.is_none() && world.disk.pending.is_none() && !world.disk.linked_device);
    assert_eq!(world.published.len(), 2, "the list of the first link is the newest");
}

fn runs_to(world: &mut World, end: End) {
    world.scan();
    world.run();
    assert_eq!(world.ends(), (end, end));
    is_whole(world);
}

#[test]
fn a_guarded_key_links_comes_back_as_itself_and_its_seed_is_nowhere() {
    for (mut world, signed) in links() {
        let asked = noting(&mut world, Box::new(|order| Some(Some(signature(order)))));
        runs_to(&mut world, End::Linked);
        assert_eq!(*asked.borrow(), signed);
        let account = world.disk.linked.as_ref().unwrap();
        assert!(matches!(account.device_key(), DeviceKey::Guarded(public) if *public == key().public()));
        // The harness decoded what was stored: it says of itself that no seed is in it, and none is.
        let stored = account.encode().unwrap();
        assert!(!stored.windows(32).any(|part| part == [44; 32]));
        assert!(stored.windows(32).any(|part| part == key().public()));
        if signed.len() == 2 {
            let entry = world.account.list().entry(&account.device_id()).unwrap();
            assert!(Evidence::from_certificate(entry.evidence).0.has(EvidenceBit::KnownDevice));
        }
    }
}

#[test]
fn a_key_that_is_here_lies_in_the_store_as_before_and_the_two_are_never_taken_for_each_other() {
    let mut world = World::new();
    runs_to(&mut world, End::Linked);
    let account = world.disk.linked.clone().unwrap();
    let seed = account.device_key().own().unwrap().to_seed();
    let stored = account.encode().unwrap();
    // An array of eleven, the first form of it, then 32 bytes.
    assert_eq!(stored[..4], [0x8b, 1, 0x58, 32]);
    assert_eq!(stored[4..36], *seed.as_slice());
    assert!(LinkedAccount::decode(&stored).unwrap().device_key().own().is_some());
    let mut world = guarded_world();
    runs_to(&mut world, End::Linked);
    let guarded = world.disk.linked.clone().unwrap().encode().unwrap();
    assert_eq!(guarded[..4], [0x8b, 2, 0x58, 32]);
    assert!(LinkedAccount::decode(&guarded).unwrap().device_key().own().is_none());
    let mut third = guarded.to_vec();
    third[1] = 3;
    assert!(LinkedAccount::decode(&third).is_err(), "a form that is not known yet");
}

#[test]
fn a_signature_that_is_wrong_or_cannot_be_had_ends_the_link_on_both_sides_and_leaves_nothing() {
    let wrong: [Answer; 4] = [
        |_| None,
        |order| Some(SigningKey::from_seed(&[45; 32]).sign(order.context, &order.message)),
        |order| Some(key().sign(SigningContext::RelayAuth, &order.message)),
        |order| {
            let mut bent = signature(order);
            bent[9] ^= 4;
            Some(bent)
        },
    ];
    for answer in wrong {
        for which in 0..2 {
            for at in 0..links()[which].1.len() {
                let (mut world, signed) = links().into_iter().nth(which).unwrap();
                let mut number = 0;
                let guard = move |order: &SignOrder| {
                    number += 1;
                    Some(if number == at + 1 { answer(order) } else { Some(signature(order)) })
                };
                let asked = noting(&mut world, Box::new(guard));
                let sent_before = if signed[at] == SigningContext::DeviceAccept { 2 } else { 0 };
                runs_to(&mut world, End::Failed(EndReason::StorageFailed));
                assert_eq!(*asked.borrow(), signed[..=at]);
                assert!(world.disk.linked.is_none(), "what was not signed for is not kept");
                let answers = world.sent.iter().filter(|(leg, _)| matches!(leg, super::harness::Leg::ToPrimary(_)));
                assert_eq!(answers.count(), sent_before, "neither M2 nor M4 left");
            }
        }
    }
}

#[test]
fn a_guard_that_never_answers_ends_the_link_in_time_and_its_late_signature_changes_nothing() {
    for (mut world, signed) in links() {
        let order = Rc::new(RefCell::new(None));
        let kept = Rc::clone(&order);
        world.guard = Box::new(move |order| {
            *kept.borrow_mut() = Some(order.clone());
            None
        });
        runs_to(&mut world, End::Failed(EndReason::TimedOut));
        let order = order.borrow().clone().unwrap();
        assert_eq!(order.context, signed[0]);
        let now = world.now;
        world.linked.handle_signature(Some(&signature(&order)), now);
        assert!(world.linked.poll_output().is_none() && world.disk.linked.is_none());
        assert_eq!(world.ends().0, End::Failed(EndReason::TimedOut));
    }
}

#[test]
fn who_ends_the_link_while_it_waits_for_a_signature_is_heard_by_the_other() {
    for (mut world, _) in links() {
        world.guard = Box::new(|_| None);
        world.scan();
        world.settle();
        let now = world.now;
        world.linked.cancel(now);
        world.run();
        let cancelled = End::Failed(EndReason::Cancelled);
        assert_eq!(world.ends(), (cancelled, cancelled));
        is_whole(&mut world);
    }
    for (mut world, _) in links() {
        world.guard = Box::new(|_| None);
        world.scan();
        world.settle();
        let now = world.now;
        world.primary.as_mut().unwrap().cancel(now);
        world.run();
        let cancelled = End::Failed(EndReason::Cancelled);
        assert_eq!(world.ends(), (cancelled, cancelled));
        is_whole(&mut world);
    }
}

#[test]
fn a_program_that_dies_at_any_step_before_between_or_after_signature_and_save_leaves_no_half_link() {
    let mut honest = guarded_world();
    honest.scan();
    honest.run();
    let (steps, mut linked) = (honest.steps, 0);
    for step in 1..=steps {
        let mut world = guarded_world();
        world.at_step = Some((step, Box::new(|world| world.crash_linked(1_000))));
        world.scan();
        world.run();
        world.assert_nothing_half_linked();
        linked += u32::from(world.ends() == (End::Linked, End::Linked));
        if let Some(account) = &world.disk.linked {
            assert!(account.device_key().own().is_none());
        }
    }
    assert!(linked > 0 && linked < steps, "{linked} of {steps}");
    // While the signature is awaited: nothing is kept, and the phone hears that the other program is gone.
    for (mut world, _) in links() {
        world.guard = Box::new(|_| None);
        world.scan();
        world.settle();
        world.crash_linked(1_000);
        world.run();
        assert_eq!(world.ends().0, End::Gone);
        assert!(world.disk.linked.is_none() && !matches!(world.ends().1, End::Linked));
        is_whole(&mut world);
    }
}
