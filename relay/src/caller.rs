//! Who asks, as far as the relay can see: address, page, program.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use pairlight_wire::offer::ClientKind;
use pairlight_wire::relay::RefusalCode;

use crate::rate::Network;
use crate::refusal::{Refusal, refuse};

/// One caller of one request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) address: IpAddr,
    pub(crate) origin: Option<String>,
    pub(crate) agent: String,
    pub(crate) kind: ClientKind,
}

impl Caller {
    /// Reads the headers. `peer` is who connected; a trusted proxy may name somebody else.
    pub(crate) fn read(
        peer: IpAddr,
        headers: &HeaderMap,
        allowed_origins: &[String],
        trusted_proxies: &[IpAddr],
    ) -> Result<Self, Refusal> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let origin = match headers.get(header::ORIGIN) {
            None => None,
            Some(origin) => {
                let known = allowed_origins.iter().find(|allowed| allowed.as_bytes() == origin.as_bytes());
                Some(known.ok_or_else(|| refuse(RefusalCode::NotAllowed, "this page may not use the relay"))?.clone())
            }
        };
        let is_browser = origin.is_some() || headers.contains_key("sec-fetch-mode");
        Ok(Self {
            address: address(peer, headers, trusted_proxies),
            origin,
            agent: text(header::USER_AGENT).map(family).unwrap_or_default(),
            kind: if is_browser { ClientKind::Web } else { ClientKind::Native },
        })
    }

    /// What attempts are counted by.
    pub(crate) fn network(&self) -> Network {
        Network::from(self.address)
    }
}

/// The last entry of the last header is what our own proxy saw; everything before it the caller may have invented.
fn address(peer: IpAddr, headers: &HeaderMap, trusted_proxies: &[IpAddr]) -> IpAddr {
    let peer = peer.to_canonical();
    if !trusted_proxies.iter().any(|proxy| proxy.to_canonical() == peer) {
        return peer;
    }
    let forwarded = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    let last = forwarded.and_then(|list| list.rsplit(',').next());
    last.and_then(|entry| entry.trim().parse::<IpAddr>().ok()).map_or(peer, |address| address.to_canonical())
}

/// The family of a user agent, for display. Order matters: every browser also claims to be others.
fn family(agent: &str) -> String {
    const FAMILIES: [(&str, &str); 7] = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("Chromium/", "Chromium"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    if let Some((_, name)) = FAMILIES.iter().find(|(token, _)| agent.contains(token)) {
        return (*name).to_owned();
    }
    let product = agent.split(['/', ' ']).next().unwrap_or_default();
    product.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(32).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn the_family_of_a_browser_is_not_what_it_pretends_to_be() {
        for (agent, expected) in [
            ("Mozilla/5.0 (X11; Linux) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/155.0 Safari/537.36", "Chrome"),
            ("Mozilla/5.0 (Windows) AppleWebKit/537.36 Chrome/155.0 Safari/537.36 Edg/155.0", "Edge"),
            ("Mozilla/5.0 (Macintosh) AppleWebKit/605 (KHTML, like Gecko) Version/18 Safari/605", "Safari"),
            ("Mozilla/5.0 (X11; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox"),
            ("pairlight-cli/0.1", "pairlight-cli"),
            ("<b>evil</b>", "bevil"),
            ("", ""),
        ] {
            assert_eq!(family(agent), expected, "{agent}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_names_another_address() {
        let [peer, proxy]: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "::ffff:192.0.2.1".parse().unwrap()];
        let name = HeaderName::from_static("x-forwarded-for");
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_static("10.0.0.1, 198.51.100.7"))]);
        let read = |trusted: &[IpAddr]| Caller::read(peer, &headers, &[], trusted).unwrap().address.to_string();
        assert_eq!(read(&[]), "192.0.2.1");
        assert_eq!(read(&[proxy]), "198.51.100.7");
    }
}
