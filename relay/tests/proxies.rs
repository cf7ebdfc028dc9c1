//! Behind a real nginx and a real HAProxy, configured as `relay/deploy` says.
#![cfg(unix)]
#![allow(missing_docs, reason = "tests")]

mod harness;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harness::*;
use pairlight_relay::RelayHandle;
use pairlight_wire::Wire;
use pairlight_wire::context::{IpNet, OwnContext, RelayContext};
use pairlight_wire::relay::*;
use reqwest::Method;

const ID: &str = "bb02030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";

/// A relay that trusts this machine as its proxy, behind one.
struct Behind {
    proxy: Child,
    url: String,
    relay: RelayHandle,
    _folder: tempfile::TempDir,
}

impl At for Behind {
    fn url(&self) -> String {
        self.url.clone()
    }
    fn host(&self) -> &str {
        self.relay.host()
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        // nginx ends its workers on this signal; a kill would leave them.
        let _ = Command::new("kill").args(["-TERM", &self.proxy.id().to_string()]).status();
        let _ = self.proxy.wait();
    }
}

/// Whether the program is there; otherwise says that the test is skipped.
fn have(program: &str) -> bool {
    let found = Command::new(program).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        println!("skipped: no {program}; Debian has it as a package");
    }
    found
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn deploy(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)).unwrap()
}

async fn start(change: impl FnOnce(&mut pairlight_relay::RelayConfig)) -> (RelayHandle, u16, tempfile::TempDir) {
    let relay = relay_with(|config| {
        config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        change(config);
    })
    .await;
    (relay, free_port(), tempfile::tempdir().unwrap())
}

/// Waits until the proxy listens.
async fn reached(proxy: Child, prefix: &str, port: u16, relay: RelayHandle, folder: tempfile::TempDir) -> Behind {
    let behind = Behind { proxy, url: format!("http://127.0.0.1:{port}{prefix}"), relay, _folder: folder };
    for _ in 0..500 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return behind;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the proxy does not listen");
}

/// nginx with our lines of configuration, after `change`, under a path prefix.
async fn nginx(change: impl Fn(String) -> String, config: impl FnOnce(&mut pairlight_relay::RelayConfig)) -> Behind {
    let (relay, port, folder) = start(config).await;
    let to = format!("http://{}/", relay.local_addr());
    let location = deploy("nginx.conf").replace("location / {", "location /relay/ {");
    let location = change(location.replace("http://127.0.0.1:8787;", &format!("{to};")));
    let path = folder.path().display();
    let text = format!(
        "pid {path}/pid; error_log {path}/errors; daemon off; worker_processes 1;\nevents {{}}\nhttp {{ access_log off;\n\
         client_body_temp_path {path}/b; proxy_temp_path {path}/p; fastcgi_temp_path {path}/f; uwsgi_temp_path {path}/u;\n\
         scgi_temp_path {path}/s; server {{ listen 127.0.0.1:{port};\n{location}\n}} }}\n"
    );
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-c").arg(&file).arg("-p").arg(folder.path()).stderr(Stdio::null());
    reached(command.spawn().unwrap(), "/relay", port, relay, folder).await
}

async fn haproxy(change: impl Fn(String) -> String) -> Behind {
    let (relay, port, folder) = start(|_| {}).await;
    let text = deploy("haproxy.cfg").replace("127.0.0.1:80\n", &format!("127.0.0.1:{port}\n"));
    let text = change(text.replace("127.0.0.1:8787", &relay.local_addr().to_string()));
    let file = folder.path().join("haproxy.cfg");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
    reached(command.spawn().unwrap(), "", port, relay, folder).await
}

