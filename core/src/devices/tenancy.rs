//! The linked device's book on itself: when to report, when to warn, when to lock, when to erase itself.

use pairlight_wire::device::CheckIn;
use pairlight_wire::limits::LEASE_GRACE_MS;
use pairlight_wire::list::VerifiedList;
use pairlight_wire::sign::{Signed, SigningContext};
use pairlight_wire::standing::{Discrepancy, Standing};
use pairlight_wire::{Wire, record};
use rand_core::CryptoRng;

use crate::Timestamp;
use crate::crypto::sign::SigningKey;
use crate::crypto::{CryptoError, random};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// A running device reports this often.
const CHECK_IN_MS: u64 = DAY_MS;
/// This long before the end of its lease it reports more often.
const RENEW_MS: u64 = 72 * HOUR_MS;
/// Namely this often.
const URGENT_MS: u64 = 6 * HOUR_MS;
/// Without a word from the primary device for this long, the person is warned.
const WARN_MS: u64 = 10 * DAY_MS;
/// Without one for this long, the device erases itself.
const WIPE_MS: u64 = 90 * DAY_MS;

record! {
    /// How a linked device stands with its account, as it lies in the sealed store.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Tenancy [1] {
        /// Counter of the last check-in; 0 before the first.
        pub ctr: u64,
        /// Digest of it; zero before the first.
        pub digest: [u8; 32],
        /// When it was made, ms since 1970; 0 before the first.
        pub made: u64,
        /// When the primary device last sent a lease, ms since 1970. At first, when the device was linked.
        pub word: u64,
        /// When the person was last warned, ms since 1970.
        pub warned: u64,
        /// How the primary device says that this device stands.
        pub standing: Standing,
        /// Why, unless it is active.
        pub because: Option<Discrepancy>,
        /// Whether the store was locked. Only a new link ends that.
        pub locked: bool,
    }
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Report.
    CheckIn,
    /// Tell the person that the primary device has been silent.
    Warn,
    /// Seal the store and drop its key.
    Lock,
    /// Erase keys and data.
    Wipe,
}

/// Message counts of the session with the primary device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionCounts {
    /// One more than the highest number received.
    pub received: u64,
    /// One more than the highest number sent.
    pub sent: u64,
}

impl Tenancy {
    /// A device that was linked at `linked`.
    #[must_use]
    pub fn new(linked: Timestamp) -> Self {
        Self {
            ctr: 0,
            digest: [0; 32],
            made: 0,
            word: linked.unix_ms(),
            warned: 0,
            standing: Standing::Active,
            because: None,
            locked: false,
        }
    }

    /// What is due now; the gravest first. `ends` is the end of the lease, or of the certificate when that is earlier.
    #[must_use]
    pub fn duty(&self, ends: u64, now: Timestamp) -> Option<Duty> {
        let silence = now.ms_since(Timestamp::from_unix_ms(self.word));
        let since_report = now.ms_since(Timestamp::from_unix_ms(self.made));
        let urgent = now.unix_ms() >= ends.saturating_sub(RENEW_MS);
        let every = if urgent { URGENT_MS } else { CHECK_IN_MS };
        let warned = now.ms_since(Timestamp::from_unix_ms(self.warned)) < DAY_MS;
        if silence >= WIPE_MS {
            Some(Duty::Wipe)
        } else if !self.locked && now.unix_ms() >= ends.saturating_add(LEASE_GRACE_MS) {
            Some(Duty::Lock)
        } else if self.locked {
            None
        } else if self.made == 0 || since_report >= every {
            Some(Duty::CheckIn)
        } else if silence >= WARN_MS && !warned {
            Some(Duty::Warn)
        } else {
            None
        }
    }

