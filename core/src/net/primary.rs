//! The device that holds the account.

use std::sync::Arc;

use pairlight_wire::device::Role;
use pairlight_wire::id::{AccountId, DeviceId};
use pairlight_wire::list::{Entry, RemovalReason, VerifiedList};
use pairlight_wire::qr::QrPayload;
use pairlight_wire::relay::{PublishList, RefusalCode};

use super::client::{Credentials, RelayClient};
use super::clock::{Clock, SystemRng, system_clock, system_rng};
use super::connection::{Connection, Membership, follow_primary};
use super::error::NetError;
use super::pairing::Pairing;
use super::shared::SharedStore;
use crate::Timestamp;
use crate::devices::{Account, AccountError};
use crate::pairing::{PrimaryConfig, PrimaryMachine};
use crate::trust::lan::LAN_LIMIT;
use crate::trust::policy::LONGEST_LEASE_MS;
use crate::trust::{Evidence, EvidenceSetup, Grade, PasskeyRegistration, Policy, Radio, ScanSource};

/// Tries to change the list before giving up against other devices that change it too.
const CHANGE_TRIES: u32 = 4;

/// A primary device: holds the root key, links and removes devices.
#[derive(Clone)]
pub struct Primary {
    store: SharedStore,
    client: RelayClient,
    policy: Policy,
    clock: Clock,
    evidence: EvidenceSetup,
    radio: Option<Arc<dyn Radio>>,
}

/// One device of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The device.
    pub id: DeviceId,
    /// Its name; `None` when its label cannot be read.
    pub name: Option<String>,
    /// Its role.
    pub role: Role,
    /// Whether it is this device.
    pub is_this: bool,
    /// When it was linked.
    pub linked: Timestamp,
    /// Grade of the evidence at linking.
    pub grade: Option<Grade>,
    /// Scope bits.
    pub scope: u64,
}

impl Primary {
    /// Uses a store and a relay; makes an account called `name` when the store is empty.
    ///
    /// # Errors
    /// [`NetError::OtherRole`] when the store belongs to a linked device.
    pub async fn open(store: SharedStore, client: RelayClient, policy: Policy, name: &str) -> Result<Self, NetError> {
        Self::open_at(store, client, policy, name, system_clock()).await
    }

    /// As [`Primary::open`], with a clock of the caller's.
    ///
    /// # Errors
    /// As there.
    pub async fn open_at(
        store: SharedStore,
        client: RelayClient,
        policy: Policy,
        name: &str,
        clock: Clock,
    ) -> Result<Self, NetError> {
        if policy == Policy::DEVELOPMENT {
            tracing::warn!("the development policy is in force: no delays, no refusals");
        }
        if store.run(|store| store.linked_account()).await?.is_some() {
            return Err(NetError::OtherRole("a linked device"));
        }
        let now = clock();
        match store.run(|store| store.account()).await? {
            Some(mut account) => {
                if account.renew_ops(now, &mut system_rng())? {
                    store.run(move |store| store.put_account(&account)).await?;
                }
            }
            None => {
                let account = Account::generate(name, now, &mut system_rng())?;
                store.run(move |store| store.put_account(&account)).await?;
            }
        }
        let evidence = EvidenceSetup { lan: Some(LAN_LIMIT), ..EvidenceSetup::default() };
        Ok(Self { store, client, policy, clock, evidence, radio: None })
    }

    async fn account(&self) -> Result<Account, NetError> {
        self.store.run(|store| store.account()).await?.ok_or(NetError::NoAccount)
    }

