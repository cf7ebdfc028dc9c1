//! What the relay signs: where it saw the two devices of a pairing. Evidence for the people, not proof.

use std::net::IpAddr;

use ed25519_dalek::{Signer, SigningKey};
use pairlight_wire::context::{IpNet, OwnContext, RelayContext};
use pairlight_wire::hash::sha256;
use pairlight_wire::id::SlotId;
use pairlight_wire::relay::OpenSlot;
use pairlight_wire::sign::{Signed, SigningContext, key_id};
use pairlight_wire::{Bytes, Text, Wire};

use crate::caller::Caller;
use crate::config::Place;

/// The attestation key. It has no `Debug` and never leaves this file.
pub(crate) struct Attestor(SigningKey);

impl Attestor {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    pub(crate) fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// What is said about the device that opens a slot. `issued` and `ttl` in ms.
    pub(crate) fn of_linked(&self, open: &OpenSlot, caller: &Caller, place: &Place, issued: u64, ttl: u64) -> Signed {
        let context = RelayContext {
            slot: open.slot,
            offer_ct_hash: sha256(&[open.offer_ct.as_slice()]),
            origin: caller.origin.as_deref().map(Text::truncated),
            ip_net: IpNet::from(caller.address),
            country: Text::truncated(&place.country),
            city: place.city.as_deref().map(Text::truncated),
            asn: place.asn.into(),
            ua_family: Text::truncated(&caller.agent),
            client_kind: caller.kind,
            issued,
            ttl,
        };
        self.sign(context.encode())
    }

    /// What is said about the device that claims it.
    pub(crate) fn of_primary(&self, slot: SlotId, address: IpAddr, place: &Place) -> Signed {
        let context = OwnContext {
            slot,
            ip_net: IpNet::from(address),
            country: Text::truncated(&place.country),
            city: place.city.as_deref().map(Text::truncated),
            asn: place.asn.into(),
        };
        self.sign(context.encode())
    }

    fn sign(&self, payload: Vec<u8>) -> Signed {
        let sig = self.0.sign(&SigningContext::RelayContext.input(&payload)).to_bytes();
        // A context has a few hundred bytes at most: every text in it is bounded.
        Signed { kid: key_id(&self.public_key()), payload: Bytes::new(payload).unwrap_or_default(), sig }
    }
}
