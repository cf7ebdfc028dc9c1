//! The plays that end with the pairing. Each returns an error when its attack does not end as the table says.

use std::time::Duration;

use pairlight_core::crypto::sign::SigningKey;
use pairlight_core::net::{LinkedDevice, Pairing, Primary, RelayClient, RelayEndpoint};
use pairlight_core::pairing::{AppEvidence, Choice, LinkedEvent, PrimaryEvent, Warning};
use pairlight_core::payload::{Payload, Severity};
use pairlight_core::trust::{
    EvidenceBit, Finding, Grade, LinkedAbilities, PasskeyError, PasskeyRegistration, Policy, Refutation, ScanSource,
};
use pairlight_relay::{Limits, Relay, RelayConfig};
use pairlight_wire::Bytes;
use pairlight_wire::evidence::PasskeyProof;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::qr::QrPayload;

use super::afterwards::comes_out;
use super::line::{Between, RelayPage, ask_for_codes};
use super::stage::{Outcome, Person, Stage, expect, open_store, soon, surprise};
use crate::demo::timeline::{LAPTOP, PHONE, THIEF};
use crate::exit::Failure;
use crate::link::words;

/// What the scanner says about a code of another service.
fn scanned(stage: &Stage, code: &str, secret: &str) -> Result<(), Failure> {
    let payload = Payload::classify(code.as_bytes());
    stage.tell(PHONE, format!("scanned: {}", payload.explain()))?;
    expect(matches!(payload, Payload::OtherService(_)), "the service is recognised")?;
    expect(payload.severity() == Severity::Danger, "it is called dangerous")?;
    expect(!format!("{payload:?} {}", payload.explain()).contains(secret), "the token is not shown")
}

pub(super) async fn unc5792_group_invite(stage: &Stage) -> Result<(), Failure> {
    scanned(stage, "sgnl://linkdevice?uuid=R3JvdXBJbnZpdGU&pub_key=QmFzZTY0S2V5", "R3JvdXBJbnZpdGU")?;
    let outcome = stage.lured(Policy::BALANCED, ScanSource::Picture, Person::Declines).await?;
    let review = outcome.review.ok_or_else(|| surprise("there was no approval screen"))?;
    expect(review.warnings.contains(&Warning::NotFromCamera), "the screen says that it came from a picture")?;
    expect(outcome.primary == Err(EndReason::Declined), "the phone ends as declined")?;
    expect(outcome.linked.err() == Some(EndReason::Declined), "the laptop hears the same reason")
}

pub(super) async fn ghostpairing(stage: &Stage) -> Result<(), Failure> {
    let payload = Payload::classify(b"ABCD-1234");
    stage.tell(PHONE, format!("the page's code: {}", payload.explain()))?;
    expect(matches!(payload, Payload::Text { .. }), "the code means nothing here")?;
    // The page that knows better shows the code of the attacker's laptop, and asks for the digits as well.
    stage.tell(THIEF, "the page that knows better shows a linking code, and asks for the digits")?;
    let (_, _, outcome) =
        stage.lured_pair("careful", Policy::BALANCED, ScanSource::LiveCamera, Person::Declines).await?;
    let review = outcome.review.ok_or_else(|| surprise("there was no approval screen"))?;
    expect(review.device_name == "Family group", "the screen names the device")?;
    expect(review.default_choice == Choice::Decline, "and its default is no")?;
    expect(outcome.primary == Err(EndReason::Declined), "who declines is not linked")?;
    let (_, _, refused) =
        stage.lured_pair("strict", Policy::STRONG_ONLY, ScanSource::LiveCamera, Person::BelievesEverything).await?;
    expect(refused.primary == Err(EndReason::Refused), "StrongOnly refuses what only digits speak for")?;
    let (phone, laptop, linked) =
        stage.lured_pair("trusting", Policy::BALANCED, ScanSource::LiveCamera, Person::BelievesEverything).await?;
    let device = linked.primary.map_err(|reason| surprise(format!("who approves links it, but: {reason:?}")))?;
    stage.tell(PHONE, "who approves and passes the digits on has linked it: medium, for digits and place")?;
    let listed = phone.devices().await?.into_iter().find(|info| info.id == device);
    expect(
        listed.is_some_and(|info| info.grade < Some(Grade::Strong)),
        "the certificate says for ever that it is not strong",
    )?;
    comes_out(stage, &phone, &laptop, device).await
}