    /// The account's id.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn account_id(&self) -> Result<AccountId, NetError> {
        Ok(self.account().await?.id())
    }

    /// Makes the account known to the relay, and catches up with its lists. Needed once before the first link, harmless
    /// afterwards.
    ///
    /// # Errors
    /// [`NetError`] when the relay cannot be reached or refuses.
    pub async fn register(&self) -> Result<(), NetError> {
        let account = self.account().await?;
        match self.publish(&account, account.list()).await {
            Err(NetError::Refused(refused)) if refused.code == RefusalCode::Conflict => {
                self.catch_up().await.map(|_| ())
            }
            other => other,
        }
    }

    /// Links the device that showed `payload`.
    ///
    /// # Errors
    /// [`NetError`] when the account cannot be read or the relay does not know it.
    pub async fn link(&self, payload: QrPayload, source: ScanSource) -> Result<Pairing, NetError> {
        self.register().await?;
        let account = self.account().await?;
        let config = self.config(account.clone(), source);
        let machine = PrimaryMachine::new(config, payload, (self.clock)(), system_rng());
        Ok(self.start(machine.with_evidence(self.setup().await?), account))
    }

    fn start(&self, machine: PrimaryMachine<SystemRng>, account: Account) -> Pairing {
        let (client, store, clock) = (self.client.clone(), self.store.clone(), self.clock.clone());
        Pairing::start(machine, account, client, store, clock, self.radio.clone())
    }

    /// Which evidence this device checks. By default: answers on the local network, and the passkeys that were registered.
    /// Passkeys and lapsed devices are added from the store, whatever stands here.
    #[must_use]
    pub fn with_evidence(mut self, evidence: EvidenceSetup) -> Self {
        self.evidence = evidence;
        self
    }

    /// A radio that advertises while a device is linked.
    #[must_use]
    pub fn with_radio(mut self, radio: Arc<dyn Radio>) -> Self {
        self.radio = Some(radio);
        self.evidence.radio = true;
        self
    }

    /// Registers a passkey that the app has just made.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn register_passkey(&self, passkey: PasskeyRegistration) -> Result<(), NetError> {
        self.store.run(move |store| store.put_passkey(&passkey)).await
    }

    /// Forgets a passkey, by its credential id.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn forget_passkey(&self, credential: &[u8]) -> Result<(), NetError> {
        let credential = credential.to_vec();
        self.store.run(move |store| store.delete_passkey(&credential)).await
    }

    /// The registered passkeys.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn passkeys(&self) -> Result<Vec<PasskeyRegistration>, NetError> {
        self.store.run(|store| store.passkeys()).await
    }

    /// What can be checked for a link that begins now.
    async fn setup(&self) -> Result<EvidenceSetup, NetError> {
        let mut setup = self.evidence.clone();
        setup.passkeys.extend(self.passkeys().await?);
        let (account, now) = (self.account().await?, (self.clock)());
        let entries = account.list().list().entries.as_slice().iter();
        let linked = entries.filter(|entry| entry.role == Role::Linked);
        setup.lapsed.extend(linked.filter(|entry| self.has_lapsed(entry, now)).map(|entry| entry.device));
        Ok(setup)
    }

    /// Whether the lease that a device got when it was linked has ended.
    fn has_lapsed(&self, entry: &Entry, now: Timestamp) -> bool {
        let (_, grade, preset) = Evidence::from_certificate(entry.evidence);
        let policy = preset.and_then(Policy::of_preset).unwrap_or(self.policy);
        // A grade that nothing is granted for today had a lease once: the longest that there is.
        let lease_ms = grade.and_then(|grade| policy.grant(grade)).map_or(LONGEST_LEASE_MS, |grant| grant.lease_ms);
        now > Timestamp::from_unix_ms(entry.created).plus_ms(lease_ms)
    }

    fn config(&self, account: Account, source: ScanSource) -> PrimaryConfig {
        PrimaryConfig { account, policy: self.policy, source, relay_pk: self.client.endpoint().attestation_pk() }
    }

    /// Goes on with links that were interrupted: finishes what was accepted, abandons the rest.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn resume(&self) -> Result<Vec<Pairing>, NetError> {
        let pending = self.store.run(|store| store.pending_links()).await?;
        let account = self.account().await?;
        let resumed = pending.into_iter().map(|pending| {
            let config = self.config(account.clone(), ScanSource::LiveCamera);
            let machine = PrimaryMachine::resume(config, pending, (self.clock)(), system_rng());
            self.start(machine, account.clone())
        });
        Ok(resumed.collect())
    }

    /// The account's devices as this one knows them.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn devices(&self) -> Result<Vec<DeviceInfo>, NetError> {
        let account = self.account().await?;
        let mut devices: Vec<_> = account
            .list()
            .list()
            .entries
            .as_slice()
            .iter()
            .map(|entry| DeviceInfo {
                id: entry.device,
                name: account.name_of(entry).ok(),
                role: entry.role,
                is_this: entry.device == account.device_id(),
                linked: Timestamp::from_unix_ms(entry.created),
                grade: Evidence::from_certificate(entry.evidence).1,
                scope: entry.scope,
            })
            .collect();
        devices.sort_by_key(|device| device.linked);
        Ok(devices)
    }

    /// Removes a device: its sessions end at once where it is connected, at its next contact elsewhere.
    ///
    /// # Errors
    /// [`NetError::UnknownDevice`] when it is not on the list.
    pub async fn revoke(&self, device: DeviceId, reason: RemovalReason) -> Result<(), NetError> {
        let account = self.change(|account, now| account.list_without(&device, reason, now)).await?;
        self.store.run(move |store| store.put_account_without(&account, &device)).await
    }

    /// Gives a device another name.
    ///
    /// # Errors
    /// [`NetError::UnknownDevice`] when it is not on the list.
    pub async fn rename(&self, device: DeviceId, name: &str) -> Result<(), NetError> {
        let rename = |account: &Account, now| account.list_renamed(&device, name, now, &mut system_rng());
        let account = self.change(rename).await?;
        self.store.run(move |store| store.put_account(&account)).await
    }

    /// Signs and publishes a change of the list, again on top of whatever another device published first.
    async fn change<F>(&self, change: F) -> Result<Account, NetError>
    where
        F: Fn(&Account, Timestamp) -> Result<VerifiedList, AccountError>,
    {
        let mut account = self.account().await?;
        for _ in 0..CHANGE_TRIES {
            let list = change(&account, (self.clock)()).map_err(|error| match error {
                AccountError::UnknownDevice => NetError::UnknownDevice,
                other => other.into(),
            })?;
            match self.publish(&account, &list).await {
                Ok(()) => {
                    account.advance(list.signed(), None)?;
                    return Ok(account);
                }
                Err(NetError::Refused(refused)) if refused.code == RefusalCode::Conflict => {
                    // The relay may have lost its store: then the known list comes first.
                    account = match self.catch_up().await {
                        Ok(account) => account,
                        Err(error) if error.refusal().is_some() => {
                            self.publish(&account, account.list()).await?;
                            account
                        }
                        Err(error) => return Err(error),
                    };
                }
                Err(error) => return Err(error),
            }
        }
        Err(NetError::Unreachable("other devices keep changing the list".to_owned()))
    }

    async fn publish(&self, account: &Account, list: &VerifiedList) -> Result<(), NetError> {
        let publish = PublishList { list: list.signed().clone(), ops: account.ops_cert().clone() };
        self.client.publish(account.id(), &publish).await
    }

    /// Follows the lists that other devices published.
    async fn catch_up(&self) -> Result<Account, NetError> {
        let mut account = self.account().await?;
        let epoch = account.list().list().epoch;
        let who = Credentials { account: account.id(), device: account.device_id(), key: account.device_key(), epoch };
        let chain = self.client.chain(&who, epoch.saturating_add(1)).await?;
        follow_primary(&mut account, &chain)?;
        let stored = account.clone();
        self.store.run(move |store| store.put_account(&stored)).await?;
        Ok(account)
    }

    /// Goes online.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn connect(&self) -> Result<Connection, NetError> {
        let membership = Membership::Primary(Box::new(self.account().await?));
        Ok(Connection::start(membership, self.client.clone(), self.store.clone()))
    }
}

impl std::fmt::Debug for Primary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Primary").field("relay", &self.client.endpoint().url()).finish_non_exhaustive()
    }
}
