//! Evidence over a real relay, real sockets and sealed stores: what the facades add to the machines.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use ed25519_dalek::{Signer, SigningKey};
use pairlight_core::net::{ConnectionEvent, LinkedDevice, Linking, Primary, Sync, SyncUpdates};
use pairlight_core::pairing::{AppEvidence, EvidenceWanted, LinkedAccount, LinkedEvent, PrimaryEvent, ReviewModel};
use pairlight_core::store::Cursor;
use pairlight_core::sync::messages::{self, Message};
use pairlight_core::sync::{Change, Replica, SyncRole};
use pairlight_core::trust::{
    Evidence, EvidenceBit, EvidenceSetup, Finding, Grade, LinkedAbilities, PasskeyRegistration, Policy, Radio,
    RadioOrder, ScanSource, TapMedium,
};
use pairlight_tests::world::{World, description, open_store};
use pairlight_wire::Bytes;
use pairlight_wire::evidence::PasskeyProof;
use pairlight_wire::hash::sha256;
use pairlight_wire::id::DeviceId;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::qr::QrPayload;
use pairlight_wire::standing::NoticeKind;

/// Far more than a busy machine needs between two of its own sockets; the product's limit is 15 ms.
const LAN_LIMIT: Duration = Duration::from_millis(800);

/// What an attempt was like.
#[derive(Default)]
struct Attempt {
    source: Option<ScanSource>,
    /// The person's phone and laptop are connected by a cable.
    cable: bool,
    /// Gives what the linked device is asked for.
    app: Option<fn(&EvidenceWanted) -> Vec<AppEvidence>>,
    /// What the linked device's radio hears.
    air: Option<Receiver<[u8; 16]>>,
}

/// How it ended.
#[derive(Debug)]
struct Outcome {
    linked: Result<Box<LinkedAccount>, EndReason>,
    review: ReviewModel,
    findings: Vec<(EvidenceBit, Finding)>,
}

/// Plays one attempt in which the person agrees to everything.
async fn play(primary: &Primary, linking: &Linking, attempt: Attempt) -> Outcome {
    let text = loop {
        if let LinkedEvent::ShowCode { text, .. } = linking.next_event().await.expect("a code") {
            break text;
        }
    };
    let source = attempt.source.unwrap_or(ScanSource::LiveCamera);
    let pairing = primary.link(QrPayload::parse(&text).unwrap(), source).await.unwrap();
    let (mut review, mut findings, mut digits, mut asked) = (None, Vec::new(), None, false);
    let (mut linked, mut done) = (None, false);
    while linked.is_none() || !done {
        tokio::select! {
            event = linking.next_event(), if linked.is_none() => match event.expect("an end") {
                LinkedEvent::EnterCheckCode => asked = true,
                LinkedEvent::EvidenceWanted(wanted) => {
                    let given = attempt.app.map_or_else(Vec::new, |app| app(&wanted));
                    linking.give_evidence(given).await.unwrap();
                }
                LinkedEvent::Linked(account) => linked = Some(Ok(account)),
                LinkedEvent::Failed(reason) => linked = Some(Err(reason)),
                _ => {}
            },
            event = pairing.next_event(), if !done => match event.expect("an end") {
                PrimaryEvent::Review(model) => {
                    review = Some(*model);
                    pairing.approve().await.unwrap();
                }
                PrimaryEvent::ShowCheckCode(code) => digits = Some(code.to_display()),
                PrimaryEvent::EvidenceChecked { bit, finding } => findings.push((bit, finding)),
                PrimaryEvent::Linked(_) | PrimaryEvent::Failed(_) => done = true,
                _ => {}
            },
        }
        if let Some(digits) = digits.as_ref().filter(|_| asked) {
            asked = false;
            for uuid in attempt.air.iter().flat_map(Receiver::try_iter) {
                linking.heard(uuid).await.unwrap();
            }
            if attempt.cable {
                pairing.tapped(TapMedium::Cable, linking.tap_word().expect("a word").as_bytes()).await.unwrap();
            }
            linking.enter_check_code(digits).await.unwrap();
        }
    }
    let review = review.unwrap_or_else(|| panic!("no review: {linked:?}"));
    Outcome { linked: linked.unwrap(), review, findings }
}

