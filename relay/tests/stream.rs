//! Logins, mail and news over real sockets.
#![allow(missing_docs, reason = "tests")]

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::*;
use pairlight_relay::RelayHandle;
use pairlight_wire::device::Role;
use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::relay::*;
use pairlight_wire::sign::Signed;
use tokio_tungstenite::tungstenite::Message;

const DAY_MS: u64 = 86_400_000;

/// A relay that knows an account.
async fn known(relay: &RelayHandle) -> (Account, Signed) {
    let account = Account::new(10);
    let first = account.first_list();
    assert_eq!(account.put(relay, &first).await.status, 200);
    (account, first)
}

/// Logs in with what a test made up, and hears the answer.
async fn log_in(relay: &RelayHandle, make: impl FnOnce([u8; 32]) -> Login) -> Stream {
    let mut stream = Stream::open(relay).await;
    let login = make(stream.nonce);
    stream.socket.send(&StreamRequest::Login(login)).await;
    stream
}

#[tokio::test]
async fn mail_waits_is_numbered_comes_again_until_acknowledged_and_is_stored_once() {
    let relay = relay().await;
    let (account, _) = known(&relay).await;
    let (phone, laptop) = (&account.phone, &account.laptop);

    let mut sender = account.connect(&relay, phone).await;
    for (reference, body) in [(7, b"one"), (8, b"two"), (7, b"one"), (9, b"thr")] {
        sender.posts(phone, laptop, reference, body).await;
        assert_eq!(sender.hears().await, StreamEvent::Accepted(Accepted { reference }));
    }
    let mut reader = account.connect(&relay, laptop).await;
    for expected in [(1, b"one"), (2, b"two"), (3, b"thr")] {
        assert_eq!(reader.gets().await, (expected.0, expected.1.to_vec()));
    }
    reader.acks(2).await;
    // Its own post is answered after the acknowledgement was done: a socket is served in order.
    reader.posts(laptop, phone, 1, b"back").await;
    assert_eq!(reader.hears().await, StreamEvent::Accepted(Accepted { reference: 1 }));
    assert_eq!(sender.gets().await, (1, b"back".to_vec()), "a connected device gets mail at once");
    reader.socket.close().await;

    let mut reader = account.connect(&relay, laptop).await;
    assert_eq!(reader.gets().await, (3, b"thr".to_vec()), "what was not acknowledged comes again, and only that");
    // An acknowledgement of what this socket has not seen drops nothing unseen.
    reader.acks(u64::MAX).await;
    sender.posts(phone, laptop, 10, b"four").await;
    assert_eq!(sender.hears().await, StreamEvent::Accepted(Accepted { reference: 10 }));
    assert_eq!(reader.gets().await, (4, b"four".to_vec()));
    reader.socket.stays_quiet().await;
}

#[tokio::test]
async fn more_mail_than_a_batch_comes_in_order_and_cannot_be_acknowledged_in_advance() {
    let relay = relay().await;
    let (account, _) = known(&relay).await;
    let mut sender = account.connect(&relay, &account.phone).await;
    for reference in 0..200 {
        sender.posts(&account.phone, &account.laptop, reference, &[reference as u8; 20_000]).await;
        assert_eq!(sender.hears().await, StreamEvent::Accepted(Accepted { reference }));
    }
    let make = |nonce| {
        let auth = account.laptop.auth(account.id(), nonce, relay.host(), 1);
        Login { auth, lease: Some(account.lease(&account.laptop, now() + DAY_MS)), previous: None }
    };
    let mut reader = log_in(&relay, make).await;
    // Right behind the login, so that it is read between two batches: it must not drop what was not sent yet.
    reader.acks(u64::MAX).await;
    assert_eq!(reader.hears().await, StreamEvent::Welcome(Welcome { epoch: 1 }));
    for number in 1..=200_u8 {
        assert_eq!(reader.gets().await, (number.into(), vec![number - 1; 20_000]));
    }
}

