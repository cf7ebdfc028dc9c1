//! `pairlight demo --attack NAME`: attacks that were seen in the field, or are to be expected, played against the real
//! parts: a relay on a loopback port, sealed stores, both roles. Each play says what the person sees and where it stops,
//! and ends with an error when it does not stop there.
//!
//! All parts run on one machine, so the relay sees attacker and victim in one network, the case that is best for the
//! attacker, unless a play puts a proxy between that says otherwise.

mod afterwards;
mod line;
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
    ($name:literal, $plays:ident::$play:ident, $story:literal, $sees:literal, $stops:literal $(,)?) => {
        Attack { name: $name, story: $story, sees: $sees, stops: $stops, play: |stage| Box::pin($plays::$play(stage)) }
    };
}

/// All of them, as docs/attacks.md lists them.
pub(crate) const ATTACKS: [Attack; 12] = [
    attack!(
        "unc5792-group-invite",
        plays::unc5792_group_invite,
        "An invitation to a group holds a linking code of another messenger, or a picture of one of ours.",
        "The scanner names the service and warns. Ours: the approval screen with an unknown laptop, and \"the code came \
         from a picture or a message\".",
        "At the scanner; with our own code at the approval screen, whose default is no.",
    ),
    attack!(
        "ghostpairing",
        plays::ghostpairing,
        "A page asks for the phone number and shows an eight-letter code to type on the phone.",
        "The code of the page is text without a meaning, and no screen takes it. A linking code of ours: the \
         approval screen with an unknown device.",
        "At the approval screen, or with StrongOnly. Who approves and passes the digits on has linked it, never \
         strong, hears of it within three hours, and can end it.",
    ),
    attack!(
        "star-blizzard",
        plays::star_blizzard,
        "A mail holds a broken code; who answers gets a page with a messenger's linking code.",
        "The scanner says whose sign-in code it is, and that scanning it gives the account away.",
        "At the scanner. The token in the code is not shown.",
    ),
    attack!(
        "qrljacking-relay-page",
        plays::qrljacking_relay_page,
        "A page passes on the live code of the attacker's laptop, and the digits back.",
        "Name and place of a device that is not theirs; that it is in a different place; that nothing proves that it \
         is near.",
        "A page gets no code of its own. Of a laptop elsewhere: with StrongOnly it is refused. The default takes it, as \
         weak, from a person who holds for ten seconds, twice, and passes the digits on; then a notice within three \
         hours, and the removal.",
    ),
    attack!(
        "forwarded-screenshot",
        plays::forwarded_screenshot,
        "A friend's account sends a screenshot of a code: \"scan this, please\".",
        "\"The code came from a picture or a message\", and a second, red question after the digits.",
        "Weak whatever else there is: ten seconds to hold, asked twice; StrongOnly refuses it.",
    ),
    attack!(
        "shoulder-surfing",
        plays::shoulder_surfing,
        "Somebody behind the person scans the code on the laptop first, or second.",
        "On both phones and on the laptop: two devices scanned the same code. Who had the approval screen loses it.",
        "One claim wins. Before an approval both sides end. After one the digits decide, which stand on the stranger's \
         phone alone: three wrong ones end it. Nobody is linked.",
    ),
    attack!(
        "printed-sticker",
        plays::printed_sticker,
        "A printed code is glued over the real one.",
        "The code is too old, or was used before; and to ask the other device for a new one.",
        "At the relay: a code lives for 60 seconds, also while its laptop still waits.",
    ),
    attack!(
        "cloned-profile",
        afterwards::cloned_profile,
        "The files of a linked laptop are copied to another machine.",
        "The laptop goes offline when the copy logs in. On the phone, a notice: it was connected from two places at \
         once, or reported an old state again.",
        "At the logins: the second time within a day both are removed, by themselves. A copy that logs in only while \
         the laptop is off: at its first report the device may do nothing more, at its second both are removed.",
    ),
    attack!(
        "evil-relay",
        plays::evil_relay,
        "The relay is not the one that the app trusts, or what it says of the devices is changed on the way.",
        "Something was altered on the way, or the two devices disagree about what was said.",
        "Before the approval screen: statements are signed by a key that is pinned in the app. What only the laptop was \
         told otherwise ends it at the first sealed message.",
    ),
    attack!(
        "stolen-unlocked-phone",
        afterwards::stolen_unlocked_phone,
        "Somebody takes the unlocked phone and links a laptop of their own.",
        "A notice of the new device at once on the other devices, and on the phone within one to three hours; it is in \
         the list.",
        "The link is made. The owner removes the device, and it is out within seconds and erases itself.",
    ),
    attack!(
        "recorded-traffic",
        afterwards::recorded_traffic,
        "All traffic of a link and of the first messages is recorded, to be broken by a quantum computer later.",
        "Nothing.",
        "The recording holds no name, no key of the ratchet, no message. Who is given the private key of X-Wing opens \
         nothing without the code.",
    ),
    attack!(
        "look-alike-app",
        plays::look_alike_app,
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
