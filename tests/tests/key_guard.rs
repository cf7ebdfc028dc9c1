//! A linked device whose key somebody else guards and who answers later, as a browser does: over a real relay, real sockets and
//! sealed stores. What the guard signs, when, and what follows when it does not.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pairlight_core::crypto::olm::RatchetAccount;
use pairlight_core::crypto::sign::{DeviceKey, SigningKey};
use pairlight_core::net::{
    Connection, ConnectionEvent, GuardSigning, KeyGuard, KeyGuardError, LinkedDevice, NetError, Primary, RelayClient,
    SharedStore,
};
use pairlight_core::session::Session;
use pairlight_core::trust::{Evidence, EvidenceBit, Policy, ScanSource};
use pairlight_tests::world::{Outcome, Person, World, description, open_store, play_linking, play_relink};
use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::id::DeviceId;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::qr::QrPayload;
use pairlight_wire::sign::SigningContext;
use pairlight_wire::standing::Standing;

const PATIENCE: Duration = Duration::from_secs(60);
const DAY_MS: u64 = 24 * 3_600_000;

/// What the guard does with a question.
const SIGNS: u8 = 0;
const FAILS: u8 = 1;
const SIGNS_WITH_ANOTHER_KEY: u8 = 2;

/// Has one key, and answers from another task, a little later.
#[derive(Clone)]
struct Guard {
    key: Arc<SigningKey>,
    mood: Arc<AtomicU8>,
    /// What was asked for: a context and a message each, as they are signed.
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Guard {
    fn new(seed: u8) -> Self {
        Self { key: Arc::new(SigningKey::from_seed(&[seed; 32])), mood: Arc::default(), asked: Arc::default() }
    }

    fn becomes(&self, mood: u8) {
        self.mood.store(mood, Ordering::SeqCst);
    }

    /// How often it signed for something.
    fn signed_for(&self, context: SigningContext) -> usize {
        let start = context.input(&[]);
        self.asked.lock().unwrap().iter().filter(|asked| asked.starts_with(&start)).count()
    }
}

/// The key of the guard, as a signer of bytes that name their context themselves.
fn sign_input(key: &SigningKey, input: &[u8]) -> [u8; 64] {
    let end = input.iter().position(|byte| *byte == 0).expect("a context");
    let context = [
        SigningContext::DeviceAccept,
        SigningContext::RelayAuth,
        SigningContext::CheckIn,
        SigningContext::KnownDevice,
        SigningContext::SessionReset,
    ];
    let named = context.into_iter().find(|context| input.starts_with(&context.input(&[])));
    key.sign(named.expect("a context that a linked device signs for"), &input[end + 1..])
}

impl KeyGuard for Guard {
    fn sign(&self, public: [u8; 32], message: Vec<u8>) -> GuardSigning {
        let guard = self.clone();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(3)).await;
            if public != guard.key.public() {
                return Err(KeyGuardError("no such key".to_owned()));
            }
            guard.asked.lock().unwrap().push(message.clone());
            match guard.mood.load(Ordering::SeqCst) {
                FAILS => Err(KeyGuardError("the key is gone".to_owned())),
                SIGNS_WITH_ANOTHER_KEY => Ok(sign_input(&SigningKey::from_seed(&[99; 32]), &message)),
                _ => Ok(sign_input(&guard.key, &message)),
            }
        })
    }
}

async fn open(store: SharedStore, client: &RelayClient, world: &World, guard: &Guard) -> LinkedDevice {
    let device = LinkedDevice::open_at(store, client.clone(), world.time.clock()).await.unwrap();
    device.with_key_guard(guard.clone())
}

async fn link(phone: &Primary, page: &LinkedDevice, guard: &Guard) -> Outcome {
    let linking = page.link_guarded(guard.key.public(), description("browser"));
    let parse = |text: &str| QrPayload::parse(text).unwrap();
    play_linking(phone, &linking, Person::Agrees, ScanSource::LiveCamera, parse).await
}

