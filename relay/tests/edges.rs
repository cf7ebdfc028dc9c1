//! What holds for every call: bad bodies, headers, slow and greedy callers, and the end of the relay.
#![allow(missing_docs, reason = "tests")]

mod harness;

use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::*;
use pairlight_relay::store::MemoryStore;
use pairlight_relay::{Quota, Relay, RelayConfig, RelayHandle};
use pairlight_wire::Wire;
use pairlight_wire::device::Role;
use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::relay::*;
use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

/// Every way to spoil `body` by one bit flip per byte, a cut, a trailing byte, or a length that lies.
fn mutations(body: &[u8]) -> Vec<Vec<u8>> {
    let mut bad = Vec::new();
    for at in 0..body.len() {
        let mut flipped = body.to_vec();
        flipped[at] ^= 1 << (at % 8);
        bad.push(flipped);
        let mut lying = body.to_vec();
        lying[at] = 0xff;
        bad.push(lying);
        bad.push(body[..at].to_vec());
    }
    bad.push([body, &[0]].concat());
    bad
}

/// At most this many of the mutations, spread evenly: every one costs a connection or an answer.
fn some(all: Vec<Vec<u8>>, most: usize) -> impl Iterator<Item = Vec<u8>> {
    let step = all.len().div_ceil(most).max(1);
    all.into_iter().step_by(step)
}

#[tokio::test]
async fn no_mutated_body_breaks_an_http_call() {
    let relay = relay().await;
    let account = Account::new(10);
    let first = account.first_list();
    account.put(&relay, &first).await;
    let second = account.list(Some(&first), &[&account.phone], &[&account.laptop], &account.root);
    let mut laptop = Shower::show(&relay, slot(1)).await;
    let phone = Claimer::claim(&relay, slot(1)).await;
    laptop.hears().await;

    let token = format!("Bearer {}", hex::encode(phone.token));
    let messages = format!("/v1/link/{}/msgs", slot(1).to_hex());
    let list = format!("/v1/accounts/{}/list", account.id().to_hex());
    let publish = PublishList { list: second.clone(), ops: account.ops_cert() }.encode();
    let message = SlotMessage { seq: 0, body: bytes(*b"message") }.encode();
    let client = client();
    for (method, path, body, most) in [(Method::POST, &messages, message, 100), (Method::PUT, &list, publish, 250)] {
        for bad in some(mutations(&body), most) {
            let answer =
                call_as(&client, &relay, method.clone(), path, &[("authorization", &token)], bad.clone()).await;
            // Some flips make another valid message; everything else is refused in the caller's words.
            if answer.status >= 300 {
                let refusal = answer.refusal();
                assert!((400..500).contains(&answer.status), "{refusal:?} {}", hex::encode(bad));
            }
        }
    }
    let nonce = call(&relay, Method::POST, "/v1/challenge", &[], []).await.read::<Challenge>().nonce;
    let auth = account.phone.auth(account.id(), nonce, relay.host(), 1).encode();
    for bad in some(mutations(&auth), 100) {
        let header = format!("Pairlight {}", hex::encode(&bad));
        let answer = call_as(&client, &relay, Method::GET, &list, &[("authorization", &header)], []).await;
        assert!((400..500).contains(&answer.status), "{} {}", answer.status, hex::encode(bad));
    }
    let fresh = account.chain(&relay, &account.phone, 1).await.read::<ListChain>();
    assert!(fresh.lists.as_slice().starts_with(std::slice::from_ref(&first)), "the relay is well");
}

#[tokio::test]
async fn no_mutated_frame_breaks_a_socket() {
    let relay = relay().await;
    let account = Account::new(10);
    account.put(&relay, &account.first_list()).await;
    let (phone, laptop) = (&account.phone, &account.laptop);
    let open = LinkRequest::Open(OpenSlot { slot: slot(1), offer_ct: bytes(*b"offer") }).encode();
    let cancel = LinkRequest::Cancel(CancelSlot { slot: slot(1), reason: EndReason::Cancelled }).encode();
    let send = LinkRequest::Send(SlotSend { slot: slot(1), seq: 0, body: bytes(*b"m") }).encode();
    let envelope = envelope(EnvelopeKind::Application, phone, laptop, 1, b"body");
    let post = StreamRequest::Post(PostEnvelope { to: laptop.id(), reference: 1, envelope }).encode();
    let login = Login { auth: phone.auth(account.id(), [1; 32], relay.host(), 1), lease: None, previous: None };
    let login = StreamRequest::Login(login).encode();
    for (logged_in, path, frame) in [
        (false, "/v1/link", open),
        (false, "/v1/link", cancel),
        (false, "/v1/link", send),
        (true, "/v1/stream", post),
        (false, "/v1/stream", login),
    ] {
        let mut socket = None;
        for bad in some(mutations(&frame), 40) {
            let mut open = match socket.take() {
                Some(open) => open,
                None if logged_in => account.connect(&relay, phone).await.socket,
                None => Socket::open(&relay, path).await,
            };
            open.send_raw(Message::Binary(bad.clone().into())).await;
            // The answer to a ping comes after the answer to the frame; a closed socket says why first.
            open.send_raw(Message::Ping(b"well?".to_vec().into())).await;
            let mut frames = 0;
            match open.until_pong(|_| frames += 1).await {
                None => socket = Some(open),
                Some(code) => {
                    let code = RefusalCode::from_close_code(code).unwrap_or_else(|| panic!("{code} {bad:02x?}"));
                    assert_ne!(code, RefusalCode::Unavailable, "{}", hex::encode(bad));
                    assert!(frames >= 1, "a reason comes before the close");
                }
            }
        }
    }
    Shower::show(&relay, slot(200)).await;
    account.connect(&relay, phone).await;
}

