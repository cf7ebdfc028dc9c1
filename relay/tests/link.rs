//! Link slots over real sockets.
#![allow(missing_docs, reason = "tests")]

mod harness;

use std::time::{Duration, Instant};

use harness::*;
use pairlight_relay::{Limits, Place, PlaceTable, Quota, RelayHandle};
use pairlight_wire::Wire;
use pairlight_wire::context::{IpNet, OwnContext, RelayContext};
use pairlight_wire::hash::sha256;
use pairlight_wire::id::SlotId;
use pairlight_wire::offer::ClientKind;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::relay::*;
use pairlight_wire::sign::SigningContext;
use reqwest::Method;
use tokio_tungstenite::tungstenite::{self, Message};

/// A claimed slot and both its devices.
async fn paired(relay: &RelayHandle, id: SlotId) -> (Shower, Claimer<'_>) {
    let mut laptop = Shower::show(relay, id).await;
    let phone = Claimer::claim(relay, id).await;
    assert_eq!(laptop.hears().await, LinkEvent::Claimed(SlotClaimed { slot: id }));
    (laptop, phone)
}

async fn poll(phone: &Claimer<'_>, from: u64) -> SlotMessages {
    phone.poll(from, 4_000).await.read()
}

#[tokio::test]
async fn messages_pass_both_ways_in_order_and_repetitions_change_nothing() {
    let relay = relay().await;
    let id = slot(1);
    let (mut laptop, phone) = paired(&relay, id).await;

    assert_eq!(phone.send(0, b"m1").await.status, 204);
    assert_eq!(phone.send(0, b"m1").await.status, 204, "the answer may have been lost");
    assert_eq!(phone.send(1, b"m3").await.status, 204);
    for (seq, body) in [(0, b"m1"), (1, b"m3")] {
        assert_eq!(laptop.hears().await, LinkEvent::Msg(SlotMsg { slot: id, seq, body: bytes(*body) }));
    }
    assert_eq!(phone.send(1, b"other").await.refusal(), RefusalCode::Protocol);
    assert_eq!(phone.send(3, b"gap").await.refusal(), RefusalCode::Protocol);

    laptop.sends(id, 0, b"m2").await;
    laptop.sends(id, 0, b"m2").await;
    laptop.sends(id, 1, b"m2b").await;
    laptop.sends(id, 1, b"other").await;
    assert_eq!(laptop.hears_refusal().await, RefusalCode::Protocol);
    laptop.sends(id, 9, b"gap").await;
    assert_eq!(laptop.hears_refusal().await, RefusalCode::Protocol);

    let all = poll(&phone, 0).await;
    assert_eq!(all.messages.as_slice().iter().map(|m| m.seq).collect::<Vec<_>>(), [0, 1]);
    assert_eq!((all.ended, all.conflict), (None, false));
    assert_eq!(poll(&phone, 1).await.messages.as_slice()[0].body, bytes(*b"m2b"));
    let none: SlotMessages = phone.poll(2, 20).await.read();
    assert!(none.messages.as_slice().is_empty(), "the wait ended without news");
    relay.shutdown().await;
}

#[tokio::test]
async fn a_long_poll_wakes_when_the_message_comes() {
    let relay = relay().await;
    let (mut laptop, phone) = paired(&relay, slot(1)).await;
    let (answer, ()) = tokio::join!(phone.poll(0, 4_000), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        laptop.sends(slot(1), 0, b"late").await;
    });
    assert_eq!(answer.read::<SlotMessages>().messages.as_slice().len(), 1);
}

#[tokio::test]
async fn a_second_claim_is_refused_and_both_devices_are_told() {
    let relay = relay().await;
    let (mut laptop, phone) = paired(&relay, slot(1)).await;
    let (news, second) = tokio::join!(phone.poll(0, 4_000), claim(&relay, slot(1)));
    assert_eq!(second.refusal(), RefusalCode::Conflict);
    assert_eq!(laptop.hears().await, LinkEvent::Conflict(SlotConflict { slot: slot(1) }));
    assert!(news.read::<SlotMessages>().conflict);

    // Once told, the next poll waits for real news, but does not forget.
    assert_eq!(claim(&relay, slot(1)).await.refusal(), RefusalCode::Conflict);
    let started = Instant::now();
    assert!(phone.poll(0, 80).await.read::<SlotMessages>().conflict);
    assert!(started.elapsed() >= Duration::from_millis(70));
    laptop.0.stays_quiet().await;
}