/// A whole link, mail and a blob, through the proxy.
async fn everything_works(behind: &Behind) {
    let mut shower = Shower::open(behind).await;
    let opened = shower.opens(slot(1)).await;
    let context = RelayContext::decode(opened.context.payload.as_slice()).unwrap();
    assert_eq!(context.ip_net, IpNet::from("127.0.0.1".parse::<std::net::IpAddr>().unwrap()), "whom the proxy saw");
    let claimer = Claimer::claim(behind, slot(1)).await;
    assert_eq!(shower.hears().await, LinkEvent::Claimed(SlotClaimed { slot: slot(1) }));
    assert_eq!(claimer.send(0, b"m1").await.status, 204);
    assert!(matches!(shower.hears().await, LinkEvent::Msg(message) if message.body.as_slice() == b"m1"));
    shower.sends(slot(1), 0, b"m2").await;
    let messages: SlotMessages = claimer.poll(0, 5_000).await.read();
    assert_eq!(messages.messages.as_slice()[0].body.as_slice(), b"m2");

    let account = Account::new(10);
    assert_eq!(account.put(behind, &account.first_list()).await.status, 200);
    let mut phone = account.connect(behind, &account.phone).await;
    let mut laptop = account.connect(behind, &account.laptop).await;
    let body = vec![7; 50_000];
    phone.posts(&account.phone, &account.laptop, 1, &body).await;
    assert_eq!(phone.hears().await, StreamEvent::Accepted(Accepted { reference: 1 }));
    assert_eq!(laptop.gets().await, (1, body));

    let token = phone.blob_token().await;
    let path = format!("/v1/blobs/{ID}");
    let blob = vec![9; 1 << 20];
    let headers = [("authorization", token.as_str()), ("upload-length", "1048576")];
    assert_eq!(call(behind, Method::PUT, &path, &headers, blob.clone()).await.status, 201);
    let range = [("authorization", token.as_str()), ("range", "bytes=5-9")];
    let part = call(behind, Method::GET, &path, &range, []).await;
    assert_eq!((part.status, part.body.as_slice()), (206, &blob[5..10]));
    assert!(call(behind, Method::GET, &path, &headers[..1], []).await.body == blob);
    assert_eq!(call(behind, Method::HEAD, &path, &headers[..1], []).await.headers["upload-offset"], "1048576");
}

/// What a caller invents is before what the proxy saw, or gone.
async fn nobody_invents_an_address(behind: &Behind) {
    let _shower = Shower::show(behind, slot(2)).await;
    // Another address of this machine: the relay does not take it for its proxy.
    let address: std::net::IpAddr = "127.9.9.9".parse().unwrap();
    client();
    let other = reqwest::Client::builder().no_proxy().local_address(address).build().unwrap();
    let path = format!("/v1/link/{}/claim", slot(2).to_hex());
    let headers = [("x-forwarded-for", "203.0.113.9")];
    let answer: ClaimAnswer = call_as(&other, behind, Method::POST, &path, &headers, []).await.read();
    let seen = OwnContext::decode(answer.own_context.payload.as_slice()).unwrap();
    assert_eq!(seen.ip_net, IpNet::from(address));
}

#[tokio::test]
async fn behind_nginx_under_a_prefix_everything_works_and_nobody_invents_an_address() {
    if !have("nginx") {
        return;
    }
    let behind = nginx(|text| text, |_| {}).await;
    everything_works(&behind).await;
    nobody_invents_an_address(&behind).await;
}

#[tokio::test]
async fn behind_haproxy_everything_works_and_nobody_invents_an_address() {
    if !have("haproxy") {
        return;
    }
    let behind = haproxy(|text| text).await;
    everything_works(&behind).await;
    nobody_invents_an_address(&behind).await;
}

#[tokio::test]
async fn pings_keep_a_proxy_from_cutting_an_idle_socket() {
    if !have("nginx") || !have("haproxy") {
        return;
    }
    let short = |text: String| text.replace("75s", "1s");
    let pings = |config: &mut pairlight_relay::RelayConfig| config.limits.ping_every = Duration::from_millis(300);
    let behind = nginx(short, pings).await;
    let mut shower = Shower::show(&behind, slot(1)).await;
    shower.0.stays_quiet_but_answers(Duration::from_millis(2_500)).await;
    shower.opens(slot(2)).await;
    // Without pings the same proxy cuts, and the relay forgets the codes at once.
    let behind = nginx(short, |_| {}).await;
    let mut shower = Shower::show(&behind, slot(1)).await;
    assert_eq!(shower.0.hear::<LinkEvent>().await, Heard::Closed(0));
    assert_eq!(claim(&behind, slot(1)).await.refusal(), RefusalCode::NotFound);
}

#[tokio::test]
async fn a_proxy_that_nobody_named_is_refused_with_words_for_its_operator() {
    if !have("nginx") {
        return;
    }
    let behind = nginx(|text| text, |config| config.trusted_proxies.clear()).await;
    let answer = call(&behind, Method::GET, "/v1/relay", &[], []).await;
    assert_eq!(answer.refusal(), RefusalCode::NotAllowed);
    let refused = Refused::decode(&answer.body).unwrap();
    assert!(refused.words.as_str().contains("proxy"), "{:?}", refused.words);
}
