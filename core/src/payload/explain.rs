//! A payload in words: a stable key for programs, a title and one or two plain sentences for people.
//!
//! The English here is what the command line prints; apps translate by [`Payload::kind_key`] and the other keys. No
//! sentence holds more of a code than its host, network name, recipient or amount, and those are [`SafeText`].

use super::{OtherService, Payment};
use super::{Payload, Personal, Purpose, SafeText, Secret, Setup, Severity, WebLink, Wifi, WifiSecurity};

/// No explanation is longer, in characters.
const EXPLANATION_CHARS: usize = 299;
/// Cautions named in one explanation; the caller has them all in the link.
const NAMED_CAUTIONS: usize = 2;

impl Payload {
    /// Stable snake_case name of the kind, for JSON and translations.
    #[must_use]
    pub fn kind_key(&self) -> &'static str {
        match self {
            Self::PairingOffer(_) => "pairing_offer",
            Self::OfferOfOtherVersion { .. } => "offer_of_other_version",
            Self::DamagedOffer => "damaged_offer",
            Self::OtherService(_) => "other_service",
            Self::Secret(Secret::OneTimePassword { .. }) => "one_time_password",
            Self::Secret(Secret::OneTimePasswordExport) => "one_time_password_export",
            Self::Secret(Secret::PrivateKey) => "private_key",
            Self::Secret(Secret::WalletKey) => "wallet_key",
            Self::Wifi(_) => "wifi",
            Self::Setup(Setup::Vpn { .. }) => "vpn",
            Self::Setup(Setup::Esim { .. }) => "esim",
            Self::Setup(Setup::SmartHome { .. }) => "smart_home",
            Self::Payment(_) => "payment",
            Self::Personal(Personal::Contact { .. }) => "contact",
            Self::Personal(Personal::Event { .. }) => "event",
            Self::Personal(Personal::Phone { .. }) => "phone",
            Self::Personal(Personal::Sms { .. }) => "sms",
            Self::Personal(Personal::Email { .. }) => "email",
            Self::Personal(Personal::Location) => "location",
            Self::AppStore => "app_store",
            Self::AppLink { .. } => "app_link",
            Self::WebLink(_) => "web_link",
            Self::Text { .. } => "text",
            Self::Bytes { .. } => "bytes",
        }
    }

    /// How the user should be told.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::PairingOffer(_) | Self::OfferOfOtherVersion { .. } | Self::DamagedOffer => Severity::Ours,
            Self::OtherService(service) => match service.purpose() {
                Purpose::Verification => Severity::Caution,
                _ => Severity::Danger,
            },
            Self::Secret(_)
            | Self::Personal(Personal::Phone { is_network_command: true, .. })
            | Self::AppLink { is_risky: true, .. } => Severity::Danger,
            Self::Wifi(wifi) => match wifi.security {
                WifiSecurity::Password | WifiSecurity::Enterprise => Severity::Info,
                WifiSecurity::Open | WifiSecurity::Wep | WifiSecurity::Unknown => Severity::Caution,
            },
            Self::WebLink(link) if link.cautions().iter().any(|caution| caution.is_danger()) => Severity::Danger,
            Self::WebLink(link) if !link.cautions().is_empty() => Severity::Caution,
            Self::Setup(_) | Self::Payment(_) | Self::Personal(Personal::Sms { .. }) | Self::AppLink { .. } => {
                Severity::Caution
            }
            Self::Personal(_) | Self::AppStore | Self::WebLink(_) | Self::Text { .. } | Self::Bytes { .. } => {
                Severity::Info
            }
        }
    }

    /// A few words for the head of a dialog.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::PairingOffer(_) => "Linking code".into(),
            Self::OfferOfOtherVersion { .. } => "Linking code of another version".into(),
            Self::DamagedOffer => "Incomplete linking code".into(),
            Self::OtherService(service) => {
                let what = match service.purpose() {
                    Purpose::Login | Purpose::DeviceSignIn => "Sign-in code of",
                    Purpose::DeviceLink => "Device linking code of",
                    Purpose::AccountTransfer => "Account transfer code of",
                    Purpose::WalletSession => "Wallet connection code of",
                    Purpose::AuthenticatorSetup => "Setup code of",
                    Purpose::DeviceManagement => "Setup code of",
                    Purpose::Verification => "Verification code of",
                };
                format!("{what} {}", service.service_name())
            }
            Self::Secret(Secret::OneTimePassword { .. }) => "Secret for one-time passwords".into(),
            Self::Secret(Secret::OneTimePasswordExport) => "Export of an authenticator app".into(),
            Self::Secret(Secret::PrivateKey) => "Private key".into(),
            Self::Secret(Secret::WalletKey) => "Key of a wallet".into(),
            Self::Wifi(_) => "Wi-Fi network".into(),
            Self::Setup(Setup::Vpn { .. }) => "VPN setup".into(),
            Self::Setup(Setup::Esim { .. }) => "eSIM profile".into(),
            Self::Setup(Setup::SmartHome { .. }) => "Smart-home setup code".into(),
            Self::Payment(_) => "Request to pay".into(),
            Self::Personal(Personal::Contact { .. }) => "Contact card".into(),
            Self::Personal(Personal::Event { .. }) => "Calendar entry".into(),
            Self::Personal(Personal::Phone { is_network_command: true, .. }) => "Network command".into(),
            Self::Personal(Personal::Phone { .. }) => "Phone number".into(),
            Self::Personal(Personal::Sms { .. }) => "Text message".into(),
            Self::Personal(Personal::Email { .. }) => "E-mail".into(),
            Self::Personal(Personal::Location) => "Place on the map".into(),
            Self::AppStore => "App store page".into(),
            Self::AppLink { .. } => "Link into an app".into(),
            Self::WebLink(_) => "Web link".into(),
            Self::Text { .. } => "Text".into(),
            Self::Bytes { .. } => "Binary data".into(),
        }
    }

    /// One or two plain sentences on one printable line of less than 300 characters.
    #[must_use]
    pub fn explain(&self) -> String {
        SafeText::new(&self.sentences(), EXPLANATION_CHARS).as_str().to_owned()
    }

    fn sentences(&self) -> String {
        match self {
            Self::PairingOffer(_) => "A code to link a device with this app. Go on only if it is on the screen of your own device, in front of you.".into(),
            Self::OfferOfOtherVersion { .. } => "A code to link a device, made by another version of the app. Update the app on both devices, then show the code again.".into(),
            Self::DamagedOffer => "A code to link a device, but a part of it is missing or wrong. Show a new code and scan again.".into(),
            Self::OtherService(service) => explain_service(service),
            Self::Secret(secret) => explain_secret(secret),
            Self::Wifi(wifi) => explain_wifi(wifi),
            Self::Setup(Setup::Vpn { name }) => format!("A {name} configuration: it would send your traffic through the server of whoever made it. It holds a key, so show it to nobody."),
            Self::Setup(Setup::Esim { server }) => format!("An eSIM profile from {server}. It can be used once; show it to nobody and install it only if you ordered it."),
            Self::Setup(Setup::SmartHome { name }) => format!("A {name} code that adds a device to a home. Whoever has it can add the device to theirs."),
            Self::Payment(payment) => explain_payment(payment),
            Self::Personal(personal) => explain_personal(personal),
            Self::AppStore => "A page of an app store. Nothing is installed until you say so there.".into(),
            Self::AppLink { scheme, is_risky: true } => format!("A \"{scheme}\" link. Such links can run code, read files or install programs; do not open it."),
            Self::AppLink { scheme, .. } => format!("A link for an app that opens \"{scheme}\" links. What the app does with it is not known here."),
            Self::WebLink(link) => explain_link(link),
            Self::Text { characters: 0 } => "The code is empty.".into(),
            Self::Text { characters } => format!("Plain text of {characters} characters. Not a linking code."),
            Self::Bytes { length } => format!("{length} bytes that are not text. Not a linking code of this app."),
        }
    }
}