pub(super) async fn star_blizzard(stage: &Stage) -> Result<(), Failure> {
    let broken = Payload::classify(b"PAIRLIGHT:/123");
    stage.tell(PHONE, format!("the broken code: {}", broken.explain()))?;
    expect(broken == Payload::DamagedOffer, "a broken code of ours is named as broken")?;
    let code = "https://wa.me/settings/linked_devices#2@Zm9yZWlnbi1zZWNyZXQ,a2V5LW1hdGVyaWFs,bW9yZS1rZXlz,c2VjcmV0,1";
    scanned(stage, code, "Zm9yZWlnbi1zZWNyZXQ")
}

pub(super) async fn qrljacking_relay_page(stage: &Stage) -> Result<(), Failure> {
    // A page cannot make a code itself: its browser names its origin, and the relay looks at it first.
    let status = ask_for_codes(&stage.relay.url(), Some("https://family-group.example")).await?;
    stage.tell(THIEF, format!("a page asks the relay for a code of its own: {status}"))?;
    expect(status == "403", "the relay gives no code to a page of an origin that it does not know")?;
    expect(ask_for_codes(&stage.relay.url(), None).await? == "101", "a program has no origin, and is let in")?;
    // So it passes on the code of a laptop, which is elsewhere. The person believes everything and types the digits
    // into the page.
    let (far, _) = stage.with(Between::Elsewhere).await?;
    let (_, _, refused) = passed_on(&far, "strict", Policy::STRONG_ONLY).await?;
    let review = refused.review.ok_or_else(|| surprise("there was no approval screen"))?;
    expect(review.warnings.contains(&Warning::MoreEvidenceNeeded), "the screen says that it will be refused")?;
    stage.tell(PHONE, "StrongOnly: refused, because nothing proves that the laptop is the person's own")?;
    expect(refused.primary == Err(EndReason::Refused), "StrongOnly refuses")?;
    expect(refused.linked.err() == Some(EndReason::Refused), "and the laptop hears it")?;
    let (phone, laptop, taken) = passed_on(&far, "default", Policy::BALANCED).await?;
    let review = taken.review.ok_or_else(|| surprise("there was no approval screen"))?;
    stage.tell(PHONE, format!("the screen names a place: {}", review.place.as_deref().unwrap_or("none")))?;
    expect(review.place.as_deref().is_some_and(|place| place.contains("Auckland")), "it is the attacker's place")?;
    for warning in [Warning::OtherPlace, Warning::NothingProvesNearby] {
        expect(review.warnings.contains(&warning), warning.text())?;
    }
    expect(review.default_choice == Choice::Decline, "the screen's default is no")?;
    expect(review.hold_ms == 10_000 && taken.asked_twice, "it is weak: held for ten seconds, and asked twice")?;
    let device = taken.primary.map_err(|reason| surprise(format!("the default takes it, but: {reason:?}")))?;
    stage.tell(PHONE, "the default takes what the person approved twice and typed the digits of")?;
    comes_out(&far, &phone, &laptop, device).await
}

/// A page shows the code of an attacker's laptop, and passes the digits back.
async fn passed_on(far: &Stage, victim: &str, policy: Policy) -> Result<(Primary, LinkedDevice, Outcome), Failure> {
    let phone = far.phone(&format!("{victim}-victim"), policy).await?;
    // From elsewhere nothing answers on the victim's network.
    let laptop = far.laptop(&format!("{victim}-attacker")).await?.with_abilities(LinkedAbilities::default());
    let (linking, code) = far.showing(&laptop, "Family group").await?;
    let mut page = RelayPage::serve(code.to_text()).await?;
    far.tell(THIEF, "a page shows the code of a laptop far away")?;
    let shown = QrPayload::parse(&page.code().await?).map_err(|error| surprise(error.to_string()))?;
    let pairing = phone.link(shown, ScanSource::LiveCamera).await?;
    let outcome = far.attempt_by(pairing, linking, Person::BelievesEverything, Some(&mut page)).await?;
    Ok((phone, laptop, outcome))
}

pub(super) async fn forwarded_screenshot(stage: &Stage) -> Result<(), Failure> {
    let outcome = stage.lured(Policy::BALANCED, ScanSource::Picture, Person::DeclinesTheSecondTime).await?;
    let review = outcome.review.ok_or_else(|| surprise("there was no approval screen"))?;
    expect(review.grade_so_far == Grade::Weak, "weak, although both are in one network")?;
    expect(review.hold_ms == 10_000, "approval must be held for ten seconds")?;
    expect(outcome.asked_twice, "the person is asked twice")?;
    expect(outcome.primary == Err(EndReason::Declined), "and may still say no")?;
    expect(outcome.linked.err() == Some(EndReason::Declined), "the laptop hears the same reason")?;
    let (_, _, refused) =
        stage.lured_pair("strict", Policy::STRONG_ONLY, ScanSource::Picture, Person::BelievesEverything).await?;
    stage.tell(PHONE, "StrongOnly: refused, whatever the person says")?;
    expect(refused.primary == Err(EndReason::Refused), "StrongOnly refuses what came from a picture")?;
    expect(refused.linked.err() == Some(EndReason::Refused), "and the laptop hears it")
}

