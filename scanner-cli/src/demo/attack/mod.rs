//! `pairlight demo --attack NAME`: attacks that were seen in the field, or are to be expected, played against the real
//! parts: a relay on a loopback port, sealed stores, both roles. Each play says what the person sees and where it stops,
//! and ends with an error when it does not stop there.
//!
//! All parts run on one machine, so the relay sees attacker and victim in one network: the plays show the case that is
//! best for the attacker.

mod plays;
mod stage;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;

use self::stage::Stage;
use crate::demo::timeline::Timeline;
use crate::exit::{Exit, Failure};
use crate::link::block_on;

/// A play under way.
type Played<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>;

/// One attack.
pub(crate) struct Attack {
    /// What `--attack` takes.
    pub(crate) name: &'static str,
    /// What happened, or could.
    pub(crate) story: &'static str,
    /// What the person sees.
    pub(crate) sees: &'static str,
    /// Where it stops; plainly, if it does not.
    pub(crate) stops: &'static str,
    play: for<'a> fn(&'a Stage) -> Played<'a>,
}

macro_rules! attack {
    ($name:literal, $play:ident, $story:literal, $sees:literal, $stops:literal $(,)?) => {
        Attack { name: $name, story: $story, sees: $sees, stops: $stops, play: |stage| Box::pin(plays::$play(stage)) }
    };
}

/// All of them, as docs/attacks.md lists them.
pub(crate) const ATTACKS: [Attack; 12] = [
    attack!(
        "unc5792-group-invite",
        unc5792_group_invite,
        "An invitation to a group holds a linking code of another messenger, or a picture of one of ours.",
        "The scanner names the service and warns. Ours: the approval screen with an unknown laptop, and \"the code came \
         from a picture or a message\".",
        "At the scanner; with our own code at the approval screen, whose default is no.",
    ),
    attack!(
        "ghostpairing",
        ghostpairing,
        "A page asks for the phone number and shows an eight-letter code to type on the phone.",
        "The code of the page is text without a meaning, and no screen takes it. A linking code of ours: the \
         approval screen with an unknown device.",
        "At the approval screen, or with StrongOnly: a changed program needs no digits from anybody. Who approves \
         has linked it, never strong, hears of it within three hours, and can end it.",
    ),
    attack!(
        "star-blizzard",
        star_blizzard,
        "A mail holds a broken code; who answers gets a page with a messenger's linking code.",
        "The scanner says whose sign-in code it is, and that scanning it gives the account away.",
        "At the scanner. The token in the code is not shown.",
    ),
    attack!(
        "qrljacking-relay-page",
        qrljacking_relay_page,
        "A page passes on the live code of the attacker's laptop, and the digits back.",
        "Name, place and origin of a device that is not theirs; \"nothing proves that it is near\" when it is elsewhere.",
        "With StrongOnly it is refused. The default takes it from a person who approves and reads the digits out; \
         then a notice within three hours, and the removal.",
    ),
    attack!(
        "forwarded-screenshot",
        forwarded_screenshot,
        "A friend's account sends a screenshot of a code: \"scan this, please\".",
        "\"The code came from a picture or a message\", and a second, red question after the digits.",
        "Weak whatever else there is: ten seconds to hold, asked twice; StrongOnly refuses it.",
    ),
    attack!(
        "shoulder-surfing",
        shoulder_surfing,
        "Somebody behind the person scans the code on the laptop first, or second.",
        "On both, the approval screen goes away: two devices scanned the same code.",
        "One claim wins. Before the first sealed message both sides end; nobody is linked.",
    ),
    attack!(
        "printed-sticker",
        printed_sticker,
        "A printed code is glued over the real one.",
        "The code is too old, or was used before; and to ask the other device for a new one.",
        "At the relay: a code lives for 60 seconds, also while its laptop still waits.",
    ),
    attack!(
        "cloned-profile",
        cloned_profile,
        "The files of a linked laptop are copied to another machine.",
        "The laptop goes offline when the copy logs in; the phone: the device was connected twice at once.",
        "At the reports and logins of the two: the second time within a day both are removed, by themselves.",
    ),
    attack!(
        "evil-relay",
        evil_relay,
        "The relay is not the one that the app trusts, or its statements are made up.",
        "Something was altered on the way, or the two devices disagree about what was said; no approval screen.",
        "Before the approval screen: statements are signed by a key that is pinned in the app.",
    ),
    attack!(
        "stolen-unlocked-phone",
        stolen_unlocked_phone,
        "Somebody takes the unlocked phone and links a laptop of their own.",
        "A notice of the new device within one to three hours, at once on other devices; it stays in the list.",
        "The link is made. The owner removes the device, and it is out within seconds and erases itself.",
    ),
    attack!(
        "recorded-traffic",
        recorded_traffic,
        "All traffic of a link and of the first messages is recorded, to be broken by a quantum computer later.",
        "Nothing.",
        "The recording holds no name, no key of the ratchet, no message. To open it takes the code as well as X-Wing.",
    ),
    attack!(
        "look-alike-app",
        look_alike_app,
        "A program or a page shows codes that look like ours, and names itself to deceive.",
        "A code that is not ours is named as what it is; a name without its hidden characters; whose page it is not.",
        "At the scanner, and a page at the person's passkey. A true copy of the program can only be kept out of the store.",
    ),
];

/// Plays one attack, or lists all.
pub(crate) fn run(name: &str, timeline: &Timeline) -> Result<Exit, Failure> {
    if name == "list" {
        for attack in &ATTACKS {
            timeline.say(&format!("{:<22} {}", attack.name, attack.story))?;
        }
        return Ok(Exit::Done);
    }
    let Some(attack) = ATTACKS.iter().find(|attack| attack.name == name) else {
        let what = format!("there is no attack called {name}");
        return Err(Failure::new(Exit::Usage, what, "`pairlight demo --attack list` names them"));
    };
    timeline.act(attack.story)?;
    block_on(play(attack, timeline))?;
    timeline.say(&format!("\nThe person sees: {}\nIt stops: {}", attack.sees, attack.stops))?;
    Ok(Exit::Done)
}

async fn play(attack: &Attack, timeline: &Timeline) -> Result<(), Failure> {
    let stage = Stage::set(timeline.clone()).await?;
    (attack.play)(&stage).await
}
