//! When the device that holds the account is lost: 24 words that bring it to another one.

use std::sync::Arc;

use pairlight_core::devices::RecoveryWords;
use pairlight_core::net::Primary;
use zeroize::Zeroizing;

use super::evidence::{PrimaryHooks, with_primary_hooks};
use super::host::{KeyWrap, RelayAddress, clock_or_system, open_store};
use super::primary::{PolicyPreset, PrimaryAccount};
use super::task::run;
use crate::error::PairlightError;

/// An account that was brought to this device.
#[derive(uniffi::Record)]
pub struct RecoveredAccount {
    /// The account.
    pub account: Arc<PrimaryAccount>,
    /// The new words, in place of those that are spent now. Show them once.
    pub words: String,
}

fn text(words: &RecoveryWords) -> Result<String, PairlightError> {
    let text = words.to_text().map_err(|_| PairlightError::internal("recovery words"))?;
    Ok(text.as_str().to_owned())
}

#[uniffi::export]
impl PrimaryAccount {
    /// Makes a recovery key in place of any before. Gives its 24 words: a secret, to be shown once and written down; they are
    /// kept nowhere.
    pub async fn create_recovery(&self) -> Result<String, PairlightError> {
        let primary = self.primary.clone();
        run("PrimaryAccount.create_recovery", async move { text(&primary.create_recovery().await?) }).await
    }

    /// Brings the account under a new root key: when the old one may have been seen by somebody. Devices stay.
    pub async fn rotate_root(&self) -> Result<(), PairlightError> {
        let primary = self.primary.clone();
        run("PrimaryAccount.rotate_root", async move { Ok(primary.rotate_root().await?) }).await
    }
}

/// Brings an account to this device, whose store at `path` must be new, with the 24 words of its recovery key. The lost
/// device is removed, linked devices stay. The other arguments are those of `PrimaryAccount.open`.
#[uniffi::export]
pub async fn recover_account(
    words: String,
    path: String,
    key: Arc<dyn KeyWrap>,
    relay: RelayAddress,
    policy: PolicyPreset,
    name: String,
    hooks: PrimaryHooks,
) -> Result<RecoveredAccount, PairlightError> {
    let words = Zeroizing::new(words);
    run("recover_account", async move {
        let words = RecoveryWords::parse(&words).map_err(PairlightError::misuse)?;
        let client = relay.client()?;
        let store = open_store(path, key).await?;
        let clock = clock_or_system(hooks.clock.clone());
        let (primary, fresh) = Primary::recover_at(store, client, policy.into(), &name, &words, clock).await?;
        let primary = with_primary_hooks(primary, &hooks);
        Ok(RecoveredAccount { account: Arc::new(PrimaryAccount::new(primary, hooks.approver)), words: text(&fresh)? })
    })
    .await
}
