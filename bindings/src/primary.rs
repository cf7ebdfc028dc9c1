//! The device that holds the account.

use std::sync::Arc;

use pairlight_core::net::{Pairing, Primary, RelayClient, RelayEndpoint};
use pairlight_core::pairing::PrimaryEvent;
use pairlight_core::payload::Payload;
use pairlight_core::trust::{Finding, Grade, Policy, ScanSource};
use pairlight_wire::id::{DeviceId, parse_hex};
use pairlight_wire::list::RemovalReason;

use crate::connection::Line;
use crate::error::{EndedReason, PairlightError};
use crate::runtime::run;
use crate::vault::{KeyVault, open};

/// Which evidence a link needs, and what it grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum PolicyPreset {
    /// The default.
    Balanced,
    /// Little for little evidence.
    Strict,
    /// Only strong evidence links.
    StrongOnly,
    /// No delays; for development.
    Development,
}

/// How a code reached this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Source {
    /// The live camera of the app's own link screen.
    LiveCamera,
    /// A picture; weak evidence.
    Picture,
    /// Pasted text; weak evidence.
    Pasted,
}

/// What the approval screen must show. Decline is the default.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Approval {
    /// The device's own name for itself.
    pub device_name: String,
    /// Operating system.
    pub os: String,
    /// Program or browser.
    pub app: String,
    /// Whether it runs in a browser.
    pub in_browser: bool,
    /// Origin of the page.
    pub origin: Option<String>,
    /// Where it is, as far as the relay knows.
    pub place: Option<String>,
    /// Whether both devices are in one network or place.
    pub same_place: bool,
    /// Keys of the warnings.
    pub warning_keys: Vec<String>,
    /// The warnings in English.
    pub warnings: Vec<String>,
    /// Keys of what would help, where the policy refuses the grade so far.
    pub help_keys: Vec<String>,
    /// The same in English.
    pub help: Vec<String>,
    /// The name in the account of the lapsed device that this one claims to be.
    pub returning: Option<String>,
    /// 1 weak (red), 2 medium (place and browser large), 3 strong: the grade so far.
    pub grade_so_far: u8,
    /// How long "approve" must be held, ms.
    pub hold_ms: u64,
    /// Whether the person will be asked again unless further evidence comes.
    pub asks_twice: bool,
}

/// What happens while a device is linked.
#[expect(clippy::large_enum_variant, reason = "copied across the border field by field; one review a link")]
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum PairingEvent {
    /// Show the approval screen; answer with `approve` or `decline`.
    Review {
        /// What it shows.
        approval: Approval,
    },
    /// Show these six digits.
    ShowCheckCode {
        /// As `123 456`.
        digits: String,
    },
    /// The person typed them right.
    CheckCodeConfirmed {
        /// 1 weak, 2 medium, 3 strong.
        grade: u8,
    },
    /// A piece of evidence was checked.
    EvidenceChecked {
        /// Its number, 0 to 7.
        bit: u8,
        /// What is wrong with it, in English; null when it holds.
        refuted: Option<String>,
    },
    /// The other device was told which evidence would help.
    AskedForEvidence {
        /// Their numbers.
        bits: Vec<u8>,
    },
    /// The policy refuses the link with the evidence there is; `Failed` follows.
    EvidenceMissing {
        /// Keys of what would help.
        help_keys: Vec<String>,
        /// The same in English.
        help: Vec<String>,
    },
    /// Weak evidence: show the warning screen; answer with `approveAgain` or `decline`.
    ApproveAgain {
        /// How long "approve" must be held, ms.
        hold_ms: u64,
    },
    /// The certificate is signed.
    Certified,
    /// The other device counter-signed.
    Accepted,
    /// Somebody else tried to scan the code.
    SecondScanner,
    /// Linked. The last event.
    Linked {
        /// Id of the new device.
        device: String,
    },
    /// Ended without a link. The last event.
    Failed {
        /// Why.
        reason: EndedReason,
    },
}

/// One device of the account.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Device {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Its name, when it can be read.
    pub name: Option<String>,
    /// Whether it is this device.
    pub is_this: bool,
    /// When it was linked, ms since 1970.
    pub linked_ms: u64,
    /// 1 weak, 2 medium, 3 strong; 0 unknown.
    pub grade: u8,
}

