//! The typed layer: account, links and sessions in the sealed tables. What belongs together is one batch.

use pairlight_wire::id::DeviceId;
use pairlight_wire::{Bytes, List, Wire, record};

use super::{Batch, Store, StoreError, Table};
use crate::devices::Account;
use crate::pairing::{LinkedAccount, LinkedSave, PendingLink, PrimarySave};
use crate::session::Session;
use crate::trust::PasskeyRegistration;

/// The setting that holds the registered passkeys.
const PASSKEYS: &str = "passkeys";

record! {
    /// All registered passkeys.
    struct StoredPasskeys [1] {
        all: List<Bytes<4096>, 64>,
    }
}

/// The one row of a table that has one row.
const ONLY: &[u8] = b"self";

fn damaged<E>(table: Table) -> impl FnOnce(E) -> StoreError {
    move |_| StoreError::Corrupt { table }
}

impl Store {
    /// The account of a primary device, if this store holds one.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn account(&self) -> Result<Option<Account>, StoreError> {
        let row = self.get(Table::Identity, ONLY)?;
        row.map(|bytes| Account::decode(&bytes).map_err(damaged(Table::Identity))).transpose()
    }

    /// Stores the account of a primary device.
    ///
    /// # Errors
    /// [`StoreError`]; the account before stays.
    pub fn put_account(&mut self, account: &Account) -> Result<(), StoreError> {
        self.put(Table::Identity, ONLY, &account.encode())
    }

    /// Stores the account and erases the session with a device that is no longer on its list, in one batch.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn put_account_without(&mut self, account: &Account, device: &DeviceId) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.put(Table::Identity, ONLY, &account.encode()).delete(Table::Link, device.as_bytes());
        self.commit(&batch)
    }

    /// Links that were not finished when the program ended.
    ///
    /// # Errors
    /// [`StoreError`] when one cannot be read.
    pub fn pending_links(&self) -> Result<Vec<PendingLink>, StoreError> {
        let rows = self.list(Table::PendingLink)?;
        rows.into_iter().map(|row| PendingLink::decode(&row?.value).map_err(damaged(Table::PendingLink))).collect()
    }

    /// Does what a [`PrimarySave`] asks for, in one batch.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn save_primary(&mut self, save: &PrimarySave) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        match save {
            PrimarySave::Pending(pending) => {
                let bytes = zeroize::Zeroizing::new(pending.encode());
                batch.put(Table::PendingLink, pending.device.as_bytes(), &bytes);
            }
            PrimarySave::Linked { account, device, session } => {
                batch
                    .put(Table::Identity, ONLY, &account.encode())
                    .put(Table::Link, device.as_bytes(), session)
                    .delete(Table::PendingLink, device.as_bytes());
            }
            PrimarySave::Discard { device, account } => {
                batch.put(Table::Identity, ONLY, &account.encode()).delete(Table::PendingLink, device.as_bytes());
            }
        }
        self.commit(&batch)
    }

    /// The account of a linked device, pending or complete, if this store holds one.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn linked_account(&self) -> Result<Option<LinkedAccount>, StoreError> {
        let row = self.get(Table::DeviceKey, ONLY)?;
        row.map(|bytes| LinkedAccount::decode(&bytes).map_err(damaged(Table::DeviceKey))).transpose()
    }

    /// Does what a [`LinkedSave`] asks for, in one batch. Discarded keys leave the file.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn save_linked(&mut self, save: &LinkedSave) -> Result<(), StoreError> {
        match save {
            LinkedSave::Pending(account) => {
                let bytes = account.encode().map_err(damaged(Table::DeviceKey))?;
                self.put(Table::DeviceKey, ONLY, &bytes)
            }
            LinkedSave::Committed(account) => {
                let bytes = account.encode().map_err(damaged(Table::DeviceKey))?;
                let peer = account.primary().ok_or(StoreError::Corrupt { table: Table::DeviceKey })?;
                let mut batch = Batch::new();
                batch.put(Table::DeviceKey, ONLY, &bytes).put(Table::Link, peer.as_bytes(), account.first_session());
                self.commit(&batch)
            }
            LinkedSave::Discard => {
                self.delete(Table::DeviceKey, ONLY)?;
                self.scrub()
            }
        }
    }

    /// Stores what a linked device knows, without touching its sessions.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn put_linked_account(&mut self, account: &LinkedAccount) -> Result<(), StoreError> {
        let bytes = account.encode().map_err(damaged(Table::DeviceKey))?;
        self.put(Table::DeviceKey, ONLY, &bytes)
    }

    /// The session with a device.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn session(&self, peer: &DeviceId) -> Result<Option<Session>, StoreError> {
        let row = self.get(Table::Link, peer.as_bytes())?;
        row.map(|bytes| Session::decode(&bytes).map_err(damaged(Table::Link))).transpose()
    }

    /// Stores a session. Before an envelope leaves, and before one is acknowledged.
    ///
    /// # Errors
    /// [`StoreError`]; the session before stays.
    pub fn put_session(&mut self, session: &Session) -> Result<(), StoreError> {
        let bytes = session.encode().map_err(damaged(Table::Link))?;
        self.put(Table::Link, session.peer().as_bytes(), &bytes)
    }

    /// Erases keys, sessions and account of a linked device that was removed.
    ///
    /// # Errors
    /// [`StoreError`]; call again, what is left is still sealed.
    pub fn wipe(&mut self) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        for table in Table::ALL {
            for row in self.list(table)? {
                batch.delete(table, &row?.id);
            }
        }
        self.commit(&batch)?;
        self.scrub()
    }

    /// The passkeys that the app registered.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub fn passkeys(&self) -> Result<Vec<PasskeyRegistration>, StoreError> {
        let Some(bytes) = self.setting(PASSKEYS)? else { return Ok(Vec::new()) };
        let stored = StoredPasskeys::decode(&bytes).map_err(damaged(Table::Setting))?;
        let passkeys = stored.all.as_slice().iter().map(|one| PasskeyRegistration::decode(one.as_slice()));
        passkeys.collect::<Option<_>>().ok_or(StoreError::Corrupt { table: Table::Setting })
    }

    /// Registers a passkey, in the place of one with the same credential id.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::TooLarge`] beyond 64 passkeys. The registrations before stay.
    pub fn put_passkey(&mut self, passkey: &PasskeyRegistration) -> Result<(), StoreError> {
        let mut passkeys = self.passkeys()?;
        passkeys.retain(|known| known.credential() != passkey.credential());
        passkeys.push(passkey.clone());
        self.put_passkeys(&passkeys)
    }

    /// Forgets a passkey, by its credential id; a missing one is no error.
    ///
    /// # Errors
    /// [`StoreError`]; the registrations before stay.
    pub fn delete_passkey(&mut self, credential: &[u8]) -> Result<(), StoreError> {
        let mut passkeys = self.passkeys()?;
        passkeys.retain(|known| known.credential() != credential);
        self.put_passkeys(&passkeys)
    }

    fn put_passkeys(&mut self, passkeys: &[PasskeyRegistration]) -> Result<(), StoreError> {
        let too_many = StoreError::TooLarge { what: "passkeys", len: passkeys.len(), limit: 64 };
        let all = passkeys.iter().map(|passkey| Bytes::new(passkey.encode())).collect::<Result<_, _>>();
        let all = all.ok().and_then(|all| List::new(all).ok()).ok_or(too_many)?;
        let stored = StoredPasskeys { all };
        self.put_setting(PASSKEYS, &stored.encode())
    }

    /// A choice of the user, by name.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.get(Table::Setting, name.as_bytes())?.map(|value| value.to_vec()))
    }

    /// Stores a choice of the user.
    ///
    /// # Errors
    /// [`StoreError`]; the choice before stays.
    pub fn put_setting(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.put(Table::Setting, name.as_bytes(), value)
    }
}
