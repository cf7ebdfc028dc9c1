//! The device that holds the account: links others.

use std::sync::{Arc, Mutex, PoisonError};

use pairlight_core::net::{Pairing, Primary};
use pairlight_core::pairing::PrimaryEvent;
use pairlight_core::payload::Payload;
use pairlight_core::trust::{Finding, Grade, Policy, ScanSource};

use super::evidence::{PrimaryHooks, with_primary_hooks};
use super::host::{Approver, KeyWrap, RelayAddress, clock_or_system, open_store};
use super::reason::EndedReason;
use super::sync::Sync;
use super::task::{Over, Owned, blocking, run};
use crate::contain::contain_async;
use crate::error::PairlightError;

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

impl From<PolicyPreset> for Policy {
    fn from(preset: PolicyPreset) -> Self {
        match preset {
            PolicyPreset::Balanced => Self::BALANCED,
            PolicyPreset::Strict => Self::STRICT,
            PolicyPreset::StrongOnly => Self::STRONG_ONLY,
            PolicyPreset::Development => Self::DEVELOPMENT,
        }
    }
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

/// What happens while a device is linked. The digits of the check code and an attestation are redacted in `Debug`.
#[derive(Clone, PartialEq, Eq, uniffi::Enum)]
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
    /// An organisation's attestation waits for the app's judgement: answer with `judge`. Only where `PrimaryHooks.judges`.
    JudgeAttestation {
        /// What it must be bound to, 32 bytes.
        challenge: Vec<u8>,
        /// Public key of the device that is attested, 32 bytes.
        device_pk: Vec<u8>,
        /// The attestation, as the other device's app gave it.
        proof: Vec<u8>,
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
    /// The relay takes no more attempts from here for so long: tell the person when to try again. `Failed` follows.
    TooManyAttempts {
        /// Until then, ms.
        retry_after_ms: u64,
    },
    /// Ended without a link. The last event.
    Failed {
        /// Why.
        reason: EndedReason,
    },
}

impl std::fmt::Debug for PairingEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Review { approval } => f.debug_struct("Review").field("approval", approval).finish(),
            Self::ShowCheckCode { .. } => f.debug_struct("ShowCheckCode").finish_non_exhaustive(),
            Self::CheckCodeConfirmed { grade } => f.debug_struct("CheckCodeConfirmed").field("grade", grade).finish(),
            Self::EvidenceChecked { bit, refuted } => {
                f.debug_struct("EvidenceChecked").field("bit", bit).field("refuted", refuted).finish()
            }
            Self::AskedForEvidence { bits } => f.debug_struct("AskedForEvidence").field("bits", bits).finish(),
            Self::JudgeAttestation { challenge, device_pk, .. } => f
                .debug_struct("JudgeAttestation")
                .field("challenge", challenge)
                .field("device_pk", device_pk)
                .finish_non_exhaustive(),
            Self::EvidenceMissing { help_keys, help } => {
                f.debug_struct("EvidenceMissing").field("help_keys", help_keys).field("help", help).finish()
            }
            Self::ApproveAgain { hold_ms } => f.debug_struct("ApproveAgain").field("hold_ms", hold_ms).finish(),
            Self::Certified => f.write_str("Certified"),
            Self::Accepted => f.write_str("Accepted"),
            Self::SecondScanner => f.write_str("SecondScanner"),
            Self::Linked { device } => f.debug_struct("Linked").field("device", device).finish(),
            Self::TooManyAttempts { retry_after_ms } => {
                f.debug_struct("TooManyAttempts").field("retry_after_ms", retry_after_ms).finish()
            }
            Self::Failed { reason } => f.debug_struct("Failed").field("reason", reason).finish(),
        }
    }
}

/// The account, on the device that holds it.
#[derive(uniffi::Object)]
pub struct PrimaryAccount {
    pub(crate) primary: Owned<Primary>,
    approver: Option<Arc<dyn Approver>>,
}

/// A link that is under way. Closing it ends the attempt without a word to the other side; `decline` or `cancel` first
/// where there is time.
#[derive(uniffi::Object)]
pub struct PairingFlow {
    pub(crate) pairing: Owned<Pairing>,
    approver: Option<Arc<dyn Approver>>,
    /// What the other device calls itself, once the review said so.
    named: Mutex<String>,
    over: Over,
}

pub(crate) fn grade_number(grade: Option<Grade>) -> u8 {
    grade.map_or(0, |grade| grade as u8)
}

impl PrimaryAccount {
    pub(crate) fn new(primary: Primary, approver: Option<Arc<dyn Approver>>) -> Self {
        Self { primary: Owned::new(primary), approver }
    }
}

#[uniffi::export]
impl PrimaryAccount {
    /// Opens the account in the store at `path`, or makes one called `name`.
    #[uniffi::constructor]
    pub async fn open(
        path: String,
        key: Arc<dyn KeyWrap>,
        relay: RelayAddress,
        policy: PolicyPreset,
        name: String,
        hooks: PrimaryHooks,
    ) -> Result<Self, PairlightError> {
        run("PrimaryAccount.open", async move {
            let client = relay.client()?;
            let store = open_store(path, key).await?;
            let clock = clock_or_system(hooks.clock.clone());
            let primary = Primary::open_at(store, client, policy.into(), &name, clock).await?;
            Ok(Self::new(with_primary_hooks(primary, &hooks), hooks.approver))
        })
        .await
    }

