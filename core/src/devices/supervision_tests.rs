use super::*;
use crate::crypto::sign::SigningKey;
use crate::devices::{Account, NewDevice, SessionCounts, Tenancy};
use crate::trust::{Evidence, Grade};
use pairlight_wire::device::{Preset, SCOPE_ALL};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const START: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
const HOUR_MS: u64 = 3_600_000;
const LAPTOP: [u8; 8] = [1; 8];

/// An account with one linked device that reports.
struct Pair {
    rng: ChaCha20Rng,
    account: Account,
    key: SigningKey,
    entry: Entry,
    tenancy: Tenancy,
    book: Supervision,
    counts: SessionCounts,
    platform: [u8; 8],
    sent: u64,
    now: Timestamp,
}

impl Pair {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::from_seed([9; 32]);
        let mut account = Account::generate("phone", START, &mut rng).unwrap();
        let key = SigningKey::generate(&mut rng);
        let new = NewDevice {
            device_pk: key.public(),
            name: "laptop".into(),
            scope: SCOPE_ALL,
            evidence: Evidence::NONE,
            grade: Grade::Strong,
            preset: Preset::Balanced,
            link_th: [0; 32],
        };
        let certified = account.certify(&new, START, &mut rng).unwrap();
        let accept = key.sign(SigningContext::DeviceAccept, &certified.entry.cert_digest);
        let entry = certified.accept(accept).unwrap();
        let list = account.list_with(entry.clone(), START).unwrap();
        account.advance(list.signed(), None).unwrap();
        Self {
            rng,
            book: Supervision::new(entry.device),
            account,
            key,
            entry,
            tenancy: Tenancy::new(START),
            counts: SessionCounts::default(),
            platform: LAPTOP,
            sent: 10,
            now: START,
        }
    }

    fn report_of(&mut self, tenancy: &mut Tenancy) -> Signed {
        let list = self.account.list();
        tenancy.check_in(&self.key, list, self.counts, self.platform, self.now, &mut self.rng).unwrap()
    }

    fn report(&mut self) -> Signed {
        let mut tenancy = self.tenancy.clone();
        let signed = self.report_of(&mut tenancy);
        self.tenancy = tenancy;
        signed
    }

    fn assess(&mut self, signed: &Signed) -> Assessment {
        let known = Some(*self.account.list().hash());
        self.assess_with(signed, known, self.account.list().list().epoch)
    }

    fn assess_with(&mut self, signed: &Signed, hash_then: Option<[u8; 32]>, epoch: u64) -> Assessment {
        let here = Circumstances { entry: &self.entry, epoch, hash_then, sent: Some(self.sent) };
        self.book.assess(signed, &here, self.now)
    }

    fn checks_in(&mut self) -> Assessment {
        let signed = self.report();
        self.assess(&signed)
    }

    fn rows(assessment: &Assessment) -> Vec<u64> {
        assessment.findings.iter().map(|(seen, _)| seen.row().code()).collect()
    }
}

#[test]
fn honest_reports_raise_nothing_also_over_gaps_and_repetitions() {
    let mut pair = Pair::new();
    for _ in 0..3 {
        let signed = pair.report();
        assert_eq!(Pair::rows(&pair.assess(&signed)), [0; 0]);
        let again = pair.assess(&signed);
        assert!(again.check_in.is_some() && again.findings.is_empty(), "the same bytes again");
    }
    let _lost = pair.report();
    assert_eq!(Pair::rows(&pair.checks_in()), [0; 0], "one that never came");
    assert_eq!(pair.book.scope(SCOPE_ALL), SCOPE_ALL);
}

#[test]
fn a_copied_profile_is_caught_whichever_copy_reports_first() {
    for copy_first in [false, true] {
        let mut pair = Pair::new();
        pair.checks_in();
        let mut copy = pair.tenancy.clone();
        let (original, copied) = (pair.report(), pair.report_of(&mut copy));
        let (one, two) = if copy_first { (copied, original) } else { (original, copied) };
        assert!(pair.assess(&one).findings.is_empty());
        let repeated = pair.assess(&two);
        assert_eq!(repeated.findings, [(Observation::CounterRepeated, Action::Quarantine)]);
        assert_eq!(pair.book.scope(SCOPE_ALL), 0, "quarantined at once");
        // The loser reports once more: now the chain itself shows two.
        let next = if copy_first { pair.report() } else { pair.report_of(&mut copy) };
        let forked = pair.assess(&next);
        assert_eq!(forked.removal(), Some((RemovalReason::Cloned, Discrepancy::CopyForked)));
    }
}

