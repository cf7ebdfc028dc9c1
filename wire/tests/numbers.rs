//! Numbers and words that other implementations rely on: frozen.

use pairlight_wire::Text;
use pairlight_wire::context::{IpNet, OwnContext, RelayContext};
use pairlight_wire::device::{Preset, Role};
use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::id::SlotId;
use pairlight_wire::list::RemovalReason;
use pairlight_wire::offer::ClientKind;
use pairlight_wire::pairing::{EndReason, Purpose};
use pairlight_wire::relay::RefusalCode;
use pairlight_wire::sign::SigningContext;
use pairlight_wire::standing::{Discrepancy, NoticeKind, Standing};

/// The names of all values, in the order of their numbers, which must have no gap.
macro_rules! names {
    ($type:ty) => {{
        let names: Vec<String> = (0..64).map_while(<$type>::from_code).map(|value| format!("{value:?}")).collect();
        assert!((names.len() as u64..300).all(|code| <$type>::from_code(code).is_none()));
        assert!((0..names.len() as u64).all(|code| <$type>::from_code(code).unwrap().code() == code));
        names
    }};
}

#[test]
fn the_numbers_of_every_enum_are_frozen() {
    assert_eq!(
        names!(EndReason),
        [
            "Cancelled",
            "Declined",
            "TimedOut",
            "Tampered",
            "WrongCheckCode",
            "Conflict",
            "Expired",
            "Refused",
            "StorageFailed",
            "Outdated",
            "Superseded",
            "NotPublished",
            "RateLimited",
            "Unreachable"
        ]
    );
    assert_eq!(
        names!(RefusalCode),
        [
            "Protocol",
            "Removed",
            "LeaseExpired",
            "TimedOut",
            "Conflict",
            "Duplicate",
            "Outdated",
            "RateLimited",
            "NotFound",
            "NotAllowed",
            "TooLarge",
            "Overflow",
            "Unavailable",
            "Gone"
        ]
    );
    assert_eq!(names!(Purpose), ["Link", "Relink"]);
    assert_eq!(names!(ClientKind), ["Web", "Native"]);
    assert_eq!(names!(Preset), ["Custom", "Development", "Balanced", "Strict", "StrongOnly"]);
    assert_eq!(
        names!(EnvelopeKind),
        ["Application", "History", "CheckIn", "Lease", "Ephemeral", "Reset", "Notice", "Records", "File"]
    );
    assert_eq!(
        names!(RemovalReason),
        ["Revoked", "LoggedOut", "Cloned", "Abandoned", "RemovedAll", "Discrepancy", "Recovered", "Lapsed"]
    );
    assert_eq!(names!(Standing), ["Active", "Restricted", "Quarantined"]);
    assert_eq!(names!(NoticeKind), ["Linked", "Relinked", "Removed", "Discrepancy", "RootChanged", "RecoveryChanged"]);
    let rows: Vec<_> = (1..=12).map(|row| Discrepancy::from_code(row).unwrap()).collect();
    assert_eq!((rows.len(), Discrepancy::from_code(0), Discrepancy::from_code(13)), (12, None, None));
    assert_eq!(
        rows.iter().map(|row| format!("{row:?}")).collect::<Vec<_>>(),
        [
            "CounterRepeated",
            "CopyForked",
            "ListDiffers",
            "ListStale",
            "PlatformChanged",
            "CountersImpossible",
            "BadSignatures",
            "Undecryptable",
            "LeaseEnded",
            "TwoSockets",
            "CountryChanged",
            "Removed"
        ]
    );
    assert_eq!((Role::Primary.code(), Role::Linked.code(), Role::from_code(0)), (1, 2, None));
}

