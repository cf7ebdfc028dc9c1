//! Reports, leases, notices and removals between two stores, with an adversary between them: one fault at every message in
//! every way. Whatever it does, an honest device stays what it is, and a removal is believed when it is signed.

use pairlight_wire::list::RemovalReason;
use pairlight_wire::relay::ListChain;
use pairlight_wire::standing::{NoticeKind, Standing};
use tempfile::TempDir;

use super::*;
use crate::devices::action;
use crate::net::records::save_link;
use crate::pairing::tests::figures::documented;
use crate::pairing::tests::{Linked, guarded_pair, linked_and_relinked, linked_pair};
use crate::pairing::{LinkedAccount, LinkedSave, PrimarySave};
use crate::store::{KeyFile, Table};

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_100_000);
const HOUR_MS: u64 = 3_600_000;
const PLATFORM: [u8; 8] = [7; 8];

/// A phone and a laptop, each with its store.
struct Pair {
    phone: Store,
    laptop: Store,
    now: Timestamp,
    _folder: TempDir,
}

fn store(folder: &TempDir, name: &str) -> Store {
    let rng = || Box::new(system_rng());
    let key = KeyFile::open_or_create(&folder.path().join(format!("{name}.key")), rng()).unwrap();
    Store::open(&folder.path().join(format!("{name}.db")), &key, rng()).unwrap()
}

impl Pair {
    fn new(seed: u8) -> Self {
        Self::of(linked_pair(seed))
    }

