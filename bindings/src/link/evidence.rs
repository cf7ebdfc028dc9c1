//! Evidence that an app brings into a link: passkeys, a radio, what came over a cable or a tap, an organisation's attestation.
//! `docs/protocol.md` 10.

use std::sync::Arc;

use pairlight_core::net::{LinkedDevice, Primary};
use pairlight_core::pairing::{AppEvidence, EvidenceWanted};
use pairlight_core::trust::lan::LAN_LIMIT;
use pairlight_core::trust::{
    EvidenceSetup, LinkedAbilities, ManagedVerdict, PasskeyRegistration, RadioOrder, TapMedium as Medium,
};
use pairlight_wire::Bytes;
use pairlight_wire::evidence::PasskeyProof;

use super::host::{Approver, Clock};
use super::linked::LinkingFlow;
use super::primary::{PairingFlow, PrimaryAccount};
use super::task::run;
use crate::contain::{contain, contain_async};
use crate::error::PairlightError;

/// What the record of evidence has room for (`EvidenceItem.proof`).
const ATTESTATION_BYTES: usize = 4_096;

/// A Bluetooth Low Energy radio of the app's. Called on threads of this library; it must not block. A radio that is off or not
/// allowed does nothing: then there is no such evidence, and a failure is not told to anybody.
#[uniffi::export(with_foreign)]
pub trait Radio: Send + Sync {
    /// On the device that holds the account: advertise this 128-bit service UUID until told to stop.
    fn advertise(&self, uuid: String) -> Result<(), PairlightError>;
    /// On the device that joins: listen, and report each 128-bit service UUID with `LinkingFlow.heard`.
    fn listen(&self) -> Result<(), PairlightError>;
    /// Be silent and deaf again.
    fn stop(&self) -> Result<(), PairlightError>;
}

/// What the app answers for on the device that holds the account. By default nothing but the local network.
#[derive(uniffi::Record)]
pub struct PrimaryHooks {
    /// Asked before each approval takes effect; without one the app answers for the unlock by itself.
    pub approver: Option<Arc<dyn Approver>>,
    /// Whether the other device is looked for on the local network; some platforms ask the person before.
    pub local_network: bool,
    /// Advertises while a device is linked.
    pub radio: Option<Arc<dyn Radio>>,
    /// Whether the app judges attestations: answers `JudgeAttestation`.
    pub judges: bool,
    /// In place of the system's clock, for tests.
    pub clock: Option<Arc<dyn Clock>>,
}

impl Default for PrimaryHooks {
    fn default() -> Self {
        Self { approver: None, local_network: true, radio: None, judges: false, clock: None }
    }
}

/// What the app can do on a device that is, or wants to be, linked. By default nothing but the local network.
#[derive(uniffi::Record)]
pub struct LinkedHooks {
    /// Whether to answer on the local network; some platforms ask the person before.
    pub local_network: bool,
    /// Listens while this device is linked.
    pub radio: Option<Arc<dyn Radio>>,
    /// Whether the app can use a passkey: answers `EvidenceWanted`.
    pub passkey: bool,
    /// Whether it has an attestation of an organisation: likewise.
    pub attestation: bool,
    /// In place of the system's clock, for tests.
    pub clock: Option<Arc<dyn Clock>>,
}

impl Default for LinkedHooks {
    fn default() -> Self {
        Self { local_network: true, radio: None, passkey: false, attestation: false, clock: None }
    }
}

struct Air(Arc<dyn Radio>);

impl pairlight_core::trust::Radio for Air {
    fn perform(&self, order: RadioOrder) {
        // No such evidence, then: the grade says so.
        let done = match order {
            RadioOrder::Advertise(uuid) => self.0.advertise(uuid_text(uuid)),
            RadioOrder::Listen => self.0.listen(),
            RadioOrder::Stop => self.0.stop(),
        };
        if done.is_err() {
            tracing::debug!("the app's radio refuses");
        }
    }
}

