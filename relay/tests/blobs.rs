//! Blobs over real sockets: resumed, read in ranges, limited, forgotten.
#![allow(missing_docs, reason = "tests")]

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use harness::*;
use pairlight_relay::RelayHandle;
use pairlight_wire::relay::*;
use pairlight_wire::sign::Signed;
use reqwest::Method;
use tokio::io::AsyncWriteExt;

const ID: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// A listed device and its token.
struct Owner<'r> {
    relay: &'r RelayHandle,
    account: Account,
    first: Signed,
    token: String,
}

impl<'r> Owner<'r> {
    async fn new(relay: &'r RelayHandle) -> Self {
        let account = Account::new(10);
        let first = account.first_list();
        assert_eq!(account.put(relay, &first).await.status, 200);
        let token = account.connect(relay, &account.laptop).await.blob_token().await;
        Self { relay, account, first, token }
    }

    async fn ask(&self, method: Method, id: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let headers = [&[("authorization", self.token.as_str())], headers].concat();
        call(self.relay, method, &format!("/v1/blobs/{id}"), &headers, body).await
    }

    async fn put(&self, id: &str, offset: u64, total: u64, body: &[u8]) -> Answer {
        let (offset, total) = (offset.to_string(), total.to_string());
        self.ask(Method::PUT, id, &[("upload-offset", &offset), ("upload-length", &total)], body).await
    }
}

/// Stored and whole length, as an answer says.
fn state(answer: &Answer) -> (u64, u64) {
    let number = |name| answer.headers[name].to_str().unwrap().parse().unwrap();
    (number("upload-offset"), number("upload-length"))
}

/// Bytes that tell their place.
fn contents(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 251 + at) as u8).collect()
}

#[tokio::test]
async fn a_blob_is_uploaded_in_pieces_and_read_whole_and_in_ranges() {
    let relay = relay().await;
    let owner = Owner::new(&relay).await;
    let whole = contents(1 << 20);
    let answer = owner.put(ID, 0, whole.len() as u64, &whole[..300_000]).await;
    assert_eq!((answer.status, state(&answer)), (202, (300_000, 1 << 20)));
    assert_eq!(owner.ask(Method::GET, ID, &[], &[]).await.refusal(), RefusalCode::NotFound, "not complete");
    let answer = owner.put(ID, 7, whole.len() as u64, &whole[7..]).await;
    assert_eq!((answer.refusal(), state(&answer)), (RefusalCode::Conflict, (300_000, 1 << 20)));
    let answer = owner.put(ID, 300_000, whole.len() as u64, &whole[300_000..]).await;
    assert_eq!((answer.status, state(&answer)), (201, (1 << 20, 1 << 20)));
    let answer = owner.ask(Method::HEAD, ID, &[], &[]).await;
    assert_eq!((answer.status, state(&answer)), (200, (1 << 20, 1 << 20)));

    let answer = owner.ask(Method::GET, ID, &[], &[]).await;
    assert_eq!((answer.status, answer.body == whole), (200, true));
    for (range, from, to) in
        [("bytes=0-0", 0, 1), ("bytes=299990-400010", 299_990, 400_011), ("bytes=-5", (1 << 20) - 5, 1 << 20)]
    {
        let answer = owner.ask(Method::GET, ID, &[("range", range)], &[]).await;
        assert_eq!((answer.status, answer.body == whole[from..to]), (206, true), "{range}");
        assert_eq!(answer.headers["content-range"], format!("bytes {from}-{}/1048576", to - 1), "{range}");
    }
    let beyond = owner.ask(Method::GET, ID, &[("range", "bytes=1048576-")], &[]).await;
    assert_eq!(beyond.refusal(), RefusalCode::Protocol);

    // The other device of the account reads and deletes it.
    let token = owner.account.connect(&relay, &owner.account.phone).await.blob_token().await;
    let phone = [("authorization", token.as_str())];
    let path = format!("/v1/blobs/{ID}");
    assert_eq!(call(&relay, Method::GET, &path, &phone, []).await.body.len(), whole.len());
    assert_eq!(call(&relay, Method::DELETE, &path, &phone, []).await.status, 204);
    assert_eq!(owner.ask(Method::GET, ID, &[], &[]).await.refusal(), RefusalCode::NotFound);
    assert_eq!(owner.ask(Method::HEAD, ID, &[], &[]).await.status, 404);
    assert_eq!(owner.put(ID, 0, 0, &[]).await.status, 201, "an empty one is complete at once");
}

