//! A device that is, or wants to be, linked.

use std::sync::Arc;

use super::client::RelayClient;
use super::clock::{Clock, SystemRng, system_clock, system_rng};
use super::connection::{Connection, Membership};
use super::error::NetError;
use super::linking::Linking;
use super::shared::SharedStore;
use crate::pairing::{DeviceDescription, LinkedAccount, LinkedMachine};
use crate::trust::{LinkedAbilities, Radio};

/// The linked device: a laptop, a terminal, a browser.
#[derive(Clone)]
pub struct LinkedDevice {
    store: SharedStore,
    client: RelayClient,
    clock: Clock,
    abilities: LinkedAbilities,
    radio: Option<Arc<dyn Radio>>,
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
        let abilities = LinkedAbilities { lan: true, ..LinkedAbilities::default() };
        Ok(Self { store, client, clock, abilities, radio: None })
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
        Linking::start(machine, self.client.clone(), self.store.clone(), self.clock.clone(), self.radio.clone())
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
    /// [`NetError::NoAccount`] when this device is not linked.
    pub async fn connect(&self) -> Result<Connection, NetError> {
        let account = self.account().await?.ok_or(NetError::NoAccount)?;
        let membership = Membership::Linked(Box::new(account));
        Ok(Connection::start(membership, self.client.clone(), self.store.clone()))
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
