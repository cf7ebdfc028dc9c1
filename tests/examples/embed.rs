//! Two devices, both in this program, link over a relay and say hello: `cargo run -p pairlight-tests --example embed`.

use std::error::Error;
use std::path::Path;

use pairlight_core::net::{ConnectionEvent, LinkedDevice, Primary, RelayClient, SharedStore, system_rng};
use pairlight_core::pairing::{CodeMatrix, DeviceDescription, LinkedEvent, PrimaryEvent};
use pairlight_core::payload::Payload;
use pairlight_core::store::{KeyFile, Store};
use pairlight_core::trust::{Policy, ScanSource};
use pairlight_relay::{Relay, RelayConfig};
use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::offer::ClientKind;
use tokio::sync::mpsc;

type Failure = Box<dyn Error + Send + Sync>;

fn store(folder: &Path, name: &str) -> Result<SharedStore, Failure> {
    let key = KeyFile::open_or_create(&folder.join(format!("{name}.key")), Box::new(system_rng()))?;
    Ok(SharedStore::new(Store::open(&folder.join(format!("{name}.db")), &key, Box::new(system_rng()))?))
}

/// The laptop: shows a code, asks for the digits, says hello.
async fn laptop(
    store: SharedStore,
    client: RelayClient,
    screen: mpsc::Sender<String>,
    mut keyboard: mpsc::Receiver<String>,
) -> Result<(), Failure> {
    let device = LinkedDevice::open(store, client).await?;
    let linking = device.link(DeviceDescription {
        name: "Kim's laptop".into(),
        os: "Linux".into(),
        app: "example".into(),
        kind: ClientKind::Native,
    });
    while let Some(event) = linking.next_event().await {
        match event {
            LinkedEvent::ShowCode { text, .. } => {
                println!("laptop: draws {0} x {0} modules", CodeMatrix::draw(&text)?.size());
                screen.send(text).await?;
            }
            LinkedEvent::EnterCheckCode => {
                let typed = keyboard.recv().await.ok_or("nobody types")?;
                linking.enter_check_code(&typed).await?;
            }
            LinkedEvent::Linked(account) => {
                let line = device.connect().await?;
                let primary = account.primary().ok_or("no primary device")?;
                line.send(primary, EnvelopeKind::Application, b"hello").await?;
            }
            LinkedEvent::Failed(reason) => return Err(format!("not linked: {reason:?}").into()),
            _ => {}
        }
    }
    Ok(())
}

/// The phone: scans, reviews, shows the digits, waits for the hello.
async fn phone(
    store: SharedStore,
    client: RelayClient,
    mut camera: mpsc::Receiver<String>,
    digits: mpsc::Sender<String>,
) -> Result<(), Failure> {
    let primary = Primary::open(store, client, Policy::BALANCED, "Kim's phone").await?;
    let seen = camera.recv().await.ok_or("nothing to see")?;
    let Payload::PairingOffer(offer) = Payload::classify(seen.as_bytes()) else { return Err("not ours".into()) };
    let pairing = primary.link(offer, ScanSource::LiveCamera).await?;
    while let Some(event) = pairing.next_event().await {
        match event {
            PrimaryEvent::Review(model) => {
                println!("phone: {} wants to be linked", model.device_name);
                pairing.approve().await?;
            }
            PrimaryEvent::ShowCheckCode(code) => digits.send(code.to_display()).await?,
            PrimaryEvent::Failed(reason) => return Err(format!("not linked: {reason:?}").into()),
            _ => {}
        }
    }
    let line = primary.connect().await?;
    while let Some(event) = line.next_event().await {
        if let ConnectionEvent::Message { body, .. } = event {
            println!("phone: {}", String::from_utf8_lossy(&body));
            return Ok(());
        }
    }
    Err("the line ended".into())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let relay = Relay::spawn(RelayConfig::default()).await?;
    let client = RelayClient::new(RelayClient::discover(&relay.url()).await?)?;
    let folder = tempfile::tempdir()?;
    let (screen, camera) = mpsc::channel(8);
    let (digits, keyboard) = mpsc::channel(8);
    let laptop = laptop(store(folder.path(), "laptop")?, client.clone(), screen, keyboard);
    let phone = phone(store(folder.path(), "phone")?, client, camera, digits);
    tokio::try_join!(laptop, phone)?;
    relay.shutdown().await;
    Ok(())
}