#[tokio::test]
async fn a_refused_post_is_named_and_the_socket_lives_on() {
    let relay = relay().await;
    let (account, _) = known(&relay).await;
    let (phone, laptop, stranger) = (&account.phone, &account.laptop, Device::new(99, Role::Linked));
    let mut sender = account.connect(&relay, phone).await;

    let post = |to, reference, envelope| StreamRequest::Post(PostEnvelope { to, reference, envelope });
    let to_stranger = envelope(EnvelopeKind::Application, phone, &stranger, 1, b"x");
    let in_anothers_name = envelope(EnvelopeKind::Application, laptop, phone, 1, b"x");
    let other_recipient = envelope(EnvelopeKind::Application, phone, &stranger, 1, b"x");
    for (request, reference, code) in [
        (post(stranger.id(), 21, to_stranger), 21, RefusalCode::NotFound),
        (post(phone.id(), 22, in_anothers_name), 22, RefusalCode::Protocol),
        (post(laptop.id(), 23, other_recipient), 23, RefusalCode::Protocol),
        (post(laptop.id(), 24, bytes(*b"no envelope")), 24, RefusalCode::Protocol),
    ] {
        sender.socket.send(&request).await;
        match sender.hears().await {
            StreamEvent::Refused(refused) => assert_eq!((refused.code, refused.reference), (code, Some(reference))),
            other => panic!("{other:?}"),
        }
    }
    sender.posts(phone, laptop, 25, b"fine").await;
    assert_eq!(sender.hears().await, StreamEvent::Accepted(Accepted { reference: 25 }));
}

