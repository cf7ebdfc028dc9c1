//! A device that is, or wants to be, linked.

use std::sync::Arc;

use pairlight_core::net::{LinkedDevice, Linking};
use pairlight_core::pairing::{CodeMatrix, DeviceDescription, LinkedEvent};
use pairlight_wire::offer::ClientKind;

use crate::connection::Line;
use crate::error::{EndedReason, PairlightError};
use crate::primary::{blocking, client};
use crate::runtime::run;
use crate::vault::{KeyVault, open};

/// A code to draw: dark on light, with four modules of margin.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct CodePicture {
    /// Modules a side, without the margin.
    pub size: u32,
    /// Row by row; 1 = dark.
    pub modules: Vec<u8>,
    /// How long it is shown, ms.
    pub shown_ms: u64,
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
    /// Somebody else tried to scan the code.
    SecondScanner,
    /// Linked. The last event.
    Linked {
        /// This device's id.
        device: String,
        /// The id of the device that holds the account.
        primary: Option<String>,
    },
    /// Ended without a link. The last event.
    Failed {
        /// Why.
        reason: EndedReason,
    },
}

/// A linked device.
#[derive(Debug, uniffi::Object)]
pub struct LinkedAccount(LinkedDevice);

/// A link that is under way.
#[derive(Debug, uniffi::Object)]
pub struct LinkingFlow(Linking);

#[uniffi::export]
impl LinkedAccount {
    /// Opens the store at `path`. `relay_key` is the relay's pinned attestation key, 64 hexadecimal digits.
    #[uniffi::constructor]
    pub async fn open(
        path: String,
        vault: Arc<dyn KeyVault>,
        relay_url: String,
        relay_key: String,
    ) -> Result<Self, PairlightError> {
        run(async move {
            let client = client(&relay_url, &relay_key)?;
            let store = blocking(move || open(&path, vault)).await?;
            Ok(Self(LinkedDevice::open(store, client).await?))
        })
        .await
    }

    /// Whether this device is linked.
    pub async fn is_linked(&self) -> Result<bool, PairlightError> {
        let device = self.0.clone();
        run(async move { Ok(device.account().await?.is_some()) }).await
    }

    /// Shows codes until somebody links this device.
    pub async fn link(&self, name: String, os: String, app: String) -> Result<LinkingFlow, PairlightError> {
        let device = self.0.clone();
        let description = DeviceDescription { name, os, app, kind: ClientKind::Native };
        run(async move { Ok(LinkingFlow(device.link(description))) }).await
    }

    /// Goes on with a link that was interrupted by the end of the app; null when there is none.
    pub async fn resume(&self) -> Result<Option<Arc<LinkingFlow>>, PairlightError> {
        let device = self.0.clone();
        let flow = run(async move { Ok(device.resume().await?) }).await?;
        Ok(flow.map(|flow| Arc::new(LinkingFlow(flow))))
    }

    /// Goes online.
    pub async fn connect(&self) -> Result<Line, PairlightError> {
        let device = self.0.clone();
        run(async move { Ok(Line::new(device.connect().await?)) }).await
    }

    /// Erases everything that this device knows.
    pub async fn forget(&self) -> Result<(), PairlightError> {
        let device = self.0.clone();
        run(async move { Ok(device.forget().await?) }).await
    }
}

#[uniffi::export]
impl LinkingFlow {
    /// The next event; null after `Linked` or `Failed`.
    pub async fn next_event(&self) -> Option<LinkingEvent> {
        loop {
            if let Some(event) = event(self.0.next_event().await?) {
                return Some(event);
            }
        }
    }

    /// The person typed the check code.
    pub async fn enter_check_code(&self, typed: String) -> Result<(), PairlightError> {
        Ok(self.0.enter_check_code(&typed).await?)
    }

    /// The person asks for a new code after a pause.
    pub async fn show_again(&self) -> Result<(), PairlightError> {
        Ok(self.0.show_again().await?)
    }

    /// The person closed the screen.
    pub async fn cancel(&self) -> Result<(), PairlightError> {
        Ok(self.0.cancel().await?)
    }
}

/// `None` for what the bindings have no hook for yet.
fn event(event: LinkedEvent) -> Option<LinkingEvent> {
    Some(match event {
        // No app is asked through the bindings: `LinkedAbilities` names neither passkey nor attestation.
        LinkedEvent::EvidenceWanted(_) => return None,
        LinkedEvent::ShowCode { text, shown_ms } => {
            // An offer always fits a code; nothing is drawn for what does not.
            let (size, modules) = CodeMatrix::draw(&text).map_or((0, Vec::new()), |code| {
                let modules = code.modules().iter().map(|dark| u8::from(*dark)).collect();
                (u32::try_from(code.size()).unwrap_or_default(), modules)
            });
            LinkingEvent::ShowCode { code: CodePicture { size, modules, shown_ms } }
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
    })
}
