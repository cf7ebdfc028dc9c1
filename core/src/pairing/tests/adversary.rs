//! One fault at every place where there can be one: each message in each way, and a crash of either side instead of each
//! single output. The ends are not listed (that is `faults`); what must hold after every one of them is.

use super::evidence::{self, ORIGIN};
use super::faults::{flipped, messages_of};
use super::figures::documented;
use super::harness::{End, Leg, World};

/// A pairing that nothing disturbs, and what it says.
pub(super) struct Flow {
    pub(super) name: &'static str,
    /// The world; another seed gives other keys.
    pub(super) world: fn(u8) -> World,
    pub(super) messages: &'static [(&'static str, Leg)],
}

/// One with the check code alone, and one of a page that is asked for its passkey under the policy Strict.
pub(super) const FLOWS: [Flow; 2] = [
    Flow {
        name: "plain",
        world: World::with_seed,
        messages: &[
            ("M1", Leg::ToLinked(0)),
            ("M2", Leg::ToPrimary(0)),
            ("M2b", Leg::ToPrimary(1)),
            ("M3", Leg::ToLinked(1)),
            ("M4", Leg::ToPrimary(2)),
            ("M5", Leg::ToLinked(2)),
        ],
    },
    Flow {
        name: "page",
        world: |seed| {
            let mut world = evidence::page_with_seed(seed);
            world.app = evidence::browser_on(ORIGIN);
            world
        },
        messages: &[
            ("M1", Leg::ToLinked(0)),
            ("M2", Leg::ToPrimary(0)),
            ("M2b", Leg::ToPrimary(1)),
            ("Need", Leg::ToLinked(1)),
            ("M2b again", Leg::ToPrimary(2)),
            ("M3", Leg::ToLinked(2)),
            ("M4", Leg::ToPrimary(3)),
            ("M5", Leg::ToLinked(3)),
        ],
    },
];

impl Flow {
    /// Its messages between other keys.
    pub(super) fn older(&self) -> Vec<(Leg, Vec<u8>)> {
        messages_of((self.world)(77))
    }

    fn fresh(&self) -> World {
        (self.world)(7)
    }
}

#[test]
fn the_flows_are_what_is_said() {
    for flow in &FLOWS {
        let sent: Vec<Leg> = flow.older().into_iter().map(|(leg, _)| leg).collect();
        let told: Vec<Leg> = flow.messages.iter().map(|(_, leg)| *leg).collect();
        assert_eq!(sent, told, "{}", flow.name);
    }
}