fn explain_service(service: &OtherService) -> String {
    let name = service.service_name();
    let place = service.host().map_or_else(|| name.to_owned(), |host| format!("{name} ({host})"));
    match service.purpose() {
        Purpose::Login if service.service_key() == "passkey" => {
            "This code uses a passkey to sign in on the device that shows it. Approve it only on your own device, for a sign-in that you began yourself.".into()
        }
        Purpose::Login => format!("This code signs in to {place}. If you approve it in that app, whoever shows the code is in your account; never scan one that somebody sent you."),
        Purpose::DeviceLink => format!("This code links a device to {place}. If you scan it with that app, whoever shows the code can read and write as you; never scan one that somebody sent you."),
        Purpose::DeviceSignIn => format!("This code approves a sign-in to {place} that was begun on another device. If that was not you, somebody else gets into your account."),
        Purpose::AccountTransfer => format!("This code holds or moves a whole account of {place}. Whoever scans it can take the account over; show it to nobody."),
        Purpose::WalletSession => format!("This code connects a wallet through {place}. The other side may then ask you to sign payments; connect only to a site that you opened yourself."),
        Purpose::AuthenticatorSetup => format!("This code sets up {place}. Whoever scans it can approve sign-ins to the account; show it to nobody."),
        Purpose::DeviceManagement => format!("This code is for {place}: it would put a phone under somebody else's control. Use it only on a new phone that your employer gave you."),
        Purpose::Verification => format!("This code verifies a person or device in {name}. Scan it with that app, and only from a screen that is in front of you."),
    }
}