/// Takes events until one that `wanted` accepts.
async fn until<T>(line: &Connection, what: &str, mut wanted: impl FnMut(&ConnectionEvent) -> Option<T>) -> T {
    let waiting = async {
        loop {
            let event = line.next_event().await.unwrap_or_else(|| panic!("ended before {what}"));
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"))
}

async fn message(line: &Connection) -> Vec<u8> {
    until(line, "a message", |event| match event {
        ConnectionEvent::Message { body, .. } => Some(body.clone()),
        _ => None,
    })
    .await
}

async fn leased(line: &Connection) -> Standing {
    until(line, "a lease", |event| match event {
        ConnectionEvent::Leased { standing, .. } => Some(*standing),
        _ => None,
    })
    .await
}

async fn is_guarded(page: &LinkedDevice) -> bool {
    matches!(page.device_key().await.unwrap(), Some(DeviceKey::Guarded(_)))
}

/// A session with `with` that the other side does not have.
async fn break_session(store: &SharedStore, own: DeviceId, with: DeviceId) {
    let (a, b) = (RatchetAccount::generate().unwrap(), RatchetAccount::generate().unwrap());
    let ratchet = a.start(&b.keys()).unwrap();
    store.run(move |store| store.put_session(&Session::new(own, with, ratchet))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_with_a_guarded_key_links_logs_in_reports_and_resets_after_a_restart_too() {
    let world = World::start().await;
    let phone = world.primary("phone", Policy::DEVELOPMENT).await.unwrap();
    let (store, guard) = (open_store(world.folder.path(), "page"), Guard::new(21));
    let page = open(store.clone(), &world.client, &world, &guard).await;
    let account = link(&phone, &page, &guard).await.linked.unwrap();
    assert_eq!(guard.signed_for(SigningContext::DeviceAccept), 1);
    assert!(is_guarded(&page).await && account.device_id() == DeviceId::of(&guard.key.public()));
    let (own, primary) = (account.device_id(), account.primary().unwrap());
    drop(page);

    // Another start of the program knows the key by its public half alone.
    let page = open(store.clone(), &world.client, &world, &guard).await;
    assert!(is_guarded(&page).await);
    let (phone_line, line) = (phone.connect().await.unwrap(), page.connect().await.unwrap());
    assert_eq!(leased(&line).await, Standing::Active, "its report was signed as it must be");
    line.send(primary, EnvelopeKind::Application, b"from the page").await.unwrap();
    assert_eq!(message(&phone_line).await, b"from the page");
    assert!(guard.signed_for(SigningContext::RelayAuth) > 0 && guard.signed_for(SigningContext::CheckIn) > 0);

    // The page can read nothing any more: it asks for another session, and answers for its part with its signatures.
    break_session(&store, own, primary).await;
    for number in 0..6u8 {
        phone_line.send(own, EnvelopeKind::Application, &[number]).await.unwrap();
    }
    until(&line, "a new session", |event| matches!(event, ConnectionEvent::SessionReset { .. }).then_some(())).await;
    // The phone takes the new session with the last record, which is still on its way.
    until(&phone_line, "the same", |event| matches!(event, ConnectionEvent::SessionReset { .. }).then_some(())).await;
    let asked = guard.signed_for(SigningContext::SessionReset);
    assert!(asked >= 2, "the question and the last record: {asked}");
    phone_line.send(own, EnvelopeKind::Application, b"read again").await.unwrap();
    assert_eq!(message(&line).await, b"read again");
    world.relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phone_asks_a_device_with_a_guarded_key_for_a_new_session() {
    let world = World::start().await;
    let phone_store = open_store(world.folder.path(), "phone");
    let phone =
        Primary::open_at(phone_store.clone(), world.client.clone(), Policy::DEVELOPMENT, "phone", world.time.clock());
    let phone = phone.await.unwrap();
    let (store, guard) = (open_store(world.folder.path(), "page"), Guard::new(22));
    let page = open(store, &world.client, &world, &guard).await;
    let account = link(&phone, &page, &guard).await.linked.unwrap();
    let (own, primary) = (account.device_id(), account.primary().unwrap());
    let (phone_line, line) = (phone.connect().await.unwrap(), page.connect().await.unwrap());
    leased(&line).await;
    break_session(&phone_store, primary, own).await;
    for number in 0..6u8 {
        line.send(primary, EnvelopeKind::Application, &[number]).await.unwrap();
    }
    until(&line, "a new session", |event| matches!(event, ConnectionEvent::SessionReset { .. }).then_some(())).await;
    assert!(guard.signed_for(SigningContext::SessionReset) >= 1, "its answer");
    line.send(primary, EnvelopeKind::Application, b"heard again").await.unwrap();
    assert_eq!(message(&phone_line).await, b"heard again");
    world.relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lapsed_device_with_a_guarded_key_comes_back_as_itself() {
    let world = World::start().await;
    let phone = world.primary("phone", Policy::BALANCED).await.unwrap();
    let (store, guard) = (open_store(world.folder.path(), "page"), Guard::new(23));
    let page = open(store.clone(), &world.client, &world, &guard).await;
    let account = link(&phone, &page, &guard).await.linked.unwrap();
    drop((page, phone));
    world.time.pass(40 * DAY_MS);
    let phone = world.primary("phone", Policy::BALANCED).await.unwrap();
    let page = open(store, &world.client, &world, &guard).await;
    assert!(page.standing().await.unwrap().unwrap().locked);
    let back = play_relink(&phone, &page, "browser").await.linked.unwrap();
    assert_eq!(back.device_id(), account.device_id());
    let entry = back.list().entry(&back.device_id()).unwrap();
    assert!(Evidence::from_certificate(entry.evidence).0.has(EvidenceBit::KnownDevice));
    assert_eq!(guard.signed_for(SigningContext::KnownDevice), 1);
    assert!(is_guarded(&page).await);
    let _phone_line = phone.connect().await.unwrap();
    leased(&page.connect().await.unwrap()).await;
    world.relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_signature_there_is_no_link_and_no_login_and_nothing_wrong_leaves() {
    let world = World::start().await;
    let phone = world.primary("phone", Policy::DEVELOPMENT).await.unwrap();
    let (store, guard) = (open_store(world.folder.path(), "page"), Guard::new(24));
    let page = open(store.clone(), &world.client, &world, &guard).await;
    for mood in [FAILS, SIGNS_WITH_ANOTHER_KEY] {
        guard.becomes(mood);
        let outcome = link(&phone, &page, &guard).await;
        assert_eq!(outcome.linked.map(|_| ()), Err(EndReason::StorageFailed));
        assert_eq!(outcome.primary, Err(EndReason::StorageFailed));
        assert!(page.device_key().await.unwrap().is_none(), "nothing is kept");
    }
    guard.becomes(SIGNS);
    link(&phone, &page, &guard).await.linked.unwrap();
    for mood in [FAILS, SIGNS_WITH_ANOTHER_KEY] {
        guard.becomes(mood);
        let line = page.connect().await.unwrap();
        let error = until(&line, "the end of the line", |event| match event {
            ConnectionEvent::Failed(NetError::KeyGuard(why)) => Some(why.clone()),
            ConnectionEvent::Online | ConnectionEvent::Refused(_) => panic!("it was sent: {event:?}"),
            _ => None,
        });
        println!("{}", error.await);
        assert!(line.next_event().await.is_none());
    }
    // It was the guard's fault alone.
    guard.becomes(SIGNS);
    let _phone_line = phone.connect().await.unwrap();
    leased(&page.connect().await.unwrap()).await;
    // Where nobody guards keys, the device knows that it cannot go online, and says why.
    let alone = LinkedDevice::open_at(store, world.client.clone(), world.time.clock()).await.unwrap();
    let line = alone.connect().await.unwrap();
    until(&line, "the end", |event| matches!(event, ConnectionEvent::Failed(NetError::KeyGuard(_))).then_some(()))
        .await;
    world.relay.shutdown().await;
}
