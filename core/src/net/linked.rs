//! A device that is, or wants to be, linked.

use std::sync::Arc;

use super::client::RelayClient;
use super::clock::{Clock, SystemRng, system_clock, system_rng};
use super::connection::{Connection, Membership, Surroundings};
use super::error::NetError;
use super::guard::{KeyGuard, SharedGuard};
use super::linking::Linking;
use super::shared::SharedStore;
use super::sync::Sync;
use super::syncing::Syncing;
use crate::Timestamp;
use crate::crypto::sign::DeviceKey;
use crate::devices::{Duty, ListFork, Tenancy, platform_class};
use crate::pairing::{DeviceDescription, LinkedAccount, LinkedMachine};
use crate::store::{Batch, Store, StoreError};
use crate::sync::{Replica, SyncRole};
use crate::trust::{LinkedAbilities, Radio};
use pairlight_wire::limits::LEASE_GRACE_MS;
use pairlight_wire::standing::{Discrepancy, Standing};

/// The linked device: a laptop, a terminal, a browser.
#[derive(Clone)]
pub struct LinkedDevice {
    store: SharedStore,
    client: RelayClient,
    clock: Clock,
    platform: [u8; 8],
    abilities: LinkedAbilities,
    radio: Option<Arc<dyn Radio>>,
    guard: Option<SharedGuard>,
}

/// How a linked device stands with its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkedStanding {
    /// What it may do.
    pub standing: Standing,
    /// Why not all; also why it is locked.
    pub because: Option<Discrepancy>,
    /// Whether its permission has ended: only a new link helps.
    pub locked: bool,
    /// When its permission ends.
    pub ends: Timestamp,
    /// How long the primary device has been silent, ms.
    pub silent_ms: u64,
    /// Lists that contradict each other, if some were seen.
    pub fork: Option<ListFork>,
}

/// The class of the platform that this was built for.
fn own_platform() -> [u8; 8] {
    let system = match () {
        () if cfg!(target_os = "linux") => "linux",
        () if cfg!(target_os = "macos") => "macos",
        () if cfg!(target_os = "windows") => "windows",
        () if cfg!(target_os = "android") => "android",
        () if cfg!(target_os = "ios") => "ios",
        () if cfg!(target_arch = "wasm32") => "browser",
        () => "other",
    };
    let processor = match () {
        () if cfg!(target_arch = "x86_64") => "x86_64",
        () if cfg!(target_arch = "aarch64") => "aarch64",
        () => "other",
    };
    platform_class(system, processor)
}

/// How time ended the permission of a linked device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lapse {
    /// It is locked, since this moment: its records are not to be shown, and only a new link helps.
    Locked(Timestamp),
    /// Nobody renewed it for 90 days: its keys and data were erased now.
    Erased,
}

/// Brings a store up to the time: what ended while nobody looked is locked or erased.
fn catch_up_with_time(store: &mut Store, now: Timestamp) -> Result<Option<Lapse>, StoreError> {
    let Some(account) = store.linked_account()?.filter(LinkedAccount::is_committed) else { return Ok(None) };
    let mut tenancy = store.tenancy()?.unwrap_or_else(|| Tenancy::new(account.created()));
    match tenancy.duty(account.ends(), now) {
        Some(Duty::Wipe) => {
            store.wipe()?;
            return Ok(Some(Lapse::Erased));
        }
        Some(Duty::Lock) => {
            tenancy.locked = true;
            tenancy.because = Some(Discrepancy::LeaseEnded);
            let mut batch = Batch::new();
            batch.put_tenancy(&tenancy);
            store.commit(&batch)?;
        }
        _ => {}
    }
    let since = Timestamp::from_unix_ms(account.ends()).plus_ms(LEASE_GRACE_MS);
    Ok(tenancy.locked.then_some(Lapse::Locked(since)))
}

impl LinkedDevice {
    /// Uses a store and a relay. Nothing happens yet.
    ///
    /// # Errors
    /// [`NetError::OtherRole`] when the store holds a primary device's account.
    pub async fn open(store: SharedStore, client: RelayClient) -> Result<Self, NetError> {
        Self::open_at(store, client, system_clock()).await
    }

