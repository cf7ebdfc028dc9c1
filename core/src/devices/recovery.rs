//! The recovery key: 32 random bytes that a person writes down as 24 words, and how it and the root key bring in a new
//! root key.

use bip39::Mnemonic;
use pairlight_wire::device::Role;
use pairlight_wire::id::AccountId;
use pairlight_wire::list::{ListError, RemovalReason, Tombstone, VerifiedList};
use pairlight_wire::relay::{RecoveryClaim, recovery_message};
use pairlight_wire::root::{RecoveryRecord, RootRotation, open_recovery};
use pairlight_wire::sign::{Signed, SigningContext};
use pairlight_wire::{Bytes, Wire};
use rand_core::CryptoRng;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::account::{Account, AccountError, ListDraft, ListPlace, certify_ops, enter_primary};
use super::label::LabelKey;
use crate::Timestamp;
use crate::crypto::aead::RecordKey;
use crate::crypto::kdf::{KdfLabel, derive};
use crate::crypto::sign::SigningKey;
use crate::crypto::{CryptoError, random};

/// The words of a recovery key: shown once, kept nowhere. Redacted in `Debug`, zeroized on drop.
#[derive(Clone, ZeroizeOnDrop)]
pub struct RecoveryWords(Zeroizing<[u8; 32]>);

impl RecoveryWords {
    /// New random words.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(Zeroizing::new(random(rng)))
    }

    /// Reads 24 English words of BIP 39; case and the space between them do not matter.
    ///
    /// # Errors
    /// [`AccountError::WrongWords`] for a word that is not in the list, another number of words, or a checksum that
    /// shows that one was mistyped.
    pub fn parse(text: &str) -> Result<Self, AccountError> {
        let text = Zeroizing::new(text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase());
        let words = Mnemonic::parse_normalized(&text).map_err(|_| AccountError::WrongWords)?;
        let (entropy, length) = words.to_entropy_array();
        let entropy = Zeroizing::new(entropy);
        let bytes: [u8; 32] =
            entropy.get(..length).and_then(|bytes| bytes.try_into().ok()).ok_or(AccountError::WrongWords)?;
        Ok(Self(Zeroizing::new(bytes)))
    }

    /// The 24 words, for the one screen that shows them.
    ///
    /// # Errors
    /// [`AccountError::WrongWords`] never in practice: 32 bytes are a length of BIP 39.
    pub fn to_text(&self) -> Result<Zeroizing<String>, AccountError> {
        let words = Mnemonic::from_entropy(self.0.as_slice()).map_err(|_| AccountError::WrongWords)?;
        Ok(Zeroizing::new(words.to_string()))
    }

    fn key(&self) -> SigningKey {
        SigningKey::from_seed(&self.0)
    }

    /// The public key that the account's list names.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.key().public()
    }

    fn label_sealer(&self) -> RecordKey {
        RecordKey::new(*derive(&[], self.0.as_slice(), KdfLabel::RecoveryLabel, &[]))
    }

    /// Asks a relay for the account that these words recover.
    #[must_use]
    pub fn claim(&self, nonce: [u8; 32], host: &str) -> RecoveryClaim {
        let sig = self.key().sign(SigningContext::RecoveryAuth, &recovery_message(&nonce, host));
        RecoveryClaim { recovery_pk: self.public(), nonce, sig }
    }
}

impl core::fmt::Debug for RecoveryWords {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("RecoveryWords(..)")
    }
}

