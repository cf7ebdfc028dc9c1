//! Web links: where one leads, and what about it should make a person look twice.

use super::safe_text::SafeText;
use super::service;
use super::uri::{Address, ascii_host, percent_decode};

/// Shown hosts are cut here, in characters.
const HOST_CHARS: usize = 60;

/// Something about a link that deserves a second look. In the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Caution {
    /// A name and an `@` stand before the real host, so that the address seems to begin with another site.
    NameBeforeHost,
    /// The host contains the name of a well-known service but does not belong to it.
    ImitatesKnownService,
    /// Letters of different alphabets are mixed in the host, or all imitate Latin ones.
    MixedScriptHost,
    /// Has the form of a Pairlight link, but the host is not one of this app's.
    PairingLinkOfUnknownHost,
    /// Programs read the address differently: backslashes, missing slashes, an encoded host.
    OddAddress,
    /// The host is a number instead of a name.
    IpAddressHost,
    /// The host has letters outside ASCII, in their `xn--` form or plainly.
    InternationalHost,
    /// Leads to this device or to the local network.
    LocalNetworkHost,
    /// A port other than the usual one.
    UnusualPort,
    /// A link shortener: the real target is not visible.
    Shortener,
    /// Another web address is hidden in the parameters, so the link may lead on to there.
    NamesAnotherAddress,
    /// Leads to a program or app package.
    Download,
    /// Not encrypted (`http`).
    NotEncrypted,
}

impl Caution {
    /// Stable name for JSON.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::NameBeforeHost => "name_before_host",
            Self::ImitatesKnownService => "imitates_known_service",
            Self::MixedScriptHost => "mixed_script_host",
            Self::PairingLinkOfUnknownHost => "pairing_link_of_unknown_host",
            Self::OddAddress => "odd_address",
            Self::IpAddressHost => "ip_address_host",
            Self::InternationalHost => "international_host",
            Self::LocalNetworkHost => "local_network_host",
            Self::UnusualPort => "unusual_port",
            Self::Shortener => "shortener",
            Self::NamesAnotherAddress => "names_another_address",
            Self::Download => "download",
            Self::NotEncrypted => "not_encrypted",
        }
    }

    /// The caution in a few words that follow "careful:".
    #[must_use]
    pub fn explain(self) -> &'static str {
        match self {
            Self::NameBeforeHost => "it pretends to begin with another site's name",
            Self::ImitatesKnownService => "it imitates the name of a well-known service",
            Self::MixedScriptHost => "its name mixes alphabets to look like another",
            Self::PairingLinkOfUnknownHost => "it looks like a linking code, but not of this app",
            Self::OddAddress => "the address is written in a misleading way",
            Self::IpAddressHost => "it has a number instead of a name",
            Self::InternationalHost => "its name has letters that can imitate others",
            Self::LocalNetworkHost => "it leads into your own network",
            Self::UnusualPort => "it uses an unusual port",
            Self::Shortener => "a short link hides where it really leads",
            Self::NamesAnotherAddress => "it may pass you on to another address",
            Self::Download => "it downloads a program",
            Self::NotEncrypted => "the connection is not encrypted",
        }
    }

    /// Whether nobody writes such an address without meaning to deceive.
    pub(super) fn is_danger(self) -> bool {
        matches!(self, Self::NameBeforeHost | Self::ImitatesKnownService | Self::MixedScriptHost)
    }
}

/// A link to a web page, without its path and parameters: those may be secret, the host says where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WebLink {
    host: SafeText,
    cautions: Vec<Caution>,
}

impl WebLink {
    /// The host, in ASCII.
    #[must_use]
    pub fn host(&self) -> &SafeText {
        &self.host
    }

    /// What should make a person look twice, most serious first. Empty for an ordinary link.
    #[must_use]
    pub fn cautions(&self) -> &[Caution] {
        &self.cautions
    }

