//! Wi-Fi codes: `WIFI:T:WPA;S:name;P:password;H:true;;`. The password is seen, counted as present, and not kept.

use super::field;
use super::safe_text::SafeText;

/// A network name has at most 32 bytes.
const NAME_CHARS: usize = 32;

/// How a Wi-Fi network says it is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WifiSecurity {
    /// No password, no encryption.
    Open,
    /// Broken since 2001; as good as open.
    Wep,
    /// WPA to WPA3 with a password (`WPA`, `WPA2`, `WPA3`, `SAE`).
    Password,
    /// WPA with a user name and password (`WPA2-EAP`).
    Enterprise,
    /// A kind that is not known here.
    Unknown,
}

/// A code that connects to a Wi-Fi network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wifi {
    /// The network's name.
    pub network: SafeText,
    /// Its protection.
    pub security: WifiSecurity,
    /// The code carries a password.
    pub has_password: bool,
    /// The network does not announce its name.
    pub is_hidden: bool,
}

/// Reads what follows `WIFI:`. `None` without a network name.
pub(super) fn parse(body: &str) -> Option<Wifi> {
    let fields = field::parse(body);
    let network = field::value(&fields, "S").map(unquote).filter(|name| !name.is_empty())?;
    let has_password = field::value(&fields, "P").is_some_and(|password| !unquote(password).is_empty());
    let security = match field::value(&fields, "T").unwrap_or_default().to_ascii_uppercase().as_str() {
        "" | "NOPASS" if !has_password => WifiSecurity::Open,
        "NOPASS" | "OWE" => WifiSecurity::Open,
        "WEP" => WifiSecurity::Wep,
        eap if eap.contains("EAP") => WifiSecurity::Enterprise,
        wpa if wpa.is_empty() || wpa.starts_with("WPA") || wpa == "SAE" => WifiSecurity::Password,
        _ => WifiSecurity::Unknown,
    };
    let is_hidden =
        field::value(&fields, "H").is_some_and(|hidden| hidden.eq_ignore_ascii_case("true") || hidden == "1");
    Some(Wifi { network: SafeText::new(network, NAME_CHARS), security, has_password, is_hidden })
}

/// A name that could be read as hexadecimal stands in quotes.
fn unquote(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_may_stand_in_any_order_and_case() {
        let wifi = parse(r#"s:"Cafe\; Roma";p:geheim;t:wpa;h:TRUE;;"#).unwrap();
        assert_eq!(wifi.network.as_str(), "Cafe; Roma");
        assert_eq!((wifi.security, wifi.has_password, wifi.is_hidden), (WifiSecurity::Password, true, true));
        assert!(!format!("{wifi:?}").contains("geheim"));
    }

    #[test]
    fn a_network_without_protection_is_open() {
        for body in ["S:Free;;", "T:nopass;S:Free;;", "T:;S:Free;P:;;"] {
            assert_eq!(parse(body).unwrap().security, WifiSecurity::Open, "{body}");
        }
        assert_eq!(parse("T:WPA;P:x;;"), None);
    }
}
