//! Assertions of a real authenticator, and each field broken once under a signature that is good all the same.

use ed25519_dalek::Signer;
use p256::ecdsa::signature::SignatureEncoding;

use super::*;

const ORIGIN: &str = "https://link.example.com";
const TH2: [u8; 32] = [0x72; 32];

fn file() -> serde_json::Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/passkey/chromium.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn bytes(value: &serde_json::Value, name: &str) -> Vec<u8> {
    hex::decode(value[name].as_str().unwrap()).unwrap()
}

#[test]
fn assertions_of_a_browsers_authenticator_get_the_verdict_they_were_made_for() {
    let file = file();
    let th2: [u8; 32] = bytes(&file, "th2").try_into().unwrap();
    let known: Vec<_> = file["passkeys"].as_array().unwrap().iter().collect();
    let registrations: Vec<_> = known
        .iter()
        .map(|key| {
            let origin = file["origin"].as_str().unwrap();
            let (id, key) = (bytes(key, "credential"), bytes(key, "public_key"));
            PasskeyRegistration::new(&id, &key, file["rp_id"].as_str().unwrap(), &[origin]).unwrap()
        })
        .collect();
    let (mut good, mut all) = (0, 0);
    for made in file["assertions"].as_array().unwrap() {
        let passkey = known.iter().position(|key| key["name"] == made["passkey"]).unwrap();
        let proof = PasskeyProof {
            credential: Bytes::new(registrations[passkey].credential().to_vec()).unwrap(),
            authenticator_data: Bytes::new(bytes(made, "authenticator_data")).unwrap(),
            client_data: Bytes::new(bytes(made, "client_data")).unwrap(),
            signature: Bytes::new(bytes(made, "signature")).unwrap(),
        };
        let verdict = verify_any(&registrations, &proof.encode(), &th2);
        let said = verdict.map_or_else(|error| format!("{error:?}"), |()| "ok".to_owned());
        assert_eq!(said, made["expect"].as_str().unwrap(), "{} of {}", made["what"], made["passkey"]);
        all += 1;
        if verdict.is_ok() {
            good += 1;
            // Another passkey of the same person did not sign this; nor did this one sign any other bytes.
            for (other, registration) in registrations.iter().enumerate() {
                assert_eq!(registration.verify(&proof, &th2).is_ok(), other == passkey);
            }
            for byte in 0..proof.signature.as_slice().len() {
                let mut signature = proof.signature.as_slice().to_vec();
                signature[byte] ^= 1 << (byte % 8);
                let signature = Bytes::new(signature).unwrap();
                assert_eq!(
                    registrations[passkey].verify(&PasskeyProof { signature, ..proof.clone() }, &th2),
                    Err(PasskeyError::Signature)
                );
            }
        }
    }
    assert!(good >= 3 && all >= 11, "{good} of {all}");
}

/// An authenticator in software that signs whatever it is told to.
struct Authenticator {
    es256: Option<p256::ecdsa::SigningKey>,
    eddsa: ed25519_dalek::SigningKey,
}

impl Authenticator {
    fn both() -> [Self; 2] {
        let es256 = p256::ecdsa::SigningKey::from_slice(&[0x33; 32]).unwrap();
        let eddsa = ed25519_dalek::SigningKey::from_bytes(&[0x44; 32]);
        [Self { es256: Some(es256), eddsa: eddsa.clone() }, Self { es256: None, eddsa }]
    }