#[tokio::test]
async fn of_many_claims_at_once_exactly_one_wins() {
    let relay = relay().await;
    let _laptop = Shower::show(&relay, slot(1)).await;
    let claims = futures_util::future::join_all((0..16).map(|_| claim(&relay, slot(1)))).await;
    assert_eq!(claims.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(claims.iter().filter(|answer| answer.status == 409).count(), 15);
}

#[tokio::test]
async fn a_code_is_gone_when_unknown_expired_cancelled_or_its_socket_closed() {
    let relay = relay_with(|config| config.limits.slot_lifetime = Duration::from_millis(150)).await;
    assert_eq!(claim(&relay, slot(9)).await.refusal(), RefusalCode::NotFound, "unknown");

    let mut laptop = Shower::open(&relay).await;
    assert_eq!(laptop.opens(slot(1)).await.ttl_ms, 150);
    let ended = |slot, reason| LinkEvent::Ended(SlotEnded { slot, reason });
    assert_eq!(laptop.hears().await, ended(slot(1), EndReason::Expired));
    let late = claim(&relay, slot(1)).await;
    assert_eq!((late.status, late.refusal()), (410, RefusalCode::Gone));
    assert!(Refused::decode(&late.body).unwrap().words.as_str().contains("too old"));

    // At a relay where none of them ends by its age meanwhile.
    let relay = harness::relay().await;
    let mut laptop = Shower::show(&relay, slot(2)).await;
    laptop.0.send(&LinkRequest::Cancel(CancelSlot { slot: slot(2), reason: EndReason::Cancelled })).await;
    laptop.opens(slot(3)).await;
    assert_eq!(claim(&relay, slot(2)).await.refusal(), RefusalCode::Gone, "cancelled");

    laptop.0.close().await;
    let deadline = Instant::now() + PATIENCE;
    // Until its close is seen the code may still be claimed; then it is gone without a trace.
    let words = loop {
        let answer = claim(&relay, slot(3)).await;
        match answer.refusal() {
            RefusalCode::NotFound => break Refused::decode(&answer.body).unwrap().words,
            other => assert!(Instant::now() < deadline, "{other:?}"),
        }
    };
    assert!(!words.as_str().is_empty());
}

#[tokio::test]
async fn reasons_reach_the_other_device() {
    let relay = relay_with(|config| config.limits.socket_grace = Duration::from_millis(100)).await;

    let (mut laptop, phone) = paired(&relay, slot(1)).await;
    assert_eq!(phone.end(EndReason::Declined.code()).await.status, 204);
    let ended = SlotEnded { slot: slot(1), reason: EndReason::Declined };
    assert_eq!(laptop.hears().await, LinkEvent::Ended(ended));
    assert_eq!(phone.end(EndReason::TimedOut.code()).await.status, 204, "ending twice is fine");
    assert_eq!(poll(&phone, 0).await.ended, Some(EndReason::Declined), "the first reason stands");
    assert_eq!(phone.send(0, b"late").await.refusal(), RefusalCode::NotFound);
    assert_eq!(claim(&relay, slot(1)).await.refusal(), RefusalCode::Gone, "used codes stay used");
    assert_eq!(phone.end(99).await.refusal(), RefusalCode::Protocol);

    let (mut laptop, phone) = paired(&relay, slot(2)).await;
    laptop.sends(slot(2), 0, b"last words").await;
    laptop.0.send(&LinkRequest::Cancel(CancelSlot { slot: slot(2), reason: EndReason::WrongCheckCode })).await;
    let deadline = Instant::now() + PATIENCE;
    let news = loop {
        let news = poll(&phone, 0).await;
        if news.ended.is_some() {
            break news;
        }
        assert!(Instant::now() < deadline);
    };
    assert_eq!(news.ended, Some(EndReason::WrongCheckCode));
    assert_eq!(news.messages.as_slice().len(), 1, "what was said before the end is not lost");

    let (laptop, phone) = paired(&relay, slot(3)).await;
    laptop.0.close().await;
    assert_eq!(poll(&phone, 0).await.ended, Some(EndReason::Unreachable));
}

#[tokio::test]
async fn a_claimed_slot_times_out_for_both_and_its_reason_is_forgotten_later() {
    let relay = relay_with(|config| {
        config.limits.claim_lifetime = Duration::from_millis(100);
        config.limits.ended_slot_memory = Duration::from_millis(300);
    })
    .await;
    let (mut laptop, phone) = paired(&relay, slot(1)).await;
    assert_eq!(poll(&phone, 0).await.ended, Some(EndReason::TimedOut));
    let ended = SlotEnded { slot: slot(1), reason: EndReason::TimedOut };
    assert_eq!(laptop.hears().await, LinkEvent::Ended(ended));
    let deadline = Instant::now() + PATIENCE;
    while phone.poll(0, 10).await.status == 200 {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(phone.poll(0, 10).await.refusal(), RefusalCode::NotFound);
}

#[tokio::test]
async fn a_foreign_token_opens_nothing() {
    let relay = relay().await;
    let (_laptop, phone) = paired(&relay, slot(1)).await;
    let _other = Shower::show(&relay, slot(2)).await;
    for (slot, token, expected) in [
        (slot(1), [0; 16], RefusalCode::NotAllowed),
        (slot(2), phone.token, RefusalCode::NotAllowed),
        (slot(3), phone.token, RefusalCode::NotFound),
    ] {
        let thief = Claimer { relay: &relay, slot, token };
        assert_eq!(thief.poll(0, 0).await.refusal(), expected);
        assert_eq!(thief.send(0, b"x").await.refusal(), expected);
        assert_eq!(thief.end(0).await.refusal(), expected);
    }
    for header in ["", "Bearer", "Bearer 00", "Basic 00000000000000000000000000000000"] {
        let path = format!("/v1/link/{}/msgs", slot(1).to_hex());
        let answer = call(&relay, Method::GET, &path, &[("authorization", header)], []).await;
        assert_eq!(answer.refusal(), RefusalCode::NotAllowed);
    }
    assert_eq!(poll_now(&phone).await.ended, None, "the slot is unharmed");
}

async fn poll_now(phone: &Claimer<'_>) -> SlotMessages {
    phone.poll(0, 0).await.read()
}

#[tokio::test]
async fn a_linked_device_reaches_only_its_own_claimed_slots() {
    let relay = relay().await;
    let (_laptop, phone) = paired(&relay, slot(1)).await;
    let mut stranger = Shower::show(&relay, slot(2)).await;
    stranger.sends(slot(1), 0, b"forged").await;
    assert_eq!(stranger.hears_refusal().await, RefusalCode::NotFound);
    stranger.0.send(&LinkRequest::Cancel(CancelSlot { slot: slot(1), reason: EndReason::Cancelled })).await;
    assert_eq!(stranger.hears_refusal().await, RefusalCode::NotFound);
    stranger.sends(slot(2), 0, b"to nobody").await;
    assert_eq!(stranger.hears_refusal().await, RefusalCode::NotAllowed);
    stranger.0.send(&LinkRequest::Open(OpenSlot { slot: slot(1), offer_ct: bytes(*b"mine") })).await;
    assert_eq!(stranger.hears_refusal().await, RefusalCode::Conflict);
    let news = poll_now(&phone).await;
    assert!(news.messages.as_slice().is_empty() && news.ended.is_none());
}

#[tokio::test]
async fn a_third_code_replaces_the_oldest_but_never_a_claimed_one() {
    let relay = relay().await;
    let mut laptop = Shower::show(&relay, slot(1)).await;
    laptop.opens(slot(2)).await;
    laptop.0.send(&LinkRequest::Open(OpenSlot { slot: slot(3), offer_ct: bytes(*b"offer") })).await;
    let ended = SlotEnded { slot: slot(1), reason: EndReason::Superseded };
    let opened = |event: &LinkEvent| matches!(event, LinkEvent::Opened(opened) if opened.slot == slot(3));
    let events = [laptop.hears().await, laptop.hears().await];
    assert!(events.contains(&LinkEvent::Ended(ended)) && events.iter().any(opened), "{events:?}");

    for id in [2, 3] {
        claim(&relay, slot(id)).await.read::<ClaimAnswer>();
        assert!(matches!(laptop.hears().await, LinkEvent::Claimed(_)));
    }
    laptop.0.send(&LinkRequest::Open(OpenSlot { slot: slot(4), offer_ct: bytes(*b"offer") })).await;
    assert_eq!(laptop.hears_refusal().await, RefusalCode::RateLimited);
}

#[tokio::test]
async fn too_large_and_too_many_are_refused() {
    let relay = relay_with(|config| config.limits.slots = 1).await;
    let (mut laptop, phone) = paired(&relay, slot(1)).await;
    let huge = [vec![0x83, 0x01, 0x00, 0x59, 0x40, 0x01], vec![7; 16 * 1024 + 1]].concat();
    let path = format!("/v1/link/{}/msgs", slot(1).to_hex());
    let token = format!("Bearer {}", hex::encode(phone.token));
    let answer = call(&relay, Method::POST, &path, &[("authorization", &token)], huge).await;
    assert_eq!(answer.refusal(), RefusalCode::TooLarge, "a byte string over its limit");
    let answer = call(&relay, Method::POST, &path, &[("authorization", &token)], vec![0; 40_000]).await;
    assert_eq!(answer.refusal(), RefusalCode::TooLarge, "a body over its limit");

    for seq in 0..32 {
        assert_eq!(phone.send(seq, b"x").await.status, 204);
        laptop.sends(slot(1), seq, b"y").await;
        laptop.hears().await;
    }
    // The last message of the laptop must have arrived before the limit is looked at.
    while poll(&phone, 31).await.messages.as_slice().is_empty() {}
    assert_eq!(phone.send(32, b"x").await.refusal(), RefusalCode::TooLarge);
    assert_eq!(phone.send(31, b"x").await.status, 204, "a repetition still is none");
    laptop.sends(slot(1), 32, b"y").await;
    assert_eq!(laptop.hears_refusal().await, RefusalCode::TooLarge);

    let mut other = Shower::open(&relay).await;
    other.0.send(&LinkRequest::Open(OpenSlot { slot: slot(2), offer_ct: bytes(*b"offer") })).await;
    assert_eq!(other.hears_refusal().await, RefusalCode::Unavailable, "all slots are taken");
}

#[tokio::test]
async fn bad_frames_close_the_socket_with_their_reason() {
    let relay = relay().await;
    let open = LinkRequest::Open(OpenSlot { slot: slot(1), offer_ct: bytes(*b"offer") }).encode();
    let cut = open[..open.len() - 1].to_vec();
    let unknown_kind = [&[0x83, 0x09], &open[2..]].concat();
    let trailing = [&open[..], &[0]].concat();
    let long_offer = [&[0x83, 0x01, 0x50], &[1; 16][..], &[0x59, 0x08, 0x01], &[7; 2049]].concat();
    for (frame, code) in [
        (Message::Binary(cut.into()), RefusalCode::Protocol),
        (Message::Binary(unknown_kind.into()), RefusalCode::Protocol),
        (Message::Binary(trailing.into()), RefusalCode::Protocol),
        (Message::Binary(Vec::new().into()), RefusalCode::Protocol),
        (Message::Text("hello".into()), RefusalCode::Protocol),
        (Message::Binary(long_offer.into()), RefusalCode::TooLarge),
        (Message::Binary(vec![0; 20_000].into()), RefusalCode::TooLarge),
    ] {
        let mut laptop = Shower::open(&relay).await;
        laptop.0.send_raw(frame).await;
        laptop.is_sent_away(code).await;
    }
    let mut laptop = Shower::open(&relay).await;
    laptop.0.send_raw(Message::Binary(vec![0; 200_000].into())).await;
    assert_eq!(laptop.0.hear::<LinkEvent>().await, Heard::Closed(0), "far too large: no words");
}

#[tokio::test]
async fn rates_hold_per_network_and_say_when_to_come_back() {
    let relay = relay_with(|config| {
        config.limits = Limits {
            opens: Quota::one(3, Duration::from_secs(60)),
            claims: Limits::public().claims,
            ..Limits::generous()
        }
    })
    .await;
    let mut laptop = Shower::open(&relay).await;
    for id in 0..3 {
        laptop.0.send(&LinkRequest::Open(OpenSlot { slot: slot(id), offer_ct: bytes(*b"o") })).await;
    }
    laptop.0.send(&LinkRequest::Open(OpenSlot { slot: slot(7), offer_ct: bytes(*b"o") })).await;
    let refused = loop {
        if let LinkEvent::Refused(refused) = laptop.hears().await {
            break refused;
        }
    };
    assert_eq!((refused.code, refused.slot), (RefusalCode::RateLimited, Some(slot(7))));
    assert!((50_000..=60_000).contains(&refused.retry_after_ms));

    for _ in 0..6 {
        assert_eq!(claim(&relay, slot(99)).await.refusal(), RefusalCode::NotFound);
    }
    let answer = claim(&relay, slot(99)).await;
    assert_eq!(answer.refusal(), RefusalCode::RateLimited);
    let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    let ms = Refused::decode(&answer.body).unwrap().retry_after_ms;
    assert!((590..=600).contains(&seconds) && ms <= seconds * 1000, "{seconds} {ms}");

    let neighbour = reqwest::Client::builder().no_proxy().local_address(std::net::IpAddr::from([127, 0, 0, 2]));
    let path = format!("/v1/link/{}/claim", slot(99).to_hex());
    let answer = call_as(&neighbour.build().unwrap(), &relay, Method::POST, &path, &[], []).await;
    assert_eq!(answer.refusal(), RefusalCode::NotFound, "another address is not counted with it");
}

/// A claim with the proof of a device.
async fn claim_as(relay: &RelayHandle, slot: SlotId, account: &Account, device: &Device) -> Answer {
    let nonce = call(relay, Method::POST, "/v1/challenge", &[], []).await.read::<Challenge>().nonce;
    let auth = device.auth(account.id(), nonce, relay.host(), 1).encode();
    let proof = format!("Pairlight {}", hex::encode(auth));
    call(relay, Method::POST, &format!("/v1/link/{}/claim", slot.to_hex()), &[("authorization", &proof)], []).await
}

#[tokio::test]
async fn claims_count_for_the_account_that_proves_itself_and_else_for_the_network() {
    let claims = Quota::one(2, Duration::from_secs(60));
    let relay = relay_with(|config| config.limits = Limits { claims, ..Limits::generous() }).await;
    let (known, other, unknown) = (Account::new(10), Account::new(20), Account::new(30));
    for account in [&known, &other] {
        assert_eq!(account.put(&relay, &account.first_list()).await.status, 200);
    }
    let tries = async |account: &Account| {
        let mut codes = Vec::new();
        for _ in 0..3 {
            codes.push(claim_as(&relay, slot(9), account, &account.phone).await.refusal());
        }
        codes
    };
    let twice = [RefusalCode::NotFound, RefusalCode::NotFound, RefusalCode::RateLimited];
    assert_eq!(tries(&known).await, twice);
    assert_eq!(tries(&other).await, twice, "each account for itself, in the same network");
    assert_eq!(tries(&unknown).await, twice, "an account that the relay does not know counts for its network,");
    assert_eq!(claim(&relay, slot(9)).await.refusal(), RefusalCode::RateLimited, "like who names no account");

    let by = async |account: &Account, device: &Device| claim_as(&relay, slot(9), account, device).await.refusal();
    assert_eq!(by(&known, &known.laptop).await, RefusalCode::NotAllowed, "a linked device does not link others");
    assert_eq!(by(&known, &other.phone).await, RefusalCode::NotAllowed, "a stranger does not count for the account");
}

#[tokio::test]
async fn three_wrong_check_codes_lock_the_account_that_claimed_and_nobody_else() {
    let relay = relay().await;
    let (known, other) = (Account::new(10), Account::new(20));
    for account in [&known, &other] {
        assert_eq!(account.put(&relay, &account.first_list()).await.status, 200);
    }
    let mut laptop = Shower::open(&relay).await;
    for id in 0..3 {
        laptop.opens(slot(id)).await;
        assert_eq!(claim_as(&relay, slot(id), &known, &known.phone).await.status, 200);
        assert_eq!(laptop.hears().await, LinkEvent::Claimed(SlotClaimed { slot: slot(id) }));
        laptop.0.send(&LinkRequest::Cancel(CancelSlot { slot: slot(id), reason: EndReason::WrongCheckCode })).await;
    }
    laptop.opens(slot(3)).await;
    let locked = claim_as(&relay, slot(3), &known, &known.phone).await;
    let refused = Refused::decode(&locked.body).unwrap();
    assert_eq!((locked.status, refused.code), (429, RefusalCode::RateLimited));
    assert!(
        (3_500_000..=3_600_000).contains(&refused.retry_after_ms) && refused.words.as_str().contains("three times")
    );
    assert_eq!(claim_as(&relay, slot(3), &other, &other.phone).await.status, 200, "the code is still there for others");
}

#[tokio::test]
async fn a_page_that_does_not_ask_for_a_socket_gets_none() {
    let relay = relay().await;
    for (mode, welcome) in [("websocket", true), ("navigate", false), ("cors", false)] {
        let opened = Socket::open_with(&relay, "/v1/link", &[("sec-fetch-mode", mode)]).await;
        assert_eq!(opened.is_ok(), welcome, "{mode}");
    }
}

#[tokio::test]
async fn contexts_are_signed_and_tell_place_page_and_program() {
    let home = Place { country: "DE".into(), city: Some("Jena".into()), asn: 680 };
    let relay = relay_with(|config| {
        config.places = std::sync::Arc::new(PlaceTable(vec![("127.0.0.1".parse().unwrap(), 32, home)]));
        config.allowed_origins = vec!["https://app.example".into()];
    })
    .await;
    let headers = [("origin", "https://app.example"), ("user-agent", "Mozilla/5.0 (X11) Gecko/20100101 Firefox/150.0")];
    let mut laptop = Shower(Socket::open_with(&relay, "/v1/link", &headers).await.unwrap());
    let opened = laptop.opens(slot(1)).await;
    let payload = opened.context.open(&relay.attestation_pk(), SigningContext::RelayContext).unwrap();
    let context = RelayContext::decode(payload).unwrap();
    assert_eq!(context.slot, slot(1));
    assert_eq!(context.offer_ct_hash, sha256(&[b"sealed offer"]));
    assert_eq!(context.origin.as_ref().unwrap().as_str(), "https://app.example");
    assert_eq!((context.ua_family.as_str(), context.client_kind), ("Firefox", ClientKind::Web));
    assert_eq!((context.ip_net, context.country.as_str(), context.asn), (IpNet::V4([127, 0, 0]), "DE", 680));
    assert!(context.issued.abs_diff(now()) < 10_000);

    let answer: ClaimAnswer = claim(&relay, slot(1)).await.read();
    assert_eq!(answer.context, opened.context, "both devices see the same bytes");
    let payload = answer.own_context.open(&relay.attestation_pk(), SigningContext::RelayContext).unwrap();
    let own = OwnContext::decode(payload).unwrap();
    assert!(own.slot == slot(1) && context.matches(&own));
    // Both are signed under one label: the kind alone keeps them apart.
    let kinds = [&answer.context, &answer.own_context].map(|signed| signed.payload.as_slice()[1]);
    assert_eq!(kinds, [1, 2]);
    assert!(OwnContext::decode(answer.context.payload.as_slice()).is_err());
    assert!(RelayContext::decode(payload).is_err());

    let mut program = Shower::open(&relay).await;
    let opened = program.opens(slot(2)).await;
    let context = RelayContext::decode(opened.context.payload.as_slice()).unwrap();
    assert_eq!((context.client_kind, context.origin), (ClientKind::Native, None));
}

#[tokio::test]
async fn pages_of_other_origins_are_turned_away() {
    let relay = relay_with(|config| config.allowed_origins = vec!["https://app.example".into()]).await;
    for (origin, welcome) in [("https://app.example", true), ("https://app.example.evil", false), ("null", false)] {
        let socket = Socket::open_with(&relay, "/v1/link", &[("origin", origin)]).await;
        match socket {
            Ok(_) => assert!(welcome, "{origin}"),
            Err(tungstenite::Error::Http(response)) => assert!(!welcome && response.status() == 403, "{origin}"),
            Err(other) => panic!("{other}"),
        }
        let answer = call(&relay, Method::GET, "/v1/relay", &[("origin", origin)], []).await;
        assert_eq!(answer.status, if welcome { 200 } else { 403 });
        assert_eq!(answer.headers.contains_key("access-control-allow-origin"), welcome);
        let preflight = call(&relay, Method::OPTIONS, "/v1/challenge", &[("origin", origin)], []).await;
        assert_eq!(preflight.status, if welcome { 204 } else { 403 });
    }
}
