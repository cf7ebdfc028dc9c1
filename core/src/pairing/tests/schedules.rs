//! Not a list but everything: each byte of each message, and random schedules of disturbances.

use proptest::prelude::*;

use super::faults::{MESSAGES, flipped, instead, spoilt};
use super::harness::{At, End, Leg, Moment, Plan, Publishing, World};
use crate::pairing::{LinkedState, PrimaryState};

/// Every byte of the short messages and of the head and tail of the long ones; each `STEP`th byte in between.
const STEP: usize = 9;

#[test]
fn no_flipped_bit_of_any_message_ever_links() {
    let mut honest = World::new();
    honest.scan();
    honest.run();
    let mut runs = 0;
    for (name, leg) in MESSAGES {
        let length = honest.sent.iter().find(|(sent, _)| *sent == leg).unwrap().1.len();
        for index in (0..length).filter(|i| *i < 12 || *i + 18 > length || i % STEP == 0) {
            let mut world = World::new();
            let bit = u8::try_from(index % 8).unwrap();
            // Some messages differ by a byte or two from run to run: the ratchet draws its own randomness.
            instead(&mut world, leg, move |bytes| {
                let index = index.min(bytes.len() - 1);
                vec![(leg, flipped(bytes, index, bit))]
            });
            world.scan();
            world.run();
            assert_eq!(world.ends(), spoilt(leg), "{name}, byte {index}, bit {bit}");
            world.assert_nothing_half_linked();
            runs += 1;
        }
    }
    assert!(runs > 400, "{runs}");
}

/// What happens to one message.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Pass,
    Drop,
    Twice,
    Flip(u16, u8),
    Cut(u16),
    Renumber(u64),
    Echo,
    Hold,
}

/// What happens once, when a state is reached.
#[derive(Debug, Clone, Copy)]
enum Event {
    Nothing,
    CrashLinked(u64),
    CrashPrimary(u64),
    LoseSocket,
    PhoneOffline,
    JumpLinked(i64),
    JumpPrimary(i64),
    NobodyActs,
    CancelLinked,
    CancelPrimary,
    ListChanges,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        12 => Just(Fate::Pass),
        1 => Just(Fate::Drop),
        1 => Just(Fate::Twice),
        1 => (any::<u16>(), 0..8u8).prop_map(|(index, bit)| Fate::Flip(index, bit)),
        1 => any::<u16>().prop_map(Fate::Cut),
        1 => (0..4u64).prop_map(Fate::Renumber),
        1 => Just(Fate::Echo),
        1 => Just(Fate::Hold),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let delay = prop_oneof![Just(0), 0..700_000u64];
    let jump = prop_oneof![Just(86_400_000i64), Just(-86_400_000), -700_000..700_000i64];
    prop_oneof![
        2 => Just(Event::Nothing),
        2 => delay.clone().prop_map(Event::CrashLinked),
        2 => delay.prop_map(Event::CrashPrimary),
        1 => Just(Event::LoseSocket),
        1 => Just(Event::PhoneOffline),
        1 => jump.clone().prop_map(Event::JumpLinked),
        1 => jump.prop_map(Event::JumpPrimary),
        1 => Just(Event::NobodyActs),
        1 => Just(Event::CancelLinked),
        1 => Just(Event::CancelPrimary),
        1 => Just(Event::ListChanges),
    ]
}

fn state() -> impl Strategy<Value = At> {
    use {LinkedState as L, PrimaryState as P};
    prop_oneof![
        proptest::sample::select(vec![
            L::Showing,
            L::Claimed,
            L::AwaitingCheckCode,
            L::AwaitingCertificate,
            L::AwaitingCommit,
            L::AwaitingCommit,
            L::Linked,
        ])
        .prop_map(At::Linked),
        proptest::sample::select(vec![
            P::Claiming,
            P::Review,
            P::AwaitingKey,
            P::ShowingCheckCode,
            P::AwaitingAcceptance,
            P::Publishing,
            P::Publishing,
            P::Linked,
        ])
        .prop_map(At::Primary),
    ]
}

