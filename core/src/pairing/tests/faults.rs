//! The list of bad inputs, as tables: what goes wrong, how the linked device ends, how the primary device ends.
//!
//! After every row, whatever it was: neither side panicked, both ended by themselves within their timers, an ended
//! machine stays ended whatever it is fed, and once the disturbance is over and everybody was started again, either
//! both sides have the link or neither has ([`World::assert_nothing_half_linked`]).

use std::panic::{AssertUnwindSafe, catch_unwind};

use pairlight_wire::limits::{CLAIM_MS, COMMIT_GIVE_UP_MS, MESSAGE_MS, PAIRING_MESSAGE_BYTES};
use pairlight_wire::pairing::EndReason::*;
use pairlight_wire::qr::QrPayload;
use pairlight_wire::relay::{
    ClaimAnswer, LinkEvent, ListChain, RefusalCode, SlotClaimed, SlotConflict, SlotEnded, SlotMsg,
};

use super::harness::*;
use crate::pairing::LinkedState as L;
use crate::pairing::PrimaryState as P;
use crate::trust::Policy;

const MINUTE_MS: u64 = 60_000;
const DAY_MS: i64 = 24 * 60 * 60_000;
const LINKED: End = End::Linked;
const GONE: End = End::Gone;

fn failed(reason: pairlight_wire::pairing::EndReason) -> End {
    End::Failed(reason)
}

/// One line of a table.
pub(super) struct Row {
    name: String,
    fault: Box<dyn Fn(&mut World)>,
    linked: End,
    primary: End,
}

fn row(name: impl Into<String>, fault: impl Fn(&mut World) + 'static, linked: End, primary: End) -> Row {
    Row { name: name.into(), fault: Box::new(fault), linked, primary }
}