    fn cose(&self) -> Vec<u8> {
        match &self.es256 {
            Some(key) => {
                let point = key.verifying_key().to_sec1_point(false);
                let (x, y) = (&point.as_bytes()[1..33], &point.as_bytes()[33..]);
                [&hex::decode("a5010203262001215820").unwrap(), x, &hex::decode("225820").unwrap(), y].concat()
            }
            None => {
                let head = hex::decode("a4010103272006215820").unwrap();
                [head.as_slice(), self.eddsa.verifying_key().as_bytes()].concat()
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.es256 {
            Some(key) => {
                let signature: p256::ecdsa::Signature = p256::ecdsa::signature::Signer::sign(key, message);
                signature.to_der().to_vec()
            }
            None => self.eddsa.sign(message).to_vec(),
        }
    }
}

/// What an assertion is made of, before it is signed.
struct Parts {
    kind: &'static str,
    challenge: [u8; 32],
    origin: &'static str,
    more: &'static str,
    rp_id: &'static str,
    flags: u8,
    tail: &'static [u8],
    credential: &'static [u8],
    message_suffix: &'static [u8],
}

const GOOD: Parts = Parts {
    kind: "webauthn.get",
    challenge: [0; 32],
    origin: ORIGIN,
    more: r#","crossOrigin":false"#,
    rp_id: "example.com",
    flags: USER_PRESENT | USER_VERIFIED,
    tail: &[],
    credential: b"credential",
    message_suffix: &[],
};

fn proof(authenticator: &Authenticator, parts: &Parts) -> PasskeyProof {
    let text = URL_SAFE_NO_PAD.encode(if parts.challenge == [0; 32] { challenge(&TH2) } else { parts.challenge });
    let client =
        format!(r#"{{"type":"{}","challenge":"{text}","origin":"{}"{}}}"#, parts.kind, parts.origin, parts.more);
    let mut data = sha256(&[parts.rp_id.as_bytes()]).to_vec();
    data.push(parts.flags);
    data.extend([0, 0, 0, 1]);
    data.extend(parts.tail);
    let message = [data.as_slice(), &sha256(&[client.as_bytes()]), parts.message_suffix].concat();
    PasskeyProof {
        credential: Bytes::new(parts.credential.to_vec()).unwrap(),
        authenticator_data: Bytes::new(data).unwrap(),
        client_data: Bytes::new(client.into_bytes()).unwrap(),
        signature: Bytes::new(authenticator.sign(&message)).unwrap(),
    }
}

#[test]
fn each_field_that_is_broken_is_named_although_the_signature_is_good() {
    use PasskeyError as E;
    let table: &[(&str, Result<(), E>, Parts)] = &[
        ("nothing broken", Ok(()), GOOD),
        ("no crossOrigin, as older browsers", Ok(()), Parts { more: "", ..GOOD }),
        ("a field from the future", Ok(()), Parts { more: r#","crossOrigin":false,"other":[1]"#, ..GOOD }),
        ("backed up", Ok(()), Parts { flags: 0x1d, ..GOOD }),
        ("with extensions", Ok(()), Parts { flags: 0x85, tail: &[0xa0], ..GOOD }),
        ("type: creation", Err(E::WrongType), Parts { kind: "webauthn.create", ..GOOD }),
        ("challenge: another", Err(E::WrongChallenge), Parts { challenge: [9; 32], ..GOOD }),
        ("origin: another site", Err(E::ForeignOrigin), Parts { origin: "https://evil.test", ..GOOD }),
        ("origin: a sibling", Err(E::ForeignOrigin), Parts { origin: "https://x.example.com", ..GOOD }),
        ("origin: as a prefix", Err(E::ForeignOrigin), Parts { origin: "https://link.example.com.evil.test", ..GOOD }),
        ("origin: plain http", Err(E::ForeignOrigin), Parts { origin: "http://link.example.com", ..GOOD }),
        ("origin: another port", Err(E::ForeignOrigin), Parts { origin: "https://link.example.com:8443", ..GOOD }),
        ("origin: other case", Err(E::ForeignOrigin), Parts { origin: "https://LINK.example.com", ..GOOD }),
        ("crossOrigin: true", Err(E::CrossOrigin), Parts { more: r#","crossOrigin":true"#, ..GOOD }),
        ("crossOrigin: a word", Err(E::CrossOrigin), Parts { more: r#","crossOrigin":"false""#, ..GOOD }),
        ("crossOrigin: null", Err(E::CrossOrigin), Parts { more: r#","crossOrigin":null"#, ..GOOD }),
        ("topOrigin: there", Err(E::CrossOrigin), Parts { more: r#","topOrigin":"https://evil.test""#, ..GOOD }),
        ("rpIdHash: another", Err(E::WrongRelyingParty), Parts { rp_id: "evil.test", ..GOOD }),
        ("UP: 0", Err(E::NotPresent), Parts { flags: USER_VERIFIED, ..GOOD }),
        ("UV: 0", Err(E::NotVerified), Parts { flags: USER_PRESENT, ..GOOD }),
        ("flags: none", Err(E::NotPresent), Parts { flags: 0, ..GOOD }),
        ("signature: of more", Err(E::Signature), Parts { message_suffix: &[0], ..GOOD }),
        ("credential: unknown", Err(E::UnknownCredential), Parts { credential: b"another", ..GOOD }),
        ("client data: twice a type", Err(E::WrongType), Parts { more: r#","type":"webauthn.create""#, ..GOOD }),
        ("client data: no JSON", Err(E::Malformed), Parts { more: ",", ..GOOD }),
    ];
    for authenticator in Authenticator::both() {
        let known = PasskeyRegistration::new(b"credential", &authenticator.cose(), "example.com", &[ORIGIN]).unwrap();
        let known = [known];
        for (name, verdict, parts) in table {
            let proof = proof(&authenticator, parts).encode();
            assert_eq!(verify_any(&known, &proof, &TH2), *verdict, "{name}");
        }
        let good = proof(&authenticator, &GOOD);
        for length in 0..37 {
            let authenticator_data = Bytes::new(good.authenticator_data.as_slice()[..length].to_vec()).unwrap();
            let short = PasskeyProof { authenticator_data, ..good.clone() };
            assert_eq!(known[0].verify(&short, &TH2), Err(E::Malformed), "{length} bytes of authenticator data");
        }
        // Of another link.
        assert_eq!(known[0].verify(&good, &[1; 32]), Err(E::WrongChallenge));
        // The other algorithm's signature under this key.
        let [es256, eddsa] = Authenticator::both();
        let other = if authenticator.es256.is_some() { eddsa } else { es256 };
        assert_eq!(known[0].verify(&proof(&other, &GOOD), &TH2), Err(E::Signature));
    }
    assert_eq!(verify_any(&[], b"\x80", &TH2), Err(E::Malformed));
}

#[test]
fn a_registration_survives_the_store_and_says_what_it_lacks() {
    use RegistrationError as E;
    let [es256, eddsa] = Authenticator::both();
    let register = |id: &[u8], key: &[u8], rp: &str, origins: &[&str]| PasskeyRegistration::new(id, key, rp, origins);
    for key in [es256.cose(), eddsa.cose()] {
        let made = register(b"id", &key, "example.com", &[ORIGIN, "https://example.com:8443"]).unwrap();
        assert_eq!(PasskeyRegistration::decode(&made.encode()), Some(made.clone()));
        let asked = request(&[made]).unwrap();
        assert_eq!((asked.rp_id.as_str(), asked.credentials.as_slice().len()), ("example.com", 1));
    }
    assert!(register(b"id", &es256.cose(), "localhost", &["http://localhost:8080"]).is_ok());
    assert_eq!(request(&[]), None);
    assert_eq!(PasskeyRegistration::decode(b"no"), None);

    let key = es256.cose();
    assert_eq!(register(b"", &key, "example.com", &[ORIGIN]), Err(E::CredentialId));
    assert_eq!(register(&[1; 256], &key, "example.com", &[ORIGIN]), Err(E::CredentialId));
    for rp in ["", "https://example.com", "Example.com", "example.com/"] {
        assert_eq!(register(b"id", &key, rp, &[ORIGIN]), Err(E::RelyingParty), "{rp}");
    }
    for origin in [
        "http://link.example.com",
        "https://evil.test",
        "https://evilexample.com",
        "https://link.example.com/",
        "https://link.example.com:",
        "https://link.example.com:080",
        "link.example.com",
    ] {
        assert_eq!(register(b"id", &key, "example.com", &[origin]), Err(E::Origin), "{origin}");
    }
    assert_eq!(register(b"id", &key, "example.com", &[]), Err(E::Origin));
    assert_eq!(register(b"id", &key, "example.com", &[ORIGIN; 9]), Err(E::Origin));
    // Not on the curve, another algorithm, another curve, cut off, and a byte too many.
    let mut off_curve = key.clone();
    *off_curve.last_mut().unwrap() ^= 1;
    let mut rs256 = key.clone();
    rs256[4] = 0x38;
    let mut p384 = key.clone();
    p384[6] = 2;
    let longer = [key.as_slice(), &[0]].concat();
    for bad in [off_curve, rs256, p384, key[..40].to_vec(), longer, Vec::new()] {
        assert_eq!(register(b"id", &bad, "example.com", &[ORIGIN]), Err(E::Key));
    }
}
