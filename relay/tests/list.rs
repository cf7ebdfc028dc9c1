//! Signed lists over real sockets: who may publish what, and who may read.
#![allow(missing_docs, reason = "tests")]

mod harness;

use std::sync::Arc;
use std::time::Duration;

use harness::*;
use pairlight_relay::Quota;
use pairlight_relay::store::{MemoryStore, Store};
use pairlight_wire::Wire;
use pairlight_wire::list::DeviceList;
use pairlight_wire::relay::*;
use pairlight_wire::sign::{Signed, SigningContext};
use reqwest::Method;

fn chain_of(answer: &Answer) -> Vec<Signed> {
    answer.read::<ListChain>().lists.into_vec()
}

/// The same list with other contents, signed again.
fn bend(account: &Account, list: &Signed, change: impl FnOnce(&mut DeviceList)) -> Signed {
    let mut bent = DeviceList::decode(list.payload.as_slice()).unwrap();
    change(&mut bent);
    sign(&account.root, SigningContext::DeviceList, bent.encode())
}

#[tokio::test]
async fn a_chain_grows_by_successors_and_its_devices_read_it() {
    let relay = relay().await;
    let account = Account::new(10);
    let first = account.first_list();
    assert_eq!(account.put(&relay, &first).await.status, 200);
    assert_eq!(account.put(&relay, &first).await.status, 200, "the answer may have been lost");

    let tablet = Device::new(77, account.laptop.role);
    let second = account.list(Some(&first), &[&account.phone, &account.laptop, &tablet], &[], &account.root);
    assert_eq!(account.put(&relay, &second).await.status, 200);
    assert_eq!(account.put(&relay, &first).await.status, 200, "an old list is known, and stays old");

    assert_eq!(chain_of(&account.chain(&relay, &account.phone, 1).await), [first, second.clone()]);
    assert_eq!(chain_of(&account.chain(&relay, &tablet, 2).await), [second]);
    assert_eq!(chain_of(&account.chain(&relay, &tablet, 3).await), []);
    let ops = account.chain(&relay, &account.phone, 1).await.read::<ListChain>().ops.unwrap();
    ops.open(&account.root.verifying_key().to_bytes(), SigningContext::OpsCert).unwrap();
}

