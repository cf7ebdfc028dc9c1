//! Bit 2: a challenge straight over the local network. The linked device names its addresses inside the sealed channel;
//! the primary device sends datagrams there and measures how long the answers take. Answers need a key that only the two
//! ends of the pairing derive, and the device's signature, so nobody near can answer for a device far away. Light needs
//! 15 ms for there and back over 1,500 km of fibre: a distant machine cannot be fast enough, whatever it runs.
//!
//! No sockets and no clock here: datagrams and times come in as arguments. Times are spans since the probe began, of a
//! clock that does not jump.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use pairlight_wire::evidence::{LAN_ADDRESSES, LanAddress, LanAnswer, LanChallenge, LanOffer};
use pairlight_wire::sign::{SigningContext, verify};
use pairlight_wire::{List, Wire};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::crypto::kdf::{hmac_sha256, verify_hmac};
use crate::crypto::sign::SigningKey;
use crate::crypto::{CryptoError, random};

/// Challenges of one probe.
pub const LAN_SAMPLES: u8 = 5;
/// Of which this many must be answered in time.
pub const LAN_FAST_SAMPLES: usize = 3;
/// In time: within this span. A guess, to be measured in real networks.
pub const LAN_LIMIT: Duration = Duration::from_millis(15);
/// A challenge without an answer is lost after this span, or after four times the limit if that is longer.
pub const LAN_LOST: Duration = Duration::from_millis(200);
/// Answers that a linked device gives at most, repeated challenges included.
const MOST_ANSWERS: u32 = 64;

/// Whether an address can be one on the same local network: private, link-local, unique-local or this machine itself.
/// Nothing is ever sent to another, so that a linked device cannot make a primary device knock on strangers' doors.
#[must_use]
pub fn is_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback(),
    }
}

/// What a linked device offers: its port, and those of its `addresses` that are local, without repetition, the first
/// four. `None` without any.
#[must_use]
pub fn lan_offer(port: u16, addresses: &[IpAddr]) -> Option<LanOffer> {
    let mut local: Vec<LanAddress> = Vec::new();
    for address in addresses.iter().map(|address| LanAddress(address.to_canonical())) {
        if is_local(address.0) && !local.contains(&address) && local.len() < LAN_ADDRESSES {
            local.push(address);
        }
    }
    if local.is_empty() || port == 0 {
        return None;
    }
    List::new(local).ok().map(|addresses| LanOffer { port, addresses })
}

/// What both ends derive from the channel.
#[derive(Clone)]
pub(crate) struct LanKey {
    pub(crate) key: Zeroizing<[u8; 32]>,
    pub(crate) th2: [u8; 32],
}

impl LanKey {
    fn challenge_tag(&self, number: u8, nonce: &[u8; 32]) -> [u8; 16] {
        first(hmac_sha256(&self.key, &[b"challenge", &[number], nonce]))
    }

    fn signed(&self, number: u8, nonce: &[u8; 32]) -> Vec<u8> {
        [self.th2.as_slice(), &[number], nonce].concat()
    }
}

fn first(tag: [u8; 32]) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = tag;
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

/// The linked device's end: answers challenges, and nothing else.
pub struct LanResponder {
    key: LanKey,
    device: SigningKey,
    answers_left: u32,
}

impl LanResponder {
    pub(crate) fn new(key: LanKey, device: SigningKey) -> Self {
        Self { key, device, answers_left: MOST_ANSWERS }
    }

    /// The answer to a datagram. `None` for everything that is not a challenge of this pairing's primary device: such a
    /// datagram is not answered at all.
    pub fn answer(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let challenge = LanChallenge::decode(datagram).ok()?;
        let parts: [&[u8]; 3] = [b"challenge", &[challenge.number], &challenge.nonce];
        verify_hmac(&self.key.key, &parts, &challenge.tag).ok()?;
        self.answers_left = self.answers_left.checked_sub(1)?;
        let signed = self.key.signed(challenge.number, &challenge.nonce);
        let signature = self.device.sign(SigningContext::LanAnswer, &signed);
        let tag = first(hmac_sha256(&self.key.key, &[b"answer", &[challenge.number], &challenge.nonce, &signature]));
        Some(LanAnswer { number: challenge.number, signature, tag }.encode())
    }
}