fn explain_secret(secret: &Secret) -> String {
    match secret {
        Secret::OneTimePassword { issuer: Some(issuer) } => format!("The secret behind the one-time passwords of \"{issuer}\". Whoever sees it can make them too; scan it only with your authenticator app."),
        Secret::OneTimePassword { issuer: None } => "The secret behind one-time passwords. Whoever sees it can make them too; scan it only with your authenticator app.".into(),
        Secret::OneTimePasswordExport => "All the secrets of an authenticator app. Whoever sees this code can sign in as its owner; scan it only with your own new authenticator app.".into(),
        Secret::PrivateKey => "A private key. Whoever sees it can sign or read as its owner; show it to nobody.".into(),
        Secret::WalletKey => "This looks like the key or recovery phrase of a wallet. Whoever sees it can take the money; show it to nobody.".into(),
    }
}

fn explain_wifi(wifi: &Wifi) -> String {
    let network = &wifi.network;
    match wifi.security {
        WifiSecurity::Open => {
            format!("Connects to the Wi-Fi network \"{network}\", which is not protected: others nearby can listen.")
        }
        WifiSecurity::Wep => format!(
            "Connects to the Wi-Fi network \"{network}\" with WEP, an old protection that others nearby can break."
        ),
        WifiSecurity::Unknown => {
            format!("Connects to the Wi-Fi network \"{network}\", whose protection is not known here.")
        }
        WifiSecurity::Password if wifi.has_password => {
            format!("Connects to the Wi-Fi network \"{network}\" with the password in the code.")
        }
        WifiSecurity::Password | WifiSecurity::Enterprise => {
            format!("Connects to the Wi-Fi network \"{network}\", which will ask who you are.")
        }
    }
}

fn explain_payment(payment: &Payment) -> String {
    let amount = payment.amount.as_ref().map_or_else(String::new, |amount| format!(" of {amount}"));
    let payee = payment.payee.as_ref().map_or_else(String::new, |payee| format!(" to \"{payee}\""));
    format!(
        "A request to pay{amount}{payee} with {}. Compare recipient and amount before you pay; the code's maker wrote them.",
        payment.system_name
    )
}

fn explain_personal(personal: &Personal) -> String {
    let quoted = |text: &Option<SafeText>| text.as_ref().map_or_else(String::new, |text| format!(" \"{text}\""));
    match personal {
        Personal::Contact { name } => format!("A contact card{}.", quoted(name)),
        Personal::Event { title } => format!("A calendar entry{}.", quoted(title)),
        Personal::Phone { number, is_network_command: true } => format!(
            "Dials {number}, a command to the network. It can forward your calls to a stranger; do not dial it."
        ),
        Personal::Phone { number, .. } => format!("Calls {number}."),
        Personal::Sms { number } => {
            format!("Writes a text message to {number}. Read it before sending; it may cost money.")
        }
        Personal::Email { to } => format!("Writes an e-mail to {to}."),
        Personal::Location => "A place on the map.".into(),
    }
}

fn explain_link(link: &WebLink) -> String {
    let host = link.host();
    if link.cautions().is_empty() {
        return format!("A link to the web page {host}. Not a linking code.");
    }
    let named: Vec<_> = link.cautions().iter().take(NAMED_CAUTIONS).map(|caution| caution.explain()).collect();
    format!("A link to the web page {host}. Careful: {}.", named.join(", and "))
}