pub(super) async fn shoulder_surfing(stage: &Stage) -> Result<(), Failure> {
    stage.tell(THIEF, "scans the same code over the person's shoulder, second")?;
    two_scan(stage, "second", [PHONE, THIEF]).await?;
    stage.tell(THIEF, "the next time first")?;
    two_scan(stage, "first", [THIEF, PHONE]).await?;
    stage.tell(THIEF, "the next time first, and approves before the person scans")?;
    let own = stage.phone("owner-late", Policy::BALANCED).await?;
    let other = stage.phone("stranger-fast", Policy::BALANCED).await?;
    let laptop = stage.laptop("laptop-late").await?;
    let (linking, code) = stage.showing(&laptop, "Kim's laptop").await?;
    let first = other.link(code.clone(), ScanSource::LiveCamera).await?;
    let digits = loop {
        match soon(first.next_event()).await? {
            PrimaryEvent::Review(review) => stage.approve(&first, review.hold_ms).await?,
            PrimaryEvent::ShowCheckCode(digits) => break digits.to_display(),
            PrimaryEvent::Failed(reason) => return Err(surprise(format!("the stranger's scan failed: {reason:?}"))),
            _ => {}
        }
    };
    let second = own.link(code, ScanSource::LiveCamera).await?;
    let refused = ended(&second).await?;
    stage.tell(PHONE, format!("ended: {}", words(refused)))?;
    expect(refused == EndReason::Conflict, "the person's phone says that two devices scanned it")?;
    // The person has no digits. Whoever tries some has three tries.
    let guess = if digits == "000 000" { "000 001" } else { "000 000" };
    let (mut told, mut guesses) = (false, 0);
    let reason = loop {
        match soon(linking.next_event()).await? {
            LinkedEvent::SecondScanner => told = true,
            LinkedEvent::EnterCheckCode | LinkedEvent::WrongCheckCode { tries_left: 1.. } => {
                guesses += 1;
                linking.enter_check_code(guess).await?;
            }
            LinkedEvent::Linked(_) => return Err(surprise("it was linked")),
            LinkedEvent::Failed(reason) => break reason,
            _ => {}
        }
    };
    stage.tell(
        LAPTOP,
        format!("asks for digits that stand on the stranger's phone; {guesses} guesses: {}", words(reason)),
    )?;
    expect(told, "the laptop says that a second device scanned the code")?;
    expect(reason == EndReason::WrongCheckCode && guesses == 3, "three wrong tries end it")?;
    expect(ended(&first).await? == reason, "the stranger's phone hears the same")
}