#[test]
fn a_copy_that_skips_numbers_still_meets_the_original() {
    let mut pair = Pair::new();
    pair.checks_in();
    let mut copy = pair.tenancy.clone();
    copy.ctr += 5;
    let skipped = pair.report_of(&mut copy);
    assert!(pair.assess(&skipped).findings.is_empty(), "alone it looks like lost reports");
    assert_eq!(Pair::rows(&pair.checks_in()), [1], "the original falls behind it");
}

#[test]
fn a_restored_backup_repeats_its_counter() {
    let mut pair = Pair::new();
    pair.checks_in();
    let backup = pair.tenancy.clone();
    pair.checks_in();
    pair.checks_in();
    pair.tenancy = backup;
    assert_eq!(Pair::rows(&pair.checks_in()), [1]);
    assert_eq!(pair.book.because, Some(Discrepancy::CounterRepeated));
}

#[test]
fn another_list_of_the_same_epoch_freezes_and_revokes_nobody() {
    let mut pair = Pair::new();
    let signed = pair.report();
    let verdict = pair.assess_with(&signed, Some([0xee; 32]), 2);
    assert_eq!(verdict.findings, [(Observation::ListDiffers, Action::FreezeList)]);
    assert_eq!((verdict.removal(), pair.book.standing), (None, Standing::Active));
    let signed = pair.report();
    assert!(pair.assess_with(&signed, None, 2).findings.is_empty(), "an epoch that is not known here");
}

#[test]
fn a_device_that_stays_behind_gets_the_chain_and_then_nothing() {
    let mut pair = Pair::new();
    let hash = Some(*pair.account.list().hash());
    let mut verdicts = Vec::new();
    for _ in 0..12 {
        let signed = pair.report();
        let verdict = pair.assess_with(&signed, hash, 4);
        verdicts.extend(verdict.findings.into_iter().map(|(_, follows)| follows));
        pair.now = pair.now.plus_ms(12 * HOUR_MS);
    }
    assert_eq!(verdicts, [Action::SendChain, Action::Quarantine]);
    // One epoch behind is the ordinary case of a list that was just published.
    let mut pair = Pair::new();
    for _ in 0..12 {
        let signed = pair.report();
        assert!(pair.assess_with(&signed, hash, 3).findings.is_empty());
        pair.now = pair.now.plus_ms(12 * HOUR_MS);
    }
}

#[test]
fn another_platform_may_only_receive_until_it_is_confirmed() {
    let mut pair = Pair::new();
    pair.checks_in();
    pair.platform = [2; 8];
    assert_eq!(pair.checks_in().findings, [(Observation::PlatformChanged, Action::Restrict)]);
    assert_eq!(pair.book.scope(SCOPE_ALL), SCOPE_RECEIVE);
    assert!(pair.checks_in().findings.is_empty(), "said once");
    pair.book.confirm();
    assert_eq!(pair.book.scope(SCOPE_ALL), SCOPE_ALL);
    assert!(pair.checks_in().findings.is_empty());
}

#[test]
fn counters_that_cannot_be_end_the_device() {
    let mut pair = Pair::new();
    pair.counts = SessionCounts { received: 11, sent: 3 };
    let verdict = pair.checks_in();
    assert_eq!(verdict.removal(), Some((RemovalReason::Discrepancy, Discrepancy::CountersImpossible)));
    let mut pair = Pair::new();
    pair.counts = SessionCounts { received: 10, sent: 3 };
    assert!(pair.checks_in().findings.is_empty(), "as many as were sent");
    pair.counts.sent = 2;
    assert_eq!(Pair::rows(&pair.checks_in()), [6]);
    // After a reset both count from zero.
    let mut pair = Pair::new();
    pair.counts.sent = 7;
    pair.checks_in();
    pair.book.on_reset(pair.now);
    pair.counts.sent = 0;
    assert!(pair.checks_in().findings.is_empty());
}

#[test]
fn the_fifth_bad_signature_quarantines() {
    let mut pair = Pair::new();
    let mut forged = pair.report();
    forged.sig[0] ^= 1;
    for count in 1..=5 {
        let verdict = pair.assess(&forged);
        assert!(verdict.check_in.is_none());
        assert_eq!(verdict.findings[0].0, Observation::BadSignature { count });
        assert_eq!(pair.book.standing == Standing::Quarantined, count == 5);
    }
    // A report of another device, honestly signed by that one.
    let mut pair = Pair::new();
    pair.key = SigningKey::generate(&mut pair.rng);
    assert_eq!(Pair::rows(&pair.checks_in()), [7]);
}

