//! Codes by which another service signs somebody in or links a device.
//!
//! People who want to link a device here sometimes point at such a code by mistake, and attackers show such codes on
//! purpose: whoever approves it hands over the account. They are named, and never passed on. The shapes are those that
//! the services' own programs and documentation show; a contact or group link of the same service is not among them.

use super::safe_text::SafeText;
use super::uri::{Address, parameter, strip_prefix_ignore_case};

/// Shown hosts are cut here, in characters.
const HOST_CHARS: usize = 60;

/// What approving the code would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Signs in, on the device that shows the code, as the person who scans it.
    Login,
    /// Links the device that shows the code to the account of the person who scans it.
    DeviceLink,
    /// Opens a page where a sign-in that was begun on another device is approved (OAuth device grant, RFC 8628).
    DeviceSignIn,
    /// Moves or copies a whole account, its keys or its password to the device that scans.
    AccountTransfer,
    /// Connects a wallet, so that a site may ask it for signatures.
    WalletSession,
    /// Enrols an authenticator app that later approves sign-ins.
    AuthenticatorSetup,
    /// Puts a phone under the management of somebody else.
    DeviceManagement,
    /// Marks the other device or person as verified.
    Verification,
}

impl Purpose {
    /// Stable name for JSON.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::DeviceLink => "device_link",
            Self::DeviceSignIn => "device_sign_in",
            Self::AccountTransfer => "account_transfer",
            Self::WalletSession => "wallet_session",
            Self::AuthenticatorSetup => "authenticator_setup",
            Self::DeviceManagement => "device_management",
            Self::Verification => "verification",
        }
    }
}

/// A sign-in, linking or enrolment code of another service. Keeps no part of the code itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OtherService {
    key: &'static str,
    name: &'static str,
    purpose: Purpose,
    host: Option<SafeText>,
}

impl OtherService {
    const fn new(key: &'static str, name: &'static str, purpose: Purpose) -> Self {
        Self { key, name, purpose, host: None }
    }

    /// Stable name of the service for JSON, such as `whatsapp`; `unnamed_site` for a service known only by its host.
    #[must_use]
    pub fn service_key(&self) -> &'static str {
        self.key
    }

    /// The service's name for people, or `another service`.
    #[must_use]
    pub fn service_name(&self) -> &'static str {
        self.name
    }

    /// What approving the code would do.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The host that the code leads to, if it is a web address.
    #[must_use]
    pub fn host(&self) -> Option<&SafeText> {
        self.host.as_ref()
    }
}

/// Where in the path a rule matches.
enum Path {
    /// The whole path, a trailing slash aside.
    Is(&'static str),
    /// The path begins so and goes on.
    Begins(&'static str),
    /// Begins with the first and contains the second after it.
    BeginsAndHas(&'static str, &'static str),
}

impl Path {
    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Is(whole) => path.strip_suffix('/').unwrap_or(path).eq_ignore_ascii_case(whole),
            Self::Begins(start) => strip_prefix_ignore_case(path, start).is_some_and(|rest| !rest.is_empty()),
            Self::BeginsAndHas(start, part) => {
                strip_prefix_ignore_case(path, start).is_some_and(|rest| rest.to_ascii_lowercase().contains(part))
            }
        }
    }
}

/// One web address shape: service, purpose, domain (subdomains too when `.domain`), path, parameter that must be there.
type WebRule = (&'static str, &'static str, Purpose, &'static str, Path, Option<&'static str>);

use Path::{Begins, BeginsAndHas, Is};
use Purpose::{AccountTransfer, AuthenticatorSetup, DeviceLink, DeviceSignIn, Login, WalletSession};

