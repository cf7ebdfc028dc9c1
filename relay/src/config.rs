//! What a relay is started with.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::limits::Limits;
use crate::network::{Cidr, is_within};
use crate::page::Page;
use crate::store::Store;
use crate::tls::Tls;

/// Where an address is, as far as somebody knows. Goes into the signed contexts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// ISO 3166 country, or `ZZ` when unknown.
    pub country: String,
    /// City, when known.
    pub city: Option<String>,
    /// Autonomous system number; 0 when unknown.
    pub asn: u32,
}

impl Place {
    /// Nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        Self { country: "ZZ".into(), city: None, asn: 0 }
    }
}

/// Finds the place of an address. Called on every slot and claim: it must not block.
pub trait PlaceLookup: Send + Sync + 'static {
    /// The place, or [`Place::unknown`].
    fn place(&self, address: IpAddr) -> Place;
}

/// Knows no place.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPlaces;

impl PlaceLookup for NoPlaces {
    fn place(&self, _address: IpAddr) -> Place {
        Place::unknown()
    }
}

/// A fixed table of networks, the first match counts. For demonstrations and tests.
#[derive(Debug, Clone, Default)]
pub struct PlaceTable(pub Vec<(IpAddr, u8, Place)>);

impl PlaceLookup for PlaceTable {
    fn place(&self, address: IpAddr) -> Place {
        let found = self.0.iter().find(|(network, bits, _)| is_within(address.to_canonical(), *network, *bits));
        found.map_or_else(Place::unknown, |(_, _, place)| place.clone())
    }
}

/// A wall clock, ms since 1970. Only leases, contexts and the age of mail look at it; slots use monotonic time.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What a relay is started with. No `Debug`: it holds the attestation key.
#[derive(Clone)]
pub struct RelayConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where Prometheus asks, `GET /metrics`; `None`: nowhere. Not for the world.
    pub metrics_listen: Option<SocketAddr>,
    /// Socket of the file system on which the operator asks; `None`: nowhere. Ignored where there are no such sockets.
    pub admin_socket: Option<PathBuf>,
    /// The certificate, when the relay speaks TLS itself. `None`: plain HTTP, for a proxy that does.
    pub tls: Option<Tls>,
    /// Host name that logins sign. `None`: the listen address with its real port.
    pub host: Option<String>,
    /// Ed25519 seed of the key that signs contexts. `None`: a fresh one, lost at the end.
    pub attestation_seed: Option<[u8; 32]>,
    /// Limits and life times.
    pub limits: Limits,
    /// Where addresses are.
    pub places: Arc<dyn PlaceLookup>,
    /// Pages that may call, as their `Origin` header says: `https://app.example`. A call without `Origin` is no page.
    pub allowed_origins: Vec<String>,
    /// The page of the linked device, served at `/`. Its own origin may call, beside the allowed ones.
    pub page: Option<Page>,
    /// Reverse proxies whose `X-Forwarded-For` is believed: its last entry that is not itself such a proxy.
    pub trusted_proxies: Vec<Cidr>,
    /// Callers who are not counted: gateways of many people, probes.
    pub exempt: Vec<Cidr>,
    /// Where lists and mailboxes live. `None`: in memory, lost at the end.
    pub store: Option<Arc<dyn Store>>,
    /// The wall clock; tests bring their own.
    pub clock: Clock,
}

impl RelayConfig {
    /// A relay at `listen` with the limits for a public one.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            metrics_listen: None,
            admin_socket: None,
            tls: None,
            host: None,
            attestation_seed: None,
            limits: Limits::public(),
            places: Arc::new(NoPlaces),
            allowed_origins: Vec::new(),
            page: None,
            trusted_proxies: Vec::new(),
            exempt: Vec::new(),
            store: None,
            clock: Arc::new(wall_clock),
        }
    }
}

impl Default for RelayConfig {
    /// A free port of this machine, generous limits: for demonstrations and tests.
    fn default() -> Self {
        Self { limits: Limits::generous(), ..Self::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))) }
    }
}

fn wall_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_table_answers_for_its_networks_only() {
        let home = Place { country: "DE".into(), city: Some("Jena".into()), asn: 680 };
        let table = PlaceTable(vec![
            ("192.0.2.0".parse().unwrap(), 24, home.clone()),
            ("2001:db8::".parse().unwrap(), 32, home.clone()),
        ]);
        for (address, known) in [
            ("192.0.2.77", true),
            ("::ffff:192.0.2.77", true),
            ("192.0.3.77", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(table.place(address.parse().unwrap()) == home, known, "{address}");
        }
        assert!(is_within("8.8.8.8".parse().unwrap(), "1.1.1.1".parse().unwrap(), 0), "/0 is everything");
    }
}
