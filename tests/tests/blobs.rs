//! Blobs through the client, over a real relay and a line that breaks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pairlight_core::net::{BlobStatus, Connection, ConnectionEvent, Primary, RelayClient};
use pairlight_core::trust::Policy;
use pairlight_relay::{Relay, RelayConfig, RelayHandle};
use pairlight_tests::world::open_store;
use pairlight_wire::id::BlobId;
use pairlight_wire::relay::RefusalCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Carries connections to `to` and cuts each after `most` bytes in either direction. Gives its address and counts cuts.
async fn bad_line(listener: TcpListener, to: SocketAddr, most: usize, cuts: Arc<AtomicUsize>) {
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        let cuts = cuts.clone();
        tokio::spawn(async move {
            let mut far = TcpStream::connect(to).await.unwrap();
            let mut left = most;
            let (mut up, mut down) = (vec![0; 16_384], vec![0; 16_384]);
            loop {
                let moved = tokio::select! {
                    read = near.read(&mut up) => match read {
                        Ok(n @ 1..) => far.write_all(&up[..n]).await.map(|()| n),
                        _ => return,
                    },
                    read = far.read(&mut down) => match read {
                        Ok(n @ 1..) => near.write_all(&down[..n]).await.map(|()| n),
                        _ => return,
                    },
                };
                let Ok(moved) = moved else { return };
                match left.checked_sub(moved) {
                    Some(rest) => left = rest,
                    None => {
                        cuts.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                }
            }
        });
    }
}

async fn online(relay: &RelayHandle, url: &str, folder: &tempfile::TempDir) -> Connection {
    let endpoint = RelayClient::discover(url).await.unwrap();
    assert_eq!(endpoint.attestation_pk(), relay.attestation_pk());
    let client = RelayClient::new(endpoint).unwrap();
    let primary =
        Primary::open(open_store(folder.path(), "phone"), client, Policy::DEVELOPMENT, "phone").await.unwrap();
    let connection = primary.connect().await.unwrap();
    while !matches!(connection.next_event().await.unwrap(), ConnectionEvent::Online) {}
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_gets_through_a_line_that_breaks_again_and_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = listener.local_addr().unwrap();
    let config = RelayConfig { host: Some(line.to_string()), ..RelayConfig::default() };
    let relay = Relay::spawn(config).await.unwrap();
    let cuts = Arc::new(AtomicUsize::new(0));
    tokio::spawn(bad_line(listener, relay.local_addr(), 300_000, cuts.clone()));
    let folder = tempfile::tempdir().unwrap();
    let connection = online(&relay, &format!("http://{line}"), &folder).await;
    let blobs = connection.blobs();

    let id = BlobId([7; 32]);
    let bytes: Vec<u8> = (0..1_048_576_u32).map(|at| (at / 253 + at) as u8).collect();
    assert_eq!(blobs.status(id).await.unwrap(), None);
    assert_eq!(blobs.get(id).await.unwrap(), None);
    blobs.put(id, &bytes).await.unwrap();
    let uploading = cuts.load(Ordering::Relaxed);
    assert!(uploading >= 3, "the line broke {uploading} times");
    assert_eq!(blobs.status(id).await.unwrap(), Some(BlobStatus { received: 1_048_576, total: 1_048_576 }));
    blobs.put(id, &bytes).await.unwrap();
    blobs.resume_put(id, &bytes).await.unwrap();
    let uploading = cuts.load(Ordering::Relaxed);

    assert!(blobs.get(id).await.unwrap().unwrap() == bytes);
    assert!(cuts.load(Ordering::Relaxed) >= uploading + 3);
    let mut rest = bytes[..900_000].to_vec();
    assert!(blobs.get_rest(id, &mut rest).await.unwrap());
    assert!(rest == bytes);
    let mut middle = Vec::new();
    assert!(blobs.get_range(id, 500_000, 500_010, &mut middle).await.unwrap());
    assert_eq!(middle, &bytes[500_000..500_010]);

    blobs.delete(id).await.unwrap();
    blobs.delete(id).await.unwrap();
    assert_eq!(blobs.get(id).await.unwrap(), None);
    blobs.put(BlobId([8; 32]), &[]).await.unwrap();
    assert_eq!(blobs.get(BlobId([8; 32])).await.unwrap(), Some(Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_said_and_the_end_of_the_connection_too() {
    let mut config = RelayConfig::default();
    config.limits.blob_room = 4_096;
    let relay = Relay::spawn(config).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let connection = online(&relay, &relay.url(), &folder).await;
    let blobs = connection.blobs().clone();
    blobs.put(BlobId([1; 32]), b"one").await.unwrap();
    let full = blobs.put(BlobId([2; 32]), b"two").await.unwrap_err();
    assert_eq!(full.refusal(), Some(RefusalCode::Overflow), "{full}");
    let large = blobs.put(BlobId([3; 32]), &vec![0; (1 << 20) + 1]).await.unwrap_err();
    assert_eq!(large.refusal(), Some(RefusalCode::TooLarge), "{large}");
    relay.shutdown().await;
    let gone = blobs.status(BlobId([1; 32])).await.unwrap_err();
    assert!(gone.to_string().contains("cannot be reached"), "{gone}");
}
