//! Two pairing machines and an honest relay between them; the input is the adversary, the network, the disks, the clocks
//! and the people, one step after the other.

mod world;

use super::input::Input;
use world::{Side, World};

/// Target: everything happens to the linked device.
pub fn linked_machine(data: &[u8]) {
    run(data, &[Side::Linked]);
}

/// Target: everything happens to the primary device.
pub fn primary_machine(data: &[u8]) {
    run(data, &[Side::Primary]);
}

/// Target: everything happens to both.
pub fn pairing(data: &[u8]) {
    run(data, &[Side::Linked, Side::Primary]);
}

/// Whether these steps lead to a link: for the test that the target reaches everything.
pub fn reaches_link(data: &[u8]) -> bool {
    run(data, &[Side::Linked, Side::Primary])
}

fn run(data: &[u8], sides: &[Side]) -> bool {
    let mut input = Input::new(data);
    let mut world = World::new();
    world.settle();
    // A real flow has about fifteen steps; more than this only costs time.
    for _ in 0..64 {
        let Some(step) = input.byte() else { break };
        let side = sides[usize::from(step >> 6) % sides.len()];
        world.step(step & 63, side, &mut input);
        world.settle();
        world.assert_beliefs();
    }
    world.finish();
    world.is_linked()
}