    /// Links the device whose code was scanned: the bytes of a code that `explain` calls an offer.
    pub async fn link(&self, code: Vec<u8>, source: Source) -> Result<PairingFlow, PairlightError> {
        let (primary, approver) = (self.primary.clone(), self.approver.clone());
        run("PrimaryAccount.link", async move {
            let Payload::PairingOffer(offer) = Payload::classify(&code) else {
                return Err(PairlightError::misuse("this code is not a linking code of this app"));
            };
            let source = match source {
                Source::LiveCamera => ScanSource::LiveCamera,
                Source::Picture => ScanSource::Picture,
                Source::Pasted => ScanSource::Pasted,
            };
            Ok(PairingFlow::new(primary.link(offer, source).await?, approver))
        })
        .await
    }

    /// Goes on with links that were interrupted by the end of the app. Call it once after `open`.
    pub async fn resume(&self) -> Result<Vec<Arc<PairingFlow>>, PairlightError> {
        let (primary, approver) = (self.primary.clone(), self.approver.clone());
        run("PrimaryAccount.resume", async move {
            let flows = primary.resume().await?.into_iter();
            Ok(flows.map(|flow| Arc::new(PairingFlow::new(flow, approver.clone()))).collect())
        })
        .await
    }

    /// Goes online and keeps the records of all devices in step. A device has one line: close it before the next.
    pub async fn sync(&self) -> Result<Sync, PairlightError> {
        let primary = self.primary.clone();
        run("PrimaryAccount.sync", async move { Ok(Sync::new(primary.sync().await?)) }).await
    }
}

impl PairingFlow {
    fn new(pairing: Pairing, approver: Option<Arc<dyn Approver>>) -> Self {
        Self { pairing: Owned::new(pairing), approver, named: Mutex::default(), over: Over::default() }
    }

    /// Whether the person unlocked the device, if the app wants that to be asked.
    async fn confirmed(&self, name: &'static str) -> Result<(), PairlightError> {
        let Some(approver) = self.approver.clone() else { return Ok(()) };
        let device_name = self.named.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let confirmed = run(name, blocking(move || approver.confirms(device_name))).await?;
        if confirmed { Ok(()) } else { Err(PairlightError::NotConfirmed) }
    }
}

#[uniffi::export]
impl PairingFlow {
    /// The next event; null after `Linked` or `Failed`.
    pub async fn next_event(&self) -> Result<Option<PairingEvent>, PairlightError> {
        contain_async("PairingFlow.next_event", async {
            let Some(raw) = self.pairing.next_event().await else { return self.over.end() };
            let event = event(raw);
            if let PairingEvent::Review { approval } = &event {
                let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
                named.clone_from(&approval.device_name);
            }
            self.over.told(matches!(event, PairingEvent::Linked { .. } | PairingEvent::Failed { .. }));
            Ok(Some(event))
        })
        .await
    }

    /// The person approved. The device's own unlock is asked for first; when it is refused, the review goes on.
    pub async fn approve(&self) -> Result<(), PairlightError> {
        contain_async("PairingFlow.approve", async {
            self.confirmed("PairingFlow.confirm").await?;
            Ok(self.pairing.approve().await?)
        })
        .await
    }

    /// The person approved again, on the warning screen.
    pub async fn approve_again(&self) -> Result<(), PairlightError> {
        contain_async("PairingFlow.approve_again", async {
            self.confirmed("PairingFlow.confirm").await?;
            Ok(self.pairing.approve_again().await?)
        })
        .await
    }

    /// The person said no.
    pub async fn decline(&self) -> Result<(), PairlightError> {
        contain_async("PairingFlow.decline", async { Ok(self.pairing.decline().await?) }).await
    }

    /// The person closed the screen.
    pub async fn cancel(&self) -> Result<(), PairlightError> {
        contain_async("PairingFlow.cancel", async { Ok(self.pairing.cancel().await?) }).await
    }
}

fn event(event: PrimaryEvent) -> PairingEvent {
    match event {
        PrimaryEvent::JudgeManaged(request) => PairingEvent::JudgeAttestation {
            challenge: request.challenge.to_vec(),
            device_pk: request.device_pk.to_vec(),
            proof: request.proof,
        },
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
        PrimaryEvent::TooManyAttempts { retry_after_ms } => PairingEvent::TooManyAttempts { retry_after_ms },
        PrimaryEvent::Linked(device) => PairingEvent::Linked { device: device.to_hex() },
        PrimaryEvent::Failed(reason) => PairingEvent::Failed { reason: reason.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_of_an_event_has_neither_digits_nor_an_attestation() {
        let says = |event: PairingEvent| format!("{event:?}");
        assert_eq!(says(PairingEvent::ShowCheckCode { digits: "123 456".into() }), "ShowCheckCode { .. }");
        let judge = PairingEvent::JudgeAttestation { challenge: vec![1], device_pk: vec![2], proof: vec![3] };
        assert_eq!(says(judge), "JudgeAttestation { challenge: [1], device_pk: [2], .. }");
        let checked = PairingEvent::EvidenceChecked { bit: 4, refuted: Some("too late".into()) };
        assert_eq!(says(checked), "EvidenceChecked { bit: 4, refuted: Some(\"too late\") }");
        assert_eq!(says(PairingEvent::CheckCodeConfirmed { grade: 2 }), "CheckCodeConfirmed { grade: 2 }");
        assert_eq!(says(PairingEvent::TooManyAttempts { retry_after_ms: 5 }), "TooManyAttempts { retry_after_ms: 5 }");
        assert_eq!(says(PairingEvent::Certified), "Certified");
        assert_eq!(says(PairingEvent::Failed { reason: EndedReason::Declined }), "Failed { reason: Declined }");
    }
}
