//! Codes that set up a connection or a thing in the house: VPN, eSIM, smart-home devices.

use super::safe_text::SafeText;
use super::uri::strip_prefix_ignore_case;

/// Characters of a host that are shown.
const HOST_CHARS: usize = 60;

/// A connection or device that the code would set up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Setup {
    /// Sends the device's traffic through somebody's server.
    Vpn {
        /// Which sort.
        name: &'static str,
    },
    /// Installs a mobile network profile.
    Esim {
        /// The server that hands out the profile.
        server: SafeText,
    },
    /// Brings a device into the home: the code is its setup password.
    SmartHome {
        /// Which standard.
        name: &'static str,
    },
}

/// Recognises setups by their scheme. `rest` is what follows `scheme:`.
pub(super) fn from_scheme(scheme: &str, rest: &str) -> Option<Setup> {
    let is_link = rest.starts_with("//");
    Some(match scheme.to_ascii_lowercase().as_str() {
        "ss" | "ssr" if is_link => Setup::Vpn { name: "Shadowsocks" },
        "vmess" | "vless" | "trojan" | "hysteria2" | "hy2" | "tuic" if is_link => Setup::Vpn { name: "proxy" },
        "wireguard" | "wg" if is_link => Setup::Vpn { name: "WireGuard" },
        "lpa" => {
            // LPA:1$server$matching id: GSMA SGP.22 section 4.1. The matching id is a secret.
            let mut parts = rest.split('$');
            let is_known = parts.next() == Some("1");
            let server = parts.next().filter(|_| is_known)?;
            Setup::Esim { server: SafeText::new(server, HOST_CHARS) }
        }
        "mt" if (19..=200).contains(&rest.len()) && !rest.contains(' ') => Setup::SmartHome { name: "Matter" },
        "x-hm" => Setup::SmartHome { name: "HomeKit" },
        "dpp" if rest.contains("K:") => Setup::SmartHome { name: "Wi-Fi Easy Connect" },
        _ => return None,
    })
}

/// A WireGuard configuration, which its apps show as a code.
pub(super) fn from_text(text: &str) -> Option<Setup> {
    let rest = strip_prefix_ignore_case(text, "[Interface]")?;
    rest.contains("PrivateKey").then_some(Setup::Vpn { name: "WireGuard" })
}
