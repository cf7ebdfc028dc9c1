//! Changing the account's list from a primary device: sign, publish, store; again on top of whatever came first.

use pairlight_wire::hash::sha256;
use pairlight_wire::list::VerifiedList;
use pairlight_wire::relay::{PublishList, RefusalCode};

use super::client::{Credentials, RelayClient};
use super::clock::Clock;
use super::error::NetError;
use super::guard::Signer;
use super::shared::SharedStore;
use crate::Timestamp;
use crate::devices::{Account, AccountError, Told};

/// Tries to change the list before giving up against other devices that change it too.
const CHANGE_TRIES: u32 = 4;

/// Where an account lives and how it is published.
#[derive(Clone)]
pub(super) struct Publisher {
    pub(super) store: SharedStore,
    pub(super) client: RelayClient,
    pub(super) clock: Clock,
}

impl Publisher {
    pub(super) async fn account(&self) -> Result<Account, NetError> {
        self.store.run(|store| store.account()).await?.ok_or(NetError::NoAccount)
    }

    pub(super) async fn publish(&self, account: &Account, list: &VerifiedList) -> Result<(), NetError> {
        let publish = PublishList { list: list.signed().clone(), ops: account.ops_cert().clone() };
        self.client.publish(account.id(), &publish).await
    }

    /// Signs and publishes a change of the list, and stores it with what others are to be told.
    pub(super) async fn change<F>(&self, told: Vec<Told>, change: F) -> Result<Account, NetError>
    where
        F: Fn(&Account, Timestamp) -> Result<VerifiedList, AccountError>,
    {
        let mut account = self.account().await?;
        for _ in 0..CHANGE_TRIES {
            let now = (self.clock)();
            let list = change(&account, now).map_err(|error| match error {
                AccountError::UnknownDevice => NetError::UnknownDevice,
                other => other.into(),
            })?;
            match self.publish(&account, &list).await {
                Ok(()) => {
                    account.advance(list.signed(), None)?;
                    let (changed, told) = (account.clone(), told.clone());
                    self.store.run(move |store| store.put_changed_account(&changed, &told, now)).await?;
                    return Ok(account);
                }
                Err(NetError::Refused(refused)) if refused.code == RefusalCode::Conflict => {
                    let epoch = account.list().list().epoch;
                    account = match self.catch_up().await {
                        Ok(account) => account,
                        Err(error) if error.refusal().is_some() => account,
                        Err(error) => return Err(error),
                    };
                    // The relay is behind: it lost its store, or a list of ours never reached it.
                    if account.list().list().epoch == epoch {
                        self.publish(&account, account.list()).await?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(NetError::Unreachable("other devices keep changing the list".to_owned()))
    }

    /// Follows the lists that other devices published.
    pub(super) async fn catch_up(&self) -> Result<Account, NetError> {
        let account = self.account().await?;
        let epoch = account.list().list().epoch;
        let who = Credentials {
            account: account.id(),
            device: account.device_id(),
            signer: Signer::Own(account.device_key()),
            epoch,
        };
        let chain = self.client.chain(&who, epoch.saturating_add(1)).await?;
        let now = (self.clock)();
        self.store.run(move |store| store.follow(&chain, now)).await?;
        self.account().await
    }

    /// Finishes a change of the root key that was interrupted: the published list says whether it took place.
    pub(super) async fn settle_rotation(&self) -> Result<(), NetError> {
        let Some(next) = self.store.run(|store| store.next_account()).await? else { return Ok(()) };
        let hash = *next.list().hash();
        let published = match self.publish(&next, next.list()).await {
            Ok(()) => true,
            Err(NetError::Refused(refused)) if refused.code == RefusalCode::Conflict => {
                let account = self.account().await?;
                let epoch = account.list().list().epoch;
                let who = Credentials {
                    account: account.id(),
                    device: account.device_id(),
                    signer: Signer::Own(account.device_key()),
                    epoch,
                };
                let chain = self.client.chain(&who, epoch.saturating_add(1)).await?;
                chain.lists.as_slice().iter().any(|signed| sha256(&[signed.payload.as_slice()]) == hash)
            }
            Err(NetError::Refused(_)) => false,
            Err(error) => return Err(error),
        };
        let now = (self.clock)();
        self.store
            .run(move |store| if published { store.promote_account(&next, now) } else { store.discard_next_account() })
            .await
    }
}