/// Two phones scan one code, one after the other, before either of them approved.
async fn two_scan(stage: &Stage, round: &str, who: [&'static str; 2]) -> Result<(), Failure> {
    let early = stage.phone(&format!("{round}-early"), Policy::BALANCED).await?;
    let late = stage.phone(&format!("{round}-late"), Policy::BALANCED).await?;
    let laptop = stage.laptop(&format!("{round}-laptop")).await?;
    let (linking, code) = stage.showing(&laptop, "Kim's laptop").await?;
    let first = early.link(code.clone(), ScanSource::LiveCamera).await?;
    loop {
        match soon(first.next_event()).await? {
            PrimaryEvent::Review(_) => break,
            PrimaryEvent::Failed(reason) => return Err(surprise(format!("the first scan failed: {reason:?}"))),
            _ => {}
        }
    }
    let second = late.link(code, ScanSource::LiveCamera).await?;
    for (actor, pairing) in who.into_iter().zip([first, second]).rev() {
        let reason = ended(&pairing).await?;
        stage.tell(actor, format!("ended: {}", words(reason)))?;
        expect(reason == EndReason::Conflict, "each phone says that two devices scanned the code")?;
    }
    loop {
        match soon(linking.next_event()).await? {
            LinkedEvent::Failed(reason) => {
                stage.tell(LAPTOP, format!("ended: {}", words(reason)))?;
                return expect(reason == EndReason::Conflict, "the laptop says the same");
            }
            LinkedEvent::Linked(_) => return Err(surprise("it was linked")),
            _ => {}
        }
    }
}

/// How a pairing ends on a phone that shows no approval screen any more.
async fn ended(pairing: &Pairing) -> Result<EndReason, Failure> {
    loop {
        match soon(pairing.next_event()).await? {
            PrimaryEvent::Failed(reason) => return Ok(reason),
            PrimaryEvent::Review(_) => return Err(surprise("there was an approval screen")),
            PrimaryEvent::Linked(_) => return Err(surprise("it was linked")),
            _ => {}
        }
    }
}

pub(super) async fn printed_sticker(stage: &Stage) -> Result<(), Failure> {
    // A relay whose codes live for half a second, so that nobody waits for a minute; all else is as ever.
    let limits = Limits { slot_lifetime: Duration::from_millis(500), ..Limits::generous() };
    let relay = Relay::spawn(RelayConfig { limits, ..RelayConfig::default() }).await;
    let relay = relay.map_err(|error| surprise(error.to_string()))?;
    let client = RelayClient::new(RelayClient::discover(&relay.url()).await?)?;
    let laptop = LinkedDevice::open(open_store(stage.folder.path(), "laptop")?, client.clone()).await?;
    let (linking, code) = stage.showing(&laptop, "Kim's laptop").await?;
    stage.tell(THIEF, "a real code of a laptop is printed, and glued over another")?;
    tokio::time::sleep(Duration::from_millis(800)).await;
    let phone = Primary::open(open_store(stage.folder.path(), "victim")?, client, Policy::BALANCED, "victim").await?;
    phone.register().await?;
    let pairing = phone.link(code, ScanSource::LiveCamera).await?;
    let reason = match soon(pairing.next_event()).await? {
        PrimaryEvent::Failed(reason) => reason,
        _ => return Err(surprise("a printed code was believed")),
    };
    stage.tell(PHONE, format!("ended: {}", words(reason)))?;
    expect(reason == EndReason::Expired, "the code is too old, although its laptop still waits")?;
    drop(linking);
    relay.shutdown().await;
    Ok(())
}

pub(super) async fn evil_relay(stage: &Stage) -> Result<(), Failure> {
    let laptop = stage.laptop("laptop").await?;
    let (linking, code) = stage.showing(&laptop, "Kim's laptop").await?;
    // The app pins the key of another relay than the one that answers.
    let endpoint = RelayEndpoint::new(&stage.relay.url(), [7; 32])?;
    let store = open_store(stage.folder.path(), "victim")?;
    let phone = Primary::open(store, RelayClient::new(endpoint)?, Policy::BALANCED, "victim").await?;
    phone.register().await?;
    stage.tell(THIEF, "the relay is not the one that the app knows, and signs with a key of its own")?;
    let pairing = phone.link(code, ScanSource::LiveCamera).await?;
    let outcome = stage.attempt(pairing, linking, Person::BelievesEverything).await?;
    altered(&outcome, false)?;
    // The relay is the right one; what it says of the place is changed on the way.
    for (lie, to, screen) in [(Between::LiesToPhone, "the phone", false), (Between::LiesToLaptop, "the laptop", true)] {
        let (lying, seen) = stage.with(lie).await?;
        stage.tell(THIEF, format!("what the relay said is changed on its way to {to}"))?;
        let outcome = lying.lured(Policy::BALANCED, ScanSource::LiveCamera, Person::BelievesEverything).await?;
        expect(seen.altered() > 0, "something was changed on the way")?;
        altered(&outcome, screen)?;
    }
    Ok(())
}

/// Both sides end with the same word; whether there was an approval screen before.
fn altered(outcome: &Outcome, screen: bool) -> Result<(), Failure> {
    expect(outcome.review.is_some() == screen, "an approval screen only for a statement that the relay signed")?;
    expect(outcome.primary == Err(EndReason::Tampered), "the phone says that something was altered")?;
    expect(outcome.linked.as_ref().err() == Some(&EndReason::Tampered), "so does the laptop")
}

pub(super) async fn look_alike_app(stage: &Stage) -> Result<(), Failure> {
    let ours = QrPayload::new(0, [7; 32], [9; 16]).to_text();
    let other = Payload::classify(ours.replace("PAIRLIGHT", "PAlRLIGHT").as_bytes());
    stage.tell(PHONE, format!("a code with an l for an I: {}", other.explain()))?;
    expect(matches!(other, Payload::AppLink { .. } | Payload::Text { .. }), "it is not ours")?;
    let hosted = Payload::classify(ours.replace("PAIRLIGHT:/", "https://pair1ight.example/L#").as_bytes());
    stage.tell(PHONE, format!("a code as a link: {}", hosted.explain()))?;
    expect(matches!(hosted, Payload::WebLink(_)), "a link of another host is a link")?;
    // A program that lies about its name with characters that turn the line around.
    let phone = stage.phone("victim", Policy::BALANCED).await?;
    let laptop = stage.laptop("attacker").await?;
    let (linking, code) = stage.showing(&laptop, "Kim's \u{202e}potpal\u{202c}\u{200b}\u{7}").await?;
    let pairing = phone.link(code, ScanSource::LiveCamera).await?;
    let outcome = stage.attempt(pairing, linking, Person::Declines).await?;
    let review = outcome.review.ok_or_else(|| surprise("there was no approval screen"))?;
    let hidden = |c: char| c.is_control() || matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}');
    expect(!review.device_name.contains(hidden), "the name is shown without its hidden characters")?;
    imitated_page(stage).await
}

