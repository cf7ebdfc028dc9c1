//! Counts attempts per network or per account, exactly, in bounded memory.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pairlight_wire::id::AccountId;
use pairlight_wire::relay::RefusalCode;

use crate::limits::Quota;
use crate::refusal::{Refusal, refuse};

/// Networks or accounts that are counted at a time.
const COUNTED: usize = 65_536;

/// An IPv4 address or an IPv6 /64: what one household or one machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(u128);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            // Mapped range, so that it cannot meet an IPv6 /64.
            IpAddr::V4(v4) => Self(v4.to_ipv6_mapped().to_bits()),
            IpAddr::V6(v6) => Self(v6.to_bits() & !u128::from(u64::MAX)),
        }
    }
}

/// Who claims a slot: an account that the relay knows and whose device proved itself, or else whoever sits in a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Claimant {
    Account(AccountId),
    Network(Network),
}

/// The attempts of all callers against one quota.
pub(crate) struct Attempts<Who = Network> {
    quota: Quota,
    longest: Duration,
    most: usize,
    seen: Mutex<HashMap<Who, VecDeque<Instant>>>,
}

impl<Who: Copy + Eq + Hash> Attempts<Who> {
    pub(crate) fn new(quota: Quota) -> Self {
        let longest = quota.0.iter().map(|rate| rate.per).max().unwrap_or_default();
        let most = quota.0.iter().map(|rate| rate.count as usize).max().unwrap_or_default();
        Self { quota, longest, most, seen: Mutex::default() }
    }

    /// Counts one attempt, or says when the next one is welcome. Refused attempts do not count.
    pub(crate) fn count(&self, who: Who, now: Instant) -> Result<(), Refusal> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut seen, &who);
        let times = seen.entry(who).or_default();
        let wait = self.quota.0.iter().map(|rate| {
            let nth_last = times.len().checked_sub(rate.count.max(1) as usize).and_then(|at| times.get(at));
            nth_last.map_or(Duration::ZERO, |at| rate.per.saturating_sub(now.saturating_duration_since(*at)))
        });
        let wait = wait.max().unwrap_or_default();
        if !wait.is_zero() {
            return Err(refuse(RefusalCode::RateLimited, "too many attempts; wait a little").after(wait));
        }
        times.push_back(now);
        if times.len() > self.most {
            times.pop_front();
        }
        Ok(())
    }

    /// Forgets what no longer counts.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, times| times.back().is_some_and(|last| now.saturating_duration_since(*last) < self.longest));
    }
}

/// Forgetting one caller is better than refusing all new ones; the caps on memory hold anyway.
fn make_room<Who: Copy + Eq + Hash, Times>(seen: &mut HashMap<Who, Times>, who: &Who) {
    if seen.len() >= COUNTED && !seen.contains_key(who) {
        let some = seen.keys().next().copied();
        some.map(|some| seen.remove(&some));
    }
}

/// Pairings that ended because the check code was wrong. Whoever collects too many of them is being led to other people's
/// codes, or guesses: no claims for a while (protocol, section 9.2).
#[derive(Default)]
pub(crate) struct WrongCodes(HashMap<Claimant, VecDeque<Instant>>);

impl WrongCodes {
    /// Wrong codes that lock when they come within [`Self::WITHIN`].
    const MOST: usize = 3;
    const WITHIN: Duration = Duration::from_secs(3_600);
    /// From the last of them on.
    const LOCK: Duration = Duration::from_secs(3_600);

    /// Counts one.
    pub(crate) fn note(&mut self, who: Claimant, now: Instant) {
        make_room(&mut self.0, &who);
        let times = self.0.entry(who).or_default();
        times.push_back(now);
        if times.len() > Self::MOST {
            times.pop_front();
        }
    }

    /// Refuses who is locked.
    pub(crate) fn check(&self, who: &Claimant, now: Instant) -> Result<(), Refusal> {
        let times = self.0.get(who).filter(|times| times.len() >= Self::MOST);
        let Some((first, last)) = times.and_then(|times| Some((times.front()?, times.back()?))) else { return Ok(()) };
        let wait = Self::LOCK.saturating_sub(now.saturating_duration_since(*last));
        if last.saturating_duration_since(*first) > Self::WITHIN || wait.is_zero() {
            return Ok(());
        }
        let words = "the check code was wrong three times within an hour; no linking for an hour";
        Err(refuse(RefusalCode::RateLimited, words).after(wait))
    }

    /// Forgets what no longer counts.
    pub(crate) fn sweep(&mut self, now: Instant) {
        let longest = Self::WITHIN.max(Self::LOCK);
        self.0.retain(|_, times| times.back().is_some_and(|last| now.saturating_duration_since(*last) < longest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_wrong_codes_within_an_hour_lock_for_an_hour() {
        let mut wrong = WrongCodes::default();
        let (phone, other) = (Claimant::Account(AccountId([1; 16])), Claimant::Account(AccountId([2; 16])));
        let start = Instant::now();
        let at = |minutes: u64| start + Duration::from_secs(minutes * 60);
        for minutes in [0, 50, 70] {
            wrong.note(phone, at(minutes));
        }
        assert_eq!(wrong.check(&phone, at(70)), Ok(()), "three, but not within an hour");
        wrong.note(phone, at(80));
        let refusal = wrong.check(&phone, at(90)).unwrap_err();
        assert_eq!((refusal.code, refusal.retry_after), (RefusalCode::RateLimited, Duration::from_secs(50 * 60)));
        assert_eq!(wrong.check(&other, at(90)), Ok(()));
        assert_eq!(wrong.check(&phone, at(140)), Ok(()));
        wrong.sweep(at(139));
        assert_eq!(wrong.0.len(), 1);
        wrong.sweep(at(140));
        assert!(wrong.0.is_empty());
    }

    #[test]
    fn two_rates_hold_together_and_say_how_long_to_wait() {
        let attempts = Attempts::new(Quota::two(2, Duration::from_secs(10), 3, Duration::from_secs(100)));
        let network = Network::from("192.0.2.1".parse::<IpAddr>().unwrap());
        let start = Instant::now();
        let at = |seconds| attempts.count(network, start + Duration::from_secs(seconds));
        assert_eq!(at(0), Ok(()));
        assert_eq!(at(1), Ok(()));
        assert_eq!(at(2).unwrap_err().retry_after, Duration::from_secs(8));
        assert_eq!(at(10), Ok(()), "the refused attempt did not count");
        assert_eq!(at(30).unwrap_err().retry_after, Duration::from_secs(70), "the longer rate");
        attempts.sweep(start + Duration::from_secs(200));
        assert!(attempts.seen.lock().unwrap().is_empty());
    }

    #[test]
    fn an_ipv6_network_is_its_first_half_and_a_mapped_address_is_ipv4() {
        let network = |text: &str| Network::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.2"), network("192.0.2.1"));
    }
}