/// The account, on the device that holds it.
#[derive(Debug, uniffi::Object)]
pub struct PrimaryAccount(Primary);

/// A link that is under way.
#[derive(Debug, uniffi::Object)]
pub struct PairingFlow(Pairing);

pub(crate) fn client(url: &str, key: &str) -> Result<RelayClient, PairlightError> {
    let key = parse_hex(key).ok_or_else(|| PairlightError::misuse("the relay's key has 64 hexadecimal digits"))?;
    Ok(RelayClient::new(RelayEndpoint::new(url, key)?)?)
}

pub(crate) fn device_id(id: &str) -> Result<DeviceId, PairlightError> {
    DeviceId::from_hex(id).ok_or_else(|| PairlightError::misuse("a device id has 32 hexadecimal digits"))
}

pub(crate) fn grade_number(grade: Option<Grade>) -> u8 {
    grade.map_or(0, |grade| grade as u8)
}

#[uniffi::export]
impl PrimaryAccount {
    /// Opens the account in the store at `path`, or makes one called `name`. `relay_key` is the relay's pinned
    /// attestation key, 64 hexadecimal digits.
    #[uniffi::constructor]
    pub async fn open(
        path: String,
        vault: Arc<dyn KeyVault>,
        relay_url: String,
        relay_key: String,
        policy: PolicyPreset,
        name: String,
    ) -> Result<Self, PairlightError> {
        run(async move {
            let client = client(&relay_url, &relay_key)?;
            let store = blocking(move || open(&path, vault)).await?;
            let policy = match policy {
                PolicyPreset::Balanced => Policy::BALANCED,
                PolicyPreset::Strict => Policy::STRICT,
                PolicyPreset::StrongOnly => Policy::STRONG_ONLY,
                PolicyPreset::Development => Policy::DEVELOPMENT,
            };
            Ok(Self(Primary::open(store, client, policy, &name).await?))
        })
        .await
    }

    /// Links the device whose code was scanned: the bytes of a code that `explain` calls an offer.
    pub async fn link(&self, code: Vec<u8>, source: Source) -> Result<PairingFlow, PairlightError> {
        let primary = self.0.clone();
        run(async move {
            let Payload::PairingOffer(offer) = Payload::classify(&code) else {
                return Err(PairlightError::misuse("this code is not a linking code of this app"));
            };
            let source = match source {
                Source::LiveCamera => ScanSource::LiveCamera,
                Source::Picture => ScanSource::Picture,
                Source::Pasted => ScanSource::Pasted,
            };
            Ok(PairingFlow(primary.link(offer, source).await?))
        })
        .await
    }

    /// Goes on with links that were interrupted by the end of the app. Call it once after `open`.
    pub async fn resume(&self) -> Result<Vec<Arc<PairingFlow>>, PairlightError> {
        let primary = self.0.clone();
        let flows = run(async move { Ok(primary.resume().await?) }).await?;
        Ok(flows.into_iter().map(|flow| Arc::new(PairingFlow(flow))).collect())
    }

    /// The account's devices.
    pub async fn devices(&self) -> Result<Vec<Device>, PairlightError> {
        let primary = self.0.clone();
        let devices = run(async move { Ok(primary.devices().await?) }).await?;
        Ok(devices
            .into_iter()
            .map(|device| Device {
                id: device.id.to_hex(),
                name: device.name,
                is_this: device.is_this,
                linked_ms: device.linked.unix_ms(),
                grade: grade_number(device.grade),
            })
            .collect())
    }

    /// Takes a device off the account: its sessions end, its data is erased there.
    pub async fn revoke(&self, device: String) -> Result<(), PairlightError> {
        let (primary, device) = (self.0.clone(), device_id(&device)?);
        run(async move { Ok(primary.revoke(device, RemovalReason::Revoked).await?) }).await
    }

    /// Gives a device another name.
    pub async fn rename(&self, device: String, name: String) -> Result<(), PairlightError> {
        let (primary, device) = (self.0.clone(), device_id(&device)?);
        run(async move { Ok(primary.rename(device, &name).await?) }).await
    }

