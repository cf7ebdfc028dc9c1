//! A device that is, or wants to be, linked.

use std::sync::Arc;

use pairlight_core::net::{LinkedDevice, Linking};
use pairlight_core::pairing::{CodeMatrix, DeviceDescription, LinkedEvent};
use pairlight_wire::offer::ClientKind;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::alert::Fork;
use super::evidence::{LinkedHooks, PasskeyWanted, with_linked_hooks};
use super::host::{KeyWrap, RelayAddress, clock_or_system, open_store};
use super::reason::EndedReason;
use super::sync::Sync;
use super::task::{Over, Owned, run};
use crate::contain::{contain_async, planted_for_long};
use crate::error::PairlightError;
use crate::runtime::handle;

/// A code to draw: dark on light, with four modules of margin.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
pub struct CodePicture {
    /// Modules a side, without the margin.
    pub size: u32,
    /// Row by row; 1 = dark.
    pub modules: Vec<u8>,
    /// How long it is shown, ms.
    pub shown_ms: u64,
    /// What it says: a secret, for a person who cannot use a camera and pastes it. Whoever has it can answer the code.
    pub text: String,
}

impl std::fmt::Debug for CodePicture {
    /// Without what the code says.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodePicture").field("size", &self.size).finish_non_exhaustive()
    }
}

/// What happens while this device is linked.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum LinkingEvent {
    /// Draw this code; the next one comes by itself.
    ShowCode {
        /// The code.
        code: CodePicture,
    },
    /// No code is live; offer a button that calls `showAgain`.
    Paused,
    /// The relay is out of reach; tried again by itself.
    Reconnecting {
        /// Pause before the next try, ms.
        after_ms: u64,
    },
    /// "Phone connected, confirm there."
    Claimed,
    /// Ask for the six digits.
    EnterCheckCode,
    /// They were wrong.
    WrongCheckCode {
        /// Tries left.
        tries_left: u8,
    },
    /// They were right.
    CheckCodeAccepted,
    /// The account asks for evidence that only the app can get: answer with `giveEvidence`, with nothing where it cannot. Only
    /// what `LinkedHooks` says that it can.
    EvidenceWanted {
        /// A passkey's assertion.
        passkey: Option<PasskeyWanted>,
        /// An attestation of an organisation, bound to these 32 bytes.
        attestation: Option<Vec<u8>>,
    },
    /// Somebody else tried to scan the code.
    SecondScanner,
    /// Linked. The last event.
    Linked {
        /// This device's id.
        device: String,
        /// The id of the device that holds the account.
        primary: Option<String>,
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

/// How a linked device stands with its account.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct OwnStanding {
    /// This device's id, 32 hexadecimal digits.
    pub device: String,
    /// The id of the device that holds the account.
    pub primary: Option<String>,
    /// Whether its permission has ended: only a new link helps.
    pub is_locked: bool,
    /// Why it may not do everything, in English; null when it may.
    pub restriction: Option<String>,
    /// When its permission ends unless it is renewed, ms since 1970.
    pub ends_ms: u64,
    /// How long the device that holds the account has been silent, ms.
    pub silent_ms: u64,
    /// Device lists that contradict each other, if some were seen; settled by `keep_own_list`.
    pub fork: Option<Fork>,
}

/// A device that is, or wants to be, linked.
#[derive(Debug, uniffi::Object)]
pub struct LinkedAccount(Owned<LinkedDevice>);

/// A link that is under way. Closing it ends the attempt without a word to the other side; `cancel` first where there is
/// time.
#[derive(Debug, uniffi::Object)]
pub struct LinkingFlow {
    pub(crate) linking: Owned<Linking>,
    /// The event that is being converted: drawing a code takes a while. Kept when nobody waits for it any more.
    converting: Mutex<Option<JoinHandle<LinkingEvent>>>,
    over: Over,
}

impl LinkingFlow {
    fn new(linking: Linking) -> Self {
        Self { linking: Owned::new(linking), converting: Mutex::default(), over: Over::default() }
    }
}

#[uniffi::export]
impl LinkedAccount {
    /// Opens the store at `path`.
    #[uniffi::constructor]
    pub async fn open(
        path: String,
        key: Arc<dyn KeyWrap>,
        relay: RelayAddress,
        hooks: LinkedHooks,
    ) -> Result<Self, PairlightError> {
        run("LinkedAccount.open", async move {
            let client = relay.client()?;
            let store = open_store(path, key).await?;
            let device = LinkedDevice::open_at(store, client, clock_or_system(hooks.clock.clone())).await?;
            Ok(Self(Owned::new(with_linked_hooks(device, hooks))))
        })
        .await
    }

    /// How this device stands; null when it is not linked.
    pub async fn standing(&self) -> Result<Option<OwnStanding>, PairlightError> {
        let device = self.0.clone();
        run("LinkedAccount.standing", async move {
            let (Some(account), Some(standing)) = (device.account().await?, device.standing().await?) else {
                return Ok(None);
            };
            Ok(Some(OwnStanding {
                device: account.device_id().to_hex(),
                primary: account.primary().map(|primary| primary.to_hex()),
                is_locked: standing.locked,
                restriction: standing.because.map(|row| row.text().to_owned()),
                ends_ms: standing.ends.unix_ms(),
                silent_ms: standing.silent_ms,
                fork: standing.fork.map(Fork::from),
            }))
        })
        .await
    }