    fn of((account, linked, session): Linked) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let (mut phone, mut laptop) = (store(&folder, "phone"), store(&folder, "laptop"));
        phone.put_account(&account).unwrap();
        phone.put_session(&session).unwrap();
        laptop.put_linked_account(&linked).unwrap();
        laptop.put_session(&Session::decode(linked.first_session()).unwrap()).unwrap();
        Self { phone, laptop, now: NOW, _folder: folder }
    }

    fn linked(&self) -> LinkedAccount {
        self.laptop.linked_account().unwrap().unwrap()
    }

    fn report(&mut self) -> Vec<u8> {
        self.now = self.now.plus_ms(HOUR_MS);
        match report(&mut self.laptop, PLATFORM, self.now).unwrap() {
            NextReport::Sealed(envelope) => envelope.encode(),
            NextReport::Unsigned(_) | NextReport::None => panic!("no report"),
        }
    }

    /// What the phone makes of bytes that somebody delivers: the answer, if it gives one.
    fn phone_takes(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let envelope = Envelope::decode(bytes).ok()?;
        match receive(&mut self.phone, &envelope, Some(&Policy::BALANCED), self.now).unwrap() {
            Receipt::Reported { findings, fork, answer } => {
                assert!(findings.is_empty() && fork.is_none(), "an honest report has no findings: {findings:?}");
                answer.map(|answer| answer.encode())
            }
            Receipt::Unreadable(_) | Receipt::Nothing | Receipt::Withheld => None,
            _ => panic!("the phone took something that is for a laptop"),
        }
    }

    /// What the laptop makes of bytes; whether it was a lease or a notice.
    fn laptop_takes(&mut self, bytes: &[u8]) -> bool {
        let Ok(envelope) = Envelope::decode(bytes) else { return false };
        match receive(&mut self.laptop, &envelope, None, self.now).unwrap() {
            Receipt::Leased { tenancy, removal, fork, .. } => {
                assert!(removal.is_none() && fork.is_none());
                assert_eq!((tenancy.standing, tenancy.because), (Standing::Active, None));
                true
            }
            Receipt::Noticed(_) => true,
            Receipt::Unreadable(_) | Receipt::Nothing | Receipt::Withheld => false,
            _ => panic!("the laptop took something that is for a phone"),
        }
    }

    /// Stores what another link of the same device gives both sides, as the drivers do.
    fn link_again(&mut self, (account, linked, session): Linked) {
        let (device, primary) = (linked.device_id(), linked.primary());
        let session = session.encode().unwrap();
        let save = PrimarySave::Linked { account: Box::new(account), device, session };
        save_link(&mut self.phone, Some(device), |store| store.save_primary(&save)).unwrap();
        let save = LinkedSave::Committed(Box::new(linked));
        save_link(&mut self.laptop, primary, |store| store.save_linked(&save)).unwrap();
    }

    /// A message from the phone, or from the laptop, sealed under the session that its sender has now.
    fn sealed(&mut self, by_phone: bool) -> Envelope {
        let linked = self.linked();
        let (store, to) = match by_phone {
            true => (&mut self.phone, linked.device_id()),
            false => (&mut self.laptop, linked.primary().unwrap()),
        };
        let mut session = store.session(&to).unwrap().unwrap();
        let sealed = session.seal(EnvelopeKind::Application, b"hello", &mut system_rng()).unwrap();
        store.put_session(&session).unwrap();
        sealed
    }

    /// What the other side makes of it.
    fn arrives(&mut self, at_phone: bool, envelope: &Envelope) -> Receipt {
        match at_phone {
            true => receive(&mut self.phone, envelope, Some(&Policy::BALANCED), self.now).unwrap(),
            false => receive(&mut self.laptop, envelope, None, self.now).unwrap(),
        }
    }

    /// What follows from a message that does not open.
    fn follows(&mut self, at_phone: bool, envelope: &Envelope) -> Action {
        let Receipt::Unreadable(Unreadable { count, since }) = self.arrives(at_phone, envelope) else {
            panic!("it was opened")
        };
        let for_ms = self.now.ms_since(Timestamp::from_unix_ms(since));
        action(&Observation::Undecryptable { count, for_ms })
    }

    fn notice(&mut self) -> Vec<u8> {
        let device = self.linked().device_id();
        let notice =
            Notice { kind: NoticeKind::RootChanged, device, evidence: 0, removal: None, discrepancy: None, at: 5 };
        let mut session = self.phone.session(&device).unwrap().unwrap();
        let sealed = session.seal(EnvelopeKind::Notice, &notice.encode(), &mut system_rng()).unwrap();
        self.phone.put_session(&session).unwrap();
        sealed.encode()
    }

    /// The disturbance is over: everything goes on, and nothing stuck to the device.
    fn assert_sound(&mut self, what: &str) {
        let report = self.report();
        let lease = self.phone_takes(&report).unwrap_or_else(|| panic!("{what}: the next report gets no lease"));
        assert!(self.laptop_takes(&lease), "{what}: the next lease is not taken");
        let device = self.linked().device_id();
        let book = self.phone.book(&device).unwrap();
        assert_eq!((book.standing, book.because, book.bad_signatures), (Standing::Active, None, 0), "{what}");
        assert_eq!(book.ctr, self.laptop.tenancy().unwrap().unwrap().ctr, "{what}");
        assert!(self.phone.account().unwrap().unwrap().list().entry(&device).is_some(), "{what}");
    }
}

/// The README's row of how many faults there are.
const FAULTS_ROW: &str = "faults at messages of a pairing, crashes in place of outputs, repetitions";

/// The message, and one of the same place of another pair.
type Fault = fn(&[u8], &[u8]) -> Vec<Vec<u8>>;

const FAULTS: [(&str, Fault); 8] = [
    ("lost, or the sender died before it left", |_, _| vec![]),
    ("twice, or the receiver died before it said so", |one, _| vec![one.to_vec(), one.to_vec()]),
    ("of another pair", |_, other| vec![other.to_vec()]),
    ("of another pair first", |one, other| vec![other.to_vec(), one.to_vec()]),
    ("cut", |one, _| vec![one[..one.len() / 2].to_vec()]),
    ("longer", |one, _| vec![[one, b"x"].concat()]),
    ("empty", |_, _| vec![Vec::new()]),
    ("bent, then as it was", |one, _| {
        let mut bent = one.to_vec();
        let middle = bent.len() / 2;
        bent[middle] ^= 1;
        vec![bent, one.to_vec()]
    }),
];

/// Every way to bend a message in one place, a stride apart.
fn bent(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len()).step_by(7).map(|at| {
        let mut bent = bytes.to_vec();
        bent[at] ^= 1 << (at % 8);
        bent
    })
}