#[test]
fn the_words_in_front_of_signatures_are_frozen() {
    let labels: Vec<_> = (0..14).map(|code| SigningContext::from_code(code).unwrap().label()).collect();
    let words = [
        "relay-ctx",
        "ops-cert",
        "device-cert",
        "device-accept",
        "device-list",
        "lease",
        "checkin",
        "ws-auth",
        "root-rotate",
        "recovery",
        "session-reset",
        "recovery-auth",
        "lan-answer",
        "known-device",
    ];
    assert_eq!(labels, words.map(|word| format!("pairlight/v1/{word}")));
    assert_eq!(SigningContext::Lease.input(b"x"), b"pairlight/v1/lease\0x");
}

#[test]
fn close_codes_and_statuses_are_frozen() {
    use RefusalCode as R;
    let table = [
        (R::Protocol, 4400, 400),
        (R::Removed, 4401, 401),
        (R::LeaseExpired, 4403, 403),
        (R::TimedOut, 4408, 408),
        (R::Conflict, 4409, 409),
        (R::Duplicate, 4412, 409),
        (R::Outdated, 4426, 426),
        (R::RateLimited, 4429, 429),
        (R::NotFound, 4404, 404),
        (R::NotAllowed, 4402, 403),
        (R::TooLarge, 4413, 413),
        (R::Overflow, 4414, 429),
        (R::Unavailable, 4503, 503),
        (R::Gone, 4410, 410),
    ];
    for (code, close, http) in table {
        assert_eq!((code.close_code(), code.http_status()), (close, http), "{code:?}");
        assert_eq!(RefusalCode::from_close_code(close), Some(code));
    }
    assert_eq!(RefusalCode::from_close_code(1000), None);
}

#[test]
fn when_two_places_count_as_one() {
    let net = |last| IpNet::V4([192, 0, last]);
    // (same network, providers, cities, countries) -> same place
    let table = [
        ("same network, nothing else known", net(2), (0, 0), (None, None), ("ZZ", "ZZ"), true),
        ("same network, other city", net(2), (1, 1), (Some("A"), Some("B")), ("NL", "NL"), true),
        ("other network, same provider and city", net(3), (7, 7), (Some("A"), Some("A")), ("NL", "NL"), true),
        ("other network, other provider", net(3), (7, 8), (Some("A"), Some("A")), ("NL", "NL"), false),
        ("other network, unknown provider", net(3), (0, 0), (Some("A"), Some("A")), ("NL", "NL"), false),
        ("other network, other city", net(3), (7, 7), (Some("A"), Some("B")), ("NL", "NL"), false),
        ("other network, unknown cities", net(3), (7, 7), (None, None), ("NL", "NL"), false),
        ("other network, one city unknown", net(3), (7, 7), (Some("A"), None), ("NL", "NL"), false),
        ("cities of one name in two countries", net(3), (7, 7), (Some("A"), Some("A")), ("NL", "BE"), false),
        ("IPv6 beside IPv4", IpNet::V6([192, 0, 2, 0, 0, 0]), (0, 0), (None, None), ("NL", "NL"), false),
    ];
    for (name, ip_net, asn, city, country, same) in table {
        let context = RelayContext {
            slot: SlotId([0; 16]),
            offer_ct_hash: [0; 32],
            origin: None,
            ip_net: net(2),
            country: Text::truncated(country.0),
            city: city.0.map(Text::truncated),
            asn: asn.0,
            ua_family: Text::default(),
            client_kind: ClientKind::Web,
            issued: 0,
            ttl: 0,
        };
        let own = OwnContext {
            slot: SlotId([0; 16]),
            ip_net,
            country: Text::truncated(country.1),
            city: city.1.map(Text::truncated),
            asn: asn.1,
        };
        assert_eq!(context.matches(&own), same, "{name}");
    }
}

#[test]
fn addresses_keep_only_their_network() {
    let net = |text: &str| IpNet::from(text.parse::<core::net::IpAddr>().unwrap());
    assert_eq!(net("192.0.2.77"), IpNet::V4([192, 0, 2]));
    assert_eq!(net("2001:db8:1:2::3"), IpNet::V6([0x20, 1, 0xd, 0xb8, 0, 1]));
    assert_eq!(net("::ffff:192.0.2.77"), IpNet::V4([192, 0, 2]));
}
