//! The device that holds the account.

use std::sync::Arc;

use pairlight_wire::device::Role;
use pairlight_wire::id::{AccountId, DeviceId};
use pairlight_wire::limits::LEASE_GRACE_MS;
use pairlight_wire::list::{Entry, RemovalReason, Tombstone};
use pairlight_wire::qr::QrPayload;
use pairlight_wire::relay::RefusalCode;
use pairlight_wire::standing::{Discrepancy, Notice, NoticeKind, Standing};

use super::client::RelayClient;
use super::clock::{Clock, SystemRng, system_clock, system_rng};
use super::connection::{Connection, Membership, Surroundings};
use super::error::NetError;
use super::pairing::Pairing;
use super::publish::Publisher;
use super::shared::SharedStore;
use super::sync::Sync;
use super::syncing::Syncing;
use super::upkeep::mark_shown;
use crate::Timestamp;
use crate::devices::{Account, ListFork, RecoveryWords, Told, list_for_recovery};
use crate::pairing::{PrimaryConfig, PrimaryMachine};
use crate::store::Batch;
use crate::sync::{Replica, SyncRole};
use crate::trust::lan::LAN_LIMIT;
use crate::trust::policy::LONGEST_LEASE_MS;
use crate::trust::{Evidence, EvidenceSetup, Grade, PasskeyRegistration, Policy, Radio, ScanSource};

/// Tries to recover an account whose list changes meanwhile.
const RECOVERY_TRIES: u32 = 4;

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
    /// Scope bits of the certificate.
    pub scope: u64,
    /// When its last report came; `None` before the first, and for this device.
    pub last_check_in: Option<Timestamp>,
    /// End of its newest lease, as far as it is known here.
    pub lease_until: Option<Timestamp>,
    /// What it may do.
    pub standing: Standing,
    /// Why not all.
    pub because: Option<Discrepancy>,
    /// Whether its lease ended so long ago that it has locked itself.
    pub is_locked: bool,
}

