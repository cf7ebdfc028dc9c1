//! Machine against machine, with an adversary between them and a clock that the test owns.

mod adversary;
mod commitment;
mod evidence;
mod faults;
mod harness;
mod insiders;
mod model;
mod pairing_vectors;
mod redaction;
mod replay;
mod schedules;
mod story;
mod vectors;

/// What both sides have after an honest pairing: the account, what the linked device knows of it, and the primary device's
/// session. Another seed gives another device.
#[cfg(feature = "net")]
pub(crate) fn linked_pair(
    seed: u8,
) -> (crate::devices::Account, crate::pairing::LinkedAccount, crate::session::Session) {
    let mut world = harness::World::with_seed(seed);
    world.scan();
    world.run();
    let session = crate::session::Session::decode(world.disk.session.as_ref().unwrap()).unwrap();
    (world.account, world.disk.linked.unwrap(), session)
}