#[test]
fn one_fault_at_every_report_lease_and_notice_leaves_an_honest_device_what_it_is() {
    let mut other = Pair::new(9);
    let theirs = other.report();
    let their_lease = other.phone_takes(&theirs).unwrap();
    let their_notice = other.notice();
    let mut runs = 0;
    let mut pair = Pair::new(7);
    pair.assert_sound("before");
    for (what, fault) in FAULTS {
        let report = pair.report();
        let mut lease = None;
        for bytes in fault(&report, &theirs) {
            lease = pair.phone_takes(&bytes).or(lease);
        }
        if let Some(lease) = lease {
            assert!(pair.laptop_takes(&lease), "{what}");
        }
        pair.assert_sound(&format!("a report {what}"));

        let report = pair.report();
        let lease = pair.phone_takes(&report).unwrap();
        for bytes in fault(&lease, &their_lease) {
            pair.laptop_takes(&bytes);
        }
        pair.assert_sound(&format!("a lease {what}"));

        let notice = pair.notice();
        for bytes in fault(&notice, &their_notice) {
            pair.laptop_takes(&bytes);
        }
        pair.assert_sound(&format!("a notice {what}"));
        runs += 3;
    }
    // To the wrong side, and again long after.
    let (report, notice) = (pair.report(), pair.notice());
    assert!(!pair.laptop_takes(&report), "a laptop takes no report");
    assert_eq!(pair.phone_takes(&notice), None, "a phone takes no notice of its own");
    let lease = pair.phone_takes(&report).unwrap();
    assert_eq!(pair.phone_takes(&lease), None, "nor a lease");
    pair.assert_sound("messages to the wrong side");
    assert!(pair.phone_takes(&report).is_none(), "others came since");
    for old in [&report, &theirs] {
        assert_eq!(pair.phone_takes(old), None, "only the last report is answered again");
        pair.assert_sound("an old report");
    }
    for old in [&lease, &their_lease, &notice] {
        pair.laptop_takes(old);
        pair.assert_sound("an old lease or notice");
    }
    runs += 7;
    // What is bent does not open; a lease may open as what it was, where the bent bit has no meaning to Olm, and is spent then.
    let length = pair.report().len();
    let mut meaningless = 0;
    for at in 0..length {
        let report = pair.report();
        let Some(bytes) = bent(&report).nth(at) else { break };
        if let Some(lease) = pair.phone_takes(&bytes) {
            panic!("a bent report was answered: {lease:?}");
        }
        runs += 1;
    }
    for at in 0..length {
        let report = pair.report();
        let lease = pair.phone_takes(&report).unwrap();
        let Some(bytes) = bent(&lease).nth(at) else { break };
        let taken = pair.laptop_takes(&bytes);
        meaningless += u32::from(taken);
        assert_eq!(pair.laptop_takes(&lease), !taken, "taken once, however it came");
        runs += 1;
    }
    assert!(meaningless < 8, "{meaningless} bits of a lease mean nothing");
    pair.assert_sound("bent messages");
    println!(
        "faults at reports, leases and notices: {runs} injected, {runs} survived; {meaningless} bent bits meant nothing"
    );
    // The ratchet draws its own randomness: a lease may be a byte longer.
    assert!(documented(FAULTS_ROW)[3].abs_diff(runs) <= 2, "{runs}");
}