    /// The next check-in, signed. Store this record before it leaves: a counter that falls back looks like a copy.
    ///
    /// # Errors
    /// [`CryptoError`] when the counter is used up.
    pub fn check_in(
        &mut self,
        key: &SigningKey,
        list: &VerifiedList,
        counts: SessionCounts,
        platform: [u8; 8],
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Signed, CryptoError> {
        let check_in = self.draft(&key.public(), list, counts, platform, now, rng)?;
        let signed = key.sign_payload(SigningContext::CheckIn, check_in.encode())?;
        self.signed(&check_in, &signed);
        Ok(signed)
    }

    /// The next check-in of the device whose public key is given, not signed yet. Nothing changes before [`Tenancy::signed`].
    ///
    /// # Errors
    /// As [`Tenancy::check_in`].
    pub fn draft(
        &self,
        device_pk: &[u8; 32],
        list: &VerifiedList,
        counts: SessionCounts,
        platform: [u8; 8],
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<CheckIn, CryptoError> {
        Ok(CheckIn {
            device: pairlight_wire::id::DeviceId::of(device_pk),
            ctr: self.ctr.checked_add(1).ok_or(CryptoError)?,
            prev: self.digest,
            epoch: list.list().epoch,
            list_hash: *list.hash(),
            rx_hw: counts.received,
            tx_hw: counts.sent,
            platform,
            time: now.unix_ms(),
            nonce: random(rng),
        })
    }

    /// Whether a draft is still the next check-in.
    #[must_use]
    pub fn is_next(&self, draft: &CheckIn) -> bool {
        self.ctr.checked_add(1) == Some(draft.ctr) && self.digest == draft.prev
    }

    /// A draft was signed. Store this record before it leaves.
    pub fn signed(&mut self, check_in: &CheckIn, signed: &Signed) {
        self.ctr = check_in.ctr;
        self.digest = signed.digest();
        self.made = check_in.time;
    }

    /// A lease came.
    pub fn on_lease(&mut self, standing: Standing, because: Option<Discrepancy>, now: Timestamp) {
        self.word = now.unix_ms();
        self.standing = standing;
        self.because = because;
    }

    /// How long the primary device has been silent, ms.
    #[must_use]
    pub fn silence_ms(&self, now: Timestamp) -> u64 {
        now.ms_since(Timestamp::from_unix_ms(self.word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKED: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    fn at(hours: u64) -> Timestamp {
        LINKED.plus_ms(hours * HOUR_MS)
    }

    /// Plays a device whose primary device stays silent; tells when each duty came up, in hours.
    fn silent(lease_days: u64, hours: u64) -> Vec<(u64, Duty)> {
        let mut tenancy = Tenancy::new(LINKED);
        let ends = at(lease_days * 24).unix_ms();
        let mut duties = Vec::new();
        for hour in 0..=hours {
            while let Some(duty) = tenancy.duty(ends, at(hour)) {
                duties.push((hour, duty));
                match duty {
                    Duty::CheckIn => tenancy.made = at(hour).unix_ms(),
                    Duty::Warn => tenancy.warned = at(hour).unix_ms(),
                    Duty::Lock => tenancy.locked = true,
                    Duty::Wipe => return duties,
                }
            }
        }
        duties
    }

    #[test]
    fn a_device_reports_daily_then_often_is_warned_locked_and_erased() {
        let duties = silent(30, 95 * 24);
        let when = |wanted: Duty| duties.iter().filter(move |(_, duty)| *duty == wanted).map(|(hour, _)| *hour);
        assert_eq!(when(Duty::CheckIn).take(3).collect::<Vec<_>>(), [0, 24, 48]);
        let before_the_end: Vec<_> = when(Duty::CheckIn).filter(|hour| (27 * 24..30 * 24).contains(hour)).collect();
        assert_eq!(before_the_end.len(), 12, "every six hours in the last three days: {before_the_end:?}");
        assert_eq!(when(Duty::Warn).take(2).collect::<Vec<_>>(), [240, 264]);
        assert_eq!(when(Duty::Lock).collect::<Vec<_>>(), [31 * 24], "24 hours after the end of the lease");
        assert_eq!(when(Duty::Wipe).collect::<Vec<_>>(), [90 * 24]);
        assert_eq!(duties.last(), Some(&(90 * 24, Duty::Wipe)));
    }

    #[test]
    fn a_short_lease_locks_after_its_own_end() {
        let duties = silent(1, 72);
        assert!(duties.contains(&(48, Duty::Lock)), "{duties:?}");
        assert!(duties.iter().all(|(hour, duty)| *duty != Duty::CheckIn || *hour < 48), "a locked device is silent");
    }

    #[test]
    fn a_lease_starts_every_count_again() {
        let mut tenancy = Tenancy::new(LINKED);
        tenancy.made = at(240).unix_ms();
        assert_eq!(tenancy.duty(at(720).unix_ms(), at(240)), Some(Duty::Warn));
        tenancy.on_lease(Standing::Active, None, at(240));
        assert_eq!(tenancy.duty(at(960).unix_ms(), at(240)), None);
        assert_eq!(tenancy.silence_ms(at(241)), HOUR_MS);
    }

    #[test]
    fn check_ins_form_a_chain() {
        use rand_core::SeedableRng;
        let mut rng = rand_chacha::ChaCha20Rng::from_seed([3; 32]);
        let account = crate::devices::Account::generate("phone", LINKED, &mut rng).unwrap();
        let key = SigningKey::generate(&mut rng);
        let mut tenancy = Tenancy::new(LINKED);
        let (mut prev, counts) = ([0; 32], SessionCounts { received: 2, sent: 5 });
        for ctr in 1..4 {
            let signed = tenancy.check_in(&key, account.list(), counts, [7; 8], at(ctr), &mut rng).unwrap();
            let opened = CheckIn::decode(signed.open(&key.public(), SigningContext::CheckIn).unwrap()).unwrap();
            assert_eq!((opened.ctr, opened.prev), (ctr, prev));
            assert_eq!((opened.epoch, opened.list_hash), (1, *account.list().hash()), "the head is gossiped");
            assert_eq!((opened.rx_hw, opened.tx_hw), (2, 5));
            prev = signed.digest();
        }
    }
}
