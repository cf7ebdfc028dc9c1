//! Not a list but everything: each byte of each message, and random schedules of disturbances, under every preset and with
//! each kind of evidence that a message of its own carries. Whatever happens both sides end, and in the same way: linked, or
//! with the same named reason, or in one of the few differences that [`Difference`] lists. No device is ever on a list without
//! exactly one approval.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::Rc;

use pairlight_wire::device::Preset;
use pairlight_wire::offer::ClientKind;
use pairlight_wire::pairing::EndReason;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::adversary::FLOWS;
use super::evidence;
use super::faults::{flipped, instead};
use super::figures::documented;
use super::harness::{At, Difference, End, Leg, Moment, Plan, Publishing, World};
use crate::pairing::{LinkedState, PrimaryState};
use crate::trust::{LinkedAbilities, Policy};

/// Every byte of the short messages and of the head and tail of the long ones; each `STEP`th byte in between.
const STEP: usize = 9;

#[test]
fn no_flipped_bit_of_any_message_ever_links() {
    for flow in &FLOWS {
        let honest = flow.older();
        let (_, m5) = *flow.messages.last().unwrap();
        let mut runs = 0;
        for &(name, leg) in flow.messages {
            let length = honest.iter().find(|(sent, _)| *sent == leg).unwrap().1.len();
            for index in (0..length).filter(|i| *i < 12 || *i + 18 > length || i % STEP == 0) {
                let mut world = (flow.world)(7);
                let bit = u8::try_from(index % 8).unwrap();
                // Some messages differ by a byte or two from run to run: the ratchet draws its own randomness.
                instead(&mut world, leg, move |bytes| {
                    let index = index.min(bytes.len() - 1);
                    vec![(leg, flipped(bytes, index, bit))]
                });
                world.scan();
                world.run();
                // The list is published before M5 leaves: it tells what M5 could not.
                let end = if leg == m5 { End::Linked } else { End::Failed(EndReason::Tampered) };
                assert_eq!(world.ends(), (end, end), "{}: {name}, byte {index}, bit {bit}", flow.name);
                world.assert_nothing_half_linked();
                runs += 1;
            }
        }
        assert!(runs > 400, "{runs}");
    }
}

/// What the schedules of one half did, for the summary that `make test` shows.
#[derive(Debug, Default)]
struct Tally {
    schedules: u32,
    faults: u64,
    /// Faults of schedules at whose end both were linked all the same.
    outlived: u64,
    /// Both linked, under each preset.
    linked: [u32; PRESETS.len()],
    /// The same, in each setting.
    linked_in: BTreeMap<Setting, u32>,
    /// Both ended with the same reason.
    alike: u32,
    differences: BTreeMap<Difference, u32>,
    approvals: u64,
}

impl Tally {
    fn links(&self) -> u32 {
        self.linked.iter().sum()
    }

    /// Links of a hundred schedules.
    fn share(&self) -> f64 {
        100.0 * f64::from(self.links()) / f64::from(self.schedules)
    }
}

/// What happens to one message.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Pass,
    /// In its place comes the message of the same place of another pairing.
    Older,
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

/// Any but the one in which nothing happens to the message.
fn mishap() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::Older),
        Just(Fate::Drop),
        Just(Fate::Twice),
        (any::<u16>(), 0..8u8).prop_map(|(index, bit)| Fate::Flip(index, bit)),
        any::<u16>().prop_map(Fate::Cut),
        (0..4u64).prop_map(Fate::Renumber),
        Just(Fate::Echo),
        Just(Fate::Hold),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![50 => Just(Fate::Pass), 8 => mishap()]
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
            L::GivingEvidence,
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
            P::AwaitingEvidence,
            P::SecondApproval,
            P::AwaitingAcceptance,
            P::Publishing,
            P::Publishing,
            P::Linked,
        ])
        .prop_map(At::Primary),
    ]
}

/// How the relay publishes when it does not do as it should.
fn misbehaving() -> impl Strategy<Value = Publishing> {
    use pairlight_wire::relay::RefusalCode;
    prop_oneof![
        Just(Publishing::Refuses(RefusalCode::NotAllowed)),
        Just(Publishing::Refuses(RefusalCode::Unavailable)),
        Just(Publishing::StoresButRefuses(RefusalCode::Conflict)),
        Just(Publishing::StoresButRefuses(RefusalCode::NotFound)),
        Just(Publishing::StoresButSilent),
        Just(Publishing::Unreachable),
    ]
}