#[tokio::test]
async fn of_two_writers_of_one_epoch_exactly_one_wins_and_the_other_learns_the_epoch() {
    let relay = relay().await;
    let account = Account::new(10);
    let first = account.first_list();
    // Also the race of the first list of an unknown account.
    let rival_first = bend(&account, &first, |list| list.issued += 1);
    let (a, b) = tokio::join!(account.put(&relay, &first), account.put(&relay, &rival_first));
    let won = if a.status == 200 { &first } else { &rival_first };
    let lost = if a.status == 200 { b } else { a };
    assert_eq!((lost.refusal(), &lost.headers["pairlight-epoch"]), (RefusalCode::Conflict, &"1".parse().unwrap()));

    let rivals: Vec<_> = (0..8)
        .map(|number| {
            let tablet = Device::new(100 + number, account.laptop.role);
            account.list(Some(won), &[&account.phone, &tablet], &[], &account.root)
        })
        .collect();
    let answers = futures_util::future::join_all(rivals.iter().map(|list| account.put(&relay, list))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for (answer, list) in answers.iter().zip(&rivals) {
        if answer.status == 200 {
            let stored = account.chain(&relay, &account.phone, 2).await;
            assert_eq!(chain_of(&stored), std::slice::from_ref(list), "what was accepted is what is stored");
        } else {
            assert_eq!(answer.refusal(), RefusalCode::Conflict);
            assert_eq!(answer.headers["pairlight-epoch"], "2");
        }
    }
}

#[tokio::test]
async fn rollback_gap_fork_and_foreign_signatures_are_refused_and_change_nothing() {
    let relay = relay().await;
    let (account, stranger) = (Account::new(10), Account::new(50));
    let first = account.first_list();
    let second = account.list(Some(&first), &[&account.phone, &account.laptop], &[], &account.root);
    account.put(&relay, &first).await;
    account.put(&relay, &second).await;
    let third = account.list(Some(&second), &[&account.phone], &[&account.laptop], &account.root);

    let rollback = bend(&account, &first, |list| list.issued += 1);
    let gap = bend(&account, &third, |list| list.epoch += 1);
    let fork = bend(&account, &third, |list| list.prev = [9; 32]);
    let moved = bend(&account, &third, |list| list.account = stranger.id());
    let own_root = bend(&account, &third, |list| list.root_pk = stranger.root.verifying_key().to_bytes());
    let payload = third.payload.clone();
    let foreign = sign(&stranger.root, SigningContext::DeviceList, payload.clone().into_vec());
    let foreign_ops = sign(&stranger.ops, SigningContext::DeviceList, payload.clone().into_vec());
    let wrong_label = sign(&account.root, SigningContext::OpsCert, payload.into_vec());
    let mut bit = third.clone();
    bit.sig[7] ^= 1;
    let tablet = Device::new(99, account.laptop.role);
    let ops_adds = account.list(Some(&second), &[&account.phone, &account.laptop, &tablet], &[], &account.ops);
    for (name, list, code) in [
        ("rollback", &rollback, RefusalCode::Conflict),
        ("gap", &gap, RefusalCode::Conflict),
        ("fork", &fork, RefusalCode::NotAllowed),
        ("another account", &moved, RefusalCode::NotAllowed),
        ("another root", &own_root, RefusalCode::NotAllowed),
        ("foreign signature", &foreign, RefusalCode::NotAllowed),
        ("foreign ops key", &foreign_ops, RefusalCode::NotAllowed),
        ("another label", &wrong_label, RefusalCode::NotAllowed),
        ("one bit of the signature", &bit, RefusalCode::NotAllowed),
        ("the ops key adds a device", &ops_adds, RefusalCode::NotAllowed),
    ] {
        let answer = account.put(&relay, list).await;
        assert_eq!(answer.refusal(), code, "{name}");
        assert_eq!(answer.headers.contains_key("pairlight-epoch"), code == RefusalCode::Conflict, "{name}");
    }
    // A stranger does not learn where the account stands.
    let unsigned_rollback = sign(&stranger.root, SigningContext::DeviceList, rollback.payload.into_vec());
    let answer = account.put(&relay, &unsigned_rollback).await;
    assert_eq!(answer.refusal(), RefusalCode::NotAllowed);
    assert!(!answer.headers.contains_key("pairlight-epoch"));

    let foreign_cert = account.put_with(&relay, &third, &stranger.ops_cert()).await;
    assert_eq!(foreign_cert.refusal(), RefusalCode::NotAllowed, "the certificate is of another root");
    assert_eq!(chain_of(&account.chain(&relay, &account.phone, 1).await), [first, second]);
    assert_eq!(account.put(&relay, &third).await.status, 200, "the right one still fits");
}

#[tokio::test]
async fn a_list_of_one_account_is_not_stored_under_another() {
    let relay = relay().await;
    let (account, other) = (Account::new(10), Account::new(50));
    let body = PublishList { list: account.first_list(), ops: account.ops_cert() }.encode();
    let path = format!("/v1/accounts/{}/list", other.id().to_hex());
    assert_eq!(call(&relay, Method::PUT, &path, &[], body).await.refusal(), RefusalCode::NotAllowed);
    assert_eq!(account.chain(&relay, &account.phone, 1).await.refusal(), RefusalCode::NotFound);
}

#[tokio::test]
async fn an_ops_key_removes_devices_until_its_certificate_ends() {
    let relay = relay().await;
    let account = Account::new(10);
    let first = account.first_list();
    account.put(&relay, &first).await;
    let removal = account.list(Some(&first), &[&account.phone], &[&account.laptop], &account.ops);
    let ended = account.put_with(&relay, &removal, &account.ops_cert_until(now() - 1_000)).await;
    assert_eq!(ended.refusal(), RefusalCode::NotAllowed);
    assert_eq!(account.put(&relay, &removal).await.status, 200);
}

#[tokio::test]
async fn a_relay_that_lost_its_store_learns_the_account_at_any_epoch_and_then_only_successors() {
    let relay = relay().await;
    let account = Account::new(10);
    let first = account.first_list();
    let second = account.list(Some(&first), &[&account.phone, &account.laptop], &[], &account.root);
    let third = account.list(Some(&second), &[&account.phone, &account.laptop], &[], &account.root);
    let fourth = account.list(Some(&third), &[&account.phone], &[&account.laptop], &account.root);
    let fifth = account.list(Some(&fourth), &[&account.phone], &[&account.laptop], &account.root);
    assert_eq!(account.put(&relay, &third).await.status, 200);
    for (name, list) in [("an older one", &second), ("the oldest", &first), ("one too far", &fifth)] {
        let answer = account.put(&relay, list).await;
        assert_eq!(answer.refusal(), RefusalCode::Conflict, "{name}");
        assert_eq!(answer.headers["pairlight-epoch"], "3", "{name}");
    }
    assert_eq!(account.put(&relay, &fourth).await.status, 200);
    assert_eq!(chain_of(&account.chain(&relay, &account.phone, 1).await), [third, fourth]);
}

#[tokio::test]
async fn lists_outlive_the_relay_in_the_store_that_it_was_given() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(1 << 20));
    let with_store =
        || relay_with(|config| (config.store, config.host) = (Some(store.clone()), Some("r.example".into())));
    let account = Account::new(10);
    let relay = with_store().await;
    let first = account.first_list();
    account.put(&relay, &first).await;
    relay.shutdown().await;

    let relay = with_store().await;
    assert_eq!(relay.host(), "r.example");
    assert_eq!(chain_of(&account.chain(&relay, &account.phone, 1).await), std::slice::from_ref(&first));
    let fork = bend(&account, &first, |list| list.issued += 1);
    assert_eq!(account.put(&relay, &fork).await.refusal(), RefusalCode::Conflict);
}