/// A page that looks like ours asks for the passkey of the person, and gives what it can: an assertion of its own origin.
async fn imitated_page(stage: &Stage) -> Result<(), Failure> {
    use base64::Engine as _;

    let failed = |what: String| surprise(what);
    // A passkey that the phone made: EdDSA, in COSE form.
    let key = SigningKey::from_seed(&[5; 32]).public();
    let cose = [[0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 0x20].as_slice(), &key].concat();
    let passkey = PasskeyRegistration::new(b"passkey", &cose, "example.com", &["https://link.example.com"]);
    let passkey = passkey.map_err(|error| failed(error.to_string()))?;
    let phone = stage.phone("owner", Policy::STRONG_ONLY).await?;
    phone.register_passkey(passkey).await?;
    let page = stage.laptop("page").await?;
    let page = page.with_abilities(LinkedAbilities { passkey: true, ..LinkedAbilities::default() });
    let (linking, code) = stage.showing(&page, "link.examp1e.com").await?;
    let pairing = phone.link(code, ScanSource::LiveCamera).await?;
    let (mut digits, mut asked, mut finding, mut refused) = (None, false, None, None);
    while refused.is_none() {
        let next = async {
            tokio::select! {
                event = pairing.next_event() => event.map(Err),
                Some(event) = linking.next_event() => Some(Ok(event)),
            }
        };
        match soon(next).await? {
            Err(PrimaryEvent::Review(model)) => stage.approve(&pairing, model.hold_ms).await?,
            Err(PrimaryEvent::ShowCheckCode(code)) => digits = Some(code.to_display()),
            Err(PrimaryEvent::EvidenceChecked { bit: EvidenceBit::Passkey, finding: checked }) => {
                finding = Some(checked)
            }
            Err(PrimaryEvent::Failed(reason)) => refused = Some(reason),
            Err(PrimaryEvent::Linked(_)) => return Err(surprise("it was linked")),
            Ok(LinkedEvent::EnterCheckCode) => asked = true,
            Ok(LinkedEvent::EvidenceWanted(wanted)) => {
                let Some(wanted) = wanted.passkey else { return Err(surprise("another evidence is wanted")) };
                let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(wanted.challenge);
                let said = format!(
                    r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"https://link.examp1e.com","crossOrigin":false}}"#
                );
                let proof = PasskeyProof {
                    credential: bytes(b"passkey")?,
                    authenticator_data: bytes(&[0; 37])?,
                    client_data: bytes(said.as_bytes())?,
                    signature: bytes(&[0; 64])?,
                };
                stage.tell(THIEF, "a page of almost the same name asks for the passkey, and passes on what it gets")?;
                linking.give_evidence(vec![AppEvidence::Passkey(Box::new(proof))]).await?;
            }
            _ => {}
        }
        if let Some(digits) = digits.take_if(|_| asked) {
            linking.enter_check_code(&digits).await?;
        }
    }
    let refuted = Finding::Refuted(Refutation::Passkey(PasskeyError::ForeignOrigin));
    stage.tell(PHONE, PasskeyError::ForeignOrigin.to_string())?;
    expect(finding == Some(refuted), "the origin in the assertion is not the service's")?;
    expect(refused == Some(EndReason::Refused), "StrongOnly refuses a page without the person's passkey")
}

fn bytes<const MAX: usize>(of: &[u8]) -> Result<Bytes<MAX>, Failure> {
    Bytes::new(of.to_vec()).map_err(|_| surprise("too long"))
}