/// What came of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanVerdict {
    samples: Vec<Option<Duration>>,
    limit: Duration,
}

impl LanVerdict {
    /// Nothing could be sent or received: no socket, no network.
    #[must_use]
    pub fn silence() -> Self {
        Self { samples: Vec::new(), limit: LAN_LIMIT }
    }

    /// Time to each answer; `None` = it did not come.
    #[must_use]
    pub fn samples(&self) -> &[Option<Duration>] {
        &self.samples
    }

    /// Whether enough answers came in time.
    #[must_use]
    pub fn is_near(&self) -> bool {
        self.fast() >= LAN_FAST_SAMPLES
    }

    /// Whether anything answered.
    #[must_use]
    pub fn was_answered(&self) -> bool {
        self.samples.iter().any(Option::is_some)
    }

    fn fast(&self) -> usize {
        self.samples.iter().flatten().filter(|took| **took < self.limit).count()
    }
}

/// A challenge that waits for its answer.
struct Waiting {
    number: u8,
    nonce: [u8; 32],
    sent: Duration,
}

/// The primary device's end: sends challenges one after the other and counts.
pub struct LanProbe {
    key: LanKey,
    device_pk: [u8; 32],
    /// Where challenges go; only the first address that answered, once one did.
    to: Vec<SocketAddr>,
    nonces: Vec<[u8; 32]>,
    waiting: Option<Waiting>,
    outbox: Vec<(SocketAddr, Vec<u8>)>,
    lost: Duration,
    verdict: LanVerdict,
}

impl LanProbe {
    /// `None` when the offer names no local address. `limit` is [`LAN_LIMIT`] but for tests on busy machines.
    pub(crate) fn new(
        key: LanKey,
        device_pk: [u8; 32],
        offer: &LanOffer,
        limit: Duration,
        rng: &mut impl CryptoRng,
    ) -> Option<Self> {
        let addresses = offer.addresses.as_slice().iter().map(|address| address.0.to_canonical());
        let to: Vec<_> = addresses.filter(|at| is_local(*at)).map(|at| SocketAddr::new(at, offer.port)).collect();
        if to.is_empty() || offer.port == 0 {
            return None;
        }
        let nonces = (0..LAN_SAMPLES).map(|_| random(rng)).collect();
        let verdict = LanVerdict { samples: Vec::new(), limit };
        let lost = LAN_LOST.max(limit.saturating_mul(4));
        Some(Self { key, device_pk, to, nonces, waiting: None, outbox: Vec::new(), lost, verdict })
    }

    /// Begins, or goes on with the next challenge, or notices that an answer is lost. Call it at the start, after every
    /// datagram, and when [`LanProbe::poll_timeout`] passed; then take [`LanProbe::poll_transmit`] until `None`.
    pub fn handle_time(&mut self, now: Duration) {
        if self.waiting.as_ref().is_some_and(|waiting| now.saturating_sub(waiting.sent) >= self.lost) {
            self.waiting = None;
            self.verdict.samples.push(None);
        }
        if self.waiting.is_some() || self.verdict().is_some() {
            return;
        }
        let Ok(number) = u8::try_from(self.verdict.samples.len()) else { return };
        let Some(nonce) = self.nonces.get(usize::from(number)).copied() else { return };
        let challenge = LanChallenge { number, nonce, tag: self.key.challenge_tag(number, &nonce) }.encode();
        self.outbox.extend(self.to.iter().map(|to| (*to, challenge.clone())));
        self.waiting = Some(Waiting { number, nonce, sent: now });
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        (!self.outbox.is_empty()).then(|| self.outbox.remove(0))
    }