#[tokio::test]
async fn every_answer_says_no_store_and_unknown_calls_are_refusals() {
    let relay = relay().await;
    let health = call(&relay, Method::GET, "/healthz", &[], []).await;
    assert_eq!((health.status, health.body.as_slice()), (200, b"ok\n".as_slice()));
    assert_eq!(health.headers["x-content-type-options"], "nosniff");
    let info: RelayInfo = call(&relay, Method::GET, "/v1/relay", &[], []).await.read();
    assert_eq!((info.host.as_str(), info.attestation_pk), (relay.host(), relay.attestation_pk()));
    // `call` looks at Cache-Control.
    for (method, path, code) in [
        (Method::GET, "/", RefusalCode::NotFound),
        (Method::GET, "/v1/push", RefusalCode::NotFound),
        (Method::GET, "/v1/blobs/00", RefusalCode::Protocol),
        (Method::GET, "/v1/blobs/%ff", RefusalCode::Protocol),
        (Method::DELETE, "/v1/challenge", RefusalCode::Protocol),
        (Method::GET, "/v1/link", RefusalCode::Protocol),
        (Method::GET, "/v1/stream", RefusalCode::Protocol),
        (Method::POST, "/v1/link/zz/claim", RefusalCode::Protocol),
        (Method::POST, "/v1/link/%ff/claim", RefusalCode::Protocol),
    ] {
        assert_eq!(call(&relay, method, path, &[], []).await.refusal(), code, "{path}");
    }
    let body = vec![0; 1];
    assert_eq!(call(&relay, Method::POST, "/v1/challenge", &[], body).await.refusal(), RefusalCode::TooLarge);
    let path = format!("/v1/link/{}/msgs?from=-1", slot(1).to_hex());
    let token = [("authorization", "Bearer 00000000000000000000000000000000")];
    assert_eq!(call(&relay, Method::GET, &path, &token, []).await.refusal(), RefusalCode::Protocol);
}