/// A device that left the account within the last 180 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovedDevice {
    /// The device.
    pub id: DeviceId,
    /// Why.
    pub reason: RemovalReason,
    /// When.
    pub at: Timestamp,
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

    /// Brings an account to this device, which is new, with the 24 words of its recovery key. The primary device that was
    /// lost is removed, linked devices stay. Gives the new words, to be shown once: the old ones are spent.
    ///
    /// # Errors
    /// [`NetError::Account`] for words that no account has, [`NetError::OtherRole`] when the store is not empty.
    pub async fn recover(
        store: SharedStore,
        client: RelayClient,
        policy: Policy,
        name: &str,
        words: &RecoveryWords,
    ) -> Result<(Self, RecoveryWords), NetError> {
        Self::recover_at(store, client, policy, name, words, system_clock()).await
    }

    /// As [`Primary::recover`], with a clock of the caller's.
    ///
    /// # Errors
    /// As there.
    pub async fn recover_at(
        store: SharedStore,
        client: RelayClient,
        policy: Policy,
        name: &str,
        words: &RecoveryWords,
        clock: Clock,
    ) -> Result<(Self, RecoveryWords), NetError> {
        let used = store.run(|store| Ok(store.linked_account()?.is_some() || store.account()?.is_some())).await?;
        if used {
            return Err(NetError::OtherRole("an account"));
        }
        let fresh = RecoveryWords::generate(&mut system_rng());
        let publisher = Publisher { store: store.clone(), client: client.clone(), clock: clock.clone() };
        for _ in 0..RECOVERY_TRIES {
            let chain = client.recovery(words).await?;
            let newest = chain.lists.as_slice().first().ok_or(NetError::Protocol)?;
            let newest = list_for_recovery(newest, chain.ops.as_ref()).map_err(|_| NetError::NotAuthentic)?;
            let now = clock();
            let account = Account::recover(words, &fresh, &newest, name, now, &mut system_rng())?;
            // The new root key is on disk before anybody can see it.
            let kept = account.clone();
            store.run(move |store| store.put_account(&kept)).await?;
            match publisher.publish(&account, account.list()).await {
                Ok(()) => {
                    let own = account.device_id();
                    let told = [Told { kind: NoticeKind::RootChanged, device: own, discrepancy: None }];
                    store.run(move |store| store.put_changed_account(&account, &told, now)).await?;
                    let evidence = EvidenceSetup { lan: Some(LAN_LIMIT), ..EvidenceSetup::default() };
                    return Ok((Self { store, client, policy, clock, evidence, radio: None }, fresh));
                }
                Err(NetError::Refused(refused)) if refused.code == RefusalCode::Conflict => {}
                Err(error) => {
                    store.run(|store| store.wipe()).await?;
                    return Err(error);
                }
            }
        }
        store.run(|store| store.wipe()).await?;
        Err(NetError::Unreachable("the account's list keeps changing".to_owned()))
    }

    fn publisher(&self) -> Publisher {
        Publisher { store: self.store.clone(), client: self.client.clone(), clock: self.clock.clone() }
    }

    async fn account(&self) -> Result<Account, NetError> {
        self.publisher().account().await
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
        let publisher = self.publisher();
        publisher.settle_rotation().await?;
        let account = publisher.account().await?;
        match publisher.publish(&account, account.list()).await {
            Err(NetError::Refused(refused)) if refused.code == RefusalCode::Conflict => {
                publisher.catch_up().await.map(|_| ())
            }
            other => other,
        }
    }

    /// Links the device that showed `payload`.
    ///
    /// # Errors
    /// [`NetError::OtherRelay`] for a code of another relay; [`NetError`] when the account cannot be read or published.
    pub async fn link(&self, payload: QrPayload, source: ScanSource) -> Result<Pairing, NetError> {
        // One relay is used here; its number in the app's list is 0 (protocol, section 3).
        if payload.relay_index() != 0 {
            return Err(NetError::OtherRelay(payload.relay_index()));
        }
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
        let now = (self.clock)();
        let ended = |device: &DeviceInfo| device.lease_until.is_some_and(|until| now > until);
        // A device that is quarantined may be a copy: its key proves nothing.
        let honest = |device: &DeviceInfo| device.standing != Standing::Quarantined;
        let devices = self.devices().await?.into_iter();
        setup.lapsed.extend(devices.filter(|device| ended(device) && honest(device)).map(|device| device.id));
        Ok(setup)
    }

    /// When the lease that a device got when it was linked ends, ms since 1970.
    fn first_lease_end(policy: Policy, entry: &Entry) -> u64 {
        let (_, grade, preset) = Evidence::from_certificate(entry.evidence);
        let policy = preset.and_then(Policy::of_preset).unwrap_or(policy);
        // A grade that nothing is granted for today had a lease once: the longest that there is.
        let lease_ms = grade.and_then(|grade| policy.grant(grade)).map_or(LONGEST_LEASE_MS, |grant| grant.lease_ms);
        entry.created.saturating_add(lease_ms)
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
        let (now, policy) = ((self.clock)(), self.policy);
        self.store
            .run(move |store| {
                let mut devices = Vec::new();
                for entry in account.list().list().entries.as_slice() {
                    let book = store.book(&entry.device)?;
                    let grade = Evidence::from_certificate(entry.evidence).1;
                    let linked = entry.role == Role::Linked;
                    // Before its first report only the lease of the link stands.
                    let first = Self::first_lease_end(policy, entry);
                    let until = if book.lease_until == 0 { first } else { book.lease_until };
                    let until = Some(until).filter(|_| linked).map(Timestamp::from_unix_ms);
                    devices.push(DeviceInfo {
                        id: entry.device,
                        name: account.name_of(entry).ok(),
                        role: entry.role,
                        is_this: entry.device == account.device_id(),
                        linked: Timestamp::from_unix_ms(entry.created),
                        grade,
                        scope: entry.scope,
                        last_check_in: Some(book.seen).filter(|seen| *seen != 0).map(Timestamp::from_unix_ms),
                        lease_until: until,
                        standing: book.standing,
                        because: book.because,
                        is_locked: until.is_some_and(|until| now >= until.plus_ms(LEASE_GRACE_MS)),
                    });
                }
                devices.sort_by_key(|device| device.linked);
                Ok(devices)
            })
            .await
    }

    /// Devices that left within the last 180 days, the latest first.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn removed(&self) -> Result<Vec<RemovedDevice>, NetError> {
        let account = self.account().await?;
        let read = |tombstone: &Tombstone| RemovedDevice {
            id: tombstone.device,
            reason: tombstone.reason,
            at: Timestamp::from_unix_ms(tombstone.at),
        };
        let mut removed: Vec<_> = account.list().list().tombstones.as_slice().iter().map(read).collect();
        removed.sort_by_key(|removed| core::cmp::Reverse(removed.at));
        Ok(removed)
    }

    /// Removes a device: its sessions end at once where it is connected, at its next contact elsewhere. The ops key
    /// signs: the root key is not needed.
    ///
    /// # Errors
    /// [`NetError::UnknownDevice`] when it is not on the list.
    pub async fn revoke(&self, device: DeviceId, reason: RemovalReason) -> Result<(), NetError> {
        let told = Told { kind: NoticeKind::Removed, device, discrepancy: None };
        let remove = |account: &Account, now| account.list_without(&device, reason, now);
        self.publisher().change(vec![told], remove).await.map(|_| ())
    }

    /// Removes every device but this one, with one list.
    ///
    /// # Errors
    /// [`NetError::UnknownDevice`] when there is no other.
    pub async fn revoke_all(&self) -> Result<(), NetError> {
        let account = self.account().await?;
        let own = account.device_id();
        let others = account.list().list().entries.as_slice().iter().map(|entry| entry.device);
        let told = |device| Told { kind: NoticeKind::Removed, device, discrepancy: None };
        let told: Vec<_> = others.filter(|device| *device != own).map(told).collect();
        let remove = |account: &Account, now| account.list_alone(RemovalReason::RemovedAll, now);
        self.publisher().change(told, remove).await.map(|_| ())
    }

    /// The person confirms a device that runs on another platform now: it may do again what its certificate grants.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn confirm(&self, device: DeviceId) -> Result<(), NetError> {
        self.store
            .run(move |store| {
                let mut book = store.book(&device)?;
                book.confirm();
                let mut batch = Batch::new();
                batch.put_book(&book);
                store.commit(&batch)
            })
            .await
    }

    /// Makes a recovery key in place of any before. Show its words once; they are kept nowhere.
    ///
    /// # Errors
    /// [`NetError`] when the list cannot be published: then the words are worth nothing.
    pub async fn create_recovery(&self) -> Result<RecoveryWords, NetError> {
        let words = RecoveryWords::generate(&mut system_rng());
        let own = self.account().await?.device_id();
        let told = Told { kind: NoticeKind::RecoveryChanged, device: own, discrepancy: None };
        let name = |account: &Account, now| account.list_with_recovery(&words, now, &mut system_rng());
        self.publisher().change(vec![told], name).await?;
        Ok(words)
    }

    /// Brings the account under a new root key, signed by the old one. Devices and the recovery key stay.
    ///
    /// # Errors
    /// [`NetError`] when the list cannot be published; whether it was is found out by the next call that needs to know.
    pub async fn rotate_root(&self) -> Result<(), NetError> {
        self.register().await?;
        let publisher = self.publisher();
        let next = publisher.account().await?.rotate_root((self.clock)(), &mut system_rng())?;
        let kept = next.clone();
        // Both root keys are on disk until it is certain which one holds the account.
        self.store.run(move |store| store.put_next_account(&kept)).await?;
        publisher.settle_rotation().await?;
        if publisher.account().await?.root_pk() == next.root_pk() {
            Ok(())
        } else {
            Err(NetError::Unreachable("another device changed the list first; try again".to_owned()))
        }
    }

    /// Lists that contradict each other, if some were seen.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn fork(&self) -> Result<Option<ListFork>, NetError> {
        self.store.run(|store| store.fork()).await
    }

    /// The person looked at both hashes and keeps this device's list.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn keep_own_list(&self) -> Result<(), NetError> {
        self.store.run(|store| store.clear_fork()).await
    }

    /// Shows the notices that are due on this device now, and marks each as shown when `show` has returned without an
    /// error: one that could not be shown is due again. A live connection gives them out as events by itself.
    ///
    /// # Errors
    /// The first one of `show`, or [`NetError::Store`].
    pub async fn show_due_notices<E: From<NetError>>(
        &self,
        mut show: impl FnMut(&Notice) -> Result<(), E>,
    ) -> Result<(), E> {
        let now = (self.clock)();
        let mut due = self.store.run(|store| store.notices()).await?;
        due.retain_mut(|notice| notice.take_due(now));
        for shown in due {
            show(&shown.notice)?;
            mark_shown(&self.store, shown.id, now).await?;
        }
        Ok(())
    }

    /// The notices that are due on this device now, marked as shown: for who shows them in any case.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn due_notices(&self) -> Result<Vec<Notice>, NetError> {
        let mut due = Vec::new();
        self.show_due_notices(|notice| {
            due.push(notice.clone());
            Ok::<_, NetError>(())
        })
        .await?;
        Ok(due)
    }

    /// Gives a device another name.
    ///
    /// # Errors
    /// [`NetError::UnknownDevice`] when it is not on the list.
    pub async fn rename(&self, device: DeviceId, name: &str) -> Result<(), NetError> {
        let rename = |account: &Account, now| account.list_renamed(&device, name, now, &mut system_rng());
        self.publisher().change(Vec::new(), rename).await.map(|_| ())
    }

    /// Goes online.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn connect(&self) -> Result<Connection, NetError> {
        let membership = Membership::Primary(Box::new(self.account().await?));
        let surroundings =
            Surroundings { clock: self.clock.clone(), policy: Some(self.policy), platform: [0; 8], guard: None };
        Ok(Connection::start(membership, self.client.clone(), self.store.clone(), surroundings, None))
    }

    /// Goes online and keeps the records of all devices in step. Instead of [`Primary::connect`]: a device has one line.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn sync(&self) -> Result<Sync, NetError> {
        let account = self.account().await?;
        let replica = Replica::new(account.device_id(), SyncRole::Primary(self.policy));
        let shared = Syncing::new(replica, self.clock.clone());
        let membership = Membership::Primary(Box::new(account));
        let surroundings =
            Surroundings { clock: self.clock.clone(), policy: Some(self.policy), platform: [0; 8], guard: None };
        let sync = Some(Arc::clone(&shared));
        let connection = Connection::start(membership, self.client.clone(), self.store.clone(), surroundings, sync);
        Ok(Sync::start(connection, self.store.clone(), shared))
    }
}

