//! A whole link through the binding objects, from a drawn code to messages both ways; and the generated sources.

use std::process::Command;
use std::sync::Arc;

use pairlight_bindings::*;
use pairlight_relay::{Limits, Relay, RelayConfig};

/// A key store in memory: turns each bit, so that what is stored is not the key itself.
#[derive(Debug)]
struct SoftVault;

impl KeyVault for SoftVault {
    fn wrap(&self, key: Vec<u8>) -> Result<Vec<u8>, PairlightError> {
        Ok(key.into_iter().map(|byte| !byte).collect())
    }
    fn unwrap_key(&self, wrapped: Vec<u8>) -> Result<Vec<u8>, PairlightError> {
        self.wrap(wrapped)
    }
}

/// The code as a camera's luma plane: 4 pixels a module, 4 modules of margin, rows padded to a stride.
fn photograph(code: &CodePicture) -> (Vec<u8>, FrameInfo) {
    let size = code.size as usize;
    let side = (size + 8) * 4;
    let stride = side + 24;
    let mut luma = vec![255; stride * side];
    for y in 0..side {
        for x in 0..side {
            let (column, row) = ((x / 4).wrapping_sub(4), (y / 4).wrapping_sub(4));
            if column < size && row < size && code.modules[row * size + column] == 1 {
                luma[y * stride + x] = 0;
            }
        }
    }
    let (side, row_stride) = (side as u32, stride as u32);
    let info = FrameInfo {
        width: side,
        height: side,
        row_stride,
        pixel_stride: 1,
        turn: Turn::None,
        mirrored: false,
        crop: None,
        taken_ms: 1,
    };
    (luma, info)
}

#[tokio::test]
async fn a_scanned_plane_becomes_a_linked_device_that_can_talk() {
    let config = RelayConfig { limits: Limits::generous(), ..RelayConfig::default() };
    let relay = Relay::spawn(config).await.unwrap();
    let key: String = relay.attestation_pk().iter().map(|byte| format!("{byte:02x}")).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let phone = PrimaryAccount::open(
        path("phone.db"),
        Arc::new(SoftVault),
        relay.url(),
        key.clone(),
        PolicyPreset::Development,
        "Phone".into(),
    )
    .await
    .unwrap();
    let laptop = LinkedAccount::open(path("laptop.db"), Arc::new(SoftVault), relay.url(), key).await.unwrap();
    assert!(!laptop.is_linked().await.unwrap());
    let linking = laptop.link("Laptop".into(), "Linux".into(), "test".into()).await.unwrap();
    let Some(LinkingEvent::ShowCode { code }) = linking.next_event().await else { panic!("no code") };

    let scanner = Scanner::new(false);
    let (luma, info) = photograph(&code);
    let report = scanner.scan(&luma, info.clone()).unwrap();
    let scanned = report.codes.first().expect("the plane is read");
    assert!(scanned.meaning.is_offer && scanned.is_new && scanned.version == 4);
    assert!(!scanner.scan(&luma, info.clone()).unwrap().codes[0].is_new, "a content is new once");
    let short = scanner.scan(&luma[..100], info);
    assert!(matches!(short, Err(PairlightError::Misuse { .. })), "a short buffer is the caller's mistake");

    let pairing = phone.link(scanned.bytes.clone(), Source::LiveCamera).await.unwrap();
    let (mut device, mut digits) = (None, None);
    while let Some(event) = pairing.next_event().await {
        match event {
            PairingEvent::Review { approval } => {
                assert_eq!(approval.device_name, "Laptop");
                pairing.approve().await.unwrap();
            }
            PairingEvent::ShowCheckCode { digits: shown } => {
                digits = Some(shown.clone());
                while linking.next_event().await != Some(LinkingEvent::EnterCheckCode) {}
                linking.enter_check_code(shown).await.unwrap();
            }
            PairingEvent::Linked { device: id } => device = Some(id),
            PairingEvent::Failed { reason } => panic!("{reason:?}"),
            _ => {}
        }
    }
    assert_eq!(digits.unwrap().len(), 7);
    let mut primary = None;
    while let Some(event) = linking.next_event().await {
        if let LinkingEvent::Linked { primary: id, .. } = event {
            primary = id;
        }
    }
    let (device, primary) = (device.unwrap(), primary.unwrap());
    assert!(laptop.is_linked().await.unwrap());
    assert_eq!(phone.devices().await.unwrap().len(), 2);

    let (phone_line, laptop_line) = (phone.connect().await.unwrap(), laptop.connect().await.unwrap());
    laptop_line.send(primary.clone(), b"hello".to_vec()).await.unwrap();
    assert_eq!(message(&phone_line).await, b"hello");
    phone.revoke(device).await.unwrap();
    loop {
        match laptop_line.next_event().await.expect("an end") {
            LineEvent::Removed { .. } => break,
            LineEvent::Failed { error } => panic!("{error}"),
            _ => {}
        }
    }
    assert!(!laptop.is_linked().await.unwrap());
    let foreign = phone.link(b"https://example.org".to_vec(), Source::LiveCamera).await;
    assert!(matches!(foreign.map(|_| ()), Err(PairlightError::Misuse { .. })));
}

async fn message(line: &Line) -> Vec<u8> {
    loop {
        if let LineEvent::Message { body, .. } = line.next_event().await.expect("the line is open") {
            return body;
        }
    }
}

#[test]
fn kotlin_and_swift_sources_are_generated_with_the_names_of_the_api() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let folder = tempfile::tempdir().unwrap();
    let built = Command::new(&cargo)
        .args([
            "build",
            "--locked",
            "-p",
            "pairlight-bindings",
            "--lib",
            "--bin",
            "uniffi-bindgen",
            "--features",
            "bindgen",
        ])
        .status()
        .unwrap();
    assert!(built.success());
    // The test itself lies in <target>/<profile>/deps.
    let here = std::env::current_exe().unwrap();
    let target = here.parent().unwrap().parent().unwrap();
    let name = format!("{}pairlight_bindings{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let bindgen = target.join(format!("uniffi-bindgen{}", std::env::consts::EXE_SUFFIX));
    for (language, names) in [
        ("kotlin", ["class Scanner", "suspend fun `nextEvent`", "interface KeyVault", "sealed class PairingEvent"]),
        ("swift", ["open class Scanner", "func nextEvent() async", "protocol KeyVault", "enum PairingEvent"]),
    ] {
        let out = folder.path().join(language);
        let made = Command::new(&bindgen)
            .args(["generate", "--no-format", "--language", language, "--out-dir"])
            .arg(&out)
            .arg(target.join(&name))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut source = String::new();
        let mut folders = vec![out];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(text) = std::fs::read_to_string(path) {
                    source.push_str(&text);
                }
            }
        }
        for name in names {
            assert!(source.contains(name), "{language} lacks {name}");
        }
    }
}