#[tokio::test]
async fn what_came_before_the_line_broke_is_kept() {
    let relay = relay().await;
    let owner = Owner::new(&relay).await;
    let whole = contents(200_000);
    let mut stream = tokio::net::TcpStream::connect(relay.local_addr()).await.unwrap();
    let head = format!(
        "PUT /v1/blobs/{ID} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\nupload-length: 200000\r\ncontent-length: 200000\r\n\r\n",
        owner.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&whole[..100_001]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut kept = 0;
    for _ in 0..500 {
        let answer = owner.ask(Method::HEAD, ID, &[], &[]).await;
        kept = if answer.status == 200 { state(&answer).0 } else { 0 };
        if kept == 100_001 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(kept, 100_001, "to the byte, not to the part");
    assert_eq!(owner.put(ID, kept, 200_000, &whole[100_001..]).await.status, 201);
    assert!(owner.ask(Method::GET, ID, &[], &[]).await.body == whole);
}

#[tokio::test]
async fn blobs_are_for_listed_devices_with_a_fresh_token() {
    let clock = Arc::new(AtomicU64::new(now()));
    let relay = relay_with(|config| {
        let clock = clock.clone();
        config.clock = Arc::new(move || clock.load(Ordering::Relaxed));
    })
    .await;
    let mut owner = Owner::new(&relay).await;
    assert_eq!(owner.put(ID, 0, 3, b"abc").await.status, 201);

    for bad in ["", "Bearer ", "Bearer 00", "Bearer zz", &owner.token[..owner.token.len() - 2]] {
        let headers = [("authorization", bad)];
        let answer = call(&relay, Method::GET, &format!("/v1/blobs/{ID}"), &headers, []).await;
        assert_eq!(answer.refusal(), RefusalCode::NotAllowed, "{bad}");
    }
    assert_eq!(owner.ask(Method::GET, "00", &[], &[]).await.refusal(), RefusalCode::Protocol);

    // Another account has its own blobs, under any name.
    let other = Account::new(40);
    assert_eq!(other.put(&relay, &other.first_list()).await.status, 200);
    let token = other.connect(&relay, &other.laptop).await.blob_token().await;
    let answer = call(&relay, Method::GET, &format!("/v1/blobs/{ID}"), &[("authorization", &token)], []).await;
    assert_eq!(answer.refusal(), RefusalCode::NotFound);

    clock.fetch_add(600_000, Ordering::Relaxed);
    assert_eq!(owner.ask(Method::GET, ID, &[], &[]).await.refusal(), RefusalCode::NotAllowed, "ended");
    owner.token = owner.account.connect(&relay, &owner.account.laptop).await.blob_token().await;
    assert_eq!(owner.ask(Method::GET, ID, &[], &[]).await.body, b"abc");
    let account = &owner.account;
    let without = account.list(Some(&owner.first), &[&account.phone], &[&account.laptop], &account.root);
    assert_eq!(account.put(&relay, &without).await.status, 200);
    assert_eq!(owner.ask(Method::GET, ID, &[], &[]).await.refusal(), RefusalCode::Removed, "in the middle of its life");
}

#[tokio::test]
async fn uploads_have_limits() {
    let relay = relay_with(|config| config.limits.blob_room = 8_192).await;
    let owner = Owner::new(&relay).await;
    let id = |number: u8| hex::encode([number; 32]);
    assert_eq!(owner.put(ID, 0, (1 << 20) + 1, b"a").await.refusal(), RefusalCode::TooLarge);
    assert_eq!(owner.put(ID, 0, 2, b"abc").await.refusal(), RefusalCode::TooLarge, "longer than it said");
    assert_eq!(owner.ask(Method::PUT, ID, &[], b"abc").await.refusal(), RefusalCode::Protocol, "no length");
    let signed = owner.ask(Method::PUT, ID, &[("upload-length", "-1")], b"abc").await;
    assert_eq!(signed.refusal(), RefusalCode::Protocol);
    assert_eq!(owner.put(&id(1), 0, 1, b"a").await.status, 201);
    assert_eq!(owner.put(&id(2), 0, 1, b"a").await.refusal(), RefusalCode::Overflow, "the begun one counts too");
    assert_eq!(owner.ask(Method::DELETE, ID, &[], &[]).await.status, 204);
    assert_eq!(owner.put(&id(2), 0, 1, b"a").await.status, 201);
}