#[tokio::test]
async fn a_full_store_is_unavailable_not_broken() {
    let relay = relay_with(|config| config.store = Some(Arc::new(MemoryStore::new(100)))).await;
    let account = Account::new(10);
    assert_eq!(account.put(&relay, &account.first_list()).await.refusal(), RefusalCode::Unavailable);
    assert_eq!(account.chain(&relay, &account.phone, 1).await.refusal(), RefusalCode::NotFound);
}

#[tokio::test]
async fn the_newest_lists_stay_and_the_chain_never_ends() {
    let relay = relay_with(|config| config.limits.lists_per_account = 3).await;
    let account = Account::new(10);
    let mut lists = vec![account.first_list()];
    account.put(&relay, &lists[0]).await;
    for _ in 0..5 {
        let next = account.list(lists.last(), &[&account.phone], &[], &account.root);
        assert_eq!(account.put(&relay, &next).await.status, 200, "an account is never too old to change its list");
        lists.push(next);
    }
    for (from, first) in [(1, 3), (3, 3), (4, 3), (5, 4), (6, 5)] {
        let chain = account.chain(&relay, &account.phone, from).await.read::<ListChain>();
        assert_eq!(chain.lists.as_slice(), &lists[first..], "from {from}");
    }
    let far = bend(&account, &lists[0], |list| (list.epoch, list.prev) = (1 << 33, [7; 32]));
    let other = relay_with(|config| config.limits.lists_per_account = 3).await;
    assert_eq!(account.put(&other, &far).await.refusal(), RefusalCode::Overflow, "nobody changes a list that often");
    // Who puts an old list again hears that it is late, whether it is still stored or not.
    for old in &lists[..2] {
        assert_eq!(account.put(&relay, old).await.refusal(), RefusalCode::Conflict);
    }
}

