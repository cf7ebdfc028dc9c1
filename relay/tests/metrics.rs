//! What Prometheus gets, after a link, mail and a blob: the funnel, and nobody's ids.
#![allow(missing_docs, reason = "tests")]

mod harness;

use harness::*;
use pairlight_wire::relay::*;
use reqwest::Method;

#[tokio::test]
async fn the_funnel_is_counted_on_a_listener_of_its_own_without_ids_and_addresses() {
    let relay = relay_with(|config| config.metrics_listen = "127.0.0.1:0".parse().ok()).await;
    let page = || async {
        let url = format!("http://{}/metrics", relay.metrics_addr().unwrap());
        client().get(url).send().await.unwrap().text().await.unwrap()
    };
    let value = |page: &str, name: &str| -> u64 {
        let line = page.lines().find_map(|line| line.strip_prefix("pairlight_relay_")?.strip_prefix(name));
        line.map_or(0, |value| value.trim().parse().unwrap())
    };
    assert_eq!(
        call(&relay, Method::GET, "/metrics", &[], []).await.refusal(),
        RefusalCode::NotFound,
        "not for the world"
    );
    let before = page().await;
    assert_eq!(value(&before, "links_total{stage=\"shown\"}"), 0);

    let mut shower = Shower::show(&relay, slot(0xab)).await;
    shower.opens(slot(2)).await;
    let claimer = Claimer::claim(&relay, slot(0xab)).await;
    assert_eq!(claimer.end(4).await.status, 204);
    // The relay's own links are nobody's.
    assert_eq!(call(&relay, Method::GET, "/readyz", &[], []).await.status, 200);
    let account = Account::new(10);
    let alone = account.list(None, &[&account.phone], &[], &account.root);
    assert_eq!(account.put(&relay, &alone).await.status, 200);
    let both = account.list(Some(&alone), &[&account.phone, &account.laptop], &[], &account.root);
    assert_eq!(account.put(&relay, &both).await.status, 200);
    let mut phone = account.connect(&relay, &account.phone).await;
    phone.posts(&account.phone, &account.laptop, 1, b"mail").await;
    assert_eq!(phone.hears().await, StreamEvent::Accepted(Accepted { reference: 1 }));
    let mut laptop = account.connect(&relay, &account.laptop).await;
    laptop.gets().await;

    let page = page().await;
    for (name, expected) in [
        ("links_total{stage=\"shown\"}", 2),
        ("links_total{stage=\"scanned\"}", 1),
        ("links_ended_total{scanned=\"yes\",reason=\"WrongCheckCode\"}", 1),
        ("link_seconds_bucket{le=\"+Inf\"}", 1),
        ("link_seconds_count", 1),
        ("devices_added_total", 1),
        ("devices_connected", 2),
        ("answers_total{status=\"404\"}", 1),
    ] {
        assert_eq!(value(&page, name), expected, "{name}\n{page}");
    }
    assert!(
        value(&page, "envelopes_total{what=\"stored\"}") >= 1 && value(&page, "answer_seconds_count") >= 4,
        "{page}"
    );
    for id in [account.id().to_hex(), account.phone.id().to_hex(), slot(0xab).to_hex(), "127.0.0".to_owned()] {
        assert!(!page.contains(&id) && !page.contains(&id[..8.min(id.len())]), "{id}\n{page}");
    }
    // Every line is one that Prometheus reads: a comment, or a name and a number.
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("pairlight_relay_") && value.parse::<f64>().is_ok(), "{line}");
    }
    relay.shutdown().await;
}