#[test]
fn the_third_reset_of_a_day_quarantines_and_a_day_later_the_count_is_new() {
    let mut book = Supervision::new(DeviceId([1; 16]));
    for hour in [0, 10] {
        assert_eq!(book.on_reset(START.plus_ms(hour * HOUR_MS))[0].1, Action::Notice);
    }
    let mut other = book.clone();
    assert_eq!(other.on_reset(START.plus_ms(25 * HOUR_MS))[0].1, Action::Notice);
    assert_eq!(book.on_reset(START.plus_ms(20 * HOUR_MS))[0].1, Action::Quarantine);
    assert_eq!(book.because, Some(Discrepancy::Undecryptable));
}

#[test]
fn twice_connected_twice_in_a_day_counts_as_a_copy_and_a_country_is_told_once() {
    let mut book = Supervision::new(DeviceId([1; 16]));
    assert_eq!(book.on_two_sockets(0, START)[0].1, Action::Notice);
    let mut other = book.clone();
    assert_eq!(other.on_two_sockets(0, START.plus_ms(25 * HOUR_MS))[0].1, Action::Notice);
    assert_eq!(book.on_two_sockets(0, START.plus_ms(HOUR_MS))[0].1, Action::Revoke(RemovalReason::Cloned));
    assert!(book.on_country("NL").is_empty(), "the first is where it is");
    assert!(book.on_country("NL").is_empty());
    assert_eq!(book.on_country("PT"), [(Observation::CountryChanged, Action::Notice)]);
}

#[test]
fn second_sockets_are_paired_by_when_they_were_and_not_by_when_they_are_told() {
    let book = || Supervision::new(DeviceId([1; 16]));
    let removed = Action::Revoke(RemovalReason::Cloned);
    let now = START.plus_ms(100 * 24 * HOUR_MS);
    // One of two days ago that is told now, and one of now.
    let mut kept = book();
    assert_eq!(kept.on_two_sockets(48 * HOUR_MS, now)[0].1, Action::Notice);
    assert_eq!(kept.on_two_sockets(0, now.plus_ms(1_000))[0].1, Action::Notice);
    // A pair of two days ago, told now, in either order; also beside one of now.
    for told in [[48, 40], [40, 48]] {
        let mut pair = book();
        assert_eq!(pair.on_two_sockets(0, now)[0].1, Action::Notice);
        assert_eq!(pair.on_two_sockets(told[0] * HOUR_MS, now)[0].1, Action::Notice);
        assert_eq!(pair.on_two_sockets(told[1] * HOUR_MS, now)[0].1, removed);
    }
    // One of 20 hours ago and one of now are a pair of one day.
    let mut near = book();
    assert_eq!(near.on_two_sockets(20 * HOUR_MS, now)[0].1, Action::Notice);
    assert_eq!(near.on_two_sockets(0, now)[0].1, removed);
    // What no device lives through, and what no clock can mean.
    for ago in [91 * 24 * HOUR_MS, u64::MAX] {
        assert!(book().on_two_sockets(ago, now).is_empty());
    }
    // More than are remembered, of different days.
    let mut many = book();
    for days in 0..20 {
        assert_eq!(many.on_two_sockets(0, START.plus_ms(days * 25 * HOUR_MS))[0].1, Action::Notice);
    }
}

#[test]
fn the_record_reads_back() {
    let mut pair = Pair::new();
    pair.checks_in();
    pair.book.on_two_sockets(0, START);
    pair.book.on_country("NL");
    assert_eq!(Supervision::decode(&pair.book.encode()).unwrap(), pair.book);
}

#[test]
fn a_device_that_never_came_is_missed_after_three_days() {
    let mut pair = Pair::new();
    let three_days = 72 * HOUR_MS;
    assert!(!pair.book.never_came(START, START.plus_ms(three_days - 1)));
    assert!(pair.book.never_came(START, START.plus_ms(three_days)));
    assert!(!pair.book.never_came(START.plus_ms(1), START.plus_ms(three_days)));
    pair.checks_in();
    assert!(!pair.book.never_came(START, START.plus_ms(300 * HOUR_MS)), "it came once");
}