#[tokio::test]
async fn the_chain_is_read_with_a_fresh_proof_only() {
    let relay = relay().await;
    let account = Account::new(10);
    account.put(&relay, &account.first_list()).await;
    let id = account.id();
    let nonce = async || call(&relay, Method::POST, "/v1/challenge", &[], []).await.read::<Challenge>().nonce;
    let read = async |auth: DeviceAuth| account.chain_as(&relay, auth, 1).await;
    let (phone, laptop, host) = (&account.phone, &account.laptop, relay.host());

    let good = laptop.auth(id, nonce().await, host, 1);
    assert_eq!(read(good.clone()).await.status, 200);
    assert_eq!(read(good).await.refusal(), RefusalCode::NotAllowed, "the nonce is used");
    let invented = phone.auth(id, [7; 32], host, 1);
    assert_eq!(read(invented).await.refusal(), RefusalCode::NotAllowed, "a nonce of our own");
    let elsewhere = phone.auth(id, nonce().await, "other.example", 1);
    assert_eq!(read(elsewhere).await.refusal(), RefusalCode::NotAllowed, "signed for another relay");
    let mut epoch = phone.auth(id, nonce().await, host, 1);
    epoch.epoch = 2;
    assert_eq!(read(epoch).await.refusal(), RefusalCode::NotAllowed, "the epoch is signed");
    let mut posing = laptop.auth(id, nonce().await, host, 1);
    posing.device = phone.id();
    assert_eq!(read(posing).await.refusal(), RefusalCode::NotAllowed, "the device is signed");
    let stranger = Device::new(99, laptop.role).auth(id, nonce().await, host, 1);
    assert_eq!(read(stranger).await.refusal(), RefusalCode::NotFound, "not listed");
    let mut other = phone.auth(id, nonce().await, host, 1);
    other.account = Account::new(50).id();
    assert_eq!(read(other).await.refusal(), RefusalCode::NotAllowed, "another account than in the address");
    let path = format!("/v1/accounts/{}/list", id.to_hex());
    for header in ["", "Pairlight", "Bearer 00", "Pairlight zz"] {
        let answer = call(&relay, Method::GET, &path, &[("authorization", header)], []).await;
        assert!(matches!(answer.refusal(), RefusalCode::NotAllowed | RefusalCode::Protocol), "{header}");
    }
    let path = format!("/v1/accounts/{}/list", &id.to_hex()[1..]);
    assert_eq!(call(&relay, Method::GET, &path, &[], []).await.refusal(), RefusalCode::Protocol);
}

#[tokio::test]
async fn a_nonce_of_a_challenge_gets_too_old() {
    let relay = relay_with(|config| config.limits.nonce_lifetime = Duration::from_millis(50)).await;
    let account = Account::new(10);
    account.put(&relay, &account.first_list()).await;
    let nonce = call(&relay, Method::POST, "/v1/challenge", &[], []).await.read::<Challenge>().nonce;
    tokio::time::sleep(Duration::from_millis(60)).await;
    let answer = account.chain_as(&relay, account.phone.auth(account.id(), nonce, relay.host(), 1), 1).await;
    assert_eq!(answer.refusal(), RefusalCode::NotAllowed);
}

#[tokio::test]
async fn a_removed_device_reads_the_proof_of_its_removal_but_nobody_reads_in_its_name() {
    let relay = relay().await;
    let account = Account::new(10);
    let first = account.first_list();
    let second = account.list(Some(&first), &[&account.phone], &[&account.laptop], &account.ops);
    account.put(&relay, &first).await;
    account.put(&relay, &second).await;

    assert_eq!(chain_of(&account.chain(&relay, &account.laptop, 2).await), [second]);
    let nonce = call(&relay, Method::POST, "/v1/challenge", &[], []).await.read::<Challenge>().nonce;
    let mut forged = account.phone.auth(account.id(), nonce, relay.host(), 1);
    forged.device = account.laptop.id();
    assert_eq!(account.chain_as(&relay, forged, 1).await.refusal(), RefusalCode::NotAllowed);

    let mut stream = Stream::open(&relay).await;
    let auth = account.laptop.auth(account.id(), stream.nonce, relay.host(), 1);
    let lease = Some(account.lease(&account.laptop, now() + 1_000_000));
    stream.socket.send(&StreamRequest::Login(Login { auth, lease, previous: None })).await;
    stream.is_sent_away(RefusalCode::Removed).await;
}

#[tokio::test]
async fn publications_and_challenges_have_their_rates() {
    let relay = relay_with(|config| {
        config.limits.publishes = Quota::one(1, Duration::from_secs(30));
        config.limits.challenges = Quota::one(2, Duration::from_secs(20));
    })
    .await;
    let account = Account::new(10);
    let list = account.first_list();
    assert_eq!(account.put(&relay, &list).await.status, 200);
    assert_eq!(call(&relay, Method::POST, "/v1/challenge", &[], []).await.status, 200);
    let _stream = Stream::open(&relay).await;
    for (answer, longest) in
        [(account.put(&relay, &list).await, 30), (call(&relay, Method::POST, "/v1/challenge", &[], []).await, 20)]
    {
        assert_eq!(answer.refusal(), RefusalCode::RateLimited);
        let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((longest - 10..=longest).contains(&seconds), "{seconds}");
    }
}