impl std::fmt::Debug for Primary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Primary").field("relay", &self.client.endpoint().url()).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::client::RelayEndpoint;
    use super::*;
    use crate::devices::StoredNotice;
    use crate::store::{KeyFile, Store};
    use pairlight_wire::List;

    /// A phone whose relay is out of reach, with notices about these devices that are due now and once more much later.
    pub(in crate::net) async fn phone_with_notices(devices: &[DeviceId]) -> (Primary, SharedStore, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyFile::open_or_create(&folder.path().join("key"), Box::new(system_rng())).unwrap();
        let store = Store::open(&folder.path().join("db"), &key, Box::new(system_rng())).unwrap();
        let store = SharedStore::new(store);
        let client = RelayClient::new(RelayEndpoint::new("http://127.0.0.1:9", [7; 32]).unwrap()).unwrap();
        let phone = Primary::open(store.clone(), client, Policy::BALANCED, "phone").await.unwrap();
        for &device in devices {
            let kind = NoticeKind::Linked;
            let notice = Notice { kind, device, evidence: 0, removal: None, discrepancy: None, at: 1 };
            let mut notice = StoredNotice::plan(notice, vec![], &mut system_rng());
            notice.due = List::new(vec![1, u64::MAX]).unwrap();
            let put = move |store: &mut Store| {
                let mut batch = Batch::new();
                batch.put_notice(&notice);
                store.commit(&batch)
            };
            store.run(put).await.unwrap();
        }
        (phone, store, folder)
    }

    #[tokio::test]
    async fn a_notice_that_could_not_be_shown_is_due_again() {
        let (phone, _, _folder) = phone_with_notices(&[1, 2].map(|number| DeviceId([number; 16]))).await;
        let mut seen = Vec::new();
        // The terminal goes away at the second one.
        let failed = phone
            .show_due_notices(|notice| {
                seen.push(notice.device);
                if seen.len() == 2 { Err(NetError::Ended) } else { Ok(()) }
            })
            .await;
        assert!(matches!(failed, Err(NetError::Ended)));
        let again: Vec<_> = phone.due_notices().await.unwrap().into_iter().map(|notice| notice.device).collect();
        assert_eq!(again, seen[1..], "the first was shown, the second is due again");
        assert_eq!(phone.due_notices().await.unwrap(), [], "and then both wait for their next time");
    }
}
