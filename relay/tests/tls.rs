//! The relay that speaks TLS itself, with certificates of an authority that only these tests know.
#![allow(missing_docs, reason = "tests")]

mod harness;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::program::Program;
use harness::*;
use pairlight_relay::{Relay, RelayConfig, Tls};
use pairlight_wire::Wire;
use pairlight_wire::relay::{Challenge, RelayInfo, StreamEvent};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file(name)).unwrap()
}

fn trusting() -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate("ca.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

async fn connect(address: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    trusting().connect(ServerName::try_from("relay.test").unwrap(), stream).await
}

/// The certificate that a new connection is shown.
async fn shown(address: &str) -> CertificateDer<'static> {
    let stream = connect(address).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

async fn get(stream: &mut TlsStream<TcpStream>, path: &str) -> (u16, Vec<u8>) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: relay.test\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "it closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..count]);
        let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let words = String::from_utf8(answer[..head].to_ascii_lowercase()).unwrap();
        let length = words.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap().parse().unwrap();
        if answer.len() == head + 4 + length {
            return (words.split(' ').nth(1).unwrap().parse().unwrap(), answer.split_off(head + 4));
        }
    }
}

#[tokio::test]
async fn a_whole_link_calls_and_sockets_go_through_tls_and_nothing_else_does() {
    let mut config = RelayConfig { host: Some("relay.test".into()), ..RelayConfig::default() };
    config.tls = Some(Tls::read(&file("one.pem"), &file("one.key")).unwrap());
    config.limits.idle = Duration::from_secs(2);
    let relay = Relay::spawn(config).await.unwrap();
    assert!(relay.url().starts_with("https://127.0.0.1:"), "{}", relay.url());
    let address = relay.local_addr().to_string();

    // Connections that never get through their handshake, before all others: nobody waits for them.
    let mut silent = TcpStream::connect(&address).await.unwrap();
    let mut half = TcpStream::connect(&address).await.unwrap();
    half.write_all(&[0x16, 3, 1, 2, 0]).await.unwrap();

    let mut stream = connect(&address).await.unwrap();
    let (status, body) = get(&mut stream, "/v1/relay").await;
    assert_eq!((status, RelayInfo::decode(&body).unwrap().attestation_pk), (200, relay.attestation_pk()));
    // The relay links with itself, over its own sockets.
    let (status, words) = get(&mut stream, "/readyz").await;
    let words = String::from_utf8(words).unwrap();
    assert!(status == 200 && words.starts_with("ready: linked"), "{words}");
    drop(stream);

    let stream = connect(&address).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("wss://relay.test/v1/stream", stream).await.unwrap();
    let first = futures_util::StreamExt::next(&mut socket).await.unwrap().unwrap();
    assert!(matches!(StreamEvent::decode(&first.into_data()), Ok(StreamEvent::Challenge(Challenge { .. }))));

    // Who speaks plainly gets no word of HTTP.
    let mut plain = TcpStream::connect(&address).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");

    // Who does not know the authority does not take the certificate.
    let stranger = client().get(format!("{}/healthz", relay.url())).send().await;
    assert!(stranger.is_err(), "{stranger:?}");
    for stuck in [&mut silent, &mut half] {
        let ended = tokio::time::timeout(PATIENCE, stuck.read(&mut [0; 64])).await.expect("it ends");
        assert!(!matches!(ended, Ok(1..)), "{ended:?}");
    }
    relay.shutdown().await;
}

fn copy(name: &str, to: &Path) {
    std::fs::copy(file(&format!("{name}.pem")), to.join("cert.pem")).unwrap();
    std::fs::copy(file(&format!("{name}.key")), to.join("cert.key")).unwrap();
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    copy("one", folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (path("cert.pem"), path("cert.key"));
    let relay = Program::start(&folder.path().join("data"), &["--tls-cert", &cert, "--tls-key", &key]);
    let address = relay.url().strip_prefix("https://").unwrap().to_owned();
    let mut old = connect(&address).await.unwrap();
    assert_eq!(shown(&address).await, certificate("one.pem"));

    // Half of a renewal: a certificate whose key is still to come.
    std::fs::copy(file("two.pem"), &cert).unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(shown(&address).await, certificate("one.pem"));
    copy("two", folder.path());
    let began = Instant::now();
    while shown(&address).await != certificate("two.pem") {
        assert!(began.elapsed() < Duration::from_secs(60), "the new certificate is not shown");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(get(&mut old, "/healthz").await.0, 200, "who was there stays");
    assert_eq!(get(&mut connect(&address).await.unwrap(), "/readyz").await.0, 200);
}

#[test]
fn files_that_do_not_fit_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    for (cert, key, words) in [
        (file("one.pem"), file("two.key"), "two.key: it is not the key of the certificate"),
        (file("one.pem"), file("one.pem"), "one.pem: it holds no private key"),
        (file("one.key"), file("one.key"), "one.key: it holds no certificate"),
        (empty.clone(), file("one.key"), "empty.pem: it holds no certificate"),
        (file("one.pem"), folder.path().join("none"), "none: No such file"),
    ] {
        let error = Tls::read(&cert, &key).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