#[tokio::test]
async fn a_full_mailbox_is_told_to_both_and_empties_by_acknowledgement() {
    let relay = relay_with(|config| config.limits.mailbox_messages = 2).await;
    let (account, _) = known(&relay).await;
    let (phone, laptop) = (&account.phone, &account.laptop);
    let mut reader = account.connect(&relay, laptop).await;
    let mut sender = account.connect(&relay, phone).await;
    for reference in [1, 2] {
        sender.posts(phone, laptop, reference, b"x").await;
        assert_eq!(sender.hears().await, StreamEvent::Accepted(Accepted { reference }));
        reader.gets().await;
    }
    sender.posts(phone, laptop, 3, b"x").await;
    for (stream, reference) in [(&mut sender, Some(3)), (&mut reader, None)] {
        match stream.hears().await {
            StreamEvent::Refused(refused) => {
                assert_eq!((refused.code, refused.reference), (RefusalCode::Overflow, reference));
            }
            other => panic!("{other:?}"),
        }
    }
    reader.acks(1).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        sender.posts(phone, laptop, 3, b"x").await;
        match sender.hears().await {
            StreamEvent::Accepted(accepted) => break assert_eq!(accepted.reference, 3, "a refused one may come again"),
            other => assert!(Instant::now() < deadline, "{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_mailbox_is_full_by_bytes_too() {
    let relay = relay_with(|config| config.limits.mailbox_bytes = 1_000).await;
    let (account, _) = known(&relay).await;
    let mut sender = account.connect(&relay, &account.phone).await;
    sender.posts(&account.phone, &account.laptop, 1, &[0; 500]).await;
    assert_eq!(sender.hears().await, StreamEvent::Accepted(Accepted { reference: 1 }));
    sender.posts(&account.phone, &account.laptop, 2, &[0; 500]).await;
    assert_eq!(sender.hears_refusal().await, RefusalCode::Overflow);
}

#[tokio::test]
async fn ephemeral_envelopes_reach_who_is_there_and_are_never_stored() {
    let relay = relay().await;
    let (account, _) = known(&relay).await;
    let (phone, laptop) = (&account.phone, &account.laptop);
    let mut sender = account.connect(&relay, phone).await;
    let typing = |reference| {
        let envelope = envelope(EnvelopeKind::Ephemeral, phone, laptop, reference, b"typing");
        StreamRequest::Post(PostEnvelope { to: laptop.id(), reference, envelope })
    };
    sender.socket.send(&typing(1)).await;
    assert_eq!(sender.hears().await, StreamEvent::Accepted(Accepted { reference: 1 }));
    let mut reader = account.connect(&relay, laptop).await;
    reader.socket.stays_quiet().await;
    sender.socket.send(&typing(2)).await;
    assert_eq!(reader.gets().await, (0, b"typing".to_vec()));
}

#[tokio::test]
async fn a_login_needs_this_socket_this_relay_and_a_listed_key() {
    let relay = relay().await;
    let (account, _) = known(&relay).await;
    let (id, phone, host) = (account.id(), &account.phone, relay.host());
    let login = |auth| Login { auth, lease: None, previous: None };

    let mut replayed = None;
    let mut stream = log_in(&relay, |nonce| {
        let auth = phone.auth(id, nonce, host, 1);
        replayed = Some(auth.clone());
        login(auth)
    })
    .await;
    assert_eq!(stream.hears().await, StreamEvent::Welcome(Welcome { epoch: 1 }));

    let mut stream = log_in(&relay, |_| login(replayed.unwrap())).await;
    stream.is_sent_away(RefusalCode::NotAllowed).await;
    let mut stream = log_in(&relay, |_| login(phone.auth(id, [3; 32], host, 1))).await;
    stream.is_sent_away(RefusalCode::NotAllowed).await;
    let mut stream = log_in(&relay, |nonce| login(phone.auth(id, nonce, "other.example", 1))).await;
    stream.is_sent_away(RefusalCode::NotAllowed).await;
    let mut stream = log_in(&relay, |nonce| {
        let mut auth = account.laptop.auth(id, nonce, host, 1);
        auth.device = phone.id();
        login(auth)
    })
    .await;
    stream.is_sent_away(RefusalCode::NotAllowed).await;
    let mut stream = log_in(&relay, |nonce| login(Device::new(99, Role::Linked).auth(id, nonce, host, 1))).await;
    stream.is_sent_away(RefusalCode::NotFound).await;
    let mut stream = log_in(&relay, |nonce| login(phone.auth(Account::new(50).id(), nonce, host, 1))).await;
    stream.is_sent_away(RefusalCode::NotFound).await;

    let mut stream = Stream::open(&relay).await;
    stream.acks(1).await;
    stream.is_sent_away(RefusalCode::Protocol).await;
    let mut stream = account.connect(&relay, &account.laptop).await;
    let again = account.laptop.auth(id, stream.nonce, host, 1);
    stream.socket.send(&StreamRequest::Login(login(again))).await;
    stream.is_sent_away(RefusalCode::Protocol).await;
}

#[tokio::test]
async fn who_does_not_log_in_in_time_is_sent_away() {
    let relay = relay_with(|config| config.limits.nonce_lifetime = Duration::from_millis(80)).await;
    let mut stream = Stream::open(&relay).await;
    stream.is_sent_away(RefusalCode::TimedOut).await;
}

#[tokio::test]
async fn a_linked_device_needs_its_own_lease_of_this_account_that_has_not_lapsed() {
    let relay = relay().await;
    let (account, _) = known(&relay).await;
    let (laptop, stranger) = (&account.laptop, Account::new(50));
    let good = account.lease(laptop, now() + DAY_MS);
    let mut bit = good.clone();
    bit.sig[0] ^= 1;
    for (name, lease, code) in [
        ("none", None, Some(RefusalCode::NotAllowed)),
        ("of another device", Some(account.lease(&account.phone, now() + DAY_MS)), Some(RefusalCode::NotAllowed)),
        ("by a foreign ops key", Some(stranger.lease(laptop, now() + DAY_MS)), Some(RefusalCode::NotAllowed)),
        ("one bit", Some(bit), Some(RefusalCode::NotAllowed)),
        ("lapsed", Some(account.lease(laptop, now() - DAY_MS - 5_000)), Some(RefusalCode::LeaseExpired)),
        ("within the grace", Some(account.lease(laptop, now() - DAY_MS + 60_000)), None),
        ("good", Some(good), None),
    ] {
        let make = |nonce| Login { auth: laptop.auth(account.id(), nonce, relay.host(), 1), lease, previous: None };
        let mut stream = log_in(&relay, make).await;
        match code {
            Some(code) => stream.is_sent_away(code).await,
            None => assert_eq!(stream.hears().await, StreamEvent::Welcome(Welcome { epoch: 1 }), "{name}"),
        }
    }
}

#[tokio::test]
async fn a_lease_that_ends_is_announced_and_then_closes_the_socket() {
    let ahead = Arc::new(AtomicU64::new(0));
    let clock = ahead.clone();
    let relay = relay_with(|config| {
        config.clock = Arc::new(move || now() + clock.load(Ordering::SeqCst));
        config.limits.lease_notice = Duration::from_millis(300);
        config.limits.lease_grace = Duration::from_millis(200);
    })
    .await;
    let (account, _) = known(&relay).await;
    let not_after = now() + 400;
    let make = |nonce| {
        let auth = account.laptop.auth(account.id(), nonce, relay.host(), 1);
        Login { auth, lease: Some(account.lease(&account.laptop, not_after)), previous: None }
    };
    let mut stream = log_in(&relay, make).await;
    assert_eq!(stream.hears().await, StreamEvent::Welcome(Welcome { epoch: 1 }));
    assert_eq!(stream.hears().await, StreamEvent::LeaseExpiring(LeaseExpiring { not_after }));
    stream.is_sent_away(RefusalCode::LeaseExpired).await;
    assert!(now() >= not_after + 200, "not before the grace is over");
    // A clock that jumped ahead lets nobody in.
    ahead.store(90 * DAY_MS, Ordering::SeqCst);
    let make = |nonce| {
        let auth = account.laptop.auth(account.id(), nonce, relay.host(), 1);
        Login { auth, lease: Some(account.lease(&account.laptop, now() + DAY_MS)), previous: None }
    };
    log_in(&relay, make).await.is_sent_away(RefusalCode::LeaseExpired).await;
}

#[tokio::test]
async fn a_renewed_lease_keeps_the_socket_and_one_that_is_not_valid_closes_it() {
    let relay = relay_with(|config| {
        config.limits.lease_notice = Duration::from_millis(100);
        config.limits.lease_grace = Duration::from_millis(100);
    })
    .await;
    let (account, _) = known(&relay).await;
    let (account, relay) = (&account, &relay);
    let login = |not_after: u64| {
        move |nonce| {
            let auth = account.laptop.auth(account.id(), nonce, relay.host(), 1);
            Login { auth, lease: Some(account.lease(&account.laptop, not_after)), previous: None }
        }
    };
    let not_after = now() + 300;
    let mut stream = log_in(relay, login(not_after)).await;
    assert_eq!(stream.hears().await, StreamEvent::Welcome(Welcome { epoch: 1 }));
    let lease = account.lease(&account.laptop, now() + DAY_MS);
    stream.socket.send(&StreamRequest::Renew(RenewLease { lease })).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    stream.posts(&account.laptop, &account.phone, 1, b"beyond the end of the first").await;
    let accepted = loop {
        match stream.hears().await {
            StreamEvent::LeaseExpiring(_) => {}
            other => break other,
        }
    };
    assert_eq!(accepted, StreamEvent::Accepted(Accepted { reference: 1 }));
    let lease = account.lease(&account.phone, now() + DAY_MS);
    stream.socket.send(&StreamRequest::Renew(RenewLease { lease })).await;
    stream.is_sent_away(RefusalCode::NotAllowed).await;
}

#[tokio::test]
async fn a_device_whose_certificate_ended_stays_out_whatever_its_lease_says() {
    let relay = relay().await;
    let mut account = Account::new(10);
    account.laptop.not_after = now() - DAY_MS - 5_000;
    assert_eq!(account.put(&relay, &account.first_list()).await.status, 200);
    let make = |nonce| {
        let auth = account.laptop.auth(account.id(), nonce, relay.host(), 1);
        Login { auth, lease: Some(account.lease(&account.laptop, now() + DAY_MS)), previous: None }
    };
    log_in(&relay, make).await.is_sent_away(RefusalCode::LeaseExpired).await;
}

#[tokio::test]
async fn a_program_that_comes_back_is_no_second_one() {
    let relay = relay().await;
    let (account, _) = known(&relay).await;
    let mut phone = account.connect(&relay, &account.phone).await;
    let (mut nonces, mut open) = (Vec::new(), Vec::new());
    for round in 0..3 {
        // The second names the nonce of the first; the third one that is no longer current.
        let previous = nonces.first().copied();
        let make = |nonce| {
            nonces.push(nonce);
            let auth = account.laptop.auth(account.id(), nonce, relay.host(), 1);
            Login { auth, lease: Some(account.lease(&account.laptop, now() + DAY_MS)), previous }
        };
        let mut stream = log_in(&relay, make).await;
        assert_eq!(stream.hears().await, StreamEvent::Welcome(Welcome { epoch: 1 }));
        stream.posts(&account.laptop, &account.phone, round, b"mail").await;
        if round == 2 {
            let device = account.laptop.id();
            assert_eq!(phone.hears().await, StreamEvent::Duplicate(DuplicateSocket { device, ago_ms: 0 }));
        }
        assert_eq!(phone.gets().await.1, b"mail");
        open.push(stream);
    }
}

#[tokio::test]
async fn a_second_socket_of_a_device_replaces_the_first_and_the_primary_device_is_told() {
    let relay = relay().await;
    let (account, _) = known(&relay).await;
    let mut phone = account.connect(&relay, &account.phone).await;
    let mut first = account.connect(&relay, &account.laptop).await;
    let mut second = account.connect(&relay, &account.laptop).await;
    first.is_sent_away(RefusalCode::Duplicate).await;
    let device = account.laptop.id();
    assert_eq!(phone.hears().await, StreamEvent::Duplicate(DuplicateSocket { device, ago_ms: 0 }));
    phone.posts(&account.phone, &account.laptop, 1, b"still here").await;
    assert_eq!(second.gets().await.1, b"still here", "the place of the newer socket survives the end of the older");
}

#[tokio::test]
async fn a_primary_device_that_was_away_hears_at_its_next_login_that_a_device_was_connected_twice() {
    let relay = relay().await;
    let (account, _) = known(&relay).await;
    let other = Account::new(40);
    assert_eq!(other.put(&relay, &other.first_list()).await.status, 200);
    let mut first = account.connect(&relay, &account.laptop).await;
    let mut second = account.connect(&relay, &account.laptop).await;
    first.is_sent_away(RefusalCode::Duplicate).await;
    let _third = account.connect(&relay, &account.laptop).await;
    second.is_sent_away(RefusalCode::Duplicate).await;
    let mut stranger = other.connect(&relay, &other.phone).await;
    let mut phone = account.connect(&relay, &account.phone).await;
    let device = account.laptop.id();
    for _ in 0..2 {
        // How long ago, by the relay's clock.
        let heard = phone.hears().await;
        let StreamEvent::Duplicate(told) = &heard else { panic!("{heard:?}") };
        assert!(told.device == device && told.ago_ms < DAY_MS, "{told:?}");
    }
    // Once: what it hears next, and what it hears of after it was away again, is mail.
    phone.posts(&account.phone, &account.phone, 1, b"to itself").await;
    assert_eq!(phone.hears().await, StreamEvent::Accepted(Accepted { reference: 1 }));
    drop(phone);
    let mut again = account.connect(&relay, &account.phone).await;
    assert_eq!(again.gets().await.1, b"to itself");
    stranger.posts(&other.phone, &other.phone, 1, b"nothing but this").await;
    assert_eq!(stranger.hears().await, StreamEvent::Accepted(Accepted { reference: 1 }));
}

#[tokio::test]
async fn a_revocation_closes_the_device_within_a_second_and_drops_its_mail() {
    let relay = relay().await;
    let (account, first) = known(&relay).await;
    let (phone, laptop) = (&account.phone, &account.laptop);
    let mut sender = account.connect(&relay, phone).await;
    let mut removed = account.connect(&relay, laptop).await;
    sender.posts(phone, laptop, 1, b"x").await;
    assert_eq!(sender.hears().await, StreamEvent::Accepted(Accepted { reference: 1 }));
    removed.gets().await;

    let second = account.list(Some(&first), &[phone], &[laptop], &account.ops);
    let started = Instant::now();
    assert_eq!(account.put(&relay, &second).await.status, 200);
    removed.is_sent_away(RefusalCode::Removed).await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(sender.hears().await, StreamEvent::ListChanged(ListChanged { epoch: 2 }));
    sender.posts(phone, laptop, 2, b"too late").await;
    assert_eq!(sender.hears_refusal().await, RefusalCode::NotFound);
}

#[tokio::test]
async fn bad_frames_close_the_stream_with_their_reason() {
    let relay = relay().await;
    let (account, _) = known(&relay).await;
    for (frame, code) in [
        (Message::Binary(b"\xff".to_vec().into()), RefusalCode::Protocol),
        (Message::Text("hello".into()), RefusalCode::Protocol),
        (Message::Binary(vec![0; 70_000].into()), RefusalCode::TooLarge),
    ] {
        let mut stream = Stream::open(&relay).await;
        stream.socket.send_raw(frame.clone()).await;
        stream.is_sent_away(code).await;
        let mut stream = account.connect(&relay, &account.phone).await;
        stream.socket.send_raw(frame).await;
        stream.is_sent_away(code).await;
    }
}
