//! A new session between two listed devices, under the keys that the list pins: three signed records, the ratchet's keys
//! sealed as in a pairing (docs/protocol.md 13.1).

use std::collections::BTreeMap;

use pairlight_wire::id::{AccountId, DeviceId};
use pairlight_wire::reset::{Reset, ResetAnswer, ResetFinish, ResetKeys, ResetOffer, ResetStart};
use pairlight_wire::sign::Signed;
use pairlight_wire::{Bytes, Wire};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::Session;
use crate::Timestamp;
use crate::crypto::aead::OneShotKey;
use crate::crypto::hpke::{ExportLabel, RecipientKey, SenderChannel};
use crate::crypto::kdf::{KdfLabel, derive};
use crate::crypto::olm::{RatchetAccount, RatchetKeys};
use crate::crypto::{CryptoError, constant_time_eq, random};
use crate::devices::LabelKey;

/// A reset that is not finished after this time is forgotten, ms.
const PATIENCE_MS: u64 = 600_000;

/// Who resets: this device, with what only devices of its account have. Its signature comes afterwards ([`Unsigned`]): the key
/// may be one that the platform guards.
pub struct ResetIdentity<'a> {
    /// The account.
    pub account: AccountId,
    /// This device.
    pub own: DeviceId,
    /// The account's key of device names.
    pub label_key: &'a LabelKey,
}

impl ResetIdentity<'_> {
    fn psk(&self) -> Zeroizing<[u8; 32]> {
        derive(self.account.as_bytes(), self.label_key, KdfLabel::ResetPsk, &[])
    }
}

/// A record of a reset that this device signs for
/// [`SigningContext::SessionReset`](pairlight_wire::sign::SigningContext::SessionReset). Then [`ResetDesk::signed`] is told.
pub struct Unsigned {
    payload: Vec<u8>,
    peer: DeviceId,
    next: Next,
}

/// What is known once a record is signed.
enum Next {
    /// The other side answers.
    Answer { secret: Box<RecipientKey>, at: Timestamp },
    /// The other side finishes.
    Finish { ratchet: Box<RatchetAccount>, exported: Zeroizing<[u8; 32]>, at: Timestamp },
    /// It was the last record.
    Nothing,
}

impl Unsigned {
    /// What is signed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

impl core::fmt::Debug for Unsigned {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Unsigned").field("peer", &self.peer).finish_non_exhaustive()
    }
}

fn info(offer: &[u8; 32]) -> Vec<u8> {
    [b"pairlight/v1/reset\0".as_slice(), offer].concat()
}

/// This side asked.
struct Asked {
    secret: Box<RecipientKey>,
    offer: [u8; 32],
    at: Timestamp,
}

/// This side answered.
struct Answered {
    ratchet: Box<RatchetAccount>,
    finish_key: Zeroizing<[u8; 32]>,
    answer: [u8; 32],
    at: Timestamp,
}

/// What a record of a reset leads to.
#[derive(Debug)]
pub enum ResetStepped {
    /// Nothing: stale, unasked for, or the other side's turn.
    Nothing,
    /// Sign this and send it.
    Reply(Unsigned),
    /// The new session. If there is a record, sign it; store the session; then send the record.
    Done(Box<Session>, Option<Unsigned>),
}

/// The resets that are under way. Lives in memory only: after a restart they begin again.
#[derive(Default)]
pub struct ResetDesk {
    asked: BTreeMap<DeviceId, Asked>,
    answered: BTreeMap<DeviceId, Answered>,
}

impl ResetDesk {
    /// Takes note that a record is signed: what answers it is taken from here on.
    pub fn signed(&mut self, unsigned: Unsigned, signed: &Signed) {
        let digest = signed.digest();
        match unsigned.next {
            Next::Answer { secret, at } => {
                self.asked.insert(unsigned.peer, Asked { secret, offer: digest, at });
            }
            Next::Finish { ratchet, exported, at } => {
                let finish_key = derive(&digest, exported.as_slice(), KdfLabel::ResetFinish, &[]);
                self.answered.insert(unsigned.peer, Answered { ratchet, finish_key, answer: digest, at });
            }
            Next::Nothing => {}
        }
    }