fn evidence(account: &LinkedAccount) -> (Evidence, Option<Grade>) {
    let entry = account.list().entry(&account.device_id()).expect("on the list");
    let (evidence, grade, _) = Evidence::from_certificate(entry.evidence);
    (evidence, grade)
}

fn near() -> EvidenceSetup {
    EvidenceSetup { lan: Some(LAN_LIMIT), ..EvidenceSetup::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_programs_on_one_network_prove_it_to_each_other_without_being_asked() {
    let world = World::start().await;
    let primary = world.primary("phone", Policy::DEVELOPMENT).await.unwrap().with_evidence(near());
    let laptop = world.linked("laptop").await.unwrap();
    let outcome = play(&primary, &laptop.link(description("laptop")), Attempt::default()).await;
    assert_eq!(outcome.findings, [(EvidenceBit::Lan, Finding::Proven)]);
    let (evidence, grade) = evidence(&outcome.linked.unwrap());
    assert!(evidence.has(EvidenceBit::Lan) && evidence.has(EvidenceBit::CheckCode));
    assert_eq!(grade, Some(Grade::Medium));
    // A linked device that does not offer it, and a primary device that does not check it, link all the same.
    let plain = world.linked("plain").await.unwrap().with_abilities(LinkedAbilities::default());
    let outcome = play(&primary, &plain.link(description("plain")), Attempt::default()).await;
    assert!(outcome.findings.is_empty() && outcome.linked.is_ok());
    let blind = primary.with_evidence(EvidenceSetup::default());
    let other = world.linked("other").await.unwrap();
    let outcome = play(&blind, &other.link(description("other")), Attempt::default()).await;
    assert!(outcome.findings.is_empty() && outcome.linked.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_from_a_picture_or_pasted_is_weak_with_the_best_evidence() {
    let world = World::start().await;
    let primary = world.primary("phone", Policy::DEVELOPMENT).await.unwrap().with_evidence(near());
    for (source, name) in [(ScanSource::Picture, "picture"), (ScanSource::Pasted, "pasted")] {
        let laptop = world.linked(name).await.unwrap();
        let attempt = Attempt { source: Some(source), cable: true, ..Attempt::default() };
        let outcome = play(&primary, &laptop.link(description(name)), attempt).await;
        let (evidence, grade) = evidence(&outcome.linked.unwrap());
        assert!(evidence.has(EvidenceBit::Lan) && evidence.has(EvidenceBit::Tap));
        assert_eq!((grade, outcome.review.source), (Some(Grade::Weak), source));
    }
    let grades: Vec<_> = primary.devices().await.unwrap().iter().filter(|d| !d.is_this).map(|d| d.grade).collect();
    assert_eq!(grades, [Some(Grade::Weak); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_over_a_cable_lets_strong_only_link() {
    let world = World::start().await;
    let primary = world.primary("phone", Policy::STRONG_ONLY).await.unwrap().with_evidence(near());
    let laptop = world.linked("laptop").await.unwrap();
    let refused = play(&primary, &laptop.link(description("laptop")), Attempt::default()).await;
    assert_eq!(refused.linked.unwrap_err(), EndReason::Refused);
    let attempt = Attempt { cable: true, ..Attempt::default() };
    let outcome = play(&primary, &laptop.link(description("laptop")), attempt).await;
    assert_eq!(evidence(&outcome.linked.unwrap()).1, Some(Grade::Strong));
}

const RP_ID: &str = "example.com";
const ORIGIN: &str = "https://link.example.com";

fn passkey() -> SigningKey {
    SigningKey::from_bytes(&[0x44; 32])
}

/// What a browser on the right page makes of the request.
fn assertion(wanted: &EvidenceWanted) -> Vec<AppEvidence> {
    use base64::Engine as _;
    let wanted = wanted.passkey.as_ref().expect("a passkey");
    let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(wanted.challenge);
    let client =
        format!(r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{ORIGIN}","crossOrigin":false}}"#);
    let data = [sha256(&[wanted.rp_id.as_bytes()]).as_slice(), &[0x05, 0, 0, 0, 1]].concat();
    let signature = passkey().sign(&[data.as_slice(), &sha256(&[client.as_bytes()])].concat());
    vec![AppEvidence::Passkey(Box::new(PasskeyProof {
        credential: Bytes::new(wanted.credentials[0].clone()).unwrap(),
        authenticator_data: Bytes::new(data).unwrap(),
        client_data: Bytes::new(client.into_bytes()).unwrap(),
        signature: Bytes::new(signature.to_bytes().to_vec()).unwrap(),
    }))]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_that_was_registered_once_is_asked_for_and_survives_a_restart_of_the_phone() {
    let world = World::start().await;
    let mut cose = hex::decode("a4010103272006215820").unwrap();
    cose.extend(passkey().verifying_key().as_bytes());
    let registration = PasskeyRegistration::new(b"id", &cose, RP_ID, &[ORIGIN]).unwrap();
    let phone = world.primary("phone", Policy::STRONG_ONLY).await.unwrap();
    phone.register_passkey(registration.clone()).await.unwrap();
    phone.register_passkey(registration.clone()).await.unwrap();
    drop(phone);
    let phone = world.primary("phone", Policy::STRONG_ONLY).await.unwrap();
    assert_eq!(phone.passkeys().await.unwrap(), [registration]);

    let abilities = LinkedAbilities { passkey: true, ..LinkedAbilities::default() };
    let page = world.linked("page").await.unwrap().with_abilities(abilities);
    let attempt = || Attempt { app: Some(assertion), ..Attempt::default() };
    let outcome = play(&phone, &page.link(description("page")), attempt()).await;
    assert_eq!(outcome.findings, [(EvidenceBit::Passkey, Finding::Proven)]);
    assert_eq!(evidence(&outcome.linked.unwrap()).1, Some(Grade::Strong));

    phone.forget_passkey(b"id").await.unwrap();
    let refused = play(&phone, &page.link(description("page")), attempt()).await;
    assert_eq!(refused.linked.unwrap_err(), EndReason::Refused);
    assert!(refused.findings.is_empty());
}

/// The air between two simulated radios.
struct Air(Sender<[u8; 16]>);

impl Radio for Air {
    fn perform(&self, order: RadioOrder) {
        if let RadioOrder::Advertise(uuid) = order {
            self.0.send(uuid).expect("the test listens");
        }
    }
}

/// A radio that only listens.
struct Ears;

impl Radio for Ears {
    fn perform(&self, _: RadioOrder) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_phones_radio_says_reaches_the_laptop_and_makes_the_link_strong() {
    let world = World::start().await;
    let (says, hears) = channel();
    let phone = world.primary("phone", Policy::STRONG_ONLY).await.unwrap().with_radio(Arc::new(Air(says)));
    let laptop = world.linked("laptop").await.unwrap().with_radio(Arc::new(Ears));
    let attempt = Attempt { air: Some(hears), ..Attempt::default() };
    let outcome = play(&phone, &laptop.link(description("laptop")), attempt).await;
    let (evidence, grade) = evidence(&outcome.linked.unwrap());
    assert!(evidence.has(EvidenceBit::Ble));
    assert_eq!(grade, Some(Grade::Strong));
}

/// A radio that tells what it is ordered to do.
struct Ordered(Sender<RadioOrder>);

impl Radio for Ordered {
    fn perform(&self, order: RadioOrder) {
        self.0.send(order).expect("the test listens");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_given_up_leaves_no_radio_on() {
    const PATIENCE: Duration = Duration::from_secs(20);
    let world = World::start().await;
    let ((says, said), (listens, listened)) = (channel(), channel());
    let phone = world.primary("phone", Policy::DEVELOPMENT).await.unwrap().with_radio(Arc::new(Ordered(says)));
    let laptop = world.linked("laptop").await.unwrap().with_radio(Arc::new(Ordered(listens)));
    let linking = laptop.link(description("laptop"));
    let Some(LinkedEvent::ShowCode { text, .. }) = linking.next_event().await else { panic!("no code") };
    let pairing = phone.link(QrPayload::parse(&text).unwrap(), ScanSource::LiveCamera).await.unwrap();
    while !matches!(pairing.next_event().await, Some(PrimaryEvent::Review(_))) {}
    assert!(matches!(said.recv_timeout(PATIENCE), Ok(RadioOrder::Advertise(_))));
    pairing.approve().await.unwrap();
    assert_eq!(listened.recv_timeout(PATIENCE), Ok(RadioOrder::Listen));
    // As an app whose screens were closed.
    drop(pairing);
    assert_eq!(said.recv_timeout(PATIENCE), Ok(RadioOrder::Stop));
    drop(linking);
    assert_eq!(listened.recv_timeout(PATIENCE), Ok(RadioOrder::Stop));
}

const DAY_MS: u64 = 24 * 3_600_000;
const TALK: &[u8; 16] = b"the conversation";

fn say(number: u64) -> Change {
    let mut id = [7; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    let message = Message::text("Kim", &format!("message {number}"));
    messages::put_message(TALK, &id, 1_000 + number, &message).unwrap()
}

async fn has(line: &Sync, count: usize) -> bool {
    line.messages(TALK.to_vec(), Cursor::NEWEST, 100_000).await.unwrap().len() == count
}

/// Takes what happens on both lines until `done`, and gives what the two lines said of themselves.
async fn serve(lines: [&Sync; 2], what: &str, mut done: impl AsyncFnMut() -> bool) -> Vec<ConnectionEvent> {
    let mut heard = Vec::new();
    let wait = async {
        while !done().await {
            let event = tokio::select! {
                event = lines[0].next_event() => event,
                event = lines[1].next_event() => event,
                () = tokio::time::sleep(Duration::from_millis(50)) => continue,
            };
            match event {
                Some(SyncUpdates::Line(event)) => heard.push(event),
                Some(SyncUpdates::Update(_)) => {}
                None => panic!("a line ended while waiting for {what}: {heard:#?}"),
            }
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
    waited.unwrap_or_else(|_| panic!("never: {what}; heard: {heard:#?}"));
    heard
}

/// Waits until the phone has a report of the device under its present link.
async fn until_reported(phone: &Primary, device: DeviceId, line: &Sync, other: &Sync) {
    let reported = async || {
        let shown = phone.devices().await.unwrap().into_iter().find(|shown| shown.id == device).expect("it is listed");
        shown.last_check_in.is_some_and(|at| at >= shown.linked)
    };
    serve([line, other], "a report", reported).await;
}

/// The story of a relink, with the phone online while the device comes back, or not.
async fn comes_back(phone_is_there: bool) {
    let world = World::start().await;
    let phone_store = open_store(world.folder.path(), "phone");
    let clock = world.time.clock();
    let phone = Primary::open_at(phone_store.clone(), world.client.clone(), Policy::BALANCED, "phone", clock.clone());
    let phone = phone.await.unwrap().with_evidence(near());
    let laptop_store = open_store(world.folder.path(), "laptop");
    let laptop = LinkedDevice::open_at(laptop_store.clone(), world.client.clone(), clock).await.unwrap();
    let first = play(&phone, &laptop.link(description("laptop")), Attempt::default()).await.linked.unwrap();

    // In step, with more than one exchange and both ways.
    let mut line = phone.sync().await.unwrap();
    let away = laptop.sync().await.unwrap();
    line.write(vec![messages::put_conversation(TALK, "Talk", 1).unwrap()]).await.unwrap();
    for number in 0..60 {
        line.write(vec![say(number)]).await.unwrap();
    }
    away.write(vec![say(1_000)]).await.unwrap();
    let in_step = async || has(&away, 61).await && line.is_in_step().await.unwrap() && away.is_in_step().await.unwrap();
    serve([&line, &away], "both in step", in_step).await;

    // What the phone writes now is sealed by a session that the laptop will not have any more; so is what the laptop says
    // last, and what the laptop writes where there is no relay.
    drop(away);
    for number in 60..90 {
        line.write(vec![say(number)]).await.unwrap();
    }

    // Still within its lease it is no known device: somebody may have copied it.
    world.time.pass(29 * DAY_MS);
    let early = play(&phone, &laptop.relink(description("laptop")).await.unwrap(), Attempt::default()).await;
    assert!(early.review.warnings.contains(&pairlight_core::pairing::Warning::AlreadyLinked));
    assert!(!evidence(&early.linked.unwrap()).0.has(EvidenceBit::KnownDevice));
    // It comes once: a device that was linked and did not come within three days is taken off the list.
    let between = laptop.sync().await.unwrap();
    let in_step =
        async || has(&between, 91).await && line.is_in_step().await.unwrap() && between.is_in_step().await.unwrap();
    serve([&line, &between], "both in step after the early link", in_step).await;
    until_reported(&phone, first.device_id(), &line, &between).await;
    drop(between);
    // Late enough that the relay still has it when the lease has lapsed.
    world.time.pass(16 * DAY_MS);
    for number in 90..120 {
        line.write(vec![say(number)]).await.unwrap();
    }
    world.time.pass(16 * DAY_MS);
    if !phone_is_there {
        line.end();
    }
    let back = play(&phone, &laptop.relink(description("laptop")).await.unwrap(), Attempt::default()).await;
    assert_eq!(back.review.returning.as_deref(), Some("laptop"));
    let back = back.linked.unwrap();
    assert_eq!((back.device_id(), back.id()), (first.device_id(), first.id()));
    let (bits, grade) = evidence(&back);
    assert!(bits.has(EvidenceBit::KnownDevice));
    assert_eq!(grade, Some(Grade::Strong));
    assert_eq!(phone.devices().await.unwrap().len(), 2);
    let entry = back.list().entry(&back.device_id()).unwrap();
    assert!(entry.created > first.list().entry(&first.device_id()).unwrap().created + 60 * DAY_MS);

    if !phone_is_there {
        // Before either says a word, each has noted that it asks for what the session before may have lost.
        let phone = first.primary().unwrap();
        let both = [
            (&phone_store, phone, SyncRole::Primary(Policy::BALANCED)),
            (&laptop_store, first.device_id(), SyncRole::Linked),
        ];
        for (store, own, role) in both {
            let owes = store.run(move |store| Ok(Replica::new(own, role).owes(store).unwrap()));
            assert!(owes.await.unwrap(), "{own:?}");
        }
    }

    let came = laptop.sync().await.unwrap();
    assert!(has(&came, 91).await, "what it had read is still there");
    let history = came.history().await.unwrap();
    if !phone_is_there {
        line = phone.sync().await.unwrap();
    }
    // Nobody writes: who came back gets what it missed, and nothing looks like a broken session.
    let heard = serve([&line, &came], "all messages", async || has(&came, 121).await).await;
    let strange = |event: &&ConnectionEvent| {
        matches!(event, ConnectionEvent::SessionReset { .. } | ConnectionEvent::Discrepancy { .. })
    };
    assert_eq!(heard.iter().filter(strange).count(), 0, "{heard:#?}");
    let notices = phone_store.run(|store| store.notices()).await.unwrap();
    assert!(notices.iter().all(|stored| stored.notice.kind != NoticeKind::Discrepancy), "{notices:#?}");
    // The history goes on where it was: it is not the one of another device, that begins anew.
    let now = came.history().await.unwrap();
    assert_eq!((now[0].device, now[0].total), (history[0].device, history[0].total));
    came.write(vec![say(1_001)]).await.unwrap();
    let in_step =
        async || has(&line, 122).await && line.is_in_step().await.unwrap() && came.is_in_step().await.unwrap();
    serve([&line, &came], "both in step again", in_step).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_whose_lease_lapsed_comes_back_as_itself_and_gets_only_what_it_missed() {
    comes_back(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_came_back_while_the_phone_was_offline_gets_what_it_missed() {
    comes_back(false).await;
}