fn publishing() -> impl Strategy<Value = Publishing> {
    prop_oneof![Just(Publishing::Honest), misbehaving()]
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
        Event::PhoneOffline => world.phone_offline(),
        Event::JumpLinked(ms) => {
            world.clock_hid_time |= ms != 0;
            world.linked_error_ms = ms;
        }
        Event::JumpPrimary(ms) => {
            // Set right later, it goes back: what was stored meanwhile looks younger than it is.
            world.clock_hid_time |= ms > 0;
            world.primary_error_ms = ms;
        }
        Event::NobodyActs => world.nobody = true,
        Event::CancelLinked => world.tell_linked(|linked, now| linked.cancel(now)),
        Event::CancelPrimary => world.tell_primary(|primary, now| primary.cancel(now)),
        Event::ListChanges => world.change_list(),
    }
}

thread_local! {
    /// The messages of pairings between other keys, without evidence and with it.
    static OLDER: [Vec<(Leg, Vec<u8>)>; 2] = FLOWS.map(|flow| flow.older());
}

/// Gives every message its fate; the counter tells how many were not left alone.
fn disturb(world: &mut World, setting: Setting, fates: Vec<Fate>) -> Rc<Cell<u64>> {
    let mut fates = fates.into_iter();
    let faults = Rc::new(Cell::new(0));
    let counter = Rc::clone(&faults);
    let mut held: Vec<(Leg, Vec<u8>)> = Vec::new();
    let flow = usize::from(matches!(setting, Setting::Page));
    world.tamper = Box::new(move |leg, bytes| {
        let other = match leg {
            Leg::ToLinked(seq) => Leg::ToPrimary(seq),
            Leg::ToPrimary(seq) => Leg::ToLinked(seq),
        };
        let renumbered = |seq| match leg {
            Leg::ToLinked(_) => Leg::ToLinked(seq),
            Leg::ToPrimary(_) => Leg::ToPrimary(seq),
        };
        let fate = fates.next().unwrap_or(Fate::Pass);
        if !matches!(fate, Fate::Pass) {
            counter.set(counter.get() + 1);
        }
        let mut arrivals = match fate {
            Fate::Pass => vec![(leg, bytes)],
            Fate::Older => {
                let older = OLDER.with(|older| older[flow].iter().find(|(old, _)| *old == leg).cloned());
                older.into_iter().collect()
            }
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
    faults
}

/// What the two devices can show each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Setting {
    /// The check code, in one network.
    Near,
    /// The check code, from elsewhere.
    Far,
    /// From elsewhere, with a radio on both sides.
    Radio,
    /// A page with a passkey, which is asked for.
    Page,
}

/// As many as [`setting`] draws from.
const SETTINGS: usize = 4;

fn setting() -> impl Strategy<Value = Setting> {
    prop_oneof![
        1 => Just(Setting::Near),
        1 => Just(Setting::Far),
        2 => Just(Setting::Radio),
        2 => Just(Setting::Page),
    ]
}

/// Every preset; an embedder's own table is made of the same parts.
const PRESETS: [Preset; 4] = [Preset::Development, Preset::Balanced, Preset::Strict, Preset::StrongOnly];

fn world_of(setting: Setting, preset: usize) -> World {
    let mut world = match setting {
        Setting::Near => World::new(),
        Setting::Far => evidence::world(ClientKind::Native, LinkedAbilities::default()),
        Setting::Radio => evidence::radio_world(),
        Setting::Page => {
            let mut world = evidence::page();
            world.app = evidence::browser_on(evidence::ORIGIN);
            world
        }
    };
    world.policy = Policy::of_preset(PRESETS[preset]).unwrap();
    world
}

/// One schedule: a fate for each message, something that happens at two moments, a relay that publishes in its way, disks
/// that may be full, a person who may say no.
#[derive(Debug, Clone)]
struct Schedule {
    /// Index into [`PRESETS`].
    preset: usize,
    setting: Setting,
    fates: Vec<Fate>,
    happens: [(At, bool, Event); 2],
    publishing: Publishing,
    /// Saves of the linked device and of the phone that still succeed.
    writes: (Option<u32>, Option<u32>),
    approves: bool,
}

/// Messages that a fate is drawn for: as many as the longest flow has.
const MESSAGES: usize = 8;

/// A schedule in which everything may go wrong at once.
fn many_faults() -> impl Strategy<Value = Schedule> {
    let happens = || (state(), any::<bool>(), event());
    let world = (0..PRESETS.len(), setting(), prop::bool::weighted(0.95));
    (world, prop::collection::vec(fate(), MESSAGES), happens(), happens(), publishing(), (writes(), writes())).prop_map(
        |((preset, setting, approves), fates, first, second, publishing, writes)| Schedule {
            preset,
            setting,
            fates,
            happens: [first, second],
            publishing,
            writes,
            approves,
        },
    )
}

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Message(usize, Fate),
    Happens(At, bool, Event),
    Publishing(Publishing),
    LinkedDiskFull(u32),
    PrimaryDiskFull(u32),
    Declined,
}

/// More than half of them are such as a link outlives, at least at most moments; the others are any.
fn fault() -> impl Strategy<Value = Fault> {
    let bearable = prop_oneof![
        Just(Event::ListChanges),
        (-10_000..10_000i64).prop_map(Event::JumpLinked),
        (-10_000..10_000i64).prop_map(Event::JumpPrimary),
    ];
    let late = proptest::sample::select(vec![
        At::Linked(LinkedState::AwaitingCommit),
        At::Linked(LinkedState::Linked),
        At::Primary(PrimaryState::Publishing),
        At::Primary(PrimaryState::Linked),
    ]);
    let lost = prop_oneof![
        (0..60_000u64).prop_map(Event::CrashLinked),
        (0..60_000u64).prop_map(Event::CrashPrimary),
        Just(Event::LoseSocket),
        Just(Event::NobodyActs),
        Just(Event::CancelPrimary),
    ];
    prop_oneof![
        6 => (0..MESSAGES).prop_map(|number| Fault::Message(number, Fate::Twice)),
        6 => (state(), any::<bool>(), bearable).prop_map(|(at, busy, event)| Fault::Happens(at, busy, event)),
        6 => (late, any::<bool>(), lost).prop_map(|(at, busy, event)| Fault::Happens(at, busy, event)),
        4 => (0..MESSAGES, mishap()).prop_map(|(number, fate)| Fault::Message(number, fate)),
        4 => (state(), any::<bool>(), event()).prop_map(|(at, busy, event)| Fault::Happens(at, busy, event)),
        4 => misbehaving().prop_map(Fault::Publishing),
        1 => (0..4u32).prop_map(Fault::LinkedDiskFull),
        1 => (0..4u32).prop_map(Fault::PrimaryDiskFull),
        1 => Just(Fault::Declined),
    ]
}

/// A schedule with at most two faults, so that most of them are about a link that comes about.
fn few_faults() -> impl Strategy<Value = Schedule> {
    // Without a fault there are only as many schedules as there are presets and settings.
    let count = prop_oneof![1 => Just(0), 5 => Just(1), 4 => Just(2_usize)];
    let faults = count.prop_flat_map(|count| prop::collection::vec(fault(), count));
    (0..PRESETS.len(), setting(), faults).prop_map(|(preset, setting, faults)| {
        let nothing = (At::Linked(LinkedState::Showing), false, Event::Nothing);
        let mut schedule = Schedule {
            preset,
            setting,
            fates: vec![Fate::Pass; MESSAGES],
            happens: [nothing; 2],
            publishing: Publishing::Honest,
            writes: (None, None),
            approves: true,
        };
        let mut happened = 0;
        for fault in faults {
            match fault {
                Fault::Message(number, fate) => schedule.fates[number] = fate,
                Fault::Happens(at, busy, event) => {
                    schedule.happens[happened] = (at, busy, event);
                    happened += 1;
                }
                Fault::Publishing(publishing) => schedule.publishing = publishing,
                Fault::LinkedDiskFull(left) => schedule.writes.0 = Some(left),
                Fault::PrimaryDiskFull(left) => schedule.writes.1 = Some(left),
                Fault::Declined => schedule.approves = false,
            }
        }
        schedule
    })
}

/// Plays a schedule and counts what it was.
fn play(schedule: Schedule, tally: &mut Tally) {
    let Schedule { preset, setting, fates, happens: [first, second], publishing, writes, approves } = schedule;
    let mut world = world_of(setting, preset);
    let faults = disturb(&mut world, setting, fates);
    world.publishing = publishing;
    world.approves = approves;
    (world.disk.linked_writes_left, world.disk.primary_writes_left) = writes;
    let happens = |(at, busy, event): (At, bool, Event), next: Option<Plan>| {
        let counted = Rc::clone(&faults);
        let next = Cell::new(next);
        let happen = move |world: &mut World| {
            counted.set(counted.get() + u64::from(!matches!(event, Event::Nothing)));
            act(world, event);
            world.plan = next.take();
        };
        Plan { at, moment: if busy { Moment::Busy } else { Moment::Idle }, act: Box::new(happen) }
    };
    let second = happens(second, None);
    world.plan = Some(happens(first, Some(second)));
    world.scan();
    world.run();
    let (linked, primary) = world.ends();
    assert!(linked != End::Running && primary != End::Running);
    let difference = world.difference();
    world.assert_nothing_half_linked();
    let others = u64::from(!matches!(publishing, Publishing::Honest))
        + u64::from(writes.0.is_some())
        + u64::from(writes.1.is_some())
        + u64::from(!approves);
    let faults = faults.get() + others;
    tally.schedules += 1;
    tally.faults += faults;
    tally.approvals += u64::from(world.approvals);
    match difference {
        Some(difference) => *tally.differences.entry(difference).or_default() += 1,
        None if linked == End::Linked => {
            tally.outlived += faults;
            tally.linked[preset] += 1;
            *tally.linked_in.entry(setting).or_default() += 1;
        }
        None => tally.alike += 1,
    }
}

/// Plays `cases` schedules; proptest makes a failing one as small as it can.
fn play_many(what: &str, strategy: &impl Strategy<Value = Schedule>, cases: u32, seed: [u8; 32]) -> Tally {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let tally = RefCell::new(Tally::default());
    let outcome = runner.run(strategy, |schedule| {
        play(schedule, &mut tally.borrow_mut());
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{what}: {error}");
    }
    let tally = tally.into_inner();
    let Tally { schedules, faults, outlived, linked, linked_in, alike, differences, approvals } = &tally;
    println!(
        "{what}: schedules {schedules}, faults injected {faults}, survived {faults}, {outlived} of them by a link; linked \
         {} = {:.1} % (by preset {linked:?}, {linked_in:?}), ended with one reason {alike}, unavoidably different {} \
         {differences:?}, approvals {approvals}",
        tally.links(),
        tally.share(),
        differences.values().sum::<u32>()
    );
    tally
}

/// Plays 5,000 schedules of one half. Every run of the tests plays the same ones, so that a failure is the change's own;
/// `PAIRLIGHT_SCHEDULES=300` plays that many more, which nobody has played before, and names their seed;
/// `PAIRLIGHT_SCHEDULES_SEED` plays those of a seed again. At least `floor` links of a hundred: else the schedules would
/// mostly say how a pairing is broken off.
fn play_half(what: &str, half: u8, floor: f64, strategy: &impl Strategy<Value = Schedule>) {
    let tally = play_many(what, strategy, 5_000, [half; 32]);
    assert!(tally.share() >= floor, "{what}: {:.1} % linked", tally.share());
    // Else a preset or a setting would be here in name only.
    assert!(tally.linked.iter().all(|linked| *linked > 0) && tally.linked_in.len() == SETTINGS, "{tally:?}");
    assert!(tally.approvals >= u64::from(tally.links()));
    // The README's figures, but for what the ratchet's own randomness changes.
    let documented = documented("random schedules of a pairing");
    let (schedules, half) = (usize::try_from(tally.schedules).unwrap(), usize::from(half));
    let (faults, links) = (documented[half], documented[half + 2]);
    assert_eq!(2 * schedules, documented[0]);
    assert!(tally.faults.abs_diff(faults as u64) <= tally.faults / 50, "{} faults, documented {faults}", tally.faults);
    assert!((tally.share() - links as f64).abs() < 2.0, "{:.1} % link, documented {links}", tally.share());

    let fresh = |name: &str| std::env::var(name).ok();
    if let Some(cases) = fresh("PAIRLIGHT_SCHEDULES") {
        let cases = cases.parse().expect("a number of schedules");
        let seed = fresh("PAIRLIGHT_SCHEDULES_SEED").map_or_else(
            // What a hash table of the standard library is seeded with is new in each process.
            || RandomState::new().build_hasher().finish(),
            |seed| u64::from_str_radix(&seed, 16).expect("a seed as it was printed"),
        );
        println!("{what}: fresh schedules, PAIRLIGHT_SCHEDULES_SEED={seed:016x}");
        play_many(&format!("{what}, fresh"), strategy, cases, [seed.to_be_bytes(); 4].concat().try_into().unwrap());
    }
}

#[test]
fn whatever_happens_both_end_alike_and_nothing_is_half_linked() {
    play_half("many faults", 1, 12.0, &many_faults());
}

#[test]
fn most_links_outlive_one_or_two_faults_and_none_is_half_a_link() {
    play_half("few faults", 2, 55.0, &few_faults());
}