#[test]
fn a_report_that_is_late_or_comes_again_long_after_is_no_discrepancy_and_one_of_a_copy_is() {
    let mut pair = Pair::new(7);
    let reports: Vec<_> = (0..4).map(|_| pair.report()).collect();
    // The second is held back; the third names it as the one before.
    assert!(pair.phone_takes(&reports[0]).is_some());
    assert!(pair.phone_takes(&reports[2]).is_some());
    assert_eq!(pair.phone_takes(&reports[1]), None, "late, and vouched for");
    assert!(pair.phone_takes(&reports[3]).is_some());
    for old in &reports[..3] {
        assert_eq!(pair.phone_takes(old), None, "nothing to answer");
    }
    assert!(pair.phone_takes(&reports[3]).is_some(), "the last one is answered again");
    pair.assert_sound("old reports");

    // Two in a row are held back: the one before the last is vouched for, of the other nobody knows; it is signed all the same.
    let late: Vec<_> = (0..3).map(|_| pair.report()).collect();
    assert!(pair.phone_takes(&late[2]).is_some());
    for held in [&late[0], &late[1], &late[0]] {
        assert_eq!(pair.phone_takes(held), None, "late");
    }
    pair.assert_sound("reports that were held back");

    // A copy that was made before the last report: whatever it says now was said by somebody else.
    let mut pair = Pair::new(8);
    let first = pair.report();
    assert!(pair.phone_takes(&first).is_some());
    let (tenancy, device) = (pair.laptop.tenancy().unwrap().unwrap(), pair.linked().device_id());
    let second = pair.report();
    assert!(pair.phone_takes(&second).is_some());
    let mut batch = Batch::new();
    batch.put_tenancy(&tenancy);
    pair.laptop.commit(&batch).unwrap();
    let copied = Envelope::decode(&pair.report()).unwrap();
    let taken = receive(&mut pair.phone, &copied, Some(&Policy::BALANCED), pair.now).unwrap();
    let Receipt::Reported { findings, .. } = taken else { panic!("not judged") };
    assert_eq!(findings, [(Observation::CounterRepeated, Action::Quarantine)]);
    assert_eq!(pair.phone.book(&device).unwrap().standing, Standing::Quarantined);
}

#[test]
fn d7_the_fifth_report_with_a_bad_signature_quarantines() {
    let mut pair = Pair::new(7);
    let (linked, phone) = (pair.linked(), pair.phone.account().unwrap().unwrap().device_id());
    let mut follows = Vec::new();
    for _ in 0..5 {
        // Another device of the account has the key that seals a report, and not the one that signs it.
        let envelope = Envelope::decode(&pair.report()).unwrap();
        let key = report_key(&linked.id(), linked.label_key());
        let mut report = Report::decode(&key.open(&envelope.header(), envelope.body_ct.as_slice()).unwrap()).unwrap();
        report.check_in.sig[0] ^= 1;
        let sealed = key.seal(&mut system_rng(), &envelope.header(), &report.encode()).unwrap();
        let forged = Envelope { body_ct: Bytes::new(sealed).unwrap(), ..envelope };
        let taken = receive(&mut pair.phone, &forged, Some(&Policy::BALANCED), pair.now).unwrap();
        let Receipt::Reported { findings, answer: None, .. } = taken else { panic!("not judged, or answered") };
        let [(Observation::BadSignature { .. }, action)] = findings[..] else { panic!("{findings:?}") };
        follows.push(action);
    }
    assert_eq!(follows[3..], [Action::Count, Action::Quarantine]);
    // What it says from now on is not heard, whatever its own lease says.
    let mut session = pair.laptop.session(&phone).unwrap().unwrap();
    let said = session.seal(EnvelopeKind::Application, b"psst", &mut system_rng()).unwrap();
    let taken = receive(&mut pair.phone, &said, Some(&Policy::BALANCED), pair.now).unwrap();
    assert!(matches!(taken, Receipt::Withheld), "a quarantined device was heard");
}

