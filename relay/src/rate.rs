//! Counts attempts per network, exactly, in bounded memory.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pairlight_wire::relay::RefusalCode;

use crate::limits::Quota;
use crate::refusal::{Refusal, refuse};

/// Networks that are counted at a time.
const NETWORKS: usize = 65_536;

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

/// The attempts of all networks against one quota.
pub(crate) struct Attempts {
    quota: Quota,
    longest: Duration,
    most: usize,
    seen: Mutex<HashMap<Network, VecDeque<Instant>>>,
}

impl Attempts {
    pub(crate) fn new(quota: Quota) -> Self {
        let longest = quota.0.iter().map(|rate| rate.per).max().unwrap_or_default();
        let most = quota.0.iter().map(|rate| rate.count as usize).max().unwrap_or_default();
        Self { quota, longest, most, seen: Mutex::default() }
    }

    /// Counts one attempt, or says when the next one is welcome. Refused attempts do not count.
    pub(crate) fn count(&self, network: Network, now: Instant) -> Result<(), Refusal> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= NETWORKS && !seen.contains_key(&network) {
            // Forgetting one network is better than refusing all new ones; the caps on memory hold anyway.
            let some = seen.keys().next().copied();
            some.map(|some| seen.remove(&some));
        }
        let times = seen.entry(network).or_default();
        let wait = self.quota.0.iter().map(|rate| {
            let nth_last = times.len().checked_sub(rate.count.max(1) as usize).and_then(|at| times.get(at));
            nth_last.map_or(Duration::ZERO, |at| rate.per.saturating_sub(now.saturating_duration_since(*at)))
        });
        let wait = wait.max().unwrap_or_default();
        if !wait.is_zero() {
            return Err(refuse(RefusalCode::RateLimited, "too many attempts from this network").after(wait));
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

#[cfg(test)]
mod tests {
    use super::*;

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