const WEB_RULES: &[WebRule] = &[
    ("whatsapp", "WhatsApp", DeviceLink, "wa.me", Begins("/settings/linked_devices"), None),
    ("whatsapp", "WhatsApp", DeviceLink, "wa.me", Is("/settings/linked_devices"), None),
    ("telegram", "Telegram", Login, "t.me", Begins("/login/"), None),
    ("discord", "Discord", Login, ".discord.com", Begins("/ra/"), None),
    ("discord", "Discord", Login, ".discordapp.com", Begins("/ra/"), None),
    ("discord", "Discord", DeviceSignIn, ".discord.com", Is("/activate"), None),
    ("steam", "Steam", Login, "s.team", Begins("/q/"), None),
    ("slack", "Slack", Login, "app.slack.com", BeginsAndHas("/t/", "/login/"), None),
    ("line", "LINE", Login, "line.me", Begins("/r/au/lgn/"), None),
    ("line", "LINE", Login, "line.me", Begins("/r/au/q/"), None),
    ("wechat", "WeChat", Login, "login.weixin.qq.com", Begins("/l/"), None),
    ("wechat", "WeChat", Login, "login.wx.qq.com", Begins("/l/"), None),
    ("wechat", "WeChat", Login, "weixin.qq.com", Begins("/x/"), None),
    ("wechat", "WeChat", Login, "open.weixin.qq.com", Begins("/connect/"), None),
    ("qq", "QQ", Login, "txz.qq.com", Is("/p"), Some("k")),
    ("jd", "JD", Login, "qr.m.jd.com", Is("/p"), Some("k")),
    ("bilibili", "Bilibili", Login, ".bilibili.com", BeginsAndHas("/h5", "login/scan"), None),
    ("bilibili", "Bilibili", Login, "passport.bilibili.com", Begins("/qrcode/h5/login"), None),
    ("firefox", "Firefox", DeviceLink, "accounts.firefox.com", Is("/pair"), None),
    ("microsoft", "Microsoft", DeviceSignIn, "microsoft.com", Is("/devicelogin"), None),
    ("microsoft", "Microsoft", DeviceSignIn, "microsoft.com", Is("/link"), None),
    ("microsoft", "Microsoft", DeviceSignIn, "aka.ms", Is("/devicelogin"), None),
    ("microsoft", "Microsoft", DeviceSignIn, "login.microsoft.com", Is("/device"), None),
    ("microsoft", "Microsoft", DeviceSignIn, "login.microsoftonline.com", BeginsAndHas("/", "deviceauth"), None),
    ("microsoft", "Microsoft", DeviceSignIn, "login.live.com", Is("/oauth20_remoteconnect.srf"), None),
    ("google", "Google", DeviceSignIn, "google.com", Is("/device"), None),
    ("google", "Google", DeviceSignIn, "accounts.google.com", BeginsAndHas("/", "device/usercode"), None),
    ("youtube", "YouTube", DeviceSignIn, "youtube.com", Is("/activate"), None),
    ("youtube", "YouTube", DeviceSignIn, "youtube.com", Is("/tv/activate"), None),
    ("youtube", "YouTube", DeviceSignIn, "yt.be", Is("/activate"), None),
    ("github", "GitHub", DeviceSignIn, "github.com", Is("/login/device"), None),
    ("spotify", "Spotify", DeviceSignIn, ".spotify.com", Is("/pair"), None),
    ("netflix", "Netflix", DeviceSignIn, "netflix.com", Begins("/tv"), None),
    ("disney_plus", "Disney+", DeviceSignIn, "disneyplus.com", Is("/begin"), None),
    ("amazon", "Amazon", DeviceSignIn, "amazon.com", Is("/code"), None),
    ("amazon", "Amazon", DeviceSignIn, "amazon.com", Is("/us/code"), None),
    ("amazon", "Amazon", DeviceSignIn, "amazon.com", Is("/mytv"), None),
    ("aws", "AWS", DeviceSignIn, ".amazonaws.com", BeginsAndHas("/", ""), Some("user_code")),
    ("aws", "AWS", DeviceSignIn, ".awsapps.com", BeginsAndHas("/start", ""), Some("user_code")),
    ("twitch", "Twitch", DeviceSignIn, "twitch.tv", Is("/activate"), None),
    ("facebook", "Facebook", DeviceSignIn, "facebook.com", Is("/device"), None),
    ("plex", "Plex", DeviceSignIn, "plex.tv", Is("/link"), None),
    ("epic_games", "Epic Games", DeviceSignIn, "epicgames.com", Is("/activate"), None),
    ("docker", "Docker", DeviceSignIn, "login.docker.com", Is("/activate"), None),
    ("alipay", "Alipay", Login, "qr.alipay.com", Is("/_d"), Some("securityId")),
    ("walletconnect", "WalletConnect", WalletSession, "walletconnect.com", Is("/wc"), Some("uri")),
];