    pub(super) fn new(address: &Address, is_encrypted: bool) -> Self {
        let host = shown_host(address, HOST_CHARS).unwrap_or_default();
        let ip = is_ip(&address.host);
        let normal_port = if is_encrypted { "443" } else { "80" };
        let path = address.path.to_ascii_lowercase();
        let checks = [
            (Caution::NameBeforeHost, address.has_user),
            (Caution::ImitatesKnownService, imitates_known(&address.host)),
            (Caution::MixedScriptHost, address.host.split('.').any(is_mixed_script)),
            (Caution::PairingLinkOfUnknownHost, looks_like_offer(address)),
            (Caution::OddAddress, address.is_odd),
            (Caution::IpAddressHost, ip),
            (
                Caution::InternationalHost,
                !address.host.is_ascii() || address.host.split('.').any(|l| l.starts_with("xn--")),
            ),
            (Caution::LocalNetworkHost, is_local(&address.host)),
            (Caution::UnusualPort, address.port.as_deref().is_some_and(|port| port != normal_port)),
            (Caution::Shortener, SHORTENERS.iter().any(|short| address.is_at(short))),
            (Caution::NamesAnotherAddress, names_another_address(address)),
            (Caution::Download, PACKAGES.iter().any(|end| path.ends_with(end))),
            (Caution::NotEncrypted, !is_encrypted),
        ];
        let cautions = checks.into_iter().filter_map(|(caution, holds)| holds.then_some(caution)).collect();
        Self { host, cautions }
    }
}

/// The host as it is shown: ASCII only, so that it cannot look like another one.
pub(super) fn shown_host(address: &Address, max_chars: usize) -> Option<SafeText> {
    let host = ascii_host(&address.host).map(|host| {
        let kept: String = host.chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect();
        // Of a long host the end counts: it says who owns it.
        let length = kept.len();
        match length.checked_sub(max_chars).and_then(|cut| kept.get(cut.saturating_add(1)..)) {
            Some(end) if length > max_chars => format!("…{end}"),
            _ => kept,
        }
    })?;
    Some(SafeText::new(&host, max_chars))
}

/// Link shorteners and dynamic QR services, whose links say nothing about their target.
const SHORTENERS: &[&str] = &[
    "adf.ly",
    "bit.do",
    "bit.ly",
    "bitly.com",
    "bl.ink",
    "buff.ly",
    "clck.ru",
    "cutt.ly",
    "dlvr.it",
    "dub.sh",
    "flowcode.com",
    "goo.gl",
    "is.gd",
    "kutt.it",
    "l.ead.me",
    "lnkd.in",
    "me-qr.com",
    "ow.ly",
    "q-r.to",
    "qr.ae",
    "qr.codes",
    "qr.io",
    "qrco.de",
    "qrfy.com",
    "qrs.ly",
    "rb.gy",
    "rebrand.ly",
    "s.id",
    "short.io",
    "shorturl.at",
    "shorturl.asia",
    "surl.li",
    "t.co",
    "t.ly",
    "tiny.cc",
    "tiny.one",
    "tinyurl.com",
    "trib.al",
    "u.to",
    "urlz.fr",
    "v.gd",
    "vk.cc",
];

/// Endings of files that install something.
const PACKAGES: &[&str] = &[
    ".apk",
    ".apkm",
    ".xapk",
    ".ipa",
    ".mobileconfig",
    ".exe",
    ".msi",
    ".dmg",
    ".pkg",
    ".jar",
    ".bat",
    ".cmd",
    ".ps1",
    ".scr",
    ".vbs",
    ".deb",
    ".rpm",
    ".appimage",
];

/// WHATWG "ends in a number": such a host is an IPv4 address in one of its many spellings.
fn is_ip(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
    let is_hex = last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    is_number || is_hex || host.starts_with('[')
}

fn is_local(host: &str) -> bool {
    let name = host == "localhost"
        || [".localhost", ".local", ".lan", ".internal", ".home.arpa"].iter().any(|end| host.ends_with(end));
    let v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).and_then(|v6| v6.parse().ok());
    let v6_local =
        v6.is_some_and(|v6: std::net::Ipv6Addr| v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local());
    let v4_local =
        host.parse().is_ok_and(|v4: std::net::Ipv4Addr| v4.is_private() || v4.is_loopback() || v4.is_link_local());
    name || v6_local || v4_local
}