/// What can happen to one message.
type Fault = (&'static str, fn(Leg, Vec<u8>, &[(Leg, Vec<u8>)]) -> Vec<(Leg, Vec<u8>)>);

/// Who crashes, for how many milliseconds.
type Crash = (&'static str, fn(&mut World, u64));

fn renumbered(leg: Leg, by: u64) -> Leg {
    match leg {
        Leg::ToLinked(seq) => Leg::ToLinked(seq + by),
        Leg::ToPrimary(seq) => Leg::ToPrimary(seq + by),
    }
}

fn other_way(leg: Leg) -> Leg {
    match leg {
        Leg::ToLinked(seq) => Leg::ToPrimary(seq),
        Leg::ToPrimary(seq) => Leg::ToLinked(seq),
    }
}

const FAULTS: [Fault; 12] = [
    ("dropped", |_, _, _| Vec::new()),
    ("doubled", |leg, bytes, _| vec![(leg, bytes.clone()), (leg, bytes)]),
    ("numbered higher", |leg, bytes, _| vec![(renumbered(leg, 1), bytes)]),
    ("doubled under the next number", |leg, bytes, _| vec![(leg, bytes.clone()), (renumbered(leg, 1), bytes)]),
    ("first bit flipped", |leg, bytes, _| vec![(leg, flipped(bytes, 0, 0))]),
    ("middle bit flipped", |leg, bytes, _| {
        let middle = bytes.len() / 2;
        vec![(leg, flipped(bytes, middle, 3))]
    }),
    ("last bit flipped", |leg, bytes, _| {
        let last = bytes.len() - 1;
        vec![(leg, flipped(bytes, last, 7))]
    }),
    ("cut", |leg, bytes, _| vec![(leg, bytes[..bytes.len() / 2].to_vec())]),
    ("of an older run", |leg, _, older| older.iter().filter(|(old, _)| *old == leg).cloned().collect()),
    ("after the one of an older run", |leg, bytes, older| {
        let mut both: Vec<_> = older.iter().filter(|(old, _)| *old == leg).cloned().collect();
        both.push((leg, bytes));
        both
    }),
    ("sent back to its sender", |leg, bytes, _| vec![(other_way(leg), bytes)]),
    ("sent to both", |leg, bytes, _| vec![(other_way(leg), bytes.clone()), (leg, bytes)]),
];

/// The README's row of how many there are.
const README: &str = "faults at messages of a pairing, crashes in place of outputs, repetitions";

/// Runs a world to its end; what must hold whatever happened.
fn survives(name: &str, mut world: World) {
    // Shown only when the test fails: what it was.
    eprintln!("{name}");
    world.scan();
    world.run();
    let (linked, primary) = world.ends();
    assert!(linked != End::Running && primary != End::Running, "{name}: no end");
    // Both name the same reason, unless one of them could not hear of the other's.
    let _excused = world.difference();
    world.assert_nothing_half_linked();
}

#[test]
fn one_fault_at_every_message_in_every_way() {
    let runs = FLOWS.iter().map(one_fault_at_every_message_of).sum::<usize>();
    assert_eq!(runs, documented(README)[0]);
}

fn one_fault_at_every_message_of(flow: &Flow) -> usize {
    let older = flow.older();
    let mut runs = 0;
    let mut survives = |what: String, world: World| {
        survives(&format!("{}: {what}", flow.name), world);
        runs += 1;
    };
    for &(message, target) in flow.messages {
        for (what, change) in FAULTS {
            let mut world = flow.fresh();
            let (older, mut done) = (older.clone(), false);
            world.tamper = Box::new(move |leg, bytes| {
                if leg == target && !done {
                    done = true;
                    return change(leg, bytes, &older);
                }
                vec![(leg, bytes)]
            });
            survives(format!("{message} {what}"), world);
        }
        // Delayed: it arrives with, and then after, each later message of the same direction or of the other.
        for later in 1..4 {
            for behind in [false, true] {
                let mut world = flow.fresh();
                let (mut held, mut passed) = (Vec::new(), 0);
                world.tamper = Box::new(move |leg, bytes| {
                    if leg == target && held.is_empty() && passed == 0 {
                        held.push((leg, bytes));
                        passed = 1;
                        return Vec::new();
                    }
                    passed += u32::from(passed > 0);
                    let mut now = vec![(leg, bytes)];
                    if passed > later {
                        let at = if behind { now.len() } else { 0 };
                        now.splice(at..at, held.drain(..));
                    }
                    now
                });
                survives(format!("{message} delayed by {later}, behind: {behind}"), world);
            }
        }
        // The answer comes from another slot, or as something that is no message at all.
        for slot in [[9; 16], [0; 16]] {
            let mut world = flow.fresh();
            world.wrong_slot = Some((target, pairlight_wire::id::SlotId(slot)));
            survives(format!("{message} of another slot"), world);
        }
    }
    println!("{}: single faults at messages: {runs} injected, {runs} survived", flow.name);
    runs
}

#[test]
fn a_crash_of_either_side_instead_of_every_single_output() {
    let mut all = 0;
    for flow in &FLOWS {
        let mut honest = flow.fresh();
        honest.scan();
        honest.run();
        assert_eq!(honest.ends(), (End::Linked, End::Linked));
        let (steps, mut runs) = (honest.steps, 0);
        assert!(steps > 20, "{steps}");
        for step in 1..=steps {
            for minutes in [0, 9, 11] {
                let crashes: [Crash; 3] = [
                    ("linked device", World::crash_linked),
                    ("phone", World::crash_primary),
                    ("both", |world, ms| {
                        world.crash_linked(ms);
                        world.crash_primary(ms);
                    }),
                ];
                for (who, crash) in crashes {
                    let mut world = flow.fresh();
                    world.at_step = Some((step, Box::new(move |world| crash(world, minutes * 60_000))));
                    let name = format!("{}: {who} crashes at step {step}, back after {minutes} min", flow.name);
                    survives(&name, world);
                    runs += 1;
                }
            }
        }
        println!("{}: crashes: {runs} injected at {steps} steps, {runs} survived", flow.name);
        all += runs;
    }
    assert_eq!(all, documented(README)[1]);
}

#[test]
fn every_message_at_every_moment_by_a_relay_that_kept_it() {
    // A relay that says each thing again, under its own number and the next, after each later message.
    let mut all = 0;
    for flow in &FLOWS {
        let mut runs = 0;
        for &(message, kept) in flow.messages {
            for &(_, moment) in flow.messages {
                for by in [0, 1] {
                    let mut world = flow.fresh();
                    let mut copy: Option<Vec<u8>> = None;
                    world.tamper = Box::new(move |leg, bytes| {
                        if leg == kept {
                            copy = Some(bytes.clone());
                        }
                        let mut now = vec![(leg, bytes)];
                        if leg == moment
                            && let Some(copy) = &copy
                        {
                            now.push((renumbered(kept, by), copy.clone()));
                        }
                        now
                    });
                    survives(&format!("{}: {message} said again at {moment:?}, number +{by}", flow.name), world);
                    runs += 1;
                }
            }
        }
        println!("{}: repetitions: {runs} injected, {runs} survived", flow.name);
        all += runs;
    }
    assert_eq!(all, documented(README)[2]);
}
