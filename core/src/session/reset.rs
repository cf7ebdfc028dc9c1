//! A new session between two listed devices, under the keys that the list pins: three signed records, the ratchet's keys
//! sealed as in a pairing (docs/protocol.md 13.1).

use std::collections::BTreeMap;

use pairlight_wire::id::{AccountId, DeviceId};
use pairlight_wire::reset::{Reset, ResetAnswer, ResetFinish, ResetKeys, ResetOffer, ResetStart};
use pairlight_wire::sign::{Signed, SigningContext};
use pairlight_wire::{Bytes, Wire};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::Session;
use crate::Timestamp;
use crate::crypto::aead::OneShotKey;
use crate::crypto::hpke::{ExportLabel, RecipientKey, SenderChannel};
use crate::crypto::kdf::{KdfLabel, derive};
use crate::crypto::olm::{RatchetAccount, RatchetKeys};
use crate::crypto::sign::SigningKey;
use crate::crypto::{CryptoError, constant_time_eq, random};
use crate::devices::LabelKey;

/// A reset that is not finished after this time is forgotten, ms.
const PATIENCE_MS: u64 = 600_000;

/// Who resets: this device, with what only devices of its account have.
pub struct ResetIdentity<'a> {
    /// The account.
    pub account: AccountId,
    /// This device.
    pub own: DeviceId,
    /// Its signing key.
    pub key: &'a SigningKey,
    /// The account's key of device names.
    pub label_key: &'a LabelKey,
}

impl ResetIdentity<'_> {
    fn psk(&self) -> Zeroizing<[u8; 32]> {
        derive(self.account.as_bytes(), self.label_key, KdfLabel::ResetPsk, &[])
    }

    fn sign(&self, payload: Vec<u8>) -> Result<Signed, CryptoError> {
        self.key.sign_payload(SigningContext::SessionReset, payload)
    }
}

fn info(offer: &[u8; 32]) -> Vec<u8> {
    [b"pairlight/v1/reset\0".as_slice(), offer].concat()
}

/// This side asked.
struct Asked {
    secret: RecipientKey,
    offer: [u8; 32],
    at: Timestamp,
}

/// This side answered.
struct Answered {
    ratchet: RatchetAccount,
    finish_key: Zeroizing<[u8; 32]>,
    answer: [u8; 32],
    at: Timestamp,
}

/// What a record of a reset leads to.
#[derive(Debug)]
pub enum ResetStepped {
    /// Nothing: stale, unasked for, or the other side's turn.
    Nothing,
    /// Send this.
    Reply(Signed),
    /// The new session; store it, then send the record if there is one.
    Done(Box<Session>, Option<Signed>),
}

/// The resets that are under way. Lives in memory only: after a restart they begin again.
#[derive(Default)]
pub struct ResetDesk {
    asked: BTreeMap<DeviceId, Asked>,
    answered: BTreeMap<DeviceId, Answered>,
}

impl ResetDesk {
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
    ) -> Result<Option<Signed>, CryptoError> {
        if self.asked.get(&peer).is_some_and(|asked| now.ms_since(asked.at) < PATIENCE_MS) {
            return Ok(None);
        }
        let generated = RecipientKey::generate(rng)?;
        let offer =
            ResetOffer { from: who.own, to: peer, nonce: random(rng), kem_pk: generated.public, at: now.unix_ms() };
        let signed = who.sign(offer.encode())?;
        self.asked.insert(peer, Asked { secret: generated.secret, offer: signed.digest(), at: now });
        Ok(Some(signed))
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
        let signed = who.sign(answer.encode())?;
        let finish_key =
            derive(&signed.digest(), channel.export(ExportLabel::Reset)?.as_slice(), KdfLabel::ResetFinish, &[]);
        self.answered.insert(peer, Answered { ratchet, finish_key, answer: signed.digest(), at: now });
        Ok(ResetStepped::Reply(signed))
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
        Ok(ResetStepped::Done(Box::new(session), Some(who.sign(finish.encode())?)))
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
    use pairlight_wire::envelope::EnvelopeKind;
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
            let who =
                ResetIdentity { account: AccountId([7; 16]), own: self.id(), key: &self.key, label_key: &self.label };
            self.desk.ask(&who, peer.id(), now, &mut self.rng).unwrap()
        }

        fn take(
            &mut self,
            peer: (DeviceId, [u8; 32]),
            signed: &Signed,
            now: Timestamp,
        ) -> Result<ResetStepped, CryptoError> {
            let who =
                ResetIdentity { account: AccountId([7; 16]), own: self.id(), key: &self.key, label_key: &self.label };
            self.desk.handle(&who, peer.0, &peer.1, signed, now, &mut self.rng)
        }

        fn name(&self) -> (DeviceId, [u8; 32]) {
            (self.id(), self.key.public())
        }
    }

    fn reply(stepped: Result<ResetStepped, CryptoError>) -> Signed {
        match stepped.unwrap() {
            ResetStepped::Reply(signed) => signed,
            other => panic!("{other:?}"),
        }
    }

    fn done(stepped: Result<ResetStepped, CryptoError>) -> (Session, Option<Signed>) {
        match stepped.unwrap() {
            ResetStepped::Done(session, signed) => (*session, signed),
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
        let answer = reply(b.take(a.name(), &offer, NOW));
        let (mut at_a, finish) = done(a.take(b.name(), &answer, NOW));
        let finish = finish.unwrap();
        let (mut at_b, _) = done(b.take(a.name(), &finish, NOW));
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
        let answer = reply(b.take(a.name(), &offer, NOW));
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
        reply(higher_gives_way);
    }

    #[test]
    fn an_old_offer_and_a_late_answer_are_dropped() {
        let (mut a, mut b) = (Side::new(1), Side::new(2));
        let offer = a.ask(&b, NOW).unwrap();
        assert!(is_nothing(b.take(a.name(), &offer, NOW.plus_ms(PATIENCE_MS + 1))));
        let answer = reply(b.take(a.name(), &offer, NOW));
        assert!(is_nothing(a.take(b.name(), &answer, NOW.plus_ms(PATIENCE_MS + 1))));
    }
}
