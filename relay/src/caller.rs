//! Who asks, as far as the relay can see: address, page, program.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use pairlight_wire::offer::ClientKind;
use pairlight_wire::relay::RefusalCode;

use crate::network::{Cidr, any_contains};
use crate::rate::Network;
use crate::refusal::{Refusal, refuse};

/// One caller of one request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) address: IpAddr,
    pub(crate) origin: Option<String>,
    pub(crate) agent: String,
    pub(crate) kind: ClientKind,
    /// What the browser says that the page wants.
    pub(crate) fetch_mode: Option<String>,
    /// The relay itself, that finds out whether it is ready.
    pub(crate) is_probe: bool,
}

impl Caller {
    /// Reads the headers. `peer` is who connected; a trusted proxy may name somebody else.
    pub(crate) fn read(
        peer: IpAddr,
        headers: &HeaderMap,
        allowed_origins: &[String],
        trusted_proxies: &[Cidr],
    ) -> Result<Self, Refusal> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let origin = match headers.get(header::ORIGIN) {
            None => None,
            Some(origin) => {
                let known = allowed_origins.iter().find(|allowed| allowed.as_bytes() == origin.as_bytes());
                Some(known.ok_or_else(|| refuse(RefusalCode::NotAllowed, "this page may not use the relay"))?.clone())
            }
        };
        let fetch_mode =
            headers.get("sec-fetch-mode").map(|mode| String::from_utf8_lossy(mode.as_bytes()).into_owned());
        let is_browser = origin.is_some() || fetch_mode.is_some();
        Ok(Self {
            address: address(peer, headers, trusted_proxies)?,
            origin,
            agent: text(header::USER_AGENT).map(family).unwrap_or_default(),
            kind: if is_browser { ClientKind::Web } else { ClientKind::Native },
            fetch_mode,
            is_probe: false,
        })
    }

    /// What attempts are counted by.
    pub(crate) fn network(&self) -> Network {
        Network::from(self.address)
    }
}

/// Headers by which a proxy names the caller.
const FORWARDED: [&str; 2] = ["x-forwarded-for", "forwarded"];

/// Who really calls. Proxies append, so the list is read from its end: our own proxies are skipped, the next entry is what
/// the outermost of them saw, and everything before it the caller may have invented.
///
/// Somebody else who sends such a header is refused instead of being counted under his own address: either he lies, or
/// he is a proxy that nobody told us of, behind which all callers would share one set of limits.
fn address(peer: IpAddr, headers: &HeaderMap, trusted_proxies: &[Cidr]) -> Result<IpAddr, Refusal> {
    let peer = peer.to_canonical();
    if !any_contains(trusted_proxies, peer) {
        return if FORWARDED.iter().any(|name| headers.contains_key(*name)) {
            let words = "this call came through a proxy that the relay does not know; its operator names it as trusted";
            Err(refuse(RefusalCode::NotAllowed, words))
        } else {
            Ok(peer)
        };
    }
    let unclear = || refuse(RefusalCode::NotAllowed, "the proxy does not say clearly who calls");
    let mut nearest = peer;
    for header in headers.get_all("x-forwarded-for").iter().rev() {
        for entry in header.to_str().map_err(|_| unclear())?.rsplit(',') {
            nearest = entry.trim().parse::<IpAddr>().map_err(|_| unclear())?.to_canonical();
            if !any_contains(trusted_proxies, nearest) {
                return Ok(nearest);
            }
        }
    }
    Ok(nearest)
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
    fn only_a_trusted_proxy_names_another_address_and_a_spoofed_header_is_refused() {
        let read = |peer: &str, forwarded: &[&str], trusted: &[&str]| {
            let name = HeaderName::from_static("x-forwarded-for");
            let values = forwarded.iter().map(|value| (name.clone(), HeaderValue::from_str(value).unwrap()));
            let headers: HeaderMap = values.collect();
            let trusted: Vec<Cidr> = trusted.iter().map(|text| text.parse().unwrap()).collect();
            let caller = Caller::read(peer.parse().unwrap(), &headers, &[], &trusted);
            caller.map(|caller| caller.address.to_string()).map_err(|refusal| refusal.code)
        };
        let refused = Err(RefusalCode::NotAllowed);
        for (peer, forwarded, trusted, expected) in [
            ("192.0.2.1", &[][..], &[][..], Ok("192.0.2.1")),
            ("192.0.2.1", &["10.0.0.1"], &[], refused),
            ("192.0.2.1", &["10.0.0.1"], &["192.0.2.2"], refused),
            ("192.0.2.1", &["10.0.0.1, 198.51.100.7"], &["192.0.2.0/24"], Ok("198.51.100.7")),
            ("::ffff:192.0.2.1", &["198.51.100.7"], &["192.0.2.0/24"], Ok("198.51.100.7")),
            ("192.0.2.1", &["10.0.0.1, 198.51.100.7, 192.0.2.9"], &["192.0.2.0/24"], Ok("198.51.100.7")),
            ("192.0.2.1", &["10.0.0.1", "198.51.100.7"], &["192.0.2.1"], Ok("198.51.100.7")),
            ("192.0.2.1", &["192.0.2.5"], &["192.0.2.0/24"], Ok("192.0.2.5")),
            ("192.0.2.1", &["unknown"], &["192.0.2.1"], refused),
            ("192.0.2.1", &[], &["192.0.2.1"], Ok("192.0.2.1")),
        ] {
            let expected = expected.map(str::to_owned);
            assert_eq!(read(peer, forwarded, trusted), expected, "{peer} {forwarded:?} {trusted:?}");
        }
    }
}
