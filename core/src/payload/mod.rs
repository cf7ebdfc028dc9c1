//! Floor 3: what the user pointed at, and whether it is safe.
//!
//! [`Payload::classify`] takes the bytes of a symbol and names them: an offer of ours, another service's sign-in code, a
//! payment, a link. It never opens, fetches or stores anything, and a [`Payload`] keeps no secret but our own offer: no
//! token, password or seed of a foreign code, and every foreign word that it keeps is a [`SafeText`]. The caller still
//! has the bytes if it needs them.
//!
//! ```
//! use pairlight_core::payload::{Payload, Severity};
//!
//! let payload = Payload::classify(b"sgnl://linkdevice?uuid=Zm9v&pub_key=YmFy");
//! assert_eq!(payload.kind_key(), "other_service");
//! assert_eq!(payload.severity(), Severity::Danger);
//! assert!(payload.explain().contains("Signal"));
//! ```

mod explain;
mod field;
mod network;
mod payment;
mod personal;
mod safe_text;
#[cfg(test)]
mod samples;
mod secret;
mod service;
#[cfg(test)]
mod tests;
mod uri;
mod web;
mod wifi;

pub use network::Setup;
pub use payment::Payment;
pub use personal::Personal;
pub use safe_text::SafeText;
pub use secret::Secret;
pub use service::{OtherService, Purpose};
pub use web::{Caution, WebLink};
pub use wifi::{Wifi, WifiSecurity};

use std::borrow::Cow;

use pairlight_wire::qr::{QrError, QrPayload};

use uri::{Address, split_scheme, strip_prefix_ignore_case};

/// Longest run of digits that is tried as an offer. Ours has 124; a later version may have more.
const MAX_OFFER_DIGITS: usize = 1024;
/// Characters of an unknown scheme that are shown.
const SCHEME_CHARS: usize = 24;

/// How the user should be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// One of our codes, usable or not.
    Ours,
    /// Nothing to worry about.
    Info,
    /// Look twice before going on.
    Caution,
    /// Going on may cost an account, a secret or money. Never do it without a question.
    Danger,
}

impl Severity {
    /// Stable name for JSON.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Info => "info",
            Self::Caution => "caution",
            Self::Danger => "danger",
        }
    }
}

/// What a code means. `Debug` is safe to log: our offer redacts itself, the rest holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// An offer to link, of the version that this build speaks. Go on to pairing.
    PairingOffer(QrPayload),
    /// An offer of ours that this build cannot use. One of the two apps needs an update.
    OfferOfOtherVersion {
        /// The protocol version that it names.
        version: u8,
        /// The cipher suite that it names, when the version is known here and the suite is not.
        suite: Option<u8>,
    },
    /// Begins like an offer of ours and is not whole. Show the code again.
    DamagedOffer,
    /// A sign-in, linking or enrolment code of another service.
    OtherService(OtherService),
    /// A seed, private key or recovery phrase.
    Secret(Secret),
    /// A Wi-Fi network.
    Wifi(Wifi),
    /// A VPN, eSIM or smart-home setup.
    Setup(Setup),
    /// A request to pay.
    Payment(Payment),
    /// A contact, event, number, mail or place.
    Personal(Personal),
    /// A page of an app store.
    AppStore,
    /// A link that opens an app: the scheme is not one of the above.
    AppLink {
        /// The scheme, which tells the app.
        scheme: SafeText,
        /// The scheme runs code, reads files or installs something (`javascript`, `file`, `intent`..).
        is_risky: bool,
    },
    /// A web page.
    WebLink(WebLink),
    /// Text without a known meaning.
    Text {
        /// Its length in characters.
        characters: usize,
    },
    /// Bytes that are not text.
    Bytes {
        /// Their number.
        length: usize,
    },
}

impl Payload {
    /// Names what `bytes` mean, for an app without universal links. See [`Classifier`].
    #[must_use]
    pub fn classify(bytes: &[u8]) -> Self {
        Classifier::default().classify(bytes)
    }
}

/// What [`Payload::classify`] does, for apps that also show offers as `https://<host>/L#<digits>`.
#[derive(Debug, Clone, Default)]
pub struct Classifier {
    link_hosts: Vec<String>,
}

impl Classifier {
    /// `link_hosts` are the app's own link hosts, without scheme or port. Links to any other host are just web links.
    #[must_use]
    pub fn new(link_hosts: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self { link_hosts: link_hosts.into_iter().map(|host| host.as_ref().to_ascii_lowercase()).collect() }
    }