/// The domains whose names are imitated; used to tell a look-alike host (`wa.me.evil.example`) from the real one.
pub(super) fn known_domains() -> impl Iterator<Item = &'static str> {
    WEB_RULES.iter().map(|(_, _, _, domain, _, _)| domain.strip_prefix('.').unwrap_or(domain))
}

/// Recognises a sign-in page among web addresses.
pub(super) fn from_web(address: &Address) -> Option<OtherService> {
    let known = WEB_RULES.iter().find(|(_, _, _, domain, path, needs)| {
        let at = domain.strip_prefix('.').map_or_else(|| address.is_at(domain), |under| address.is_under(under));
        at && path.matches(&address.path) && needs.is_none_or(|name| parameter(&address.query, name).is_some())
    });
    let mut service = match known {
        Some(&(key, name, purpose, ..)) => OtherService::new(key, name, purpose),
        None if is_device_grant(address) => OtherService::new("unnamed_site", "another service", DeviceSignIn),
        None => return None,
    };
    service.host = super::web::shown_host(address, HOST_CHARS);
    Some(service)
}

/// The page of an OAuth device grant on a site that is not in the table: RFC 8628 section 3.3.1 puts the code into the
/// address (`verification_uri_complete`), nearly always as `user_code`; without one, only unmistakable paths count.
fn is_device_grant(address: &Address) -> bool {
    let path = address.path.to_ascii_lowercase();
    let path = path.strip_suffix('/').unwrap_or(&path);
    parameter(&address.query, "user_code").is_some()
        || ["/login/device", "/oauth/device", "/oauth2/device", "/devicelogin", "/device/login", "/device_login"]
            .iter()
            .any(|end| path.ends_with(end))
}

/// Recognises the services that use a scheme of their own. `rest` is what follows `scheme:`.
pub(super) fn from_scheme(scheme: &str, rest: &str) -> Option<OtherService> {
    let after_slashes = rest.trim_start_matches('/');
    let (before_fragment, fragment) = after_slashes.split_once('#').unwrap_or((after_slashes, ""));
    let (target, query) = before_fragment.split_once('?').unwrap_or((before_fragment, ""));
    let target = target.trim_end_matches('/').to_ascii_lowercase();
    let has = |name: &str| parameter(query, name).is_some();
    let service = |key, name, purpose| Some(OtherService::new(key, name, purpose));
    match scheme.to_ascii_lowercase().as_str() {
        "sgnl" if target == "linkdevice" => service("signal", "Signal", DeviceLink),
        "tsdevice" => service("signal", "Signal", DeviceLink),
        "tg" if target == "login" && (has("token") || has("code")) => service("telegram", "Telegram", Login),
        "fido" if is_fido(after_slashes) => service("passkey", "a passkey", Login),
        "threema" if target == "device-group/join" && !fragment.is_empty() => service("threema", "Threema", DeviceLink),
        "line" if target.starts_with("au/lgn") || target.starts_with("au/q") => service("line", "LINE", Login),
        "jami-auth" => service("jami", "Jami", AccountTransfer),
        "xrcp" => service("simplex", "SimpleX", DeviceLink),
        "dclogin" => service("delta_chat", "Delta Chat", AccountTransfer),
        backup if backup.strip_prefix("dcbackup").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())) => {
            service("delta_chat", "Delta Chat", AccountTransfer)
        }
        "nc" if target.starts_with("login/") => service("nextcloud", "Nextcloud", AccountTransfer),
        account if account.starts_with("onepassword") && has("key") => {
            service("1password", "1Password", AccountTransfer)
        }
        "keyauth" => service("lnurl_auth", "a Lightning wallet", Login),
        "wc" if target.contains('@') => service("walletconnect", "WalletConnect", WalletSession),
        "phonefactor" => service("microsoft", "Microsoft Authenticator", AuthenticatorSetup),
        "duo" => service("duo", "Duo", AuthenticatorSetup),
        "oktaverify" | "com.okta.authenticator" => service("okta", "Okta Verify", AuthenticatorSetup),
        _ => None,
    }
}