    /// Goes online.
    pub async fn connect(&self) -> Result<Line, PairlightError> {
        let primary = self.0.clone();
        run(async move { Ok(Line::new(primary.connect().await?)) }).await
    }
}

/// Runs what blocks where that is allowed.
pub(crate) async fn blocking<T, W>(work: W) -> Result<T, PairlightError>
where
    T: Send + 'static,
    W: FnOnce() -> Result<T, PairlightError> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| PairlightError::internal("a blocking task ended unexpectedly"))?
}

#[uniffi::export]
impl PairingFlow {
    /// The next event; null after `Linked` or `Failed`.
    pub async fn next_event(&self) -> Option<PairingEvent> {
        loop {
            if let Some(event) = event(self.0.next_event().await?) {
                return Some(event);
            }
        }
    }

    /// The person approved, after unlocking the device.
    pub async fn approve(&self) -> Result<(), PairlightError> {
        Ok(self.0.approve().await?)
    }

    /// The person approved again, on the warning screen.
    pub async fn approve_again(&self) -> Result<(), PairlightError> {
        Ok(self.0.approve_again().await?)
    }

    /// The person said no.
    pub async fn decline(&self) -> Result<(), PairlightError> {
        Ok(self.0.decline().await?)
    }

    /// The person closed the screen.
    pub async fn cancel(&self) -> Result<(), PairlightError> {
        Ok(self.0.cancel().await?)
    }
}

/// `None` for what the bindings have no hook for yet.
fn event(event: PrimaryEvent) -> Option<PairingEvent> {
    Some(match event {
        // No app is asked through the bindings: `EvidenceSetup::managed` is off.
        PrimaryEvent::JudgeManaged(_) => return None,
        PrimaryEvent::EvidenceChecked { bit, finding } => PairingEvent::EvidenceChecked {
            bit: bit.number(),
            refuted: match finding {
                Finding::Proven => None,
                Finding::Refuted(why) => Some(why.to_string()),
            },
        },
        PrimaryEvent::AskedForEvidence(bits) => {
            PairingEvent::AskedForEvidence { bits: bits.iter().map(|bit| bit.number()).collect() }
        }
        PrimaryEvent::EvidenceMissing { help, .. } => PairingEvent::EvidenceMissing {
            help_keys: help.iter().map(|help| help.key().to_owned()).collect(),
            help: help.iter().map(|help| help.text().to_owned()).collect(),
        },
        PrimaryEvent::Review(model) => PairingEvent::Review {
            approval: Approval {
                device_name: model.device_name,
                os: model.os,
                app: model.app,
                in_browser: model.in_browser,
                origin: model.origin,
                place: model.place,
                same_place: model.same_place,
                warning_keys: model.warnings.iter().map(|warning| warning.key().to_owned()).collect(),
                warnings: model.warnings.iter().map(|warning| warning.text().to_owned()).collect(),
                help_keys: model.help.iter().map(|help| help.key().to_owned()).collect(),
                help: model.help.iter().map(|help| help.text().to_owned()).collect(),
                returning: model.returning,
                grade_so_far: grade_number(Some(model.grade_so_far)),
                hold_ms: model.hold_ms,
                asks_twice: model.asks_twice,
            },
        },
        PrimaryEvent::ShowCheckCode(code) => PairingEvent::ShowCheckCode { digits: code.to_display() },
        PrimaryEvent::CheckCodeConfirmed { grade } => {
            PairingEvent::CheckCodeConfirmed { grade: grade_number(Some(grade)) }
        }
        PrimaryEvent::ApproveAgain { hold_ms } => PairingEvent::ApproveAgain { hold_ms },
        PrimaryEvent::Certified => PairingEvent::Certified,
        PrimaryEvent::Accepted => PairingEvent::Accepted,
        PrimaryEvent::SecondScanner => PairingEvent::SecondScanner,
        PrimaryEvent::Linked(device) => PairingEvent::Linked { device: device.to_hex() },
        PrimaryEvent::Failed(reason) => PairingEvent::Failed { reason: reason.into() },
    })
}
