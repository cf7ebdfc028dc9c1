//! Evidence that an app brings: under a policy that links with nothing weaker, each piece of it makes a link, and one that is not
//! of this link does not.

mod common;
#[path = "common/passkey.rs"]
mod passkey;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{SoftKey, start_relay};
use ed25519_dalek::{Signer, SigningKey};
use pairlight_bindings::*;
use pairlight_wire::hash::sha256;
use passkey::{ORIGIN, RP_ID};

fn authenticator() -> SigningKey {
    SigningKey::from_bytes(&[0x44; 32])
}

fn registration() -> Passkey {
    passkey::registration(authenticator().verifying_key().as_bytes())
}

/// What a platform on the right page makes of the request.
fn assertion(wanted: &PasskeyWanted) -> PasskeyAssertion {
    let challenge = URL_SAFE_NO_PAD.encode(&wanted.challenge);
    let client =
        format!(r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{ORIGIN}","crossOrigin":false}}"#);
    let data = [sha256(&[wanted.rp_id.as_bytes()]).as_slice(), &[0x05, 0, 0, 0, 1]].concat();
    let signature = authenticator().sign(&[data.as_slice(), &sha256(&[client.as_bytes()])].concat());
    PasskeyAssertion {
        credential: wanted.credentials[0].clone(),
        authenticator_data: data,
        client_data: client.into_bytes(),
        signature: signature.to_bytes().to_vec(),
    }
}

/// The air between two radios.
struct Air(Mutex<Sender<String>>);

impl Radio for Air {
    fn advertise(&self, uuid: String) -> Result<(), PairlightError> {
        self.0.lock().unwrap().send(uuid).map_err(|_| PairlightError::Ended)
    }
    fn listen(&self) -> Result<(), PairlightError> {
        Ok(())
    }
    fn stop(&self) -> Result<(), PairlightError> {
        // One that fails ends nothing.
        Err(PairlightError::Ended)
    }
}

struct World {
    _relay: pairlight_relay::RelayHandle,
    folder: tempfile::TempDir,
    relay: RelayAddress,
}

impl World {
    async fn start() -> Self {
        let (relay, address) = start_relay().await;
        Self { _relay: relay, folder: tempfile::tempdir().unwrap(), relay: address }
    }

    /// Two devices that do not look for each other on the network, under a policy that wants strong evidence.
    async fn devices(&self, phone: PrimaryHooks, laptop: LinkedHooks) -> (PrimaryAccount, LinkedAccount) {
        let path = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let (phone, laptop) =
            (PrimaryHooks { local_network: false, ..phone }, LinkedHooks { local_network: false, ..laptop });
        let policy = PolicyPreset::StrongOnly;
        let key = Arc::new(SoftKey);
        let phone = PrimaryAccount::open(path("p.db"), key.clone(), self.relay.clone(), policy, "P".into(), phone);
        let laptop = LinkedAccount::open(path("l.db"), key, self.relay.clone(), laptop);
        (phone.await.unwrap(), laptop.await.unwrap())
    }
}

/// What the two apps bring into a link.
#[derive(Default)]
struct Brought<'a> {
    passkey: Option<fn(&PasskeyWanted) -> PasskeyAssertion>,
    air: Option<&'a Receiver<String>>,
    tap: Option<fn(Vec<u8>) -> Vec<u8>>,
    judge: Option<fn(&[u8]) -> bool>,
}

/// Links. Gives the evidence that was checked, and why it failed.
async fn link(
    phone: &PrimaryAccount,
    laptop: &LinkedAccount,
    brought: Brought<'_>,
) -> (Vec<(u8, bool)>, Option<EndedReason>) {
    let linking = laptop.link("Laptop".into(), "os".into(), "app".into()).await.unwrap();
    let Some(LinkingEvent::ShowCode { code }) = linking.next_event().await.unwrap() else { panic!("no code") };
    let pairing = phone.link(code.text.into_bytes(), Source::LiveCamera).await.unwrap();
    let laptop_side = async {
        while let Some(event) = linking.next_event().await.unwrap() {
            if let LinkingEvent::EvidenceWanted { passkey, attestation } = event {
                let passkey = passkey.zip(brought.passkey).map(|(wanted, make)| make(&wanted));
                if attestation.is_some() {
                    let long = linking.give_evidence(None, Some(vec![0; 4_097])).await;
                    assert!(matches!(long, Err(PairlightError::Misuse { .. })), "{long:?}");
                }
                // An attestation that says what it is bound to. The one that was too long has not answered yet.
                linking
                    .give_evidence(passkey, attestation.map(|challenge| [b"we vouch".to_vec(), challenge].concat()))
                    .await
                    .unwrap();
            }
        }
    };
    let phone_side = async {
        let (mut checked, mut failed) = (Vec::new(), None);
        while let Some(event) = pairing.next_event().await.unwrap() {
            match event {
                PairingEvent::Review { approval } => {
                    tokio::time::sleep(std::time::Duration::from_millis(approval.hold_ms)).await;
                    pairing.approve().await.unwrap();
                }
                PairingEvent::ShowCheckCode { digits } => {
                    let word = loop {
                        match linking.tap_word().unwrap() {
                            Some(word) => break word,
                            None => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                        }
                    };
                    // By now the laptop's radio listens.
                    if let Some(air) = brought.air {
                        linking.heard(air.recv().unwrap()).await.unwrap();
                    }
                    if let Some(carry) = brought.tap {
                        pairing.tapped(TapMedium::Nfc, carry(word)).await.unwrap();
                    }
                    linking.enter_check_code(digits).await.unwrap();
                }
                PairingEvent::JudgeAttestation { challenge, proof, .. } => {
                    let bound = proof.ends_with(&challenge);
                    pairing.judge(bound && brought.judge.is_some_and(|judge| judge(&proof))).await.unwrap();
                }
                PairingEvent::EvidenceChecked { bit, refuted } => checked.push((bit, refuted.is_none())),
                PairingEvent::Failed { reason } => failed = Some(reason),
                _ => {}
            }
        }
        (checked, failed)
    };
    tokio::join!(laptop_side, phone_side).1
}