    /// As [`LinkedDevice::open`], with a clock of the caller's.
    ///
    /// # Errors
    /// As there.
    pub async fn open_at(store: SharedStore, client: RelayClient, clock: Clock) -> Result<Self, NetError> {
        if store.run(|store| store.account()).await?.is_some() {
            return Err(NetError::OtherRole("a primary device"));
        }
        let now = clock();
        Self::lapse(&store, now).await?;
        let abilities = LinkedAbilities { lan: cfg!(not(target_arch = "wasm32")), ..LinkedAbilities::default() };
        Ok(Self { store, client, clock, platform: own_platform(), abilities, radio: None, guard: None })
    }

    /// What [`LinkedDevice::open`] does first, for who uses the records of a store without going online: locks or erases
    /// what ended while nobody looked. `None` when the store may be used, also when it is no linked device's.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn lapse(store: &SharedStore, now: Timestamp) -> Result<Option<Lapse>, NetError> {
        store.run(move |store| catch_up_with_time(store, now)).await
    }

    /// Which evidence this device can give. By default: answers on the local network.
    #[must_use]
    pub fn with_abilities(mut self, abilities: LinkedAbilities) -> Self {
        self.abilities = abilities;
        self
    }

    /// A radio that listens; report what it hears with [`Linking::heard`].
    #[must_use]
    pub fn with_radio(mut self, radio: Arc<dyn Radio>) -> Self {
        self.radio = Some(radio);
        self.abilities.radio = true;
        self
    }

    /// Who has this device's key where the platform guards it, and where it is to be guarded from the next link on
    /// ([`LinkedDevice::link_guarded`]).
    #[must_use]
    pub fn with_key_guard(mut self, guard: impl KeyGuard + 'static) -> Self {
        self.guard = Some(SharedGuard::new(guard));
        self
    }

    /// Reports another class of platform: for a host that is not native, such as a browser.
    #[must_use]
    pub fn with_platform(self, platform: [u8; 8]) -> Self {
        Self { platform, ..self }
    }

    /// How this device stands; `None` when it is not linked.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn standing(&self) -> Result<Option<LinkedStanding>, NetError> {
        let now = (self.clock)();
        let Some(account) = self.account().await? else { return Ok(None) };
        let fallback = Tenancy::new(account.created());
        let (tenancy, fork) = self.store.run(|store| Ok((store.tenancy()?, store.fork()?))).await?;
        let tenancy = tenancy.unwrap_or(fallback);
        Ok(Some(LinkedStanding {
            standing: tenancy.standing,
            because: tenancy.because,
            locked: tenancy.locked,
            ends: Timestamp::from_unix_ms(account.ends()),
            silent_ms: tenancy.silence_ms(now),
            fork,
        }))
    }

    /// The person looked at both hashes and keeps this device's list: other lists are taken again.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn keep_own_list(&self) -> Result<(), NetError> {
        self.store.run(|store| store.clear_fork()).await
    }

    /// The account, when this device is linked.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn account(&self) -> Result<Option<LinkedAccount>, NetError> {
        let account = self.store.run(|store| store.linked_account()).await?;
        Ok(account.filter(LinkedAccount::is_committed))
    }

    /// Shows codes until a primary device links this one. What an earlier account left behind is replaced only when the
    /// new link is complete.
    #[must_use]
    pub fn link(&self, description: DeviceDescription) -> Linking {
        self.start(LinkedMachine::new(description, 0, (self.clock)(), system_rng()))
    }

    /// As [`LinkedDevice::link`], under a new key that the guard has made for this link and nothing else; `public` is its public
    /// key. The guard keeps it as long as the account is kept, and signs.
    #[must_use]
    pub fn link_guarded(&self, public: [u8; 32], description: DeviceDescription) -> Linking {
        self.start(LinkedMachine::guarded(public, description, 0, (self.clock)(), system_rng()))
    }

    /// The key of a link that is complete or pending: whether a guard has it, and its public key.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn device_key(&self) -> Result<Option<DeviceKey>, NetError> {
        let account = self.store.run(|store| store.linked_account()).await?;
        Ok(account.map(|account| account.device_key().clone()))
    }

    /// As [`LinkedDevice::link`], for a device whose lease lapsed: it comes back as the device that it was.
    ///
    /// # Errors
    /// [`NetError::NoAccount`] when this device was never linked.
    pub async fn relink(&self, description: DeviceDescription) -> Result<Linking, NetError> {
        let account = self.account().await?.ok_or(NetError::NoAccount)?;
        Ok(self.start(LinkedMachine::relink(&account, description, 0, (self.clock)(), system_rng())))
    }

    fn start(&self, machine: LinkedMachine<SystemRng>) -> Linking {
        let machine = machine.with_evidence(self.abilities);
        let (client, store, clock) = (self.client.clone(), self.store.clone(), self.clock.clone());
        Linking::start(machine, client, store, clock, self.radio.clone(), self.guard.clone())
    }

    /// Goes on with a link that was interrupted between certificate and confirmation, however long ago: the account's
    /// list decides, and only it. `None` when there is none. Call it before [`LinkedDevice::link`], which replaces what
    /// is pending. A link that ends with [`EndReason::Unreachable`](pairlight_wire::pairing::EndReason) stays pending.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn resume(&self) -> Result<Option<Linking>, NetError> {
        let account = self.store.run(|store| store.linked_account()).await?;
        let Some(account) = account.filter(|account| !account.is_committed()) else { return Ok(None) };
        let machine = LinkedMachine::resume(account, (self.clock)(), system_rng());
        Ok(Some(self.start(machine)))
    }

    /// Goes online.
    ///
    /// # Errors
    /// [`NetError::NoAccount`] when this device is not linked, [`NetError::Locked`] when its permission has ended.
    pub async fn connect(&self) -> Result<Connection, NetError> {
        let account = self.permitted().await?;
        self.open_line(account, None)
    }

    /// The account, if this device may go online.
    async fn permitted(&self) -> Result<LinkedAccount, NetError> {
        let now = (self.clock)();
        match Self::lapse(&self.store, now).await? {
            Some(Lapse::Locked(_)) => Err(NetError::Locked),
            Some(Lapse::Erased) | None => self.account().await?.ok_or(NetError::NoAccount),
        }
    }

    /// Until when the records of a linked device may be used without another look, ms since 1970.
    pub(super) async fn permitted_until(store: &SharedStore, now: Timestamp) -> Result<u64, NetError> {
        if let Some(Lapse::Locked(_)) = Self::lapse(store, now).await? {
            return Err(NetError::Locked);
        }
        let account = store.run(|store| store.linked_account()).await?.ok_or(NetError::NoAccount)?;
        Ok(account.ends().saturating_add(LEASE_GRACE_MS))
    }

    fn open_line(&self, account: LinkedAccount, sync: Option<Arc<Syncing>>) -> Result<Connection, NetError> {
        let membership = Membership::Linked(Box::new(account));
        let (clock, guard) = (self.clock.clone(), self.guard.clone());
        let surroundings = Surroundings { clock, policy: None, platform: self.platform, guard };
        Ok(Connection::start(membership, self.client.clone(), self.store.clone(), surroundings, sync))
    }

    /// Goes online and keeps the records in step with the primary device. Instead of [`LinkedDevice::connect`]: a device
    /// has one line.
    ///
    /// # Errors
    /// As [`LinkedDevice::connect`].
    pub async fn sync(&self) -> Result<Sync, NetError> {
        let account = self.permitted().await?;
        let replica = Replica::new(account.device_id(), SyncRole::Linked);
        let shared = Syncing::new(replica, self.clock.clone());
        let connection = self.open_line(account, Some(Arc::clone(&shared)))?;
        Ok(Sync::start(connection, self.store.clone(), shared))
    }

    /// Erases everything that this device knows. The account's list still names it until its primary device removes it.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn forget(&self) -> Result<(), NetError> {
        self.store.run(|store| store.wipe()).await
    }
}

impl std::fmt::Debug for LinkedDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkedDevice").field("relay", &self.client.endpoint().url()).finish_non_exhaustive()
    }
}