fn publishing() -> impl Strategy<Value = Publishing> {
    use pairlight_wire::relay::RefusalCode;
    prop_oneof![
        6 => Just(Publishing::Honest),
        1 => Just(Publishing::Refuses(RefusalCode::NotAllowed)),
        1 => Just(Publishing::Refuses(RefusalCode::Unavailable)),
        1 => Just(Publishing::StoresButRefuses(RefusalCode::Conflict)),
        1 => Just(Publishing::StoresButRefuses(RefusalCode::NotFound)),
        1 => Just(Publishing::StoresButSilent),
        1 => Just(Publishing::Unreachable),
    ]
}

fn writes() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![6 => Just(None), 1 => (0..4u32).prop_map(Some)]
}

fn act(world: &mut World, event: Event) {
    match event {
        Event::Nothing => {}
        Event::CrashLinked(ms) => world.crash_linked(ms),
        Event::CrashPrimary(ms) => world.crash_primary(ms),
        Event::LoseSocket => world.lose_socket(),
        Event::PhoneOffline => {
            world.primary_online = false;
            world.tell_primary(|primary, now| primary.handle_unreachable(now));
        }
        Event::JumpLinked(ms) => world.linked_error_ms = ms,
        Event::JumpPrimary(ms) => world.primary_error_ms = ms,
        Event::NobodyActs => world.nobody = true,
        Event::CancelLinked => world.tell_linked(|linked, now| linked.cancel(now)),
        Event::CancelPrimary => world.tell_primary(|primary, now| primary.cancel(now)),
        Event::ListChanges => world.change_list(),
    }
}

fn disturb(world: &mut World, fates: Vec<Fate>) {
    let mut fates = fates.into_iter();
    let mut held: Vec<(Leg, Vec<u8>)> = Vec::new();
    world.tamper = Box::new(move |leg, bytes| {
        let other = match leg {
            Leg::ToLinked(seq) => Leg::ToPrimary(seq),
            Leg::ToPrimary(seq) => Leg::ToLinked(seq),
        };
        let renumbered = |seq| match leg {
            Leg::ToLinked(_) => Leg::ToLinked(seq),
            Leg::ToPrimary(_) => Leg::ToPrimary(seq),
        };
        let mut arrivals = match fates.next().unwrap_or(Fate::Pass) {
            Fate::Pass => vec![(leg, bytes)],
            Fate::Drop => Vec::new(),
            Fate::Twice => vec![(leg, bytes.clone()), (leg, bytes)],
            Fate::Flip(index, bit) => {
                let index = usize::from(index) % bytes.len();
                vec![(leg, flipped(bytes, index, bit))]
            }
            Fate::Cut(index) => vec![(leg, bytes[..usize::from(index) % bytes.len()].to_vec())],
            Fate::Renumber(seq) => vec![(renumbered(seq), bytes)],
            Fate::Echo => vec![(other, bytes.clone()), (leg, bytes)],
            Fate::Hold => {
                held.push((leg, bytes));
                return Vec::new();
            }
        };
        arrivals.append(&mut held);
        arrivals
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_both_end_and_nothing_is_half_linked(
        fates in prop::collection::vec(fate(), 6),
        (at, busy, happens) in (state(), any::<bool>(), event()),
        publishing in publishing(),
        (linked_writes, primary_writes) in (writes(), writes()),
    ) {
        let mut world = World::new();
        disturb(&mut world, fates);
        world.publishing = publishing;
        world.disk.linked_writes_left = linked_writes;
        world.disk.primary_writes_left = primary_writes;
        let moment = if busy { Moment::Busy } else { Moment::Idle };
        world.plan = Some(Plan { at, moment, act: Box::new(move |world| act(world, happens)) });
        world.scan();
        world.run();
        let (linked, primary) = world.ends();
        prop_assert!(linked != End::Running && primary != End::Running);
        world.assert_nothing_half_linked();
    }
}