    /// Names what `bytes` mean. Pure; the time grows with the length and no faster.
    #[must_use]
    pub fn classify(&self, bytes: &[u8]) -> Payload {
        if let Some(service) = service::from_bytes(bytes) {
            return Payload::OtherService(service);
        }
        let text = String::from_utf8_lossy(bytes);
        let is_text = matches!(text, Cow::Borrowed(_)) && !text.chars().any(is_binary_control);
        let trimmed =
            text.trim_matches(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '\u{feff}' | '\u{200b}'));
        match self.recognise(trimmed) {
            // In bytes that are not text, a word and a colon are a coincidence.
            Some(Payload::AppLink { .. }) | None if !is_text => Payload::Bytes { length: bytes.len() },
            Some(payload) => payload,
            None => Payload::Text { characters: text.chars().count() },
        }
    }

    fn recognise(&self, text: &str) -> Option<Payload> {
        let inner = ["URLTO:", "URL:"].iter().find_map(|prefix| strip_prefix_ignore_case(text, prefix));
        let text = inner.unwrap_or(text).trim_start();
        if let Some((scheme, rest)) = split_scheme(text)
            && let Some(payload) = self.recognise_scheme(scheme, rest, text)
        {
            return Some(payload);
        }
        if strip_prefix_ignore_case(text, "www.").is_some() {
            return self.recognise_web(text, false);
        }
        None.or_else(|| secret::from_text(text).map(Payload::Secret))
            .or_else(|| service::from_text(text).map(Payload::OtherService))
            .or_else(|| network::from_text(text).map(Payload::Setup))
            .or_else(|| payment::from_text(text).map(Payload::Payment))
    }

    fn recognise_scheme(&self, scheme: &str, rest: &str, text: &str) -> Option<Payload> {
        let is = |name: &str| scheme.eq_ignore_ascii_case(name);
        if is("pairlight") {
            return Some(offer(QrPayload::parse(text.get(..MAX_OFFER_DIGITS).unwrap_or(text))));
        }
        if is("https") || is("http") {
            return self.recognise_web(rest, is("https"));
        }
        if is("mebkm") {
            let fields = field::parse(rest);
            let (scheme, rest) = split_scheme(field::value(&fields, "URL")?)?;
            let is_web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
            return is_web.then(|| self.recognise_web(rest, scheme.eq_ignore_ascii_case("https"))).flatten();
        }
        if is("wifi") {
            return wifi::parse(rest).map(Payload::Wifi);
        }
        None.or_else(|| service::from_scheme(scheme, rest).map(Payload::OtherService))
            .or_else(|| secret::from_scheme(scheme, rest).map(Payload::Secret))
            .or_else(|| network::from_scheme(scheme, rest).map(Payload::Setup))
            .or_else(|| payment::from_scheme(scheme, rest).map(Payload::Payment))
            .or_else(|| personal::from_scheme(scheme, rest).map(Payload::Personal))
            .or_else(|| app_link(scheme, rest))
    }

    fn recognise_web(&self, rest: &str, is_encrypted: bool) -> Option<Payload> {
        let address = Address::parse(rest.split(' ').next().unwrap_or_default())?;
        if is_encrypted && self.is_own_link(&address) {
            let digits = address.fragment.get(..MAX_OFFER_DIGITS).unwrap_or(&address.fragment);
            return Some(offer(QrPayload::parse_digits(digits)));
        }
        if let Some(service) = service::from_web(&address) {
            return Some(Payload::OtherService(service));
        }
        if address.is_at("qr.alipay.com") {
            return Some(Payload::Payment(Payment::new("alipay", "Alipay", None, None)));
        }
        let link = WebLink::new(&address, is_encrypted);
        let is_store =
            ["play.google.com", "apps.apple.com", "itunes.apple.com", "f-droid.org"].iter().any(|s| address.is_at(s));
        Some(if is_store && link.cautions().is_empty() { Payload::AppStore } else { Payload::WebLink(link) })
    }

    fn is_own_link(&self, address: &Address) -> bool {
        let is_plain = !address.has_user && !address.is_odd && address.port.as_deref().is_none_or(|port| port == "443");
        is_plain && address.path.eq_ignore_ascii_case("/l") && self.link_hosts.contains(&address.host)
    }
}

fn offer(parsed: Result<QrPayload, QrError>) -> Payload {
    match parsed {
        Ok(payload) => Payload::PairingOffer(payload),
        Err(QrError::OtherVersion { version }) => Payload::OfferOfOtherVersion { version, suite: None },
        Err(QrError::OtherSuite { suite }) => {
            Payload::OfferOfOtherVersion { version: pairlight_wire::qr::VERSION, suite: Some(suite) }
        }
        Err(QrError::NotOurs | QrError::Digits(_) | QrError::Length { .. }) => Payload::DamagedOffer,
    }
}

/// Schemes that do more than open a view: they run code, read files, or start or install programs.
const RISKY_SCHEMES: &[&str] = &[
    "data",
    "file",
    "content",
    "intent",
    "android-app",
    "itms-services",
    "blob",
    "view-source",
    "ms-msdt",
    "search-ms",
    "ms-appinstaller",
    "shell",
    "smb",
    "ssh",
    "jar",
    "jnlp",
    "shortcuts",
    "prefs",
    "app-settings",
];

fn app_link(scheme: &str, rest: &str) -> Option<Payload> {
    let is_store = ["market", "itms-apps", "itms-appss", "ms-windows-store", "appmarket"]
        .iter()
        .any(|s| scheme.eq_ignore_ascii_case(s));
    if is_store {
        return Some(Payload::AppStore);
    }
    let is_script = ["javascript", "vbscript"].iter().any(|script| scheme.eq_ignore_ascii_case(script));
    // "File: notes" is text, but a browser runs a script after any number of spaces.
    let is_risky =
        is_script || RISKY_SCHEMES.iter().any(|risky| scheme.eq_ignore_ascii_case(risky)) && !rest.starts_with(' ');
    // "Note: buy milk" and "Total:42" are text.
    let is_link =
        rest.starts_with("//") || (rest.contains(['/', '?', '=', ':']) && !rest.contains(char::is_whitespace));
    (is_risky || is_link)
        .then(|| Payload::AppLink { scheme: SafeText::new(&scheme.to_ascii_lowercase(), SCHEME_CHARS), is_risky })
}

/// Control characters that do not occur in text. Line ends, tabs, and the separators of GS1 and licence codes do.
fn is_binary_control(c: char) -> bool {
    c.is_ascii_control() && !matches!(c, '\t' | '\r' | '\n' | '\u{4}' | '\u{1d}' | '\u{1e}')
}