    /// When [`LanProbe::handle_time`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.waiting.as_ref().map(|waiting| waiting.sent.saturating_add(self.lost))
    }

    /// A datagram that came from `from` at `now`. Whatever is not the answer that is waited for is ignored.
    pub fn handle_datagram(&mut self, from: SocketAddr, datagram: &[u8], now: Duration) {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let Some(waiting) = &self.waiting else { return };
        let took = now.saturating_sub(waiting.sent);
        if !self.to.contains(&from) || took >= self.lost || self.check(waiting, datagram).is_err() {
            return;
        }
        self.to = vec![from];
        self.waiting = None;
        self.verdict.samples.push(Some(took));
    }

    fn check(&self, waiting: &Waiting, datagram: &[u8]) -> Result<(), CryptoError> {
        let answer = LanAnswer::decode(datagram).map_err(|_| CryptoError)?;
        if answer.number != waiting.number {
            return Err(CryptoError);
        }
        let parts: [&[u8]; 4] = [b"answer", &[waiting.number], &waiting.nonce, &answer.signature];
        verify_hmac(&self.key.key, &parts, &answer.tag)?;
        let signed = self.key.signed(waiting.number, &waiting.nonce);
        verify(&self.device_pk, SigningContext::LanAnswer, &signed, &answer.signature).map_err(|_| CryptoError)
    }

    /// The verdict, once more samples cannot change it.
    #[must_use]
    pub fn verdict(&self) -> Option<&LanVerdict> {
        let left = usize::from(LAN_SAMPLES).saturating_sub(self.verdict.samples.len());
        let decided = self.verdict.is_near() || self.verdict.fast().saturating_add(left) < LAN_FAST_SAMPLES;
        decided.then_some(&self.verdict)
    }
}

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}
redacted!(LanKey, LanResponder, LanProbe);

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn key(byte: u8) -> LanKey {
        LanKey { key: Zeroizing::new([byte; 32]), th2: [byte; 32] }
    }

    fn ends(addresses: &[&str]) -> (LanProbe, LanResponder) {
        let device = SigningKey::from_seed(&[5; 32]);
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let offer = lan_offer(4_000, &addresses).unwrap();
        let mut rng = ChaCha20Rng::from_seed([6; 32]);
        let probe = LanProbe::new(key(1), device.public(), &offer, LAN_LIMIT, &mut rng).unwrap();
        (probe, LanResponder::new(key(1), device))
    }

    /// Plays a probe; `delay` is how long each answer takes, `None` loses it.
    fn play(delays: &[Option<u64>], bend: fn(Vec<u8>) -> Vec<u8>) -> LanVerdict {
        let (mut probe, mut responder) = ends(&["192.168.1.9"]);
        let mut now = Duration::ZERO;
        let mut delays = delays.iter();
        loop {
            probe.handle_time(now);
            if let Some(verdict) = probe.verdict() {
                return verdict.clone();
            }
            let (to, challenge) = probe.poll_transmit().unwrap();
            assert_eq!(probe.poll_transmit(), None);
            match delays.next().unwrap() {
                Some(ms) => {
                    now += MS * u32::try_from(*ms).unwrap();
                    probe.handle_datagram(to, &bend(responder.answer(&challenge).unwrap()), now);
                    if probe.waiting.is_some() {
                        now = probe.poll_timeout().unwrap();
                    }
                }
                None => now = probe.poll_timeout().unwrap(),
            }
        }
    }

    #[test]
    fn three_of_five_in_time_are_near_and_the_probe_stops_when_it_knows() {
        let same = |bytes| bytes;
        let near = |delays: &[Option<u64>]| {
            let verdict = play(delays, same);
            (verdict.is_near(), verdict.samples().len())
        };
        assert_eq!(near(&[Some(2), Some(2), Some(2)]), (true, 3));
        assert_eq!(near(&[Some(100), None, Some(14), Some(14), Some(14)]), (true, 5));
        assert_eq!(near(&[Some(15), Some(15), Some(15)]), (false, 3));
        assert_eq!(near(&[Some(14), Some(15), Some(14), Some(15), Some(15)]), (false, 5));
        assert_eq!(near(&[None, None, None]), (false, 3));
        assert_eq!(near(&[Some(1), None, Some(1), None, Some(199)]), (false, 5));
        assert!(!LanVerdict::silence().is_near());
    }

    #[test]
    fn answers_of_another_key_device_number_or_byte_do_not_count() {
        let flip = |mut bytes: Vec<u8>| {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            bytes
        };
        assert!(!play(&[Some(1), Some(1), Some(1)], flip).was_answered());
        let (mut probe, _) = ends(&["10.0.0.2"]);
        probe.handle_time(Duration::ZERO);
        let (to, challenge) = probe.poll_transmit().unwrap();
        let honest = SigningKey::from_seed(&[5; 32]);
        // Another pairing's key: the responder does not even answer.
        assert_eq!(LanResponder::new(key(2), honest.clone()).answer(&challenge), None);
        // Somebody near who knows the key, but is not the device.
        let near = LanResponder::new(key(1), SigningKey::from_seed(&[8; 32])).answer(&challenge).unwrap();
        probe.handle_datagram(to, &near, MS);
        assert!(probe.waiting.is_some());
        // The device itself, from an address that it did not name.
        let answer = LanResponder::new(key(1), honest.clone()).answer(&challenge).unwrap();
        probe.handle_datagram("10.0.0.3:4000".parse().unwrap(), &answer, MS);
        assert!(probe.waiting.is_some());
        probe.handle_datagram(to, &answer, MS);
        assert!(probe.waiting.is_none());
        // The same answer again, to the next challenge.
        probe.handle_time(MS);
        probe.handle_datagram(to, &answer, MS * 2);
        assert!(probe.waiting.is_some());
    }

    #[test]
    fn a_responder_answers_challenges_only_and_not_for_ever() {
        let (mut probe, mut responder) = ends(&["::1"]);
        probe.handle_time(Duration::ZERO);
        let (_, challenge) = probe.poll_transmit().unwrap();
        for byte in 0..challenge.len() {
            let mut bent = challenge.clone();
            bent[byte] ^= 1;
            assert_eq!(responder.answer(&bent), None, "byte {byte}");
        }
        assert_eq!(responder.answer(b""), None);
        let answers = (0..100).filter(|_| responder.answer(&challenge).is_some()).count();
        assert_eq!(answers, 64);
    }

    #[test]
    fn only_local_addresses_are_named_and_asked() {
        let parse = |text: &str| text.parse::<IpAddr>().unwrap();
        for local in ["10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.1.1", "127.0.0.1", "fe80::1", "fd00::1", "::1"]
        {
            assert!(is_local(parse(local)), "{local}");
        }
        for foreign in ["8.8.8.8", "172.32.0.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", "2001:db8::1", "::ffff:8.8.8.8"]
        {
            assert!(!is_local(parse(foreign)), "{foreign}");
        }
        let many: Vec<IpAddr> = (1..9).map(|n| IpAddr::from([10, 0, 0, n])).chain([parse("8.8.8.8")]).collect();
        assert_eq!(lan_offer(1, &many).unwrap().addresses.as_slice().len(), 4);
        assert_eq!(lan_offer(1, &[parse("10.0.0.1"), parse("::ffff:10.0.0.1")]).unwrap().addresses.as_slice().len(), 1);
        assert_eq!(lan_offer(0, &many), None);
        assert_eq!(lan_offer(1, &[parse("8.8.8.8")]), None);
        // A linked device that lies about its address.
        let foreign = List::new(vec![LanAddress(parse("8.8.8.8"))]).unwrap();
        let offer = LanOffer { port: 53, addresses: foreign };
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        assert!(LanProbe::new(key(1), [0; 32], &offer, LAN_LIMIT, &mut rng).is_none());
        // All named addresses are tried until one answers, then only that one.
        let (mut probe, mut responder) = ends(&["10.0.0.1", "10.0.0.2"]);
        probe.handle_time(Duration::ZERO);
        assert_eq!(probe.outbox.len(), 2);
        let (_, _) = probe.poll_transmit().unwrap();
        let (to, challenge) = probe.poll_transmit().unwrap();
        probe.handle_datagram(to, &responder.answer(&challenge).unwrap(), MS);
        probe.handle_time(MS);
        assert_eq!((probe.outbox.len(), probe.outbox[0].0), (1, to));
    }

    #[test]
    fn keys_do_not_show() {
        let (probe, responder) = ends(&["::1"]);
        assert_eq!(format!("{probe:?} {responder:?} {:?}", key(1)), "LanProbe(..) LanResponder(..) LanKey(..)");
    }
}
