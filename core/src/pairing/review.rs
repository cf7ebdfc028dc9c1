//! What the approval screen must show.

use pairlight_wire::context::{OwnContext, RelayContext};
use pairlight_wire::offer::{ClientKind, Offer};

use crate::trust::{Evidence, EvidenceBit, Grade, Policy, ScanSource};

/// Something the person should know before saying yes. A key for translation, with an English text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Warning {
    /// The relay saw the two devices in different places.
    OtherPlace,
    /// The relay could not place one of the devices.
    UnknownPlace,
    /// The code came from a picture or the clipboard.
    NotFromCamera,
    /// The browser's page has another origin than the relay's own.
    ForeignOrigin,
    /// Nothing proves yet that the device is nearby.
    NothingProvesNearby,
}

impl Warning {
    /// Stable key.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::OtherPlace => "other_place",
            Self::UnknownPlace => "unknown_place",
            Self::NotFromCamera => "not_from_camera",
            Self::ForeignOrigin => "foreign_origin",
            Self::NothingProvesNearby => "nothing_proves_nearby",
        }
    }

    /// English text.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::OtherPlace => "The other device is in a different place than this one.",
            Self::UnknownPlace => "It is not known where the other device is.",
            Self::NotFromCamera => "The code came from a picture or a message. Somebody may have sent it to you.",
            Self::ForeignOrigin => "The code is shown by a web page that is not on this app's list.",
            Self::NothingProvesNearby => "Nothing proves that the other device is near you.",
        }
    }
}

/// Everything for the approval screen. Texts from the other device are cleaned of control and direction characters.
/// The default is to decline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewModel {
    /// The device's own name for itself.
    pub device_name: String,
    /// Operating system.
    pub os: String,
    /// Program or browser.
    pub app: String,
    /// Whether it runs in a browser.
    pub in_browser: bool,
    /// Origin of the page that shows the code.
    pub origin: Option<String>,
    /// City and country, or country, or nothing, as the relay saw it.
    pub place: Option<String>,
    /// Whether the relay saw both devices in one network or place.
    pub same_place: bool,
    /// The grade that is certain already, before the check code and further evidence.
    pub grade_so_far: Grade,
    /// What to warn about.
    pub warnings: Vec<Warning>,
    /// How long "approve" must be held, ms.
    pub hold_ms: u64,
}

/// A text of the other side, safe to draw: one line without controls, direction overrides or invisible characters.
fn clean(text: &str) -> String {
    crate::payload::SafeText::new(text, 64).as_str().to_owned()
}

impl ReviewModel {
    pub(super) fn new(
        offer: &Offer,
        context: &RelayContext,
        own: &OwnContext,
        source: ScanSource,
        policy: &Policy,
    ) -> Self {
        let same_place = context.matches(own);
        let evidence = if same_place { Evidence::NONE.with(EvidenceBit::RelayContext) } else { Evidence::NONE };
        // The check code always follows, so the screen shows the grade that it will complete.
        let grade = evidence.with(EvidenceBit::CheckCode).grade(source);
        let unknown = context.country.as_str() == "ZZ" && !same_place;
        let country = (context.country.as_str() != "ZZ").then(|| clean(context.country.as_str()));
        let city = context.city.as_ref().map(|city| clean(city.as_str()));
        let place = match (city, country) {
            (Some(city), Some(country)) => Some(format!("{city}, {country}")),
            (city, country) => city.or(country),
        };
        let mut warnings = Vec::new();
        if source != ScanSource::LiveCamera {
            warnings.push(Warning::NotFromCamera);
        }
        if unknown {
            warnings.push(Warning::UnknownPlace);
        } else if !same_place {
            warnings.push(Warning::OtherPlace);
        }
        if grade == Grade::Weak {
            warnings.push(Warning::NothingProvesNearby);
        }
        Self {
            device_name: clean(offer.name.as_str()),
            os: clean(offer.os.as_str()),
            app: clean(offer.app.as_str()),
            // What the relay saw counts too: a page may call itself a program.
            in_browser: offer.client_kind == ClientKind::Web || context.client_kind == ClientKind::Web,
            origin: context.origin.as_ref().map(|origin| clean(origin.as_str())),
            place,
            same_place,
            grade_so_far: grade,
            warnings,
            hold_ms: policy.grant(grade).map_or(0, |grant| grant.hold_ms),
        }
    }
}
