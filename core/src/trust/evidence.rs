//! Evidence bits and the grade that they give (docs/protocol.md, "Evidence grades").

use pairlight_wire::device::Preset;

/// One kind of evidence. The number is the bit in the signed certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EvidenceBit {
    /// The person typed the check code on the linked device. Defeats shoulder surfing and racing scanners.
    CheckCode = 0,
    /// The relay saw both devices in one network, or in one city of one provider.
    RelayContext = 1,
    /// Direct answers on the local network within 15 ms. Native linked devices only.
    Lan = 2,
    /// The linked device heard the primary device's Bluetooth advertisement.
    Ble = 3,
    /// A WebAuthn assertion over the transcript, verified on the primary device.
    Passkey = 4,
    /// A cable or NFC tap, reported by the app.
    Tap = 5,
    /// A device that was linked before and was not revoked.
    KnownDevice = 6,
    /// Attested by an organisation, reported by the app.
    Managed = 7,
}

impl EvidenceBit {
    /// All, by their numbers.
    pub const ALL: [Self; 8] = [
        Self::CheckCode,
        Self::RelayContext,
        Self::Lan,
        Self::Ble,
        Self::Passkey,
        Self::Tap,
        Self::KnownDevice,
        Self::Managed,
    ];

    /// The bit with a number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether only a program can give it: a page reaches neither the local network nor a radio that listens, so whoever
    /// gives it for a page is somebody else.
    #[must_use]
    pub const fn needs_a_program(self) -> bool {
        matches!(self, Self::Lan | Self::Ble)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    const fn mask(self) -> u64 {
        1 << (self as u64)
    }
}

/// How the code reached the primary device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanSource {
    /// The live camera of the app's own link screen.
    LiveCamera,
    /// A picture or screenshot: it can have been forwarded, so the link is never better than weak.
    Picture,
    /// Pasted text, for the same reason.
    Pasted,
}

/// How much the evidence proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// A remote phisher with a live page could have done this.
    Weak = 1,
    /// Needs an attacker in the same network or city.
    Medium = 2,
    /// Needs an attacker in the same room, or the real origin.
    Strong = 3,
}

impl Grade {
    /// The grade in a word.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Weak => "weak",
            Self::Medium => "medium",
            Self::Strong => "strong",
        }
    }
}

/// A set of verified evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evidence(u64);

impl Evidence {
    /// No evidence.
    pub const NONE: Self = Self(0);

    /// This set with `bit`.
    #[must_use]
    pub const fn with(self, bit: EvidenceBit) -> Self {
        Self(self.0 | bit.mask())
    }

    /// Whether `bit` was verified.
    #[must_use]
    pub const fn has(self, bit: EvidenceBit) -> bool {
        self.0 & bit.mask() != 0
    }

    /// This set without what is in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in it, by number.
    pub fn iter(self) -> impl Iterator<Item = EvidenceBit> {
        EvidenceBit::ALL.into_iter().filter(move |bit| self.has(*bit))
    }

    /// As a number: bit n is evidence n.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// From a number; bits that this version does not know are dropped.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & 0xff)
    }

    /// The grade, capped by how the code arrived.
    #[must_use]
    pub fn grade(self, source: ScanSource) -> Grade {
        use EvidenceBit::{Ble, CheckCode, KnownDevice, Lan, Managed, Passkey, RelayContext, Tap};
        if source != ScanSource::LiveCamera {
            return Grade::Weak;
        }
        if [Ble, Passkey, Tap, KnownDevice, Managed].iter().any(|bit| self.has(*bit)) {
            Grade::Strong
        } else if self.has(Lan) || (self.has(CheckCode) && self.has(RelayContext)) {
            Grade::Medium
        } else {
            Grade::Weak
        }
    }

    /// The number for the certificate: evidence in bits 0 to 7, grade in 8 and 9, preset in 12 to 15.
    #[must_use]
    pub fn to_certificate(self, grade: Grade, preset: Preset) -> u64 {
        self.0 | ((grade as u64) << 8) | (preset.code() << 12)
    }

    /// Reads [`Evidence::to_certificate`] back.
    #[must_use]
    pub fn from_certificate(field: u64) -> (Self, Option<Grade>, Option<Preset>) {
        let grade = match (field >> 8) & 3 {
            1 => Some(Grade::Weak),
            2 => Some(Grade::Medium),
            3 => Some(Grade::Strong),
            _ => None,
        };
        (Self(field & 0xff), grade, Preset::from_code((field >> 12) & 15))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grades_follow_the_table() {
        let live = ScanSource::LiveCamera;
        let code = Evidence::NONE.with(EvidenceBit::CheckCode);
        assert_eq!(Evidence::NONE.grade(live), Grade::Weak);
        assert_eq!(code.grade(live), Grade::Weak);
        assert_eq!(Evidence::NONE.with(EvidenceBit::RelayContext).grade(live), Grade::Weak);
        assert_eq!(code.with(EvidenceBit::RelayContext).grade(live), Grade::Medium);
        assert_eq!(Evidence::NONE.with(EvidenceBit::Lan).grade(live), Grade::Medium);
        for bit in [EvidenceBit::Ble, EvidenceBit::Passkey, EvidenceBit::Tap, EvidenceBit::Managed] {
            assert_eq!(code.with(bit).grade(live), Grade::Strong);
            assert_eq!(code.with(bit).grade(ScanSource::Picture), Grade::Weak);
            assert_eq!(code.with(bit).grade(ScanSource::Pasted), Grade::Weak);
        }
    }

    #[test]
    fn the_certificate_field_reads_back() {
        let evidence = Evidence::NONE.with(EvidenceBit::CheckCode).with(EvidenceBit::Ble);
        let field = evidence.to_certificate(Grade::Strong, Preset::Balanced);
        assert_eq!(Evidence::from_certificate(field), (evidence, Some(Grade::Strong), Some(Preset::Balanced)));
    }
}
