//! The typed layer: account, links and sessions in the sealed tables. What belongs together is one batch.

use pairlight_wire::id::DeviceId;
use pairlight_wire::standing::{Discrepancy, NoticeKind};
use pairlight_wire::{Bytes, List, Wire, record};

use super::{Batch, Store, StoreError, Table};
use crate::Timestamp;
use crate::devices::{Account, StoredNotice, Told};
use crate::pairing::{LinkedAccount, LinkedSave, PendingLink, PrimarySave};
use crate::session::Session;
use crate::trust::{Evidence, EvidenceBit, PasskeyRegistration};

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
/// The row of an account whose new root key is not published yet.
const NEXT: &[u8] = b"next";

/// Adds: the account, and its list to those that are remembered.
fn put_identity<'b>(batch: &'b mut Batch, account: &Account) -> &'b mut Batch {
    batch.put(Table::Identity, ONLY, &account.encode()).remember_list(account.list())
}

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
        let mut batch = Batch::new();
        put_identity(&mut batch, account);
        self.commit(&batch)
    }

    /// Stores an account whose list was changed, erases what belonged to devices that are gone, and plans what others
    /// are told, in one batch.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn put_changed_account(&mut self, account: &Account, told: &[Told], now: Timestamp) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        put_identity(&mut batch, account);
        for Told { kind, device, discrepancy } in told {
            if account.list().entry(device).is_none() {
                batch.delete(Table::Link, device.as_bytes()).delete_book(device);
            }
            batch.put_notice(&self.plan_notice(account, *kind, *device, *discrepancy, now));
        }
        self.commit(&batch)
    }

    /// Plans a notice that something about a device does not add up.
    pub fn discrepancy_notice(
        &mut self,
        account: &Account,
        device: DeviceId,
        row: Discrepancy,
        now: Timestamp,
    ) -> StoredNotice {
        self.plan_notice(account, NoticeKind::Discrepancy, device, Some(row), now)
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
                let now = Timestamp::from_unix_ms(account.list().list().issued);
                let evidence = account.list().entry(device).map_or(0, |entry| entry.evidence);
                let known = Evidence::from_certificate(evidence).0.has(EvidenceBit::KnownDevice);
                let kind = if known { NoticeKind::Relinked } else { NoticeKind::Linked };
                let notice = self.plan_notice(account, kind, *device, None, now);
                put_identity(&mut batch, account)
                    .put_notice(&notice)
                    .delete_book(device)
                    .delete(Table::PendingLink, device.as_bytes());
                self.replace_session(&mut batch, device, session)?;
            }
            PrimarySave::Discard { device, account } => {
                put_identity(&mut batch, account).delete(Table::PendingLink, device.as_bytes());
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
                batch.put(Table::DeviceKey, ONLY, &bytes).remember_list(account.list()).delete_tenancy();
                self.replace_session(&mut batch, &peer, account.first_session())?;
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
        self.put_linked_account_with(account, Batch::new())
    }

    /// Stores what a linked device knows, together with what else must be true then.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn put_linked_account_with(&mut self, account: &LinkedAccount, mut batch: Batch) -> Result<(), StoreError> {
        let bytes = account.encode().map_err(damaged(Table::DeviceKey))?;
        batch.put(Table::DeviceKey, ONLY, &bytes).remember_list(account.list());
        self.commit(&batch)
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

    /// Stores the session that was made anew with a device (docs/protocol.md 13.1), together with what else must be true then.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn put_new_session(&mut self, session: &Session, mut batch: Batch) -> Result<(), StoreError> {
        let bytes = session.encode().map_err(damaged(Table::Link))?;
        self.replace_session(&mut batch, &session.peer(), &bytes)?;
        self.commit(&batch)
    }

    /// Adds: the session with a device is this one. What the one before sealed and the relay has not taken opens nowhere any
    /// more; what it sealed and the relay still has says nothing against this one.
    fn replace_session(&self, batch: &mut Batch, peer: &DeviceId, session: &[u8]) -> Result<(), StoreError> {
        // Also one that is damaged.
        if matches!(self.get(Table::Link, peer.as_bytes()), Ok(None)) {
            batch.forget_unreadable(peer);
        } else {
            batch.put_fresh_session(peer);
        }
        for row in self.list(Table::Outgoing)?.into_iter().flatten() {
            if row.id.ends_with(peer.as_bytes()) {
                batch.delete(Table::Outgoing, &row.id);
            }
        }
        batch.put(Table::Link, peer.as_bytes(), session);
        Ok(())
    }

    /// Stores a session together with what else must be true then.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn put_session_with(&mut self, session: &Session, mut batch: Batch) -> Result<(), StoreError> {
        let bytes = session.encode().map_err(damaged(Table::Link))?;
        batch.put(Table::Link, session.peer().as_bytes(), &bytes);
        self.commit(&batch)
    }

    /// The account under the root key that is to come, while its list is not known to be published.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn next_account(&self) -> Result<Option<Account>, StoreError> {
        let row = self.get(Table::Identity, NEXT)?;
        row.map(|bytes| Account::decode(&bytes).map_err(damaged(Table::Identity))).transpose()
    }

    /// Keeps it beside the present one: whichever the relay takes, its root key is on disk.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn put_next_account(&mut self, account: &Account) -> Result<(), StoreError> {
        self.put(Table::Identity, NEXT, &account.encode())
    }

    /// The list is published: the next account is the account. Nothing when it is so already.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn promote_account(&mut self, account: &Account, now: Timestamp) -> Result<(), StoreError> {
        if self.next_account()?.is_none() {
            return Ok(());
        }
        let own = account.device_id();
        let notice = self.plan_notice(account, NoticeKind::RootChanged, own, None, now);
        let mut batch = Batch::new();
        put_identity(&mut batch, account).delete(Table::Identity, NEXT).put_notice(&notice);
        self.commit(&batch)?;
        self.scrub()
    }

    /// The list was not published, and never will be.
    ///
    /// # Errors
    /// [`StoreError`]; nothing changes then.
    pub fn discard_next_account(&mut self) -> Result<(), StoreError> {
        self.delete(Table::Identity, NEXT)?;
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