#[test]
fn a_new_link_ends_a_quarantine_on_both_sides() {
    let [first, again] = linked_and_relinked();
    let mut pair = Pair::of(first);
    let device = pair.linked().device_id();
    // An old profile reports: D1.
    pair.assert_sound("before");
    let tenancy = pair.laptop.tenancy().unwrap().unwrap();
    pair.assert_sound("the report that the old profile knows nothing of");
    let mut batch = Batch::new();
    batch.put_tenancy(&tenancy);
    pair.laptop.commit(&batch).unwrap();
    let report = Envelope::decode(&pair.report()).unwrap();
    let Receipt::Reported { answer: Some(lease), .. } = pair.arrives(true, &report) else { panic!("not answered") };
    assert!(matches!(pair.arrives(false, &lease), Receipt::Leased { .. }));
    let stands = |pair: &Pair| {
        let (book, tenancy) = (pair.phone.book(&device).unwrap(), pair.laptop.tenancy().unwrap());
        let tenancy = tenancy.unwrap_or_else(|| Tenancy::new(pair.linked().created()));
        [(book.standing, book.because), (tenancy.standing, tenancy.because)]
    };
    let may_send = |pair: &Pair| {
        let to = pair.linked().primary().unwrap();
        check_scope(&pair.laptop, &to, EnvelopeKind::Application, None, pair.now).unwrap().is_ok()
    };
    let quarantined = (Standing::Quarantined, Some(pairlight_wire::standing::Discrepancy::CounterRepeated));
    assert_eq!(stands(&pair), [quarantined; 2]);
    assert!(!may_send(&pair), "the laptop knows that nobody would hear it");
    let said = pair.sealed(false);
    assert!(matches!(pair.arrives(true, &said), Receipt::Withheld), "and it is not heard");

    // Time does not end it.
    pair.now = pair.now.plus_ms(20 * 24 * HOUR_MS);
    let said = pair.sealed(false);
    assert!(matches!(pair.arrives(true, &said), Receipt::Withheld));

    pair.link_again(again);
    assert_eq!(pair.linked().device_id(), device, "the same device");
    assert_eq!(stands(&pair), [(Standing::Active, None); 2]);
    assert!(may_send(&pair));
    let said = pair.sealed(false);
    assert!(matches!(pair.arrives(true, &said), Receipt::Message { .. }), "it is heard again");
    pair.assert_sound("after the new link");
}

#[test]
fn mail_of_the_session_before_a_relink_breaks_nothing_and_what_does_not_open_later_does() {
    for at_phone in [true, false] {
        let [first, again] = linked_and_relinked();
        let mut pair = Pair::of(first);
        // It waits at the relay while the device comes back.
        let old: Vec<_> = (0..20).map(|_| pair.sealed(!at_phone)).collect();
        pair.link_again(again);
        for envelope in &old[..12] {
            assert_eq!(pair.follows(at_phone, envelope), Action::Count, "at the phone: {at_phone}");
        }
        // Something opened: from here on it is a session that breaks, after six in a row.
        let fresh = pair.sealed(!at_phone);
        assert!(matches!(pair.arrives(at_phone, &fresh), Receipt::Message { .. }));
        for envelope in &old[12..17] {
            assert_eq!(pair.follows(at_phone, envelope), Action::Count);
        }
        assert_eq!(pair.follows(at_phone, &old[17]), Action::ResetSession);

        // Nor is a session spared for ever that never opens anything: for an hour.
        let [first, again] = linked_and_relinked();
        let mut pair = Pair::of(first);
        let old: Vec<_> = (0..3).map(|_| pair.sealed(!at_phone)).collect();
        pair.link_again(again);
        for (envelope, expected) in old.iter().zip([Action::Count, Action::Count, Action::ResetSession]) {
            assert_eq!(pair.follows(at_phone, envelope), expected);
            pair.now = pair.now.plus_ms(HOUR_MS * 2 / 3);
        }
    }
}

#[test]
fn what_waited_under_the_session_before_a_relink_is_not_sent_any_more() {
    let [first, again] = linked_and_relinked();
    let mut pair = Pair::of(first);
    let linked = pair.linked();
    let (device, primary, other) = (linked.device_id(), linked.primary().unwrap(), DeviceId([9; 16]));
    let row = |to: DeviceId| [7_u64.to_be_bytes().as_slice(), to.as_bytes()].concat();
    for (store, peer) in [(&mut pair.phone, device), (&mut pair.laptop, primary)] {
        store.put(Table::Outgoing, &row(peer), b"sealed for nobody").unwrap();
        store.put(Table::Outgoing, &row(other), b"of somebody else").unwrap();
    }
    pair.link_again(again);
    for (store, peer) in [(&pair.phone, device), (&pair.laptop, primary)] {
        assert!(store.get(Table::Outgoing, &row(peer)).unwrap().is_none());
        assert!(store.get(Table::Outgoing, &row(other)).unwrap().is_some());
    }
}

