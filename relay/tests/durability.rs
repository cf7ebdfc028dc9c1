//! `kill -9` under load: what the relay acknowledged is there afterwards.
#![cfg(unix)]
#![allow(missing_docs, reason = "tests")]

mod harness;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use harness::program::Program;
use harness::*;
use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::relay::*;
use reqwest::Method;

const ID: &str = "aa02030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";

/// Posts until the relay is gone; gives the references that were accepted.
async fn post_until_killed(account: Account, mut stream: Stream, first: u64, accepted: Arc<AtomicU64>) -> Vec<u64> {
    let mut known = Vec::new();
    let mut next = first;
    let mut open = 0;
    loop {
        // Several at a time, so that the kill comes between a commit and its answer as often as not.
        while open < 8 {
            let envelope =
                envelope(EnvelopeKind::Application, &account.phone, &account.laptop, next, &next.to_be_bytes());
            let post = PostEnvelope { to: account.laptop.id(), reference: next, envelope };
            if !stream.socket.try_send(&StreamRequest::Post(post)).await {
                return known;
            }
            next += 1;
            open += 1;
        }
        match stream.socket.hear::<StreamEvent>().await {
            Heard::Frame(StreamEvent::Accepted(answer)) => {
                known.push(answer.reference);
                accepted.fetch_add(1, Ordering::Relaxed);
                open -= 1;
            }
            Heard::Frame(StreamEvent::ListChanged(_)) => {}
            Heard::Frame(other) => panic!("{other:?}"),
            Heard::Closed(_) => return known,
        }
    }
}

#[tokio::test]
async fn a_kill_loses_no_acknowledged_envelope_no_committed_list_and_no_part_of_a_blob() {
    let folder = tempfile::tempdir().unwrap();
    let account = Account::new(10);
    let mut posted = BTreeMap::new();
    let mut newest = account.first_list();
    let mut relay = Program::start(folder.path(), &[]);
    assert_eq!(account.put(&relay, &newest).await.status, 200);
    let mut uploaded = 0_u64;
    for round in 0..3_u64 {
        let stream = account.connect(&relay, &account.phone).await;
        let accepted = Arc::new(AtomicU64::new(0));
        let first = 1_000 * round;
        let posting = tokio::spawn(post_until_killed(account.clone(), stream, first, accepted.clone()));
        // A list and a part of a blob in the middle of it.
        newest = account.list(Some(&newest), &[&account.phone, &account.laptop], &[], &account.root);
        assert_eq!(account.put(&relay, &newest).await.status, 200);
        let token = account.connect(&relay, &account.laptop).await.blob_token().await;
        let offset = uploaded.to_string();
        let headers = [("authorization", token.as_str()), ("upload-length", "1000000"), ("upload-offset", &offset)];
        let body = vec![round as u8; 70_000];
        assert_eq!(call(&relay, Method::PUT, &format!("/v1/blobs/{ID}"), &headers, body).await.status, 202);
        uploaded += 70_000;
        while accepted.load(Ordering::Relaxed) < 100 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        relay.kill();
        for reference in posting.await.unwrap() {
            posted.insert(reference, ());
        }
        relay = Program::start(folder.path(), &[]);
    }

    let chain: ListChain = account.chain(&relay, &account.phone, 1).await.read();
    assert_eq!(chain.lists.as_slice().last(), Some(&newest));
    assert_eq!(chain.lists.as_slice().len(), 4);
    let mut reader = account.connect(&relay, &account.laptop).await;
    let token = reader_token(&account, &relay).await;
    let answer = call(&relay, Method::HEAD, &format!("/v1/blobs/{ID}"), &[("authorization", &token)], []).await;
    assert_eq!(answer.headers["upload-offset"], uploaded.to_string());
    let mut seen = BTreeMap::new();
    while posted.keys().any(|reference| !seen.contains_key(reference)) {
        let (number, body) = reader.gets().await;
        let reference = u64::from_be_bytes(body.try_into().unwrap());
        assert_eq!(seen.insert(reference, number), None, "{reference} is stored twice");
        reader.acks(number).await;
    }
    let numbers: Vec<_> = seen.values().copied().collect();
    assert!(numbers.is_sorted(), "in the order in which they were posted");
    assert!(posted.len() >= 300, "{}", posted.len());
}

/// The phone's: a second login of the reader would take its place.
async fn reader_token(account: &Account, relay: &Program) -> String {
    account.connect(relay, &account.phone).await.blob_token().await
}
