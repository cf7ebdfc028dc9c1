//! Which evidence can be had at all, and what came of each piece.

use core::time::Duration;

use pairlight_wire::id::DeviceId;

use super::evidence::{Evidence, EvidenceBit};
use super::known::KnownError;
use super::lan::LanVerdict;
use super::passkey::{PasskeyError, PasskeyRegistration};

/// What a primary device can check, besides the check code and the relay's context. By default nothing.
#[derive(Debug, Clone, Default)]
pub struct EvidenceSetup {
    /// The driver can send datagrams on the local network; an answer within this span is in time:
    /// [`super::lan::LAN_LIMIT`], longer only for tests on busy machines.
    pub lan: Option<Duration>,
    /// The host has a radio that can advertise.
    pub radio: bool,
    /// The host judges attestations of an organisation.
    pub managed: bool,
    /// Passkeys that the app made and registered.
    pub passkeys: Vec<PasskeyRegistration>,
    /// Origins of pages that may show this app's codes, besides those of the passkeys. For a warning only.
    pub origins: Vec<String>,
    /// Listed devices whose lease has lapsed: they may come back with their own key.
    pub lapsed: Vec<DeviceId>,
}

impl EvidenceSetup {
    /// The bits that this device could verify.
    #[must_use]
    pub fn verifiable(&self) -> Evidence {
        let bits = [
            (EvidenceBit::Lan, self.lan.is_some()),
            (EvidenceBit::Ble, self.radio),
            (EvidenceBit::Passkey, !self.passkeys.is_empty()),
            (EvidenceBit::Managed, self.managed),
        ];
        let set = bits.into_iter().filter(|(_, can)| *can);
        set.fold(Evidence::NONE, |evidence, (bit, _)| evidence.with(bit))
    }

    /// Whether a page on `origin` belongs to this app. Without any known origin nothing can be said: `true`.
    #[must_use]
    pub fn knows_origin(&self, origin: &str) -> bool {
        let nothing_known = self.origins.is_empty() && self.passkeys.is_empty();
        nothing_known
            || self.origins.iter().any(|known| known == origin)
            || self.passkeys.iter().any(|passkey| passkey.allows_origin(origin))
    }
}

/// What a linked device can give, besides the check code. By default nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkedAbilities {
    /// The driver can answer datagrams on the local network.
    pub lan: bool,
    /// The host has a radio that can listen.
    pub radio: bool,
    /// The app can ask the browser for a passkey.
    pub passkey: bool,
    /// The app has an attestation of an organisation.
    pub managed: bool,
}

/// What came of one piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It holds.
    Proven,
    /// It does not, and why.
    Refuted(Refutation),
}

/// Why a piece of evidence does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refutation {
    /// The passkey.
    #[error(transparent)]
    Passkey(#[from] PasskeyError),
    /// The linked device named no address of a local network.
    #[error("the other device named no address on a local network")]
    NoLocalAddress,
    /// Nothing answered on the local network.
    #[error("the other device does not answer on the local network")]
    Silent,
    /// Answers took too long.
    #[error("the other device's answers on the local network took too long")]
    TooSlow(LanVerdict),
    /// The linked device is a page, which cannot have shown this.
    #[error("the other device runs in a browser, which cannot show this")]
    InBrowser,
    /// The linked device did not hear what this one advertised.
    #[error("the other device did not hear this one's radio")]
    NotHeard,
    /// The device is not a known one that lapsed.
    #[error(transparent)]
    Known(#[from] KnownError),
    /// Another word arrived over the cable or the tap.
    #[error("what came over the cable or the tap is of another link")]
    OtherTap,
    /// The host app did not accept the attestation.
    #[error("the organisation does not vouch for the other device")]
    NotAttested,
    /// The host app did not judge in time.
    #[error("there was no verdict in time")]
    NoVerdict,
}

/// What would help, where a policy refuses a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Help {
    /// This evidence.
    Evidence(EvidenceBit),
    /// Scanning with the camera instead of a picture or pasted text.
    LiveCamera,
}

impl Help {
    /// Stable key.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::LiveCamera => "live_camera",
            Self::Evidence(bit) => match bit {
                EvidenceBit::CheckCode => "check_code",
                EvidenceBit::RelayContext => "same_network",
                EvidenceBit::Lan => "local_network",
                EvidenceBit::Ble => "bluetooth",
                EvidenceBit::Passkey => "passkey",
                EvidenceBit::Tap => "cable_or_tap",
                EvidenceBit::KnownDevice => "known_device",
                EvidenceBit::Managed => "managed",
            },
        }
    }

    /// English text.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::LiveCamera => "Scan the code with this app's camera, straight from the other device's screen.",
            Self::Evidence(bit) => match bit {
                EvidenceBit::CheckCode => "Type the digits on the other device.",
                EvidenceBit::RelayContext => "Bring both devices into the same network.",
                EvidenceBit::Lan => "Bring both devices into the same local network.",
                EvidenceBit::Ble => "Switch on Bluetooth on both devices.",
                EvidenceBit::Passkey => "Use your passkey on the other device.",
                EvidenceBit::Tap => "Connect the two devices with a cable, or hold them together.",
                EvidenceBit::KnownDevice => "Use a device that was linked before.",
                EvidenceBit::Managed => "Use a device that your organisation manages.",
            },
        }
    }
}
