//! What two persons decide about one transfer of history, while the word of the other is on its way.

use super::*;

/// How the transfer stands on the phone and on the linked device.
fn standings(world: &World, at: usize) -> [HistoryStanding; 2] {
    let (phone, laptop) = (&world.devices[0], &world.devices[at]);
    let sent = phone.replica.sending(phone.store.as_ref().unwrap()).unwrap();
    let received = laptop.replica.receiving(laptop.store.as_ref().unwrap()).unwrap().unwrap();
    [sent[0].standing, received.standing]
}

fn stop(world: &mut World, at: usize) {
    let device = world.devices[1].id;
    world.turn(at, |replica, turn, rng| replica.cancel(turn, &device, rng)).unwrap();
}

fn begin_anew(world: &mut World, at: usize) {
    let device = world.devices[1].id;
    world.turn(at, |replica, turn, rng| replica.retry(turn, &device, rng)).unwrap();
}

/// A laptop that knows of a history and has nothing of it, and more on its way.
fn begun(seed: u64) -> (World, usize) {
    let mut world = World::new(seed, Policy::DEVELOPMENT);
    world.write(0, talk(60, 200));
    let one = world.link(Grade::Strong);
    world.deliver(one, 0, false);
    (world, one)
}

fn both(world: &mut World, at: usize, standing: HistoryStanding) {
    world.settle();
    assert_eq!(standings(world, at), [standing; 2]);
}

#[test]
fn a_history_that_was_stopped_stays_so_when_the_other_side_had_begun_it_anew_and_did_not_know() {
    let (mut world, one) = begun(51);
    // Twice, so that the one which the laptop names is not even the last but one.
    for _ in 0..2 {
        begin_anew(&mut world, 0);
        world.pump(0, false);
    }
    stop(&mut world, one);
    let id = world.devices[one].id;
    while world.mail.get(&id).is_some_and(|mail| !mail.is_empty()) {
        assert_eq!(standings(&world, one)[1], HistoryStanding::Cancelled);
        world.deliver(one, 0, false);
    }
    both(&mut world, one, HistoryStanding::Cancelled);
    // Who begins it anew in the knowledge of that is heard, on either side.
    begin_anew(&mut world, 0);
    both(&mut world, one, HistoryStanding::Done);
    world.in_step();
}

#[test]
fn what_a_person_says_last_counts_also_when_all_of_it_comes_at_once() {
    let (mut world, one) = begun(52);
    let say = |world: &mut World, words: &str| {
        for word in words.chars() {
            if word == 's' { stop(world, one) } else { begin_anew(world, one) }
        }
    };
    for words in ["s", "a", "sa", "as", "sas", "asas"] {
        say(&mut world, words);
        let wanted = if words.ends_with('s') { HistoryStanding::Cancelled } else { HistoryStanding::Done };
        both(&mut world, one, wanted);
        // Anew, and again on its way.
        begin_anew(&mut world, 0);
        world.pump(0, false);
        world.deliver(one, 0, false);
        assert_eq!(standings(&world, one)[1], HistoryStanding::Running, "{words}");
    }
    // On the phone, before the laptop could hear of what it begins.
    begin_anew(&mut world, 0);
    stop(&mut world, 0);
    both(&mut world, one, HistoryStanding::Cancelled);
    begin_anew(&mut world, one);
    both(&mut world, one, HistoryStanding::Done);
}

#[test]
fn both_sides_agree_in_the_end_whatever_is_decided_while_words_are_on_their_way() {
    for seed in 0..40 {
        let (mut world, one) = begun(1000 + seed);
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut steps = String::new();
        for _ in 0..14 {
            let at = if rng.next_u32() & 1 == 0 { 0 } else { one };
            let is_open = standings(&world, one)[usize::from(at == one)] != HistoryStanding::Done;
            match rng.next_u32() % 6 {
                0 if is_open => stop(&mut world, at),
                1 if is_open => begin_anew(&mut world, at),
                2 => world.pump(at, false),
                3 => world.transfer(),
                _ => world.deliver(at, 0, false),
            }
            steps.push_str(&format!("{at} {:?}; ", standings(&world, one)));
        }
        world.settle();
        let [there, here] = standings(&world, one);
        assert_eq!(there, here, "{seed}: {steps}");
        assert!(matches!(there, HistoryStanding::Done | HistoryStanding::Cancelled), "{seed}: {there:?}");
        begin_anew(&mut world, one);
        both(&mut world, one, HistoryStanding::Done);
        world.in_step();
    }
}