    /// The person compared the hashes of a fork and keeps the list of this device: lists are taken again.
    pub async fn keep_own_list(&self) -> Result<(), PairlightError> {
        let device = self.0.clone();
        run("LinkedAccount.keep_own_list", async move { Ok(device.keep_own_list().await?) }).await
    }

    /// Shows codes until somebody links this device.
    pub async fn link(&self, name: String, os: String, app: String) -> Result<LinkingFlow, PairlightError> {
        let device = self.0.clone();
        let description = DeviceDescription { name, os, app, kind: ClientKind::Native };
        run("LinkedAccount.link", async move { Ok(LinkingFlow::new(device.link(description))) }).await
    }

    /// As `link`, for a device whose permission has ended: it comes back as the device that it was.
    pub async fn relink(&self, name: String, os: String, app: String) -> Result<LinkingFlow, PairlightError> {
        let device = self.0.clone();
        let description = DeviceDescription { name, os, app, kind: ClientKind::Native };
        run("LinkedAccount.relink", async move { Ok(LinkingFlow::new(device.relink(description).await?)) }).await
    }

    /// Goes on with a link that was interrupted by the end of the app; null when there is none. Call it before `link`.
    pub async fn resume(&self) -> Result<Option<Arc<LinkingFlow>>, PairlightError> {
        let device = self.0.clone();
        run(
            "LinkedAccount.resume",
            async move { Ok(device.resume().await?.map(|flow| Arc::new(LinkingFlow::new(flow)))) },
        )
        .await
    }

    /// Goes online and keeps the records in step with the device that holds the account. A device has one line: close it
    /// before the next.
    pub async fn sync(&self) -> Result<Sync, PairlightError> {
        let device = self.0.clone();
        run("LinkedAccount.sync", async move { Ok(Sync::new(device.sync().await?)) }).await
    }

    /// Erases everything that this device knows.
    pub async fn forget(&self) -> Result<(), PairlightError> {
        let device = self.0.clone();
        run("LinkedAccount.forget", async move { Ok(device.forget().await?) }).await
    }
}

#[uniffi::export]
impl LinkingFlow {
    /// The next event; null after `Linked` or `Failed`.
    pub async fn next_event(&self) -> Result<Option<LinkingEvent>, PairlightError> {
        contain_async("LinkingFlow.next_event", async {
            let mut converting = self.converting.lock().await;
            let task = match &mut *converting {
                Some(task) => task,
                none => {
                    let Some(raw) = self.linking.next_event().await else { return self.over.end() };
                    none.insert(handle()?.spawn(async move {
                        planted_for_long("LinkingFlow.event").await;
                        event(raw)
                    }))
                }
            };
            let converted = task.await;
            *converting = None;
            let event = converted.map_err(|error| match error.is_panic() {
                true => PairlightError::internal("LinkingFlow.next_event"),
                // The threads were ended meanwhile.
                false => PairlightError::Ended,
            })?;
            self.over.told(matches!(event, LinkingEvent::Linked { .. } | LinkingEvent::Failed { .. }));
            Ok(Some(event))
        })
        .await
    }

    /// The person typed the check code.
    pub async fn enter_check_code(&self, typed: String) -> Result<(), PairlightError> {
        contain_async("LinkingFlow.enter_check_code", async { Ok(self.linking.enter_check_code(&typed).await?) }).await
    }

    /// The person asks for a new code after a pause.
    pub async fn show_again(&self) -> Result<(), PairlightError> {
        contain_async("LinkingFlow.show_again", async { Ok(self.linking.show_again().await?) }).await
    }

    /// The person closed the screen.
    pub async fn cancel(&self) -> Result<(), PairlightError> {
        contain_async("LinkingFlow.cancel", async { Ok(self.linking.cancel().await?) }).await
    }
}

fn event(event: LinkedEvent) -> LinkingEvent {
    match event {
        LinkedEvent::EvidenceWanted(wanted) => {
            let (passkey, attestation) = PasskeyWanted::both(*wanted);
            LinkingEvent::EvidenceWanted { passkey, attestation }
        }
        LinkedEvent::TooManyAttempts { retry_after_ms } => LinkingEvent::TooManyAttempts { retry_after_ms },
        LinkedEvent::ShowCode { text, shown_ms } => {
            // An offer always fits a code; nothing is drawn for what does not.
            let (size, modules) = CodeMatrix::draw(&text).map_or((0, Vec::new()), |code| {
                let modules = code.modules().iter().map(|dark| u8::from(*dark)).collect();
                (u32::try_from(code.size()).unwrap_or_default(), modules)
            });
            LinkingEvent::ShowCode { code: CodePicture { size, modules, shown_ms, text } }
        }
        LinkedEvent::Paused => LinkingEvent::Paused,
        LinkedEvent::Reconnecting { after_ms } => LinkingEvent::Reconnecting { after_ms },
        LinkedEvent::Claimed => LinkingEvent::Claimed,
        LinkedEvent::EnterCheckCode => LinkingEvent::EnterCheckCode,
        LinkedEvent::WrongCheckCode { tries_left } => LinkingEvent::WrongCheckCode { tries_left },
        LinkedEvent::CheckCodeAccepted => LinkingEvent::CheckCodeAccepted,
        LinkedEvent::SecondScanner => LinkingEvent::SecondScanner,
        LinkedEvent::Linked(account) => LinkingEvent::Linked {
            device: account.device_id().to_hex(),
            primary: account.primary().map(|primary| primary.to_hex()),
        },
        LinkedEvent::Failed(reason) => LinkingEvent::Failed { reason: reason.into() },
    }
}