    /// Asks a device for a new session; `None` while an earlier question is open.
    ///
    /// # Errors
    /// [`CryptoError`] never in practice: everything is freshly made.
    pub fn ask(
        &mut self,
        who: &ResetIdentity<'_>,
        peer: DeviceId,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Unsigned>, CryptoError> {
        if self.asked.get(&peer).is_some_and(|asked| now.ms_since(asked.at) < PATIENCE_MS) {
            return Ok(None);
        }
        let generated = RecipientKey::generate(rng)?;
        let offer =
            ResetOffer { from: who.own, to: peer, nonce: random(rng), kem_pk: generated.public, at: now.unix_ms() };
        let next = Next::Answer { secret: Box::new(generated.secret), at: now };
        Ok(Some(Unsigned { payload: offer.encode(), peer, next }))
    }

    /// Takes the next record of a reset, from the device whose key is `peer_pk`.
    ///
    /// # Errors
    /// [`CryptoError`] when it is not authentic; nothing changes then.
    pub fn handle(
        &mut self,
        who: &ResetIdentity<'_>,
        peer: DeviceId,
        peer_pk: &[u8; 32],
        signed: &Signed,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<ResetStepped, CryptoError> {
        let between = |from: DeviceId, to: DeviceId| from == peer && to == who.own;
        match Reset::open(signed, peer_pk).map_err(|_| CryptoError)? {
            Reset::Offer(offer) if between(offer.from, offer.to) => {
                self.on_offer(who, peer, &offer, signed.digest(), now, rng)
            }
            Reset::Answer(answer) if between(answer.from, answer.to) => {
                self.on_answer(who, peer, &answer, signed.digest(), now)
            }
            Reset::Finish(finish) if between(finish.from, finish.to) => self.on_finish(who, peer, &finish, now),
            _ => Err(CryptoError),
        }
    }

    fn on_offer(
        &mut self,
        who: &ResetIdentity<'_>,
        peer: DeviceId,
        offer: &ResetOffer,
        digest: [u8; 32],
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<ResetStepped, CryptoError> {
        let at = Timestamp::from_unix_ms(offer.at);
        if now.ms_since(at) > PATIENCE_MS || at.ms_since(now) > PATIENCE_MS {
            return Ok(ResetStepped::Nothing);
        }
        // Both asked at once: the offer of the lower id stands.
        if self.asked.contains_key(&peer) && who.own < peer {
            return Ok(ResetStepped::Nothing);
        }
        self.asked.remove(&peer);
        let initiated =
            SenderChannel::initiate(rng, &offer.kem_pk, &who.psk(), who.account.as_bytes(), &info(&digest))?;
        let mut channel = initiated.channel;
        let ratchet = RatchetAccount::generate()?;
        let keys = ratchet.keys();
        let keys = ResetKeys { olm_ik: keys.identity, olm_otk: keys.one_time };
        let ct = channel.seal(b"reset-answer", &keys.encode())?;
        let answer = ResetAnswer {
            from: who.own,
            to: peer,
            offer: digest,
            enc: initiated.enc,
            ct: Bytes::new(ct).map_err(|_| CryptoError)?,
        };
        let ratchet = Box::new(ratchet);
        let next = Next::Finish { ratchet, exported: channel.export(ExportLabel::Reset)?, at: now };
        Ok(ResetStepped::Reply(Unsigned { payload: answer.encode(), peer, next }))
    }

    fn on_answer(
        &mut self,
        who: &ResetIdentity<'_>,
        peer: DeviceId,
        answer: &ResetAnswer,
        digest: [u8; 32],
        now: Timestamp,
    ) -> Result<ResetStepped, CryptoError> {
        let open = self
            .asked
            .get(&peer)
            .is_some_and(|asked| asked.offer == answer.offer && now.ms_since(asked.at) <= PATIENCE_MS);
        if !open {
            return Ok(ResetStepped::Nothing);
        }
        let Some(asked) = self.asked.remove(&peer) else { return Ok(ResetStepped::Nothing) };
        let mut channel = asked.secret.accept(&answer.enc, &who.psk(), who.account.as_bytes(), &info(&asked.offer))?;
        let keys = ResetKeys::decode(&channel.open(b"reset-answer", answer.ct.as_slice())?).map_err(|_| CryptoError)?;
        let keys = RatchetKeys { identity: keys.olm_ik, one_time: keys.olm_otk };
        let own = RatchetAccount::generate()?;
        let olm_ik = own.keys().identity;
        let mut ratchet = own.start(&keys)?;
        let first = ratchet.seal(&digest)?;
        let start = ResetStart { olm_ik, olm_prekey: Bytes::new(first.bytes).map_err(|_| CryptoError)? };
        let key: Zeroizing<[u8; 32]> =
            derive(&digest, channel.export(ExportLabel::Reset)?.as_slice(), KdfLabel::ResetFinish, &[]);
        let ct = OneShotKey::new(*key).seal(b"reset-finish", &start.encode())?;
        let finish =
            ResetFinish { from: who.own, to: peer, answer: digest, ct: Bytes::new(ct).map_err(|_| CryptoError)? };
        let session = Session::new(who.own, peer, ratchet);
        let last = Unsigned { payload: finish.encode(), peer, next: Next::Nothing };
        Ok(ResetStepped::Done(Box::new(session), Some(last)))
    }

    fn on_finish(
        &mut self,
        who: &ResetIdentity<'_>,
        peer: DeviceId,
        finish: &ResetFinish,
        now: Timestamp,
    ) -> Result<ResetStepped, CryptoError> {
        let open = self
            .answered
            .get(&peer)
            .is_some_and(|answered| answered.answer == finish.answer && now.ms_since(answered.at) <= PATIENCE_MS);
        if !open {
            return Ok(ResetStepped::Nothing);
        }
        let Some(answered) = self.answered.remove(&peer) else { return Ok(ResetStepped::Nothing) };
        let start = OneShotKey::new(*answered.finish_key).open(b"reset-finish", finish.ct.as_slice())?;
        let start = ResetStart::decode(&start).map_err(|_| CryptoError)?;
        let joined = answered.ratchet.join(&start.olm_ik, start.olm_prekey.as_slice())?;
        if !constant_time_eq(&joined.plaintext, &answered.answer) {
            return Err(CryptoError);
        }
        let session = Session::new(who.own, peer, joined.ratchet);
        Ok(ResetStepped::Done(Box::new(session), None))
    }
}

impl core::fmt::Debug for ResetDesk {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ResetDesk").field("asked", &self.asked.len()).field("answered", &self.answered.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::sign::SigningKey;
    use pairlight_wire::envelope::EnvelopeKind;
    use pairlight_wire::sign::SigningContext;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
    const LABEL: LabelKey = [5; 32];

    struct Side {
        key: SigningKey,
        label: LabelKey,
        desk: ResetDesk,
        rng: ChaCha20Rng,
    }

    impl Side {
        fn new(seed: u8) -> Self {
            let mut rng = ChaCha20Rng::from_seed([seed; 32]);
            Self { key: SigningKey::generate(&mut rng), label: LABEL, desk: ResetDesk::default(), rng }
        }

        fn id(&self) -> DeviceId {
            DeviceId::of(&self.key.public())
        }

        fn ask(&mut self, peer: &Self, now: Timestamp) -> Option<Signed> {
            let who = ResetIdentity { account: AccountId([7; 16]), own: self.id(), label_key: &self.label };
            let asked = self.desk.ask(&who, peer.id(), now, &mut self.rng).unwrap();
            asked.map(|unsigned| self.sign(unsigned))
        }

        fn sign(&mut self, unsigned: Unsigned) -> Signed {
            let payload = unsigned.payload().to_vec();
            let signed = self.key.sign_payload(SigningContext::SessionReset, payload).unwrap();
            self.desk.signed(unsigned, &signed);
            signed
        }

        fn take(
            &mut self,
            peer: (DeviceId, [u8; 32]),
            signed: &Signed,
            now: Timestamp,
        ) -> Result<ResetStepped, CryptoError> {
            let who = ResetIdentity { account: AccountId([7; 16]), own: self.id(), label_key: &self.label };
            self.desk.handle(&who, peer.0, &peer.1, signed, now, &mut self.rng)
        }

        fn name(&self) -> (DeviceId, [u8; 32]) {
            (self.id(), self.key.public())
        }
    }

    fn reply(side: &mut Side, stepped: Result<ResetStepped, CryptoError>) -> Signed {
        match stepped.unwrap() {
            ResetStepped::Reply(unsigned) => side.sign(unsigned),
            other => panic!("{other:?}"),
        }
    }

    fn done(side: &mut Side, stepped: Result<ResetStepped, CryptoError>) -> (Session, Option<Signed>) {
        match stepped.unwrap() {
            ResetStepped::Done(session, last) => (*session, last.map(|unsigned| side.sign(unsigned))),
            other => panic!("{other:?}"),
        }
    }

    fn is_nothing(stepped: Result<ResetStepped, CryptoError>) -> bool {
        matches!(stepped, Ok(ResetStepped::Nothing))
    }

    #[test]
    fn three_records_make_a_session_that_both_can_use_and_each_counts_once() {
        let (mut a, mut b) = (Side::new(1), Side::new(2));
        let offer = a.ask(&b, NOW).unwrap();
        assert!(a.ask(&b, NOW).is_none(), "asked already");
        let stepped = b.take(a.name(), &offer, NOW);
        let answer = reply(&mut b, stepped);
        let stepped = a.take(b.name(), &answer, NOW);
        let (mut at_a, finish) = done(&mut a, stepped);
        let finish = finish.unwrap();
        let stepped = b.take(a.name(), &finish, NOW);
        let (mut at_b, _) = done(&mut b, stepped);
        let there = at_a.seal(EnvelopeKind::Application, b"there", &mut a.rng).unwrap();
        assert_eq!(at_b.open(&there).unwrap().body, b"there");
        let back = at_b.seal(EnvelopeKind::Application, b"back", &mut b.rng).unwrap();
        assert_eq!(at_a.open(&back).unwrap().body, b"back");
        assert!(is_nothing(a.take(b.name(), &answer, NOW)) && is_nothing(b.take(a.name(), &finish, NOW)));
    }

    #[test]
    fn nobody_outside_the_two_devices_and_their_account_takes_part() {
        let (mut a, mut b, mut stranger) = (Side::new(1), Side::new(2), Side::new(3));
        let offer = a.ask(&b, NOW).unwrap();
        // Another key than the pinned one, another recipient, a flipped bit.
        assert!(b.take((a.id(), stranger.key.public()), &offer, NOW).is_err());
        assert!(stranger.take(a.name(), &offer, NOW).is_err());
        let mut bent = offer.clone();
        bent.sig[5] ^= 1;
        assert!(b.take(a.name(), &bent, NOW).is_err());
        // A thief of the device key alone lacks the account's label key.
        b.label = [6; 32];
        let stepped = b.take(a.name(), &offer, NOW);
        let answer = reply(&mut b, stepped);
        assert!(a.take(b.name(), &answer, NOW).is_err());
    }

    #[test]
    fn when_both_ask_at_once_one_offer_stands() {
        let (mut a, mut b) = (Side::new(1), Side::new(2));
        let (from_a, from_b) = (a.ask(&b, NOW).unwrap(), b.ask(&a, NOW).unwrap());
        let (lower_stays, higher_gives_way) = if a.id() < b.id() {
            (a.take(b.name(), &from_b, NOW), b.take(a.name(), &from_a, NOW))
        } else {
            (b.take(a.name(), &from_a, NOW), a.take(b.name(), &from_b, NOW))
        };
        assert!(is_nothing(lower_stays));
        assert!(matches!(higher_gives_way, Ok(ResetStepped::Reply(_))));
    }

    #[test]
    fn an_old_offer_and_a_late_answer_are_dropped() {
        let (mut a, mut b) = (Side::new(1), Side::new(2));
        let offer = a.ask(&b, NOW).unwrap();
        assert!(is_nothing(b.take(a.name(), &offer, NOW.plus_ms(PATIENCE_MS + 1))));
        let stepped = b.take(a.name(), &offer, NOW);
        let answer = reply(&mut b, stepped);
        assert!(is_nothing(a.take(b.name(), &answer, NOW.plus_ms(PATIENCE_MS + 1))));
    }

    #[test]
    fn a_question_that_was_never_signed_is_no_question() {
        let (mut a, b) = (Side::new(1), Side::new(2));
        let who = ResetIdentity { account: AccountId([7; 16]), own: a.id(), label_key: &a.label };
        assert!(a.desk.ask(&who, b.id(), NOW, &mut a.rng).unwrap().is_some());
        assert!(a.ask(&b, NOW).is_some(), "whoever could not sign asks again");
        assert!(a.ask(&b, NOW).is_none());
    }
}
