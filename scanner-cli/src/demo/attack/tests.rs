//! Each attack, by its name.

use super::{ATTACKS, play};
use crate::demo::timeline::Timeline;

async fn holds(name: &str) {
    let attack = ATTACKS.iter().find(|attack| attack.name == name).unwrap();
    if let Err(failure) = play(attack, &Timeline::new()).await {
        panic!("{name}: {failure:?}");
    }
}

macro_rules! attacks {
    ($($test:ident = $name:literal),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                holds($name).await;
            }
        )+

        const TESTED: &[&str] = &[$($name),+];
    };
}

attacks! {
    attack_unc5792_group_invite = "unc5792-group-invite",
    attack_ghostpairing = "ghostpairing",
    attack_star_blizzard = "star-blizzard",
    attack_qrljacking_relay_page = "qrljacking-relay-page",
    attack_forwarded_screenshot = "forwarded-screenshot",
    attack_shoulder_surfing = "shoulder-surfing",
    attack_printed_sticker = "printed-sticker",
    attack_cloned_profile = "cloned-profile",
    attack_evil_relay = "evil-relay",
    attack_stolen_unlocked_phone = "stolen-unlocked-phone",
    attack_recorded_traffic = "recorded-traffic",
    attack_look_alike_app = "look-alike-app",
}

#[test]
fn every_attack_has_its_test_and_stands_in_the_documentation() {
    let names: Vec<_> = ATTACKS.iter().map(|attack| attack.name).collect();
    assert_eq!(names, TESTED);
    let table = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/attacks.md")).unwrap();
    for attack in &ATTACKS {
        for text in [&format!("`{}`", attack.name), attack.story, attack.sees, attack.stops] {
            assert!(table.contains(text), "docs/attacks.md lacks: {text}");
        }
    }
}