/// A known domain stands in the host, but at its front: `wa.me.evil.example`, `discord.com-login.example`.
fn imitates_known(host: &str) -> bool {
    let bare = host.strip_prefix("www.").unwrap_or(host);
    service::known_domains().any(|domain| {
        let owned = host.strip_suffix(domain).is_some_and(|front| front.is_empty() || front.ends_with('.'));
        // `amazon.com.br` and its like are the services' own: nobody else gets a `.com.br` of that name.
        let goes_on = |after: &str| {
            let is_country = after.strip_prefix('.').is_some_and(|country| country.len() == 2);
            after.starts_with(['.', '-']) && !(is_country && domain.ends_with(".com"))
        };
        let in_front = bare.strip_prefix(domain).is_some_and(goes_on);
        let inside = bare.split_once('.').and_then(|(_, rest)| rest.strip_prefix(domain)).is_some_and(goes_on);
        !owned && (in_front || inside)
    })
}

/// Latin beside Cyrillic or Greek in one label, or a label whose Cyrillic letters all look Latin.
fn is_mixed_script(label: &str) -> bool {
    const LIKE_LATIN: &str = "асԁеһіјӏорԛѕԝхуү";
    let latin = label.chars().any(|c| c.is_ascii_alphabetic());
    let other = |c: char| matches!(c, '\u{370}'..='\u{52f}' | '\u{530}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}');
    let has_other = label.chars().any(other);
    let all_alike = label.chars().filter(|c| !c.is_ascii()).all(|c| LIKE_LATIN.contains(c));
    has_other && (latin || all_alike)
}

fn looks_like_offer(address: &Address) -> bool {
    address.path.eq_ignore_ascii_case("/l")
        && address.fragment.len() >= 100
        && address.fragment.bytes().all(|b| b.is_ascii_digit())
}

/// Any scheme counts: a page that forwards to `sgnl://linkdevice` is how linking codes are smuggled past a scanner.
fn names_another_address(address: &Address) -> bool {
    [&address.query, &address.fragment].into_iter().any(|part| {
        let plain = percent_decode(part);
        plain.contains("://") || plain.contains("=//")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cautions(rest: &str) -> Vec<Caution> {
        WebLink::new(&Address::parse(rest).unwrap(), true).cautions
    }

    #[test]
    fn an_ordinary_link_gives_no_caution() {
        for rest in ["//example.com/a?b=c", "//www.discord.com/channels/1", "//wa.me/15551234567", "//example.com:443/"]
        {
            assert_eq!(cautions(rest), [], "{rest}");
        }
    }

    #[test]
    fn every_spelling_of_a_number_is_an_ip_address() {
        for rest in ["//3232235777/", "//0x7f.1/", "//192.168.1.1/", "//[::1]/", "//0x7f000001"] {
            assert!(cautions(rest).contains(&Caution::IpAddressHost), "{rest}");
        }
        assert!(!cautions("//1.example.com").contains(&Caution::IpAddressHost));
    }

    #[test]
    fn a_known_name_in_front_of_another_domain_is_an_imitation() {
        for rest in ["//wa.me.evil.example/", "//github.com-login.example/", "//www.discord.com.evil.example"] {
            assert_eq!(cautions(rest), [Caution::ImitatesKnownService], "{rest}");
        }
    }

    #[test]
    fn of_a_long_host_the_end_is_shown() {
        let address =
            Address::parse(&format!("//{}.evil.example/", "bank.example.".repeat(9).trim_end_matches('.'))).unwrap();
        let host = shown_host(&address, 60).unwrap();
        assert!(host.as_str().starts_with('…') && host.as_str().ends_with("evil.example"), "{host}");
        assert_eq!(host.as_str().chars().count(), 60);
    }
}