/// CTAP 2.2 hybrid transport: decimal digits of a CBOR map with at least a 33 byte key and a 16 byte secret.
fn is_fido(digits: &str) -> bool {
    digits.len() >= 100 && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Recognises the codes that are neither an address nor a scheme.
pub(super) fn from_text(text: &str) -> Option<OtherService> {
    if is_whatsapp_list(text) {
        return Some(OtherService::new("whatsapp", "WhatsApp", DeviceLink));
    }
    if text.starts_with('{') {
        if text.contains("\"sync_code_hex\"") {
            return Some(OtherService::new("brave", "Brave Sync", DeviceLink));
        }
        if text.contains("\"android.app.extra.PROVISIONING_") {
            return Some(OtherService::new(
                "android_management",
                "Android device management",
                Purpose::DeviceManagement,
            ));
        }
    }
    is_threema_web(text).then(|| OtherService::new("threema", "Threema", DeviceLink))
}

/// WhatsApp before its codes became links: `ref,noise key,identity key,secret[,client]`, each key 32 bytes in base64.
fn is_whatsapp_list(text: &str) -> bool {
    let mut parts = text.split(',');
    let Some(reference) = parts.next() else { return false };
    let is_reference = (10..=512).contains(&reference.len()) && reference.bytes().all(|b| b.is_ascii_graphic());
    let keys = parts.by_ref().take(3).filter(|key| key.len() == 44 && key.ends_with('=') && is_base64(key)).count();
    is_reference && keys == 3 && parts.count() <= 2
}

fn is_base64(text: &str) -> bool {
    text.trim_end_matches('=').bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_'))
}

/// Threema Web 2 shows base64 of fixed binary fields that end with the name of the signalling host.
fn is_threema_web(text: &str) -> bool {
    (140..=400).contains(&text.len())
        && is_base64(text)
        && decode_base64(text).is_some_and(|bytes| bytes.ends_with(b".threema.ch") && bytes.len() > 101)
}

/// Standard base64, padding optional.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for c in text.trim_end_matches('=').bytes() {
        let value = match c {
            b'A'..=b'Z' => c.checked_sub(b'A')?,
            b'a'..=b'z' => c.checked_sub(b'a')?.checked_add(26)?,
            b'0'..=b'9' => c.checked_sub(b'0')?.checked_add(52)?,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held = held.checked_add(6)?;
        if let Some(left) = held.checked_sub(8) {
            held = left;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// Recognises binary codes. Matrix: `MATRIX`, a format byte, a mode byte. Format 2 is device verification (modes 0 to 2
/// of the Matrix specification) or sign-in (modes 3 and 4, MSC4108), format 3 is sign-in (MSC4388).
pub(super) fn from_bytes(bytes: &[u8]) -> Option<OtherService> {
    let (&[format, mode], _) = bytes.strip_prefix(b"MATRIX")?.split_first_chunk::<2>()?;
    match (format, mode) {
        (2, 0..=2) => Some(OtherService::new("matrix", "Matrix", Purpose::Verification)),
        (2 | 3, _) => Some(OtherService::new("matrix", "Matrix", Login)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded_with_and_without_padding() {
        assert_eq!(decode_base64("aGVsbG8=").unwrap(), b"hello");
        assert_eq!(decode_base64("aGVsbG8").unwrap(), b"hello");
        assert_eq!(decode_base64("a b"), None);
    }

    #[test]
    fn every_service_key_has_one_shape() {
        for (key, name, ..) in WEB_RULES {
            assert!(key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{key}");
            assert!(!name.is_empty());
        }
    }

    #[test]
    fn a_path_rule_needs_something_after_a_beginning() {
        assert!(Begins("/ra/").matches("/ra/x"));
        assert!(!Begins("/ra/").matches("/ra/"));
        assert!(Is("/device").matches("/Device/"));
        assert!(!Is("/device").matches("/devices"));
    }
}