#[test]
fn a_removal_is_believed_when_it_is_signed_and_never_otherwise() {
    let mut pair = Pair::new(7);
    let device = pair.linked().device_id();
    let account = pair.phone.account().unwrap().unwrap();
    let removal = account.list_without(&device, RemovalReason::Revoked, pair.now).unwrap();
    let foreign = crate::devices::Account::generate("other", pair.now, &mut system_rng()).unwrap();
    let foreign = foreign.list_barring(&device, RemovalReason::Revoked, pair.now).unwrap();
    let good = removal.signed().clone();
    let chain =
        |lists: Vec<Signed>, ops: &Signed| ListChain { lists: List::new(lists).unwrap(), ops: Some(ops.clone()) };
    let mut broken = vec![
        ("of another account", chain(vec![foreign.signed().clone()], account.ops_cert())),
        ("nothing", chain(vec![], account.ops_cert())),
        ("the list that it knows", chain(vec![account.list().signed().clone()], account.ops_cert())),
    ];
    for at in (0..good.payload.as_slice().len()).step_by(5) {
        let mut payload = good.payload.as_slice().to_vec();
        payload[at] ^= 1 << (at % 8);
        let bent = Signed { payload: pairlight_wire::Bytes::new(payload).unwrap(), ..good.clone() };
        broken.push(("bent", chain(vec![bent], account.ops_cert())));
    }
    for at in 0..64 {
        let mut bent = good.clone();
        bent.sig[at] ^= 1 << (at % 8);
        broken.push(("with a bent signature", chain(vec![bent], account.ops_cert())));
    }
    let runs = broken.len();
    for (what, chain) in broken {
        let followed = pair.laptop.follow(&chain, pair.now).unwrap();
        assert_eq!((followed.removal, followed.fork), (None, None), "{what}");
        assert!(pair.linked().is_listed(), "{what}");
    }
    pair.assert_sound("removals that nobody signed");
    let followed = pair.laptop.follow(&chain(vec![good.clone(), good], account.ops_cert()), pair.now).unwrap();
    assert_eq!(followed.removal, Some(RemovalReason::Revoked));
    println!("faults at removals: {runs} injected, {runs} survived");
    assert_eq!(runs, documented(FAULTS_ROW)[4]);
}

#[test]
fn a_report_that_a_guard_signs_counts_when_it_is_signed_and_not_when_it_is_asked_for() {
    let (linked, key) = guarded_pair();
    let mut pair = Pair::of(linked);
    let draft = |pair: &mut Pair| match report(&mut pair.laptop, PLATFORM, pair.now).unwrap() {
        NextReport::Unsigned(draft) => draft,
        NextReport::Sealed(_) | NextReport::None => panic!("the key is not here"),
    };
    let sign = |draft: &ReportDraft| key.sign_payload(SigningContext::CheckIn, draft.check_in.encode()).unwrap();
    // The program dies before the signature comes: the counter is not used.
    let lost = draft(&mut pair);
    assert!(pair.laptop.tenancy().unwrap().is_none(), "nothing is stored yet");
    let next = draft(&mut pair);
    assert_eq!((lost.check_in.ctr, next.check_in.ctr), (1, 1));
    let envelope = report_signed(&mut pair.laptop, &next, sign(&next)).unwrap().expect("a report");
    assert_eq!(pair.laptop.tenancy().unwrap().unwrap().ctr, 1, "stored before it leaves");
    // A signature that comes after another report was made would be a second one under its number: as of a copy.
    assert!(report_signed(&mut pair.laptop, &lost, sign(&lost)).unwrap().is_none());
    assert_eq!(pair.laptop.tenancy().unwrap().unwrap().ctr, 1);
    assert!(pair.phone_takes(&envelope.encode()).is_some(), "the phone answers with a lease");
    let third = draft(&mut pair);
    assert_eq!((third.check_in.ctr, third.check_in.prev), (2, sign(&next).digest()));
}