/// Runs every row, and shows every line that came out differently.
fn check(rows: Vec<Row>) {
    let mut wrong = Vec::new();
    for Row { name, fault, linked, primary } in &rows {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut world = World::new();
            fault(&mut world);
            world.scan();
            world.run();
            let ends = world.ends();
            stays_ended(&mut world);
            world.assert_nothing_half_linked();
            ends
        }));
        match outcome {
            Ok(ends) if ends == (*linked, *primary) => {}
            Ok(ends) => wrong.push(format!("{name}: {ends:?}, expected {:?}", (linked, primary))),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                wrong.push(format!("{name}: panic: {}", text.unwrap_or_default()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

/// An ended machine keeps its word whatever it is fed.
fn stays_ended(world: &mut World) {
    let sent = world.sent.clone();
    let slot = world.slot();
    let later = shifted(world.now, DAY_MS);
    let refused = |code| pairlight_wire::relay::Refused {
        code,
        retry_after_ms: 0,
        words: pairlight_wire::Text::truncated("no"),
        slot: Some(slot),
        reference: None,
    };
    if matches!(world.linked.state(), L::Failed(_) | L::Linked) {
        let before = world.linked.state();
        let linked = &mut world.linked;
        let mut events = vec![
            LinkEvent::Claimed(SlotClaimed { slot }),
            LinkEvent::Conflict(SlotConflict { slot }),
            LinkEvent::Ended(SlotEnded { slot, reason: Declined }),
            LinkEvent::Refused(refused(RefusalCode::Unavailable)),
        ];
        for (leg, bytes) in &sent {
            if let Leg::ToLinked(seq) = leg {
                let body = pairlight_wire::Bytes::new(bytes.clone()).unwrap();
                events.push(LinkEvent::Msg(SlotMsg { slot, seq: *seq, body: body.clone() }));
                events.push(LinkEvent::Msg(SlotMsg { slot, seq: *seq + 10, body }));
            }
        }
        for event in events {
            linked.handle_relay(event, later);
        }
        linked.handle_connected(later);
        linked.handle_list(None, later);
        linked.handle_unreachable(later);
        linked.enter_check_code("123456", later);
        linked.show_again(later);
        linked.cancel(later);
        linked.handle_storage_failed(later);
        linked.handle_timeout(later);
        linked.handle_disconnected(later);
        assert_eq!(linked.state(), before);
        assert!(linked.poll_output().is_none() && linked.poll_timeout().is_none());
    }
    if let Some(primary) = &mut world.primary
        && matches!(primary.state(), P::Failed(_) | P::Linked)
    {
        let before = primary.state();
        for (leg, bytes) in &sent {
            if let Leg::ToPrimary(seq) = leg {
                primary.handle_message(*seq, bytes, later);
                primary.handle_message(*seq + 10, bytes, later);
            }
        }
        assert_eq!((primary.approve(later), primary.approve_again(later)), (Ok(()), Ok(())));
        primary.decline(later);
        primary.cancel(later);
        primary.handle_conflict(later);
        primary.handle_claim(Err(RefusalCode::Conflict), later);
        primary.handle_ended(Declined, later);
        primary.handle_published(Ok(()), later);
        primary.handle_published(Err(RefusalCode::Conflict), later);
        primary.handle_list(&ListChain { lists: Default::default(), ops: None }, later);
        primary.handle_unreachable(later);
        primary.handle_storage_failed(later);
        primary.handle_timeout(later);
        assert_eq!(primary.state(), before);
        assert!(primary.poll_output().is_none() && primary.poll_timeout().is_none());
    }
}

// ---------------------------------------------------------------- messages

const M1: Leg = Leg::ToLinked(0);
const M2: Leg = Leg::ToPrimary(0);
const M2B: Leg = Leg::ToPrimary(1);
const M3: Leg = Leg::ToLinked(1);
const M4: Leg = Leg::ToPrimary(2);
const M5: Leg = Leg::ToLinked(2);
pub(super) const MESSAGES: [(&str, Leg); 6] =
    [("M1", M1), ("M2", M2), ("M2b", M2B), ("M3", M3), ("M4", M4), ("M5", M5)];

/// How a pairing ends when a message arrives and is not what was sent.
fn spoilt(leg: Leg) -> (End, End) {
    match leg {
        // The list is published: it tells what M5 could not.
        M5 => (LINKED, LINKED),
        _ => (failed(Tampered), failed(Tampered)),
    }
}

/// How a pairing ends when a message does not arrive.
fn lost(leg: Leg) -> (End, End) {
    match leg {
        M5 => (LINKED, LINKED),
        _ => (failed(TimedOut), failed(TimedOut)),
    }
}

/// Puts something else in the place of one message.
pub(super) fn instead(world: &mut World, target: Leg, change: impl Fn(Vec<u8>) -> Vec<(Leg, Vec<u8>)> + 'static) {
    let mut done = false;
    world.tamper = Box::new(move |leg, bytes| {
        if leg == target && !done {
            done = true;
            return change(bytes);
        }
        vec![(leg, bytes)]
    });
}

/// The messages of a pairing between other keys, or of the same devices at another time.
fn earlier_pairing() -> Vec<(Leg, Vec<u8>)> {
    messages_of(World::with_seed(77))
}

/// The messages of a pairing that nothing disturbs.
pub(super) fn messages_of(mut world: World) -> Vec<(Leg, Vec<u8>)> {
    world.scan();
    world.run();
    assert_eq!(world.ends(), (LINKED, LINKED));
    world.sent
}

fn other_way(leg: Leg) -> Leg {
    match leg {
        Leg::ToLinked(seq) => Leg::ToPrimary(seq),
        Leg::ToPrimary(seq) => Leg::ToLinked(seq),
    }
}

#[test]
fn messages_that_are_not_what_was_sent() {
    type Change = fn(Vec<u8>) -> Vec<u8>;
    let changes: [(&str, Change); 14] = [
        ("empty", |_| Vec::new()),
        ("cut to half", |bytes| bytes[..bytes.len() / 2].to_vec()),
        ("cut by a byte", |bytes| bytes[..bytes.len() - 1].to_vec()),
        ("a bit flipped in the array head", |bytes| flipped(bytes, 0, 0)),
        ("a bit flipped in the tag", |bytes| flipped(bytes, 1, 0)),
        ("a bit flipped in the first string's head", |bytes| flipped(bytes, 2, 3)),
        ("a bit flipped in the middle", |bytes| {
            let middle = bytes.len() / 2;
            flipped(bytes, middle, 5)
        }),
        ("a bit flipped in the authentication tag", |bytes| {
            let last = bytes.len() - 1;
            flipped(bytes, last, 7)
        }),
        ("a byte longer", |bytes| [bytes.as_slice(), &[0]].concat()),
        ("as long as a message may be", |mut bytes| {
            bytes.resize(PAIRING_MESSAGE_BYTES, 0);
            bytes
        }),
        ("random bytes", |bytes| bytes.iter().enumerate().map(|(i, b)| b.wrapping_mul(31) ^ i as u8).collect()),
        ("indefinite array", |bytes| [&[0x9f], &bytes[1..], &[0xff]].concat()),
        ("version tag in long form", |bytes| [&bytes[..1], &[0x18], &bytes[1..]].concat()),
        ("wrong version tag", |mut bytes| {
            bytes[1] = 9;
            bytes
        }),
    ];
    let mut rows = Vec::new();
    for (name, leg) in MESSAGES {
        let (linked, primary) = spoilt(leg);
        for (what, change) in changes {
            let fault = move |world: &mut World| instead(world, leg, move |bytes| vec![(leg, change(bytes))]);
            rows.push(row(format!("{name} {what}"), fault, linked, primary));
        }
        let earlier = earlier_pairing();
        let fault = move |world: &mut World| {
            let old = earlier.iter().find(|(old, _)| *old == leg).unwrap().1.clone();
            instead(world, leg, move |_| vec![(leg, old.clone())]);
        };
        rows.push(row(format!("{name} of an earlier pairing"), fault, linked, primary));
    }
    check(rows);
}

pub(super) fn flipped(mut bytes: Vec<u8>, index: usize, bit: u8) -> Vec<u8> {
    bytes[index] ^= 1 << bit;
    bytes
}

#[test]
fn messages_that_go_astray() {
    let mut rows = Vec::new();
    for (name, leg) in MESSAGES {
        let (linked, primary) = lost(leg);
        let fault = move |world: &mut World| instead(world, leg, |_| Vec::new());
        rows.push(row(format!("{name} dropped"), fault, linked, primary));

        let fault = move |world: &mut World| instead(world, leg, move |bytes| vec![(leg, bytes.clone()), (leg, bytes)]);
        rows.push(row(format!("{name} twice"), fault, LINKED, LINKED));

        // Under the next number: the one that takes it looks at it as the next message, or sees a gap.
        let next = |leg| match leg {
            Leg::ToLinked(seq) => Leg::ToLinked(seq + 1),
            Leg::ToPrimary(seq) => Leg::ToPrimary(seq + 1),
        };
        let fault = move |world: &mut World| instead(world, leg, move |bytes| vec![(next(leg), bytes)]);
        let (linked, primary) = spoilt(leg);
        rows.push(row(format!("{name} under the next number"), fault, linked, primary));

        // Back to whoever sent it, beside the real one.
        let fault = move |world: &mut World| {
            instead(world, leg, move |bytes| vec![(other_way(leg), bytes.clone()), (leg, bytes)]);
        };
        let (linked, primary) = match leg {
            // It has the number that the sender expects next.
            M1 | M2B => (failed(Tampered), failed(Tampered)),
            // As M5 it is none, and the list tells; the others have a number that was used.
            _ => (LINKED, LINKED),
        };
        rows.push(row(format!("{name} also echoed to its sender"), fault, linked, primary));

        // Held until the other side's next message, then both.
        let fault = move |world: &mut World| {
            let mut held: Option<Vec<u8>> = None;
            world.tamper = Box::new(move |now, bytes| {
                if now == leg {
                    held = Some(bytes);
                    return Vec::new();
                }
                let mut all = vec![(now, bytes)];
                all.extend(held.take().map(|held| (leg, held)));
                all
            });
        };
        let (linked, primary) = lost(leg);
        rows.push(row(format!("{name} held until after the next"), fault, linked, primary));
    }
    check(rows);
}

// ---------------------------------------------------------------- codes and scanners

fn at(world: &mut World, at: At, moment: Moment, act: impl Fn(&mut World) + 'static) {
    world.plan = Some(Plan { at, moment, act: Box::new(act) });
}

fn second_scanner(world: &mut World) {
    let slot = world.slot();
    assert_eq!(world.claim(slot).map(|_| ()), Err(RefusalCode::Conflict));
}

/// Scans what is shown, then lets `ms` pass before the claim reaches the relay.
fn scan_late(world: &mut World, ms: u64) {
    world.settle();
    let payload = QrPayload::parse(world.shown.as_ref().unwrap()).unwrap();
    let due = world.now.plus_ms(ms);
    while world.now < due {
        world.wait();
    }
    world.scan_payload(payload);
}

#[test]
fn codes_and_scanners() {
    check(vec![
        row("nothing goes wrong", |_| {}, LINKED, LINKED),
        row(
            "wrong check code, three times",
            |w| w.typed = Some("000000".into()),
            failed(WrongCheckCode),
            failed(WrongCheckCode),
        ),
        row(
            "two wrong check codes, then the right one",
            |w| w.slips = vec!["000000".into(), "000001".into()],
            LINKED,
            LINKED,
        ),
        row(
            "slips of the finger are no tries",
            |w| w.slips = ["", "12345", "1234567", "12a456", "１２３４５６"].map(String::from).to_vec(),
            LINKED,
            LINKED,
        ),
        row(
            "second scanner before M1",
            |w| at(w, At::Primary(P::Review), Moment::Busy, second_scanner),
            failed(Conflict),
            failed(Conflict),
        ),
        row(
            "second scanner after M1",
            |w| at(w, At::Linked(L::AwaitingCheckCode), Moment::Idle, second_scanner),
            LINKED,
            LINKED,
        ),
        row(
            "second scanner after the check code",
            |w| at(w, At::Linked(L::AwaitingCertificate), Moment::Idle, second_scanner),
            LINKED,
            LINKED,
        ),
        row(
            "second scanner after the certificate",
            |w| at(w, At::Linked(L::AwaitingCommit), Moment::Idle, second_scanner),
            LINKED,
            LINKED,
        ),
        row("code of the rotation before", |w| scan_late(w, 30_000), LINKED, LINKED),
        row("superseded code", |w| scan_late(w, 60_000), End::Paused, failed(Expired)),
        row(
            "code that nobody opened",
            |w| w.scan_payload(QrPayload::new(0, [3; 32], [4; 16])),
            End::Paused,
            failed(Expired),
        ),
        row("approval refused", |w| w.approves = false, failed(Declined), failed(Declined)),
        row("nobody looks at the phone", |w| w.nobody = true, failed(TimedOut), failed(TimedOut)),
        row(
            "nobody types",
            |w| at(w, At::Linked(L::AwaitingCheckCode), Moment::Busy, |w| w.nobody = true),
            failed(TimedOut),
            failed(TimedOut),
        ),
        row(
            "nobody approves the second time",
            |w| {
                weak(w);
                at(w, At::Primary(P::SecondApproval), Moment::Busy, |w| w.nobody = true)
            },
            failed(TimedOut),
            failed(TimedOut),
        ),
        row("policy refuses", |w| w.policy = Policy::STRONG_ONLY, failed(Refused), failed(Refused)),
    ]);
}

/// The two devices are not in one place, so the person must approve twice.
fn weak(world: &mut World) {
    world.policy = Policy::BALANCED;
    world.same_network = false;
    world.bend_context = |context| context.city = None;
}

// ---------------------------------------------------------------- the relay

#[test]
fn refusals_of_the_relay() {
    use RefusalCode as R;
    let meaning = |code| match code {
        R::Protocol | R::Outdated => Outdated,
        R::Removed | R::LeaseExpired | R::NotAllowed => Refused,
        R::TimedOut | R::NotFound | R::Gone => Expired,
        R::Conflict | R::Duplicate => Conflict,
        R::RateLimited => RateLimited,
        R::TooLarge | R::Overflow => Tampered,
        R::Unavailable => Unreachable,
    };
    let mut rows = Vec::new();
    for code in (0..=13).map(|code| R::from_code(code).unwrap()) {
        let reason = failed(meaning(code));
        rows.push(row(format!("open refused: {code:?}"), move |w| w.open_refusal = Some(code), reason, End::None));
        rows.push(row(format!("claim refused: {code:?}"), move |w| w.claim_refusal = Some(code), End::Paused, reason));
        // Nothing was stored, and the list says so. A relay that is only busy is asked again until the time is up.
        let refuses = move |w: &mut World| w.publishing = Publishing::Refuses(code);
        rows.push(row(format!("publication refused: {code:?}"), refuses, failed(NotPublished), failed(NotPublished)));
        // It was stored: whoever says otherwise is found out by the list.
        let lies = move |w: &mut World| w.publishing = Publishing::StoresButRefuses(code);
        let (linked, primary) = match code {
            R::Conflict | R::Unavailable | R::RateLimited => (LINKED, LINKED),
            // The phone takes the device off again; the other side may have seen itself listed for a moment.
            _ => (failed(NotPublished), failed(NotPublished)),
        };
        rows.push(row(format!("publication stored, called refused: {code:?}"), lies, linked, primary));
    }
    check(rows);
}

#[test]
fn a_relay_that_lies() {
    fn ended(w: &mut World) {
        let slot = w.slot();
        w.tell_linked(|l, now| l.handle_relay(LinkEvent::Ended(SlotEnded { slot, reason: Expired }), now));
    }
    fn ended_for_primary(w: &mut World) {
        w.tell_primary(|p, now| p.handle_ended(Expired, now));
    }
    fn other_slot(w: &mut World) {
        let slot = pairlight_wire::id::SlotId([9; 16]);
        let body = pairlight_wire::Bytes::new(vec![1, 2, 3]).unwrap();
        for event in [
            LinkEvent::Msg(SlotMsg { slot, seq: 0, body: body.clone() }),
            LinkEvent::Msg(SlotMsg { slot, seq: 99, body }),
            LinkEvent::Claimed(SlotClaimed { slot }),
            LinkEvent::Conflict(SlotConflict { slot }),
            LinkEvent::Ended(SlotEnded { slot, reason: Declined }),
        ] {
            w.tell_linked(|l, now| l.handle_relay(event, now));
        }
    }
    let tampered = (failed(Tampered), failed(Tampered));
    let mut rows = vec![
        row("context signed by another key", |w| w.bend_claim = |a| a.context.sig[5] ^= 1, tampered.0, tampered.1),
        row("context with another key id", |w| w.bend_claim = |a| a.context.kid[0] ^= 1, tampered.0, tampered.1),
        row(
            "own context signed by another key",
            |w| w.bend_claim = |a| a.own_context.sig[5] ^= 1,
            tampered.0,
            tampered.1,
        ),
        row(
            "context and own context swapped",
            |w| w.bend_claim = |a| core::mem::swap(&mut a.context, &mut a.own_context),
            tampered.0,
            tampered.1,
        ),
        row(
            "context in the place of the own context",
            |w| w.bend_claim = |a| a.own_context = a.context.clone(),
            tampered.0,
            tampered.1,
        ),
        row("context of another slot", |w| w.bend_context = |c| c.slot.0[0] ^= 1, tampered.0, tampered.1),
        row("context of another offer", |w| w.bend_context = |c| c.offer_ct_hash[0] ^= 1, tampered.0, tampered.1),
        row("own context of another slot", |w| w.bend_claim = own_context_of_another_slot, tampered.0, tampered.1),
        row("another sealed offer", |w| w.bend_claim = other_offer, tampered.0, tampered.1),
        row("sealed offer cut", |w| w.bend_claim = cut_offer, tampered.0, tampered.1),
        row("everything said twice", |w| w.says_twice = true, LINKED, LINKED),
        row(
            "another context for the linked device than for the phone",
            |w| w.bend_claim = other_true_context,
            tampered.0,
            tampered.1,
        ),
        row(
            "says published, stores nothing, delivers M5",
            |w| {
                deny(w);
            },
            LINKED,
            LINKED,
        ),
        // The account signed two lists of one epoch, as after a restored backup; the relay shows the other one.
        row(
            "forked list for the phone",
            |w| {
                w.publishing = Publishing::StoresButRefuses(RefusalCode::Conflict);
                w.bend_chain = forked;
            },
            failed(Tampered),
            failed(NotPublished),
        ),
        row(
            "no M5, forked list",
            |w| {
                instead(w, M5, |_| Vec::new());
                w.bend_chain = forked;
            },
            failed(Tampered),
            LINKED,
        ),
        // What no machine can help: a relay that says yes, stores nothing and drops M5 has denied its service. The
        // phone shows a device that never checks in; its owner removes it.
        row(
            "says published, stores nothing, drops M5",
            |w| {
                deny(w);
                instead(w, M5, |_| Vec::new());
            },
            failed(NotPublished),
            LINKED,
        ),
        row("stores the list and loses the answer", |w| w.publishing = Publishing::StoresButSilent, LINKED, LINKED),
        row(
            "cannot be reached for the publication",
            |w| w.publishing = Publishing::Unreachable,
            failed(NotPublished),
            failed(NotPublished),
        ),
        row(
            "forged list for the phone",
            |w| {
                w.publishing = Publishing::StoresButRefuses(RefusalCode::Conflict);
                w.bend_chain = forged;
            },
            failed(Tampered),
            failed(Tampered),
        ),
        row(
            "list rolled back for the phone",
            |w| {
                w.publishing = Publishing::StoresButRefuses(RefusalCode::Conflict);
                w.bend_chain = rolled_back;
            },
            failed(Tampered),
            failed(NotPublished),
        ),
        row(
            "no M5, forged list",
            |w| {
                instead(w, M5, |_| Vec::new());
                w.bend_chain = forged;
            },
            failed(Tampered),
            LINKED,
        ),
        row(
            "no M5, list rolled back",
            |w| {
                instead(w, M5, |_| Vec::new());
                w.bend_chain = rolled_back;
            },
            failed(Tampered),
            LINKED,
        ),
        row(
            "no M5, list with a gap",
            |w| {
                instead(w, M5, |_| Vec::new());
                w.bend_chain = gap;
            },
            LINKED,
            LINKED,
        ),
        row(
            "no M5, then nothing at all",
            |w| {
                instead(w, M5, |_| Vec::new());
                at(w, At::Primary(P::Linked), Moment::Busy, |w| w.linked_online = false);
            },
            failed(Unreachable),
            LINKED,
        ),
        row(
            "message with a gap for the linked device before its certificate",
            |w| at(w, At::Linked(L::AwaitingCertificate), Moment::Idle, |w| w.arrive(Leg::ToLinked(9), vec![1])),
            tampered.0,
            tampered.1,
        ),
        row(
            "message with a gap for the linked device after its certificate",
            |w| at(w, At::Linked(L::AwaitingCommit), Moment::Idle, |w| w.arrive(Leg::ToLinked(9), vec![1])),
            LINKED,
            LINKED,
        ),
        row(
            "message with a gap for the phone while it publishes",
            |w| at(w, At::Primary(P::Publishing), Moment::Busy, |w| w.arrive(Leg::ToPrimary(9), vec![1])),
            LINKED,
            LINKED,
        ),
        row(
            "message before anything was claimed",
            |w| at(w, At::Linked(L::Showing), Moment::Idle, |w| w.arrive(Leg::ToLinked(0), vec![1])),
            LINKED,
            LINKED,
        ),
        row(
            "message during the review",
            |w| at(w, At::Primary(P::Review), Moment::Busy, |w| w.arrive(Leg::ToPrimary(0), vec![1])),
            tampered.0,
            tampered.1,
        ),
    ];
    for (state, linked, primary) in [
        // The code on the screen is dead; the next rotation replaces it, but the one that was scanned is gone.
        (L::Opening, LINKED, LINKED),
        (L::Showing, End::Paused, failed(TimedOut)),
        (L::Claimed, failed(Expired), failed(TimedOut)),
        (L::AwaitingCheckCode, failed(Expired), failed(TimedOut)),
        (L::AwaitingCertificate, failed(Expired), failed(TimedOut)),
        (L::AwaitingCommit, LINKED, LINKED),
    ] {
        rows.push(row(
            format!("ended, says the relay in {state:?}"),
            move |w| at(w, At::Linked(state), Moment::Idle, ended),
            linked,
            primary,
        ));
        rows.push(row(
            format!("messages for another slot in {state:?}"),
            move |w| at(w, At::Linked(state), Moment::Idle, other_slot),
            LINKED,
            LINKED,
        ));
    }
    for (state, linked, primary) in [
        // The claim that was under way is ended as soon as it is answered.
        (P::Claiming, failed(Expired), failed(Expired)),
        (P::Review, failed(TimedOut), failed(Expired)),
        (P::AwaitingKey, failed(TimedOut), failed(Expired)),
        (P::ShowingCheckCode, failed(TimedOut), failed(Expired)),
        (P::SecondApproval, failed(TimedOut), failed(Expired)),
        (P::AwaitingAcceptance, failed(NotPublished), failed(Expired)),
        (P::Publishing, LINKED, LINKED),
    ] {
        let fault = move |w: &mut World| {
            weak(w);
            at(w, At::Primary(state), Moment::Busy, ended_for_primary);
        };
        rows.push(row(format!("ended, says the relay to the phone in {state:?}"), fault, linked, primary));
    }
    check(rows);
}

/// The relay says that it published, and does not.
fn deny(world: &mut World) {
    world.publishing = Publishing::SaysYesStoresNot;
    world.denied = true;
}

fn own_context_of_another_slot(answer: &mut ClaimAnswer) {
    bend_own(answer, |own| own.slot.0[3] ^= 1);
}

fn bend_own(answer: &mut ClaimAnswer, bend: fn(&mut pairlight_wire::context::OwnContext)) {
    use pairlight_wire::Wire;
    use pairlight_wire::sign::SigningContext::RelayContext;
    let mut own = pairlight_wire::context::OwnContext::decode(answer.own_context.payload.as_slice()).unwrap();
    bend(&mut own);
    answer.own_context =
        crate::crypto::sign::SigningKey::from_seed(&[9; 32]).sign_payload(RelayContext, own.encode()).unwrap();
}

/// Properly signed, but not the statement that the linked device was shown.
fn other_true_context(answer: &mut ClaimAnswer) {
    use pairlight_wire::Wire;
    use pairlight_wire::sign::SigningContext;
    let mut context = pairlight_wire::context::RelayContext::decode(answer.context.payload.as_slice()).unwrap();
    context.city = None;
    let key = crate::crypto::sign::SigningKey::from_seed(&[9; 32]);
    answer.context = key.sign_payload(SigningContext::RelayContext, context.encode()).unwrap();
}

fn other_offer(answer: &mut ClaimAnswer) {
    answer.offer_ct = pairlight_wire::Bytes::new(vec![7; 1500]).unwrap();
}

fn cut_offer(answer: &mut ClaimAnswer) {
    let mut offer = answer.offer_ct.as_slice().to_vec();
    offer.pop();
    answer.offer_ct = pairlight_wire::Bytes::new(offer).unwrap();
}

/// In the place of the second list, another that the account signed after the first.
fn forked(lists: &mut Vec<pairlight_wire::sign::Signed>) {
    let account = World::new().account;
    let other = pairlight_wire::id::DeviceId([1; 16]);
    let fork = account.list_barring(&other, pairlight_wire::list::RemovalReason::Revoked, START).unwrap();
    let is_second = |signed: &pairlight_wire::sign::Signed| {
        use pairlight_wire::Wire;
        pairlight_wire::list::DeviceList::decode(signed.payload.as_slice()).is_ok_and(|list| list.epoch == 2)
    };
    if let Some(index) = lists.iter().position(is_second) {
        lists.truncate(index);
        lists.push(fork.signed().clone());
    }
}

#[expect(clippy::ptr_arg, reason = "the hook of the harness, which may also drop lists")]
fn forged(lists: &mut Vec<pairlight_wire::sign::Signed>) {
    if let Some(last) = lists.last_mut() {
        last.sig[0] ^= 1;
        let mut payload = last.payload.as_slice().to_vec();
        let end = payload.len() - 1;
        payload[end] ^= 1;
        last.payload = pairlight_wire::Bytes::new(payload).unwrap();
    }
}

fn rolled_back(lists: &mut Vec<pairlight_wire::sign::Signed>) {
    lists.pop();
}

fn gap(lists: &mut Vec<pairlight_wire::sign::Signed>) {
    if lists.len() > 1 {
        lists.remove(0);
    }
}

// ---------------------------------------------------------------- time

const LINKED_STATES: [L; 6] =
    [L::Opening, L::Showing, L::Claimed, L::AwaitingCheckCode, L::AwaitingCertificate, L::AwaitingCommit];
const PRIMARY_STATES: [P; 7] = [
    P::Claiming,
    P::Review,
    P::AwaitingKey,
    P::ShowingCheckCode,
    P::SecondApproval,
    P::AwaitingAcceptance,
    P::Publishing,
];

fn all_states() -> Vec<At> {
    let linked = LINKED_STATES.map(At::Linked);
    linked.into_iter().chain(PRIMARY_STATES.map(At::Primary)).collect()
}

/// Nothing takes longer than its timer. A machine does not know how much of it had passed when the clock was set back,
/// and starts it again: twice the longest timer is the limit.
fn longest_ms(state: At) -> u64 {
    match state {
        At::Linked(L::Opening | L::Showing) => 2 * 300_000,
        At::Linked(L::AwaitingCertificate | L::AwaitingCommit)
        | At::Primary(P::SecondApproval | P::AwaitingAcceptance | P::Publishing) => {
            2 * (COMMIT_GIVE_UP_MS + MESSAGE_MS)
        }
        _ => 2 * CLAIM_MS,
    }
}

#[test]
fn clocks_that_jump_a_day_in_any_state() {
    type Jump = fn(&mut World, i64);
    let jumps: [(&str, Jump); 3] = [
        ("linked", |w, ms| w.linked_error_ms = ms),
        ("primary", |w, ms| w.primary_error_ms = ms),
        ("both", |w, ms| (w.linked_error_ms, w.primary_error_ms) = (ms, ms)),
    ];
    for state in all_states() {
        for (who, jump) in jumps {
            for ms in [DAY_MS, -DAY_MS] {
                for silent in [false, true] {
                    for moment in [Moment::Busy, Moment::Idle] {
                        let mut world = World::new();
                        weak(&mut world);
                        at(&mut world, state, moment, move |w| {
                            jump(w, ms);
                            w.jumped = Some(w.now);
                            if silent {
                                w.silence();
                            }
                        });
                        world.scan();
                        world.run();
                        let name = format!("{state:?} {moment:?} {who} {ms} silent: {silent}: {:?}", world.ends());
                        if let Some(jumped) = world.jumped {
                            let took = world.now.ms_since(jumped);
                            assert!(took <= longest_ms(state), "{name} took {took} ms");
                        }
                        if !silent && ms < 0 {
                            assert_eq!(world.ends(), (LINKED, LINKED), "{name}");
                        }
                        stays_ended(&mut world);
                        world.assert_nothing_half_linked();
                    }
                }
            }
        }
    }
}

// ---------------------------------------------------------------- disks

#[test]
fn disks_that_are_full() {
    fn linked_writes(w: &mut World, writes: u32) {
        w.disk.linked_writes_left = Some(writes);
    }
    fn primary_writes(w: &mut World, writes: u32) {
        w.disk.primary_writes_left = Some(writes);
    }
    fn no_m4(w: &mut World) {
        instead(w, M4, |_| Vec::new());
    }
    let full = failed(StorageFailed);
    check(vec![
        row("linked device cannot keep the pending account", |w| linked_writes(w, 0), full, full),
        // It resumes with what is pending.
        row("linked device cannot keep the finished account", |w| linked_writes(w, 1), full, LINKED),
        row(
            "linked device cannot erase the pending account",
            |w| {
                no_m4(w);
                linked_writes(w, 1)
            },
            failed(TimedOut),
            failed(TimedOut),
        ),
        row("phone cannot keep the certified link", |w| primary_writes(w, 0), full, full),
        row(
            "phone cannot keep the certified link, and its person cancels meanwhile",
            |w| {
                primary_writes(w, 0);
                at(w, At::Primary(P::AwaitingAcceptance), Moment::Busy, |w| w.tell_primary(|p, now| p.cancel(now)));
            },
            failed(Cancelled),
            failed(Cancelled),
        ),
        row("phone cannot keep the signed list", |w| primary_writes(w, 1), full, full),
        // The list is out: the next start finishes it.
        row("phone cannot keep the finished link", |w| primary_writes(w, 2), LINKED, full),
        row(
            "phone cannot erase the certified link",
            |w| {
                no_m4(w);
                primary_writes(w, 1)
            },
            failed(TimedOut),
            failed(TimedOut),
        ),
        row(
            "phone cannot keep the list made again",
            |w| {
                list_changes(w);
                primary_writes(w, 2)
            },
            full,
            full,
        ),
        row(
            "phone cannot keep that it abandons",
            |w| {
                w.publishing = Publishing::Unreachable;
                primary_writes(w, 2);
            },
            full,
            full,
        ),
        row(
            "phone cannot erase the abandoned link",
            |w| {
                w.list_races = 4;
                primary_writes(w, 6);
            },
            failed(NotPublished),
            failed(NotPublished),
        ),
    ]);
}

/// Another device of the account changes the list just before the phone publishes.
fn list_changes(world: &mut World) {
    at(world, At::Primary(P::Publishing), Moment::Busy, World::change_list);
}

#[test]
fn a_late_answer_to_the_publication_does_not_end_the_search_for_the_truth() {
    let mut world = World::new();
    world.publishing = Publishing::StoresButSilent;
    at(&mut world, At::Primary(P::Publishing), Moment::Idle, |w| w.primary_online = false);
    world.scan();
    // Eight minutes later the phone has given up, and looks whether the device must be taken off the list.
    while world.now.ms_since(START) < 481_000 {
        world.wait();
    }
    world.tell_primary(|primary, now| primary.handle_published(Ok(()), now));
    assert_eq!(world.ends(), (LINKED, End::Running));
    world.publishing = Publishing::Honest;
    world.primary_online = true;
    world.run();
    assert_eq!(world.ends(), (LINKED, failed(NotPublished)));
    assert!(!world.device_is_listed(), "the linked device learns that it was removed");
    world.assert_nothing_half_linked();
}

#[test]
fn lists_that_change_meanwhile() {
    check(vec![
        row("another device changed the list once", list_changes, LINKED, LINKED),
        row(
            "and the answer to the fetch is forged",
            |w| {
                list_changes(w);
                w.bend_chain = forged
            },
            failed(Tampered),
            failed(Tampered),
        ),
        row("more lists than the phone rebases", |w| w.list_races = 9, failed(NotPublished), failed(NotPublished)),
        row("as many lists as the phone rebases", |w| w.list_races = 3, LINKED, LINKED),
    ]);
}

// ---------------------------------------------------------------- sockets and people

#[test]
fn sockets_lost_in_any_state() {
    let mut rows = Vec::new();
    let gone = failed(Unreachable);
    for (state, moment, linked, primary) in [
        (L::Opening, Moment::Idle, LINKED, LINKED),
        (L::Showing, Moment::Busy, End::Paused, failed(Expired)),
        (L::Showing, Moment::Idle, End::Paused, failed(Expired)),
        (L::Claimed, Moment::Busy, gone, gone),
        (L::Claimed, Moment::Idle, gone, gone),
        (L::AwaitingCheckCode, Moment::Busy, gone, gone),
        (L::AwaitingCheckCode, Moment::Idle, gone, gone),
        (L::AwaitingCertificate, Moment::Busy, gone, gone),
        (L::AwaitingCertificate, Moment::Idle, gone, gone),
        // The counter-signature did not leave.
        (L::AwaitingCommit, Moment::Busy, failed(NotPublished), gone),
        // It did: the list tells.
        (L::AwaitingCommit, Moment::Idle, LINKED, LINKED),
    ] {
        let fault = move |w: &mut World| at(w, At::Linked(state), moment, World::lose_socket);
        rows.push(row(format!("socket lost in {state:?} {moment:?}"), fault, linked, primary));
    }
    for (state, moment, linked, primary) in [
        (P::Claiming, Moment::Busy, End::Paused, gone),
        (P::Review, Moment::Busy, failed(TimedOut), gone),
        (P::Review, Moment::Idle, failed(TimedOut), gone),
        (P::AwaitingKey, Moment::Idle, failed(TimedOut), gone),
        (P::ShowingCheckCode, Moment::Idle, failed(TimedOut), gone),
        (P::SecondApproval, Moment::Idle, failed(TimedOut), gone),
        (P::AwaitingAcceptance, Moment::Idle, failed(NotPublished), gone),
        (P::Publishing, Moment::Busy, failed(NotPublished), failed(NotPublished)),
    ] {
        let fault = move |w: &mut World| {
            weak(w);
            at(w, At::Primary(state), moment, |w| {
                w.primary_online = false;
                w.tell_primary(|p, now| p.handle_unreachable(now));
            });
        };
        rows.push(row(format!("phone offline from {state:?} {moment:?} on"), fault, linked, primary));
    }
    check(rows);
}

#[test]
fn people_who_change_their_mind() {
    let mut rows = Vec::new();
    let end = failed(Cancelled);
    for (state, moment, linked, primary) in [
        (L::Opening, Moment::Busy, end, End::None),
        (L::Showing, Moment::Busy, end, failed(Expired)),
        (L::Showing, Moment::Idle, end, failed(Expired)),
        (L::Claimed, Moment::Busy, end, end),
        (L::Claimed, Moment::Idle, end, end),
        (L::AwaitingCheckCode, Moment::Busy, end, end),
        (L::AwaitingCheckCode, Moment::Idle, end, end),
        (L::AwaitingCertificate, Moment::Busy, end, end),
        (L::AwaitingCertificate, Moment::Idle, end, end),
        // Too late: the account decides.
        (L::AwaitingCommit, Moment::Busy, LINKED, LINKED),
        (L::AwaitingCommit, Moment::Idle, LINKED, LINKED),
    ] {
        let fault = move |w: &mut World| at(w, At::Linked(state), moment, |w| w.tell_linked(|l, now| l.cancel(now)));
        rows.push(row(format!("cancelled on the linked device in {state:?} {moment:?}"), fault, linked, primary));
    }
    for (word, reason) in [("cancelled", Cancelled), ("declined", Declined)] {
        let end = failed(reason);
        for (state, moment, linked, primary) in [
            (P::Claiming, Moment::Busy, end, end),
            (P::Review, Moment::Busy, end, end),
            (P::Review, Moment::Idle, end, end),
            (P::AwaitingKey, Moment::Busy, end, end),
            (P::AwaitingKey, Moment::Idle, end, end),
            (P::ShowingCheckCode, Moment::Busy, end, end),
            (P::ShowingCheckCode, Moment::Idle, end, end),
            (P::SecondApproval, Moment::Busy, end, end),
            (P::SecondApproval, Moment::Idle, end, end),
            // The certificate is out: the linked device asks for the list until it knows, and shows what it was told.
            (P::AwaitingAcceptance, Moment::Busy, end, end),
            (P::AwaitingAcceptance, Moment::Idle, end, end),
            // Too late: the list may be out. Revoke the device instead.
            (P::Publishing, Moment::Busy, LINKED, LINKED),
        ] {
            let fault = move |w: &mut World| {
                weak(w);
                at(w, At::Primary(state), moment, move |w| {
                    w.tell_primary(|p, now| if reason == Declined { p.decline(now) } else { p.cancel(now) });
                });
            };
            rows.push(row(format!("{word} on the phone in {state:?} {moment:?}"), fault, linked, primary));
        }
    }
    check(rows);
}

// ---------------------------------------------------------------- crashes

#[test]
fn crashes_in_any_state() {
    let mut rows = Vec::new();
    let none = (failed(NotPublished), failed(NotPublished));
    for minutes in [0, 8, 10] {
        let after = minutes * MINUTE_MS;
        for (state, moment, linked, primary) in [
            (L::Opening, Moment::Busy, GONE, End::None),
            (L::Showing, Moment::Idle, GONE, failed(Expired)),
            (L::Claimed, Moment::Busy, GONE, failed(Unreachable)),
            (L::Claimed, Moment::Idle, GONE, failed(Unreachable)),
            (L::AwaitingCheckCode, Moment::Busy, GONE, failed(Unreachable)),
            (L::AwaitingCheckCode, Moment::Idle, GONE, failed(Unreachable)),
            (L::AwaitingCertificate, Moment::Busy, GONE, failed(Unreachable)),
            (L::AwaitingCertificate, Moment::Idle, GONE, failed(Unreachable)),
            // Certified, but not on disk and not signed for.
            (L::AwaitingCommit, Moment::Busy, GONE, failed(Unreachable)),
            (L::AwaitingCommit, Moment::Idle, LINKED, LINKED),
            // Linked, but only the pending account is on disk.
            (L::Linked, Moment::Busy, LINKED, LINKED),
            (L::Linked, Moment::Idle, LINKED, LINKED),
        ] {
            let fault = move |w: &mut World| at(w, At::Linked(state), moment, move |w| w.crash_linked(after));
            let name = format!("linked device crashes in {state:?} {moment:?}, back after {minutes} min");
            rows.push(row(name, fault, linked, primary));
        }
        let late = minutes > 0;
        for (state, moment, linked, primary) in [
            (P::Claiming, Moment::Busy, End::Paused, GONE),
            (P::Review, Moment::Busy, failed(TimedOut), GONE),
            (P::Review, Moment::Idle, failed(TimedOut), GONE),
            (P::AwaitingKey, Moment::Busy, failed(TimedOut), GONE),
            (P::AwaitingKey, Moment::Idle, failed(TimedOut), GONE),
            (P::ShowingCheckCode, Moment::Busy, failed(TimedOut), GONE),
            (P::ShowingCheckCode, Moment::Idle, failed(TimedOut), GONE),
            (P::SecondApproval, Moment::Busy, failed(TimedOut), GONE),
            (P::SecondApproval, Moment::Idle, failed(TimedOut), GONE),
            // The certificate was neither stored nor sent.
            (P::AwaitingAcceptance, Moment::Busy, failed(TimedOut), GONE),
            (P::AwaitingAcceptance, Moment::Idle, none.0, none.1),
            // Accepted, but that is not on disk: nothing was published, so it is abandoned.
            (P::Publishing, Moment::Busy, none.0, none.1),
            // Published, but that is not on disk: finished when there is time, else taken off the list again.
            (P::Linked, Moment::Busy, LINKED, if late { failed(NotPublished) } else { LINKED }),
            (P::Linked, Moment::Idle, LINKED, LINKED),
        ] {
            let fault = move |w: &mut World| {
                weak(w);
                at(w, At::Primary(state), moment, move |w| w.crash_primary(after));
            };
            let name = format!("phone crashes in {state:?} {moment:?}, back after {minutes} min");
            rows.push(row(name, fault, linked, primary));
        }
        // Accepted and on disk, but the relay could not be reached until the phone was back.
        let unpublished = move |w: &mut World| {
            w.publishing = Publishing::Unreachable;
            at(w, At::Primary(P::Publishing), Moment::Idle, move |w| {
                w.publishing = Publishing::Honest;
                w.crash_primary(after);
            });
        };
        let (linked, primary) = if late { none } else { (LINKED, LINKED) };
        rows.push(row(
            format!("phone crashes accepted, unpublished, back after {minutes} min"),
            unpublished,
            linked,
            primary,
        ));
        // Its clock was set back while it was down: how late it is cannot be known, so it is too late.
        let set_back = move |w: &mut World| {
            w.publishing = Publishing::Unreachable;
            at(w, At::Primary(P::Publishing), Moment::Idle, move |w| {
                w.publishing = Publishing::Honest;
                w.primary_error_ms = -DAY_MS;
                w.crash_primary(after);
            });
        };
        let name = format!("phone crashes accepted, unpublished, its clock set back, back after {minutes} min");
        rows.push(row(name, set_back, none.0, none.1));
        let both = move |w: &mut World| {
            at(w, At::Primary(P::Linked), Moment::Busy, move |w| {
                w.crash_linked(after);
                w.crash_primary(after);
            });
        };
        let (linked, primary) = if late { (LINKED, failed(NotPublished)) } else { (LINKED, LINKED) };
        rows.push(row(format!("both crash when it is published, back after {minutes} min"), both, linked, primary));
    }
    check(rows);
}
