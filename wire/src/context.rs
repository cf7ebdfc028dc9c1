//! What the relay saw of the two devices, signed by the relay: evidence, not proof.

use crate::codec::{DecodeError, Field, Sink, Source, Text, record};
use crate::id::SlotId;
use crate::offer::ClientKind;

/// The network part of an address: 3 bytes of IPv4 (/24) or 6 bytes of IPv6 (/48). The host part never leaves the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IpNet {
    /// An IPv4 /24.
    V4([u8; 3]),
    /// An IPv6 /48.
    V6([u8; 6]),
}

impl From<core::net::IpAddr> for IpNet {
    fn from(address: core::net::IpAddr) -> Self {
        match address.to_canonical() {
            core::net::IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Self::V4([a, b, c])
            }
            core::net::IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, ..] = v6.octets();
                Self::V6([a, b, c, d, e, f])
            }
        }
    }
}

impl Field for IpNet {
    fn put(&self, sink: &mut Sink) {
        match self {
            Self::V4(net) => net.put(sink),
            Self::V6(net) => net.put(sink),
        }
    }
    fn take(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let bytes = crate::Bytes::<6>::take(source)?;
        let bytes = bytes.as_slice();
        if let Ok(net) = bytes.try_into() {
            Ok(Self::V4(net))
        } else {
            bytes.try_into().map(Self::V6).map_err(|_| source.malformed())
        }
    }
}

record! {
    /// Who opened the slot, as the relay saw it. Travels as [`crate::sign::Signed`] by the relay's attestation key.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct RelayContext [1] {
        /// The slot.
        pub slot: SlotId,
        /// SHA-256 of the sealed offer.
        pub offer_ct_hash: [u8; 32],
        /// `Origin` header of a browser.
        pub origin: Option<Text<128>>,
        /// Network of the linked device.
        pub ip_net: IpNet,
        /// ISO 3166 country, or `ZZ` when unknown.
        pub country: Text<2>,
        /// City, when known.
        pub city: Option<Text<64>>,
        /// Autonomous system number; 0 when unknown.
        pub asn: u64,
        /// Browser family from the user agent; for display.
        pub ua_family: Text<32>,
        /// Browser or program, as the relay saw it.
        pub client_kind: ClientKind,
        /// When the slot was opened, ms since 1970 by the relay's clock.
        pub issued: u64,
        /// How long the slot lives, ms.
        pub ttl: u64,
    }
}

record! {
    /// What the relay saw of the device that claimed the slot, for the comparison on that device.
    /// Travels as [`crate::sign::Signed`] by the relay's attestation key. Signed under the same label as
    /// [`RelayContext`], so its kind keeps one from being taken for the other.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct OwnContext [2] {
        /// The slot.
        pub slot: SlotId,
        /// Network of the primary device.
        pub ip_net: IpNet,
        /// ISO 3166 country, or `ZZ` when unknown.
        pub country: Text<2>,
        /// City, when known.
        pub city: Option<Text<64>>,
        /// Autonomous system number; 0 when unknown.
        pub asn: u64,
    }
}

impl RelayContext {
    /// Whether both devices are in the same network, or in the same city of the same provider (evidence bit CTX).
    #[must_use]
    pub fn matches(&self, own: &OwnContext) -> bool {
        let same_city = self.city.is_some() && self.city == own.city && self.country == own.country;
        self.ip_net == own.ip_net || (self.asn != 0 && self.asn == own.asn && same_city)
    }
}