/// As UUIDs are written: 8-4-4-4-12 hexadecimal digits.
fn uuid_text(uuid: [u8; 16]) -> String {
    let digits = pairlight_wire::id::to_hex(&uuid);
    let group = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    [group(0, 8), group(8, 12), group(12, 16), group(16, 20), group(20, 32)].join("-")
}

fn uuid_of(text: &str) -> Option<[u8; 16]> {
    pairlight_wire::id::parse_hex(&text.replace('-', "").to_ascii_lowercase())
}

pub(crate) fn with_primary_hooks(primary: Primary, hooks: &PrimaryHooks) -> Primary {
    let lan = hooks.local_network.then_some(LAN_LIMIT);
    let primary = primary.with_evidence(EvidenceSetup { lan, managed: hooks.judges, ..EvidenceSetup::default() });
    match hooks.radio.clone() {
        Some(radio) => primary.with_radio(Arc::new(Air(radio))),
        None => primary,
    }
}

pub(crate) fn with_linked_hooks(device: LinkedDevice, hooks: LinkedHooks) -> LinkedDevice {
    let LinkedHooks { local_network: lan, passkey, attestation: managed, .. } = hooks;
    let device = device.with_abilities(LinkedAbilities { lan, passkey, managed, ..LinkedAbilities::default() });
    match hooks.radio {
        Some(radio) => device.with_radio(Arc::new(Air(radio))),
        None => device,
    }
}

/// A passkey that the app has just made, to be registered.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Passkey {
    /// Credential id, 1 to 255 bytes.
    pub credential: Vec<u8>,
    /// The public key in COSE form (RFC 9052): ES256, or EdDSA with Ed25519.
    pub public_key: Vec<u8>,
    /// Relying party id, such as `example.com`.
    pub rp_id: String,
    /// Origins that may ask it, 1 to 8: `https://link.example.com`.
    pub origins: Vec<String>,
}

/// A passkey that was registered.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct RegisteredPasskey {
    /// Credential id.
    pub credential: Vec<u8>,
    /// Relying party id.
    pub rp_id: String,
}

/// What to ask the platform's passkeys for, with user verification required.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct PasskeyWanted {
    /// Relying party id.
    pub rp_id: String,
    /// Ids of the credentials that count.
    pub credentials: Vec<Vec<u8>>,
    /// What it signs, 32 bytes.
    pub challenge: Vec<u8>,
}

impl PasskeyWanted {
    pub(crate) fn both(wanted: EvidenceWanted) -> (Option<Self>, Option<Vec<u8>>) {
        let passkey = wanted.passkey.map(|wanted| Self {
            rp_id: wanted.rp_id,
            credentials: wanted.credentials,
            challenge: wanted.challenge.to_vec(),
        });
        (passkey, wanted.managed.map(|challenge| challenge.to_vec()))
    }
}

/// A WebAuthn assertion, as the platform gave it.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct PasskeyAssertion {
    /// Id of the credential that signed.
    pub credential: Vec<u8>,
    /// `authenticatorData`.
    pub authenticator_data: Vec<u8>,
    /// `clientDataJSON`.
    pub client_data: Vec<u8>,
    /// `signature`.
    pub signature: Vec<u8>,
}

/// What carried a word from one device to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum TapMedium {
    /// A cable between the two.
    Cable,
    /// Near-field communication.
    Nfc,
}

#[uniffi::export]
impl PrimaryAccount {
    /// Registers a passkey that the app has made: from the next link on, a device that can is asked for its assertion.
    pub async fn register_passkey(&self, passkey: Passkey) -> Result<(), PairlightError> {
        let primary = self.primary.clone();
        run("PrimaryAccount.register_passkey", async move {
            let origins: Vec<&str> = passkey.origins.iter().map(String::as_str).collect();
            let registration =
                PasskeyRegistration::new(&passkey.credential, &passkey.public_key, &passkey.rp_id, &origins);
            Ok(primary.register_passkey(registration.map_err(PairlightError::misuse)?).await?)
        })
        .await
    }

    /// Forgets a passkey, by its credential id.
    pub async fn forget_passkey(&self, credential: Vec<u8>) -> Result<(), PairlightError> {
        let primary = self.primary.clone();
        run("PrimaryAccount.forget_passkey", async move { Ok(primary.forget_passkey(&credential).await?) }).await
    }