impl Account {
    /// The next list, which names `words` as the recovery key in place of any before, signed by the root key.
    ///
    /// # Errors
    /// [`AccountError`] never in practice.
    pub fn list_with_recovery(
        &self,
        words: &RecoveryWords,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<VerifiedList, AccountError> {
        let recovery = Some(name_recovery(&self.root, self.id(), words, self.label_key(), now, rng)?);
        self.sign_list(ListDraft { recovery, ..self.draft() }, &self.root, now)
    }

    /// Whether the account has a recovery key.
    #[must_use]
    pub fn has_recovery(&self) -> bool {
        self.list.list().recovery.is_some()
    }

    /// The same account under a new root key and a new ops key, with the list that says so. Publish that list, then
    /// store this account; the old root key is worthless from then on. The recovery key stays: the new root key names it
    /// again.
    ///
    /// # Errors
    /// [`AccountError::TooManyRoots`].
    pub fn rotate_root(&self, now: Timestamp, rng: &mut impl CryptoRng) -> Result<Self, AccountError> {
        let root = SigningKey::generate(rng);
        let rotation = RootRotation {
            account: self.id(),
            from_pk: self.root.public(),
            to_pk: root.public(),
            at: now.unix_ms(),
            recovery: None,
        };
        let rotation = self.root.sign_payload(SigningContext::RootRotate, rotation.encode())?;
        let mut draft = self.draft();
        draft.roots.push(rotation);
        if let Some(signed) = draft.recovery.take() {
            let known = open_recovery(&signed, &self.root.public(), &self.id()).map_err(|_| AccountError::Damaged)?;
            draft.recovery = Some(root.sign_payload(SigningContext::Recovery, known.encode())?);
        }
        let held = Held { device: self.device.clone(), label_key: self.label_key.clone(), list: self.list.clone() };
        Self::under(root, held, draft, now, rng)
    }

    /// The account of `words` on this device, which is new: from the newest list that the relay gives, whose root key is
    /// lost. The primary devices that it names are removed; the linked ones stay. `fresh` become the recovery key, since
    /// the old words were typed in.
    ///
    /// # Errors
    /// [`AccountError::WrongWords`] when the list does not name their key.
    pub fn recover(
        words: &RecoveryWords,
        fresh: &RecoveryWords,
        newest: &VerifiedList,
        name: &str,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, AccountError> {
        let list = newest.list();
        let account = list.account;
        let signed = list.recovery.as_ref().ok_or(AccountError::WrongWords)?;
        let record = open_recovery(signed, &list.root_pk, &account).map_err(|_| AccountError::WrongWords)?;
        if record.recovery_pk != words.public() {
            return Err(AccountError::WrongWords);
        }
        let label_key = words.label_sealer().open(account.as_bytes(), record.label_key_ct.as_slice());
        let label_key = Zeroizing::new(label_key.map_err(|_| AccountError::WrongWords)?);
        let label_key = label_key.as_slice().try_into().map_err(|_| AccountError::WrongWords)?;
        let label_key: Zeroizing<[u8; 32]> = Zeroizing::new(label_key);
        let (root, device) = (SigningKey::generate(rng), SigningKey::generate(rng));
        let rotation = RootRotation {
            account,
            from_pk: list.root_pk,
            to_pk: root.public(),
            at: now.unix_ms(),
            recovery: Some(signed.clone()),
        };
        let rotation = words.key().sign_payload(SigningContext::RootRotate, rotation.encode())?;
        let place = ListPlace { account, epoch: list.epoch.saturating_add(1), prev: *newest.hash() };
        let entry = enter_primary(&root, &device, name, place, &label_key, now, rng)?;
        let (lost, mut entries): (Vec<_>, Vec<_>) =
            list.entries.as_slice().iter().cloned().partition(|entry| entry.role == Role::Primary);
        entries.push(entry);
        let mut tombstones = list.tombstones.as_slice().to_vec();
        tombstones.extend(lost.iter().map(|entry| Tombstone {
            device: entry.device,
            reason: RemovalReason::Recovered,
            at: now.unix_ms(),
        }));
        let mut roots = list.roots.as_slice().to_vec();
        roots.push(rotation);
        let recovery = Some(name_recovery(&root, account, fresh, &label_key, now, rng)?);
        let draft = ListDraft { entries, tombstones, recovery, roots, resets: list.resets.as_slice().to_vec() };
        Self::under(root, Held { device, label_key, list: newest.clone() }, draft, now, rng)
    }

    /// An account with new keys, and with the list that brings them in.
    fn under(
        root: SigningKey,
        held: Held,
        draft: ListDraft,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, AccountError> {
        let Held { device, label_key, list } = held;
        let ops = SigningKey::generate(rng);
        let ops_cert = certify_ops(&root, &ops, list.list().account, now)?;
        let mut next = Self { root, ops, device, label_key, ops_cert, list };
        next.list = next.sign_list(draft, &next.root, now)?;
        Ok(next)
    }
}

/// What a device keeps when the keys of its account change.
struct Held {
    device: SigningKey,
    label_key: Zeroizing<LabelKey>,
    list: VerifiedList,
}

/// A list of an account that this device meets for the first time, because `words` name it.
///
/// # Errors
/// [`ListError`] when it is not valid by itself.
pub fn list_for_recovery(signed: &Signed, ops: Option<&Signed>) -> Result<VerifiedList, ListError> {
    VerifiedList::anchor(signed, ops)
}

fn name_recovery(
    root: &SigningKey,
    account: AccountId,
    words: &RecoveryWords,
    label_key: &[u8; 32],
    now: Timestamp,
    rng: &mut impl CryptoRng,
) -> Result<Signed, CryptoError> {
    let label_key_ct = words.label_sealer().seal(rng, account.as_bytes(), label_key)?;
    let record = RecoveryRecord {
        account,
        recovery_pk: words.public(),
        label_key_ct: Bytes::new(label_key_ct).map_err(|_| CryptoError)?,
        at: now.unix_ms(),
    };
    root.sign_payload(SigningContext::Recovery, record.encode())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    fn rng(seed: u8) -> ChaCha20Rng {
        ChaCha20Rng::from_seed([seed; 32])
    }

    fn account() -> Account {
        Account::generate("phone", NOW, &mut rng(1)).unwrap()
    }

    #[test]
    fn the_words_are_those_of_bip_39_and_a_mistyped_one_is_noticed() {
        // Vectors of BIP 39 for 32 bytes: all zero, all 0x7f, all 0xff.
        for (byte, first, last) in [(0x00, "abandon", "art"), (0x7f, "legal", "title"), (0xff, "zoo", "vote")] {
            let words = RecoveryWords(Zeroizing::new([byte; 32]));
            let text = words.to_text().unwrap();
            let all: Vec<_> = text.split(' ').collect();
            assert_eq!((all.len(), all[0], all[23]), (24, first, last));
            let typed = text.to_uppercase().replace(' ', "\n  ");
            assert_eq!(RecoveryWords::parse(&typed).unwrap().public(), words.public());
        }
        let text = RecoveryWords::generate(&mut rng(2)).to_text().unwrap();
        let mut swapped: Vec<_> = text.split(' ').collect();
        swapped.swap(3, 17);
        for wrong in [swapped.join(" "), text.replacen(' ', " pairlight ", 1), "zoo ".repeat(12), String::new()] {
            assert_eq!(RecoveryWords::parse(&wrong).map(|_| ()), Err(AccountError::WrongWords), "{wrong}");
        }
    }

    #[test]
    fn the_old_root_key_brings_in_a_new_one_and_devices_follow() {
        let mut old = account();
        let words = RecoveryWords::generate(&mut rng(3));
        let named = old.list_with_recovery(&words, NOW, &mut rng(4)).unwrap();
        old.advance(named.signed(), None).unwrap();
        let new = old.rotate_root(NOW, &mut rng(5)).unwrap();
        assert_eq!(new.id(), old.id(), "the account keeps its name");
        assert_ne!(new.root_pk(), old.root_pk());
        let followed = old.list().successor(new.list().signed(), Some(new.ops_cert())).unwrap();
        assert_eq!(followed.list().root_pk, new.root_pk());
        // Who meets the account later finds the path, and the next list follows under the new key only.
        VerifiedList::anchor(new.list().signed(), None).unwrap();
        let mut late = old.clone();
        late.advance(new.list().signed(), Some(new.ops_cert())).unwrap();
        let forged = late.list_with_recovery(&words, NOW, &mut rng(6));
        assert!(forged.is_err(), "the old root key signs for nobody any more");
        let again = Account::decode(&new.encode()).unwrap();
        assert!(again.has_recovery() && again.root_pk() == new.root_pk());
        let fresh = RecoveryWords::generate(&mut rng(17));
        Account::recover(&words, &fresh, new.list(), "phone", NOW, &mut rng(18)).expect("the words still work");
    }

    #[test]
    fn the_words_bring_the_account_to_a_new_phone_and_remove_the_lost_one() {
        let mut lost = account();
        let (words, fresh) = (RecoveryWords::generate(&mut rng(3)), RecoveryWords::generate(&mut rng(7)));
        let named = lost.list_with_recovery(&words, NOW, &mut rng(4)).unwrap();
        lost.advance(named.signed(), None).unwrap();
        let found = Account::recover(&words, &fresh, lost.list(), "new phone", NOW, &mut rng(8)).unwrap();
        assert_eq!(found.id(), lost.id());
        let followed = lost.list().successor(found.list().signed(), None).unwrap();
        assert_eq!(followed.tombstone(&lost.device_id()).unwrap().reason, RemovalReason::Recovered);
        let entry = followed.entry(&found.device_id()).unwrap();
        assert_eq!(found.name_of(entry).unwrap(), "new phone");
        assert_eq!(found.label_key(), lost.label_key(), "the names of the other devices stay readable");
        // The old words are spent; the fresh ones work.
        let third = RecoveryWords::generate(&mut rng(9));
        for (used, works) in [(&words, false), (&fresh, true)] {
            let again = Account::recover(used, &third, found.list(), "third", NOW, &mut rng(10));
            assert_eq!(again.is_ok(), works);
        }
    }

    #[test]
    fn nobody_else_brings_in_a_root_key() {
        let mut known = account();
        let words = RecoveryWords::generate(&mut rng(3));
        let named = known.list_with_recovery(&words, NOW, &mut rng(4)).unwrap();
        known.advance(named.signed(), None).unwrap();
        let (old_words, before) = (words.clone(), known.list().clone());
        let newer = RecoveryWords::generate(&mut rng(11));
        let renamed = known.list_with_recovery(&newer, NOW, &mut rng(12)).unwrap();
        known.advance(renamed.signed(), None).unwrap();
        // Words that were replaced, over the list that still named them: the rotation does not follow the known list.
        let stolen = Account::recover(&old_words, &old_words, &before, "thief", NOW, &mut rng(13)).unwrap();
        assert!(known.list().successor(stolen.list().signed(), None).is_err());
        // The ops key signs a rotation by the old root key into a list: it may not.
        let rotated = known.rotate_root(NOW, &mut rng(14)).unwrap();
        let by_ops = known.sign_list(
            ListDraft { roots: rotated.list().list().roots.as_slice().to_vec(), ..known.draft() },
            &known.ops,
            NOW,
        );
        assert!(by_ops.is_err());
        // A rotation that the path does not lead to.
        let foreign = Account::generate("other", NOW, &mut rng(15)).unwrap().rotate_root(NOW, &mut rng(16));
        let roots = foreign.unwrap().list().list().roots.as_slice().to_vec();
        assert!(known.sign_list(ListDraft { roots, ..known.draft() }, &known.root, NOW).is_err());
    }

    #[test]
    fn a_ninth_rotation_is_refused_with_its_reason() {
        let mut account = account();
        for round in 0..8 {
            account = account.rotate_root(NOW, &mut rng(20 + round)).unwrap();
        }
        let ninth = account.rotate_root(NOW, &mut rng(40));
        assert_eq!(ninth.map(|_| ()), Err(AccountError::TooManyRoots(9)));
    }
}