#[tokio::test]
async fn a_registered_passkey_is_asked_for_and_its_assertion_links() {
    let world = World::start().await;
    let hooks = LinkedHooks { passkey: true, ..LinkedHooks::default() };
    let (phone, laptop) = world.devices(PrimaryHooks::default(), hooks).await;
    let unknown = link(&phone, &laptop, Brought { passkey: Some(assertion), ..Brought::default() }).await;
    assert_eq!(unknown, (Vec::new(), Some(EndedReason::Refused)), "none is registered");

    let bad = Passkey { public_key: vec![1, 2, 3], ..registration() };
    assert!(matches!(phone.register_passkey(bad).await, Err(PairlightError::Misuse { .. })));
    phone.register_passkey(registration()).await.unwrap();
    let known = RegisteredPasskey { credential: b"id".to_vec(), rp_id: RP_ID.into() };
    assert_eq!(phone.passkeys().await.unwrap(), [known]);
    let replayed = |wanted: &PasskeyWanted| assertion(&PasskeyWanted { challenge: vec![9; 32], ..wanted.clone() });
    let other = link(&phone, &laptop, Brought { passkey: Some(replayed), ..Brought::default() }).await;
    assert_eq!(other, (vec![(4, false)], Some(EndedReason::Refused)), "made for another link");
    let linked = link(&phone, &laptop, Brought { passkey: Some(assertion), ..Brought::default() }).await;
    assert_eq!(linked, (vec![(4, true)], None));
    assert_eq!(phone.devices().await.unwrap()[1].grade, 3);

    phone.forget_passkey(b"id".to_vec()).await.unwrap();
    assert_eq!(phone.passkeys().await.unwrap(), []);
}

#[tokio::test]
async fn what_the_phones_radio_says_is_heard_by_the_laptops() {
    let world = World::start().await;
    let (says, hears) = channel();
    let (says, quiet) = (Arc::new(Air(Mutex::new(says))), Arc::new(Air(Mutex::new(channel().0))));
    let phone = PrimaryHooks { radio: Some(says), ..PrimaryHooks::default() };
    let (phone, laptop) = world.devices(phone, LinkedHooks { radio: Some(quiet), ..LinkedHooks::default() }).await;
    let linked = link(&phone, &laptop, Brought { air: Some(&hears), ..Brought::default() }).await;
    assert_eq!(linked, (vec![(3, true)], None));
}

#[tokio::test]
async fn a_word_over_a_tap_links_and_that_of_another_link_does_not() {
    let world = World::start().await;
    let (phone, laptop) = world.devices(PrimaryHooks::default(), LinkedHooks::default()).await;
    let other = link(&phone, &laptop, Brought { tap: Some(|_| vec![0; 16]), ..Brought::default() }).await;
    assert_eq!(other, (vec![(5, false)], Some(EndedReason::Refused)));
    let linked = link(&phone, &laptop, Brought { tap: Some(|word| word), ..Brought::default() }).await;
    assert_eq!(linked, (vec![(5, true)], None));
}

#[tokio::test]
async fn the_app_judges_an_attestation() {
    let world = World::start().await;
    let phone = PrimaryHooks { judges: true, ..PrimaryHooks::default() };
    let (phone, laptop) = world.devices(phone, LinkedHooks { attestation: true, ..LinkedHooks::default() }).await;
    let no = link(&phone, &laptop, Brought { judge: Some(|_| false), ..Brought::default() }).await;
    assert_eq!(no, (vec![(7, false)], Some(EndedReason::Refused)));
    let yes =
        link(&phone, &laptop, Brought { judge: Some(|proof| proof.starts_with(b"we vouch")), ..Brought::default() });
    assert_eq!(yes.await, (vec![(7, true)], None));
}