    /// The registered passkeys.
    pub async fn passkeys(&self) -> Result<Vec<RegisteredPasskey>, PairlightError> {
        let primary = self.primary.clone();
        run("PrimaryAccount.passkeys", async move {
            let known = primary.passkeys().await?;
            let known = known.iter().map(|known| RegisteredPasskey {
                credential: known.credential().to_vec(),
                rp_id: known.rp_id().to_owned(),
            });
            Ok(known.collect())
        })
        .await
    }
}

#[uniffi::export]
impl PairingFlow {
    /// What the other device's app sent over a cable or a tap has arrived. The app answers for the medium.
    pub async fn tapped(&self, medium: TapMedium, word: Vec<u8>) -> Result<(), PairlightError> {
        contain_async("PairingFlow.tapped", async {
            let medium = match medium {
                TapMedium::Cable => Medium::Cable,
                TapMedium::Nfc => Medium::Nfc,
            };
            Ok(self.pairing.tapped(medium, &word).await?)
        })
        .await
    }

    /// The answer to `JudgeAttestation`: whether the organisation vouches for this device in this link.
    pub async fn judge(&self, attested: bool) -> Result<(), PairlightError> {
        contain_async("PairingFlow.judge", async {
            let verdict = if attested { ManagedVerdict::Attested } else { ManagedVerdict::NotAttested };
            Ok(self.pairing.judge_managed(verdict).await?)
        })
        .await
    }
}

#[uniffi::export]
impl LinkingFlow {
    /// The answer to `EvidenceWanted`: what the app could get, nothing where it could not. An attestation has 4,096 bytes at
    /// most.
    pub async fn give_evidence(
        &self,
        passkey: Option<PasskeyAssertion>,
        attestation: Option<Vec<u8>>,
    ) -> Result<(), PairlightError> {
        contain_async("LinkingFlow.give_evidence", async {
            let proof = passkey.map(proof).transpose()?;
            let given = proof.map(|proof| AppEvidence::Passkey(Box::new(proof))).into_iter();
            if attestation.as_ref().is_some_and(|attestation| attestation.len() > ATTESTATION_BYTES) {
                return Err(PairlightError::misuse("an attestation has 4,096 bytes at most"));
            }
            let given = given.chain(attestation.map(AppEvidence::Managed)).collect();
            Ok(self.linking.give_evidence(given).await?)
        })
        .await
    }

    /// The radio heard a 128-bit service UUID. One that cannot be read is nobody's.
    pub async fn heard(&self, uuid: String) -> Result<(), PairlightError> {
        contain_async("LinkingFlow.heard", async {
            match uuid_of(&uuid) {
                Some(uuid) => Ok(self.linking.heard(uuid).await?),
                None => Ok(()),
            }
        })
        .await
    }

    /// What this device's app sends over a cable or a tap, 16 bytes; null before the check code can be typed.
    pub fn tap_word(&self) -> Result<Option<Vec<u8>>, PairlightError> {
        contain("LinkingFlow.tap_word", || Ok(self.linking.tap_word().map(|word| word.as_bytes().to_vec())))
    }
}

fn proof(given: PasskeyAssertion) -> Result<PasskeyProof, PairlightError> {
    let long = |_| PairlightError::misuse("a part of the assertion is too long");
    Ok(PasskeyProof {
        credential: Bytes::new(given.credential).map_err(long)?,
        authenticator_data: Bytes::new(given.authenticator_data).map_err(long)?,
        client_data: Bytes::new(given.client_data).map_err(long)?,
        signature: Bytes::new(given.signature).map_err(long)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_written_and_read_as_platforms_do() {
        let uuid = [0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3, 0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40, 0x00];
        assert_eq!(uuid_text(uuid), "123e4567-e89b-12d3-a456-426614174000");
        assert_eq!(uuid_of("123E4567-E89B-12D3-A456-426614174000"), Some(uuid));
        assert_eq!(uuid_of("180D"), None);
    }
}