#[tokio::test]
async fn a_caller_that_does_not_finish_its_body_is_told_and_dropped() {
    let relay = relay_with(|config| config.limits.stall = Duration::from_millis(100)).await;
    let mut stream = TcpStream::connect(relay.local_addr()).await.unwrap();
    let path = format!("/v1/accounts/{}/list", Account::new(10).id().to_hex());
    let head = format!("PUT {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\nhalf");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_and_a_busy_one_is_not() {
    let relay = relay_with(|config| {
        config.limits.idle = Duration::from_millis(250);
        config.limits.ping_every = Duration::from_millis(80);
    })
    .await;
    let mut laptop = Shower::show(&relay, slot(1)).await;
    let started = Instant::now();
    let mut silent = TcpStream::connect(relay.local_addr()).await.unwrap();
    let mut unfinished = TcpStream::connect(relay.local_addr()).await.unwrap();
    unfinished.write_all(b"GET /healthz HT").await.unwrap();
    let closing = async {
        for stream in [&mut silent, &mut unfinished] {
            let read = timeout(PATIENCE, stream.read(&mut [0; 16])).await.expect("still open");
            assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
        }
        assert!(started.elapsed() >= Duration::from_millis(150));
    };
    // The socket only answers pings meanwhile, and outlives the idle time by far.
    tokio::join!(closing, laptop.0.stays_quiet_but_answers(Duration::from_millis(600)));
    laptop.opens(slot(2)).await;
}

#[tokio::test]
async fn a_device_that_answers_no_ping_is_closed() {
    let relay = relay_with(|config| config.limits.ping_every = Duration::from_millis(50)).await;
    // A client that upgrades by hand and then keeps silent.
    let mut stream = TcpStream::connect(relay.local_addr()).await.unwrap();
    let request = format!("ws://{}/v1/link", relay.local_addr()).into_client_request().unwrap();
    let key = request.headers()["sec-websocket-key"].to_str().unwrap();
    let head = format!(
        "GET /v1/link HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: {key}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut everything = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut everything)).await.expect("still open").unwrap();
    let close = [0x88, 2, (4408 >> 8) as u8, (4408 & 0xff) as u8];
    assert!(everything.starts_with(b"HTTP/1.1 101"));
    assert!(everything.windows(4).any(|window| window == close), "a close with 4408");
}

#[tokio::test]
async fn one_network_does_not_take_all_connections_and_gets_its_places_back() {
    let relay = relay_with(|config| config.limits.connections_per_network = 2).await;
    let first = TcpStream::connect(relay.local_addr()).await.unwrap();
    let _second = Shower::show(&relay, slot(1)).await;
    let mut third = TcpStream::connect(relay.local_addr()).await.unwrap();
    let read = timeout(PATIENCE, third.read(&mut [0; 1])).await.expect("it is not held");
    assert!(matches!(read, Ok(0) | Err(_)), "closed at once: {read:?}");

    let neighbour = reqwest::Client::builder().no_proxy().local_address(std::net::IpAddr::from([127, 0, 0, 2]));
    drop(client());
    let neighbour = neighbour.build().unwrap();
    assert_eq!(call_as(&neighbour, &relay, Method::GET, "/healthz", &[], []).await.status, 200);

    drop(first);
    let deadline = Instant::now() + PATIENCE;
    while client().get(format!("{}/healthz", relay.url())).send().await.is_err() {
        assert!(Instant::now() < deadline, "its place stays taken");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_full_relay_lets_the_next_one_in_when_somebody_leaves() {
    let relay = relay_with(|config| config.limits.connections = 1).await;
    let first = Shower::show(&relay, slot(1)).await;
    let url = format!("{}/healthz", relay.url());
    let client = client();
    let waiting = client.get(&url).send();
    tokio::pin!(waiting);
    assert!(timeout(Duration::from_millis(80), &mut waiting).await.is_err(), "it waits outside");
    first.0.close().await;
    assert_eq!(timeout(PATIENCE, waiting).await.unwrap().unwrap().status(), 200);
}

async fn busy_relay() -> (RelayHandle, Shower, Stream) {
    let relay = relay().await;
    let account = Account::new(10);
    account.put(&relay, &account.first_list()).await;
    let laptop = Shower::show(&relay, slot(1)).await;
    let stream = account.connect(&relay, &account.phone).await;
    (relay, laptop, stream)
}

/// A relay in a runtime of its own, so that its tasks can be counted.
#[test]
fn shutdown_tells_every_socket_ends_every_wait_and_leaves_no_task() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let clients = tokio::runtime::Runtime::new().unwrap();
    let relay = runtime.block_on(async { Relay::spawn(RelayConfig::default()).await.unwrap() });
    let address = relay.local_addr();
    let account = Account::new(10);
    let (laptop, stream, idle, poll) = clients.block_on(async {
        account.put(&relay, &account.first_list()).await;
        let mut laptop = Shower::show(&relay, slot(1)).await;
        let stream = account.connect(&relay, &account.phone).await;
        let idle = TcpStream::connect(address).await.unwrap();
        let phone = Claimer::claim(&relay, slot(1)).await;
        laptop.hears().await;
        let token = format!("Bearer {}", hex::encode(phone.token));
        let url = format!("{}/v1/link/{}/msgs?from=0", relay.url(), slot(1).to_hex());
        // The poll has begun when its head was read; a byte more would be an answer.
        let poll = tokio::spawn(client().get(url).header("authorization", token).send());
        tokio::time::sleep(Duration::from_millis(50)).await;
        (laptop, stream, idle, poll)
    });
    assert!(runtime.metrics().num_alive_tasks() >= 5, "server, sweeper, and the connections");

    let started = Instant::now();
    let told = clients.spawn(async move {
        let (mut laptop, mut stream) = (laptop, stream);
        laptop.is_sent_away(RefusalCode::Unavailable).await;
        stream.is_sent_away(RefusalCode::Unavailable).await;
        assert_eq!(poll.await.unwrap().unwrap().status(), 503);
        drop(idle);
    });
    runtime.block_on(relay.shutdown());
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    clients.block_on(told).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while runtime.metrics().num_alive_tasks() > 0 {
        assert!(Instant::now() < deadline, "{} tasks live on", runtime.metrics().num_alive_tasks());
        std::thread::yield_now();
    }
    assert!(clients.block_on(TcpStream::connect(address)).is_err(), "nobody listens");
}

#[tokio::test]
async fn shutdown_does_not_wait_for_who_does_not_leave() {
    let (relay, _link, mut sender) = busy_relay().await;
    let account = Account::new(10);
    let (phone, laptop) = (&account.phone, &account.laptop);
    let _deaf = account.connect(&relay, laptop).await;
    // Its buffers are full, so the relay waits to say goodbye, for longer than the shutdown may take.
    for reference in 0..400 {
        let envelope = envelope(EnvelopeKind::Ephemeral, phone, laptop, reference, &[7; 60_000]);
        sender.socket.send(&StreamRequest::Post(PostEnvelope { to: laptop.id(), reference, envelope })).await;
        assert_eq!(sender.hears().await, StreamEvent::Accepted(Accepted { reference }));
    }
    let started = Instant::now();
    timeout(Duration::from_secs(4), relay.shutdown()).await.expect("it waits for ever");
    assert!(started.elapsed() >= Duration::from_millis(500), "they had a moment");
}

#[tokio::test]
async fn a_dropped_handle_stops_the_relay() {
    let (relay, mut laptop, _stream) = busy_relay().await;
    let address = relay.local_addr();
    drop(relay);
    while !matches!(laptop.0.hear::<LinkEvent>().await, Heard::Closed(_)) {}
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).await.is_ok() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_address_that_is_taken_or_a_host_that_is_none_is_an_error() {
    let relay = relay().await;
    let taken = Relay::spawn(RelayConfig::new(relay.local_addr())).await;
    assert!(matches!(taken, Err(pairlight_relay::RelayError::Listen { .. })));
    let nameless = Relay::spawn(RelayConfig { host: Some(String::new()), ..RelayConfig::default() }).await;
    assert!(matches!(nameless, Err(pairlight_relay::RelayError::Host)));
}

#[tokio::test]
async fn what_a_device_does_not_read_is_dropped_and_holds_nobody_up() {
    let relay = relay_with(|config| config.limits.stall = Duration::from_millis(200)).await;
    let account = Account::new(10);
    account.put(&relay, &account.first_list()).await;
    let (phone, laptop) = (&account.phone, &account.laptop);
    let mut sender = account.connect(&relay, phone).await;
    let mut deaf = account.connect(&relay, laptop).await;
    // Much more than the buffers of both systems hold, sent while nobody reads.
    for reference in 0..400 {
        let envelope = envelope(EnvelopeKind::Ephemeral, phone, laptop, reference, &[7; 60_000]);
        sender.socket.send(&StreamRequest::Post(PostEnvelope { to: laptop.id(), reference, envelope })).await;
        assert_eq!(sender.hears().await, StreamEvent::Accepted(Accepted { reference }), "the sender is not held up");
    }
    // What the systems buffered is still there and a few that waited; the rest was not kept. Stored mail marks the end.
    sender.posts(phone, laptop, 900, b"the end").await;
    assert_eq!(sender.hears().await, StreamEvent::Accepted(Accepted { reference: 900 }));
    let mut read = 0;
    while let Heard::Frame(event) = deaf.socket.hear::<StreamEvent>().await {
        match event {
            StreamEvent::Deliver(deliver) if deliver.number == 0 => read += 1,
            StreamEvent::Deliver(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(read < 300, "{read} of 400 were kept for somebody who does not read");
    let stranger = Device::new(99, Role::Linked);
    sender.posts(phone, &stranger, 1_000, b"x").await;
    assert_eq!(sender.hears_refusal().await, RefusalCode::NotFound);
}

#[tokio::test]
async fn ready_means_that_a_link_works_even_where_callers_have_no_attempt_left() {
    let none = Quota::one(1, Duration::from_secs(3_600));
    let relay = relay_with(|config| {
        config.limits.opens = none.clone();
        config.limits.claims = none.clone();
        config.limits.publishes = none.clone();
        config.limits.challenges = none.clone();
    })
    .await;
    for _ in 0..3 {
        let ready = call(&relay, Method::GET, "/readyz", &[], []).await;
        let words = String::from_utf8(ready.body).unwrap();
        assert!(ready.status == 200 && words.starts_with("ready: linked in "), "{words}");
    }
    // Who does not know the secret is counted.
    let headers = [("pairlight-probe", "00000000000000000000000000000000")];
    let challenge = || call(&relay, Method::POST, "/v1/challenge", &headers, []);
    assert_eq!(challenge().await.status, 200);
    assert_eq!(challenge().await.refusal(), RefusalCode::RateLimited);
}

#[tokio::test]
async fn a_relay_that_cannot_store_is_alive_and_not_ready_and_says_which_step_fails() {
    let relay = relay_with(|config| config.store = Some(Arc::new(MemoryStore::new(100)))).await;
    assert_eq!(call(&relay, Method::GET, "/healthz", &[], []).await.status, 200);
    let ready = call(&relay, Method::GET, "/readyz", &[], []).await;
    let words = String::from_utf8(ready.body).unwrap();
    assert!(ready.status == 503 && words.contains("PUT list"), "{words}");
}
