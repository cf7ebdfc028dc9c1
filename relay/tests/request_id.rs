//! Who was refused has a name of the call on the screen; the operator finds it in the log.
#![allow(missing_docs, reason = "tests")]

mod harness;

use harness::program::Program;
use harness::*;
use pairlight_wire::Wire;
use pairlight_wire::relay::*;
use reqwest::Method;

/// The name in the words of a refusal.
fn named(words: &str) -> &str {
    let name = words.rsplit_once("(request ").and_then(|(_, rest)| rest.strip_suffix(')'));
    name.unwrap_or_else(|| panic!("no name of the call in {words:?}"))
}

#[tokio::test]
async fn a_refusal_has_the_name_under_which_it_stands_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let relay = Program::start_logging(&folder.path().join("data"), &log);

    // A call, a socket that is sent away, and a frame on a socket that lives on.
    let url = format!("{}/v1/link/{}/claim", relay.url(), slot(7).to_hex());
    let answer = client().request(Method::POST, url).send().await.unwrap();
    let header = answer.headers()["pairlight-request"].to_str().unwrap().to_owned();
    let refused = Refused::decode(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(named(refused.words.as_str()), header);
    let mut names = vec![header];

    let mut stream = Stream::open(&relay).await;
    stream.socket.send_raw(tokio_tungstenite::tungstenite::Message::Text("what?".into())).await;
    let StreamEvent::Refused(refused) = stream.hears().await else { panic!("not refused") };
    names.push(named(refused.words.as_str()).to_owned());

    let mut shower = Shower::open(&relay).await;
    shower.sends(slot(8), 0, b"to nobody").await;
    shower.sends(slot(9), 0, b"to nobody").await;
    for _ in 0..2 {
        let LinkEvent::Refused(refused) = shower.hears().await else { panic!("not refused") };
        names.push(named(refused.words.as_str()).to_owned());
    }
    assert_eq!(names[2], names[3], "one socket is one call");
    let answer = client().get(format!("{}/healthz", relay.url())).send().await.unwrap();
    names.push(answer.headers()["pairlight-request"].to_str().unwrap().to_owned());
    drop(relay);

    let log = std::fs::read_to_string(&log).unwrap();
    let lines_of = |name: &str| log.lines().filter(|line| line.contains(name)).collect::<Vec<_>>();
    for (name, lines) in [(&names[0], 1), (&names[1], 1), (&names[2], 2), (&names[4], 0)] {
        let found = lines_of(name);
        assert_eq!(found.len(), lines, "{name}: {log}");
        for line in found {
            assert!(line.starts_with('{') && line.contains("\"message\":\"refused\""), "{line}");
            assert!(line.contains(&format!("\"request\":\"{name}\"")), "{line}");
            // Neither who called nor about what.
            assert!(!line.contains("127.0.0.1") && !line.contains(&slot(8).to_hex()), "{line}");
        }
    }
}
