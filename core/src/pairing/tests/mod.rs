//! Machine against machine, with an adversary between them and a clock that the test owns.

mod adversary;
mod commitment;
mod endings;
mod evidence;
mod faults;
pub(crate) mod figures;
mod guarded;
mod harness;
mod insiders;
mod model;
mod pairing_vectors;
mod redaction;
mod replay;
mod schedules;
mod story;
mod vectors;

/// What both sides have after a pairing: the account, what the linked device knows of it, and the primary device's session.
#[cfg(feature = "net")]
pub(crate) type Linked = (crate::devices::Account, crate::pairing::LinkedAccount, crate::session::Session);

#[cfg(feature = "net")]
fn linked(world: harness::World) -> Linked {
    let session = crate::session::Session::decode(world.disk.session.as_ref().unwrap()).unwrap();
    (world.account, world.disk.linked.unwrap(), session)
}

/// An honest pairing. Another seed gives another device.
#[cfg(feature = "net")]
pub(crate) fn linked_pair(seed: u8) -> Linked {
    let mut world = harness::World::with_seed(seed);
    world.scan();
    world.run();
    linked(world)
}

/// An honest pairing of a device whose key a guard has, and that key.
#[cfg(feature = "net")]
pub(crate) fn guarded_pair() -> (Linked, crate::crypto::sign::SigningKey) {
    let mut world = guarded::guarded_world();
    world.scan();
    world.run();
    (linked(world), guarded::key())
}

/// An honest pairing, and another in which the same device comes back to the account after its lease.
#[cfg(feature = "net")]
pub(crate) fn linked_and_relinked() -> [Linked; 2] {
    let (before, account) = evidence::linked_before();
    let mut world = evidence::again(&before, evidence::returning(&account));
    world.setup.lapsed = vec![account.device_id()];
    world.scan();
    world.run();
    [linked(before), linked(world)]
}
