//! What the approval screen must show.

use pairlight_wire::context::{OwnContext, RelayContext};
use pairlight_wire::device::Preset;
use pairlight_wire::id::DeviceId;
use pairlight_wire::offer::{ClientKind, Offer};

use crate::devices::Account;
use crate::trust::{Evidence, EvidenceBit, EvidenceSetup, Grade, Help, Policy, ScanSource};

/// Something the person should know before saying yes. A key for translation, with an English text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Warning {
    /// The relay saw the two devices in different places.
    OtherPlace,
    /// The relay could not place one of the devices.
    UnknownPlace,
    /// The code came from a picture or the clipboard.
    NotFromCamera,
    /// The code is shown by a page whose origin is not on this app's list, or by one without an origin.
    ForeignOrigin,
    /// Nothing proves yet that the device is nearby.
    NothingProvesNearby,
    /// The policy refuses the link unless more evidence comes.
    MoreEvidenceNeeded,
    /// The device is on the account's list and has not lapsed: its key may have been copied.
    AlreadyLinked,
    /// The development policy is in force: nothing is refused and nothing is delayed.
    DevelopmentPolicy,
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
            Self::MoreEvidenceNeeded => "more_evidence_needed",
            Self::AlreadyLinked => "already_linked",
            Self::DevelopmentPolicy => "development_policy",
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
            Self::MoreEvidenceNeeded => "This link will be refused unless more evidence comes.",
            Self::AlreadyLinked => "This device is linked already. If it is not a reinstallation, somebody copied it.",
            Self::DevelopmentPolicy => "Development settings: nothing is refused and nothing is delayed.",
        }
    }
}

/// What the person chooses between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// No. What happens when nothing is chosen, and what is in focus.
    #[default]
    Decline,
    /// Yes.
    Approve,
}

/// How the approval screen looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emphasis {
    /// As usual.
    Normal,
    /// Place and browser large: the person must look at them.
    Place,
    /// Red: probably somebody else's device.
    Danger,
}

/// Everything for the approval screen. Texts from the other device are cleaned of control and direction characters.
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
    /// How the code arrived.
    pub source: ScanSource,
    /// The name in the account of the lapsed device that this one claims to be; its signature is checked later.
    pub returning: Option<String>,
    /// The grade that is certain once the check code is typed; further evidence can raise it.
    pub grade_so_far: Grade,
    /// How the screen looks.
    pub emphasis: Emphasis,
    /// Always [`Choice::Decline`].
    pub default_choice: Choice,
    /// What to warn about.
    pub warnings: Vec<Warning>,
    /// What would help, where the policy refuses the grade so far.
    pub help: Vec<Help>,
    /// How long "approve" must be held, ms.
    pub hold_ms: u64,
    /// Whether the person will be asked again, once the check code is typed and unless further evidence comes.
    pub asks_twice: bool,
}

/// What the approval screen is made from.
pub(super) struct ReviewInput<'a> {
    pub(super) offer: &'a Offer,
    pub(super) context: &'a RelayContext,
    pub(super) own: &'a OwnContext,
    pub(super) source: ScanSource,
    pub(super) policy: &'a Policy,
    pub(super) setup: &'a EvidenceSetup,
    pub(super) account: &'a Account,
}

/// A text of the other side, safe to draw: one line without controls, direction overrides or invisible characters.
fn clean(text: &str) -> String {
    crate::payload::SafeText::new(text, 64).as_str().to_owned()
}

/// What else would lead to a grant, where `evidence` does not.
pub(super) fn help_for(policy: &Policy, evidence: Evidence, source: ScanSource, in_browser: bool) -> Vec<Help> {
    let missing = policy.required.without(evidence);
    let granted = |evidence: Evidence| policy.grant(evidence.grade(source)).is_some();
    let mut help: Vec<Help> = missing.iter().map(Help::Evidence).collect();
    if !granted(evidence) && source != ScanSource::LiveCamera {
        help.push(Help::LiveCamera);
    } else if !granted(evidence) {
        let can = EvidenceBit::ALL.into_iter().filter(|bit| !(in_browser && bit.needs_a_program()));
        let helps = can.filter(|bit| !missing.has(*bit) && granted(evidence.with(*bit)));
        help.extend(helps.map(Help::Evidence));
    }
    help
}

impl ReviewModel {
    pub(super) fn new(input: &ReviewInput<'_>) -> Self {
        let ReviewInput { offer, context, own, source, policy, setup, account } = *input;
        let same_place = context.matches(own);
        let evidence = if same_place { Evidence::NONE.with(EvidenceBit::RelayContext) } else { Evidence::NONE };
        // The check code always follows, so the screen shows the grade that it will complete.
        let evidence = evidence.with(EvidenceBit::CheckCode);
        let grade = evidence.grade(source);
        let grant = policy.grant(grade);
        let unknown = context.country.as_str() == "ZZ" && !same_place;
        let country = (context.country.as_str() != "ZZ").then(|| clean(context.country.as_str()));
        let city = context.city.as_ref().map(|city| clean(city.as_str()));
        let place = match (city, country) {
            (Some(city), Some(country)) => Some(format!("{city}, {country}")),
            (city, country) => city.or(country),
        };
        // What the relay saw counts too: a page may call itself a program.
        let in_browser = offer.client_kind == ClientKind::Web || context.client_kind == ClientKind::Web;
        let origin_known = context.origin.as_ref().is_some_and(|origin| setup.knows_origin(origin.as_str()));
        let device = DeviceId::of(&offer.device_pk);
        let entry = account.list().entry(&device);
        let lapsed = setup.lapsed.contains(&device);
        let named = entry.filter(|_| lapsed).map(|entry| account.name_of(entry).unwrap_or_default());
        let help = help_for(policy, evidence, source, in_browser);
        let conditions = [
            (Warning::DevelopmentPolicy, policy.preset == Preset::Development),
            (Warning::AlreadyLinked, entry.is_some() && !lapsed),
            (Warning::NotFromCamera, source != ScanSource::LiveCamera),
            (Warning::ForeignOrigin, in_browser && !origin_known),
            (Warning::UnknownPlace, unknown),
            (Warning::OtherPlace, !unknown && !same_place),
            (Warning::NothingProvesNearby, grade == Grade::Weak),
            (Warning::MoreEvidenceNeeded, !help.is_empty()),
        ];
        Self {
            device_name: clean(offer.name.as_str()),
            os: clean(offer.os.as_str()),
            app: clean(offer.app.as_str()),
            in_browser,
            origin: context.origin.as_ref().map(|origin| clean(origin.as_str())),
            place,
            same_place,
            source,
            returning: named.map(|name| clean(&name)),
            grade_so_far: grade,
            emphasis: match grade {
                Grade::Weak => Emphasis::Danger,
                Grade::Medium => Emphasis::Place,
                Grade::Strong => Emphasis::Normal,
            },
            default_choice: Choice::Decline,
            warnings: conditions.into_iter().filter(|(_, holds)| *holds).map(|(warning, _)| warning).collect(),
            help,
            hold_ms: grant.map_or(0, |grant| grant.hold_ms),
            asks_twice: grant.is_some_and(|grant| grant.second_approval),
        }
    }
}
