//! What travels inside an evidence item, and the datagrams of the direct challenge on the local network.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::codec::{Bytes, DecodeError, Field, List, Sink, Source, Text, record};

/// Most addresses that a linked device names for the challenge on the local network.
pub const LAN_ADDRESSES: usize = 4;
/// Most credentials that a primary device asks for at once.
pub const PASSKEY_CREDENTIALS: usize = 8;

record! {
    /// Proof of bit 4: a WebAuthn assertion (Web Authentication Level 2, section 7.2), as the browser gave it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PasskeyProof [1] {
        /// Id of the credential that signed.
        pub credential: Bytes<255>,
        /// `authenticatorData`.
        pub authenticator_data: Bytes<512>,
        /// `clientDataJSON`.
        pub client_data: Bytes<2048>,
        /// `signature`: ASN.1 for ES256, 64 bytes for EdDSA.
        pub signature: Bytes<128>,
    }
}

record! {
    /// Hint of bit 4: which assertion the primary device can verify.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PasskeyRequest [1] {
        /// Relying party id.
        pub rp_id: Text<253>,
        /// `allowCredentials`.
        pub credentials: List<Bytes<255>, PASSKEY_CREDENTIALS>,
    }
}

/// An address of the linked device. 4 bytes of IPv4 or 16 bytes of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LanAddress(pub IpAddr);

impl Field for LanAddress {
    fn put(&self, sink: &mut Sink) {
        match self.0 {
            IpAddr::V4(address) => address.octets().put(sink),
            IpAddr::V6(address) => address.octets().put(sink),
        }
    }
    fn take(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let bytes = Bytes::<16>::take(source)?;
        let bytes = bytes.as_slice();
        if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
            Ok(Self(IpAddr::V4(Ipv4Addr::from(octets))))
        } else {
            let octets = <[u8; 16]>::try_from(bytes).map_err(|_| source.malformed())?;
            Ok(Self(IpAddr::V6(Ipv6Addr::from(octets))))
        }
    }
}

record! {
    /// Proof of bit 2: where the linked device waits for challenges. Only inside the sealed channel.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct LanOffer [1] {
        /// UDP port.
        pub port: u16,
        /// Its addresses on its networks, best first.
        pub addresses: List<LanAddress, LAN_ADDRESSES>,
    }
}

record! {
    /// A datagram from the primary to the linked device.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct LanChallenge [1] {
        /// Number of the sample, from 0.
        pub number: u8,
        /// Fresh randomness.
        pub nonce: [u8; 32],
        /// `HMAC(k_lan, "challenge" || number || nonce)[0..16]`.
        pub tag: [u8; 16],
    }
}

record! {
    /// The answering datagram.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct LanAnswer [2] {
        /// Number of the sample.
        pub number: u8,
        /// `Sign(device key, "pairlight/v1/lan-answer", th2 || number || nonce)`.
        pub signature: [u8; 64],
        /// `HMAC(k_lan, "answer" || number || nonce || signature)[0..16]`.
        pub tag: [u8; 16],
    }
}
